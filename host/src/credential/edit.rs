//! Editing `credentials.toml`, which its operator may have written by hand: what is not meant stays as it is, to the letter.
//!
//! 1. its folder is locked, so that of two who edit at once one waits;
//! 2. the new text is checked as the gateway would;
//! 3. it is written beside the old one and put in its place, so that nobody ever sees half of it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_dtls::credential::Mode;
use toml::Spanned;
use zeroize::Zeroizing;

use super::file::{Reading, check, parse, read_text};
use super::raw;
use super::seen::Seen;
use crate::config::{ConfigError, Source};

/// Why a credentials file stays as it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditError {
    /// It would be wrong, or is already.
    #[error(transparent)]
    Wrong(#[from] ConfigError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// An entry is written in a way that only a person can take apart.
    #[error("{}:{line}: cannot be told from what is around it; remove it by hand", path.display())]
    Entangled {
        /// The credentials file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// There is a key of the gateway already.
    #[error("{}:{line}: the gateway has a private key already", path.display())]
    Server {
        /// The credentials file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// An entry of a credentials file, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How the client proves who it is.
    pub mode: Mode,
    /// The PSK identity, or the file of the authority that vouches for certificates.
    pub identity: Option<String>,
    /// The endpoint name that goes with it; none where certificates name it.
    pub endpoint: Option<String>,
}

/// Which entries are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of this endpoint.
    Endpoint(String),
    /// That with this PSK identity.
    Identity(String),
}

/// A credentials file that is being edited. Nothing changes before [`commit`](Self::commit).
#[derive(Debug)]
pub struct Edit {
    /// As its operator names it, and where that leads to.
    file: PathBuf,
    target: PathBuf,
    text: Zeroizing<String>,
    /// None if it is new.
    before: Option<Metadata>,
    /// The folder. Locked as long as it is open.
    folder: File,
}

impl Edit {
    /// Locks a file, waiting for others who do, and reads it. One that is not there begins as a template.
    ///
    /// # Errors
    /// When it cannot be read, or its folder is not there.
    pub fn begin(file: &Path) -> Result<Self, EditError> {
        let failed = |error| EditError::File { path: file.to_owned(), error };
        let target = target(file).map_err(failed)?;
        let folder = File::open(target.parent().unwrap_or_else(|| Path::new("/"))).map_err(failed)?;
        folder.lock().map_err(failed)?;
        let (text, before) = match fs::read_to_string(&target) {
            Ok(text) => (text, Some(target.metadata().map_err(failed)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (TEMPLATE.to_owned(), None),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { file: file.to_owned(), target, text: Zeroizing::new(text), before, folder })
    }

    /// Adds a pre-shared key.
    pub fn add_psk(&mut self, identity: &str, key: &[u8], endpoint: &str) {
        self.add_header("psk");
        self.add_value("identity", identity);
        let mut hex = Zeroizing::new(String::with_capacity(2 * key.len()));
        for byte in key {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        self.add_value("key", &hex);
        if endpoint != identity {
            self.add_value("endpoint", endpoint);
        }
    }

    /// Adds a raw public key, in base64.
    pub fn add_raw_public_key(&mut self, base64: &str, endpoint: &str) {
        self.add_header("raw-public-key");
        self.add_value("public-key", base64);
        self.add_value("endpoint", endpoint);
    }

    /// Adds the gateway's own key, and its certificate, by the names of their files.
    ///
    /// # Errors
    /// When there is a key already, or the file is wrong.
    pub fn add_server(&mut self, private_key: &str, certificate: Option<&str>) -> Result<(), EditError> {
        let source = Source { file: &self.file, text: &self.text };
        let raw = parse(&source)?;
        let in_x509 = raw.x509.as_ref().and_then(|of| of.as_ref().private_key.as_ref()).map(Spanned::span);
        if let Some(place) = raw.server.as_ref().map(Spanned::span).or(in_x509) {
            return Err(EditError::Server { path: self.file.clone(), line: source.line(place.start) });
        }
        drop(raw);
        self.add_line("[server]");
        self.add_value("private-key", private_key);
        certificate.into_iter().for_each(|file| self.add_value("certificate", file));
        Ok(())
    }

    /// Removes entries, each with the comment right above it, and says how many.
    ///
    /// # Errors
    /// When the file is wrong, or an entry cannot be told from what is around it.
    pub fn remove(&mut self, selection: &Selection) -> Result<usize, EditError> {
        let mut wanted = entries(&self.text, &self.file)?;
        wanted.retain(|entry| !selection.has(entry));
        let blocks = self.blocks(selection)?;
        let Some(first) = blocks.first() else { return Ok(0) };
        let line = Source { file: &self.file, text: &self.text }.line(first.start);
        for block in blocks.iter().rev() {
            self.text.replace_range(block.clone(), "");
        }
        // A text in several lines may look like a comment above the next entry.
        if entries(&self.text, &self.file).is_ok_and(|left| left == wanted) {
            Ok(blocks.len())
        } else {
            Err(EditError::Entangled { path: self.file.clone(), line })
        }
    }

    /// Puts the new text in the place of the old one, if it is right. A new file is open to its owner alone; another keeps its
    /// owner and its group.
    ///
    /// # Errors
    /// When it would be wrong or cannot be written. Then nothing has changed.
    pub fn commit(self) -> Result<Reading, EditError> {
        let reading = check(&self.text, &self.file)?;
        let name = self.target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = self.target.with_file_name(format!(".{name}.new"));
        let written = self.write(&beside).and_then(|()| fs::rename(&beside, &self.target));
        if let Err(error) = written.and_then(|()| self.folder.sync_all()) {
            // Gone already if only the last step has failed.
            let _ = fs::remove_file(&beside);
            return Err(EditError::File { path: self.file, error });
        }
        Ok(reading)
    }

    fn write(&self, beside: &Path) -> io::Result<()> {
        // One that was left by someone who was killed: nobody else writes here now.
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = create_private(beside)?;
        file.write_all(self.text.as_bytes())?;
        if let Some(before) = &self.before {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o770))?;
        }
        file.sync_all()
    }

    /// The parts of the text that selected entries are.
    fn blocks(&self, selection: &Selection) -> Result<Vec<Range<usize>>, EditError> {
        let source = Source { file: &self.file, text: &self.text };
        let raw = parse(&source)?;
        let psks = raw.psk.iter().filter(|of| selection.has_psk(of.as_ref()));
        let keys = raw.raw_public_key.iter().filter(|of| selection.has_key(of.as_ref()));
        let ends = psks.map(|of| (of.span(), end_of_psk(of.as_ref())));
        let ends = ends.chain(keys.map(|of| (of.span(), end_of_key(of.as_ref()))));
        let mut blocks = Vec::new();
        for (header, end) in ends {
            if !self.text[header.start..].starts_with("[[") {
                return Err(EditError::Entangled {
                    path: self.file.clone(),
                    line: source.line(header.start),
                });
            }
            blocks.push(
                start_of_block(&self.text, header.start)..end_of_block(&self.text, end.max(header.end)),
            );
        }
        blocks.sort_by_key(|block| block.start);
        Ok(blocks)
    }

    fn add_header(&mut self, of: &str) {
        self.add_line(&format!("[[{of}]]"));
    }

    /// A line after an empty one.
    fn add_line(&mut self, line: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n");
        }
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.push("\n");
        }
        self.push(line);
        self.push("\n");
    }

    fn add_value(&mut self, key: &str, value: &str) {
        let value = quoted(value);
        self.push(key);
        self.push(" = ");
        self.push(&value);
        self.push("\n");
    }

    /// Grows without leaving a copy of the keys behind.
    fn push(&mut self, text: &str) {
        if self.text.capacity() - self.text.len() < text.len() {
            let mut larger = Zeroizing::new(String::with_capacity(2 * self.text.len() + text.len() + 1024));
            larger.push_str(&self.text);
            self.text = larger;
        }
        self.text.push_str(text);
    }
}

