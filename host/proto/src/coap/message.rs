//! One CoAP message. coap-lite writes it, the reading is our own.
//!
//! coap-lite is lax where RFC 7252 is not: it takes any version, empty messages with content, a payload marker with
//! nothing behind it and reserved code classes. And it keeps options in a map of lists, which is seven allocations for a
//! notification; here the payload is the only one. The tests hold the two against each other.

mod options;

use std::mem;

use coap_lite::{CoapOption, MessageType, Packet};
use options::Options;

pub use super::code::Code;
use super::option;
pub use super::option::Block;
use super::token::Token;

/// One CoAP message.
///
/// Built by chaining: `Message::request(Code::GET).with_path_segment("3")`. Type, message id and token of a message
/// handed to the endpoint are overwritten by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    kind: Kind,
    code: Code,
    mid: u16,
    token: Token,
    options: Options,
    payload: Vec<u8>,
}

/// The type of a message (RFC 7252 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
    /// ACK.
    Acknowledgement,
    /// RST.
    Reset,
}

impl Message {
    /// A request. The path, options and payload follow.
    pub fn request(code: Code) -> Self {
        Self::new(Kind::Confirmable, code, 0)
    }

    /// A response.
    pub fn response(code: Code) -> Self {
        Self::new(Kind::Acknowledgement, code, 0)
    }

    /// A message without token, options or payload.
    pub fn new(kind: Kind, code: Code, mid: u16) -> Self {
        Self { kind, code, mid, token: Token::default(), options: Options::default(), payload: Vec::new() }
    }

