//! What goes out: requests with their retransmissions, and answers.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Asked, Endpoint, Failure, Request, Token};
use crate::coap::Peer;
use crate::coap::block::{Download, Upload};
use crate::coap::exchange::{ACK_TIMEOUT, Exchange, MAX_RETRANSMIT, Purpose, State};
use crate::coap::message::{Block, Message, MessageKind, option};
use crate::time::Instant;

impl Endpoint {
    pub(super) fn begin(&mut self, now: Instant, peer: Peer, request: Request) -> Token {
        let Request { id, mut message, observation, token } = request;
        let upload = Upload::of(&mut message);
        let borrows_token = token.is_some();
        let token = token.unwrap_or_else(|| self.new_token());
        let purpose = Purpose::Request(id);
        let draft = Draft {
            peer,
            token,
            purpose,
            request: message,
            observation,
            borrows_token,
            upload,
            download: None,
        };
        let bytes = self.send(now, draft);
        if let Some(observation) = observation {
            self.observations.insert(observation, peer, token, Some(bytes));
        }
        token
    }

    /// The next block of a request of ours.
    pub(super) fn continue_upload(&mut self, now: Instant, exchange: Exchange) {
        let Exchange { peer, token, purpose, request, observation, borrows_token, upload, .. } = exchange;
        let draft =
            Draft { peer, token, purpose, request, observation, borrows_token, upload, download: None };
        self.send(now, draft);
    }

    /// Ask for the next block of an answer, with a token of its own.
    pub(super) fn fetch(
        &mut self,
        now: Instant,
        peer: Peer,
        (purpose, download): (Purpose, Option<Download>),
        mut request: Message,
        block: Block,
    ) {
        request.set_uint(option::BLOCK2, block.to_uint());
        let token = self.new_token();
        let draft = Draft {
            peer,
            token,
            purpose,
            request,
            observation: None,
            borrows_token: false,
            upload: None,
            download,
        };
        self.send(now, draft);
    }

    /// Send a request for the first time. Returns its bytes.
    fn send(&mut self, now: Instant, draft: Draft) -> Box<[u8]> {
        let mid = self.new_mid(draft.peer);
        let mut message = match &draft.upload {
            Some(upload) => upload.message(&draft.request),
            None => draft.request.clone(),
        };
        message.address(MessageKind::Confirmable, mid, &draft.token);
        let bytes = message.to_bytes();
        let timeout = self.first_timeout();
        let next = now + timeout;
        let key = self.exchanges.insert(Exchange {
            peer: draft.peer,
            mid,
            token: draft.token,
            purpose: draft.purpose,
            request: draft.request,
            observation: draft.observation,
            borrows_token: draft.borrows_token,
            bytes: bytes.clone(),
            state: State::Sent { attempts: 0, timeout, next },
            upload: draft.upload,
            download: draft.download,
        });
        self.watch(next, key);
        let copy = bytes.clone().into_boxed_slice();
        self.transmit(draft.peer, bytes);
        copy
    }

    pub(super) fn watch(&mut self, at: Instant, key: usize) {
        self.timers.push(Reverse((at, key)));
    }

    /// An exchange's time has come: send it again, or give it up. A timer of a gone exchange finds another one, or one
    /// that is due later, and does nothing.
    pub(super) fn wake(&mut self, now: Instant, key: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        match &mut exchange.state {
            State::Sent { next, .. } if *next > now => {}
            State::Acknowledged { until } if *until > now => {}
            State::Sent { attempts, timeout, next } if *attempts < MAX_RETRANSMIT => {
                *attempts += 1;
                *timeout *= 2;
                *next = now + *timeout;
                let (next, peer, bytes) = (*next, exchange.peer, exchange.bytes.clone());
                self.counters.retransmitted += 1;
                self.watch(next, key);
                self.transmit(peer, bytes);
            }
            State::Sent { .. } | State::Acknowledged { .. } => {
                self.counters.timed_out += 1;
                if let Some(exchange) = self.exchanges.remove(key) {
                    self.fail(&exchange, Failure::Timeout);
                }
            }
        }
    }

    /// Answer a message: in its acknowledgement, or in a non-confirmable message of its own.
    pub(super) fn answer(&mut self, asked: &Asked, block: Option<Block>, mut answer: Message) {
        let Asked { peer, kind, mid, token } = *asked;
        if let Some(block) = block.filter(|block| block.szx < 7) {
            answer.set_uint(option::BLOCK1, block.to_uint());
        }
        if kind == MessageKind::Confirmable {
            answer.address(MessageKind::Acknowledgement, mid, &token);
        } else {
            answer.address(MessageKind::NonConfirmable, self.new_mid(peer), &token);
        }
        let bytes = answer.to_bytes();
        self.received.answered(peer, mid, Some(&bytes));
        self.transmit(peer, bytes);
    }

    /// Between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR (RFC 7252 section 4.2).
    fn first_timeout(&mut self) -> Duration {
        let mut random = [0; 2];
        self.entropy.fill(&mut random);
        ACK_TIMEOUT + ACK_TIMEOUT / 2 * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
    }

    fn new_mid(&mut self, peer: Peer) -> u16 {
        loop {
            self.next_mid = self.next_mid.wrapping_add(1);
            if self.exchanges.by_mid(peer, self.next_mid).is_none() {
                return self.next_mid;
            }
        }
    }

    /// The shard, and 56 random bits.
    fn new_token(&mut self) -> Token {
        loop {
            let mut bytes = [self.config.shard; 8];
            self.entropy.fill(&mut bytes[1..]);
            let token = Token::new(&bytes);
            if !self.exchanges.has_token(&token) && !self.observations.has_token(&token) {
                return token;
            }
        }
    }
}

/// A request before it has a message id.
struct Draft {
    peer: Peer,
    token: Token,
    purpose: Purpose,
    request: Message,
    observation: Option<super::ObservationId>,
    borrows_token: bool,
    upload: Option<Upload>,
    download: Option<Download>,
}