impl Selection {
    fn has(&self, entry: &Entry) -> bool {
        match self {
            Self::Endpoint(endpoint) => entry.endpoint.as_ref() == Some(endpoint),
            Self::Identity(identity) => entry.mode == Mode::Psk && entry.identity.as_ref() == Some(identity),
        }
    }

    fn has_psk(&self, psk: &raw::Psk<'_>) -> bool {
        match self {
            Self::Endpoint(endpoint) => psk.endpoint.as_ref().unwrap_or(&psk.identity).as_ref() == endpoint,
            Self::Identity(identity) => psk.identity.as_ref() == identity,
        }
    }

    fn has_key(&self, key: &raw::RawPublicKey) -> bool {
        matches!(self, Self::Endpoint(endpoint) if key.endpoint.as_ref() == endpoint)
    }
}

/// The entries of a credentials file, without their keys: pre-shared keys, raw public keys, authorities.
///
/// # Errors
/// When it cannot be read, or is not sorted into tables as it should be. Its keys are not looked at.
pub fn list(file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let (text, _) = read_text(file, &mut Seen::new())?;
    entries(&text, file)
}

fn entries(text: &str, file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let raw = parse(&Source { file, text })?;
    let psks = raw.psk.iter().map(Spanned::as_ref).map(|of| Entry {
        mode: Mode::Psk,
        identity: Some(of.identity.as_ref().clone()),
        endpoint: Some(of.endpoint.as_ref().unwrap_or(&of.identity).as_ref().clone()),
    });
    let keys = raw.raw_public_key.iter().map(Spanned::as_ref).map(|of| Entry {
        mode: Mode::RawPublicKey,
        identity: None,
        endpoint: Some(of.endpoint.as_ref().clone()),
    });
    let trusted = raw.x509.iter().flat_map(|of| of.as_ref().trusted.as_ref()).map(|file| Entry {
        mode: Mode::X509,
        identity: Some(file.as_ref().clone()),
        endpoint: None,
    });
    Ok(psks.chain(keys).chain(trusted).collect())
}

