//! Fields to bytes.

use serde_json::{Map, Number, Value as Json};

use crate::layout::{Field, Form, Layout, Order, is_same};

/// The bytes of fields. What cannot be written is named with its field and offset.
pub(crate) fn encode(layout: &Layout, fields: &Map<String, Json>) -> Result<Vec<u8>, String> {
    if let Some(stray) = fields.keys().find(|key| layout.fields.iter().all(|field| field.name != **key)) {
        let known: Vec<&str> = layout.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(format!("no field is named {stray:?}; there are {}", known.join(", ")));
    }
    let mut bytes = Vec::new();
    // What a reader of these bytes will have read so far, and so what conditions depend on.
    let mut read = Map::new();
    for field in &layout.fields {
        if let Some(condition) = field.when.as_ref().filter(|condition| !condition.holds(&read)) {
            if fields.contains_key(&field.name) {
                let (name, other) = (&field.name, &condition.field);
                return Err(format!("field {name:?} is not there with this {other:?}"));
            }
            continue;
        }
        let offset = field.offset.unwrap_or(bytes.len());
        let wrong = |text: String| format!("field {:?} at offset {offset}: {text}", field.name);
        let value = fields.get(&field.name).or(field.default.as_ref());
        let value = value.ok_or_else(|| wrong("is missing, and has no default".into()))?;
        put(field, offset, value, &mut bytes).map_err(wrong)?;
        read.insert(field.name.clone(), value.clone());
    }
    Ok(bytes)
}

fn put(field: &Field, offset: usize, value: &Json, bytes: &mut Vec<u8>) -> Result<(), String> {
    let part = match field.form {
        Form::Integer { .. } => integer(field, value)?,
        Form::Float { size, order } => float(field, size, order, value)?,
        Form::Text { length } => {
            let text = value.as_str().ok_or_else(|| format!("{value} is not a text"))?;
            padded(text.as_bytes().to_vec(), length, "text")?
        }
        Form::Bytes { length } => {
            let bytes = value.as_str().and_then(from_hex);
            let bytes = bytes.ok_or_else(|| format!("{value} is not a text of hexadecimal digits"))?;
            match length {
                Some(length) if length != bytes.len() => {
                    return Err(format!("{} bytes, where there are to be {length}", bytes.len()));
                }
                _ => bytes,
            }
        }
    };
    let end = offset + part.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    // Bits share bytes with other bits; all else stands alone.
    let is_shared = matches!(field.form, Form::Integer { bits: Some(_), .. });
    for (into, byte) in bytes[offset..end].iter_mut().zip(part) {
        *into = if is_shared { *into | byte } else { byte };
    }
    Ok(())
}

fn padded(mut bytes: Vec<u8>, length: Option<usize>, what: &str) -> Result<Vec<u8>, String> {
    if let Some(length) = length {
        if bytes.len() > length {
            return Err(format!("a {what} of {} bytes, at most {length} have room", bytes.len()));
        }
        bytes.resize(length, 0);
    }
    Ok(bytes)
}

fn integer(field: &Field, value: &Json) -> Result<Vec<u8>, String> {
    let Form::Integer { size, order, bits, .. } = field.form else { return Err("is no integer".into()) };
    let raw = match field.values.iter().find(|(_, named)| is_same(named, value)) {
        Some((number, _)) => *number,
        None => number(field, value)?,
    };
    let (low, high) = field.form.range().unwrap_or_default();
    if raw < low || raw > high {
        return Err(format!("{value} does not fit: {raw} is not from {low} to {high}"));
    }
    let placed = raw << bits.map_or(0, |bits| bits.first);
    let all = placed.to_be_bytes();
    let mut bytes = all[all.len() - size..].to_vec();
    if order == Order::Little {
        bytes.reverse();
    }
    Ok(bytes)
}

/// The integer that stands for a JSON number.
fn number(field: &Field, value: &Json) -> Result<i128, String> {
    if let (None, Some(number)) = (field.scale, value.as_number().and_then(Number::as_i128)) {
        return Ok(number);
    }
    let float = value.as_f64().ok_or_else(|| {
        if field.values.is_empty() {
            return format!("{value} is not a number");
        }
        let names: Vec<String> = field.values.iter().map(|(_, name)| name.to_string()).collect();
        format!("{value} is neither a number nor one of {}", names.join(", "))
    })?;
    let raw = field.scale.map_or(float, |scale| scale.undo(float).round());
    if raw.fract() != 0.0 {
        return Err(format!("{value} is not a whole number"));
    }
    // Beyond 128 bits this is the largest there is, which fits no field.
    #[allow(clippy::cast_possible_truncation)]
    Ok(raw as i128)
}

