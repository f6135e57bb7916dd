//! Registrations: what a client said of itself, parsed.

use std::sync::Arc;

use super::path::Path;
use crate::coap::Peer;

/// LwM2M enabler version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
}

/// One object link of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// An object or an object instance.
    pub path: Path,
    /// Attributes, unquoted; one without `=` has an empty value.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// A registration as it stands; a snapshot that is replaced, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Endpoint name.
    pub endpoint: Arc<str>,
    /// Location path, such as `/rd/0Ab…`.
    pub location: Box<str>,
    /// The version the client asked for, recognised.
    pub version: Version,
    /// Seconds, as given (default 86400).
    pub lifetime: u32,
    /// `b`, empty if absent.
    pub binding: Box<str>,
    /// `Q`, or a binding with Q.
    pub queue_mode: bool,
    /// `/` or the prefix of its links, without trailing slash.
    pub alternate_path: Box<str>,
    /// Objects and instances.
    pub objects: Vec<Link>,
    /// Query parameters: in order of first appearance, each once, the latest value. `None`: no `=`.
    pub parameters: Vec<(Box<str>, Option<Box<str>>)>,
    /// The links payload as the client wrote it last.
    pub links: Box<[u8]>,
    /// Where it is reached.
    pub peer: Peer,
}
