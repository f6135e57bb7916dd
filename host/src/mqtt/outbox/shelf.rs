//! What a lane and the drain share of one lane: the publications that wait in memory, and the segments of the log.
//!
//! The lock is held for moments by the lane's shard, the session's task and the keeper; no other shard touches it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Publication;
use super::log::{Recovered, Segment};
use crate::config::WhenFull;

/// What both sides know of one lane.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) name: String,
    pub(super) limit: Limit,
    ready: Mutex<Ready>,
    /// The number of the first publication that is not done.
    done: AtomicU64,
    /// The bytes of all before it.
    done_offset: AtomicU64,
    /// Publications before this number were dropped, unless they were done.
    floor: AtomicU64,
    /// The bytes of those before the floor, or less.
    floor_offset: AtomicU64,
    /// No more offers are taken.
    closed: AtomicBool,
    /// The disk could not be written.
    pub(super) degraded: AtomicBool,
    pub(super) dropped: AtomicU64,
    pub(super) unreadable: AtomicU64,
    /// What found no room, and nobody says again.
    pub(super) lost: AtomicU64,
    /// Files that were damaged at the start.
    pub(super) damaged: u64,
    /// How many waited at the start.
    pub(super) recovered: u64,
    /// For the drain.
    wake: Arc<Notify>,
}

/// How much a lane holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) publications: u64,
    pub(super) bytes: u64,
    pub(super) when_full: WhenFull,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// In the order of their numbers. Numbers that are left out are on the disk.
    pub(super) memory: VecDeque<Held>,
    /// The bytes of those in memory.
    pub(super) memory_bytes: u64,
    /// The number of the next publication.
    pub(super) next: u64,
    /// The bytes of all publications.
    pub(super) offset: u64,
    /// The log.
    pub(super) segments: Vec<Segment>,
}

/// A publication that waits in memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) number: u64,
    /// The bytes of all publications up to the end of this one.
    pub(super) end: u64,
    /// Its own.
    pub(super) size: u64,
    /// Whether it is on the disk, too.
    pub(super) is_kept: bool,
    pub(super) publication: Publication,
}

impl Shelf {
    pub(super) fn new(name: &str, limit: Limit, left: Recovered, wake: Arc<Notify>) -> Self {
        let ready =
            Ready { next: left.next, offset: left.offset, segments: left.segments, ..Ready::default() };
        Self {
            name: name.to_owned(),
            limit,
            ready: Mutex::new(ready),
            done: AtomicU64::new(left.done),
            done_offset: AtomicU64::new(left.done_offset),
            floor: AtomicU64::new(0),
            floor_offset: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            damaged: left.damaged as u64,
            recovered: left.next.saturating_sub(left.done),
            wake,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ready> {
        // Nothing between lock and unlock can panic half-way.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the first publication that is not done, and the bytes before it.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.done.load(Ordering::Acquire), self.done_offset.load(Ordering::Relaxed))
    }

    /// Publications before this number are done.
    pub(super) fn set_done(&self, number: u64, offset: u64) {
        self.done_offset.store(offset, Ordering::Relaxed);
        self.done.store(number, Ordering::Release);
    }

    /// Publications before this number were dropped, unless they were done.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    pub(super) fn set_floor(&self, number: u64, offset: u64) {
        self.floor_offset.store(offset, Ordering::Relaxed);
        self.floor.store(number, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The number of the first publication that is neither done nor dropped, and the bytes before it, or less.
    pub(super) fn first(&self) -> (u64, u64) {
        let (done, offset) = self.done();
        (done.max(self.floor()), offset.max(self.floor_offset.load(Ordering::Relaxed)))
    }

    /// How many publications wait or are on their way, and how many bytes at most.
    pub(super) fn waiting(&self, ready: &Ready) -> (u64, u64) {
        let (first, offset) = self.first();
        (ready.next.saturating_sub(first), ready.offset.saturating_sub(offset))
    }
}

impl Ready {
    /// Puts a publication into memory, if it has to be there or there is room.
    pub(super) fn put(&mut self, held: Held) {
        if held.is_kept && (self.memory.len() >= MEMORY || self.memory_bytes + held.size > MEMORY_BYTES) {
            return;
        }
        self.memory_bytes += held.size;
        self.memory.push_back(held);
    }

    /// Takes the first out of memory, if its number is below this one.
    pub(super) fn pop_below(&mut self, number: u64) -> Option<Held> {
        let held = self.memory.pop_front_if(|held| held.number < number)?;
        self.memory_bytes -= held.size;
        Some(held)
    }

    /// All that is in memory.
    pub(super) fn take(&mut self) -> VecDeque<Held> {
        self.memory_bytes = 0;
        std::mem::take(&mut self.memory)
    }
}

/// Publications of a lane that wait in memory when they are on the disk, too.
const MEMORY: usize = 4_096;
/// Their bytes.
const MEMORY_BYTES: u64 = 4 << 20;
