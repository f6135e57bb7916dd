//! Operations: what the server may ask of a client (core 1.2.1 sections 6.3 and 6.4), and the requests that carry them.
//!
//! Mirrors `wit/translator.wit`.

use super::path::Path;
use super::value::Sample;

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
