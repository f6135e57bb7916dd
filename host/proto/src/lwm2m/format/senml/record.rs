//! A SenML record as JSON writes it (RFC 8428 section 4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::super::{i64_of_float, u64_of_float};

/// One record as it is written.
#[derive(Default)]
pub(super) struct Record<'a> {
    pub(super) base_name: Option<Cow<'a, str>>,
    pub(super) base_time: Option<f64>,
    pub(super) base_value: Option<Number>,
    has_other_base: bool,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) time: Option<f64>,
    pub(super) value: Option<(Field, Scalar<'a>)>,
}

impl Record<'_> {
    pub(super) fn is_base_only(&self) -> bool {
        let has_base = self.base_name.is_some()
            || self.base_time.is_some()
            || self.base_value.is_some()
            || self.has_other_base;
        has_base && self.name.is_none() && self.time.is_none() && self.value.is_none()
    }
}

/// Which field a value stands in.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// `v`, `vs`, `vb`: JSON itself tells them apart.
    Plain,
    /// `vd`
    Opaque,
    /// `vlo`
    ObjectLink,
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
            match &*key {
                "bn" => record.base_name = Some(fields.next_value::<Text<'a>>()?.0),
                "bt" => record.base_time = Some(fields.next_value()?),
                "bv" => record.base_value = Some(fields.next_value()?),
                "bver" => record.set_version(fields.next_value()?)?,
                "n" => record.name = Some(fields.next_value::<Text<'a>>()?.0),
                "t" => record.time = Some(fields.next_value()?),
                "v" | "vs" | "vb" => record.set(Field::Plain, fields.next_value()?)?,
                "vd" => record.set(Field::Opaque, fields.next_value()?)?,
                "vlo" => record.set(Field::ObjectLink, fields.next_value()?)?,
                // RFC 8428 4.4
                other if other.ends_with('_') => {
                    return Err(de::Error::custom(format_args!(
                        "field `{other}` must be understood and is not"
                    )));
                }
                other => {
                    record.has_other_base |= matches!(other, "bu" | "bs");
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

impl<'a> Record<'a> {
    fn set<E: de::Error>(&mut self, field: Field, value: Scalar<'a>) -> Result<(), E> {
        match self.value.replace((field, value)) {
            None => Ok(()),
            Some(_) => Err(E::custom("a record has more than one value")),
        }
    }

    fn set_version<E: de::Error>(&mut self, version: f64) -> Result<(), E> {
        self.has_other_base = true;
        if version > HIGHEST_VERSION {
            return Err(E::custom(format_args!("SenML version {version} is above {HIGHEST_VERSION}")));
        }
        Ok(())
    }
}

/// A JSON value that has no parts.
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'a, str>),
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
struct Text<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Self(text)),
            _ => Err(de::Error::custom("expected a string")),
        }
    }
}

/// A JSON number: integers exactly, up to 64 bits.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Signed(i64),
    /// Above the range of `Signed`.
    Unsigned(u64),
    Float(f64),
}

impl Number {
    pub(super) fn signed(self) -> Option<i64> {
        match self {
            Self::Signed(number) => Some(number),
            Self::Unsigned(_) => None,
            Self::Float(number) => i64_of_float(number),
        }
    }

    pub(super) fn unsigned(self) -> Option<u64> {
        match self {
            Self::Signed(number) => u64::try_from(number).ok(),
            Self::Unsigned(number) => Some(number),
            Self::Float(number) => u64_of_float(number),
        }
    }

    /// The nearest float.
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Signed(number) => number as f64,
            Self::Unsigned(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum = match (self.wide(), other.wide()) {
            (Some(one), Some(other)) => one + other,
            _ => return Self::Float(self.float() + other.float()),
        };
        let signed = i64::try_from(sum).map(Self::Signed);
        signed.or_else(|_| u64::try_from(sum).map(Self::Unsigned)).unwrap_or(Self::Float(sum as f64))
    }

    fn wide(self) -> Option<i128> {
        match self {
            Self::Signed(number) => Some(number.into()),
            Self::Unsigned(number) => Some(number.into()),
            Self::Float(_) => None,
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

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed(number) => number.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

/// RFC 8428 4.4 makes 10 the version of that document.
const HIGHEST_VERSION: f64 = 10.0;
