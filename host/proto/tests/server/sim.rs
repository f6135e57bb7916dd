//! A world of one server, its caller and its clients.
//!
//! The caller settles every event at once, as the gateway does, unless told otherwise. Clients are what their datagrams
//! are: [`Device`] makes them, with an encoder of its own, and [`World::received`] hands over what came back.

#![allow(dead_code)] // each test binary uses a part of it

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::lwm2m::operation::{Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Output, Receipt, Request, Server, Settlement};
use tidegate_proto::time::Instant;

pub(crate) const OBSERVE: u16 = 6;
pub(crate) const LOCATION_PATH: u16 = 8;
pub(crate) const URI_PATH: u16 = 11;
pub(crate) const CONTENT_FORMAT: u16 = 12;
pub(crate) const URI_QUERY: u16 = 15;
pub(crate) const BLOCK1: u16 = 27;

/// What the caller does with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Accept,
    Refuse,
    /// The test settles them itself.
    Leave,
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) now: Instant,
    pub(crate) policy: Policy,
    events: VecDeque<Event>,
    inboxes: HashMap<Peer, VecDeque<(Peer, Vec<u8>)>>,
    timeout: Option<Instant>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::seeded(config, 1)
    }

    pub(crate) fn seeded(config: Config, seed: u64) -> Self {
        Self {
            server: Server::new(config, Box::new(Random(seed))),
            now: Instant::from_micros(1_000_000_000),
            policy: Policy::Accept,
            events: VecDeque::new(),
            inboxes: HashMap::new(),
            timeout: None,
        }
    }

    /// A datagram arrives.
    pub(crate) fn send(&mut self, from: Peer, datagram: &[u8]) {
        self.server.handle_datagram(self.now, from, datagram);
        self.pump();
    }

    /// A datagram arrives, and the one that answers it is taken.
    pub(crate) fn exchange(&mut self, from: Peer, datagram: &[u8]) -> Message {
        self.send(from, datagram);
        self.received(from).expect("an answer")
    }

    /// The next datagram that was sent to a peer.
    pub(crate) fn received(&mut self, peer: Peer) -> Option<Message> {
        Some(self.received_where(peer)?.1)
    }

    /// The same, and where it was sent: an association may have moved.
    pub(crate) fn received_where(&mut self, peer: Peer) -> Option<(SocketAddr, Message)> {
        let (to, datagram) = self.inboxes.get_mut(&peer)?.pop_front()?;
        Some((to.address, Message::parse(&datagram).expect("the server sends CoAP")))
    }

    /// All that was sent since the last call, to anyone.
    pub(crate) fn take_sent(&mut self) -> Vec<(Peer, Vec<u8>)> {
        self.inboxes.drain().flat_map(|(_, all)| all).collect()
    }

    /// Nothing was sent to the peer that was not taken.
    #[track_caller]
    pub(crate) fn assert_silence(&mut self, peer: Peer) {
        let message = self.received(peer);
        assert!(message.is_none(), "unexpected: {message:?}");
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("an event")
    }

    /// All events that were not taken.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn assert_uneventful(&self) {
        assert!(self.events.is_empty(), "unexpected: {:?}", self.events);
    }

    pub(crate) fn perform(&mut self, request: Request) {
        self.server.perform(self.now, request);
        self.pump();
    }

    pub(crate) fn settle(&mut self, receipt: Receipt, settlement: Settlement) {
        self.server.settle(self.now, receipt, settlement);
        self.pump();
    }

    /// An association begins, with a handshake that proved this endpoint name.
    pub(crate) fn associate(&mut self, peer: Peer, endpoint: &str) {
        self.server.associate(self.now, peer, endpoint.into());
        self.pump();
    }

    /// An association ends.
    pub(crate) fn dissociate(&mut self, association: u64) {
        self.server.dissociate(self.now, association);
        self.pump();
    }

    /// A registration goes to the server of another shard.
    pub(crate) fn hand_over(&mut self, endpoint: &str, to: &mut Self) -> bool {
        let handover = self.server.hand_over(self.now, endpoint);
        self.pump();
        let is_there = handover.is_some();
        if let Some(handover) = handover {
            to.server.take_over(to.now, handover);
            to.pump();
        }
        is_there
    }

    /// These endpoints must not register without DTLS.
    pub(crate) fn secure(&mut self, endpoints: &'static [&'static str]) {
        self.server.set_secured(Arc::new(|endpoint| endpoints.contains(&endpoint)));
        self.pump();
    }

    pub(crate) fn remove(&mut self, endpoint: &str) {
        self.server.remove(self.now, endpoint);
        self.pump();
    }

    /// Lets time pass, stopping wherever the server wants to be called.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.timeout.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    pub(crate) fn pump(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(transmit) => {
                    let inbox = self.inboxes.entry(transmit.peer).or_default();
                    inbox.push_back((transmit.peer, transmit.payload));
                }
                Output::Event(event) => {
                    let settlement = match self.policy {
                        Policy::Accept => Some(Settlement::Accepted),
                        Policy::Refuse => Some(Settlement::Refused),
                        Policy::Leave => None,
                    };
                    if let (Some(receipt), Some(settlement)) = (receipt(&event), settlement) {
                        self.server.settle(self.now, receipt, settlement);
                    }
                    self.events.push_back(event);
                }
                Output::Timeout(timeout) => {
                    assert!(timeout.is_none_or(|at| at > self.now), "wants to be called in the past");
                    self.timeout = timeout;
                    return;
                }
            }
        }
    }
}

