//! What a shard's associations need written to survive a restart, until the store has it.
//!
//! [`Secure`](super::secure::Secure) collects changes here and hands them over once a turn; the shard never waits for
//! the disk. A store that cannot keep up gives them back, and they are handed over again; of each association only the
//! newest counts, so that what waits is bounded by the number of associations.

mod client;

use std::fmt;

use rustc_hash::FxHashMap;
use zeroize::Zeroizing;

pub use client::ClientKeeper;
pub(crate) use client::ClientKeeping;

/// Where a shard's associations are written; `app` implements it, once per shard.
pub trait Keeper: fmt::Debug + Send {
    /// Take changes without waiting for them to be written; all come back when there is no room now. When they are
    /// durable, [`Command::Kept`](super::Command::Kept) tells the shard.
    ///
    /// # Errors
    /// The changes, when there is no room.
    fn keep(&mut self, changes: Vec<Change>) -> Result<(), Vec<Change>>;
}

/// An association as it was written before a restart.
pub struct Snapshot {
    /// Which.
    pub association: u64,
    /// For [`Endpoint::restore`](tidegate_dtls::endpoint::Endpoint::restore); secret.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What is to be written of one association.
#[derive(Debug)]
pub struct Change {
    /// Which.
    pub association: u64,
    /// Its new state, or none when it is no more.
    pub state: Option<State>,
}

/// The state of an association.
pub struct State {
    /// For [`Endpoint::restore`](tidegate_dtls::endpoint::Endpoint::restore); secret.
    pub snapshot: Zeroizing<Vec<u8>>,
    /// What [`Endpoint::kept`](tidegate_dtls::endpoint::Endpoint::kept) is told when this is durable.
    pub bound: u64,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Snapshot").field("association", &self.association).finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// The changes of one shard that are not durable yet.
#[derive(Debug)]
pub(crate) struct Keeping {
    keeper: Box<dyn Keeper>,
    waiting: FxHashMap<u64, Option<State>>,
    /// How many states were handed over that are not durable.
    under_way: usize,
}

impl Keeping {
    /// Nothing yet.
    pub(crate) fn new(keeper: Box<dyn Keeper>) -> Self {
        Self { keeper, waiting: FxHashMap::default(), under_way: 0 }
    }

    /// Something is to be written.
    pub(crate) fn note(&mut self, association: u64, state: Option<State>) {
        self.waiting.insert(association, state);
    }

    /// Hand over what waits. False if it has to wait longer.
    pub(crate) fn hand_over(&mut self) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        let changes: Vec<Change> =
            self.waiting.drain().map(|(association, state)| Change { association, state }).collect();
        let states = changes.iter().filter(|change| change.state.is_some()).count();
        match self.keeper.keep(changes) {
            Ok(()) => {
                self.under_way += states;
                true
            }
            Err(changes) => {
                self.waiting.extend(changes.into_iter().map(|change| (change.association, change.state)));
                false
            }
        }
    }

    /// So many states that were handed over are durable.
    pub(crate) fn kept(&mut self, states: usize) {
        self.under_way = self.under_way.saturating_sub(states);
    }

    /// Whether all is durable.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A store with room for so many changes.
    #[derive(Clone, Debug, Default)]
    struct Room(Arc<Mutex<(usize, Vec<Change>)>>);

    impl Room {
        fn make(&self, room: usize) {
            self.0.lock().unwrap().0 = room;
        }

        fn taken(&self) -> Vec<(u64, Option<u64>)> {
            let mut taken: Vec<_> = std::mem::take(&mut self.0.lock().unwrap().1)
                .into_iter()
                .map(|change| (change.association, change.state.map(|state| state.bound)))
                .collect();
            taken.sort_unstable();
            taken
        }
    }

    impl Keeper for Room {
        fn keep(&mut self, changes: Vec<Change>) -> Result<(), Vec<Change>> {
            let (room, taken) = &mut *self.0.lock().unwrap();
            if changes.len() > *room {
                return Err(changes);
            }
            taken.extend(changes);
            Ok(())
        }
    }

    fn state(bound: u64) -> Option<State> {
        Some(State { snapshot: Zeroizing::new(vec![1, 2, 3]), bound })
    }

    #[test]
    fn what_finds_no_room_is_handed_over_later_and_the_newest_state_counts() {
        let room = Room::default();
        let mut keeping = Keeping::new(Box::new(room.clone()));
        keeping.note(1, state(10));
        keeping.note(2, state(20));
        assert!(!keeping.hand_over());
        keeping.note(1, state(11));
        keeping.note(2, None);
        room.make(2);
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), [(1, Some(11)), (2, None)]);
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), []);
    }

    #[test]
    fn it_is_done_when_every_state_is_durable() {
        let room = Room::default();
        room.make(9);
        let mut keeping = Keeping::new(Box::new(room));
        assert!(keeping.is_done());
        keeping.note(1, state(10));
        keeping.note(2, state(10));
        keeping.note(3, None);
        assert!(!keeping.is_done());
        assert!(keeping.hand_over());
        keeping.kept(1);
        assert!(!keeping.is_done());
        keeping.kept(1);
        assert!(keeping.is_done());
    }
}
