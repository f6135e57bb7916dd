//! One CoAP message; coap-lite parses and builds the bytes.
//!
//! coap-lite is lax where RFC 7252 is not: it takes any version, empty messages with content, a payload marker with
//! nothing behind it and reserved code classes. [`Message::parse`] refuses those first.

use std::collections::LinkedList;
use std::mem;

use coap_lite::{CoapOption, MessageType, Packet};

pub use super::code::Code;
use super::option;
pub use super::option::Block;
use super::token::Token;

/// One CoAP message.
///
/// Built by chaining: `Message::request(Code::GET).with_path_segment("3")`. Type, message id and token of a message
/// handed to the endpoint are overwritten by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(Packet);

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
        let mut packet = Packet::new();
        packet.header.code = code.0.into();
        let mut message = Self(packet);
        message.set_header(kind, mid, Token::default());
        message
    }

    /// Read a datagram.
    ///
    /// # Errors
    ///
    /// Every message format error of RFC 7252 section 3. An option whose value alone is wrong is none: it counts as
    /// unrecognised, see [`Message::unknown_critical`].
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let malformed = |reason| Malformed { reason, confirmable: rejectable(datagram, reason) };
        check(datagram).map_err(malformed)?;
        Packet::from_bytes(datagram).map(Self).map_err(|_| malformed(Reason::Option))
    }

    /// The datagram. Canonical: parsing it gives an equal message.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes_unlimited().expect("only a size limit can make this fail")
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        match self.0.header.get_type() {
            MessageType::Confirmable => Kind::Confirmable,
            MessageType::NonConfirmable => Kind::NonConfirmable,
            MessageType::Acknowledgement => Kind::Acknowledgement,
            MessageType::Reset => Kind::Reset,
        }
    }

    /// Its method or response code.
    pub fn code(&self) -> Code {
        Code(self.0.header.code.into())
    }

    /// Its message id.
    pub fn mid(&self) -> u16 {
        self.0.header.message_id
    }

    /// Its token.
    pub fn token(&self) -> Token {
        Token::from_slice(self.0.get_token()).expect("parsed and built with at most eight bytes")
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
        &self.0.payload
    }

    /// The payload, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.0.payload
    }

    /// Moves the payload out.
    pub fn take_payload(&mut self) -> Vec<u8> {
        mem::take(&mut self.0.payload)
    }

    /// The first option that is critical and cannot be understood: unknown, with a value of impossible length, or
    /// repeated although it must not be (RFC 7252 sections 5.4.1, 5.4.3, 5.4.5).
    pub fn unknown_critical(&self) -> Option<u16> {
        self.0.options().find_map(|(number, values)| {
            let understood = option::format(*number).is_some_and(|format| {
                (values.len() <= 1 || format.repeatable) && values.iter().all(|value| format.admits(value))
            });
            (option::is_critical(*number) && !values.is_empty() && !understood).then_some(*number)
        })
    }

    /// Sets the token.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.0.set_token(token.as_bytes().to_vec());
        self
    }

    /// Adds a Uri-Path segment.
    #[must_use]
    pub fn with_path_segment(self, segment: &str) -> Self {
        self.with_option(option::URI_PATH, segment.as_bytes().to_vec())
    }

    /// Adds a Uri-Query argument.
    #[must_use]
    pub fn with_query(self, argument: &str) -> Self {
        self.with_option(option::URI_QUERY, argument.as_bytes().to_vec())
    }

    /// Adds an option; its value in the shortest form, so that zero is the empty value.
    #[must_use]
    pub fn with_option_uint(self, number: u16, value: u32) -> Self {
        self.with_option(number, option::encode_uint(value))
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, number: u16, value: Vec<u8>) -> Self {
        self.0.add_option(CoapOption::from(number), value);
        self
    }

    /// Sets the payload.
    #[must_use]
    pub fn with_payload(mut self, payload: Vec<u8>) -> Self {
        self.0.payload = payload;
        self
    }

    /// Sets Block1 or Block2, whatever it was before.
    pub(crate) fn set_block(&mut self, number: u16, block: Block) {
        self.0.set_option(CoapOption::from(number), LinkedList::from([option::encode_uint(block.to_uint())]));
    }

    /// The same message without these options and without its payload.
    pub(crate) fn without_options(&self, numbers: &[u16]) -> Self {
        let mut copy = Self::new(self.kind(), self.code(), self.mid());
        copy.0.set_token(self.0.get_token().to_vec());
        for (number, values) in self.0.options().filter(|(number, _)| !numbers.contains(number)) {
            for value in values {
                copy.0.add_option(CoapOption::from(*number), value.clone());
            }
        }
        copy
    }

    pub(crate) fn set_header(&mut self, kind: Kind, mid: u16, token: Token) {
        self.0.header.set_type(match kind {
            Kind::Confirmable => MessageType::Confirmable,
            Kind::NonConfirmable => MessageType::NonConfirmable,
            Kind::Acknowledgement => MessageType::Acknowledgement,
            Kind::Reset => MessageType::Reset,
        });
        self.0.header.message_id = mid;
        self.0.set_token(token.as_bytes().to_vec());
    }

    /// An option that must not be repeated: its first occurrence, unless its length is impossible.
    fn first(&self, number: u16) -> Option<&[u8]> {
        let value = self.0.get_first_option(CoapOption::from(number))?;
        option::format(number).is_none_or(|format| format.admits(value)).then_some(value)
    }

    fn uint(&self, number: u16) -> Option<u32> {
        self.first(number).and_then(option::decode_uint)
    }

    fn values(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.0.get_option(CoapOption::from(number)).into_iter().flatten().map(Vec::as_slice)
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

/// The message format of RFC 7252 section 3.
fn check(datagram: &[u8]) -> Result<(), Reason> {
    let [first, code, _, _, rest @ ..] = datagram else { return Err(Reason::Short) };
    if first >> 6 != 1 {
        return Err(Reason::Version);
    }
    let token_length = usize::from(first & 0x0F);
    let code = Code(*code);
    let possible = match first >> 4 & 3 {
        0 => !matches!(code.class(), 1 | 6 | 7),
        1 => code.is_request() || code.is_response(),
        2 => code == Code::EMPTY || code.is_response(),
        _ => code == Code::EMPTY,
    };
    if code == Code::EMPTY && !(rest.is_empty() && token_length == 0 && possible) {
        return Err(Reason::Empty);
    }
    if !possible {
        return Err(Reason::Code);
    }
    let options = rest.get(token_length..).filter(|_| token_length <= 8).ok_or(Reason::Token)?;
    check_options(options)
}

/// Walks over the options to where the payload begins.
fn check_options(mut rest: &[u8]) -> Result<(), Reason> {
    let mut number = 0_u32;
    while let [head, tail @ ..] = rest {
        if *head == PAYLOAD_MARKER {
            return if tail.is_empty() { Err(Reason::Payload) } else { Ok(()) };
        }
        let (delta, tail) = extended(head >> 4, tail).ok_or(Reason::Option)?;
        let (length, tail) = extended(head & 0x0F, tail).ok_or(Reason::Option)?;
        number += delta;
        rest = tail.get(length as usize..).ok_or(Reason::Option)?;
        if number > u32::from(u16::MAX) {
            return Err(Reason::Option);
        }
    }
    Ok(())
}

/// An option delta or length with its extension bytes (RFC 7252 section 3.1).
fn extended(nibble: u8, rest: &[u8]) -> Option<(u32, &[u8])> {
    match (nibble, rest) {
        (13, [byte, rest @ ..]) => Some((u32::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => Some((u32::from(u16::from_be_bytes([*high, *low])) + 269, rest)),
        (0..=12, rest) => Some((u32::from(nibble), rest)),
        _ => None,
    }
}

/// The message id, where a datagram that cannot be read is to be rejected with a reset.
fn rejectable(datagram: &[u8], reason: Reason) -> Option<u16> {
    match (reason, datagram) {
        (Reason::Short | Reason::Version, _) => None,
        (_, [first, _, high, low, ..]) if first >> 4 & 3 == 0 => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

const PAYLOAD_MARKER: u8 = 0xFF;

#[cfg(test)]
mod tests;
