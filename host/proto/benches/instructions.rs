//! The ways of messages through the server, and of payloads through the formats, for `make instructions`.
//!
//! What a device sends is made before; what is counted is what the gateway does with it, until nothing is left to be polled.

mod measured;

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use measured::CALLS;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::token::Token;
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::lwm2m::format::{self, SENML_CBOR, SENML_JSON, TLV};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Output, Request, Server, Settlement};
use tidegate_proto::lwm2m::value::{Kind as Type, Sample, Value};
use tidegate_proto::time::Instant;

fn main() -> ExitCode {
    measured::main(&[
        ("proto/notification/non", || notifications(Kind::NonConfirmable)),
        ("proto/notification/con", || notifications(Kind::Confirmable)),
        ("proto/registration/observed", registrations),
        ("proto/update", updates),
        ("proto/read", reads),
        ("proto/coap/parse", parses),
        ("proto/decode/tlv/1", || decodes(TLV, 1)),
        ("proto/decode/tlv/10", || decodes(TLV, 10)),
        ("proto/decode/senml-cbor/1", || decodes(SENML_CBOR, 1)),
        ("proto/decode/senml-cbor/10", || decodes(SENML_CBOR, 10)),
        ("proto/decode/senml-json/1", || decodes(SENML_JSON, 1)),
        ("proto/decode/senml-json/10", || decodes(SENML_JSON, 10)),
    ])
}

fn notifications(kind: Kind) -> Box<dyn FnMut(usize)> {
    let mut world = World::new();
    let device = Device::new(0);
    world.register_and_observe(&device, &device.register());
    let token = world.token;
    let payload = payload(TLV, 1);
    let notification = |number: u16| {
        let mut message = Message::new(kind, Code::CONTENT, number)
            .with_token(token)
            .with_option_uint(OBSERVE, u32::from(number) + 1)
            .with_option_uint(CONTENT_FORMAT, TLV.into());
        message = message.with_payload(payload.clone());
        message.to_bytes()
    };
    let datagrams: Vec<_> = (1..).take(CALLS).map(notification).collect();
    Box::new(move |at| {
        let events = world.notified;
        world.receive(device.peer, &datagrams[at]);
        assert_eq!(world.notified, events + 1, "it has been taken for a notification");
    })
}

/// A client registers and is observed, each time another one.
fn registrations() -> Box<dyn FnMut(usize)> {
    let mut world = World::new();
    let devices: Vec<_> = (0..).take(CALLS).map(Device::new).collect();
    let registers: Vec<_> = devices.iter().map(Device::register).collect();
    Box::new(move |at| world.register_and_observe(&devices[at], &registers[at]))
}

fn updates() -> Box<dyn FnMut(usize)> {
    let mut world = World::new();
    let device = Device::new(0);
    world.register_and_observe(&device, &device.register());
    let location = world.location.clone();
    let update = |mid| {
        let request = Message::new(Kind::Confirmable, Code::POST, mid);
        location.iter().fold(request, |request, segment| request.with_path_segment(segment)).to_bytes()
    };
    let datagrams: Vec<_> = (1..).take(CALLS).map(update).collect();
    Box::new(move |at| {
        world.receive(device.peer, &datagrams[at]);
        assert_eq!(world.sent[1], CHANGED, "the update is answered");
    })
}

/// A read is asked for, sent and answered.
fn reads() -> Box<dyn FnMut(usize)> {
    let mut world = World::new();
    let device = Device::new(0);
    world.register_and_observe(&device, &device.register());
    let endpoint: Arc<str> = device.endpoint.as_str().into();
    let context: Arc<str> = "7".into();
    let content = payload(TLV, 1);
    Box::new(move |_| {
        let answers = world.answered;
        let operation = Operation::Read { path: RESOURCE, queries: Vec::new(), accept: None };
        world.perform(&endpoint, operation, &context);
        // The format's option is the first one, 12.
        world.answer(device.peer, &[&[0xc2, 0x2d, 0x16, 0xff], &content[..]].concat());
        assert_eq!(world.answered, answers + 1, "the read is answered");
    })
}

fn parses() -> Box<dyn FnMut(usize)> {
    let message = Message::new(Kind::Confirmable, Code::CONTENT, 7)
        .with_token(Token::from_slice(b"12345678").expect("eight bytes at most"))
        .with_option_uint(OBSERVE, 7)
        .with_option_uint(CONTENT_FORMAT, TLV.into());
    let datagram = message.with_payload(payload(TLV, 1)).to_bytes();
    Box::new(move |_| drop(black_box(Message::parse(black_box(&datagram)).expect("a message"))))
}

fn decodes(format: u16, count: u16) -> Box<dyn FnMut(usize)> {
    let models = Models::built_in();
    let payload = payload(format, count);
    Box::new(move |_| {
        let samples = format::decode(Some(format), INSTANCE, black_box(&payload), &models);
        assert_eq!(samples.map(|samples| samples.len()).ok(), Some(count.into()), "all of them are read");
    })
}

