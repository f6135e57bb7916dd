//! How much goes through, over the last ten minutes: a sample every two seconds, for the charts of the dashboard.
//!
//! One task takes them ([`Series::start`]) from what is counted anyway; each is told to those who follow the events, too.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::access::Role;
use super::table::Table;
use super::{View, time};
use crate::bridge::What;
use crate::net::Clock;
use crate::net::count::Totals;
use crate::plugin::{Direction, Outcome};

pub(super) fn routes() -> Table {
    Table::new().get("/api/v1/series", Role::Read, show)
}

/// The samples, from the oldest on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

/// How much went through since the sample before, which is `step_s` seconds earlier or, on a busy machine, a little more.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Sample {
    /// RFC 3339.
    at: String,
    /// Publications to the broker.
    up: u64,
    /// Messages from the broker.
    down: u64,
    /// Datagrams of clients.
    received: u64,
    /// Faults of translators.
    faults: u64,
    clients: usize,
    /// Publications that wait for the broker.
    outbox: u64,
    resident_bytes: Option<u64>,
    /// Seconds of CPU a second: 1 is a whole core.
    cpu: Option<f64>,
}

/// The samples.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Samples {
    step_s: u64,
    samples: Vec<Sample>,
}

/// How much has gone through.
#[utoipa::path(get, path = "/api/v1/series", tag = "status", responses((status = 200, body = Samples)))]
pub(super) async fn show(State(view): State<View>) -> Json<Samples> {
    let samples = view.series.samples.lock().unwrap_or_else(PoisonError::into_inner);
    Json(Samples { step_s: STEP.as_secs(), samples: samples.iter().cloned().collect() })
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug)]
struct Counted {
    when: Instant,
    up: u64,
    down: u64,
    received: u64,
    faults: u64,
    cpu: Option<f64>,
}

impl Series {
    /// Takes samples until `stop` changes. Needs a tokio runtime.
    pub(super) fn start(view: View, mut stop: watch::Receiver<bool>) {
        tokio::spawn(async move {
            let mut ticks = interval(STEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first is at once, and nothing has been counted yet.
            ticks.tick().await;
            let mut before = Counted::of(&view);
            loop {
                tokio::select! {
                    _ = stop.changed() => return,
                    _ = ticks.tick() => {}
                }
                let now = Counted::of(&view);
                view.series.push(sample(&view, &before, &now), &view);
                before = now;
            }
        });
    }

    fn push(&self, sample: Sample, view: &View) {
        view.feed.tell(|| What::Told("sample", serde_json::to_value(&sample).unwrap_or_default()));
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(sample);
        while samples.len() > KEPT {
            samples.pop_front();
        }
    }
}

impl Counted {
    fn of(view: &View) -> Self {
        let (session, totals) = (view.session.counts(), Totals::of(&view.tallies));
        let received = totals.family("coap_received_total").first().map_or(0, |(_, count)| *count);
        let routing = view.routing.load();
        let faults = routing.slots().iter().map(|slot| {
            let totals = slot.totals();
            let of = |direction| {
                let failed = Outcome::ALL.into_iter().filter(|of| *of != Outcome::Ok);
                failed.map(|of| totals.calls(direction, of)).sum::<u64>()
            };
            Direction::ALL.into_iter().map(of).sum::<u64>()
        });
        Self {
            when: Instant::now(),
            up: session.published,
            down: session.received,
            received,
            faults: faults.sum(),
            cpu: cpu_seconds(),
        }
    }
}

fn sample(view: &View, before: &Counted, now: &Counted) -> Sample {
    let seconds = (now.when - before.when).as_secs_f64().max(f64::MIN_POSITIVE);
    // A slot that is gone takes its counts with it.
    let since = |before: u64, now: u64| now.saturating_sub(before);
    Sample {
        at: time::of_millis(Clock::timestamp()),
        up: since(before.up, now.up),
        down: since(before.down, now.down),
        received: since(before.received, now.received),
        faults: since(before.faults, now.faults),
        clients: view.directory.len(),
        outbox: view.outbox.counts().waiting,
        resident_bytes: resident_bytes(),
        cpu: before.cpu.zip(now.cpu).map(|(before, now)| (now - before) / seconds),
    }
}

/// Of this process (proc_pid_status(5)); none where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Of this process, user and system, since its start (proc_pid_stat(5), fields 14 and 15).
pub(super) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in brackets and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

const STEP: Duration = Duration::from_secs(2);
/// Ten minutes.
const KEPT: usize = 300;
/// Of the kernel's clock a second, as user space is told (USER_HZ).
const TICKS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_the_process_takes() {
        assert!(resident_bytes().unwrap() > 100_000);
        let before = cpu_seconds().unwrap();
        let mut burnt = 0_u64;
        while cpu_seconds().unwrap() <= before {
            burnt = std::hint::black_box(burnt + 1);
        }
    }
}
