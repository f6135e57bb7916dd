//! A network of one [`Endpoint`] and many clients in simulated time, which loses, repeats, delays and keeps datagrams
//! as a test wants.
#![allow(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "tests and benches use different parts of it")]

mod evidence;
pub(crate) mod fault;
pub(crate) mod identity;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_dtls::credential::Credentials;
use tidegate_dtls::endpoint::{Config, Endpoint, Output, Received, Remote};
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

use crate::client::profile::Profile;
use crate::client::seal::Keys;
use crate::client::wire::Record;
use crate::client::{Client, State};
pub(crate) use evidence::{Capture, Event};
use fault::{Fault, Passage};

/// What a store has of an association.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) bound: u64,
}

pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) endpoint: Endpoint,
    /// Those that clients may resume.
    pub(crate) sessions: Arc<Sessions>,
    config: Config,
    starts: u64,
    pub(crate) clients: Vec<Client>,
    /// Where each client is.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) events: Vec<Event>,
    /// Whether what is to be kept is written at once; otherwise it waits in `unwritten`.
    pub(crate) writes: bool,
    pub(crate) unwritten: Vec<(u64, Kept)>,
    pub(crate) store: BTreeMap<u64, Kept>,
    /// Whether each record travels in a datagram of its own.
    pub(crate) splits: bool,
    pub(crate) fault: Box<dyn Fault>,
    pub(crate) captures: Vec<Capture>,
    /// Off in long runs with many clients.
    pub(crate) captures_on: bool,
    /// Keys of clients that are no more.
    former: Vec<Keys>,
    under_way: BinaryHeap<Reverse<(Instant, u64, UnderWay)>>,
    count: u64,
    wake: Option<Instant>,
    by_address: HashMap<SocketAddr, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    to_server: bool,
    client: SocketAddr,
    payload: Vec<u8>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), identity::credentials())
    }

    pub(crate) fn with(config: Config, credentials: impl Into<Arc<Credentials>>) -> Self {
        Self::with_sessions(config, credentials, Arc::new(Sessions::new(20_000)))
    }

    /// A shard that shares its sessions with others.
    pub(crate) fn with_sessions(
        config: Config,
        credentials: impl Into<Arc<Credentials>>,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self {
            now: Instant::from_micros(1_000_000_000),
            endpoint: start(&config, credentials.into(), &sessions, 0),
            sessions,
            config,
            starts: 1,
            clients: Vec::new(),
            addresses: Vec::new(),
            events: Vec::new(),
            writes: true,
            unwritten: Vec::new(),
            store: BTreeMap::new(),
            splits: false,
            fault: Box::new(fault::none),
            captures: Vec::new(),
            captures_on: true,
            former: Vec::new(),
            under_way: BinaryHeap::new(),
            count: 0,
            wake: None,
            by_address: HashMap::new(),
        }
    }

    /// A client at an address of its own; its ClientHello is under way.
    pub(crate) fn add(&mut self, profile: &Profile) -> usize {
        let number = self.clients.len();
        self.add_at(profile, address(number))
    }

    pub(crate) fn add_at(&mut self, profile: &Profile, at: SocketAddr) -> usize {
        self.clients.push(Client::new(profile, self.now));
        self.addresses.push(at);
        let number = self.clients.len() - 1;
        self.by_address.insert(at, number);
        self.collect(number);
        number
    }

    /// The same device starts anew, having forgotten all.
    pub(crate) fn reboot(&mut self, client: usize, profile: &Profile) {
        let new = Client::new(profile, self.now);
        let old = std::mem::replace(&mut self.clients[client], new);
        self.former.extend(old.keys.clone());
        self.collect(client);
    }

    /// A client with an established association; asserts that it is.
    pub(crate) fn connect(&mut self, profile: &Profile) -> usize {
        let client = self.add(profile);
        self.run();
        assert_eq!(self.clients[client].state, State::Established);
        self.association(client);
        client
    }

    /// A client's address changes, as that of its mapping in a NAT does.
    pub(crate) fn move_to(&mut self, client: usize, to: SocketAddr) {
        self.by_address.remove(&self.addresses[client]);
        self.addresses[client] = to;
        self.by_address.insert(to, client);
    }

    /// Application data from a client.
    pub(crate) fn say(&mut self, client: usize, data: &[u8]) {
        self.clients[client].send(data);
        self.collect(client);
    }

    /// Application data to the client of an association; false when the endpoint cannot send.
    pub(crate) fn tell(&mut self, association: u64, data: &[u8]) -> bool {
        let mut datagram = vec![0xaa; 3];
        let Some(to) = self.endpoint.send(association, data, &mut datagram) else {
            self.poll(&mut []);
            return false;
        };
        self.transmit(to, datagram);
        self.poll(&mut []);
        true
    }

    /// Data goes both ways on a client's newest association.
    pub(crate) fn talks(&mut self, client: usize) -> bool {
        if !self.clients[client].is_established() {
            return false;
        }
        let (heard, before) = (self.clients[client].received.len(), self.received().len());
        self.say(client, b"from the client");
        self.run_for(Duration::from_secs(1));
        let Some(Event::Received { association, payload, .. }) =
            self.events.iter().rev().find(|event| matches!(event, Event::Received { .. })).cloned()
        else {
            return false;
        };
        if self.received().len() != before + 1 || payload != b"from the client" {
            return false;
        }
        self.tell(association, b"from the gateway") && {
            self.run_for(Duration::from_secs(1));
            self.clients[client].received[heard..] == [b"from the gateway".to_vec()]
        }
    }

    /// A client that is not on the network, at the point where it would send the flight with its Finished message:
    /// that is among its `transmits`, and in the clear in its `flight`.
    pub(crate) fn half_open(&mut self, profile: &Profile, at: SocketAddr) -> Client {
        self.half_open_with(profile, at, |_| {})
    }

    /// The same, with a change to each datagram of the client.
    pub(crate) fn half_open_with(
        &mut self,
        profile: &Profile,
        at: SocketAddr,
        change: impl Fn(&mut Vec<u8>),
    ) -> Client {
        let mut client = Client::new(profile, self.now);
        for _ in 0..2 {
            for mut datagram in std::mem::take(&mut client.transmits) {
                change(&mut datagram);
                let payload = datagram.clone();
                self.captures.push(Capture { at: self.now, to_server: true, client: at, payload });
                for answer in self.probe(at, &datagram) {
                    client.handle_datagram(self.now, &answer.payload);
                }
            }
        }
        assert!(client.flight.iter().flatten().any(|record| record.epoch == 1), "{:?}", client.state);
        client
    }

    /// Takes whatever a client has to send.
    pub(crate) fn collect(&mut self, client: usize) {
        let from = self.addresses[client];
        while let Some(datagram) = self.clients[client].transmits.pop_front() {
            self.pass(true, from, datagram);
        }
    }

    /// Gives the endpoint a datagram at once.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        self.endpoint.handle_datagram(self.now, remote(from), &mut datagram);
        self.poll(&mut datagram);
    }

    /// The same; what the endpoint answers, to whomever. It is not delivered.
    pub(crate) fn probe(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Capture> {
        let (before, under_way) = (self.captures.len(), self.under_way.clone());
        self.inject(from, datagram);
        self.under_way = under_way;
        self.captures[before..].to_vec()
    }

    /// Runs for a minute, or until there is nothing more to do.
    pub(crate) fn run(&mut self) {
        self.run_for(Duration::from_secs(60));
    }

    /// Runs until then; no datagram that arrives later is lost.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Runs until there is nothing under way.
    pub(crate) fn settle(&mut self) {
        while let Some(Reverse((at, ..))) = self.under_way.peek() {
            self.now = self.now.max(*at);
            self.arrive();
        }
    }

    /// Runs until the condition holds; whether it came to that.
    pub(crate) fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !condition(self) {
            let Some(next) = self.next().filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// Kills the gateway, and starts another with what the store has.
    pub(crate) fn restart(&mut self, credentials: impl Into<Arc<Credentials>>) {
        self.restart_with(self.config.clone(), credentials);
    }

    pub(crate) fn restart_with(&mut self, config: Config, credentials: impl Into<Arc<Credentials>>) {
        self.starts += 1;
        self.sessions = Arc::new(Sessions::new(20_000));
        self.endpoint = start(&config, credentials.into(), &self.sessions, self.starts);
        self.config = config;
        self.wake = None;
        self.unwritten.clear();
        self.events.clear();
        for (association, kept) in self.store.clone() {
            self.endpoint.restore(self.now, association, &kept.snapshot).unwrap();
        }
        self.poll(&mut []);
    }

    /// Writes what waits.
    pub(crate) fn write(&mut self) {
        for (association, kept) in std::mem::take(&mut self.unwritten) {
            let bound = kept.bound;
            self.store.insert(association, kept);
            self.endpoint.kept(association, bound);
        }
        self.poll(&mut []);
    }

    /// The gateway stops as it should.
    pub(crate) fn keep_all(&mut self) {
        self.endpoint.keep_all();
        self.poll(&mut []);
    }

    pub(crate) fn renew(&mut self, credentials: impl Into<Arc<Credentials>>) {
        self.endpoint.renew(credentials.into()).unwrap();
        self.poll(&mut []);
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.peek().map(|Reverse((at, ..))| *at);
        let timers = self.clients.iter().filter_map(Client::timeout).min();
        arrival.into_iter().chain(timers).chain(self.wake).min()
    }

    fn step(&mut self) {
        if self.under_way.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            self.arrive();
        }
        for client in 0..self.clients.len() {
            if self.clients[client].timeout().is_some_and(|at| at <= self.now) {
                self.clients[client].handle_timeout(self.now);
                self.collect(client);
            }
        }
        if let Some(due) = self.wake.filter(|at| *at <= self.now) {
            self.endpoint.handle_timeout(self.now);
            self.poll(&mut []);
            assert!(self.wake.is_none_or(|at| at > due), "a timeout that has passed is due again");
        }
    }

    fn arrive(&mut self) {
        let Some(Reverse((_, _, of))) = self.under_way.pop() else { return };
        if of.to_server {
            self.inject(of.client, &of.payload);
        } else if let Some(client) = self.by_address.get(&of.client).copied() {
            self.clients[client].handle_datagram(self.now, &of.payload);
            self.collect(client);
        }
    }

    /// A datagram enters the network.
    fn pass(&mut self, to_server: bool, client: SocketAddr, payload: Vec<u8>) {
        if self.captures_on {
            let payload = payload.clone();
            self.captures.push(Capture { at: self.now, to_server, client, payload });
        }
        let cid = self.by_address.get(&client).map_or(0, |client| self.clients[*client].own_cid().len());
        let pieces = if self.splits {
            let cid = if to_server { 8 } else { cid };
            Record::all(&payload, cid).iter().map(Record::encode).collect()
        } else {
            vec![payload]
        };
        for payload in pieces {
            let passage = Passage { to_server, payload: &payload };
            for delay in self.fault.copies(&passage) {
                self.count += 1;
                let of = UnderWay { to_server, client, payload: payload.clone() };
                self.under_way.push(Reverse((self.now + LATENCY + delay, self.count, of)));
            }
        }
    }

    fn transmit(&mut self, to: Remote, payload: Vec<u8>) {
        assert_eq!(to.listener, LISTENER);
        assert!(!payload.is_empty());
        self.pass(false, to.address, payload);
    }

    fn poll(&mut self, datagram: &mut [u8]) {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { to, payload } => self.transmit(to, payload),
                Output::Established { association, from, principal, summary } => {
                    assert_ne!(association, 0);
                    self.events.push(Event::Established { association, from, principal, summary });
                }
                Output::Received { association, from, payload } => {
                    let payload = match payload {
                        Received::Within(range) => datagram[range].to_vec(),
                        Received::Earlier(bytes) => bytes,
                    };
                    self.events.push(Event::Received { association, from, payload });
                }
                Output::Ended { association, principal, reason } => {
                    self.events.push(Event::Ended { association, principal, reason });
                }
                Output::Failed { from, failure } => self.events.push(Event::Failed { from, failure }),
                Output::Keep { association, snapshot, bound } => {
                    let kept = Kept { snapshot: snapshot.to_vec(), bound };
                    if self.writes {
                        self.store.insert(association, kept);
                        self.endpoint.kept(association, bound);
                    } else {
                        self.unwritten.push((association, kept));
                    }
                }
                Output::Forget { association } => {
                    self.store.remove(&association);
                    self.unwritten.retain(|(unwritten, _)| *unwritten != association);
                }
                Output::Timeout(at) => {
                    self.wake = at;
                    return;
                }
            }
        }
    }
}

fn start(config: &Config, credentials: Arc<Credentials>, sessions: &Arc<Sessions>, seed: u64) -> Endpoint {
    let entropy = Box::new(Seeded(fault::Chance(seed)));
    Endpoint::new(config.clone(), credentials, Arc::clone(sessions), entropy).unwrap()
}

/// Repeatable from run to run.
struct Seeded(fault::Chance);

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The address of the client of that number.
pub(crate) fn address(number: usize) -> SocketAddr {
    let number = u32::try_from(number).unwrap();
    SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 40_000))
}

pub(crate) fn remote(address: SocketAddr) -> Remote {
    Remote { address, listener: LISTENER }
}

const LISTENER: u16 = 3;
/// Of every datagram, one way.
const LATENCY: Duration = Duration::from_millis(20);
