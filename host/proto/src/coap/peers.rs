//! Which peers something is remembered of, and the message ids given out to them.

use rustc_hash::{FxHashMap, FxSeededState};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Peer;
use crate::time::Instant;

/// Peers get a small number while anything is remembered of them. An idle peer costs nothing.
#[derive(Debug)]
pub(super) struct Peers {
    /// Seeded, since anyone can choose source ports so that their hashes collide.
    numbers: HashMap<Peer, u32, FxSeededState>,
    states: Slab<State>,
    /// How many have a guard.
    guarded: usize,
    /// Their names are ours, so nobody can make them collide.
    associations: FxHashMap<u64, Association>,
}

/// What is known of a DTLS association.
#[derive(Debug)]
struct Association {
    /// Who it has proved to be.
    principal: Arc<str>,
    /// Bytes of the largest message that it can carry, if there is such a limit.
    max_message: Option<usize>,
}

/// The message id of one message to or from one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MessageKey {
    pub(super) peer: u32,
    pub(super) mid: u16,
}

#[derive(Debug)]
pub(super) struct State {
    /// Where it was seen last, if it has an association.
    pub(super) peer: Peer,
    /// Message ids remembered for deduplication, oldest first.
    pub(super) remembered: VecDeque<u16>,
    /// Exchanges and transfers that hold on to the number.
    users: u32,
    /// Requests of ours that it has not answered, and not acknowledged either.
    pub(super) pressing: u32,
    /// Of those, the ones that fetch the rest of a notification.
    pub(super) fetches: u32,
    next_mid: u16,
    /// Until when a message id of ours must not be given out again (RFC 7252 section 4.4).
    guarded_until: Option<Instant>,
}

impl State {
    /// It has one more request of ours to answer, maybe one that fetches the rest of a notification.
    pub(super) fn press(&mut self, is_fetch: bool) {
        self.pressing += 1;
        self.fetches += u32::from(is_fetch);
    }

    /// It has answered one of those requests, or acknowledged it, or will not answer it.
    pub(super) fn relieve(&mut self, is_fetch: bool) {
        self.pressing -= 1;
        self.fetches -= u32::from(is_fetch);
    }
}

impl Peers {
    pub(super) fn new(seed: usize) -> Self {
        Self {
            numbers: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            states: Slab::new(),
            guarded: 0,
            associations: FxHashMap::default(),
        }
    }

    /// An association has proved to be somebody.
    pub(super) fn associate(&mut self, association: u64, principal: Arc<str>) {
        self.associations.insert(association, Association { principal, max_message: None });
    }

    /// An association cannot carry larger messages.
    pub(super) fn limit(&mut self, association: u64, max_message: usize) {
        if let Some(known) = self.associations.get_mut(&association) {
            known.max_message = Some(max_message);
        }
    }

    /// An association has ended. Returns who it was.
    pub(super) fn dissociate(&mut self, association: u64) -> Option<Arc<str>> {
        Some(self.associations.remove(&association)?.principal)
    }

    /// Who the peer has proved to be.
    pub(super) fn principal(&self, peer: Peer) -> Option<&Arc<str>> {
        Some(&self.associations.get(&peer.association)?.principal)
    }

    /// Bytes of the largest message that the peer's association can carry; none if it does not matter.
    pub(super) fn max_message(&self, peer: Peer) -> Option<usize> {
        self.associations.get(&peer.association)?.max_message
    }

    /// The peer's number. A new peer's message ids start at the given one.
    pub(super) fn number(&mut self, peer: Peer, first_mid: impl FnOnce() -> u16) -> u32 {
        *self.numbers.entry(peer).or_insert_with(|| {
            let remembered = VecDeque::new();
            let state = State {
                peer,
                remembered,
                users: 0,
                pressing: 0,
                fetches: 0,
                next_mid: first_mid(),
                guarded_until: None,
            };
            u32::try_from(self.states.insert(state)).expect("memory ends before four thousand million peers")
        })
    }

