//! Remembers which messages came, and what was answered, so that a duplicate is not taken for a new message
//! (RFC 7252 section 4.5).

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::peers::{EXCHANGE_LIFETIME, MessageKey, Peers, is_roomy};
use crate::time::Instant;

/// The messages that came lately.
#[derive(Debug)]
pub(super) struct Deduplication {
    entries: FxHashMap<MessageKey, Entry>,
    /// Confirmable ones in the order in which they came, and non-confirmable ones.
    queues: [Queue; 2],
    next_serial: u64,
    /// When the first of each queue expires, and its serial: asked for after every datagram.
    first: [Option<(u64, Instant)>; 2],
    limit: usize,
    limit_per_peer: usize,
}

/// Messages in the order in which they came, with their serials.
type Queue = VecDeque<(MessageKey, u64)>;

/// What was done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet: a duplicate is dropped.
    Open,
    /// Nothing to be sent: a duplicate is dropped.
    Silent,
    /// An empty acknowledgement.
    Acknowledged,
    /// A reset.
    Reset,
    /// This datagram.
    Answered(Box<[u8]>),
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    hash: u64,
    expires: Instant,
    outcome: Outcome,
}

impl Deduplication {
    pub(super) fn new(limit: usize, limit_per_peer: usize) -> Self {
        let (limit, limit_per_peer) = (limit.max(1), limit_per_peer.max(1));
        Self {
            entries: FxHashMap::default(),
            queues: Default::default(),
            next_serial: 0,
            first: [None; 2],
            limit,
            limit_per_peer,
        }
    }

    /// What was done about this very message, if it came before.
    ///
    /// The hash is one of the whole datagram. RFC 7252 compares message ids only, but clients start theirs from the
    /// clock (Wakaama: in seconds) or from a constant, so that after a reboot a different message comes under a
    /// remembered id. That one is new.
    pub(super) fn find(&self, key: MessageKey, hash: u64, now: Instant) -> Option<&Outcome> {
        let entry = self.entries.get(&key)?;
        (entry.hash == hash && entry.expires > now).then_some(&entry.outcome)
    }

    /// Remembers a message as open. Returns how many others had to be forgotten for lack of room.
    /// The caller holds the peer.
    pub(super) fn insert(
        &mut self,
        peers: &mut Peers,
        key: MessageKey,
        hash: u64,
        confirmable: bool,
        now: Instant,
    ) -> u64 {
        self.forget(peers, key);
        let mut evicted = 0;
        while peers.state(key.peer).remembered.len() >= self.limit_per_peer {
            let oldest = MessageKey { peer: key.peer, mid: peers.state(key.peer).remembered[0] };
            self.forget(peers, oldest);
            evicted += 1;
        }
        while self.entries.len() >= self.limit {
            evicted += u64::from(self.evict_oldest(peers));
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let expires = now + if confirmable { EXCHANGE_LIFETIME } else { NON_LIFETIME };
        self.entries.insert(key, Entry { serial, hash, expires, outcome: Outcome::Open });
        let (queue, entries) = (&mut self.queues[usize::from(!confirmable)], &self.entries);
        queue.push_back((key, serial));
        if queue.len() > (2 * entries.len()).max(FEW) {
            // Traces of what was forgotten early would stay until something older expires.
            queue.retain(|(key, serial)| entries.get(key).is_some_and(|entry| entry.serial == *serial));
        }
        peers.state(key.peer).remembered.push_back(key.mid);
        evicted
    }

    /// Says what was done about a message; without effect if it has been forgotten meanwhile.
    pub(super) fn settle(&mut self, key: MessageKey, outcome: Outcome) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.outcome = outcome;
        }
    }

    /// Forgets a message, so that a retransmission of it is new.
    pub(super) fn forget(&mut self, peers: &mut Peers, key: MessageKey) {
        if self.entries.remove(&key).is_none() {
            return;
        }
        let remembered = &mut peers.state(key.peer).remembered;
        if let Some(position) = remembered.iter().position(|mid| *mid == key.mid) {
            remembered.remove(position);
        }
        peers.release(key.peer);
    }

    /// Forgets what has expired.
    pub(super) fn handle_timeout(&mut self, peers: &mut Peers, now: Instant) {
        for kind in 0..self.queues.len() {
            while let Some((key, serial)) = self.queues[kind].front().copied() {
                match self.entries.get(&key) {
                    Some(entry) if entry.serial == serial && entry.expires > now => break,
                    Some(entry) if entry.serial == serial => self.forget(peers, key),
                    _ => {}
                }
                self.queues[kind].pop_front();
            }
        }
        self.give_back();
    }

    /// When to call [`Self::handle_timeout`]. Up to a second late, so that many entries go at once; until then
    /// [`Self::find`] passes over what has expired.
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        let Self { queues, entries, first, .. } = self;
        let expiry = |(queue, first): (&mut Queue, &mut Option<(u64, Instant)>)| {
            while let Some((key, serial)) = queue.front() {
                // It may have been forgotten since: then the timeout finds nothing to do.
                if let Some((_, expires)) = first.filter(|(known, _)| known == serial) {
                    return Some(expires + SWEEP);
                }
                if let Some(entry) = entries.get(key).filter(|entry| entry.serial == *serial) {
                    *first = Some((*serial, entry.expires));
                    return Some(entry.expires + SWEEP);
                }
                queue.pop_front();
            }
            None
        };
        queues.iter_mut().zip(first).filter_map(expiry).min()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn traces(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity() + self.queues.iter().map(VecDeque::capacity).sum::<usize>()
    }

    /// Gives memory back that is hardly used any more.
    fn give_back(&mut self) {
        if is_roomy(self.entries.len(), self.entries.capacity()) {
            self.entries.shrink_to(2 * self.entries.len());
        }
        for queue in &mut self.queues {
            if is_roomy(queue.len(), queue.capacity()) {
                queue.shrink_to(2 * queue.len());
            }
        }
    }

    /// Forgets the oldest entry; false if the queue had only a trace of one that is gone already.
    fn evict_oldest(&mut self, peers: &mut Peers) -> bool {
        let serial =
            |queue: &VecDeque<(MessageKey, u64)>| queue.front().map_or(u64::MAX, |(_, serial)| *serial);
        let oldest = usize::from(serial(&self.queues[1]) < serial(&self.queues[0]));
        let Some((key, serial)) = self.queues[oldest].pop_front() else { return false };
        let current = self.entries.get(&key).is_some_and(|entry| entry.serial == serial);
        if current {
            self.forget(peers, key);
        }
        current
    }
}

/// How long a non-confirmable message is remembered (RFC 7252 section 4.8.2).
const NON_LIFETIME: Duration = Duration::from_secs(145);

/// So many traces are never too many.
const FEW: usize = 1_024;

const SWEEP: Duration = Duration::from_secs(1);
