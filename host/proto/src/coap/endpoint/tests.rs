use std::time::Duration;

use super::*;
use crate::coap::message::{Block, Code, Kind};
use crate::coap::option;

/// Counts up: MIDs and tokens differ, and tests can say which.
struct Sequence(u8);

impl Entropy for Sequence {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        buffer.fill(self.0);
    }
}

/// An endpoint, a clock and what a peer sees.
struct Bench {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<Message>,
    next: u64,
}

fn device() -> Peer {
    Peer::plain(([127, 0, 0, 1], 5683).into())
}

fn elsewhere() -> Peer {
    Peer::plain(([127, 0, 0, 2], 5683).into())
}

impl Bench {
    fn new() -> Self {
        let endpoint = Endpoint::new(Config { block: 64, ..Config::new(7) }, Box::new(Sequence(0)));
        Self { endpoint, now: Instant::from_micros(1_000_000), sent: Vec::new(), next: 0 }
    }

    /// Polls until there is nothing; returns the events, keeps the datagrams.
    fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.sent.clear();
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit(transmit) => self.sent.push(Message::parse(&transmit.payload).unwrap()),
                Output::Event(event) => events.push(event),
                Output::Timeout(_) => return events,
            }
        }
    }

    fn receive(&mut self, message: &Message) -> Vec<Event> {
        self.receive_from(device(), message)
    }

    fn receive_from(&mut self, peer: Peer, message: &Message) -> Vec<Event> {
        self.endpoint.handle_datagram(self.now, peer, &message.to_bytes());
        self.drain()
    }

    /// Asks, and returns what the peer gets.
    fn ask(&mut self, message: Message, observation: Option<u64>, token: Option<Token>) -> Message {
        self.next += 1;
        let observation = observation.map(ObservationId);
        let request = Request { id: RequestId(self.next), message, observation, token };
        self.endpoint.request(self.now, device(), request);
        assert!(self.drain().is_empty());
        self.only_sent()
    }

    fn only_sent(&mut self) -> Message {
        assert_eq!(self.sent.len(), 1, "{:?}", self.sent);
        self.sent.remove(0)
    }

    /// Kind and code of the only datagram sent, with its message id.
    fn only_sign(&mut self) -> (Kind, Code, u16) {
        let message = self.only_sent();
        (message.kind(), message.code(), message.mid())
    }

    /// Lets the next timeouts happen until so much time has passed.
    fn wait(&mut self, seconds: u64) -> Vec<Event> {
        let end = self.now + Duration::from_secs(seconds);
        let (mut events, mut sent) = (Vec::new(), Vec::new());
        while let Output::Timeout(Some(at)) = self.endpoint.poll_output() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            events.extend(self.drain());
            sent.append(&mut self.sent);
        }
        (self.now, self.sent) = (end, sent);
        events
    }
}

fn get() -> Message {
    Message::request(Code::GET).with_path_segment("3")
}

fn message(kind: Kind, code: Code, mid: u16, token: Token) -> Message {
    Message::new(kind, code, mid).with_token(token)
}

fn content(kind: Kind, mid: u16, token: Token, observe: Option<u32>) -> Message {
    let content = message(kind, Code::CONTENT, mid, token).with_payload(b"22.3 C".to_vec());
    observe.into_iter().fold(content, |content, number| content.with_option_uint(option::OBSERVE, number))
}

fn observe() -> Message {
    Message::request(Code::GET).with_option_uint(option::OBSERVE, 0).with_path_segment("3")
}

/// An endpoint with an observation, and its token.
fn observing() -> (Bench, Token) {
    let mut bench = Bench::new();
    let asked = bench.ask(observe(), Some(1), None);
    let events = bench.receive(&content(Kind::Acknowledgement, asked.mid(), asked.token(), Some(12)));
    assert!(matches!(events[..], [Event::Response { delivery: Delivery::Piggybacked, .. }]));
    (bench, asked.token())
}

fn receipt(events: &[Event]) -> Receipt {
    match events {
        [Event::Request { receipt, .. } | Event::Notification { receipt: Some(receipt), .. }] => *receipt,
        _ => panic!("{events:?}"),
    }
}

mod flood;
mod notifications;
mod requests;
mod responses;
