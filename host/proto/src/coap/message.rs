//! One CoAP message (RFC 7252 section 3). coap-lite parses and builds the bytes; what it lets through and the
//! standard does not is refused here.

use std::fmt;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use thiserror::Error;

/// One CoAP message.
#[derive(Clone, Debug)]
pub struct Message {
    packet: Packet,
}

/// The type of a message (RFC 7252 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// CON
    Confirmable,
    /// NON
    NonConfirmable,
    /// ACK
    Acknowledgement,
    /// RST
    Reset,
}

/// The code of a message as its byte: three bits of class, five of detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

/// A token of up to 8 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Token {
    bytes: [u8; 8],
    length: u8,
}

/// A Block1 or Block2 option (RFC 7959 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Block number, up to 2^20 - 1.
    pub number: u32,
    /// Whether more blocks follow.
    pub more: bool,
    /// Size exponent: blocks of 2^(4 + szx) bytes; 7 is reserved.
    pub szx: u8,
}

/// Why a datagram is not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Shorter than the header, or the token does not fit.
    #[error("truncated header")]
    Truncated,
    /// Not version 1. Such a message is ignored silently (RFC 7252 section 3).
    #[error("not CoAP version 1")]
    Version,
    /// A token length of 9 to 15.
    #[error("token length above 8")]
    TokenLength,
    /// An option that does not fit or uses a reserved nibble.
    #[error("malformed option")]
    Option,
    /// A payload marker with nothing behind it.
    #[error("payload marker without payload")]
    EmptyPayload,
    /// An empty message that is not empty, or a code of a reserved class.
    #[error("code that means nothing here")]
    Code,
}

impl Message {
    /// A request or response without options. Type, message id and token are set when it is sent.
    pub fn new(code: Code) -> Self {
        let mut packet = Packet::new();
        packet.header.code = MessageClass::from(code.0);
        Self { packet }
    }

    /// An empty message: an acknowledgement or a reset.
    pub(crate) fn empty(kind: MessageKind, mid: u16) -> Self {
        let mut message = Self::new(Code::EMPTY);
        message.address(kind, mid, &Token::default());
        message
    }

