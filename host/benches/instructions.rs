//! The way of a message through the gateway's own rooms, for `make instructions`: from the datagram to the lane of the outbox, through the
//! default translator in WebAssembly. Sockets and the session are not in it. `scripts/instructions` does not count it yet: it has not been
//! run under valgrind.
//!
//! What is counted is done by one shard, as in `net::shard`: `proto` takes the datagram in, the bridge has it translated and queued, and
//! it is acknowledged.
#![allow(clippy::unwrap_used)] // a measurement

#[path = "../proto/benches/measured/mod.rs"]
mod measured;

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use measured::CALLS;
use serde_json::json;
use tidegate::bridge::{Routing, Shared, UplinkBridge};
use tidegate::mqtt::{Drain, Outbox};
use tidegate::net::{Directory, ShardHandle, Uplink as _};
use tidegate::plugin::{Artifact, Engine, Generation, Limits, Policy, Slot};
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::token::Token;
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::server::{Config, Event, Output, Request, Server, Settlement};
use tidegate_proto::time::Instant;

fn main() -> ExitCode {
    measured::main(&[
        ("gateway/notification/non", || notifications(Kind::NonConfirmable)),
        ("gateway/notification/con", || notifications(Kind::Confirmable)),
        ("gateway/registration/observed", registrations),
    ])
}

fn notifications(kind: Kind) -> Box<dyn FnMut(usize)> {
    let mut shard = Shard::new();
    let token = shard.register_and_observe(0);
    let notification = |number: u16| {
        let message = Message::new(kind, Code::CONTENT, 1_000 + number).with_token(token);
        let message = message.with_option_uint(OBSERVE, u32::from(number) + 1);
        message.with_option_uint(CONTENT_FORMAT, TLV).with_payload(TEMPERATURE.to_vec()).to_bytes()
    };
    let datagrams: Vec<_> = (1..).take(CALLS).map(notification).collect();
    Box::new(move |at| {
        let queued = shard.drain.gauge().counts().waiting;
        shard.receive(peer(0), &datagrams[at]);
        assert_eq!(shard.drain.gauge().counts().waiting, queued + 1, "it is published");
    })
}

/// A client registers and is observed, as the translator asks for, each time another one.
fn registrations() -> Box<dyn FnMut(usize)> {
    let mut shard = Shard::new();
    Box::new(move |at| {
        shard.register_and_observe(u16::try_from(at).unwrap());
    })
}

/// What a shard does between its sockets and the session.
struct Shard {
    server: Server,
    bridge: UplinkBridge,
    drain: Drain,
    requests: Vec<Request>,
    now: Instant,
    /// The latest datagram that it sent.
    sent: Vec<u8>,
    _engine: Engine,
}

impl Shard {
    fn new() -> Self {
        let limits = Limits::default();
        let engine = Engine::new(&limits).unwrap();
        let settings = json!({ "auto_observe": ["/3303/0"] });
        let artifact = Artifact::built_in("emqx").unwrap();
        let generation = Generation::prove(&engine, &artifact, &settings, &limits).unwrap();
        let slot = Arc::new(Slot::new("emqx", Policy::default(), generation));
        let routing = Routing::new(vec![slot], [], [], Some("emqx")).unwrap();
        let shared = Shared::new(Directory::new(), Models::built_in(), routing);
        let models = shared.models.load_full();
        let (mut lanes, drain) = Outbox::in_memory(1, 100_000);
        let (handle, _commands) = ShardHandle::new();
        Self {
            server: Server::new(Config { models, ..Config::default() }, Box::new(Counting(0))),
            bridge: UplinkBridge::new(0, shared, lanes.remove(0), vec![handle]),
            drain,
            requests: Vec::new(),
            now: Instant::from_micros(1_000_000),
            sent: Vec::new(),
            _engine: engine,
        }
    }

    /// The token of the observation.
    fn register_and_observe(&mut self, number: u16) -> Token {
        let endpoint = format!("urn:imei:4901542032{number:05}");
        let request = Message::new(Kind::Confirmable, Code::POST, 1).with_path_segment("rd");
        let request = request.with_option_uint(CONTENT_FORMAT, 40).with_query(&format!("ep={endpoint}"));
        let request = request.with_query("lt=300").with_query("lwm2m=1.1").with_query("b=U");
        let request = request.with_payload(b"</1/0>,</3/0>,</3303/0>".to_vec());
        self.receive(peer(number), &request.to_bytes());
        let length = usize::from(self.sent[0] & 0x0f);
        assert_eq!(self.sent[1], 0x01, "it is observed: {:02x?}", self.sent);
        let token = Token::from_slice(&self.sent[4..4 + length]).unwrap();
        let message_id = u16::from_be_bytes([self.sent[2], self.sent[3]]);
        let answer = Message::new(Kind::Acknowledgement, Code::CONTENT, message_id).with_token(token);
        let answer = answer.with_option_uint(OBSERVE, 0).with_option_uint(CONTENT_FORMAT, TLV);
        self.receive(peer(number), &answer.with_payload(TEMPERATURE.to_vec()).to_bytes());
        token
    }

    fn receive(&mut self, peer: Peer, datagram: &[u8]) {
        self.now = self.now + Duration::from_micros(100);
        self.server.handle_datagram(self.now, peer, black_box(datagram));
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(transmit) => self.sent = transmit.payload,
                Output::Event(event) => self.take(&event),
                Output::Timeout(timeout) => {
                    black_box(timeout);
                    return;
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let settlement = self.bridge.handle(event, &mut self.requests);
        assert_eq!(settlement, Settlement::Accepted, "{event:?}");
        self.bridge.commit();
        let receipt = match event {
            Event::Registered { receipt, .. } => Some(*receipt),
            Event::Notified { receipt, .. } => *receipt,
            Event::Answered { .. } | Event::Progressed { .. } => None,
            event => panic!("unexpected: {event:?}"),
        };
        if let Some(receipt) = receipt {
            self.server.settle(self.now, receipt, settlement);
        }
        for request in self.requests.drain(..) {
            self.server.perform(self.now, request);
        }
    }
}

fn peer(number: u16) -> Peer {
    Peer::plain(SocketAddr::from(([127, 0, 0, 1], 10_000 + number)))
}

struct Counting(u64);

impl Entropy for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 += 1;
            // A step that visits every number once, so that no two tokens are the same.
            let bytes = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// 21.5 as the Sensor Value of a temperature sensor (TLV, core 1.2.1 section 7.4.3).
const TEMPERATURE: [u8; 7] = [0xe4, 0x16, 0x44, 0x41, 0xac, 0x00, 0x00];
const OBSERVE: u16 = 6;
const CONTENT_FORMAT: u16 = 12;
const TLV: u32 = 11_542;
