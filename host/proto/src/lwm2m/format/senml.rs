//! SenML in JSON and CBOR (RFC 8428; core 1.2 sections "SenML JSON" and "SenML CBOR"), and SenML-ETCH, as composite
//! requests use it (RFC 8790).
//!
//! What a pack means is the same in both spellings and stands here; [`json`] and [`cbor`] read and write its records.

mod cbor;
pub(super) mod json;
mod path_list;
mod record;

use std::borrow::Cow;
use std::fmt;

pub(super) use self::path_list::encode as encode_paths;
use self::record::{Entry, Record};
use super::cbor::Writer;
use super::scalar::{Number, Scalar};
use super::{Error, MAX_SAMPLES, SENML_CBOR, SENML_ETCH_CBOR, SENML_ETCH_JSON, Scope, fit, i64_of_float};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{Sample, Value};

/// The samples of a pack. Base fields apply from the record that has them on; a record that has nothing else gives no
/// sample, one with a name and no value gives [`Value::Null`]. A name of nothing is the request path.
///
/// A time from 2^28 on is absolute (RFC 8428 4.5.3) and becomes [`Sample::taken`]. Below that it is relative to the
/// moment of sending, which is not known here, so that `taken` stays empty.
///
/// # Errors
/// If the payload is no such pack, a name is not a path, a field must be understood (its name ends in `_`) and is not,
/// or the version is above 10.
pub(super) fn decode<'a>(
    format: u16,
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    samples.reserve((payload.len() / SMALLEST_USUAL_RECORD).min(64));
    let limit = samples.len() + MAX_SAMPLES;
    let spelling = Spelling::of(format);
    let mut pack = Pack { scope, spelling, samples, limit, too_many: false, bases: Bases::default() };
    let result = match spelling {
        Spelling::Json => json::decode(&mut pack, payload),
        Spelling::Cbor => cbor::decode(&mut pack, payload),
    };
    match pack.too_many {
        true => Err(Error::TooMany { format: spelling.name(), limit: MAX_SAMPLES }),
        false => result,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Json,
    Cbor,
}

impl Spelling {
    fn of(format: u16) -> Self {
        if matches!(format, SENML_CBOR | SENML_ETCH_CBOR) { Self::Cbor } else { Self::Json }
    }

    /// What errors call the format.
    fn name(self) -> &'static str {
        match self {
            Self::Json => json::NAME,
            Self::Cbor => cbor::NAME,
        }
    }
}

/// What is being read.
struct Pack<'p, 'd, 'a> {
    scope: &'p Scope<'d>,
    spelling: Spelling,
    samples: &'p mut Vec<Sample<'a>>,
    limit: usize,
    too_many: bool,
    bases: Bases<'a>,
}

/// The base fields as they stand.
#[derive(Default)]
struct Bases<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Number>,
    /// Base name and name as one; kept for its memory.
    joined: String,
}

impl<'a> Pack<'_, '_, 'a> {
    /// The next record. The reason, if it cannot be used.
    fn add(&mut self, record: Record<'a>) -> Result<(), String> {
        if self.samples.len() >= self.limit {
            self.too_many = true;
            return Err("too many values".to_owned());
        }
        let is_base_only = record.is_base_only();
        if let Some(name) = record.base_name {
            self.bases.name = name;
        }
        self.bases.time = record.base_time.unwrap_or(self.bases.time);
        self.bases.value = record.base_value.or(self.bases.value);
        if is_base_only {
            return Ok(());
        }
        let path = self.bases.path(record.name.as_deref().unwrap_or_default(), self.scope)?;
        let kind = self.scope.kind(path);
        let value = match (record.value, self.bases.value) {
            (None, None) => Value::Null,
            (None, Some(base)) => self.sum(base).value(kind),
            (Some(Entry { scalar: Scalar::Number(number), .. }), Some(base)) => {
                self.sum(base.plus(number)).value(kind)
            }
            (Some(entry), _) => entry.value(kind),
        };
        let taken = absolute(self.bases.time + record.time.unwrap_or_default());
        self.samples.push(Sample { path, value, kind, taken });
        Ok(())
    }

    /// A number that stands nowhere in the payload.
    fn sum(&self, number: Number) -> Entry<'a> {
        let item = (self.spelling == Spelling::Cbor).then(|| {
            let mut writer = Writer::default();
            writer.value(&Scalar::Number(number).typed(None).unwrap_or(Value::Null));
            Cow::Owned(writer.into_bytes())
        });
        Entry { scalar: Scalar::Number(number), item, ..Entry::default() }
    }
}

