//! An association after its handshake: what is kept of a client that is silent most of the time.
//!
//! [`endpoint`](super::endpoint) holds them. An idle one is keys, window, connection IDs, an address and who it is.

use std::ops::Range;
use std::sync::Arc;

use openssl::ssl::{ErrorCode, SslStream};
use tidegate_proto::time::Instant;

use crate::credential::Principal;
use crate::endpoint::Remote;
use crate::ffi;
use crate::flight::Flight;
use crate::handshake::{Datagrams, Records};
use crate::record::{RecordLayer, Refusal, SealError, content_type};
use crate::session::Session;

/// An association that is established.
pub(crate) struct Association {
    pub(crate) remote: Remote,
    pub(crate) principal: Arc<Principal>,
    pub(crate) records: Records,
    /// The end of the random of its ClientHello, which may come once more. 0 after a restart.
    pub(crate) hello: u64,
    pub(crate) linger: Option<Box<Linger>>,
    pub(crate) session: Option<Arc<Session>>,
    /// Seconds, by the caller's clock, when a record was last authenticated.
    pub(crate) heard: u32,
    /// Its place in the list that is drawn from when room is needed.
    pub(crate) place: u32,
    /// The bound of write sequences that was last asked to be kept.
    pub(crate) asked: u64,
    /// Whether its window has moved since it was kept.
    pub(crate) is_dirty: bool,
    /// Which second it was when records last failed to authenticate, and how many did.
    failed: (u32, u16),
}

/// Our last flight, which the client may not have got.
pub(crate) struct Linger {
    pub(crate) flight: Flight,
    pub(crate) sequence: u64,
    pub(crate) sent: Instant,
    pub(crate) again: u8,
    pub(crate) until: Instant,
}

/// What a record holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Application data, and whether no later record has come before.
    Data { within: Range<usize>, newest: bool },
    /// The client closes.
    Closed,
    /// A fatal alert.
    Alert(u8),
    /// The client's Finished once more: it has not got ours.
    Finished,
    /// A ClientHello: it wants to negotiate anew.
    Hello,
    /// Nothing that matters.
    Nothing,
}

impl Association {
    pub(crate) fn new(remote: Remote, principal: Arc<Principal>, records: Records) -> Self {
        Self {
            remote,
            principal,
            records,
            hello: 0,
            linger: None,
            session: None,
            heard: 0,
            place: 0,
            asked: 0,
            is_dirty: false,
            failed: (0, 0),
        }
    }

    /// Opens one record in place.
    pub(crate) fn open(&mut self, now: Instant, record: &mut [u8]) -> Result<Taken, Refusal> {
        let Records::Own(layer) = &mut self.records else { return Ok(Taken::Nothing) };
        let second = second(now);
        if self.failed.0 == second && self.failed.1 >= FAILURES {
            return Err(Refusal::Authentication);
        }
        let opened = match layer.open(record) {
            Ok(opened) => opened,
            Err(refusal) => {
                if refusal == Refusal::Authentication {
                    let before = if self.failed.0 == second { self.failed.1 } else { 0 };
                    self.failed = (second, before + 1);
                }
                return Err(refusal);
            }
        };
        self.heard = second;
        let content = &record[opened.content.clone()];
        Ok(match (opened.content_type, content) {
            // An empty record says nothing; it has moved the window, no more.
            (_, []) => Taken::Nothing,
            (content_type::APPLICATION_DATA, _) => {
                Taken::Data { within: opened.content, newest: opened.newest }
            }
            (content_type::ALERT, [_, CLOSE_NOTIFY]) => Taken::Closed,
            (content_type::ALERT, [FATAL, description]) => Taken::Alert(*description),
            (content_type::HANDSHAKE, [FINISHED, ..]) => Taken::Finished,
            (content_type::HANDSHAKE, [CLIENT_HELLO, ..]) => Taken::Hello,
            _ => Taken::Nothing,
        })
    }