/// Values of a temperature sensor: of its first resources with floating-point values.
fn payload(format: u16, count: u16) -> Vec<u8> {
    let ids = (5700..=5701).chain(5601..=5605).chain(5518..=5527).filter(|&id| id != 5701 && id != 5605);
    let models = Models::built_in();
    let sample = |id: u16| {
        let path = INSTANCE.child(id).expect("four levels at most");
        let value = Value::Float(20.0 + f64::from(id % 100) / 7.0);
        Sample { path, value, kind: Some(Type::Float), taken: None }
    };
    let samples: Vec<_> = ids.take(count.into()).map(sample).collect();
    format::encode(format, INSTANCE, &samples, &models).expect("the samples can be written")
}

struct Device {
    peer: Peer,
    endpoint: String,
}

impl Device {
    fn new(number: u16) -> Self {
        let peer = Peer::plain(SocketAddr::from(([127, 0, 0, 1], 10_000 + number)));
        Self { peer, endpoint: format!("urn:imei:4901542032{number:05}") }
    }

    fn register(&self) -> Vec<u8> {
        let request = Message::new(Kind::Confirmable, Code::POST, 0).with_path_segment("rd");
        let request = request.with_option_uint(CONTENT_FORMAT, 40);
        let request = request.with_query(&format!("ep={}", self.endpoint)).with_query("lt=300");
        let request = request.with_query("lwm2m=1.1").with_query("b=U");
        request.with_payload(b"</1/0>,</3/0>,</3303/0>".to_vec()).to_bytes()
    }
}

/// A server whose caller accepts everything at once.
struct World {
    server: Server,
    now: Instant,
    notified: usize,
    answered: usize,
    /// The latest datagram that it sent, and what was in it.
    sent: Vec<u8>,
    token: Token,
    location: Vec<String>,
}

impl World {
    fn new() -> Self {
        let server = Server::new(Config::default(), Box::new(Counting(0)));
        Self {
            server,
            now: Instant::from_micros(1_000_000),
            notified: 0,
            answered: 0,
            sent: Vec::new(),
            token: Token::default(),
            location: Vec::new(),
        }
    }

    fn receive(&mut self, peer: Peer, datagram: &[u8]) {
        self.now = self.now + Duration::from_micros(100);
        self.server.handle_datagram(self.now, peer, black_box(datagram));
        self.poll();
    }

    fn perform(&mut self, endpoint: &Arc<str>, operation: Operation, context: &Arc<str>) {
        let (endpoint, context) = (endpoint.clone(), context.clone());
        let request = Request { endpoint, operation, context, deadline: None, urgent: false };
        self.server.perform(self.now, request);
        self.poll();
    }

    /// What was sent last is answered with 2.05 and what comes behind the token.
    fn answer(&mut self, peer: Peer, rest: &[u8]) {
        let length = 4 + usize::from(self.sent[0] & 0x0f);
        let mut datagram = self.sent[..length].to_vec();
        datagram[0] = 0x60 | (datagram[0] & 0x0f);
        datagram[1] = Code::CONTENT.0;
        datagram.extend_from_slice(rest);
        self.receive(peer, &datagram);
    }

    fn register_and_observe(&mut self, device: &Device, register: &[u8]) {
        self.receive(device.peer, register);
        if self.location.is_empty() {
            let created = Message::parse(&self.sent).expect("the answer");
            let segment = |segment: &[u8]| String::from_utf8(segment.to_vec()).expect("text");
            self.location = created.location_path().map(segment).collect();
        }
        let operation = Operation::Observe { path: RESOURCE, queries: Vec::new(), accept: None };
        self.perform(&device.endpoint.as_str().into(), operation, &"observation".into());
        let length = usize::from(self.sent[0] & 0x0f);
        self.token = Token::from_slice(&self.sent[4..4 + length]).expect("a token");
        // Observe 1 and TLV with nothing in it.
        let answers = self.answered;
        self.answer(device.peer, &[0x61, 0x01, 0x62, 0x2d, 0x16]);
        assert_eq!(self.answered, answers + 1, "the observation is answered");
    }

    fn poll(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(transmit) => self.sent = transmit.payload,
                Output::Event(event) => self.take(event),
                Output::Timeout(timeout) => {
                    black_box(timeout);
                    return;
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        let receipt = match black_box(event) {
            Event::Registered { receipt, .. } | Event::Updated { receipt, .. } => Some(receipt),
            Event::Notified { receipt, .. } => {
                self.notified += 1;
                receipt
            }
            Event::Answered { .. } => {
                self.answered += 1;
                None
            }
            Event::Progressed { .. } => None,
            event => panic!("unexpected: {event:?}"),
        };
        if let Some(receipt) = receipt {
            self.server.settle(self.now, receipt, Settlement::Accepted);
        }
    }
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

const INSTANCE: Path = Path::new([3303, 0]);
const RESOURCE: Path = Path::new([3303, 0, 5700]);
const OBSERVE: u16 = 6;
const CONTENT_FORMAT: u16 = 12;
/// The code 2.04.
const CHANGED: u8 = 0x44;
