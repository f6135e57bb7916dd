//! SenML records in JSON (RFC 8428 section 5).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::super::Error;
use super::super::scalar::{Number, Scalar};
use super::record::{Entry, Label, Record};
use super::{Name, Outgoing, Pack, USUAL_NAME, absolute_seconds};
use crate::lwm2m::value::{Kind, Value};

/// Adds the records of an array.
pub(super) fn decode<'a>(pack: &mut Pack<'_, '_, 'a>, payload: &'a [u8]) -> Result<(), Error> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let result = Records(pack).deserialize(&mut json).and_then(|()| json.end());
    result.map_err(|error| malformed(NAME, payload, &error))
}

struct Records<'r, 'p, 'd, 'a>(&'r mut Pack<'p, 'd, 'a>);

impl<'a> DeserializeSeed<'a> for Records<'_, '_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Records<'_, '_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<Record<'a>>()? {
            self.0.add(record).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'a> Deserialize<'a> for Record<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'a> Visitor<'a> for RecordVisitor {
    type Value = Record<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Record<'a>, A::Error> {
        let mut record = Record::default();
        while let Some(Text(key)) = fields.next_key()? {
            match Label::of_text(&key) {
                Label::BaseName => record.base_name = Some(fields.next_value::<Text<'a>>()?.0),
                Label::BaseTime => record.base_time = Some(fields.next_value()?),
                Label::BaseValue => record.base_value = Some(fields.next_value()?),
                Label::Version => {
                    record.set_version(fields.next_value()?).map_err(de::Error::custom)?;
                }
                Label::Name => record.name = Some(fields.next_value::<Text<'a>>()?.0),
                Label::Time => record.time = Some(fields.next_value()?),
                Label::Value(field) => {
                    let entry = Entry { field, scalar: fields.next_value()?, item: None };
                    record.set(entry).map_err(de::Error::custom)?;
                }
                Label::MustUnderstand => {
                    return Err(de::Error::custom(format_args!(
                        "field `{key}` must be understood and is not"
                    )));
                }
                label => {
                    record.has_other_base |= matches!(label, Label::OtherBase);
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

impl<'a> Deserialize<'a> for Scalar<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'a> Visitor<'a> for ScalarVisitor {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, true, false or null")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Number(Number::Signed(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Number(i64::try_from(number).map_or(Number::Unsigned(number), Number::Signed)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Number(Number::Float(number)))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
}

/// A string that borrows where it has no escapes.
pub(in super::super) struct Text<'a>(pub(in super::super) Cow<'a, str>);

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Self(text)),
            _ => Err(de::Error::custom("expected a string")),
        }
    }
}

impl<'a> Deserialize<'a> for Number {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Number(number) => Ok(number),
            _ => Err(de::Error::custom("expected a number")),
        }
    }
}

/// The text of `vd` as the type of its resource.
pub(in super::super) fn opaque(text: Cow<'_, str>, kind: Option<Kind>) -> Value<'_> {
    let fitted = match kind {
        None | Some(Kind::Opaque) => {
            BASE64.decode(flat(&text).as_bytes()).ok().map(|bytes| Value::Opaque(Cow::Owned(bytes)))
        }
        Some(Kind::ObjectLink) => text.parse().ok().map(Value::ObjectLink),
        Some(_) => None,
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
pub(in super::super) fn malformed(format: &'static str, payload: &[u8], error: &serde_json::Error) -> Error {
    let lines = payload.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Error::Malformed {
        format,
        offset: (before + error.column().saturating_sub(1)).min(payload.len()),
        reason: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

/// The array of the records.
pub(super) fn encode<'v>(records: impl ExactSizeIterator<Item = Outgoing<'v>>) -> Result<Vec<u8>, Error> {
    let mut json = Vec::with_capacity(2 + records.len() * USUAL_RECORD);
    let mut name = String::with_capacity(USUAL_NAME);
    json.push(b'[');
    for (index, record) in records.enumerate() {
        json.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        if let Some(base_name) = &record.base_name {
            write_name("bn", base_name, &mut name, &mut json);
        }
        if record.base_name.is_some() && record.name.is_some() {
            json.push(b',');
        }
        if let Some(of) = &record.name {
            write_name("n", of, &mut name, &mut json);
        }
        if let Some((seconds, milliseconds)) = record.taken.and_then(absolute_seconds) {
            put(&mut json, format_args!(",\"t\":{seconds}.{milliseconds:03}"));
        }
        write_value(&record, &mut json)?;
        json.push(b'}');
    }
    json.push(b']');
    Ok(json)
}

/// `text` is for its memory.
fn write_name(field: &str, name: &Name<'_>, text: &mut String, json: &mut Vec<u8>) {
    text.clear();
    write!(text, "{name}").expect("a string takes everything");
    put(json, format_args!("\"{field}\":"));
    put_text(json, text);
}

fn write_value(record: &Outgoing<'_>, json: &mut Vec<u8>) -> Result<(), Error> {
    let Some(value) = &record.value else {
        return Ok(());
    };
    match value {
        Value::Text(text) | Value::CoreLink(text) => {
            json.extend_from_slice(b",\"vs\":");
            put_text(json, text);
        }
        Value::Integer(number) | Value::Time(number) => put(json, format_args!(",\"v\":{number}")),
        Value::Unsigned(number) => put(json, format_args!(",\"v\":{number}")),
        // With a point or an exponent, so that it is a float to a reader without definitions too.
        Value::Float(number) if number.is_finite() => put(json, format_args!(",\"v\":{number:?}")),
        Value::Float(_) => {
            let reason = "JSON has no infinities and no NaN";
            return Err(Error::Unfit { format: NAME, path: record.path, reason });
        }
        Value::Boolean(flag) => put(json, format_args!(",\"vb\":{flag}")),
        Value::Opaque(bytes) => put(json, format_args!(",\"vd\":\"{}\"", Base64Display::new(bytes, &BASE64))),
        Value::ObjectLink(link) => put(json, format_args!(",\"vlo\":\"{link}\"")),
        Value::Null => json.extend_from_slice(b",\"v\":null"),
    }
    Ok(())
}

/// Text that is JSON already.
pub(in super::super) fn put(json: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    json.write_fmt(text).expect("a vector takes everything");
}

/// A text as a string of JSON.
pub(in super::super) fn put_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a vector takes everything");
}

pub(super) const NAME: &str = "SenML JSON";

/// For the first guess at how long the array is.
const USUAL_RECORD: usize = 32;

/// `vd` is base64 for URLs without padding (RFC 8428 4.3); some clients pad it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
