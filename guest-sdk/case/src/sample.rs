//! Paths and samples.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::bytes::from_hex;
use crate::time::Timestamp;

/// `/3303/0/5700`, as the contract's record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path(pub(crate) Value);

impl Path {
    /// None is the root.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no path such as \"/3303/0/5700\"");
        let ids = text.strip_prefix('/').ok_or_else(wrong)?;
        let ids = ids.split('/').filter(|_| !ids.is_empty()).map(str::parse::<u16>);
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
        if ids.len() > 4 {
            return Err(wrong());
        }
        Ok(Self::of(&ids))
    }

    fn of(ids: &[u16]) -> Self {
        let id = |level: usize| ids.get(level);
        Self(json!({
            "object": id(0), "object_instance": id(1), "resource": id(2), "resource_instance": id(3),
        }))
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One value, as the contract's record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample(pub(crate) Value);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: Path,
    text: Option<String>,
    integer: Option<i64>,
    unsigned: Option<Unsigned>,
    float: Option<Number>,
    boolean: Option<bool>,
    hex: Option<String>,
    time: Option<Seconds>,
    object_link: Option<String>,
    core_link: Option<String>,
    null: Option<bool>,
    kind: Option<String>,
    taken: Option<Timestamp>,
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        table.read().map(Self).map_err(D::Error::custom)
    }
}

impl Table {
    fn read(self) -> Result<Value, String> {
        let hex = self.hex.as_deref().map(from_hex).transpose()?;
        let link = self.object_link.as_deref().map(object_link).transpose()?;
        let values = [
            self.text.map(|of| json!({ "Text": of })),
            self.integer.map(|of| json!({ "Integer": of })),
            self.unsigned.map(|of| json!({ "Unsigned": of.0 })),
            self.float.map(|of| json!({ "Float": of.0 })),
            self.boolean.map(|of| json!({ "Boolean": of })),
            hex.map(|of| json!({ "Opaque": of })),
            self.time.map(|of| json!({ "Time": of.0 })),
            link.map(|of| json!({ "ObjectLink": of })),
            self.core_link.map(|of| json!({ "CoreLink": of })),
            self.null.map(|_| json!("Null")),
        ];
        let mut values = values.into_iter().flatten();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(
                "a sample has one of `text`, `integer`, `unsigned`, `float`, `boolean`, `hex`, `time`, \
                        `object_link`, `core_link` and `null`"
                    .to_owned(),
            );
        };
        let kind = self.kind.map(|kind| kind_of(&kind)).transpose()?;
        Ok(json!({
            "path": self.path.0, "value": value, "kind": kind, "taken": self.taken.map(|taken| taken.0),
        }))
    }
}

/// A number with or without a fraction.
#[derive(Clone, Copy)]
pub(crate) struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Float(number) => Ok(Self(number)),
            #[allow(clippy::cast_precision_loss)] // a person has written it
            toml::Value::Integer(number) => Ok(Self(number as f64)),
            other => Err(D::Error::custom(format!("{other} is no number"))),
        }
    }
}

/// Beyond the range of TOML's integers it is a text.
struct Unsigned(u64);

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let number = match &value {
            toml::Value::Integer(number) => u64::try_from(*number).ok(),
            toml::Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom(format!("{value} is no unsigned number")))
    }
}

/// Seconds since 1970, or a date.
struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        if let toml::Value::Integer(seconds) = value {
            return Ok(Self(seconds));
        }
        let time = Timestamp::deserialize(value).map_err(D::Error::custom)?;
        Ok(Self(time.0.div_euclid(1_000)))
    }
}

fn object_link(text: &str) -> Result<Value, String> {
    let ids = text
        .split_once(':')
        .and_then(|(object, instance)| Some((object.parse::<u16>().ok()?, instance.parse::<u16>().ok()?)));
    let (object, instance) = ids.ok_or_else(|| format!("{text:?} is no object link such as \"3303:0\""))?;
    Ok(json!({ "object": object, "object_instance": instance }))
}

fn kind_of(kind: &str) -> Result<String, String> {
    crate::short::camel_of(kind, KINDS).ok_or_else(|| format!("`{kind}` is no kind: {}", KINDS.join(", ")))
}

const KINDS: &[&str] = &[
    "text",
    "integer",
    "unsigned",
    "float",
    "boolean",
    "opaque",
    "time",
    "object_link",
    "core_link",
    "executable",
];
