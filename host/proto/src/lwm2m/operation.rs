//! Operations: what the server may ask of a client (core 1.2.1 sections 6.3 and 6.4), and the requests that carry them.
//!
//! The types mirror `wit/translator.wit`. The server calls `message`, which is pure. How serde writes an operation belongs to
//! the format of a snapshot (`server::snapshot`).

use serde::{Deserialize, Serialize};

use super::format::{self, Definitions, Scope};
use super::model::{Defined, Models};
use super::path::Path;
use super::registration::Registration;
use super::value::{Kind, Sample, Value};
use crate::coap::message::{Code, Message};
use crate::coap::option;

/// How a write treats what it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteMode {
    /// PUT.
    Replace,
    /// POST.
    Update,
}

/// How an observation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelMode {
    /// GET with Observe 1.
    Active,
    /// The next notification is reset.
    Passive,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Its name.
    pub const fn name(&self) -> OperationName {
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

    /// Where; the root for composite operations.
    pub const fn path(&self) -> Path {
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

    /// The same operation, asking for an answer in this format.
    pub(crate) fn accepting(&self, format: Option<u16>) -> Self {
        let mut operation = self.clone();
        if let Self::Read { accept, .. }
        | Self::Observe { accept, .. }
        | Self::ReadComposite { accept, .. }
        | Self::ObserveComposite { accept, .. } = &mut operation
        {
            *accept = format;
        }
        operation
    }

    /// The bytes of its body, roughly.
    pub(crate) fn size(&self) -> usize {
        let (Self::Write { body, .. } | Self::Create { body, .. } | Self::WriteComposite { body }) = self
        else {
            return 0;
        };
        match body {
            Body::Encoded { payload, .. } => payload.len(),
            Body::Samples(samples) => {
                let bytes = |sample: &Sample<'_>| match &sample.value {
                    Value::Text(text) | Value::CoreLink(text) => text.len(),
                    Value::Opaque(bytes) => bytes.len(),
                    _ => 0,
                };
                samples.iter().map(|sample| size_of::<Sample<'_>>() + bytes(sample)).sum()
            }
        }
    }

    /// The bytes that a request with it takes while it waits, roughly.
    pub(crate) fn weight(&self) -> usize {
        AROUND + self.size()
    }

    /// The lifetime of the registration that this writes, if it does: `/1/x/1`, in seconds.
    pub(crate) fn lifetime(&self) -> Option<u32> {
        let (Self::Write { body, .. } | Self::WriteComposite { body }) = self else { return None };
        let is_lifetime =
            |sample: &Sample<'_>| sample.path.object() == Some(1) && sample.path.resource() == Some(1);
        let seconds = |sample: &Sample<'_>| match sample.value {
            Value::Integer(seconds) | Value::Time(seconds) => u32::try_from(seconds).ok(),
            Value::Unsigned(seconds) => u32::try_from(seconds).ok(),
            _ => None,
        };
        match body {
            Body::Samples(samples) => seconds(samples.iter().find(|sample| is_lifetime(sample))?),
            Body::Encoded { format, payload } if self.path().object().is_none_or(|object| object == 1) => {
                // Bytes of any format, but of a resource whose type is known without the client's definitions.
                let samples = format::decode(*format, self.path(), payload, &Lifetime).ok()?;
                seconds(samples.iter().find(|sample| is_lifetime(sample))?)
            }
            Body::Encoded { .. } => None,
        }
    }

    /// Whether it comes to the same when the client is asked twice, as it may be if the first answer is lost.
    pub(crate) const fn is_idempotent(&self) -> bool {
        !matches!(self, Self::Execute { .. } | Self::Create { .. })
    }

    /// Whether this starts an observation.
    pub(crate) const fn is_observe(&self) -> bool {
        matches!(self, Self::Observe { .. } | Self::ObserveComposite { .. })
    }

    /// How this ends an observation, if it does.
    pub(crate) const fn cancels(&self) -> Option<CancelMode> {
        match self {
            Self::CancelObservation { mode, .. } | Self::CancelObservationComposite { mode, .. } => {
                Some(*mode)
            }
            _ => None,
        }
    }

    /// Whether this starts or ends the observation that `other` starts or ends: the same path, or the same paths in
    /// the same order.
    pub(crate) fn same_observation(&self, other: &Self) -> bool {
        match (self.observed(), other.observed()) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        }
    }

    /// What is, or was, observed, and whether as a composite.
    fn observed(&self) -> Option<(bool, &[Path])> {
        match self {
            Self::Observe { path, .. } | Self::CancelObservation { path, .. } => {
                Some((false, std::slice::from_ref(path)))
            }
            Self::ObserveComposite { paths, .. } | Self::CancelObservationComposite { paths, .. } => {
                Some((true, paths))
            }
            _ => None,
        }
    }
}

