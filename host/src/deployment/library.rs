//! The artifacts in the files, as they were when each was whole last.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::plugin::{Artifact, Rejection, Step};

/// What is known of each file.
#[derive(Debug, Default)]
pub(super) struct Library {
    books: BTreeMap<PathBuf, Book>,
    /// Why files cannot be read now.
    problems: BTreeMap<PathBuf, Rejection>,
}

/// One file with a translator in it.
#[derive(Clone, Debug)]
pub(super) struct Book {
    /// What it held when it could be read last.
    pub(super) artifact: Arc<Artifact>,
    /// When the file became what it is.
    pub(super) changed: SystemTime,
    /// The file has been deleted since.
    pub(super) is_gone: bool,
}

impl Library {
    /// Reads a file. What it held before stays if it is no artifact any more.
    ///
    /// # Errors
    /// The step that failed, and why.
    pub(super) fn read(&mut self, path: &Path, length: u64, changed: SystemTime) -> Result<(), Rejection> {
        match read(path, length) {
            Ok(artifact) => {
                self.problems.remove(path);
                let book = Book { artifact: Arc::new(artifact), changed, is_gone: false };
                self.books.insert(path.to_owned(), book);
                Ok(())
            }
            Err(rejection) => {
                self.problems.insert(path.to_owned(), rejection.clone());
                Err(rejection)
            }
        }
    }

    /// A file has been deleted: whether that is news. What it held stays.
    pub(super) fn mark_gone(&mut self, path: &Path) -> bool {
        self.problems.remove(path);
        self.books.get_mut(path).is_some_and(|book| !std::mem::replace(&mut book.is_gone, true))
    }

    /// Forgets what deleted files held.
    pub(super) fn forget_gone(&mut self) {
        self.books.retain(|_, book| !book.is_gone);
    }

    /// What a file holds.
    pub(super) fn get(&self, path: &Path) -> Option<&Book> {
        self.books.get(path)
    }

    /// Why it cannot be read now.
    pub(super) fn problem(&self, path: &Path) -> Option<&Rejection> {
        self.problems.get(path)
    }

    /// Whether what it held is not what it holds.
    pub(super) fn is_stale(&self, path: &Path) -> bool {
        self.problem(path).is_some() || self.get(path).is_some_and(|book| book.is_gone)
    }

    /// All files, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Book)> {
        self.books.iter().map(|(path, book)| (path.as_path(), book))
    }
}

fn read(path: &Path, length: u64) -> Result<Artifact, Rejection> {
    if length > LARGEST {
        let reason = format!("{}: {length} bytes, at most {LARGEST} are allowed", path.display());
        return Err(Rejection { step: Step::Read, reason });
    }
    Artifact::read(path)
}

/// The files in a folder that may be translators. There may be no such folder.
pub(super) fn list(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_artifact(path)).collect();
    files.sort();
    if files.len() > MOST_FILES {
        tracing::warn!(
            files = files.len(),
            most = MOST_FILES,
            "too many files in the plugin folder, the rest is left out"
        );
        files.truncate(MOST_FILES);
    }
    files
}

/// By its name: what begins with a dot belongs to editors and deployments.
fn is_artifact(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && path.extension().is_some_and(|of| of == "wasm" || of == "js")
}

/// Bytes of an artifact.
const LARGEST: u64 = 64 << 20;
const MOST_FILES: usize = 256;
