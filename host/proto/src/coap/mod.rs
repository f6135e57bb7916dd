//! CoAP (RFC 7252) with Observe (RFC 7641) and block-wise transfer (RFC 7959), both roles on one endpoint.
//!
//! `lwm2m::server` is the only caller. Bottom up: [`message`] is one datagram (with [`option`] and [`token`]),
//! `peers` gives out message ids, `deduplication` remembers what came, `exchange` retransmits what was asked, `block`
//! puts bodies together and takes them apart, `observe` holds observation tokens and decides freshness,
//! [`endpoint`] ties them together.

use std::hash::{Hash, Hasher};
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
/// Two peers with an association are the same when it is the same one, since its address may change (RFC 9146): where
/// they were seen is not compared then. Two without one are the same when address and listener agree. So an answer
/// counts only on the association on which it was asked for, and goes on counting when that association moves.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Source address and port of its datagrams; of the latest one, as far as is known.
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

    /// Whether it talks DTLS.
    pub const fn is_secure(&self) -> bool {
        self.association != 0
    }

    /// Whether both were seen at the same place, beside being the same.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        (self.address, self.listener) == (other.address, other.listener)
    }

    /// What is compared: nothing but the association, if there is one.
    fn identity(&self) -> (u64, Option<(SocketAddr, u16)>) {
        (self.association, (!self.is_secure()).then_some((self.address, self.listener)))
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Peer {}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_association_is_the_same_peer_wherever_it_is() {
        let at = |port, listener, association| Peer {
            address: ([192, 0, 2, 1], port).into(),
            listener,
            association,
        };
        assert_eq!(at(1, 0, 7), at(2, 1, 7));
        assert_ne!(at(1, 0, 7), at(1, 0, 8));
        assert_ne!(at(1, 0, 7), at(1, 0, 0));
        assert_ne!(at(1, 0, 0), at(2, 0, 0));
        assert_ne!(at(1, 0, 0), at(1, 1, 0));
        let all = [at(1, 0, 7), at(2, 1, 7), at(1, 0, 8), at(1, 0, 0), at(2, 0, 0), at(1, 1, 0)];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 5, "their hashes agree with that");
    }
}
