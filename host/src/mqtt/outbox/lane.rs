//! The producing end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::log::{self, Appender, Recovered};
use super::shelf::{Held, Limit, Ready, Shelf};
use super::{OutboxError, Publication, Refusal, Refused};
use crate::config::WhenFull;

/// The producing end: one for each shard.
#[derive(Debug)]
pub struct Lane {
    shelf: Arc<Shelf>,
    /// None in memory.
    pub(super) log: Option<Appender>,
    /// Taken, and not committed yet.
    staged: Vec<(Publication, u64)>,
    /// The number of the first that is staged, and the bytes before it.
    next: u64,
    offset: u64,
    staged_bytes: u64,
    /// Whether what is staged is in the log.
    is_logged: bool,
    /// After the disk could not be written: when it is tried again.
    pub(super) retry: Option<Instant>,
}

/// Makes a lane, and reads what is left of its log.
pub(super) fn open(
    name: &str,
    directory: Option<PathBuf>,
    limit: Limit,
    wake: Arc<Notify>,
) -> Result<(Lane, Arc<Shelf>), OutboxError> {
    let (left, log) = match directory {
        None => (Recovered::nothing(), None),
        Some(path) => {
            let failed = |error| OutboxError { path: path.clone(), error };
            super::keeper::make_folder(&path).map_err(failed)?;
            let left = log::recover(&path).map_err(failed)?;
            (left, Some(Appender::new(path)))
        }
    };
    if left.damaged > 0 {
        tracing::error!(lane = name, files = left.damaged, "a part of the outbox cannot be read and is lost");
    }
    let (next, offset) = (left.next, left.offset);
    let shelf = Arc::new(Shelf::new(name, limit, left, wake));
    if shelf.recovered > 0 {
        tracing::info!(
            lane = name,
            publications = shelf.recovered,
            "publications of before the restart wait"
        );
    }
    let lane = Lane {
        shelf: Arc::clone(&shelf),
        log,
        staged: Vec::new(),
        next,
        offset,
        staged_bytes: 0,
        is_logged: false,
        retry: None,
    };
    Ok((lane, shelf))
}

/// The folders of lanes that are not among these: of a gateway that had more shards.
pub(super) fn left_behind(directory: &Path, names: &[String]) -> Result<Vec<String>, OutboxError> {
    let failed = |error| OutboxError { path: directory.to_owned(), error };
    let mut left = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !names.contains(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            left.push(name);
        }
    }
    left.sort();
    Ok(left)
}

impl Lane {
    /// Puts the publications of one event in, in order: all of them or none. Never waits for the broker.
    ///
    /// # Errors
    /// None was put in; they come back with the reason. `Refusal::Full` passes with time, the others do not.
    pub fn offer(&mut self, publications: Vec<Publication>) -> Result<(), Refused> {
        let staged = self.stage(publications);
        self.commit();
        staged
    }

    /// As [`offer`](Self::offer), but they are neither safe nor sent before [`commit`](Self::commit).
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn stage(&mut self, publications: Vec<Publication>) -> Result<(), Refused> {
        if let Err(reason) = self.make_room(&publications) {
            return Err(Refused { reason, publications });
        }
        if self.staged.is_empty() {
            self.is_logged = self.retry.is_none_or(|retry| retry <= Instant::now());
        }
        // Without a log, or while the disk cannot be written, only the shelf holds them.
        let log = self.log.as_mut().filter(|_| self.is_logged);
        let first = self.next + self.staged.len() as u64;
        self.staged.reserve(publications.len());
        match log {
            Some(log) => {
                for (number, publication) in (first..).zip(publications) {
                    let size = log.append(number, &publication);
                    self.staged_bytes += size;
                    self.staged.push((publication, size));
                }
            }
            None => {
                for publication in publications {
                    let size = publication.packet_size() as u64;
                    self.staged_bytes += size;
                    self.staged.push((publication, size));
                }
            }
        }
        Ok(())
    }

    /// Makes what was staged safe, and lets it go. What the disk does not take waits in memory.
    pub fn commit(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let is_written = self.write();
        let mut ready = self.shelf.lock();
        let was_empty = ready.memory.is_empty();
        for (publication, size) in self.staged.drain(..) {
            self.offset += size;
            let (number, end) = (self.next, self.offset);
            self.next += 1;
            ready.put(Held { number, end, size, is_kept: is_written, publication });
        }
        self.staged_bytes = 0;
        (ready.next, ready.offset) = (self.next, self.offset);
        drop(ready);
        if was_empty {
            self.shelf.wake();
        }
    }

    /// Counts publications that found no room, and that nobody says again. How many there were before.
    pub fn give_up(&self, publications: usize) -> u64 {
        self.shelf.lost.fetch_add(publications as u64, Ordering::Relaxed)
    }

