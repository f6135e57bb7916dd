//! A network that loses, repeats and reorders.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::server::{Config, Event};
use tidegate_proto::time::Instant;

use crate::sim::{Device, OBJECTS, OBSERVE, Random, World, empty, observe, piggybacked, summary, write};

/// A client that follows the standard: it sends a confirmable message until it is acknowledged, does what it is asked
/// once, and repeats its answer when it is asked the same again.
struct Client {
    device: Device,
    /// What is not acknowledged yet: when it is sent again, and how often it was sent.
    unacknowledged: BTreeMap<u16, (Instant, u32, Vec<u8>)>,
    answers: HashMap<u16, Vec<u8>>,
    written: Vec<Vec<u8>>,
    observation: Option<Vec<u8>>,
    is_registered: bool,
}

impl Client {
    fn new() -> Self {
        Self {
            device: Device::new("a", 5683),
            unacknowledged: BTreeMap::new(),
            answers: HashMap::new(),
            written: Vec::new(),
            observation: None,
            is_registered: false,
        }
    }

    fn confirm(&mut self, now: Instant, datagram: Vec<u8>) -> Vec<u8> {
        let mid = u16::from_be_bytes([datagram[2], datagram[3]]);
        self.unacknowledged.insert(mid, (now + Duration::from_secs(3), 1, datagram.clone()));
        datagram
    }

    /// What it sends since time has passed.
    fn due(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let due = self.unacknowledged.values_mut().filter(|(at, count, _)| *at <= now && *count < 12);
        due.map(|(at, count, datagram)| {
            *count += 1;
            *at = now + Duration::from_secs(3);
            datagram.clone()
        })
        .collect()
    }

    /// What it answers.
    fn receive(&mut self, message: &Message) -> Option<Vec<u8>> {
        match message.kind() {
            Kind::Acknowledgement => {
                self.unacknowledged.remove(&message.mid())?;
                if message.code() == Code::CREATED {
                    self.device.locate(message);
                    self.is_registered = true;
                }
                None
            }
            Kind::Reset => panic!("reset: {message:?}"),
            Kind::Confirmable | Kind::NonConfirmable => {
                if let Some(answer) = self.answers.get(&message.mid()) {
                    return Some(answer.clone());
                }
                let answer = self.answer(message);
                self.answers.insert(message.mid(), answer.clone());
                Some(answer)
            }
        }
    }

    fn answer(&mut self, message: &Message) -> Vec<u8> {
        match message.code() {
            Code::PUT => {
                self.written.push(message.payload().to_vec());
                piggybacked(message, Code::CHANGED).build()
            }
            Code::GET => {
                self.observation = Some(message.token().as_bytes().to_vec());
                piggybacked(message, Code::CONTENT).option(OBSERVE, &[1]).build()
            }
            _ => empty(Kind::Reset, message),
        }
    }
}

/// Datagrams on their way, by when they arrive.
struct Network {
    random: Random,
    to_server: BTreeMap<(Instant, u64), Vec<u8>>,
    to_client: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
}

impl Network {
    /// A quarter is lost, an eighth comes twice, and each takes up to 900 ms.
    fn carry(&mut self, now: Instant, is_for_server: bool, datagram: &[u8]) {
        let copies = if self.random.percent(25) { 0 } else { 1 + usize::from(self.random.percent(12)) };
        for _ in 0..copies {
            let at = now + Duration::from_millis(1 + self.random.next() % 900);
            self.sent += 1;
            let way = if is_for_server { &mut self.to_server } else { &mut self.to_client };
            way.insert((at, self.sent), datagram.to_vec());
        }
    }
}

fn run(seed: u64) -> (Vec<Event>, Client) {
    let mut world = World::with(Config::default());
    let mut client = Client::new();
    let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut network = Network { random, to_server: BTreeMap::new(), to_client: BTreeMap::new(), sent: 0 };
    let start = world.now;
    let register = client.device.register_datagram(&["lt=3600"], OBJECTS);
    let register = client.confirm(start, register);
    network.carry(start, true, &register);
    let (mut has_asked, mut notified) = (false, 0);
    while world.now.since(start) < Duration::from_secs(600) {
        world.pass(Duration::from_millis(50));
        let now = world.now;
        while let Some(entry) = network.to_server.first_entry().filter(|entry| entry.key().0 <= now) {
            world.send(client.device.peer, &entry.remove());
        }
        for (_, datagram) in world.take_sent() {
            network.carry(now, false, &datagram);
        }
        while let Some(entry) = network.to_client.first_entry().filter(|entry| entry.key().0 <= now) {
            let message = Message::parse(&entry.remove()).expect("a message");
            if let Some(answer) = client.receive(&message) {
                network.carry(now, true, &answer);
            }
        }
        for datagram in client.due(now) {
            network.carry(now, true, &datagram);
        }
        if client.is_registered && !has_asked {
            has_asked = true;
            world.perform(observe("a", "o"));
            for number in 0..5_u8 {
                world.perform(write("a", &[number], &number.to_string()));
            }
        }
        if let Some(token) =
            client.observation.clone().filter(|_| client.unacknowledged.is_empty() && notified < 5)
        {
            notified += 1;
            let notification = client.device.notification(Kind::Confirmable, &token, 1 + notified).build();
            let notification = client.confirm(now, notification);
            network.carry(now, true, &notification);
        }
    }
    (world.events(), client)
}

#[test]
fn everything_arrives_once_and_in_order() {
    for seed in 1..=40 {
        let (events, client) = run(seed);
        // If the answer to the observe request is lost, the first notification is the answer.
        let first = events.iter().find_map(|event| match event {
            Event::Answered { sequence, .. } => *sequence,
            _ => None,
        });
        let events = summary(&events);
        assert_eq!(
            events.iter().filter(|event| *event == "registered a").count(),
            1,
            "seed {seed}: {events:?}"
        );
        let notified = events.iter().filter(|event| event.starts_with("notified")).count();
        assert_eq!(Some(notified), first.map(|first| 6 - first as usize), "seed {seed}: {events:?}");
        // A request is sent five times; one in a hundred may still be lost, but not silently, and not twice.
        let ended: Vec<&str> = events
            .iter()
            .filter(|event| event.starts_with("answered") || event.starts_with("failed"))
            .map(|event| event.split(' ').nth(1).expect("a context"))
            .collect();
        assert_eq!(ended, ["o", "0", "1", "2", "3", "4"], "seed {seed}: {events:?}");
        let mut sorted = client.written.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(client.written, sorted, "seed {seed}: written once each, in order");
        let answered =
            events.iter().filter(|event| event.starts_with("answered") && event.ends_with("2.04")).count();
        assert!(client.written.len() >= answered, "seed {seed}: {events:?}");
    }
}
