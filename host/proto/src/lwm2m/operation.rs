//! Operations: what the server may ask of a client (core 1.2.1 sections 6.3 and 6.4), and the requests that carry them.
//!
//! Mirrors `wit/translator.wit`.

use super::format;
use super::path::Path;
use super::value::Sample;
use crate::coap::message::{Code, Message, option};

/// How a write treats what it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// PUT.
    Replace,
    /// POST.
    Update,
}

/// How an observation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelMode {
    /// GET with Observe 1.
    Active,
    /// The next notification is reset.
    Passive,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Values; encoded in a format that the client takes.
    Samples(Vec<Sample<'static>>),
    /// Bytes, sent as they are.
    Encoded {
        /// CoAP Content-Format; none sends no such option.
        format: Option<u16>,
        /// The bytes.
        payload: Vec<u8>,
    },
}

/// An operation. `queries` are additional Uri-Query options.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are the arguments of the standard's operation, named as in the contract
pub enum Operation {
    Read { path: Path, queries: Vec<String>, accept: Option<u16> },
    Discover { path: Path, queries: Vec<String>, depth: Option<u8> },
    Write { path: Path, queries: Vec<String>, mode: WriteMode, body: Body },
    WriteAttributes { path: Path, values: Vec<(String, Option<String>)> },
    Execute { path: Path, queries: Vec<String>, arguments: Option<String> },
    Create { path: Path, queries: Vec<String>, body: Body },
    Delete { path: Path, queries: Vec<String> },
    Observe { path: Path, queries: Vec<String>, accept: Option<u16> },
    CancelObservation { path: Path, queries: Vec<String>, mode: CancelMode },
    ReadComposite { paths: Vec<Path>, accept: Option<u16> },
    WriteComposite { body: Body },
    ObserveComposite { paths: Vec<Path>, accept: Option<u16> },
    CancelObservationComposite { paths: Vec<Path>, mode: CancelMode },
}

/// The name of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum OperationName {
    Read,
    Discover,
    Write,
    WriteAttributes,
    Execute,
    Create,
    Delete,
    Observe,
    CancelObservation,
    ReadComposite,
    WriteComposite,
    ObserveComposite,
    CancelObservationComposite,
}

impl Operation {
    /// Which operation.
    pub fn name(&self) -> OperationName {
        match self {
            Self::Read { .. } => OperationName::Read,
            Self::Discover { .. } => OperationName::Discover,
            Self::Write { .. } => OperationName::Write,
            Self::WriteAttributes { .. } => OperationName::WriteAttributes,
            Self::Execute { .. } => OperationName::Execute,
            Self::Create { .. } => OperationName::Create,
            Self::Delete { .. } => OperationName::Delete,
            Self::Observe { .. } => OperationName::Observe,
            Self::CancelObservation { .. } => OperationName::CancelObservation,
            Self::ReadComposite { .. } => OperationName::ReadComposite,
            Self::WriteComposite { .. } => OperationName::WriteComposite,
            Self::ObserveComposite { .. } => OperationName::ObserveComposite,
            Self::CancelObservationComposite { .. } => OperationName::CancelObservationComposite,
        }
    }

    /// Where; the root for a composite operation.
    pub fn path(&self) -> Path {
        match self {
            Self::Read { path, .. }
            | Self::Discover { path, .. }
            | Self::Write { path, .. }
            | Self::WriteAttributes { path, .. }
            | Self::Execute { path, .. }
            | Self::Create { path, .. }
            | Self::Delete { path, .. }
            | Self::Observe { path, .. }
            | Self::CancelObservation { path, .. } => *path,
            Self::ReadComposite { .. }
            | Self::WriteComposite { .. }
            | Self::ObserveComposite { .. }
            | Self::CancelObservationComposite { .. } => Path::root(),
        }
    }

