//! What a translator could not do: told on MQTT, and its content published raw so that nothing is lost.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Content, Event};

use super::feed::Failed;
use crate::mqtt::Publication;
use crate::plugin::{Fault, Generation};

/// The faults of all translators, told on `tidegate/fault` at most once a second for each slot.
#[derive(Debug, Default)]
pub struct Faults {
    told: Mutex<FxHashMap<String, Told>>,
}

#[derive(Debug)]
struct Told {
    last: Instant,
    suppressed: u64,
}

impl Faults {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The message about a fault of a slot's generation, unless one was told just now.
    pub(crate) fn tell(
        &self,
        slot: &str,
        generation: &Generation,
        about: &About<'_>,
        fault: &Fault,
    ) -> Option<Publication> {
        let About { direction, cause, of } = about;
        let (outcome, number) = (fault.outcome(), generation.number());
        let Some(suppressed) = self.take_turn(slot, Instant::now()) else {
            tracing::debug!(translator = slot, generation = number, direction, cause, about = of, outcome, reason = %fault, "translator fault");
            return None;
        };
        tracing::warn!(translator = slot, generation = number, direction, cause, about = of, outcome, reason = %fault, suppressed, "translator fault");
        let text = json!({
            "translator": slot, "generation": number, "digest": generation.digest(), "direction": direction,
            "cause": cause, "about": of, "outcome": outcome, "reason": fault.to_string(), "suppressed": suppressed,
        });
        Some(publication(FAULT_TOPIC.to_owned(), &text))
    }

    /// How many were suppressed since the last that was told; none if this one is suppressed too.
    fn take_turn(&self, slot: &str, now: Instant) -> Option<u64> {
        // Nothing panics while it is held; and only faults come here, never a message that goes well.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = told.get_mut(slot) else {
            told.insert(slot.to_owned(), Told { last: now, suppressed: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(before.last) < TELL_EVERY {
            before.suppressed += 1;
            return None;
        }
        let suppressed = std::mem::take(&mut before.suppressed);
        before.last = now;
        Some(suppressed)
    }
}

/// What a call that failed was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// `uplink` or `downlink`.
    pub(crate) direction: &'static str,
    /// The kind of event, `message` for an MQTT message.
    pub(crate) cause: &'static str,
    /// The endpoint, or the topic.
    pub(crate) of: &'a str,
}

impl About<'_> {
    /// For those who look.
    pub(super) fn failed(&self, translator: &str, fault: &Fault) -> Failed {
        Failed {
            translator: translator.to_owned(),
            direction: self.direction,
            cause: self.cause,
            about: self.of.to_owned(),
            outcome: fault.outcome(),
            reason: fault.to_string(),
        }
    }
}

/// The kind of an event, as the contract names it.
pub(crate) fn cause(event: &Event) -> &'static str {
    match event {
        Event::Registered { .. } => "registered",
        Event::Updated { .. } => "updated",
        Event::Ended { .. } => "ended",
        Event::Answered { .. } => "answered",
        Event::Notified { .. } => "notified",
        Event::Sent { .. } => "sent",
        Event::Progressed { .. } => "progressed",
        Event::Failed { .. } => "failed",
        Event::Refused { .. } => "refused",
    }
}

/// What an event says, without a translator: its samples as SenML JSON, or its bytes.
pub(crate) fn raw(event: &Event, models: &Models) -> Option<Publication> {
    let (registration, path, content) = match event {
        Event::Answered { registration, asked, content, .. }
        | Event::Notified { registration, asked, content, .. } => (registration, asked.path, content),
        Event::Sent { registration, content, .. } => (registration, Path::root(), content),
        Event::Registered { registration, .. } => return Some(lifecycle("registered", registration)),
        Event::Updated { registration, .. } => return Some(lifecycle("updated", registration)),
        Event::Ended { registration, .. } => return Some(lifecycle("ended", registration)),
        Event::Progressed { .. } | Event::Failed { .. } | Event::Refused { .. } => return None,
    };
    let topic = raw_topic(&registration.endpoint);
    let definitions = Defined::new(models, registration);
    let decoded = format::decode(content.format, path, &content.payload, &definitions);
    let senml = decoded
        .ok()
        .and_then(|samples| format::encode(format::SENML_JSON, Path::root(), &samples, &definitions).ok());
    Some(match senml {
        Some(payload) => Publication { topic, payload, ..Publication::default() },
        None => publication(topic, &undecoded(path, content)),
    })
}

fn lifecycle(event: &str, registration: &Registration) -> Publication {
    let text =
        json!({"event": event, "endpoint": &*registration.endpoint, "lifetime": registration.lifetime});
    publication(raw_topic(&registration.endpoint), &text)
}

fn undecoded(path: Path, content: &Content) -> Json {
    let bytes =
        content.payload.iter().fold(String::with_capacity(content.payload.len() * 2), |mut hex, byte| {
            hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            hex
        });
    json!({"path": path.to_string(), "format": content.format, "hex": bytes})
}

fn raw_topic(endpoint: &str) -> String {
    let mut topic = String::from(RAW_TOPIC);
    for character in endpoint.chars() {
        match character {
            // One level, whatever a device calls itself.
            '/' | '+' | '#' | '%' | '\0' => {
                topic.push_str(&format!("%{:02X}", u32::from(character)));
            }
            _ => topic.push(character),
        }
    }
    topic
}

fn publication(topic: String, text: &Json) -> Publication {
    Publication { topic, payload: text.to_string().into_bytes(), ..Publication::default() }
}

const FAULT_TOPIC: &str = "tidegate/fault";
const RAW_TOPIC: &str = "tidegate/raw/";
const TELL_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_faults_is_told_once_a_second_with_the_number_left_out() {
        let faults = Faults::new();
        let start = Instant::now();
        assert_eq!(faults.take_turn("emqx", start), Some(0));
        for millis in 1..=10 {
            assert_eq!(faults.take_turn("emqx", start + Duration::from_millis(millis)), None);
        }
        assert_eq!(faults.take_turn("other", start), Some(0));
        assert_eq!(faults.take_turn("emqx", start + Duration::from_secs(1)), Some(10));
    }

    #[test]
    fn an_endpoint_name_is_one_level_of_the_raw_topic() {
        assert_eq!(raw_topic("a/b+#%"), "tidegate/raw/a%2Fb%2B%23%25");
        assert_eq!(raw_topic("urn:imei:ü"), "tidegate/raw/urn:imei:ü");
    }
}
