//! Writing CBOR in its preferred serialization: everything as short as it can be (RFC 8949 section 4.1).

use std::convert::Infallible;

use minicbor::data::Tag;
use minicbor::{Decoder, Encoder, encode};

use crate::lwm2m::value::Value;

/// Items, written one after the other.
pub(in super::super) struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self(Encoder::new(Vec::new()))
    }
}

impl Writer {
    /// The head of an array; so many items are to follow.
    pub(in super::super) fn array(&mut self, items: usize) {
        done(self.0.array(items as u64));
    }

    /// The head of a map; so many pairs of a key and a value are to follow.
    pub(in super::super) fn map(&mut self, pairs: usize) {
        done(self.0.map(pairs as u64));
    }

    pub(in super::super) fn integer(&mut self, integer: i64) {
        done(self.0.i64(integer));
    }

    pub(in super::super) fn text(&mut self, text: &str) {
        done(self.0.str(text));
    }

    pub(in super::super) fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Text(text) | Value::CoreLink(text) => self.text(text),
            Value::Integer(number) => self.integer(*number),
            Value::Unsigned(number) => done(self.0.u64(*number)),
            Value::Float(number) => self.float(*number),
            Value::Boolean(flag) => done(self.0.bool(*flag)),
            Value::Opaque(bytes) => done(self.0.bytes(bytes)),
            Value::Time(seconds) => done(self.0.tag(Tag::new(1)).and_then(|cbor| cbor.i64(*seconds))),
            Value::ObjectLink(link) => self.text(&link.to_string()),
            Value::Null => done(self.0.null()),
        }
    }

    /// As the shortest float of the same value.
    pub(in super::super) fn float(&mut self, number: f64) {
        let single = number as f32;
        if f64::from(single) != number && !number.is_nan() {
            return done(self.0.f64(number));
        }
        let mut half = Encoder::new(Vec::with_capacity(3));
        done(half.f16(single));
        match Decoder::new(half.writer()).f16() {
            Ok(same) if same == single || number.is_nan() => {
                self.0.writer_mut().extend_from_slice(half.writer())
            }
            _ => done(self.0.f32(single)),
        }
    }

    pub(in super::super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

fn done<T>(result: Result<T, encode::Error<Infallible>>) {
    result.map(|_| ()).expect("a vector takes everything");
}
