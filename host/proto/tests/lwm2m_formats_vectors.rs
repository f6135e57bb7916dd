//! The content formats against the examples of the standards, and the corpus of the fuzz target `lwm2m_json` with
//! mutations of it, for those who have no fuzzer at hand.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these helpers belong to them

#[path = "../fuzz/lwm2m_json_body.rs"]
mod body;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path as File;

use proptest::prelude::*;
use tidegate_proto::lwm2m::format::{
    self, Definitions, Error, LWM2M_JSON, OLD_JSON, OLD_OPAQUE, OLD_TEXT, OLD_TLV, OPAQUE, SENML_JSON, TEXT,
    TLV, link,
};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Kind, ObjectLink, Sample, Value};

/// Resource 0 is of no known type, 1 to 9 are of one type each, in every object.
struct Kinds;

impl Definitions for Kinds {
    fn kind(&self, _object: u16, resource: u16) -> Option<Kind> {
        match resource {
            1 => Some(Kind::Text),
            2 => Some(Kind::Integer),
            3 => Some(Kind::Unsigned),
            4 => Some(Kind::Float),
            5 => Some(Kind::Boolean),
            6 => Some(Kind::Opaque),
            7 => Some(Kind::Time),
            8 => Some(Kind::ObjectLink),
            9 => Some(Kind::CoreLink),
            _ => None,
        }
    }
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn opaque(bytes: &[u8]) -> Value<'_> {
    Value::Opaque(Cow::Borrowed(bytes))
}

/// Path, value and time of each sample.
fn read(format: u16, request: &str, payload: &[u8]) -> Vec<(String, Value<'static>, Option<i64>)> {
    let samples = format::decode(Some(format), path(request), payload, &Kinds);
    let samples = samples.unwrap_or_else(|error| panic!("{}: {error}", payload.escape_ascii()));
    let parts = |sample: Sample<'_>| (sample.path.to_string(), sample.value.into_owned(), sample.taken);
    samples.into_iter().map(parts).collect()
}

fn senml(json: &str) -> Vec<(String, Value<'static>, Option<i64>)> {
    read(SENML_JSON, "/", json.as_bytes())
}

/// RFC 8428 5.1.1. In this and the following examples the names are paths: LwM2M has no others.
#[test]
fn rfc_8428_single_data_point() {
    let json = r#"[{"n":"/3303/0/4","u":"Cel","v":23.1}]"#;
    assert_eq!(senml(json), [("/3303/0/4".to_owned(), Value::Float(23.1), None)]);
    let json = br#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#;
    let error = format::decode(Some(SENML_JSON), Path::root(), json, &Kinds).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SenML JSON, byte 55: path `urn:dev:ow:10e2073a01080063`: `urn:dev:ow:10e2073a01080063` is not an id from 0 \
         to 65535"
    );
}

/// RFC 8428 5.1.2, with its base time of a fraction and version 5.
#[test]
fn rfc_8428_multiple_data_points() {
    let json = r#"[{"bn":"/3336/0/","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"4/0","u":"V","v":120.1},
        {"n":"4/1","t":-5,"v":1.2},{"n":"4/1","t":-4,"v":1.3},{"n":"4/1","t":-3,"v":1.4},{"n":"4/1","t":-2,"v":1.5},
        {"n":"4/1","t":-1,"v":1.6},{"n":"4/1","v":1.7}]"#;
    let current = |value, taken| ("/3336/0/4/1".to_owned(), Value::Float(value), Some(taken));
    assert_eq!(
        senml(json),
        [
            ("/3336/0/4/0".to_owned(), Value::Float(120.1), Some(1_276_020_076_001)),
            current(1.2, 1_276_020_071_001),
            current(1.3, 1_276_020_072_001),
            current(1.4, 1_276_020_073_001),
            current(1.5, 1_276_020_074_001),
            current(1.6, 1_276_020_075_001),
            current(1.7, 1_276_020_076_001),
        ]
    );
}