    /// Seals application data.
    pub(crate) fn seal(&mut self, data: &[u8], datagram: &mut Vec<u8>) -> Result<(), SealError> {
        match &mut self.records {
            Records::Own(layer) => layer.seal(content_type::APPLICATION_DATA, data, datagram),
            Records::Engine(engine) => write(engine, data, datagram),
        }
    }

    /// An alert, sealed.
    pub(crate) fn alert(&mut self, level: u8, description: u8) -> Option<Vec<u8>> {
        let mut datagram = Vec::new();
        match &mut self.records {
            Records::Own(layer) => {
                layer.seal(content_type::ALERT, &[level, description], &mut datagram).ok()?;
            }
            Records::Engine(engine) => {
                let _ = engine.shutdown();
                ffi::drain_errors();
                datagram = engine.get_mut().outgoing.pop()?;
            }
        }
        Some(datagram)
    }

    /// Our last flight once more, if it may be wanted.
    pub(crate) fn repeat_flight(&mut self, now: Instant, send: impl FnMut(Vec<u8>)) {
        let (Some(linger), Records::Own(layer)) = (&mut self.linger, &mut self.records) else { return };
        if linger.again >= REPEATS || now.since(linger.sent) < crate::handshake::PROMPT_INTERVAL {
            return;
        }
        linger.again += 1;
        linger.sent = now;
        linger.flight.write(&mut linger.sequence, Some(layer), send);
    }

    pub(crate) fn layer(&self) -> Option<&RecordLayer> {
        match &self.records {
            Records::Own(layer) => Some(layer),
            Records::Engine(_) => None,
        }
    }

    pub(crate) fn layer_mut(&mut self) -> Option<&mut RecordLayer> {
        match &mut self.records {
            Records::Own(layer) => Some(layer),
            Records::Engine(_) => None,
        }
    }
}

impl std::fmt::Debug for Association {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Association")
            .field("remote", &self.remote)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// What a datagram holds for a suite whose records OpenSSL opens.
pub(crate) enum Read {
    /// Some application data, or none.
    Data(Vec<Vec<u8>>),
    /// The client has closed it, or OpenSSL has given up on it.
    Closed(Vec<Vec<u8>>),
}

/// Has OpenSSL take a datagram in.
pub(crate) fn read(engine: &mut SslStream<Datagrams>, datagram: &[u8]) -> Read {
    engine.get_mut().incoming.push_back(datagram.to_vec());
    let mut found = Vec::new();
    let mut buffer = vec![0; datagram.len()];
    loop {
        match engine.ssl_read(&mut buffer) {
            Ok(0) => return Read::Data(found),
            Ok(length) => found.push(buffer[..length].to_vec()),
            Err(error) => {
                ffi::drain_errors();
                let is_over = error.code() != ErrorCode::WANT_READ;
                return if is_over { Read::Closed(found) } else { Read::Data(found) };
            }
        }
    }
}

fn write(engine: &mut SslStream<Datagrams>, data: &[u8], datagram: &mut Vec<u8>) -> Result<(), SealError> {
    let written = engine.ssl_write(data).is_ok();
    ffi::drain_errors();
    match engine.get_mut().outgoing.pop() {
        Some(sealed) if written => {
            datagram.extend_from_slice(&sealed);
            Ok(())
        }
        _ => Err(SealError::TooLong),
    }
}

/// Whole seconds of the caller's clock.
pub(crate) fn second(now: Instant) -> u32 {
    u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX)
}

/// Bytes of the connection IDs that we are sent: the name of the association.
pub(crate) const CID_LENGTH: usize = 8;
/// Records in a second that may fail to authenticate before the rest of that second's are not tried.
const FAILURES: u16 = 1_024;
/// How often the last flight is repeated.
const REPEATS: u8 = 8;
/// Alert levels and descriptions (RFC 5246 section 7.2), message types (section 7.4).
pub(crate) const WARNING: u8 = 1;
pub(crate) const FATAL: u8 = 2;
pub(crate) const CLOSE_NOTIFY: u8 = 0;
pub(crate) const ACCESS_DENIED: u8 = 49;
pub(crate) const NO_RENEGOTIATION: u8 = 100;
const CLIENT_HELLO: u8 = 1;
const FINISHED: u8 = 20;