    /// Parse a datagram.
    ///
    /// # Errors
    /// Why it is not a message.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        check_syntax(datagram)?;
        let packet = Packet::from_bytes(datagram).map_err(|_| Malformed::Option)?;
        Ok(Self { packet })
    }

    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Without a size limit building cannot fail.
        self.packet.to_bytes_unlimited().unwrap_or_default()
    }

    /// Type.
    pub fn kind(&self) -> MessageKind {
        match self.packet.header.get_type() {
            MessageType::Confirmable => MessageKind::Confirmable,
            MessageType::NonConfirmable => MessageKind::NonConfirmable,
            MessageType::Acknowledgement => MessageKind::Acknowledgement,
            MessageType::Reset => MessageKind::Reset,
        }
    }

    /// Code.
    pub fn code(&self) -> Code {
        Code(self.packet.header.code.into())
    }

    /// Message id.
    pub fn mid(&self) -> u16 {
        self.packet.header.message_id
    }

    /// Token.
    pub fn token(&self) -> Token {
        Token::new(self.packet.get_token())
    }

    /// Set type, message id and token.
    pub fn address(&mut self, kind: MessageKind, mid: u16, token: &Token) {
        self.packet.header.set_type(match kind {
            MessageKind::Confirmable => MessageType::Confirmable,
            MessageKind::NonConfirmable => MessageType::NonConfirmable,
            MessageKind::Acknowledgement => MessageType::Acknowledgement,
            MessageKind::Reset => MessageType::Reset,
        });
        self.packet.header.message_id = mid;
        self.packet.set_token(token.as_bytes().to_vec());
    }

    /// Payload.
    pub fn payload(&self) -> &[u8] {
        &self.packet.payload
    }

    /// Take the payload out, without copying.
    pub fn take_payload(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.packet.payload)
    }

    /// Replace the payload.
    pub fn set_payload(&mut self, payload: Vec<u8>) {
        self.packet.payload = payload;
    }

    /// With a payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.packet.payload = payload.into();
        self
    }

    /// With one more option.
    #[must_use]
    pub fn with_option(mut self, number: u16, value: impl Into<Vec<u8>>) -> Self {
        self.packet.add_option(CoapOption::from(number), value.into());
        self
    }

    /// With one more option that is an unsigned integer, in its shortest form: zero is empty (RFC 7252 section 3.2).
    #[must_use]
    pub fn with_uint(mut self, number: u16, value: u32) -> Self {
        self.set_uint(number, value);
        self
    }

    /// Set an unsigned integer option to this one value.
    pub fn set_uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let start = (value.leading_zeros() / 8) as usize;
        self.packet.clear_option(CoapOption::from(number));
        self.packet.add_option(CoapOption::from(number), bytes[start..].to_vec());
    }

    /// Remove an option.
    pub fn clear_option(&mut self, number: u16) {
        self.packet.clear_option(CoapOption::from(number));
    }

    /// All values of an option, in order.
    pub fn option(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.packet.get_option(CoapOption::from(number)).into_iter().flatten().map(Vec::as_slice)
    }

    /// The first value of an option as an unsigned integer; none if it is absent or longer than four bytes.
    pub fn uint(&self, number: u16) -> Option<u32> {
        let value = self.option(number).next()?;
        (value.len() <= 4).then(|| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// Uri-Path segments.
    pub fn uri_path(&self) -> impl Iterator<Item = &[u8]> {
        self.option(option::URI_PATH)
    }

    /// Uri-Query items.
    pub fn uri_query(&self) -> impl Iterator<Item = &[u8]> {
        self.option(option::URI_QUERY)
    }

    /// Observe (RFC 7641): a registration in a request, a sequence number in a response.
    pub fn observe(&self) -> Option<u32> {
        self.uint(option::OBSERVE)
    }

    /// Content-Format.
    pub fn content_format(&self) -> Option<u16> {
        self.uint(option::CONTENT_FORMAT).and_then(|value| u16::try_from(value).ok())
    }

    /// Accept.
    pub fn accept(&self) -> Option<u16> {
        self.uint(option::ACCEPT).and_then(|value| u16::try_from(value).ok())
    }

    /// Block1 or Block2.
    pub fn block(&self, number: u16) -> Option<Block> {
        self.uint(number).map(Block::from_uint)
    }

    /// The first option, if any, that is critical and not understood here (RFC 7252 section 5.4.1): one of an unknown
    /// number, one that must not be repeated but is, or one of a length that it cannot have (sections 5.4.3 and 5.4.5).
    pub fn unknown_critical(&self) -> Option<u16> {
        self.packet.options().find_map(|(number, values)| {
            let is_critical = number % 2 == 1;
            let known = option::KNOWN.iter().find(|known| known.number == *number);
            let is_fine = known.is_some_and(|known| {
                (known.repeatable || values.len() == 1)
                    && values.iter().all(|value| (known.shortest..=known.longest).contains(&value.len()))
            });
            (is_critical && !is_fine).then_some(*number)
        })
    }
}

impl Code {
    /// 0.00
    pub const EMPTY: Self = Self(0x00);
    /// 0.01
    pub const GET: Self = Self(0x01);
    /// 0.02
    pub const POST: Self = Self(0x02);
    /// 0.03
    pub const PUT: Self = Self(0x03);
    /// 0.04
    pub const DELETE: Self = Self(0x04);
    /// 0.05 (RFC 8132)
    pub const FETCH: Self = Self(0x05);
    /// 0.06 (RFC 8132)
    pub const PATCH: Self = Self(0x06);
    /// 0.07 (RFC 8132)
    pub const IPATCH: Self = Self(0x07);
    /// 2.01
    pub const CREATED: Self = Self(0x41);
    /// 2.02
    pub const DELETED: Self = Self(0x42);
    /// 2.04
    pub const CHANGED: Self = Self(0x44);
    /// 2.05
    pub const CONTENT: Self = Self(0x45);
    /// 2.31 (RFC 7959)
    pub const CONTINUE: Self = Self(0x5f);
    /// 4.00
    pub const BAD_REQUEST: Self = Self(0x80);
    /// 4.02
    pub const BAD_OPTION: Self = Self(0x82);
    /// 4.04
    pub const NOT_FOUND: Self = Self(0x84);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Self = Self(0x85);
    /// 4.08 (RFC 7959)
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self(0x88);
    /// 4.12
    pub const PRECONDITION_FAILED: Self = Self(0x8c);
    /// 4.13
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self(0x8d);
    /// 5.01
    pub const NOT_IMPLEMENTED: Self = Self(0xa1);
    /// 5.03
    pub const SERVICE_UNAVAILABLE: Self = Self(0xa3);

    /// Class, 0 to 7.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// A method.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// A response of class 2, 4 or 5.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// A response of class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 0x1f)
    }
}

