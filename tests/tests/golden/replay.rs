//! Replays one case: what the devices and the application do, against what the gateway does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use serde_json::Value as Json;
use tidegate_tests::{Peer, code, empty, option_values, request};

use crate::bench::{Bench, PATIENCE, SHORT_WINDOW, is_a_devices};
use crate::case::{Answer, Case, Command, Outcome, Step, bytes};
use crate::compare;
use crate::deviations::Adaptation;

/// The devices of one case.
pub(crate) struct Replay<'a, 'b> {
    bench: &'a mut Bench<'b>,
    case: &'a Case,
    devices: BTreeMap<String, Device>,
    /// Where the registrations are, as their Location-Paths said; the latest last.
    locations: Vec<Location>,
    adaptation: Option<Adaptation>,
}

struct Device {
    peer: Peer,
    /// Requests of the gateway, without retransmissions.
    requests: Vec<Packet>,
    /// The last request of the device itself.
    sent: Option<Packet>,
}

struct Location {
    device: String,
    endpoint: String,
    path: String,
}

impl<'a, 'b> Replay<'a, 'b> {
    /// Every case has sockets of its own.
    pub(crate) fn new(bench: &'a mut Bench<'b>, case: &'a Case, adaptation: Option<Adaptation>) -> Self {
        Self { bench, case, devices: BTreeMap::new(), locations: Vec::new(), adaptation }
    }

    /// Run all steps, and clean up whatever the outcome. The sockets come back, so that their ports are not used
    /// again while the gateway remembers their message IDs.
    pub(crate) fn run(mut self) -> (Result<()>, Vec<Peer>) {
        let outcome = self.steps();
        let cleaned = self.clean_up();
        let peers = self.devices.into_values().map(|device| device.peer).collect();
        (outcome.and(cleaned), peers)
    }

    fn steps(&mut self) -> Result<()> {
        let case = self.case;
        for (index, (step, expected)) in case.given.steps.iter().zip(&case.expect.steps).enumerate() {
            let device = step.peer.clone().unwrap_or_else(|| "A".to_owned());
            let outcome = self.perform(&device, step).and_then(|()| self.check(&device, expected));
            outcome.with_context(|| format!("step {}", index + 1))?;
        }
        Ok(())
    }

    fn perform(&mut self, name: &str, step: &Step) -> Result<()> {
        self.device(name)?;
        if let Some(datagram) = &step.from_device {
            self.send(name, &bytes(&datagram.hex)?)?;
        } else if let Some(answer) = &step.device_answers {
            self.answer(name, answer)?;
        } else if let Some(command) = &step.mqtt_command {
            self.publish(command)?;
        } else if let Some(commands) = &step.mqtt_commands {
            commands.iter().try_for_each(|command| self.publish(command))?;
        } else if step.elapse.is_some() {
            // Nothing may come while the awake window passes.
            let window = Duration::from_secs(SHORT_WINDOW) + Duration::from_millis(200);
            if let Some(packet) = self.device(name)?.peer.receive_within(window)? {
                bail!("while the awake window passed, the gateway sent {}", compare::describe(&packet));
            }
        }
        Ok(())
    }

    /// Locations are the gateway's choice: a path `rd/<endpoint name>` of the file becomes the real one.
    fn send(&mut self, name: &str, datagram: &[u8]) -> Result<()> {
        let Ok(mut packet) = Packet::from_bytes(datagram) else {
            return self.device(name)?.peer.send_bytes(datagram);
        };
        if let Some(path) = self.real_path(name, &option_values(&packet, CoapOption::UriPath)) {
            packet.clear_option(CoapOption::UriPath);
            let segments = path.split('/').map(|segment| segment.as_bytes().to_vec());
            segments.for_each(|segment| packet.add_option(CoapOption::UriPath, segment));
        }
        let device = self.device(name)?;
        device.peer.send(&packet)?;
        if matches!(packet.header.code, MessageClass::Request(_)) {
            device.sent = Some(packet);
        }
        Ok(())
    }

    /// A device knows its own location; one that has none uses that of another, as after a change of address.
    fn real_path(&self, name: &str, path: &[Vec<u8>]) -> Option<String> {
        let [rd, endpoint] = path else { return None };
        let of_endpoint =
            self.locations.iter().rev().filter(|location| location.endpoint.as_bytes() == endpoint);
        let own = of_endpoint.clone().find(|location| location.device == name);
        let location = own.or_else(|| of_endpoint.clone().next()).filter(|_| rd == b"rd");
        location.map(|location| location.path.clone())
    }

