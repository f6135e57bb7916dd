//! The object definitions as one client has them.

use std::cell::Cell;

use super::{Choice, Models};
use crate::lwm2m::format::Definitions;
use crate::lwm2m::registration::Registration;
use crate::lwm2m::value::Kind;

/// The definitions in the versions of their objects that a client has registered. Made anew for each message; what is asked
/// of one object again and again is looked up once.
#[derive(Debug)]
pub struct Defined<'a> {
    models: &'a Models,
    registration: &'a Registration,
    /// The object asked for last, with its definition.
    last: Cell<Option<(u16, Option<Choice<'a>>)>>,
}

impl<'a> Defined<'a> {
    /// For the client of a registration.
    pub fn new(models: &'a Models, registration: &'a Registration) -> Self {
        Self { models, registration, last: Cell::new(None) }
    }

    fn choice(&self, object: u16) -> Option<Choice<'a>> {
        if let Some((last, choice)) = self.last.get()
            && last == object
        {
            return choice;
        }
        let choice = self.models.choose(object, self.registration.object_version(object));
        self.last.set(Some((object, choice)));
        choice
    }
}

/// As [`Models::kind`] chooses.
impl Definitions for Defined<'_> {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        self.choice(object)?.resource(resource)?.kind
    }
}
