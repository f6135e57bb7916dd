//! Drives one CoAP endpoint by a script that is the fuzzer's input, and checks what must always hold.
//!
//! Shared by the fuzz target and by `tests/fuzz_quick.rs`. A script is a row of steps; see [`Script::step`].

use std::collections::HashMap;
use std::time::Duration;

use tidegate_proto::coap::endpoint::{
    Config, Endpoint, Event, ObservationId, Output, Receipt, Request, RequestId, Token,
};
use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::coap::{Entropy, Peer, option};
use tidegate_proto::time::Instant;

/// Runs a script to its end, and then lets all time pass. Returns how often it has seen a request, a response, a
/// failure, a notification and an acknowledgement.
pub(crate) fn run(input: &[u8]) -> [u32; 5] {
    let mut script = Script {
        input,
        now: Instant::from_micros(1_000_000),
        endpoint: Endpoint::new(config(), Box::new(Counter(1))),
        last_sent: Vec::new(),
        receipts: Vec::new(),
        asked: 0,
        endings: HashMap::new(),
        seen: [0; 5],
    };
    script.endpoint.associate(1, "a".into());
    while script.step().is_some() {
        script.drain();
        let occupancy = script.endpoint.occupancy();
        assert!(occupancy.remembered <= REMEMBERED && occupancy.transfers <= TRANSFERS);
    }
    script.come_to_rest();
    script.seen
}

struct Script<'a> {
    input: &'a [u8],
    now: Instant,
    endpoint: Endpoint,
    /// The message id and token of the last datagram that was sent, for answers that match.
    last_sent: Vec<u8>,
    receipts: Vec<Receipt>,
    asked: u64,
    /// How often a request has ended.
    endings: HashMap<u64, u32>,
    seen: [u32; 5],
}

