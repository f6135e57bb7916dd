//! The records of epoch 1: opening what came, sealing what goes (RFC 6347 section 4.1, RFC 5288, RFC 6655, RFC 7251),
//! with connection IDs (RFC 9146). `handshake` and `association` call it with whole records; [`split`] finds them.
//!
//! Rules that hold here, and nowhere else has to think of them:
//!
//! * A nonce is never used twice: it is the epoch and the record's number, and everything that is sent with the keys,
//!   also what OpenSSL wanted to send in the handshake, takes its number from the one counter of [`RecordLayer::seal`].
//!   What OpenSSL has sealed with the same keys never leaves the process: see [`RecordLayer::open_own`].
//! * Over restarts that stays so because numbers are used only up to a bound that has been written down, and a restored
//!   association goes on from the bound: see [`RecordLayer::set_bound`].
//! * Only a record that was authenticated moves the window against replay.
//! * What cannot be a record is refused before OpenSSL sees it.

mod cipher;
mod format;
mod header;
mod key;
mod snapshot;
mod window;

use std::ops::Range;

use openssl::error::ErrorStack;
use thiserror::Error;

pub use cipher::Aead;
use cipher::{Unopened, Use};
use format::{EPOCH, EXPLICIT_NONCE, MAX_ADDITIONAL, MAX_CID};
use header::{CID_AT, DTLS_1_2, PLAIN_LENGTH};
pub use header::{Header, Records, content_type, split};
use key::Direction;
pub use key::Keys;
pub use snapshot::Unreadable;
use window::Window;

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that sent the ClientHello; tests are it.
    Client,
    /// The gateway.
    Server,
}

/// What came in a record that was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its true type, 20 to 23: see [`content_type`].
    pub content_type: u8,
    /// Where the content is within the record; it may be empty.
    pub content: Range<usize>,
    /// The record's number.
    pub sequence: u64,
    /// Whether its number is above those of all records before: only then may the peer's address change to the one that
    /// it came from (RFC 9146 section 6).
    pub newest: bool,
}

/// Why a record was not opened. It is dropped, and nothing is answered (RFC 6347 section 4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not one whole record of DTLS 1.2 of a possible length, in the format and with the connection ID that were
    /// negotiated.
    #[error("not a record of this association")]
    Format,
    /// Not of epoch 1.
    #[error("a record of another epoch")]
    Epoch,
    /// It has come before, or is too old to tell.
    #[error("a record that has come before")]
    Replay,
    /// Not from the peer, or changed.
    #[error("a record that is not authentic")]
    Authentication,
    /// From the peer, but what it has encrypted is nothing that a record may have in it.
    #[error("a record with a wrong type in it")]
    Inner,
    /// So many records were not authentic that one more may be taken for authentic; nothing is opened any more.
    #[error("too many records were not authentic")]
    TooManyFailures,
    /// OpenSSL has no memory.
    #[error("OpenSSL cannot open records")]
    OpenSsl,
}

/// Why nothing was sealed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// All numbers have been used.
    #[error("the record numbers are used up")]
    Exhausted,
    /// The next number is not below the bound.
    #[error("the next record number is not reserved yet")]
    BeyondBound,
    /// More than 2^14 bytes.
    #[error("the content is too long for a record")]
    TooLong,
    /// OpenSSL has no memory.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// Both directions of one association, after its keys have been agreed on.
#[derive(Debug)]
pub struct RecordLayer {
    keys: Keys,
    role: Role,
    failures: u32,
    /// The next number to send with.
    sequence: u64,
    /// Numbers from here on must not be used. `u64::MAX`: there is no bound.
    bound: u64,
    /// The highest bound that a snapshot has.
    promised: u64,
    window: Window,
    receive_cid: Option<Box<[u8]>>,
    send_cid: Option<Box<[u8]>>,
}

impl RecordLayer {
    /// With nothing sent and nothing received yet, and without a bound. Connection IDs are there when they were
    /// negotiated: the peer sends with `receive_cid`, we send with `send_cid`; who asked for an empty one gets records
    /// without (RFC 9146 section 3).
    ///
    /// # Panics
    /// When a connection ID has more than 255 bytes, which the extension cannot carry.
    pub fn new(role: Role, keys: Keys, receive_cid: Option<Box<[u8]>>, send_cid: Option<Box<[u8]>>) -> Self {
        for cid in [&receive_cid, &send_cid].into_iter().flatten() {
            assert!(cid.len() <= MAX_CID, "a connection ID of {} bytes", cid.len());
        }
        let (window, bound) = (Window::default(), UNBOUNDED);
        Self { keys, role, failures: 0, sequence: 0, bound, promised: 0, window, receive_cid, send_cid }
    }

