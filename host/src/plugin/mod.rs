//! Translators: WebAssembly components under limits.
//!
//! | word | what it is |
//! |---|---|
//! | [`Artifact`] | the bytes of one `.wasm`, and where they are from |
//! | [`Generation`] | an artifact that was compiled, linked and configured with a slot's settings |
//! | [`Slot`] | the named place; holds the generation in use |
//! | [`Caller`] | a thread's running copy of a slot's generation, which it calls |
//! | [`Fault`] | why a call came to nothing; it costs that one message |
//!
//! `app` proves generations and makes slots; `bridge` has a caller of each slot on each of its threads. The contract's
//! types are generated from `wit/translator.wit` with borrowed parameters: an event's strings and payload are copied once,
//! by wasmtime into the guest's memory. (Owned parameters cost an allocation for each string of each event.)

mod artifact;
mod bindings;
mod caller;
mod engine;
mod fault;
mod generation;
mod limit;
mod slot;

pub use artifact::{Artifact, ArtifactError};
pub use caller::Caller;
pub use engine::Engine;
pub use fault::Fault;
pub use generation::{Generation, Rejection, Step, Subscriptions};
pub use limit::Limits;
pub use slot::Slot;

/// The contract's types, as `bridge` makes and takes them.
pub mod contract {
    pub use super::bindings::tidegate::translator::{events, types};
}
