//! Reading `credentials.toml` and the files that it names.
//!
//! 1. the text is read, and wiped in the end;
//! 2. serde sorts it into tables;
//! 3. each entry becomes a credential.
//!
//! An error is that of the configuration: file, line, key, what is wrong and what would be right.

use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use tidegate_dtls::credential::{CredentialError, Credentials, Naming};
use toml::Spanned;
use zeroize::Zeroizing;

use super::seen::Seen;
use super::{material, raw};
use crate::config::{ConfigError, Source};

/// What a credentials file comes to.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Everything that clients may prove themselves with.
    pub credentials: Arc<Credentials>,
    /// What should be otherwise, each in a sentence that names the file: a file that others can read, a certificate that
    /// has expired.
    pub warnings: Vec<String>,
    pub(super) seen: Seen,
}

impl Reading {
    /// Puts the warnings into the log, and how many credentials there are.
    pub fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!(problem = warning, "credentials");
        }
        let (psk, raw_public_key, authorities) = self.credentials.counts();
        tracing::info!(psk, "raw-public-key" = raw_public_key, authorities, "credentials read");
    }
}

/// Reads a credentials file. Relative paths in it are relative to its folder.
///
/// # Errors
/// When it cannot be read, or the first thing in it that is wrong: with file, line and key, and never with a key's digits.
pub fn read(file: &Path) -> Result<Reading, ConfigError> {
    attempt(file).0
}

/// Checks the text that a credentials file is about to have, together with the files that it names.
///
/// # Errors
/// As [`read`].
pub fn check(text: &str, file: &Path) -> Result<Reading, ConfigError> {
    let mut seen = Seen::new();
    understand(text, file, &mut seen).map(|outcome| outcome.reading(seen))
}

/// As [`read`], and what has been looked at even if something is wrong with it.
pub(super) fn attempt(file: &Path) -> (Result<Reading, ConfigError>, Seen) {
    let mut seen = Seen::new();
    let outcome = read_text(file, &mut seen).and_then(|(text, mode)| {
        let mut outcome = understand(&text, file, &mut seen)?;
        outcome.warnings.splice(0..0, exposed(file, mode));
        Ok(outcome)
    });
    (outcome.map(|outcome| outcome.reading(seen.clone())), seen)
}

/// What has been understood.
struct Outcome {
    credentials: Credentials,
    warnings: Vec<String>,
}

impl Outcome {
    fn reading(self, seen: Seen) -> Reading {
        Reading { credentials: Arc::new(self.credentials), warnings: self.warnings, seen }
    }
}

pub(super) fn read_text(file: &Path, seen: &mut Seen) -> Result<(Zeroizing<String>, u32), ConfigError> {
    let (bytes, metadata) = seen.read(file, LARGEST_TEXT).map_err(|error| {
        let mut refused = ConfigError::unreadable(file, &error);
        if error.kind() == io::ErrorKind::NotFound {
            refused.message += "; `tidegate credentials add` begins one";
        }
        refused
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError { file: file.into(), line, key: String::new(), message: "is not in UTF-8".into() }
    })?;
    Ok((Zeroizing::new(text.to_owned()), metadata.mode()))
}

fn understand(text: &str, file: &Path, seen: &mut Seen) -> Result<Outcome, ConfigError> {
    let source = Source { file, text };
    let raw = parse(&source)?;
    let outcome = Outcome { credentials: Credentials::new(), warnings: Vec::new() };
    let mut draft = Draft { source, raw: &raw, seen, outcome };
    draft.add_psks()?;
    draft.add_raw_public_keys()?;
    draft.add_x509()?;
    draft.add_server()?;
    Ok(draft.outcome)
}

/// Sorts a text into tables.
pub(super) fn parse<'a>(source: &Source<'a>) -> Result<raw::File<'a>, ConfigError> {
    toml::from_str(source.text).map_err(|error| without_values(source.syntax(&error)))
}

/// The reader of TOML may quote what it has found instead of a string, and a key may stand where a name should.
fn without_values(mut error: ConfigError) -> ConfigError {
    if let Some((_, expected)) = error.message.split_once(", expected ")
        && ["invalid type: ", "invalid value: ", "invalid length "]
            .iter()
            .any(|of| error.message.starts_with(of))
    {
        error.message = format!("must be {expected}");
    }
    // Each part: in a file that is no TOML, what is taken for the name of a table may be anything.
    let is_name = |part: &&str| NAMES.contains(part) || is_harmless(part);
    error.key = error.key.split('.').take_while(is_name).collect::<Vec<_>>().join(".");
    error
}

