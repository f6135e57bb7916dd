//! The clock that `proto` does not have.

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use tidegate_proto::time::Instant;

/// Monotonic time, and wall-clock time for timestamps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Monotonic,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { origin: Monotonic::now() }
    }

    /// The time to hand to `proto`.
    pub fn now(&self) -> Instant {
        BEFORE_START + self.origin.elapsed()
    }

    /// When the operating system's clock reaches `instant`.
    pub fn monotonic(&self, instant: Instant) -> Monotonic {
        self.origin + instant.since(BEFORE_START)
    }

    /// Milliseconds since 1970 by the machine's clock.
    pub fn timestamp() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The time at which the gateway starts: what happened before a restart has a time as well. That is 200 years.
const BEFORE_START: Instant = Instant::from_micros(200 * 365 * 24 * 60 * 60 * 1_000_000);
