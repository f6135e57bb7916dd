//! What goes wrong on the way to a DTLS association, and what is done wrong on purpose: one test for each mischief.
//! They drive [`tidegate_dtls::endpoint::Endpoint`] in simulated time, against clients of OpenSSL.

#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../../fuzz/association_feed_body.rs"]
mod association_feed_body;
#[path = "../client/mod.rs"]
mod client;
#[path = "../network/mod.rs"]
mod network;

mod closing;
mod connection_id;
mod cookie;
mod credential;
mod feed;
mod fragment;
mod handshake;
mod loss;
mod nonce;
mod order;
mod reboot;
mod replay;
mod restart;
mod resumption;
mod soak;
mod trash;
