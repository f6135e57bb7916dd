//! TLV (core 1.2.1 section 7.4.3).
//!
//! # Guarantees
//! * The whole payload is entries, within one another as their types allow; what is cut off, left over or in a wrong
//!   place is an error that names the byte. Nothing nests deeper than object instance, resource and resource instance.
//! * Ids of one and two bytes and lengths of up to three are read in any width. On writing both are as short as can be.
//! * Integers, signed and unsigned, are read in up to eight bytes, also in lengths that the standard does not have, and
//!   exactly; they are written in the least of 1, 2, 4 and 8 bytes that holds them. Floats are read in 4 and 8 bytes,
//!   and written in 4 where nothing is lost by it, else in 8.
//! * The bytes say nothing of types. Without a definition, and where it does not fit, a value is its bytes.
//! * Values of the defined types that are written read as the same samples, put together by object instance and
//!   resource.
//! * Values are not copied on reading.
//!
//! TLV names object instances, resources and resource instances, but no object, and a client may begin at any of these
//! levels. What it leaves out comes from the request path; section "Paths" of `decode` says what happens where the
//! two disagree.

use std::borrow::Cow;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{Error, MAX_SAMPLES, Scope, fit};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{Kind, ObjectLink, Sample, Value};

/// The samples of a payload. Identifiers and lengths in more bytes than needed are taken.
///
/// # Paths
/// A level that the request path has keeps the id of the request path, as long as there is just one entry: clients
/// answer a request for `/3/0` with object instance 5 or one for `/3/0/9` with another resource, and mean what was
/// asked for. Of several entries each keeps its own id. Resource instances always keep theirs. The type is that of
/// the resource which the payload names. Bare resources at an object are those of instance 0, as only objects of a
/// single instance may be answered that way.
///
/// # Errors
/// If an entry is cut off, or stands where its type of entry cannot.
pub(super) fn decode<'a>(
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    if scope.path.depth() == 0 {
        return Err(malformed(0, "TLV names no objects, and neither does the request path".into()));
    }
    samples.reserve((payload.len() / SMALLEST_USUAL_ENTRY).min(64));
    let limit = samples.len() + MAX_SAMPLES;
    let reader = Reader { payload, at: 0, end: payload.len() };
    Decoder { scope, samples, limit }.payload(reader)
}

struct Decoder<'p, 'd, 'a> {
    scope: &'p Scope<'d>,
    samples: &'p mut Vec<Sample<'a>>,
    limit: usize,
}

impl<'a> Decoder<'_, '_, 'a> {
    fn payload(&mut self, reader: Reader<'a>) -> Result<(), Error> {
        let path = self.scope.path;
        let Some(first) = reader.clone().next()? else {
            return Ok(());
        };
        match first.level {
            Level::ObjectInstance => self.object_instances(reader),
            Level::Resource | Level::MultipleResource => {
                self.resources(reader, if path.depth() == 1 { below(path, 0) } else { path.truncated(2) })
            }
            Level::ResourceInstance if path.depth() >= 3 => {
                self.resource_instances(reader, path.truncated(3), self.scope.kind(path))
            }
            Level::ResourceInstance => Err(first.misplaced("a path without a resource")),
        }
    }

    fn object_instances(&mut self, mut reader: Reader<'a>) -> Result<(), Error> {
        let path = self.scope.path;
        let mut is_first = true;
        while let Some(entry) = reader.next()? {
            if entry.level != Level::ObjectInstance {
                return Err(entry.misplaced("object instances"));
            }
            let is_alone = is_first && reader.is_at_end();
            is_first = false;
            let id = path.instance().filter(|_| is_alone).unwrap_or(entry.id);
            self.resources(entry.content(), below(path.truncated(1), id))?;
        }
        Ok(())
    }

    fn resources(&mut self, mut reader: Reader<'a>, instance: Path) -> Result<(), Error> {
        let asked = self.scope.path;
        let object = instance.object().unwrap_or_default();
        let mut is_first = true;
        while let Some(entry) = reader.next()? {
            let is_alone = is_first && reader.is_at_end();
            is_first = false;
            let kind = self.scope.definitions.kind(object, entry.id);
            let path = below(instance, asked.resource().filter(|_| is_alone).unwrap_or(entry.id));
            match entry.level {
                Level::Resource => {
                    let level = asked.resource_instance().filter(|_| is_alone);
                    self.push(level.map_or(path, |id| below(path, id)), kind, entry.value())?;
                }
                Level::MultipleResource => self.resource_instances(entry.content(), path, kind)?,
                Level::ObjectInstance | Level::ResourceInstance => return Err(entry.misplaced("resources")),
            }
        }
        Ok(())
    }

