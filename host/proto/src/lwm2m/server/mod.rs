//! The LwM2M server of one shard. `net::shard` of the gateway drives it; [`Endpoint`] below it does CoAP.
//!
//! What a client asks for (`uplink`; core 1.2.1 sections 6.2 and 6.4.6):
//!
//! 1. a Register, Update, De-register or Send is checked; what is wrong with it is answered at once;
//! 2. an event with a receipt tells the caller;
//! 3. [`settle`](Server::settle)d as accepted, it takes effect and is answered (`settle`). Refused, it never happened:
//!    the client gets no answer and sends it again.
//!
//! What a client is asked (`downlink`; sections 6.3 and 6.4):
//!
//! 1. a request waits in the client's queue ([`queue`](super::queue)) until it may go;
//! 2. [`operation`](super::operation) puts it into a message, which goes out;
//! 3. its answer, or that there is none, is an event. An observation goes on to tell notifications (`notify`).
//!
//! What of it survives a restart is in `snapshot`: a Register is answered only when it is kept, if anything is.
//!
//! Nothing that a datagram holds changes a registration other than the one whose location, endpoint name or token it
//! carries. Who may speak for one, and what becomes of it when a DTLS association begins, moves or ends, is in `identity`.

mod clients;
mod downlink;
mod event;
mod handover;
mod identity;
mod inspect;
mod location;
mod notify;
mod settle;
mod snapshot;
mod uplink;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::model::Models;
use super::registration::Registration;
use super::shared::Shared;
use crate::coap::endpoint::{self, Endpoint, ObservationId, RequestId};
use crate::coap::{Entropy, Peer};
use crate::time::Instant;
use clients::Clients;
use downlink::Exchange;
pub use event::{Asked, Content, End, Event, Failure, Output, Receipt, Refusal, Request, Settlement, Stage};
pub use handover::Handover;
use identity::Secured;
pub use inspect::{Facts, Observed, Queued};
pub use location::{shard_of_location, shard_of_token};
use notify::Observation;
use settle::{Unanswered, Unsettled};
pub use snapshot::{Change, Changes, Unrestored, Whereabouts};

/// Limits and times.
#[derive(Clone, Debug)]
pub struct Config {
    /// This shard's number: in the first byte of tokens and, encoded, in locations.
    pub shard: u8,
    /// A registration with a shorter lifetime lasts this long.
    pub lifetime_min: Duration,
    /// A registration with a longer lifetime, or one of 0, lasts this long.
    pub lifetime_max: Duration,
    /// Queue mode: how long after its last datagram a client counts as awake (core 1.2.1 section 6.5).
    pub awake_window: Duration,
    /// Requests that may wait for a client, and that may be open to it.
    pub max_queued: usize,
    /// Requests that may wait for a client that sleeps.
    pub max_queued_asleep: usize,
    /// Observations of a client; a request for another one fails.
    pub max_observations: usize,
    /// Bytes of the bodies that wait for a client, or are on their way to it.
    pub max_queued_bytes: usize,
    /// Bytes of the requests that wait for all clients, or are on their way: of their bodies, and half a kilobyte for each.
    pub max_queued_bytes_in_all: usize,
    /// Registrations; another one is answered 5.03.
    pub max_registrations: usize,
    /// Bytes of them; a Register or Update that goes beyond is answered 5.03.
    pub max_registration_bytes: usize,
    /// What has to survive a restart is told by [`Server::take_changes`], and Registers and De-registers are answered only once
    /// it has been [`Server::kept`].
    pub keep: bool,
    /// The types of resources, for writing values; [`Server::set_models`] brings later ones.
    pub models: Arc<Models>,
    /// The CoAP endpoint's; its `shard` is set to this one.
    pub coap: endpoint::Config,
}

impl Default for Config {
    /// Shard 0; lifetimes of 1 s to 24 h; awake for 93 s, that is `MAX_TRANSMIT_WAIT` (RFC 7252 section 4.8.2); 256
    /// requests waiting, 100 for a sleeper, with 16 MiB in their bodies, 256 MiB in all; 1,024 observations; a million registrations of 4 KiB each on average; nothing is kept; the
    /// built-in models.
    fn default() -> Self {
        Self {
            shard: 0,
            lifetime_min: Duration::from_secs(1),
            lifetime_max: Duration::from_secs(24 * 60 * 60),
            awake_window: Duration::from_secs(93),
            max_queued: 256,
            max_queued_asleep: 100,
            max_observations: 1_024,
            max_queued_bytes: 16 << 20,
            max_queued_bytes_in_all: 256 << 20,
            max_registrations: 1_000_000,
            max_registration_bytes: 1_000_000 * 4_096,
            keep: false,
            models: Arc::new(Models::built_in()),
            coap: endpoint::Config::default(),
        }
    }
}

