//! Floods: whoever is registered is served all the same, what is dropped is counted with its reason, and memory stays bounded.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coap_lite::{CoapOption, MessageType, Packet};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Device, Gateway, MqttVersion, PATIENCE, Peer, Setup, Value, code_text, option_uint,
    report, request,
};

#[test]
fn a_flood_of_nonsense_registrations_and_unfinished_bodies_harms_nobody() -> Result<()> {
    let mut setup = setup();
    setup.registration = json!({ "max-registrations": REGISTRATIONS });
    let scene = Scene::start(&setup)?;
    for number in 1..REGISTRATIONS {
        let peer = Peer::connect(scene.gateway.coap())?;
        ensure!(code_text(&peer.ask(&register(number, 1))?) == "2.01", "there is room for {number}");
    }
    let before = scene.resident()?;

    let mut sent = 0;
    let sources = scene.sources(200)?;
    let mut noise = Noise(1);
    for round in 0..150 {
        for source in &sources {
            source.send(&noise.datagram())?;
        }
        sent += sources.len() as u64;
        if round % 10 == 0 {
            scene.taken_in(sent)?;
        }
    }
    let noise_sent = sent;
    for mid in 0..10 {
        for (number, source) in (1_000..).zip(&sources) {
            source.send(&bytes(&register(number, mid))?)?;
        }
        sent += sources.len() as u64;
        if mid % 3 == 2 {
            scene.taken_in(sent)?;
        }
    }
    for mid in 0..30 {
        for source in &sources {
            source.send(&bytes(&first_block(mid))?)?;
        }
        sent += sources.len() as u64;
        if mid % 3 == 2 {
            scene.taken_in(sent)?;
        }
    }
    scene.taken_in(sent)?;

    // There is no room for one more, and it is told when to come again.
    let late = Peer::connect(scene.gateway.coap())?.ask(&register(9_999, 1))?;
    ensure!(code_text(&late) == "5.03" && option_uint(&late, CoapOption::MaxAge) == Some(60), "{late:?}");
    scene.serves(1)?;

    let metrics = scene.metrics()?;
    let lost = metrics.get("udp_receive_buffer_dropped_total");
    let malformed: u64 = MALFORMED.iter().map(|reason| metrics.dropped(&format!("malformed-{reason}"))).sum();
    ensure!(malformed + lost > noise_sent / 2, "most noise is malformed: {malformed} of {noise_sent}");
    let refused = metrics.get("lwm2m_rejected_total{reason=\"too-many-registrations\"}");
    ensure!(refused + lost >= 2_000, "{refused} registrations were refused, {lost} datagrams lost");
    let evicted = metrics.dropped("transfer-evicted");
    ensure!(evicted > 0 && evicted + lost >= 6_000 - 1_024, "{evicted} bodies were given up");
    ensure!(metrics.get("clients") == REGISTRATIONS, "{}", metrics.get("clients"));
    let status: Json = serde_json::from_str(&scene.gateway.http("/status")?)?;
    ensure!(status["load"]["dropped"]["coap"]["transfer-evicted"].as_u64() >= Some(evicted), "{status}");
    ensure!(status["store"]["failing"] == false, "{status}");

    let grown = scene.resident()?.saturating_sub(before);
    ensure!(grown < 96 << 10, "{grown} KiB more than before");
    report(&format!("{sent} datagrams, {lost} of them lost by the kernel; {grown} KiB more than before"));
    Ok(())
}

#[test]
fn beyond_the_rate_of_a_source_its_datagrams_are_dropped_and_a_registered_client_has_its_own() -> Result<()> {
    let mut setup = setup();
    setup.coap = json!({ "rate-limit-source": 20 });
    let scene = Scene::start(&setup)?;
    let sources = scene.sources(50)?;
    // All of one address, and none of them registered.
    for mid in 0..100 {
        for source in &sources {
            source.send(&bytes(&request("0.01", mid, &[1], "3", &[]))?)?;
        }
        if mid % 10 == 9 {
            scene.taken_in(u64::from(mid + 1) * sources.len() as u64)?;
        }
    }
    scene.serves(1)?;
    let metrics = scene.metrics()?;
    let lost = metrics.get("udp_receive_buffer_dropped_total");
    // What a source may send at once is less than what it sends.
    ensure!(metrics.dropped("rate-source") > 1_000, "{}, and {lost} lost", metrics.dropped("rate-source"));
    ensure!(metrics.dropped("rate-source") + lost > 4_000, "{}", metrics.dropped("rate-source"));
    scene.gateway.watch().said(&["datagrams come too fast", "coap.rate-limit-source"])?;
    ensure!(scene.gateway.watch().times_said(&["datagrams come too fast"]) < 60, "a line a second");
    Ok(())
}

