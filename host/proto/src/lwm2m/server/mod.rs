//! The LwM2M server of one shard. `net::shard` drives it.
//!
//! What a client asks for ([`registering`], core 1.2.1 section 6.2 and 6.4.6):
//!
//! 1. a Register, Update, De-register or Send is checked; what is wrong is answered at once;
//! 2. an event tells the caller, with a receipt;
//! 3. settled as accepted, it takes effect and is answered; refused, it never happened, and the client sends it again.
//!
//! What is asked of a client ([`asking`], sections 6.3 to 6.5):
//!
//! 1. a request waits in the client's queue until the client is awake and has answered the one before;
//! 2. it is sent; an empty acknowledgement lets the next one go;
//! 3. its answer, or that there is none, is an event; an observe request goes on to tell notifications.

mod asking;
mod registering;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustc_hash::FxHashMap;
use slab::Slab;

use super::operation::{Operation, OperationName};
use super::path::Path;
use super::registration::Registration;
use crate::coap::endpoint::{self, Delivery, Endpoint, ObservationId, RequestId, Token};
use crate::coap::{Entropy, Peer, Transmit};
use crate::time::Instant;

/// Limits and times.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number: in the first byte of tokens and, encoded, in locations.
    pub shard: u8,
    /// A shorter lifetime counts as this.
    pub lifetime_min: Duration,
    /// A longer lifetime, or one of 0, counts as this.
    pub lifetime_max: Duration,
    /// Queue mode: how long after its last datagram a client counts as reachable (core 1.2.1 section 6.5).
    pub awake_window: Duration,
    /// Requests that may wait for one client.
    pub max_queued: usize,
    /// Registrations; one more is answered 5.03.
    pub max_registrations: usize,
    /// Limits of the CoAP endpoint; its `shard` is taken from here.
    pub coap: endpoint::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shard: 0,
            lifetime_min: Duration::from_secs(1),
            lifetime_max: Duration::from_secs(86_400),
            awake_window: Duration::from_secs(93),
            max_queued: 256,
            max_registrations: 1_000_000,
            coap: endpoint::Config::default(),
        }
    }
}

/// The LwM2M server of one shard.
#[derive(Debug)]
pub struct Server {
    config: Config,
    endpoint: Endpoint,
    /// Random bytes for locations.
    entropy: EntropySource,
    clients: Slab<Client>,
    by_endpoint: FxHashMap<Arc<str>, usize>,
    by_location: FxHashMap<Box<str>, usize>,
    by_peer: FxHashMap<Peer, usize>,
    in_flight: FxHashMap<RequestId, InFlight>,
    observed: FxHashMap<ObservationId, Observed>,
    unsettled: Slab<Unsettled>,
    /// When a client has to be looked at: its lifetime, or the deadline of a request that waits for it.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    next_id: u64,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// What the server turned down. Only ever counted up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Registers and Updates with something wrong in them.
    pub bad_registration: u64,
    /// Registers above the limit.
    pub registrations_full: u64,
    /// Requests to places that there are not.
    pub not_found: u64,
    /// Requests that found a client's queue full.
    pub queue_full: u64,
    /// Events that the caller had no room for.
    pub refused: u64,
}

/// An operation for a client.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub endpoint: Arc<str>,
    /// What.
    pub operation: Operation,
    /// Returned with every event of it and every notification of an observation it starts.
    pub context: Arc<str>,
    /// When it is not worth sending any more.
    pub deadline: Option<Instant>,
    /// Send it beside an unanswered one.
    pub urgent: bool,
}

/// Names an event whose message is answered only once the event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// What became of an event that carried a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Its publications are stored: answer the device.
    Accepted,
    /// No room: do not answer, the device will send it again.
    Refused,
}

/// A CoAP payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Content-Format.
    pub format: Option<u16>,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By the client.
    Deregistered,
    /// Lifetime passed.
    Expired,
    /// By the operator or the gateway.
    Removed,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a sleeping client.
    Queued,
    /// Sent.
    Transmitted,
    /// The client has it (empty acknowledgement).
    Acknowledged,
    /// Bytes done, bytes in all.
    Transferred(u64, u64),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Failure {
    Timeout,
    Reset,
    Unreachable,
    UnknownClient,
    Expired,
    QueueFull,
    Ended,
    Invalid(String),
}

