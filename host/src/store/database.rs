//! The database file: opened, checked, written in transactions, opened again after a failure.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Builder, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use zeroize::Zeroizing;

use super::error::StoreError;
use super::key::{self, MasterKey};
use super::seal::{Opener, Sealer, Unreadable};
use super::table::{Batch, Change, Table};

/// The database and the key of its values.
pub(super) struct Database {
    path: PathBuf,
    master: Arc<MasterKey>,
    opening: Box<Opening>,
    /// None between a failure and the next time that it can be opened.
    redb: RwLock<Option<redb::Database>>,
}

/// How redb opens what it writes to. Tests put something else than a file in its place.
pub(super) type Opening = dyn Fn(&Builder) -> Result<redb::Database, redb::DatabaseError> + Send + Sync;

/// What a table holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Key and value of each entry, in the order of the keys.
    pub entries: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    /// Entries that cannot be read, and why. They stay where they are until they are written over or removed.
    pub unreadable: Vec<(Vec<u8>, Unreadable)>,
}

impl Database {
    /// Opens or makes it, with the key at `key_file`, which is made when there is nothing that it would be the key of.
    pub(super) fn open(path: &Path, key_file: &Path, opening: Box<Opening>) -> Result<Self, StoreError> {
        // First the database: from here on nobody else has it open, and nobody else makes a key.
        let redb = open_checked(path, &opening)?;
        let mark = guarded(path, || read_mark(&redb))?;
        let key = MasterKey::read(key_file)?;
        let master = match (mark, key) {
            (Mark::None, None) => Arc::new(MasterKey::create(key_file)?),
            (Mark::None, Some(key)) => Arc::new(key),
            (Mark::Foreign, _) => {
                return Err(StoreError::Foreign { path: path.to_owned() });
            }
            (Mark::Later(found), _) => {
                return Err(StoreError::Later { path: path.to_owned(), found, known: FORMAT });
            }
            (Mark::Ours(_), None) => {
                let (key, database) = (key_file.to_owned(), path.to_owned());
                return Err(StoreError::KeyMissing { key, database });
            }
            (Mark::Ours(check), Some(key)) if is_right(&key, &check) => {
                return Ok(Self::new(path, Arc::new(key), opening, redb));
            }
            (Mark::Ours(_), Some(_)) => {
                let (key, database) = (key_file.to_owned(), path.to_owned());
                return Err(StoreError::OtherKey { key, database });
            }
        };
        let check = Sealer::new(Arc::clone(&master)).seal(MARK_NAME, CHECK, CHECK);
        let check = check.map_err(|error| failed(path, &error))?;
        guarded(path, || write_mark(&redb, &check))?;
        key::sync_folder(path).map_err(|error| failed(path, &error))?;
        Ok(Self::new(path, master, opening, redb))
    }

    fn new(path: &Path, master: Arc<MasterKey>, opening: Box<Opening>, redb: redb::Database) -> Self {
        Self { path: path.to_owned(), master, opening, redb: RwLock::new(Some(redb)) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sealer(&self) -> Sealer {
        Sealer::new(Arc::clone(&self.master))
    }

    /// Makes batches durable, all or none.
    pub(super) fn commit(&self, sealer: &mut Sealer, batches: &[Batch]) -> Result<(), StoreError> {
        self.with_redb(|redb| {
            let mut transaction = redb.begin_write().map_err(|error| self.error(error))?;
            transaction.set_durability(Durability::Immediate).map_err(|error| self.error(error))?;
            // In one phase a damaged commit is quietly given up for the one before it, with older bounds of the
            // associations' numbers: nonces would repeat. In two phases it is an error.
            transaction.set_two_phase_commit(true);
            {
                let mut tables: Vec<(&str, Opened<'_>)> = Vec::new();
                for change in batches.iter().flat_map(Batch::changes) {
                    let name = change.table.name();
                    let known = tables.iter().position(|(known, _)| *known == name);
                    let index = match known {
                        Some(index) => index,
                        None => {
                            let table = transaction.open_table(definition(name));
                            tables.push((name, table.map_err(|error| self.error(error))?));
                            tables.len() - 1
                        }
                    };
                    self.apply(&mut tables[index].1, sealer, change)?;
                }
            }
            transaction.commit().map_err(|error| self.error(error))
        })
    }

    /// All of a table as it was committed last. A table that was never written is empty.
    pub(super) fn read(&self, table: Table) -> Result<Contents, StoreError> {
        self.with_redb(|redb| {
            let transaction = redb.begin_read().map_err(|error| self.error(error))?;
            let mut contents = Contents::default();
            let rows = match transaction.open_table(definition(table.name())) {
                Ok(rows) => rows,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(contents),
                Err(error) => return Err(self.error(error)),
            };
            let mut opener = Opener::new(&self.master, table.name());
            for row in rows.iter().map_err(|error| self.error(error))? {
                let (key, value) = row.map_err(|error| self.error(error))?;
                let (key, value) = (key.value(), value.value());
                let value = match table.is_encrypted() {
                    true => opener.open(key, value),
                    false => Ok(Zeroizing::new(value.to_vec())),
                };
                match value {
                    Ok(value) => contents.entries.push((key.to_vec(), value)),
                    Err(reason) => contents.unreadable.push((key.to_vec(), reason)),
                }
            }
            Ok(contents)
        })
    }

    /// Opens it again after a failure: redb refuses to go on with a file that it could not write.
    pub(super) fn open_again(&self) -> Result<(), StoreError> {
        let mut place = self.redb.write().unwrap_or_else(PoisonError::into_inner);
        // The lock on the file goes with it.
        if let Some(failed) = place.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(failed)));
        }
        let redb = open_checked(&self.path, &self.opening)?;
        match guarded(&self.path, || read_mark(&redb))? {
            Mark::Ours(check) if is_right(&self.master, &check) => {}
            _ => {
                let reason = "it is another one than at the start".to_owned();
                return Err(StoreError::Damaged { path: self.path.clone(), reason });
            }
        }
        *place = Some(redb);
        Ok(())
    }

