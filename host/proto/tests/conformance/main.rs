//! What a server is judged by: the OMA test cases, the obligations of the standards, the habits of real clients.
//!
//! `table` lists every case with the tests that show it, and writes `docs/conformance.md`.

mod anjay;
mod bytes;
mod coap;
mod document;
mod ets;
mod field;
mod leshan;
mod must;
mod rfc;
#[path = "../server/sim.rs"]
mod sim;
mod stage;
mod table;
mod trace;
mod wakaama;
mod wire;