/// What has happened since the start that no event tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Registers and Updates answered 4.00 or 4.12.
    pub rejected_registrations: u64,
    /// Registers answered 5.03: there are too many registrations.
    pub excess_registrations: u64,
    /// Registers and Updates answered 5.03: the registrations are too large together.
    pub excess_registration_bytes: u64,
    /// Updates and De-registers of a location that is not registered, answered 4.04.
    pub unknown_locations: u64,
    /// Registers over DTLS with another endpoint name than the association has proved, answered 4.00.
    pub wrong_identities: u64,
    /// Registers without DTLS of an endpoint that has to use it, answered 4.03.
    pub insecure_registrations: u64,
    /// Updates and De-registers of the registration of somebody else: it was made over DTLS, and they came without or over
    /// an association that has proved another endpoint. Answered 4.04, as if there were none.
    pub foreign_locations: u64,
    /// Sends from an address or an endpoint where nobody is registered, answered 4.04.
    pub unknown_senders: u64,
    /// Sends that could not be read, answered 4.00 or 4.15.
    pub rejected_sends: u64,
    /// Other requests that the server has no answer for: 4.00, 4.04, 4.05 and 5.01.
    pub unexpected_requests: u64,
    /// Registers and the like left unanswered since one of the same client was not settled yet.
    pub overlapping_registrations: u64,
    /// Notifications of a client that was there before the one whose registration stands: without DTLS, or gone.
    pub stray_notifications: u64,
    /// Clients that were found at another address, or on another DTLS association.
    pub moved: u64,
    /// Events settled as refused.
    pub refused: u64,
    /// Requests that found the queue full.
    pub queue_full: u64,
    /// Requests to observe more of a client that has too many observations.
    pub excess_observations: u64,
    /// Requests that were sent once more in another format, after a 4.06 or 4.15.
    pub fallbacks: u64,
    /// The CoAP endpoint's.
    pub coap: endpoint::Counters,
}

/// The LwM2M server of one shard.
#[derive(Debug)]
pub struct Server {
    config: Config,
    endpoint: Endpoint,
    entropy: SharedEntropy,
    clients: Clients,
    /// What registrations have alike.
    shared: Shared,
    secured: Secured,
    /// The first Registers that are not settled yet, by endpoint name.
    registering: HashMap<Arc<str>, Receipt>,
    /// Requests on their way to a client.
    exchanges: FxHashMap<RequestId, Exchange>,
    observations: FxHashMap<ObservationId, Observation>,
    unsettled: FxHashMap<Receipt, Unsettled>,
    /// Answers that wait until what they say is kept, with the turns in which it is told; in that order.
    unanswered: VecDeque<(u64, Unanswered)>,
    /// Of whom something has changed that is kept. See [`clients::Client::is_changed`].
    changed: Vec<Arc<str>>,
    /// How often changes were taken.
    turn: u64,
    /// The bytes of the requests that wait for clients, or are on their way.
    queued_bytes: usize,
    /// The last name given to a request, an observation or a receipt.
    last_name: u64,
    outputs: VecDeque<Output>,
    endpoint_timeout: Option<Instant>,
    counters: Counters,
}

