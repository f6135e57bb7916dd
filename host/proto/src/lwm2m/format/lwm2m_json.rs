//! LwM2M JSON, the JSON of LwM2M 1.0 (core 1.0.2 section 6.4.4): one object with a base name, a base time and the
//! entries. SenML JSON took its place in 1.1.
//!
//! Numbers, texts and booleans are typed as in SenML JSON, with whose parser of JSON it is read.
//!
//! # Guarantees
//! * Integers are exact up to 64 bits, and floats are the nearest to what is written.
//! * A value that does not fit its definition stays text, and costs the others nothing. Without a definition the type is
//!   that of the member: number, text, boolean or object link; bytes are not told from texts then.
//! * Values of the defined types that are written read as the same samples, times included. (A text where bytes are
//!   defined may not: both stand in `sv`.)
//! * Texts without escapes are not copied on reading.

use std::borrow::Cow;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::scalar::{Number, Scalar};
use super::senml::json::{Text, malformed, opaque, put, put_text};
use super::{Error, MAX_SAMPLES, Scope, fit, i64_of_float};
use crate::lwm2m::path::{Path, PathError};
use crate::lwm2m::value::{Kind, Sample, Value};

/// The samples of the entries, in their order; several of one path are its history. An entry without a value gives
/// [`Value::Null`]. Members that are not known are passed over, and the members may come in any order.
///
/// # Paths
/// A name is below the base name. There is one slash between them, whether or not one of the two has it; but where
/// only the base name and the name without a slash between are at or below the request path, they are meant so. If
/// there is no base name, or an empty one, a name that begins with a slash is a whole path, as is one that is at least
/// a resource at or below the request path; any other is relative to the request path. The alternate path is left
/// away.
///
/// # Values
/// Where the definition says opaque, `sv` is base64, in either alphabet and padded or not. A text in `v` which is a
/// number is read as one, as drafts of the format write numbers.
///
/// # Times
/// Time and base time are added. A sum above 0 is seconds since 1970 and becomes [`Sample::taken`]; any other is
/// relative to the moment of sending, which is not known here, so that `taken` stays empty (draft-jennings-senml-10
/// section 4, which 1.0 builds on; the limit of 2^28 came with RFC 8428).
///
/// # Errors
/// If the payload is not such JSON, a member that is known stands twice, an entry has more than one value, or a name
/// is not a path.
pub(super) fn decode<'a>(
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    let mut too_many = false;
    let mut json = serde_json::Deserializer::from_slice(payload);
    let expected = (payload.len() / SMALLEST_USUAL_ENTRY).min(64);
    let document = DocumentSeed { expected, too_many: &mut too_many }.deserialize(&mut json);
    let document = document.and_then(|document| json.end().map(|()| document));
    let document = document.map_err(|error| match too_many {
        true => Error::TooMany { format: NAME, limit: MAX_SAMPLES },
        false => malformed(NAME, payload, &error),
    })?;
    let names = Names::new(scope, document.base_name.as_deref().unwrap_or_default());
    let base_time = document.base_time.unwrap_or_default();
    samples.reserve(document.entries.len());
    for entry in document.entries {
        let name = entry.name.unwrap_or_default();
        let path = names.path(&name).map_err(|error| Error::Malformed {
            format: NAME,
            offset: place(payload, &name),
            reason: error.to_string(),
        })?;
        let kind = scope.kind(path);
        let value = entry.value.map_or(Value::Null, |(member, value)| typed(member, value, kind));
        let taken = absolute(base_time + entry.time.unwrap_or_default());
        samples.push(Sample { path, value, kind, taken });
    }
    Ok(())
}

/// The whole payload. The base name and base time may come after the entries, so these wait.
#[derive(Default)]
struct Document<'a> {
    base_name: Option<Cow<'a, str>>,
    base_time: Option<f64>,
    entries: Vec<Entry<'a>>,
}

/// One entry as it is written.
#[derive(Default)]
struct Entry<'a> {
    name: Option<Cow<'a, str>>,
    time: Option<f64>,
    value: Option<(Member, Scalar<'a>)>,
}

/// Which member a value stands in.
#[derive(Clone, Copy)]
enum Member {
    /// `v`
    Number,
    /// `sv`
    Text,
    /// `bv`
    Boolean,
    /// `ov`
    ObjectLink,
}

struct DocumentSeed<'p> {
    /// A guess at the number of entries.
    expected: usize,
    too_many: &'p mut bool,
}