impl Token {
    /// The first eight bytes at most.
    pub fn new(bytes: &[u8]) -> Self {
        let mut token = Self::default();
        for (to, from) in token.bytes.iter_mut().zip(bytes) {
            *to = *from;
            token.length += 1;
        }
        token
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it has no byte.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl Block {
    /// From the value of the option.
    pub const fn from_uint(value: u32) -> Self {
        Self { number: value >> 4, more: value & 8 != 0, szx: (value & 7) as u8 }
    }

    /// The value of the option.
    pub const fn to_uint(self) -> u32 {
        self.number << 4 | if self.more { 8 } else { 0 } | self.szx as u32
    }

    /// Bytes in a full block.
    pub const fn size(self) -> usize {
        1 << (self.szx + 4)
    }
}

/// Walks the datagram once and refuses what coap-lite would let through: other versions, an empty payload, an empty
/// message that is not empty, reserved code classes (RFC 7252 sections 3 and 4.1).
fn check_syntax(datagram: &[u8]) -> Result<(), Malformed> {
    let [first, code, _, _, rest @ ..] = datagram else { return Err(Malformed::Truncated) };
    if first >> 6 != 1 {
        return Err(Malformed::Version);
    }
    let token_length = usize::from(first & 0x0f);
    if token_length > 8 {
        return Err(Malformed::TokenLength);
    }
    let Some(mut rest) = rest.get(token_length..) else { return Err(Malformed::Truncated) };
    if *code == 0 && (token_length != 0 || !rest.is_empty()) {
        return Err(Malformed::Code);
    }
    if matches!(code >> 5, 1 | 6 | 7) {
        return Err(Malformed::Code);
    }
    while let [header, tail @ ..] = rest {
        if *header == 0xff {
            return if tail.is_empty() { Err(Malformed::EmptyPayload) } else { Ok(()) };
        }
        let (_, tail) = extended(header >> 4, tail)?;
        let (length, tail) = extended(header & 0x0f, tail)?;
        rest = tail.get(length..).ok_or(Malformed::Option)?;
    }
    Ok(())
}

/// An option delta or length with its extension bytes (RFC 7252 section 3.1).
fn extended(nibble: u8, tail: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    match (nibble, tail) {
        (0..=12, _) => Ok((nibble.into(), tail)),
        (13, [byte, tail @ ..]) => Ok((13 + usize::from(*byte), tail)),
        (14, [high, low, tail @ ..]) => Ok((269 + usize::from(u16::from_be_bytes([*high, *low])), tail)),
        _ => Err(Malformed::Option),
    }
}

/// Option numbers (RFC 7252 section 5.10 and the RFCs named).
pub mod option {
    #![allow(missing_docs)] // the names of the registry

    pub const IF_MATCH: u16 = 1;
    pub const URI_HOST: u16 = 3;
    pub const ETAG: u16 = 4;
    pub const IF_NONE_MATCH: u16 = 5;
    /// RFC 7641
    pub const OBSERVE: u16 = 6;
    pub const URI_PORT: u16 = 7;
    pub const LOCATION_PATH: u16 = 8;
    pub const URI_PATH: u16 = 11;
    pub const CONTENT_FORMAT: u16 = 12;
    pub const MAX_AGE: u16 = 14;
    pub const URI_QUERY: u16 = 15;
    pub const ACCEPT: u16 = 17;
    pub const LOCATION_QUERY: u16 = 20;
    /// RFC 7959
    pub const BLOCK2: u16 = 23;
    /// RFC 7959
    pub const BLOCK1: u16 = 27;
    /// RFC 7959
    pub const SIZE2: u16 = 28;
    /// RFC 7252
    pub const SIZE1: u16 = 60;

    pub(super) struct Known {
        pub(super) number: u16,
        pub(super) repeatable: bool,
        pub(super) shortest: usize,
        pub(super) longest: usize,
    }

    const fn known(number: u16, repeatable: bool, shortest: usize, longest: usize) -> Known {
        Known { number, repeatable, shortest, longest }
    }

    /// The critical options that an endpoint here understands; elective ones are ignored when not understood.
    pub(super) const KNOWN: &[Known] = &[
        known(IF_MATCH, true, 0, 8),
        known(URI_HOST, false, 1, 255),
        known(IF_NONE_MATCH, false, 0, 0),
        known(URI_PORT, false, 0, 2),
        known(URI_PATH, true, 0, 255),
        known(URI_QUERY, true, 0, 255),
        known(ACCEPT, false, 0, 2),
        known(BLOCK2, false, 0, 3),
        known(BLOCK1, false, 0, 3),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7252_appendix_a_request_and_response() {
        // Figure 16: CON GET /temperature, MID 0x7d34; Figure 17: ACK 2.05 "22.3 C".
        let mut get = Message::new(Code::GET).with_option(option::URI_PATH, *b"temperature");
        get.address(MessageKind::Confirmable, 0x7d34, &Token::default());
        assert_eq!(get.to_bytes(), b"\x40\x01\x7d\x34\xbbtemperature");
        let response = Message::parse(b"\x60\x45\x7d\x34\xff22.3 C").unwrap();
        assert_eq!(
            (response.kind(), response.code(), response.mid()),
            (MessageKind::Acknowledgement, Code::CONTENT, 0x7d34)
        );
        assert_eq!(response.payload(), b"22.3 C");
    }

    #[test]
    fn what_the_standard_calls_a_format_error_is_refused_by_name() {
        let cases: [(&[u8], Malformed); 11] = [
            (b"", Malformed::Truncated),
            (b"\x40\x01\x00", Malformed::Truncated),
            (b"\x80\x01\x00\x01", Malformed::Version),
            (b"\x49\x01\x00\x01123456789", Malformed::TokenLength),
            (b"\x44\x01\x00\x01abc", Malformed::Truncated),
            (b"\x40\x01\x00\x01\xff", Malformed::EmptyPayload),
            (b"\x40\x01\x00\x01\xf0", Malformed::Option),
            (b"\x40\x01\x00\x01\xb5ab", Malformed::Option),
            (b"\x41\x00\x00\x01a", Malformed::Code),
            (b"\x40\x00\x00\x01\xffa", Malformed::Code),
            (b"\x40\xe1\x00\x01", Malformed::Code),
        ];
        for (datagram, expected) in cases {
            assert_eq!(Message::parse(datagram).err(), Some(expected), "{datagram:02x?}");
        }
    }

    #[test]
    fn unsigned_integer_options_are_as_short_as_can_be() {
        for (value, length) in [(0, 0), (1, 1), (255, 1), (256, 2), (65_536, 3), (u32::MAX, 4)] {
            let message = Message::new(Code::GET).with_uint(option::OBSERVE, value);
            assert_eq!(message.option(option::OBSERVE).next().unwrap().len(), length);
            assert_eq!(message.observe(), Some(value));
        }
    }

    #[test]
    fn critical_options_that_are_unknown_repeated_or_too_long_are_found() {
        let unknown = |message: Message| message.unknown_critical();
        assert_eq!(unknown(Message::new(Code::GET).with_option(9, *b"x")), Some(9));
        assert_eq!(unknown(Message::new(Code::GET).with_option(10, *b"x")), None);
        let twice =
            Message::new(Code::GET).with_option(option::ACCEPT, *b"x").with_option(option::ACCEPT, *b"x");
        assert_eq!(unknown(twice), Some(option::ACCEPT));
        assert_eq!(
            unknown(Message::new(Code::GET).with_option(option::URI_PORT, *b"123")),
            Some(option::URI_PORT)
        );
        assert_eq!(unknown(Message::new(Code::POST).with_option(option::URI_PATH, *b"rd")), None);
    }

    #[test]
    fn block_options_read_as_rfc_7959_writes_them() {
        for (value, number, more, size) in
            [(0x0a, 0, true, 64), (0x1a, 1, true, 64), (0x22, 2, false, 64), (0x0e, 0, true, 1024)]
        {
            let block = Block::from_uint(value);
            assert_eq!((block.number, block.more, block.size()), (number, more, size));
            assert_eq!(block.to_uint(), value);
        }
    }
}
