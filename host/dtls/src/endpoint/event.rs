//! What an [`Endpoint`](super::Endpoint) tells its caller.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;
use tidegate_proto::time::Instant;

use crate::credential::Principal;

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
        /// Who it was.
        principal: Arc<Principal>,
        /// Why.
        reason: End,
    },
    /// A handshake has failed; for the log, whose caller must bound it.
    Failed {
        /// With whom.
        from: Remote,
        /// Why.
        failure: Failure,
    },
    /// Keep this over a restart: it replaces what was kept of this association before. When it has been written,
    /// call [`Endpoint::kept`](super::Endpoint::kept).
    Keep {
        /// Which.
        association: u64,
        /// For [`Endpoint::restore`](super::Endpoint::restore); secret.
        snapshot: zeroize::Zeroizing<Vec<u8>>,
        /// For [`Endpoint::kept`](super::Endpoint::kept).
        bound: u64,
    },
    /// What was kept of this association is of no use any more.
    Forget {
        /// Which.
        association: u64,
    },
    /// Nothing more to do; call [`Endpoint::handle_timeout`](super::Endpoint::handle_timeout) at this time, if any.
    Timeout(Option<Instant>),
}

/// Application data.
#[derive(Debug)]
pub enum Received {
    /// In the datagram that was given to [`Endpoint::handle_datagram`](super::Endpoint::handle_datagram) last, where it was decrypted in place.
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
    /// Bytes that a record may hold at most, if the client has asked for it (RFC 6066 section 4). Whoever sends must
    /// see to it: CoAP in smaller blocks.
    pub max_fragment: Option<u16>,
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

/// Why a handshake has failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// What the client sends cannot be decrypted. Said as soon as it is seen, and again when the time is over.
    #[error(
        "the key for the PSK identity {identity:?} is probably wrong: what the client sends cannot be decrypted"
    )]
    WrongKey {
        /// As the client sent it.
        identity: String,
    },
    /// Nobody has this PSK identity.
    #[error("the PSK identity {identity:?} is unknown")]
    UnknownIdentity {
        /// As the client sent it.
        identity: String,
    },
    /// Nobody has this raw public key.
    #[error("the client's raw public key is unknown")]
    UnknownKey,
    /// OpenSSL does not accept the certificate.
    #[error("the client's certificate is refused: {0}")]
    Certificate(&'static str),
    /// The certificate is good, but names no endpoint, or one that has a credential of another mode.
    #[error("the client's certificate names no endpoint that it may be")]
    Nobody,
    /// The client did not finish in time.
    #[error("it was not finished in time")]
    TimedOut,
    /// OpenSSL has ended it.
    #[error("{0}")]
    Protocol(String),
}

/// What has happened since the start that no output tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// ClientHellos answered with a cookie.
    pub cookies: u64,
    /// Handshakes begun, each after its cookie had been returned.
    pub handshakes: u64,
    /// Handshakes that were not begun, since too many are going on.
    pub excess_handshakes: u64,
    /// Datagrams that belong to no association and no handshake.
    pub strays: u64,
    /// Records that did not authenticate.
    pub forged: u64,
    /// Records that came again, or too late.
    pub replayed: u64,
    /// Records that were refused for any other reason.
    pub refused: u64,
    /// Associations whose client was found at another address.
    pub moved: u64,
    /// Sends that were given up since the write sequence was not kept yet.
    pub held_back: u64,
}
