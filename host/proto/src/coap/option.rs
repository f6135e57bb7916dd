//! Option numbers, what RFC 7252 section 5.10 (and 7641, 7959, 9175) allow for each, and the encoding of their values.

/// If-Match.
pub const IF_MATCH: u16 = 1;
/// Uri-Host.
pub const URI_HOST: u16 = 3;
/// ETag.
pub const ETAG: u16 = 4;
/// If-None-Match.
pub const IF_NONE_MATCH: u16 = 5;
/// Observe (RFC 7641).
pub const OBSERVE: u16 = 6;
/// Uri-Port.
pub const URI_PORT: u16 = 7;
/// Location-Path.
pub const LOCATION_PATH: u16 = 8;
/// Uri-Path.
pub const URI_PATH: u16 = 11;
/// Content-Format.
pub const CONTENT_FORMAT: u16 = 12;
/// Max-Age.
pub const MAX_AGE: u16 = 14;
/// Uri-Query.
pub const URI_QUERY: u16 = 15;
/// Accept.
pub const ACCEPT: u16 = 17;
/// Location-Query.
pub const LOCATION_QUERY: u16 = 20;
/// Block2 (RFC 7959).
pub const BLOCK2: u16 = 23;
/// Block1 (RFC 7959).
pub const BLOCK1: u16 = 27;
/// Size2 (RFC 7959).
pub const SIZE2: u16 = 28;
/// Size1.
pub const SIZE1: u16 = 60;
/// Echo (RFC 9175).
pub const ECHO: u16 = 252;
/// Request-Tag (RFC 9175).
pub const REQUEST_TAG: u16 = 292;

/// Whether a message with an option that is not understood must be rejected (RFC 7252 section 5.4.1).
pub const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

/// What a known option may look like; none for an option this endpoint does not know.
pub(crate) fn format(number: u16) -> Option<Format> {
    let (shortest, longest, repeatable) = match number {
        IF_MATCH => (0, 8, true),
        URI_HOST => (1, 255, false),
        ETAG => (1, 8, true),
        IF_NONE_MATCH => (0, 0, false),
        OBSERVE | BLOCK2 | BLOCK1 => (0, 3, false),
        URI_PORT | CONTENT_FORMAT | ACCEPT => (0, 2, false),
        LOCATION_PATH | URI_PATH | URI_QUERY | LOCATION_QUERY => (0, 255, true),
        MAX_AGE | SIZE2 | SIZE1 => (0, 4, false),
        ECHO => (1, 40, false),
        REQUEST_TAG => (0, 8, true),
        _ => return None,
    };
    Some(Format { shortest, longest, repeatable })
}

/// Length of the values of one option, and whether it may occur more than once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    shortest: usize,
    longest: usize,
    pub(crate) repeatable: bool,
}

impl Format {
    /// A value of another length makes the option an unrecognised one (RFC 7252 section 5.4.3).
    pub(crate) fn admits(self, value: &[u8]) -> bool {
        (self.shortest..=self.longest).contains(&value.len())
    }
}

/// A `uint` in the fewest bytes; zero is the empty value (RFC 7252 section 3.2).
pub(crate) fn encode_uint(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[leading..].to_vec()
}

/// A `uint` of at most four bytes; leading zeros are tolerated, as RFC 7252 section 3.2 asks of receivers.
pub(crate) fn decode_uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// The value of a Block1 or Block2 option (RFC 7959 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// NUM: which block, counted in blocks of this size.
    pub number: u32,
    /// M: more blocks follow.
    pub more: bool,
    /// SZX: the size is 2^(SZX + 4); 7 is reserved.
    pub exponent: u8,
}

impl Block {
    /// The largest NUM that three bytes can hold.
    pub const MAX_NUMBER: u32 = (1 << 20) - 1;

    /// Block size in bytes.
    pub const fn size(self) -> usize {
        1 << (self.exponent as usize + 4)
    }

    /// Where the block begins in the body, in bytes.
    pub const fn offset(self) -> usize {
        self.number as usize * self.size()
    }

    pub(crate) const fn from_uint(value: u32) -> Self {
        Self { number: value >> 4, more: value & 8 != 0, exponent: (value & 7) as u8 }
    }

    pub(crate) const fn to_uint(self) -> u32 {
        self.number << 4 | (self.more as u32) << 3 | self.exponent as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uints_take_the_fewest_bytes() {
        for (value, bytes) in [
            (0, &[][..]),
            (1, &[1]),
            (255, &[255]),
            (256, &[1, 0]),
            (11542, &[0x2D, 0x16]),
            (65536, &[1, 0, 0]),
        ] {
            assert_eq!(encode_uint(value), bytes);
            assert_eq!(decode_uint(bytes), Some(value));
        }
        assert_eq!(decode_uint(&[0, 0, 1]), Some(1));
        assert_eq!(decode_uint(&[1, 0, 0, 0, 0]), None);
    }

    #[test]
    fn block_values_split_as_in_rfc_7959_section_2_2() {
        assert_eq!(Block::from_uint(0x0A), Block { number: 0, more: true, exponent: 2 });
        assert_eq!(Block::from_uint(0x22), Block { number: 2, more: false, exponent: 2 });
        assert_eq!(Block { number: 3, more: true, exponent: 6 }.to_uint(), 0x3E);
        assert_eq!(Block { number: 4, more: false, exponent: 1 }.offset(), 128);
    }
}
