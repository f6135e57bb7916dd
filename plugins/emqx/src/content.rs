//! The `content` of an answer: an array of `{"value":…,"path":…}`.
//!
//! | Content-Format | what becomes of it |
//! |---|---|
//! | none, 0 | typed by the definition ([`text`]) |
//! | 42 and formats that EMQX does not know | base64 at the path of the request |
//! | 11542 | [`tlv`] |
//! | 11543 | [`oma_json`] |
//! | 40, 41, 47, 50 | refused |
//! | 60, 110, 112, 11544 | `strict`: refused (60), base64; `fixed`: a value for each sample |

use serde_json::Value as Json;
use tidegate_sdk::{Content, Kind, Sample, Value};

use crate::json;
use crate::number;
use crate::tlv::{self, Body, Entry, EntryKind};

/// The content cannot be told: the answer becomes 4.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// Writes the array. `path` is that of the request as the command had it, without query.
pub(crate) fn write(
    out: &mut Vec<u8>,
    content: &Content,
    path: &str,
    is_strict: bool,
) -> Result<(), Undecodable> {
    let mut items = Items { out, is_first: true };
    items.out.push(b'[');
    match content.format {
        None | Some(0) => text(&mut items, content, path, is_strict)?,
        Some(11542) => tlv(&mut items, content, path, is_strict)?,
        Some(11543) => oma_json(&mut items, &content.payload)?,
        Some(40 | 41 | 47 | 50) => return Err(Undecodable),
        Some(60 | 110 | 112 | 11544) if !is_strict && content.problem.is_none() => {
            for of in &content.samples {
                items.sample(of);
            }
        }
        Some(60) => return Err(Undecodable),
        Some(110 | 112 | 11544) if !is_strict => items.opaque(&content.payload, path),
        Some(_) => items.item(path, |out| json::base64(out, &content.payload)),
    }
    items.out.push(b']');
    Ok(())
}

/// Writes the array of links of a Discover: the payload split at each comma, also within quotes, as EMQX does.
pub(crate) fn write_links(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(b'[');
    for (at, link) in payload.split(|byte| *byte == b',').enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::lossy(out, link);
    }
    out.push(b']');
}

/// Writes the array of a Send: whatever the format, a value for each sample, or the bytes.
pub(crate) fn write_samples(out: &mut Vec<u8>, content: &Content) {
    let mut items = Items { out, is_first: true };
    items.out.push(b'[');
    if content.problem.is_some() {
        items.opaque(&content.payload, "/");
    }
    for of in &content.samples {
        items.sample(of);
    }
    items.out.push(b']');
}

/// The segments of a path: slashes at both ends do not count.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    path.trim_matches('/').split('/').collect()
}

/// A text value (section 2.5.1 of the specification): its JSON type follows the text, not the definition.
fn text(items: &mut Items<'_>, content: &Content, path: &str, is_strict: bool) -> Result<(), Undecodable> {
    if !matches!(segments(path).len(), 3 | 4) {
        return Err(Undecodable);
    }
    let payload = content.payload.as_slice();
    let text = std::str::from_utf8(payload).ok();
    match content.samples.first().and_then(|sample| sample.kind) {
        Some(Kind::Text | Kind::ObjectLink) => items.item(path, |out| json::lossy(out, payload)),
        Some(Kind::Integer | Kind::Time | Kind::Float) => {
            let text = text.ok_or(Undecodable)?;
            if number::is_integer(text) {
                items.item(path, |out| out.extend_from_slice(number::normal(text).as_bytes()));
            } else {
                let value = number::parse_float(text).ok_or(Undecodable)?;
                items.item(path, |out| json::float(out, value));
            }
        }
        Some(Kind::Boolean) => match text {
            Some(text @ ("true" | "false")) => items.item(path, |out| out.extend_from_slice(text.as_bytes())),
            _ => return Err(Undecodable),
        },
        Some(Kind::Opaque) => items.item(path, |out| json::base64(out, payload)),
        Some(Kind::Unsigned) if !is_strict && text.is_some_and(number::is_integer) => {
            let text = number::normal(text.unwrap_or_default());
            items.item(path, |out| out.extend_from_slice(text.as_bytes()));
        }
        Some(Kind::CoreLink) | None if !is_strict => items.item(path, |out| json::lossy(out, payload)),
        _ => return Err(Undecodable),
    }
    Ok(())
}

