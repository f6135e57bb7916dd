use proptest::prelude::*;

use super::super::{Definitions, OLD_TEXT, TEXT, decode, encode};
use super::*;
use crate::lwm2m::path::Path;
use crate::lwm2m::value::ObjectLink;

/// Every resource is of this type.
struct All(Option<Kind>);

impl Definitions for All {
    fn kind(&self, _: u16, _: u16) -> Option<Kind> {
        self.0
    }
}

const PATH: Path = Path::new([3, 0, 9]);

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn value(payload: &[u8], kind: Option<Kind>) -> Value<'_> {
    let mut samples = decode(Some(TEXT), PATH, payload, &All(kind)).expect("text is always readable");
    assert_eq!(samples.len(), 1);
    let sample = samples.remove(0);
    assert_eq!((sample.path, sample.kind, sample.taken), (PATH, kind, None));
    sample.value
}

#[test]
fn each_type_reads_its_own_grammar() {
    for (kind, payload, expected) in [
        (Kind::Text, " a ", text(" a ")),
        (Kind::Text, "", text("")),
        (Kind::Integer, "-9223372036854775808", Value::Integer(i64::MIN)),
        (Kind::Integer, "+007", Value::Integer(7)),
        (Kind::Unsigned, "18446744073709551615", Value::Unsigned(u64::MAX)),
        (Kind::Time, "3162871511", Value::Time(3_162_871_511)),
        (Kind::Float, "-12.5", Value::Float(-12.5)),
        (Kind::Float, "100", Value::Float(100.0)),
        (Kind::Float, "1.25E-3", Value::Float(0.00125)),
        (Kind::Boolean, "0", Value::Boolean(false)),
        (Kind::Boolean, "1", Value::Boolean(true)),
        (Kind::Boolean, "false", Value::Boolean(false)),
        (Kind::Boolean, "true", Value::Boolean(true)),
        (Kind::Opaque, "+/8=", Value::Opaque(Cow::Borrowed(&[0xfb, 0xff]))),
        (Kind::Opaque, "+/8", Value::Opaque(Cow::Borrowed(&[0xfb, 0xff]))),
        (Kind::ObjectLink, "3:65535", Value::ObjectLink(ObjectLink { object: 3, instance: 65535 })),
        (Kind::CoreLink, "</3>", Value::CoreLink(Cow::Borrowed("</3>"))),
    ] {
        assert_eq!(value(payload.as_bytes(), Some(kind)), expected, "{kind:?} {payload}");
    }
}

#[test]
fn what_does_not_fit_stays_text() {
    for (kind, payload) in [
        (Kind::Integer, "9223372036854775808"),
        (Kind::Integer, "1.0"),
        (Kind::Integer, " 1"),
        (Kind::Integer, ""),
        (Kind::Unsigned, "-1"),
        (Kind::Float, "inf"),
        (Kind::Float, "NaN"),
        (Kind::Float, "1e999"),
        (Kind::Float, "0x10"),
        (Kind::Float, "e"),
        (Kind::Boolean, "TRUE"),
        (Kind::Boolean, "2"),
        (Kind::Opaque, "*"),
        (Kind::ObjectLink, "3"),
        (Kind::ObjectLink, "3:0:1"),
        (Kind::ObjectLink, "3:65536"),
        (Kind::Executable, "1"),
    ] {
        assert_eq!(value(payload.as_bytes(), Some(kind)), text(payload), "{kind:?}");
    }
    assert_eq!(value(b"12", None), text("12"));
}

#[test]
fn what_is_not_utf_8_stays_bytes() {
    assert_eq!(value(b"\xff1", Some(Kind::Text)), Value::Opaque(Cow::Borrowed(b"\xff1")));
}

#[test]
fn text_is_the_format_of_a_payload_that_names_none() {
    let expected = decode(Some(TEXT), PATH, b"5", &All(Some(Kind::Integer)));
    for format in [None, Some(OLD_TEXT)] {
        assert_eq!(decode(format, PATH, b"5", &All(Some(Kind::Integer))), expected);
    }
}

#[test]
fn each_type_is_written() {
    for (value, written) in [
        (text("a b"), "a b"),
        (Value::Integer(-1), "-1"),
        (Value::Unsigned(u64::MAX), "18446744073709551615"),
        (Value::Time(7), "7"),
        (Value::Float(1e21), "1000000000000000000000"),
        (Value::Float(-0.5), "-0.5"),
        (Value::Boolean(true), "1"),
        (Value::Opaque(Cow::Borrowed(&[0xfb, 0xff])), "+/8="),
        (Value::ObjectLink(ObjectLink { object: 3, instance: 0 }), "3:0"),
        (Value::CoreLink(Cow::Borrowed("</3>")), "</3>"),
    ] {
        let sample = Sample { path: PATH, value, kind: None, taken: None };
        assert_eq!(encode(TEXT, PATH, &[sample], &()), Ok(written.as_bytes().to_vec()));
    }
    let sample = Sample { path: PATH, value: Value::Float(3.0), kind: Some(Kind::Integer), taken: None };
    assert_eq!(encode(TEXT, PATH, &[sample], &()), Ok(b"3".to_vec()));
}

#[test]
fn what_cannot_be_written() {
    let sample = |value| Sample { path: PATH, value, kind: None, taken: None };
    let five = sample(Value::Integer(5));
    for (path, samples, reason) in [
        (PATH, vec![sample(Value::Null)], "there is no value"),
        (PATH, vec![sample(Value::Float(f64::NAN))], "it has no infinities and no NaN"),
        (PATH, vec![], "it holds exactly one value"),
        (PATH, vec![five.clone(), five.clone()], "it holds exactly one value"),
        (Path::new([3, 0]), vec![five], "the request goes to another path"),
    ] {
        let error = encode(TEXT, path, &samples, &()).expect_err(reason);
        assert!(matches!(error, Error::Unfit { reason: given, .. } if given == reason), "{error}");
    }
}

fn values() -> impl Strategy<Value = (Kind, Value<'static>)> {
    prop_oneof![
        any::<i64>().prop_map(|number| (Kind::Integer, Value::Integer(number))),
        any::<u64>().prop_map(|number| (Kind::Unsigned, Value::Unsigned(number))),
        any::<i64>().prop_map(|number| (Kind::Time, Value::Time(number))),
        (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO)
            .prop_map(|number| (Kind::Float, Value::Float(number))),
        any::<bool>().prop_map(|flag| (Kind::Boolean, Value::Boolean(flag))),
        any::<Vec<u8>>().prop_map(|bytes| (Kind::Opaque, Value::Opaque(Cow::Owned(bytes)))),
        any::<String>().prop_map(|text| (Kind::Text, Value::Text(Cow::Owned(text)))),
        any::<String>().prop_map(|text| (Kind::CoreLink, Value::CoreLink(Cow::Owned(text)))),
        any::<(u16, u16)>().prop_map(|(object, instance)| {
            (Kind::ObjectLink, Value::ObjectLink(ObjectLink { object, instance }))
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_can_be_read((kind, expected) in values()) {
        let sample = Sample { path: PATH, value: expected.clone(), kind: Some(kind), taken: None };
        let written = encode(TEXT, PATH, &[sample], &All(Some(kind))).expect("can be written");
        prop_assert_eq!(value(&written, Some(kind)), expected);
    }
}
