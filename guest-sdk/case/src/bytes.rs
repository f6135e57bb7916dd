//! Bytes, as text, JSON, hexadecimal digits or base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// JSON, as TOML has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Json(pub(crate) Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        to_json(toml::Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

fn to_json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => return Err(format!("{number} is no number of JSON")),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => return Err(format!("JSON has no dates: write \"{time}\", a text")),
        toml::Value::Array(list) => list.into_iter().map(to_json).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => {
            let entry = |(key, value)| to_json(value).map(|value| (key, value));
            Value::Object(table.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}

/// Bytes of a case: a text, or a table with one of `text`, `json`, `hex`, `base64`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bytes {
    Text(String),
    Json(Value),
    Hex(Vec<u8>),
    Base64(Vec<u8>),
}

impl Bytes {
    /// Of the keys of a table; none if it has none of them.
    pub(crate) fn of(
        text: Option<String>,
        json: Option<Json>,
        hex: Option<&str>,
        base64: Option<&str>,
    ) -> Result<Option<Self>, String> {
        let all = [
            text.map(Self::Text).map(Ok),
            json.map(|Json(json)| from_json(json).map(Self::Json)),
            hex.map(|digits| from_hex(digits).map(Self::Hex)),
            base64.map(|text| {
                STANDARD.decode(text).map(Self::Base64).map_err(|error| format!("`base64`: {error}"))
            }),
        ];
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (first, None) => first.transpose(),
            _ => Err("only one of `text`, `json`, `hex` and `base64`".to_owned()),
        }
    }

    /// The bytes themselves.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Json(json) => json.to_string().into_bytes(),
            Self::Hex(bytes) | Self::Base64(bytes) => bytes.clone(),
        }
    }

    /// Bytes in the way that a person would write them.
    pub(crate) fn natural(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.starts_with(['{', '[']) => match serde_json::from_str(text) {
                Ok(json) => Self::Json(json),
                Err(_) => Self::Text(text.to_owned()),
            },
            Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) => {
                Self::Text(text.to_owned())
            }
            _ => Self::Hex(bytes.to_vec()),
        }
    }

    /// Bytes in the way of another, where that is possible.
    pub(crate) fn alike(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Text(_) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Hex(bytes.to_vec()),
            },
            Self::Json(_) => serde_json::from_slice(bytes).map_or_else(|_| Self::natural(bytes), Self::Json),
            Self::Hex(_) => Self::Hex(bytes.to_vec()),
            Self::Base64(_) => Self::Base64(bytes.to_vec()),
        }
    }

    /// Key and value, as they are written.
    pub(crate) fn written(&self) -> (&'static str, Value) {
        match self {
            Self::Text(text) => ("text", json!(text)),
            Self::Json(value) => ("json", value.clone()),
            Self::Hex(bytes) => ("hex", json!(to_hex(bytes))),
            Self::Base64(bytes) => ("base64", json!(STANDARD.encode(bytes))),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            text: Option<String>,
            json: Option<Json>,
            hex: Option<String>,
            base64: Option<String>,
        }
        let value = toml::Value::deserialize(deserializer)?;
        if let toml::Value::String(text) = value {
            return Ok(Self::Text(text));
        }
        let Table { text, json, hex, base64 } = value.try_into().map_err(D::Error::custom)?;
        let bytes = Self::of(text, json, hex.as_deref(), base64.as_deref()).map_err(D::Error::custom)?;
        bytes.ok_or_else(|| D::Error::custom("a text, or a table with `text`, `json`, `hex` or `base64`"))
    }
}

/// TOML has no null: a text is JSON as text.
fn from_json(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| format!("`json`: {error}")),
        value => Ok(value),
    }
}

/// Bytes of hexadecimal digits, between which there may be spaces.
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
    let digits = digits.ok_or_else(|| format!("{text:?} is not pairs of hexadecimal digits"))?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
        text
    })
}

/// The bytes of a JSON list of numbers.
pub(crate) fn of_list(list: &Value) -> Vec<u8> {
    let numbers = list.as_array().into_iter().flatten();
    numbers.filter_map(|number| u8::try_from(number.as_u64()?).ok()).collect()
}
