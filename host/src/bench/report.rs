//! What a measurement has come to: JSON for programs, a table for people.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::measure::{date, float, machine, now_since_1970};
use super::tally::Tally;
use super::{Options, Workload};

/// What was measured.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) setup: Setup,
    /// What came after the registration, if that was not all.
    pub(super) run: Option<Run>,
}

/// What it took to register the last four fifths of the clients, and to observe them.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) count: u64,
    pub(super) elapsed: Duration,
    /// Microseconds of CPU for each: of the subject and of the generator.
    pub(super) cost: Option<[f64; 2]>,
    pub(super) published: u64,
    /// From the first message of each to its answer to the observation.
    pub(super) latency: Json,
    /// Bytes of the subject before there were clients, and with all of them.
    pub(super) resident_before: u64,
    /// With a fifth of them.
    pub(super) resident_fifth: u64,
    pub(super) resident: u64,
}

/// What was measured then.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) elapsed: Duration,
    pub(super) cost: Option<[f64; 2]>,
    /// Bytes of the subject at the end.
    pub(super) resident: u64,
    pub(super) tally: Tally,
}

impl Report<'_> {
    /// One object. Members whose names end in `_us` are microseconds, in `_bytes` bytes; `own_` is what clients and broker cost.
    pub(super) fn to_json(&self) -> anyhow::Result<Json> {
        let Self { options, setup, run } = self;
        let mut json = json!({
            "workload": options.workload.name(),
            "clients": options.clients,
            "dtls": options.dtls,
            "samples": options.samples,
            "qos": options.qos,
            "shards": options.shards,
            "mqtt": options.mqtt,
            "store": options.store,
            "subject": if options.subject.is_empty() { json!("tidegate") } else { json!(options.subject) },
            "window": options.rate.is_none().then(|| options.window()),
            "offered_rate": options.rate,
            "rss_before_bytes": setup.resident_before,
            "rss_bytes": setup.resident,
            "rss_per_client_bytes": setup.per_client(options.clients),
            "rss_per_further_client_bytes": setup.per_further_client(),
            "registration": {
                "count": setup.count,
                "seconds": setup.elapsed.as_secs_f64(),
                "rate": per_second(setup.count, setup.elapsed),
                "cpu_us": setup.cost.map(|cost| cost[0]),
                "own_cpu_us": setup.cost.map(|cost| cost[1]),
            },
            "machine": machine(),
            "date": date(now_since_1970()?),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let members = match run {
            Some(run) => run.to_json(options),
            None => setup.to_json(options),
        };
        if let (Json::Object(json), Json::Object(members)) = (&mut json, members) {
            json.extend(members);
        }
        Ok(json)
    }

    /// The same for people.
    pub(super) fn table(&self) -> String {
        let Self { options, setup, run } = self;
        let (name, clients) = (options.workload.name(), options.clients);
        let dtls = if options.dtls { " over DTLS" } else { "" };
        let what =
            format!("{name}, {clients} clients{dtls}, QoS {}, samples: {}", options.qos, options.samples);
        let mut lines = vec![what, row("registrations", setup.rate(), setup.cost)];
        if let Some(run) = run {
            lines.push(row("operations", per_second(run.tally.finished, run.elapsed), run.cost));
            let Run { tally, .. } = run;
            let lost = tally.started.saturating_sub(tally.finished);
            lines.push(format!("sent {}, finished {}, lost {lost}", tally.started, tally.finished));
        }
        let latency = run.as_ref().map_or_else(|| setup.latency.clone(), |run| run.tally.latency.to_json());
        if let Json::Object(latency) = latency {
            let each = ["p50", "p90", "p99", "p999", "max"].map(|key| {
                let value = latency.get(key).and_then(Json::as_f64).unwrap_or_default();
                format!("{key} {value:.0}")
            });
            lines.push(format!("latency, us: {}", each.join(", ")));
        }
        lines.push(format!(
            "memory: {:.1} MB, before the clients {:.1} MB, per client {:.0} bytes, per client after the first fifth {:.0}",
            float(setup.resident) / 1e6,
            float(setup.resident_before) / 1e6,
            setup.per_client(clients),
            setup.per_further_client()
        ));
        lines.join("\n")
    }
}

impl Setup {
    fn rate(&self) -> f64 {
        per_second(self.count, self.elapsed)
    }

    /// Negative where a gateway with few clients has given back more of what its start has taken.
    fn per_client(&self, clients: usize) -> f64 {
        let more = float(self.resident) - float(self.resident_before);
        more / float(u64::try_from(clients).unwrap_or(u64::MAX))
    }

    /// The same between a fifth of the clients and all, where that does not disturb.
    fn per_further_client(&self) -> f64 {
        (float(self.resident) - float(self.resident_fifth)) / float(self.count)
    }

    /// Where registering is what was measured.
    fn to_json(&self, options: &Options) -> Json {
        let cost = self.cost.filter(|_| options.workload == Workload::Register);
        json!({
            "seconds": self.elapsed.as_secs_f64(),
            "sent": self.count,
            "published": self.published,
            // Without all of them there is an error instead of a report.
            "lost": 0,
            "rate": self.rate(),
            "cpu_us": cost.map(|cost| cost[0]),
            "own_cpu_us": cost.map(|cost| cost[1]),
            "latency_us": self.latency,
        })
    }
}

impl Run {
    fn to_json(&self, options: &Options) -> Json {
        let tally = &self.tally;
        let unacknowledged = (options.workload == Workload::NotifyCon)
            .then(|| tally.started.saturating_sub(tally.acknowledged));
        json!({
            "seconds": self.elapsed.as_secs_f64(),
            "sent": tally.started,
            "finished": tally.finished,
            "published": tally.published,
            "lost": tally.started.saturating_sub(tally.finished),
            "unacknowledged": unacknowledged,
            "given_up": tally.given_up,
            "refused": tally.refused,
            "rate": per_second(tally.finished, self.elapsed),
            "cpu_us": self.cost.map(|cost| cost[0]),
            "own_cpu_us": self.cost.map(|cost| cost[1]),
            "rss_end_bytes": self.resident,
            "latency_us": tally.latency.to_json(),
        })
    }
}

fn row(what: &str, rate: f64, cost: Option<[f64; 2]>) -> String {
    let cost = cost.map_or_else(
        || "CPU not known".to_owned(),
        |[subject, own]| format!("CPU {subject:.2} us each (generator and broker: {own:.2} us)"),
    );
    format!("{what}: {rate:.0} a second, {cost}")
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { float(count) / elapsed.as_secs_f64() }
}
