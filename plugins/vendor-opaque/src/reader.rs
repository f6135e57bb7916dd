//! Takes tables of the settings apart, and remembers what is wrong with which key.

use serde_json::{Map, Value as Json};
use tidegate_sdk::Diagnostic;

/// A table, of which the keys are taken that are read.
pub(crate) struct Reader<'a> {
    /// In front of each key: empty, or ends with a point.
    prefix: String,
    members: Map<String, Json>,
    known: Vec<&'static str>,
    wrong: &'a mut Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// The table at a key; anything else is wrong, and read as an empty one.
    pub(crate) fn new(key: &str, json: Json, wrong: &'a mut Vec<Diagnostic>) -> Self {
        let members = match json {
            Json::Object(members) => members,
            other => {
                wrong.push(Diagnostic { key: key.to_owned(), text: format!("{other} is not a table") });
                Map::new()
            }
        };
        let prefix = if key.is_empty() { String::new() } else { format!("{key}.") };
        Self { prefix, members, known: vec![], wrong }
    }

    /// A member; nothing, if it is not there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Json> {
        self.known.push(key);
        self.members.remove(key)
    }

    /// What a member says; nothing, if it is not there or is not what is expected, which is told.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Json) -> Option<T>,
    ) -> Option<T> {
        let json = self.take(key)?;
        let value = read(&json);
        if value.is_none() {
            self.wrong(key, format!("{json} is not {expected}"));
        }
        value
    }

    /// As [`read`](Self::read); that it is not there is told, too.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Json) -> Option<T>,
    ) -> Option<T> {
        if !self.members.contains_key(key) {
            self.known.push(key);
            self.wrong(key, format!("is missing; it is {expected}"));
            return None;
        }
        self.read(key, expected, read)
    }

    /// The items of a list, each with its key.
    pub(crate) fn list(&mut self, key: &'static str, expected: &str) -> Vec<(String, Json)> {
        let items = self.require(key, expected, |json| json.as_array().cloned()).unwrap_or_default();
        let prefix = &self.prefix;
        items.into_iter().enumerate().map(|(at, item)| (format!("{prefix}{key}[{at}]"), item)).collect()
    }

    /// Where else something may be found to be wrong.
    pub(crate) fn all_wrong(&mut self) -> &mut Vec<Diagnostic> {
        self.wrong
    }

    /// Something is wrong with a key.
    pub(crate) fn wrong(&mut self, key: &str, text: String) {
        self.wrong.push(Diagnostic { key: format!("{}{key}", self.prefix), text });
    }

    /// All that has not been read is wrong.
    pub(crate) fn finish(mut self) {
        for key in std::mem::take(&mut self.members).keys() {
            self.wrong(key, format!("there is no such key; there are {}", self.known.join(", ")));
        }
    }
}