pub(crate) fn receipt(event: &Event) -> Option<Receipt> {
    match event {
        Event::Registered { receipt, .. } | Event::Updated { receipt, .. } | Event::Sent { receipt, .. } => {
            Some(*receipt)
        }
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => *receipt,
        Event::Answered { .. } | Event::Progressed { .. } | Event::Failed { .. } | Event::Refused { .. } => {
            None
        }
    }
}

/// A client that says what the test wants.
pub(crate) struct Device {
    pub(crate) peer: Peer,
    pub(crate) endpoint: String,
    /// Behind `/rd/`, once registered.
    pub(crate) location: String,
    mid: u16,
}

impl Device {
    pub(crate) fn new(endpoint: &str, port: u16) -> Self {
        let address = format!("192.0.2.1:{port}").parse().expect("an address");
        Self { peer: Peer::plain(address), endpoint: endpoint.to_owned(), location: String::new(), mid: port }
    }

    /// A client on this association, which has proved its endpoint name.
    pub(crate) fn associated(endpoint: &str, association: u64, world: &mut World) -> Self {
        let mut device = Self::new(endpoint, 5684);
        device.peer.association = association;
        world.associate(device.peer, endpoint);
        device
    }

    /// The same, registered.
    #[track_caller]
    pub(crate) fn secure(endpoint: &str, association: u64, queries: &[&str], world: &mut World) -> Self {
        let mut device = Self::associated(endpoint, association, world);
        device.register(queries, world);
        device
    }

    /// Registers, and takes the answer and the event.
    #[track_caller]
    pub(crate) fn registered(endpoint: &str, port: u16, queries: &[&str], world: &mut World) -> Self {
        let mut device = Self::new(endpoint, port);
        device.register(queries, world);
        device
    }

    #[track_caller]
    pub(crate) fn register(&mut self, queries: &[&str], world: &mut World) {
        let datagram = self.register_datagram(queries, OBJECTS);
        let answer = world.exchange(self.peer, &datagram);
        assert_eq!(answer.code(), Code::CREATED);
        self.locate(&answer);
        while !matches!(world.event(), Event::Registered { .. }) {}
    }

    /// Takes the location out of a 2.01.
    #[track_caller]
    pub(crate) fn locate(&mut self, answer: &Message) {
        let path: Vec<&[u8]> = answer.location_path().collect();
        let [b"rd", id] = path[..] else { panic!("not a location: {path:?}") };
        self.location = String::from_utf8(id.to_vec()).expect("UTF-8");
    }

    pub(crate) fn register_datagram(&mut self, queries: &[&str], links: &str) -> Vec<u8> {
        let endpoint = format!("ep={}", self.endpoint);
        let mut draft = self.request(Code::POST).path("rd").option(CONTENT_FORMAT, &[40]);
        for query in [endpoint.as_str(), "lwm2m=1.1"].iter().chain(queries) {
            draft = draft.query(query);
        }
        draft.payload(links.as_bytes()).build()
    }

    pub(crate) fn update_datagram(&mut self, queries: &[&str], links: &str) -> Vec<u8> {
        let mut draft = self.request(Code::POST).path("rd").path(&self.location);
        for query in queries {
            draft = draft.query(query);
        }
        draft.payload(links.as_bytes()).build()
    }

    pub(crate) fn deregister_datagram(&mut self) -> Vec<u8> {
        self.request(Code::DELETE).path("rd").path(&self.location).build()
    }

    /// A confirmable request with a new message id.
    pub(crate) fn request(&mut self, code: Code) -> Draft {
        let mid = self.next_mid();
        Draft::new(Kind::Confirmable, code, mid).token(&mid.to_be_bytes())
    }

    /// A notification of the observation with this token.
    pub(crate) fn notification(&mut self, kind: Kind, token: &[u8], sequence: u8) -> Draft {
        let mid = self.next_mid();
        Draft::new(kind, Code::CONTENT, mid).token(token).option(OBSERVE, &[sequence])
    }

    pub(crate) fn next_mid(&mut self) -> u16 {
        self.mid = self.mid.wrapping_add(1);
        self.mid
    }
}

/// The answer in the acknowledgement of a request.
pub(crate) fn piggybacked(request: &Message, code: Code) -> Draft {
    Draft::new(Kind::Acknowledgement, code, request.mid()).token(request.token().as_bytes())
}

/// An empty acknowledgement or reset of a message.
pub(crate) fn empty(kind: Kind, of: &Message) -> Vec<u8> {
    Draft::new(kind, Code::EMPTY, of.mid()).build()
}

