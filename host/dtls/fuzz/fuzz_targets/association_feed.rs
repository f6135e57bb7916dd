//! `cargo +nightly fuzz run association_feed` in `host/dtls`.
#![no_main]

#[path = "../association_feed_body.rs"]
mod body;
#[path = "../../tests/client/mod.rs"]
mod client;
#[path = "../../tests/network/mod.rs"]
mod network;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run(input);
});