    /// How many publications wait in this lane, or are on their way.
    pub fn waiting(&self) -> usize {
        let (waiting, _) = self.shelf.waiting(&self.shelf.lock());
        usize::try_from(waiting).unwrap_or(usize::MAX).saturating_add(self.staged.len())
    }

    /// Sees to it that there is room for publications behind those that are staged.
    fn make_room(&mut self, publications: &[Publication]) -> Result<(), Refusal> {
        let Limit { publications: most, bytes: most_bytes, when_full } = self.shelf.limit;
        if self.shelf.is_closed() {
            return Err(Refusal::Closed);
        }
        let (count, bytes) = (publications.len() as u64, size(publications));
        if count > most || bytes > most_bytes {
            return Err(Refusal::TooMany);
        }
        let (count, bytes) = (count + self.staged.len() as u64, bytes + self.staged_bytes);
        let (done, done_offset) = self.shelf.done();
        // Most of the time this alone says that there is room, and no lock is needed.
        let is_roomy = self.next - done + count <= most && self.offset - done_offset + bytes <= most_bytes;
        if is_roomy && self.retry.is_none() {
            return Ok(());
        }
        let mut ready = self.shelf.lock();
        // What the disk does not take must fit into memory.
        if self.retry.is_some() && ready.memory_bytes + bytes > DEGRADED {
            return Err(Refusal::Full);
        }
        let (waiting, waiting_bytes) = self.shelf.waiting(&ready);
        let excess = (waiting + count).saturating_sub(most);
        let excess_bytes = (waiting_bytes + bytes).saturating_sub(most_bytes);
        match (excess, excess_bytes, when_full) {
            (0, 0, _) => Ok(()),
            (_, _, WhenFull::Block) => Err(Refusal::Full),
            (_, _, WhenFull::DropOldest) => {
                let dropped = drop_oldest(&self.shelf, &mut ready, excess, excess_bytes);
                drop(ready);
                self.tell_dropped(dropped);
                Ok(())
            }
        }
    }

    fn tell_dropped(&self, dropped: u64) {
        let before = self.shelf.dropped.fetch_add(dropped, Ordering::Relaxed);
        let dropped = before + dropped;
        if before.checked_ilog2() != dropped.checked_ilog2() {
            let lane = &self.shelf.name;
            tracing::warn!(lane, dropped, "the outbox is full: its oldest publications are dropped");
        }
        self.shelf.wake();
    }

    /// Whether what is staged is on the disk now.
    fn write(&mut self) -> bool {
        let Some(log) = self.log.as_mut().filter(|_| self.is_logged) else { return false };
        let written = log.flush(self.next, self.offset);
        let lane = &self.shelf.name;
        match written {
            Ok(segment) => {
                self.shelf.lock().segments.extend(segment);
                if self.retry.take().is_some() {
                    self.shelf.degraded.store(false, Ordering::Relaxed);
                    tracing::info!(lane, "the outbox is on the disk again");
                }
                true
            }
            Err(error) => {
                if self.retry.replace(Instant::now() + RETRY).is_none() {
                    self.shelf.degraded.store(true, Ordering::Relaxed);
                    tracing::error!(
                        lane, %error,
                        "the outbox cannot be written: until it can, what waits for the broker is in memory only"
                    );
                }
                false
            }
        }
    }
}

impl Recovered {
    fn nothing() -> Self {
        Self { segments: Vec::new(), done: 1, done_offset: 0, next: 1, offset: 0, damaged: 0 }
    }
}

/// Raises the floor, so that there is room for so many publications and bytes more. Says how many that drops.
fn drop_oldest(shelf: &Shelf, ready: &mut Ready, publications: u64, bytes: u64) -> u64 {
    let (first, first_offset) = shelf.first();
    let (mut floor, mut offset) = ((first + publications).min(ready.next), first_offset);
    while let Some(held) = ready.pop_below(floor) {
        offset = offset.max(held.end);
    }
    while offset < first_offset + bytes && floor < ready.next {
        // In memory each has its own end. Of what is only on the disk it is known where segments begin.
        (floor, offset) = match ready.pop_below(floor + 1) {
            Some(held) => (held.number + 1, held.end),
            None => {
                let segment = ready.segments.iter().find(|segment| segment.first > floor);
                let segment = segment.map(|segment| (segment.first, segment.offset));
                let memory = ready.memory.front().map(|held| (held.number, held.end - held.size));
                let end = (ready.next, ready.offset);
                segment.into_iter().chain(memory).min().unwrap_or(end)
            }
        };
    }
    shelf.set_floor(floor, offset);
    floor - first
}

fn size(publications: &[Publication]) -> u64 {
    publications.iter().map(|publication| publication.packet_size() as u64).sum()
}

/// How soon a disk is tried again that could not be written.
const RETRY: Duration = Duration::from_secs(1);
/// How many bytes of a lane wait in memory when the disk takes no more.
const DEGRADED: u64 = 16 << 20;
