//! One CoAP endpoint: every peer of one shard, both roles. `lwm2m::server` drives it.
//!
//! Incoming, in this order ([`incoming`]):
//!
//! 1. parse; what is malformed is counted, and reset if it is confirmable (RFC 7252 section 4.2);
//! 2. a request: duplicate? (4.5), unknown critical option? (5.4.1), block? (RFC 7959) – then an [`Event::Request`];
//! 3. a response: by message id and token to its exchange, or by token to its observation, else reset;
//! 4. an empty acknowledgement or reset: to its exchange.
//!
//! Outgoing ([`outgoing`]): requests are sent, sent again, given up; answers are kept for duplicates.

mod incoming;
mod outgoing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use slab::Slab;

use super::block::Assemblies;
use super::exchange::{Exchanges, Received};
pub use super::message::Token;
use super::message::{Block, Message, MessageKind};
use super::observe::Observations;
use super::{Entropy, Peer, Transmit};
use crate::time::Instant;

/// Limits. The times of RFC 7252 section 4.8 are fixed.
#[derive(Clone, Debug)]
pub struct Config {
    /// First byte of every token, so that a datagram finds the shard that asked.
    pub shard: u8,
    /// How many received messages are remembered in all, to answer duplicates alike.
    pub max_received: usize,
    /// Largest body, in bytes, that is joined from blocks.
    pub max_body: usize,
    /// How many incoming block-wise transfers may be open at once.
    pub max_transfers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { shard: 0, max_received: 262_144, max_body: 1 << 20, max_transfers: 1_024 }
    }
}

/// One CoAP endpoint.
pub struct Endpoint {
    config: Config,
    entropy: Box<dyn Entropy>,
    next_mid: u16,
    received: Received,
    exchanges: Exchanges,
    observations: Observations,
    assemblies: Assemblies,
    unsettled: Slab<Unsettled>,
    /// When an exchange has to be looked at; an entry whose exchange is gone or due later is void.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// Names a request that this endpoint has sent; chosen by the caller, returned with every event of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Names an observation; chosen by the caller when it asks, returned with every notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationId(pub u64);

/// Names a received message that still has to be settled: a request to be answered, or a notification to be
/// acknowledged or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// What the endpoint wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more now; call `handle_timeout` at this time, if any.
    Timeout(Option<Instant>),
}

/// How a response came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In the acknowledgement of the request.
    Piggybacked,
    /// Separately, confirmable.
    Confirmable,
    /// Separately, non-confirmable.
    NonConfirmable,
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer after all retransmissions, or none in time after an empty acknowledgement.
    Timeout,
    /// The peer answered with a reset.
    Reset,
    /// The answer came in blocks that do not fit together, or is larger than is taken.
    Incomplete,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A request that is complete (block-wise bodies joined) and new (duplicates are dealt with inside).
    /// The caller must call [`Endpoint::respond`] or [`Endpoint::refuse`] once with the receipt.
    Request {
        /// Who asks.
        peer: Peer,
        /// To answer it with.
        receipt: Receipt,
        /// The request.
        message: Message,
    },
    /// The response to a request of ours, complete, and acknowledged if it was confirmable.
    Response {
        /// Who answers.
        peer: Peer,
        /// The request.
        id: RequestId,
        /// How it came.
        delivery: Delivery,
        /// The response.
        message: Message,
    },
    /// The peer has a request of ours and will answer later (empty acknowledgement).
    Acknowledged {
        /// The request.
        id: RequestId,
    },
    /// A request of ours came to nothing.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// A fresh notification. With a receipt, the caller must call [`Endpoint::acknowledge`] or [`Endpoint::refuse`];
    /// refused means: not acknowledged and forgotten, so that it is new when the peer sends it again.
    /// An error code means that the observation has ended; it is forgotten here.
    Notification {
        /// Who notifies, maybe from a new address.
        peer: Peer,
        /// The observation.
        id: ObservationId,
        /// How it came.
        delivery: Delivery,
        /// Set for a confirmable one.
        receipt: Option<Receipt>,
        /// The notification.
        message: Message,
    },
}

/// A request to be sent.
#[derive(Debug)]
pub struct Request {
    /// The caller's name for it.
    pub id: RequestId,
    /// Code, options and payload; type, message id and token are the endpoint's business.
    pub message: Message,
    /// Set on an observe request: the response and later notifications belong to it.
    pub observation: Option<ObservationId>,
    /// Use this token instead of a new one (a cancel repeats its observation's, RFC 7641 section 3.6).
    pub token: Option<Token>,
}

