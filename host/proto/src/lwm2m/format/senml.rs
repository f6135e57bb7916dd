//! SenML JSON (RFC 8428; core 1.2.1 section 7.4.4), also as it is used in composite requests.

mod path_list;
mod record;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

pub(super) use self::path_list::encode as encode_paths;
use self::record::{Field, Number, Record, Scalar};
use super::{Error, MAX_SAMPLES, Scope, fit, i64_of_float};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{Kind, Sample, Value};

/// The samples of a pack. Base fields apply from the record that has them on; a record that has nothing else gives no
/// sample, one with a name and no value gives [`Value::Null`]. A name of nothing is the request path.
///
/// A time from 2^28 on is absolute (RFC 8428 4.5.3) and becomes [`Sample::taken`]. Below that it is relative to the
/// moment of sending, which is not known here, so that `taken` stays empty.
///
/// # Errors
/// If the payload is not such JSON, a name is not a path, a field must be understood (its name ends in `_`) and is
/// not, or the version is above 10.
pub(super) fn decode<'a>(
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    let mut too_many = false;
    let limit = samples.len() + MAX_SAMPLES;
    let mut pack = Pack { scope, samples, limit, too_many: &mut too_many, bases: Bases::default() };
    let mut json = serde_json::Deserializer::from_slice(payload);
    let result = (&mut pack).deserialize(&mut json).and_then(|()| json.end());
    result.map_err(|error| match too_many {
        true => Error::TooMany { format: NAME, limit: MAX_SAMPLES },
        false => malformed(payload, &error),
    })
}

/// What is being read.
struct Pack<'p, 'd, 'a> {
    scope: &'p Scope<'d>,
    samples: &'p mut Vec<Sample<'a>>,
    limit: usize,
    too_many: &'p mut bool,
    bases: Bases<'a>,
}

/// The base fields as they stand.
#[derive(Default)]
struct Bases<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Number>,
    /// Base name and name as one; kept for its memory.
    joined: String,
}

impl<'a> DeserializeSeed<'a> for &mut Pack<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for &mut Pack<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<Record<'a>>()? {
            if self.samples.len() >= self.limit {
                *self.too_many = true;
                return Err(de::Error::custom("too many values"));
            }
            self.add(record).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'a> Pack<'_, '_, 'a> {
    fn add(&mut self, record: Record<'a>) -> Result<(), String> {
        let is_base_only = record.is_base_only();
        if let Some(name) = record.base_name {
            self.bases.name = name;
        }
        self.bases.time = record.base_time.unwrap_or(self.bases.time);
        self.bases.value = record.base_value.or(self.bases.value);
        if is_base_only {
            return Ok(());
        }
        let path = self.bases.path(record.name.as_deref().unwrap_or_default(), self.scope)?;
        let kind = self.scope.kind(path);
        let value = match (record.value, self.bases.value) {
            (None, None) => Value::Null,
            (None, Some(base)) => number(base, kind),
            (Some((_, Scalar::Number(value))), base) => {
                number(base.map_or(value, |base| base.plus(value)), kind)
            }
            (Some((field, value)), _) => scalar(field, value, kind),
        };
        let taken = absolute(self.bases.time + record.time.unwrap_or_default());
        self.samples.push(Sample { path, value, kind, taken });
        Ok(())
    }
}

impl Bases<'_> {
    fn path(&mut self, name: &str, scope: &Scope<'_>) -> Result<Path, String> {
        let name = match (&*self.name, name) {
            ("", "") => return Ok(scope.path),
            ("", name) | (name, "") => name,
            (base, name) => {
                self.joined.clear();
                self.joined.push_str(base);
                self.joined.push_str(name);
                &self.joined
            }
        };
        let below =
            name.strip_prefix(scope.alternate_path).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        below.unwrap_or(name).parse().map_err(|error| format!("{error}"))
    }
}

/// Milliseconds since 1970 of a time that is absolute.
fn absolute(seconds: f64) -> Option<i64> {
    if seconds < FIRST_ABSOLUTE_TIME {
        return None;
    }
    i64_of_float((seconds * 1000.0).round())
}

/// A number as the type of its resource.
fn number(number: Number, kind: Option<Kind>) -> Value<'static> {
    let natural = match number {
        Number::Signed(number) => Value::Integer(number),
        Number::Unsigned(number) => Value::Unsigned(number),
        Number::Float(number) => Value::Float(number),
    };
    let fitted = match kind {
        None => return natural,
        // What is above the range of integers is still one.
        Some(Kind::Integer) => match number.signed() {
            Some(number) => Some(Value::Integer(number)),
            None => number.unsigned().map(Value::Unsigned),
        },
        Some(Kind::Unsigned) => number.unsigned().map(Value::Unsigned),
        Some(Kind::Time) => number.signed().map(Value::Time),
        Some(Kind::Float) => Some(Value::Float(number.float())),
        Some(Kind::Boolean) => match number {
            Number::Signed(0) => Some(Value::Boolean(false)),
            Number::Signed(1) => Some(Value::Boolean(true)),
            _ => None,
        },
        Some(_) => None,
    };
    fitted.unwrap_or_else(|| Value::Text(Cow::Owned(number.to_string())))
}

