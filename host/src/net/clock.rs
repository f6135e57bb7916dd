//! The clock that `proto` does not have.

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use tidegate_proto::time::Instant;

/// Monotonic time since the gateway started, and wall-clock time for timestamps.
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
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When the operating system's clock reaches `instant`.
    pub fn monotonic(&self, instant: Instant) -> Monotonic {
        self.origin + std::time::Duration::from_micros(instant.as_micros())
    }

    /// Milliseconds since 1970 by the machine's clock.
    pub fn timestamp() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