/// What a request was, as its events tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which operation.
    pub operation: OperationName,
    /// Where; the root for composite operations.
    pub path: Path,
    /// As given with the request.
    pub context: Arc<str>,
}

/// What happened. An event with a receipt must be settled.
#[derive(Debug)]
#[allow(missing_docs)] // mirrors `wit/translator.wit`, interface events
pub enum Event {
    Registered {
        registration: Arc<Registration>,
        previous: Option<Arc<Registration>>,
        receipt: Receipt,
    },
    Updated {
        registration: Arc<Registration>,
        links_changed: bool,
        receipt: Receipt,
    },
    Ended {
        registration: Arc<Registration>,
        reason: End,
        receipt: Option<Receipt>,
    },
    Answered {
        registration: Arc<Registration>,
        asked: Asked,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Content,
        /// Location-Path, `/3303/1`.
        location: Option<String>,
    },
    Notified {
        registration: Arc<Registration>,
        asked: Asked,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Content,
        receipt: Option<Receipt>,
    },
    Sent {
        registration: Arc<Registration>,
        content: Content,
        receipt: Receipt,
    },
    Progressed {
        registration: Arc<Registration>,
        asked: Asked,
        stage: Stage,
    },
    /// `registration` is none for an unknown client.
    Failed {
        endpoint: Arc<str>,
        registration: Option<Arc<Registration>>,
        asked: Asked,
        failure: Failure,
    },
}

/// What the server wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more now; call `handle_timeout` at this time, if any.
    Timeout(Option<Instant>),
}

impl Server {
    /// A server without any registration.
    pub fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        config.coap.shard = config.shard;
        let source = EntropySource::new(entropy);
        Self {
            endpoint: Endpoint::new(config.coap.clone(), Box::new(source.clone())),
            entropy: source,
            config,
            clients: Slab::new(),
            by_endpoint: FxHashMap::default(),
            by_location: FxHashMap::default(),
            by_peer: FxHashMap::default(),
            in_flight: FxHashMap::default(),
            observed: FxHashMap::default(),
            unsettled: Slab::new(),
            timers: BinaryHeap::new(),
            next_id: 0,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Take in a datagram. Poll the output afterwards.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        self.endpoint.handle_datagram(now, peer, datagram);
        self.absorb(now);
        self.hear(now, peer);
        // Its message is answered before anything is asked of it.
        if self.unsettled.is_empty() {
            self.go_on(now, peer);
        }
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.absorb(now);
        while let Some(Reverse((at, key))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            self.look_at(now, at, key);
        }
    }

    /// Perform an operation. Everything that becomes of it, also that it cannot be done, is an event; only a passive
    /// cancellation has none, since nothing is sent. Poll the output afterwards.
    pub fn perform(&mut self, now: Instant, request: Request) {
        self.enqueue(now, request);
    }

    /// Say what became of an event. What the event's message asked for takes effect only if it was accepted. Poll the
    /// output afterwards.
    pub fn settle(&mut self, now: Instant, receipt: Receipt, settlement: Settlement) {
        let Some(unsettled) = usize::try_from(receipt.0).ok().and_then(|key| self.unsettled.try_remove(key))
        else {
            return;
        };
        match settlement {
            Settlement::Accepted => {
                let peer = unsettled.peer;
                self.apply(now, unsettled);
                self.go_on(now, peer);
            }
            Settlement::Refused => {
                self.counters.refused += 1;
                self.endpoint.refuse(unsettled.receipt);
            }
        }
        self.absorb(now);
    }

    /// End a registration.
    pub fn remove(&mut self, now: Instant, endpoint: &str) {
        if let Some(key) = self.by_endpoint.get(endpoint).copied() {
            self.end(now, key, End::Removed);
        }
    }

    /// The registration of an endpoint name.
    pub fn registration(&self, endpoint: &str) -> Option<&Arc<Registration>> {
        Some(&self.clients[*self.by_endpoint.get(endpoint)?].registration)
    }

    /// Whether a client is registered at this address.
    pub fn knows(&self, peer: Peer) -> bool {
        self.by_peer.contains_key(&peer)
    }