impl Bases<'_> {
    fn path(&mut self, name: &str, scope: &Scope<'_>) -> Result<Path, String> {
        // A long base name costs little as it stands, but much with each record that it is the name of.
        if self.name.len() + name.len() > MAX_NAME {
            return Err(format!("a name of more than {MAX_NAME} bytes"));
        }
        let name = match (&*self.name, name) {
            ("", "") => return Ok(scope.path),
            ("", name) | (name, "") => name,
            (base, name) => {
                self.joined.clear();
                self.joined.reserve(USUAL_NAME);
                self.joined.push_str(base);
                self.joined.push_str(name);
                &self.joined
            }
        };
        let below = name.strip_prefix(prefix(scope)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        below.unwrap_or(name).parse().map_err(|error| format!("{error}"))
    }
}

/// The alternate path as names begin with it; nothing if there is none.
fn prefix<'s>(scope: &Scope<'s>) -> &'s str {
    scope.alternate_path.trim_end_matches('/')
}

/// Milliseconds since 1970 of a time that is absolute.
fn absolute(seconds: f64) -> Option<i64> {
    if seconds < FIRST_ABSOLUTE_TIME {
        return None;
    }
    i64_of_float((seconds * 1000.0).round())
}

/// The pack of samples. The request path is the base name, and names are relative to it. No value is a name alone, but
/// null in SenML-ETCH, where it removes what it names (RFC 8790 section 3.2).
pub(super) fn encode(format: u16, scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let spelling = Spelling::of(format);
    let unfit =
        |sample: &Sample<'_>, reason| Error::Unfit { format: spelling.name(), path: sample.path, reason };
    if let Some(stray) = samples.iter().find(|sample| !sample.path.starts_with(&scope.path)) {
        return Err(unfit(stray, "it is not below the path of the request"));
    }
    let is_early = |sample: &&Sample<'_>| sample.taken.is_some_and(|taken| absolute_seconds(taken).is_none());
    if let Some(early) = samples.iter().find(is_early) {
        return Err(unfit(early, "a time before July 1978 reads as a relative one"));
    }
    let is_etch = matches!(format, SENML_ETCH_JSON | SENML_ETCH_CBOR);
    let is_all_below = samples.iter().all(|sample| sample.path != scope.path);
    let has_base = scope.path.depth() > 0 && (is_all_below || samples.len() == 1);
    let records = samples.iter().enumerate().map(|(index, sample)| {
        let value = Some(fit(scope, sample)).filter(|value| is_etch || *value != Value::Null);
        let (base_name, name) = names(scope, sample, has_base, index == 0);
        Outgoing { path: sample.path, base_name, name, taken: sample.taken, value }
    });
    match spelling {
        Spelling::Json => json::encode(records),
        Spelling::Cbor => Ok(cbor::encode(records)),
    }
}

/// A record to be written, with at least one of the names.
struct Outgoing<'v> {
    path: Path,
    base_name: Option<Name<'v>>,
    name: Option<Name<'v>>,
    /// Milliseconds since 1970.
    taken: Option<i64>,
    value: Option<Value<'v>>,
}

/// What a record has as its name or base name.
enum Name<'s> {
    /// All of it, with the alternate path before it.
    Whole(&'s str, Path),
    /// As `Whole`, for names below it.
    Base(&'s str, Path),
    /// What is left of a path after so many levels.
    Relative(Path, usize),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(prefix, path) => write!(f, "{prefix}{path}"),
            Self::Base(prefix, path) => write!(f, "{prefix}{path}/"),
            Self::Relative(path, levels) => {
                let mut ids = path.ids().iter().skip(*levels);
                ids.next().map_or(Ok(()), |id| id.fmt(f))?;
                ids.try_for_each(|id| write!(f, "/{id}"))
            }
        }
    }
}

/// The base name and the name of a sample.
fn names<'s>(
    scope: &Scope<'s>,
    sample: &Sample<'_>,
    has_base: bool,
    is_first: bool,
) -> (Option<Name<'s>>, Option<Name<'s>>) {
    let (prefix, path) = (prefix(scope), scope.path);
    if !has_base {
        return (None, Some(Name::Whole(prefix, sample.path)));
    }
    if sample.path == path {
        let name = Some(Name::Whole(prefix, path));
        // A name is needed where there is no value: nothing but base fields would be no entry.
        return if sample.value == Value::Null { (None, name) } else { (name, None) };
    }
    (is_first.then_some(Name::Base(prefix, path)), Some(Name::Relative(sample.path, path.depth())))
}

/// Whole seconds and the milliseconds beyond; none if it would be read as a relative time.
fn absolute_seconds(taken: i64) -> Option<(i64, i64)> {
    ((taken as f64) >= FIRST_ABSOLUTE_TIME * 1000.0).then_some((taken / 1000, taken % 1000))
}

/// Seconds: 2^28 (RFC 8428 4.5.3).
const FIRST_ABSOLUTE_TIME: f64 = 268_435_456.0;

/// For the first guess at how many samples there are.
const SMALLEST_USUAL_RECORD: usize = 14;

/// Bytes that a base name and a name together usually do not exceed.
const USUAL_NAME: usize = 48;

/// Bytes of a base name and a name together: more than an alternate path and a path need.
const MAX_NAME: usize = 4096;

#[cfg(test)]
mod tests;
