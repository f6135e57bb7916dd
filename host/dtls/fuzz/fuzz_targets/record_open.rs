//! `cargo +nightly fuzz run record_open` in `host/dtls`.
#![no_main]

#[path = "../record_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::open(input);
});
