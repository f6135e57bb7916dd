//! Sessions that clients may resume (RFC 5246 section 7.3), by their ids, for all shards.
//!
//! OpenSSL's own cache holds several kilobytes for each session and certificates that nobody looks at again. This one
//! holds what a resumption needs, and who the client is. Only handshakes come here, so one lock does for all shards.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::ssl::{SslSession, SslSessionRef};
use rustc_hash::FxHashMap;
use zeroize::Zeroizing;

use crate::credential::Principal;
use crate::ffi;

/// A session that may be resumed.
#[derive(Clone)]
pub(crate) struct Session {
    id: Box<[u8]>,
    /// As OpenSSL writes it, less certificates, keys and names of the client; it holds the master secret.
    der: Zeroizing<Box<[u8]>>,
    pub(crate) principal: Arc<Principal>,
}

impl Session {
    /// What a handshake has agreed on; none if it has no id to be resumed by.
    pub(crate) fn new(of: &SslSessionRef, principal: Arc<Principal>) -> Option<Self> {
        if of.id().is_empty() {
            return None;
        }
        let der = Zeroizing::new(of.to_der().ok()?);
        let der = Zeroizing::new(strip(&der)?.into());
        Some(Self { id: of.id().into(), der, principal })
    }

    /// Goes on with what [`Self::der`] gave.
    pub(crate) fn from_der(der: &[u8], principal: Arc<Principal>) -> Option<Self> {
        let session = SslSession::from_der(der).ok()?;
        Some(Self { id: session.id().into(), der: Zeroizing::new(der.into()), principal })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Bytes that a record may hold, if the client has asked for a limit.
    pub(crate) fn max_fragment(&self) -> Option<u16> {
        ffi::max_fragment(&*SslSession::from_der(&self.der).ok()?)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("endpoint", &self.principal.endpoint).finish_non_exhaustive()
    }
}

/// The sessions of all shards.
#[derive(Debug)]
pub struct Sessions {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: FxHashMap<Box<[u8]>, Arc<Session>>,
    /// Ids, oldest first; those that were removed meanwhile are passed over.
    order: VecDeque<Box<[u8]>>,
}

impl Sessions {
    /// Keeps that many; a new one drives the oldest out.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), kept: Mutex::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept().by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn insert(&self, session: &Arc<Session>) {
        let mut kept = self.kept();
        if kept.by_id.insert(session.id.clone(), Arc::clone(session)).is_none() {
            kept.order.push_back(session.id.clone());
        }
        while kept.by_id.len() > self.capacity || kept.order.len() > 2 * self.capacity {
            let Some(oldest) = kept.order.pop_front() else { return };
            kept.by_id.remove(&oldest);
        }
    }

    /// The session of that id, and as OpenSSL wants it.
    pub(crate) fn find(&self, id: &[u8]) -> Option<(Arc<Session>, SslSession)> {
        let session = Arc::clone(self.kept().by_id.get(id)?);
        let resumable = SslSession::from_der(session.der()).ok()?;
        Some((session, resumable))
    }

    /// Forgets those for which `keep` says no.
    pub(crate) fn retain(&self, keep: impl Fn(&Principal) -> bool) {
        let kept = &mut *self.kept();
        kept.by_id.retain(|_, session| keep(&session.principal));
        kept.order.retain(|id| kept.by_id.contains_key(id));
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // No code panics while it holds the lock half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An SSL_SESSION in DER without the fields that a resumption does not need: the client's certificate, PSK identity
/// and raw public key. They would be most of it.
fn strip(der: &[u8]) -> Option<Vec<u8>> {
    let (fields, rest) = element(der)?;
    if der[0] != SEQUENCE || !rest.is_empty() {
        return None;
    }
    let mut kept = Zeroizing::new(Vec::with_capacity(fields.content.len()));
    let mut left = fields.content;
    while !left.is_empty() {
        let (field, rest) = element(left)?;
        if !UNNEEDED.contains(&left[0]) {
            kept.extend_from_slice(&left[..field.header + field.content.len()]);
        }
        left = rest;
    }
    let mut stripped = Vec::with_capacity(kept.len() + 4);
    stripped.push(SEQUENCE);
    match u8::try_from(kept.len()) {
        Ok(length) if length < 0x80 => stripped.push(length),
        _ => {
            stripped.push(0x82);
            stripped.extend_from_slice(&u16::try_from(kept.len()).ok()?.to_be_bytes());
        }
    }
    stripped.extend_from_slice(&kept);
    Some(stripped)
}

/// One element of DER (X.690 section 8.1), with a tag of one byte.
struct Element<'a> {
    header: usize,
    content: &'a [u8],
}

fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (header, length) = match first {
        0..=0x7f => (2, first),
        0x81..=0x83 => {
            let count = first - 0x80;
            let bytes = der.get(2..2 + count)?;
            (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
        _ => return None,
    };
    let content = der.get(header..header.checked_add(length)?)?;
    Some((Element { header, content }, &der[header + length..]))
}

const SEQUENCE: u8 = 0x30;
/// `[3]` peer, `[8]` psk_identity, `[20]` peer_rpk, of the type in OpenSSL's ssl/ssl_asn1.c; all explicit.
const UNNEEDED: [u8; 3] = [0xa3, 0xa8, 0xb4];
