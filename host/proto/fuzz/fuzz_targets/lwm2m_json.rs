//! `cargo +nightly fuzz run lwm2m_json` in `host/proto`.
#![no_main]

#[path = "../lwm2m_json_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run(input);
});
