//! Two thousand clients that come and go for ten minutes: nothing that was acknowledged is lost, and nothing grows. `make soak`.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::{Value as Json, json};
use tidegate_tests::swarm::{Record, Swarm};
use tidegate_tests::{Broker, Gateway, Mosquitto, PATIENCE, Setup, report};

#[test]
#[ignore = "takes ten minutes, or TIDEGATE_SOAK_SECONDS"]
fn thousands_of_clients_that_come_and_go_lose_nothing_and_nothing_grows() -> Result<()> {
    let seconds = std::env::var("TIDEGATE_SOAK_SECONDS").map_or(Ok(600), |seconds| seconds.parse())?;
    let broker = Mosquitto::start()?;
    let subscriber = Subscriber::start(broker.port())?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.http = true;
    setup.settings["translators"] = json!({ "notify": { "topic": "up/notify", "qos": 1 } });
    setup.settings["auto_observe"] = json!(["/3/0"]);
    let gateway = Gateway::start(&setup)?;
    let begun = Instant::now();
    let swarm = Swarm::start(gateway.coap(), CLIENTS, 2, PACE)?;
    let mut samples = Vec::new();
    for part in 1..=PARTS {
        let until = begun + Duration::from_secs(seconds) * part / PARTS;
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        let sample = Sample::take(gateway.watch().id(), begun.elapsed())?;
        report(&format!(
            "{:4.0} s: {} MB, {} handles; {} registrations, {} notifications acknowledged, {} arrived",
            begun.elapsed().as_secs_f64(),
            sample.resident / 1_000_000,
            sample.handles,
            swarm.registrations(),
            swarm.acknowledged(),
            subscriber.count()
        ));
        samples.push(sample);
    }
    let records = swarm.stop()?;
    let status = gateway.status("an empty outbox", |status| status["outbox"]["waiting"] == 0)?;
    subscriber.judge(&records)?;
    ensure!(status["outbox"]["lost"] == 0 && status["outbox"]["dropped"] == 0, "{status}");
    let end = samples.last().context("samples")?;
    let Some(warm) = samples.iter().find(|sample| sample.at >= WARM) else {
        report("memory and handles are not judged: what is remembered for EXCHANGE_LIFETIME still grows");
        return Ok(());
    };
    let most = warm.resident + warm.resident / 10 + 4_000_000;
    ensure!(end.resident <= most, "resident memory grows: {samples:?}");
    ensure!(end.handles <= warm.handles + 4, "handles grow: {samples:?}");
    Ok(())
}

/// What the gateway has of the machine.
#[derive(Debug)]
struct Sample {
    /// Since the beginning.
    at: Duration,
    /// Bytes.
    resident: u64,
    handles: usize,
}

impl Sample {
    fn take(process: u32, at: Duration) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
        let handles = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self { at, resident: kilobytes * 1024, handles })
    }
}

/// The application, which notes the numbers that arrive, by endpoint, in the order in which they do.
struct Subscriber {
    arrived: Arc<Mutex<HashMap<String, Vec<u32>>>>,
    stop: Arc<AtomicBool>,
}

impl Subscriber {
    fn start(port: u16) -> Result<Self> {
        let mut options = MqttOptions::new("soak", "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        client.subscribe("up/notify", QoS::AtLeastOnce)?;
        let arrived = Arc::new(Mutex::new(HashMap::<String, Vec<u32>>::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (subscribed, is_subscribed) = std::sync::mpsc::channel();
        let (noted, stopped) = (Arc::clone(&arrived), Arc::clone(&stop));
        std::thread::spawn(move || {
            let _alive = client;
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(subscribed.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if let Some((endpoint, number)) = number(&publish.payload) {
                            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                            noted.entry(endpoint).or_default().push(number);
                        }
                    }
                    Ok(_) if !stopped.load(Ordering::Relaxed) => {}
                    _ => return,
                }
            }
        });
        is_subscribed.recv_timeout(PATIENCE)?;
        Ok(Self { arrived, stop })
    }

    fn count(&self) -> usize {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }

    /// All that was acknowledged has arrived, or does, for the first time in order.
    fn judge(&self, records: &[Record]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let of = |record: &Record| arrived.get(&record.endpoint).cloned().unwrap_or_default();
            let lost = |record: &Record, numbers: &[u32]| -> Vec<u32> {
                let arrived: std::collections::HashSet<u32> = of(record).into_iter().collect();
                numbers.iter().copied().filter(|number| !arrived.contains(number)).collect()
            };
            let missing: Vec<(String, Vec<u32>)> = records
                .iter()
                .map(|record| (record.endpoint.clone(), lost(record, &record.acknowledged)))
                .filter(|(_, lost)| !lost.is_empty())
                .collect();
            if !missing.is_empty() {
                ensure!(Instant::now() < deadline, "lost: {missing:?}");
                std::thread::park_timeout(Duration::from_millis(100));
                continue;
            }
            let (mut doubled, mut acknowledged, mut unconfirmed) = (0, 0, 0);
            let (mut gone, mut overtaken) = (Vec::new(), 0);
            for record in records {
                let of = of(record);
                let mut seen = std::collections::HashSet::new();
                let first: Vec<u32> = of.iter().copied().filter(|number| seen.insert(*number)).collect();
                ensure!(first.is_sorted(), "{}: {first:?}", record.endpoint);
                doubled += of.len() - first.len();
                acknowledged += record.acknowledged.len();
                unconfirmed += record.unconfirmed.len();
                let (parting, other): (Vec<u32>, Vec<u32>) = lost(record, &record.unconfirmed)
                    .into_iter()
                    .partition(|number| record.parting.contains(number));
                overtaken += parting.len();
                gone.extend(other.into_iter().map(|number| (record.endpoint.clone(), number)));
            }
            ensure!(acknowledged > records.len(), "hardly anybody has said anything");
            report(&format!(
                "{acknowledged} acknowledged notifications arrived, none was lost; of {unconfirmed} unconfirmed ones {overtaken} were overtaken by what ended their observation, and these were lost: {gone:?}; {doubled} came twice, as the first values of observations that were asked for anew, or by QoS 1"
            ));
            return Ok(());
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn number(payload: &[u8]) -> Option<(String, u32)> {
    let json: Json = serde_json::from_slice(payload).ok()?;
    let number =
        json["data"]["content"].as_array()?.iter().find(|it| it["path"] == "/3/0/9")?["value"].as_u64()?;
    Some((json["ep"].as_str()?.to_owned(), u32::try_from(number).ok()?))
}

const CLIENTS: usize = 2_000;
/// Between two things that a client says.
const PACE: Duration = Duration::from_secs(4);
/// Samples.
const PARTS: u32 = 10;
/// From when on nothing may grow: messages are remembered for EXCHANGE_LIFETIME, 247 s (RFC 7252, 4.8.2), and as many go as come from then on.
const WARM: Duration = Duration::from_secs(260);
