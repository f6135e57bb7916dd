//! The files that a reading has looked at, whether they could be read or not.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use openssl::sha::Sha256;
use zeroize::Zeroizing;

use crate::change::{Stamp, unix_time};

/// Files, and what tells whether they have changed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// None where there is none.
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// Unix time.
    at: i64,
    /// Over what they hold.
    digest: [u8; 32],
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { files: BTreeMap::new(), at: unix_time(), digest: [0; 32] }
    }

    /// The files, whether they are there or not.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Whether a file may be another than the one that was read.
    pub(super) fn has_changed(&self) -> bool {
        self.files.iter().any(|(path, stamp)| {
            stamp.as_ref().is_some_and(|stamp| stamp.is_young(self.at))
                || path.metadata().ok().as_ref().map(Stamp::of) != *stamp
        })
    }

    /// Whether both have found the same bytes in the same files.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.files.keys().eq(other.files.keys())
    }

    /// Reads a file of at most so many bytes.
    pub(super) fn read(&mut self, path: &Path, most: u64) -> io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
        self.files.insert(path.to_owned(), None);
        let metadata = path.metadata()?;
        self.files.insert(path.to_owned(), Some(Stamp::of(&metadata)));
        // Opening a pipe would wait for a writer.
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if metadata.len() > most {
            return Err(io::Error::other(format!("it is larger than {most} bytes")));
        }
        let length = usize::try_from(metadata.len()).map_err(io::Error::other)?;
        // With room for all at once, as growing would leave a copy behind, and for one more byte, to see the end.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
        File::open(path)?.take(metadata.len() + 1).read_to_end(&mut bytes)?;
        if bytes.len() > length {
            return Err(io::Error::other("it is being written"));
        }
        let mut hash = Sha256::new();
        hash.update(&self.digest);
        hash.update(&metadata.len().to_be_bytes());
        hash.update(&bytes);
        self.digest = hash.finish();
        Ok((bytes, metadata))
    }
}
