//! Opaque: the bytes of one resource (core 1.2.1 section 7.4.2).
//!
//! # Guarantees
//! * Any payload is one value, that of the request path; reading never fails and copies nothing.
//! * What is written is byte for byte what was read. Only bytes and texts are written: the format has no numbers.

use std::borrow::Cow;

use super::{Error, Scope, only};
use crate::lwm2m::value::{Sample, Value};

/// The payload as the one value of the request path, whatever its definition says: the format tells nothing of types.
pub(super) fn decode<'a>(scope: &Scope<'_>, payload: &'a [u8], samples: &mut Vec<Sample<'a>>) {
    samples.push(Sample {
        path: scope.path,
        value: Value::Opaque(Cow::Borrowed(payload)),
        kind: scope.kind(scope.path),
        taken: None,
    });
}

/// The bytes of the one sample, which is opaque or a text.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let sample = only(NAME, scope, samples)?;
    match &sample.value {
        Value::Opaque(bytes) => Ok(bytes.to_vec()),
        Value::Text(text) | Value::CoreLink(text) => Ok(text.as_bytes().to_vec()),
        _ => Err(Error::Unfit { format: NAME, path: sample.path, reason: "it holds bytes or a text" }),
    }
}

const NAME: &str = "opaque";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lwm2m::format;
    use crate::lwm2m::path::Path;
    use crate::lwm2m::value::Kind;

    #[test]
    fn the_bytes_stay_bytes_whatever_the_definition() {
        struct Texts;
        impl format::Definitions for Texts {
            fn kind(&self, _: u16, _: u16) -> Option<Kind> {
                Some(Kind::Text)
            }
        }
        let path = Path::new([3, 0, 0]);
        let samples = format::decode(Some(format::OPAQUE), path, b"abc", &Texts).expect("always readable");
        let value = Value::Opaque(Cow::Borrowed(&b"abc"[..]));
        assert_eq!(samples, [Sample { path, value, kind: Some(Kind::Text), taken: None }]);
        assert_eq!(format::encode(format::OPAQUE, path, &samples, &Texts), Ok(b"abc".to_vec()));
    }

    #[test]
    fn a_number_is_not_written() {
        let path = Path::new([3, 0, 9]);
        let sample = Sample { path, value: Value::Integer(1), kind: None, taken: None };
        let error = format::encode(format::OPAQUE, path, &[sample], &()).expect_err("no bytes");
        assert_eq!(error.to_string(), "opaque cannot hold /3/0/9: it holds bytes or a text");
    }
}