    fn resource_instances(
        &mut self,
        mut reader: Reader<'a>,
        resource: Path,
        kind: Option<Kind>,
    ) -> Result<(), Error> {
        while let Some(entry) = reader.next()? {
            if entry.level != Level::ResourceInstance {
                return Err(entry.misplaced("resource instances"));
            }
            self.push(below(resource, entry.id), kind, entry.value())?;
        }
        Ok(())
    }

    fn push(&mut self, path: Path, kind: Option<Kind>, bytes: &'a [u8]) -> Result<(), Error> {
        if self.samples.len() >= self.limit {
            return Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES });
        }
        let value = kind.and_then(|kind| read(bytes, kind)).unwrap_or(Value::Opaque(Cow::Borrowed(bytes)));
        self.samples.push(Sample { path, value, kind, taken: None });
        Ok(())
    }
}

/// One level down from an object, an object instance or a resource.
fn below(path: Path, id: u16) -> Path {
    path.child(id).expect("no entry stands below a resource instance")
}

/// The bytes as a value of that type, if they are one (core 1.2.1 appendix C).
fn read(bytes: &[u8], kind: Kind) -> Option<Value<'_>> {
    match kind {
        Kind::Text => std::str::from_utf8(bytes).ok().map(|text| Value::Text(Cow::Borrowed(text))),
        Kind::CoreLink => std::str::from_utf8(bytes).ok().map(|text| Value::CoreLink(Cow::Borrowed(text))),
        Kind::Integer => read_signed(bytes).map(Value::Integer),
        Kind::Time => read_signed(bytes).map(Value::Time),
        Kind::Unsigned => read_unsigned(bytes).map(Value::Unsigned),
        Kind::Float => match bytes.len() {
            4 => Some(Value::Float(f32::from_be_bytes(bytes.try_into().ok()?).into())),
            8 => Some(Value::Float(f64::from_be_bytes(bytes.try_into().ok()?))),
            _ => None,
        },
        Kind::Boolean => match bytes {
            [0] => Some(Value::Boolean(false)),
            [1] => Some(Value::Boolean(true)),
            _ => None,
        },
        Kind::Opaque => Some(Value::Opaque(Cow::Borrowed(bytes))),
        Kind::ObjectLink => {
            let &[a, b, c, d] = bytes else {
                return None;
            };
            let (object, instance) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Some(Value::ObjectLink(ObjectLink { object, instance }))
        }
        Kind::Executable => None,
    }
}

/// Two's complement of up to eight bytes. Some clients use three, five or none.
fn read_signed(bytes: &[u8]) -> Option<i64> {
    let is_negative = bytes.first().is_some_and(|&byte| byte >= 0x80);
    let mut padded = if is_negative { [0xff; 8] } else { [0; 8] };
    padded[8_usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(i64::from_be_bytes(padded))
}

fn read_unsigned(bytes: &[u8]) -> Option<u64> {
    let mut padded = [0; 8];
    padded[8_usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(u64::from_be_bytes(padded))
}

/// Entries one after the other, in a part of the payload.
#[derive(Clone)]
struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Entry<'a>>, Error> {
        if self.is_at_end() {
            return Ok(None);
        }
        let start = self.at;
        let head = self.take(1, start)?[0];
        let id = self.number(if head & WIDE_ID == 0 { 1 } else { 2 }, start)?;
        let length = match usize::from(head >> 3 & 0b11) {
            0 => usize::from(head & 0b111),
            width => self.number(width, start)?,
        };
        let content = self.at;
        self.take(length, start)?;
        Ok(Some(Entry {
            level: Level::of(head),
            id: id as u16,
            start,
            content: Self { payload: self.payload, at: content, end: self.at },
        }))
    }

    fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// A number of up to three bytes.
    fn number(&mut self, width: usize, start: usize) -> Result<usize, Error> {
        Ok(self.take(width, start)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn take(&mut self, length: usize, start: usize) -> Result<&'a [u8], Error> {
        let left = self.end - self.at;
        if length > left {
            let reason = format!("the entry is cut off: {length} bytes expected, {left} left");
            return Err(malformed(start, reason));
        }
        let bytes = &self.payload[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }
}

struct Entry<'a> {
    level: Level,
    id: u16,
    start: usize,
    content: Reader<'a>,
}

impl<'a> Entry<'a> {
    /// What is in it, as entries.
    fn content(&self) -> Reader<'a> {
        self.content.clone()
    }

    /// What is in it, as a value.
    fn value(&self) -> &'a [u8] {
        &self.content.payload[self.content.at..self.content.end]
    }

    fn misplaced(&self, among: &str) -> Error {
        malformed(self.start, format!("{} {} cannot stand at {among}", self.level.name(), self.id))
    }
}

