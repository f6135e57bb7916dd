//! One CoAP endpoint: every peer of one shard, both roles.
//!
//! A datagram's way: read (`message`), sorted out if it is a duplicate (`deduplication`), then
//! * a request: its body is put together (`block`) and it becomes an event (`incoming`);
//! * a response: it is matched with what was asked (`exchange`) or observed (`observe`), more blocks are fetched
//!   (`block`), and it becomes an event (`answer`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::block::{Limits, Transfers};
use super::deduplication::Deduplication;
use super::exchange::Exchanges;
use super::message::Message;
pub use super::observe::Observation;
use super::observe::Observations;
use super::peers::Peers;
pub use super::token::Token;
use super::volume::Volume;
use super::{Entropy, Peer, Transmit};
use crate::time::Instant;
pub use config::{Config, Counters};
use outgoing::Draft;
use receipt::Receipts;

mod answer;
mod config;
mod incoming;
mod outgoing;
mod receipt;
mod timer;

/// One CoAP endpoint.
pub struct Endpoint {
    config: Config,
    entropy: Box<dyn Entropy>,
    counters: Counters,
    peers: Peers,
    deduplication: Deduplication,
    exchanges: Exchanges,
    observations: Observations,
    transfers: Transfers,
    downloads: Volume,
    receipts: Receipts,
    /// Notifications whose rest is fetched once their peer has nothing else to answer, by its number.
    unfetched: FxHashMap<u32, VecDeque<Draft>>,
    timers: BinaryHeap<Reverse<(Instant, timer::Timer)>>,
    /// With more timers than this, those that mean nothing any more are taken out.
    crowded_timers: usize,
    /// When it was called last.
    now: Instant,
    output: VecDeque<Output>,
}

/// Names a request that this endpoint has sent; chosen by the caller, returned with every event of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Names an observation; chosen by the caller when it asks, returned with every notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationId(pub u64);

/// Names a received confirmable or non-confirmable message that still has to be settled: a request to be
/// answered, or a notification to be acknowledged or refused.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// The response came in blocks that do not make a whole.
    Incomplete,
    /// The response is larger than a body may be, or than all bodies together may be.
    TooLarge,
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
    /// The response to a request of ours, complete. An exchange with an acknowledgement pending has been acknowledged.
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
    /// A part of a large body is over. Told now and then, not for every block.
    Transferred {
        /// The request.
        id: RequestId,
        /// Bytes that are over.
        done: usize,
        /// Bytes in all; of a response whose length the peer does not say (Size2), those that are over.
        total: usize,
    },
    /// The rest of a notification will not come, or its peer will send it later (empty acknowledgement): the peer can be
    /// asked something else.
    FetchEnded {
        /// Who notified.
        peer: Peer,
    },
    /// A request of ours came to nothing.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// A fresh notification; an error code ends the observation, whose token is forgotten. If confirmable, the caller must call [`Endpoint::acknowledge`] or [`Endpoint::refuse`]
    /// with the receipt; refused means: not acknowledged and forgotten, so that the peer sends it again.
    Notification {
        /// Who notifies, maybe from a new address.
        peer: Peer,
        /// The observation.
        id: ObservationId,
        /// How it came.
        delivery: Delivery,
        /// Set for a confirmable one that fits into one datagram. One that comes in blocks has been acknowledged with
        /// the first: its peer sends the rest only on request, and may wait for the acknowledgement before it does.
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
    /// Set on an observe request: later messages with its token are notifications of this observation, until
    /// [`Endpoint::forget_observation`], an error code, or a failure of the request that established it. The token of
    /// an observation that is asked for again stays valid until the new request is answered.
    pub observation: Option<ObservationId>,
    /// Use this token instead of a new one (a cancel repeats its observation's, RFC 7641 section 3.6).
    pub token: Option<Token>,
}