impl Script<'_> {
    /// One step; none at the end of the script.
    fn step(&mut self) -> Option<()> {
        let now = self.now;
        match self.byte()? % 12 {
            0..=2 => {
                let (peer, length) = (self.peer()?, self.byte()?);
                let datagram = self.take(usize::from(length));
                self.endpoint.handle_datagram(now, peer, &datagram);
            }
            3 | 4 => self.answer_last()?,
            5 => self.request()?,
            6 => {
                let (receipt, code) = (self.receipt()?, self.byte()?);
                let response = Message::response(Code(0x40 | code & 0x3F)).with_payload(vec![code; 3]);
                self.endpoint.respond(now, receipt, response);
            }
            7 => {
                let receipt = self.receipt()?;
                self.endpoint.acknowledge(now, receipt);
            }
            8 => {
                let receipt = self.receipt()?;
                self.endpoint.refuse(now, receipt);
            }
            9 => {
                self.now = now + Duration::from_millis(u64::from(self.byte()?) * 100);
                self.endpoint.handle_timeout(self.now);
            }
            10 => {
                let Output::Timeout(next) = self.endpoint.poll_output() else { panic!("was drained") };
                self.now = next.unwrap_or(now).max(now);
                self.endpoint.handle_timeout(self.now);
            }
            _ => self.forget()?,
        }
        Some(())
    }

    /// A datagram with the message id and token of the last one sent: an acknowledgement, response or reset.
    fn answer_last(&mut self) -> Option<()> {
        let (peer, head, code, length) = (self.peer()?, self.byte()?, self.byte()?, self.byte()?);
        let tail = self.take(usize::from(length));
        let [first, _, rest @ ..] = self.last_sent.as_slice() else { return Some(()) };
        let token_length = if code == 0 { 0 } else { usize::from(first & 0x0F) };
        let mut datagram = vec![0x40 | head & 0x30 | token_length as u8, code];
        datagram.extend_from_slice(&rest[..2 + token_length]);
        if head & 1 == 1 {
            datagram[3] ^= head;
        }
        datagram.extend_from_slice(&tail);
        self.endpoint.handle_datagram(self.now, peer, &datagram);
        Some(())
    }

    fn request(&mut self) -> Option<()> {
        let (peer, shape, size) = (self.peer()?, self.byte()?, self.byte()?);
        let observation = (shape & 1 == 1).then_some(ObservationId(u64::from(shape >> 1 & 3)));
        let token = (shape & 8 == 8).then(|| Token::from([shape >> 4; 8]));
        let code = [Code::GET, Code::PUT, Code::FETCH, Code::POST][usize::from(size & 3)];
        let mut message =
            Message::request(code).with_path_segment("3").with_payload(vec![1; usize::from(size) * 20]);
        if observation.is_some() {
            message = message.with_option_uint(option::OBSERVE, 0);
        }
        let id = RequestId(self.asked);
        self.endings.insert(self.asked, 0);
        self.asked += 1;
        self.endpoint.request(self.now, peer, Request { id, message, observation, token });
        Some(())
    }

    fn forget(&mut self) -> Option<()> {
        let (what, number, peer) = (self.byte()?, u64::from(self.byte()?), self.peer()?);
        match what % 3 {
            // The rare numbers are for the association that some peers have.
            _ if number == 0xFC => self.endpoint.associate(1, "a".into()),
            _ if number == 0xFD => self.endpoint.associate(1, "b".into()),
            _ if number == 0xFE => drop(self.endpoint.dissociate(1)),
            _ if number == 0xFF => {
                let observations: Vec<ObservationId> = (0..4).map(ObservationId).collect();
                self.endpoint.end_fetches(peer, &observations);
            }
            0 => {
                self.endpoint.abandon(RequestId(number));
                if let Some(0) = self.endings.get(&number) {
                    self.endings.insert(number, 1);
                }
            }
            1 => self.endpoint.forget_observation(ObservationId(number & 3)),
            _ => self.endpoint.restore_observation(
                ObservationId(number & 3),
                peer,
                Token::from([what >> 4; 8]),
            ),
        }
        Some(())
    }

    /// Takes all outputs; there must be an end to them.
    fn drain(&mut self) {
        let occupancy = self.endpoint.occupancy();
        let bound = 16 + 4 * (self.asked as usize + occupancy.transfers + occupancy.receipts);
        for _ in 0..bound {
            match self.endpoint.poll_output() {
                Output::Transmit(transmit) => self.last_sent = transmit.payload,
                Output::Event(event) => self.note(&event),
                Output::Timeout(_) => return,
            }
        }
        panic!("more than {bound} outputs");
    }

    fn note(&mut self, event: &Event) {
        let kind = match event {
            Event::Request { receipt, .. } => {
                self.receipts.push(*receipt);
                0
            }
            Event::Response { id, .. } => {
                *self.endings.get_mut(&id.0).expect("was asked") += 1;
                1
            }
            Event::Failed { id, .. } => {
                *self.endings.get_mut(&id.0).expect("was asked") += 1;
                2
            }
            Event::Notification { receipt, .. } => {
                self.receipts.extend(receipt);
                3
            }
            Event::Acknowledged { .. } | Event::Transferred { .. } | Event::FetchEnded { .. } => 4,
        };
        self.seen[kind] += 1;
    }

    fn come_to_rest(&mut self) {
        self.drain();
        for _ in 0..100_000 {
            let Output::Timeout(next) = self.endpoint.poll_output() else { panic!("was drained") };
            let Some(next) = next else {
                assert!(
                    self.endings.values().all(|times| *times == 1),
                    "every request ends once: {:?}",
                    self.endings
                );
                let left = self.endpoint.occupancy();
                let memory = left.peers + left.remembered + left.exchanges + left.transfers + left.receipts;
                assert_eq!(memory, 0, "{left:?}");
                return;
            };
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        panic!("never comes to rest");
    }

    fn receipt(&mut self) -> Option<Receipt> {
        let index = usize::from(self.byte()?);
        // One that never was is as good as any.
        Some(if self.receipts.is_empty() { Receipt(0) } else { self.receipts[index % self.receipts.len()] })
    }

    fn peer(&mut self) -> Option<Peer> {
        let byte = self.byte()?;
        let mut peer = Peer::plain(([127, 0, 0, 1], u16::from(byte & 3)).into());
        peer.association = u64::from(byte >> 7);
        Some(peer)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let (head, rest) = self.input.split_at(length.min(self.input.len()));
        self.input = rest;
        head.to_vec()
    }
}

struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = (self.0 ^ (self.0 >> 33)).to_be_bytes();
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
}

fn config() -> Config {
    Config {
        remembered: REMEMBERED,
        remembered_per_peer: REMEMBERED / 2,
        transfers: TRANSFERS,
        transfer_bytes: 1024,
        body: 512,
        block: 64,
        ..Config::new(1)
    }
}

const REMEMBERED: usize = 12;
const TRANSFERS: usize = 3;