/// The upper two bits of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    ObjectInstance = 0,
    ResourceInstance = 1,
    MultipleResource = 2,
    Resource = 3,
}

impl Level {
    fn of(head: u8) -> Self {
        match head >> 6 {
            0 => Self::ObjectInstance,
            1 => Self::ResourceInstance,
            2 => Self::MultipleResource,
            _ => Self::Resource,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ObjectInstance => "object instance",
            Self::ResourceInstance => "resource instance",
            Self::MultipleResource => "multiple resource",
            Self::Resource => "resource",
        }
    }
}

/// The payload of samples at or below the request path: object instances for an object, resources for an object
/// instance, the one resource for a resource, the one resource instance for a resource instance. Samples of one
/// instance or resource are put together; otherwise their order stays. Resource instances make a multiple resource,
/// and no sample at all an empty one, where the path is that of a resource.
///
/// Integers are two's complement in the least of 1, 2, 4 and 8 bytes that holds them, floats are in 4 bytes where
/// nothing is lost by it, else in 8, and ids and lengths take as few bytes as they can.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let path = scope.path;
    if path.depth() == 0 {
        return Err(unfit(path, "it names no objects, and neither does the request path"));
    }
    let samples = together(path, samples)?;
    let mut payload = Vec::with_capacity(samples.len() * USUAL_ENTRY);
    match path.ids() {
        [_] => {
            for samples in samples.chunk_by(|one, other| one.path.instance() == other.path.instance()) {
                let start = payload.len();
                write_resources(scope, samples, &mut payload)?;
                write_head_at(start, Level::ObjectInstance, samples[0].path.truncated(2), &mut payload)?;
            }
        }
        [_, _] => write_resources(scope, &samples, &mut payload)?,
        [_, _, _] => write_resource(scope, path, &samples, &mut payload)?,
        _ => match samples[..] {
            [sample] => write_value(scope, Level::ResourceInstance, sample, &mut payload)?,
            _ => return Err(unfit(path, "a resource instance is exactly one value")),
        },
    }
    Ok(payload)
}

/// The samples with those of one object instance next to each other, and of these those of one resource; each in the
/// order of first appearance.
fn together<'s, 'v>(path: Path, samples: &'s [Sample<'v>]) -> Result<Vec<&'s Sample<'v>>, Error> {
    let mut places = FxHashMap::with_capacity_and_hasher(samples.len(), FxBuildHasher);
    let mut ordered = Vec::with_capacity(samples.len());
    for (index, sample) in samples.iter().enumerate() {
        if !sample.path.starts_with(&path) {
            return Err(unfit(sample.path, "it is not below the path of the request"));
        }
        if sample.path.depth() < 3 {
            return Err(unfit(sample.path, "it is no resource"));
        }
        let instance = *places.entry(sample.path.truncated(2)).or_insert(index);
        let resource = *places.entry(sample.path.truncated(3)).or_insert(index);
        ordered.push((instance, resource, index));
    }
    ordered.sort_unstable();
    Ok(ordered.into_iter().map(|(_, _, index)| &samples[index]).collect())
}

fn write_resources(scope: &Scope<'_>, samples: &[&Sample<'_>], payload: &mut Vec<u8>) -> Result<(), Error> {
    for samples in samples.chunk_by(|one, other| one.path.resource() == other.path.resource()) {
        write_resource(scope, samples[0].path.truncated(3), samples, payload)?;
    }
    Ok(())
}

