//! The settings: topics, and the layouts.

use serde_json::Value as Json;
use tidegate_sdk::settings::{Table, qos, topic};
use tidegate_sdk::{Diagnostic, Qos};

use crate::layout::{Bits, Condition, Field, Form, Layout, Order, Pattern, Scale};

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// First levels of every topic.
    pub(crate) prefix: String,
    pub(crate) qos: Qos,
    /// Whether what has a layout is observed.
    pub(crate) observe: bool,
    pub(crate) layouts: Vec<Layout>,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let mut root = Table::of(text, &mut wrong);
        let prefix = root.read("prefix", "a topic without wildcards", topic);
        let qos = root.read("qos", "0, 1 or 2", qos);
        let observe = root.read("observe", "true or false", Json::as_bool).unwrap_or(true);
        let mut layouts: Vec<Layout> = Vec::new();
        for (key, json) in root.require_list("layouts", "a list of tables with name, path and fields") {
            let Some(layout) = layout(&key, json, root.all_wrong()) else { continue };
            if layouts.iter().any(|other| other.name == layout.name) {
                root.all_wrong().push(Diagnostic {
                    key: format!("{key}.name"),
                    text: format!("{:?} is the name of another layout, too", layout.name),
                });
            }
            layouts.push(layout);
        }
        root.finish();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let prefix = prefix.unwrap_or_else(|| "vendor".into());
        Ok(Self { prefix, qos: qos.unwrap_or(Qos::AtMostOnce), observe, layouts })
    }
}

fn layout(key: &str, json: Json, wrong: &mut Vec<Diagnostic>) -> Option<Layout> {
    let mut table = Table::new(key, json, wrong);
    let name = table.require("name", "a text", text);
    let path = table.require("path", "a resource, such as \"/19/0/0\" or \"/19/*/0\"", |json| {
        Pattern::parse(json.as_str()?)
    });
    let mut fields = Vec::new();
    for (key, json) in table.require_list("fields", "a list of tables with name and type") {
        fields.extend(field(&key, json, &fields, table.all_wrong()));
    }
    table.finish();
    Some(Layout { name: name?, path: path?, fields })
}

fn field(key: &str, json: Json, earlier: &[Field], wrong: &mut Vec<Diagnostic>) -> Option<Field> {
    let mut table = Table::new(key, json, wrong);
    let name = table.require("name", "a text", text);
    let form = table.require("type", FORMS, |json| form(json.as_str()?));
    let bits = table.read("bits", "the lowest bit and how many, such as [0, 4]", bits);
    let length = table.read("length", "a number of bytes, at most 65535", size);
    let form = form.and_then(|form| complete(form, bits, length, &mut table));
    let offset = table.read("offset", "a number of bytes, at most 65535", size);
    let factor = table.read("scale", "a number other than 0", |json| json.as_f64().filter(|of| *of != 0.0));
    let add = table.read("add", "a number", Json::as_f64);
    let unit = table.read("unit", "a text", text);
    let values = table.read("values", "a table such as { \"0\" = \"shut\", \"1\" = \"open\" }", values);
    let when = table.read("when", "a table such as { field = \"version\", is = [1, 2] }", condition);
    let default = table.take("default");
    if let Some(other) = name.as_ref().filter(|name| earlier.iter().any(|field| field.name == **name)) {
        table.wrong("name", format!("{other:?} is the name of an earlier field, too"));
    }
    if let Some(when) = when.as_ref().filter(|when| earlier.iter().all(|field| field.name != when.field)) {
        table.wrong("when", format!("{:?} is no earlier field", when.field));
    }
    if offset.is_none() && earlier.iter().any(is_open) {
        table.wrong("offset", "is missing: the field before it reaches to the end".into());
    }
    if bits.is_some() && offset.is_none() {
        table.wrong("offset", "is missing: bits need one, as they may share their bytes".into());
    }
    let is_number = matches!(form, Some(Form::Integer { .. } | Form::Float { .. }) | None);
    if !is_number && (factor.is_some() || add.is_some()) {
        table.wrong("scale", "is for numbers".into());
    }
    if values.is_some() && !matches!(form, Some(Form::Integer { .. }) | None) {
        table.wrong("values", "are for integers".into());
    }
    table.finish();
    let scale =
        (factor.is_some() || add.is_some()).then(|| Scale::new(factor.unwrap_or(1.0), add.unwrap_or(0.0)));
    let values = values.unwrap_or_default();
    Some(Field { name: name?, offset, form: form?, scale, unit, values, when, default })
}

