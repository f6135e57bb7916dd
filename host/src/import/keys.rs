//! A table whose keys are taken one by one, so that what nobody has taken is seen at the end.

use std::time::Duration;

use serde_json::{Map, Value};

use super::quantity::{self, Unit};
use super::{ImportError, Notes};

/// What is left of a table.
#[derive(Debug)]
pub(super) struct Keys {
    /// Where it stands, with a dot at the end unless it is the root.
    path: String,
    left: Map<String, Value>,
}

impl Keys {
    pub(super) fn new(path: impl Into<String>, table: Map<String, Value>) -> Self {
        Self { path: path.into(), left: table }
    }

    /// The whole name of a key.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// Takes what is there. A `null` is as good as nothing.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// Puts back what was only looked at.
    pub(super) fn put(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.left.insert(key.to_owned(), value);
        }
    }

    /// Takes a table; none is an empty one.
    pub(super) fn table(&mut self, key: &str) -> Result<Self, ImportError> {
        let path = format!("{}.", self.key(key));
        match self.take(key) {
            None => Ok(Self::new(path, Map::new())),
            Some(Value::Object(table)) => Ok(Self::new(path, table)),
            Some(_) => Err(self.wrong(key, "is not a table")),
        }
    }

    /// Takes all tables that are below.
    pub(super) fn tables(self) -> Result<Vec<(String, Self)>, ImportError> {
        let Self { path, left } = self;
        left.into_iter()
            .map(|(name, value)| match value {
                Value::Object(table) => Ok((name.clone(), Self::new(format!("{path}{name}."), table))),
                _ => {
                    Err(ImportError::Value { key: format!("{path}{name}"), problem: "is not a table".into() })
                }
            })
            .collect()
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, ImportError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(self.wrong(key, "is not a text")),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, ImportError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(other) => Err(self.wrong(key, &format!("is {other}; it is true or false"))),
        }
    }

    /// A count, or none where it is `infinity`.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<u64>, ImportError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if text == "infinity" => Ok(None),
            Some(value) => {
                let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
                text.parse()
                    .map(Some)
                    .map_err(|_| self.wrong(key, &format!("is {value}, which is no number")))
            }
        }
    }

    /// A duration; a bare number is in `unit`.
    pub(super) fn duration(&mut self, key: &str, unit: Unit) -> Result<Option<Duration>, ImportError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        let wrong =
            || self.wrong(key, &format!("is {value}, which is no duration such as \"30s\" or \"1h30m\""));
        quantity::duration(&text, unit).map(Some).ok_or_else(wrong)
    }

    /// Notes that a key has no counterpart, if it is there.
    pub(super) fn leave(&mut self, key: &str, why: &str, notes: &mut Notes) {
        if self.take(key).is_some() {
            notes.not_mapped(self.key(key), why);
        }
    }

    /// Takes what says how things are, not how they are to be.
    pub(super) fn forget(&mut self, keys: &[&str]) {
        for key in keys {
            self.left.remove(*key);
        }
    }

    /// Notes what is left.
    pub(super) fn finish(self, notes: &mut Notes) {
        for (key, value) in &self.left {
            if !value.is_null() {
                notes.not_mapped(
                    self.key(key),
                    "is unknown: it is no key of EMQX 5.0 to 6.3 that this version has heard of",
                );
            }
        }
    }

    pub(super) fn wrong(&self, key: &str, problem: &str) -> ImportError {
        ImportError::Value { key: self.key(key), problem: problem.to_owned() }
    }
}
