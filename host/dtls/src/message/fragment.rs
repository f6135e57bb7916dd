//! The header of a handshake message's fragment (RFC 6347 section 4.2.2).

/// A fragment of a handshake message; a message that is not fragmented is one fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// The message's type.
    pub(crate) kind: u8,
    /// Bytes of the whole message, less than 2^24.
    pub(crate) length: usize,
    /// The message's number among those of its sender.
    pub(crate) sequence: u16,
    /// Where in the message the fragment begins.
    pub(crate) offset: usize,
    /// The fragment's part of the message.
    pub(crate) body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The first fragment in a record, and what comes after it. None when it is cut, or is not within its message.
    pub(crate) fn parse(content: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = content.split_first_chunk::<HEADER_LENGTH>()?;
        let [kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *header;
        let [length, offset, body_length] = [[l0, l1, l2], [o0, o1, o2], [f0, f1, f2]].map(number);
        if offset + body_length > length {
            return None;
        }
        let (body, rest) = rest.split_at_checked(body_length)?;
        Some((Self { kind, length, sequence: u16::from_be_bytes([s0, s1]), offset, body }, rest))
    }

    /// Whether it is a whole message.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.len() == self.length
    }
}

/// A number of three bytes.
fn number(bytes: [u8; 3]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

const HEADER_LENGTH: usize = 12;
