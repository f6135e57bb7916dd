//! DTLS 1.2 (RFC 6347) for the server side of many associations on one socket, without sockets, clock or tasks.
//!
//! [`Endpoint`] takes datagrams in and says what is to be sent, which application data came, and which associations
//! began and ended; `net::shard` of the gateway drives it. A datagram goes through the files in this order:
//!
//! 1. [`endpoint`] finds its association by connection ID or address, or sends it on;
//! 2. a ClientHello ([`hello`]) of an unknown sender is answered with a cookie ([`cookie`]), without any state;
//! 3. its handshake messages are checked ([`message`]) before OpenSSL sees them; [`handshake`] runs OpenSSL, with the
//!    settings of [`context`], which looks identities up in [`credential`];
//! 4. [`record`] opens and seals every record after the handshake: OpenSSL is gone by then;
//! 5. [`association`] is what stays: keys, window, connection IDs and who the client is.

#![deny(missing_docs)]

mod association;
mod context;
pub mod cookie;
pub mod credential;
pub mod endpoint;
mod ffi;
mod flight;
mod handshake;
pub mod hello;
mod hmac;
pub mod message;
#[cfg(test)]
mod peer;
pub mod record;
pub mod session;

pub use endpoint::Endpoint;
