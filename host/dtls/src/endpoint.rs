//! All associations of one shard: finds the one that a datagram belongs to, and begins and ends them.
//!
//! `net::shard` calls [`Endpoint::handle_datagram`], [`Endpoint::handle_timeout`] and [`Endpoint::send`], then polls
//! the output until [`Output::Timeout`].

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::time::Instant;

use crate::credential::{Credentials, Principal};

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
    /// Whether associations are to be kept ([`Output::Keep`]).
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

/// From where a datagram came, or where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// The client's address and port.
    pub address: SocketAddr,
    /// Which of the gateway's sockets.
    pub listener: u16,
}

/// What is to be done, or has happened.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// Where to.
        to: Remote,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// A client has proved who it is. Nothing came from it before.
    Established {
        /// The association's name: unique, never 0, also its connection ID.
        association: u64,
        /// Where the client is.
        from: Remote,
        /// Who it is.
        principal: Arc<Principal>,
        /// How: the suite, whether resumed, whether with connection IDs; for the log.
        summary: Summary,
    },
    /// Application data came.
    Received {
        /// On which association.
        association: u64,
        /// From where; with connection IDs that may change.
        from: Remote,
        /// What.
        payload: Received,
    },
    /// An association that was established is no more.
    Ended {
        /// Which.
        association: u64,
        /// Why.
        reason: End,
    },
    /// Keep this over a restart: it replaces what was kept of this association before. When it has been written,
    /// call [`Endpoint::kept`].
    Keep {
        /// Which.
        association: u64,
        /// For [`Endpoint::restore`]; secret.
        snapshot: zeroize::Zeroizing<Vec<u8>>,
        /// For [`Endpoint::kept`].
        bound: u64,
    },
    /// What was kept of this association is of no use any more.
    Forget {
        /// Which.
        association: u64,
    },
    /// Nothing more to do; call [`Endpoint::handle_timeout`] at this time, if any.
    Timeout(Option<Instant>),
}

/// Application data.
#[derive(Debug)]
pub enum Received {
    /// In the datagram that was given to [`Endpoint::handle_datagram`] last, where it was decrypted in place.
    Within(Range<usize>),
    /// From an earlier datagram, which came before the handshake was over.
    Earlier(Vec<u8>),
}

/// How an association came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The suite's IANA name.
    pub suite: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether the client sends connection IDs.
    pub connection_id: bool,
}

/// Why an association is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has closed it.
    Closed,
    /// The client sent a fatal alert.
    Alert(u8),
    /// The client, at the same address, has made another one.
    Replaced,
    /// It was idle, and room was needed.
    Evicted,
    /// Its credential is there no more, or is another one.
    Revoked,
    /// Its record numbers are used up.
    Exhausted,
}

/// All associations of one shard.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
}

impl Endpoint {
    /// Without any association.
    ///
    /// # Errors
    /// When OpenSSL refuses the credentials.
    pub fn new(config: Config, _credentials: Arc<Credentials>) -> Result<Self, Error> {
        Ok(Self { config })
    }

    /// Take in a datagram; it is decrypted in place. Poll the output afterwards, before the next datagram.
    pub fn handle_datagram(&mut self, _now: Instant, _from: Remote, _datagram: &mut [u8]) {
        let _ = &self.config;
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Seal application data into `datagram`, which is cleared first, and say where to send it. None when there is no such association,
    /// or it must not send now; the data is lost as a datagram may be.
    pub fn send(
        &mut self,
        _now: Instant,
        _association: u64,
        _data: &[u8],
        _datagram: &mut Vec<u8>,
    ) -> Option<Remote> {
        None
    }

    /// Take other credentials from now on. Associations whose credential is gone end.
    ///
    /// # Errors
    /// When OpenSSL refuses them; the former ones stay.
    pub fn renew(&mut self, _now: Instant, _credentials: Arc<Credentials>) -> Result<(), Error> {
        Ok(())
    }

    /// A [`Output::Keep`] has been written.
    pub fn kept(&mut self, _association: u64, _bound: u64) {}

    /// Go on with an association that was kept before a restart. It is told by [`Output::Established`] and kept anew.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn restore(&mut self, _now: Instant, _association: u64, _snapshot: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        Output::Timeout(None)
    }

    /// Whether an association or handshake is known for this datagram's connection ID or address.
    pub fn knows(&self, _from: Remote, _datagram: &[u8]) -> bool {
        true
    }

    /// How many associations there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The shard that a datagram's connection ID names, if it has one.
pub fn shard_of_datagram(_datagram: &[u8], _shards: u8) -> Option<u8> {
    None
}

/// The shard that an association belongs to.
pub fn shard_of_association(association: u64, shards: u8) -> u8 {
    (association >> 56) as u8 % shards.max(1)
}

/// Where the client of a kept association was last: for finding the shard of a datagram without a connection ID.
///
/// # Errors
/// When the snapshot cannot be read.
pub fn remote_of_snapshot(_snapshot: &[u8]) -> Result<Remote, Error> {
    Err(Error::Snapshot)
}

/// What can be wrong that no client causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// OpenSSL refuses something.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// A snapshot that this version has not written.
    #[error("what was kept of an association cannot be read")]
    Snapshot,
}
