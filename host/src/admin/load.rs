//! What shards and the store have counted, for `/metrics` and, in short, for `/status`.

use serde_json::{Map, Value, json};

use super::metrics::Page;
use crate::net::count::Totals;
use crate::store::Gauge;

/// In the text format of Prometheus. `overflowed` is what the kernel dropped, if it tells.
pub(super) fn metrics(totals: &Totals, overflowed: Option<u64>, store: Option<&Gauge>) -> String {
    let mut page = Page::default();
    for (family, counts) in totals.families() {
        page.family(family.name, family.kind, family.help);
        for (reason, count) in counts {
            let labels = [("reason", reason)];
            page.sample(family.name, if reason.is_empty() { &[] } else { &labels }, count);
        }
    }
    if let Some(overflowed) = overflowed {
        page.family(OVERFLOWED, "counter", "Datagrams that found the receive buffer of their socket full.");
        page.sample(OVERFLOWED, &[], overflowed);
    }
    if let Some(store) = store {
        keep(&mut page, store);
    }
    page.text
}

fn keep(page: &mut Page, store: &Gauge) {
    let of = store.counters();
    let families = [
        ("store_commits_total", "counter", "Transactions that are durable.", of.commits),
        ("store_changes_total", "counter", "Changes in them.", of.changes),
        ("store_failures_total", "counter", "Transactions that failed, and were tried again.", of.failures),
        ("store_abandoned_total", "counter", "Changes that were given up.", of.abandoned),
        ("store_queued_changes", "gauge", "Changes that are not durable yet.", of.queued as u64),
        ("store_queued_bytes", "gauge", "Bytes of their keys and values.", of.queued_bytes as u64),
        ("store_failing", "gauge", "1 while the store cannot be written.", u64::from(of.is_failing)),
        (
            "store_set_aside",
            "gauge",
            "1 if the database was damaged at the start and set aside.",
            u64::from(store.has_set_aside()),
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    }
}

/// What comes and goes, and what was dropped or rejected, by reason; only reasons that there were.
pub(super) fn status(totals: &Totals, overflowed: Option<u64>) -> Value {
    let one = |name| totals.family(name).first().map_or(0, |(_, count)| *count);
    let mut dropped = Map::new();
    for (family, counts) in totals.families().filter(|(family, _)| LOSSES.contains(&family.name)) {
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let counts: Map<String, Value> =
            counts.map(|(reason, count)| (reason.into(), count.into())).collect();
        let name = family.name.trim_end_matches("_total").trim_end_matches("_dropped");
        if !counts.is_empty() {
            dropped.insert(name.into(), counts.into());
        }
    }
    if let Some(overflowed) = overflowed.filter(|count| *count > 0) {
        dropped.insert("udp_receive_buffer".into(), overflowed.into());
    }
    json!({
        "received": one("coap_received_total"),
        "transmitted": one("coap_transmitted_total"),
        "associations": one("dtls_associations"),
        "dropped": dropped,
    })
}

/// How the store is.
pub(super) fn store_status(store: &Gauge) -> Value {
    let of = store.counters();
    json!({
        "commits": of.commits,
        "changes": of.changes,
        "failures": of.failures,
        "abandoned": of.abandoned,
        "queued": of.queued,
        "queued_bytes": of.queued_bytes,
        "failing": of.is_failing,
        "set_aside": store.has_set_aside(),
    })
}

const OVERFLOWED: &str = "udp_receive_buffer_dropped_total";
/// The families of what came to nothing.
const LOSSES: [&str; 6] = [
    "coap_dropped_total",
    "coap_rejected_total",
    "lwm2m_dropped_total",
    "lwm2m_rejected_total",
    "udp_send_dropped_total",
    "dtls_dropped_total",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Tally;
    use crate::net::count::{Counts, Own};
    use crate::store::Store;

    #[test]
    fn what_was_dropped_is_told_with_its_reason() {
        let tally = Tally::new();
        let own = Own { starting: 3, ..Own::default() };
        tally.publish(&Counts { own, associations: 7, ..Counts::default() });
        let totals = Totals::of(&[tally]);
        let text = metrics(&totals, Some(9), None);
        for line in [
            "# TYPE tidegate_coap_dropped_total counter\n",
            "tidegate_coap_dropped_total{reason=\"starting\"} 3\n",
            "tidegate_coap_dropped_total{reason=\"malformed-short\"} 0\n",
            "tidegate_dtls_associations 7\n",
            "tidegate_udp_receive_buffer_dropped_total 9\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let expected = json!({"coap": {"starting": 3}, "udp_receive_buffer": 9});
        assert_eq!(status(&totals, Some(9))["dropped"], expected);
        assert_eq!(status(&totals, None)["associations"], 7);
    }

    #[test]
    fn a_store_tells_how_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let gauge = store.gauge();
        let told = store_status(&gauge);
        assert_eq!(
            (&told["failing"], &told["set_aside"], &told["queued"]),
            (&false.into(), &false.into(), &0.into())
        );
        let text = metrics(&Totals::of(&[]), None, Some(&gauge));
        assert!(text.contains("tidegate_store_failing 0\n") && text.contains("tidegate_store_set_aside 0\n"));
        drop(store);
        let path = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let database = path.into_iter().find(|path| path.extension().is_some_and(|it| it == "redb")).unwrap();
        std::fs::write(database, "no database").unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store_status(&store.gauge())["set_aside"], true);
    }
}
