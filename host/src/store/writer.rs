//! The writer: a bounded queue of batches, and the thread that makes them durable.
//!
//! Nobody waits for a disk: [`Writer::write`] hands a batch over or gives it back. The thread takes all that waits
//! and commits it at once, so that thousands of small changes cost the disk a few writes. What cannot be written stays in its
//! place and is tried again; when the store is closed meanwhile, the one who handed it over is told.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::database::Database;
use super::error::StoreError;
use super::seal::Sealer;
use super::table::Batch;

/// Hands batches to the store. There may be many, for one queue.
#[derive(Clone)]
pub struct Writer {
    queue: Arc<Queue>,
}

/// How much may wait to be durable. One batch that is larger is taken when nothing else waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Changes.
    pub changes: usize,
    /// Bytes of their keys and values.
    pub bytes: usize,
}

/// What the store has done and has still to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that are durable.
    pub commits: u64,
    /// Changes in them.
    pub changes: u64,
    /// Transactions that failed; each was tried again.
    pub failures: u64,
    /// Changes that were given up because the store was closed while it could not be written.
    pub abandoned: u64,
    /// Changes that are not durable yet.
    pub queued: usize,
    /// Bytes of their keys and values.
    pub queued_bytes: usize,
    /// Whether the last transaction failed.
    pub is_failing: bool,
}

/// The store was closed while a batch could not be written, and nothing of it is durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store was closed before it could be written: {reason}")]
pub struct Abandoned {
    /// Why it could not be written.
    pub reason: String,
}

impl Writer {
    /// Hand a batch over, without waiting. Batches become durable in the order in which they were handed over.
    ///
    /// # Errors
    /// The batch, when there is no room for it now or the store is closed. What it calls when it is done is not called.
    pub fn write(&self, batch: Batch) -> Result<(), Batch> {
        self.queue.push(batch)
    }

    /// What the store has done and has still to do.
    pub fn counters(&self) -> Counters {
        self.queue.lock().counters
    }
}

impl Default for Limits {
    /// A quarter of a million changes in 128 MiB: all associations of a gateway at its limit, written at once when it stops.
    fn default() -> Self {
        Self { changes: 1 << 18, bytes: 128 << 20 }
    }
}

/// What waits for the thread.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    limits: Limits,
}

struct State {
    waiting: VecDeque<Batch>,
    /// `queued` and `queued_bytes` count what the thread is writing, too.
    counters: Counters,
    is_closing: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let state = State { waiting: VecDeque::new(), counters: Counters::default(), is_closing: false };
        Arc::new(Self { state: Mutex::new(state), wake: Condvar::new(), limits })
    }

    pub(super) fn writer(self: &Arc<Self>) -> Writer {
        Writer { queue: Arc::clone(self) }
    }

    /// Takes nothing more. The thread ends when it has written what waits.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.wake.notify_all();
    }

    fn push(&self, batch: Batch) -> Result<(), Batch> {
        let mut state = self.lock();
        let counters = &mut state.counters;
        let (changes, bytes) = (counters.queued + batch.len(), counters.queued_bytes + batch.bytes());
        let fits = changes <= self.limits.changes && bytes <= self.limits.bytes;
        let is_alone = counters.queued == 0 && batch.bytes() <= LARGEST;
        if state.is_closing || !(fits || is_alone) || state.waiting.len() >= self.limits.changes {
            return Err(batch);
        }
        (state.counters.queued, state.counters.queued_bytes) = (changes, bytes);
        state.waiting.push_back(batch);
        drop(state);
        self.wake.notify_all();
        Ok(())
    }

    /// All that waits, once something does. None when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Batch>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_closing {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(state.waiting.drain(..).collect())
    }

    /// Waits so long, or until the queue is closed. True if it is.
    fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while !state.is_closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_closing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's work.
pub(super) struct Work {
    queue: Arc<Queue>,
    database: Arc<Database>,
    sealer: Sealer,
}

impl Work {
    pub(super) fn new(queue: Arc<Queue>, database: Arc<Database>) -> Self {
        let sealer = database.sealer();
        Self { queue, database, sealer }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(batches) = self.queue.take() {
            let result = self.write(&batches);
            self.settle(&batches, result.is_ok());
            for done in batches.into_iter().filter_map(Batch::into_done) {
                let result = result.clone();
                // One that panics must not keep the others from being told.
                if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                    tracing::error!("what waited for the store to write has panicked");
                }
            }
        }
    }

    /// Tries until it succeeds, or has failed once more after the queue was closed.
    fn write(&mut self, batches: &[Batch]) -> Result<(), Abandoned> {
        let mut delay = FIRST_DELAY;
        let mut is_last = false;
        let mut result = self.database.commit(&mut self.sealer, batches);
        while let Err(error) = result {
            self.note_failure(&error);
            if is_last {
                return Err(Abandoned { reason: error.to_string() });
            }
            is_last = self.queue.rest(delay);
            delay = (delay * 2).min(LAST_DELAY);
            let database = &self.database;
            result = database.open_again().and_then(|()| database.commit(&mut self.sealer, batches));
        }
        Ok(())
    }

    fn note_failure(&self, error: &StoreError) {
        let mut state = self.queue.lock();
        state.counters.failures += 1;
        let was_failing = std::mem::replace(&mut state.counters.is_failing, true);
        drop(state);
        if !was_failing {
            tracing::error!("the store cannot be written, trying again: {error}");
        }
    }

    /// Before those who handed the batches over are told: they may have more.
    fn settle(&self, batches: &[Batch], is_durable: bool) {
        let changes: usize = batches.iter().map(Batch::len).sum();
        let bytes: usize = batches.iter().map(Batch::bytes).sum();
        let mut state = self.queue.lock();
        let counters = &mut state.counters;
        counters.queued -= changes;
        counters.queued_bytes -= bytes;
        let count = changes as u64;
        let mut has_recovered = false;
        if is_durable {
            counters.commits += 1;
            counters.changes += count;
            has_recovered = std::mem::take(&mut counters.is_failing);
        } else {
            counters.abandoned += count;
        }
        drop(state);
        if has_recovered {
            tracing::info!("the store is written again: {}", self.database.path().display());
        }
        if !is_durable {
            tracing::error!(changes, "lost what could not be written: {}", self.database.path().display());
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

/// Between a failure and the next attempt; doubled with each.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(10);
/// What OpenSSL can take is counted with an `int`.
const LARGEST: usize = 1 << 30;
