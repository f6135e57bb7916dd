use proptest::prelude::*;

use super::super::fixture::{Device, json_values, samples};
use super::super::{LWM2M_JSON, OLD_JSON, decode, decode_into, encode, encode_in};
use super::*;
use crate::lwm2m::value::ObjectLink;

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn opaque(bytes: &[u8]) -> Value<'_> {
    Value::Opaque(Cow::Borrowed(bytes))
}

fn link(object: u16, instance: u16) -> Value<'static> {
    Value::ObjectLink(ObjectLink { object, instance })
}

fn read(request: &str, json: &str) -> Vec<(String, Value<'static>)> {
    let samples = decode(Some(LWM2M_JSON), path(request), json.as_bytes(), &Device);
    let samples = samples.unwrap_or_else(|error| panic!("{json}: {error}"));
    samples.into_iter().map(|sample| (sample.path.to_string(), sample.value.into_owned())).collect()
}

#[track_caller]
fn assert_reads(request: &str, json: &str, expected: &[(&str, Value<'_>)]) {
    let expected: Vec<_> =
        expected.iter().map(|(path, value)| ((*path).to_owned(), value.clone().into_owned())).collect();
    assert_eq!(read(request, json), expected, "{json}");
}

/// The paths of the entries.
#[track_caller]
fn assert_paths(request: &str, json: &str, expected: &[&str]) {
    let paths: Vec<_> = read(request, json).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, expected, "{request} {json}");
}

/// What one value at one resource reads as.
fn value(at: &str, member: &str) -> Value<'static> {
    let mut samples = read("/", &format!(r#"{{"bn":"","e":[{{"n":"{at}",{member}}}]}}"#));
    assert_eq!(samples.len(), 1);
    samples.remove(0).1
}

/// Core 1.0.2 section 6.4.4, GET /3/0.
const DEVICE: &str = concat!(
    r#"{"bn":"/3/0/","e":[{"n":"0","sv":"Open Mobile Alliance"},{"n":"1","sv":"Lightweight M2M Client"},"#,
    r#"{"n":"2","sv":"345000123"},{"n":"3","sv":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},"#,
    r#"{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},"#,
    r#"{"n":"10","v":15},{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","sv":"+02:00"},"#,
    r#"{"n":"16","sv":"U"}]}"#,
);

fn device() -> Vec<(&'static str, Value<'static>)> {
    let integer = Value::Integer;
    vec![
        ("/3/0/0", text("Open Mobile Alliance")),
        ("/3/0/1", text("Lightweight M2M Client")),
        ("/3/0/2", text("345000123")),
        ("/3/0/3", text("1.0")),
        ("/3/0/6/0", integer(1)),
        ("/3/0/6/1", integer(5)),
        ("/3/0/7/0", integer(3800)),
        ("/3/0/7/1", integer(5000)),
        ("/3/0/8/0", integer(125)),
        ("/3/0/8/1", integer(900)),
        ("/3/0/9", integer(100)),
        ("/3/0/10", integer(15)),
        ("/3/0/11/0", integer(0)),
        ("/3/0/13", Value::Time(1_367_491_215)),
        ("/3/0/14", text("+02:00")),
        ("/3/0/16", text("U")),
    ]
}

#[test]
fn the_example_of_the_device_object() {
    assert_reads("/3/0", DEVICE, &device());
    let samples = decode(Some(LWM2M_JSON), path("/3/0"), DEVICE.as_bytes(), &Device).expect("well formed");
    let written = encode(LWM2M_JSON, path("/3/0"), &samples, &Device).expect("can be written");
    assert_eq!(String::from_utf8(written).expect("UTF-8"), DEVICE);
}

/// The drafts of 1.0 have the example with numbers as texts and without a base name.
#[test]
fn the_example_of_the_device_object_in_drafts() {
    let json = DEVICE.replace(r#""bn":"/3/0/","#, "");
    let json = ["1", "5", "3800", "5000", "125", "900", "100", "15", "0", "1367491215"]
        .iter()
        .fold(json, |json, number| {
            json.replace(&format!("\"v\":{number}}}"), &format!("\"v\":\"{number}\"}}"))
        });
    assert_reads("/3/0", &json, &device());
}

/// Core 1.0.2 section 6.4.4, a notification of values of the past. The base time stands after the entries.
#[test]
fn the_example_of_a_notification_of_the_past() {
    let json = r#"{"e":[{"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30},{"n":"1/2","v":24.1,"t":-50}],
        "bn":"/72/","bt":25462634}"#;
    let samples = decode(Some(LWM2M_JSON), path("/72"), json.as_bytes(), &Device).expect("well formed");
    let read: Vec<_> =
        samples.iter().map(|sample| (sample.path, sample.value.clone(), sample.taken)).collect();
    let at = Path::new([72, 1, 2]);
    let expected = [
        (at, Value::Float(22.4), Some(25_462_629_000)),
        (at, Value::Float(22.9), Some(25_462_604_000)),
        (at, Value::Float(24.1), Some(25_462_584_000)),
    ];
    assert_eq!(read, expected);
}

/// Core 1.0.2 section 6.4.4, object links, with numbers for its letters: 65 for A, 66 for B, 67 for C.
#[test]
fn the_example_of_object_links() {
    let json = r#"{"bn":"/","e":[{"n":"65/0/0/0","ov":"66:0"},{"n":"65/0/0/1","ov":"66:1"},
        {"n":"65/0/1","sv":"8613800755500"},{"n":"65/0/2","v":1},{"n":"66/0/0","sv":"myService1"},
        {"n":"66/0/1","sv":"Internet.15.234"},{"n":"66/0/2","ov":"67:0"},{"n":"66/1/0","sv":"myService2"},
        {"n":"66/1/1","sv":"Internet.15.235"},{"n":"66/1/2","ov":"65535:65535"},{"n":"67/0/0","sv":"85.76.76.84"},
        {"n":"67/0/1","sv":"85.76.255.255"}]}"#;
    let expected = [
        ("/65/0/0/0", link(66, 0)),
        ("/65/0/0/1", link(66, 1)),
        ("/65/0/1", text("8613800755500")),
        ("/65/0/2", Value::Integer(1)),
        ("/66/0/0", text("myService1")),
        ("/66/0/1", text("Internet.15.234")),
        ("/66/0/2", link(67, 0)),
        ("/66/1/0", text("myService2")),
        ("/66/1/1", text("Internet.15.235")),
        ("/66/1/2", link(65535, 65535)),
        ("/67/0/0", text("85.76.76.84")),
        ("/67/0/1", text("85.76.255.255")),
    ];
    assert_reads("/65", json, &expected);
}