    /// Read a datagram.
    ///
    /// # Errors
    ///
    /// Every message format error of RFC 7252 section 3. An option whose value alone is wrong is none: it counts as
    /// unrecognised, see [`Message::unknown_critical`].
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        read(datagram).map_err(|reason| Malformed { reason, confirmable: rejectable(datagram, reason) })
    }

    /// The datagram. Canonical: parsing it gives an equal message.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.code == Code::EMPTY {
            // Every acknowledgement of a notification is one.
            let [high, low] = self.mid.to_be_bytes();
            return vec![VERSION << 6 | self.kind.bits() << 4, Code::EMPTY.0, high, low];
        }
        let mut packet = Packet::new();
        packet.header.set_type(match self.kind {
            Kind::Confirmable => MessageType::Confirmable,
            Kind::NonConfirmable => MessageType::NonConfirmable,
            Kind::Acknowledgement => MessageType::Acknowledgement,
            Kind::Reset => MessageType::Reset,
        });
        packet.header.code = self.code.0.into();
        packet.header.message_id = self.mid;
        packet.set_token(self.token.as_bytes().to_vec());
        for (number, value) in self.options.iter() {
            packet.add_option(CoapOption::from(number), value.to_vec());
        }
        packet.payload.clone_from(&self.payload);
        packet.to_bytes_unlimited().expect("only a size limit can make this fail")
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its method or response code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its message id.
    pub fn mid(&self) -> u16 {
        self.mid
    }

    /// Its token.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The Uri-Path segments as they came.
    pub fn uri_path(&self) -> impl Iterator<Item = &[u8]> {
        self.values(option::URI_PATH)
    }

    /// The Uri-Query arguments as they came.
    pub fn uri_query(&self) -> impl Iterator<Item = &[u8]> {
        self.values(option::URI_QUERY)
    }

    /// The Location-Path segments as they came.
    pub fn location_path(&self) -> impl Iterator<Item = &[u8]> {
        self.values(option::LOCATION_PATH)
    }

    /// Observe: in a request 0 to register and 1 to cancel, in a notification the sequence number.
    pub fn observe(&self) -> Option<u32> {
        self.uint(option::OBSERVE)
    }

    /// Content-Format.
    pub fn content_format(&self) -> Option<u16> {
        self.uint(option::CONTENT_FORMAT).and_then(|format| u16::try_from(format).ok())
    }

    /// Accept.
    pub fn accept(&self) -> Option<u16> {
        self.uint(option::ACCEPT).and_then(|format| u16::try_from(format).ok())
    }

    /// Max-Age in seconds, if stated.
    pub fn max_age(&self) -> Option<u32> {
        self.uint(option::MAX_AGE)
    }

    /// Block1.
    pub fn block1(&self) -> Option<Block> {
        self.uint(option::BLOCK1).map(Block::from_uint)
    }

    /// Block2.
    pub fn block2(&self) -> Option<Block> {
        self.uint(option::BLOCK2).map(Block::from_uint)
    }

    /// Size1: bytes of the whole request body.
    pub fn size1(&self) -> Option<u32> {
        self.uint(option::SIZE1)
    }

    /// Size2: how many bytes the body of the response has.
    pub fn size2(&self) -> Option<u32> {
        self.uint(option::SIZE2)
    }

    /// The first ETag.
    pub fn etag(&self) -> Option<&[u8]> {
        self.first(option::ETAG)
    }

    /// Echo (RFC 9175).
    pub(crate) fn echo(&self) -> Option<&[u8]> {
        self.first(option::ECHO)
    }

    /// The Request-Tags (RFC 9175): requests whose tags differ are not parts of one body.
    pub(crate) fn request_tags(&self) -> impl Iterator<Item = &[u8]> {
        self.values(option::REQUEST_TAG)
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// Moves the payload out.
    pub fn take_payload(&mut self) -> Vec<u8> {
        mem::take(&mut self.payload)
    }

    /// The first option that is critical and cannot be understood: unknown, with a value of impossible length, or
    /// repeated although it must not be (RFC 7252 sections 5.4.1, 5.4.3, 5.4.5).
    pub fn unknown_critical(&self) -> Option<u16> {
        let mut previous = None;
        self.options.iter().find_map(|(number, value)| {
            let is_again = previous.replace(number) == Some(number);
            let is_understood =
                option::format(number).is_some_and(|it| it.admits(value) && (it.repeatable || !is_again));
            (option::is_critical(number) && !is_understood).then_some(number)
        })
    }

    /// Sets the token.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    /// Adds a Uri-Path segment.
    #[must_use]
    pub fn with_path_segment(self, segment: &str) -> Self {
        self.with_bytes(option::URI_PATH, segment.as_bytes())
    }

    /// Adds a Uri-Query argument.
    #[must_use]
    pub fn with_query(self, argument: &str) -> Self {
        self.with_bytes(option::URI_QUERY, argument.as_bytes())
    }

    /// Adds an option; its value in the shortest form, so that zero is the empty value.
    #[must_use]
    pub fn with_option_uint(self, number: u16, value: u32) -> Self {
        self.with_option(number, option::encode_uint(value))
    }

    /// Adds an option.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // most values are made for it
    pub fn with_option(self, number: u16, value: Vec<u8>) -> Self {
        self.with_bytes(number, &value)
    }

    /// Sets the payload.
    #[must_use]
    pub fn with_payload(mut self, payload: Vec<u8>) -> Self {
        self.payload = payload;
        self
    }

    /// Sets Block1 or Block2, whatever it was before.
    pub(crate) fn set_block(&mut self, number: u16, block: Block) {
        self.options.remove(number);
        self.options.insert(number, &option::encode_uint(block.to_uint()));
    }

    /// The same message without these options and without its payload.
    pub(crate) fn without_options(&self, numbers: &[u16]) -> Self {
        let mut copy = Self::new(self.kind, self.code, self.mid).with_token(self.token);
        for (number, value) in self.options.iter().filter(|(number, _)| !numbers.contains(number)) {
            copy.options.insert(number, value);
        }
        copy
    }

    pub(crate) fn set_header(&mut self, kind: Kind, mid: u16, token: Token) {
        (self.kind, self.mid, self.token) = (kind, mid, token);
    }

    fn with_bytes(mut self, number: u16, value: &[u8]) -> Self {
        self.options.insert(number, value);
        self
    }

    /// An option that must not be repeated: its first occurrence, unless its length is impossible.
    fn first(&self, number: u16) -> Option<&[u8]> {
        let value = self.values(number).next()?;
        option::format(number).is_none_or(|format| format.admits(value)).then_some(value)
    }

    fn uint(&self, number: u16) -> Option<u32> {
        self.first(number).and_then(option::decode_uint)
    }

    fn values(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.options.values(number)
    }
}

