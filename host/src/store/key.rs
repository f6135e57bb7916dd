//! The key file: 32 random bytes that only the gateway's user can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::StoreError;

/// What all keys of the store are derived from. It stays where it is in memory and is wiped there.
pub(super) struct MasterKey(Box<Zeroizing<[u8; LENGTH]>>);

impl MasterKey {
    /// Reads it. None when there is no such file.
    ///
    /// # Errors
    /// A file that is not 32 bytes long, or that others than its owner may read or write.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |error| StoreError::KeyFile { path: path.to_owned(), error };
        let no_key = |found: String| StoreError::NoKey { path: path.to_owned(), found };
        // Before it is opened: opening a pipe would wait for its writer.
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Err(no_key("not a file".to_owned())),
            Ok(_) => {}
            // A link that leads nowhere is no missing file: writing through it would be a surprise.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        }
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StoreError::KeyOpen { path: path.to_owned(), mode });
        }
        if metadata.len() != LENGTH as u64 {
            return Err(no_key(format!("{} bytes", metadata.len())));
        }
        let mut key = Box::new(Zeroizing::new([0; LENGTH]));
        file.read_exact(&mut **key).map_err(failed)?;
        Ok(Some(Self(key)))
    }

    /// Makes one, of which there is all or nothing after a crash. Only for whoever holds the database's lock.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut key = Box::new(Zeroizing::new([0; LENGTH]));
        getrandom::fill(&mut **key)
            .map_err(io::Error::other)
            .and_then(|()| write(path, &**key))
            .map_err(|error| StoreError::KeyFile { path: path.to_owned(), error })?;
        Ok(Self(key))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &**self.0
    }

    /// A key for tests.
    #[cfg(test)]
    pub(super) fn of(byte: u8) -> Self {
        Self(Box::new(Zeroizing::new([byte; LENGTH])))
    }
}

/// First another file, so that there is never half a key under the name of a key.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path)
}

/// Makes the name of a new file durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// In bytes.
const LENGTH: usize = 32;
