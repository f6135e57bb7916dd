//! The simulated clients: what they send, and what they answer. Each is told apart by its address, `127.1.0.0` and on; what all of
//! them have in common, such as the content of a notification, is there once.

use std::net::Ipv4Addr;

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::option;
use tidegate_proto::coap::token::Token;
use tidegate_proto::lwm2m::format;

use super::content::Content;

/// All clients.
#[derive(Debug)]
pub(super) struct Crowd {
    clients: Vec<Client>,
    content: Content,
}

#[derive(Debug)]
struct Client {
    /// Of the observation, with its length in front.
    token: [u8; 9],
    is_registered: bool,
    is_observed: bool,
    mid: u16,
    /// Of the last notification (RFC 7641 section 3.4).
    number: u32,
    location: Option<Box<str>>,
}

/// What a datagram for a client has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The subject has taken a confirmable notification.
    Acknowledged,
    /// The client is registered and observed now, and was not before.
    Ready,
    /// The update was answered.
    Updated,
    /// The subject does not know what it was sent.
    Reset,
    /// The subject refuses, with this code.
    Refused(Code),
    /// Nothing that counts.
    Nothing,
}

impl Crowd {
    pub(super) fn new(count: usize, samples: usize) -> Self {
        let client = |_| Client {
            token: [0; 9],
            is_registered: false,
            is_observed: false,
            mid: 0,
            number: FIRST_NUMBER,
            location: None,
        };
        Self { clients: (0..count).map(client).collect(), content: Content::new(samples) }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether it has registered and is observed.
    pub(super) fn is_ready(&self, client: usize) -> bool {
        let client = &self.clients[client];
        client.is_registered && client.is_observed
    }

    /// How many have registered, and how many are observed.
    pub(super) fn counts(&self) -> (usize, usize) {
        let registered = self.clients.iter().filter(|client| client.is_registered).count();
        (registered, self.clients.iter().filter(|client| client.is_observed).count())
    }

    /// Appends a registration. Sent again before there is an answer it is the same message.
    pub(super) fn register(&self, client: usize, out: &mut Vec<u8>) {
        let message = Message::new(Kind::Confirmable, Code::POST, self.clients[client].mid)
            .with_token(Token::from(REGISTRATION))
            .with_path_segment("rd")
            .with_option_uint(option::CONTENT_FORMAT, format::LINK_FORMAT.into())
            .with_query(&format!("ep={}", endpoint(client)))
            .with_query("lwm2m=1.1")
            .with_query("b=U")
            .with_query("lt=86400")
            .with_payload(self.content.links().to_vec());
        out.extend_from_slice(&message.to_bytes());
    }

    /// Makes a client one that has not registered, as after it was switched off and on. What it registers with next is another message.
    pub(super) fn forget(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.mid = client.mid.wrapping_add(1);
        (client.is_registered, client.is_observed) = (false, false);
    }

    /// Appends an update; the client must have registered.
    pub(super) fn update(&mut self, client: usize, out: &mut Vec<u8>) {
        let client = &mut self.clients[client];
        client.mid = client.mid.wrapping_add(1);
        let location = client.location.as_deref().unwrap_or_default();
        let message = Message::new(Kind::Confirmable, Code::POST, client.mid).with_token(Token::from(UPDATE));
        let message = location.split('/').fold(message, Message::with_path_segment);
        out.extend_from_slice(&message.to_bytes());
    }

    /// Appends a notification with this value; the client must be observed.
    pub(super) fn notify(&mut self, client: usize, is_confirmable: bool, value: f32, out: &mut Vec<u8>) {
        let client = &mut self.clients[client];
        client.mid = client.mid.wrapping_add(1);
        client.number += 1;
        let kind = if is_confirmable { 0x40 } else { 0x50 };
        let [mid_high, mid_low] = client.mid.to_be_bytes();
        out.extend_from_slice(&[kind | client.token[0], CONTENT, mid_high, mid_low]);
        out.extend_from_slice(client.token());
        self.content.observed(client.number, value, out);
    }

    /// Takes a datagram for a client, and appends the answer to it if there is one.
    pub(super) fn take(&mut self, client: usize, datagram: &[u8], out: &mut Vec<u8>) -> Said {
        let Self { clients, content } = self;
        let Some(client) = clients.get_mut(client) else { return Said::Nothing };
        match *datagram {
            // Version 1, an acknowledgement or a reset, empty (RFC 7252 section 3).
            [0x60, 0, _, _] => Said::Acknowledged,
            [0x70, 0, _, _] => Said::Reset,
            _ => {
                Message::parse(datagram).map_or(Said::Nothing, |message| client.take(&message, content, out))
            }
        }
    }
}

impl Client {
    fn token(&self) -> &[u8] {
        &self.token[1..=usize::from(self.token[0])]
    }

