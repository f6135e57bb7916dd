//! The bytes of a translator.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// One `.wasm`, whole.
#[derive(Clone)]
pub struct Artifact {
    bytes: Arc<[u8]>,
    origin: String,
    digest: String,
}

/// An artifact that cannot be had.
#[derive(Debug, Error)]
#[error("cannot read {path}: {source}")]
pub struct ArtifactError {
    path: String,
    source: std::io::Error,
}

impl Artifact {
    /// From bytes; `origin` is what messages call it.
    pub fn new(bytes: impl Into<Arc<[u8]>>, origin: impl Into<String>) -> Self {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes).iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"));
        Self { bytes, origin: origin.into(), digest }
    }

    /// A file, read whole.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let bytes = std::fs::read(path).map_err(|source| ArtifactError { path: path.display().to_string(), source })?;
        Ok(Self::new(bytes, path.display().to_string()))
    }

    /// A translator that is part of this program.
    pub fn built_in(name: &str) -> Option<Self> {
        (name == "emqx").then(|| Self::new(EMQX, "the built-in emqx"))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it is from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// SHA-256 in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("origin", &self.origin).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Built by `scripts/plugins-build`; CI builds it again and compares.
const EMQX: &[u8] = include_bytes!("../../../plugins/artifacts/emqx.wasm");
