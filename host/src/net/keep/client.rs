//! What of a shard's clients survives a restart, until the store has it.
//!
//! The shard takes it from its LwM2M server once a turn (`tidegate_proto::lwm2m::server`, `take_changes`) and hands it over; it
//! never waits for the disk. What the store gives back is handed over again; of each client only the newest counts, so that what
//! waits is bounded by the number of clients. A Register and a De-register are answered when this is durable, everything else goes
//! its way: a crash loses of it what was not committed yet.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tidegate_proto::lwm2m::server::{Change, Changes};

/// Where a shard's clients are written; `app` implements it, once per shard.
pub trait ClientKeeper: fmt::Debug + Send {
    /// Take changes without waiting for them to be written; all come back when there is no room now. When they are
    /// durable, and with them all that were taken before, [`Command::ClientsKept`](super::super::Command::ClientsKept) tells the
    /// shard the turn if that is awaited.
    ///
    /// # Errors
    /// The changes, when there is no room.
    fn keep(&mut self, changes: Changes) -> Result<(), Changes>;

    /// Whether nothing becomes durable just now. The gateway then goes on with what it has in memory.
    fn is_failing(&self) -> bool;
}

/// The changes of one shard that were not handed over yet.
#[derive(Debug)]
pub(crate) struct ClientKeeping {
    keeper: Box<dyn ClientKeeper>,
    waiting: HashMap<Arc<str>, Option<Vec<u8>>>,
    turn: u64,
    is_awaited: bool,
}

impl ClientKeeping {
    /// Nothing yet.
    pub(crate) fn new(keeper: Box<dyn ClientKeeper>) -> Self {
        Self { keeper, waiting: HashMap::new(), turn: 0, is_awaited: false }
    }

    /// Something is to be written, of clients that this shard has to keep.
    pub(crate) fn note(&mut self, changes: Changes, is_own: impl Fn(&str) -> bool) {
        self.turn = changes.turn;
        self.is_awaited |= changes.is_awaited;
        let own = changes.changes.into_iter().filter(|change| is_own(&change.endpoint));
        self.waiting.extend(own.map(|change| (change.endpoint, change.state)));
    }

    /// Another shard has this client now, and writes what is to be written of it.
    pub(crate) fn forget(&mut self, endpoint: &str) {
        self.waiting.remove(endpoint);
    }

    /// Hand over what waits. False if it has to wait longer.
    pub(crate) fn hand_over(&mut self) -> bool {
        if self.waiting.is_empty() && !self.is_awaited {
            return true;
        }
        let changes = self.waiting.drain().map(|(endpoint, state)| Change { endpoint, state }).collect();
        match self.keeper.keep(Changes { turn: self.turn, is_awaited: self.is_awaited, changes }) {
            Ok(()) => {
                self.is_awaited = false;
                true
            }
            Err(back) => {
                let back = back.changes.into_iter();
                self.waiting.extend(back.map(|change| (change.endpoint, change.state)));
                false
            }
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.keeper.is_failing()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A store with room for so many changes.
    #[derive(Clone, Debug, Default)]
    struct Room(Arc<Mutex<(usize, Vec<String>)>>);

    impl Room {
        fn make(&self, room: usize) {
            self.0.lock().unwrap().0 = room;
        }

        fn taken(&self) -> Vec<String> {
            let mut taken = std::mem::take(&mut self.0.lock().unwrap().1);
            taken.sort();
            taken
        }
    }

    impl ClientKeeper for Room {
        fn keep(&mut self, changes: Changes) -> Result<(), Changes> {
            let (room, taken) = &mut *self.0.lock().unwrap();
            if changes.changes.len() > *room {
                return Err(changes);
            }
            let text = |change: Change| format!("{} {} {:?}", changes.turn, change.endpoint, change.state);
            taken.extend(changes.changes.into_iter().map(text));
            taken.extend(changes.is_awaited.then(|| format!("{} told", changes.turn)));
            Ok(())
        }

        fn is_failing(&self) -> bool {
            false
        }
    }

    fn changes(turn: u64, of: &[(&str, Option<u8>)]) -> Changes {
        let change = |(endpoint, state): &(&str, Option<u8>)| Change {
            endpoint: (*endpoint).into(),
            state: state.map(|state| vec![state]),
        };
        Changes { turn, is_awaited: false, changes: of.iter().map(change).collect() }
    }

    #[test]
    fn what_finds_no_room_is_handed_over_later_and_the_newest_state_counts() {
        let room = Room::default();
        let mut keeping = ClientKeeping::new(Box::new(room.clone()));
        keeping.note(changes(3, &[("a", Some(1)), ("b", Some(1)), ("c", Some(1))]), |_| true);
        assert!(!keeping.hand_over());
        keeping.note(changes(4, &[("a", Some(2)), ("b", None)]), |_| true);
        keeping.forget("c");
        assert!(!keeping.hand_over());
        room.make(2);
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), ["4 a Some([2])", "4 b None"]);
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), [""; 0]);
    }

    #[test]
    fn what_another_shard_has_is_left_to_it() {
        let room = Room::default();
        room.make(9);
        let mut keeping = ClientKeeping::new(Box::new(room.clone()));
        keeping.note(changes(0, &[("here", Some(1)), ("elsewhere", None)]), |endpoint| endpoint == "here");
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), ["0 here Some([1])"]);
    }

    #[test]
    fn an_answer_does_not_wait_for_what_is_left_to_another_shard() {
        let room = Room::default();
        let mut keeping = ClientKeeping::new(Box::new(room.clone()));
        let changes = Changes { is_awaited: true, ..changes(7, &[("elsewhere", Some(1))]) };
        keeping.note(changes, |_| false);
        assert!(keeping.hand_over());
        assert_eq!(room.taken(), ["7 told"]);
    }
}
