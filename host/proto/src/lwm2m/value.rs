//! Values and samples. How serde writes them belongs to the format of a snapshot (`server::snapshot`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::path::{Path, parse_id};

/// The data types of LwM2M (core 1.2.1 appendix C): what a definition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Signed, up to 64 bits.
    Integer,
    /// Unsigned, up to 64 bits.
    Unsigned,
    /// 32 or 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970.
    Time,
    /// A link to an object instance.
    ObjectLink,
    /// Link-format text.
    CoreLink,
    /// No value.
    Executable,
}

/// A link to an object instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectLink {
    /// Object id.
    pub object: u16,
    /// Object instance id.
    pub instance: u16,
}

impl fmt::Display for ObjectLink {
    /// `object:instance`, as the text formats write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

impl FromStr for ObjectLink {
    type Err = ObjectLinkError;

    /// Reads `object:instance`, both ids of digits only.
    fn from_str(text: &str) -> Result<Self, ObjectLinkError> {
        let (object, instance) = text.split_once(':').ok_or(ObjectLinkError)?;
        let object = parse_id(object).ok_or(ObjectLinkError)?;
        let instance = parse_id(instance).ok_or(ObjectLinkError)?;
        Ok(Self { object, instance })
    }
}

/// A text is not an object link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object link is two ids from 0 to 65535 with a colon between, such as `3:0`")]
pub struct ObjectLinkError;

/// One value, borrowing from the payload it was read from where it can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A signed integer.
    Integer(i64),
    /// An integer above the range of `Integer`, or of a resource defined as unsigned.
    Unsigned(u64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes of an opaque resource, or of a value whose type is unknown or does not fit.
    Opaque(Cow<'a, [u8]>),
    /// Seconds since 1970.
    Time(i64),
    /// A link to an object instance.
    ObjectLink(ObjectLink),
    /// Link-format text.
    CoreLink(Cow<'a, str>),
    /// No value.
    Null,
}

impl Value<'_> {
    /// The same value, borrowing from nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Integer(number) => Value::Integer(number),
            Self::Unsigned(number) => Value::Unsigned(number),
            Self::Float(number) => Value::Float(number),
            Self::Boolean(flag) => Value::Boolean(flag),
            Self::Opaque(bytes) => Value::Opaque(Cow::Owned(bytes.into_owned())),
            Self::Time(seconds) => Value::Time(seconds),
            Self::ObjectLink(link) => Value::ObjectLink(link),
            Self::CoreLink(text) => Value::CoreLink(Cow::Owned(text.into_owned())),
            Self::Null => Value::Null,
        }
    }
}

/// One value at one path at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample<'a> {
    /// Where.
    pub path: Path,
    /// What. A value that does not fit its definition stays as it was on the wire: `Text` from a text format,
    /// `Opaque` from a binary one.
    pub value: Value<'a>,
    /// What the definition of the resource asks for; none without a definition.
    pub kind: Option<Kind>,
    /// Milliseconds since 1970 by the device's clock, if it said so.
    pub taken: Option<i64>,
}

impl Sample<'_> {
    /// The same sample, borrowing from nothing.
    pub fn into_owned(self) -> Sample<'static> {
        Sample { path: self.path, value: self.value.into_owned(), kind: self.kind, taken: self.taken }
    }
}