impl<'a> DeserializeSeed<'a> for DocumentSeed<'_> {
    type Value = Document<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Document<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for DocumentSeed<'_> {
    type Value = Document<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an array `e` of entries")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Document<'a>, A::Error> {
        let mut document = Document::default();
        let mut has_entries = false;
        while let Some(Text(key)) = members.next_key()? {
            match &*key {
                "bn" => set("bn", &mut document.base_name, members.next_value::<Text<'a>>()?.0)?,
                "bt" => set("bt", &mut document.base_time, members.next_value::<Seconds>()?.0)?,
                "e" if has_entries => return Err(twice("e")),
                "e" => {
                    has_entries = true;
                    document.entries.reserve(self.expected);
                    let seed = EntriesSeed { entries: &mut document.entries, too_many: self.too_many };
                    members.next_value_seed(seed)?;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(document)
    }
}

struct EntriesSeed<'p, 'a> {
    entries: &'p mut Vec<Entry<'a>>,
    too_many: &'p mut bool,
}

impl<'a> DeserializeSeed<'a> for EntriesSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for EntriesSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element()? {
            if self.entries.len() >= MAX_SAMPLES {
                *self.too_many = true;
                return Err(de::Error::custom("too many values"));
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

impl<'a> Deserialize<'a> for Entry<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'a> Visitor<'a> for EntryVisitor {
    type Value = Entry<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Entry<'a>, A::Error> {
        let mut entry = Entry::default();
        while let Some(Text(key)) = members.next_key()? {
            let member = match &*key {
                "n" => {
                    set("n", &mut entry.name, members.next_value::<Text<'a>>()?.0)?;
                    continue;
                }
                "t" => {
                    set("t", &mut entry.time, members.next_value::<Seconds>()?.0)?;
                    continue;
                }
                "v" => Member::Number,
                "sv" => Member::Text,
                "bv" => Member::Boolean,
                "ov" => Member::ObjectLink,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if entry.value.replace((member, members.next_value()?)).is_some() {
                return Err(de::Error::custom("an entry has more than one value"));
            }
        }
        Ok(entry)
    }
}

fn set<T, E: de::Error>(key: &str, member: &mut Option<T>, value: T) -> Result<(), E> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(key)),
    }
}

fn twice<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("`{key}` stands twice"))
}

/// A time: a number, or a text that is one.
struct Seconds(f64);

impl<'a> Deserialize<'a> for Seconds {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        match numeric(Scalar::deserialize(deserializer)?) {
            Scalar::Number(seconds) => Ok(Self(seconds.float())),
            _ => Err(de::Error::custom("expected a number of seconds")),
        }
    }
}

/// A text that is a number as that number.
fn numeric(value: Scalar<'_>) -> Scalar<'_> {
    match value {
        Scalar::Text(text) => match serde_json::from_str::<Number>(&text) {
            Ok(number) => Scalar::Number(number),
            Err(_) => Scalar::Text(text),
        },
        other => other,
    }
}

/// The value as the type of its resource, else as that of the member that it stands in.
fn typed(member: Member, value: Scalar<'_>, kind: Option<Kind>) -> Value<'_> {
    let value = match (member, value) {
        (Member::Number, value) => numeric(value),
        (Member::Text, Scalar::Text(text)) if kind == Some(Kind::Opaque) => return opaque(text, kind),
        (Member::ObjectLink, Scalar::Text(text)) if kind.is_none() => match text.parse() {
            Ok(link) => return Value::ObjectLink(link),
            Err(_) => Scalar::Text(text),
        },
        (_, value) => value,
    };
    value.typed(kind).unwrap_or_else(|value| value.untyped(None))
}

/// Milliseconds since 1970 of a time that is absolute.
fn absolute(seconds: f64) -> Option<i64> {
    i64_of_float((seconds * 1000.0).round()).filter(|taken| *taken > 0)
}

/// What names are relative to.
struct Names<'s> {
    request: Path,
    alternate_path: &'s str,
    /// As it is written; empty if there is none.
    base_name: &'s str,
    /// The base name as a path.
    base: Result<Path, PathError>,
}

impl<'s> Names<'s> {
    fn new(scope: &Scope<'s>, base_name: &'s str) -> Self {
        let alternate_path = scope.alternate_path.trim_end_matches('/');
        let base = whole(base_name, alternate_path).parse();
        Self { request: scope.path, alternate_path, base_name, base }
    }

    fn path(&self, name: &str) -> Result<Path, PathError> {
        if self.base_name.is_empty() {
            return self.without_base(name);
        }
        let joined = self.base.clone().and_then(|base| join(base, name));
        if joined.as_ref().is_ok_and(|path| path.starts_with(&self.request)) {
            return joined;
        }
        // Divided in the middle of an id: `/3/0/1` and `1/0` are `/3/0/11/0`.
        let text = [self.base_name, name].concat();
        let path: Option<Path> = whole(&text, self.alternate_path).parse().ok();
        path.filter(|path| path.starts_with(&self.request)).map_or(joined, Ok)
    }

    fn without_base(&self, name: &str) -> Result<Path, PathError> {
        let path = whole(name, self.alternate_path).parse::<Path>();
        if name.starts_with('/') {
            return path;
        }
        let is_whole = |path: &Path| path.depth() >= 3 && path.starts_with(&self.request);
        if path.as_ref().is_ok_and(is_whole) {
            return path;
        }
        join(self.request, name).or(path)
    }
}

/// A name without the alternate path before it.
fn whole<'n>(name: &'n str, alternate_path: &str) -> &'n str {
    let below = name.strip_prefix(alternate_path);
    below.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(name)
}