#[test]
fn beyond_the_overall_rate_strangers_are_dropped_before_registered_clients() -> Result<()> {
    let mut setup = setup();
    setup.coap = json!({ "rate-limit": 200 });
    let scene = Scene::start(&setup)?;
    let sources = scene.sources(50)?;
    for mid in 0..60 {
        for source in &sources {
            source.send(&bytes(&request("0.01", mid, &[1], "3", &[]))?)?;
        }
        // More at once than what strangers may send in a burst, which is 200.
        if mid % 10 == 9 {
            scene.taken_in(u64::from(mid + 1) * sources.len() as u64)?;
            scene.serves(i64::from(mid))?;
        }
    }
    let metrics = scene.metrics()?;
    let lost = metrics.get("udp_receive_buffer_dropped_total");
    ensure!(metrics.dropped("rate-overall") > 300, "{}, and {lost} lost", metrics.dropped("rate-overall"));
    Ok(())
}

/// One shard, so that limits are exact; a device that is observed.
fn setup() -> Setup {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.settings["translators"] = json!({ "notify": { "topic": "up/notify", "qos": 1 } });
    setup.settings["auto_observe"] = json!(["/3/0"]);
    setup.shards = 1;
    setup.http = true;
    setup
}

struct Scene {
    gateway: Gateway,
    application: Application,
    device: Device,
}

impl Scene {
    fn start(setup: &Setup) -> Result<Self> {
        let gateway = Gateway::start(setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        let mut device = Device::new(gateway.coap(), "good")?;
        device.register()?;
        application.of_type("observe")?;
        Ok(Self { gateway, application, device })
    }

    fn sources(&self, count: usize) -> Result<Vec<UdpSocket>> {
        let source = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(self.gateway.coap())?;
            Ok(socket)
        };
        (0..count).map(source).collect()
    }

    /// Waits until so many datagrams have been taken in, or dropped on the way: a flood, but not of the kernel's buffer only.
    fn taken_in(&self, sent: u64) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics()?;
            let names = ["coap_received_total", "udp_receive_buffer_dropped_total"];
            let seen: u64 = names.iter().map(|name| metrics.get(name)).sum();
            let limited = metrics.dropped("rate-source") + metrics.dropped("rate-overall");
            if seen + limited >= sent {
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "{sent} sent, {seen} seen, {limited} dropped");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// A notification of the good device is acknowledged and arrives.
    fn serves(&self, number: i64) -> Result<()> {
        self.device.set("/3/0/9", Value::Integer(number))?;
        let sent = self.device.notify("/3/0", MessageType::Confirmable)?;
        let give_up = Instant::now() + PATIENCE;
        let id = sent.header.message_id;
        while self
            .device
            .answers()
            .look(Duration::from_millis(500), |it| it.header.message_id == id)
            .is_none()
        {
            ensure!(Instant::now() < give_up, "the good device is acknowledged");
            self.device.send(&sent)?;
        }
        self.application.take("the notification", |message| {
            let Some(json) = message.json() else { return false };
            let content = json["data"]["content"].as_array().cloned().unwrap_or_default();
            message.topic == "up/notify"
                && content.iter().any(|it| it["path"] == "/3/0/9" && it["value"] == number)
        })?;
        Ok(())
    }

    fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics(self.gateway.http("/metrics")?))
    }

    /// KiB of memory that the gateway has.
    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.watch().id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

struct Metrics(String);

impl Metrics {
    fn get(&self, name: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(&format!("tidegate_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.get(&format!("coap_dropped_total{{reason=\"{reason}\"}}"))
    }
}

/// The same bytes in each run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn datagram(&mut self) -> Vec<u8> {
        let words = self.next() % 16;
        (0..=words).flat_map(|_| self.next().to_le_bytes()).collect()
    }
}

fn register(number: u64, mid: u16) -> Packet {
    let endpoint = format!("ep=flood-{number}-{mid}");
    let mut packet = request("0.02", mid, &[7], "rd", &[&endpoint, "lwm2m=1.1", "lt=300", "b=U"]);
    packet.payload = b"</1/0>,</3/0>".to_vec();
    packet
}

/// The first of many blocks, of a body of its own.
fn first_block(number: u16) -> Packet {
    let mut packet = request("0.02", 1_000 + number, &[9], &format!("rd/{number}"), &[]);
    // Block1: number 0, more, 1024 bytes.
    packet.add_option(CoapOption::Block1, vec![0x0e]);
    packet.payload = vec![7; 1_024];
    packet
}

fn bytes(packet: &Packet) -> Result<Vec<u8>> {
    packet.to_bytes_unlimited().map_err(|error| anyhow::anyhow!("encoding: {error:?}"))
}

const REGISTRATIONS: u64 = 50;
const MALFORMED: [&str; 7] = ["short", "version", "token", "option", "payload", "empty", "code"];
