//! The contract as Rust types and typed functions, generated from `wit/translator.wit`.
//!
//! `ownership: Borrowing`: what goes into a translator is borrowed (`&str`, `&[u8]`, slices of records), so that an
//! event is copied once, into the guest's memory, and never on the way there; what comes out is owned. A type that goes both
//! ways exists twice, as `…Param` and `…Result`; one that holds nothing to borrow exists once. The bridge builds and takes
//! these types as they are: there is no second set of types with conversions in between.
//!
//! An export is found under the contract's version or, if that is not there, under another one of the same major version
//! (wasmtime looks names up so), and its types are compared: a component of 1.0 serves as it is.

use wasmtime::component::InstancePre;
use wasmtime::{AsContextMut, Engine, Result};

use generated::exports::tidegate::translator::{downlink, setup, stateful, uplink};

// The generated code has no documentation on its modules and functions beyond that of the contract.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all
)]
mod generated {
    wasmtime::component::bindgen!({
        world: "stateful-translator",
        path: "../wit",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The contract's types, by interface.
pub mod contract {
    pub use super::generated::exports::tidegate::translator::{setup, stateful};
    pub use super::generated::tidegate::translator::{events, types};
}

pub(super) use generated::tidegate::translator::log;

/// A linked component with the places of its exports. What is generated asks for all of the world; here one interface may
/// be missing.
pub(super) struct TranslatorPre<T: 'static> {
    component: InstancePre<T>,
    setup: setup::GuestIndices,
    uplink: uplink::GuestIndices,
    downlink: downlink::GuestIndices,
    stateful: Option<stateful::GuestIndices>,
}

impl<T: 'static> TranslatorPre<T> {
    /// Finds the exports. One that is missing or of another type is an error, `stateful` only if it is there.
    pub(super) fn new(component: InstancePre<T>) -> Result<Self> {
        let has_state = component.component().get_export_index(None, STATEFUL).is_some();
        let stateful = has_state.then(|| stateful::GuestIndices::new(&component)).transpose()?;
        Ok(Self {
            setup: setup::GuestIndices::new(&component)?,
            uplink: uplink::GuestIndices::new(&component)?,
            downlink: downlink::GuestIndices::new(&component)?,
            stateful,
            component,
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    pub(super) fn instance_pre(&self) -> &InstancePre<T> {
        &self.component
    }

    /// Whether it is to be given states.
    pub(super) fn is_stateful(&self) -> bool {
        self.stateful.is_some()
    }

    pub(super) fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Translator> {
        let mut store = store.as_context_mut();
        let instance = self.component.instantiate(&mut store)?;
        Ok(Translator {
            setup: self.setup.load(&mut store, &instance)?,
            uplink: self.uplink.load(&mut store, &instance)?,
            downlink: self.downlink.load(&mut store, &instance)?,
            stateful: self
                .stateful
                .as_ref()
                .map(|indices| indices.load(&mut store, &instance))
                .transpose()?,
        })
    }
}

/// The functions of an instance.
pub(super) struct Translator {
    pub(super) setup: setup::Guest,
    pub(super) uplink: uplink::Guest,
    pub(super) downlink: downlink::Guest,
    /// In place of `uplink`.
    pub(super) stateful: Option<stateful::Guest>,
}

const STATEFUL: &str = "tidegate:translator/stateful@1.1.0";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plugin::{Artifact, Engine, Generation, Limits, Origin};

    const FROZEN: &str = include_str!("../../../wit/frozen/1.0.0.wit");
    const PRESENT: &str = include_str!("../../../wit/translator.wit");
    /// Made for 1.0.0.
    const EARLIER: &[u8] = include_bytes!("../../tests/fixtures/hostile.wasm");

    /// The interfaces and worlds, without what is said about them.
    fn items(contract: &str) -> Vec<String> {
        let lines = contract.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        let code: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("package")).collect();
        let items = code.split_inclusive(|line| *line == "}" && line.len() == 1).map(|item| item.join("\n"));
        items.collect()
    }

    #[test]
    fn the_contract_still_has_all_that_it_had() {
        let (before, now) = (items(FROZEN), items(PRESENT));
        assert!(before.len() > 40 && now.len() > before.len(), "{} {}", before.len(), now.len());
        for item in before {
            assert!(now.contains(&item), "1.0 had, 1.1 has not:\n{item}");
        }
    }

    #[test]
    fn a_component_made_for_an_earlier_version_serves_as_it_is() {
        let is_named = |name: &str| EARLIER.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(is_named("tidegate:translator/uplink@1.0.0") && !is_named("@1.1.0"));
        let engine = Engine::new(&Limits::default()).unwrap();
        let artifact = Artifact::new(EARLIER.to_vec(), Origin::Memory("earlier".to_owned())).unwrap();
        let generation =
            Generation::prove(&engine, &artifact, &json!({ "mode": "g" }), &Limits::default()).unwrap();
        assert!(!generation.pre().is_stateful());
    }
}