    fn answer(&mut self, name: &str, answer: &Answer) -> Result<()> {
        let device = self.device(name)?;
        let asked = match answer.answers_request.as_u64() {
            Some(number) => device.requests.get(usize::try_from(number)? - 1),
            None => device.requests.last(),
        };
        let asked = asked.context("the gateway has not asked anything")?;
        let mut packet = Packet::new();
        packet.header.set_type(compare::message_type(&answer.kind)?);
        packet.header.code = code(&answer.code);
        packet.header.message_id = match answer.mid.as_u64() {
            Some(number) => u16::try_from(number)?,
            None => asked.header.message_id,
        };
        packet.set_token(if answer.token.starts_with("same") {
            asked.get_token().to_vec()
        } else {
            bytes(&answer.token)?
        });
        for option in &answer.options {
            packet.add_option(CoapOption::from(option.number), bytes(&option.hex)?);
        }
        packet.payload = bytes(&answer.payload_hex)?;
        device.peer.send(&packet)
    }

    fn publish(&self, command: &Command) -> Result<()> {
        let expiry = command.properties.get("Message-Expiry-Interval").and_then(Json::as_u64);
        let expiry = expiry.map(u32::try_from).transpose()?;
        let topic = match (self.adaptation, command.topic.strip_suffix("/dm")) {
            (Some(Adaptation::Addressed(endpoint)), Some(front)) => format!("{front}/{endpoint}"),
            _ => command.topic.clone(),
        };
        self.bench.application.publish(&topic, command.qos.max(1), expiry, command.bytes())
    }

    fn check(&mut self, name: &str, expected: &Outcome) -> Result<()> {
        let mut messages = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while messages.len() < expected.to_device.len() && Instant::now() < deadline {
            messages.extend(self.receive(name, deadline.saturating_duration_since(Instant::now()))?);
        }
        let wanted = expected.publish.len();
        let mut publications = Vec::new();
        for _ in 0..wanted {
            publications.extend(self.bench.application.inbox().take_within(PATIENCE, "", is_a_devices));
        }
        self.bench.pass_fence()?;
        publications.extend(self.bench.publications());
        self.ping(name, &mut messages)?;
        self.remember(name, &messages);
        let sent = self.device(name)?.sent.clone();
        compare::messages(&expected.to_device, &messages, sent.as_ref(), self.adaptation)?;
        compare::publications(&expected.publish, &publications)
    }

    /// Everything the gateway sends before it answers a ping. Not in queue mode: a ping wakes the client up.
    fn ping(&mut self, name: &str, messages: &mut Vec<Packet>) -> Result<()> {
        if self.case.waits() {
            messages.extend(self.receive(name, Duration::from_millis(1))?);
            return Ok(());
        }
        self.device(name)?.peer.send(&empty(MessageType::Confirmable, PING))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.receive(name, PATIENCE)? {
                Some(packet) if is_pong(&packet) => return Ok(()),
                other => messages.extend(other),
            }
        }
        bail!("no reset in answer to a ping")
    }

    /// The next message that is not a retransmission.
    fn receive(&mut self, name: &str, patience: Duration) -> Result<Option<Packet>> {
        let device = self.device(name)?;
        let Some(packet) = device.peer.receive_within(patience)? else { return Ok(None) };
        if !matches!(packet.header.code, MessageClass::Request(_)) {
            return Ok(Some(packet));
        }
        let known =
            device.requests.iter().any(|request| request.header.message_id == packet.header.message_id);
        if known {
            return Ok(None);
        }
        device.requests.push(packet.clone());
        Ok(Some(packet))
    }

    fn remember(&mut self, name: &str, messages: &[Packet]) {
        let Some(sent) = self.devices.get(name).and_then(|device| device.sent.as_ref()) else { return };
        let queries = option_values(sent, CoapOption::UriQuery);
        let Some(endpoint) = queries.iter().find_map(|query| query.strip_prefix(b"ep=")) else { return };
        for message in messages {
            let segments = option_values(message, CoapOption::LocationPath);
            if !segments.is_empty() {
                let segments: Vec<_> =
                    segments.iter().map(|segment| String::from_utf8_lossy(segment)).collect();
                self.locations.push(Location {
                    device: name.to_owned(),
                    endpoint: String::from_utf8_lossy(endpoint).into_owned(),
                    path: segments.join("/"),
                });
            }
        }
    }

    fn clean_up(&mut self) -> Result<()> {
        for (mid, location) in (LAST_MIDS..).zip(std::mem::take(&mut self.locations)) {
            let device = self.device(&location.device)?;
            device.peer.send(&request("0.04", mid, b"bye", &location.path, &[]))?;
            device.peer.expect("answer to the deregistration", |packet| packet.get_token() == b"bye")?;
        }
        self.bench.pass_fence()?;
        self.bench.publications();
        Ok(())
    }

    fn device(&mut self, name: &str) -> Result<&mut Device> {
        if !self.devices.contains_key(name) {
            let peer = Peer::connect(self.bench.gateway.coap())?;
            self.devices.insert(name.to_owned(), Device { peer, requests: Vec::new(), sent: None });
        }
        self.devices.get_mut(name).context("just inserted")
    }
}

fn is_pong(packet: &Packet) -> bool {
    packet.header.get_type() == MessageType::Reset && packet.header.message_id == PING
}

/// Message IDs that no case uses.
const PING: u16 = 60_000;
const LAST_MIDS: u16 = 61_000;
