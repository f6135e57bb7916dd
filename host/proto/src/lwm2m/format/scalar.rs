//! Values as the formats that describe themselves write them, before the definition has its say.
//!
//! SenML in JSON and CBOR, plain CBOR and LwM2M CBOR tell numbers, texts, bytes and flags apart, but not the data types
//! of LwM2M. Their codecs read a [`Scalar`], and [`Scalar::typed`] makes the value of it.

use std::borrow::Cow;
use std::fmt;

use super::{date, i64_of_float, u64_of_float};
use crate::lwm2m::value::{Kind, Value};

/// A value without parts.
#[derive(Clone, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    /// Seconds since 1970, tagged as such.
    Time(Number),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// What none of the types can hold.
    Other,
}

impl<'a> Scalar<'a> {
    /// The value in the type that the definition asks for, or without a definition in its own; the scalar again if it
    /// does not fit.
    pub(super) fn typed(self, kind: Option<Kind>) -> Result<Value<'a>, Self> {
        let fitted = match (&self, kind) {
            (Self::Null, _) => Some(Value::Null),
            (Self::Boolean(flag), None | Some(Kind::Boolean)) => Some(Value::Boolean(*flag)),
            (Self::Number(number), kind) => number.typed(kind),
            (Self::Time(number), None) => number.typed(Some(Kind::Time)).or_else(|| number.typed(None)),
            (Self::Time(number), kind) => number.typed(kind),
            (Self::Text(text), Some(Kind::ObjectLink)) => text.parse().ok().map(Value::ObjectLink),
            (Self::Text(text), Some(Kind::Time)) => date::seconds(text).map(Value::Time),
            _ => None,
        };
        match (fitted, self, kind) {
            (Some(value), _, _) => Ok(value),
            (None, Self::Text(text), None | Some(Kind::Text)) => Ok(Value::Text(text)),
            (None, Self::Text(text), Some(Kind::CoreLink)) => Ok(Value::CoreLink(text)),
            (None, Self::Bytes(bytes), None | Some(Kind::Opaque)) => Ok(Value::Opaque(bytes)),
            (None, scalar, _) => Err(scalar),
        }
    }

    /// The value as it stays when it does not fit: texts and bytes are what they are; of anything else it is `item`,
    /// its bytes on the wire, or its text in a format of text, which gives no item.
    pub(super) fn untyped(self, item: Option<Cow<'a, [u8]>>) -> Value<'a> {
        match (self, item) {
            (Self::Text(text), _) => Value::Text(text),
            (Self::Bytes(bytes), _) => Value::Opaque(bytes),
            (_, Some(item)) => Value::Opaque(item),
            (Self::Boolean(flag), None) => Value::Text(Cow::Borrowed(if flag { "true" } else { "false" })),
            (Self::Number(number) | Self::Time(number), None) => Value::Text(Cow::Owned(number.to_string())),
            (Self::Null | Self::Other, None) => Value::Null,
        }
    }
}

/// A number: integers exactly, up to 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Signed(i64),
    /// Above the range of `Signed`.
    Unsigned(u64),
    Float(f64),
}

impl Number {
    /// The number of that integer; none beyond 64 bits.
    pub(super) fn of(integer: i128) -> Option<Self> {
        let signed = i64::try_from(integer).map(Self::Signed);
        signed.or_else(|_| u64::try_from(integer).map(Self::Unsigned)).ok()
    }

    /// The number in that type, if it has a value there.
    fn typed(self, kind: Option<Kind>) -> Option<Value<'static>> {
        match kind {
            None => Some(match self {
                Self::Signed(number) => Value::Integer(number),
                Self::Unsigned(number) => Value::Unsigned(number),
                Self::Float(number) => Value::Float(number),
            }),
            // What is above the range of integers is still one.
            Some(Kind::Integer) => match self.signed() {
                Some(number) => Some(Value::Integer(number)),
                None => self.unsigned().map(Value::Unsigned),
            },
            Some(Kind::Unsigned) => self.unsigned().map(Value::Unsigned),
            Some(Kind::Time) => self.signed().map(Value::Time),
            Some(Kind::Float) => Some(Value::Float(self.float())),
            Some(Kind::Boolean) => match self {
                Self::Signed(0) => Some(Value::Boolean(false)),
                Self::Signed(1) => Some(Value::Boolean(true)),
                _ => None,
            },
            Some(_) => None,
        }
    }

    fn signed(self) -> Option<i64> {
        match self {
            Self::Signed(number) => Some(number),
            Self::Unsigned(_) => None,
            Self::Float(number) => i64_of_float(number),
        }
    }

    fn unsigned(self) -> Option<u64> {
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
        match (self.wide(), other.wide()) {
            (Some(one), Some(other)) => {
                let sum = one + other;
                Self::of(sum).unwrap_or(Self::Float(sum as f64))
            }
            _ => Self::Float(self.float() + other.float()),
        }
    }

    /// The integer in a type that has room for a sum of two.
    pub(super) fn wide(self) -> Option<i128> {
        match self {
            Self::Signed(number) => Some(number.into()),
            Self::Unsigned(number) => Some(number.into()),
            Self::Float(_) => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_integers_is_one_as_long_as_it_fits() {
        let sum = |one: u64, other: i64| Number::Unsigned(one).plus(Number::Signed(other));
        assert!(matches!(sum(u64::MAX, 1), Number::Float(_)));
        assert!(matches!(sum(1 << 63, -1), Number::Signed(i64::MAX)));
        assert!(matches!(sum(1 << 63, 1), Number::Unsigned(sum) if sum == (1 << 63) + 1));
    }
}