fn write_resource(
    scope: &Scope<'_>,
    path: Path,
    samples: &[&Sample<'_>],
    payload: &mut Vec<u8>,
) -> Result<(), Error> {
    if let [sample] = samples
        && sample.path == path
    {
        return write_value(scope, Level::Resource, sample, payload);
    }
    let start = payload.len();
    for sample in samples {
        if sample.path.depth() != 4 {
            return Err(unfit(sample.path, "the resource has another value, or resource instances"));
        }
        write_value(scope, Level::ResourceInstance, sample, payload)?;
    }
    write_head_at(start, Level::MultipleResource, path, payload)
}

fn write_value(
    scope: &Scope<'_>,
    level: Level,
    sample: &Sample<'_>,
    payload: &mut Vec<u8>,
) -> Result<(), Error> {
    let path = sample.path;
    match fit(scope, sample) {
        Value::Text(text) | Value::CoreLink(text) => write_entry(level, path, text.as_bytes(), payload),
        Value::Opaque(bytes) => write_entry(level, path, &bytes, payload),
        Value::Integer(number) | Value::Time(number) => {
            let spare = [1, 2, 4, 8]
                .into_iter()
                .find(|width| number << (64 - 8 * width) >> (64 - 8 * width) == number);
            write_entry(level, path, &number.to_be_bytes()[8 - spare.unwrap_or(8)..], payload)
        }
        Value::Unsigned(number) => {
            let width = [1, 2, 4].into_iter().find(|width| number >> (8 * width) == 0).unwrap_or(8);
            write_entry(level, path, &number.to_be_bytes()[8 - width..], payload)
        }
        Value::Float(number) => match number as f32 {
            single if f64::from(single) == number || number.is_nan() => {
                write_entry(level, path, &single.to_be_bytes(), payload)
            }
            _ => write_entry(level, path, &number.to_be_bytes(), payload),
        },
        Value::Boolean(flag) => write_entry(level, path, &[flag.into()], payload),
        Value::ObjectLink(ObjectLink { object, instance }) => {
            let link = u32::from(object) << 16 | u32::from(instance);
            write_entry(level, path, &link.to_be_bytes(), payload)
        }
        Value::Null => Err(unfit(path, "there is no value")),
    }
}

/// One entry of the last id of a path.
fn write_entry(level: Level, path: Path, content: &[u8], payload: &mut Vec<u8>) -> Result<(), Error> {
    write_head(level, path, content.len(), payload)?;
    payload.extend_from_slice(content);
    Ok(())
}

/// The head of an entry whose content is everything from `start` on.
fn write_head_at(start: usize, level: Level, path: Path, payload: &mut Vec<u8>) -> Result<(), Error> {
    let end = payload.len();
    write_head(level, path, end - start, payload)?;
    let length = payload.len() - end;
    payload[start..].rotate_right(length);
    Ok(())
}

/// The head of an entry, as short as can be.
fn write_head(level: Level, path: Path, length: usize, payload: &mut Vec<u8>) -> Result<(), Error> {
    let width = match length {
        0..=7 => 0,
        8..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => return Err(unfit(path, "it is longer than 16 MiB")),
    };
    let [high, low] = path.ids().last().copied().unwrap_or_default().to_be_bytes();
    let wide = if high == 0 { 0 } else { WIDE_ID };
    let inline = if width == 0 { length as u8 } else { 0 };
    payload.push((level as u8) << 6 | wide | width << 3 | inline);
    if high != 0 {
        payload.push(high);
    }
    payload.push(low);
    let length = length.to_be_bytes();
    payload.extend_from_slice(&length[length.len() - usize::from(width)..]);
    Ok(())
}

fn malformed(offset: usize, reason: String) -> Error {
    Error::Malformed { format: NAME, offset, reason }
}

fn unfit(path: Path, reason: &'static str) -> Error {
    Error::Unfit { format: NAME, path, reason }
}

const NAME: &str = "TLV";

/// The bit that says that the id has two bytes.
const WIDE_ID: u8 = 0b10_0000;

/// For the first guess at how many samples there are.
const SMALLEST_USUAL_ENTRY: usize = 6;

/// For the first guess at how long the payload is.
const USUAL_ENTRY: usize = 16;

#[cfg(test)]
mod tests;