/// The path `name` below `base`.
fn join(base: Path, name: &str) -> Result<Path, PathError> {
    let name_path: Path = name.parse()?;
    let path = name_path.ids().iter().try_fold(base, |path, &id| path.child(id));
    path.ok_or_else(|| PathError::TooLong { text: format!("{base}{name_path}") })
}

/// Where a name stands in the payload; the end of the payload if it is written with escapes.
fn place(payload: &[u8], name: &str) -> usize {
    let offset = name.as_ptr().addr().wrapping_sub(payload.as_ptr().addr());
    offset.min(payload.len())
}

/// The document of samples at or below the request path. The base name is the object instance of the request path, or
/// what it has of one, after the alternate path and with a slash at its end; so every entry has a name. Times are
/// written without a base time.
///
/// Opaque values are base64 in `sv`, which a reader without the definition takes for a text.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let base = scope.path.truncated(2);
    let prefix = scope.alternate_path.trim_end_matches('/');
    let slash = if base.depth() == 0 { "" } else { "/" };
    let mut json = Vec::with_capacity(32 + samples.len() * USUAL_ENTRY);
    json.extend_from_slice(b"{\"bn\":");
    match prefix {
        "" => put(&mut json, format_args!("\"{base}{slash}\"")),
        prefix => put_text(&mut json, &format!("{prefix}{base}{slash}")),
    }
    json.extend_from_slice(b",\"e\":[");
    for (index, sample) in samples.iter().enumerate() {
        if !sample.path.starts_with(&scope.path) {
            return Err(unfit(sample, "it is not below the path of the request"));
        }
        put(&mut json, format_args!("{}{{\"n\":\"", if index == 0 { "" } else { "," }));
        for (level, id) in sample.path.ids()[base.depth()..].iter().enumerate() {
            put(&mut json, format_args!("{}{id}", if level == 0 { "" } else { "/" }));
        }
        json.push(b'"');
        write_time(sample, &mut json)?;
        write_value(scope, sample, &mut json)?;
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}

fn write_time(sample: &Sample<'_>, json: &mut Vec<u8>) -> Result<(), Error> {
    let Some(taken) = sample.taken else {
        return Ok(());
    };
    if taken <= 0 {
        return Err(unfit(sample, "a time before 1970 reads as a relative one"));
    }
    put(json, format_args!(",\"t\":{}", taken / 1000));
    match taken % 1000 {
        0 => {}
        milliseconds => put(json, format_args!(".{milliseconds:03}")),
    }
    Ok(())
}

fn write_value(scope: &Scope<'_>, sample: &Sample<'_>, json: &mut Vec<u8>) -> Result<(), Error> {
    match fit(scope, sample) {
        Value::Text(text) | Value::CoreLink(text) => {
            json.extend_from_slice(b",\"sv\":");
            put_text(json, &text);
        }
        Value::Integer(number) | Value::Time(number) => put(json, format_args!(",\"v\":{number}")),
        Value::Unsigned(number) => put(json, format_args!(",\"v\":{number}")),
        // With a point or an exponent, so that it is a float to a reader without definitions, too.
        Value::Float(number) if number.is_finite() => put(json, format_args!(",\"v\":{number:?}")),
        Value::Float(_) => return Err(unfit(sample, "JSON has no infinities and no NaN")),
        Value::Boolean(flag) => put(json, format_args!(",\"bv\":{flag}")),
        Value::Opaque(bytes) => {
            put(json, format_args!(",\"sv\":\"{}\"", Base64Display::new(&bytes, &BASE64)))
        }
        Value::ObjectLink(link) => put(json, format_args!(",\"ov\":\"{link}\"")),
        Value::Null => return Err(unfit(sample, "there is no value")),
    }
    Ok(())
}

fn unfit(sample: &Sample<'_>, reason: &'static str) -> Error {
    Error::Unfit { format: NAME, path: sample.path, reason }
}

const NAME: &str = "LwM2M JSON";

/// For the first guess at how many entries there are.
const SMALLEST_USUAL_ENTRY: usize = 14;

/// For the first guess at how long the document is.
const USUAL_ENTRY: usize = 32;

#[cfg(test)]
mod tests;
