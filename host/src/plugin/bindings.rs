//! The contract as Rust types and typed functions, generated from `wit/translator.wit`.
//!
//! `ownership: Borrowing`: what goes into a translator is borrowed (`&str`, `&[u8]`, slices of records), so that an
//! event is copied once, into the guest's memory, and never on the way there; what comes out is owned. A type that goes both
//! ways exists twice, as `…Param` and `…Result`; one that holds nothing to borrow exists once. The bridge builds and takes
//! these types as they are: there is no second set of types with conversions in between.

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
        world: "translator",
        path: "../wit",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The contract's types, by interface.
pub mod contract {
    pub use super::generated::exports::tidegate::translator::setup;
    pub use super::generated::tidegate::translator::{events, types};
}

pub(super) use generated::tidegate::translator::log;
pub(super) use generated::{Translator, TranslatorPre};
