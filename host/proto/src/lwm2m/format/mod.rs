//! Content formats: from payloads to samples and back (core 1.2.1 section 7.4).
//!
//! The bridge calls [`decode`] on what devices send, before a translator sees it; the server calls [`encode`] on
//! what a translator wants written. Each format has a file of its own:
//!
//! | format | numbers | file |
//! |---|---|---|
//! | text | none, 0, 1541 | [`text`] |
//! | opaque | 42, 1544 | [`opaque`] |
//! | TLV | 11542, 1542 | [`tlv`] |
//! | CBOR | 60 | [`cbor`] |
//! | SenML, SenML-ETCH in JSON | 110, 320 | [`senml`] |
//! | SenML, SenML-ETCH in CBOR | 112, 322 | [`senml`] |
//! | LwM2M CBOR | 11544 | [`lwm2m_cbor`] |
//! | LwM2M JSON | 11543, 1543 | [`lwm2m_json`] |
//! | link-format | 40 | [`link`]; it holds links, not values, so `decode` refuses it |
//!
//! The rule for values: samples are in document order, one for each leaf value. A value is typed by the definition
//! of its resource. One that does not fit its definition, or that has no definition in a format that does not
//! describe itself, stays as it is on the wire: [`Value::Text`] from a text format, [`Value::Opaque`] from a binary
//! one; but what is text in CBOR stays text. [`Sample::kind`] says what the definition wanted. So nothing is lost for
//! want of a definition, and one odd value does not cost the others.

pub mod cbor;
pub mod date;
pub mod link;
pub mod lwm2m_cbor;
pub mod lwm2m_json;
pub mod opaque;
mod scalar;
pub mod senml;
pub mod text;
pub mod tlv;

use std::borrow::Cow;

use super::path::Path;
use super::value::{Kind, Sample, Value};

/// Where the types of resources come from.
pub trait Definitions {
    /// The type of a resource; none if it is not known.
    fn kind(&self, object: u16, resource: u16) -> Option<Kind>;
}

/// No definition of anything.
impl Definitions for () {
    fn kind(&self, _object: u16, _resource: u16) -> Option<Kind> {
        None
    }
}

impl<T: Definitions + ?Sized> Definitions for &T {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        (**self).kind(object, resource)
    }
}

/// What a payload leaves unsaid, and its codec has to know.
#[derive(Clone, Copy)]
pub struct Scope<'d> {
    /// The path of the request; the root for a composite request and for Send.
    pub path: Path,
    /// Types of resources.
    pub definitions: &'d dyn Definitions,
    /// The alternate path of the client's registration, such as `/lwm2m`; `/` if it has none. Formats that carry
    /// whole paths (SenML) leave it away when reading, and have it when writing.
    pub alternate_path: &'d str,
}

impl<'d> Scope<'d> {
    /// For a client without an alternate path.
    pub fn new(path: Path, definitions: &'d dyn Definitions) -> Self {
        Self { path, definitions, alternate_path: "/" }
    }

    /// The type of the resource at, or above, `path`.
    fn kind(&self, path: Path) -> Option<Kind> {
        self.definitions.kind(path.object()?, path.resource()?)
    }
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("path", &self.path)
            .field("alternate_path", &self.alternate_path)
            .finish_non_exhaustive()
    }
}

/// Read the samples of a payload. `format` is its Content-Format, `path` that of the request.
///
/// # Errors
/// If the format is not supported, or the payload as a whole breaks its syntax.
pub fn decode<'a>(
    format: Option<u16>,
    path: Path,
    payload: &'a [u8],
    definitions: &dyn Definitions,
) -> Result<Vec<Sample<'a>>, Error> {
    let mut samples = Vec::new();
    decode_into(format, &Scope::new(path, definitions), payload, &mut samples)?;
    Ok(samples)
}

/// As [`decode`], appending to a vector. After an error it holds what it held before.
///
/// # Errors
/// As [`decode`].
pub fn decode_into<'a>(
    format: Option<u16>,
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    let before = samples.len();
    let result = match format.unwrap_or(TEXT) {
        TEXT | OLD_TEXT => {
            text::decode(scope, payload, samples);
            Ok(())
        }
        OPAQUE | OLD_OPAQUE => {
            opaque::decode(scope, payload, samples);
            Ok(())
        }
        TLV | OLD_TLV => tlv::decode(scope, payload, samples),
        CBOR => cbor::decode(scope, payload, samples),
        LWM2M_CBOR => lwm2m_cbor::decode(scope, payload, samples),
        LWM2M_JSON | OLD_JSON => lwm2m_json::decode(scope, payload, samples),
        format @ (SENML_JSON | SENML_CBOR | SENML_ETCH_JSON | SENML_ETCH_CBOR) => {
            senml::decode(format, scope, payload, samples)
        }
        format => Err(Error::Unsupported { format }),
    };
    if result.is_err() {
        samples.truncate(before);
    }
    result
}