    /// How many clients are registered.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether no client is registered.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// What was turned down.
    pub fn counters(&self) -> (&Counters, &endpoint::Counters) {
        (&self.counters, self.endpoint.counters())
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let own = self.timers.peek().map(|Reverse((at, _))| *at);
        match self.endpoint.poll_output() {
            endpoint::Output::Timeout(next) => Output::Timeout(own.into_iter().chain(next).min()),
            endpoint::Output::Transmit(transmit) => Output::Transmit(transmit),
            // Events are absorbed as soon as they arise, by every function that may raise one.
            endpoint::Output::Event(event) => unreachable!("not absorbed: {event:?}"),
        }
    }

    /// Take over what the endpoint has to say.
    fn absorb(&mut self, now: Instant) {
        loop {
            match self.endpoint.poll_output() {
                endpoint::Output::Transmit(transmit) => self.outputs.push_back(Output::Transmit(transmit)),
                endpoint::Output::Event(event) => self.take(now, event),
                endpoint::Output::Timeout(_) => return,
            }
        }
    }

    fn take(&mut self, now: Instant, event: endpoint::Event) {
        match event {
            endpoint::Event::Request { peer, receipt, message } => self.take_request(peer, receipt, &message),
            endpoint::Event::Response { id, delivery, message, .. } => {
                self.take_response(now, id, delivery, message)
            }
            endpoint::Event::Acknowledged { id } => self.take_acknowledgement(now, id),
            endpoint::Event::Failed { id, failure } => self.take_failure(now, id, failure),
            endpoint::Event::Notification { peer, id, delivery, receipt, message } => {
                self.take_notification(peer, id, delivery, receipt, message);
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// The shard in a token of ours.
pub fn shard_of_token(token: &Token) -> Option<u8> {
    if let [shard, _, _, _, _, _, _, _] = token.as_bytes() { Some(*shard) } else { None }
}

/// The shard in the last segment of a location of ours.
pub fn shard_of_location(id: &str) -> Option<u8> {
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    (bytes.len() == LOCATION_BYTES).then(|| bytes[0])
}

/// A client that is registered.
#[derive(Debug)]
struct Client {
    registration: Arc<Registration>,
    /// Its last datagram.
    last_seen: Instant,
    /// When its lifetime is looked at next.
    armed: Option<Instant>,
    /// What was asked and is not answered, and holds back what waits (NSTART, RFC 7252 section 4.7).
    outstanding: Option<RequestId>,
    /// A client in queue mode that did not answer: what waits does so until it is heard again.
    is_silent: bool,
    waiting: VecDeque<Request>,
    /// What was asked and is not answered at all.
    open: Vec<RequestId>,
    /// Those that stand or have been asked for; some may be gone meanwhile.
    observations: Vec<ObservationId>,
}

/// A request that is on its way.
#[derive(Debug)]
struct InFlight {
    client: usize,
    asked: Asked,
    /// Set for an observe request.
    observation: Option<ObservationId>,
    /// Set for a cancellation: the observation that ends with its answer.
    cancels: Option<ObservationId>,
}

/// An observation that stands, or has been asked for.
#[derive(Debug)]
struct Observed {
    client: usize,
    asked: Asked,
    token: Token,
}

/// What an event's message asked for.
#[derive(Debug)]
struct Unsettled {
    peer: Peer,
    receipt: endpoint::Receipt,
    effect: Effect,
}

#[derive(Debug)]
enum Effect {
    Register(Arc<Registration>),
    Update(Arc<Registration>),
    Deregister(Arc<Registration>),
    Send,
    Acknowledge,
}

/// One source of random bytes for the server and its endpoint.
#[derive(Clone)]
struct EntropySource(Arc<Mutex<Box<dyn Entropy>>>);

impl EntropySource {
    fn new(entropy: Box<dyn Entropy>) -> Self {
        Self(Arc::new(Mutex::new(entropy)))
    }
}

impl Entropy for EntropySource {
    fn fill(&mut self, buffer: &mut [u8]) {
        // Both owners live in one server, so it is never contended; an entropy source has no state to break.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }
}

impl std::fmt::Debug for EntropySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntropySource")
    }
}

/// The shard and 72 random bits.
const LOCATION_BYTES: usize = 10;
