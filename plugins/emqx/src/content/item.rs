//! The items of a `content`, one after the other.

use tidegate_sdk::{Content, Kind, Path, Sample, Value};

use crate::json;
use crate::number;

/// The array while it is written.
pub(super) struct Items<'a> {
    out: &'a mut Vec<u8>,
    /// Where the first item starts.
    start: usize,
}

/// What an item says beside value and path, in `fixed`.
#[derive(Clone, Copy, Default)]
struct Notes<'a> {
    /// What the value is where it is not what the definition asks for.
    kind: Option<&'a str>,
    /// When, by the device: milliseconds since 1970.
    taken: Option<i64>,
    /// Why the payload was not decoded.
    problem: Option<&'a str>,
}

impl<'a> Items<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'[');
        let start = out.len();
        Self { out, start }
    }

    pub(super) fn close(self) {
        self.out.push(b']');
    }

    /// Takes everything back.
    pub(super) fn clear(&mut self) {
        self.out.truncate(self.start);
    }

    pub(super) fn item(&mut self, path: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.noted(path, Notes::default(), value);
    }

    pub(super) fn text(&mut self, path: &str, text: &str) {
        self.item(path, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// Bytes that are not the value that the definition asks for, or have none.
    pub(super) fn opaque(&mut self, path: &str, bytes: &[u8]) {
        self.noted(path, OPAQUE, |out| json::base64(out, bytes));
    }

    /// A text that is not the value that the definition asks for.
    pub(super) fn unfit(&mut self, path: &str, text: &str) {
        self.noted(path, TEXT, |out| json::string(out, text));
    }

    /// A payload that the gateway could not decode.
    pub(super) fn undecoded(&mut self, content: &Content, path: &str) {
        let notes = Notes { problem: content.problem.as_deref(), ..OPAQUE };
        self.noted(path, notes, |out| json::base64(out, &content.payload));
    }

    /// A value for each sample.
    pub(super) fn samples(&mut self, content: &Content) {
        self.out.reserve(content.samples.len() * USUAL);
        for sample in &content.samples {
            self.sample(sample);
        }
    }

    fn sample(&mut self, of: &Sample) {
        let path = &of.path;
        let taken = of.taken;
        let plain = Notes { taken, ..Notes::default() };
        match &of.value {
            Value::Text(text) if matches!(of.kind, None | Some(Kind::Text)) => {
                self.noted(path, plain, |out| json::string(out, text))
            }
            Value::Text(text) => self.noted(path, Notes { taken, ..TEXT }, |out| json::string(out, text)),
            Value::CoreLink(text) => self.noted(path, plain, |out| json::string(out, text)),
            Value::Integer(number) | Value::Time(number) => {
                self.noted(path, plain, |out| json::integer(out, *number))
            }
            Value::Unsigned(number) => {
                self.noted(path, plain, |out| out.extend_from_slice(number.to_string().as_bytes()))
            }
            Value::Float(number) if number.is_finite() => {
                self.noted(path, plain, |out| json::float(out, *number))
            }
            // JSON has no infinities and no NaN, but Rust's names of them are those of many.
            Value::Float(number) => {
                self.noted(path, Notes { taken, ..TEXT }, |out| json::string(out, &number.to_string()))
            }
            Value::Boolean(flag) => {
                self.noted(path, plain, |out| out.extend_from_slice(flag.to_string().as_bytes()))
            }
            Value::Opaque(bytes) if of.kind == Some(Kind::Opaque) => {
                self.noted(path, plain, |out| json::base64(out, bytes))
            }
            Value::Opaque(bytes) => {
                self.noted(path, Notes { taken, ..OPAQUE }, |out| json::base64(out, bytes))
            }
            Value::ObjectLink(link) => {
                let text = format!("\"{}:{}\"", link.object, link.object_instance);
                self.noted(path, plain, |out| out.extend_from_slice(text.as_bytes()));
            }
            Value::Null => self.noted(path, plain, |out| out.extend_from_slice(b"null")),
        }
    }

    fn noted(&mut self, path: impl Place, notes: Notes<'_>, value: impl FnOnce(&mut Vec<u8>)) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"value\":");
        value(self.out);
        if let Some(kind) = notes.kind {
            self.out.extend_from_slice(b",\"type\":");
            json::string(self.out, kind);
        }
        if let Some(taken) = notes.taken {
            self.out.extend_from_slice(b",\"timestamp\":");
            json::integer(self.out, taken);
        }
        if let Some(problem) = notes.problem {
            self.out.extend_from_slice(b",\"problem\":");
            json::string(self.out, problem);
        }
        self.out.extend_from_slice(b",\"path\":");
        path.write(self.out);
        self.out.push(b'}');
    }
}

/// Where a value is, as a JSON string.
trait Place {
    fn write(self, out: &mut Vec<u8>);
}

impl Place for &str {
    fn write(self, out: &mut Vec<u8>) {
        json::string(out, self);
    }
}

/// Without a text in between: there is one for each sample.
impl Place for &Path {
    fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        if self.object.is_none() {
            out.push(b'/');
        }
        for id in self.ids() {
            out.push(b'/');
            json::integer(out, id.into());
        }
        out.push(b'"');
    }
}

/// The JSON of a number's text, if it is one in EMQX's grammar: the JSON type follows the text.
pub(super) fn number(text: &str) -> Option<String> {
    if number::is_integer(text) {
        return Some(number::normal(text));
    }
    let mut out = Vec::new();
    json::float(&mut out, number::parse_float(text)?);
    String::from_utf8(out).ok()
}

/// Bytes of an item without much in it.
const USUAL: usize = 48;
const OPAQUE: Notes<'static> = Notes { kind: Some("opaque"), taken: None, problem: None };
const TEXT: Notes<'static> = Notes { kind: Some("text"), taken: None, problem: None };
