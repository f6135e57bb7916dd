//! What it costs that nothing acknowledged is lost, and how fast what waits goes out: `make bench-durability`. It measures and prints; there is
//! nothing to pass.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_tests::load::Scene;
use tidegate_tests::{Mosquitto, report};

#[test]
#[ignore = "a measurement"]
fn what_durability_costs() -> Result<()> {
    let (mut memory, mut durable) = (Cost::default(), Cost::default());
    // Turn by turn, so that the machine's moods meet both.
    for _ in 0..ROUNDS {
        memory.add(cost(false)?);
        durable.add(cost(true)?);
    }
    let text = |cost: &Cost| {
        format!(
            "{:.1} us of the gateway's CPU each, {:.0} a second in a closed loop",
            cost.cpu(),
            cost.rate()
        )
    };
    report(&format!("in memory: {}", text(&memory)));
    report(&format!("durable:   {}", text(&durable)));
    let more = (durable.cpu() / memory.cpu() - 1.0) * 100.0;
    let fewer = (1.0 - durable.rate() / memory.rate()) * 100.0;
    report(&format!(
        "durability costs {more:.0} % more CPU, {fewer:.0} % of the throughput of {DEVICES} devices"
    ));
    Ok(())
}

#[test]
#[ignore = "a measurement"]
fn how_fast_what_waits_goes_out() -> Result<()> {
    let mut scene = Scene::set(DEVICES)?;
    scene.relay.cut();
    let load = scene.load()?;
    load.acknowledged_more(WAITING)?;
    let acknowledged = load.stop()?;
    let waiting: usize = acknowledged.values().map(|numbers| numbers.len()).sum();
    let arrived = scene.application.inbox().count(|_| true);
    let begun = Instant::now();
    scene.relay.mend();
    scene.application.inbox().wait_until(tidegate_tests::PATIENCE, |all| all.len() >= arrived + waiting);
    let seconds = begun.elapsed().as_secs_f64();
    report(&format!(
        "{waiting} publications that waited for the broker went out in {seconds:.2} s, with the wait for the connection: {:.0} a second",
        waiting as f64 / seconds
    ));
    scene.judge(&acknowledged)
}

/// So many notifications, what the gateway spent on them, and how long they took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    notifications: f64,
    ticks: f64,
    seconds: f64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.notifications += other.notifications;
        self.ticks += other.ticks;
        self.seconds += other.seconds;
    }

    /// Microseconds of CPU for each. A tick is 10 ms on every Linux that there is.
    fn cpu(&self) -> f64 {
        self.ticks * 10_000.0 / self.notifications
    }

    fn rate(&self) -> f64 {
        self.notifications / self.seconds
    }
}

fn cost(is_durable: bool) -> Result<Cost> {
    let mut scene = Scene::set_with(DEVICES, Mosquitto::start()?, |setup| {
        if !is_durable {
            setup.store = json!({ "path": "" });
        }
    })?;
    let load = scene.load()?;
    load.acknowledged_more(WARM)?;
    let (ticks, begun, before) = (ticks(scene.gateway.watch().id())?, Instant::now(), load.acknowledged());
    load.acknowledged_more(MEASURED)?;
    let (after, seconds) = (load.acknowledged(), begun.elapsed().as_secs_f64());
    let ticks = self::ticks(scene.gateway.watch().id())? - ticks;
    load.stop()?;
    Ok(Cost { notifications: (after - before) as f64, ticks, seconds })
}

/// The CPU time of a process, user and system (proc(5)).
fn ticks(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit_once(')').context("a name in brackets")?.1;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let of = |at: usize| -> Result<f64> { Ok(fields.get(at).context("CPU time")?.parse()?) };
    Ok(of(11)? + of(12)?)
}

const DEVICES: usize = 8;
const ROUNDS: usize = 4;
const WARM: usize = 500;
const MEASURED: usize = 10_000;
const WAITING: usize = 20_000;
