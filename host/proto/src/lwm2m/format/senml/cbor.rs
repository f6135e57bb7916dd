//! SenML records in CBOR (RFC 8428 section 6): labels are integers, and `vlo` a text.

use minicbor::data::Type;

use super::super::Error;
use super::super::cbor::{Reader, Writer};
use super::record::{Entry, Label, Record};
use super::{Outgoing, Pack, absolute_seconds};
use crate::lwm2m::value::Value;

/// Adds the records of an array.
pub(super) fn decode<'a>(pack: &mut Pack<'_, '_, 'a>, payload: &'a [u8]) -> Result<(), Error> {
    let mut reader = Reader::new(NAME, payload);
    let mut records = reader.array()?;
    while reader.next(&mut records)? {
        let start = reader.position();
        let record = record(&mut reader)?;
        pack.add(record).map_err(|reason| reader.malformed(start, reason))?;
    }
    reader.end()
}

/// One record, whose fields may stand in any order.
pub(super) fn record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, Error> {
    let mut record = Record::default();
    let mut fields = reader.map()?;
    while reader.next(&mut fields)? {
        let start = reader.position();
        match label(reader)? {
            Label::BaseName => record.base_name = Some(reader.text()?),
            Label::BaseTime => record.base_time = Some(reader.number()?.float()),
            Label::BaseValue => record.base_value = Some(reader.number()?),
            Label::Version => {
                let version = reader.number()?.float();
                record.set_version(version).map_err(|reason| reader.malformed(start, reason))?;
            }
            Label::Name => record.name = Some(reader.text()?),
            Label::Time => record.time = Some(reader.number()?.float()),
            Label::Value(field) => {
                let item = reader.item()?;
                let entry = Entry { field, scalar: item.scalar, item: Some(item.bytes.into()) };
                record.set(entry).map_err(|reason| reader.malformed(start, reason))?;
            }
            Label::OtherBase => {
                record.has_other_base = true;
                reader.skip_item()?;
            }
            Label::Other => reader.skip_item()?,
            Label::MustUnderstand => {
                return Err(reader.malformed(start, "a field must be understood and is not"));
            }
        }
    }
    Ok(record)
}

fn label(reader: &mut Reader<'_>) -> Result<Label, Error> {
    let start = reader.position();
    if matches!(reader.kind()?, Type::String | Type::StringIndef) {
        return Ok(Label::of_text(&reader.text()?));
    }
    let label = reader.number()?.wide();
    label.map(Label::of_integer).ok_or_else(|| reader.malformed(start, "a label is an integer or a text"))
}

/// The array of the records.
pub(super) fn encode<'v>(records: impl ExactSizeIterator<Item = Outgoing<'v>>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(records.len());
    for record in records {
        let fields = [
            record.base_name.is_some(),
            record.name.is_some(),
            record.taken.is_some(),
            record.value.is_some(),
        ];
        writer.map(fields.into_iter().filter(|is_there| *is_there).count());
        if let Some(name) = &record.base_name {
            writer.integer(BASE_NAME);
            writer.text(&name.to_string());
        }
        if let Some(name) = &record.name {
            writer.integer(NAME_LABEL);
            writer.text(&name.to_string());
        }
        if let Some(taken) = record.taken {
            writer.integer(TIME);
            write_time(taken, &mut writer);
        }
        if let Some(value) = &record.value {
            write_value(value, &mut writer);
        }
    }
    writer.into_bytes()
}

fn write_time(taken: i64, writer: &mut Writer) {
    match absolute_seconds(taken) {
        Some((seconds, 0)) => writer.integer(seconds),
        _ => writer.float(taken as f64 / 1000.0),
    }
}

fn write_value(value: &Value<'_>, writer: &mut Writer) {
    let label = match value {
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) | Value::Null => 2,
        Value::Text(_) | Value::CoreLink(_) => 3,
        Value::Boolean(_) => 4,
        Value::Opaque(_) => 8,
        Value::ObjectLink(_) => {
            writer.text("vlo");
            return writer.value(value);
        }
    };
    writer.integer(label);
    match value {
        // A number like any other: not every client knows the tag that the value has elsewhere.
        Value::Time(seconds) => writer.integer(*seconds),
        value => writer.value(value),
    }
}

pub(super) const NAME: &str = "SenML CBOR";

// Labels (RFC 8428 table 4).
const BASE_NAME: i64 = -2;
const NAME_LABEL: i64 = 0;
const TIME: i64 = 6;

#[cfg(test)]
mod tests;
