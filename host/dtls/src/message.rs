//! What is checked in a client's plaintext records of a handshake before OpenSSL sees them.
//!
//! [`handshake`](super::handshake) has a [`Flow`] for each client that has shown its cookie. Nothing here is
//! authenticated: whoever can send from the client's address may spoil its handshake, by an alert if by nothing else.
//! The checks keep what such a sender, or a client that means ill, can reach in OpenSSL small. Each answers a kind of
//! hole that DTLS implementations had:
//!
//! * a fragment lies within its message, and the message is short: memory for lengths of up to 2^24 (CVE-2014-3506);
//! * all fragments of a message agree in its type and length: writing behind a buffer that was made for an earlier
//!   length (CVE-2014-0195; CVE-2026-33846 in GnuTLS and CVE-2026-59646 in Bouncy Castle are of fragments, too);
//! * no fragment is empty (CVE-2014-3507);
//! * at most four messages, at four numbers in a row: memory for messages that are far ahead (CVE-2009-1378,
//!   CVE-2026-95690, which OpenSSL 4.0.3 still has);
//! * each type only where a client may have it: messages of the server, Finished in the clear, a second ClientHello,
//!   another order (the state machines that DTLS-Fuzzer got past);
//! * nothing before the ClientHello (CVE-2009-1386); ChangeCipherSpec and alerts have their one length;
//! * only epoch 0, and no application data: records of a later epoch that wait in OpenSSL's buffers (CVE-2009-1377,
//!   CVE-2026-54874) never get that far;
//! * a bound for all bytes of a handshake, whatever they are.
//!
//! Messages may come again, and their fragments in any order, overlapping and cut differently: that is how loss is dealt
//! with (RFC 6347 section 4.2.3). Whether overlapping fragments have the same bytes is not checked here: the hash in
//! Finished is about what OpenSSL has put together.

mod fragment;

use crate::record::{Header, content_type};

pub(crate) use fragment::Fragment;

/// The plaintext records of one handshake that were admitted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The number of the ClientHello.
    first: Option<u16>,
    /// The ClientHello and the messages with the numbers after it.
    messages: [Option<Message>; STEPS],
    /// The first two bytes of the ClientKeyExchange, which may come in fragments: how long a PSK identity is.
    identity_length: [Option<u8>; 2],
    /// Bytes of all records.
    volume: usize,
}

/// What all fragments of a message have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    kind: u8,
    length: usize,
}

/// Why a record is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It is not one whole record, or of no version of DTLS.
    #[error("it is no record of DTLS")]
    Format,
    /// It is of a later epoch than 0.
    #[error("it is of another epoch")]
    Epoch,
    /// It is neither handshake, ChangeCipherSpec nor alert.
    #[error("its content type has no place in the clear")]
    ContentType,
    /// It, a fragment or a message has no bytes.
    #[error("it is empty")]
    Empty,
    /// A fragment is cut or not within its message.
    #[error("a fragment is not within its message")]
    Fragment,
    /// A message is too long.
    #[error("a message is too long")]
    Length,
    /// A message is numbered lower than the ClientHello, or higher than a handshake has messages.
    #[error("a message's number is out of bounds")]
    Sequence,
    /// A fragment says otherwise than an earlier one of the same message.
    #[error("fragments of one message do not agree")]
    Inconsistent,
    /// The message may not stand there, or clients never send it.
    #[error("a message is out of order")]
    Order,
    /// It is no ChangeCipherSpec.
    #[error("the ChangeCipherSpec is none")]
    ChangeCipherSpec,
    /// It is no alert.
    #[error("the alert is none")]
    Alert,
    /// The identity that it tells is not acceptable. See [`is_acceptable_identity`].
    #[error("the identity is not acceptable")]
    Identity,
    /// There was enough already.
    #[error("the handshake has too many bytes")]
    Volume,
}

impl Flow {
    /// Checks one record as it came, header and all. The first must have the ClientHello.
    ///
    /// # Errors
    /// When it must not reach OpenSSL. Then it is as if it had not come.
    pub fn admit(&mut self, record: &[u8]) -> Result<(), Refusal> {
        let content = content(record)?;
        let mut next = Self { volume: self.volume + record.len(), ..*self };
        if next.volume > MAX_VOLUME {
            return Err(Refusal::Volume);
        }
        match record[0] {
            content_type::HANDSHAKE => next.admit_messages(content)?,
            content_type::CHANGE_CIPHER_SPEC | content_type::ALERT if self.first.is_none() => {
                return Err(Refusal::Order);
            }
            content_type::CHANGE_CIPHER_SPEC if content != [1] => return Err(Refusal::ChangeCipherSpec),
            content_type::ALERT if !matches!(content, [WARNING | FATAL, _]) => return Err(Refusal::Alert),
            content_type::CHANGE_CIPHER_SPEC | content_type::ALERT => {}
            _ => return Err(Refusal::ContentType),
        }
        *self = next;
        Ok(())
    }

    fn admit_messages(&mut self, mut content: &[u8]) -> Result<(), Refusal> {
        while !content.is_empty() {
            let (fragment, rest) = Fragment::parse(content).ok_or(Refusal::Fragment)?;
            self.admit_fragment(&fragment)?;
            content = rest;
        }
        Ok(())
    }

