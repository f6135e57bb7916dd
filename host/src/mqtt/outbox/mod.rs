//! What waits for the broker: one bounded lane for each shard, drained by the session.
//!
//! A shard fills its own lane and nobody else's, so that shards share no lock. A lane takes the publications of one
//! event whole or not at all, and never waits:
//!
//! 1. [`Lane::stage`] numbers them and appends them to the lane's [`log`];
//! 2. [`Lane::commit`], once for all events of a turn, writes the log with one system call and puts them on the shelf,
//!    where they wait in memory. Only then may the devices be answered: a crash of the gateway loses nothing of it;
//! 3. the [`Drain`] takes them from the shelf, or from the disk when there was no room on it, in the lane's order;
//! 4. [`Drain::done`] notes that the broker has one. The keeper's thread ([`keeper`]) writes down up to where all are done,
//!    removes what nobody needs and syncs the files.
//!
//! After a restart everything that was not done is published before anything new, also from lanes that there are no more.
//!
//! When a lane is full it [refuses](Refusal::Full), or drops its oldest publications ([`WhenFull`]). When the disk cannot be
//! written the lane goes on in memory, as far as the shelf has room, and says so; it is tried again from time to time.
//! Without a folder there is no log.

mod drain;
mod entry;
mod keeper;
mod lane;
mod log;
mod shelf;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Publication;
use crate::config::WhenFull;
use keeper::Keeper;

pub use drain::{Drain, Gauge};
pub(super) use drain::{Taken, Ticket};
pub use lane::Lane;

/// Makes the two ends.
#[derive(Debug)]
pub struct Outbox;

/// What an outbox needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxOptions {
    /// How many publications may wait, in all lanes.
    pub publications: usize,
    /// How many bytes may wait, in all lanes.
    pub bytes: u64,
    /// What becomes of a publication that finds no room.
    pub when_full: WhenFull,
    /// Where the lanes' logs are; none to keep everything in memory.
    pub directory: Option<PathBuf>,
    /// How often what was written is synced, so that it survives a crash of the machine.
    pub sync: Duration,
}

impl Default for OutboxOptions {
    /// In memory; a million publications, 1 GiB; synced each second.
    fn default() -> Self {
        Self {
            publications: 1_000_000,
            bytes: 1 << 30,
            when_full: WhenFull::Block,
            directory: None,
            sync: Duration::from_secs(1),
        }
    }
}

/// The folder of the outbox, or a log in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the outbox in {}: {error}", path.display())]
pub struct OutboxError {
    /// The folder.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl Outbox {
    /// Makes a lane of each name, and opens their logs. A name is the lane's folder, so it is a word. The room is split evenly; each
    /// lane has some for at least one publication.
    ///
    /// # Errors
    /// A folder cannot be made or read.
    pub fn open(names: &[String], options: &OutboxOptions) -> Result<(Vec<Lane>, Drain), OutboxError> {
        let wake = Arc::new(Notify::new());
        let limit = shelf::Limit {
            publications: (options.publications / names.len().max(1)).max(1) as u64,
            bytes: (options.bytes / names.len().max(1) as u64).max(1),
            when_full: options.when_full,
        };
        let (mut lanes, mut shelves) = (Vec::new(), Vec::new());
        for name in names {
            let log = options.directory.as_ref().map(|directory| directory.join(name));
            let (lane, shelf) = lane::open(name, log, limit, Arc::clone(&wake))?;
            lanes.push(lane);
            shelves.push(shelf);
        }
        if let Some(directory) = &options.directory {
            for name in lane::left_behind(directory, names)? {
                let (_, shelf) = lane::open(&name, Some(directory.join(&name)), limit, Arc::clone(&wake))?;
                shelves.push(shelf);
            }
        }
        let keeper = Keeper::start(&shelves, names.len(), options)?;
        Ok((lanes, Drain::new(shelves, wake, keeper)))
    }

    /// Lanes in memory, with room for so many publications.
    pub fn in_memory(lanes: usize, publications: usize) -> (Vec<Lane>, Drain) {
        let names: Vec<_> = (0..lanes).map(|lane| format!("lane-{lane}")).collect();
        let options = OutboxOptions { publications, ..OutboxOptions::default() };
        Self::open(&names, &options).expect("no folder is used")
    }
}

/// Publications that a lane did not take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// All that were offered, in order.
    pub publications: Vec<Publication>,
}

/// Why a lane did not take publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The gateway is shutting down.
    #[error("the outbox is closed")]
    Closed,
    /// The broker is away or slow. Do not acknowledge; the device will retransmit.
    #[error("the outbox is full")]
    Full,
    /// One event made more publications than a lane holds, so that a retransmission would help nobody.
    #[error("more publications at once than the outbox holds")]
    TooMany,
}

/// What the outbox holds, and what became of what it held. Of all lanes, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Publications that wait, or are on their way.
    pub waiting: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Publications that were there at the start.
    pub recovered: u64,
    /// Publications that were dropped for newer ones.
    pub dropped: u64,
    /// Publications that could not be read back from the disk.
    pub unreadable: u64,
    /// Files that were damaged at the start; how much was in the part that cannot be read nobody knows.
    pub damaged: u64,
    /// Publications that found no room, and that nobody says again.
    pub lost: u64,
    /// Lanes that could not write to the disk lately.
    pub degraded: u64,
}

#[cfg(test)]
mod tests;