    fn apply(
        &self,
        table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
        sealer: &mut Sealer,
        change: &Change,
    ) -> Result<(), StoreError> {
        let key = change.key.as_slice();
        let result = match &change.value {
            None => table.remove(key),
            Some(value) if change.table.is_encrypted() => {
                let sealed = sealer.seal(change.table.name(), key, value);
                table.insert(key, sealed.map_err(|error| failed(&self.path, &error))?.as_slice())
            }
            Some(value) => table.insert(key, value.as_slice()),
        };
        result.map(drop).map_err(|error| self.error(error))
    }

    /// Does something with the database while it is open. redb may panic about a file that somebody else has changed.
    fn with_redb<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let place = self.redb.read().unwrap_or_else(PoisonError::into_inner);
        let Some(redb) = place.as_ref() else {
            return Err(failed(&self.path, &"not open since it could not be written"));
        };
        catch_unwind(AssertUnwindSafe(|| work(redb))).unwrap_or_else(|_| Err(panicked(&self.path)))
    }

    fn error(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::of_database(&self.path, &error.into())
    }
}

/// How redb opens a file; one that is made is for its owner alone.
pub(super) fn file(path: &Path) -> Box<Opening> {
    let path = path.to_owned();
    Box::new(move |builder| {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        builder.create_with_backend(FileBackend::new(file)?)
    })
}

/// What a database says of itself.
enum Mark {
    /// Nothing: it is new.
    None,
    /// It is ours; a value that can be read with its key.
    Ours(Vec<u8>),
    /// It is ours, of a format that is not known here.
    Later(u8),
    /// Somebody else's.
    Foreign,
}

fn open_checked(path: &Path, opening: &Opening) -> Result<redb::Database, StoreError> {
    let mut builder = Builder::new();
    // Every page is checked, so that a damaged file is refused here and not met by a read later.
    builder.set_check_integrity_on_open(true).set_cache_size(CACHE);
    guarded(path, || Ok(opening(&builder)?))
}

fn read_mark(redb: &redb::Database) -> Result<Mark, redb::Error> {
    let transaction = redb.begin_read()?;
    let rows = match transaction.open_table(MARK) {
        Ok(rows) => rows,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            let is_new = transaction.list_tables()?.next().is_none()
                && transaction.list_multimap_tables()?.next().is_none();
            return Ok(if is_new { Mark::None } else { Mark::Foreign });
        }
        Err(error) => return Err(error.into()),
    };
    let (format, check) = (rows.get(FORMAT_KEY)?, rows.get(CHECK)?);
    let format = format.and_then(|format| format.value().first().copied());
    Ok(match (format, check) {
        (Some(FORMAT), Some(check)) => Mark::Ours(check.value().to_vec()),
        (Some(later), _) if later > FORMAT => Mark::Later(later),
        _ => Mark::Foreign,
    })
}

fn write_mark(redb: &redb::Database, check: &[u8]) -> Result<(), redb::Error> {
    let mut transaction = redb.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut rows = transaction.open_table(MARK)?;
        rows.insert(FORMAT_KEY, [FORMAT].as_slice())?;
        rows.insert(CHECK, check)?;
    }
    Ok(transaction.commit()?)
}

fn is_right(key: &MasterKey, check: &[u8]) -> bool {
    Opener::new(key, MARK_NAME).open(CHECK, check).is_ok_and(|value| *value == CHECK)
}

fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| StoreError::of_database(path, &error)),
        Err(_) => Err(panicked(path)),
    }
}

fn panicked(path: &Path) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: "redb gave up on it".to_owned() }
}

fn failed(path: &Path, reason: &impl ToString) -> StoreError {
    StoreError::Failed { path: path.to_owned(), reason: reason.to_string() }
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// A table of bytes, open for writing.
type Opened<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// What a database says of itself, beside the tables.
const MARK: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(MARK_NAME);
/// With a colon, so that no [`Table`] can have this name.
const MARK_NAME: &str = "tidegate:mark";
const FORMAT_KEY: &[u8] = b"format";
const CHECK: &[u8] = b"check";
/// Of the tables and of what is in them.
const FORMAT: u8 = 1;
/// Tables are read once, at the start: more would only cost memory.
const CACHE: usize = 16 << 20;
