//! How long a slot makes no calls after crashes in a row.

use std::time::{Duration, Instant};

/// Crashes in a row, and the rest that they cost.
#[derive(Debug, Default)]
pub(super) struct Rest {
    crashes: u32,
    until: Option<Instant>,
}

impl Rest {
    /// One more crash, and a longer rest.
    pub(super) fn crashed(&mut self, now: Instant) {
        self.crashes = self.crashes.saturating_add(1);
        let Some(beyond) = self.crashes.checked_sub(CRASHES) else { return };
        let rest = FIRST.saturating_mul(1 << beyond.min(6)).min(LONGEST);
        self.until = Some(now + rest);
    }

    /// Whether there was a crash since the last good call.
    pub(super) fn has_crashed(&self) -> bool {
        self.crashes > 0
    }

    /// Whether it rests, or has rested and has not had a good call since.
    pub(super) fn is_resting(&self) -> bool {
        self.until.is_some()
    }

    /// How long no call may be made.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

/// So many crashes in a row send a slot to rest.
const CRASHES: u32 = 3;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
