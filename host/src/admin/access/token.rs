//! `tokens.toml`: who may use the API. It holds a digest of each token, never the token.
//!
//! `app` opens it ([`Tokens::open`]); each request asks it; `cli` edits it ([`TokenFile`]). A change is noticed by the next
//! request that comes a second later, or at once after SIGHUP.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::sha256;
use serde::Deserialize;
use toml::Spanned;

use super::Caller;
use crate::change::{Stamp, unix_time};
use crate::config::{ConfigError, Source};

/// What a token is good for; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// See.
    Read,
    /// Ask clients to do something, and end registrations.
    Operate,
    /// Change translators.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.to_string() == text);
        role.ok_or_else(|| format!("`{text}` is no role; there are read, operate and admin"))
    }
}

/// The tokens as they are in force.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    /// None: there was no file.
    stamp: Option<Stamp>,
    /// Unix time.
    read_at: i64,
    /// None: look before the next answer.
    looked: Option<Instant>,
}

/// One token, of which only the digest is known.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Whose.
    pub(crate) name: Arc<str>,
    /// What it is good for.
    pub(crate) role: Role,
    digest: [u8; 32],
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, something is wrong in it, or there is no token in it: nobody could use the API.
    pub(crate) fn open(file: &Path) -> Result<Self, ConfigError> {
        let (stamp, entries) = look(file)?;
        if entries.is_empty() {
            let message = "has no token: nobody could use the API; `tidegate token add` makes one";
            return Err(ConfigError {
                file: file.into(),
                line: 0,
                key: String::new(),
                message: message.into(),
            });
        }
        let state = State { entries, stamp: Some(stamp), read_at: unix_time(), looked: Some(Instant::now()) };
        Ok(Self { file: file.into(), state: Mutex::new(state) })
    }

    /// Look at the file before the next answer.
    pub(crate) fn read_again(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.looked = None;
    }

    /// Whose token it is.
    pub(super) fn find(&self, token: &str) -> Option<Caller> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.renew(&mut state);
        }
        let digest = sha256(token.as_bytes());
        let entry = state.entries.iter().find(|entry| openssl::memcmp::eq(&entry.digest, &digest))?;
        Some(Caller { name: Some(Arc::clone(&entry.name)), role: entry.role })
    }

    /// What is wrong with a changed file is said once, and the tokens in force stay. Without a file nobody has a token.
    fn renew(&self, state: &mut State) {
        let is_asked = state.looked.replace(Instant::now()).is_none();
        let stamp = self.file.metadata().ok().as_ref().map(Stamp::of);
        if !is_asked
            && stamp == state.stamp
            && !stamp.as_ref().is_some_and(|stamp| stamp.is_young(state.read_at))
        {
            return;
        }
        let has_changed = stamp != state.stamp;
        state.read_at = unix_time();
        state.stamp = stamp;
        match look(&self.file) {
            Ok((stamp, entries)) => {
                if has_changed {
                    tracing::info!(tokens = entries.len(), "tokens read");
                }
                (state.stamp, state.entries) = (Some(stamp), entries);
            }
            Err(error) if state.stamp.is_none() => {
                if !state.entries.is_empty() {
                    tracing::warn!(%error, "nobody can use the API any more");
                }
                state.entries.clear();
            }
            Err(error) if has_changed => tracing::warn!(%error, "the tokens of before stay in force"),
            Err(_) => {}
        }
    }
}

fn look(file: &Path) -> Result<(Stamp, Vec<Entry>), ConfigError> {
    let unreadable = |error| ConfigError::unreadable(file, &error);
    let stamp = Stamp::of(&file.metadata().map_err(|error| {
        let mut refused = unreadable(error);
        refused.message += "; `tidegate token add` begins one";
        refused
    })?);
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    Ok((stamp, parse(&text, file)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    token: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: Spanned<String>,
    role: Spanned<String>,
    sha256: Spanned<String>,
}

fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let source = Source { file, text };
    let raw: Raw = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    let mut entries: Vec<Entry> = Vec::new();
    for RawToken { name, role, sha256 } in raw.token {
        let fail = |place, key, message: String| Err(source.error(&place, key, message));
        if name.get_ref().is_empty() || entries.iter().any(|entry| *entry.name == **name.get_ref()) {
            return fail(name.span(), "token.name", "must be one that no other token has".into());
        }
        let role_of = match role.get_ref().parse() {
            Ok(role) => role,
            Err(message) => return fail(role.span(), "token.role", message),
        };
        let Some(digest) = digest(sha256.get_ref()) else {
            // It may be the token itself that somebody has put there.
            let message =
                "must be the SHA-256 of the token, 64 hexadecimal digits; `tidegate token add` writes it";
            return fail(sha256.span(), "token.sha256", message.into());
        };
        entries.push(Entry { name: name.into_inner().into(), role: role_of, digest });
    }
    Ok(entries)
}

fn digest(hexadecimal: &str) -> Option<[u8; 32]> {
    if hexadecimal.len() != 64 || !hexadecimal.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hexadecimal.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// A file of tokens that is edited.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    text: String,
    entries: Vec<Entry>,
}

impl TokenFile {
    /// Reads it; one that is not there yet is empty.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong in it.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            outcome => outcome.map_err(|error| ConfigError::unreadable(path, &error))?,
        };
        let entries = parse(&text, path)?;
        Ok(Self { path: path.into(), text, entries })
    }

    /// The tokens in it.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a token and writes the file. Returns the token, which is nowhere else.
    ///
    /// # Errors
    /// There is one of this name, or the file cannot be written.
    pub(crate) fn add(&mut self, name: &str, role: Role) -> io::Result<String> {
        if self.entries.iter().any(|entry| *entry.name == *name) {
            return Err(io::Error::other(format!("there is a token of the name `{name}`")));
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(io::Error::other("a token needs a name, without control characters"));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let token = format!("tg_{}", URL_SAFE_NO_PAD.encode(random));
        let digest = sha256(token.as_bytes());
        let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let separator = if self.text.is_empty() || self.text.ends_with("\n\n") { "" } else { "\n" };
        let name_toml = toml::Value::String(name.to_owned());
        let entry = format!(
            "{separator}[[token]]\nname = {name_toml}\nrole = \"{role}\"\nsha256 = \"{hexadecimal}\"\n"
        );
        let text = format!("{}{entry}", self.text);
        let entries = parse(&text, &self.path).map_err(io::Error::other)?;
        write(&self.path, &text)?;
        (self.text, self.entries) = (text, entries);
        Ok(token)
    }

    /// Removes the token of a name and writes the file. False if there is none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<bool> {
        let Some(at) = self.entries.iter().position(|entry| *entry.name == *name) else { return Ok(false) };
        let starts: Vec<usize> = self.text.match_indices("[[token]]").map(|(start, _)| start).collect();
        let Some(start) = starts.get(at) else {
            return Err(io::Error::other("the file is written in an unusual way"));
        };
        let end = starts.get(at + 1).copied().unwrap_or(self.text.len());
        let text = format!("{}{}", &self.text[..*start], &self.text[end..]);
        let mut wanted = self.entries.clone();
        wanted.remove(at);
        let entries = parse(&text, &self.path).map_err(io::Error::other)?;
        if entries != wanted {
            return Err(io::Error::other("the file is written in an unusual way; remove the token by hand"));
        }
        write(&self.path, &text)?;
        (self.text, self.entries) = (text, entries);
        Ok(true)
    }
}

/// Puts a new file in the place of the old one, readable by its owner only.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = target.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&beside, &target));
    renamed.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// How old what is known of the file may be.
const LOOK_EVERY: Duration = Duration::from_secs(1);
