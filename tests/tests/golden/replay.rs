//! Replays one case: what the devices and the application do, against what the gateway does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, Packet};
use serde_json::{Value as Json, json};
use tidegate_tests::{Peer, code_text, option_values, request};

use crate::bench::{Bench, PATIENCE, SHORT_WINDOW, is_a_devices};
use crate::case::{Case, Command, Message, Outcome, Publication, Step, Wait, bytes};
use crate::compare;
use crate::deviations::{Deviation, Part};
use crate::device::Device;
use crate::notation;

/// The devices of one case.
pub(crate) struct Replay<'a, 'b> {
    bench: &'a mut Bench<'b>,
    case: &'a Case,
    devices: BTreeMap<String, Device>,
    /// Where the registrations are, as their Location-Paths said; the latest last.
    locations: Vec<Location>,
    deviation: Option<&'static Deviation>,
}

struct Location {
    device: String,
    endpoint: String,
    path: String,
}

impl<'a, 'b> Replay<'a, 'b> {
    /// Every case has sockets of its own.
    pub(crate) fn new(
        bench: &'a mut Bench<'b>,
        case: &'a Case,
        deviation: Option<&'static Deviation>,
    ) -> Self {
        Self { bench, case, devices: BTreeMap::new(), locations: Vec::new(), deviation }
    }

    /// Run all steps, and clean up whatever the outcome. The sockets come back, so that their ports are not used
    /// again while the gateway remembers their message IDs.
    pub(crate) fn run(mut self) -> (Result<()>, Vec<Peer>) {
        let mut outcome = self.steps();
        if outcome.is_ok() && self.deviation.is_some() {
            outcome = self.still_serves().context("afterwards");
        }
        let cleaned = self.clean_up();
        let peers = self.devices.into_values().map(|device| device.peer).collect();
        (outcome.and(cleaned), peers)
    }

    fn steps(&mut self) -> Result<()> {
        let case = self.case;
        for (index, step) in case.given.steps.iter().enumerate() {
            let nothing = Outcome::default();
            let expected = case.expect.steps.get(index).unwrap_or(&nothing);
            let device = step.peer.clone().unwrap_or_else(|| "A".to_owned());
            let outcome = self.perform(&device, step).and_then(|()| self.check(index, &device, expected));
            let given = step
                .mqtt_command
                .as_ref()
                .or_else(|| case.given.steps[index.saturating_sub(1)].mqtt_command.as_ref());
            let given = given.map(|command| String::from_utf8_lossy(&command.bytes()).into_owned());
            outcome.with_context(|| format!("step {} {}", index + 1, given.unwrap_or_default()))?;
        }
        Ok(())
    }

    fn perform(&mut self, name: &str, step: &Step) -> Result<()> {
        self.device(name)?;
        if let Some(datagram) = &step.from_device {
            self.send(name, &bytes(&datagram.hex)?)?;
        } else if let Some(answer) = &step.device_answers {
            self.device(name)?.answer(answer)?;
        } else if let Some(command) = &step.mqtt_command {
            self.publish(command)?;
            if command.expiry() == Some(0) {
                // It has, once this has passed.
                self.sleep(name)?;
            }
        } else if let Some(commands) = &step.mqtt_commands {
            commands.iter().try_for_each(|command| self.publish(command))?;
        } else if let Some(wait) = step.wait()? {
            match wait {
                Wait::AwakeWindow => self.sleep(name)?,
                Wait::Lifetime => self.outlive(name)?,
                Wait::Answer => self.stay_silent(name)?,
            }
        }
        Ok(())
    }

    /// Nothing may come while the awake window passes.
    fn sleep(&mut self, name: &str) -> Result<()> {
        let window = Duration::from_secs(SHORT_WINDOW) + Duration::from_millis(200);
        match self.device(name)?.peer.receive_within(window)? {
            Some(packet) => {
                bail!("while the awake window passed, the gateway sent {}", compare::describe(&packet))
            }
            None => Ok(()),
        }
    }

    /// The lifetime has passed when commands do not reach the device any more. They do not wait for each other, and
    /// the device is silent, as any datagram of it would begin the lifetime anew.
    fn outlive(&mut self, name: &str) -> Result<()> {
        let location = self.locations.last().context("no registration")?;
        let (path, topic) = (location.path.clone(), self.bench.command_topic(&location.endpoint));
        let deadline = Instant::now() + PATIENCE;
        let mut command = read(MEANWHILE);
        command["mheaders"] = json!({ "ttl": 0 });
        let device = self.device(name)?;
        let update = request("0.02", device.mid(), b"late", &path, &[]);
        loop {
            self.bench.application.command(&topic, &command)?;
            // What is sent to the device before the fence is passed is there afterwards.
            self.bench.pass_fence()?;
            let device = self.device(name)?;
            let known = device.requests.len();
            device.receive_all()?;
            if device.requests.len() == known {
                break;
            }
            if Instant::now() > deadline {
                bail!("the registration does not end");
            }
        }
        match code_text(&self.device(name)?.peer.ask(&update)?).as_str() {
            "4.04" => Ok(()),
            other => bail!("after the end of the lifetime an Update was answered {other}"),
        }
    }

