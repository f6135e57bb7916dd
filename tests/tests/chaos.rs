//! What a device was told has arrived does arrive, whatever dies: the gateway, the broker, the way between them.
//!
//! Devices count: each notification carries the next number, is confirmable and is sent again until it is acknowledged or given
//! up. Every number that was acknowledged must reach the subscriber, at least once and first in order: that is what QoS 1 says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use coap_lite::MessageType;
use serde_json::json;
use tidegate_tests::{
    Application, Broker, Device, Gateway, Message, Mosquitto, MqttVersion, PATIENCE, Relay, Setup, Value,
    report,
};

#[test]
fn a_gateway_that_is_killed_twenty_times_under_load_loses_nothing_it_has_acknowledged() -> Result<()> {
    let mut scene = Scene::set(4)?;
    let load = scene.load()?;
    for round in 0..20 {
        // At another moment each time.
        load.acknowledged_more(1 + round * 7 % 13)?;
        scene.gateway.kill_and_restart()?;
    }
    load.acknowledged_more(8)?;
    scene.judge(&load.stop()?)
}

#[test]
fn a_connection_to_the_broker_that_breaks_under_load_loses_and_reorders_nothing() -> Result<()> {
    let mut scene = Scene::set(4)?;
    let load = scene.load()?;
    for round in 0..8 {
        load.acknowledged_more(5 + round * 11 % 17)?;
        scene.relay.cut();
        load.acknowledged_more(3 + round * 5 % 7)?;
        scene.relay.mend();
    }
    scene.judge(&load.stop()?)
}

#[test]
fn what_waits_for_a_broker_that_is_away_survives_the_kill_of_the_gateway() -> Result<()> {
    let mut scene = Scene::set(3)?;
    scene.relay.cut();
    let load = scene.load()?;
    for _ in 0..3 {
        load.acknowledged_more(20)?;
        scene.gateway.kill_and_restart()?;
    }
    let acknowledged = load.stop()?;
    ensure!(scene.application.inbox().count(is_notification) == 0, "the broker was away");
    scene.relay.mend();
    scene.judge(&acknowledged)
}

#[test]
fn a_gateway_that_is_stopped_while_its_broker_is_away_keeps_what_waits() -> Result<()> {
    let mut scene = Scene::set(2)?;
    scene.relay.cut();
    let load = scene.load()?;
    load.acknowledged_more(10)?;
    let acknowledged = load.stop()?;
    scene.gateway.terminate_and_restart()?;
    scene.relay.mend();
    scene.judge(&acknowledged)
}

struct Scene {
    relay: Relay,
    gateway: Gateway,
    application: Application,
    devices: Vec<Device>,
    _last: Device,
    _broker: Mosquitto,
}

/// By endpoint, the numbers that were acknowledged.
type Acknowledged = BTreeMap<String, BTreeSet<i64>>;
/// The same of one device.
type Told = Result<(String, BTreeSet<i64>)>;

impl Scene {
    fn set(devices: usize) -> Result<Self> {
        let broker = Mosquitto::start()?;
        let relay = Relay::start(broker.port())?;
        let mut setup = Setup::new(Broker::On(relay.port()), "fixed");
        setup.settings["translators"] = json!({ "notify": { "topic": "up/notify", "qos": 1 } });
        setup.settings["auto_observe"] = json!(["/3/0"]);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let devices = (0..devices).map(|number| {
            let mut device = Device::new(gateway.coap(), &format!("d{number}"))?;
            device.register()?;
            application.of_type("observe")?;
            Ok(device)
        });
        let devices = devices.collect::<Result<Vec<_>>>()?;
        // What came before a Register that is answered is in the store.
        let mut last = Device::new(gateway.coap(), "last")?;
        last.register()?;
        application.of_type("observe")?;
        application.drain();
        Ok(Self { relay, gateway, application, devices, _last: last, _broker: broker })
    }

