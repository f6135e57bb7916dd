//! `cargo +nightly fuzz run tlv` in `host/proto`.
#![no_main]

#[path = "../lwm2m_formats_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run("tlv", input);
});