    /// Opens one whole record in place. After a refusal nothing may be left of the record: whoever wants to try another
    /// association with it needs a copy.
    ///
    /// # Errors
    /// When the record is to be dropped.
    pub fn open(&mut self, record: &mut [u8]) -> Result<Opened, Refusal> {
        let header = self.check(record)?;
        let cid = cid_of(&self.receive_cid);
        let start = header.header_length + EXPLICIT_NONCE;
        let length = header.length - EXPLICIT_NONCE - self.keys.aead.tag_len();

        let mut additional = [0; MAX_ADDITIONAL];
        let additional = format::additional(&mut additional, record, cid.len(), length);
        let (head, body) = record.split_at_mut(start);
        let (data, tag) = body.split_at_mut(length);
        let incoming = self.incoming();
        let nonce = incoming.nonce(&head[header.header_length..]);
        let opening = Use { aead: self.keys.aead, key: &incoming.key, nonce: &nonce, additional };
        match opening.open(data, tag) {
            Ok(()) => {}
            Err(Unopened::Authentication) => {
                self.failures += 1;
                return Err(Refusal::Authentication);
            }
            Err(Unopened::OpenSsl) => return Err(Refusal::OpenSsl),
        }

        // From here on it is the peer's, whatever it says, and must not be opened again.
        let newest = self.window.note(header.sequence);
        let (content_type, length) = if cid.is_empty() {
            (header.content_type, length)
        } else {
            format::inner(data).ok_or(Refusal::Inner)?
        };
        if !CONTENT_TYPES.contains(&content_type) {
            return Err(Refusal::Inner);
        }
        Ok(Opened { content_type, content: start..start + length, sequence: header.sequence, newest })
    }

    /// Everything that can be said of a record without its keys.
    fn check(&self, record: &[u8]) -> Result<Header, Refusal> {
        if self.failures >= max_failures(self.keys.aead) {
            return Err(Refusal::TooManyFailures);
        }
        let cid = cid_of(&self.receive_cid);
        let header = Header::parse(record, cid.len()).ok_or(Refusal::Format)?;
        let least = EXPLICIT_NONCE + self.keys.aead.tag_len();
        let most = least + if cid.is_empty() { MAX_CONTENT } else { MAX_CONTENT + 1 };
        let format = if cid.is_empty() {
            CONTENT_TYPES.contains(&header.content_type)
        } else {
            // Who has negotiated a connection ID sends every record with it (RFC 9146 section 3).
            header.content_type == content_type::CID && record[CID_AT..].starts_with(cid)
        };
        if header.version != DTLS_1_2
            || header.record_length() != record.len()
            || !format
            || !(least..=most).contains(&header.length)
        {
            return Err(Refusal::Format);
        }
        if header.epoch != EPOCH {
            return Err(Refusal::Epoch);
        }
        if !self.window.admits(header.sequence) {
            return Err(Refusal::Replay);
        }
        Ok(header)
    }

    /// Seals content of a type of 20 to 23 into one record, which is appended to the datagram. It takes the next number,
    /// which is also the part of the nonce that the record carries.
    ///
    /// # Errors
    /// When there is no record; the datagram is as it was.
    pub fn seal(
        &mut self,
        content_type: u8,
        content: &[u8],
        datagram: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        debug_assert!(CONTENT_TYPES.contains(&content_type), "content type {content_type}");
        if content.len() > MAX_CONTENT {
            return Err(SealError::TooLong);
        }
        if self.sequence >= END_OF_NUMBERS {
            return Err(SealError::Exhausted);
        }
        if self.sequence >= self.bound {
            return Err(SealError::BeyondBound);
        }
        let sequence = self.sequence;
        // Used up, even if OpenSSL should fail half way.
        self.sequence += 1;
        let cid = cid_of(&self.send_cid);
        format::append(self.keys.aead, self.outgoing(), sequence, cid, (content_type, content), datagram)?;
        Ok(())
    }

    /// How many bytes a record has more than its content.
    pub fn overhead(&self) -> usize {
        format::overhead(self.keys.aead, cid_of(&self.send_cid))
    }

