//! A SenML record as it is read (RFC 8428 section 4), in whichever spelling.

use std::borrow::Cow;

use super::super::scalar::{Number, Scalar};
use super::json;
use crate::lwm2m::value::{Kind, Value};

/// One record as it is written.
#[derive(Default)]
pub(super) struct Record<'a> {
    pub(super) base_name: Option<Cow<'a, str>>,
    pub(super) base_time: Option<f64>,
    pub(super) base_value: Option<Number>,
    pub(super) has_other_base: bool,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) time: Option<f64>,
    pub(super) value: Option<Entry<'a>>,
}

impl<'a> Record<'a> {
    pub(super) fn is_base_only(&self) -> bool {
        let has_base = self.base_name.is_some()
            || self.base_time.is_some()
            || self.base_value.is_some()
            || self.has_other_base;
        has_base && self.name.is_none() && self.time.is_none() && self.value.is_none()
    }

    /// The reason, if there is a value already.
    pub(super) fn set(&mut self, entry: Entry<'a>) -> Result<(), &'static str> {
        match self.value.replace(entry) {
            None => Ok(()),
            Some(_) => Err("a record has more than one value"),
        }
    }

    /// The reason, if the version is too high.
    pub(super) fn set_version(&mut self, version: f64) -> Result<(), String> {
        self.has_other_base = true;
        if version > HIGHEST_VERSION {
            return Err(format!("SenML version {version} is above {HIGHEST_VERSION}"));
        }
        Ok(())
    }
}

/// The value of a record.
pub(super) struct Entry<'a> {
    pub(super) field: Field,
    pub(super) scalar: Scalar<'a>,
    /// Its bytes in the payload; none in a format of text.
    pub(super) item: Option<Cow<'a, [u8]>>,
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self { field: Field::Plain, scalar: Scalar::Null, item: None }
    }
}

impl<'a> Entry<'a> {
    /// As the type of its resource, else as the type of the field that it stands in.
    pub(super) fn value(self, kind: Option<Kind>) -> Value<'a> {
        let scalar = match (self.field, self.scalar) {
            (Field::Opaque, Scalar::Text(text)) if self.item.is_none() => {
                return json::opaque(text, kind);
            }
            (Field::ObjectLink, Scalar::Text(text)) if kind.is_none() => match text.parse() {
                Ok(link) => return Value::ObjectLink(link),
                Err(_) => Scalar::Text(text),
            },
            // SenML has times of its own; a tag says nothing about a value.
            (_, Scalar::Time(number)) => Scalar::Number(number),
            (_, scalar) => scalar,
        };
        scalar.typed(kind).unwrap_or_else(|scalar| scalar.untyped(self.item))
    }
}

/// Which field a value stands in.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// `v`, `vs`, `vb`: JSON and CBOR themselves tell them apart.
    Plain,
    /// `vd`
    Opaque,
    /// `vlo`
    ObjectLink,
}

/// What a label stands for.
#[derive(Clone, Copy)]
pub(super) enum Label {
    BaseName,
    BaseTime,
    BaseValue,
    /// Of the unit or the sum.
    OtherBase,
    Version,
    Name,
    Time,
    Value(Field),
    /// One that may be left out.
    Other,
    /// One that may not, and is not known (RFC 8428 4.4).
    MustUnderstand,
}

impl Label {
    /// The labels of JSON, which some clients use in CBOR, too. `vlo` has no other.
    pub(super) fn of_text(label: &str) -> Self {
        match label {
            "bn" => Self::BaseName,
            "bt" => Self::BaseTime,
            "bv" => Self::BaseValue,
            "bu" | "bs" => Self::OtherBase,
            "bver" => Self::Version,
            "n" => Self::Name,
            "t" => Self::Time,
            "v" | "vs" | "vb" => Self::Value(Field::Plain),
            "vd" => Self::Value(Field::Opaque),
            "vlo" => Self::Value(Field::ObjectLink),
            other if other.ends_with('_') => Self::MustUnderstand,
            _ => Self::Other,
        }
    }

    /// The labels of CBOR (RFC 8428 table 4).
    pub(super) fn of_integer(label: i128) -> Self {
        match label {
            -1 => Self::Version,
            -2 => Self::BaseName,
            -3 => Self::BaseTime,
            -5 => Self::BaseValue,
            -4 | -6 => Self::OtherBase,
            0 => Self::Name,
            2..=4 => Self::Value(Field::Plain),
            6 => Self::Time,
            8 => Self::Value(Field::Opaque),
            _ => Self::Other,
        }
    }
}

/// RFC 8428 4.4 makes 10 the version of that document.
const HIGHEST_VERSION: f64 = 10.0;
