//! Bytes to fields.

use serde_json::{Map, Number, Value as Json};

use crate::layout::{Field, Form, Layout, Order};

/// The fields of a value. What cannot be read is named with its field and offset.
pub(crate) fn decode(layout: &Layout, bytes: &[u8]) -> Result<Map<String, Json>, String> {
    let mut fields = Map::new();
    let mut end = 0;
    for field in &layout.fields {
        if field.when.as_ref().is_some_and(|condition| !condition.holds(&fields)) {
            continue;
        }
        let offset = field.offset.unwrap_or(end);
        let size = field.form.size().unwrap_or(bytes.len().saturating_sub(offset));
        let Some(part) = bytes.get(offset..offset + size) else {
            let (name, form, there) = (&field.name, field.form, bytes.len());
            return Err(format!(
                "field {name:?} at offset {offset}: {form} takes {size} bytes, and the value ends at {there}"
            ));
        };
        let value = value(field, part)
            .map_err(|text| format!("field {:?} at offset {offset}: {text}", field.name))?;
        fields.insert(field.name.clone(), value);
        end = end.max(offset + size);
    }
    Ok(fields)
}

fn value(field: &Field, part: &[u8]) -> Result<Json, String> {
    Ok(match field.form {
        Form::Integer { .. } => integer(field, raw(field.form, part)),
        Form::Float { order, .. } => float(field, part, order),
        Form::Text { .. } => {
            let text = std::str::from_utf8(part).map_err(|error| error.to_string())?;
            Json::from(text.trim_end_matches('\0'))
        }
        Form::Bytes { .. } => Json::from(part.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    })
}

/// What a number stands for, or the number, scaled.
fn integer(field: &Field, raw: i128) -> Json {
    if let Some((_, value)) = field.values.iter().find(|(number, _)| *number == raw) {
        return value.clone();
    }
    match field.scale {
        // At most 64 bits, so that a float is what JSON would have made of it anyway.
        #[allow(clippy::cast_precision_loss)]
        Some(scale) => number(scale.apply(raw as f64)),
        None => Number::from_i128(raw).map_or(Json::Null, Json::Number),
    }
}

fn float(field: &Field, part: &[u8], order: Order) -> Json {
    let mut bytes = part.to_vec();
    if order == Order::Little {
        bytes.reverse();
    }
    let value = match bytes[..] {
        [a, b, c, d] => shortest(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    number(field.scale.map_or(value, |scale| scale.apply(value)))
}

/// The number that the 32 bits were most likely made of: 0.1, and not 0.10000000149011612.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// JSON has neither infinity nor "not a number".
fn number(value: f64) -> Json {
    Number::from_f64(value).map_or(Json::Null, Json::Number)
}

/// The integer in some bytes, of which there are at most eight.
fn raw(form: Form, part: &[u8]) -> i128 {
    let Form::Integer { is_signed, order, bits, .. } = form else { return 0 };
    let shift = |sum: i128, byte: &u8| (sum << 8) | i128::from(*byte);
    let unsigned = match order {
        Order::Big => part.iter().fold(0, shift),
        Order::Little => part.iter().rev().fold(0, shift),
    };
    let width = 8 * part.len();
    match bits {
        Some(bits) => (unsigned >> bits.first) & ((1 << bits.count) - 1),
        None if is_signed && unsigned >> (width - 1) == 1 => unsigned - (1 << width),
        None => unsigned,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::layout_of;

    fn decoded(fields: &Json, bytes: &[u8]) -> Result<Json, String> {
        decode(&layout_of(fields), bytes).map(Json::Object)
    }

    #[test]
    fn integers_of_every_size_and_order() {
        let bytes = [0xff, 0xfe, 0x01, 0x02, 0x03, 0x04, 0x05, 0x80];
        for (form, expected) in [
            ("u8", json!(255)),
            ("i8", json!(-1)),
            ("u16le", json!(0xfeff)),
            ("u16be", json!(0xfffe)),
            ("i16be", json!(-2)),
            ("i16le", json!(-257)),
            ("u24be", json!(0xfffe01)),
            ("i24be", json!(-511)),
            ("u32le", json!(0x0201_feff)),
            ("i32be", json!(-130_814)),
            ("u64be", json!(0xfffe_0102_0304_0580_u64)),
            ("i64le", json!(-9_221_960_251_006_124_289_i64)),
        ] {
            assert_eq!(
                decoded(&json!([{ "name": "x", "type": form }]), &bytes).unwrap(),
                json!({ "x": expected }),
                "{form}"
            );
        }
    }

    #[test]
    fn floats_are_the_shortest_that_they_can_be() {
        let f32le = json!([{ "name": "x", "type": "f32le" }]);
        assert_eq!(decoded(&f32le, &0.1_f32.to_le_bytes()).unwrap(), json!({ "x": 0.1 }));
        assert_eq!(decoded(&f32le, &f32::NAN.to_le_bytes()).unwrap(), json!({ "x": null }));
        let f64be = json!([{ "name": "x", "type": "f64be" }]);
        assert_eq!(decoded(&f64be, &(-2.5_f64).to_be_bytes()).unwrap(), json!({ "x": -2.5 }));
    }

    #[test]
    fn bits_share_a_byte_and_what_follows_comes_after_it() {
        let fields = json!([
            { "name": "mode", "type": "u8", "offset": 0, "bits": [0, 2] },
            { "name": "alarm", "type": "u8", "offset": 0, "bits": [7, 1], "values": { "0": false, "1": true } },
            { "name": "count", "type": "u8" },
        ]);
        assert_eq!(
            decoded(&fields, &[0b1000_0010, 9]).unwrap(),
            json!({ "mode": 2, "alarm": true, "count": 9 })
        );
    }

    #[test]
    fn text_and_bytes_have_a_length_or_reach_to_the_end() {
        let fields = json!([
            { "name": "id", "type": "text", "length": 4 },
            { "name": "key", "type": "bytes", "length": 2 },
            { "name": "note", "type": "text" },
        ]);
        let value = decoded(&fields, b"ab\0\0\x0f\xf0rest").unwrap();
        assert_eq!(value, json!({ "id": "ab", "key": "0ff0", "note": "rest" }));
        assert_eq!(decoded(&fields, b"abcd\x0f\xf0").unwrap()["note"], json!(""));
        let error = decoded(&fields, b"abcd\x0f\xf0\xff").unwrap_err();
        assert!(error.starts_with("field \"note\" at offset 6: "), "{error}");
    }

    #[test]
    fn a_field_is_there_when_its_condition_holds() {
        let fields = json!([
            { "name": "version", "type": "u8" },
            { "name": "old", "type": "u8", "when": { "field": "version", "is": 1 } },
            { "name": "new", "type": "u16be", "when": { "field": "version", "is": [2, 3] } },
            { "name": "last", "type": "u8" },
        ]);
        assert_eq!(decoded(&fields, &[1, 7, 9]).unwrap(), json!({ "version": 1, "old": 7, "last": 9 }));
        assert_eq!(decoded(&fields, &[3, 1, 0, 9]).unwrap(), json!({ "version": 3, "new": 256, "last": 9 }));
    }

    #[test]
    fn what_cannot_be_read_names_field_and_offset() {
        let fields = json!([{ "name": "a", "type": "u8" }, { "name": "b", "type": "u16le" }]);
        assert_eq!(
            decoded(&fields, &[1, 2]).unwrap_err(),
            "field \"b\" at offset 1: u16le takes 2 bytes, and the value ends at 2"
        );
    }

    #[test]
    fn a_number_that_stands_for_nothing_is_told_as_it_is() {
        let fields = json!([{ "name": "door", "type": "u8", "values": { "0": "shut", "1": "open" } }]);
        assert_eq!(decoded(&fields, &[1]).unwrap(), json!({ "door": "open" }));
        assert_eq!(decoded(&fields, &[7]).unwrap(), json!({ "door": 7 }));
    }
}
