//! Devices that count, and the judge of what has become of their numbers: what the tests `chaos*` and `soak` share.
//!
//! Each notification of a device carries the next number, is confirmable and is sent again until it is acknowledged. Every
//! number that was acknowledged must reach the subscriber, at least once and first in order: that is what QoS 1 says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use coap_lite::MessageType;
use serde_json::json;

use crate::application::{Application, Message};
use crate::device::{Device, Value};
use crate::gateway::{Broker, Gateway, Setup};
use crate::inbox::PATIENCE;
use crate::mosquitto::Mosquitto;
use crate::relay::Relay;
use crate::report;

/// A gateway that speaks to its broker through a relay, an application at that broker, and devices.
#[derive(Debug)]
pub struct Scene {
    /// Between gateway and broker.
    pub relay: Relay,
    /// Under test.
    pub gateway: Gateway,
    /// Is subscribed to everything, and again after the broker was away.
    pub application: Application,
    /// Theirs.
    pub broker: Mosquitto,
    devices: Vec<Device>,
    _last: Device,
}

/// By endpoint, the numbers that were acknowledged.
pub type Acknowledged = BTreeMap<String, BTreeSet<i64>>;
/// The same of one device.
type Told = Result<(String, BTreeSet<i64>)>;

impl Scene {
    /// So many devices, which are observed.
    pub fn set(devices: usize) -> Result<Self> {
        Self::set_with(devices, Mosquitto::start()?, |_| {})
    }

    /// The same with this broker, and a gateway that is configured a bit differently.
    pub fn set_with(devices: usize, broker: Mosquitto, change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let relay = Relay::start(broker.port())?;
        let mut setup = Setup::new(Broker::On(relay.port()), "fixed");
        setup.settings["translators"] = json!({ "notify": { "topic": NOTIFY, "qos": 1 } });
        setup.settings["auto_observe"] = json!(["/3/0"]);
        setup.http = true;
        change(&mut setup);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect_for_good(broker.port())?;
        // What came before a Register that is answered is in the store.
        let last = observed("last", gateway.coap(), &application)?;
        let mut scene = Self { relay, gateway, application, broker, devices: Vec::new(), _last: last };
        for _ in 0..devices {
            scene.add_device(scene.gateway.coap())?;
        }
        scene.settle()?;
        Ok(scene)
    }

    /// One more device, which takes this for the address of the gateway.
    pub fn add_device(&mut self, gateway: SocketAddr) -> Result<()> {
        let device = observed(&format!("d{}", self.devices.len()), gateway, &self.application)?;
        self.devices.push(device);
        Ok(())
    }

    /// What the devices have agreed to so far is in the store, and nothing is left of it at the application.
    pub fn settle(&mut self) -> Result<()> {
        self._last = observed("last", self.gateway.coap(), &self.application)?;
        self.application.drain();
        Ok(())
    }

    /// All devices notify all the time.
    pub fn load(&mut self) -> Result<Load> {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = self.devices.drain(..).enumerate().map(|(number, device)| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            let endpoint = format!("d{number}");
            thread::spawn(move || notify_on_and_on(&device, &stop, &count).map(|numbers| (endpoint, numbers)))
        });
        Ok(Load { threads: threads.collect(), stop, count })
    }

    /// Waits until so many more notifications have reached the application.
    pub fn arrived_more(&self, more: usize) -> Result<()> {
        let inbox = self.application.inbox();
        let before = inbox.count(|_| true);
        let has_arrived = |messages: &[Message]| {
            let new = messages.get(before..).unwrap_or_default();
            new.len() >= more && new.iter().filter(|message| is_notification(message)).count() >= more
        };
        ensure!(inbox.wait_until(PATIENCE, has_arrived), "{more} more notifications arrive");
        Ok(())
    }

    /// All that was acknowledged is there, first in order.
    pub fn judge(&self, acknowledged: &Acknowledged) -> Result<()> {
        let inbox = self.application.inbox();
        let missing = |arrived: &BTreeMap<String, BTreeSet<i64>>| {
            acknowledged.iter().any(|(endpoint, numbers)| {
                arrived.get(endpoint).is_none_or(|arrived| !numbers.is_subset(arrived))
            })
        };
        let (mut seen, mut there) = (0, BTreeMap::new());
        let mut arrived: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut is_in_time = true;
        while is_in_time && missing(&there) {
            let new = inbox.behind(seen, PATIENCE);
            is_in_time = !new.is_empty();
            seen += new.len();
            for (endpoint, numbers) in self::arrived(&new) {
                there.entry(endpoint.clone()).or_default().extend(&numbers);
                arrived.entry(endpoint).or_default().extend(numbers);
            }
        }
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

/// A device that has registered and has agreed to be observed.
fn observed(endpoint: &str, gateway: SocketAddr, application: &Application) -> Result<Device> {
    let mut device = Device::new(gateway, endpoint)?;
    device.register()?;
    application.of_type("observe")?;
    Ok(device)
}

/// By endpoint, the numbers that arrived, in the order in which they did.
pub fn arrived(messages: &[Message]) -> BTreeMap<String, Vec<i64>> {
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

/// Whether it is on the topic of notifications.
pub fn is_notification(message: &Message) -> bool {
    message.topic == NOTIFY
}

/// Devices that notify all the time.
#[derive(Debug)]
pub struct Load {
    threads: Vec<JoinHandle<Told>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Load {
    /// Waits until so many more notifications are acknowledged.
    pub fn acknowledged_more(&self, more: usize) -> Result<()> {
        let wanted = self.count.load(Ordering::Relaxed) + more;
        let give_up = Instant::now() + PATIENCE;
        while self.count.load(Ordering::Relaxed) < wanted {
            ensure!(Instant::now() < give_up, "{more} more notifications are acknowledged");
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    }

    /// How many are acknowledged by now.
    pub fn acknowledged(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends the load. Each device finishes the notification it is at.
    pub fn stop(mut self) -> Result<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Told>| thread.join().map_err(|_| anyhow!("a device panicked"))?;
        self.threads.drain(..).map(join).collect()
    }
}

/// A test that fails leaves nobody behind who notifies.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
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
        thread::park_timeout(BETWEEN_NOTIFICATIONS);
        acknowledged.insert(number);
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(acknowledged)
}

/// Sooner than a real device, so that a test does not take long.
const RETRANSMISSION: Duration = Duration::from_millis(100);
/// So that the judge, the relay and the broker can follow.
const BETWEEN_NOTIFICATIONS: Duration = Duration::from_millis(1);
/// Where notifications are published.
const NOTIFY: &str = "up/notify";
