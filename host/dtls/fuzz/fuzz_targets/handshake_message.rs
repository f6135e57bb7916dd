//! `cargo +nightly fuzz run handshake_message` in `host/dtls`.
#![no_main]

#[path = "../handshake_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::handshake_message(input);
});
