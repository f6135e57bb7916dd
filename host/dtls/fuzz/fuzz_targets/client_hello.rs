//! `cargo +nightly fuzz run client_hello` in `host/dtls`.
#![no_main]

#[path = "../handshake_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::client_hello(input);
});
