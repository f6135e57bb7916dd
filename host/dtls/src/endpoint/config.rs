//! Limits and times of an [`Endpoint`](super::Endpoint).

use std::time::Duration;

/// Limits and times.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number, less than `shards`.
    pub shard: u8,
    /// How many shards there are: the first byte of a connection ID, modulo this, is the shard that has it.
    pub shards: u8,
    /// Associations at most; the one that was idle longest among a few makes room.
    pub max_associations: usize,
    /// Handshakes that may be going on.
    pub max_handshakes: usize,
    /// Handshakes that may be going on with one IP address.
    pub max_handshakes_per_address: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// When a flight is sent again for the first time; doubled each time (RFC 7925 section 11).
    pub retransmission: Duration,
    /// Bytes of UDP payload that a handshake datagram may have.
    pub mtu: u16,
    /// Whether connection IDs are offered (RFC 9146).
    pub connection_id: bool,
    /// Whether associations are to be kept ([`Output::Keep`](super::Output::Keep)).
    pub keep: bool,
}

impl Default for Config {
    /// One shard; 150,000 associations; 2,000 handshakes, 64 with one address, each within 60 s; 9 s to the first
    /// retransmission; 1,232 bytes; with connection IDs; nothing is kept.
    fn default() -> Self {
        Self {
            shard: 0,
            shards: 1,
            max_associations: 150_000,
            max_handshakes: 2_000,
            max_handshakes_per_address: 64,
            handshake_timeout: Duration::from_secs(60),
            retransmission: Duration::from_secs(9),
            mtu: 1_232,
            connection_id: true,
            keep: false,
        }
    }
}
