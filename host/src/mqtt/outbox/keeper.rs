//! The thread that keeps the logs: it notes what is done, removes what nobody needs, and syncs.
//!
//! * What is done is noted shortly after: when the gateway crashes, what was done since is published once more.
//! * Whole segments are removed when all in them is done or dropped; a lane without a shard goes with its folder.
//! * What was written is synced at an interval: that is what a crash of the machine may cost. A crash of the gateway costs
//!   nothing, since the system has what was written.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::log::{Position, Segment};
use super::shelf::Shelf;
use super::{OutboxError, OutboxOptions};

/// The thread, while there are logs. Dropped, it notes everything once more and ends.
#[derive(Debug)]
pub(super) struct Keeper {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Something was done that is not noted.
    is_dirty: AtomicBool,
    is_over: AtomicBool,
}

impl Keeper {
    /// For the logs of these lanes; the first of them, as many as `lanes` says, are written to.
    pub(super) fn start(
        shelves: &[Arc<Shelf>],
        lanes: usize,
        options: &OutboxOptions,
    ) -> Result<Self, OutboxError> {
        let shared = Arc::new(Shared::default());
        let Some(directory) = &options.directory else { return Ok(Self { thread: None, shared }) };
        let logs = shelves
            .iter()
            .enumerate()
            .map(|(index, shelf)| Log::new(Arc::clone(shelf), directory.join(&shelf.name), index < lanes));
        let mut work = Work { logs: logs.collect(), sync: options.sync, synced: Instant::now() };
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new().name("outbox".to_owned()).spawn(move || work.run(&seen));
        let thread = thread.map_err(|error| OutboxError { path: directory.clone(), error })?;
        Ok(Self { thread: Some(thread), shared })
    }

    /// Something was done.
    pub(super) fn nudge(&self) {
        if let Some(thread) = &self.thread
            && !self.shared.is_dirty.swap(true, Ordering::Relaxed)
        {
            thread.thread().unpark();
        }
    }

    pub(super) fn is_durable(&self) -> bool {
        self.thread.is_some()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the outbox's thread has panicked");
            }
        }
    }
}

struct Work {
    logs: Vec<Log>,
    sync: Duration,
    synced: Instant,
}

impl Work {
    fn run(&mut self, shared: &Shared) {
        loop {
            let is_over = shared.is_over.load(Ordering::Relaxed);
            if !is_over {
                thread::park_timeout(self.sync.saturating_sub(self.synced.elapsed()));
            }
            let is_dirty = shared.is_dirty.swap(false, Ordering::Relaxed);
            self.logs.iter_mut().for_each(Log::note);
            if is_over || self.synced.elapsed() >= self.sync {
                self.logs.iter_mut().for_each(Log::sync);
                self.synced = Instant::now();
            }
            if is_over {
                return;
            }
            // The first is noted at once, and those that follow it soon are noted together.
            if is_dirty {
                thread::sleep(PACE);
            }
        }
    }
}

/// One lane's.
struct Log {
    shelf: Arc<Shelf>,
    directory: PathBuf,
    /// Whether a shard writes to it.
    is_written: bool,
    position: Position,
    noted: u64,
    /// The bytes that were synced, and the segment of the last of them.
    synced: u64,
    synced_segment: u64,
    has_failed: bool,
}

impl Log {
    fn new(shelf: Arc<Shelf>, directory: PathBuf, is_written: bool) -> Self {
        let position = Position::new(&directory);
        let synced = shelf.lock().offset;
        Self {
            shelf,
            directory,
            is_written,
            position,
            noted: 0,
            synced,
            synced_segment: 0,
            has_failed: false,
        }
    }

    fn note(&mut self) {
        let (done, _) = self.shelf.done();
        if done != self.noted {
            let written = self.position.write(done);
            self.told(written);
            self.noted = done;
            self.remove(done);
        }
    }

    /// Removes the segments that end before this number. The last one may still grow.
    fn remove(&mut self, done: u64) {
        let mut ready = self.shelf.lock();
        let is_over = !self.is_written && done >= ready.next;
        let kept = match is_over {
            true => ready.segments.len(),
            false => ready.segments.windows(2).take_while(|pair| pair[1].first <= done).count(),
        };
        let removed: Vec<Segment> = ready.segments.drain(..kept).collect();
        drop(ready);
        let removed = removed.iter().try_for_each(|segment| fs::remove_file(&segment.path));
        self.told(removed);
        if is_over && let Err(error) = fs::remove_dir_all(&self.directory) {
            self.told(Err(error));
        }
    }

    fn sync(&mut self) {
        let (segments, offset) = {
            let ready = self.shelf.lock();
            if ready.offset == self.synced {
                return;
            }
            let segments = ready.segments.iter().filter(|segment| segment.first >= self.synced_segment);
            (segments.cloned().collect::<Vec<_>>(), ready.offset)
        };
        let mut synced = segments.iter().try_for_each(|segment| segment.file.sync_data());
        if let Some(last) = segments.last()
            && last.first != self.synced_segment
        {
            synced = synced.and_then(|()| File::open(&self.directory)?.sync_all());
            self.synced_segment = last.first;
        }
        self.synced = offset;
        self.told(synced);
    }

    /// The first failure is told.
    fn told(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.has_failed = false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                let lane = &self.shelf.name;
                tracing::error!(lane, %error, "the outbox's files cannot be kept; after a crash some publications may come twice");
            }
            Err(_) => {}
        }
    }
}

/// Makes a folder for its owner alone.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How long what is done may go without being noted.
const PACE: Duration = Duration::from_millis(20);
