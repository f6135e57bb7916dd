//! One `.wasm` before it is compiled, and what can be said about it from outside.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::generation::{Rejection, Step};

/// The bytes of one translator.
#[derive(Clone)]
pub struct Artifact {
    bytes: Vec<u8>,
    digest: [u8; 32],
    origin: Origin,
}

impl Artifact {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Step::Read`]: it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Rejection> {
        let bytes = std::fs::read(path).map_err(|error| Rejection {
            step: Step::Read,
            reason: format!("{}: {error}", path.display()),
        })?;
        Ok(Self::new(bytes, Origin::File(path.to_owned())))
    }

    /// The translator of this name inside the gateway.
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, bytes) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        Some(Self::new(bytes.to_vec(), Origin::BuiltIn(name)))
    }

    /// Bytes from anywhere.
    pub fn new(bytes: Vec<u8>, origin: Origin) -> Self {
        let digest = Sha256::digest(&bytes).into();
        Self { bytes, digest, origin }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the first bytes are those of a component (component model, binary format: preamble).
    pub(super) fn identify(&self) -> Result<(), Rejection> {
        let reason = match self.bytes.get(..8) {
            Some(&[b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0]) => return Ok(()),
            Some(&[b'\0', b'a', b's', b'm', 1, 0, 0, 0]) => CORE_MODULE.to_owned(),
            Some(&[b'\0', b'a', b's', b'm', a, b, c, d]) => {
                format!(
                    "a component in a format that this gateway does not know ({a:02x} {b:02x} {c:02x} {d:02x})"
                )
            }
            Some(_) => "not WebAssembly: it does not begin with \\0asm".to_owned(),
            None => format!("not WebAssembly: only {} bytes", self.bytes.len()),
        };
        Err(Rejection { step: Step::Identified, reason })
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("origin", &self.origin)
            .field("digest", &self.digest())
            .field("size", &self.bytes.len())
            .finish()
    }
}

/// Where an artifact came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the gateway, under this name.
    BuiltIn(&'static str),
    /// A file.
    File(PathBuf),
    /// Bytes that somebody handed over, under a name for the log.
    Memory(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "built-in {name}"),
            Self::File(path) => path.display().fmt(f),
            Self::Memory(name) => f.write_str(name),
        }
    }
}

/// Name and bytes of the translators inside the gateway.
const BUILT_IN: &[(&str, &[u8])] = &[];
const CORE_MODULE: &str =
    "a core module, not a component: build it for wasm32-unknown-unknown with the linker wasm-component-ld";
