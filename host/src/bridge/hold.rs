//! Events that a translator has failed on, kept until another generation of it is in use (`on-fault = "hold"`).
//!
//! 1. an event that fails is pushed here, with the generation that it failed on; what finds no room falls out at the front;
//! 2. when another generation is in use all of them are due, in order, once each; those that were never tried because the
//!    slot rested are due when it does not rest any more;
//! 3. while some are due, newer events of the slot stand behind them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proto::lwm2m::server::Event;

use crate::plugin::Slot;

/// What one shard holds, for all slots.
#[derive(Debug, Default)]
pub(super) struct Hold {
    slots: Vec<Held>,
}

/// What is held for one slot.
#[derive(Debug)]
struct Held {
    slot: Arc<Slot>,
    entries: VecDeque<Entry>,
    /// The generation that `due` is about.
    generation: u64,
    /// How many entries that generation has not been tried on.
    due: usize,
}

/// An event that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    /// Unix time in milliseconds.
    pub(super) received: i64,
    /// The generation that failed on it; none if no call was made.
    pub(super) failed_on: Option<u64>,
    /// Under which it is kept, if it survives.
    pub(super) key: Option<u64>,
}

impl Hold {
    /// Nothing at all; asked often.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Those that something is held for.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.iter().map(|held| Arc::clone(&held.slot)).collect()
    }

    /// How many events are held for a slot.
    pub(super) fn len(&self, slot: &Arc<Slot>) -> usize {
        self.find(slot).map_or(0, |held| held.entries.len())
    }

    /// Keeps an event behind all others, at most so many; what falls out for it comes back.
    pub(super) fn push(&mut self, slot: &Arc<Slot>, entry: Entry, most: usize) -> Option<Entry> {
        if most == 0 {
            return Some(entry);
        }
        let held = self.find_or_add(slot);
        held.follow();
        let is_full = held.entries.len() >= most;
        let fallen = if is_full { held.pop() } else { None };
        held.due += usize::from(held.is_due(&entry));
        held.entries.push_back(entry);
        fallen
    }

    /// The next event that the present generation of a slot has not been tried on, if the slot can be called.
    pub(super) fn pop_due(&mut self, slot: &Arc<Slot>, now: Instant) -> Option<Entry> {
        if !self.has_due(slot, now) {
            return None;
        }
        let held = self.slots.iter_mut().find(|held| Arc::ptr_eq(&held.slot, slot))?;
        let at = (0..held.entries.len()).find(|at| held.is_due(&held.entries[*at]))?;
        let entry = held.entries.remove(at);
        held.due -= 1;
        self.slots.retain(|held| !held.entries.is_empty());
        entry
    }

    /// An event that could not be tried after all stands at the front again.
    pub(super) fn put_back(&mut self, slot: &Arc<Slot>, entry: Entry) {
        let held = self.find_or_add(slot);
        held.due += usize::from(held.is_due(&entry));
        held.entries.push_front(entry);
    }

    /// Whether newer events of a slot must stand behind older ones.
    pub(super) fn has_due(&mut self, slot: &Arc<Slot>, now: Instant) -> bool {
        let Some(held) = self.slots.iter_mut().find(|held| Arc::ptr_eq(&held.slot, slot)) else {
            return false;
        };
        held.follow();
        held.due > 0 && !slot.rests(now)
    }

    /// Whether the generation that was in use lately has not been tried on some of it.
    pub(super) fn has_untried(&self, slot: &Arc<Slot>) -> bool {
        self.find(slot).is_some_and(|held| held.due > 0)
    }

    /// All that is held for a slot, in order.
    pub(super) fn take(&mut self, slot: &Arc<Slot>) -> impl Iterator<Item = Entry> + use<> {
        let at = self.slots.iter().position(|held| Arc::ptr_eq(&held.slot, slot));
        at.map(|at| self.slots.swap_remove(at).entries).into_iter().flatten()
    }

    fn find(&self, slot: &Arc<Slot>) -> Option<&Held> {
        self.slots.iter().find(|held| Arc::ptr_eq(&held.slot, slot))
    }

    fn find_or_add(&mut self, slot: &Arc<Slot>) -> &mut Held {
        let at = self.slots.iter().position(|held| Arc::ptr_eq(&held.slot, slot));
        let at = at.unwrap_or_else(|| {
            let generation = slot.active().number();
            self.slots.push(Held { slot: Arc::clone(slot), entries: VecDeque::new(), generation, due: 0 });
            self.slots.len() - 1
        });
        &mut self.slots[at]
    }
}

