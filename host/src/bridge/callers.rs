//! One thread's callers, one for each slot of the routing, followed when the routing changes.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::Routing;
use crate::plugin::{Caller, Slot};

/// The routing as one thread knows it, and its callers in the order of the slots.
#[derive(Debug)]
pub(crate) struct Callers {
    /// Where a new routing appears; looked at without writing anything that is shared.
    latest: Cache<Arc<ArcSwap<Routing>>, Arc<Routing>>,
    /// What `callers` belong to.
    routing: Arc<Routing>,
    callers: Vec<Caller>,
}

impl Callers {
    /// Makes no instance yet.
    pub(super) fn new(routing: &Arc<ArcSwap<Routing>>) -> Self {
        let latest = Cache::new(Arc::clone(routing));
        let routing = routing.load_full();
        let callers = routing.slots().iter().map(|slot| Caller::new(Arc::clone(slot))).collect();
        Self { latest, routing, callers }
    }

    /// Takes the present routing. Slots that are still in it keep their callers, and with them their instances. Returns
    /// the slots that are gone.
    pub(super) fn follow(&mut self) -> Vec<Arc<Slot>> {
        let latest = self.latest.load();
        if Arc::ptr_eq(latest, &self.routing) {
            return Vec::new();
        }
        self.routing = Arc::clone(latest);
        let mut before = std::mem::take(&mut self.callers);
        for slot in self.routing.slots() {
            let kept = before.iter().position(|caller| Arc::ptr_eq(caller.slot(), slot));
            self.callers.push(match kept {
                Some(at) => before.swap_remove(at),
                None => Caller::new(Arc::clone(slot)),
            });
        }
        before.iter().map(|caller| Arc::clone(caller.slot())).collect()
    }

    /// The routing of the last [`Self::follow`]; numbers of slots are positions in it.
    pub(super) fn routing(&self) -> &Routing {
        &self.routing
    }

    /// The slot of a number.
    pub(super) fn slot(&self, number: usize) -> &Arc<Slot> {
        self.callers[number].slot()
    }

    /// What the event came to is accepted, and with it what stateful translators want to remember; or it is not.
    pub(super) fn settle(&mut self, is_accepted: bool) {
        for caller in &mut self.callers {
            if is_accepted { caller.accept() } else { caller.discard() }
        }
    }

    /// The caller of the slot of a number.
    pub(super) fn caller(&mut self, number: usize) -> &mut Caller {
        &mut self.callers[number]
    }
}
