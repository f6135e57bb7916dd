//! LwM2M CBOR: values in maps within maps, whose keys are ids (core 1.2 section 7.4.4).

use minicbor::data::Type;

use super::cbor::{Reader, Writer};
use super::{Error, MAX_SAMPLES, Scope, fit};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::Sample;

/// The samples of a payload. A key is an id or an array of ids, which stand for as many maps. A value that is not in a
/// map is that of the request path.
///
/// # Paths
/// Ids begin with that of the object, and their path is what they say. Only where that is not below the request path
/// but would be if they began there do they begin there: a write may leave out what the request path says, and some
/// clients answer so.
///
/// # Errors
/// If the payload is not such CBOR: a key is neither id nor ids, there are more than four levels, or a value is above a
/// resource.
pub(super) fn decode<'a>(
    scope: &Scope<'_>,
    payload: &'a [u8],
    samples: &mut Vec<Sample<'a>>,
) -> Result<(), Error> {
    let limit = samples.len() + MAX_SAMPLES;
    let reader = Reader::new(NAME, payload);
    let mut tree = Tree { scope, samples, limit, reader };
    tree.node(Path::root())?;
    tree.reader.end()
}

/// What is being read.
struct Tree<'p, 'd, 'a> {
    scope: &'p Scope<'d>,
    samples: &'p mut Vec<Sample<'a>>,
    limit: usize,
    reader: Reader<'a>,
}

impl Tree<'_, '_, '_> {
    /// The map or the value at a path. Each map has an id more in its path, so that four are as deep as it goes.
    fn node(&mut self, path: Path) -> Result<(), Error> {
        let start = self.reader.position();
        if !matches!(self.reader.kind()?, Type::Map | Type::MapIndef) {
            return self.value(path, start);
        }
        let mut map = self.reader.map()?;
        while self.reader.next(&mut map)? {
            let below = self.key(path)?;
            self.node(below)?;
        }
        Ok(())
    }

    /// The path that a key leads to.
    fn key(&mut self, path: Path) -> Result<Path, Error> {
        let start = self.reader.position();
        if !matches!(self.reader.kind()?, Type::Array | Type::ArrayIndef) {
            return self.id(path);
        }
        let mut ids = self.reader.array()?;
        let mut below = path;
        while self.reader.next(&mut ids)? {
            below = self.id(below)?;
        }
        if below == path {
            return Err(self.reader.malformed(start, "a key without an id"));
        }
        Ok(below)
    }

    fn id(&mut self, path: Path) -> Result<Path, Error> {
        let start = self.reader.position();
        let id = self.reader.number()?.wide().and_then(|id| u16::try_from(id).ok());
        let id = id.ok_or_else(|| self.reader.malformed(start, "an id is a number from 0 to 65535"))?;
        path.child(id).ok_or_else(|| self.reader.malformed(start, "more than four levels of ids"))
    }

    fn value(&mut self, path: Path, start: usize) -> Result<(), Error> {
        if self.samples.len() >= self.limit {
            return Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES });
        }
        let item = self.reader.item()?;
        let path = self.resolved(path);
        if path.depth() < RESOURCE {
            return Err(self.reader.malformed(start, format!("a value at {path}, which is no resource")));
        }
        let kind = self.scope.kind(path);
        self.samples.push(Sample { path, value: item.value(kind), kind, taken: None });
        Ok(())
    }

    /// The path, or the same below that of the request; see "Paths" of `decode`.
    fn resolved(&self, path: Path) -> Path {
        let asked = self.scope.path;
        if path.depth() >= RESOURCE && path.starts_with(&asked) {
            return path;
        }
        let joined = path.ids().iter().try_fold(asked, |path, &id| path.child(id));
        joined.filter(|joined| joined.depth() >= RESOURCE).unwrap_or(path)
    }
}

/// The maps of samples at or below the request path, with whole paths and in the order of the paths.
pub(super) fn encode(scope: &Scope<'_>, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let mut sorted: Vec<_> = samples.iter().collect();
    sorted.sort_by_key(|sample| sample.path);
    for (index, sample) in sorted.iter().enumerate() {
        let unfit = |reason| Err(Error::Unfit { format: NAME, path: sample.path, reason });
        if !sample.path.starts_with(&scope.path) {
            return unfit("it is not below the path of the request");
        }
        if sample.path.depth() < RESOURCE {
            return unfit("it is no resource");
        }
        match sorted.get(index + 1) {
            Some(next) if next.path == sample.path => return unfit("there is a second value at it"),
            Some(next) if next.path.starts_with(&sample.path) => {
                return unfit("it has a value and instances");
            }
            _ => {}
        }
    }
    let mut writer = Writer::default();
    write_map(scope, &sorted, 0, &mut writer);
    Ok(writer.into_bytes())
}

/// The map of samples whose paths are the same up to `depth`.
fn write_map(scope: &Scope<'_>, samples: &[&Sample<'_>], depth: usize, writer: &mut Writer) {
    let groups = || samples.chunk_by(|one, other| one.path.ids().get(depth) == other.path.ids().get(depth));
    writer.map(groups().count());
    for group in groups() {
        let [first, ..] = group else { continue };
        let Some(&id) = first.path.ids().get(depth) else { continue };
        writer.integer(id.into());
        if first.path.depth() > depth + 1 {
            write_map(scope, group, depth + 1, writer);
        } else {
            writer.value(&fit(scope, first));
        }
    }
}

const NAME: &str = "LwM2M CBOR";

/// The depth of the path of a resource.
const RESOURCE: usize = 3;

#[cfg(test)]
mod tests;
