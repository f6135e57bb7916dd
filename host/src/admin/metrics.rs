//! Counters in the text format of Prometheus.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use crate::mqtt::{OutboxCounts, SessionGauge};
use crate::plugin::{Direction, Distribution, FUEL_BOUNDS, Outcome, Slot, State, Step, TIME_BOUNDS, Totals};

/// All of it. `serving` of the slots serve, the others drain.
pub(super) fn render(
    slots: &[Arc<Slot>],
    serving: usize,
    clients: usize,
    outbox: &OutboxCounts,
    session: &SessionGauge,
) -> String {
    let totals: Vec<(&Slot, Totals)> = slots.iter().map(|slot| (&**slot, slot.totals())).collect();
    let mut page = Page::default();
    page.family("clients", "gauge", "Clients that are registered.");
    page.sample("clients", &[], clients);
    mqtt(&mut page, session);
    waiting(&mut page, outbox);
    calls(&mut page, &totals);
    distributions(&mut page, &totals);
    instances(&mut page, &totals);
    generations(&mut page, slots, serving);
    page.text
}

fn mqtt(page: &mut Page, session: &SessionGauge) {
    let (connection, counts) = (session.connection(), session.counts());
    let families = [
        (
            "connected",
            "gauge",
            "1 while there is a connection to the broker.",
            u64::from(connection.connected),
        ),
        (
            "refused_subscriptions",
            "gauge",
            "Filters that the broker refused on this connection.",
            connection.refused.len() as u64,
        ),
        ("connections_total", "counter", "Connections that the broker has accepted.", counts.connections),
        ("failures_total", "counter", "Attempts to connect that failed, and broken ones.", counts.failures),
        ("published_total", "counter", "Publications written, again counts again.", counts.published),
        (
            "acknowledged_total",
            "counter",
            "Publications that the broker has acknowledged.",
            counts.acknowledged,
        ),
        ("received_total", "counter", "Messages of the broker.", counts.received),
    ];
    for (name, kind, help, value) in families {
        let name = format!("mqtt_{name}");
        page.family(&name, kind, help);
        page.sample(&name, &[], value);
    }
    let name = "mqtt_dropped_total";
    page.family(name, "counter", "Publications, and messages of the broker (untaken), that were dropped.");
    for (reason, count) in [("refused", counts.refused), ("unfit", counts.unfit), ("untaken", counts.untaken)]
    {
        page.sample(name, &[("reason", reason)], count);
    }
}

