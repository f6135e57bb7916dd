//! What has been sent and what has come of it. An operation is a notification, an update, a read or a registration; it is finished
//! when what it is about has come: the publication, the answer to the update, the answer to the command, or the observation.

use std::time::Duration;

use super::client::Said;
use super::measure::Latency;
use super::packet::Publish;

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Operations begun and finished.
    pub(super) started: u64,
    pub(super) finished: u64,
    /// Of those begun, the ones that nobody waits for any more.
    pub(super) given_up: u64,
    /// Publications of all kinds that have arrived at the broker.
    pub(super) published: u64,
    /// Confirmable notifications that were acknowledged.
    pub(super) acknowledged: u64,
    /// Clients that are registered and observed.
    pub(super) ready: u64,
    /// What the subject did not understand or refused, and the last code of that.
    pub(super) refused: u64,
    pub(super) refusal: Option<Said>,
    /// When this began, and when something finished last.
    begun: u64,
    last: u64,
    pub(super) latency: Latency,
    /// Whether all that is published is a notification, as nothing is known of the subject's topics.
    is_other: bool,
    /// When the operation of a number began; numbers begin anew after 2^20.
    sent: Vec<u64>,
    /// When the update or the registration of a client began.
    of_client: Vec<u64>,
    /// Whether registrations are operations too.
    counts_registrations: bool,
}

impl Tally {
    pub(super) fn new(is_other: bool) -> Self {
        Self {
            started: 0,
            finished: 0,
            given_up: 0,
            published: 0,
            acknowledged: 0,
            ready: 0,
            refused: 0,
            refusal: None,
            begun: 0,
            last: 0,
            latency: Latency::new(),
            is_other,
            sent: vec![0; NUMBERS],
            of_client: Vec::new(),
            counts_registrations: false,
        }
    }

    /// From this time on is measured: what was before is forgotten, but for who is ready.
    pub(super) fn begin(&mut self, now: u64) {
        (self.started, self.finished, self.given_up, self.published, self.acknowledged) = (0, 0, 0, 0, 0);
        (self.begun, self.last) = (now, now);
        self.latency = Latency::new();
    }

    /// From the beginning to when something finished last.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last.saturating_sub(self.begun))
    }

    /// An operation begins, or should have begun at this time; its number.
    pub(super) fn start(&mut self, at: u64) -> usize {
        let number = usize::try_from(self.started).unwrap_or_default() % NUMBERS;
        self.sent[number] = at;
        self.started += 1;
        number
    }

    /// The same for an update of a client.
    pub(super) fn start_update(&mut self, client: usize, at: u64) {
        self.started += 1;
        self.of_client(client, at);
    }

    /// The same for a registration, which is an operation from now on.
    pub(super) fn start_registration(&mut self, client: usize, at: u64) {
        self.started += 1;
        self.counts_registrations = true;
        self.of_client(client, at);
    }

    /// A client registers or updates, no operation yet.
    pub(super) fn of_client(&mut self, client: usize, at: u64) {
        if self.of_client.len() <= client {
            self.of_client.resize(client + 1, 0);
        }
        self.of_client[client] = at;
    }

    /// How many operations are under way.
    pub(super) fn outstanding(&self) -> u64 {
        self.started.saturating_sub(self.finished + self.given_up)
    }

    /// A publication has arrived at the broker.
    pub(super) fn arrived(&mut self, publish: &Publish<'_>, now: u64) {
        self.published += 1;
        let kind = if self.is_other { Topic::Notify } else { Topic::of(publish.topic) };
        match kind {
            // Who registers again is observed again; what it answers then is published as a notification, and is none that was sent.
            Topic::Notify if self.counts_registrations && number_behind(publish.payload, VALUE).is_none() => {
            }
            Topic::Notify => {
                self.finish(now);
                // Where in a payload the value is costs more to find than all else here.
                if self.finished.is_multiple_of(SAMPLED) {
                    self.took(number_behind(publish.payload, VALUE), now);
                }
            }
            Topic::Response => {
                if let Some(number) = number_behind(publish.payload, b"\"reqID\":") {
                    self.finish(now);
                    self.took(Some(number), now);
                }
            }
            Topic::Other => {}
        }
    }

    /// A client has got something.
    pub(super) fn said(&mut self, client: usize, said: Said, now: u64) {
        match said {
            Said::Acknowledged => self.acknowledged += 1,
            Said::Ready => {
                self.ready += 1;
                self.last = now;
                self.finished += u64::from(self.counts_registrations);
                self.took_client(client, now);
            }
            Said::Updated => {
                self.finish(now);
                self.took_client(client, now);
            }
            Said::Reset | Said::Refused(_) => {
                self.refused += 1;
                self.refusal = Some(said);
            }
            Said::Nothing => {}
        }
    }

    fn finish(&mut self, now: u64) {
        self.finished += 1;
        self.last = now;
    }

    fn took_client(&mut self, client: usize, now: u64) {
        if let Some(at) = self.of_client.get(client) {
            self.latency.record(now.saturating_sub(*at));
        }
    }

    fn took(&mut self, number: Option<usize>, now: u64) {
        if let Some(at) = number.and_then(|number| self.sent.get(number)) {
            self.latency.record(now.saturating_sub(*at));
        }
    }
}