/// Whether a name that nobody knows looks like a mistyped one rather than like a key.
fn is_harmless(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_.".contains(&byte));
    is_plain && name.len() <= 20 && !name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file that has been sorted into tables, on its way to credentials.
struct Draft<'a> {
    source: Source<'a>,
    raw: &'a raw::File<'a>,
    seen: &'a mut Seen,
    outcome: Outcome,
}

impl<'a> Draft<'a> {
    fn add_psks(&mut self) -> Result<(), ConfigError> {
        for entry in &self.raw.psk {
            let psk = entry.as_ref();
            let (key, place, name) = match (&psk.key, &psk.key_file) {
                (Some(typed), None) => (material::key(typed.as_ref().expose()), typed.span(), "psk.key"),
                (None, Some(typed)) => {
                    let bytes = self.read_beside(typed, "psk.key-file", LARGEST_KEY, IsSecret::Yes)?;
                    let key = match std::str::from_utf8(&bytes) {
                        Ok(text) => material::key(text.trim()),
                        Err(_) => Err("is not text; write the key as hex digits".to_owned()),
                    };
                    (key.map_err(|wrong| within(typed.as_ref(), &wrong)), typed.span(), "psk.key-file")
                }
                (Some(_), Some(typed)) => {
                    let message = "stands beside `key`; remove one of them";
                    return Err(self.source.error(&typed.span(), "psk.key-file", message));
                }
                (None, None) => {
                    let message = "is missing; write it as hex digits, or name a file of them in `key-file`";
                    return Err(self.source.error(&entry.span(), "psk.key", message));
                }
            };
            let key = key.map_err(|wrong| self.source.error(&place, name, wrong))?;
            let endpoint = psk.endpoint.as_ref().unwrap_or(&psk.identity);
            let added = self.outcome.credentials.add_psk(psk.identity.as_ref(), key, endpoint.as_ref());
            added.map_err(|error| self.wrong_psk(psk, &error, (&place, name)))?;
        }
        Ok(())
    }

    fn wrong_psk(
        &self,
        psk: &raw::Psk<'_>,
        error: &CredentialError,
        key: (&Range<usize>, &str),
    ) -> ConfigError {
        let identity = (psk.identity.span(), "psk.identity");
        let (place, name) = match (error, &psk.endpoint) {
            (CredentialError::Modes(_) | CredentialError::Endpoint, Some(typed)) => {
                (typed.span(), "psk.endpoint")
            }
            (CredentialError::KeyLength(_), _) => (key.0.clone(), key.1),
            _ => identity,
        };
        let first = match error {
            CredentialError::Twice(_) => {
                self.raw.psk.iter().map(|of| &of.as_ref().identity).find(|of| **of == psk.identity)
            }
            _ => None,
        };
        self.source.error(&place, name, self.with_first(error, first))
    }

