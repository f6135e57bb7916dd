//! The first calls of a new generation, with the one before at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Generation;

/// A generation that has still to show that it works.
#[derive(Debug)]
pub(super) struct Probation {
    /// What comes back if it does not.
    pub(super) previous: Arc<Generation>,
    until: Instant,
    good: u32,
    faults: u32,
}

/// What calls have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided,
    Passed,
    Failed,
}

impl Probation {
    pub(super) fn new(previous: Arc<Generation>, now: Instant) -> Self {
        Self { previous, until: now + LONGEST, good: 0, faults: 0 }
    }

    /// Whether a call has failed.
    pub(super) fn has_faults(&self) -> bool {
        self.faults > 0
    }

    /// One more call. Its translator's own `unsupported` and `malformed` are good: they say something about the input.
    pub(super) fn record(&mut self, is_good: bool, now: Instant) -> Verdict {
        if now >= self.until {
            return Verdict::Passed;
        }
        if is_good {
            self.good += 1;
        } else {
            self.faults += 1;
        }
        if self.faults >= FAULTS {
            Verdict::Failed
        } else if self.good >= GOOD {
            Verdict::Passed
        } else {
            Verdict::Undecided
        }
    }
}

/// So many faults put the previous generation back.
const FAULTS: u32 = 3;
/// So many good calls end it.
const GOOD: u32 = 100;
/// So much time ends it, too.
const LONGEST: Duration = Duration::from_secs(60);
