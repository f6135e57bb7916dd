//! The thread that drives a [`Deployment`] and tells the rest of the gateway what has come of it.
//!
//! 1. the file system tells of a change; where it tells nothing (network and overlay file systems), looking now and then
//!    finds out; SIGHUP asks, too;
//! 2. what changed is proved, here: no shard and nobody's connection waits for a compiler;
//! 3. the new routing appears to the shards and the downlink thread, each takes it with its next event;
//! 4. the broker is asked for the topics that the translators want now;
//! 5. shards are woken, as they may hold events for a new generation;
//! 6. what has changed about a slot is told on MQTT.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use super::{Board, Deployment, Live, News, Occasion, notice};
use crate::bridge::Routing;
use crate::change::{Depth, Watched};
use crate::mqtt::{Lane, Publication, Subscriber, Subscription};
use crate::net::{Command, Directory, ShardHandle};

/// A deployment that follows its files.
#[derive(Debug)]
pub(crate) struct Watch {
    asked: Arc<Notify>,
    thread: JoinHandle<()>,
}

/// Whom a deployment tells what has changed.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// What shards and the downlink thread look at.
    pub(crate) routing: Arc<ArcSwap<Routing>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) subscriber: Subscriber,
    pub(crate) shards: Vec<ShardHandle>,
    /// How slots stand, for whoever asks.
    pub(crate) board: Board,
    /// For what is told about slots.
    pub(crate) lane: Lane,
}

impl Watch {
    /// Starts the thread, which ends when `stop` changes. `slots` is what the deployment was opened with.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(
        deployment: Deployment,
        outlet: Outlet,
        slots: Arc<Notify>,
        every: Duration,
        stop: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let asked = Arc::new(Notify::new());
        let subscriptions = deployment.subscriptions();
        let task = Task {
            deployment,
            outlet,
            slots,
            asked: Arc::clone(&asked),
            changed: Arc::new(Notify::new()),
            watched: BTreeMap::new(),
            unwatchable: BTreeSet::new(),
            subscriptions,
            notices: notice::Notices::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let run = move || runtime.block_on(task.run(every, stop));
        let thread = thread::Builder::new().name("deployment".to_owned()).spawn(run)?;
        Ok(Self { asked, thread })
    }

    /// Reads all files again.
    pub(crate) fn read_again(&self) {
        self.asked.notify_one();
    }

    /// Waits for the thread. False if it has panicked.
    pub(crate) fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}

struct Task {
    deployment: Deployment,
    outlet: Outlet,
    /// A slot has changed by itself.
    slots: Arc<Notify>,
    asked: Arc<Notify>,
    /// The file system has told of something.
    changed: Arc<Notify>,
    watched: BTreeMap<PathBuf, Watched>,
    /// Folders that have been complained of.
    unwatchable: BTreeSet<PathBuf>,
    /// Those that the broker was asked for last.
    subscriptions: Vec<Subscription>,
    notices: notice::Notices,
}

impl Task {
    async fn run(mut self, every: Duration, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell_slots();
        loop {
            // Before they are looked at, so that nothing is missed in between.
            self.watch_folders();
            let next = self.next();
            let occasion = tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = self.asked.notified() => Occasion::Request,
                () = self.slots.notified() => {
                    self.wake();
                    Occasion::Look
                }
                () = self.changed.notified() => Occasion::Look,
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {
                    Occasion::Look
                }
                // The first comes at once: something may have changed between reading and watching.
                _ = ticks.tick() => Occasion::Look,
            };
            let news = self.deployment.step(occasion, Instant::now());
            self.pass_on(&news);
        }
    }

    fn next(&self) -> Option<Instant> {
        self.deployment.next().into_iter().chain(self.notices.next()).min()
    }

    fn pass_on(&mut self, news: &News) {
        if news.is_rerouted {
            self.outlet.routing.store(Arc::new(self.deployment.routing()));
        }
        // Also a slot that has put its former generation back wants other topics.
        let subscriptions = self.deployment.subscriptions();
        if subscriptions != self.subscriptions {
            self.outlet.subscriber.subscribe(subscriptions.clone());
            self.subscriptions = subscriptions;
        }
        if news.is_offered || news.is_rerouted {
            self.outlet.directory.index(self.deployment.parameters());
            self.wake();
        }
        news.live.iter().for_each(Live::tell);
        for name in &news.removed {
            tracing::info!(translator = name, "translator gone");
        }
        self.tell_slots();
    }

    fn wake(&self) {
        for shard in &self.outlet.shards {
            // A shard that has so much to do comes to it by itself.
            if shard.send(Command::Wake).is_err() {
                tracing::debug!("a shard is busy and was not woken");
            }
        }
    }

    fn tell_slots(&mut self) {
        let lane = &mut self.outlet.lane;
        let offer = |publication: Publication| lane.offer(vec![publication]).is_ok();
        let status = notice::status(&self.deployment);
        self.notices.tell(&status, Instant::now(), offer);
        self.outlet.board.store(Arc::new(status));
    }

    /// Watches the plugin folder, that of each file, and that of the file it leads to if it is a symbolic link.
    fn watch_folders(&mut self) {
        let (directory, files) = self.deployment.watched();
        let mut folders = BTreeSet::from([directory]);
        for file in &files {
            folders.extend(file.parent().map(Path::to_owned));
            let target = file.canonicalize().ok();
            folders.extend(target.as_deref().and_then(Path::parent).map(Path::to_owned));
            if folders.len() > MOST_FOLDERS {
                break;
            }
        }
        self.watched.retain(|folder, _| folders.contains(folder));
        for folder in folders {
            let watched = self.watched.entry(folder.clone()).or_default();
            if let Err(error) = watched.renew(&folder, Depth::Only, &self.changed)
                && self.unwatchable.insert(folder.clone())
            {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "changes of translators are seen late: the folder cannot be watched");
            }
        }
    }
}

/// Others are looked at now and then. The system may have few watches to give.
const MOST_FOLDERS: usize = 64;
