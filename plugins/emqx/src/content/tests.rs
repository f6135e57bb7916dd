use tidegate_sdk::{ObjectLink, Path, Sample, Value};

use super::*;

fn settings(compatibility: &str) -> Settings {
    Settings::parse(&format!(r#"{{"compatibility":"{compatibility}","known_objects":[3303]}}"#)).unwrap()
}

fn of(format: Option<u16>, payload: &[u8], samples: Vec<Sample>) -> Content {
    Content { format, payload: payload.to_vec(), samples, problem: None, attributes: vec![] }
}

fn sample(ids: &[u16], value: Value, kind: Option<Kind>) -> Sample {
    Sample { path: Path::new(ids), value, kind, taken: None }
}

/// The array; or 4.00.
fn told(mode: &str, content: &Content, path: &str) -> String {
    let mut out = Vec::new();
    match write(&mut out, content, path, &settings(mode)) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(_) => "4.00".to_owned(),
    }
}

/// A text in `strict`, at this path.
fn strict_text(path: &str, text: &str) -> String {
    told("strict", &of(None, text.as_bytes(), vec![]), path)
}

/// A TLV in `strict`, in hexadecimal.
fn strict_tlv(path: &str, hex: &str) -> String {
    told("strict", &of(Some(11542), &crate::value::from_hex(hex).unwrap(), vec![]), path)
}

fn item(path: &str, value: &str) -> String {
    format!(r#"[{{"value":{value},"path":"{path}"}}]"#)
}

#[test]
fn strict_types_a_text_by_what_emqx_ships_and_by_the_text() {
    for (path, text, value) in [
        ("/3/0/0", "EMQ", r#""EMQ""#),
        ("/3/0/0", "", r#""""#),
        ("/3/0/22/0", "1:2", r#""1:2""#),
        ("/3/0/9", "12", "12"),
        ("/3/0/9", "12.5", "12.5"),
        ("/3/0/9", "+5", "5"),
        ("/3/0/9", "-007", "-7"),
        ("/3/0/9", "18446744073709551616", "18446744073709551616"),
        ("/3/0/13", "1700000000", "1700000000"),
        ("/6/0/0", "12", "12"),
        ("/6/0/0", "1.0e3", "1000.0"),
        ("/6/0/0", "-1.5E-2", "-0.015"),
        ("/1/0/6", "true", "true"),
        ("/1/0/6", "false", "false"),
        ("/5/0/0", "abc", r#""YWJj""#),
        ("3/0/0", "x", r#""x""#),
    ] {
        assert_eq!(strict_text(path, text), item(path, value), "{path} {text:?}");
    }
}

#[test]
fn strict_refuses_a_text_that_is_no_value_of_its_definition() {
    for (path, text) in [
        ("/3/0/9", ""),
        ("/3/0/9", " 5"),
        ("/3/0/9", "1e3"),
        ("/3/0/9", ".5"),
        ("/3/0/9", "5."),
        ("/3/0/9", "x"),
        ("/1/0/6", "1"),
        ("/1/0/6", "0"),
        ("/1/0/6", "True"),
        ("/3/0/4", ""),
        ("/3/0/99", "x"),
        ("/4/0/0", "x"),
        ("/9723/0/0", "x"),
        ("/3/0", "x"),
        ("/3", "x"),
        ("/", "x"),
        ("/3/0/0/0/0", "x"),
    ] {
        assert_eq!(strict_text(path, text), "4.00", "{path} {text:?}");
    }
}

#[test]
fn strict_knows_other_objects_only_if_the_settings_do() {
    let float = |ids: [u16; 3]| of(None, b"21.5", vec![sample(&ids, Value::Float(21.5), Some(Kind::Float))]);
    assert_eq!(told("strict", &float([3303, 0, 5700]), "/3303/0/5700"), item("/3303/0/5700", "21.5"));
    assert_eq!(told("strict", &float([3333, 0, 5700]), "/3333/0/5700"), "4.00");
    // What the gateway makes of an object that EMQX ships does not count.
    let other = of(None, b"21.5", vec![sample(&[3, 0, 0], Value::Float(21.5), Some(Kind::Float))]);
    assert_eq!(told("strict", &other, "/3/0/0"), item("/3/0/0", r#""21.5""#));
}

#[test]
fn strict_makes_paths_of_tlv_as_emqx_does() {
    let one = |path: &str, value: &str| item(path, value);
    let two = r#"[{"value":"a","path":"/3/0/0"},{"value":100,"path":"/3/0/9"}]"#;
    let levels = r#"[{"value":1,"path":"/3/0/6/0"},{"value":5,"path":"/3/0/6/1"}]"#;
    for (path, hex, expected) in [
        // Exactly one resource: the path of the request, and what it lacks.
        ("/3/0/0", "c10061", one("/3/0/0", r#""a""#)),
        ("/3/0/0", "c10964", one("/3/0/0", "100")),
        ("/3/0", "c10964", one("/3/0/9", "100")),
        ("3/0/", "c10964", one("/3/0/9", "100")),
        ("/3", "c10964", "4.00".into()),
        ("/3/0/6/0", "c10964", "4.00".into()),
        // Several, or multiple resources.
        ("/3/0", "c10061c10964", two.into()),
        ("/3/0/0", "c10061c10964", two.into()),
        ("/3", "c10061c10964", "4.00".into()),
        ("/3/0/6", "8606410001410105", levels.into()),
        ("/3/0/9", "8606410001410105", levels.into()),
        ("/3", "8606410001410105", "4.00".into()),
        ("/3/0/6", "8006", "[]".into()),
        // One object instance.
        ("/3", "0300c10964", one("/3/0/9", "100")),
        ("/3", "0305c10964", one("/3/5/9", "100")),
        ("/3/0", "0305c10964", one("/3/0/9", "100")),
        ("/3/0/9", "0305c10964", one("/3/0/9", "100")),
        ("/3/0/9/0", "0305c10964", "4.00".into()),
        ("/3/0", "0000", "[]".into()),
        // Several: no slash in front.
        (
            "/3",
            "0300c109640301c10965",
            r#"[{"value":100,"path":"3/0/9"},{"value":101,"path":"3/1/9"}]"#.into(),
        ),
        (
            "/3/0/9/0",
            "0300c109640301c10965",
            r#"[{"value":100,"path":"3/0/9"},{"value":101,"path":"3/1/9"}]"#.into(),
        ),
        // What is wrong.
        ("/3/0/6/0", "410001", "4.00".into()),
        ("/3/0", "", "4.00".into()),
        ("/3/0", "c2", "4.00".into()),
        ("/3/0", "c1096400", "4.00".into()),
        ("/3/0", "c109640300c10964", "4.00".into()),
        ("/3", "0300c10964c10964", "4.00".into()),
        // One that is not known costs all.
        ("/3/0", "c10061c16361", "4.00".into()),
        ("/9723/0", "c10061", "4.00".into()),
    ] {
        assert_eq!(strict_tlv(path, hex), expected, "{path} {hex}");
    }
}

#[test]
fn strict_reads_the_values_of_tlv_as_emqx_does() {
    for (path, value_hex, expected) in [
        ("/3/0/9", "", "0"),
        ("/3/0/9", "ff", "-1"),
        ("/3/0/9", "8000", "-32768"),
        ("/3/0/9", "010000", "65536"),
        ("/3/0/9", "7fffffffffffffff", "9223372036854775807"),
        ("/3/0/9", "010000000000000000", "18446744073709551616"),
        ("/3/0/13", "ff", "255"),
        ("/3/0/13", "ffffffff", "4294967295"),
        ("/6/0/0", "3dcccccd", "0.10000000149011612"),
        ("/6/0/0", "4045000000000000", "42.0"),
        ("/1/0/6", "00", "false"),
        ("/1/0/6", "01", "true"),
        ("/5/0/0", "010203", r#""AQID""#),
        ("/3/0/22", "0001ffff", r#""1:65535""#),
        ("/3/0/0", "61ff62", "\"a\u{fffd}b\""),
        ("/6/0/0", "3dcccc", "4.00"),
        ("/6/0/0", "7fc00000", "4.00"),
        ("/6/0/0", "7f800000", "4.00"),
        ("/1/0/6", "02", "4.00"),
        ("/1/0/6", "", "4.00"),
        ("/3/0/22", "0001", "4.00"),
        ("/3/0/4", "", "4.00"),
    ] {
        let resource: u16 = path.rsplit('/').next().unwrap().parse().unwrap();
        let mut tlv = Vec::new();
        let value = crate::value::from_hex(value_hex).unwrap();
        crate::tlv::write(&mut tlv, crate::tlv::EntryKind::Resource, resource, &value);
        let found = told("strict", &of(Some(11542), &tlv, vec![]), path);
        assert_eq!(
            found,
            if expected == "4.00" { expected.into() } else { item(path, expected) },
            "{path} {value_hex}"
        );
    }
}

#[test]
fn strict_reads_the_json_of_lwm2m_1_0_as_emqx_does() {
    let json = |text: &str| told("strict", &of(Some(11543), text.as_bytes(), vec![]), "/3/0");
    for (text, expected) in [
        (r#"{"bn":"/3/0/","e":[{"n":"/9","v":100}]}"#, item("/3/0/9", "100")),
        (r#"{"bn":"/3/0//","e":[{"n":"9","sv":"a"}]}"#, item("/3/0/9", r#""a""#)),
        (r#"{"e":[{"n":"/3/0/9","bv":true}]}"#, item("/3/0/9", "true")),
        (r#"{"bn":"/3/0/9","e":[{"ov":"1:2"}]}"#, item("/3/0/9/", r#""1:2""#)),
        (r#"{"bn":"/3/0","e":[{"n":"9","v":1,"t":5}]}"#, item("/3/0/9", "5")),
        (r#"{"bn":"/3/0","e":[{"n":"9","sv":"a","ov":"b","bv":false,"v":1}]}"#, item("/3/0/9", "1")),
        (r#"{"bn":"/3/0","e":[{"n":"9"}]}"#, item("/3/0/9", "null")),
        // No digit is lost.
        (
            r#"{"bn":"/3/0","e":[{"n":"9","v": 123456789012345678901234567890}]}"#,
            item("/3/0/9", "123456789012345678901234567890"),
        ),
        (r#"{"bn":"/3/0","e":[{"n":"9","v":9223372036854775807}]}"#, item("/3/0/9", "9223372036854775807")),
        (r#"{"bn":"/3/0","bn":"/4","e":[{"n":"9","v":1,"v":2}]}"#, item("/4/9", "2")),
        ("{}", "[]".into()),
        (r#"{"e":[]}"#, "[]".into()),
        ("", "4.00".into()),
        ("[]", "4.00".into()),
        ("{", "4.00".into()),
        (r#"{"e":5}"#, "4.00".into()),
        (r#"{"e":[5]}"#, "4.00".into()),
        (r#"{"bn":5}"#, "4.00".into()),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn strict_treats_every_other_format_as_emqx_does() {
    let sample = || vec![sample(&[3, 0, 9], Value::Integer(5), Some(Kind::Integer))];
    for format in [40, 41, 47, 50, 60] {
        assert_eq!(told("strict", &of(Some(format), b"5", sample()), "/3/0/9"), "4.00", "{format}");
    }
    for format in [42, 110, 112, 320, 322, 1541, 1542, 1543, 11544, 65000] {
        let expected = item("/3/0/9", r#""NQ==""#);
        assert_eq!(told("strict", &of(Some(format), b"5", sample()), "/3/0/9"), expected, "{format}");
    }
    assert_eq!(told("strict", &of(Some(42), b"", vec![]), "/9723/0/0"), item("/9723/0/0", r#""""#));
}

#[test]
fn fixed_tells_a_value_for_each_sample_whatever_the_format() {
    let link = ObjectLink { object: 65535, object_instance: 65535 };
    let samples = vec![
        sample(&[3, 0, 0], Value::Text("a".into()), Some(Kind::Text)),
        sample(&[3, 0, 6, 1], Value::Integer(i64::MIN), Some(Kind::Integer)),
        sample(&[9, 0, 0], Value::Unsigned(u64::MAX), None),
        sample(&[6, 0, 0], Value::Float(42.0), Some(Kind::Float)),
        sample(&[1, 0, 6], Value::Boolean(true), Some(Kind::Boolean)),
        sample(&[5, 0, 0], Value::Opaque(vec![1, 2]), Some(Kind::Opaque)),
        sample(&[3, 0, 13], Value::Time(-5), Some(Kind::Time)),
        sample(&[3, 0, 22, 0], Value::ObjectLink(link), Some(Kind::ObjectLink)),
        sample(&[3, 0, 99], Value::CoreLink("</3>".into()), Some(Kind::CoreLink)),
        sample(&[3, 0, 7], Value::Null, Some(Kind::Integer)),
        // What is not what its definition asks for says what it is.
        sample(&[3, 0, 9], Value::Text("x".into()), Some(Kind::Integer)),
        sample(&[3, 0, 10], Value::Opaque(vec![255]), Some(Kind::Integer)),
        sample(&[9723, 0, 0], Value::Opaque(vec![255]), None),
        sample(&[6, 0, 1], Value::Float(f64::NAN), Some(Kind::Float)),
        Sample {
            taken: Some(1_700_000_000_000),
            ..sample(&[3, 0, 9], Value::Integer(5), Some(Kind::Integer))
        },
    ];
    let expected = [
        r#"{"value":"a","path":"/3/0/0"}"#,
        r#"{"value":-9223372036854775808,"path":"/3/0/6/1"}"#,
        r#"{"value":18446744073709551615,"path":"/9/0/0"}"#,
        r#"{"value":42.0,"path":"/6/0/0"}"#,
        r#"{"value":true,"path":"/1/0/6"}"#,
        r#"{"value":"AQI=","path":"/5/0/0"}"#,
        r#"{"value":-5,"path":"/3/0/13"}"#,
        r#"{"value":"65535:65535","path":"/3/0/22/0"}"#,
        r#"{"value":"</3>","path":"/3/0/99"}"#,
        r#"{"value":null,"path":"/3/0/7"}"#,
        r#"{"value":"x","type":"text","path":"/3/0/9"}"#,
        r#"{"value":"/w==","type":"opaque","path":"/3/0/10"}"#,
        r#"{"value":"/w==","type":"opaque","path":"/9723/0/0"}"#,
        r#"{"value":"NaN","type":"text","path":"/6/0/1"}"#,
        r#"{"value":5,"timestamp":1700000000000,"path":"/3/0/9"}"#,
    ];
    for format in [50, 60, 110, 112, 320, 322, 1541, 1542, 1543, 11543, 11544, 65000] {
        let content = of(Some(format), b"...", samples.clone());
        assert_eq!(told("fixed", &content, "/3"), format!("[{}]", expected.join(",")), "{format}");
    }
    let mut out = Vec::new();
    write_samples(&mut out, &of(Some(0), b"...", samples));
    assert_eq!(String::from_utf8(out).unwrap(), format!("[{}]", expected.join(",")));
}

#[test]
fn fixed_tells_the_bytes_of_what_cannot_be_decoded_and_why() {
    let problem = || Some("byte 5: no".to_owned());
    for format in [40, 50, 60, 110, 112, 11544, 65000] {
        let content = Content { problem: problem(), ..of(Some(format), b"5", vec![]) };
        let expected = r#"[{"value":"NQ==","type":"opaque","problem":"byte 5: no","path":"/3/0"}]"#;
        assert_eq!(told("fixed", &content, "/3/0"), expected, "{format}");
    }
    for format in [11542, 11543] {
        let content = Content { problem: problem(), ..of(Some(format), b"\xc8", vec![]) };
        assert_eq!(told("fixed", &content, "/3/0"), "4.00", "{format}");
    }
    // LwM2M 1.0's JSON is read also where the gateway does not; a time stamp hides no value.
    let json = br#"{"bn":"/3/0","e":[{"n":"9","v":1,"t":5}]}"#;
    let content = Content { problem: problem(), ..of(Some(11543), json, vec![]) };
    assert_eq!(told("fixed", &content, "/3/0"), item("/3/0/9", "1"));
}

#[test]
fn fixed_takes_a_text_for_what_it_can_be() {
    let case = |kind: Option<Kind>, text: &[u8], value: Value| {
        told("fixed", &of(None, text, vec![sample(&[3, 0, 9], value, kind)]), "3/0/9/")
    };
    let text = |text: &str| Value::Text(text.into());
    for (kind, given, value) in [
        (Some(Kind::Boolean), "1", "true"),
        (Some(Kind::Boolean), "false", "false"),
        (Some(Kind::Integer), "12.5", "12.5"),
        (Some(Kind::Integer), "+5", "5"),
        (Some(Kind::Float), "1e3", "1000.0"),
        (Some(Kind::Float), ".5", "0.5"),
        (Some(Kind::Unsigned), "18446744073709551615", "18446744073709551615"),
        (Some(Kind::CoreLink), "</3>", r#""</3>""#),
        (None, "x", r#""x""#),
    ] {
        assert_eq!(case(kind, given.as_bytes(), text(given)), item("3/0/9/", value), "{given}");
    }
    for (kind, given) in [
        (Some(Kind::Boolean), "2"),
        (Some(Kind::Integer), "x"),
        (Some(Kind::Integer), ""),
        (Some(Kind::Float), "inf"),
        (Some(Kind::Executable), "x"),
    ] {
        let expected = format!(r#"[{{"value":"{given}","type":"text","path":"3/0/9/"}}]"#);
        assert_eq!(case(kind, given.as_bytes(), text(given)), expected);
    }
    // Base64 already.
    assert_eq!(case(Some(Kind::Opaque), b"AQI=", Value::Opaque(vec![1, 2])), item("3/0/9/", r#""AQI=""#));
    assert_eq!(case(Some(Kind::Opaque), b"*", text("*")), item("3/0/9/", r#""Kg==""#));
    assert_eq!(
        case(Some(Kind::Integer), b"\xff", Value::Opaque(vec![255])),
        r#"[{"value":"/w==","type":"opaque","path":"3/0/9/"}]"#
    );
}

#[test]
fn fixed_tells_the_rest_of_a_tlv_with_one_odd_value() {
    let tlv = crate::value::from_hex("c10061c16361c16463").unwrap();
    let samples = vec![
        sample(&[3, 0, 0], Value::Text("a".into()), Some(Kind::Text)),
        sample(&[3, 0, 99], Value::Opaque(b"a".to_vec()), None),
        sample(&[3, 0, 100], Value::Opaque(b"c".to_vec()), Some(Kind::Boolean)),
    ];
    assert_eq!(
        told("fixed", &of(Some(11542), &tlv, samples), "/3/0"),
        r#"[{"value":"a","path":"/3/0/0"},{"value":"YQ==","type":"opaque","path":"/3/0/99"},{"value":"Yw==","type":"opaque","path":"/3/0/100"}]"#
    );
    // Several object instances have a slash in front; what EMQX has no path for has that of its sample.
    let integer = |ids: &[u16]| sample(ids, Value::Integer(100), Some(Kind::Integer));
    let two = crate::value::from_hex("0300c109640301c10964").unwrap();
    let found = told("fixed", &of(Some(11542), &two, vec![integer(&[3, 0, 9]), integer(&[3, 1, 9])]), "3");
    assert_eq!(found, r#"[{"value":100,"path":"/3/0/9"},{"value":100,"path":"/3/1/9"}]"#);
    assert_eq!(
        told("fixed", &of(Some(11542), b"\xc1\x09\x64", vec![integer(&[3, 0, 9])]), "/3"),
        item("/3/0/9", "100")
    );
    assert_eq!(told("fixed", &of(Some(11542), b"", vec![]), "/3/0"), "[]");
}

#[test]
fn links_are_split_at_commas_in_fixed_not_within_quotes() {
    let links = |text: &str, is_strict| {
        let mut out = Vec::new();
        write_links(&mut out, text.as_bytes(), is_strict);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(links("", true), r#"[""]"#);
    assert_eq!(links("</3>;pmin=1, </3/0>", true), r#"["</3>;pmin=1"," </3/0>"]"#);
    assert_eq!(links(r#"</3>;a="1,2",</4>"#, true), r#"["</3>;a=\"1","2\"","</4>"]"#);
    assert_eq!(links(r#"</3>;a="1,2",</4>"#, false), r#"["</3>;a=\"1,2\"","</4>"]"#);
}
