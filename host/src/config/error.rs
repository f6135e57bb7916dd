//! Errors of the configuration: file, line, key, what is wrong and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// One thing that is wrong with the configuration. It ends the start of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// Dotted key, such as `mqtt.broker`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self { file: file.into(), line: 0, key: String::new(), message: format!("cannot be read: {error}") }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The text at hand, to turn places in it into lines.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// An error at a place whose key is known.
    pub(crate) fn error(&self, place: &Range<usize>, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line: self.line(place.start),
            key: key.into(),
            message: message.into(),
        }
    }

    /// Where a dotted key stands, in the table of that translator if there is one; else the table that it would be in.
    pub(crate) fn place(&self, key: &str, translator: Option<&str>) -> Option<Range<usize>> {
        let file = DeTable::parse(self.text).ok()?;
        let (mut table, mut place) = (file.get_ref(), None);
        for part in key.split('.') {
            let Some((name, value)) = table.get_key_value(part) else { break };
            place = Some(name.span());
            let inner = match value.get_ref() {
                DeValue::Array(tables) => tables.iter().find(|of| is_named(of.get_ref(), translator)),
                _ => Some(value),
            };
            let Some(inner) = inner else { break };
            let DeValue::Table(inner_table) = inner.get_ref() else { break };
            if matches!(value.get_ref(), DeValue::Array(_)) {
                place = Some(inner.span());
            }
            table = inner_table;
        }
        place
    }

    /// An error of the TOML reader: no TOML, a wrong type, or a key that does not exist.
    pub(crate) fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let place = error.span().unwrap_or(0..0);
        let named: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
        let section = self.section(place.start);
        match named.split_first() {
            Some((unknown, known)) if error.message().starts_with("unknown field") => {
                let key = if section == *unknown { (*unknown).into() } else { join(&section, unknown) };
                self.error(&place, &key, unknown_key(unknown, known))
            }
            Some((missing, _)) if error.message().starts_with("missing field") => {
                self.error(&place, &join(&section, missing), "is missing")
            }
            _ => {
                let key = self.key(place.start);
                let key = if key.is_empty() { section } else { join(&section, &key) };
                self.error(&place, &key, error.message())
            }
        }
    }

    /// From 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.text[..offset.min(self.text.len())].matches('\n').count() + 1
    }

    /// The table that a place is in, by the last header at or above its line.
    fn section(&self, offset: usize) -> String {
        let headers =
            self.text.lines().take(self.line(offset)).filter_map(|line| line.trim().strip_prefix('['));
        let header = headers.last().unwrap_or_default().trim_start_matches('[');
        header.split(']').next().unwrap_or_default().trim().into()
    }

    /// The key of the line that a place is in; empty where it is none.
    fn key(&self, offset: usize) -> String {
        let line = self.text.lines().nth(self.line(offset) - 1).unwrap_or_default().trim();
        let key = line.split_once('=').map(|(key, _)| key.trim()).unwrap_or_default();
        if key.starts_with(['[', '#', '"']) { String::new() } else { key.into() }
    }
}

fn is_named(table: &DeValue<'_>, name: Option<&str>) -> bool {
    name.is_some() && table.get("name").and_then(|value| value.get_ref().as_str()) == name
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.into() } else { format!("{section}.{key}") }
}

pub(crate) fn unknown_key(unknown: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (distance(unknown, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + unknown.len() / 3 => {
            format!("no such key; did you mean `{name}`?")
        }
        _ => format!("no such key; known here: {}", known.join(", ")),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replace = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}
