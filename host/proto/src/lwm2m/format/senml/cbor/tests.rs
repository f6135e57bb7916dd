use std::borrow::Cow;

use proptest::prelude::*;

use super::super::super::fixture::{Device, debug, path, samples, values};
use super::super::super::scalar::{Number, Scalar};
use super::super::super::{
    MAX_SAMPLES, SENML_CBOR, SENML_ETCH_CBOR, SENML_JSON, Scope, decode, decode_into, decode_paths, encode,
    encode_in, encode_paths,
};
use super::*;
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{ObjectLink, Sample};

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn opaque(bytes: &[u8]) -> Value<'_> {
    Value::Opaque(Cow::Borrowed(bytes))
}

#[track_caller]
fn read<'a>(request: &str, payload: &'a [u8]) -> Vec<Sample<'a>> {
    let samples = decode(Some(SENML_CBOR), path(request), payload, &Device);
    samples.unwrap_or_else(|error| panic!("{}: {error}", payload.escape_ascii()))
}

#[track_caller]
fn assert_reads(payload: &[u8], expected: &[(&str, Value<'_>)]) {
    let read: Vec<_> = read("/3/0", payload).into_iter().map(|sample| (sample.path, sample.value)).collect();
    let expected: Vec<_> = expected.iter().map(|(at, value)| (path(at), value.clone())).collect();
    assert_eq!(read, expected, "{}", payload.escape_ascii());
}

/// RFC 8428 section 6, whose names are no paths: seven records of an electrical device.
#[test]
fn the_example_of_the_standard() {
    let payload =
        b"\x87\xa7\x21\x78\x1burn:dev:ow:10e2073a0108006:\x22\xfb\x41\xd3\x03\xa1\x5b\x00\x10\x62\x23\x61A\
        \x20\x05\x00\x67voltage\x01\x61V\x02\xfb\x40\x5e\x06\x66\x66\x66\x66\x66\
        \xa3\x00\x67current\x06\x24\x02\xfb\x3f\xf3\x33\x33\x33\x33\x33\x33\
        \xa3\x00\x67current\x06\x23\x02\xfb\x3f\xf4\xcc\xcc\xcc\xcc\xcc\xcd\
        \xa3\x00\x67current\x06\x22\x02\xfb\x3f\xf6\x66\x66\x66\x66\x66\x66\
        \xa3\x00\x67current\x06\x21\x02\xf9\x3e\x00\
        \xa3\x00\x67current\x06\x20\x02\xfb\x3f\xf9\x99\x99\x99\x99\x99\x9a\
        \xa3\x00\x67current\x06\x00\x02\xfb\x3f\xfb\x33\x33\x33\x33\x33\x33";
    assert_eq!(payload.len(), 0xc3);
    let mut reader = Reader::new(NAME, payload);
    let mut records = reader.array().expect("an array");
    let mut seen = Vec::new();
    while reader.next(&mut records).expect("well formed") {
        let record = record(&mut reader).expect("a record");
        if seen.is_empty() {
            assert_eq!(record.base_name.as_deref(), Some("urn:dev:ow:10e2073a0108006:"));
            assert_eq!(record.base_time, Some(1_276_020_076.001));
        }
        let Some(Entry { scalar: Scalar::Number(Number::Float(value)), .. }) = record.value else {
            panic!("no value")
        };
        seen.push((record.name.expect("a name").into_owned(), record.time, value));
    }
    reader.end().expect("no more");
    let current = |time, value| ("current".to_owned(), Some(time), value);
    let expected = [
        ("voltage".to_owned(), None, 120.1),
        current(-5.0, 1.2),
        current(-4.0, 1.3),
        current(-3.0, 1.4),
        current(-2.0, 1.5),
        current(-1.0, 1.6),
        current(0.0, 1.7),
    ];
    assert_eq!(seen, expected);
    decode(Some(SENML_CBOR), Path::root(), payload, &()).expect_err("such names are no paths");
}

/// OMA's example of an object link.
#[test]
fn the_example_of_an_object_link() {
    let payload = b"\x81\xa2\x00\x69/65/0/0/0\x63vlo\x6466:0";
    let link = Value::ObjectLink(ObjectLink { object: 66, instance: 0 });
    assert_reads(payload, &[("/65/0/0/0", link.clone())]);
    let sample = Sample { path: path("/65/0/0/0"), value: link, kind: None, taken: None };
    assert_eq!(encode(SENML_CBOR, Path::root(), &[sample], &()).as_deref(), Ok(&payload[..]));
}

#[test]
fn fields_stand_in_any_order_and_names_are_divided_anywhere() {
    for payload in [
        // Anjay, Wakaama, Leshan.
        &b"\x81\xa3\x21\x64/3/0\x00\x62/3\x03\x631.0"[..],
        b"\x81\xa3\x21\x65/3/0/\x00\x613\x03\x631.0",
        b"\x81\xa3\x03\x631.0\x00\x613\x21\x65/3/0/",
        b"\x81\xa2\x21\x66/3/0/3\x03\x631.0",
        b"\x81\xa2\x00\x66/3/0/3\x03\x631.0",
        b"\x9f\xbf\x21\x7f\x63/3/\x620/\xff\x00\x613\x03\x7f\x621.\x610\xff\xff\xff",
        b"\x82\xa1\x21\x65/3/0/\xa2\x00\x613\x03\x631.0",
        // The labels of JSON.
        b"\x81\xa3\x62bn\x65/3/0/\x61n\x613\x62vs\x631.0",
        b"\x81\xa3\x62bn\x65/3/0/\x00\x613\x62vs\x631.0",
    ] {
        assert_reads(payload, &[("/3/0/3", text("1.0"))]);
    }
    let nine = read("/3/0/9", b"\x81\xa1\x02\x05");
    assert_eq!((nine[0].path, &nine[0].value), (path("/3/0/9"), &Value::Integer(5)));
}

#[test]
fn times_are_numbers_of_any_kind() {
    let taken = |payload| -> Vec<_> { read("/3/0/9", payload).iter().map(|sample| sample.taken).collect() };
    assert_eq!(
        taken(b"\x82\xa2\x22\xfb\x41\xd3\x03\xa1\x5b\x00\x10\x62\x02\x01\xa2\x06\x24\x02\x01"),
        [Some(1_276_020_076_001), Some(1_276_020_071_001)]
    );
    assert_eq!(taken(b"\x81\xa2\x06\x1a\x10\x00\x00\x00\x02\x01"), [Some(268_435_456_000)]);
    assert_eq!(taken(b"\x81\xa2\x06\x1a\x0f\xff\xff\xff\x02\x01"), [None]);
    assert_eq!(
        taken(b"\x81\xa2\x06\xc4\x82\x22\x1b\x00\x00\x01\x00\x00\x00\x00\x01\x02\x01"),
        [Some(1_099_511_627_777)]
    );
    assert_eq!(taken(b"\x81\xa2\x06\x29\x02\x01"), [None]);
    assert_eq!(taken(b"\x81\xa2\x06\xf9\x7e\x00\x02\x01"), [None]);
    assert_eq!(taken(b"\x81\xa2\x06\xf9\x7c\x00\x02\x01"), [None]);
}

#[test]
fn base_values_are_added() {
    let payload = b"\x84\xa4\x21\x65/3/0/\x24\x18\x64\x00\x619\x02\x05\xa1\x00\x6210\
        \xa2\x00\x6211\x02\xf9\xb8\x00\xa2\x00\x610\x03\x61x";
    let expected = [
        ("/3/0/9", Value::Integer(105)),
        ("/3/0/10", Value::Integer(100)),
        // 99.5, which no integer is: there are no such bytes in the payload, but they would be these.
        ("/3/0/11", opaque(b"\xf9\x56\x38")),
        ("/3/0/0", text("x")),
    ];
    assert_reads(payload, &expected);
}

#[test]
fn values_take_the_type_of_the_definition() {
    let value = |at: &str, entry: &[u8]| {
        let payload = [b"\x81\xa2\x00\x66", at.as_bytes(), entry].concat();
        let mut samples = read("/", &payload).into_iter().map(|sample| sample.value.into_owned());
        samples.next().expect("one sample")
    };
    assert_eq!(value("/3/0/9", b"\x02\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"), Value::Integer(i64::MAX));
    assert_eq!(value("/9/0/0", b"\x02\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), Value::Unsigned(u64::MAX));
    assert_eq!(value("/9/0/1", b"\x02\x05"), Value::Float(5.0));
    assert_eq!(value("/9/0/1", b"\x02\xc4\x82\x21\x19\x6a\xb3"), Value::Float(273.15));
    assert_eq!(value("/9/0/9", b"\x02\x05"), Value::Time(5));
    assert_eq!(value("/9/0/9", b"\x02\xc1\x05"), Value::Time(5));
    assert_eq!(value("/9/0/9", b"\x03\x741970-01-01T00:01:00Z"), Value::Time(60));
    assert_eq!(value("/7/0/0", b"\x02\xc1\x05"), Value::Integer(5));
    assert_eq!(value("/9/0/2", b"\x04\xf5"), Value::Boolean(true));
    assert_eq!(value("/9/0/3", b"\x08\x42\x00\xff"), opaque(&[0, 0xff]));
    assert_eq!(value("/7/0/0", b"\x08\x5f\x41\x00\x41\xff\xff"), opaque(&[0, 0xff]));
    assert_eq!(value("/9/0/4", b"\x03\x64</3>"), Value::CoreLink(Cow::Borrowed("</3>")));
    assert_eq!(value("/9/0/5", b"\x03\x643:10"), Value::ObjectLink(ObjectLink { object: 3, instance: 10 }));
    assert_eq!(value("/7/0/0", b"\x63vlo\x613"), text("3"));
    assert_eq!(value("/7/0/0", b"\x08\x61*"), text("*"));
    assert_eq!(value("/3/0/0", b"\x02\x18\x64"), opaque(b"\x18\x64"));
    assert_eq!(value("/3/0/9", b"\x02\xc2\x49\x01\0\0\0\0\0\0\0\0"), opaque(b"\xc2\x49\x01\0\0\0\0\0\0\0\0"));
    assert_eq!(value("/3/0/9", b"\x02\x82\x01\x02"), opaque(b"\x82\x01\x02"));
    assert_eq!(value("/3/0/9", b"\x02\xf6"), Value::Null);
}

#[test]
fn nothing_is_a_value_too() {
    assert_reads(b"\x80", &[]);
    assert_reads(b"\x9f\xff", &[]);
    assert_reads(b"\x81\xa2\x21\x65/3/0/\x20\x0a", &[]);
    assert_reads(b"\x81\xa1\x00\x66/3/0/9", &[("/3/0/9", Value::Null)]);
}

#[test]
fn fields_that_are_not_known() {
    assert_reads(
        b"\x81\xa6\x00\x66/3/0/9\x01\x61%\x05\x07\x18\x63\x82\x01\x80\x61x\xa1\x01\x02\x02\x01",
        &[("/3/0/9", Value::Integer(1))],
    );
    let error = decode(Some(SENML_CBOR), Path::root(), b"\x81\xa2\x02\x01\x62x_\x01", &()).expect_err("must");
    assert_eq!(error.to_string(), "SenML CBOR, byte 4: a field must be understood and is not");
}

#[test]
fn errors_name_the_byte() {
    let long = [b"\x81\xa2\x00\x79\x10\x01", &b"0".repeat(4097)[..], b"\x02\x01"].concat();
    for (payload, offset, reason) in [
        (&b""[..], 0, "the payload ends within an item"),
        (b"\xa0", 0, "expected an array"),
        (b"\x81\x01", 1, "expected a map"),
        (b"\x80\x80", 1, "the payload goes on after its end"),
        (b"\x82\xa1\x02\x01", 4, "the payload ends within an item"),
        (b"\x81\xa1\x00\x05", 3, "expected a text"),
        (b"\x81\xa1\x22\x61\x35", 3, "expected a number"),
        (b"\x81\xa1\xf5\x05", 2, "expected a number"),
        (b"\x81\xa1\xf9\x00\x00\x05", 2, "a label is an integer or a text"),
        (b"\x81\xa2\x02\x05\x03\x60", 4, "a record has more than one value"),
        (b"\x81\xa1\x20\x0b", 2, "SenML version 11 is above 10"),
        (b"\x81\xa2\x00\x62/a\x02\x01", 1, "path `/a`: `a` is not an id from 0 to 65535"),
        (b"\x81\xbf\x02\xff", 3, "a break where an item is expected"),
        (&long, 1, "a name of more than 4096 bytes"),
    ] {
        let error = decode(Some(SENML_CBOR), Path::root(), payload, &()).expect_err(reason);
        let expected = Error::Malformed { format: NAME, offset, reason: reason.to_owned() };
        assert_eq!(error, expected, "{}", payload.escape_ascii());
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let read = |count: usize| {
        let payload = [&b"\x9f"[..], &b"\xa0".repeat(count), b"\xff"].concat();
        decode(Some(SENML_CBOR), path("/3/0/9"), &payload, &()).map(|read| read.len())
    };
    assert_eq!(read(MAX_SAMPLES), Ok(MAX_SAMPLES));
    assert_eq!(read(MAX_SAMPLES + 1), Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES }));
}

#[test]
fn what_is_of_definite_length_is_borrowed() {
    let samples = read("/3/0/0", b"\x81\xa1\x03\x65plain");
    assert!(matches!(samples[0].value, Value::Text(Cow::Borrowed("plain"))));
}

#[test]
fn records_are_written_short() {
    let sample = |at: &str, value, taken| Sample { path: path(at), value, kind: None, taken };
    let samples = [
        sample("/3/0/9", Value::Integer(5), Some(1_276_020_076_000)),
        sample("/3/0/13", Value::Time(60), Some(1_276_020_076_500)),
        sample("/3/0/6/1", Value::Null, None),
    ];
    let written = encode(SENML_CBOR, path("/3/0"), &samples, &Device).expect("can be written");
    let expected = b"\x83\xa4\x21\x65/3/0/\x00\x619\x06\x1a\x4c\x0e\x85\x6c\x02\x05\
        \xa3\x00\x6213\x06\xfb\x41\xd3\x03\xa1\x5b\x20\x00\x00\x02\x18\x3c\xa1\x00\x636/1";
    assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let early = [sample("/3/0/9", Value::Integer(5), Some(0))];
    assert!(matches!(encode(SENML_CBOR, path("/3/0"), &early, &()), Err(Error::Unfit { format: NAME, .. })));
}

/// RFC 8790 section 3.2.
#[test]
fn null_removes_in_a_patch() {
    let samples = [Sample { path: path("/3/0/6/1"), value: Value::Null, kind: None, taken: None }];
    let written = encode(SENML_ETCH_CBOR, Path::root(), &samples, &()).expect("can be written");
    assert_eq!(written, b"\x81\xa2\x00\x68/3/0/6/1\x02\xf6");
    assert_eq!(decode(Some(SENML_ETCH_CBOR), Path::root(), &written, &()), Ok(samples.to_vec()));
}

#[test]
fn a_list_of_paths_is_read_again() {
    let paths = [path("/3/0/9"), path("/5"), Path::root()];
    for format in [SENML_CBOR, SENML_ETCH_CBOR, SENML_JSON] {
        for prefix in ["", "/", "/lwm2m", "/lwm2m/"] {
            let list = encode_paths(format, prefix, &paths).expect("can be written");
            assert_eq!(decode_paths(format, prefix, &list).as_deref(), Ok(&paths[..]), "{format} {prefix}");
        }
    }
    let with_time = b"\x81\xa2\x00\x66/3/0/9\x06\x05";
    assert_eq!(decode_paths(SENML_ETCH_CBOR, "/", with_time).as_deref(), Ok(&paths[..1]));
    let with_value = b"\x81\xa2\x00\x66/3/0/9\x02\x05";
    let error = decode_paths(SENML_ETCH_CBOR, "/", with_value).expect_err("a value");
    assert_eq!(error.to_string(), "a list of paths cannot hold /3/0/9: there is a value with it");
    assert_eq!(decode_paths(0, "/", b""), Err(Error::Unsupported { format: 0 }));
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        depth in 0_usize..3,
        samples in samples(values(), 268_435_456_000_i64..4_000_000_000_000),
        format in proptest::sample::select(&[SENML_CBOR, SENML_ETCH_CBOR][..]),
        alternate_path in proptest::sample::select(&["/", "/lwm2m", "/a/b"][..]),
    ) {
        let request = Path::new([9, 65535]).truncated(depth);
        let scope = Scope { alternate_path, ..Scope::new(request, &Device) };
        let written = encode_in(format, &scope, &samples).expect("these can be written");
        let mut read = Vec::new();
        decode_into(Some(format), &scope, &written, &mut read).expect("what is written can be read");
        prop_assert_eq!(debug(&read), debug(&samples));
        for length in 0..written.len() {
            prop_assert!(decode(Some(format), request, &written[..length], &Device).is_err(), "{} bytes", length);
        }
    }

    #[test]
    fn reading_never_panics(
        payload in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(HEADS)], 0..32),
        records in proptest::collection::vec(proptest::sample::select(PARTS), 0..16),
    ) {
        let made = [&b"\x9f\xbf"[..], &records.concat(), b"\xff\xff"].concat();
        for payload in [payload, made] {
            let Ok(samples) = decode(Some(SENML_CBOR), path("/9/0/1"), &payload, &Device) else { continue };
            prop_assert!(samples.len() <= payload.len());
            let Ok(written) = encode(SENML_CBOR, Path::root(), &samples, &Device) else { continue };
            let again = decode(Some(SENML_CBOR), Path::root(), &written, &Device).expect("what is written can be read");
            prop_assert_eq!(debug(&again), debug(&samples));
        }
    }
}

/// Bytes that packs are made of.
const HEADS: &[u8] = b"\x00\x02\x03\x04\x06\x08\x20\x21\x22\x24\x60\x61\x62/90\x80\x81\x82\x9f\xa0\xa1\xa2\xbf\xff\xc1\xf5\xf6";

/// Fields with their labels, and the break between two records.
const PARTS: &[&[u8]] = &[
    b"\x21\x64/9/0",
    b"\x21\x60",
    b"\x00\x62/1",
    b"\x00\x64/0/9",
    b"\x22\x1a\x4c\x0e\x85\x6c",
    b"\x06\x24",
    b"\x24\x05",
    b"\x24\xf9\x3e\x00",
    b"\x02\x05",
    b"\x02\xf9\x3e\x00",
    b"\x02\xf6",
    b"\x03\x63abc",
    b"\x04\xf5",
    b"\x08\x42\x00\xff",
    b"\x63vlo\x633:0",
    b"\xff\xbf",
    b"\xff\xbf",
    b"\xff\xbf",
];
