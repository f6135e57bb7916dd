//! What a registered and observed client takes in the server: bytes and allocations for each, by stage, and the time of a
//! registration and of a notification, with few clients and with many. `make bench-memory` runs it.
//!
//! The bytes are those asked of the allocator and still held. They are exact; an allocator adds 8 to 16 to each allocation.

use std::hint::black_box;
use std::time::Duration;

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::token::Token;
use tidegate_proto::coap::{Entropy, Peer, option};
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Output, Receipt, Request, Server, Settlement};
use tidegate_proto::time::Instant;

fn main() {
    // Allocations are counted in the thread that makes them: `measure` is the whole of each stage.
    memory(CLIENTS);
    println!(
        "\nnanoseconds of processor time for each, with that of the client: registration and observation; then a notification of each client in turn (NON, CON)"
    );
    for clients in [100, 10_000, CLIENTS] {
        times(clients);
    }
}

/// Stage by stage.
fn memory(clients: usize) {
    println!("{clients} clients; held for each: bytes, allocations");
    let mut fleet = Fleet::new();
    let mut held = (0, 0);
    let mut stage = |name: &str, fleet: &mut Fleet, work: &dyn Fn(&mut Fleet)| {
        let info = allocation_counter::measure(|| work(fleet));
        held = (held.0 + info.bytes_current, held.1 + info.count_current);
        let each = |count: i64| count as f64 / clients as f64;
        println!("{name:>32} {:9.1} {:6.2}", each(held.0), each(held.1));
    };
    stage("registered", &mut fleet, &|fleet| fleet.grow(clients, false));
    stage("247 s later", &mut fleet, &Fleet::let_time_pass);
    stage("and observed", &mut fleet, &|fleet| fleet.observe(clients));
    stage("247 s later", &mut fleet, &Fleet::let_time_pass);
    stage("and notified, non-confirmable", &mut fleet, &|fleet| fleet.notify(clients, Kind::NonConfirmable));
    stage("247 s later", &mut fleet, &Fleet::let_time_pass);
    stage("and notified, confirmable", &mut fleet, &|fleet| fleet.notify(clients, Kind::Confirmable));
    stage("247 s later", &mut fleet, &Fleet::let_time_pass);
    assert_eq!((fleet.server.len(), fleet.notified), (clients, 2 * clients), "what is measured is right");
}

fn times(clients: usize) {
    let mut fleets: Vec<_> = (0..(20_000 / clients).max(1)).map(|_| Fleet::new()).collect();
    let registrations = fleets.len() * clients;
    let start = cpu_time();
    for fleet in &mut fleets {
        fleet.grow(clients, true);
    }
    let registration = cpu_time() - start;
    let mut fleet = fleets.pop().expect("one at least");
    drop(fleets);
    fleet.let_time_pass();
    let rounds = (200_000 / clients).max(1);
    let mut notify = |kind| {
        let mut time = Duration::ZERO;
        for _ in 0..rounds {
            let start = cpu_time();
            fleet.notify(clients, kind);
            time += cpu_time() - start;
            fleet.let_time_pass();
        }
        each(time, rounds * clients)
    };
    let (non, con) = (notify(Kind::NonConfirmable), notify(Kind::Confirmable));
    println!("{clients:>8} clients {:8.0} {non:8.0} {con:8.0}", each(registration, registrations));
}

/// Of this thread, so that what else the machine does counts less.
fn cpu_time() -> Duration {
    let statistics =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with CONFIG_SCHED_INFO");
    let nanoseconds = statistics.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds on the processor"))
}

fn each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

/// A server and its clients, which all have the same objects.
struct Fleet {
    server: Server,
    now: Instant,
    /// Of each client's observation.
    tokens: Vec<Token>,
    mid: u16,
    notified: usize,
}

impl Fleet {
    fn new() -> Self {
        // Nothing is to be forgotten early.
        let mut config = Config::default();
        config.coap.remembered = 1 << 20;
        Self {
            server: Server::new(config, Box::new(Random(7))),
            now: Instant::from_micros(1_000_000_000),
            // Its memory is not the server's.
            tokens: Vec::with_capacity(CLIENTS),
            mid: 0,
            notified: 0,
        }
    }

    fn grow(&mut self, clients: usize, observed: bool) {
        for number in 0..clients {
            let register = register(number);
            self.server.handle_datagram(self.now, peer(number), &register);
            self.pump(None);
            if observed {
                self.observe_one(number);
            }
            self.now = self.now + Duration::from_micros(10);
        }
    }

    fn observe(&mut self, clients: usize) {
        (0..clients).for_each(|number| self.observe_one(number));
    }