/// What Wakaama answers to GET /3/0/3, in both numbers of the format.
#[test]
fn the_answer_of_wakaama() {
    let json = br#"{"bn":"/3/0/","e":[{"n":"3","sv":"1.0"}]}"#;
    for format in [LWM2M_JSON, OLD_JSON] {
        let samples = decode(Some(format), path("/3/0/3"), json, &Device).expect("well formed");
        let expected =
            Sample { path: path("/3/0/3"), value: text("1.0"), kind: Some(Kind::Text), taken: None };
        assert_eq!(samples, [expected]);
        assert_eq!(encode(format, path("/3/0/3"), &samples, &Device).as_deref(), Ok(&json[..]));
    }
}

#[test]
fn a_name_is_below_the_base_name_with_one_slash_between() {
    for (base, name) in [
        ("/3/0/", "9"),
        ("/3/0/", "/9"),
        ("/3/0", "9"),
        ("/3/0", "/9"),
        ("3/0/", "9"),
        ("3/0", "9"),
        ("/3/0/9", ""),
        ("/3/0/9/", ""),
        ("/3/0/9", "/"),
        ("/", "3/0/9"),
        ("/", "/3/0/9"),
        ("/3", "0/9"),
    ] {
        for request in ["/3/0/9", "/3/0", "/3", "/"] {
            let json = format!(r#"{{"bn":"{base}","e":[{{"n":"{name}","v":5}}]}}"#);
            assert_reads(request, &json, &[("/3/0/9", Value::Integer(5))]);
        }
    }
    assert_reads(
        "/3/0",
        r#"{"bn":"\/3\/0","e":[{"\u006e":"\u0039","v":5}]}"#,
        &[("/3/0/9", Value::Integer(5))],
    );
    assert_reads("/3/0/9", r#"{"bn":"/3/0/9","e":[{"v":5}]}"#, &[("/3/0/9", Value::Integer(5))]);
}

#[test]
fn an_id_may_be_divided_where_the_request_path_shows_it() {
    let json = r#"{"bn":"3/0/1","e":[{"n":"1/0","v":0},{"n":"1/1","v":0}]}"#;
    assert_paths("/3/0/11", json, &["/3/0/11/0", "/3/0/11/1"]);
    // Five levels with a slash between.
    assert_paths("/3/0", json, &["/3/0/11/0", "/3/0/11/1"]);
    assert_paths("/3/0", r#"{"bn":"/3/0/1","e":[{"n":"1","v":0}]}"#, &["/3/0/1/1"]);
}

#[test]
fn names_without_a_base_name() {
    for bn in ["", r#""bn":"","#] {
        let json = |name: &str| format!(r#"{{{bn}"e":[{{"n":"{name}","v":5}}]}}"#);
        for (request, name, expected) in [
            // Relative to the request path.
            ("/3/0", "9", "/3/0/9"),
            ("/3/0", "6/0", "/3/0/6/0"),
            ("/3/0/6", "0", "/3/0/6/0"),
            ("/3/0/9", "", "/3/0/9"),
            ("/3", "0/9", "/3/0/9"),
            ("/5", "5/5", "/5/5/5"),
            ("/5/5", "5/5", "/5/5/5/5"),
            ("/", "3/0/9", "/3/0/9"),
            // Whole.
            ("/3/0", "/3/0/9", "/3/0/9"),
            ("/3/0", "/4/0/9", "/4/0/9"),
            ("/3/0", "3/0/9", "/3/0/9"),
            ("/3", "3/0/9", "/3/0/9"),
            ("/3/0/6", "3/0/6/1", "/3/0/6/1"),
            ("/3/0", "3/1/9", "/3/1/9"),
        ] {
            assert_paths(request, &json(name), &[expected]);
        }
    }
    assert_paths("/3/0/9", r#"{"e":[{"v":5}]}"#, &["/3/0/9"]);
}

#[test]
fn an_alternate_path_is_left_away() {
    for json in [
        r#"{"bn":"/lwm2m/3/0/","e":[{"n":"9","v":1}]}"#,
        r#"{"bn":"/lwm2m","e":[{"n":"/3/0/9","v":1}]}"#,
        r#"{"bn":"/","e":[{"n":"lwm2m/3/0/9","v":1}]}"#,
        r#"{"e":[{"n":"/lwm2m/3/0/9","v":1}]}"#,
        r#"{"bn":"/3/0/","e":[{"n":"9","v":1}]}"#,
    ] {
        let scope = Scope { path: path("/3/0"), definitions: &Device, alternate_path: "/lwm2m" };
        let mut samples = Vec::new();
        decode_into(Some(LWM2M_JSON), &scope, json.as_bytes(), &mut samples).expect("well formed");
        assert_eq!(samples[0].path, Path::new([3, 0, 9]), "{json}");
    }
}

#[test]
fn an_alternate_path_is_written() {
    let samples = [sample("/3/0/9", Value::Integer(1))];
    for (request, json) in [
        ("/3/0", r#"{"bn":"/lw\"m2m/3/0/","e":[{"n":"9","v":1}]}"#),
        ("/", r#"{"bn":"/lw\"m2m/","e":[{"n":"3/0/9","v":1}]}"#),
    ] {
        let scope = Scope { path: path(request), definitions: &(), alternate_path: "/lw\"m2m" };
        let written = encode_in(LWM2M_JSON, &scope, &samples).expect("can be written");
        assert_eq!(String::from_utf8(written).expect("UTF-8"), json);
        let mut read = Vec::new();
        decode_into(Some(LWM2M_JSON), &scope, json.as_bytes(), &mut read).expect("well formed");
        assert_eq!(read, samples);
    }
}

#[test]
fn times() {
    let taken = |document: &str| -> Vec<_> {
        let json = document.replace('#', r#""n":"/3303/0/5700","v":1"#);
        let samples = decode(Some(LWM2M_JSON), Path::root(), json.as_bytes(), &()).expect("well formed");
        samples.iter().map(|sample| sample.taken).collect()
    };
    assert_eq!(
        taken(r#"{"bt":1276020076.001,"e":[{#},{"t":-5,#},{"t":0.5,#}]}"#),
        [Some(1_276_020_076_001), Some(1_276_020_071_001), Some(1_276_020_076_501)]
    );
    assert_eq!(taken(r#"{"e":[{"t":1276020076,#},{#}]}"#), [Some(1_276_020_076_000), None]);
    assert_eq!(taken(r#"{"e":[{"t":-10,#},{"t":0,#}]}"#), [None, None]);
    assert_eq!(taken(r#"{"bt":10,"e":[{"t":-10,#},{"t":-9.999,#}]}"#), [None, Some(1)]);
    assert_eq!(taken(r#"{"bt":"25462634","e":[{"t":"-5",#}]}"#), [Some(25_462_629_000)]);
    assert_eq!(taken(r#"{"bt":1e300,"e":[{#}]}"#), [None]);
}

#[test]
fn numbers_take_the_type_of_the_definition() {
    assert_eq!(value("/3/0/9", r#""v":9223372036854775807"#), Value::Integer(i64::MAX));
    assert_eq!(value("/3/0/9", r#""v":-9223372036854775808"#), Value::Integer(i64::MIN));
    assert_eq!(value("/3/0/9", r#""v":9007199254740993"#), Value::Integer(9_007_199_254_740_993));
    assert_eq!(value("/3/0/9", r#""v":"9007199254740993""#), Value::Integer(9_007_199_254_740_993));
    assert_eq!(value("/3/0/9", r#""v":1.0"#), Value::Integer(1));
    assert_eq!(value("/3/0/9", r#""v":1.5"#), text("1.5"));
    assert_eq!(value("/3/0/13", r#""v":100"#), Value::Time(100));
    assert_eq!(value("/9/0/0", r#""v":18446744073709551615"#), Value::Unsigned(u64::MAX));
    assert_eq!(value("/9/0/0", r#""v":-1"#), text("-1"));
    assert_eq!(value("/9/0/1", r#""v":100"#), Value::Float(100.0));
    assert_eq!(value("/9/0/1", r#""v":0.1"#), Value::Float(0.1));
    assert_eq!(value("/9/0/2", r#""v":1"#), Value::Boolean(true));
    assert_eq!(value("/3/0/0", r#""v":12"#), text("12"));
    assert_eq!(value("/7/0/0", r#""v":12"#), Value::Integer(12));
    assert_eq!(value("/7/0/0", r#""v":12.0"#), Value::Float(12.0));
    assert_eq!(value("/7/0/0", r#""v":"12""#), Value::Integer(12));
}

#[test]
fn other_values_take_the_type_of_the_definition() {
    assert_eq!(value("/9/0/2", r#""bv":true"#), Value::Boolean(true));
    assert_eq!(value("/7/0/0", r#""bv":false"#), Value::Boolean(false));
    assert_eq!(value("/9/0/5", r#""ov":"3:65535""#), link(3, 65535));
    assert_eq!(value("/9/0/5", r#""sv":"3:65535""#), link(3, 65535));
    assert_eq!(value("/7/0/0", r#""ov":"3:65535""#), link(3, 65535));
    assert_eq!(value("/7/0/0", r#""sv":"3:0""#), text("3:0"));
    assert_eq!(value("/9/0/4", r#""sv":"</3>""#), Value::CoreLink(Cow::Borrowed("</3>")));
    for base64 in ["+/8=", "+/8", "-_8", "-_8="] {
        assert_eq!(value("/9/0/3", &format!(r#""sv":"{base64}""#)), opaque(&[0xfb, 0xff]), "{base64}");
        assert_eq!(value("/7/0/0", &format!(r#""sv":"{base64}""#)), text(base64));
    }
    assert_eq!(value("/9/0/3", r#""sv":"""#), opaque(&[]));
}

#[test]
fn a_value_that_does_not_fit_stays_text_and_costs_no_other() {
    let json = r#"{"bn":"/9/0/","e":[{"n":"3","sv":"*"},{"n":"5","ov":"3"},{"n":"2","sv":"yes"},{"n":"0","bv":true},
        {"n":"6","v":1},{"n":"1","v":"warm"},{"n":"8","sv":"last"}]}"#;
    let values: Vec<_> = read("/9/0", json).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["*", "3", "yes", "true", "1", "warm", "last"].map(text));
}

#[test]
fn nothing_is_a_value_too() {
    for json in ["{}", r#"{"bn":"/3/0/"}"#, r#"{"bn":"/3/0/6/","e":[]}"#] {
        assert_reads("/3/0", json, &[]);
    }
    let nothing = [("/3/0/9", Value::Null), ("/3/0/10", Value::Null)];
    assert_reads("/3/0", r#"{"bn":"/3/0/","e":[{"n":"9"},{"n":"10","v":null}]}"#, &nothing);
}

#[test]
fn the_same_name_twice_is_a_history() {
    let json = r#"{"bn":"/3/0/","e":[{"n":"9","v":1},{"n":"9","v":2}]}"#;
    assert_reads("/3/0", json, &[("/3/0/9", Value::Integer(1)), ("/3/0/9", Value::Integer(2))]);
}

#[test]
fn members_that_are_not_known_are_passed_over() {
    let json = r#"{"x":{"e":[1]},"bn":"/3/0/","e":[{"u":"%","x":[{"n":"1"}],"n":"9","v":1,"x":2}],"x":null}"#;
    assert_reads("/3/0", json, &[("/3/0/9", Value::Integer(1))]);
}

/// The byte at which the parser stood, that after a value which cannot be used; or that of the name.
#[test]
fn errors_name_the_byte() {
    for (json, offset, reason) in [
        (&b"{\"e\":[{\"n\":\"/3\",\"v\":1}]"[..], 22, "EOF while parsing an object"),
        (b"{}x", 2, "trailing characters"),
        (b"", 0, "EOF while parsing a value"),
        (b"[]", 0, "invalid type: sequence, expected an object with an array `e` of entries"),
        (b"{\"e\":{}}", 4, "invalid type: map, expected an array of entries"),
        (b"{\"e\":[1]}", 6, "invalid type: integer `1`, expected an entry"),
        (
            b"{\"e\":[{\"v\":[]}]}",
            12,
            "invalid type: sequence, expected a number, a string, true, false or null",
        ),
        (b"{\"bn\":5}", 7, "expected a string"),
        (b"{\"bt\":\"now\"}", 11, "expected a number of seconds"),
        (b"{\"e\":[{\"v\":5,\"sv\":\"\"}]}", 20, "an entry has more than one value"),
        (b"{\"e\":[],\"e\":[]}", 10, "`e` stands twice"),
        (b"{\"bn\":\"\",\"bn\":\"\"}", 16, "`bn` stands twice"),
        (b"{\"e\":[{\"t\":1,\"t\":1}]}", 18, "`t` stands twice"),
        (b"{\"e\":[{\"n\":\"/a\",\"v\":1}]}", 12, "path `/a`: `a` is not an id from 0 to 65535"),
        (b"{\"bn\":\"/1/2/3/\",\"e\":[{\"n\":\"4/5\"}]}", 27, "path `/1/2/3/4/5` has more than four levels"),
    ] {
        let error = decode(Some(LWM2M_JSON), Path::root(), json, &()).expect_err(reason);
        let Error::Malformed { offset: given_offset, reason: given, format: "LwM2M JSON" } = &error else {
            panic!("{error}");
        };
        assert_eq!((given.as_str(), *given_offset), (reason, offset), "{}", json.escape_ascii());
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let json = |count| format!("{{\"e\":[{}]}}", vec!["{\"n\":\"/3\"}"; count].join(","));
    let read =
        |count| decode(Some(LWM2M_JSON), Path::root(), json(count).as_bytes(), &()).map(|read| read.len());
    assert_eq!(read(MAX_SAMPLES), Ok(MAX_SAMPLES));
    assert_eq!(read(MAX_SAMPLES + 1), Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES }));
}

#[test]
fn what_is_plain_is_borrowed() {
    let json = br#"{"bn":"/3/0/","e":[{"n":"0","sv":"plain"}]}"#;
    let samples = decode(Some(LWM2M_JSON), Path::root(), json, &Device).expect("well formed");
    assert!(matches!(samples[0].value, Value::Text(Cow::Borrowed("plain"))));
}

fn sample(text: &str, value: Value<'static>) -> Sample<'static> {
    Sample { path: path(text), value, kind: None, taken: None }
}

#[track_caller]
fn assert_writes(request: &str, samples: &[Sample<'_>], json: &str) {
    let written = encode(LWM2M_JSON, path(request), samples, &Device).expect("can be written");
    assert_eq!(String::from_utf8(written).expect("JSON is UTF-8"), json);
}

#[test]
fn the_base_name_is_the_object_instance() {
    let nine = sample("/3/0/9", Value::Integer(5));
    let six = sample("/3/0/6/1", Value::Integer(1));
    let both = [nine.clone(), six.clone()];
    assert_writes("/3/0", &both, r#"{"bn":"/3/0/","e":[{"n":"9","v":5},{"n":"6/1","v":1}]}"#);
    assert_writes("/3/0/9", std::slice::from_ref(&nine), r#"{"bn":"/3/0/","e":[{"n":"9","v":5}]}"#);
    assert_writes("/3/0/6", std::slice::from_ref(&six), r#"{"bn":"/3/0/","e":[{"n":"6/1","v":1}]}"#);
    assert_writes("/3/0/6/1", std::slice::from_ref(&six), r#"{"bn":"/3/0/","e":[{"n":"6/1","v":1}]}"#);
    assert_writes("/3", &both, r#"{"bn":"/3/","e":[{"n":"0/9","v":5},{"n":"0/6/1","v":1}]}"#);
    assert_writes("/", &both, r#"{"bn":"/","e":[{"n":"3/0/9","v":5},{"n":"3/0/6/1","v":1}]}"#);
    assert_writes("/3/0", &[], r#"{"bn":"/3/0/","e":[]}"#);
}

#[test]
fn every_type_is_written() {
    for (at, value, member) in [
        ("/9/0/0", Value::Unsigned(u64::MAX), r#""v":18446744073709551615"#),
        ("/9/0/1", Value::Float(100.0), r#""v":100.0"#),
        ("/9/0/1", Value::Integer(7), r#""v":7.0"#),
        ("/9/0/2", Value::Boolean(true), r#""bv":true"#),
        ("/9/0/3", opaque(&[0xfb, 0xff]), r#""sv":"+/8=""#),
        ("/9/0/4", Value::CoreLink(Cow::Borrowed("</3>;a=\"b\"")), r#""sv":"</3>;a=\"b\"""#),
        ("/9/0/5", link(3, 0), r#""ov":"3:0""#),
        ("/3/0/13", Value::Time(-1), r#""v":-1"#),
        ("/3/0/0", text("a\n\u{1}é"), "\"sv\":\"a\\n\\u0001é\""),
    ] {
        let base = path(at).truncated(2);
        let id = path(at).resource().expect("a resource");
        let json = format!(r#"{{"bn":"{base}/","e":[{{"n":"{id}",{member}}}]}}"#);
        assert_writes(at, &[sample(at, value.into_owned())], &json);
    }
}

#[test]
fn absolute_times_are_written() {
    let mut sample = sample("/3/0/9", Value::Integer(5));
    for (taken, seconds) in
        [(1_276_020_076_001, "1276020076.001"), (25_462_629_000, "25462629"), (1, "0.001")]
    {
        sample.taken = Some(taken);
        let json = format!(r#"{{"bn":"/3/0/","e":[{{"n":"9","t":{seconds},"v":5}}]}}"#);
        assert_writes("/3/0/9", std::slice::from_ref(&sample), &json);
    }
}

#[test]
fn what_cannot_be_written() {
    let early = Sample { taken: Some(0), ..sample("/3/0/9", Value::Integer(5)) };
    for (request, sample, reason) in [
        ("/3/0/9", early, "a time before 1970 reads as a relative one"),
        ("/3/1", sample("/3/0/9", Value::Integer(5)), "it is not below the path of the request"),
        ("/3/0", sample("/3/0/9", Value::Null), "there is no value"),
        ("/3/0", sample("/3/0/9", Value::Float(f64::NAN)), "JSON has no infinities and no NaN"),
    ] {
        let error = encode(LWM2M_JSON, path(request), &[sample], &()).expect_err(reason);
        assert!(
            matches!(error, Error::Unfit { reason: given, format: NAME, .. } if given == reason),
            "{error}"
        );
    }
}

fn values() -> impl Strategy<Value = (u16, Value<'static>)> {
    json_values().prop_filter("LwM2M JSON has no null", |(_, value)| *value != Value::Null)
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        depth in 0_usize..3,
        samples in samples(values(), 1_i64..4_000_000_000_000),
    ) {
        let request = Path::new([9, 65535]).truncated(depth);
        let json = encode(LWM2M_JSON, request, &samples, &Device).expect("these can be written");
        prop_assert_eq!(decode(Some(LWM2M_JSON), request, &json, &Device), Ok(samples.clone()));
    }

    #[test]
    fn reading_never_panics(
        json in "(\\[|\\]|\\{|\\}|,|:|\"(b?[ntv]|[so]v|e|/3/0/?|)\"|-?[0-9.e]{1,4}|null|true| ){0,40}",
        bytes: Vec<u8>,
    ) {
        let _ = decode(Some(LWM2M_JSON), Path::root(), json.as_bytes(), &Device);
        let _ = decode(Some(LWM2M_JSON), Path::root(), &bytes, &Device);
    }

    #[test]
    fn reading_any_entry_never_panics(
        depth in 0_usize..5,
        base in "[/0-9]{0,8}",
        members in proptest::collection::vec((
            "[nt]|[bso]?v",
            "\"/?[0-9/:]{0,12}\"|-?[0-9]{1,20}(\\.[0-9])?(e[0-9]{1,2})?|true|null",
        ), 0..4),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let json = format!(r#"{{"bn":"{base}","e":[{{{}}}]}}"#, members.join(","));
        let request = Path::new([3, 0, 9, 1]).truncated(depth);
        let _ = decode(Some(LWM2M_JSON), request, json.as_bytes(), &Device);
    }
}