/// A datagram that is not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CoAP message: {reason}")]
pub struct Malformed {
    /// What is wrong with it.
    pub reason: Reason,
    /// The message id if it was sent as a confirmable message, so that it can be rejected with a reset
    /// (RFC 7252 section 4.2). None: drop it silently.
    pub confirmable: Option<u16>,
}

/// Why a datagram is not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Fewer than four bytes.
    #[error("shorter than a header")]
    Short,
    /// Version other than 1, to be ignored silently (RFC 7252 section 3).
    #[error("unknown version")]
    Version,
    /// Token length 9 to 15, or a token that is cut off.
    #[error("invalid token length")]
    Token,
    /// Option numbers or lengths that do not fit.
    #[error("invalid option")]
    Option,
    /// A payload marker with nothing behind it.
    #[error("payload marker without payload")]
    Payload,
    /// An empty message (0.00) with a token, options or payload, or a non-confirmable one.
    #[error("empty message with content")]
    Empty,
    /// A code of the reserved classes 1, 6, 7, or one that its type cannot carry (RFC 7252 section 4.3, table 1).
    #[error("invalid code")]
    Code,
}

impl Kind {
    /// As it stands in a header.
    const fn bits(self) -> u8 {
        match self {
            Self::Confirmable => 0,
            Self::NonConfirmable => 1,
            Self::Acknowledgement => 2,
            Self::Reset => 3,
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Confirmable,
            1 => Self::NonConfirmable,
            2 => Self::Acknowledgement,
            _ => Self::Reset,
        }
    }
}

/// Reads a datagram (RFC 7252 section 3).
fn read(datagram: &[u8]) -> Result<Message, Reason> {
    let [first, code, high, low, rest @ ..] = datagram else { return Err(Reason::Short) };
    if first >> 6 != VERSION {
        return Err(Reason::Version);
    }
    let token_length = usize::from(first & 0x0F);
    let (kind, code, mid) = (Kind::from_bits(first >> 4), Code(*code), u16::from_be_bytes([*high, *low]));
    let possible = match kind {
        Kind::Confirmable => !matches!(code.class(), 1 | 6 | 7),
        Kind::NonConfirmable => code.is_request() || code.is_response(),
        Kind::Acknowledgement => code == Code::EMPTY || code.is_response(),
        Kind::Reset => code == Code::EMPTY,
    };
    if code == Code::EMPTY && !(rest.is_empty() && token_length == 0 && possible) {
        return Err(Reason::Empty);
    }
    if !possible {
        return Err(Reason::Code);
    }
    let (token, rest) = rest.split_at_checked(token_length).ok_or(Reason::Token)?;
    let token = Token::from_slice(token).ok_or(Reason::Token)?;
    let (options, payload) = Options::parse(rest)?;
    Ok(Message { kind, code, mid, token, options, payload: payload.to_vec() })
}

/// The message id, where a datagram that cannot be read is to be rejected with a reset.
fn rejectable(datagram: &[u8], reason: Reason) -> Option<u16> {
    match (reason, datagram) {
        (Reason::Short | Reason::Version, _) => None,
        (_, [first, _, high, low, ..]) if first >> 4 & 3 == 0 => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// Of CoAP (RFC 7252 section 3).
const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