/// RFC 8428 5.1.3: the base name is all of the name, and what is measured stands in the unit.
#[test]
fn rfc_8428_multiple_measurements() {
    let json = r#"[{"bn":"/3336/0/4","bt":1.320067464e+09,"bu":"%RH","v":20},{"u":"lon","v":24.30621},
        {"u":"lat","v":60.07965},{"t":60,"v":20.3},{"u":"lon","t":60,"v":24.30622},{"u":"%EL","t":150,"v":98}]"#;
    let at = |value, taken| ("/3336/0/4".to_owned(), Value::Float(value), Some(taken));
    assert_eq!(
        senml(json),
        [
            at(20.0, 1_320_067_464_000),
            at(24.30621, 1_320_067_464_000),
            at(60.07965, 1_320_067_464_000),
            at(20.3, 1_320_067_524_000),
            at(24.30622, 1_320_067_524_000),
            at(98.0, 1_320_067_614_000),
        ]
    );
}

/// RFC 8428 5.1.5.
#[test]
fn rfc_8428_multiple_data_types() {
    let json = r#"[{"bn":"/3336/0/","n":"4","u":"Cel","v":23.1},{"n":"1","vs":"Machine Room"},
        {"n":"5","vb":false},{"n":"6","vd":"aGkgCg"}]"#;
    assert_eq!(
        senml(json),
        [
            ("/3336/0/4".to_owned(), Value::Float(23.1), None),
            ("/3336/0/1".to_owned(), text("Machine Room"), None),
            ("/3336/0/5".to_owned(), Value::Boolean(false), None),
            ("/3336/0/6".to_owned(), opaque(b"hi \n"), None),
        ]
    );
}

/// RFC 8428 5.1.6: each record may move the base name.
#[test]
fn rfc_8428_collection_of_resources() {
    let json = r#"[{"bn":"/3303/0/","bt":1320078429,"n":"4","u":"Cel","v":25.2},{"bn":"/3304/0/","n":"4","v":30},
        {"bn":"/3303/1/","n":"4","u":"Cel","v":12.3},{"n":"1","vs":"roof"}]"#;
    let taken = Some(1_320_078_429_000);
    assert_eq!(
        senml(json),
        [
            ("/3303/0/4".to_owned(), Value::Float(25.2), taken),
            ("/3304/0/4".to_owned(), Value::Float(30.0), taken),
            ("/3303/1/4".to_owned(), Value::Float(12.3), taken),
            ("/3303/1/1".to_owned(), text("roof"), taken),
        ]
    );
}