/// The form with its bits or its length, as far as it can have them.
fn complete(form: Form, bits: Option<Bits>, length: Option<usize>, table: &mut Table<'_>) -> Option<Form> {
    match form {
        Form::Text { .. } if bits.is_none() => return Some(Form::Text { length }),
        Form::Bytes { .. } if bits.is_none() => return Some(Form::Bytes { length }),
        _ if length.is_some() => table.wrong("length", "is for text and bytes".into()),
        Form::Integer { size, is_signed: false, order, .. } => {
            let width = 8 * u32::try_from(size).unwrap_or_default();
            if let Some(bits) = bits.filter(|bits| bits.first + bits.count > width) {
                let last = bits.first + bits.count - 1;
                table.wrong("bits", format!("bit {last} is not among the {width} of {form}"));
            }
            return Some(Form::Integer { size, is_signed: false, order, bits });
        }
        form if bits.is_none() => return Some(form),
        _ => table.wrong("bits", "are those of an unsigned integer".into()),
    }
    None
}

/// Whether a field has no end of its own.
fn is_open(field: &Field) -> bool {
    field.form.size().is_none()
}

fn text(json: &Json) -> Option<String> {
    json.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn size(json: &Json) -> Option<usize> {
    u16::try_from(json.as_u64()?).ok().map(usize::from)
}

fn bits(json: &Json) -> Option<Bits> {
    let [first, count] = json.as_array()?.as_slice() else { return None };
    let number =
        |json: &Json| json.as_u64().filter(|number| *number <= 64).and_then(|of| u32::try_from(of).ok());
    Some(Bits { first: number(first)?, count: number(count).filter(|count| *count > 0)? })
}

fn values(json: &Json) -> Option<Vec<(i128, Json)>> {
    json.as_object()?.iter().map(|(number, value)| Some((number.parse().ok()?, value.clone()))).collect()
}

fn condition(json: &Json) -> Option<Condition> {
    let table = json.as_object().filter(|table| table.len() == 2)?;
    let is = match table.get("is")? {
        Json::Array(any) => any.clone(),
        one => vec![one.clone()],
    };
    Some(Condition { field: table.get("field")?.as_str()?.to_owned(), is })
}

/// A form by its name, such as `u16le`.
fn form(name: &str) -> Option<Form> {
    let form = match name {
        "text" => return Some(Form::Text { length: None }),
        "bytes" => return Some(Form::Bytes { length: None }),
        form => form,
    };
    let (number, order) = match (form.strip_suffix("le"), form.strip_suffix("be")) {
        (Some(number), _) => (number, Order::Little),
        (_, Some(number)) => (number, Order::Big),
        // One byte has no order.
        _ if matches!(form, "u8" | "i8") => (form, Order::Big),
        _ => return None,
    };
    let integer = |size, is_signed| Some(Form::Integer { size, is_signed, order, bits: None });
    match number {
        "u8" if form == "u8" => integer(1, false),
        "i8" if form == "i8" => integer(1, true),
        "u16" => integer(2, false),
        "i16" => integer(2, true),
        "u24" => integer(3, false),
        "i24" => integer(3, true),
        "u32" => integer(4, false),
        "i32" => integer(4, true),
        "u64" => integer(8, false),
        "i64" => integer(8, true),
        "f32" => Some(Form::Float { size: 4, order }),
        "f64" => Some(Form::Float { size: 8, order }),
        _ => None,
    }
}

/// A layout of these fields, for tests.
#[cfg(test)]
pub(crate) fn layout_of(fields: &Json) -> Layout {
    let json = serde_json::json!({ "layouts": [{ "name": "test", "path": "/19/*/0", "fields": fields }] });
    Settings::parse(&json.to_string()).unwrap().layouts.remove(0)
}

const FORMS: &str =
    "u8, i8, text, bytes, or one of u16, i16, u24, i24, u32, i32, u64, i64, f32, f64 with le or be after it";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(settings: &Json) -> Vec<String> {
        let wrong = Settings::parse(&settings.to_string()).unwrap_err();
        wrong.into_iter().map(|of| of.key).collect()
    }

    fn wrong_with(field: &Json) -> (String, String) {
        let first = json!({ "name": "first", "type": "u8" });
        let layout = json!({ "name": "a", "path": "/19/0/0", "fields": [first, field] });
        let wrong = Settings::parse(&json!({ "layouts": [layout] }).to_string()).unwrap_err();
        let [Diagnostic { key, text }] = <[Diagnostic; 1]>::try_from(wrong).unwrap();
        (key, text)
    }

    #[test]
    fn each_wrong_key_is_named_at_once() {
        assert_eq!(keys(&json!({})), ["layouts"]);
        assert_eq!(
            keys(&json!({ "layouts": [], "prefix": "a/#", "qos": 3, "qosses": 1 })),
            ["prefix", "qos", "qosses"]
        );
        let layouts =
            json!([{ "name": "", "path": "/19", "fields": [{ "name": "x", "type": "u16" }, 5], "more": 1 }]);
        assert_eq!(
            keys(&json!({ "layouts": layouts })),
            [
                "layouts[0].name",
                "layouts[0].path",
                "layouts[0].fields[0].type",
                "layouts[0].fields[1]",
                "layouts[0].fields[1].name",
                "layouts[0].fields[1].type",
                "layouts[0].more"
            ]
        );
    }

    #[test]
    fn what_a_field_cannot_have_is_refused() {
        for (field, key, text) in [
            (json!({ "name": "first", "type": "u8" }), "name", "an earlier field"),
            (json!({ "name": "x", "type": "u16" }), "type", "\"u16\" is not u8"),
            (json!({ "name": "x", "type": "u8le" }), "type", "is not"),
            (json!({ "name": "x", "type": "i8", "offset": 0, "bits": [0, 1] }), "bits", "unsigned"),
            (
                json!({ "name": "x", "type": "u16le", "offset": 0, "bits": [12, 5] }),
                "bits",
                "bit 16 is not among the 16 of u16le",
            ),
            (json!({ "name": "x", "type": "u8", "bits": [0, 1] }), "offset", "is missing"),
            (json!({ "name": "x", "type": "u8", "offset": 65536 }), "offset", "at most 65535"),
            (json!({ "name": "x", "type": "u8", "length": 1 }), "length", "text and bytes"),
            (json!({ "name": "x", "type": "text", "scale": 2 }), "scale", "numbers"),
            (json!({ "name": "x", "type": "u8", "scale": 0 }), "scale", "other than 0"),
            (json!({ "name": "x", "type": "f32le", "values": { "1": "on" } }), "values", "integers"),
            (json!({ "name": "x", "type": "u8", "values": { "on": 1 } }), "values", "a table"),
            (
                json!({ "name": "x", "type": "u8", "when": { "field": "y", "is": 1 } }),
                "when",
                "no earlier field",
            ),
            (json!({ "name": "x", "type": "u8", "when": { "is": 1 } }), "when", "a table"),
        ] {
            let (found, reason) = wrong_with(&field);
            assert_eq!(found, format!("layouts[0].fields[1].{key}"), "{field}: {reason}");
            assert!(reason.contains(text), "{field}: {reason}");
        }
    }

    #[test]
    fn nothing_follows_what_reaches_to_the_end() {
        let fields = json!([{ "name": "a", "type": "text" }, { "name": "b", "type": "u8" }]);
        let layouts = json!([{ "name": "a", "path": "/19/0/0", "fields": fields }]);
        assert_eq!(keys(&json!({ "layouts": layouts })), ["layouts[0].fields[1].offset"]);
    }

    #[test]
    fn two_layouts_of_one_name_are_refused() {
        let layout = json!({ "name": "a", "path": "/19/0/0", "fields": [] });
        assert_eq!(keys(&json!({ "layouts": [layout, layout] })), ["layouts[1].name"]);
    }
}
