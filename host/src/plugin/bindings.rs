//! What wasmtime generates from the contract.
#![allow(missing_docs, missing_debug_implementations, clippy::all, clippy::use_self, clippy::too_many_lines, unused)]
#![allow(unsafe_code)] // the generated code names its export functions unchecked; wasmtime type-checks them when linking

wasmtime::component::bindgen!({
    path: "../wit",
    world: "translator",
    ownership: Borrowing { duplicate_if_necessary: true },
});
