//! Values and samples.

use std::borrow::Cow;

use super::path::Path;

/// The data types of LwM2M (core 1.2.1 appendix C): what a definition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectLink {
    /// Object id.
    pub object: u16,
    /// Object instance id.
    pub instance: u16,
}

/// One value, borrowing from the payload it was read from where it can.
#[derive(Clone, Debug, PartialEq)]
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

/// One value at one path at one time.
#[derive(Clone, Debug, PartialEq)]
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