    /// The device does not answer, until the gateway gives up (RFC 7252 section 4.2: after four retransmissions).
    fn stay_silent(&mut self, name: &str) -> Result<()> {
        self.bench
            .application
            .inbox()
            .look(MAX_TRANSMIT_WAIT, |message| {
                message.json().is_some_and(|json| json["msgType"] == "coap_timeout")
            })
            .context("the gateway does not give up")?;
        let device = self.device(name)?;
        device.ping()?;
        match device.retransmissions {
            MAX_RETRANSMIT => Ok(()),
            other => bail!("the request was sent again {other} times"),
        }
    }

    /// Locations are the gateway's choice: a path `rd/<endpoint name>` of the file becomes the real one.
    fn send(&mut self, name: &str, datagram: &[u8]) -> Result<()> {
        let Ok(mut packet) = Packet::from_bytes(datagram) else {
            let device = self.device(name)?;
            device.sent = None;
            return device.peer.send_bytes(datagram);
        };
        if let Some(path) = self.real_path(name, &option_values(&packet, CoapOption::UriPath)) {
            packet.clear_option(CoapOption::UriPath);
            let segments = path.split('/').map(|segment| segment.as_bytes().to_vec());
            segments.for_each(|segment| packet.add_option(CoapOption::UriPath, segment));
        }
        let device = self.device(name)?;
        device.peer.send(&packet)?;
        device.sent = Some(packet);
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

    fn publish(&self, command: &Command) -> Result<()> {
        // A broker takes an interval of 0 for none.
        let expiry = command.expiry().map(|seconds| u32::try_from(seconds.max(1))).transpose()?;
        let topic = self.deviation.map_or_else(|| command.topic.clone(), |it| it.topic(&command.topic));
        self.bench.application.publish(&topic, command.qos.max(1), expiry, command.bytes())
    }

    /// Compare what the step has led to, with the case or with what happens instead.
    fn check(&mut self, step: usize, name: &str, expected: &Outcome) -> Result<()> {
        let instead = Expected::new(self.deviation, step);
        let to_device = instead.to_device.as_ref().unwrap_or(&expected.to_device);
        let publish = instead.publish.clone().unwrap_or_else(|| expected.publish.clone());
        let publish: Vec<_> = publish.into_iter().map(|told| told.renamed(self.deviation)).collect();
        let mut messages = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while messages.len() < to_device.len() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            messages.extend(self.device(name)?.receive(left)?);
        }
        let mut publications = Vec::new();
        for _ in &publish {
            publications.extend(self.bench.application.inbox().take_within(PATIENCE, "", is_a_devices));
        }
        self.bench.pass_fence()?;
        publications.extend(self.bench.publications());
        messages.extend(self.rest(name)?);
        self.remember(name, &messages);
        let sent = self.device(name)?.sent.clone();
        compare::messages(to_device, &messages, sent.as_ref())?;
        compare::publications(&publish, &publications)?;
        if instead.to_device.is_some()
            && compare::messages(&expected.to_device, &messages, sent.as_ref()).is_ok()
        {
            bail!("stale deviation: the messages to the device are those of the case");
        }
        if instead.publish.is_some() && compare::publications(&expected.publish, &publications).is_ok() {
            bail!("stale deviation: the publications are those of the case");
        }
        Ok(())
    }

    /// What else comes. In queue mode without a ping, which would wake the client up. Other devices get nothing.
    fn rest(&mut self, name: &str) -> Result<Vec<Packet>> {
        if self.case.waits() {
            return Ok(self.device(name)?.receive(Duration::from_millis(1))?.into_iter().collect());
        }
        for (other, device) in self.devices.iter_mut().filter(|(other, _)| other.as_str() != name) {
            if let Some(packet) = device.ping()?.first() {
                bail!("to device {other}: {}", compare::describe(packet));
            }
        }
        self.device(name)?.ping()
    }

