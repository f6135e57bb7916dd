//! What is held survives a restart: each held event is written down when it is held, and forgotten when what has become of it is in the
//! outbox.
//!
//! It is written by a thread of its own, some milliseconds later: a crash in between loses what was held last.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_proto::lwm2m::server::Event;

use super::concern::endpoint;
use crate::plugin::Generation;

/// Where a shard's held events are written; `app` implements it, once per shard.
pub trait HoldKeeper: fmt::Debug + Send {
    /// Takes changes, in their order, without waiting for them to be written. False if there is no room now; nothing was taken then.
    fn keep(&mut self, changes: &[HeldChange]) -> bool;
}

/// A change of what is held.
#[derive(Debug, PartialEq, Eq)]
pub struct HeldChange {
    /// Which event. Later ones have greater keys.
    pub key: u64,
    /// The event as [`HeldEvent::write`] has it; none if it is held no more.
    pub record: Option<Vec<u8>>,
}

/// An event that was held before a restart.
#[derive(Clone, Debug)]
pub struct HeldEvent {
    /// Of the slot that it waits for.
    pub slot: String,
    /// Which generation of it failed on it, by its [`identity`]; none if no call was made.
    pub failed_on: Option<Vec<u8>>,
    /// Unix time in milliseconds.
    pub received: i64,
    /// The event. Nothing waits for it to be settled.
    pub event: Event,
}

#[derive(Serialize, Deserialize)]
struct Record<'r> {
    slot: &'r str,
    failed_on: Option<&'r [u8]>,
    received: i64,
    event: &'r [u8],
}

impl HeldEvent {
    /// As bytes; none for an event that nobody would hold.
    pub fn write(&self) -> Option<Vec<u8>> {
        let Self { slot, failed_on, received, event } = self;
        let (failed_on, received) = (failed_on.as_deref(), *received);
        postcard::to_extend(&Record { slot, failed_on, received, event: &event.write()? }, Vec::new()).ok()
    }

    /// Reads what [`write`](Self::write) has written.
    ///
    /// # Errors
    /// It is none, or of a later version.
    pub fn read(record: &[u8]) -> Result<Self, String> {
        let record: Record<'_> = postcard::from_bytes(record).map_err(|error| error.to_string())?;
        let event = Event::read(record.event).map_err(|error| error.to_string())?;
        let Record { slot, failed_on, received, .. } = record;
        Ok(Self { slot: slot.to_owned(), failed_on: failed_on.map(Into::into), received, event })
    }

    /// Whom it is about.
    pub fn endpoint(&self) -> &str {
        endpoint(&self.event)
    }
}

/// A generation, also after a restart: the same artifact with the same settings.
pub(super) fn identity(generation: &Generation) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(generation.digest());
    hash.update([0]);
    hash.update(generation.settings());
    hash.finalize().to_vec()
}

/// What a shard has written of what it holds.
#[derive(Debug, Default)]
pub(super) struct Holding {
    keeper: Option<Box<dyn HoldKeeper>>,
    next: u64,
    /// Written when there is room.
    changes: Vec<HeldChange>,
    /// Held no more, but what has become of them may not be in the outbox yet.
    gone: Vec<HeldChange>,
}

impl Holding {
    /// What is held goes to this keeper, under this key and those that follow with a distance of [`STEP`].
    pub(super) fn new(keeper: Box<dyn HoldKeeper>, next: u64) -> Self {
        Self { keeper: Some(keeper), next, ..Self::default() }
    }

    /// Whether what is held is still there after the end of the process.
    pub(super) fn survives(&self) -> bool {
        self.keeper.is_some()
    }

    /// Writes an event down. The key under which it is; none if nothing survives.
    pub(super) fn note(&mut self, event: impl FnOnce() -> HeldEvent) -> Option<u64> {
        self.keeper.as_ref()?;
        let record = event().write()?;
        let key = self.next;
        self.next += STEP;
        self.changes.push(HeldChange { key, record: Some(record) });
        Some(key)
    }

    /// An event is held no more.
    pub(super) fn forget(&mut self, key: Option<u64>) {
        if self.keeper.is_some()
            && let Some(key) = key
        {
            self.gone.push(HeldChange { key, record: None });
        }
    }

    /// Hands over what is to be written; `is_settled`: what has become of those that are held no more is in the outbox.
    pub(super) fn hand_over(&mut self, is_settled: bool) {
        if is_settled {
            self.changes.append(&mut self.gone);
        }
        if let Some(keeper) = &mut self.keeper
            && !self.changes.is_empty()
            && keeper.keep(&self.changes)
        {
            self.changes.clear();
        }
    }
}

/// Between two keys of a shard: the shard's number is in the lowest byte.
pub const STEP: u64 = 256;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tidegate_proto::lwm2m::operation::OperationName;
    use tidegate_proto::lwm2m::path::Path;
    use tidegate_proto::lwm2m::server::{Asked, Failure};

    use super::*;

    /// Room, and the keys that were taken; those of removals as negative numbers.
    #[derive(Clone, Debug, Default)]
    struct Room(Arc<Mutex<(bool, Vec<i64>)>>);

    impl HoldKeeper for Room {
        fn keep(&mut self, changes: &[HeldChange]) -> bool {
            let (has_room, taken) = &mut *self.0.lock().unwrap();
            if *has_room {
                let number = |change: &HeldChange| {
                    let key = i64::try_from(change.key).unwrap();
                    if change.record.is_some() { key } else { -key }
                };
                taken.extend(changes.iter().map(number));
            }
            *has_room
        }
    }

    fn held() -> HeldEvent {
        let asked = Asked { operation: OperationName::Read, path: Path::root(), context: "c".into() };
        let event =
            Event::Failed { endpoint: "e".into(), registration: None, asked, failure: Failure::Timeout };
        HeldEvent { slot: "mine".into(), failed_on: Some(vec![7; 32]), received: 1_700_000_000_000, event }
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let record = held().write().unwrap();
        let read = HeldEvent::read(&record).unwrap();
        assert_eq!(read.endpoint(), "e");
        assert_eq!(format!("{read:?}"), format!("{:?}", held()));
        assert!(HeldEvent::read(&record[..record.len() - 1]).is_err());
    }

    #[test]
    fn what_is_held_no_more_is_forgotten_when_the_outbox_has_it_and_not_before() {
        let room = Room::default();
        let mut holding = Holding::new(Box::new(room.clone()), 1);
        let first = holding.note(held);
        let second = holding.note(held);
        assert_eq!((first, second), (Some(1), Some(257)));
        holding.hand_over(true);
        assert_eq!(room.0.lock().unwrap().1, [0; 0], "there is no room");
        room.0.lock().unwrap().0 = true;
        holding.forget(first);
        holding.hand_over(false);
        assert_eq!(room.0.lock().unwrap().1, [1, 257]);
        holding.hand_over(true);
        assert_eq!(room.0.lock().unwrap().1, [1, 257, -1]);
        holding.hand_over(true);
        assert_eq!(room.0.lock().unwrap().1.len(), 3, "each once");
    }

    #[test]
    fn without_a_keeper_nothing_is_noted() {
        let mut holding = Holding::default();
        assert_eq!(holding.note(held), None);
        holding.forget(Some(1));
        holding.hand_over(true);
        assert!(!holding.survives() && holding.gone.is_empty());
    }
}