/// The request that carries an operation to a client (core 1.2.1 section 6.4, tables 6.4.3-1 and 6.4.4-1 to -3).
///
/// `format` is what `negotiation` has chosen. A cancellation repeats the options of its observation (RFC 7641 section 3.6);
/// for that, `observation` is the operation that started it, if it is known.
///
/// # Errors
/// What cannot be put into a message, said in one sentence.
pub(crate) fn message(
    operation: &Operation,
    format: Option<u16>,
    observation: Option<&Operation>,
    registration: &Registration,
    models: &Models,
) -> Result<Message, String> {
    let definitions = &Defined::new(models, registration);
    let to = |code, path: &Path, queries: &[String]| addressed(code, registration, path, queries);
    let write = |code, path: &Path, queries: &[String], body: &Body| {
        with_body(to(code, path, queries)?, *path, body, (format, registration), definitions)
    };
    let composite = |paths: &[Path], accept: Option<u16>| composite(registration, paths, accept);
    match operation {
        Operation::Read { path, queries, .. } => Ok(with_accept(to(Code::GET, path, queries)?, format)),
        Operation::Discover { path, queries, depth } => {
            let depth = depth.map(|depth| format!("depth={depth}"));
            let queries: Vec<String> = queries.iter().cloned().chain(depth).collect();
            Ok(with_accept(to(Code::GET, path, &queries)?, Some(format::LINK_FORMAT)))
        }
        Operation::Write { path, queries, mode: WriteMode::Replace, body } => {
            write(Code::PUT, path, queries, body)
        }
        Operation::Write { path, queries, mode: WriteMode::Update, body }
        | Operation::Create { path, queries, body } => write(Code::POST, path, queries, body),
        Operation::WriteAttributes { path, values } => {
            let query = |(name, value): &(String, Option<String>)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            };
            to(Code::PUT, path, &values.iter().map(query).collect::<Vec<_>>())
        }
        Operation::Execute { path, queries, arguments } => {
            let arguments = arguments.as_deref().unwrap_or_default();
            // Also without arguments, as clients know it from EMQX.
            let message = with_format(to(Code::POST, path, queries)?, format::TEXT);
            Ok(message.with_payload(arguments.as_bytes().to_vec()))
        }
        Operation::Delete { path, queries } => to(Code::DELETE, path, queries),
        Operation::Observe { path, queries, .. } => {
            Ok(with_accept(to(Code::GET, path, queries)?, format).with_option_uint(option::OBSERVE, 0))
        }
        Operation::CancelObservation { path, queries, .. } => {
            let (queries, accept) = match observation {
                Some(Operation::Observe { queries, accept, .. }) => (queries, *accept),
                _ => (queries, None),
            };
            Ok(with_accept(to(Code::GET, path, queries)?, accept).with_option_uint(option::OBSERVE, 1))
        }
        Operation::ReadComposite { paths, .. } => composite(paths, format),
        Operation::ObserveComposite { paths, .. } => {
            Ok(composite(paths, format)?.with_option_uint(option::OBSERVE, 0))
        }
        Operation::CancelObservationComposite { paths, .. } => {
            let accept = match observation {
                Some(Operation::ObserveComposite { accept, .. }) => *accept,
                _ => None,
            };
            Ok(composite(paths, accept)?.with_option_uint(option::OBSERVE, 1))
        }
        Operation::WriteComposite { body } => write_composite(registration, body, format, definitions),
    }
}

