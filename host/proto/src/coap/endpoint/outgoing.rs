//! Requests that go out.

use super::timer::Timer;
use super::{Endpoint, Request};
use crate::coap::Peer;
use crate::coap::block::{Download, Upload};
use crate::coap::exchange::{Exchange, Purpose, Transmission};
use crate::coap::message::{Block, Code, Kind, Message};
use crate::coap::option;
use crate::coap::peers::{EXCHANGE_LIFETIME, MessageKey};
use crate::coap::token::Token;
use crate::time::Instant;

/// A request that is about to be sent.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) purpose: Purpose,
    pub(super) peer: Peer,
    pub(super) token: Token,
    pub(super) request: Message,
    pub(super) upload: Option<Upload>,
    pub(super) download: Option<Box<Download>>,
    /// The block of the response to ask for.
    pub(super) block: Option<Block>,
}

impl Endpoint {
    pub(super) fn start_request(&mut self, now: Instant, peer: Peer, request: Request) -> Token {
        let Request { id, message, observation, token } = request;
        let token = token.unwrap_or_else(|| self.new_token());
        let (mut previous, mut first) = (None, false);
        if let Some(observation) = observation {
            first = !self.observations.knows(observation);
            previous = self.observations.insert(observation, token, self.owner(peer), Some(&message));
        }
        let exponent = self.config.exponent(self.peers.max_message(peer));
        let upload = Upload::new(message.payload().len(), exponent);
        let purpose = Purpose::Request { id, observation, previous, first };
        self.start(
            now,
            Draft { purpose, peer, token, request: message, upload, download: None, block: None },
        );
        token
    }

    /// Sends the first message of an exchange.
    pub(super) fn start(&mut self, now: Instant, draft: Draft) -> u64 {
        let Draft { purpose, peer, token, mut request, upload, download, block } = draft;
        let number = self.peer_number(peer);
        self.peers.hold(number);
        self.peers.state(number).press(purpose.is_fetch());
        let key = MessageKey { peer: number, mid: self.next_mid(now, number) };
        let datagram = encode(&mut request, (key.mid, token), upload, block);
        let transmission = Transmission::new(datagram.clone(), now, self.random_u16());
        let due = transmission.due;
        if let Some(download) = &download {
            self.downloads.change(number, 0, download.progress().0);
        }
        let serial = self.exchanges.insert(Exchange {
            purpose,
            peer,
            key,
            token,
            first_token: token,
            request,
            upload,
            download,
            transmission,
            is_pressing: true,
            acknowledgement_told: false,
            progress_told: 0,
        });
        self.set_timer(due, Timer::Exchange(serial));
        self.transmit(peer, datagram);
        serial
    }

    /// Sends the next message of an exchange: another block of its request, or a request for a block of its response.
    pub(super) fn send_again(&mut self, now: Instant, serial: u64, token: Token, block: Option<Block>) {
        let Some(exchange) = self.exchanges.get(serial) else { return };
        let number = exchange.key.peer;
        let key = MessageKey { peer: number, mid: self.next_mid(now, number) };
        let spread = self.random_u16();
        self.exchanges.rename(serial, key, token);
        let Some(exchange) = self.exchanges.get_mut(serial) else { return };
        let datagram = encode(&mut exchange.request, (key.mid, token), exchange.upload, block);
        exchange.transmission = Transmission::new(datagram.clone(), now, spread);
        if !std::mem::replace(&mut exchange.is_pressing, true) {
            self.peers.state(number).press(exchange.purpose.is_fetch());
        }
        let (peer, due) = (exchange.peer, exchange.transmission.due);
        self.set_timer(due, Timer::Exchange(serial));
        self.transmit(peer, datagram);
    }

    /// Ends an exchange.
    pub(super) fn close(&mut self, serial: u64) -> Option<Exchange> {
        let exchange = self.exchanges.remove(serial)?;
        let number = exchange.key.peer;
        if exchange.is_pressing {
            self.peers.state(number).relieve(exchange.purpose.is_fetch());
        }
        if let Some(download) = &exchange.download {
            self.downloads.change(exchange.key.peer, download.progress().0, 0);
        }
        if let Purpose::Notification(id) = exchange.purpose
            && let Some(observation) = self.observations.by_id(id)
            && observation.fetch == Some(serial)
        {
            observation.fetch = None;
        }
        self.fetch_next(number);
        self.peers.let_go(number);
        Some(exchange)
    }

