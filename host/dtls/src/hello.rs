//! The first record of a datagram as a ClientHello, as far as the cookie (RFC 6347 section 4.2).

/// A ClientHello, or the first fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The record's number, which the answer's first record has, too.
    pub record_sequence: u64,
    /// The version that the client would like.
    pub version: u16,
    /// What makes it different from every other.
    pub random: &'a [u8; 32],
    /// The session that it would resume.
    pub session_id: &'a [u8],
    /// The cookie that it was given.
    pub cookie: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// None if the datagram begins with something else.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, rest) = datagram.split_at_checked(13)?;
        if header[0] != 22 || header[1] != 0xfe || header[3..5] != [0, 0] {
            return None;
        }
        let mut sequence = [0; 8];
        sequence[2..].copy_from_slice(&header[5..11]);
        let record = rest.get(..usize::from(u16::from_be_bytes([header[11], header[12]])))?;
        let (message, rest) = record.split_at_checked(12)?;
        let number = |at: usize| u32::from_be_bytes([0, message[at], message[at + 1], message[at + 2]]);
        let (length, offset, fragment) = (number(1), number(6), number(9));
        if message[0] != 1 || offset != 0 || fragment > length {
            return None;
        }
        let body = rest.get(..usize::try_from(fragment).ok()?)?;
        let (version, body) = body.split_first_chunk::<2>()?;
        let (random, body) = body.split_first_chunk::<32>()?;
        let (session_id, body) = vector(body)?;
        let (cookie, _) = vector(body)?;
        if session_id.len() > 32 {
            return None;
        }
        Some(Self {
            record_sequence: u64::from_be_bytes(sequence),
            version: u16::from_be_bytes(*version),
            random,
            session_id,
            cookie,
        })
    }
}

fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}
