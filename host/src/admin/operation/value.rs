//! Values as JSON, in both directions. Bytes are base64; numbers that JSON has not are text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::value::{Kind, ObjectLink, Value};
use utoipa::ToSchema;

use super::super::time;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Type {
    String,
    Integer,
    Unsigned,
    Float,
    Boolean,
    /// Base64.
    Opaque,
    /// Seconds since 1970; RFC 3339 is taken, too.
    Time,
    /// `object:instance`, such as `3:0`.
    ObjectLink,
    CoreLink,
    /// No value: the resource was deleted, or has none.
    None,
}

impl Type {
    pub(in super::super) const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::String,
            Kind::Integer => Self::Integer,
            Kind::Unsigned => Self::Unsigned,
            Kind::Float => Self::Float,
            Kind::Boolean => Self::Boolean,
            Kind::Opaque => Self::Opaque,
            Kind::Time => Self::Time,
            Kind::ObjectLink => Self::ObjectLink,
            Kind::CoreLink => Self::CoreLink,
            Kind::Executable => Self::None,
        }
    }

    pub(in super::super) const fn of_value(value: &Value<'_>) -> Self {
        match value {
            Value::Text(_) => Self::String,
            Value::Integer(_) => Self::Integer,
            Value::Unsigned(_) => Self::Unsigned,
            Value::Float(_) => Self::Float,
            Value::Boolean(_) => Self::Boolean,
            Value::Opaque(_) => Self::Opaque,
            Value::Time(_) => Self::Time,
            Value::ObjectLink(_) => Self::ObjectLink,
            Value::CoreLink(_) => Self::CoreLink,
            Value::Null => Self::None,
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "an integer from -9223372036854775808 to 9223372036854775807",
            Self::Unsigned => "an integer from 0 to 18446744073709551615",
            Self::Float => "a number",
            Self::Boolean => "true or false",
            Self::Opaque => "a text of base64",
            Self::Time => "seconds since 1970, or a time such as \"2026-03-01T12:00:00Z\"",
            Self::ObjectLink => "a text such as \"3:0\"",
            Self::CoreLink => "a text of links",
            Self::None => "null",
        }
    }
}

/// What a value means that was typed as JSON; without a type, what it looks like. The error says what would be right.
pub(in super::super) fn read(json: &Json, of: Option<Type>) -> Result<Value<'static>, String> {
    let of = match of {
        Some(of) => of,
        None => match json {
            Json::String(_) => Type::String,
            Json::Bool(_) => Type::Boolean,
            Json::Number(number) if number.is_i64() => Type::Integer,
            Json::Number(number) if number.is_u64() => Type::Unsigned,
            Json::Number(_) => Type::Float,
            Json::Null => Type::None,
            Json::Array(_) | Json::Object(_) => {
                return Err("is a single text, number, true, false or null".to_owned());
            }
        },
    };
    typed(json, of).ok_or_else(|| format!("must be {}", of.wanted()))
}

fn typed(json: &Json, of: Type) -> Option<Value<'static>> {
    let text = json.as_str();
    Some(match of {
        Type::String => Value::Text(match json {
            Json::String(text) => Cow::Owned(text.clone()),
            Json::Number(number) => Cow::Owned(number.to_string()),
            Json::Bool(flag) => Cow::Owned(flag.to_string()),
            _ => return None,
        }),
        Type::Integer => Value::Integer(json.as_i64().or_else(|| text?.parse().ok())?),
        Type::Unsigned => Value::Unsigned(json.as_u64().or_else(|| text?.parse().ok())?),
        Type::Float => Value::Float(json.as_f64().or_else(|| text?.parse().ok())?),
        Type::Boolean => Value::Boolean(json.as_bool().or_else(|| text?.parse().ok())?),
        Type::Opaque => Value::Opaque(Cow::Owned(STANDARD.decode(text?).ok()?)),
        Type::Time => {
            Value::Time(json.as_i64().or_else(|| text?.parse().ok()).or_else(|| time::parse(text?))?)
        }
        Type::ObjectLink => Value::ObjectLink(text?.parse::<ObjectLink>().ok()?),
        Type::CoreLink => Value::CoreLink(Cow::Owned(text?.to_owned())),
        Type::None => json.is_null().then_some(Value::Null)?,
    })
}

pub(in super::super) fn write(value: &Value<'_>) -> Json {
    match value {
        Value::Text(text) | Value::CoreLink(text) => json!(text),
        Value::Integer(number) | Value::Time(number) => json!(number),
        Value::Unsigned(number) => json!(number),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => json!(number.to_string()),
        Value::Boolean(flag) => json!(flag),
        Value::Opaque(bytes) => json!(STANDARD.encode(bytes)),
        Value::ObjectLink(link) => json!(link.to_string()),
        Value::Null => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_value() {
        for (value, of) in [
            (Value::Text("é".into()), Type::String),
            (Value::Integer(i64::MIN), Type::Integer),
            (Value::Unsigned(u64::MAX), Type::Unsigned),
            (Value::Float(-2.5), Type::Float),
            (Value::Float(f64::INFINITY), Type::Float),
            (Value::Boolean(true), Type::Boolean),
            (Value::Opaque(vec![0, 255].into()), Type::Opaque),
            (Value::Time(-1), Type::Time),
            (Value::ObjectLink(ObjectLink { object: 3, instance: 65535 }), Type::ObjectLink),
            (Value::CoreLink("</3/0>".into()), Type::CoreLink),
            (Value::Null, Type::None),
        ] {
            assert_eq!(Type::of_value(&value), of);
            assert_eq!(read(&write(&value), Some(of)), Ok(value));
        }
    }

    #[test]
    fn what_people_type_is_taken_and_what_does_not_fit_says_what_would() {
        assert_eq!(read(&json!("21"), Some(Type::Integer)), Ok(Value::Integer(21)));
        assert_eq!(read(&json!(21), Some(Type::String)), Ok(Value::Text("21".into())));
        assert_eq!(read(&json!("1970-01-01T00:01:00Z"), Some(Type::Time)), Ok(Value::Time(60)));
        assert_eq!(read(&json!(2.5), None), Ok(Value::Float(2.5)));
        for (json, of, expected) in [
            (json!("x"), Type::Integer, "an integer from"),
            (json!(-1), Type::Unsigned, "from 0"),
            (json!("%"), Type::Opaque, "base64"),
            (json!("3/0"), Type::ObjectLink, "3:0"),
            (json!({}), Type::String, "a text"),
        ] {
            assert!(read(&json, Some(of)).unwrap_err().contains(expected), "{json}");
        }
        assert!(read(&json!([1]), None).is_err());
    }
}
