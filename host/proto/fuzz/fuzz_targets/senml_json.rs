//! `cargo +nightly fuzz run senml_json` in `host/proto`.
#![no_main]

#[path = "../lwm2m_formats_body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    body::run("senml_json", input);
});