impl Endpoint {
    /// An endpoint without any state.
    pub fn new(config: Config, mut entropy: Box<dyn Entropy>) -> Self {
        let limits = Limits {
            transfers: config.transfers,
            transfers_per_peer: config.transfers_per_peer,
            body: config.body,
            bodies: config.transfer_bytes,
            exponent: config.exponent(None),
        };
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        Self {
            peers: Peers::new(u64::from_ne_bytes(seed) as usize),
            deduplication: Deduplication::new(config.remembered, config.remembered_per_peer),
            transfers: Transfers::new(limits),
            downloads: Volume::new(config.transfer_bytes, config.download_bytes_per_peer),
            config,
            entropy,
            counters: Counters::default(),
            exchanges: Exchanges::default(),
            observations: Observations::default(),
            receipts: Receipts::default(),
            unfetched: FxHashMap::default(),
            timers: BinaryHeap::new(),
            crowded_timers: 0,
            now: Instant::from_micros(0),
            output: VecDeque::new(),
        }
    }

    /// Take in a datagram. Poll the output afterwards.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        self.now = now;
        self.counters.received += 1;
        match Message::parse(datagram) {
            Ok(message) => self.handle_message(now, peer, datagram, message),
            Err(malformed) => {
                self.counters.count_malformed(malformed.reason);
                if let Some(mid) = malformed.confirmable {
                    self.send_reset(peer, mid);
                }
            }
        }
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.fire_timers(now);
    }

    /// An association has proved to be somebody: to be called before its first datagram. Its observations are those of
    /// its principal, and a notification is taken on any association of the same one.
    pub fn associate(&mut self, association: u64, principal: Arc<str>) {
        if association != 0 {
            self.peers.associate(association, principal);
        }
    }

    /// An association carries messages of at most so many bytes: bodies go to it, and are asked of it, in blocks that fit.
    /// Without effect if it is not known.
    pub fn limit(&mut self, association: u64, max_message: usize) {
        self.peers.limit(association, max_message);
    }

    /// An association has ended. Returns whom it had proved to be, if it had. Its requests go on until they are
    /// abandoned.
    pub fn dissociate(&mut self, association: u64) -> Option<Arc<str>> {
        self.peers.dissociate(association)
    }

    /// Whom the peer's association has proved to be.
    pub fn principal(&self, peer: Peer) -> Option<&Arc<str>> {
        self.peers.principal(peer)
    }

    /// Whether the peer's association is there. One without an association always is.
    pub fn is_reachable(&self, peer: Peer) -> bool {
        !peer.is_secure() || self.principal(peer).is_some()
    }

    /// Send a confirmable request; a body larger than a block goes out block by block. It ends in one
    /// [`Event::Response`] or [`Event::Failed`]. Poll the output afterwards. Returns the token that was used.
    pub fn request(&mut self, now: Instant, peer: Peer, request: Request) -> Token {
        self.now = now;
        self.start_request(now, peer, request)
    }

    /// Answer a request: piggybacked if it was confirmable, non-confirmable otherwise; cached for duplicates.
    /// The response's code, options and payload count. Poll the output afterwards.
    ///
    /// Without effect if the receipt has been settled or is older than 247 s: then the client has given up.
    pub fn respond(&mut self, now: Instant, receipt: Receipt, response: Message) {
        self.settle_request(now, receipt, response);
    }

    /// Acknowledge a confirmable notification. Poll the output afterwards.
    pub fn acknowledge(&mut self, _now: Instant, receipt: Receipt) {
        self.settle_notification(receipt);
    }

    /// Do not answer and forget that it came, so that a retransmission is taken as new.
    pub fn refuse(&mut self, _now: Instant, receipt: Receipt) {
        self.settle_refused(receipt);
    }

    /// Give up a request without an event.
    pub fn abandon(&mut self, id: RequestId) {
        if let Some(exchange) = self.exchanges.by_id(id).and_then(|serial| self.close(serial)) {
            self.withdraw_observation(exchange.purpose, exchange.first_token);
        }
    }

    /// Take up an observation that is known from before (restart), or that moved here.
    ///
    /// A notification on its token is delivered whichever address it comes from, over DTLS if the peer has an
    /// association, and then of the same principal. One that comes in blocks can be completed
    /// only if [`Self::restore_observation_request`] says how to ask for the rest.
    pub fn restore_observation(&mut self, id: ObservationId, peer: Peer, token: Token) {
        let owner = self.owner(peer);
        if let Some(previous) = self.observations.insert(id, token, owner, None) {
            self.observations.remove_token(previous);
        }
    }

    /// Tell the request by which a restored observation was asked for, to fetch notifications that come in blocks.
    pub fn restore_observation_request(&mut self, id: ObservationId, request: &Message) {
        self.observations.set_request(id, request);
    }

    /// Forget an observation: a later notification on its token is answered with a reset.
    pub fn forget_observation(&mut self, id: ObservationId) {
        let fetch = self.observations.remove(id).and_then(|observation| observation.fetch);
        if let Some(exchange) = fetch.and_then(|serial| self.close(serial)) {
            self.emit(Event::FetchEnded { peer: exchange.peer });
        }
    }

    /// Give up fetching the rest of this peer's notifications, of these observations and what waits to be fetched: its
    /// association has ended. Poll the output afterwards.
    pub fn end_fetches(&mut self, peer: Peer, observations: &[ObservationId]) {
        if let Some(waiting) = self.peers.number_of(peer).and_then(|number| self.unfetched.remove(&number)) {
            self.counters.incomplete_notifications += waiting.len() as u64;
        }
        for id in observations {
            let fetch = self.observations.by_id(*id).and_then(|observation| observation.fetch);
            if let Some(serial) = fetch.filter(|serial| self.is_with(*serial, peer)) {
                self.fail(serial, Failure::Timeout);
            }
        }
    }

    /// Whose an observation is that is asked of this peer.
    fn owner(&self, peer: Peer) -> Option<Arc<str>> {
        self.principal(peer).cloned()
    }

    /// Whether a token stands for an observation of this peer's. One that was asked for over DTLS is worth nothing without
    /// it, nor to another principal, and the other way round (RFC 7252 section 9.1.1).
    fn observes(&mut self, peer: Peer, token: Token) -> bool {
        let Self { observations, peers, .. } = self;
        let principal = peers.principal(peer);
        let is_known = !peer.is_secure() || principal.is_some();
        is_known && observations.by_token(token).is_some_and(|it| it.owner.as_ref() == principal)
    }

    fn is_with(&self, serial: u64, peer: Peer) -> bool {
        self.exchanges.get(serial).is_some_and(|exchange| exchange.peer == peer)
    }

    /// Forget an observation that goes on at another endpoint, of another shard. None if it is not known.
    pub fn hand_over_observation(&mut self, id: ObservationId) -> Option<Observation> {
        let observation = self.observations.remove(id)?;
        if let Some(serial) = observation.fetch
            && let Some(exchange) = self.close(serial)
        {
            self.emit(Event::FetchEnded { peer: exchange.peer });
        }
        Some(observation)
    }

    /// What is known of an observation.
    pub fn observation(&self, id: ObservationId) -> Option<&Observation> {
        self.observations.get(id)
    }

    /// Go on with an observation of another endpoint, or of before a restart. Its token tells the other shard; notifications by it are taken.
    pub fn take_over_observation(&mut self, id: ObservationId, token: Token, observation: Observation) {
        self.observations.adopt(id, token, observation);
    }

    /// Whether the rest of a notification of this peer is being fetched. Some clients answer nothing else meanwhile, so
    /// other requests should wait for the notification, or for [`Event::FetchEnded`].
    pub fn is_fetching(&self, peer: Peer) -> bool {
        self.peers.known(peer).is_some_and(|state| state.fetches > 0)
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        self.output.pop_front().unwrap_or_else(|| Output::Timeout(self.next_timeout()))
    }

    /// What has happened since the start that no event tells.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much it remembers.
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            peers: self.peers.len(),
            remembered: self.deduplication.len(),
            exchanges: self.exchanges.len(),
            observations: self.observations.len(),
            transfers: self.transfers.len(),
            receipts: self.receipts.len(),
            download_bytes: self.downloads.total(),
        }
    }
}

/// How much an endpoint remembers, for gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
#[non_exhaustive]
pub struct Occupancy {
    pub peers: usize,
    pub remembered: usize,
    pub exchanges: usize,
    pub observations: usize,
    pub transfers: usize,
    pub receipts: usize,
    pub download_bytes: usize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("occupancy", &self.occupancy()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
