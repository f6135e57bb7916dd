//! CBOR: the value of one resource or resource instance (RFC 8949; core 1.2 section 7.4.3).

mod reader;
mod writer;

pub(super) use self::reader::Reader;
pub(super) use self::writer::Writer;
use super::{Error, Scope, fit, only};
use crate::lwm2m::value::Sample;

/// The payload, which is one data item, as the one value of the request path.
///
/// # Errors
/// If the payload is not exactly one well-formed item.
pub(super) fn decode<'a>(
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    let mut reader = Reader::new(NAME, payload);
    let item = reader.item()?;
    reader.end()?;
    let kind = scope.kind(scope.path);
    samples.push(Sample { path: scope.path, value: item.value(kind), kind, taken: None });
    Ok(())
}

/// The item of the one sample.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let sample = only(NAME, scope, samples)?;
    let mut writer = Writer::default();
    writer.value(&fit(scope, sample));
    Ok(writer.into_bytes())
}

const NAME: &str = "CBOR";

#[cfg(test)]
mod tests;
