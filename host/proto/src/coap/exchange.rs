//! Requests of ours that are not answered yet: retransmission (RFC 7252 section 4.2) and the wait for a separate
//! response (section 5.2.2).
//!
//! 1. sent, confirmable; retransmitted at growing intervals;
//! 2. acknowledged: waits for the response;
//! 3. answered, reset or given up: removed here.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::endpoint::{ObservationId, RequestId};
use super::message::{Code, Message};
use super::peers::MessageKey;
use super::token::Token;
use super::{Peer, block, option};
use crate::time::Instant;

/// The open requests, found by what an answer may carry.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    open: FxHashMap<u64, Exchange>,
    by_mid: FxHashMap<MessageKey, u64>,
    by_token: FxHashMap<Token, u64>,
    by_id: FxHashMap<RequestId, u64>,
    next_serial: u64,
}

/// One open request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) purpose: Purpose,
    pub(super) peer: Peer,
    pub(super) key: MessageKey,
    pub(super) token: Token,
    /// The token of its first message, which an observation is known by.
    pub(super) first_token: Token,
    /// The request without what changes from block to block; its payload is the whole body.
    pub(super) request: Message,
    pub(super) upload: Option<block::Upload>,
    pub(super) download: Option<Box<block::Download>>,
    pub(super) transmission: Transmission,
    /// The peer is busy with it: it has not even acknowledged it.
    pub(super) is_pressing: bool,
    /// The caller knows that the peer has the request.
    pub(super) acknowledgement_told: bool,
    /// The bytes of its body, or its response's, that the caller knows to be over.
    pub(super) progress_told: usize,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The caller's.
    Request {
        id: RequestId,
        /// What it asks to observe.
        observation: Option<ObservationId>,
        /// The token of that observation until this one is answered.
        previous: Option<Token>,
        /// Set if a failure ends the observation, because it stands on nothing but this request.
        first: bool,
    },
    /// The rest of a notification's body.
    Notification(ObservationId),
}

impl Purpose {
    /// Whether it fetches the rest of a notification.
    pub(super) const fn is_fetch(self) -> bool {
        matches!(self, Self::Notification(_))
    }
}

/// One confirmable message on its way.
#[derive(Debug)]
pub(super) struct Transmission {
    pub(super) datagram: Vec<u8>,
    sent: Instant,
    timeout: Duration,
    retransmissions: u32,
    acknowledged: bool,
    /// When something is due.
    pub(super) due: Instant,
}

/// What is due with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Retransmission,
    GivingUp,
}

impl Exchange {
    /// Whether the peer wants the request once more with the value of its Echo option, to see that it is fresh (RFC 9175
    /// section 2.3); then the request has it now, and goes out from its first block on.
    pub(super) fn has_to_echo(&mut self, response: &Message, exponent: u8) -> bool {
        let Some(value) = response.echo().filter(|_| response.code() == Code::UNAUTHORIZED) else {
            return false;
        };
        // Once: who is not content with that never will be. What is fetched of a response has been let through.
        if self.request.echo().is_some() || self.download.is_some() {
            return false;
        }
        let request = std::mem::replace(&mut self.request, Message::request(Code::EMPTY));
        self.request = request.with_option(option::ECHO, value.to_vec());
        self.upload = block::Upload::new(self.request.payload().len(), exponent);
        true
    }
}

impl Transmission {
    /// Starts the clock for a datagram that is sent now; `spread` spreads first timeouts over ACK_TIMEOUT to
    /// ACK_TIMEOUT * ACK_RANDOM_FACTOR.
    pub(super) fn new(datagram: Vec<u8>, now: Instant, spread: u16) -> Self {
        let timeout = ACK_TIMEOUT + (ACK_TIMEOUT / 2).mul_f64(f64::from(spread) / f64::from(u16::MAX));
        Self { datagram, sent: now, timeout, retransmissions: 0, acknowledged: false, due: now + timeout }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Due {
        if self.acknowledged || self.retransmissions == MAX_RETRANSMIT {
            return Due::GivingUp;
        }
        self.retransmissions += 1;
        self.timeout *= 2;
        self.due = now + self.timeout;
        Due::Retransmission
    }

    /// An empty acknowledgement came. False if one came before.
    pub(super) fn acknowledge(&mut self, response_wait: Duration) -> bool {
        let first = !self.acknowledged;
        self.acknowledged = true;
        self.due = self.sent + response_wait;
        first
    }
}

impl Exchanges {
    pub(super) fn insert(&mut self, exchange: Exchange) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.link(serial, &exchange);
        self.open.insert(serial, exchange);
        serial
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Exchange> {
        self.open.get(&serial)
    }

    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Exchange> {
        self.open.get_mut(&serial)
    }

    pub(super) fn by_mid(&self, key: MessageKey) -> Option<u64> {
        self.by_mid.get(&key).copied()
    }

    /// The one that waits for an answer with this token. Of several with the same token it is the last; the others
    /// are found by their message ids.
    pub(super) fn by_token(&self, token: Token) -> Option<u64> {
        self.by_token.get(&token).copied()
    }

    pub(super) fn by_id(&self, id: RequestId) -> Option<u64> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn remove(&mut self, serial: u64) -> Option<Exchange> {
        let exchange = self.open.remove(&serial)?;
        self.unlink(serial, &exchange);
        Some(exchange)
    }

    /// Changes what an exchange is found by.
    pub(super) fn rename(&mut self, serial: u64, key: MessageKey, token: Token) {
        if let Some(mut exchange) = self.remove(serial) {
            (exchange.key, exchange.token) = (key, token);
            self.link(serial, &exchange);
            self.open.insert(serial, exchange);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn link(&mut self, serial: u64, exchange: &Exchange) {
        self.by_mid.insert(exchange.key, serial);
        self.by_token.insert(exchange.token, serial);
        if let Purpose::Request { id, .. } = exchange.purpose {
            self.by_id.insert(id, serial);
        }
    }

    fn unlink(&mut self, serial: u64, exchange: &Exchange) {
        self.by_mid.retain_other(&exchange.key, serial);
        self.by_token.retain_other(&exchange.token, serial);
        if let Purpose::Request { id, .. } = exchange.purpose {
            self.by_id.retain_other(&id, serial);
        }
    }
}

/// Removal from an index in which a later exchange may have taken the place.
trait RetainOther<K> {
    fn retain_other(&mut self, key: &K, serial: u64);
}

impl<K: Eq + std::hash::Hash> RetainOther<K> for FxHashMap<K, u64> {
    fn retain_other(&mut self, key: &K, serial: u64) {
        if self.get(key) == Some(&serial) {
            self.remove(key);
        }
    }
}

const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_RETRANSMIT: u32 = 4;
