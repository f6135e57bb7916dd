//! The named place where a translator stands, shared by all threads that call it.
//!
//! ```text
//! active(g) --offered--> active(g+1), g kept --probation over--> active(g+1)
//!                                     \--too many faults--> active(g), g+1 rejected
//! active(g) --crashes in a row--> resting, calls fail at once --one good call--> active(g)
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::bindings::contract::types::Action;
use super::probation::{Probation, Verdict};
use super::rest::Rest;
use super::states::States;
use super::tally::Tally;
use super::{Fault, Generation, Outcome, Policy, Rejection, Step, Totals, actions};

/// One translator: the generation in use, how its calls went, and whether it rests.
pub struct Slot {
    name: Arc<str>,
    policy: ArcSwap<Policy>,
    active: ArcSwap<Generation>,
    /// One for each caller.
    tallies: Mutex<Vec<Arc<Tally>>>,
    /// Whether `trouble` has anything to say about a good call; spares each of them the lock.
    is_watched: AtomicBool,
    trouble: Mutex<Trouble>,
    history: Mutex<History>,
    /// Of a stateful translator.
    states: States,
}

/// What decides whether the active generation goes on.
#[derive(Debug, Default)]
struct Trouble {
    rest: Rest,
    probation: Option<Probation>,
}

/// What has become of generations and candidates.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How often another generation took its place.
    pub(super) offered: u64,
    /// By step; the last are those that were put back.
    pub(super) rejected: [u64; Step::ALL.len()],
    pub(super) rejection: Option<(Rejection, String)>,
    changed: Option<Arc<Notify>>,
}

impl Slot {
    /// A slot that serves from now on.
    pub fn new(name: &str, policy: Policy, generation: Generation) -> Self {
        Self {
            name: name.into(),
            policy: ArcSwap::from_pointee(policy),
            active: ArcSwap::from_pointee(generation),
            tallies: Mutex::default(),
            is_watched: AtomicBool::new(false),
            trouble: Mutex::default(),
            history: Mutex::default(),
            states: States::default(),
        }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of an event that it fails on, and what it may publish.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Another policy, from the next call on.
    pub fn set_policy(&self, policy: Policy) {
        if **self.policy.load() != policy {
            self.policy.store(Arc::new(policy));
        }
    }

    /// The generation that the next call runs on.
    pub fn active(&self) -> Arc<Generation> {
        self.active.load_full()
    }

    /// Puts another generation in its place. A call in progress ends on the generation that it began on; the next call of
    /// each thread runs on the new one. The old one comes back if the new one fails at once.
    pub fn offer(&self, generation: Arc<Generation>) {
        self.offer_at(Instant::now(), generation);
    }

    /// As [`Self::offer`], at a time of the caller's choice.
    pub fn offer_at(&self, now: Instant, generation: Arc<Generation>) {
        let mut trouble = self.trouble();
        let previous = self.active.swap(generation);
        // One that has failed while it was on probation itself is nothing to go back to.
        let doubtful = trouble.probation.take().filter(Probation::has_faults);
        let previous = doubtful.map_or(previous, |probation| probation.previous);
        *trouble = Trouble { rest: Rest::default(), probation: Some(Probation::new(previous, now)) };
        self.is_watched.store(true, Ordering::Release);
        drop(trouble);
        self.change(|history| history.offered += 1);
    }

    /// A candidate for this slot has failed. It is remembered, and touches nothing else.
    pub fn reject(&self, rejection: Rejection, digest: &str) {
        self.change(|history| {
            history.rejected[rejection.step as usize] += 1;
            history.rejection = Some((rejection, digest.to_owned()));
        });
    }

    /// Puts the previous generation back while the active one is on probation. False if there is none.
    pub fn revert(&self) -> bool {
        let mut trouble = self.trouble();
        let Some(probation) = trouble.probation.take() else { return false };
        self.put_back(&mut trouble, probation, "put back by hand".to_owned());
        true
    }

    /// Who is told when the slot has changed by itself or was changed.
    pub fn notify(&self, changed: Arc<Notify>) {
        self.history().changed = Some(changed);
    }

    /// How often another generation took its place.
    pub fn offered(&self) -> u64 {
        self.history().offered
    }

    /// How many candidates failed at a step.
    pub fn rejections(&self, step: Step) -> u64 {
        self.history().rejected[step as usize]
    }

    /// What all callers have counted since the start.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.tallies().iter().for_each(|tally| totals.add(tally));
        totals
    }