/// Anything but a number as the type of its resource, else as the type of the field that it stands in.
fn scalar(field: Field, value: Scalar<'_>, kind: Option<Kind>) -> Value<'_> {
    let text = match value {
        Scalar::Null => return Value::Null,
        Scalar::Number(value) => return number(value, kind),
        Scalar::Boolean(flag) => {
            return match kind {
                None | Some(Kind::Boolean) => Value::Boolean(flag),
                Some(_) => Value::Text(Cow::Borrowed(if flag { "true" } else { "false" })),
            };
        }
        Scalar::Text(text) => text,
    };
    let fitted = match (kind, field) {
        (None | Some(Kind::Opaque), Field::Opaque) => {
            BASE64.decode(flat(&text).as_bytes()).ok().map(|bytes| Value::Opaque(Cow::Owned(bytes)))
        }
        (None, Field::ObjectLink) | (Some(Kind::ObjectLink), _) => text.parse().ok().map(Value::ObjectLink),
        (Some(Kind::CoreLink), Field::Plain) => return Value::CoreLink(text),
        _ => None,
    };
    fitted.unwrap_or(Value::Text(text))
}

/// base64 in the alphabet for URLs: some clients use the standard one.
fn flat(text: &str) -> Cow<'_, str> {
    if text.contains(['+', '/']) {
        return Cow::Owned(text.replace('+', "-").replace('/', "_"));
    }
    Cow::Borrowed(text)
}

/// The place and the reason of an error, out of line and column.
fn malformed(payload: &[u8], error: &serde_json::Error) -> Error {
    let lines = payload.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Error::Malformed {
        format: NAME,
        offset: (before + error.column().saturating_sub(1)).min(payload.len()),
        reason: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

/// The pack of samples. The request path is the base name, and names are relative to it.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    if let Some(stray) = samples.iter().find(|sample| !sample.path.starts_with(&scope.path)) {
        return Err(unfit(stray, "it is not below the path of the request"));
    }
    let is_all_below = samples.iter().all(|sample| sample.path != scope.path);
    let has_base = scope.path.depth() > 0 && (is_all_below || samples.len() == 1);
    let mut json = String::from("[");
    for (index, sample) in samples.iter().enumerate() {
        json.push_str(if index == 0 { "{" } else { ",{" });
        write_name(scope, sample, has_base, index == 0, &mut json);
        write_time(sample, &mut json)?;
        write_value(scope, sample, &mut json)?;
        json.push('}');
    }
    json.push(']');
    Ok(json.into_bytes())
}

/// The name fields, of which there is always at least one.
fn write_name(scope: &Scope<'_>, sample: &Sample<'_>, has_base: bool, is_first: bool, json: &mut String) {
    if !has_base {
        json.push_str(&format!("\"n\":\"{}\"", sample.path));
        return;
    }
    if sample.path == scope.path {
        // A name is needed where there is no value: nothing but base fields would be no entry.
        let field = if sample.value == Value::Null { "n" } else { "bn" };
        json.push_str(&format!("\"{field}\":\"{}\"", scope.path));
        return;
    }
    if is_first {
        json.push_str(&format!("\"bn\":\"{}/\",", scope.path));
    }
    let relative = &sample.path.ids()[scope.path.depth()..];
    let relative: Vec<_> = relative.iter().map(u16::to_string).collect();
    json.push_str(&format!("\"n\":\"{}\"", relative.join("/")));
}

fn write_time(sample: &Sample<'_>, json: &mut String) -> Result<(), Error> {
    let Some(taken) = sample.taken else {
        return Ok(());
    };
    if (taken as f64) < FIRST_ABSOLUTE_TIME * 1000.0 {
        return Err(unfit(sample, "a time before July 1978 reads as a relative one"));
    }
    json.push_str(&format!(",\"t\":{}.{:03}", taken / 1000, taken % 1000));
    Ok(())
}

fn write_value(scope: &Scope<'_>, sample: &Sample<'_>, json: &mut String) -> Result<(), Error> {
    let field = match fit(scope, sample) {
        Value::Text(text) | Value::CoreLink(text) => format!(",\"vs\":{}", serde_json::Value::from(text)),
        Value::Integer(number) | Value::Time(number) => format!(",\"v\":{number}"),
        Value::Unsigned(number) => format!(",\"v\":{number}"),
        // With a point or an exponent, so that it is a float to a reader without definitions too.
        Value::Float(number) if number.is_finite() => format!(",\"v\":{number:?}"),
        Value::Float(_) => return Err(unfit(sample, "JSON has no infinities and no NaN")),
        Value::Boolean(flag) => format!(",\"vb\":{flag}"),
        Value::Opaque(bytes) => format!(",\"vd\":\"{}\"", BASE64.encode(bytes)),
        Value::ObjectLink(link) => format!(",\"vlo\":\"{link}\""),
        Value::Null => return Ok(()),
    };
    json.push_str(&field);
    Ok(())
}

fn unfit(sample: &Sample<'_>, reason: &'static str) -> Error {
    Error::Unfit { format: NAME, path: sample.path, reason }
}

const NAME: &str = "SenML JSON";

/// Seconds: 2^28 (RFC 8428 4.5.3).
const FIRST_ABSOLUTE_TIME: f64 = 268_435_456.0;

/// `vd` is base64 for URLs without padding (RFC 8428 4.3); some clients pad it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests;
