use std::borrow::Cow;

use proptest::prelude::*;

use super::super::fixture::{Device, debug, path, values};
use super::super::{CBOR, Definitions, decode, encode};
use super::*;
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{ObjectLink, Value};

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn opaque(bytes: &[u8]) -> Value<'_> {
    Value::Opaque(Cow::Borrowed(bytes))
}

/// What a payload reads as at a resource.
#[track_caller]
fn value<'a>(at: &str, payload: &'a [u8]) -> Value<'a> {
    let samples = decode(Some(CBOR), path(at), payload, &Device);
    let samples = samples.unwrap_or_else(|error| panic!("{}: {error}", payload.escape_ascii()));
    let [sample] = <[_; 1]>::try_from(samples).expect("one sample");
    assert_eq!((sample.path, sample.taken), (path(at), None));
    sample.value
}

#[track_caller]
fn malformed(payload: &[u8]) -> (usize, String) {
    match decode(Some(CBOR), path("/7/0/0"), payload, &Device) {
        Err(Error::Malformed { format: NAME, offset, reason }) => (offset, reason),
        other => panic!("{}: {other:?}", payload.escape_ascii()),
    }
}

/// RFC 8949 appendix A, without a definition.
#[test]
fn the_examples_of_integers() {
    for (payload, expected) in [
        (&b"\x00"[..], 0),
        (b"\x17", 23),
        (b"\x18\x18", 24),
        (b"\x18\x64", 100),
        (b"\x19\x03\xe8", 1000),
        (b"\x1a\x00\x0f\x42\x40", 1_000_000),
        (b"\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", 1_000_000_000_000),
        (b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
        (b"\x20", -1),
        (b"\x29", -10),
        (b"\x38\x63", -100),
        (b"\x39\x03\xe7", -1000),
        (b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MIN),
    ] {
        assert_eq!(value("/7/0/0", payload), Value::Integer(expected));
        let sample =
            Sample { path: path("/7/0/0"), value: Value::Integer(expected), kind: None, taken: None };
        assert_eq!(encode(CBOR, sample.path, &[sample], &()).as_deref(), Ok(payload));
    }
    assert_eq!(value("/7/0/0", b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), Value::Unsigned(u64::MAX));
    // Longer than it has to be.
    assert_eq!(value("/7/0/0", b"\x1b\x00\x00\x00\x00\x00\x00\x00\x01"), Value::Integer(1));
}

/// RFC 8949 appendix A and RFC 7049 appendix A.
#[test]
fn the_examples_of_floats() {
    for (payload, expected) in [
        (&b"\xf9\x00\x00"[..], 0.0),
        (b"\xf9\x80\x00", -0.0),
        (b"\xf9\x3c\x00", 1.0),
        (b"\xf9\x3e\x00", 1.5),
        (b"\xf9\x7b\xff", 65504.0),
        (b"\xfa\x47\xc3\x50\x00", 100_000.0),
        (b"\xfa\x7f\x7f\xff\xff", 3.402_823_466_385_288_6e38),
        (b"\xfb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", 1e300),
        (b"\xf9\x00\x01", 5.960_464_477_539_063e-8),
        (b"\xf9\x04\x00", 0.000_061_035_156_25),
        (b"\xf9\xc4\x00", -4.0),
        (b"\xfb\xc0\x10\x66\x66\x66\x66\x66\x66", -4.1),
        (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", 1.1),
        (b"\xf9\x7c\x00", f64::INFINITY),
        (b"\xf9\x7e\x00", f64::NAN),
        (b"\xf9\xfc\x00", f64::NEG_INFINITY),
    ] {
        for at in ["/7/0/0", "/9/0/1"] {
            let Value::Float(float) = value(at, payload) else { panic!("{}", payload.escape_ascii()) };
            assert!(float.to_bits() == expected.to_bits() || (float.is_nan() && expected.is_nan()));
            let sample = Sample { path: path(at), value: Value::Float(expected), kind: None, taken: None };
            assert_eq!(encode(CBOR, sample.path, &[sample], &()).as_deref(), Ok(payload));
        }
    }
    for payload in [
        &b"\xfa\x7f\xc0\x00\x00"[..],
        b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",
        // With another content than the usual one.
        b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x01",
    ] {
        assert!(matches!(value("/9/0/1", payload), Value::Float(float) if float.is_nan()));
    }
}

#[test]
fn the_examples_of_other_values() {
    assert_eq!(value("/7/0/0", b"\xf4"), Value::Boolean(false));
    assert_eq!(value("/9/0/2", b"\xf5"), Value::Boolean(true));
    assert_eq!(value("/7/0/0", b"\xf6"), Value::Null);
    assert_eq!(value("/7/0/0", b"\xf7"), Value::Null);
    assert_eq!(value("/7/0/0", b"\x44\x01\x02\x03\x04"), opaque(&[1, 2, 3, 4]));
    assert_eq!(value("/9/0/3", b"\x40"), opaque(&[]));
    assert_eq!(value("/7/0/0", b"\x64IETF"), text("IETF"));
    assert_eq!(value("/3/0/0", b"\x62\xc3\xbc"), text("\u{fc}"));
    assert_eq!(value("/7/0/0", b"\x5f\x42\x01\x02\x43\x03\x04\x05\xff"), opaque(&[1, 2, 3, 4, 5]));
    assert_eq!(value("/7/0/0", b"\x7f\x65strea\x64ming\xff"), text("streaming"));
    assert_eq!(value("/7/0/0", b"\x7f\xff"), text(""));
}

#[test]
fn values_take_the_type_of_the_definition() {
    let link = Value::ObjectLink(ObjectLink { object: 66, instance: 0 });
    assert_eq!(value("/9/0/5", b"\x6466:0"), link);
    assert_eq!(value("/7/0/0", b"\x6466:0"), text("66:0"));
    assert_eq!(value("/9/0/4", b"\x64</3>"), Value::CoreLink(Cow::Borrowed("</3>")));
    assert_eq!(value("/9/0/0", b"\x05"), Value::Unsigned(5));
    assert_eq!(value("/9/0/1", b"\x05"), Value::Float(5.0));
    assert_eq!(value("/3/0/9", b"\xf9\x3c\x00"), Value::Integer(1));
    assert_eq!(value("/9/0/2", b"\x01"), Value::Boolean(true));
    assert_eq!(value("/3/0/9", b"\x1b\x80\x00\x00\x00\x00\x00\x00\x00"), Value::Unsigned(1 << 63));
}

#[test]
fn a_time_is_a_number_or_a_date() {
    // RFC 8949 appendix A.
    let payload = b"\xc1\x1a\x51\x4b\x67\xb0";
    assert_eq!(value("/3/0/13", payload), Value::Time(1_363_896_240));
    assert_eq!(value("/7/0/0", payload), Value::Time(1_363_896_240));
    assert_eq!(value("/9/0/0", payload), Value::Unsigned(1_363_896_240));
    assert_eq!(value("/3/0/13", &payload[1..]), Value::Time(1_363_896_240));
    assert_eq!(value("/3/0/13", b"\xc0\x742013-03-21T20:04:00Z"), Value::Time(1_363_896_240));
    assert_eq!(value("/7/0/0", b"\xc0\x742013-03-21T20:04:00Z"), text("2013-03-21T20:04:00Z"));
    // Zephyr's, which has no zone.
    assert_eq!(value("/3/0/13", b"\x78\x192013-03-21T20:04:00-00:00"), Value::Time(1_363_896_240));
    assert_eq!(value("/7/0/0", b"\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00"), Value::Float(1_363_896_240.5));
    assert_eq!(
        value("/3/0/13", b"\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00"),
        opaque(b"\xc1\xfb\x41\xd4\x52\xd9\xec\x20\x00\x00")
    );
    let sample =
        Sample { path: path("/3/0/13"), value: Value::Integer(1_363_896_240), kind: None, taken: None };
    assert_eq!(encode(CBOR, sample.path, &[sample], &Device).as_deref(), Ok(&payload[..]));
}

#[test]
fn numbers_beyond_64_bits_stay_bytes() {
    // RFC 8949 appendix A: 2^64 and -2^64 - 1, and -2^64 without a tag.
    for payload in [
        &b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\xc3\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x3b\x80\x00\x00\x00\x00\x00\x00\x00",
    ] {
        assert_eq!(value("/7/0/0", payload), opaque(payload));
        assert_eq!(value("/3/0/9", payload), opaque(payload));
    }
    assert_eq!(value("/7/0/0", b"\xc2\x42\x01\x00"), Value::Integer(256));
    assert_eq!(value("/7/0/0", b"\xc3\x42\x01\x00"), Value::Integer(-257));
    assert_eq!(value("/7/0/0", b"\xc2\x4a\0\0\0\0\0\0\0\0\0\x07"), Value::Integer(7));
    assert_eq!(value("/7/0/0", b"\xc2\x48\xff\xff\xff\xff\xff\xff\xff\xff"), Value::Unsigned(u64::MAX));
    assert_eq!(value("/7/0/0", b"\xc3\x48\x7f\xff\xff\xff\xff\xff\xff\xff"), Value::Integer(i64::MIN));
}

#[test]
fn decimal_fractions_are_numbers() {
    // RFC 8949 3.4.4: 273.15.
    assert_eq!(value("/7/0/0", b"\xc4\x82\x21\x19\x6a\xb3"), Value::Float(273.15));
    assert_eq!(value("/7/0/0", b"\xc4\x9f\x21\x19\x6a\xb3\xff"), Value::Float(273.15));
    assert_eq!(value("/7/0/0", b"\xc4\x82\x02\x05"), Value::Integer(500));
    assert_eq!(value("/9/0/1", b"\xc4\x82\x20\x18\x2d"), Value::Float(4.5));
    assert_eq!(value("/3/0/9", b"\xc4\x82\x20\x18\x32"), Value::Integer(5));
    assert_eq!(value("/7/0/0", b"\xc4\x82\x1a\xff\xff\xff\xff\x01"), Value::Float(f64::INFINITY));
    assert_eq!(value("/7/0/0", b"\xc4\x82\x3a\xff\xff\xff\xff\x01"), Value::Float(0.0));
    for odd in [&b"\xc4\x01"[..], b"\xc4\x80", b"\xc4\x81\x01", b"\xc4\x83\x01\x01\x01", b"\xc4\x82\x01\x61a"]
    {
        assert_eq!(value("/7/0/0", odd), opaque(odd));
    }
    // RFC 8949 3.4.4: 1.5 in powers of two.
    assert_eq!(value("/7/0/0", b"\xc5\x82\x20\x03"), opaque(b"\xc5\x82\x20\x03"));
}

#[test]
fn other_tags_change_nothing() {
    assert_eq!(value("/7/0/0", b"\xd9\xd9\xf7\x05"), Value::Integer(5));
    assert_eq!(value("/7/0/0", b"\xd8\x20\x61a"), text("a"));
    assert_eq!(value("/9/0/3", b"\xd8\x18\x41\x00"), opaque(&[0]));
    assert_eq!(value("/3/0/13", b"\xd9\xd9\xf7\xc1\x05"), Value::Time(5));
}

#[test]
fn a_value_that_does_not_fit_stays_as_it_is_on_the_wire() {
    assert_eq!(value("/3/0/0", b"\x18\x64"), opaque(b"\x18\x64"));
    assert_eq!(value("/3/0/0", b"\x41\x64"), opaque(b"\x64"));
    assert_eq!(value("/3/0/9", b"\x615"), text("5"));
    assert_eq!(value("/3/0/9", b"\xf5"), opaque(b"\xf5"));
    assert_eq!(value("/9/0/5", b"\x613"), text("3"));
    assert_eq!(value("/9/0/0", b"\x20"), opaque(b"\x20"));
    assert_eq!(value("/9/0/6", b"\x01"), opaque(b"\x01"));
    assert_eq!(value("/7/0/0", b"\xe0"), opaque(b"\xe0"));
    assert_eq!(value("/7/0/0", b"\xf8\xff"), opaque(b"\xf8\xff"));
    assert_eq!(value("/7/0/0", b"\x82\x01\xa1\x02\x9f\xff"), opaque(b"\x82\x01\xa1\x02\x9f\xff"));
    // Not UTF-8.
    assert_eq!(value("/3/0/0", b"\x62\xc3\x28"), opaque(b"\xc3\x28"));
    assert_eq!(value("/3/0/0", b"\x7f\x61\xc3\x61\x28\xff"), opaque(b"\xc3\x28"));
}

#[test]
fn what_is_of_definite_length_is_borrowed() {
    assert!(matches!(value("/3/0/0", b"\x65plain"), Value::Text(Cow::Borrowed("plain"))));
    assert!(matches!(value("/9/0/3", b"\x41a"), Value::Opaque(Cow::Borrowed(b"a"))));
    assert!(matches!(value("/9/0/3", b"\x01"), Value::Opaque(Cow::Borrowed(b"\x01"))));
}

#[test]
fn errors_name_the_byte() {
    for (payload, offset, reason) in [
        (&b""[..], 0, "the payload ends within an item"),
        (b"\x19\x01", 0, "the payload ends within an item"),
        (b"\x62a", 0, "the payload ends within an item"),
        (b"\x01\x02\x03", 1, "the payload goes on after its end"),
        (b"\xff", 0, "a break where an item is expected"),
        (b"\xc1\xff", 1, "a break where an item is expected"),
        (b"\xa1\x01\xff", 2, "a break where an item is expected"),
        (b"\xbf\x01\xff", 2, "a break where an item is expected"),
        (b"\x1c", 0, "no item begins with the byte 0x1c"),
        (b"\x82\x00\x5c", 2, "no item begins with the byte 0x5c"),
        (b"\x5f\x61a\xff", 1, "a chunk of another type than its string"),
        (b"\x5f\x5f\xff\xff", 1, "a chunk of another type than its string"),
        // Lengths that nothing is reserved for.
        (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 0, "the payload ends within an item"),
        (b"\x7a\xff\xff\xff\xff", 0, "the payload ends within an item"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9, "the payload ends within an item"),
        (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 9, "the payload ends within an item"),
    ] {
        assert_eq!(malformed(payload), (offset, reason.to_owned()), "{}", payload.escape_ascii());
    }
}

#[test]
fn items_within_items_have_an_end() {
    for head in [b'\x81', b'\x9f', b'\xc1', b'\xd5'] {
        assert_eq!(malformed(&[head; 1000]), (16, "items within items, too deep".to_owned()));
    }
    let deep = [&[0x81; 16][..], &[0x00]].concat();
    assert_eq!(value("/7/0/0", &deep), opaque(&deep));
}

#[test]
fn one_value_is_written_at_the_path_of_the_request() {
    let sample = |at: &str, value: Value<'static>| Sample { path: path(at), value, kind: None, taken: None };
    let one = sample("/3/0/9", Value::Integer(500));
    assert_eq!(
        encode(CBOR, one.path, std::slice::from_ref(&one), &Device).as_deref(),
        Ok(&b"\x19\x01\xf4"[..])
    );
    for (request, samples) in
        [("/3/0", &[one.clone()][..]), ("/3/0/9", &[one.clone(), one.clone()]), ("/3/0/9", &[])]
    {
        assert!(matches!(encode(CBOR, path(request), samples, &()), Err(Error::Unfit { format: NAME, .. })));
    }
    let link = sample("/9/0/5/0", Value::ObjectLink(ObjectLink { object: 66, instance: 0 }));
    assert_eq!(encode(CBOR, link.path, &[link], &Device).as_deref(), Ok(&b"\x6466:0"[..]));
}

proptest! {
    #[test]
    fn what_is_written_can_be_read((resource, value) in values(), instance in proptest::option::of(any::<u16>())) {
        let path = Path::new([9, 65535, resource]);
        let path = instance.and_then(|id| path.child(id)).unwrap_or(path);
        let samples = [Sample { path, value, kind: Device.kind(9, resource), taken: None }];
        let written = encode(CBOR, path, &samples, &Device).expect("these can be written");
        let read = decode(Some(CBOR), path, &written, &Device).expect("what is written can be read");
        prop_assert_eq!(debug(&read), debug(&samples));
        for length in 0..written.len() {
            prop_assert!(decode(Some(CBOR), path, &written[..length], &Device).is_err(), "{} bytes", length);
        }
    }

    #[test]
    fn reading_never_panics(
        payload in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(HEADS)], 0..24),
        resource in 0_u16..12,
    ) {
        let path = Path::new([9, 0, resource]);
        let Ok(samples) = decode(Some(CBOR), path, &payload, &Device) else { return Ok(()) };
        let written = encode(CBOR, path, &samples, &Device).expect("what is read can be written");
        let again = decode(Some(CBOR), path, &written, &Device).expect("what is written can be read");
        prop_assert_eq!(debug(&again), debug(&samples));
    }
}

/// Bytes that items begin with.
const HEADS: &[u8] =
    b"\x00\x18\x1b\x20\x3b\x40\x41\x5f\x60\x61\x7f\x80\x82\x9f\xa0\xa1\xbf\xc0\xc1\xc2\xc3\xc4\xc5\
                      \xd8\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xff";