    fn admit_fragment(&mut self, fragment: &Fragment<'_>) -> Result<(), Refusal> {
        if fragment.body.is_empty() {
            return Err(Refusal::Empty);
        }
        let max_length = if fragment.kind == CERTIFICATE { MAX_CERTIFICATE } else { MAX_LENGTH };
        if fragment.length > max_length {
            return Err(Refusal::Length);
        }
        let first = self.first.unwrap_or(fragment.sequence);
        let step = usize::from(fragment.sequence.checked_sub(first).ok_or(Refusal::Sequence)?);
        if first > MAX_FIRST || step >= STEPS {
            return Err(Refusal::Sequence);
        }
        let message = Message { kind: fragment.kind, length: fragment.length };
        match self.messages[step] {
            Some(known) if known != message => return Err(Refusal::Inconsistent),
            Some(_) => {}
            None if self.may_stand(message.kind, step) => self.messages[step] = Some(message),
            None => return Err(Refusal::Order),
        }
        if identity(fragment).is_some_and(|identity| !is_acceptable_identity(identity)) {
            return Err(Refusal::Identity);
        }
        self.note_identity(fragment)?;
        self.first = Some(first);
        Ok(())
    }

    /// How long the PSK identity is that the ClientKeyExchange tells, in however many fragments it came. OpenSSL ends it
    /// at a NUL, so that it may have seen a shorter one.
    pub fn identity_length(&self) -> Option<usize> {
        let [Some(high), Some(low)] = self.identity_length else { return None };
        Some(usize::from(u16::from_be_bytes([high, low])))
    }

    fn note_identity(&mut self, fragment: &Fragment<'_>) -> Result<(), Refusal> {
        if fragment.kind != CLIENT_KEY_EXCHANGE {
            return Ok(());
        }
        for (place, known) in self.identity_length.iter_mut().enumerate() {
            let byte = place.checked_sub(fragment.offset).and_then(|at| fragment.body.get(at));
            if byte.is_some_and(|byte| known.get_or_insert(*byte) != byte) {
                return Err(Refusal::Inconsistent);
            }
        }
        Ok(())
    }

    /// Whether a message that has not come yet may have this number, counted from the ClientHello's. The flight after
    /// it is ClientKeyExchange, or Certificate, ClientKeyExchange and CertificateVerify (RFC 5246 section 7.3).
    fn may_stand(&self, kind: u8, step: usize) -> bool {
        let has = |step: usize, kind| self.messages[step].is_some_and(|message| message.kind == kind);
        match (kind, step) {
            (CLIENT_HELLO, 0) => true,
            (CERTIFICATE, 1) => true,
            (CLIENT_KEY_EXCHANGE, 1) => self.messages[2].is_none() && self.messages[3].is_none(),
            (CLIENT_KEY_EXCHANGE, 2) | (CERTIFICATE_VERIFY, 3) => !has(1, CLIENT_KEY_EXCHANGE),
            _ => false,
        }
    }
}

/// The identity that a plaintext record tells of a client with a pre-shared key, if it has the whole ClientKeyExchange
/// (RFC 4279 section 2, RFC 5489 section 2). Not authenticated: for log lines, and for fetching the key early.
pub fn psk_identity(record: &[u8]) -> Option<&[u8]> {
    let mut content = content(record).ok().filter(|_| record[0] == content_type::HANDSHAKE)?;
    while let Some((fragment, rest)) = Fragment::parse(content) {
        if let Some(identity) = identity(&fragment) {
            return Some(identity);
        }
        content = rest;
    }
    None
}

/// Whether a client may have this identity: 1 to 128 bytes (RFC 4279 section 5.3 asks for 128), and no NUL, where OpenSSL
/// would end it.
pub fn is_acceptable_identity(identity: &[u8]) -> bool {
    (1..=MAX_IDENTITY).contains(&identity.len()) && !identity.contains(&0)
}

/// What a plaintext record has after its header.
fn content(record: &[u8]) -> Result<&[u8], Refusal> {
    let header = Header::parse(record, 0).ok_or(Refusal::Format)?;
    if header.record_length() != record.len() || !is_version(header.version) {
        return Err(Refusal::Format);
    }
    if header.epoch != 0 {
        return Err(Refusal::Epoch);
    }
    let content = &record[header.header_length..];
    if content.is_empty() { Err(Refusal::Empty) } else { Ok(content) }
}

/// Whether a version is one of DTLS before 1.3, or the one that 1.3 shows.
pub(crate) fn is_version(version: u16) -> bool {
    version >> 8 == 0xfe
}

/// The identity in a ClientKeyExchange. Those of suites without a pre-shared key have none: the first two bytes of an
/// elliptic point in a vector are more than there are bytes after them.
fn identity<'a>(fragment: &Fragment<'a>) -> Option<&'a [u8]> {
    if fragment.kind != CLIENT_KEY_EXCHANGE || !fragment.is_whole() {
        return None;
    }
    let (length, rest) = fragment.body.split_first_chunk::<2>()?;
    let (identity, point) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let is_point = point.split_first().is_none_or(|(length, point)| usize::from(*length) == point.len());
    is_point.then_some(identity)
}

/// Handshake types (RFC 5246 section 7.4).
pub(crate) const CLIENT_HELLO: u8 = 1;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;
/// Alert levels (RFC 5246 section 7.2).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
/// Messages of a client in the clear, from the ClientHello with the cookie on.
const STEPS: usize = 4;
/// The ClientHello with the cookie has 1.
const MAX_FIRST: u16 = 1;
/// Bytes that a message may have.
pub(crate) const MAX_LENGTH: usize = 4_096;
/// Bytes that a Certificate may have: a chain of some certificates.
const MAX_CERTIFICATE: usize = 8_192;
/// Bytes that all records may have: the longest flight three times, usual ones a hundred times.
const MAX_VOLUME: usize = 65_536;
const MAX_IDENTITY: usize = 128;

#[cfg(test)]
mod tests;
