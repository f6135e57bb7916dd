//! What a record says of itself before it is opened (RFC 6347 section 4.1, RFC 9146 section 4).

use std::ops::Range;

/// Content types of records (RFC 5246 section 6.2.1, RFC 9146 section 4).
pub mod content_type {
    /// change_cipher_spec
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    /// alert
    pub const ALERT: u8 = 21;
    /// handshake
    pub const HANDSHAKE: u8 = 22;
    /// application_data
    pub const APPLICATION_DATA: u8 = 23;
    /// tls12_cid: the record has a connection ID, and its true type is encrypted.
    pub const CID: u8 = 25;
}

/// The header of a record. Nothing in it is authenticated before the record is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// See [`content_type`].
    pub content_type: u8,
    /// The protocol version: 0xfefd is DTLS 1.2.
    pub version: u16,
    /// How often the keys have changed: 0 in the clear, 1 after the handshake's ChangeCipherSpec.
    pub epoch: u16,
    /// The record's number in its epoch, of 48 bits.
    pub sequence: u64,
    /// Bytes of the header, the connection ID included.
    pub header_length: usize,
    /// Bytes that follow the header.
    pub length: usize,
}

impl Header {
    /// The header at the start of a datagram. None when the datagram is too short for one. `cid_length` is how long
    /// a connection ID is, in records that have one.
    pub fn parse(datagram: &[u8], cid_length: usize) -> Option<Self> {
        let (fixed, rest) = datagram.split_first_chunk::<{ CID_AT }>()?;
        let [content_type, v0, v1, e0, e1, s0, s1, s2, s3, s4, s5] = *fixed;
        let cid_length = if content_type == content_type::CID { cid_length } else { 0 };
        let length = rest.get(cid_length..)?.first_chunk::<2>()?;
        Some(Self {
            content_type,
            version: u16::from_be_bytes([v0, v1]),
            epoch: u16::from_be_bytes([e0, e1]),
            sequence: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
            header_length: PLAIN_LENGTH + cid_length,
            length: usize::from(u16::from_be_bytes(*length)),
        })
    }

    /// Bytes of the whole record, if the datagram has them.
    pub fn record_length(&self) -> usize {
        self.header_length + self.length
    }
}

/// The whole records of a datagram, one after the other, up to the first that is cut. `cid_length` is how long a
/// connection ID is, in records that have one.
pub fn split(datagram: &[u8], cid_length: usize) -> Records<'_> {
    Records { datagram, at: 0, cid_length }
}

/// Where the records of a datagram are. See [`split`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    datagram: &'a [u8],
    at: usize,
    cid_length: usize,
}

impl Iterator for Records<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.datagram.get(self.at..)?;
        let length = Header::parse(rest, self.cid_length)?.record_length();
        if length > rest.len() {
            return None;
        }
        let record = self.at..self.at + length;
        self.at = record.end;
        Some(record)
    }
}

/// The version of DTLS 1.2, as it is on the wire.
pub(super) const DTLS_1_2: u16 = 0xfefd;
/// Where epoch and sequence number are.
pub(super) const NUMBER: Range<usize> = 3..CID_AT;
/// Where a connection ID is, if there is one.
pub(super) const CID_AT: usize = 11;
/// Bytes of a header without a connection ID.
pub(super) const PLAIN_LENGTH: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    /// A record that is not encrypted, with so many bytes after its header.
    fn record(content_type: u8, cid: &[u8], body: &[u8]) -> Vec<u8> {
        let mut record = vec![content_type, 0xfe, 0xfd, 0, 1, 0x80, 0, 0, 0, 0, 7];
        record.extend_from_slice(cid);
        record.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend_from_slice(body);
        record
    }

    #[test]
    fn a_header_is_read() {
        let read = Header::parse(&record(content_type::HANDSHAKE, &[], b"abc"), 8).unwrap();
        assert_eq!(
            read,
            Header {
                content_type: 22,
                version: DTLS_1_2,
                epoch: 1,
                sequence: 0x8000_0000_0007,
                header_length: 13,
                length: 3
            }
        );
        let read = Header::parse(&record(content_type::CID, &[9; 8], b"abcd"), 8).unwrap();
        assert_eq!(
            (read.content_type, read.header_length, read.length, read.record_length()),
            (25, 21, 4, 25)
        );
    }

    #[test]
    fn a_header_that_is_cut_is_none() {
        let plain = record(content_type::ALERT, &[], &[]);
        let with_cid = record(content_type::CID, &[9; 8], &[]);
        for length in 0..plain.len() {
            assert_eq!(Header::parse(&plain[..length], 8), None);
        }
        for length in 0..with_cid.len() {
            assert_eq!(Header::parse(&with_cid[..length], 8), None);
        }
        assert_eq!(Header::parse(&with_cid, usize::MAX), None);
    }

    #[test]
    fn a_datagram_is_split_up_to_the_record_that_is_cut() {
        let mut datagram = record(22, &[], b"abc");
        datagram.extend(record(25, &[1; 5], b"de"));
        datagram.extend(record(21, &[], b""));
        let whole: Vec<_> = split(&datagram, 5).collect();
        assert_eq!(whole, [0..16, 16..36, 36..49]);
        datagram.extend_from_slice(&record(23, &[], b"fgh")[..15]);
        assert_eq!(split(&datagram, 5).collect::<Vec<_>>(), whole);
        assert_eq!(split(&[], 5).next(), None);
    }
}
