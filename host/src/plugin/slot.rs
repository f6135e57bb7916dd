//! The named place where a translator stands, shared by all threads that call it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::bindings::contract::setup;
use super::{Fault, Generation, Outcome};
use crate::config::OnFault;

/// One translator of the configuration: the generation in use, how its calls went, and whether it rests.
pub struct Slot {
    name: Arc<str>,
    on_fault: OnFault,
    active: ArcSwap<Generation>,
    calls: [AtomicU64; Outcome::ALL.len()],
    /// Whether `rest` has anything to say; spares each good call the lock.
    troubled: AtomicBool,
    rest: Mutex<Rest>,
}

impl Slot {
    /// A slot that serves from now on.
    pub fn new(name: &str, on_fault: OnFault, generation: Generation) -> Self {
        Self {
            name: name.into(),
            on_fault,
            active: ArcSwap::from_pointee(generation),
            calls: Default::default(),
            troubled: AtomicBool::new(false),
            rest: Mutex::default(),
        }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of an event that it fails on.
    pub fn on_fault(&self) -> OnFault {
        self.on_fault
    }

    /// The generation that the next call runs on.
    pub fn active(&self) -> Arc<Generation> {
        self.active.load_full()
    }

    /// What the active generation asked for. Always some: a slot is never empty.
    pub fn subscriptions(&self) -> Option<setup::Subscriptions> {
        Some(self.active.load().subscriptions().clone())
    }

    /// Puts another generation in its place. A call in progress ends on the generation that it began on; the next call of
    /// each thread runs on the new one. The old one is returned, so that it can be put back.
    pub fn offer(&self, generation: Arc<Generation>) -> Arc<Generation> {
        let previous = self.active.swap(generation);
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Rest::default();
        self.troubled.store(false, Ordering::Release);
        previous
    }

    /// How many calls ended how, since the start.
    pub fn calls(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL
            .into_iter()
            .zip(&self.calls)
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn is_active(&self, generation: &Generation) -> bool {
        self.active.load().number() == generation.number()
    }

    /// Whether a call may be made.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Fault> {
        if !self.troubled.load(Ordering::Acquire) {
            return Ok(());
        }
        let until = self.rest.lock().unwrap_or_else(PoisonError::into_inner).until;
        match until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero()) {
            Some(left) => {
                Err(Fault::Unavailable(format!("it rests for another {left:.1?} after repeated crashes")))
            }
            None => Ok(()),
        }
    }

    /// Counts a call, and lets the slot rest when it crashes again and again.
    pub(super) fn record(&self, outcome: Outcome, now: Instant) {
        self.calls[outcome as usize].fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Trap | Outcome::Limit => {
                let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                rest.crashed(now);
                self.troubled.store(true, Ordering::Release);
            }
            // Neither a crash nor a sign of health.
            Outcome::Internal | Outcome::InvalidOutput | Outcome::Unavailable => {}
            Outcome::Ok | Outcome::Unsupported | Outcome::Malformed => {
                if self.troubled.load(Ordering::Acquire) {
                    let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                    *rest = Rest::default();
                    self.troubled.store(false, Ordering::Release);
                }
            }
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("name", &self.name).field("active", &self.active).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Rest {
    crashes: u32,
    until: Option<Instant>,
}

impl Rest {
    fn crashed(&mut self, now: Instant) {
        self.crashes = self.crashes.saturating_add(1);
        let Some(beyond) = self.crashes.checked_sub(CRASHES) else { return };
        let rest = FIRST_REST.saturating_mul(1 << beyond.min(6)).min(LONGEST_REST);
        self.until = Some(now + rest);
    }
}

/// So many crashes in a row send a slot to rest.
const CRASHES: u32 = 3;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
