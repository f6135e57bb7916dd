//! `tidegate import`: the configuration of another gateway becomes a `tidegate.toml`.
//!
//! Called by `cli`. So far there is one other gateway, EMQX's LwM2M gateway. Four steps, each in a file of its own:
//! [`read`] reads HOCON or JSON and finds `gateway.lwm2m` in it, [`keys`] hands its keys out one by one, so that none is
//! overlooked, [`gateway`] and [`listener`] say what each is here, and [`write`](mod@write) writes that down. What comes out has been
//! read by [`Config::parse`] before anybody sees it.

mod gateway;
mod keys;
mod listener;
mod quantity;
mod read;
mod version;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::keys::Keys;
pub use self::version::Version;
use crate::config::{BrokerAddress, Config, ConfigError};

/// What is imported, and what is not in it.
#[derive(Clone, Debug)]
pub struct Emqx {
    /// What the configuration is called in comments and errors.
    pub name: String,
    /// Its broker from now on; none is the embedded one.
    pub broker: Option<BrokerAddress>,
    /// The version that it is of; none: what its keys tell.
    pub version: Option<Version>,
    /// Whether EMQX is followed to the letter.
    pub is_strict: bool,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of a `tidegate.toml`.
    pub toml: String,
    /// What the operator should know, in the order of the source.
    pub notes: Vec<Note>,
}

/// Something that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The key in the source.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub text: String,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has no counterpart.
    NotMapped,
    /// Its counterpart does not do quite the same.
    Otherwise,
    /// Something is left to do.
    ToDo,
}

impl Fate {
    /// The heading of such notes.
    pub fn heading(self) -> &'static str {
        match self {
            Self::NotMapped => "Not mapped",
            Self::Otherwise => "Mapped, but not quite the same",
            Self::ToDo => "Left to do",
        }
    }
}

/// Why nothing came out.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is neither HOCON nor JSON.
    #[error("{name}: {problem}")]
    Syntax {
        /// What it is called.
        name: String,
        /// Line, if it is known, and what is wrong.
        problem: String,
    },
    /// There is no LwM2M gateway in it.
    #[error("{name}: there is no `gateway.lwm2m` in it, but {found}. {CLUSTER_HOCON}")]
    NoGateway {
        /// What it is called.
        name: String,
        /// What there is.
        found: String,
    },
    /// A value that EMQX would not take.
    #[error("{key} {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Values that do not go together here.
    #[error("what it says cannot be written as a tidegate.toml: {0}")]
    Refused(ConfigError),
}

impl Emqx {
    /// Imports a file. Files that it includes are read, too.
    ///
    /// # Errors
    /// When it cannot be read, has no LwM2M gateway, or values in it are none.
    pub fn import_file(&self, file: &Path) -> Result<Imported, ImportError> {
        self.import(read::file(file)?)
    }

    /// Imports a text.
    ///
    /// # Errors
    /// As [`Self::import_file`].
    pub fn import_text(&self, text: &str) -> Result<Imported, ImportError> {
        self.import(read::text(text, &self.name)?)
    }

    fn import(&self, root: Map<String, Value>) -> Result<Imported, ImportError> {
        let read::Located { gateway, path, around } = read::locate(root, &self.name)?;
        let mut notes = Notes::default();
        let sections = gateway::sections(self, Keys::new(path, gateway), &mut notes)?;
        gateway::around(&around, &mut notes);
        let toml = write::text(self, &sections, &notes.0);
        Config::parse(&toml, Path::new("tidegate.toml")).map_err(ImportError::Refused)?;
        Ok(Imported { toml, notes: notes.0 })
    }
}

/// What has been noted so far.
#[derive(Debug, Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn not_mapped(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Note { key: key.into(), fate: Fate::NotMapped, text: text.into() });
    }

    fn otherwise(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Note { key: key.into(), fate: Fate::Otherwise, text: text.into() });
    }

    fn remind(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Note { key: key.into(), fate: Fate::ToDo, text: text.into() });
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// Where the Dashboard leaves what is set there.
const CLUSTER_HOCON: &str = "What was set in EMQX's Dashboard stands in data/configs/cluster.hocon, below /var/lib/emqx in packages \
     and /opt/emqx/data in containers; `GET /api/v5/gateways/lwm2m` gives it, too";

#[cfg(test)]
mod tests;
