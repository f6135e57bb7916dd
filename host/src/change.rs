//! Noticing that files have changed. Used by what is read again while the gateway runs: object definitions, credentials,
//! translators and the configuration.
//!
//! A file itself is never watched, as editors and deployments put another in its place: its folder is. Where the file
//! system tells nothing (network and overlay file systems), [`Stamp`]s that are compared now and then do.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What tells that a file is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    /// Device and inode.
    identity: (u64, u64),
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(of: &Metadata) -> Self {
        Self {
            length: of.len(),
            identity: (of.dev(), of.ino()),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }

    /// When it last became another one, by the clock of the file system.
    pub(crate) fn changed_at(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or_default(),
            u32::try_from(nanoseconds).unwrap_or_default(),
        );
        SystemTime::UNIX_EPOCH + since
    }

    /// Whether a file that was read at this Unix time may have been written again since without another stamp: the
    /// clock of a file system is coarse.
    pub(crate) fn is_young(&self, read_at: i64) -> bool {
        (read_at - self.changed.0).abs() <= COARSEST_CLOCK
    }
}

/// Seconds.
pub(crate) fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What of a folder is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What lies in it.
    Only,
    /// The folders in it, too.
    Below,
}

/// A folder that the file system tells of, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    identity: Option<Identity>,
    watcher: Option<RecommendedWatcher>,
}

/// Device, inode and time of creation: the same path may become another folder, even with the number of the old one.
type Identity = (u64, u64, Option<SystemTime>);

impl Watched {
    /// Follow the path to the folder that is there now. The error comes once for each folder.
    pub(crate) fn renew(
        &mut self,
        directory: &Path,
        depth: Depth,
        changed: &Arc<Notify>,
    ) -> notify::Result<()> {
        let metadata = fs::metadata(directory).ok().filter(Metadata::is_dir);
        let identity = metadata.map(|of| (of.dev(), of.ino(), of.created().ok()));
        if identity == self.identity {
            return Ok(());
        }
        self.identity = identity;
        self.watcher = None;
        if identity.is_some() {
            self.watcher = Some(watcher(directory, depth, changed)?);
        }
        Ok(())
    }
}

fn watcher(directory: &Path, depth: Depth, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let changed = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may stand for events that were lost.
        if event.as_ref().map_or(true, is_change) {
            changed.notify_one();
        }
    })?;
    let mode = match depth {
        Depth::Only => RecursiveMode::NonRecursive,
        Depth::Below => RecursiveMode::Recursive,
    };
    watcher.watch(directory, mode)?;
    Ok(watcher)
}

/// Reading a file is an event, too.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Wait until nothing has changed for a moment, but not for ever.
pub(crate) async fn settle(changed: &Notify) {
    let latest = Instant::now() + LONGEST_CHANGE;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        if tokio::time::timeout_at(quiet, changed.notified()).await.is_err() {
            return;
        }
        if Instant::now() >= latest {
            return;
        }
    }
}

/// Seconds.
pub(crate) const COARSEST_CLOCK: i64 = 2;
/// How long nothing must happen before a change is over: an editor writes, renames and removes in one go.
pub(crate) const QUIET: Duration = Duration::from_millis(200);
/// What never comes to rest is read all the same.
const LONGEST_CHANGE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_file_is_not_a_change() {
        use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind};
        let is_change = |kind| is_change(&Event::new(kind));
        assert!(!is_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(is_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(EventKind::Create(CreateKind::File)));
        assert!(is_change(EventKind::Modify(ModifyKind::Data(DataChange::Any))));
        assert!(is_change(EventKind::Remove(RemoveKind::Folder)));
        // Events were lost.
        assert!(is_change(EventKind::Other));
    }
}
