//! CoAP (RFC 7252) with Observe (RFC 7641) and block-wise transfer (RFC 7959), both roles on one endpoint.
//!
//! `lwm2m::server` is the only caller. Bottom up: [`message`] is one datagram (with [`option`] and [`token`]),
//! `peers` gives out message ids, `deduplication` remembers what came, `exchange` retransmits what was asked, `block`
//! puts bodies together and takes them apart, `observe` holds observation tokens and decides freshness,
//! [`endpoint`] ties them together.

use std::net::SocketAddr;

mod block;
mod code;
mod deduplication;
pub mod endpoint;
mod exchange;
pub mod message;
mod observe;
pub mod option;
mod peers;
pub mod token;
mod volume;

/// Who a datagram comes from or goes to.
///
/// Two peers are the same when all three agree: an answer counts only on the association on which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Source address and port of its datagrams.
    pub address: SocketAddr,
    /// Which of the gateway's listeners it talks to; answers leave through the same one.
    pub listener: u16,
    /// The DTLS association, 0 for none.
    pub association: u64,
}

impl Peer {
    /// A peer without DTLS on the first listener.
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, listener: 0, association: 0 }
    }
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub peer: Peer,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Where random bytes come from; they must be unguessable in production and may be seeded in tests.
pub trait Entropy: Send {
    /// Fill the buffer with random bytes.
    fn fill(&mut self, buffer: &mut [u8]);
}
