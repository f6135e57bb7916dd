//! Translators in JavaScript: a `.js` file of the plugin folder, and what makes a generation of it.
//!
//! A script is not compiled. It runs in an engine that is a translator itself (`plugins/javascript`), and is handed to it
//! as its settings; so it has the same limits, faults and reloading as any other.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::generation::{Rejection, Step};
use super::manifest::{Claims, Manifest};

/// The text of a script.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// Name of the file, for messages.
    name: String,
    source: String,
}

impl Script {
    /// Reads a script and the `.toml` beside it. The digest is that of both.
    ///
    /// # Errors
    /// [`Step::Read`], or [`Step::Identified`] for what is no text, is too large, or has a wrong manifest.
    pub(super) fn read(path: &Path) -> Result<(Self, Manifest, [u8; 32]), Rejection> {
        let source = text(path, std::fs::read(path))?;
        let beside = path.with_extension("toml");
        let about = match std::fs::read(&beside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => text(&beside, read)?,
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut manifest = Manifest::parse_beside(&about, &beside.display().to_string(), &stem)
            .map_err(|error| Rejection { step: Step::Identified, reason: error.to_string() })?;
        // A script that says nothing is meant for all.
        manifest
            .claims
            .get_or_insert_with(|| Claims { endpoints: vec!["*".to_owned()], objects: Vec::new() });
        let mut digest = Sha256::new();
        // With its length, so that moving a line from one file to the other is a change.
        digest.update((source.len() as u64).to_be_bytes());
        digest.update(&source);
        digest.update(&about);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((Self { name, source }, manifest, digest.finalize().into()))
    }

    /// What the engine's `configure` takes.
    pub(super) fn settings(&self, manifest: Option<&Manifest>, settings: &Value) -> Value {
        json!({
            "script": { "name": self.name, "source": self.source },
            "codec": manifest.and_then(|manifest| manifest.codec.clone()),
            "settings": settings,
        })
    }
}

fn text(path: &Path, read: io::Result<Vec<u8>>) -> Result<String, Rejection> {
    let bytes =
        read.map_err(|error| Rejection { step: Step::Read, reason: format!("{}: {error}", path.display()) })?;
    let identified =
        |what: String| Rejection { step: Step::Identified, reason: format!("{}: {what}", path.display()) };
    if bytes.len() > LARGEST {
        return Err(identified(format!("{} bytes, at most {LARGEST} are allowed", bytes.len())));
    }
    String::from_utf8(bytes)
        .map_err(|error| identified(format!("not UTF-8, from byte {} on", error.utf8_error().valid_up_to())))
}

/// The engine: a component made of `plugins/javascript/boot.js` by `scripts/engine-build`.
pub(super) const ENGINE: &[u8] = include_bytes!("../../../plugins/artifacts/javascript.wasm");
/// Bytes of a script.
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests;