impl Held {
    /// Counts anew if another generation is in use.
    fn follow(&mut self) {
        let active = self.slot.active().number();
        if active != self.generation {
            self.generation = active;
            self.due = self.entries.iter().filter(|entry| self.is_due(entry)).count();
        }
    }

    fn is_due(&self, entry: &Entry) -> bool {
        entry.failed_on != Some(self.generation)
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.due -= usize::from(self.is_due(&entry));
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::lwm2m::operation::OperationName;
    use tidegate_proto::lwm2m::path::Path;
    use tidegate_proto::lwm2m::server::{Asked, Failure};

    use super::*;
    use crate::plugin::{Artifact, Engine, Generation, Limits, Origin, Policy};

    struct Scene {
        engine: Engine,
        slot: Arc<Slot>,
        hold: Hold,
        now: Instant,
    }

    fn generation(engine: &Engine) -> Generation {
        let limits = Limits::default();
        let bytes = include_bytes!("../../tests/fixtures/hostile.wasm").to_vec();
        let artifact = Artifact::new(bytes, Origin::Memory("test".to_owned())).unwrap();
        Generation::prove(engine, &artifact, &serde_json::json!({ "mode": "g" }), &limits).unwrap()
    }

    impl Scene {
        fn new() -> Self {
            let engine = Engine::new(&Limits::default()).unwrap();
            let slot = Arc::new(Slot::new("test", Policy::default(), generation(&engine)));
            Self { engine, slot, hold: Hold::default(), now: Instant::now() }
        }

        /// An event of this number that failed on the active generation, or was not tried.
        fn push(&mut self, number: i64, is_tried: bool, most: usize) -> Option<i64> {
            let asked = Asked { operation: OperationName::Read, path: Path::root(), context: "".into() };
            let event =
                Event::Failed { endpoint: "e".into(), registration: None, asked, failure: Failure::Timeout };
            let failed_on = is_tried.then(|| self.slot.active().number());
            let entry = Entry { event, received: number, failed_on, key: None };
            self.hold.push(&self.slot, entry, most).map(|entry| entry.received)
        }

        fn offer(&self) {
            self.slot.offer(Arc::new(generation(&self.engine)));
        }

        fn due(&mut self) -> Vec<i64> {
            std::iter::from_fn(|| self.hold.pop_due(&self.slot, self.now).map(|entry| entry.received))
                .collect()
        }
    }

    #[test]
    fn what_failed_is_due_once_when_another_generation_is_in_use() {
        let mut scene = Scene::new();
        assert_eq!((scene.push(1, true, 9), scene.push(2, true, 9)), (None, None));
        assert!(scene.due().is_empty());
        scene.offer();
        assert_eq!(scene.push(3, false, 9), None, "it stands behind");
        assert_eq!(scene.due(), [1, 2, 3]);
        assert!(scene.hold.is_empty());
    }

    #[test]
    fn what_was_not_tried_is_due_before_what_this_generation_failed_on() {
        let mut scene = Scene::new();
        scene.push(1, true, 9);
        scene.push(2, false, 9);
        assert_eq!(scene.due(), [2]);
        assert_eq!(scene.hold.len(&scene.slot), 1);
    }

    #[test]
    fn the_oldest_falls_out_for_the_newest() {
        let mut scene = Scene::new();
        assert_eq!(scene.push(0, true, 0), Some(0), "nothing is to be held");
        scene.push(1, false, 2);
        scene.push(2, true, 2);
        assert_eq!(scene.push(3, true, 2), Some(1));
        assert!(scene.due().is_empty(), "only what failed is left");
        scene.offer();
        assert_eq!(scene.due(), [2, 3]);
    }

    #[test]
    fn a_generation_that_comes_back_is_not_tried_again_on_what_it_failed_on() {
        let mut scene = Scene::new();
        scene.push(1, true, 9);
        scene.offer();
        scene.push(2, true, 9);
        assert!(scene.slot.revert());
        assert_eq!(scene.due(), [2]);
    }

    #[test]
    fn what_could_not_be_tried_after_all_stays_the_first() {
        let mut scene = Scene::new();
        scene.push(1, false, 9);
        scene.push(2, false, 9);
        let first = scene.hold.pop_due(&scene.slot, scene.now).unwrap();
        scene.hold.put_back(&scene.slot, first);
        assert_eq!(scene.due(), [1, 2]);
    }

    #[test]
    fn all_can_be_taken_in_order() {
        let mut scene = Scene::new();
        scene.push(1, true, 9);
        scene.push(2, false, 9);
        let taken: Vec<_> = scene.hold.take(&scene.slot).map(|entry| entry.received).collect();
        assert_eq!((taken, scene.hold.is_empty()), (vec![1, 2], true));
    }
}
