//! How a record of epoch 1 is put together, and what is authenticated with it.

use openssl::error::ErrorStack;

use super::cipher::{Aead, Use};
use super::content_type;
use super::header::{CID_AT, DTLS_1_2, NUMBER, PLAIN_LENGTH};
use super::key::Direction;

impl Direction {
    /// The nonce of a record (RFC 5288 section 3, RFC 6655 section 3): our part, and the part that the record carries.
    pub(super) fn nonce(&self, explicit: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.iv);
        nonce[4..].copy_from_slice(explicit);
        nonce
    }
}

/// Seals content of a type into one record, appended to the datagram; after an error the datagram is as it was. With a
/// connection ID that is not empty it is in the format of RFC 9146. The number is also the nonce's explicit part.
pub(super) fn append(
    aead: Aead,
    direction: &Direction,
    sequence: u64,
    cid: &[u8],
    (content_type, content): (u8, &[u8]),
    datagram: &mut Vec<u8>,
) -> Result<(), ErrorStack> {
    let start = datagram.len();
    let inner_length = content.len() + usize::from(!cid.is_empty());
    let tag_len = aead.tag_len();
    let number = (u64::from(EPOCH) << 48 | sequence).to_be_bytes();

    datagram.reserve(content.len() + overhead(aead, cid));
    datagram.push(if cid.is_empty() { content_type } else { content_type::CID });
    datagram.extend_from_slice(&DTLS_1_2.to_be_bytes());
    datagram.extend_from_slice(&number);
    datagram.extend_from_slice(cid);
    datagram.extend_from_slice(&length_bytes(EXPLICIT_NONCE + inner_length + tag_len));
    datagram.extend_from_slice(&number);
    let data_at = datagram.len();
    datagram.extend_from_slice(content);
    if !cid.is_empty() {
        datagram.push(content_type);
    }
    datagram.extend_from_slice(&[0; MAX_TAG][..tag_len]);

    let (head, body) = datagram[start..].split_at_mut(data_at - start);
    let mut space = [0; MAX_ADDITIONAL];
    let additional = additional(&mut space, head, cid.len(), inner_length);
    let (data, tag) = body.split_at_mut(inner_length);
    let nonce = direction.nonce(&number);
    let sealed = Use { aead, key: &direction.key, nonce: &nonce, additional }.seal(data, tag);
    if sealed.is_err() {
        // Also because the content is still in the clear there.
        datagram.truncate(start);
    }
    sealed
}

/// How many bytes a record has more than its content.
pub(super) fn overhead(aead: Aead, cid: &[u8]) -> usize {
    let inner_type = usize::from(!cid.is_empty());
    PLAIN_LENGTH + cid.len() + EXPLICIT_NONCE + inner_type + aead.tag_len()
}

/// What is authenticated with a record: without a connection ID RFC 5246 section 6.2.3.3 with the number of RFC 6347
/// section 4.1.2.1, with one RFC 9146 section 5.3. `length` is that of what is encrypted, without the tag.
pub(super) fn additional<'a>(
    space: &'a mut [u8; MAX_ADDITIONAL],
    header: &[u8],
    cid_length: usize,
    length: usize,
) -> &'a [u8] {
    let (content_type, version, number) = (&header[..1], &header[1..3], &header[NUMBER]);
    let length = length_bytes(length);
    if cid_length == 0 {
        return concat(space, &[number, content_type, version, &length]);
    }
    let cid = &header[CID_AT..CID_AT + cid_length];
    // No more than MAX_CID.
    let cid_length = [u8::try_from(cid_length).unwrap_or(u8::MAX)];
    concat(space, &[&[0xff; 8], content_type, &cid_length, content_type, version, number, cid, &length])
}

fn concat<'a>(space: &'a mut [u8], parts: &[&[u8]]) -> &'a [u8] {
    let mut end = 0;
    for part in parts {
        space[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &space[..end]
}

/// The type and the length of the content in what a record with a connection ID has encrypted (RFC 9146 section 4): the
/// type is the last byte that is not zero. None when all are.
pub(super) fn inner(plaintext: &[u8]) -> Option<(u8, usize)> {
    let at = plaintext.iter().rposition(|byte| *byte != 0)?;
    Some((plaintext[at], at))
}

/// A length within a record; all are less than 2^15.
fn length_bytes(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The epoch of the only keys that an association has.
pub(super) const EPOCH: u16 = 1;
/// Bytes of the part of the nonce that a record carries.
pub(super) const EXPLICIT_NONCE: usize = 8;
/// Bytes of a connection ID at most: its length is one byte in the extension (RFC 9146 section 3).
pub(super) const MAX_CID: usize = 255;
/// Bytes that are authenticated with a record at most.
pub(super) const MAX_ADDITIONAL: usize = 8 + 3 + 2 + 8 + MAX_CID + 2;
const MAX_TAG: usize = 16;
