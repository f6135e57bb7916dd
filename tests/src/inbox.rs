//! What has arrived and not been looked at yet, filled by one thread and emptied by a test.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Things in the order of their arrival.
#[derive(Debug)]
pub struct Inbox<T> {
    items: Mutex<Vec<T>>,
    changed: Condvar,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), changed: Condvar::new() }
    }
}

impl<T: Clone + Debug> Inbox<T> {
    /// Put something in.
    pub fn put(&self, item: T) {
        self.lock().push(item);
        self.changed.notify_all();
    }

    /// Take out the first that matches, waiting for it for [`PATIENCE`].
    pub fn take(&self, what: &str, matches: impl Fn(&T) -> bool) -> Result<T> {
        self.take_within(PATIENCE, what, matches)
    }

    /// Take out the first that matches; the error lists what has arrived instead.
    pub fn take_within(&self, patience: Duration, what: &str, matches: impl Fn(&T) -> bool) -> Result<T> {
        match self.wait(patience, |items| items.iter().position(&matches)) {
            (mut items, Some(index)) => Ok(items.remove(index)),
            (items, None) => bail!("no {what} within {patience:?}; instead: {:#?}", tail(&items)),
        }
    }

    /// A copy of the first that matches, leaving it where it is; none when none comes in time.
    pub fn look(&self, patience: Duration, matches: impl Fn(&T) -> bool) -> Option<T> {
        let (items, found) = self.wait(patience, |items| items.iter().position(&matches));
        found.map(|index| items[index].clone())
    }

    /// Wait until this holds for all that is there; false when it does not in time.
    pub fn wait_until(&self, patience: Duration, holds: impl Fn(&[T]) -> bool) -> bool {
        self.wait(patience, |items| holds(items).then_some(0)).1.is_some()
    }

    /// A copy of everything that is there, now.
    pub fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// A copy of what is there behind the first `seen`, waiting for some; nothing when nothing comes in time. For a look at many
    /// things that costs no more than they are, while nobody takes any out.
    pub fn behind(&self, seen: usize, patience: Duration) -> Vec<T> {
        let (items, _) = self.wait(patience, |items| (items.len() > seen).then_some(0));
        items.get(seen..).unwrap_or_default().to_vec()
    }

    /// Everything that is there, now.
    pub fn drain(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
    }

    /// How many of those that are there match, now.
    pub fn count(&self, matches: impl Fn(&T) -> bool) -> usize {
        self.lock().iter().filter(|item| matches(item)).count()
    }

    fn wait(
        &self,
        patience: Duration,
        find: impl Fn(&[T]) -> Option<usize>,
    ) -> (MutexGuard<'_, Vec<T>>, Option<usize>) {
        let deadline = Instant::now() + patience;
        let mut items = self.lock();
        loop {
            let found = find(&items);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() {
                return (items, found);
            }
            items = self.changed.wait_timeout(items, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tail<T>(items: &[T]) -> &[T] {
    &items[items.len().saturating_sub(SHOWN)..]
}

/// How long anything may take that should come at once; generous, because the machine may be busy, and compiling the
/// engine of scripts takes seconds even on an idle one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what came instead an error shows.
const SHOWN: usize = 20;
