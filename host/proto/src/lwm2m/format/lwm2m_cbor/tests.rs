use std::borrow::Cow;

use proptest::prelude::*;

use super::super::fixture::{Device, debug, path, values};
use super::super::{Definitions, LWM2M_CBOR, decode, encode};
use super::*;
use crate::lwm2m::value::{ObjectLink, Value};

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

#[track_caller]
fn assert_reads(request: &str, payload: &[u8], expected: &[(&str, Value<'_>)]) {
    let samples = decode(Some(LWM2M_CBOR), path(request), payload, &Device);
    let samples = samples.unwrap_or_else(|error| panic!("{}: {error}", payload.escape_ascii()));
    let read: Vec<_> = samples.into_iter().map(|sample| (sample.path, sample.value)).collect();
    let expected: Vec<_> = expected.iter().map(|(at, value)| (path(at), value.clone())).collect();
    assert_eq!(read, expected, "{}", payload.escape_ascii());
}

/// Core 1.2 section 7.4.4.4: the resources of the first instance in the example.
#[test]
fn the_example_of_the_server_object() {
    let payload = b"\xa1\x01\xa1\x00\xa7\x00\x18\x65\x01\x1a\x00\x01\x51\x80\x02\x19\x01\x2c\x03\x19\x17\x70\
        \x05\x1a\x00\x01\x51\x80\x06\xf5\x07\x61U";
    let expected = [
        ("/1/0/0", Value::Integer(101)),
        ("/1/0/1", Value::Integer(86_400)),
        ("/1/0/2", Value::Integer(300)),
        ("/1/0/3", Value::Integer(6000)),
        ("/1/0/5", Value::Integer(86_400)),
        ("/1/0/6", Value::Boolean(true)),
        ("/1/0/7", text("U")),
    ];
    assert_reads("/1/0", payload, &expected);
    assert_reads("/", payload, &expected);
    let samples = decode(Some(LWM2M_CBOR), path("/1/0"), payload, &()).expect("well formed");
    assert_eq!(encode(LWM2M_CBOR, path("/1/0"), &samples, &()).as_deref(), Ok(&payload[..]));
}

#[test]
fn a_key_is_an_id_or_ids() {
    for payload in [
        &b"\xa1\x0d\xa1\x18\x1a\xa1\x01\x18\x2a"[..],
        b"\xbf\x0d\xbf\x18\x1a\xbf\x01\x18\x2a\xff\xff\xff",
        b"\xa1\x83\x0d\x18\x1a\x01\x18\x2a",
        b"\xbf\x9f\x0d\x18\x1a\x01\xff\x18\x2a\xff",
        b"\xa1\x81\x0d\xa1\x81\x18\x1a\xa1\x81\x01\x18\x2a",
        b"\xa1\x82\x0d\x18\x1a\xa1\x01\x18\x2a",
        b"\xa1\x0d\xa1\x82\x18\x1a\x01\x18\x2a",
        b"\xd9\xd9\xf7\xa1\x83\x0d\x18\x1a\x01\x18\x2a",
    ] {
        for request in ["/", "/13", "/13/26", "/13/26/1"] {
            assert_reads(request, payload, &[("/13/26/1", Value::Integer(42))]);
        }
    }
    let two = [("/13/26/1", Value::Integer(42)), ("/13/26/2", Value::Integer(21))];
    assert_reads("/13/26", b"\xa1\x82\x0d\x18\x1a\xa2\x01\x18\x2a\x02\x15", &two);
    assert_reads("/13/26", b"\xa2\x83\x0d\x18\x1a\x01\x18\x2a\x83\x0d\x18\x1a\x02\x15", &two);
    assert_reads("/13/26", b"\xa2\x83\x0d\x18\x1a\x01\x18\x2a\x82\x0d\x18\x1a\xa1\x81\x02\x15", &two);
}

#[test]
fn resource_instances() {
    assert_reads(
        "/3/0/6",
        b"\xa1\x83\x03\x00\x06\xa2\x00\x01\x01\x05",
        &[("/3/0/6/0", Value::Integer(1)), ("/3/0/6/1", Value::Integer(5))],
    );
    assert_reads("/3/0/6/1", b"\xa1\x84\x03\x00\x06\x01\x05", &[("/3/0/6/1", Value::Integer(5))]);
    assert_reads("/3/0/6", b"\xa1\x83\x03\x00\x06\xa1\x02\xf6", &[("/3/0/6/2", Value::Null)]);
}

#[test]
fn ids_begin_at_the_request_path_where_they_cannot_begin_at_the_root() {
    let nine = [("/3/0/9", Value::Integer(100))];
    assert_reads("/3/0", b"\xa1\x09\x18\x64", &nine);
    assert_reads("/3", b"\xa1\x00\xa1\x09\x18\x64", &nine);
    assert_reads("/3/0/9", b"\x18\x64", &nine);
    assert_reads("/3/0", b"\xa1\x06\xa1\x01\x05", &[("/3/0/6/1", Value::Integer(5))]);
    assert_reads("/3", b"\xa1\x00\xa1\x06\xa1\x01\x05", &[("/3/0/6/1", Value::Integer(5))]);
    // The same ids could be a resource below another object, but that was not asked for.
    assert_reads("/3", b"\xa1\x03\xa1\x00\xa1\x09\x05", &[("/3/0/9", Value::Integer(5))]);
    assert_reads("/3/0/9", b"\xa1\x83\x05\x00\x03\x00", &[("/5/0/3", Value::Integer(0))]);
}

#[test]
fn values_take_the_type_of_the_definition() {
    let payload =
        b"\xa1\x82\x09\x00\xa8\x00\x05\x01\x05\x02\x01\x03\x41\x00\x05\x643:10\x06\x01\x09\xc1\x05\x0a\x61x";
    assert_reads(
        "/9/0",
        payload,
        &[
            ("/9/0/0", Value::Unsigned(5)),
            ("/9/0/1", Value::Float(5.0)),
            ("/9/0/2", Value::Boolean(true)),
            ("/9/0/3", Value::Opaque(Cow::Borrowed(&[0]))),
            ("/9/0/5", Value::ObjectLink(ObjectLink { object: 3, instance: 10 })),
            ("/9/0/6", Value::Opaque(Cow::Borrowed(&[1]))),
            ("/9/0/9", Value::Time(5)),
            ("/9/0/10", text("x")),
        ],
    );
    // A list is no value.
    assert_reads(
        "/9/0",
        b"\xa1\x83\x09\x00\x00\x82\x01\x02",
        &[("/9/0/0", Value::Opaque(Cow::Borrowed(b"\x82\x01\x02")))],
    );
}

#[test]
fn empty_maps_give_no_sample() {
    for payload in [&b"\xa0"[..], b"\xbf\xff", b"\xa1\x03\xa0", b"\xa1\x03\xa1\x00\xbf\xff"] {
        assert_reads("/3", payload, &[]);
    }
}

#[test]
fn errors_name_the_byte() {
    for (payload, offset, reason) in [
        (&b""[..], 0, "the payload ends within an item"),
        (b"\xa1\x03", 2, "the payload ends within an item"),
        (b"\xa0\xa0", 1, "the payload goes on after its end"),
        (b"\xa1\x80\x01", 1, "a key without an id"),
        (b"\xa1\x61n\x01", 1, "expected a number"),
        (b"\xa1\x20\x01", 1, "an id is a number from 0 to 65535"),
        (b"\xa1\x1a\x00\x01\x00\x00\x01", 1, "an id is a number from 0 to 65535"),
        (b"\xa1\xf9\x3c\x00\x01", 1, "an id is a number from 0 to 65535"),
        (b"\xa1\x82\x03\x80\x01", 3, "expected a number"),
        (b"\xa1\x85\x03\x00\x06\x01\x02\x01", 6, "more than four levels of ids"),
        (b"\xa1\x84\x03\x00\x06\x01\xa1\x02\x01", 7, "more than four levels of ids"),
        (b"\xa1\x82\x03\x00\x05", 4, "a value at /3/0, which is no resource"),
        (b"\x05", 0, "a value at /, which is no resource"),
    ] {
        let error = decode(Some(LWM2M_CBOR), Path::root(), payload, &()).expect_err(reason);
        let expected = Error::Malformed { format: NAME, offset, reason: reason.to_owned() };
        assert_eq!(error, expected, "{}", payload.escape_ascii());
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let payload = |count: usize| {
        let mut writer = Writer::default();
        writer.map(1);
        writer.array(3);
        (0..3).for_each(|_| writer.integer(0));
        writer.map(count);
        for id in 0..count {
            writer.integer(i64::try_from(id).expect("small"));
            writer.integer(0);
        }
        writer.into_bytes()
    };
    let read =
        |count| decode(Some(LWM2M_CBOR), Path::root(), &payload(count), &()).map(|samples| samples.len());
    assert_eq!(read(MAX_SAMPLES), Ok(MAX_SAMPLES));
    assert_eq!(read(MAX_SAMPLES + 1), Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES }));
}

fn sample(at: &str, value: Value<'static>) -> Sample<'static> {
    Sample { path: path(at), value, kind: None, taken: None }
}

#[test]
fn maps_are_written_in_the_order_of_their_keys() {
    let samples = [
        sample("/3/0/9", Value::Integer(100)),
        sample("/1/1/1", Value::Integer(11)),
        sample("/3/0/6/1", Value::Integer(5)),
        sample("/3/0/6/0", Value::Integer(1)),
    ];
    let written = encode(LWM2M_CBOR, Path::root(), &samples, &Device).expect("can be written");
    // {1: {1: {1: 11}}, 3: {0: {6: {0: 1, 1: 5}, 9: 100}}}
    let expected = b"\xa2\x01\xa1\x01\xa1\x01\x0b\x03\xa1\x00\xa2\x06\xa2\x00\x01\x01\x05\x09\x18\x64";
    assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(encode(LWM2M_CBOR, path("/3"), &[], &Device).as_deref(), Ok(&b"\xa0"[..]));
}

#[test]
fn what_cannot_be_written() {
    for (request, samples, reason) in [
        ("/3/1", vec![sample("/3/0/9", Value::Null)], "it is not below the path of the request"),
        ("/3", vec![sample("/3/0", Value::Null)], "it is no resource"),
        (
            "/3",
            vec![sample("/3/0/9", Value::Integer(1)), sample("/3/0/9", Value::Integer(1))],
            "there is a second value at it",
        ),
        (
            "/3",
            vec![sample("/3/0/6/1", Value::Integer(1)), sample("/3/0/6", Value::Integer(1))],
            "it has a value and instances",
        ),
    ] {
        let error = encode(LWM2M_CBOR, path(request), &samples, &Device).expect_err(reason);
        assert!(
            matches!(error, Error::Unfit { format: NAME, reason: given, .. } if given == reason),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        depth in 0_usize..3,
        values in proptest::collection::btree_map(0_u16..4, (values(), proptest::option::of(any::<u16>())), 0..4),
    ) {
        let samples: Vec<_> = values.into_iter().map(|(object_instance, ((resource, value), instance))| {
            let path = Path::new([9, object_instance, resource]);
            let path = instance.and_then(|id| path.child(id)).unwrap_or(path);
            Sample { path, value, kind: Device.kind(9, resource), taken: None }
        }).collect();
        let request = samples.first().map_or(Path::root(), |sample| sample.path).truncated(depth.min(1));
        let written = encode(LWM2M_CBOR, request, &samples, &Device).expect("these can be written");
        let read = decode(Some(LWM2M_CBOR), request, &written, &Device).expect("what is written can be read");
        prop_assert_eq!(debug(&read), debug(&samples));
        for length in 0..written.len() {
            prop_assert!(decode(Some(LWM2M_CBOR), request, &written[..length], &Device).is_err(), "{} bytes", length);
        }
    }

    #[test]
    fn reading_never_panics(
        payload in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(HEADS)], 0..32),
        depth in 0_usize..5,
    ) {
        let request = Path::new([9, 0, 1, 0]).truncated(depth);
        let Ok(samples) = decode(Some(LWM2M_CBOR), request, &payload, &Device) else { return Ok(()) };
        prop_assert!(samples.len() <= payload.len());
        let Ok(written) = encode(LWM2M_CBOR, request, &samples, &Device) else { return Ok(()) };
        let mut again = decode(Some(LWM2M_CBOR), request, &written, &Device).expect("what is written can be read");
        let mut samples = samples.clone();
        samples.sort_by_key(|sample| sample.path);
        again.sort_by_key(|sample| sample.path);
        prop_assert_eq!(debug(&again), debug(&samples));
    }
}

/// Bytes that such payloads are made of.
const HEADS: &[u8] =
    b"\x00\x01\x09\x0a\xa0\xa1\xa1\xa1\xa2\x81\x82\x83\x84\x9f\xbf\xff\x41\x61\x5f\x7f\xc1\xf5\xf6\xf9";
