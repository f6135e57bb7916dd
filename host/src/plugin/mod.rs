//! Translators: WebAssembly components, proved before they serve, called under limits, replaced while in use.
//!
//! The words: an [`Artifact`] is one `.wasm`; [`Generation::prove`] compiles, links and configures it with one slot's
//! settings; a [`Slot`] is the named place where the generation in use stands; a [`Caller`] is one thread's way to call
//! it. `app` builds the slots, `bridge` calls them with the types of [`contract`]. There is one [`Engine`] for all.
//!
//! Whatever a translator does, a call returns within its limits, with actions that are valid MQTT and within the
//! configured size, or with a [`Fault`]; and the next call works.

mod actions;
mod artifact;
mod bindings;
mod case;
mod engine;
mod fault;
mod generation;
mod instance;
mod json;
mod limits;
mod manifest;
mod policy;
mod probation;
mod rest;
mod script;
mod slot;
mod states;
mod status;
mod tally;
mod trial;

pub use artifact::{Artifact, Origin};
pub(crate) use artifact::{CASES_SECTION, EmbeddedCase, MANIFEST_SECTION, SECTION};
pub use bindings::contract;
pub use case::{Attempt, attempt};
pub use engine::Engine;
pub use fault::{Fault, LimitKind, Outcome};
pub use generation::{Generation, Rejection, Step};
pub use instance::Caller;
pub use limits::Limits;
pub(crate) use manifest::is_name;
pub use manifest::{Claims, Kind, Manifest, ManifestError, Problem, Schema, Setting};
pub use policy::Policy;
pub use slot::Slot;
pub use status::{GenerationStatus, RejectionStatus, SlotStatus, State};
pub use tally::{BUCKETS, Direction, Distribution, FUEL_BOUNDS, TIME_BOUNDS, Totals};
pub use trial::{Trial, Tried};

#[cfg(test)]
mod tests;
