//! The ClientHello that opens a handshake (RFC 6347 section 4.2), read without any state.
//!
//! [`endpoint`](super::endpoint) reads each datagram that may be one; what it finds is for [`cookie`](super::cookie)
//! only. OpenSSL reads the message itself once the cookie is right.

use crate::message::{self, Fragment};
use crate::record::{Header, content_type};

/// The beginning of a ClientHello: all that a cookie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The number of its record, of 48 bits; ours go on from it.
    pub record_sequence: u64,
    /// 0 without a cookie, 1 with one.
    pub message_sequence: u16,
    /// The newest version that the client speaks: 0xfefd is DTLS 1.2, 0xfeff is DTLS 1.0.
    pub version: u16,
    /// The client's random, the same without and with the cookie.
    pub random: &'a [u8; 32],
    /// The session to be resumed; at most 32 bytes.
    pub session_id: &'a [u8],
    /// The cookie, empty at first.
    pub cookie: &'a [u8],
    /// Whether it is the first fragment of a longer message.
    pub is_fragment: bool,
    /// Bytes of the record, its header included. The datagram may have more records.
    pub record_length: usize,
}

impl<'a> ClientHello<'a> {
    /// The ClientHello that is first in a datagram, or the first fragment of one. None when it is anything else, or when
    /// the fragment ends before the cookie does: without state that cannot be waited for.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = Header::parse(datagram, 0)?;
        let is_handshake = header.content_type == content_type::HANDSHAKE && header.epoch == 0;
        if !is_handshake || !message::is_version(header.version) {
            return None;
        }
        let record = datagram.get(..header.record_length())?;
        let (fragment, _) = Fragment::parse(&record[header.header_length..])?;
        let may_open = fragment.kind == message::CLIENT_HELLO
            && fragment.offset == 0
            && fragment.length <= message::MAX_LENGTH
            && fragment.sequence <= MAX_MESSAGE_SEQUENCE;
        if !may_open {
            return None;
        }
        let (version, rest) = fragment.body.split_first_chunk::<2>()?;
        let (random, rest) = rest.split_first_chunk::<32>()?;
        let (session_id, rest) = split_vector(rest)?;
        let (cookie, _) = split_vector(rest)?;
        let version = u16::from_be_bytes(*version);
        if session_id.len() > MAX_SESSION_ID || !message::is_version(version) {
            return None;
        }
        Some(Self {
            record_sequence: header.sequence,
            message_sequence: fragment.sequence,
            version,
            random,
            session_id,
            cookie,
            is_fragment: !fragment.is_whole(),
            record_length: record.len(),
        })
    }
}

/// A vector whose length is one byte, and what comes after it (RFC 5246 section 4.3).
fn split_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The second ClientHello has 1 (RFC 6347 section 4.2.2).
const MAX_MESSAGE_SEQUENCE: u16 = 1;
/// RFC 5246 section 7.4.1.2.
const MAX_SESSION_ID: usize = 32;

#[cfg(test)]
mod tests;