/// Write samples as a payload. `path` is that of the request that carries it. An integer is written as a float, a
/// float as an integer and either as a time, where the definition (else the sample's `kind`) asks for it and nothing
/// is lost by it.
///
/// # Errors
/// If the format is not supported, or the samples cannot be said in it at that path.
pub fn encode(
    format: u16,
    path: Path,
    samples: &[Sample<'_>],
    definitions: &dyn Definitions,
) -> Result<Vec<u8>, Error> {
    encode_in(format, &Scope::new(path, definitions), samples)
}

/// As [`encode`], for a client that may have an alternate path: names in SenML begin with it.
///
/// # Errors
/// As [`encode`].
pub fn encode_in(format: u16, scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    match format {
        TEXT | OLD_TEXT => text::encode(scope, samples),
        OPAQUE | OLD_OPAQUE => opaque::encode(scope, samples),
        TLV | OLD_TLV => tlv::encode(scope, samples),
        CBOR => cbor::encode(scope, samples),
        LWM2M_CBOR => lwm2m_cbor::encode(scope, samples),
        LWM2M_JSON | OLD_JSON => lwm2m_json::encode(scope, samples),
        SENML_JSON | SENML_CBOR | SENML_ETCH_JSON | SENML_ETCH_CBOR => senml::encode(format, scope, samples),
        format => Err(Error::Unsupported { format }),
    }
}

/// Whether payloads of this Content-Format can be read.
pub fn is_readable(format: Option<u16>) -> bool {
    let scope = Scope::new(Path::root(), &());
    !matches!(decode_into(format, &scope, b"", &mut Vec::new()), Err(Error::Unsupported { .. }))
}

/// Whether it is one of the four formats of SenML.
pub const fn is_senml(format: u16) -> bool {
    matches!(format, SENML_JSON | SENML_CBOR | SENML_ETCH_JSON | SENML_ETCH_CBOR)
}

/// The list of paths that a composite read or observation is for, in one of the four SenML formats. Each path stands
/// below `prefix`, the client's alternate path; `/` and nothing at all mean none.
///
/// # Errors
/// If the format is not SenML.
pub fn encode_paths(format: u16, prefix: &str, paths: &[Path]) -> Result<Vec<u8>, Error> {
    senml::encode_paths(format, prefix, paths)
}

/// Read what [`encode_paths`] writes: the names of a pack, without their times.
///
/// # Errors
/// If the format is not SenML, the payload breaks its syntax, or there is a value in it.
pub fn decode_paths(format: u16, prefix: &str, payload: &[u8]) -> Result<Vec<Path>, Error> {
    if !is_senml(format) {
        return Err(Error::Unsupported { format });
    }
    let alternate_path = if prefix.is_empty() { "/" } else { prefix };
    let scope = Scope { alternate_path, ..Scope::new(Path::root(), &()) };
    let mut samples = Vec::new();
    decode_into(Some(format), &scope, payload, &mut samples)?;
    match samples.iter().find(|sample| sample.value != Value::Null) {
        Some(Sample { path, .. }) => {
            Err(Error::Unfit { format: "a list of paths", path: *path, reason: "there is a value with it" })
        }
        None => Ok(samples.iter().map(|sample| sample.path).collect()),
    }
}

/// Why a payload cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No codec for this Content-Format.
    #[error("content format {format} is not supported")]
    Unsupported {
        /// Its number.
        format: u16,
    },
    /// The payload breaks the syntax of its format.
    #[error("{format}, byte {offset}: {reason}")]
    Malformed {
        /// The format's name.
        format: &'static str,
        /// Where in the payload, from 0.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The payload holds more values than the gateway takes.
    #[error("{format}: more than {limit} values")]
    TooMany {
        /// The format's name.
        format: &'static str,
        /// How many are taken.
        limit: usize,
    },
    /// A sample cannot be written.
    #[error("{format} cannot hold {path}: {reason}")]
    Unfit {
        /// The format's name.
        format: &'static str,
        /// The sample's path.
        path: Path,
        /// Why.
        reason: &'static str,
    },
}

/// The one sample of a format that holds just one, for a request path.
fn only<'s, 'v>(
    format: &'static str,
    scope: &Scope<'_>,
    samples: &'s [Sample<'v>],
) -> Result<&'s Sample<'v>, Error> {
    match samples {
        [sample] if sample.path == scope.path => Ok(sample),
        [sample] => {
            Err(Error::Unfit { format, path: sample.path, reason: "the request goes to another path" })
        }
        _ => Err(Error::Unfit { format, path: scope.path, reason: "it holds exactly one value" }),
    }
}

