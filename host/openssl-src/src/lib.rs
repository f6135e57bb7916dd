//! The newest series of `openssl-src` under the name and number that `openssl-sys` asks for.
//!
//! `openssl-sys` 0.9 wants the 300 series, which ends at OpenSSL 3.6.3 and its known holes in DTLS. The 400 series has
//! the same interface. Cargo puts this crate in its place (`[patch.crates-io]` in the workspace), so that plain
//! `cargo build` builds a current OpenSSL and `cargo update` finds its fixes. DESIGN.md, "OpenSSL".

pub use source::*;