/// Creates a file that is open to its owner alone and is not there yet.
///
/// # Errors
/// When it is there, or cannot be created.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Where a path leads to: what a symbolic link names is edited, not the link.
fn target(file: &Path) -> io::Result<PathBuf> {
    match file.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize()?,
                _ => PathBuf::from(".").canonicalize()?,
            };
            let name = file.file_name().ok_or_else(|| io::Error::other("it is no name of a file"))?;
            Ok(folder.join(name))
        }
        outcome => outcome,
    }
}

fn end_of_psk(psk: &raw::Psk<'_>) -> usize {
    let ends = [
        Some(psk.identity.span().end),
        psk.key.as_ref().map(|of| of.span().end),
        psk.key_file.as_ref().map(|of| of.span().end),
        psk.endpoint.as_ref().map(|of| of.span().end),
    ];
    ends.into_iter().flatten().max().unwrap_or_default()
}

fn end_of_key(key: &raw::RawPublicKey) -> usize {
    let ends = [
        Some(key.endpoint.span().end),
        key.public_key.as_ref().map(|of| of.span().end),
        key.public_key_file.as_ref().map(|of| of.span().end),
    ];
    ends.into_iter().flatten().max().unwrap_or_default()
}

/// The start of the header's line, or of the comment right above it.
fn start_of_block(text: &str, header: usize) -> usize {
    let mut start = text[..header].rfind('\n').map_or(0, |at| at + 1);
    while start > 0 {
        let above = text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        if !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start
}

/// The end of the last value's line, and of the empty lines after it.
fn end_of_block(text: &str, value: usize) -> usize {
    let line_end = |from: usize| text[from..].find('\n').map_or(text.len(), |at| from + at + 1);
    let mut end = line_end(value);
    while end < text.len() && text[end..line_end(end)].trim().is_empty() {
        end = line_end(end);
    }
    end
}

/// A basic string of TOML.
fn quoted(text: &str) -> Zeroizing<String> {
    // Room for every character as \u0000, and so no copy on the way.
    let mut quoted = Zeroizing::new(String::with_capacity(6 * text.len() + 2));
    quoted.push('"');
    for character in text.chars() {
        let shown: Cow<'_, str> = match character {
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            _ if character.is_control() => format!("\\u{:04X}", u32::from(character)).into(),
            _ => {
                quoted.push(character);
                continue;
            }
        };
        quoted.push_str(&shown);
    }
    quoted.push('"');
    quoted
}

const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests;
