//! Reading the credentials again when they change: the file itself, or a key or certificate that it names.
//!
//! 1. the file system tells of a change in one of their folders; what comes soon after belongs to it;
//! 2. where it tells nothing, looking now and then finds out; SIGHUP asks, too;
//! 3. the file is read on a thread for blocking work;
//! 4. if it is right and says something else than before, it is passed on. If it is wrong, the credentials in force stay. If
//!    a credential is gone, it may be half written: it is believed once it has been at rest for a moment, as that
//!    credential's associations end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_dtls::credential::Credentials;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::file::{Reading, attempt};
use super::seen::Seen;
use crate::change::{Depth, Watched, settle};

/// A credentials file that is watched.
#[derive(Debug)]
pub struct CredentialWatch {
    asked: Arc<Notify>,
}

impl CredentialWatch {
    /// Watch a file that has been read, looking at it at least so often, until `stop` changes. Needs a tokio runtime.
    ///
    /// `on_change` gets what the file says whenever that is something new. It is called on a thread that may block.
    pub fn start(
        file: &Path,
        current: &Reading,
        on_change: impl FnMut(Arc<Credentials>) + Send + 'static,
        every: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let asked = Arc::new(Notify::new());
        let reader = Reader::new(file, current, Box::new(on_change));
        let task = Task { reader: Some(reader), changed: Arc::new(Notify::new()), asked: Arc::clone(&asked) };
        tokio::spawn(task.run(every, stop));
        Self { asked }
    }

    /// Read the file again, and say again what is wrong with it.
    pub fn read_again(&self) {
        self.asked.notify_one();
    }
}

struct Task {
    /// None while it works.
    reader: Option<Reader>,
    /// The file system has told of something.
    changed: Arc<Notify>,
    asked: Arc<Notify>,
}

/// Why the file is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Change,
    /// A credential was gone, and has been left alone since.
    Rest,
    Request,
    Time,
}

impl Task {
    async fn run(mut self, every: Duration, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let occasion = tokio::select! {
                _ = stop.changed() => return,
                () = self.asked.notified() => Occasion::Request,
                () = self.changed.notified() => Occasion::Change,
                () = tokio::time::sleep_until(self.rested()), if self.is_doubtful() => Occasion::Rest,
                // The first comes at once: something may have changed between reading and watching.
                _ = ticks.tick() => Occasion::Time,
            };
            if self.attend(occasion).await.is_none() {
                return;
            }
        }
    }

    /// None if the file cannot be looked at any more.
    async fn attend(&mut self, occasion: Occasion) -> Option<()> {
        if occasion == Occasion::Change {
            settle(&self.changed).await;
        }
        let changed = Arc::clone(&self.changed);
        // Watched before it is read, so that nothing is missed in between.
        let look = move |reader: &mut Reader| {
            reader.watch_folders(&changed);
            reader.seen.has_changed()
        };
        let has_changed = self.work(look).await?;
        match occasion {
            Occasion::Request | Occasion::Rest => {}
            // What is doubted is read even if only something else in its folder has changed, maybe without a pause.
            _ if !has_changed && !self.is_doubtful() => return Some(()),
            Occasion::Change => {}
            // Someone may be writing right now.
            Occasion::Time => settle(&self.changed).await,
        }
        let changed = Arc::clone(&self.changed);
        self.work(move |reader| {
            reader.read(occasion, Instant::now());
            // It may name other files now.
            reader.watch_folders(&changed);
        })
        .await
    }

    fn is_doubtful(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.doubted.is_some())
    }

    /// When what is doubted has been at rest for long enough, if it is left alone.
    fn rested(&self) -> Instant {
        let doubted = self.reader.as_ref().and_then(|reader| reader.doubted.as_ref());
        doubted.map_or_else(Instant::now, |(_, since)| *since) + REST
    }

    /// Do what may block where it blocks nobody.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> T + Send + 'static,
    ) -> Option<T> {
        let mut reader = self.reader.take()?;
        let working = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut reader);
            (reader, outcome)
        });
        match working.await {
            Ok((reader, outcome)) => {
                self.reader = Some(reader);
                Some(outcome)
            }
            Err(error) => {
                tracing::error!(%error, "the credentials are not watched any longer");
                None
            }
        }
    }
}

type OnChange = Box<dyn FnMut(Arc<Credentials>) + Send>;

/// What is done on a thread that may block.
struct Reader {
    file: PathBuf,
    in_force: Reading,
    /// What was right, but without a credential that is in force, and since when it is so.
    doubted: Option<(Seen, Instant)>,
    /// What was read last, right or wrong.
    seen: Seen,
    /// What was wrong with it.
    refusal: Option<String>,
    watched: BTreeMap<PathBuf, Watched>,
    on_change: OnChange,
}

impl Reader {
    fn new(file: &Path, current: &Reading, on_change: OnChange) -> Self {
        Self {
            file: file.to_owned(),
            in_force: current.clone(),
            doubted: None,
            seen: current.seen.clone(),
            refusal: None,
            watched: BTreeMap::new(),
            on_change,
        }
    }

    fn read(&mut self, occasion: Occasion, now: Instant) {
        let (outcome, seen) = attempt(&self.file);
        self.seen = seen;
        let doubted = self.doubted.take();
        match outcome {
            Ok(reading) => {
                let since = doubted.filter(|(of, _)| of.is_same(&self.seen)).map_or(now, |(_, since)| since);
                let is_sure = occasion == Occasion::Request
                    || now.duration_since(since) >= REST
                    || self.in_force.credentials.is_within(&reading.credentials);
                if is_sure {
                    self.accept(reading, occasion);
                } else {
                    self.doubted = Some((reading.seen, since));
                }
            }
            Err(error) => {
                let refusal = error.to_string();
                if occasion == Occasion::Request || self.refusal.as_ref() != Some(&refusal) {
                    tracing::error!(error = refusal, "credentials refused; those in force stay");
                }
                self.refusal = Some(refusal);
            }
        }
    }

    fn accept(&mut self, reading: Reading, occasion: Occasion) {
        let is_new = !self.in_force.seen.is_same(&reading.seen);
        let is_repaired = self.refusal.take().is_some();
        let is_news = is_new || self.in_force.warnings != reading.warnings;
        if is_news || is_repaired || occasion == Occasion::Request {
            reading.log();
        }
        self.in_force = reading;
        if is_new {
            (self.on_change)(Arc::clone(&self.in_force.credentials));
        }
    }

    /// Watches the folder of each file, and that of the file it leads to if it is a symbolic link.
    fn watch_folders(&mut self, changed: &Arc<Notify>) {
        let folder = |path: &Path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut folders = BTreeSet::new();
        for file in self.seen.files() {
            folders.insert(folder(file));
            folders.extend(file.canonicalize().map(|target| folder(&target)));
            if folders.len() > MOST_FOLDERS {
                break;
            }
        }
        self.watched.retain(|folder, _| folders.contains(folder));
        for folder in folders {
            let watched = self.watched.entry(folder.clone()).or_default();
            if let Err(error) = watched.renew(&folder, Depth::Only, changed) {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "changes of credentials are seen late: the folder cannot be watched");
            }
        }
    }
}

/// How long a file without a credential that is in force must be left alone.
const REST: Duration = Duration::from_secs(1);
/// Those of further files are looked at now and then. The system may have few watches to give.
const MOST_FOLDERS: usize = 64;

#[cfg(test)]
mod tests;