    /// Fetches the rest of a notification as soon as its peer has no other request of ours to answer (`NSTART`,
    /// RFC 7252 section 4.7): Anjay answers 5.03 to one that comes before it has answered another in blocks.
    pub(super) fn fetch(&mut self, now: Instant, draft: Draft) {
        let number = self.peer_number(draft.peer);
        if self.peers.state(number).pressing == 0 {
            return self.start_fetch(now, draft);
        }
        let waiting = self.unfetched.entry(number).or_default();
        let before = waiting.len();
        waiting.retain(|other| other.purpose != draft.purpose);
        self.counters.incomplete_notifications += (before - waiting.len()) as u64;
        if waiting.len() >= UNFETCHED {
            self.counters.incomplete_notifications += 1;
        } else {
            waiting.push_back(draft);
        }
    }

    /// Does what waits for a peer that is not busy any more.
    pub(super) fn fetch_next(&mut self, number: u32) {
        while self.peers.state(number).pressing == 0
            && let Some(waiting) = self.unfetched.get_mut(&number)
        {
            match waiting.pop_front() {
                Some(draft) => self.start_fetch(self.now, draft),
                None => drop(self.unfetched.remove(&number)),
            }
        }
    }

    fn start_fetch(&mut self, now: Instant, draft: Draft) {
        let Purpose::Notification(id) = draft.purpose else { return };
        // Nobody may be interested any more.
        if !self.observations.knows(id) {
            return;
        }
        let serial = self.start(now, draft);
        if let Some(observation) = self.observations.by_id(id) {
            observation.fetch = Some(serial);
        }
    }

    pub(super) fn peer_number(&mut self, peer: Peer) -> u32 {
        let entropy = &mut self.entropy;
        self.peers.number(peer, || {
            let mut bytes = [0; 2];
            entropy.fill(&mut bytes);
            u16::from_be_bytes(bytes)
        })
    }

    pub(super) fn next_mid(&mut self, now: Instant, number: u32) -> u16 {
        self.next_mid_among(now, number, usize::MAX)
    }

    /// A message id for an answer: anybody can ask from any number of addresses.
    pub(super) fn next_mid_of_answer(&mut self, now: Instant, number: u32) -> u16 {
        self.next_mid_among(now, number, self.config.guarded)
    }

    fn next_mid_among(&mut self, now: Instant, number: u32, most: usize) -> u16 {
        let exchanges = &self.exchanges;
        let (mid, first) = self.peers.next_mid(number, now, most, |key| exchanges.by_mid(key).is_some());
        if first {
            self.set_timer(now + EXCHANGE_LIFETIME, Timer::Peer(number));
        }
        mid
    }

    /// A token that is not in use: the shard's number and seven bytes that nobody can guess, since a token is all
    /// that a notification from a new address has to show (RFC 7252 section 11.4).
    pub(super) fn new_token(&mut self) -> Token {
        loop {
            let mut bytes = [0; 8];
            self.entropy.fill(&mut bytes[1..]);
            bytes[0] = self.config.shard;
            let token = Token::from(bytes);
            if self.exchanges.by_token(token).is_none() && self.observations.by_token(token).is_none() {
                return token;
            }
        }
    }

    fn random_u16(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }
}

/// Notifications of one peer whose rest waits to be fetched.
const UNFETCHED: usize = 64;

/// The datagram for a request as a whole, for one block of its body, or for one block of its response.
fn encode(
    request: &mut Message,
    (mid, token): (u16, Token),
    upload: Option<Upload>,
    block: Option<Block>,
) -> Vec<u8> {
    request.set_header(Kind::Confirmable, mid, token);
    if let Some(wanted) = block {
        // The rest of a notification is fetched without Observe (RFC 7959 section 2.6).
        let mut message =
            request.without_options(&[option::OBSERVE, option::BLOCK1, option::BLOCK2, option::SIZE1]);
        message.set_block(option::BLOCK2, wanted);
        // A FETCH is its payload (RFC 8132 section 2), but one sent in blocks is not sent once more.
        if request.code() == Code::FETCH && request.payload().len() <= wanted.size() {
            message = message.with_payload(request.payload().to_vec());
        }
        return message.to_bytes();
    }
    let Some(upload) = upload else { return request.to_bytes() };
    let (part, range) = upload.block();
    let mut message = request.without_options(&[option::BLOCK1, option::SIZE1]);
    message.set_block(option::BLOCK1, part);
    if part.number == 0 {
        let total = u32::try_from(request.payload().len()).unwrap_or(u32::MAX);
        message = message.with_option_uint(option::SIZE1, total);
    }
    message.with_payload(request.payload()[range].to_vec()).to_bytes()
}