    /// Keep the location that a Register was answered with, and who has updated it; drop one that was deregistered.
    fn remember(&mut self, name: &str, messages: &[Packet]) {
        let Some(sent) = self.devices.get(name).and_then(|device| device.sent.clone()) else { return };
        let path = joined(&option_values(&sent, CoapOption::UriPath));
        let answered = |code| messages.iter().any(|message| code_text(message) == code);
        if answered("2.02") {
            self.locations.retain(|location| location.path != path);
        } else if answered("2.04")
            && let Some(location) = self.locations.iter_mut().find(|location| location.path == path)
        {
            name.clone_into(&mut location.device);
        }
        let queries = option_values(&sent, CoapOption::UriQuery);
        let Some(endpoint) = queries.iter().find_map(|query| query.strip_prefix(b"ep=")) else { return };
        for message in messages {
            let segments = option_values(message, CoapOption::LocationPath);
            if !segments.is_empty() {
                self.locations.push(Location {
                    device: name.to_owned(),
                    endpoint: String::from_utf8_lossy(endpoint).into_owned(),
                    path: joined(&segments),
                });
            }
        }
    }

    /// The device is registered, or can register, and answers a read.
    fn still_serves(&mut self) -> Result<()> {
        let (name, endpoint) = match self.locations.last() {
            Some(location) => (location.device.clone(), location.endpoint.clone()),
            None => ("A".to_owned(), self.register()?),
        };
        // A sign of life, should it be asleep.
        self.device(&name)?.ping()?;
        self.bench.application.command(&self.bench.command_topic(&endpoint), &read(AFTERWARDS))?;
        let deadline = Instant::now() + PATIENCE;
        let is_its = |message: &tidegate_tests::Message| {
            message.json().is_some_and(|json| json["reqID"] == AFTERWARDS)
        };
        while self.device(&name)?.serve(&READ_PATH, "U")? == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("a read does not reach the device");
            }
            self.device(&name)?.receive(left)?;
        }
        let answer = self.bench.application.take("answer to a read", is_its)?.json();
        let content = json!([{ "path": "/3/0/16", "value": "U" }]);
        let data = json!({ "reqPath": "/3/0/16", "code": "2.05", "codeMsg": "content", "content": content });
        if answer != Some(json!({ "reqID": AFTERWARDS, "msgType": "read", "data": data })) {
            bail!("a read is answered {answer:?}");
        }
        Ok(())
    }

    fn register(&mut self) -> Result<String> {
        let endpoint = format!("{AFTERWARDS}-{}", self.case.name);
        let ep = format!("ep={endpoint}");
        let device = self.device("A")?;
        let mut register = request("0.02", device.mid(), b"reg", "rd", &[&ep, "lt=300", "lwm2m=1.0"]);
        register.payload = b"</3/0>".to_vec();
        let answer = device.peer.ask(&register)?;
        device.sent = Some(register);
        self.remember("A", &[answer]);
        self.locations.last().context("a registration is refused")?;
        Ok(endpoint)
    }

    fn clean_up(&mut self) -> Result<()> {
        for location in std::mem::take(&mut self.locations) {
            let device = self.device(&location.device)?;
            let mid = device.mid();
            device.peer.send(&request("0.04", mid, b"bye", &location.path, &[]))?;
            device.peer.expect("answer to the deregistration", |packet| {
                packet.header.message_id == mid && packet.get_token() == b"bye"
            })?;
        }
        self.bench.pass_fence()?;
        self.bench.publications();
        Ok(())
    }

    fn device(&mut self, name: &str) -> Result<&mut Device> {
        if !self.devices.contains_key(name) {
            let peer = Peer::connect(self.bench.gateway.coap())?;
            self.devices.insert(name.to_owned(), Device::new(peer));
        }
        self.devices.get_mut(name).context("just inserted")
    }
}

/// What a step leads to instead of what the case says, if anything.
#[derive(Default)]
struct Expected {
    to_device: Option<Vec<Message>>,
    publish: Option<Vec<Publication>>,
}

impl Expected {
    fn new(deviation: Option<&'static Deviation>, step: usize) -> Self {
        let mut expected = Self::default();
        for part in deviation.into_iter().flat_map(|deviation| deviation.changes(step)) {
            match part {
                Part::ToDevice(lines) => {
                    expected.to_device = Some(lines.iter().map(|line| notation::message(line)).collect());
                }
                Part::Publish(lines) => {
                    expected.publish = Some(lines.iter().map(|line| notation::publication(line)).collect());
                }
            }
        }
        expected
    }
}

fn joined(segments: &[Vec<u8>]) -> String {
    let segments: Vec<_> = segments.iter().map(|segment| String::from_utf8_lossy(segment)).collect();
    segments.join("/")
}

/// A command of the test's own.
fn read(id: &str) -> Json {
    json!({ "reqID": id, "msgType": "read", "data": { "path": "/3/0/16" } })
}

const READ_PATH: [&[u8]; 3] = [b"3", b"0", b"16"];

/// What distinguishes those commands.
const MEANWHILE: &str = "meanwhile";
const AFTERWARDS: &str = "afterwards";

/// RFC 7252 section 4.8.2, and a little for the machine.
const MAX_TRANSMIT_WAIT: Duration = Duration::from_secs(93 + 10);
const MAX_RETRANSMIT: usize = 4;
