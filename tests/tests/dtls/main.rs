//! DTLS end to end: the real gateway, and clients of the tests' own that use OpenSSL. Clients that nobody here wrote
//! are in `interop_dtls_*.rs`; what is done to associations on the wire is tested in `host/dtls`.

mod credential;
mod identity;
mod rebinding;
mod restart;
