//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Delays that double from 0.5 s to 30 s, each with up to half of it cut off at random, so that gateways that lost the
/// same broker do not come back in the same instant.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { failures: 0 }
    }

    /// The delay before the next attempt, after one more failure.
    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = (FIRST * 2_u32.saturating_pow(self.failures)).min(LAST);
        self.failures = (self.failures + 1).min(STEPS);
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        delay.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0).max(FIRST)
    }

    /// A connection has lasted: start again from the shortest delay.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(30);

/// After so many doublings the delay is at its last.
const STEPS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_last_and_start_again() {
        let mut backoff = Backoff::new();
        for step in 0..20 {
            let full = (FIRST * 2_u32.pow(step.min(STEPS))).min(LAST);
            let delay = backoff.next_delay();
            assert!(delay >= (full / 2).max(FIRST) && delay <= full, "{step}: {delay:?} of {full:?}");
        }
        backoff.reset();
        assert_eq!(backoff.next_delay(), FIRST);
    }
}
