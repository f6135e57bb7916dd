//! The object definitions in the box: the OMA's own objects and those of IPSO.
//!
//! The facts (ids, names, types, operations, units) are those of the public OMA registry as of February 2024, in the current
//! version of each object. `scripts/object-definitions` writes the tables from its XML; the tests compare them with the
//! registry where it is at hand. [`earlier`] is kept by hand.

mod core;
mod earlier;
mod ipso;
mod oma;

use std::borrow::Cow;

use super::{Definition, Operations, Resource, Version};
use crate::lwm2m::value::Kind;

/// All of them.
pub(super) fn definitions() -> impl Iterator<Item = Definition> {
    let oma = core::OBJECTS.iter().chain(oma::OBJECTS).chain(earlier::OBJECTS).map(|(head, rows)| {
        head.definition(rows.iter().map(|&(mandatory, row)| row.resource(mandatory)).collect())
    });
    let ipso = ipso::OBJECTS.iter().map(|(head, mandatory, optional)| {
        let resource = |id: u16, is_mandatory| {
            let place = ipso::RESOURCES.binary_search_by_key(&id, |row| row.0);
            ipso::RESOURCES[place.expect("each id of an object is in the table")].resource(is_mandatory)
        };
        let mandatory = mandatory.iter().map(|&id| resource(id, true));
        let mut resources: Vec<_> = mandatory.chain(optional.iter().map(|&id| resource(id, false))).collect();
        resources.sort_by_key(|resource| resource.id);
        head.definition(resources)
    });
    oma.chain(ipso)
}

/// An object: id, version, name, may have several instances, is on every client.
struct Head(u16, Version, &'static str, bool, bool);

impl Head {
    fn definition(&self, resources: Vec<Resource>) -> Definition {
        let &Self(object, version, name, multiple, mandatory) = self;
        Definition { object, version, name: Cow::Borrowed(name), multiple, mandatory, resources }
    }
}

/// A resource: id, name, operations, may have several instances, type, units.
#[derive(Clone, Copy)]
struct Row(u16, &'static str, Operations, bool, Option<Kind>, &'static str);

impl Row {
    fn resource(self, mandatory: bool) -> Resource {
        let Self(id, name, operations, multiple, kind, units) = self;
        let (name, units) = (Cow::Borrowed(name), Cow::Borrowed(units));
        Resource { id, name, operations, multiple, mandatory, kind, units }
    }
}
