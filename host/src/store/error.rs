//! What can be wrong with a store: which file it is, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made.
    #[error("{}: the folder cannot be made: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has the database open.
    #[error("{}: another gateway uses it; each needs a folder of its own ([store] path)", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A database without its key.
    #[error(
        "{}: the key of {} is missing; put it back, or move the database away to begin with an empty one",
        key.display(), database.display()
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// What it is for.
        database: PathBuf,
    },
    /// A key that others can read.
    #[error(
        "{}: others than its owner may read or write it (mode {mode:03o}): chmod 600, and if somebody did read it, move it and the \
         database away to begin anew", path.display()
    )]
    KeyOpen {
        /// The key file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something else than a key where the key should be.
    #[error(
        "{}: not a key of 32 bytes ({found}); put the right file back, or move it and the database away to begin with an \
         empty one", path.display()
    )]
    NoKey {
        /// The key file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The key file cannot be read or made.
    #[error("{}: {error}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A database that was written with another key.
    #[error(
        "{}: not the key that {} was written with; put the right one back, or move the database away to begin with an \
         empty one", key.display(), database.display()
    )]
    OtherKey {
        /// The key file.
        key: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// A database with tables of another program.
    #[error("{}: a database of another program; name another folder ([store] path), or move it away", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The database is not one, or not as it was written.
    #[error("{}: damaged: {reason}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A database of a later version.
    #[error("{}: written by a later version of Tidegate (format {found}, this one knows {known})", path.display())]
    Later {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The latest format that is known here.
        known: u8,
    },
    /// Reading or writing failed.
    #[error("{}: {reason}", path.display())]
    Failed {
        /// The database.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl StoreError {
    /// What an error of the database means.
    pub(super) fn of_database(path: &Path, error: &redb::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Io(io) => match io.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Damaged { path, reason },
                _ => Self::Failed { path, reason },
            },
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. } => Self::Damaged { path, reason },
            _ => Self::Failed { path, reason },
        }
    }
}
