//! The named place of a translator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::fault::Fault;
use super::generation::Generation;
use crate::config::OnFault;

/// A slot: its generation may change while calls are under way, which end on the one they began with.
#[derive(Debug)]
pub struct Slot {
    name: String,
    on_fault: OnFault,
    current: ArcSwap<Generation>,
    born: Instant,
    /// Traps and exceeded limits without a good call between them.
    failures: AtomicU32,
    /// Milliseconds after `born` until which the slot rests.
    rests_until: AtomicU64,
}

impl Slot {
    /// A slot with its first generation.
    pub fn new(name: &str, on_fault: OnFault, generation: Generation) -> Self {
        Self {
            name: name.to_owned(),
            on_fault,
            current: ArcSwap::from_pointee(generation),
            born: Instant::now(),
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of a message that its translator fails on.
    pub fn on_fault(&self) -> OnFault {
        self.on_fault
    }

    /// The generation in use.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Use another generation from the next call on.
    pub fn offer(&self, generation: Generation) {
        self.current.store(Arc::new(generation));
        self.failures.store(0, Ordering::Relaxed);
        self.rests_until.store(0, Ordering::Relaxed);
    }

    /// Whether `generation` is the one in use.
    pub(super) fn is_current(&self, generation: &Arc<Generation>) -> bool {
        Arc::ptr_eq(&self.current.load(), generation)
    }

    /// A slot that fails again and again rests, so that it does not take the time of others.
    pub(super) fn check_rest(&self, now: Instant) -> Result<(), Fault> {
        let until = self.rests_until.load(Ordering::Relaxed);
        if until == 0 || self.since_birth(now) >= until {
            return Ok(());
        }
        Err(Fault::Unavailable(format!("{} rests after repeated failures", self.name)))
    }

    pub(super) fn went_well(&self) {
        // Read first: the line is shared by all shards and nearly always clean.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, now: Instant) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(doublings) = failures.checked_sub(FAILURES) {
            let rest = FIRST_REST.saturating_mul(1 << doublings.min(6)).min(LONGEST_REST);
            let until = self.since_birth(now + rest);
            self.rests_until.store(until, Ordering::Relaxed);
            tracing::warn!(translator = self.name, failures, ?rest, "translator rests");
        }
    }

    fn since_birth(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

/// So many failures in a row make a slot rest.
const FAILURES: u32 = 3;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
