//! Takes an object of the settings apart, and remembers what is wrong with it.

use serde_json::{Map, Value};
use tidegate_sdk::Diagnostic;

/// An object, of which the keys are taken that are read.
pub(super) struct Reader {
    /// In front of each key: empty, or ends with a point.
    prefix: String,
    members: Option<Map<String, Value>>,
    known: Vec<String>,
    wrong: Vec<Diagnostic>,
}

impl Reader {
    /// The settings as a whole.
    pub(super) fn new(json: Value) -> Self {
        Self::of(String::new(), Some(json))
    }

    fn of(prefix: String, json: Option<Value>) -> Self {
        let mut reader = Self { prefix, members: None, known: vec![], wrong: vec![] };
        match json {
            None => {}
            Some(Value::Object(members)) => reader.members = Some(members),
            Some(other) => {
                let key = reader.prefix.trim_end_matches('.').to_owned();
                reader.wrong.push(Diagnostic { key, text: format!("{other} is not an object") });
            }
        }
        reader
    }

    /// Whether there is an object here.
    pub(super) fn is_given(&self) -> bool {
        self.members.is_some()
    }

    /// A member.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.members.as_mut()?.remove(key)
    }

    /// The object under a key.
    pub(super) fn below(&mut self, key: &str) -> Self {
        let json = self.take(key);
        Self::of(format!("{}{key}.", self.prefix), json)
    }

    /// Takes over what is wrong below. `hint` says of an unknown key what there is instead.
    pub(super) fn absorb(&mut self, mut below: Self, hint: impl Fn(&str) -> Option<String>) {
        below.refuse_unknown(hint);
        self.wrong.append(&mut below.wrong);
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        match self.take(key) {
            None => default.to_owned(),
            Some(Value::String(text)) => text,
            Some(other) => {
                self.wrong(key, format!("{other} is not a text"));
                default.to_owned()
            }
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Value::Bool(flag) => Some(flag),
            other => {
                self.wrong(key, format!("{other} is neither true nor false"));
                None
            }
        }
    }

    /// One of a few words; the first is the default.
    pub(super) fn one_of<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> T {
        let default = words[0].1;
        let Some(value) = self.take(key) else { return default };
        match words.iter().find(|(word, _)| value.as_str() == Some(word)) {
            Some((_, meaning)) => *meaning,
            None => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                self.wrong(key, format!("{value} is neither {}", words.join(" nor ")));
                default
            }
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Something is wrong with a key.
    pub(super) fn wrong(&mut self, key: &str, text: String) {
        self.wrong.push(Diagnostic { key: format!("{}{key}", self.prefix), text });
    }

    /// Nothing is wrong, or all of it.
    pub(super) fn finish(mut self, hint: impl Fn(&str) -> Option<String>) -> Result<(), Vec<Diagnostic>> {
        self.refuse_unknown(hint);
        if self.wrong.is_empty() { Ok(()) } else { Err(self.wrong) }
    }

    fn refuse_unknown(&mut self, hint: impl Fn(&str) -> Option<String>) {
        for key in self.members.take().unwrap_or_default().keys() {
            let there_are = || format!("there are {}", self.known.join(", "));
            let text = format!("no such setting: {}", hint(key).unwrap_or_else(there_are));
            self.wrong(key, text);
        }
    }
}