fn waiting(page: &mut Page, outbox: &OutboxCounts) {
    let families = [
        (
            "outbox_lost_total",
            "counter",
            "Publications that found no room, and nobody says again.",
            outbox.lost,
        ),
        ("outbox_publications", "gauge", "Publications that wait for the broker.", outbox.waiting),
        ("outbox_bytes", "gauge", "Their bytes.", outbox.bytes),
        ("outbox_degraded_lanes", "gauge", "Lanes that the disk takes nothing of just now.", outbox.degraded),
        ("outbox_recovered_total", "counter", "Publications of before the start.", outbox.recovered),
        ("outbox_dropped_total", "counter", "Publications dropped for newer ones.", outbox.dropped),
        (
            "outbox_unreadable_total",
            "counter",
            "Publications that could not be read from the disk.",
            outbox.unreadable,
        ),
        (
            "outbox_damaged_files",
            "gauge",
            "Files of the outbox that were damaged at the start.",
            outbox.damaged,
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    }
}

fn calls(page: &mut Page, totals: &[(&Slot, Totals)]) {
    let name = "translator_calls_total";
    page.family(name, "counter", "Calls of translators, by how they ended.");
    for (slot, totals) in totals {
        for direction in Direction::ALL {
            for outcome in Outcome::ALL {
                let labels = [
                    ("translator", slot.name()),
                    ("direction", direction.label()),
                    ("outcome", outcome.label()),
                ];
                page.sample(name, &labels, totals.calls(direction, outcome));
            }
        }
    }
}

fn distributions(page: &mut Page, totals: &[(&Slot, Totals)]) {
    page.family("translator_call_seconds", "histogram", "How long calls took.");
    for (slot, totals) in totals {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let bounds = TIME_BOUNDS.map(seconds);
        page.histogram("translator_call_seconds", slot.name(), &bounds, &totals.time, seconds);
    }
    page.family("translator_fuel", "histogram", "Units of fuel that calls used.");
    for (slot, totals) in totals {
        let bounds = FUEL_BOUNDS.map(|bound| bound as f64);
        page.histogram("translator_fuel", slot.name(), &bounds, &totals.fuel, |sum| sum as f64);
    }
}

type Value = fn(&Totals) -> u64;

fn instances(page: &mut Page, totals: &[(&Slot, Totals)]) {
    let families: [(&str, &str, &str, Value); 4] = [
        ("translator_memory_bytes", "gauge", "Memory of the largest instance so far.", |of| of.memory),
        ("translator_instances_created_total", "counter", "Instances made.", |of| of.instances),
        ("translator_held_events", "gauge", "Events that wait for another generation.", |of| of.held),
        (
            "translator_held_events_fallen_total",
            "counter",
            "Events that found no room among those that wait.",
            |of| of.fallen,
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for (slot, totals) in totals {
            page.sample(name, &[("translator", slot.name())], value(totals));
        }
    }
}

fn generations(page: &mut Page, slots: &[Arc<Slot>], serving: usize) {
    let name = "translator_reloads_total";
    page.family(name, "counter", "Generations that were offered, rejected or put back.");
    for slot in slots {
        page.sample(
            name,
            &[("translator", slot.name()), ("result", "offered"), ("step", "")],
            slot.offered(),
        );
        for step in Step::ALL {
            let result = if step == Step::Reverted { "reverted" } else { "rejected" };
            let labels = [("translator", slot.name()), ("result", result), ("step", &step.to_string())];
            page.sample(name, &labels, slot.rejections(step));
        }
    }
    let name = "translator_generation_info";
    page.family(name, "gauge", "The generation in use.");
    for slot in slots {
        let active = slot.status().active;
        let version = active.version.unwrap_or_default();
        let labels = [
            ("translator", slot.name()),
            ("generation", &active.generation.to_string()),
            ("version", &version),
            ("digest", &active.digest),
        ];
        page.sample(name, &labels, 1);
    }
    let name = "translator_state";
    page.family(name, "gauge", "1 for the state that a translator is in.");
    for (number, slot) in slots.iter().enumerate() {
        let current = match slot.status().state {
            _ if number >= serving => "draining",
            State::Active => "active",
            State::Resting => "resting",
        };
        for state in ["active", "resting", "draining"] {
            let labels = [("translator", slot.name()), ("state", state)];
            page.sample(name, &labels, u8::from(state == current));
        }
    }
}

/// Text that grows family by family.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
        if labels.is_empty() {
            self.line(format_args!("{PREFIX}{name} {value}"));
        } else {
            self.line(format_args!("{PREFIX}{name}{{{}}} {value}", labels.join(",")));
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        translator: &str,
        bounds: &[f64],
        of: &Distribution,
        unit: impl Fn(u64) -> f64,
    ) {
        let bounds = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(of.buckets) {
            count += bucket;
            let labels = [("translator", translator), ("le", &bound)];
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        self.sample(&format!("{name}_sum"), &[("translator", translator)], unit(of.sum));
        self.sample(&format!("{name}_count"), &[("translator", translator)], count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A label's value.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const PREFIX: &str = "tidegate_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"\\\n"), ("b", "")], 1);
        assert_eq!(page.text, "tidegate_x{a=\"q\\\"\\\\\\n\",b=\"\"} 1\n");
    }

    #[test]
    fn buckets_of_a_histogram_contain_those_below() {
        let mut page = Page::default();
        let mut of = Distribution::default();
        of.buckets[0] = 2;
        of.buckets[1] = 3;
        of.buckets[12] = 1;
        of.sum = 1_500_000_000;
        let bounds = TIME_BOUNDS.map(|bound| bound as f64 / 1e9);
        page.histogram("t", "x", &bounds, &of, |sum| sum as f64 / 1e9);
        assert!(
            page.text.contains("tidegate_t_bucket{translator=\"x\",le=\"0.000002\"} 2\n"),
            "{}",
            page.text
        );
        assert!(page.text.contains("tidegate_t_bucket{translator=\"x\",le=\"0.000005\"} 5\n"));
        assert!(page.text.contains("tidegate_t_bucket{translator=\"x\",le=\"0.5\"} 5\n"));
        assert!(
            page.text.contains("le=\"+Inf\"} 6\n")
                && page.text.contains("tidegate_t_sum{translator=\"x\"} 1.5\n")
        );
    }
}
