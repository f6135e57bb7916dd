//! Plain text: the value of one resource (core 1.2.1 section 7.4.1 and appendix C).
//!
//! # Guarantees
//! * Any payload is one value, that of the request path; reading never fails.
//! * Each type has its own grammar, of the whole text: integers and times are decimal digits with or without a sign, up
//!   to 64 bits and exact; floats are decimal and finite; booleans are `0`, `1`, `false`, `true`; object links are
//!   `object:instance`; opaque is base64, padded or not. Any other text stays text, and bytes that are no UTF-8 stay
//!   bytes.
//! * A value of the defined type that is written reads as the same value. A float has as many digits as that needs, and no
//!   exponent.
//! * Texts are not copied on reading.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Error, Scope, fit, only};
use crate::lwm2m::value::{Kind, Sample, Value};

/// The payload as the one value of the request path.
pub(super) fn decode<'a>(scope: &Scope<'_>, payload: &'a [u8], samples: &mut Vec<Sample<'a>>) {
    let kind = scope.kind(scope.path);
    let value = match std::str::from_utf8(payload) {
        Ok(text) => read(text, kind).unwrap_or(Value::Text(Cow::Borrowed(text))),
        Err(_) => Value::Opaque(Cow::Borrowed(payload)),
    };
    samples.push(Sample { path: scope.path, value, kind, taken: None });
}

/// The text of the one sample.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let sample = only(NAME, scope, samples)?;
    let text = match fit(scope, sample) {
        Value::Text(text) | Value::CoreLink(text) => text.into_owned(),
        Value::Integer(number) | Value::Time(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        // Without an exponent, which not every client reads.
        Value::Float(number) if number.is_finite() => number.to_string(),
        Value::Boolean(flag) => u8::from(flag).to_string(),
        Value::Opaque(bytes) => BASE64.encode(bytes),
        Value::ObjectLink(link) => link.to_string(),
        Value::Float(_) => return unfit(sample, "it has no infinities and no NaN"),
        Value::Null => return unfit(sample, "there is no value"),
    };
    Ok(text.into_bytes())
}

/// The text as a value of that type, if it is one.
fn read(text: &str, kind: Option<Kind>) -> Option<Value<'_>> {
    match kind? {
        Kind::Text => Some(Value::Text(Cow::Borrowed(text))),
        Kind::CoreLink => Some(Value::CoreLink(Cow::Borrowed(text))),
        Kind::Integer => text.parse().ok().map(Value::Integer),
        Kind::Unsigned => text.parse().ok().map(Value::Unsigned),
        Kind::Time => text.parse().ok().map(Value::Time),
        Kind::Float => read_float(text).map(Value::Float),
        Kind::Boolean => match text {
            "0" | "false" => Some(Value::Boolean(false)),
            "1" | "true" => Some(Value::Boolean(true)),
            _ => None,
        },
        Kind::Opaque => BASE64.decode(text).ok().map(|bytes| Value::Opaque(Cow::Owned(bytes))),
        Kind::ObjectLink => text.parse().ok().map(Value::ObjectLink),
        Kind::Executable => None,
    }
}

/// A decimal number. Rust's own grammar has names for infinity and NaN too, and turns what is too large into infinity.
fn read_float(text: &str) -> Option<f64> {
    let decimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| decimal && number.is_finite())
}

fn unfit<T>(sample: &Sample<'_>, reason: &'static str) -> Result<T, Error> {
    Err(Error::Unfit { format: NAME, path: sample.path, reason })
}

const NAME: &str = "text";

/// Opaque values in text are base64 (core 1.2.1 appendix C). Padding is written; some clients leave it away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests;
