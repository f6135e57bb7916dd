use proptest::prelude::*;

use super::super::fixture::{Device, json_values, path, samples};
use super::super::{
    SENML_CBOR, SENML_ETCH_CBOR, SENML_ETCH_JSON, SENML_JSON, TLV, decode, decode_into, encode, encode_in,
    encode_paths,
};
use super::*;
use crate::lwm2m::value::ObjectLink;

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn opaque(bytes: &[u8]) -> Value<'_> {
    Value::Opaque(Cow::Borrowed(bytes))
}

fn read(request: &str, json: &str) -> Vec<(String, Value<'static>)> {
    let samples = decode(Some(SENML_JSON), path(request), json.as_bytes(), &Device);
    let samples = samples.unwrap_or_else(|error| panic!("{json}: {error}"));
    samples.into_iter().map(|sample| (sample.path.to_string(), sample.value.into_owned())).collect()
}

#[track_caller]
fn assert_reads(json: &str, expected: &[(&str, Value<'_>)]) {
    let expected: Vec<_> =
        expected.iter().map(|(path, value)| ((*path).to_owned(), value.clone().into_owned())).collect();
    assert_eq!(read("/3/0", json), expected, "{json}");
}

/// What one value at one resource reads as.
fn value(at: &str, field: &str) -> Value<'static> {
    let mut samples = read("/", &format!(r#"[{{"n":"{at}",{field}}}]"#));
    assert_eq!(samples.len(), 1);
    samples.remove(0).1
}

/// Core 1.2.1 section 7.4.4: GET /3/0.
#[test]
fn the_example_of_the_device_object() {
    let json = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},
        {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"9","v":100},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"}]"#;
    let expected = [
        ("/3/0/0", text("Open Mobile Alliance")),
        ("/3/0/1", text("Lightweight M2M Client")),
        ("/3/0/6/0", Value::Integer(1)),
        ("/3/0/6/1", Value::Integer(5)),
        ("/3/0/9", Value::Integer(100)),
        ("/3/0/13", Value::Time(1_367_491_215)),
        ("/3/0/14", text("+02:00")),
    ];
    assert_reads(json, &expected);
}

#[test]
fn the_name_may_be_divided_anywhere() {
    for json in [
        r#"[{"bn":"/3/0/3","vs":"1.0"}]"#,
        r#"[{"bn":"/3/0/","n":"3","vs":"1.0"}]"#,
        r#"[{"bn":"/3/0","n":"/3","vs":"1.0"}]"#,
        r#"[{"vs":"1.0","n":"/3","bn":"/3/0"}]"#,
        r#"[{"bn":"/3/0/"},{"n":"3","vs":"1.0"}]"#,
        r#"[{"n":"/3/0/3","vs":"1.0"}]"#,
        r#"[{"bn":"","n":"3/0/3","vs":"1.0"}]"#,
        r#"[{"\u0062n":"/3\/0/3","vs":"1\u002e0"}]"#,
    ] {
        assert_reads(json, &[("/3/0/3", text("1.0"))]);
    }
    assert_eq!(read("/3/0/9", r#"[{"v":5}]"#), [("/3/0/9".to_owned(), Value::Integer(5))]);
}

#[test]
fn a_base_name_holds_until_the_next() {
    let json =
        r#"[{"bn":"/3/0/","n":"9","v":1},{"n":"10","v":2},{"bn":"/9/0/","n":"0","v":3},{"n":"1","v":4}]"#;
    let expected = [
        ("/3/0/9", Value::Integer(1)),
        ("/3/0/10", Value::Integer(2)),
        ("/9/0/0", Value::Unsigned(3)),
        ("/9/0/1", Value::Float(4.0)),
    ];
    assert_reads(json, &expected);
}

#[test]
fn an_alternate_path_is_left_away() {
    let json = br#"[{"bn":"/lwm2m/3/0/","n":"9","v":1},{"bn":"/3/0/9","v":2}]"#;
    let scope = Scope { path: Path::root(), definitions: &Device, alternate_path: "/lwm2m" };
    let mut samples = Vec::new();
    decode_into(Some(SENML_JSON), &scope, json, &mut samples).expect("well formed");
    assert!(samples.iter().all(|sample| sample.path == Path::new([3, 0, 9])));
    assert_eq!(samples.len(), 2);
    let scope = Scope { alternate_path: "/lw", ..scope };
    decode_into(Some(SENML_JSON), &scope, json, &mut samples).expect_err("another path");
    assert_eq!(samples.len(), 2);
}

#[test]
fn times() {
    let taken = |json: &str| -> Vec<_> {
        let samples = decode(Some(SENML_JSON), Path::root(), json.as_bytes(), &()).expect("well formed");
        samples.iter().map(|sample| sample.taken).collect()
    };
    // RFC 8428 5.1.3, its base time and times relative to it.
    let json = r#"[{"bn":"/3303/0/5700","bt":1276020076.001,"v":120.1},{"t":-5,"v":1.2},{"t":0.5,"v":1.3}]"#;
    assert_eq!(taken(json), [Some(1_276_020_076_001), Some(1_276_020_071_001), Some(1_276_020_076_501)]);
    assert_eq!(taken(r#"[{"n":"/1","t":1276020076,"v":1}]"#), [Some(1_276_020_076_000)]);
    assert_eq!(taken(r#"[{"n":"/1","t":-10,"v":1},{"n":"/1","v":1}]"#), [None, None]);
    assert_eq!(taken(r#"[{"n":"/1","t":268435455,"v":1}]"#), [None]);
    assert_eq!(taken(r#"[{"n":"/1","t":268435456,"v":1}]"#), [Some(268_435_456_000)]);
    assert_eq!(taken(r#"[{"n":"/1","t":1e300,"v":1}]"#), [None]);
}

#[test]
fn base_values_are_added() {
    let json = r#"[{"bn":"/3/0/","bv":100,"n":"9","v":5},{"n":"10"},{"n":"11","v":-0.5},{"n":"0","vs":"x"}]"#;
    let expected = [
        ("/3/0/9", Value::Integer(105)),
        ("/3/0/10", Value::Integer(100)),
        ("/3/0/11", text("99.5")),
        ("/3/0/0", text("x")),
    ];
    assert_reads(json, &expected);
}

#[test]
fn numbers_take_the_type_of_the_definition() {
    assert_eq!(value("/3/0/9", r#""v":9223372036854775807"#), Value::Integer(i64::MAX));
    assert_eq!(value("/3/0/9", r#""v":-9223372036854775808"#), Value::Integer(i64::MIN));
    assert_eq!(value("/3/0/9", r#""v":9223372036854775808"#), Value::Unsigned(1 << 63));
    assert_eq!(value("/3/0/9", r#""v":1.0"#), Value::Integer(1));
    assert_eq!(value("/3/0/9", r#""v":1e3"#), Value::Integer(1000));
    assert_eq!(value("/3/0/9", r#""v":1.5"#), text("1.5"));
    assert_eq!(value("/3/0/13", r#""v":100"#), Value::Time(100));
    assert_eq!(value("/9/0/0", r#""v":18446744073709551615"#), Value::Unsigned(u64::MAX));
    assert_eq!(value("/9/0/0", r#""v":-1"#), text("-1"));
    assert_eq!(value("/9/0/1", r#""v":100"#), Value::Float(100.0));
    assert_eq!(value("/9/0/2", r#""v":1"#), Value::Boolean(true));
    assert_eq!(value("/3/0/0", r#""v":12"#), text("12"));
    assert_eq!(value("/7/0/0", r#""v":12"#), Value::Integer(12));
    assert_eq!(value("/7/0/0", r#""v":12.0"#), Value::Float(12.0));
    assert_eq!(value("/7/0/0", r#""v":18446744073709551615"#), Value::Unsigned(u64::MAX));
}

#[test]
fn other_values_take_the_type_of_the_definition() {
    let link = Value::ObjectLink(ObjectLink { object: 3, instance: 65535 });
    assert_eq!(value("/9/0/2", r#""vb":true"#), Value::Boolean(true));
    assert_eq!(value("/7/0/0", r#""vb":false"#), Value::Boolean(false));
    assert_eq!(value("/9/0/5", r#""vlo":"3:65535""#), link);
    assert_eq!(value("/7/0/0", r#""vlo":"3:65535""#), link);
    assert_eq!(value("/9/0/5", r#""vs":"3:65535""#), link);
    assert_eq!(value("/9/0/4", r#""vs":"</3>""#), Value::CoreLink(Cow::Borrowed("</3>")));
    assert_eq!(value("/7/0/0", r#""vs":"3:0""#), text("3:0"));
    for (base64, bytes) in
        [("-_8", &[0xfb, 0xff][..]), ("-_8=", &[0xfb, 0xff]), ("+/8=", &[0xfb, 0xff]), ("", &[])]
    {
        assert_eq!(value("/9/0/3", &format!(r#""vd":"{base64}""#)), opaque(bytes), "{base64}");
        assert_eq!(value("/7/0/0", &format!(r#""vd":"{base64}""#)), opaque(bytes), "{base64}");
    }
}

#[test]
fn a_value_that_does_not_fit_stays_text_and_costs_no_other() {
    let json = r#"[{"bn":"/9/0/","n":"3","vd":"*"},{"n":"5","vlo":"3"},{"n":"2","vs":"yes"},{"n":"0","vb":true},
        {"n":"6","v":1},{"n":"4","vd":"AA"},{"bn":"/3/0/","n":"9","vs":"5"},{"n":"0","vs":"last"}]"#;
    let values: Vec<_> = read("/", json).into_iter().map(|(_, value)| value).collect();
    let expected = ["*", "3", "yes", "true", "1", "AA", "5", "last"].map(text);
    assert_eq!(values, expected);
}

#[test]
fn nothing_is_a_value_too() {
    assert_reads("[]", &[]);
    assert_reads(r#"[{"bn":"/3/0/","bver":10}]"#, &[]);
    assert_reads(
        r#"[{"n":"/3/0/9"},{"n":"/3/0/10","v":null}]"#,
        &[("/3/0/9", Value::Null), ("/3/0/10", Value::Null)],
    );
}

#[test]
fn fields_that_are_not_known() {
    assert_reads(
        r#"[{"n":"/3/0/9","u":"%","ut":5,"x":{"y":[1,"{"]},"v":1}]"#,
        &[("/3/0/9", Value::Integer(1))],
    );
    let json = br#"[{"n":"/3/0/9","v":1,"x_":1}]"#;
    let error = decode(Some(SENML_JSON), Path::root(), json, &()).expect_err("must be understood");
    assert_eq!(error.to_string(), "SenML JSON, byte 24: field `x_` must be understood and is not");
}

/// The byte at which the parser stood: that after a value which cannot be used.
#[test]
fn errors_name_the_byte() {
    for (json, offset, reason) in [
        (&b"[{\"n\":\"/3\",\"v\":1}"[..], 16, "EOF while parsing a list"),
        (b"[]x", 2, "trailing characters"),
        (b"", 0, "EOF while parsing a value"),
        (b"[\n{\"v\":[]}]", 8, "invalid type: sequence, expected a number, a string, true, false or null"),
        (b"{}", 0, "invalid type: map, expected an array of records"),
        (b"[1]", 1, "invalid type: integer `1`, expected a record"),
        (b"[{\"n\":5}]", 7, "expected a string"),
        (b"[{\"bt\":\"5\"}]", 9, "invalid type: string \"5\", expected f64"),
        (b"[{\"v\":5,\"vs\":\"\"}]", 15, "a record has more than one value"),
        (b"[{\"bver\":11}]", 11, "SenML version 11 is above 10"),
        (b"[{\"n\":\"/a\",\"v\":1}]", 17, "path `/a`: `a` is not an id from 0 to 65535"),
    ] {
        let error = decode(Some(SENML_JSON), Path::root(), json, &()).expect_err(reason);
        let Error::Malformed { offset: given_offset, reason: given, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((given.as_str(), *given_offset), (reason, offset), "{}", json.escape_ascii());
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let json = |count| format!("[{}]", vec!["{\"n\":\"/3\"}"; count].join(","));
    let read =
        |count| decode(Some(SENML_JSON), Path::root(), json(count).as_bytes(), &()).map(|read| read.len());
    assert_eq!(read(MAX_SAMPLES), Ok(MAX_SAMPLES));
    assert_eq!(read(MAX_SAMPLES + 1), Err(Error::TooMany { format: json::NAME, limit: MAX_SAMPLES }));
}

#[test]
fn what_is_plain_is_borrowed() {
    let json = br#"[{"bn":"/3/0/0","vs":"plain"}]"#;
    let samples = decode(Some(SENML_JSON), Path::root(), json, &Device).expect("well formed");
    assert!(matches!(samples[0].value, Value::Text(Cow::Borrowed("plain"))));
}

fn sample(text: &str, value: Value<'static>) -> Sample<'static> {
    Sample { path: path(text), value, kind: None, taken: None }
}

#[track_caller]
fn assert_writes(request: &str, samples: &[Sample<'_>], json: &str) {
    let written = encode(SENML_JSON, path(request), samples, &Device).expect("can be written");
    assert_eq!(String::from_utf8(written).expect("JSON is UTF-8"), json);
}

#[test]
fn names_are_relative_to_the_path_of_the_request() {
    let nine = sample("/3/0/9", Value::Integer(5));
    let six = sample("/3/0/6/1", Value::Integer(1));
    assert_writes(
        "/3/0",
        &[nine.clone(), six.clone()],
        r#"[{"bn":"/3/0/","n":"9","v":5},{"n":"6/1","v":1}]"#,
    );
    assert_writes("/3/0/9", std::slice::from_ref(&nine), r#"[{"bn":"/3/0/9","v":5}]"#);
    assert_writes("/3/0/6", std::slice::from_ref(&six), r#"[{"bn":"/3/0/6/","n":"1","v":1}]"#);
    assert_writes("/", &[nine.clone(), six.clone()], r#"[{"n":"/3/0/9","v":5},{"n":"/3/0/6/1","v":1}]"#);
    assert_writes("/3/0", &[], "[]");
    let error = encode(SENML_JSON, path("/3/1"), &[nine], &()).expect_err("elsewhere");
    assert_eq!(error.to_string(), "SenML JSON cannot hold /3/0/9: it is not below the path of the request");
}

#[test]
fn the_paths_of_a_composite_read() {
    let paths = [Path::new([3, 0, 9]), Path::new([5])];
    let written = encode_paths(SENML_ETCH_JSON, "/", &paths).expect("can be written");
    assert_eq!(written, br#"[{"n":"/3/0/9"},{"n":"/5"}]"#);
}

#[test]
fn a_list_of_paths_stands_below_the_alternate_path() {
    let paths = [Path::new([3, 0, 9]), Path::new([5]), Path::root()];
    for (prefix, json, cbor) in [
        (
            "/",
            r#"[{"n":"/3/0/9"},{"n":"/5"},{"n":"/"}]"#,
            &b"\x83\xa1\x00\x66/3/0/9\xa1\x00\x62/5\xa1\x00\x61/"[..],
        ),
        (
            "/a\"b/",
            r#"[{"n":"/a\"b/3/0/9"},{"n":"/a\"b/5"},{"n":"/a\"b"}]"#,
            b"\x83\xa1\x00\x6a/a\"b/3/0/9\xa1\x00\x66/a\"b/5\xa1\x00\x64/a\"b",
        ),
    ] {
        for format in [SENML_JSON, SENML_ETCH_JSON] {
            assert_eq!(encode_paths(format, prefix, &paths), Ok(json.as_bytes().to_vec()));
        }
        for format in [SENML_CBOR, SENML_ETCH_CBOR] {
            assert_eq!(encode_paths(format, prefix, &paths), Ok(cbor.to_vec()));
        }
    }
    assert_eq!(encode_paths(TLV, "/", &paths), Err(Error::Unsupported { format: TLV }));
}

/// RFC 8790 section 3.2.
#[test]
fn null_removes_in_a_patch() {
    let samples = [sample("/3/0/6/1", Value::Null), sample("/3/0/9", Value::Integer(5))];
    let written = encode(SENML_ETCH_JSON, Path::root(), &samples, &()).expect("can be written");
    assert_eq!(written, br#"[{"n":"/3/0/6/1","v":null},{"n":"/3/0/9","v":5}]"#);
    assert_eq!(decode(Some(SENML_ETCH_JSON), Path::root(), &written, &()), Ok(samples.to_vec()));
}

#[test]
fn names_begin_with_the_alternate_path() {
    let samples = [sample("/3/0/9", Value::Integer(5)), sample("/3/0/6/1", Value::Integer(1))];
    for (request, alternate_path, json) in [
        ("/", "/lwm2m", r#"[{"n":"/lwm2m/3/0/9","v":5},{"n":"/lwm2m/3/0/6/1","v":1}]"#),
        ("/3/0", "/lwm2m/", r#"[{"bn":"/lwm2m/3/0/","n":"9","v":5},{"n":"6/1","v":1}]"#),
        ("/3/0", "/\"", r#"[{"bn":"/\"/3/0/","n":"9","v":5},{"n":"6/1","v":1}]"#),
    ] {
        let scope = Scope { alternate_path, ..Scope::new(path(request), &()) };
        let written = encode_in(SENML_JSON, &scope, &samples).expect("can be written");
        assert_eq!(String::from_utf8(written.clone()).as_deref(), Ok(json));
        let mut read = Vec::new();
        decode_into(Some(SENML_JSON), &scope, &written, &mut read).expect("what is written can be read");
        assert_eq!(read, samples);
    }
}

#[test]
fn a_name_is_bounded() {
    let json = |length| format!(r#"[{{"bn":"/3/{}"}},{{"n":"/9/1","v":1}}]"#, "0".repeat(length));
    let read = |length| {
        decode(Some(SENML_JSON), Path::root(), json(length).as_bytes(), &()).map(|read| read[0].path)
    };
    assert_eq!(read(4089), Ok(path("/3/0/9/1")));
    assert!(matches!(read(4090), Err(Error::Malformed { .. })));
}

#[test]
fn every_type_is_written() {
    for (at, value, json) in [
        ("/9/0/0", Value::Unsigned(u64::MAX), r#"[{"bn":"/9/0/0","v":18446744073709551615}]"#),
        ("/9/0/1", Value::Float(100.0), r#"[{"bn":"/9/0/1","v":100.0}]"#),
        ("/9/0/1", Value::Integer(7), r#"[{"bn":"/9/0/1","v":7.0}]"#),
        ("/9/0/1", Value::Float(1e300), r#"[{"bn":"/9/0/1","v":1e300}]"#),
        ("/9/0/2", Value::Boolean(true), r#"[{"bn":"/9/0/2","vb":true}]"#),
        ("/9/0/3", Value::Opaque(Cow::Borrowed(&[0xfb, 0xff])), r#"[{"bn":"/9/0/3","vd":"-_8"}]"#),
        (
            "/9/0/4",
            Value::CoreLink(Cow::Borrowed("</3>;a=\"b\"")),
            r#"[{"bn":"/9/0/4","vs":"</3>;a=\"b\""}]"#,
        ),
        (
            "/9/0/5",
            Value::ObjectLink(ObjectLink { object: 3, instance: 0 }),
            r#"[{"bn":"/9/0/5","vlo":"3:0"}]"#,
        ),
        ("/3/0/13", Value::Time(-1), r#"[{"bn":"/3/0/13","v":-1}]"#),
        ("/3/0/9", Value::Null, r#"[{"n":"/3/0/9"}]"#),
    ] {
        assert_writes(at, &[sample(at, value)], json);
    }
    let nan = [sample("/9/0/1", Value::Float(f64::NAN))];
    assert!(matches!(encode(SENML_JSON, path("/9/0/1"), &nan, &()), Err(Error::Unfit { .. })));
}

#[test]
fn absolute_times_are_written() {
    let mut sample = sample("/3/0/9", Value::Integer(5));
    sample.taken = Some(1_276_020_076_001);
    assert_writes("/3/0/9", std::slice::from_ref(&sample), r#"[{"bn":"/3/0/9","t":1276020076.001,"v":5}]"#);
    sample.taken = Some(0);
    assert!(matches!(encode(SENML_JSON, sample.path, &[sample], &()), Err(Error::Unfit { .. })));
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        depth in 0_usize..3,
        samples in samples(json_values(), 268_435_456_000_i64..4_000_000_000_000),
    ) {
        let request = Path::new([9, 65535]).truncated(depth);
        let json = encode(SENML_JSON, request, &samples, &Device).expect("these can be written");
        prop_assert_eq!(decode(Some(SENML_JSON), request, &json, &Device), Ok(samples.clone()));
    }

    #[test]
    fn reading_never_panics(
        json in "(\\[|\\]|\\{|\\}|,|:|\"(b?[ntv]|v[sbdlo]{1,2}|x_|/3/0/?|)\"|-?[0-9.e]{1,4}|null|true| ){0,40}",
        bytes: Vec<u8>,
    ) {
        let _ = decode(Some(SENML_JSON), Path::root(), json.as_bytes(), &Device);
        let _ = decode(Some(SENML_JSON), Path::root(), &bytes, &Device);
    }

    #[test]
    fn reading_any_record_never_panics(
        fields in proptest::collection::vec((
            "b?[nt]|b?v|v[sbd]|vlo|bver",
            "\"/?[0-9/]{0,12}\"|-?[0-9]{1,20}(\\.[0-9])?(e[0-9]{1,2})?|true|null",
        ), 0..8),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let _ = decode(Some(SENML_JSON), Path::root(), format!("[{{{}}}]", fields.join(",")).as_bytes(), &Device);
    }
}