/// A datagram in the making. Options come in the order of their numbers.
pub(crate) struct Draft {
    header: [u8; 4],
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(kind: Kind, code: Code, mid: u16) -> Self {
        let kind = match kind {
            Kind::Confirmable => 0,
            Kind::NonConfirmable => 1,
            Kind::Acknowledgement => 2,
            Kind::Reset => 3,
        };
        let [high, low] = mid.to_be_bytes();
        Self {
            header: [0x40 | kind << 4, code.0, high, low],
            token: vec![],
            options: vec![],
            payload: vec![],
        }
    }

    pub(crate) fn token(mut self, token: &[u8]) -> Self {
        self.token = token.to_vec();
        self
    }

    pub(crate) fn option(mut self, number: u16, value: &[u8]) -> Self {
        // As in the standard: zero has no bytes.
        self.options.push((number, if value == [0] { vec![] } else { value.to_vec() }));
        self
    }

    pub(crate) fn path(self, segment: &str) -> Self {
        self.option(URI_PATH, segment.as_bytes())
    }

    pub(crate) fn query(self, query: &str) -> Self {
        self.option(URI_QUERY, query.as_bytes())
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub(crate) fn build(mut self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        bytes[0] |= u8::try_from(self.token.len()).expect("8 bytes at most");
        bytes.extend(&self.token);
        self.options.sort_by_key(|(number, _)| *number);
        let mut last = 0;
        for (number, value) in &self.options {
            let length = u16::try_from(value.len()).expect("short");
            let (delta, delta_rest) = extended(number - last);
            let (length, length_rest) = extended(length);
            bytes.push(delta << 4 | length);
            bytes.extend(delta_rest.into_iter().chain(length_rest));
            bytes.extend(value);
            last = *number;
        }
        if !self.payload.is_empty() {
            bytes.push(0xff);
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// RFC 7252 section 3.1.
fn extended(number: u16) -> (u8, Vec<u8>) {
    match number {
        0..=12 => (number as u8, vec![]),
        13..=268 => (13, vec![(number - 13) as u8]),
        _ => (14, (number - 269).to_be_bytes().to_vec()),
    }
}

/// Seeded randomness (xorshift).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

impl Entropy for Random {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.iter_mut().for_each(|byte| *byte = (self.next() >> 24) as u8);
    }
}

pub(crate) fn request(endpoint: &str, operation: Operation, context: &str) -> Request {
    Request { endpoint: endpoint.into(), operation, context: context.into(), deadline: None, urgent: false }
}

pub(crate) fn read(endpoint: &str, context: &str) -> Request {
    request(endpoint, Operation::Read { path: DEVICE, queries: vec![], accept: None }, context)
}

pub(crate) fn observe(endpoint: &str, context: &str) -> Request {
    request(endpoint, Operation::Observe { path: DEVICE, queries: vec![], accept: None }, context)
}

pub(crate) fn write(endpoint: &str, payload: &[u8], context: &str) -> Request {
    use tidegate_proto::lwm2m::operation::Body;
    let body = Body::Encoded { format: Some(0), payload: payload.to_vec() };
    let path = Path::new([3, 0, 14]);
    request(endpoint, Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body }, context)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Names the event and, where it has one, the context: for comparing what happened in which order.
pub(crate) fn summary(events: &[Event]) -> Vec<String> {
    events.iter().map(summarize).collect()
}

fn summarize(event: &Event) -> String {
    match event {
        Event::Registered { registration, .. } => format!("registered {}", registration.endpoint),
        Event::Updated { registration, .. } => format!("updated {}", registration.endpoint),
        Event::Ended { registration, reason, .. } => format!("ended {} {reason:?}", registration.endpoint),
        Event::Answered { asked, code, .. } => format!("answered {} {}", asked.context, Code(*code)),
        Event::Notified { asked, code, .. } => format!("notified {} {}", asked.context, Code(*code)),
        Event::Sent { registration, .. } => format!("sent {}", registration.endpoint),
        Event::Progressed { asked, stage, .. } => format!("progressed {} {stage:?}", asked.context),
        Event::Failed { asked, failure, .. } => format!("failed {} {failure:?}", asked.context),
        Event::Refused { endpoint, reason, .. } => format!("refused {endpoint} {reason:?}"),
    }
}

pub(crate) fn endpoint_name(event: &Event) -> Arc<str> {
    match event {
        Event::Registered { registration, .. }
        | Event::Updated { registration, .. }
        | Event::Ended { registration, .. }
        | Event::Answered { registration, .. }
        | Event::Notified { registration, .. }
        | Event::Sent { registration, .. }
        | Event::Progressed { registration, .. } => Arc::clone(&registration.endpoint),
        Event::Failed { endpoint, .. } | Event::Refused { endpoint, .. } => Arc::clone(endpoint),
    }
}

pub(crate) const OBJECTS: &str = "</>;rt=\"oma.lwm2m\",</1/0>,</3/0>";
/// What tests ask for.
pub(crate) const DEVICE: Path = Path::new([3, 0]);