/// What was dropped and why, and what went wrong on the way. Only ever counted up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that are no CoAP message.
    pub malformed: u64,
    /// Requests answered 4.02, responses rejected for an option.
    pub unknown_option: u64,
    /// Messages that came again.
    pub duplicate: u64,
    /// Notifications older than one that came before.
    pub stale: u64,
    /// Responses that nobody asked for.
    pub unmatched: u64,
    /// Messages that were sent again.
    pub retransmitted: u64,
    /// Requests that were given up.
    pub timed_out: u64,
    /// Messages the caller had no room for.
    pub refused: u64,
}

/// What an answer needs to know of its request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: Peer,
    kind: MessageKind,
    mid: u16,
    token: Token,
}

/// A message that the caller has not settled yet.
#[derive(Debug)]
enum Unsettled {
    Request { asked: Asked, block: Option<Block> },
    Notification { peer: Peer, mid: u16, id: ObservationId },
}

impl Endpoint {
    /// An endpoint without any state.
    pub fn new(config: Config, mut entropy: Box<dyn Entropy>) -> Self {
        let mut mid = [0; 2];
        entropy.fill(&mut mid);
        Self {
            received: Received::new(config.max_received),
            assemblies: Assemblies::new(config.max_body, config.max_transfers),
            config,
            entropy,
            next_mid: u16::from_be_bytes(mid),
            exchanges: Exchanges::default(),
            observations: Observations::default(),
            unsettled: Slab::new(),
            timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Take in a datagram. Poll the output afterwards.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        self.take_in(now, peer, datagram);
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.received.expire(now);
        self.assemblies.expire(now);
        while let Some(Reverse((at, key))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            self.wake(now, key);
        }
    }

    /// Send a confirmable request. Poll the output afterwards. Returns the token that was used.
    pub fn request(&mut self, now: Instant, peer: Peer, request: Request) -> Token {
        self.begin(now, peer, request)
    }

    /// Answer a request: piggybacked if it was confirmable, non-confirmable otherwise; kept for duplicates.
    /// The response's code, options and payload count. Poll the output afterwards.
    pub fn respond(&mut self, receipt: Receipt, response: Message) {
        let Some(Unsettled::Request { asked, block }) = self.settle(receipt) else { return };
        self.answer(&asked, block, response);
    }

    /// Acknowledge a confirmable notification. Poll the output afterwards.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        let Some(Unsettled::Notification { peer, mid, id }) = self.settle(receipt) else { return };
        if let Some(observation) = self.observations.by_id(id) {
            observation.settle(mid);
        }
        self.send_empty(peer, MessageKind::Acknowledgement, mid);
    }

    /// Do not answer, and forget that it came, so that it is new when it comes again.
    pub fn refuse(&mut self, receipt: Receipt) {
        self.counters.refused += 1;
        match self.settle(receipt) {
            Some(Unsettled::Request { asked, .. }) => self.received.forget(asked.peer, asked.mid),
            Some(Unsettled::Notification { id, mid, .. }) => {
                if let Some(observation) = self.observations.by_id(id) {
                    observation.forget(mid);
                }
            }
            None => {}
        }
    }

    /// Give up a request without an event.
    pub fn abandon(&mut self, id: RequestId) {
        if let Some(key) = self.exchanges.by_id(id) {
            self.exchanges.remove(key);
        }
    }

    /// Take up an observation that is known from before (restart), or that moved here.
    pub fn restore_observation(&mut self, id: ObservationId, peer: Peer, token: Token) {
        self.observations.insert(id, peer, token, None);
    }

    /// Forget an observation: a later notification on its token is answered with a reset.
    pub fn forget_observation(&mut self, id: ObservationId) {
        self.observations.remove(id);
    }

    /// What was dropped, and why.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let timers = self.timers.peek().map(|Reverse((at, _))| *at);
        let next =
            [timers, self.received.next_expiry(), self.assemblies.next_expiry()].into_iter().flatten().min();
        Output::Timeout(next)
    }

    fn settle(&mut self, receipt: Receipt) -> Option<Unsettled> {
        self.unsettled.try_remove(usize::try_from(receipt.0).ok()?)
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn transmit(&mut self, peer: Peer, payload: Vec<u8>) {
        self.outputs.push_back(Output::Transmit(Transmit { peer, payload }));
    }

    fn send_empty(&mut self, peer: Peer, kind: MessageKind, mid: u16) {
        self.transmit(peer, Message::empty(kind, mid).to_bytes());
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("config", &self.config)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