/// What is known of any client: `/1/x/1` is an integer.
struct Lifetime;

impl Definitions for Lifetime {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        (object == 1 && resource == 1).then_some(Kind::Integer)
    }
}

/// A request to a path below the client's alternate path, each segment of which is an option of its own.
fn addressed(
    code: Code,
    registration: &Registration,
    path: &Path,
    queries: &[String],
) -> Result<Message, String> {
    let mut message = Message::request(code);
    for segment in registration.alternate_path.split('/').filter(|segment| !segment.is_empty()) {
        if segment.len() > MAX_OPTION {
            return Err(format!("the client's alternate path has a segment of {} bytes", segment.len()));
        }
        message = message.with_path_segment(segment);
    }
    for id in path.ids() {
        message = message.with_path_segment(&id.to_string());
    }
    for query in queries {
        if query.len() > MAX_OPTION {
            return Err(format!("a query of {} bytes; {MAX_OPTION} are possible", query.len()));
        }
        message = message.with_query(query);
    }
    Ok(message)
}

fn with_accept(message: Message, accept: Option<u16>) -> Message {
    match accept {
        Some(format) => message.with_option_uint(option::ACCEPT, format.into()),
        None => message,
    }
}

fn with_format(message: Message, format: u16) -> Message {
    message.with_option_uint(option::CONTENT_FORMAT, format.into())
}

fn with_body(
    message: Message,
    path: Path,
    body: &Body,
    (format, registration): (Option<u16>, &Registration),
    definitions: &dyn Definitions,
) -> Result<Message, String> {
    match body {
        Body::Encoded { format, payload } => {
            let message = match format {
                Some(format) => with_format(message, *format),
                None => message,
            };
            Ok(message.with_payload(payload.clone()))
        }
        Body::Samples(samples) => {
            let format = format.unwrap_or(format::TLV);
            // Names are whole paths, so they begin with the alternate path.
            let scope =
                Scope { alternate_path: &registration.alternate_path, ..Scope::new(path, definitions) };
            let payload = format::encode_in(format, &scope, samples).map_err(|e| e.to_string())?;
            Ok(with_format(message, format).with_payload(payload))
        }
    }
}

/// FETCH of the paths (core 1.2.1 sections 6.3.9 and 6.4.4).
fn composite(registration: &Registration, paths: &[Path], format: Option<u16>) -> Result<Message, String> {
    if paths.is_empty() {
        return Err("a composite operation names one path at least".to_owned());
    }
    let accept = format.unwrap_or(format::SENML_JSON);
    // The answer may be wanted in a format that has no lists of paths.
    let format = if format::is_senml(accept) { accept } else { format::SENML_JSON };
    let list =
        format::encode_paths(format, &registration.alternate_path, paths).map_err(|e| e.to_string())?;
    let message = with_format(addressed(Code::FETCH, registration, &Path::root(), &[])?, format);
    Ok(with_accept(message, Some(accept)).with_payload(list))
}

/// iPATCH of the values (core 1.2.1 section 6.3.10).
fn write_composite(
    registration: &Registration,
    body: &Body,
    format: Option<u16>,
    definitions: &dyn Definitions,
) -> Result<Message, String> {
    if matches!(body, Body::Samples(samples) if samples.is_empty()) {
        return Err("a composite operation names one path at least".to_owned());
    }
    let format = format.or(Some(format::SENML_JSON));
    let message = addressed(Code::IPATCH, registration, &Path::root(), &[])?;
    with_body(message, Path::root(), body, (format, registration), definitions)
}

/// Bytes that a request takes beside its body: its path, context and place in a queue, roughly.
const AROUND: usize = 512;
/// Bytes in a Uri-Path or Uri-Query option (RFC 7252 section 5.10).
const MAX_OPTION: usize = 255;

#[cfg(test)]
mod tests;
