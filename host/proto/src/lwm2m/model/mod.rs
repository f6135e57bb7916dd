//! Object definitions: which resources an object has, and of which type (core 1.2.1 appendix D).
//!
//! [`Models`] is filled when the gateway starts, and anew when the operator's folder of definitions changes, and then
//! shared without being changed. The bridge and the server ask it for the type of each resource that a payload names, in
//! the version of the object that the client registered ([`Defined`]).

mod built_in;
mod defined;
mod xml;

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::format::Definitions;
use super::value::Kind;

pub use self::defined::Defined;
pub use self::xml::{Error, LARGEST_TEXT};

/// The object definitions that are known; of an object there may be several versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// The versions of each object, lowest first.
    objects: FxHashMap<u16, Vec<Definition>>,
}

impl Models {
    /// The OMA's own objects (0 to 28, 500 to 511) and those of the IPSO starter and expansion packs (3200 to 3203, 3300 to
    /// 3350), each in its current version; of a few an earlier major version, too.
    pub fn built_in() -> Self {
        let mut models = Self::default();
        built_in::definitions().for_each(|definition| models.insert(definition));
        models
    }

    /// Reads definitions in the XML of the OMA registry and adds them as [`insert`](Self::insert) does. `name` is what
    /// errors call the text.
    ///
    /// # Errors
    /// See [`Definition::from_xml`]. Nothing has been added then.
    pub fn load_xml(&mut self, name: &str, text: &str) -> Result<(), Error> {
        Definition::from_xml(name, text)?.into_iter().for_each(|definition| self.insert(definition));
        Ok(())
    }

    /// Adds a definition. It replaces one of the same object in the same version.
    pub fn insert(&mut self, definition: Definition) {
        let versions = self.objects.entry(definition.object).or_default();
        match versions.binary_search_by_key(&definition.version, |other| other.version) {
            Ok(place) => versions[place] = definition,
            Err(place) => versions.insert(place, definition),
        }
    }

    /// The definition of an object in the version (`ver`) that a client has registered, such as `1.1`.
    ///
    /// If there is none of that version, it is the nearest lower one of the same major version, else the nearest higher one
    /// of it, else the nearest lower or higher one of all. A client that gives no version, or none that can be read, has
    /// 1.0 (core 1.2.1 section 7.2.2).
    pub fn definition(&self, object: u16, version: Option<&str>) -> Option<&Definition> {
        self.choose(object, version).map(|choice| choice.definition)
    }

    /// The type of a resource in the version of its object that [`definition`](Self::definition) names. If there is no such
    /// resource in it, that of another minor version: it only adds resources, and many clients do not say that they have
    /// them.
    pub fn kind(&self, object: u16, version: Option<&str>, resource: u16) -> Option<Kind> {
        self.choose(object, version)?.resource(resource)?.kind
    }

    fn choose(&self, object: u16, version: Option<&str>) -> Option<Choice<'_>> {
        let versions = self.objects.get(&object)?;
        if let [definition] = versions.as_slice() {
            return Some(Choice { definition, lower: &[], higher: &[] });
        }
        let version = version.and_then(|version| version.parse().ok()).unwrap_or(Version::INITIAL);
        let (lower, higher) = versions.split_at(versions.partition_point(|of| of.version <= version));
        let is_alike = |of: &&Definition| of.version.0 == version.0;
        let (below, above) = (lower.last(), higher.first());
        let chosen = below.filter(is_alike).or_else(|| above.filter(is_alike)).or(below).or(above)?.version;
        let first = versions.partition_point(|of| of.version.0 < chosen.0);
        let place = versions.partition_point(|of| of.version < chosen);
        let end = versions.partition_point(|of| of.version.0 <= chosen.0);
        Some(Choice {
            definition: versions.get(place)?,
            lower: versions.get(first..place)?,
            higher: versions.get(place + 1..end)?,
        })
    }

    /// All definitions, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.objects.values().flatten()
    }
}

/// The types for a client that gives no versions.
impl Definitions for Models {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        self.kind(object, None, resource)
    }
}

/// The definition of an object for a client.
#[derive(Clone, Copy, Debug)]
struct Choice<'a> {
    definition: &'a Definition,
    /// Other minor versions, lowest first.
    lower: &'a [Definition],
    higher: &'a [Definition],
}

impl<'a> Choice<'a> {
    fn resource(&self, id: u16) -> Option<&'a Resource> {
        let others = || self.higher.iter().chain(self.lower.iter().rev());
        self.definition.resource(id).or_else(|| others().find_map(|other| other.resource(id)))
    }
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Object id.
    pub object: u16,
    /// Object version.
    pub version: Version,
    /// Such as `Device`.
    pub name: Cow<'static, str>,
    /// Whether there may be several instances.
    pub multiple: bool,
    /// Whether every client has it.
    pub mandatory: bool,
    /// In ascending order of their ids, each of which is there once.
    resources: Vec<Resource>,
}

impl Definition {
    /// Reads the XML of the OMA registry. `name` is what errors call the text. The schema allows several objects in one text,
    /// though the registry has one in each.
    ///
    /// # Errors
    /// If the text is no such XML: it is larger than 4 MiB, is not well-formed, has a document type declaration, lacks
    /// an id, or says what the schema does not allow.
    pub fn from_xml(name: &str, text: &str) -> Result<Vec<Self>, Error> {
        xml::read(name, text)
    }

    /// A resource by its id.
    pub fn resource(&self, id: u16) -> Option<&Resource> {
        let place = self.resources.binary_search_by_key(&id, |resource| resource.id).ok()?;
        self.resources.get(place)
    }

    /// The resources, in ascending order of their ids.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }
}

/// The definition of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Resource id.
    pub id: u16,
    /// Such as `Manufacturer`.
    pub name: Cow<'static, str>,
    /// What a server may do with it.
    pub operations: Operations,
    /// Whether it has resource instances.
    pub multiple: bool,
    /// Whether every instance of the object has it.
    pub mandatory: bool,
    /// The type of its value; none if the definition names none though the resource is not executable.
    pub kind: Option<Kind>,
    /// The unit of its value, in the words of the definition; empty if it has none.
    pub units: Cow<'static, str>,
}

/// What a server may do with a resource. The registry has none that is executed and has a value, but its first schema
/// allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operations {
    /// Execute.
    E,
    /// Nothing: it is for the bootstrap server.
    None,
    /// Read.
    R,
    /// Read and execute.
    RE,
    /// Read and write.
    RW,
    /// Read, write and execute.
    RWE,
    /// Write.
    W,
    /// Write and execute.
    WE,
}

/// The version of an object: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16);

impl Version {
    /// What an object has that gives no version (core 1.2.1 section 7.2.2).
    pub const INITIAL: Self = Self(1, 0);
}

impl std::str::FromStr for Version {
    type Err = VersionError;

    /// Reads `1.1`; also `1`, which is 1.0.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let id = |text| super::path::parse_id(text).ok_or(VersionError);
        Ok(Self(id(major)?, id(minor)?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A text is not an object version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object version is two numbers with a point between, such as `1.1`")]
pub struct VersionError;

#[cfg(test)]
mod tests;