/// The value in the type that the resource is defined with, where a number can be said in it without loss; else as it
/// is. Borrows from the sample.
fn fit<'s>(scope: &Scope<'_>, sample: &'s Sample<'_>) -> Value<'s> {
    let value = &sample.value;
    let fitted = match (scope.kind(sample.path).or(sample.kind), value) {
        (Some(Kind::Float), Value::Integer(number) | Value::Time(number)) => {
            float_of_i64(*number).map(Value::Float)
        }
        (Some(Kind::Float), Value::Unsigned(number)) => float_of_u64(*number).map(Value::Float),
        (Some(Kind::Integer), Value::Float(number)) => i64_of_float(*number).map(Value::Integer),
        (Some(Kind::Time), Value::Float(number)) => i64_of_float(*number).map(Value::Time),
        (Some(Kind::Unsigned), Value::Float(number)) => u64_of_float(*number).map(Value::Unsigned),
        (Some(Kind::Integer), Value::Unsigned(number)) => i64::try_from(*number).ok().map(Value::Integer),
        (Some(Kind::Time), Value::Unsigned(number)) => i64::try_from(*number).ok().map(Value::Time),
        (Some(Kind::Unsigned), Value::Integer(number)) => u64::try_from(*number).ok().map(Value::Unsigned),
        (Some(Kind::Time), Value::Integer(number)) => Some(Value::Time(*number)),
        _ => None,
    };
    fitted.unwrap_or_else(|| match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::CoreLink(text) => Value::CoreLink(Cow::Borrowed(text)),
        Value::Opaque(bytes) => Value::Opaque(Cow::Borrowed(bytes)),
        other => other.clone(),
    })
}

/// The float of the same value, if there is one.
fn float_of_i64(number: i64) -> Option<f64> {
    let float = number as f64;
    (i64_of_float(float) == Some(number)).then_some(float)
}

/// The float of the same value, if there is one.
fn float_of_u64(number: u64) -> Option<f64> {
    let float = number as f64;
    (u64_of_float(float) == Some(number)).then_some(float)
}

/// The integer of the same value, if there is one.
fn i64_of_float(float: f64) -> Option<i64> {
    // Both bounds are powers of two and so exact; the upper one is the first that does not fit.
    let fits = float.fract() == 0.0 && float >= i64::MIN as f64 && float < -(i64::MIN as f64);
    fits.then_some(float as i64)
}

/// The integer of the same value, if there is one.
fn u64_of_float(float: f64) -> Option<u64> {
    let fits = float.fract() == 0.0 && float >= 0.0 && float < 2.0 * -(i64::MIN as f64);
    fits.then_some(float as u64)
}

/// text/plain;charset=utf-8.
pub const TEXT: u16 = 0;
/// application/link-format.
pub const LINK_FORMAT: u16 = 40;
/// application/octet-stream.
pub const OPAQUE: u16 = 42;
/// application/cbor.
pub const CBOR: u16 = 60;
/// application/senml+json.
pub const SENML_JSON: u16 = 110;
/// application/senml+cbor.
pub const SENML_CBOR: u16 = 112;
/// application/senml-etch+json.
pub const SENML_ETCH_JSON: u16 = 320;
/// application/senml-etch+cbor.
pub const SENML_ETCH_CBOR: u16 = 322;
/// Text, as clients of drafts before LwM2M 1.0 number it.
pub const OLD_TEXT: u16 = 1541;
/// TLV, as clients of drafts before LwM2M 1.0 number it.
pub const OLD_TLV: u16 = 1542;
/// LwM2M JSON, as clients of drafts before LwM2M 1.0 number it.
pub const OLD_JSON: u16 = 1543;
/// Opaque, as clients of drafts before LwM2M 1.0 number it.
pub const OLD_OPAQUE: u16 = 1544;
/// application/vnd.oma.lwm2m+tlv.
pub const TLV: u16 = 11542;
/// application/vnd.oma.lwm2m+json.
pub const LWM2M_JSON: u16 = 11543;
/// application/vnd.oma.lwm2m+cbor.
pub const LWM2M_CBOR: u16 = 11544;
/// How many values one payload may hold: the vector of their samples then stays near one mebibyte.
pub const MAX_SAMPLES: usize = 16_384;

#[cfg(test)]
mod fixture;