/// TLV (section 2.5.2): the payload's structure gives the paths, the samples, one for each leaf in its order, the types.
fn tlv(items: &mut Items<'_>, content: &Content, path: &str, is_strict: bool) -> Result<(), Undecodable> {
    let entries = tlv::parse(&content.payload).ok_or(Undecodable)?;
    let segments = segments(path);
    let mut kinds = content.samples.iter().map(|sample| sample.kind);
    let mut leaf = |items: &mut Items<'_>, path: &str, value: &[u8]| {
        items.leaf(path, value, kinds.next().flatten(), is_strict)
    };
    match (entries.as_slice(), segments.as_slice()) {
        (
            [Entry { kind: EntryKind::Resource, id, body: Body::Value(value) }],
            [object, instance, rest @ ..],
        ) => match rest {
            [] => leaf(items, &format!("/{object}/{instance}/{id}"), value),
            [resource] => leaf(items, &format!("/{object}/{instance}/{resource}"), value),
            _ => Err(Undecodable),
        },
        (
            [Entry { kind: EntryKind::Resource | EntryKind::MultipleResource, .. }, ..],
            [object, instance] | [object, instance, _],
        ) => resources(items, &format!("/{object}/{instance}"), &entries, &mut leaf),
        ([Entry { kind: EntryKind::ObjectInstance, id, body: Body::Entries(below) }], segments) => {
            let base = match segments {
                [object] => format!("/{object}/{id}"),
                [object, instance] | [object, instance, _] => format!("/{object}/{instance}"),
                _ => return Err(Undecodable),
            };
            resources(items, &base, below, &mut leaf)
        }
        ([Entry { kind: EntryKind::ObjectInstance, .. }, ..], [object, ..]) => {
            for entry in &entries {
                let Entry { kind: EntryKind::ObjectInstance, id, body: Body::Entries(below) } = entry else {
                    return Err(Undecodable);
                };
                // Without a slash in front: so it is, and so it is consumed.
                resources(items, &format!("{object}/{id}"), below, &mut leaf)?;
            }
            Ok(())
        }
        _ => Err(Undecodable),
    }
}