    /// Opens a record that OpenSSL has sealed with our own keys. Such a record must never be sent, as OpenSSL counts on
    /// its own: what is in it is sealed again by [`RecordLayer::seal`]. None when it is no such record.
    pub fn open_own(&self, record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let header = Header::parse(record, 0)?;
        let length = header.length.checked_sub(EXPLICIT_NONCE + self.keys.aead.tag_len())?;
        if header.record_length() != record.len()
            || header.epoch != EPOCH
            || header.version != DTLS_1_2
            || !CONTENT_TYPES.contains(&header.content_type)
        {
            return None;
        }
        let mut additional = [0; MAX_ADDITIONAL];
        let additional = format::additional(&mut additional, record, 0, length);
        let (nonce, body) = record[PLAIN_LENGTH..].split_at(EXPLICIT_NONCE);
        let nonce = self.outgoing().nonce(nonce);
        let (data, tag) = body.split_at(length);
        let mut content = data.to_vec();
        Use { aead: self.keys.aead, key: &self.outgoing().key, nonce: &nonce, additional }
            .open(&mut content, tag)
            .ok()?;
        Some((header.content_type, content))
    }

    /// Seals content that came from the peer once more, as the peer does without connection IDs: for OpenSSL, which
    /// knows only that format. `sequence` is the number it came with. The record must never be sent. None when there
    /// is no such record.
    pub fn seal_for_engine(&self, content_type: u8, content: &[u8], sequence: u64) -> Option<Vec<u8>> {
        if content.len() > MAX_CONTENT || sequence > LAST_NUMBER || !CONTENT_TYPES.contains(&content_type) {
            return None;
        }
        let mut record = Vec::new();
        let part = (content_type, content);
        format::append(self.keys.aead, self.incoming(), sequence, &[], part, &mut record).ok()?;
        Some(record)
    }

    /// The number that the next record is sent with.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number from which on nothing is sent. None: there is no bound.
    pub fn bound(&self) -> Option<u64> {
        (self.bound != UNBOUNDED).then_some(self.bound)
    }

    /// Numbers below the bound may be used. Where associations are kept it may only be what the snapshot that has
    /// certainly been written last has as its bound, and None only when no snapshot is left. More than any snapshot has
    /// is not taken over.
    pub fn set_bound(&mut self, bound: Option<u64>) {
        self.bound = match bound {
            None => UNBOUNDED,
            Some(bound) if self.promised > 0 => bound.min(self.promised),
            Some(bound) => bound,
        };
    }

    /// How many records were not authentic.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The connection ID that the peer sends with, if connection IDs were negotiated.
    pub fn receive_cid(&self) -> Option<&[u8]> {
        self.receive_cid.as_deref()
    }

    /// The connection ID that we send with, if connection IDs were negotiated.
    pub fn send_cid(&self) -> Option<&[u8]> {
        self.send_cid.as_deref()
    }

    fn incoming(&self) -> &Direction {
        match self.role {
            Role::Client => &self.keys.server,
            Role::Server => &self.keys.client,
        }
    }

    fn outgoing(&self) -> &Direction {
        match self.role {
            Role::Client => &self.keys.client,
            Role::Server => &self.keys.server,
        }
    }
}

/// How many records that are not authentic an association bears. RFC 9147 section 4.5.3 wants them counted: with CCM at
/// most 2^23.5, with GCM 2^36, so that a forged record has a chance of 2^-57 at most. For CCM_8 it knows no number, as a
/// tag of 64 bits would give that chance after 128 records, which anyone who sees an association could send to end it,
/// and asks for one that fits the use. After 2^20 the chance is 2^-44; and they cost whoever sends them 30 MB or more.
fn max_failures(aead: Aead) -> u32 {
    match aead {
        Aead::Ccm8 => 1 << 20,
        Aead::Ccm => 1 << 23,
        // As far as it can be counted.
        Aead::Gcm => u32::MAX,
    }
}

fn cid_of(cid: &Option<Box<[u8]>>) -> &[u8] {
    cid.as_deref().unwrap_or_default()
}

/// Those that may be in a record of epoch 1.
const CONTENT_TYPES: std::ops::RangeInclusive<u8> =
    content_type::CHANGE_CIPHER_SPEC..=content_type::APPLICATION_DATA;
/// Bytes of content that a record may have (RFC 5246 section 6.2.1).
const MAX_CONTENT: usize = 1 << 14;
/// The highest number that the wire can carry.
const LAST_NUMBER: u64 = (1 << 48) - 1;
/// Numbers must not begin anew (RFC 6347 section 4.1); one short of that we stop. RFC 9147 section 4.5.3 would change
/// keys after 2^23 records of 2^14 bytes, which in the messages of a meter are as many as it ever sends.
const END_OF_NUMBERS: u64 = LAST_NUMBER;
const UNBOUNDED: u64 = u64::MAX;

#[cfg(test)]
mod tests;
