//! What is told on MQTT about slots: one retained message for each, whenever it has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::{Value as Json, json};

use super::Deployment;
use crate::mqtt::Publication;

/// How each translator stands, by name.
pub(crate) type Board = Arc<ArcSwap<BTreeMap<String, Json>>>;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    told: BTreeMap<String, String>,
    /// When what found no room is tried again.
    again: Option<Instant>,
}

impl Notices {
    /// When there is something left to tell.
    pub(super) fn next(&self) -> Option<Instant> {
        self.again
    }

    /// Offers what has changed; `offer` says whether there was room.
    pub(super) fn tell(
        &mut self,
        status: &BTreeMap<String, Json>,
        now: Instant,
        mut offer: impl FnMut(Publication) -> bool,
    ) {
        self.again = None;
        for (name, of) in status {
            let text = of.to_string();
            if self.told.get(name) == Some(&text) {
                continue;
            }
            if !offer(publication(name, text.clone().into_bytes())) {
                self.again = Some(now + RETRY);
                return;
            }
            self.told.insert(name.clone(), text);
        }
        let gone: Vec<String> =
            self.told.keys().filter(|name| !status.contains_key(*name)).cloned().collect();
        for name in gone {
            // Nothing retained: the broker forgets it.
            if !offer(publication(&name, Vec::new())) {
                self.again = Some(now + RETRY);
                return;
            }
            self.told.remove(&name);
        }
    }
}

/// What is to be known about each slot, and each name that a candidate wanted in vain.
pub(super) fn status(deployment: &Deployment) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::new();
    for (name, rejected) in deployment.rejected() {
        let of = json!({
            "state": "rejected",
            "rejected": {
                "step": rejected.rejection.step.to_string(),
                "reason": rejected.rejection.reason,
                "digest": rejected.digest,
                "file": rejected.file,
            },
        });
        all.insert(name.to_owned(), of);
    }
    for slot in deployment.slots() {
        let mut of = serde_json::to_value(slot.status()).unwrap_or_default();
        // A later candidate may have become nothing: the slot knows of those that it was offered or that were for it.
        if let Some(candidate) = all.remove(slot.name()) {
            of["rejected"] = candidate["rejected"].clone();
        }
        all.insert(slot.name().to_owned(), of);
    }
    for slot in deployment.draining() {
        let mut of = serde_json::to_value(slot.status()).unwrap_or_default();
        of["state"] = json!("draining");
        all.entry(slot.name().to_owned()).or_insert(of);
    }
    all
}

fn publication(name: &str, payload: Vec<u8>) -> Publication {
    Publication { topic: format!("{TOPIC}{name}"), payload, retain: true, ..Publication::default() }
}

/// The name of the slot follows.
const TOPIC: &str = "tidegate/translator/";
const RETRY: Duration = Duration::from_millis(200);
