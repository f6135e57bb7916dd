//! The consuming end.
//!
//! From each lane in turn the next publication is taken: from what was on the shelf, or, where a number is missing there,
//! from the disk. Until all that was there at the start is taken nothing newer is, so that a client whose shard is
//! another one since the restart keeps its order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::keeper::Keeper;
use super::log::{Found, Reader};
use super::shelf::{Held, Shelf};
use super::{OutboxCounts, Publication};

/// The consuming end.
#[derive(Debug)]
pub struct Drain {
    lanes: Vec<Source>,
    /// The lane that is asked first.
    turn: usize,
    /// Whether only what was there at the start is taken.
    is_recovering: bool,
    wake: Arc<Notify>,
    keeper: Keeper,
}

/// A publication on its way to the broker.
#[derive(Debug)]
pub(in crate::mqtt) struct Taken {
    pub(in crate::mqtt) ticket: Ticket,
    pub(in crate::mqtt) publication: Publication,
}

/// Names a publication that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Ticket {
    lane: usize,
    number: u64,
    end: u64,
}

#[cfg(test)]
impl Ticket {
    /// Of some lane.
    pub(in crate::mqtt) fn of(number: u64) -> Self {
        Self { lane: 0, number, end: 0 }
    }
}

#[derive(Debug)]
struct Source {
    shelf: Arc<Shelf>,
    reader: Reader,
    /// The next to be taken.
    next: u64,
    /// Those before were there at the start.
    recovered_until: u64,
    /// Taken from the shelf.
    batch: VecDeque<Held>,
    /// The first that is not done, and the bytes before it.
    done: u64,
    done_offset: u64,
    /// Done while an earlier one was not: from a number up to another, and the bytes before that.
    finished: BTreeMap<u64, (u64, u64)>,
}

impl Drain {
    pub(super) fn new(shelves: Vec<Arc<Shelf>>, wake: Arc<Notify>, keeper: Keeper) -> Self {
        let lanes = shelves.into_iter().map(Source::new).collect();
        Self { lanes, turn: 0, is_recovering: true, wake, keeper }
    }

    /// The next publication, if one waits.
    pub(in crate::mqtt) fn try_take(&mut self) -> Option<Taken> {
        loop {
            for step in 0..self.lanes.len() {
                let lane = (self.turn + step) % self.lanes.len();
                let source = &mut self.lanes[lane];
                if self.is_recovering && source.next >= source.recovered_until {
                    continue;
                }
                if let Some(Held { number, end, publication, .. }) = source.take() {
                    self.turn = lane + 1;
                    return Some(Taken { ticket: Ticket { lane, number, end }, publication });
                }
            }
            if !std::mem::take(&mut self.is_recovering) {
                return None;
            }
        }
    }