    /// The request that asks for it (core 1.2.1 section 6.3, transport 1.2.1 table 6.4), or why there is none.
    ///
    /// The client's alternate path goes in front. Values are written as TLV, which every version's clients read.
    pub(crate) fn message(&self, alternate_path: &str) -> Result<Message, String> {
        let at = |code, path: &Path, queries: &[String]| address(code, alternate_path, path, queries);
        Ok(match self {
            Self::Read { path, queries, accept } => with_accept(at(Code::GET, path, queries), *accept),
            Self::Discover { path, queries, depth } => {
                let message = with_accept(at(Code::GET, path, queries), Some(format::LINK_FORMAT));
                match depth {
                    Some(depth) => message.with_option(option::URI_QUERY, format!("depth={depth}")),
                    None => message,
                }
            }
            Self::Write { path, queries, mode, body } => {
                let code = match mode {
                    WriteMode::Replace => Code::PUT,
                    WriteMode::Update => Code::POST,
                };
                with_body(at(code, path, queries), path, body)?
            }
            Self::WriteAttributes { path, values } => {
                let queries: Vec<String> = values
                    .iter()
                    .map(|(name, value)| match value {
                        Some(value) => format!("{name}={value}"),
                        None => name.clone(),
                    })
                    .collect();
                at(Code::PUT, path, &queries)
            }
            Self::Execute { path, queries, arguments } => {
                let message =
                    at(Code::POST, path, queries).with_uint(option::CONTENT_FORMAT, format::TEXT.into());
                message.with_payload(arguments.clone().unwrap_or_default())
            }
            Self::Create { path, queries, body } => with_body(at(Code::POST, path, queries), path, body)?,
            Self::Delete { path, queries } => at(Code::DELETE, path, queries),
            Self::Observe { path, queries, accept } => {
                with_accept(at(Code::GET, path, queries), *accept).with_uint(option::OBSERVE, 0)
            }
            Self::CancelObservation { path, queries, .. } => {
                at(Code::GET, path, queries).with_uint(option::OBSERVE, 1)
            }
            Self::ReadComposite { .. }
            | Self::WriteComposite { .. }
            | Self::ObserveComposite { .. }
            | Self::CancelObservationComposite { .. } => {
                return Err("composite operations are not available yet".to_owned());
            }
        })
    }
}

fn address(code: Code, alternate_path: &str, path: &Path, queries: &[String]) -> Message {
    let mut message = Message::new(code);
    for segment in alternate_path.split('/').filter(|segment| !segment.is_empty()) {
        message = message.with_option(option::URI_PATH, segment);
    }
    for id in path.ids() {
        message = message.with_option(option::URI_PATH, id.to_string());
    }
    for query in queries {
        message = message.with_option(option::URI_QUERY, query.as_str());
    }
    message
}

fn with_accept(message: Message, accept: Option<u16>) -> Message {
    match accept {
        Some(accept) => message.with_uint(option::ACCEPT, accept.into()),
        None => message,
    }
}

fn with_body(message: Message, path: &Path, body: &Body) -> Result<Message, String> {
    let (format, payload) = match body {
        Body::Encoded { format, payload } => (*format, payload.clone()),
        Body::Samples(samples) => {
            let payload =
                format::encode(format::TLV, *path, samples, &()).map_err(|error| error.to_string())?;
            (Some(format::TLV), payload)
        }
    };
    let message = match format {
        Some(format) => message.with_uint(option::CONTENT_FORMAT, format.into()),
        None => message,
    };
    Ok(message.with_payload(payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coap::message::{MessageKind, Token};

    fn bytes(operation: &Operation, alternate_path: &str) -> Vec<u8> {
        let mut message = operation.message(alternate_path).unwrap();
        message.address(MessageKind::Confirmable, 0x1234, &Token::default());
        message.to_bytes()
    }

    #[test]
    fn operations_look_on_the_wire_as_wakaama_was_seen_to_take_them() {
        let path = Path::new([3, 0, 14]);
        let read = Operation::Read { path, queries: vec![], accept: None };
        assert_eq!(bytes(&read, "/"), b"\x40\x01\x12\x34\xb13\x010\x0214");
        let observe = Operation::Observe { path: Path::new([3, 0]), queries: vec![], accept: Some(11542) };
        assert_eq!(bytes(&observe, "/"), b"\x40\x01\x12\x34\x60\x513\x010\x62\x2d\x16");
        let body = Body::Encoded { format: Some(11542), payload: b"\xc6\x0e+04:00".to_vec() };
        let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
        assert_eq!(bytes(&write, "/"), b"\x40\x03\x12\x34\xb13\x010\x0214\x12\x2d\x16\xff\xc6\x0e+04:00");
        let execute = Operation::Execute { path: Path::new([3, 0, 12]), queries: vec![], arguments: None };
        assert_eq!(bytes(&execute, "/"), b"\x40\x02\x12\x34\xb13\x010\x0212\x10");
    }

    #[test]
    fn an_alternate_path_goes_in_front() {
        let read = Operation::Read { path: Path::new([3, 0]), queries: vec!["a=1".to_owned()], accept: None };
        assert_eq!(bytes(&read, "/a/b"), b"\x40\x01\x12\x34\xb1a\x01b\x013\x010\x43a=1");
    }

    #[test]
    fn attributes_are_set_and_unset_in_order() {
        let values = vec![("pmin".to_owned(), Some("5".to_owned())), ("gt".to_owned(), None)];
        let write = Operation::WriteAttributes { path: Path::new([3]), values };
        assert_eq!(bytes(&write, "/"), b"\x40\x03\x12\x34\xb13\x46pmin=5\x02gt");
    }
}