    fn observe_one(&mut self, number: usize) {
        let operation = Operation::Observe { path: OBSERVED, queries: Vec::new(), accept: None };
        let context = CONTEXT.replace("ENDPOINT", &endpoint(number)).into();
        let request =
            Request { endpoint: endpoint(number).into(), operation, context, deadline: None, urgent: false };
        self.server.perform(self.now, request);
        let asked = self.pump(None).expect("a request");
        self.tokens.push(asked.token());
        let answer = Message::new(Kind::Acknowledgement, Code::CONTENT, asked.mid());
        let answer = answer.with_option_uint(option::OBSERVE, 1);
        self.server.handle_datagram(self.now, peer(number), &value(answer, asked.token()));
        self.pump(None);
    }

    fn notify(&mut self, clients: usize, kind: Kind) {
        self.mid = self.mid.wrapping_add(1);
        for number in 0..clients {
            let message = Message::new(kind, Code::CONTENT, self.mid);
            let message = message.with_option_uint(option::OBSERVE, 2 + u32::from(self.mid));
            let datagram = value(message, self.tokens[number]);
            self.server.handle_datagram(self.now, peer(number), &datagram);
            self.pump(None);
            self.now = self.now + Duration::from_micros(10);
        }
    }

    fn let_time_pass(&mut self) {
        self.now = self.now + Duration::from_secs(250);
        self.server.handle_timeout(self.now);
        self.pump(None);
    }

    /// Takes what the server says, settling its events. Returns the last message that it sends.
    fn pump(&mut self, mut sent: Option<Message>) -> Option<Message> {
        loop {
            let receipt = match self.server.poll_output() {
                Output::Timeout(_) => return sent,
                Output::Transmit(transmit) => {
                    sent = Some(Message::parse(&transmit.payload).expect("the server sends CoAP"));
                    continue;
                }
                Output::Event(event) => {
                    self.notified += usize::from(matches!(event, Event::Notified { .. }));
                    receipt(&black_box(event))
                }
            };
            if let Some(receipt) = receipt {
                self.server.settle(self.now, receipt, Settlement::Accepted);
            }
        }
    }
}

/// What an event is to be settled by.
fn receipt(event: &Event) -> Option<Receipt> {
    match event {
        Event::Registered { receipt, .. } => Some(*receipt),
        Event::Notified { receipt, .. } => *receipt,
        Event::Answered { .. } | Event::Progressed { .. } => None,
        other => panic!("unexpected: {other:?}"),
    }
}

fn peer(number: usize) -> Peer {
    let number = u32::try_from(number).expect("few");
    let [_, high, middle, low] = number.to_be_bytes();
    Peer::plain(([127, high + 1, middle, low], 5683).into())
}

fn endpoint(number: usize) -> String {
    format!("urn:imei:{:015}", 123_456_789_000_000 + number)
}

fn register(number: usize) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    Message::new(Kind::Confirmable, Code::POST, u16::from_be_bytes([high, low]))
        .with_path_segment("rd")
        .with_option_uint(option::CONTENT_FORMAT, 40)
        .with_query(&format!("ep={}", endpoint(number)))
        .with_query("lt=86400")
        .with_query("lwm2m=1.1")
        .with_query("b=U")
        .with_payload(LINKS.as_bytes().to_vec())
        .to_bytes()
}

/// Resource 5700 as a float in TLV.
fn value(message: Message, token: Token) -> Vec<u8> {
    let payload = vec![0xe4, 0x16, 0x44, 0x41, 0xac, 0, 0];
    message.with_token(token).with_option_uint(option::CONTENT_FORMAT, 11542).with_payload(payload).to_bytes()
}

/// Not random, but never twice the same.
struct Random(u64);

impl Entropy for Random {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 27)).to_be_bytes()[..chunk.len()]);
        }
    }
}

const CLIENTS: usize = 100_000;
const OBSERVED: Path = Path::new([3303, 0, 5700]);
/// What the translator `emqx` leaves with an observation that it asks for after a Register, and the gateway in front of it.
const CONTEXT: &str = "emqx\u{0}observe\n17\n12\n0\n0\nlwm2m/ENDPOINT/\n/3303/0/5700\n\"reqID\":0,\n{\"path\":\"/3303/0/5700\"}";
/// A dozen instances, as Leshan's and Wakaama's clients list them.
const LINKS: &str = "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542 11543\",</1>;ver=1.1,</1/0>,</2>,</3>;ver=1.1,</3/0>,</4/0>,</5/0>,\
    </6/0>,</7/0>,</3303>;ver=1.1,</3303/0>,</3303/1>,</3304/0>";
