//! The `content` of an answer: an array of `{"value":…,"path":…}`.
//!
//! | Content-Format | `strict` | `fixed` |
//! |---|---|---|
//! | none, 0 | typed by the definition ([`text`]) | also |
//! | 42 | base64 at the path of the request | also |
//! | 11542 | [`tlv`] | also |
//! | 11543 | [`oma_json`] | a value for each sample |
//! | 40, 41, 47, 50, 60 | refused | a value for each sample, else the bytes |
//! | any other | base64 at the path of the request | a value for each sample, else the bytes |
//!
//! A value that is not what its definition asks for makes a `strict` answer 4.00 as a whole. In `fixed` it stands as it
//! came, and `type` says what it is: `text`, or `opaque` for base64.

mod item;
mod oma_json;
mod text;
mod tlv;

use tidegate_sdk::{Content, Kind};

use self::item::Items;
use crate::json;
use crate::packaged;
use crate::settings::Settings;

/// The content cannot be told, and why: the answer becomes 4.00.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable(pub(crate) String);

/// Writes the array. `path` is that of the request as the command had it, without query.
pub(crate) fn write(
    out: &mut Vec<u8>,
    content: &Content,
    path: &str,
    settings: &Settings,
) -> Result<(), Undecodable> {
    let mut items = Items::open(out);
    let asked = Asked { content, path, settings };
    match content.format {
        None | Some(0) => text::write(&mut items, &asked)?,
        Some(11542) => tlv::write(&mut items, &asked)?,
        Some(42) => items.item(path, |out| json::base64(out, &content.payload)),
        Some(_) if !settings.is_strict() && content.problem.is_none() => items.samples(content),
        Some(11543) => oma_json::write(&mut items, &asked)?,
        Some(format @ (40 | 41 | 47 | 50 | 60)) if settings.is_strict() => {
            return Err(Undecodable(format!("values are not read out of content format {format}")));
        }
        Some(_) if settings.is_strict() => items.item(path, |out| json::base64(out, &content.payload)),
        Some(_) => items.undecoded(content, path),
    }
    items.close();
    Ok(())
}

/// Writes the array of a Send or of a composite: whatever the format, a value for each sample, or the bytes.
pub(crate) fn write_samples(out: &mut Vec<u8>, content: &Content) {
    let mut items = Items::open(out);
    if content.problem.is_some() {
        items.undecoded(content, "/");
    } else {
        items.samples(content);
    }
    items.close();
}

/// Writes the array of links of a Discover: the payload split at each comma. In `strict` also within quotes.
pub(crate) fn write_links(out: &mut Vec<u8>, payload: &[u8], is_strict: bool) {
    let mut is_quoted = false;
    let links = payload.split(|byte| {
        is_quoted ^= *byte == b'"' && !is_strict;
        *byte == b',' && !is_quoted
    });
    out.push(b'[');
    for (at, link) in links.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::lossy(out, link);
    }
    out.push(b']');
}

/// The segments of a path: slashes at both ends do not count.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}

/// What was answered, and what the answer is told by.
struct Asked<'a> {
    content: &'a Content,
    /// As the command had it, without query.
    path: &'a str,
    settings: &'a Settings,
}

impl Asked<'_> {
    fn is_strict(&self) -> bool {
        self.settings.is_strict()
    }

    /// The type of a resource. `defined` is what the gateway's definition says; in `strict` it counts for no object but
    /// those that the settings name, and EMQX's definitions for those that EMQX ships.
    fn kind(&self, object: &str, resource: u16, defined: Option<Kind>) -> Option<Kind> {
        if !self.is_strict() {
            return defined;
        }
        let object = object.parse().ok()?;
        if packaged::has(object) {
            return packaged::kind(object, resource);
        }
        defined.filter(|_| self.settings.known_objects.contains(&object))
    }
}

#[cfg(test)]
mod tests;