fn resources(
    items: &mut Items<'_>,
    base: &str,
    entries: &[Entry<'_>],
    leaf: &mut impl FnMut(&mut Items<'_>, &str, &[u8]) -> Result<(), Undecodable>,
) -> Result<(), Undecodable> {
    for entry in entries {
        match (entry.kind, &entry.body) {
            (EntryKind::Resource, Body::Value(value)) => leaf(items, &format!("{base}/{}", entry.id), value)?,
            (EntryKind::MultipleResource, Body::Entries(instances)) => {
                for instance in instances {
                    let Body::Value(value) = &instance.body else { return Err(Undecodable) };
                    leaf(items, &format!("{base}/{}/{}", entry.id, instance.id), value)?;
                }
            }
            _ => return Err(Undecodable),
        }
    }
    Ok(())
}

/// The JSON of LwM2M 1.0 (section 2.5.3). A time stamp hides the value, as in EMQX.
fn oma_json(items: &mut Items<'_>, payload: &[u8]) -> Result<(), Undecodable> {
    let document: Json = serde_json::from_slice(payload).map_err(|_| Undecodable)?;
    let Json::Object(document) = document else { return Err(Undecodable) };
    let base = document.get("bn").map_or(Some(""), Json::as_str).ok_or(Undecodable)?.trim_end_matches('/');
    let entries = match document.get("e") {
        None => return Ok(()),
        Some(Json::Array(entries)) => entries,
        Some(_) => return Err(Undecodable),
    };
    for entry in entries {
        let Json::Object(entry) = entry else { return Err(Undecodable) };
        let name = entry.get("n").map_or(Some(""), Json::as_str).ok_or(Undecodable)?.trim_start_matches('/');
        let value =
            ["t", "v", "bv", "ov", "sv"].iter().find_map(|key| entry.get(*key)).unwrap_or(&Json::Null);
        items.item(&format!("{base}/{name}"), |out| out.extend_from_slice(value.to_string().as_bytes()));
    }
    Ok(())
}

struct Items<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Items<'_> {
    fn item(&mut self, path: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.open();
        self.out.extend_from_slice(b"{\"value\":");
        value(self.out);
        self.close(path);
    }

    /// A value of which only the bytes are known.
    fn opaque(&mut self, bytes: &[u8], path: &str) {
        self.open();
        self.out.extend_from_slice(b"{\"value\":");
        json::base64(self.out, bytes);
        self.out.extend_from_slice(b",\"type\":\"opaque\"");
        self.close(path);
    }

    fn open(&mut self) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
    }

    fn close(&mut self, path: &str) {
        self.out.extend_from_slice(b",\"path\":");
        json::string(self.out, path);
        self.out.push(b'}');
    }

    /// A leaf of a TLV, typed by its definition.
    fn leaf(
        &mut self,
        path: &str,
        bytes: &[u8],
        kind: Option<Kind>,
        is_strict: bool,
    ) -> Result<(), Undecodable> {
        match kind {
            Some(Kind::Text) => self.item(path, |out| json::lossy(out, bytes)),
            Some(Kind::Integer) => {
                self.item(path, |out| out.extend_from_slice(number::to_decimal(bytes, true).as_bytes()))
            }
            Some(Kind::Time) => {
                self.item(path, |out| out.extend_from_slice(number::to_decimal(bytes, false).as_bytes()))
            }
            Some(Kind::Float) => {
                let number = float(bytes).filter(|number| number.is_finite()).ok_or(Undecodable)?;
                self.item(path, |out| json::float(out, number));
            }
            Some(Kind::Boolean) => {
                let text: &[u8] = match bytes {
                    [0] => b"false",
                    [1] => b"true",
                    _ => return Err(Undecodable),
                };
                self.item(path, |out| out.extend_from_slice(text));
            }
            Some(Kind::Opaque) => self.item(path, |out| json::base64(out, bytes)),
            Some(Kind::ObjectLink) => {
                let [a, b, c, d] = *bytes else { return Err(Undecodable) };
                let text = format!("\"{}:{}\"", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                self.item(path, |out| out.extend_from_slice(text.as_bytes()));
            }
            _ if is_strict => return Err(Undecodable),
            Some(Kind::Unsigned) => {
                self.item(path, |out| out.extend_from_slice(number::to_decimal(bytes, false).as_bytes()));
            }
            Some(Kind::CoreLink) => self.item(path, |out| json::lossy(out, bytes)),
            Some(Kind::Executable) | None => self.opaque(bytes, path),
        }
        Ok(())
    }

    fn sample(&mut self, of: &Sample) {
        let path = of.path.to_string();
        match &of.value {
            Value::Text(text) | Value::CoreLink(text) => self.item(&path, |out| json::string(out, text)),
            Value::Integer(number) | Value::Time(number) => {
                self.item(&path, |out| json::integer(out, *number))
            }
            Value::Unsigned(number) => {
                self.item(&path, |out| out.extend_from_slice(number.to_string().as_bytes()))
            }
            Value::Float(number) if number.is_finite() => self.item(&path, |out| json::float(out, *number)),
            Value::Boolean(flag) => {
                self.item(&path, |out| out.extend_from_slice(flag.to_string().as_bytes()))
            }
            Value::Opaque(bytes) if of.kind == Some(Kind::Opaque) => {
                self.item(&path, |out| json::base64(out, bytes))
            }
            Value::Opaque(bytes) => self.opaque(bytes, &path),
            Value::ObjectLink(link) => {
                let text = format!("\"{}:{}\"", link.object, link.object_instance);
                self.item(&path, |out| out.extend_from_slice(text.as_bytes()));
            }
            // JSON has no infinities.
            Value::Float(_) | Value::Null => self.item(&path, |out| out.extend_from_slice(b"null")),
        }
    }
}

fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => Some(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        8 => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}
