//! State that survives a restart, in a database (redb) at `<[store] path>/tidegate.redb`.
//!
//! The store knows tables of bytes and nothing of what they mean: an association is what `tidegate_dtls` wrote down. Whoever
//! keeps something there reads its table once, at the start ([`Store::read`]), and from then on hands its changes to a [`Writer`],
//! which never waits. Values of encrypted tables ([`Table::encrypted`]) are sealed with a key that is derived from the file `key`
//! beside the database.
//!
//! What is acknowledged ([`Batch::on_done`]) is on the disk and survives a crash of the gateway and of the machine. What is not
//! may be lost; batches are lost whole and in order, the newest first.
//!
//! The folder is no place to restore from a copy: an old database brings back old bounds of the associations' record numbers, and
//! with them nonces that were used. Whoever restores a machine removes `tidegate.redb`; devices then shake hands again.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use database::{Database, Opening};
use writer::{Queue, Work};

pub use database::Contents;
pub use error::StoreError;
pub use seal::Unreadable;
pub use table::{ASSOCIATIONS, Batch, CLIENTS, Change, HELD, Table, UNREADABLE_CLIENTS};
pub use writer::{Abandoned, Counters, Limits, Writer};

mod database;
mod error;
mod key;
mod seal;
mod table;
mod writer;

/// An open store. Dropped, it is closed.
pub struct Store {
    database: Arc<Database>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    set_aside: Option<PathBuf>,
}

/// Tells what a store has done and has still to do.
#[derive(Clone, Debug)]
pub struct Gauge {
    writer: Writer,
    has_set_aside: bool,
}

impl Gauge {
    /// At this moment.
    pub fn counters(&self) -> Counters {
        self.writer.counters()
    }

    /// Whether the database was damaged when the store was opened, and an empty one begun.
    pub fn has_set_aside(&self) -> bool {
        self.has_set_aside
    }
}

/// What was handed over could not be written before the store was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{changes} changes could not be written to the store")]
pub struct Lost {
    /// How many changes.
    pub changes: u64,
}

impl Store {
    /// Opens the store in a folder, or makes one there: the folder for its owner alone (0700), and in it a database and a
    /// key (0600). A damaged database is set aside, as `tidegate.redb.damaged-<milliseconds since 1970>`, and an empty one
    /// begun: what was in it is not used, as it might be older than what it was damaged in.
    ///
    /// # Errors
    /// A key that is missing, wrong or readable by others, a database of another program or of a later version, another gateway
    /// that uses it. Nothing is removed or begun anew then: the error says what to do.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory, Limits::default())
    }

    /// As [`open`](Self::open), with other limits on what may wait to be written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(directory: &Path, limits: Limits) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| StoreError::Folder { path: directory.to_owned(), error })?;
        let path = database_path(directory);
        let damage = match Self::start(directory, limits, database::file(&path)) {
            Err(StoreError::Damaged { reason, .. }) => reason,
            opened => return opened,
        };
        let aside = set_aside(&path)?;
        tracing::error!(
            %damage,
            "{} is damaged: it is set aside as {}, and an empty one begins; clients must register again",
            path.display(),
            aside.display()
        );
        let mut store = Self::start(directory, limits, database::file(&path))?;
        store.set_aside = Some(aside);
        Ok(store)
    }

    fn start(directory: &Path, limits: Limits, opening: Box<Opening>) -> Result<Self, StoreError> {
        let path = database_path(directory);
        let database = Arc::new(Database::open(&path, &directory.join(KEY), opening)?);
        let queue = Queue::new(limits);
        let work = Work::new(Arc::clone(&queue), Arc::clone(&database));
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || work.run());
        let thread = thread.map_err(|error| StoreError::Failed { path, reason: error.to_string() })?;
        Ok(Self { database, queue, thread: Some(thread), set_aside: None })
    }

    /// Where the database is that was damaged when this was opened.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Hands changes to this store, from any thread.
    pub fn writer(&self) -> Writer {
        self.queue.writer()
    }

    /// All of a table, as far as it is durable: changes that wait are not in it. Reads the disk, so not for a shard's thread.
    ///
    /// # Errors
    /// The disk fails, or the database has been damaged since it was opened. An entry that cannot be decrypted is no error, but
    /// listed.
    pub fn read(&self, table: Table) -> Result<Contents, StoreError> {
        self.database.read(table)
    }

    /// What the store has done and has still to do.
    pub fn counters(&self) -> Counters {
        self.writer().counters()
    }

    /// What others may ask for while somebody else owns the store.
    pub fn gauge(&self) -> Gauge {
        Gauge { writer: self.writer(), has_set_aside: self.set_aside.is_some() }
    }

    /// Writes all that was handed over and ends the thread. Not for the writer's thread. Writers that are left give every batch
    /// back.
    ///
    /// # Errors
    /// What could not be written, after one more attempt. Whoever handed it over has been told.
    pub fn close(mut self) -> Result<(), Lost> {
        self.end();
        match self.counters().abandoned {
            0 => Ok(()),
            changes => Err(Lost { changes }),
        }
    }

    fn end(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread has panicked");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("path", &self.database.path()).finish_non_exhaustive()
    }
}

/// Lets a damaged database be, under another name.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let aside = path.with_file_name(format!("{DATABASE}.damaged-{}", now.as_millis()));
    let renamed = fs::rename(path, &aside).and_then(|()| key::sync_folder(path));
    renamed.map_err(|error| StoreError::Failed { path: path.to_owned(), reason: error.to_string() })?;
    Ok(aside)
}

fn database_path(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

const DATABASE: &str = "tidegate.redb";
const KEY: &str = "key";

#[cfg(test)]
mod tests;