    fn take(&mut self, message: &Message, content: &Content, out: &mut Vec<u8>) -> Said {
        if message.code().is_request() {
            return self.answer(message, content, out);
        }
        if message.code() != Code::CREATED && message.code() != Code::CHANGED {
            return Said::Refused(message.code());
        }
        if message.token() == Token::from(UPDATE) {
            return Said::Updated;
        }
        if message.token() != Token::from(REGISTRATION) || self.is_registered {
            return Said::Nothing;
        }
        self.is_registered = true;
        let path: Vec<_> = message.location_path().map(String::from_utf8_lossy).collect();
        self.location = Some(path.join("/").into());
        if self.is_observed { Said::Ready } else { Said::Nothing }
    }

    fn answer(&mut self, message: &Message, content: &Content, out: &mut Vec<u8>) -> Said {
        let token = message.token();
        let (kind, length) = match message.kind() {
            Kind::Confirmable => (0x60, token.as_bytes().len()),
            Kind::NonConfirmable => (0x50, token.as_bytes().len()),
            _ => return Said::Nothing,
        };
        let [mid_high, mid_low] = message.mid().to_be_bytes();
        let head = kind | u8::try_from(length).unwrap_or_default();
        let is_read = message.code() == Code::GET;
        let code = if is_read { CONTENT } else { METHOD_NOT_ALLOWED };
        out.extend_from_slice(&[head, code, mid_high, mid_low]);
        out.extend_from_slice(token.as_bytes());
        if !is_read {
            return Said::Nothing;
        }
        if message.observe() != Some(0) {
            content.read(out);
            return Said::Nothing;
        }
        self.token[0] = u8::try_from(length).unwrap_or_default();
        self.token[1..=length].copy_from_slice(token.as_bytes());
        self.number += 1;
        content.observed(self.number, UNSENT, out);
        if std::mem::replace(&mut self.is_observed, true) || !self.is_registered {
            return Said::Nothing;
        }
        Said::Ready
    }
}

/// The name that a client registers with.
pub(super) fn endpoint(client: usize) -> String {
    format!("bench-{client}")
}

/// Where a client sends from.
pub(super) fn address(client: usize) -> Ipv4Addr {
    Ipv4Addr::from(FIRST.saturating_add(u32::try_from(client).unwrap_or(u32::MAX)))
}

/// Whose address this is.
pub(super) fn of_address(address: Ipv4Addr) -> Option<usize> {
    usize::try_from(u32::from(address).checked_sub(FIRST)?).ok()
}

/// 127.1.0.0: what the gateway itself has, 127.0.0.1, is none of them.
const FIRST: u32 = 0x7f01_0000;
/// More would leave 127.0.0.0/8, or memory.
pub(super) const MOST: usize = 1_000_000;
/// How many messages one client may send in a run. Message identifiers must not be used again within 247 s (RFC 7252 section
/// 4.8.2), or the gateway takes a message for one that it has seen.
pub(super) const MESSAGES: u64 = 65_000;
/// From here on it has three bytes, so that all notifications are of one length.
const FIRST_NUMBER: u32 = 0x01_0000;
/// The value that an observation is answered with: none that is sent in a notification.
const UNSENT: f32 = -1.0;
/// 2.05 and 4.05 (RFC 7252 section 5.9).
const CONTENT: u8 = 0x45;
const METHOD_NOT_ALLOWED: u8 = 0x85;
const REGISTRATION: [u8; 8] = *b"register";
const UPDATE: [u8; 8] = *b"updating";

#[cfg(test)]
mod tests;
