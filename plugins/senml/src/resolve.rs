//! Reads SenML JSON (RFC 8428, 4 and 5) as far as commands need it: names and values.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value as Json};
use tidegate_sdk::Value;

use crate::base64;

/// A record with its full name.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// None, if it only names something.
    pub(crate) value: Option<Field>,
}

/// A value as it stands in SenML.
#[derive(Debug, PartialEq)]
pub(crate) enum Field {
    Number(Number),
    Text(String),
    Boolean(bool),
    Bytes(Vec<u8>),
}

impl From<Field> for Value {
    fn from(field: Field) -> Self {
        match field {
            Field::Text(text) => Self::Text(text),
            Field::Boolean(flag) => Self::Boolean(flag),
            Field::Bytes(bytes) => Self::Opaque(bytes),
            Field::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Integer(number),
                (_, Some(number)) => Self::Unsigned(number),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }
}

/// The records of a pack, or which one is wrong and why.
pub(crate) fn resolve(payload: &[u8]) -> Result<Vec<Record>, String> {
    let pack: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_slice(payload)
        .map_err(|error| format!("not SenML, which is an array of JSON objects: {error}"))?;
    let mut base = Base { name: String::new(), value: None };
    let mut records = Vec::with_capacity(pack.len());
    for (at, record) in pack.into_iter().enumerate() {
        let wrong = |text: String| format!("record {at}: {text}");
        let fields = record.into_iter().map(|(key, raw)| Ok((key, exact(&raw)?)));
        let record: &Map<String, Json> = &fields.collect::<Result<_, String>>().map_err(wrong)?;
        if let Some(record) = base.resolve(record).map_err(wrong)? {
            records.push(record);
        }
    }
    Ok(records)
}

/// A JSON value whose number is to the last digit what is written; the reader of JSON is not that exact.
fn exact(raw: &RawValue) -> Result<Json, String> {
    let text = raw.get();
    let is_float = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.contains(['.', 'e', 'E']);
    if !is_float {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let number = text.parse().ok().and_then(Number::from_f64);
    number.map(Json::Number).ok_or_else(|| format!("{text} is too large a number"))
}

/// What the records so far say for all that follow.
struct Base {
    name: String,
    value: Option<f64>,
}

impl Base {
    /// None for a record that only has base fields.
    fn resolve(&mut self, record: &Map<String, Json>) -> Result<Option<Record>, String> {
        // Section 4.4: what ends with `_` must be understood.
        if let Some(unknown) = record.keys().find(|key| key.ends_with('_')) {
            return Err(format!("{unknown} must be understood, and is not"));
        }
        if let Some(version) =
            record.get("bver").filter(|version| version.as_u64().is_none_or(|of| of > VERSION))
        {
            return Err(format!("version {version} is not known"));
        }
        if let Some(name) = text(record, "bn")? {
            name.clone_into(&mut self.name);
        }
        if let Some(value) = record.get("bv") {
            self.value = Some(value.as_f64().ok_or_else(|| format!("bv {value} is not a number"))?);
        }
        let name = text(record, "n")?;
        let value = self.value(record)?;
        if name.is_none() && value.is_none() {
            return Ok(None);
        }
        Ok(Some(Record { name: format!("{}{}", self.name, name.unwrap_or_default()), value }))
    }

    fn value(&self, record: &Map<String, Json>) -> Result<Option<Field>, String> {
        let given: Vec<&str> = VALUES.into_iter().filter(|key| record.contains_key(*key)).collect();
        if given.len() > 1 {
            return Err(format!("it has {}, and may have one value", given.join(" and ")));
        }
        let Some(key) = given.first() else { return Ok(None) };
        let value = &record[*key];
        let field = match (*key, value) {
            ("v", Json::Number(number)) => Some(Field::Number(self.sum(number)?)),
            ("vs", Json::String(text)) => Some(Field::Text(text.clone())),
            ("vb", Json::Bool(flag)) => Some(Field::Boolean(*flag)),
            ("vd", Json::String(text)) => base64::decode(text).map(Field::Bytes),
            _ => None,
        };
        field.map(Some).ok_or_else(|| format!("{value} cannot be the value of {key}"))
    }

    fn sum(&self, number: &Number) -> Result<Number, String> {
        let Some(base) = self.value else { return Ok(number.clone()) };
        let sum = base + number.as_f64().unwrap_or(f64::NAN);
        Number::from_f64(sum).ok_or_else(|| format!("the sum of {base} and {number} is no number"))
    }
}

fn text<'a>(record: &'a Map<String, Json>, key: &str) -> Result<Option<&'a str>, String> {
    match record.get(key) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key} {other} is not a text")),
    }
}

/// The version of RFC 8428.
const VERSION: u64 = 10;
const VALUES: [&str; 4] = ["v", "vs", "vb", "vd"];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(payload: &str) -> Vec<String> {
        resolve(payload.as_bytes()).unwrap().into_iter().map(|record| record.name).collect()
    }

    #[test]
    fn base_fields_hold_until_the_next() {
        let payload = r#"[{"bn":"urn:dev:1/3303/","n":"0/5700","v":1},{"n":"1/5700","v":2},{"bn":"/3/0/","n":"14","vs":"+01"}]"#;
        assert_eq!(names(payload), ["urn:dev:1/3303/0/5700", "urn:dev:1/3303/1/5700", "/3/0/14"]);
        let sums = resolve(br#"[{"bn":"/a","bv":20,"v":1.5},{"n":"b","v":2}]"#).unwrap();
        let sums: Vec<Value> = sums.into_iter().map(|record| record.value.unwrap().into()).collect();
        assert!(matches!(sums[..], [Value::Float(a), Value::Float(b)] if a == 21.5 && b == 22.0), "{sums:?}");
    }

    #[test]
    fn a_record_of_base_fields_alone_is_none() {
        assert_eq!(names(r#"[{"bn":"/3/0/","bt":1},{"n":"9"}]"#), ["/3/0/9"]);
    }

    #[test]
    fn numbers_keep_what_they_are() {
        let value =
            |text: &str| resolve(format!(r#"[{{"n":"a","v":{text}}}]"#).as_bytes()).unwrap().remove(0).value;
        assert!(matches!(value("5").unwrap().into(), Value::Integer(5)));
        assert!(matches!(value("18446744073709551615").unwrap().into(), Value::Unsigned(u64::MAX)));
        assert!(matches!(value("5.0").unwrap().into(), Value::Float(5.0)));
    }

    #[test]
    fn the_record_that_is_wrong_is_named() {
        for (payload, reason) in [
            ("{}", "not SenML"),
            ("[1]", "not SenML"),
            (r#"[{"n":1}]"#, "record 0: n 1 is not a text"),
            (r#"[{"n":"a"},{"n":"b","v":1,"vs":"x"}]"#, "record 1: it has v and vs"),
            (r#"[{"n":"a","v":"1"}]"#, "record 0: \"1\" cannot be the value of v"),
            (r#"[{"n":"a","vd":"?"}]"#, "record 0: \"?\" cannot be the value of vd"),
            (r#"[{"n":"a","x_":1}]"#, "record 0: x_ must be understood"),
            (r#"[{"bver":11,"n":"a"}]"#, "record 0: version 11 is not known"),
            (r#"[{"n":"a","v":1e999}]"#, "record 0: 1e999 is too large a number"),
            (r#"[{"bv":1e308,"n":"a","v":1e308}]"#, "is no number"),
        ] {
            let error = resolve(payload.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{payload}: {error}");
        }
    }
}
