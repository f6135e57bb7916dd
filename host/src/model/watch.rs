//! Reading the folder again when it changes.
//!
//! 1. the file system tells of a change; what comes soon after belongs to it;
//! 2. where it tells nothing (network and overlay file systems), looking now and then finds out; SIGHUP asks, too;
//! 3. the folder is read on a thread for blocking work, away from the shards;
//! 4. if that changes a definition, all readers get the new ones.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidegate_proto::lwm2m::model::Models;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use super::folder::{Folder, Reading};
use crate::change::{Depth, Watched, settle};
use crate::net::{Command, ShardHandle};

/// Who gets new definitions.
#[derive(Clone, Debug)]
pub struct Readers {
    /// What the bridge looks at.
    pub current: Arc<ArcSwap<Models>>,
    /// Each has its own server.
    pub shards: Vec<ShardHandle>,
}

/// A folder that is watched.
#[derive(Debug)]
pub struct Watch {
    asked: Arc<Notify>,
}

impl Watch {
    /// Watch a folder that has been read, looking at it at least so often, until `stop` changes. Needs a tokio runtime.
    pub fn start(folder: Folder, readers: Readers, every: Duration, stop: watch::Receiver<bool>) -> Self {
        let asked = Arc::new(Notify::new());
        let changed = Arc::new(Notify::new());
        let task = Task {
            reader: Some(Reader { folder, watched: Watched::default() }),
            readers,
            changed,
            asked: Arc::clone(&asked),
        };
        tokio::spawn(task.run(every, stop));
        Self { asked }
    }

    /// Read the folder again, and say again what is wrong with it.
    pub fn read_again(&self) {
        self.asked.notify_one();
    }
}

/// Puts problems of a reading into the log.
pub fn warn(problems: &[String]) {
    for problem in problems {
        tracing::warn!(problem, "object definitions");
    }
}

struct Task {
    /// None while it works.
    reader: Option<Reader>,
    readers: Readers,
    /// The file system has told of something.
    changed: Arc<Notify>,
    asked: Arc<Notify>,
}

/// Why the folder is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Change,
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
                // The first comes at once: something may have changed between reading and watching.
                _ = ticks.tick() => Occasion::Time,
            };
            if self.attend(occasion).await.is_none() {
                return;
            }
        }
    }

    /// None if the folder cannot be looked at any more.
    async fn attend(&mut self, occasion: Occasion) -> Option<()> {
        let changed = Arc::clone(&self.changed);
        // Watched before it is read, so that nothing is missed in between.
        let look = move |reader: &mut Reader| {
            if let Err(error) = reader.watched.renew(reader.folder.directory(), Depth::Below, &changed) {
                let folder = reader.folder.directory().display();
                tracing::warn!(%folder, %error, "changes of object definitions are seen late: the folder cannot be watched");
            }
            reader.folder.has_changed()
        };
        if occasion == Occasion::Change {
            settle(&self.changed).await;
        }
        let has_changed = self.work(look).await?;
        match occasion {
            Occasion::Request => {}
            _ if !has_changed => return Some(()),
            Occasion::Change => {}
            // Someone may be writing right now.
            Occasion::Time => settle(&self.changed).await,
        }
        let reading = self.work(|reader| reader.folder.read()).await?;
        self.pass_on(reading, occasion).await;
        Some(())
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
                tracing::error!(%error, "the folder of object definitions is not watched any longer");
                None
            }
        }
    }

    async fn pass_on(&self, reading: Reading, occasion: Occasion) {
        let Reading { models, files, definitions, broken, problems, news } = reading;
        warn(if occasion == Occasion::Request { &problems } else { &news });
        let is_new = **self.readers.current.load() != models;
        if is_new {
            self.hand_out(Arc::new(models)).await;
        }
        if is_new || occasion == Occasion::Request {
            tracing::info!(files, definitions, broken, is_new, "object definitions read");
        }
    }

    async fn hand_out(&self, models: Arc<Models>) {
        self.readers.current.store(Arc::clone(&models));
        for shard in &self.readers.shards {
            if shard.send_waiting(Command::Define(Arc::clone(&models))).await.is_err() {
                tracing::debug!("the gateway is stopping: a shard keeps its object definitions");
            }
        }
    }
}

/// What is done on a thread that may block.
struct Reader {
    folder: Folder,
    watched: Watched,
}

#[cfg(test)]
mod tests;
