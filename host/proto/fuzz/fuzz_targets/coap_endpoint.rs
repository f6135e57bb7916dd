//! `cargo +nightly fuzz run coap_endpoint` in `host/proto`.
#![no_main]

#[path = "../coap_endpoint_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run(input);
});