    /// The counters of a new caller.
    pub(super) fn tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.tallies().push(Arc::clone(&tally));
        tally
    }

    /// Whether its policy lets it publish where it wants to.
    pub(super) fn check_topics(&self, actions: &[Action]) -> Result<(), Fault> {
        let policy = self.policy.load();
        if policy.topics.is_empty() {
            return Ok(());
        }
        actions::check_fence(actions, &policy.topics)
    }

    /// Whether calls fail at once, now.
    pub(crate) fn rests(&self, now: Instant) -> bool {
        self.admit(now).is_err()
    }

    /// What a stateful translator remembers about a client is forgotten: its registration has ended.
    pub(crate) fn forget(&self, endpoint: &str) {
        self.states.forget(endpoint);
    }

    pub(super) fn states(&self) -> &States {
        &self.states
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn is_active(&self, generation: &Generation) -> bool {
        self.active.load().number() == generation.number()
    }

    /// Whether a call may be made.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Fault> {
        if !self.is_watched.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.trouble().rest.left(now) {
            Some(left) => {
                Err(Fault::Unavailable(format!("it rests for another {left:.1?} after repeated crashes")))
            }
            None => Ok(()),
        }
    }

    /// Takes notice of how a call of a generation ended: lets the slot rest when it crashes again and again, and puts the previous
    /// generation back when a new one fails at once.
    pub(super) fn record(&self, generation: Option<u64>, outcome: Outcome, now: Instant) {
        let is_good = matches!(outcome, Outcome::Ok | Outcome::Unsupported | Outcome::Malformed);
        if outcome == Outcome::Unavailable || is_good && !self.is_watched.load(Ordering::Acquire) {
            return;
        }
        let mut trouble = self.trouble();
        // What a thread began on an earlier generation says nothing about this one.
        if generation.is_some_and(|generation| generation != self.active.load().number()) {
            return;
        }
        let was_resting = trouble.rest.is_resting();
        match outcome {
            Outcome::Trap | Outcome::Limit => trouble.rest.crashed(now),
            _ if is_good => trouble.rest = Rest::default(),
            // Neither a crash nor a sign of health.
            _ => {}
        }
        let verdict = trouble.probation.as_mut().map(|probation| probation.record(is_good, now));
        match verdict {
            Some(Verdict::Passed) => trouble.probation = None,
            Some(Verdict::Failed) => {
                if let Some(probation) = trouble.probation.take() {
                    let reason =
                        format!("too many faults soon after it was offered, the last: {}", outcome.label());
                    return self.put_back(&mut trouble, probation, reason);
                }
            }
            Some(Verdict::Undecided) | None => {}
        }
        let rests = trouble.rest.is_resting();
        self.is_watched.store(trouble.probation.is_some() || trouble.rest.has_crashed(), Ordering::Release);
        drop(trouble);
        if was_resting != rests || verdict == Some(Verdict::Passed) {
            self.change(|_| {});
        }
    }

    fn put_back(&self, trouble: &mut Trouble, probation: Probation, reason: String) {
        let failed = self.active.swap(probation.previous);
        trouble.rest = Rest::default();
        self.is_watched.store(false, Ordering::Release);
        let number = self.active.load().number();
        tracing::error!(
            translator = &*self.name,
            generation = failed.number(),
            digest = failed.digest(),
            reason,
            serves = number,
            "translator reverted"
        );
        self.change(|history| {
            history.rejected[Step::Reverted as usize] += 1;
            let rejection = Rejection { step: Step::Reverted, reason };
            history.rejection = Some((rejection, failed.digest().to_owned()));
        });
    }

    fn change(&self, change: impl FnOnce(&mut History)) {
        let mut history = self.history();
        change(&mut history);
        if let Some(changed) = &history.changed {
            changed.notify_one();
        }
    }

    pub(super) fn is_resting(&self) -> bool {
        self.trouble().rest.is_resting()
    }

    /// The generation that would come back.
    pub(super) fn previous(&self) -> Option<Arc<Generation>> {
        self.trouble().probation.as_ref().map(|probation| Arc::clone(&probation.previous))
    }

    pub(super) fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tallies(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Tally>>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("name", &self.name).field("active", &self.active).finish_non_exhaustive()
    }
}