/// The value of the notification of a number: it and a half, which four bytes hold exactly.
pub(super) fn value_of(number: usize) -> f32 {
    // As a sum of two parts of which each is exact.
    let [high, low] = [number >> 10, number & 0x3ff].map(|part| u16::try_from(part).unwrap_or_default());
    f32::from(high) * 1_024.0 + f32::from(low) + 0.5
}

/// The digits behind the first occurrence of this; none if there are none.
fn number_behind(payload: &[u8], key: &[u8]) -> Option<usize> {
    let at = payload.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = payload[at..].iter().take_while(|byte| byte.is_ascii_digit()).take(9);
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0'));
    }
    number
}

/// What a topic of the gateway's is about.
enum Topic {
    Notify,
    Response,
    Other,
}

impl Topic {
    fn of(topic: &[u8]) -> Self {
        match topic {
            b"up/notify" => Self::Notify,
            b"up/resp" => Self::Response,
            _ => Self::Other,
        }
    }
}

/// What stands before the value in the JSON of a notification.
const VALUE: &[u8] = b"\"value\":";
/// After how many the numbers begin anew.
const NUMBERS: usize = 1 << 20;
/// Of which part of the notifications it is measured how long they took.
const SAMPLED: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_number() {
        for number in [0, 1, 1_023, 1_024, 999_999, NUMBERS - 1] {
            let payload =
                format!(r#"{{"content":[{{"path":"/3303/0/5700","value":{}}}]}}"#, value_of(number));
            assert_eq!(number_behind(payload.as_bytes(), b"\"value\":"), Some(number), "{payload}");
        }
        assert_eq!(number_behind(b"{}", b"\"value\":"), None);
        assert_eq!(number_behind(b"\"value\":true", b"\"value\":"), None);
    }

    #[test]
    fn what_arrives_finishes_what_it_is_about() {
        let mut tally = Tally::new(false);
        let publish = |topic: &'static str, payload: &'static str| Publish {
            topic: topic.as_bytes(),
            acknowledge: None,
            payload: payload.as_bytes(),
        };
        tally.start(1_000);
        tally.start(2_000);
        tally.start_update(3, 3_000);
        tally.arrived(&publish("up/notify", r#"{"value":0.5}"#), 10_000);
        assert_eq!(tally.outstanding(), 2);
        // What the observation was answered with is no answer to a read.
        tally.arrived(&publish("up/resp", r#"{"msgType":"observe"}"#), 10_000);
        tally.arrived(&publish("up/update", "{}"), 10_000);
        assert_eq!(tally.outstanding(), 2);
        tally.arrived(&publish("up/resp", r#"{"reqID":1,"msgType":"read"}"#), 12_000);
        tally.said(3, Said::Updated, 13_000);
        assert_eq!((tally.outstanding(), tally.published), (0, 4));
        assert_eq!(tally.latency.count(), 2);
        // Only what was begun as an operation is one.
        tally.of_client(4, 9_000);
        tally.said(4, Said::Ready, 13_000);
        assert_eq!((tally.finished, tally.ready), (3, 1));
        tally.start_registration(4, 9_000);
        tally.said(4, Said::Ready, 13_000);
        assert_eq!((tally.finished, tally.ready, tally.outstanding()), (4, 2, 0));
        tally.arrived(&publish("up/notify", r#"{"value":-1.0}"#), 13_000);
        assert_eq!(tally.finished, 4);
        assert_eq!(tally.latency.count(), 4);
        // The histogram has three digits.
        assert_eq!(tally.latency.to_json()["max"].as_f64().map(f64::round), Some(10.0));
    }
}
