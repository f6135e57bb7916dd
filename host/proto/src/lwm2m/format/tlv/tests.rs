use proptest::prelude::*;

use super::super::{Definitions, TLV, decode, encode};
use super::*;

/// The resources of the Device object that the vectors use.
struct Device;

impl Definitions for Device {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        match (object, resource) {
            (3, 0..=3 | 14 | 15 | 16) => Some(Kind::Text),
            (3, 4 | 5 | 12) => Some(Kind::Executable),
            (3, 6..=11) => Some(Kind::Integer),
            (3, 13) => Some(Kind::Time),
            (66, 0) => Some(Kind::Integer),
            (66, 1) => Some(Kind::Text),
            (66, 2) => Some(Kind::ObjectLink),
            (9, 0) => Some(Kind::Unsigned),
            (9, 1) => Some(Kind::Float),
            (9, 2) => Some(Kind::Boolean),
            (9, 3) => Some(Kind::Opaque),
            (9, 4) => Some(Kind::CoreLink),
            _ => None,
        }
    }
}

/// Bytes from hexadecimal digits and, in quotes, ASCII.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: String = part.split_whitespace().collect();
        assert_eq!(digits.len() % 2, 0, "{part}");
        bytes.extend(digits.as_bytes().chunks(2).map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal")
        }));
    }
    bytes
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn integer(number: i64) -> Value<'static> {
    Value::Integer(number)
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

