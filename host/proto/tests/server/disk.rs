//! What is kept of a world's clients, and worlds that begin with it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::lwm2m::server::{Change, Changes, Config};

use crate::sim::World;

/// What is kept of clients, and how often a world began with it.
#[derive(Debug, Default)]
pub(crate) struct Disk(pub(crate) BTreeMap<Arc<str>, Vec<u8>>, Cell<u64>);

impl Disk {
    /// Returns whose states came (`+`) and went (`-`).
    pub(crate) fn write(&mut self, changes: Vec<Change>) -> Vec<String> {
        let write = |change: Change| match change.state {
            Some(state) => {
                let name = format!("+{}", change.endpoint);
                self.0.insert(change.endpoint, state);
                name
            }
            None => {
                self.0.remove(&change.endpoint);
                format!("-{}", change.endpoint)
            }
        };
        changes.into_iter().map(write).collect()
    }
}

impl World {
    /// What is kept of clients now, in turn; the caller has not said yet that it is kept.
    pub(crate) fn changes(&mut self) -> Option<Changes> {
        self.server.take_changes(self.now, WALL)
    }

    /// What was told up to this turn is kept.
    pub(crate) fn kept(&mut self, turn: u64) {
        self.server.kept(self.now, turn);
        self.pump();
    }

    /// All that has changed is kept, and said to be. Returns of whom it was, and how much.
    pub(crate) fn keep(&mut self, disk: &mut Disk) -> Vec<String> {
        let Some(Changes { turn, changes, .. }) = self.changes() else { return Vec::new() };
        let mut names = disk.write(changes);
        names.sort();
        self.kept(turn);
        names
    }

    /// A server that begins with what the disk has, some time after that was written.
    pub(crate) fn restarted(config: Config, disk: &Disk, away: Duration) -> Self {
        // Other randomness than before.
        disk.1.set(disk.1.get() + 1);
        let mut world = Self::seeded(config, 1 + disk.1.get());
        world.restore(disk, away);
        world.server.resume(world.now);
        world.pump();
        world
    }

    pub(crate) fn restore(&mut self, disk: &Disk, away: Duration) {
        let wall = WALL + i64::try_from(away.as_millis()).expect("short");
        for snapshot in disk.0.values() {
            self.server.restore(self.now, wall, snapshot).expect("a snapshot");
            self.pump();
        }
    }
}

/// Milliseconds since 1970, whenever something is kept.
const WALL: i64 = 1_790_000_000_000;
