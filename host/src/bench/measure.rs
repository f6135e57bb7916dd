//! What is measured: how long messages take, and what a process costs.

use std::io;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

use super::system;

/// How long messages took.
#[derive(Debug)]
pub(super) struct Latency(Histogram<u64>);

impl Latency {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are possible"))
    }

    /// One message, in nanoseconds; what is longer than a minute counts as a minute.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// How many were recorded.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Microseconds; null if nothing was recorded.
    pub(super) fn to_json(&self) -> Json {
        if self.0.is_empty() {
            return Json::Null;
        }
        let of = |quantile| micros(self.0.value_at_quantile(quantile));
        json!({ "p50": of(0.5), "p90": of(0.9), "p99": of(0.99), "p999": of(0.999), "max": micros(self.0.max()) })
    }
}

/// When the messages of an open loop are due: one after the other, whatever becomes of them. The time that one takes counts from
/// when it was due, also if it was sent later, so that a pause of the subject shows in all that it has kept waiting.
#[derive(Debug)]
pub(super) struct Schedule {
    start: u64,
    per_second: u64,
    next: u64,
}

impl Schedule {
    pub(super) fn new(start: u64, per_second: u64) -> Self {
        Self { start, per_second: per_second.max(1), next: 0 }
    }

    /// The next one is due now, and the others after it.
    pub(super) fn restart(&mut self, now: u64) {
        *self = Self::new(now, self.per_second);
    }

    /// When the next one is due, in nanoseconds.
    pub(super) fn due(&self) -> u64 {
        let since = u128::from(self.next) * 1_000_000_000 / u128::from(self.per_second);
        self.start.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// When the next message was due, if it is by now; it counts as sent then.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.due();
        (due <= now).then(|| {
            self.next += 1;
            due
        })
    }
}

/// What has been used up to a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Nanoseconds of the subject's CPU.
    pub(super) subject: u64,
    /// Nanoseconds of the CPU of the thread that is clients and broker.
    pub(super) own: u64,
}

impl Usage {
    /// Of the process with this number, and of the calling thread.
    pub(super) fn now(process: u32) -> anyhow::Result<Self> {
        let subject = system::cpu_of_process(process).context("the CPU of the subject cannot be read")?;
        Ok(Self { subject, own: system::cpu_of_thread()? })
    }

    /// Microseconds of CPU of subject and generator for each of so many messages since another; none if there were none.
    pub(super) fn since(&self, before: &Self, messages: u64) -> Option<[f64; 2]> {
        let each = |now: u64, before: u64| micros(now.saturating_sub(before)) / float(messages);
        (messages > 0).then(|| [each(self.subject, before.subject), each(self.own, before.own)])
    }
}

/// Bytes of memory that a process has in use (VmRSS, proc_pid_status(5)).
pub(super) fn resident(process: u32) -> anyhow::Result<u64> {
    let file = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&file).with_context(|| format!("{file} cannot be read"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("{file} does not tell VmRSS"))? * 1024)
}

/// The machine and its system.
pub(super) fn machine() -> Json {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
    })
}

/// The date, UTC, of so many seconds since 1970: ISO 8601.
pub(super) fn date(seconds: u64) -> String {
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

/// Nanoseconds as microseconds.
pub(super) fn micros(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1_000.0
}

/// A count as a number to divide by. Counts here are far below 2^53.
pub(super) fn float(count: u64) -> f64 {
    let [high, low] = [count >> 32, count & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or_default());
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// As io, where only the operating system can be at fault.
pub(super) fn now_since_1970() -> io::Result<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(io::Error::other)
}

/// A minute.
const LONGEST: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_shows_in_all_messages_that_it_has_kept_waiting() {
        // 1000 a second for 10 s, each of which takes 1 ms, but nothing is answered from 2 s to 3 s.
        const MILLISECOND: u64 = 1_000_000;
        let (mut schedule, mut latency, mut now) = (Schedule::new(0, 1_000), Latency::new(), 0);
        while now < 10_000 * MILLISECOND {
            while let Some(due) = schedule.take(now) {
                let answered =
                    if (2_000..3_000).contains(&(now / MILLISECOND)) { 3_000 * MILLISECOND } else { now };
                now = answered.max(now);
                latency.record(now + MILLISECOND - due);
            }
            now += MILLISECOND;
        }
        assert_eq!(latency.count(), 10_000);
        let json = latency.to_json();
        assert!(json["p50"].as_f64().unwrap() < 2_000.0, "{json}");
        // Those that were due in that second have waited half of it on average: a tenth of all waited, up to 1 s.
        assert!((800_000.0..1_100_000.0).contains(&json["p99"].as_f64().unwrap()), "{json}");
    }

    #[test]
    fn a_schedule_does_not_drift() {
        let mut schedule = Schedule::new(5, 3);
        let due: Vec<u64> = std::iter::from_fn(|| schedule.take(2_000_000_005)).collect();
        assert_eq!(due.len(), 7);
        assert_eq!((due[0], due[3], due[6]), (5, 1_000_000_005, 2_000_000_005));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(date(1_798_761_600), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn the_memory_of_this_process_is_told() {
        assert!(resident(std::process::id()).unwrap() > 100_000);
    }

    #[test]
    fn large_counts_stay_exact() {
        assert_eq!(float((1 << 40) + 1), 1_099_511_627_777.0);
    }
}