impl Server {
    /// A server without any registration.
    pub fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        let mut entropy = SharedEntropy(Arc::new(Mutex::new(entropy)));
        let mut seed = [0; size_of::<usize>()];
        entropy.fill(&mut seed);
        config.coap.shard = config.shard;
        Self {
            endpoint: Endpoint::new(config.coap.clone(), Box::new(entropy.clone())),
            config,
            entropy,
            clients: Clients::new(usize::from_ne_bytes(seed)),
            shared: Shared::default(),
            secured: Secured::default(),
            registering: HashMap::new(),
            exchanges: FxHashMap::default(),
            observations: FxHashMap::default(),
            unsettled: FxHashMap::default(),
            unanswered: VecDeque::new(),
            changed: Vec::new(),
            turn: 0,
            queued_bytes: 0,
            last_name: 0,
            outputs: VecDeque::new(),
            endpoint_timeout: None,
            counters: Counters::default(),
        }
    }

    /// Take in a datagram. Of a peer with an association it is what was inside the record, and the address is where the
    /// association is now ([`associate`](Self::associate) says who it is). Poll the output afterwards.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        self.endpoint.handle_datagram(now, peer, datagram);
        // Whatever it is, its sender is awake. Nothing is sent before it has been dealt with: it may be a Register.
        let sender = self.clients.at_peer(peer);
        if let Some(key) = sender {
            self.move_to(now, key, peer);
            self.hear(now, key);
        }
        let unsettled = self.unsettled.len();
        self.absorb(now);
        // If its message still has to be answered, that comes first.
        if self.unsettled.len() > unsettled {
            return;
        }
        // It is at the address that it was at, most of the time.
        let is_there = |key: &usize| self.clients.get(*key).is_some_and(|it| it.registration.peer == peer);
        if let Some(key) = sender.filter(is_there).or_else(|| self.clients.at_peer(peer)) {
            self.drive(now, key);
            self.absorb(now);
        }
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.absorb(now);
        while let Some(key) = self.clients.take_due(now) {
            self.look_after(now, key);
        }
        self.absorb(now);
    }

    /// Perform an operation. Everything that becomes of it, also that it cannot be done, is an event; only a passive
    /// cancellation has none, since nothing is sent for it. Poll the output afterwards.
    pub fn perform(&mut self, now: Instant, request: Request) {
        self.submit(now, request);
        self.absorb(now);
    }

    /// Take other object definitions from now on, also for what waits already.
    pub fn set_models(&mut self, models: Arc<Models>) {
        self.config.models = models;
    }

    /// Say what became of an event. What its message asks for takes effect, and is answered, only if it was accepted.
    /// A receipt that has been settled before, or that is none, is without effect. Poll the output afterwards.
    pub fn settle(&mut self, now: Instant, receipt: Receipt, settlement: Settlement) {
        if let Some(unsettled) = self.unsettled.remove(&receipt) {
            match settlement {
                Settlement::Accepted => self.accept(now, unsettled),
                Settlement::Refused => self.refuse(now, unsettled),
                Settlement::Rejected { format } => self.reject(now, unsettled, format),
            }
        }
        self.absorb(now);
    }

    /// End a registration. Nothing is sent to the client; its next Update is answered 4.04. Poll the output afterwards.
    pub fn remove(&mut self, now: Instant, endpoint: &str) {
        if let Some(key) = self.clients.of_endpoint(endpoint) {
            self.end(key, End::Removed);
        }
        self.absorb(now);
    }

    /// The registration of an endpoint name.
    pub fn registration(&self, endpoint: &str) -> Option<&Arc<Registration>> {
        Some(&self.clients.get(self.clients.of_endpoint(endpoint)?)?.registration)
    }

    /// All registrations, in no particular order.
    pub fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.clients.iter().map(|client| &client.registration)
    }

    /// Whether a client is registered at this address.
    pub fn knows(&self, peer: Peer) -> bool {
        self.clients.at_peer(peer).is_some()
    }

    /// How many clients are registered.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether no client is registered.
    pub fn is_empty(&self) -> bool {
        self.clients.len() == 0
    }

    /// What has happened since the start that no event tells.
    pub fn counters(&self) -> Counters {
        Counters { coap: *self.endpoint.counters(), ..self.counters }
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let own = self.clients.next_due();
        Output::Timeout(own.into_iter().chain(self.endpoint_timeout).min())
    }

    /// Takes over what the endpoint has to say, in its order.
    fn absorb(&mut self, now: Instant) {
        loop {
            match self.endpoint.poll_output() {
                endpoint::Output::Transmit(transmit) => self.outputs.push_back(Output::Transmit(transmit)),
                endpoint::Output::Event(event) => self.take(now, event),
                endpoint::Output::Timeout(timeout) => {
                    self.endpoint_timeout = timeout;
                    return;
                }
            }
        }
    }

    fn take(&mut self, now: Instant, event: endpoint::Event) {
        match event {
            endpoint::Event::Request { peer, receipt, message } => {
                self.take_request(now, uplink::Asking { peer, receipt, message: &message });
            }
            endpoint::Event::Response { peer: _, id, delivery, message } => {
                self.take_response(now, id, delivery, message);
            }
            endpoint::Event::Transferred { id, done, total } => self.take_progress(id, done, total),
            endpoint::Event::FetchEnded { peer } => {
                if let Some(key) = self.clients.at_peer(peer) {
                    self.drive(now, key);
                }
            }
            endpoint::Event::Acknowledged { id } => self.take_acknowledgement(now, id),
            endpoint::Event::Failed { id, failure } => self.take_failure(now, id, failure),
            endpoint::Event::Notification { peer, id, delivery, receipt, message } => {
                self.take_notification(now, notify::Notification { peer, id, delivery, receipt, message });
            }
        }
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// A name for a request, an observation or a receipt, never given before.
    fn new_name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }
}

/// One source of random bytes for the server, which makes locations of them, and its endpoint, which makes tokens.
#[derive(Clone)]
struct SharedEntropy(Arc<Mutex<Box<dyn Entropy>>>);

impl Entropy for SharedEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        // Never contended, as both owners are in one server. There is no state that a panic could leave half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }
}

impl fmt::Debug for SharedEntropy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedEntropy")
    }
}