/// JSON has no word for it (RFC 8259 section 6), and a text is none.
#[test]
fn not_a_number_is_an_error_in_json_and_text_where_it_is_a_string() {
    for format in [SENML_JSON, LWM2M_JSON] {
        for word in ["NaN", "nan", "Infinity", "-Infinity"] {
            let entry = format!(r#"{{"n":"/1/0/4","v":{word}}}"#);
            let json =
                if format == SENML_JSON { format!("[{entry}]") } else { format!(r#"{{"e":[{entry}]}}"#) };
            let error = format::decode(Some(format), Path::root(), json.as_bytes(), &Kinds).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{json}: {error}");
            let json = json.replace(word, &format!("\"{word}\""));
            assert_eq!(read(format, "/", json.as_bytes())[0].1, text(word), "{json}");
        }
    }
    assert_eq!(read(TEXT, "/1/0/4", b"NaN")[0].1, text("NaN"));
    let quiet = [0xc4, 4, 0x7f, 0xc0, 0, 0];
    assert!(matches!(read(TLV, "/1/0", &quiet)[0].1, Value::Float(number) if number.is_nan()));
}

#[test]
fn the_numbers_of_drafts_are_read_as_those_of_the_standard() {
    for (old, new, payload) in [
        (OLD_TEXT, TEXT, &b"5"[..]),
        (OLD_TLV, TLV, b"\xc1\x02\x05"),
        (OLD_JSON, LWM2M_JSON, br#"{"bn":"/1/0/","e":[{"n":"2","v":5}]}"#),
        (OLD_OPAQUE, OPAQUE, b"\x05"),
    ] {
        let read = |format| read(format, "/1/0/2", payload);
        assert_eq!(read(old), read(new));
        assert_eq!(read(new)[0].0, "/1/0/2");
    }
}

/// A list, as devices without a definition send it: nothing of it is lost.
#[test]
fn tlv_without_definitions_is_bytes() {
    let payload = [0xc8, 0, 8, 0, 0, 0, 0, 0xbc, 0x85, 0x96, 0x9f, 0xe1, 0xff, 0xff, 1, 0x83, 2, 0x41, 0, 9];
    let samples = format::decode(Some(TLV), path("/65535/65534"), &payload, &()).unwrap();
    let read: Vec<_> = samples.iter().map(|sample| (sample.path.to_string(), sample.value.clone())).collect();
    assert_eq!(
        read,
        [
            ("/65535/65534/0".to_owned(), opaque(&payload[3..11])),
            ("/65535/65534/65535".to_owned(), opaque(&[1])),
            ("/65535/65534/2/0".to_owned(), opaque(&[9])),
        ]
    );
    assert_eq!(format::encode(TLV, path("/65535/65534"), &samples, &()).as_deref(), Ok(&payload[..]));
}

#[test]
fn tlv_lengths_have_three_bytes_at_most() {
    let at = path("/1/0/6");
    let sample =
        |length| [Sample { path: at, value: opaque(&vec![7; length]).into_owned(), kind: None, taken: None }];
    let longest = format::encode(TLV, at, &sample(0xff_ffff), &Kinds).unwrap();
    assert_eq!(longest[..5], [0b1101_1000, 6, 0xff, 0xff, 0xff]);
    let error = format::encode(TLV, at, &sample(0x100_0000), &Kinds).unwrap_err();
    assert_eq!(error.to_string(), "TLV cannot hold /1/0/6: it is longer than 16 MiB");
}

#[test]
fn trailing_garbage_is_an_error_in_every_format_that_has_an_end() {
    for (format, payload) in [
        (TLV, &b"\xc1\x02\x05\xff"[..]),
        (TLV, b"\xc1\x02\x05\x00"),
        (SENML_JSON, br#"[{"n":"/1/0/2","v":5}]]"#),
        (LWM2M_JSON, br#"{"bn":"/1/0/","e":[{"n":"2","v":5}]},"#),
    ] {
        let mut samples = vec![];
        let scope = format::Scope::new(path("/1/0"), &Kinds);
        let error = format::decode_into(Some(format), &scope, payload, &mut samples).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        assert_eq!(samples, [], "an error leaves nothing behind");
    }
}

/// Of a Discover answer, with attributes of the resources and their instances (core 1.2.1 section 6.3.2).
#[test]
fn the_example_of_discover() {
    let payload = b"</3/0>;pmin=10;pmax=60,</3/0/7>;dim=8;lt=10;gt=50,</3/0/7/0>,</3/0/8>";
    let links = link::parse(payload).unwrap();
    let read: Vec<_> = links.iter().map(|link| (link.target, link.attributes.len())).collect();
    assert_eq!(read, [("/3/0", 2), ("/3/0/7", 3), ("/3/0/7/0", 0), ("/3/0/8", 0)]);
    assert_eq!(links[1].attributes[0], ("dim", Cow::Borrowed("8")));
    let written = links.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(written.as_bytes(), payload);
}

/// A resource and a value of its type.
fn values() -> impl Strategy<Value = (u16, Value<'static>)> {
    let integers = || prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from), -300_i64..300];
    prop_oneof![
        any::<String>().prop_map(|text| (1, Value::Text(Cow::Owned(text)))),
        integers().prop_map(|number| (2, Value::Integer(number))),
        prop_oneof![any::<u64>(), 0_u64..300].prop_map(|number| (3, Value::Unsigned(number))),
        prop_oneof![any::<f64>(), any::<f32>().prop_map(f64::from)]
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| (4, Value::Float(number))),
        any::<bool>().prop_map(|flag| (5, Value::Boolean(flag))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (6, Value::Opaque(Cow::Owned(bytes)))),
        integers().prop_map(|number| (7, Value::Time(number))),
        any::<(u16, u16)>()
            .prop_map(|(object, instance)| (8, Value::ObjectLink(ObjectLink { object, instance }))),
        any::<String>().prop_map(|text| (9, Value::CoreLink(Cow::Owned(text)))),
    ]
}

/// Samples of one object, in the order of their paths and each path once.
fn objects() -> impl Strategy<Value = Vec<Sample<'static>>> {
    let places = (any::<u16>(), prop::option::of(any::<u16>()));
    prop::collection::vec((places, values()), 0..12).prop_map(|values| {
        let mut samples = BTreeMap::new();
        for ((instance, resource_instance), (resource, value)) in values {
            // A resource has a value or instances.
            let resource_instance = if resource % 2 == 0 { resource_instance.or(Some(0)) } else { None };
            let path = Path::new([3, instance, resource]);
            let path = resource_instance.and_then(|id| path.child(id)).unwrap_or(path);
            samples.insert(path, Sample { path, value, kind: Kinds.kind(3, resource), taken: None });
        }
        samples.into_values().collect()
    })
}

proptest! {
    #[test]
    fn every_format_of_many_values_says_the_same(samples in objects()) {
        for format in [TLV, SENML_JSON, LWM2M_JSON] {
            let payload = format::encode(format, Path::new([3]), &samples, &Kinds).unwrap();
            prop_assert_eq!(format::decode(Some(format), Path::new([3]), &payload, &Kinds), Ok(samples.clone()));
        }
    }

    #[test]
    fn every_format_says_one_value_the_same((resource, value) in values(), instance: Option<u16>) {
        let path = Path::new([65535, 65535, resource]);
        let path = instance.and_then(|id| path.child(id)).unwrap_or(path);
        let samples = [Sample { path, value, kind: Kinds.kind(65535, resource), taken: None }];
        for format in [TEXT, TLV, SENML_JSON, LWM2M_JSON] {
            let payload = format::encode(format, path, &samples, &Kinds).unwrap();
            let read = format::decode(Some(format), path, &payload, &Kinds);
            prop_assert_eq!(read.as_deref(), Ok(&samples[..]), "{}", format);
        }
    }

    #[test]
    fn opaque_is_the_bytes(bytes: Vec<u8>) {
        let at = Path::new([5, 0, 0]);
        let samples = format::decode(Some(OPAQUE), at, &bytes, &Kinds).unwrap();
        prop_assert_eq!(&samples, &[Sample { path: at, value: opaque(&bytes), kind: None, taken: None }]);
        prop_assert_eq!(format::encode(OPAQUE, at, &samples, &Kinds), Ok(bytes.clone()));
    }

    #[test]
    fn tlv_integers_are_as_short_as_the_standard_allows((resource, value) in values()) {
        let at = Path::new([3, 0, resource]);
        let samples = [Sample { path: at, value, kind: None, taken: None }];
        let payload = format::encode(TLV, at, &samples, &Kinds).unwrap();
        let least = match samples[0].value {
            Value::Integer(number) | Value::Time(number) if i8::try_from(number).is_ok() => 1,
            Value::Integer(number) | Value::Time(number) if i16::try_from(number).is_ok() => 2,
            Value::Integer(number) | Value::Time(number) if i32::try_from(number).is_ok() => 4,
            Value::Unsigned(number) if u8::try_from(number).is_ok() => 1,
            Value::Unsigned(number) if u16::try_from(number).is_ok() => 2,
            Value::Unsigned(number) if u32::try_from(number).is_ok() => 4,
            Value::Float(number) if f64::from(number as f32) == number => 4,
            Value::Integer(_) | Value::Time(_) | Value::Unsigned(_) | Value::Float(_) => 8,
            _ => return Ok(()),
        };
        // One byte of type, one of id, and one of length where there are eight.
        prop_assert_eq!(payload.len(), 2 + least + usize::from(least == 8));
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = File::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/lwm2m_json");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn the_corpus_of_lwm2m_json_can_be_read() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    for input in corpus {
        assert!(body::run(&input), "{}", input.escape_ascii());
    }
}

/// One change to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    /// What stands at the second place again at the first.
    Repeat(prop::sample::Index, prop::sample::Index, usize),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        let byte = || prop_oneof![any::<u8>(), prop::sample::select(&b"/0123456789.-e\"{}[],:nvtsbo"[..])];
        prop_oneof![
            (at(), byte()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (at(), byte()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            at().prop_map(Self::Remove),
            (at(), at(), 1_usize..20).prop_map(|(to, from, length)| Self::Repeat(to, from, length)),
        ]
    }

    fn apply(&self, input: &mut Vec<u8>) {
        if input.is_empty() {
            return;
        }
        let length = input.len();
        match self {
            Self::Set(at, byte) => input[at.index(length)] = *byte,
            Self::Insert(at, byte) => input.insert(at.index(length), *byte),
            Self::Remove(at) => drop(input.remove(at.index(length))),
            Self::Repeat(to, from, size) => {
                let from = from.index(length);
                let part = input[from..length.min(from + size)].to_vec();
                let to = to.index(length);
                input.splice(to..to, part);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_of_lwm2m_json_hold_for_damaged_payloads(
        mut input in prop::sample::select(corpus()),
        changes in prop::collection::vec(Change::any(), 1..4),
    ) {
        changes.iter().for_each(|change| change.apply(&mut input));
        body::run(&input);
    }
}