fn float(field: &Field, size: usize, order: Order, value: &Json) -> Result<Vec<u8>, String> {
    let number = match value {
        // As it is told: JSON has no "not a number".
        Json::Null => f64::NAN,
        value => value.as_f64().ok_or_else(|| format!("{value} is not a number"))?,
    };
    let raw = field.scale.map_or(number, |scale| scale.undo(number));
    let mut bytes = match size {
        4 => {
            #[allow(clippy::cast_possible_truncation)]
            // rounding is what 32 bits are about; too much is refused
            let short = raw as f32;
            if short.is_infinite() {
                return Err(format!("{value} does not fit into 32 bits"));
            }
            short.to_be_bytes().to_vec()
        }
        _ => raw.to_be_bytes().to_vec(),
    };
    if order == Order::Little {
        bytes.reverse();
    }
    Ok(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::layout_of;

    fn encoded(fields: &Json, values: &Json) -> Result<Vec<u8>, String> {
        encode(&layout_of(fields), values.as_object().unwrap())
    }

    #[test]
    fn each_form_is_written_as_it_is_read() {
        let fields = json!([
            { "name": "a", "type": "i16le" },
            { "name": "b", "type": "u24be" },
            { "name": "c", "type": "f32be" },
            { "name": "d", "type": "text", "length": 4 },
            { "name": "e", "type": "bytes" },
        ]);
        let values = json!({ "a": -2, "b": 0x01_0203, "c": 1.5, "d": "ab", "e": "0Ff0" });
        let expected = [0xfe, 0xff, 1, 2, 3, 0x3f, 0xc0, 0, 0, b'a', b'b', 0, 0, 0x0f, 0xf0];
        assert_eq!(encoded(&fields, &values).unwrap(), expected);
    }

    #[test]
    fn bits_are_put_beside_each_other() {
        let fields = json!([
            { "name": "mode", "type": "u16le", "offset": 0, "bits": [0, 4] },
            { "name": "level", "type": "u16le", "offset": 0, "bits": [4, 8] },
            { "name": "on", "type": "u16le", "offset": 0, "bits": [15, 1], "values": { "0": false, "1": true } },
            { "name": "next", "type": "u8" },
        ]);
        let values = json!({ "mode": 5, "level": 255, "on": true, "next": 1 });
        assert_eq!(encoded(&fields, &values).unwrap(), [0xf5, 0x8f, 1]);
    }

    #[test]
    fn a_scaled_value_is_the_nearest_number() {
        let fields = json!([{ "name": "t", "type": "i16be", "scale": 0.1, "add": -40 }]);
        assert_eq!(encoded(&fields, &json!({ "t": 21.5 })).unwrap(), 615_i16.to_be_bytes());
        assert_eq!(encoded(&fields, &json!({ "t": -40 })).unwrap(), [0, 0]);
        assert_eq!(encoded(&fields, &json!({ "t": 21.51 })).unwrap(), 615_i16.to_be_bytes());
    }

    #[test]
    fn what_cannot_be_written_names_field_and_offset() {
        let fields = json!([
            { "name": "version", "type": "u8", "default": 1 },
            { "name": "interval", "type": "u16be" },
            { "name": "mode", "type": "u8", "values": { "0": "off", "1": "on" }, "default": "off" },
            { "name": "gain", "type": "u8", "when": { "field": "version", "is": 2 }, "default": 0 },
            { "name": "name", "type": "text", "length": 2, "default": "" },
        ]);
        for (values, reason) in [
            (json!({}), "field \"interval\" at offset 1: is missing, and has no default"),
            (
                json!({ "interval": 65536 }),
                "field \"interval\" at offset 1: 65536 does not fit: 65536 is not from 0 to 65535",
            ),
            (json!({ "interval": 1.5 }), "field \"interval\" at offset 1: 1.5 is not a whole number"),
            (json!({ "interval": 1e300 }), "field \"interval\" at offset 1: 1e+300 does not fit"),
            (json!({ "interval": "60" }), "field \"interval\" at offset 1: \"60\" is not a number"),
            (
                json!({ "interval": 1, "mode": "dim" }),
                "field \"mode\" at offset 3: \"dim\" is neither a number nor one of \"off\", \"on\"",
            ),
            (json!({ "interval": 1, "gain": 3 }), "field \"gain\" is not there with this \"version\""),
            (
                json!({ "interval": 1, "name": "abc" }),
                "field \"name\" at offset 4: a text of 3 bytes, at most 2 have room",
            ),
            (json!({ "intervall": 1 }), "no field is named \"intervall\"; there are version, interval"),
        ] {
            let error = encoded(&fields, &values).unwrap_err();
            assert!(error.starts_with(reason), "{values}: {error}");
        }
        let values = json!({ "interval": 60, "mode": 1, "version": 2, "gain": 7 });
        assert_eq!(encoded(&fields, &values).unwrap(), [2, 0, 60, 1, 7, 0, 0]);
    }
}