    fn load(&mut self) -> Result<Load> {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = self.devices.drain(..).enumerate().map(|(number, device)| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            let endpoint = format!("d{number}");
            thread::spawn(move || notify_on_and_on(&device, &stop, &count).map(|numbers| (endpoint, numbers)))
        });
        Ok(Load { threads: threads.collect(), stop, count })
    }

    /// All that was acknowledged is there, first in order.
    fn judge(&self, acknowledged: &Acknowledged) -> Result<()> {
        let inbox = self.application.inbox();
        let is_all_there = |messages: &[Message]| {
            let arrived = arrived(messages);
            acknowledged.iter().all(|(endpoint, numbers)| {
                let arrived: BTreeSet<i64> = arrived.get(endpoint).into_iter().flatten().copied().collect();
                numbers.is_subset(&arrived)
            })
        };
        let is_in_time = inbox.wait_until(PATIENCE, is_all_there);
        let arrived = arrived(&inbox.all());
        let (mut doubled, mut all) = (0, 0);
        for (endpoint, numbers) in acknowledged {
            let of = arrived.get(endpoint).context("something arrived")?;
            let first: BTreeSet<i64> = of.iter().copied().collect();
            let lost: Vec<_> = numbers.difference(&first).collect();
            ensure!(
                is_in_time && lost.is_empty(),
                "{endpoint}: lost {lost:?} of {numbers:?}; arrived {of:?}"
            );
            // Each when it arrives for the first time.
            let mut seen = BTreeSet::new();
            let order: Vec<i64> = of.iter().copied().filter(|number| seen.insert(*number)).collect();
            ensure!(order.is_sorted(), "{endpoint}: {order:?}");
            doubled += of.len() - order.len();
            all += order.len();
        }
        report(&format!("{all} notifications arrived, {doubled} of them twice"));
        Ok(())
    }
}

/// By endpoint, the numbers that arrived, in the order in which they did.
fn arrived(messages: &[Message]) -> BTreeMap<String, Vec<i64>> {
    let mut arrived: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for message in messages.iter().filter(|message| is_notification(message)) {
        let Some(json) = message.json() else { continue };
        let number = json["data"]["content"].as_array().into_iter().flatten();
        let number = number.filter(|content| content["path"] == "/3/0/9").find_map(|it| it["value"].as_i64());
        if let (Some(endpoint), Some(number)) = (json["ep"].as_str(), number) {
            arrived.entry(endpoint.to_owned()).or_default().push(number);
        }
    }
    arrived
}

fn is_notification(message: &Message) -> bool {
    message.topic == "up/notify"
}

/// Devices that notify without a pause.
struct Load {
    threads: Vec<JoinHandle<Told>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Load {
    /// Waits until so many more notifications are acknowledged.
    fn acknowledged_more(&self, more: usize) -> Result<()> {
        let wanted = self.count.load(Ordering::Relaxed) + more;
        let give_up = Instant::now() + PATIENCE;
        while self.count.load(Ordering::Relaxed) < wanted {
            ensure!(Instant::now() < give_up, "{more} more notifications are acknowledged");
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    }

    fn stop(self) -> Result<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Told>| thread.join().map_err(|_| anyhow!("a device panicked"))?;
        self.threads.into_iter().map(join).collect()
    }
}

fn notify_on_and_on(device: &Device, stop: &AtomicBool, count: &AtomicUsize) -> Result<BTreeSet<i64>> {
    let mut acknowledged = BTreeSet::new();
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        device.set("/3/0/9", Value::Integer(number))?;
        let give_up = Instant::now() + PATIENCE;
        // The system may tell that nobody is there just now.
        let sent = loop {
            match device.notify("/3/0", MessageType::Confirmable) {
                Ok(sent) => break sent,
                Err(error) => ensure!(Instant::now() < give_up, "{number} is sent some time: {error}"),
            }
        };
        let id = sent.header.message_id;
        loop {
            let answer = device.answers().look(RETRANSMISSION, |answer| answer.header.message_id == id);
            if let Some(answer) = answer {
                let kind = answer.header.get_type();
                ensure!(kind == MessageType::Acknowledgement, "{number} was answered by {kind:?}");
                break;
            }
            ensure!(Instant::now() < give_up, "{number} is acknowledged some time");
            // The gateway may not be there just now.
            let _ = device.send(&sent);
        }
        acknowledged.insert(number);
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(acknowledged)
}

/// Sooner than a real device, so that a test does not take long.
const RETRANSMISSION: Duration = Duration::from_millis(100);