#[track_caller]
fn assert_reads(request: &str, payload: &[u8], expected: &[(&str, Value<'_>)]) {
    let samples = decode(Some(TLV), path(request), payload, &Device).expect("well formed");
    let samples: Vec<_> =
        samples.iter().map(|sample| (sample.path.to_string(), sample.value.clone())).collect();
    let expected: Vec<_> = expected.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
    assert_eq!(samples, expected);
}

#[track_caller]
fn assert_reads_and_writes(request: &str, payload: &[u8], expected: &[(&str, Value<'_>)]) {
    assert_reads(request, payload, expected);
    let samples = decode(Some(TLV), path(request), payload, &Device).expect("well formed");
    assert_eq!(encode(TLV, path(request), &samples, &Device).as_deref(), Ok(payload));
}

/// Core 1.2.1 section 7.4.3.1, the resources of one object instance.
const DEVICE: &str = r#"C8 00 14 "Open Mobile Alliance" C8 01 16 "Lightweight M2M Client" C8 02 09 "345000123"
    C3 03 "1.0" 86 06 41 00 01 41 01 05 88 07 08 42 00 0E D8 42 01 13 88 87 08 41 00 7D 42 01 03 84
    C1 09 64 C1 0A 0F 83 0B 41 00 00 C4 0D 51 82 42 8F C6 0E "+02:00" C1 10 "U""#;

fn device() -> Vec<(&'static str, Value<'static>)> {
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
fn the_example_of_one_object_instance() {
    assert_reads_and_writes("/3/0", &bytes(DEVICE), &device());
}

#[test]
fn the_example_within_its_object_instance() {
    let mut payload = bytes("08 00 79");
    payload.extend(bytes(DEVICE));
    assert_reads_and_writes("/3", &payload, &device());
    assert_reads("/3/0", &payload, &device());
}

/// Core 1.2.1 section 7.4.3.2, instances 0 and 2 of an access control object.
#[test]
fn the_example_of_two_object_instances() {
    let payload = bytes(
        "08 00 0E C1 00 01 C1 01 00 83 02 41 7F 07 C1 03 7F \
         08 02 12 C1 00 03 C1 01 00 87 02 41 7F 07 61 01 36 01 C1 03 7F",
    );
    let expected = [
        ("/2/0/0", &[1][..]),
        ("/2/0/1", &[0]),
        ("/2/0/2/127", &[7]),
        ("/2/0/3", &[127]),
        ("/2/2/0", &[3]),
        ("/2/2/1", &[0]),
        ("/2/2/2/127", &[7]),
        ("/2/2/2/310", &[1]),
        ("/2/2/3", &[127]),
    ];
    let expected: Vec<_> = expected.iter().map(|(path, bytes)| (*path, opaque(bytes))).collect();
    assert_reads_and_writes("/2", &payload, &expected);
}

/// Core 1.2.1 section 7.4.3.3, object links.
#[test]
fn the_example_of_object_links() {
    let payload = bytes(
        r#"08 00 26 C8 00 0B "myService 1" C8 01 0F "Internet.15.234" C4 02 00 43 00 00
           08 01 26 C8 00 0B "myService 2" C8 01 0F "Internet.15.235" C4 02 FF FF FF FF"#,
    );
    let first = b"myService 1";
    let second = b"myService 2";
    assert_reads_and_writes(
        "/66",
        &payload,
        &[
            ("/66/0/0", opaque(first)),
            ("/66/0/1", text("Internet.15.234")),
            ("/66/0/2", link(67, 0)),
            ("/66/1/0", opaque(second)),
            ("/66/1/1", text("Internet.15.235")),
            ("/66/1/2", link(0xffff, 0xffff)),
        ],
    );
}

/// What Wakaama answers to GET /3/0: the time in eight bytes where four would do.
#[test]
fn the_device_object_of_wakaama() {
    let payload = bytes(
        r#"C8 00 14 "Open Mobile Alliance" C3 03 "1.0" 86 06 41 00 01 41 01 05
           C8 0D 08 00 00 00 00 BC 85 96 9F C6 0E "+01:00" C8 0F 0D "Europe/Berlin" C1 10 "U""#,
    );
    let expected = [
        ("/3/0/0", text("Open Mobile Alliance")),
        ("/3/0/3", text("1.0")),
        ("/3/0/6/0", integer(1)),
        ("/3/0/6/1", integer(5)),
        ("/3/0/13", Value::Time(3_162_871_455)),
        ("/3/0/14", text("+01:00")),
        ("/3/0/15", text("Europe/Berlin")),
        ("/3/0/16", text("U")),
    ];
    assert_reads("/3/0", &payload, &expected);
}

#[test]
fn a_single_entry_is_at_the_path_of_the_request() {
    // Another object instance, another resource, the latter with the type of what the payload names.
    assert_reads("/3/0", &bytes("03 05 C1 09 64"), &[("/3/0/9", integer(100))]);
    assert_reads("/3/0/9", &bytes("03 05 C1 09 64"), &[("/3/0/9", integer(100))]);
    assert_reads("/3/0/9", &bytes(r#"C1 0E "Z""#), &[("/3/0/9", text("Z"))]);
    assert_reads("/3/0/6/1", &bytes("C1 06 05"), &[("/3/0/6/1", integer(5))]);
    assert_reads("/3/0/7", &bytes("83 06 41 01 05"), &[("/3/0/7/1", integer(5))]);
}

#[test]
fn several_entries_keep_their_ids() {
    let expected = [("/3/5/9", integer(100)), ("/3/6/9", integer(99))];
    assert_reads("/3/0", &bytes("03 05 C1 09 64 03 06 C1 09 63"), &expected);
    assert_reads(
        "/3/0/7",
        &bytes("C1 09 64 C1 0A 63"),
        &[("/3/0/9", integer(100)), ("/3/0/10", integer(99))],
    );
}

#[test]
fn resource_instances_keep_their_ids() {
    assert_reads(
        "/3/0/6",
        &bytes("41 00 01 41 01 05"),
        &[("/3/0/6/0", integer(1)), ("/3/0/6/1", integer(5))],
    );
    assert_reads_and_writes("/3/0/6/1", &bytes("41 01 05"), &[("/3/0/6/1", integer(5))]);
    assert_reads("/3/0/6/1", &bytes("83 06 41 02 05"), &[("/3/0/6/2", integer(5))]);
}

#[test]
fn bare_resources_of_an_object_are_those_of_instance_0() {
    assert_reads("/3", &bytes("C1 09 64"), &[("/3/0/9", integer(100))]);
}

#[test]
fn ids_and_lengths_may_be_wider_than_needed() {
    assert_reads("/3/0", &bytes("E8 00 09 01 64"), &[("/3/0/9", integer(100))]);
    assert_reads("/3/0", &bytes("D0 09 00 01 64"), &[("/3/0/9", integer(100))]);
    assert_reads("/3/0", &bytes("F8 00 09 00 00 01 64"), &[("/3/0/9", integer(100))]);
    assert_reads("/65535/65535", &bytes("E1 FF FF 64"), &[("/65535/65535/65535", opaque(&[0x64]))]);
}

#[test]
fn long_values() {
    for (length, head) in
        [(7, "C7 00"), (8, "C8 00 08"), (255, "C8 00 FF"), (256, "D0 00 01 00"), (65536, "D8 00 01 00 00")]
    {
        let mut payload = bytes(head);
        payload.resize(payload.len() + length, b'x');
        assert_reads_and_writes("/3/0", &payload, &[("/3/0/0", text(&"x".repeat(length)))]);
    }
}

#[test]
fn integers_of_any_length() {
    for (hex, expected) in [
        ("", 0),
        ("80", -128),
        ("FF 7F", -129),
        ("00 80 00", 0x8000),
        ("FF FF FE", -2),
        ("80 00 00 00", -0x8000_0000),
        ("00 00 00 80 00", 0x8000),
        ("80 00 00 00 00 00 00 00", i64::MIN),
    ] {
        assert_eq!(read_signed(&bytes(hex)), Some(expected), "{hex}");
    }
    assert_eq!(read_unsigned(&bytes("80")), Some(128));
    assert_eq!(read_unsigned(&bytes("")), Some(0));
    assert_eq!(read_unsigned(&[0xff; 8]), Some(u64::MAX));
    assert_eq!((read_signed(&[0; 9]), read_unsigned(&[0; 9])), (None, None));
}

#[test]
fn integers_are_written_as_short_as_can_be() {
    for (number, hex) in [
        (0, "C1 09 00"),
        (-128, "C1 09 80"),
        (127, "C1 09 7F"),
        (128, "C2 09 00 80"),
        (-129, "C2 09 FF 7F"),
        (32768, "C4 09 00 00 80 00"),
        (i64::from(i32::MIN), "C4 09 80 00 00 00"),
        (i64::from(i32::MAX) + 1, "C8 09 08 00 00 00 00 80 00 00 00"),
    ] {
        assert_reads_and_writes("/3/0/9", &bytes(hex), &[("/3/0/9", integer(number))]);
    }
    for (number, hex) in [(255, "C1 00 FF"), (256, "C2 00 01 00"), (u64::MAX, "C8 00 08 FFFFFFFF FFFFFFFF")] {
        assert_reads_and_writes("/9/0/0", &bytes(hex), &[("/9/0/0", Value::Unsigned(number))]);
    }
}

#[test]
fn the_other_types() {
    assert_reads_and_writes("/9/0/1", &bytes("C4 01 41 48 00 00"), &[("/9/0/1", Value::Float(12.5))]);
    let tenth = bytes("C8 01 08 3F B9 99 99 99 99 99 9A");
    assert_reads_and_writes("/9/0/1", &tenth, &[("/9/0/1", Value::Float(0.1))]);
    assert_reads_and_writes(
        "/9/0/1",
        &bytes("C4 01 FF 80 00 00"),
        &[("/9/0/1", Value::Float(f64::NEG_INFINITY))],
    );
    assert_reads_and_writes("/9/0/2", &bytes("C1 02 01"), &[("/9/0/2", Value::Boolean(true))]);
    assert_reads_and_writes("/9/0/3", &bytes("C2 03 FF 00"), &[("/9/0/3", opaque(&[0xff, 0]))]);
    let core_link = Value::CoreLink(Cow::Borrowed("</3>"));
    assert_reads_and_writes("/9/0/4", &bytes(r#"C4 04 "</3>""#), &[("/9/0/4", core_link)]);
}

#[test]
fn a_value_that_does_not_fit_its_definition_stays_bytes_and_costs_no_other() {
    let payload = bytes(r#"C2 0E FF FE C8 09 09 00 00 00 00 00 00 00 00 01 C1 04 01 C1 03 "1" C1 63 05"#);
    let samples = decode(Some(TLV), path("/3/0"), &payload, &Device).expect("well formed");
    let values: Vec<_> = samples.iter().map(|sample| (&sample.value, sample.kind)).collect();
    assert_eq!(
        values,
        [
            (&opaque(&[0xff, 0xfe]), Some(Kind::Text)),
            (&opaque(&[0, 0, 0, 0, 0, 0, 0, 0, 1]), Some(Kind::Integer)),
            (&opaque(&[1]), Some(Kind::Executable)),
            (&text("1"), Some(Kind::Text)),
            (&opaque(&[5]), None),
        ]
    );
    assert!(matches!(&samples[0].value, Value::Opaque(Cow::Borrowed(_))));
    for hex in ["C3 01 00 00 00", "C2 02 00 01", "C1 02 02"] {
        let payload = bytes(hex);
        let samples = decode(Some(TLV), path("/9/0"), &payload, &Device).expect("well formed");
        assert_eq!(samples[0].value, opaque(&payload[2..]), "{hex}");
    }
}

#[test]
fn empty_containers_give_no_sample() {
    for (request, hex) in [("/3", ""), ("/3", "00 00"), ("/3/0", "80 06"), ("/3/0/6", "80 06")] {
        assert_reads(request, &bytes(hex), &[]);
    }
    assert_eq!(encode(TLV, path("/3/0/6"), &[], &Device), Ok(vec![0x80, 6]));
    assert_eq!(encode(TLV, path("/3/0"), &[], &Device), Ok(vec![]));
}

#[test]
fn errors_name_the_byte() {
    for (request, hex, offset, reason) in [
        ("/3/0", "C1 09 64 C1", 3, "the entry is cut off: 1 bytes expected, 0 left"),
        ("/3/0", "C1 09 64 C2 0A 0F", 3, "the entry is cut off: 2 bytes expected, 1 left"),
        ("/3/0", "C8 00", 0, "the entry is cut off: 1 bytes expected, 0 left"),
        ("/3/0", "84 06 41 00 01 42", 2 + 3, "the entry is cut off: 1 bytes expected, 0 left"),
        ("/3", "03 00 C2 09 64", 2, "the entry is cut off: 2 bytes expected, 1 left"),
        ("/3/0", "41 00 01", 0, "resource instance 0 cannot stand at a path without a resource"),
        ("/3/0/6", "41 00 01 C1 09 64", 3, "resource 9 cannot stand at resource instances"),
        ("/3/0", "83 06 C1 00 01", 2, "resource 0 cannot stand at resource instances"),
        ("/3/0", "C1 09 64 00 01", 3, "object instance 1 cannot stand at resources"),
        ("/3", "00 01 C1 09 64", 2, "resource 9 cannot stand at object instances"),
        ("/3", "02 00 00 01", 2, "object instance 1 cannot stand at resources"),
        ("/", "C1 09 64", 0, "TLV names no objects, and neither does the request path"),
    ] {
        let error = decode(Some(TLV), path(request), &bytes(hex), &Device).expect_err(hex);
        assert_eq!(error, malformed(offset, reason.to_owned()), "{request} {hex}");
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let payload = [0xc0, 9].repeat(MAX_SAMPLES);
    assert_eq!(decode(Some(TLV), path("/3/0"), &payload, &()).map(|samples| samples.len()), Ok(MAX_SAMPLES));
    let payload = [0xc0, 9].repeat(MAX_SAMPLES + 1);
    let error = Error::TooMany { format: NAME, limit: MAX_SAMPLES };
    assert_eq!(decode(Some(TLV), path("/3/0"), &payload, &()), Err(error));
}

fn sample(text: &str, value: Value<'static>) -> Sample<'static> {
    Sample { path: path(text), value, kind: None, taken: None }
}

#[test]
fn instances_and_resources_are_put_together() {
    let samples = [
        sample("/3/1/9", integer(1)),
        sample("/3/0/6/0", integer(2)),
        sample("/3/1/6/7", integer(3)),
        sample("/3/0/9", integer(4)),
        sample("/3/0/6/1", integer(5)),
    ];
    let expected = bytes("08 01 08 C1 09 01 83 06 41 07 03 08 00 0B 86 06 41 00 02 41 01 05 C1 09 04");
    assert_eq!(encode(TLV, path("/3"), &samples, &()), Ok(expected));
}

#[test]
fn a_number_is_written_as_its_definition_asks() {
    let written = |at: &str, value| encode(TLV, path(at), &[sample(at, value)], &Device);
    assert_eq!(written("/9/0/1", integer(1)), Ok(bytes("C4 01 3F 80 00 00")));
    assert_eq!(written("/3/0/9", Value::Float(2.0)), Ok(bytes("C1 09 02")));
    assert_eq!(written("/9/0/0", integer(200)), Ok(bytes("C1 00 C8")));
    assert_eq!(written("/3/0/9", Value::Unsigned(200)), Ok(bytes("C2 09 00 C8")));
    // Not without loss: as it is.
    assert_eq!(written("/3/0/9", Value::Float(0.5)), Ok(bytes("C4 09 3F 00 00 00")));
    assert_eq!(written("/9/0/1", integer(i64::MAX)), Ok(bytes("C8 01 08 7F FF FF FF FF FF FF FF")));
}

#[test]
fn what_cannot_be_written() {
    for (request, samples, reason) in [
        ("/", vec![sample("/3/0/9", integer(1))], "it names no objects, and neither does the request path"),
        ("/3/1", vec![sample("/3/0/9", integer(1))], "it is not below the path of the request"),
        ("/3", vec![sample("/3/0", integer(1))], "it is no resource"),
        ("/3/0", vec![sample("/3/0/9", Value::Null)], "there is no value"),
        ("/3/0/6/0", vec![], "a resource instance is exactly one value"),
        (
            "/3/0",
            vec![sample("/3/0/6/0", integer(1)), sample("/3/0/6", integer(1))],
            "the resource has another value, or resource instances",
        ),
    ] {
        let error = encode(TLV, path(request), &samples, &Device).expect_err(reason);
        assert!(matches!(error, Error::Unfit { reason: given, .. } if given == reason), "{error}");
    }
}

fn values() -> impl Strategy<Value = (u16, Value<'static>)> {
    prop_oneof![
        any::<i64>().prop_map(|number| (9, 7, Value::Integer(number))),
        (-300_i64..300).prop_map(|number| (9, 7, Value::Integer(number))),
        any::<u64>().prop_map(|number| (9, 0, Value::Unsigned(number))),
        proptest::num::f64::ANY
            .prop_filter("equal to itself", |number| !number.is_nan())
            .prop_map(|number| (9, 1, Value::Float(number))),
        any::<bool>().prop_map(|flag| (9, 2, Value::Boolean(flag))),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (
            9,
            3,
            Value::Opaque(Cow::Owned(bytes))
        )),
        "\\PC{0,20}".prop_map(|text| (9, 4, Value::CoreLink(Cow::Owned(text)))),
        any::<(u16, u16)>().prop_map(|(object, instance)| (
            9,
            5,
            Value::ObjectLink(ObjectLink { object, instance })
        )),
    ]
    .prop_map(|(_, resource, value)| (resource, value))
}

/// Types for what [`values`] makes.
struct Every;

impl Definitions for Every {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        match resource {
            5 => Some(Kind::ObjectLink),
            7 => Some(Kind::Integer),
            _ => Device.kind(object, resource),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        instances in proptest::collection::btree_map(any::<u16>(), (
            proptest::collection::btree_map(any::<u16>(), values(), 1..4),
            proptest::option::of(any::<u16>()),
        ), 0..4),
    ) {
        // One resource of each type at most, as the instances of one resource have one type.
        let mut samples = Vec::new();
        for (instance, (values, resource_instance)) in instances {
            let mut seen = std::collections::BTreeSet::new();
            for (resource, value) in values.into_values() {
                if !seen.insert(resource) {
                    continue;
                }
                let path = Path::new([9, instance, resource]);
                let path = resource_instance.and_then(|id| path.child(id)).unwrap_or(path);
                samples.push(Sample { path, value, kind: Every.kind(9, resource), taken: None });
            }
        }
        let payload = encode(TLV, Path::new([9]), &samples, &Every).expect("these can be written");
        prop_assert_eq!(decode(Some(TLV), Path::new([9]), &payload, &Every), Ok(samples));
    }

    #[test]
    fn reading_never_panics(ids in proptest::collection::vec(0_u16..10, 0..=4), payload: Vec<u8>) {
        let path = Path::from_ids(&ids).expect("four ids at most");
        let _ = decode(Some(TLV), path, &payload, &Device);
    }

    /// Bytes that look more like TLV than noise does.
    #[test]
    fn what_is_read_can_be_written_and_read_again(
        ids in proptest::collection::vec(0_u16..10, 1..=3),
        payload in "([\\x00-\\x07\\x40-\\x47][\\x00-\\x03]?[\\x00-\\x40]){0,6}",
    ) {
        let path = Path::from_ids(&ids).expect("four ids at most");
        if let Ok(samples) = decode(Some(TLV), path, payload.as_bytes(), &())
            && let Ok(payload) = encode(TLV, path, &samples, &())
        {
            prop_assert!(decode(Some(TLV), path, &payload, &()).is_ok());
        }
    }
}