    /// A peer with a number was seen here just now.
    pub(super) fn see(&mut self, number: u32, peer: Peer) {
        self.state(number).peer = peer;
    }

    /// The peer as it was seen last, which tells where an association is; as given if nothing is remembered of it.
    pub(super) fn latest(&self, peer: Peer) -> Peer {
        if !peer.is_secure() {
            return peer;
        }
        self.known(peer).map_or(peer, |state| state.peer)
    }

    /// The state of a peer that has a number.
    pub(super) fn known(&self, peer: Peer) -> Option<&State> {
        self.states.get(self.number_of(peer)? as usize)
    }

    /// The number of a peer that has one.
    pub(super) fn number_of(&self, peer: Peer) -> Option<u32> {
        self.numbers.get(&peer).copied()
    }

    pub(super) fn state(&mut self, number: u32) -> &mut State {
        &mut self.states[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// A message id to send to the peer with. True beside it: [`Self::unguard`] must be called at the time
    /// `now + EXCHANGE_LIFETIME`. With `most` peers under guard, no further peer gets one: forgotten and seen again, its message
    /// ids go on from anywhere.
    pub(super) fn next_mid(
        &mut self,
        number: u32,
        now: Instant,
        most: usize,
        in_use: impl Fn(MessageKey) -> bool,
    ) -> (u16, bool) {
        let is_crowded = self.guarded >= most;
        let state = self.state(number);
        let mut mid = state.next_mid;
        // At most 65535 steps, and only if that many requests to one peer are open.
        while in_use(MessageKey { peer: number, mid }) && mid != state.next_mid.wrapping_sub(1) {
            mid = mid.wrapping_add(1);
        }
        state.next_mid = mid.wrapping_add(1);
        let first = state.guarded_until.is_none();
        if first && is_crowded {
            return (mid, false);
        }
        state.guarded_until = Some(now + EXCHANGE_LIFETIME);
        self.guarded += usize::from(first);
        (mid, first)
    }

    /// Ends the guard of the message ids, unless more were given out since: then returns until when it lasts.
    pub(super) fn unguard(&mut self, number: u32, now: Instant) -> Option<Instant> {
        let state = self.state(number);
        if let Some(until) = state.guarded_until.filter(|until| *until > now) {
            return Some(until);
        }
        let was_guarded = state.guarded_until.take().is_some();
        self.guarded -= usize::from(was_guarded);
        self.release(number);
        None
    }

    pub(super) fn hold(&mut self, number: u32) {
        self.state(number).users += 1;
    }

    /// Undoes [`Self::hold`].
    pub(super) fn let_go(&mut self, number: u32) {
        self.state(number).users -= 1;
        self.release(number);
    }

    /// Forgets the peer if nothing is remembered of it.
    pub(super) fn release(&mut self, number: u32) {
        let state = self.state(number);
        if state.users == 0 && state.remembered.is_empty() && state.guarded_until.is_none() {
            let peer = state.peer;
            self.numbers.remove(&peer);
            self.states.remove(number as usize);
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.numbers.capacity() + self.states.capacity()
    }

    /// Gives memory back that is hardly used any more.
    pub(super) fn give_back(&mut self) {
        if is_roomy(self.numbers.len(), self.numbers.capacity()) {
            self.numbers.shrink_to(2 * self.numbers.len());
        }
        if self.states.is_empty() && is_roomy(0, self.states.capacity()) {
            self.states = Slab::new();
        }
    }
}

/// Whether a collection has so much more room than it needs that it is worth making it smaller: when all clients have come
/// at once, what is remembered of their messages for some minutes would else keep its room for ever.
pub(super) fn is_roomy(len: usize, capacity: usize) -> bool {
    capacity > FEW && capacity / 8 > len
}

/// So much room is never too much.
const FEW: usize = 4_096;

/// From the first transmission of a confirmable message until its message id may be used again
/// (RFC 7252 section 4.8.2).
pub(super) const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