    /// The next publication, which is done with that.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<Publication> {
        let taken = self.try_take()?;
        self.done(taken.ticket);
        Some(taken.publication)
    }

    /// Resolves when there may be something to take, or the outbox is closed. May be cancelled.
    pub(in crate::mqtt) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// The broker has it, or never will: it need not be kept any longer.
    pub(in crate::mqtt) fn done(&mut self, ticket: Ticket) {
        if let Some(source) = self.lanes.get_mut(ticket.lane) {
            source.finish(ticket.number, ticket.number + 1, ticket.end);
            self.keeper.nudge();
        }
    }

    /// Takes no more offers; what is in stays.
    pub(in crate::mqtt) fn close(&mut self) {
        self.lanes.iter().for_each(|source| source.shelf.close());
    }

    /// How many publications wait to be taken.
    pub(in crate::mqtt) fn waiting(&self) -> usize {
        let waiting = self.lanes.iter().map(|source| source.shelf.lock().next.saturating_sub(source.next));
        usize::try_from(waiting.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Whether what is not done is kept on the disk.
    pub(in crate::mqtt) fn is_durable(&self) -> bool {
        self.keeper.is_durable() && self.lanes.iter().all(|it| !it.shelf.degraded.load(Ordering::Relaxed))
    }

    /// What others may ask for while the session owns the drain.
    pub fn gauge(&self) -> Gauge {
        Gauge { shelves: self.lanes.iter().map(|source| Arc::clone(&source.shelf)).collect() }
    }
}

/// Tells what an outbox holds.
#[derive(Clone, Debug)]
pub struct Gauge {
    shelves: Vec<Arc<Shelf>>,
}

impl Gauge {
    /// At this moment.
    pub fn counts(&self) -> OutboxCounts {
        let mut counts = OutboxCounts::default();
        for shelf in &self.shelves {
            let (waiting, bytes) = shelf.waiting(&shelf.lock());
            counts.waiting += waiting;
            counts.bytes += bytes;
            counts.recovered += shelf.recovered;
            counts.dropped += shelf.dropped.load(Ordering::Relaxed);
            counts.unreadable += shelf.unreadable.load(Ordering::Relaxed);
            counts.damaged += shelf.damaged;
            counts.lost += shelf.lost.load(Ordering::Relaxed);
            counts.degraded += u64::from(shelf.degraded.load(Ordering::Relaxed));
        }
        counts
    }
}

impl Source {
    fn new(shelf: Arc<Shelf>) -> Self {
        let (done, done_offset) = shelf.done();
        let recovered_until = shelf.lock().next;
        let (reader, batch, finished) = (Reader::default(), VecDeque::new(), BTreeMap::new());
        Self { shelf, reader, next: done, recovered_until, batch, done, done_offset, finished }
    }

    fn take(&mut self) -> Option<Held> {
        loop {
            self.follow_floor();
            match self.batch.front().map(|held| held.number) {
                Some(number) if number > self.next => {}
                Some(number) => {
                    let held = self.batch.pop_front()?;
                    if number == self.next {
                        self.next += 1;
                        return Some(held);
                    }
                    continue;
                }
                None => {
                    let mut ready = self.shelf.lock();
                    self.batch = ready.take();
                    if !self.batch.is_empty() {
                        continue;
                    }
                    if ready.next <= self.next {
                        return None;
                    }
                }
            }
            if let Some(held) = self.read() {
                return Some(held);
            }
        }
    }

    /// Reads the next one from the disk. None if it is not there, and then it is not the next one any more.
    fn read(&mut self) -> Option<Held> {
        let number = self.next;
        let (segments, end) = {
            let ready = self.shelf.lock();
            (ready.segments.clone(), ready.next)
        };
        let end = self.batch.front().map_or(end, |held| held.number);
        match self.reader.read(number, &segments) {
            Found::Publication(publication, end) => {
                self.next += 1;
                Some(Held { number, end, size: 0, is_kept: true, publication })
            }
            Found::Hole(next) => {
                let next = next.min(end);
                let lost = next - number;
                let lane = &self.shelf.name;
                tracing::error!(
                    lane,
                    lost,
                    "publications of the outbox cannot be read from the disk and are lost"
                );
                self.shelf.unreadable.fetch_add(lost, Ordering::Relaxed);
                self.next = next;
                self.finish(number, next, self.done_offset);
                None
            }
        }
    }

    /// What was dropped is not taken any more.
    fn follow_floor(&mut self) {
        let floor = self.shelf.floor();
        if floor > self.done {
            self.next = self.next.max(floor);
            let (done, offset) = (self.done, self.done_offset);
            self.finish(done, floor, offset);
        }
    }

    /// Those from a number up to another are done; so many bytes are before that.
    fn finish(&mut self, from: u64, to: u64, offset: u64) {
        if to <= self.done {
            return;
        }
        if from > self.done {
            self.finished.insert(from, (to, offset));
            return;
        }
        (self.done, self.done_offset) = (to, offset.max(self.done_offset));
        while let Some(entry) = self.finished.first_entry().filter(|entry| *entry.key() <= self.done) {
            let (to, offset) = entry.remove();
            if to > self.done {
                (self.done, self.done_offset) = (to, offset.max(self.done_offset));
            }
        }
        self.shelf.set_done(self.done, self.done_offset);
    }
}