    fn add_raw_public_keys(&mut self) -> Result<(), ConfigError> {
        for entry in &self.raw.raw_public_key {
            let typed = entry.as_ref();
            let (spki, place, name) = match (&typed.public_key, &typed.public_key_file) {
                (Some(_), Some(typed)) => {
                    let message = "stands beside `public-key`; remove one of them";
                    return Err(self.source.error(&typed.span(), "raw-public-key.public-key-file", message));
                }
                (None, None) => {
                    let message = "is missing; write it as base64 of the SubjectPublicKeyInfo, or name a PEM file in \
                                   `public-key-file`";
                    return Err(self.source.error(&entry.span(), "raw-public-key.public-key", message));
                }
                (Some(typed), None) => (self.public_key(entry)?, typed.span(), "raw-public-key.public-key"),
                (None, Some(typed)) => {
                    (self.public_key(entry)?, typed.span(), "raw-public-key.public-key-file")
                }
            };
            let added = self.outcome.credentials.add_raw_public_key(&spki, typed.endpoint.as_ref());
            if let Err(error) = added {
                let (place, name) = match error {
                    CredentialError::Modes(_) | CredentialError::Endpoint => {
                        (typed.endpoint.span(), "raw-public-key.endpoint")
                    }
                    _ => (place, name),
                };
                let message = match &error {
                    CredentialError::Twice(_) => self.with_first_key(&error, &spki),
                    CredentialError::Modes(endpoint) => {
                        let names = |of: &&raw::Psk<'_>| {
                            of.endpoint.as_ref().unwrap_or(&of.identity).as_ref().as_str() == &**endpoint
                        };
                        let first = self.raw.psk.iter().map(Spanned::as_ref).find(names);
                        self.with_first(&error, first.map(|of| of.endpoint.as_ref().unwrap_or(&of.identity)))
                    }
                    _ => error.to_string(),
                };
                return Err(self.source.error(&place, name, message));
            }
        }
        Ok(())
    }

    /// The DER of the public key that an entry has; where it has none, of none.
    fn public_key(&mut self, entry: &Spanned<raw::RawPublicKey>) -> Result<Vec<u8>, ConfigError> {
        let entry = entry.as_ref();
        if let Some(typed) = &entry.public_key_file {
            let key = "raw-public-key.public-key-file";
            let bytes = self.read_beside(typed, key, LARGEST_PEM, IsSecret::No)?;
            return material::public_key_from_file(&bytes)
                .map_err(|wrong| self.source.error(&typed.span(), key, within(typed.as_ref(), &wrong)));
        }
        let Some(typed) = &entry.public_key else { return Ok(Vec::new()) };
        material::public_key(typed.as_ref().trim())
            .map_err(|wrong| self.source.error(&typed.span(), "raw-public-key.public-key", wrong))
    }

    fn add_x509(&mut self) -> Result<(), ConfigError> {
        let Some(table) = &self.raw.x509 else { return Ok(()) };
        let x509 = table.as_ref();
        if x509.trusted.as_ref().is_empty() {
            let message =
                "is empty; name at least one file with the certificate of an authority, such as \"ca.pem\"";
            return Err(self.source.error(&x509.trusted.span(), "x509.trusted", message));
        }
        for typed in x509.trusted.as_ref() {
            let pem = self.read_beside(typed, "x509.trusted", LARGEST_PEM, IsSecret::No)?;
            self.outcome
                .credentials
                .trust(&pem)
                .map_err(|error| self.wrong_file(typed, "x509.trusted", &error))?;
            self.warn_of_time(&pem, typed.as_ref());
        }
        self.outcome.credentials.name_by(match x509.endpoint.as_ref().map(|typed| typed.as_ref().as_str()) {
            None | Some("common-name") => Naming::CommonName,
            Some("alternative-name") => Naming::AlternativeName,
            Some(_) => {
                let place = x509.endpoint.as_ref().map_or_else(|| table.span(), Spanned::span);
                let message = "must be \"common-name\" or \"alternative-name\"";
                return Err(self.source.error(&place, "x509.endpoint", message));
            }
        });
        Ok(())
    }

    /// What the gateway shows. It may stand in `[x509]` as well, but not in both.
    fn add_server(&mut self) -> Result<(), ConfigError> {
        let raw = self.raw;
        let x509 = raw.x509.as_ref().map(Spanned::as_ref);
        let in_x509 =
            (x509.and_then(|of| of.private_key.as_ref()), x509.and_then(|of| of.certificate.as_ref()));
        let (key, chain, section) = match (&raw.server, in_x509) {
            (Some(_), (Some(typed), _)) => {
                let message = "stands in [server] as well; remove one of them";
                return Err(self.source.error(&typed.span(), "x509.private-key", message));
            }
            (Some(_), (None, Some(typed))) => {
                let message = "belongs into [server], beside the private key";
                return Err(self.source.error(&typed.span(), "x509.certificate", message));
            }
            (Some(table), (None, None)) => {
                (&table.as_ref().private_key, table.as_ref().certificate.as_ref(), "server")
            }
            (None, (Some(key), chain)) => (key, chain, "x509"),
            (None, (None, Some(typed))) => {
                let message = "needs `private-key` beside it";
                return Err(self.source.error(&typed.span(), "x509.certificate", message));
            }
            (None, (None, None)) => return self.no_server(),
        };
        let (key_name, chain_name) = (format!("{section}.private-key"), format!("{section}.certificate"));
        let private = self.read_beside(key, &key_name, LARGEST_PEM, IsSecret::Yes)?;
        // First without the certificate, to tell which of the two is wrong.
        let presented = self.outcome.credentials.present(&private, None);
        presented.map_err(|error| self.wrong_file(key, &key_name, &error))?;
        match (chain, &raw.x509) {
            (Some(chain), _) => {
                let pem = self.read_beside(chain, &chain_name, LARGEST_PEM, IsSecret::No)?;
                let presented = self.outcome.credentials.present(&private, Some(&pem));
                presented.map_err(|error| self.wrong_file(chain, &chain_name, &error))?;
                self.warn_of_time(&pem, chain.as_ref());
                Ok(())
            }
            (None, Some(table)) => {
                let message = "is missing; clients with certificates check the gateway by one: name its file (PEM) here";
                Err(self.source.error(&table.span(), &chain_name, message))
            }
            (None, None) => Ok(()),
        }
    }

    /// Pre-shared keys need nothing of the server.
    fn no_server(&self) -> Result<(), ConfigError> {
        let needed = |place: Range<usize>, of: &str| {
            let message = format!(
                "is missing, and {of} need it: add `[server]` with `private-key = \"server.key\"`; `tidegate credentials \
                 add server-key` does it"
            );
            Err(self.source.error(&place, "server.private-key", message))
        };
        match (&self.raw.x509, self.raw.raw_public_key.first()) {
            (Some(table), _) => needed(table.span(), "clients with certificates"),
            (None, Some(entry)) => needed(entry.span(), "clients with raw public keys"),
            (None, None) => Ok(()),
        }
    }

    /// Reads a file that the credentials name.
    fn read_beside(
        &mut self,
        typed: &Spanned<String>,
        key: &str,
        most: u64,
        is_secret: IsSecret,
    ) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let path = self.source.file.parent().unwrap_or_else(|| Path::new("")).join(typed.as_ref());
        let read = self.seen.read(&path, most);
        let (bytes, metadata) = read.map_err(|error| {
            let message = format!("the file {} cannot be read: {error}", path.display());
            self.source.error(&typed.span(), key, message)
        })?;
        if is_secret == IsSecret::Yes {
            self.outcome.warnings.extend(exposed(&path, metadata.mode()));
        }
        Ok(bytes)
    }

    fn wrong_file(&self, typed: &Spanned<String>, key: &str, error: &CredentialError) -> ConfigError {
        self.source.error(&typed.span(), key, format!("the file {}: {error}", typed.as_ref()))
    }

    /// Certificates that are not valid now stop nothing here: a client may have no clock to see it by.
    fn warn_of_time(&mut self, pem: &[u8], file: &str) {
        let (Ok(certificates), Ok(now)) = (X509::stack_from_pem(pem), Asn1Time::days_from_now(0)) else {
            return;
        };
        for certificate in certificates {
            let name = format!("{file}: the certificate of {:?}", certificate.subject_name());
            if *certificate.not_after() < *now {
                self.outcome.warnings.push(format!("{name} has expired, at {}", certificate.not_after()));
            } else if *certificate.not_before() > *now {
                let from = certificate.not_before();
                self.outcome.warnings.push(format!("{name} is not valid yet, but from {from} on"));
            }
        }
    }

    /// The error, and where the one stands that it is in conflict with.
    fn with_first(&self, error: &CredentialError, first: Option<&Spanned<String>>) -> String {
        match first {
            Some(first) => format!("{error}, in line {}", self.source.line(first.span().start)),
            None => error.to_string(),
        }
    }

    fn with_first_key(&mut self, error: &CredentialError, spki: &[u8]) -> String {
        let raw: &'a raw::File<'a> = self.raw;
        let first = raw.raw_public_key.iter().find(|of| self.public_key(of).is_ok_and(|of| of == spki));
        self.with_first(error, first.map(|of| &of.as_ref().endpoint))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsSecret {
    Yes,
    No,
}

fn within(file: &str, wrong: &str) -> String {
    format!("the file {file} {wrong}")
}

/// A warning if others can read a file with keys.
fn exposed(file: &Path, mode: u32) -> Option<String> {
    let mode = mode & 0o777;
    let file = file.display();
    (mode & 0o077 != 0).then(|| {
        format!("{file} holds keys and is open to others than its owner (mode {mode:04o}); `chmod 600` it")
    })
}

/// All keys of all tables, and the tables.
const NAMES: [&str; 13] = [
    "psk",
    "raw-public-key",
    "x509",
    "server",
    "identity",
    "key",
    "key-file",
    "endpoint",
    "public-key",
    "public-key-file",
    "trusted",
    "private-key",
    "certificate",
];

/// Bytes of a credentials file: room for half a million keys.
const LARGEST_TEXT: u64 = 64 << 20;
/// Bytes of a file with a pre-shared key.
const LARGEST_KEY: u64 = 1 << 10;
/// Bytes of a file with certificates or a key.
const LARGEST_PEM: u64 = 1 << 20;

#[cfg(test)]
mod tests;
