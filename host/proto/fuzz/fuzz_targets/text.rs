//! `cargo +nightly fuzz run text` in `host/proto`.
#![no_main]

#[path = "../lwm2m_formats_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run("text", input);
});
