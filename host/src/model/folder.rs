//! Reading a folder of object definitions.
//!
//! 1. its files named `*.xml` are listed, those of its sub-folders too; what begins with a dot is left out, as editors and
//!    Kubernetes keep their own things there;
//! 2. each is read; one that is broken now keeps the definitions it had when it was last right;
//! 3. the definitions are laid over the built-in ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use tidegate_proto::lwm2m::model::{Definition, Error, LARGEST_TEXT, Models};

use crate::change::{Stamp, unix_time};

/// A folder, and what it held when it was read last.
#[derive(Debug)]
pub struct Folder {
    directory: PathBuf,
    /// What each file defined when it was right last.
    known: BTreeMap<Key, Vec<Definition>>,
    /// The files as they were listed last.
    listed: BTreeMap<Key, Stamp>,
    /// Unix time of that.
    read_at: i64,
    /// What was wrong when it was read last.
    problems: Vec<String>,
}

/// What a folder comes to.
#[derive(Debug)]
pub struct Reading {
    /// The built-in definitions, and the folder's over them.
    pub models: Models,
    /// Files.
    pub files: usize,
    /// Definitions in them that are in force.
    pub definitions: usize,
    /// How many files, or folders in it, could not be read.
    pub broken: usize,
    /// What is wrong with which file, in a sentence: first the broken ones with line, column and reason, then those that
    /// define the same version of an object as another.
    pub problems: Vec<String>,
    /// Those that the reading before did not find, or found in another state of the file.
    pub news: Vec<String>,
}

impl Folder {
    /// A folder that has not been read yet. It need not exist.
    pub fn new(directory: &Path) -> Self {
        let (known, listed) = (BTreeMap::new(), BTreeMap::new());
        Self { directory: directory.to_owned(), known, listed, read_at: 0, problems: Vec::new() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads all of it. Nothing that it holds is an error; there is less of it then.
    pub fn read(&mut self) -> Reading {
        let Listing { files, unread, problems: mut broken, .. } = Listing::of(&self.directory);
        self.read_at = unix_time();
        let mut news: Vec<String> = Vec::new();
        let is_there = |path: &Path| {
            files.contains_key(&key(path)) || unread.iter().any(|folder| path.starts_with(folder))
        };
        self.known.retain(|(_, path), _| is_there(path));
        for (key, stamp) in &files {
            match read_file(&key.1, stamp) {
                Ok(Some(definitions)) => {
                    self.known.insert(key.clone(), definitions);
                }
                // Removed since it was listed.
                Ok(None) => {
                    self.known.remove(key);
                }
                Err(error) => {
                    let instead = if self.known.contains_key(key) {
                        "what it defined before stays in force"
                    } else {
                        "it is skipped"
                    };
                    let problem = format!("{error}; {instead}");
                    if self.listed.get(key) != Some(stamp) {
                        news.push(problem.clone());
                    }
                    broken.push(problem);
                }
            }
        }
        self.listed = files;
        let (models, definitions, doubled) = self.lay_over();
        let files = self.listed.len();
        let mut reading =
            Reading { models, files, definitions, broken: broken.len(), problems: broken, news };
        reading.problems.extend(doubled);
        for problem in &reading.problems {
            if !self.problems.contains(problem) && !reading.news.contains(problem) {
                reading.news.push(problem.clone());
            }
        }
        self.problems.clone_from(&reading.problems);
        reading
    }

    /// Whether its files may be others than those that were read last.
    pub fn has_changed(&self) -> bool {
        self.listed.values().any(|stamp| stamp.is_young(self.read_at))
            || Listing::of(&self.directory).files != self.listed
    }

    /// All definitions, how many of them are the folder's, and which files define the same.
    fn lay_over(&self) -> (Models, usize, Vec<String>) {
        let (mut models, mut doubled) = (Models::built_in(), Vec::new());
        let mut places: FxHashMap<_, (&Path, &Definition)> = FxHashMap::default();
        for ((_, path), definitions) in &self.known {
            for definition in definitions {
                let place = (definition.object, definition.version);
                // The registry keeps copies of its current versions, which are no reason for a warning.
                if let Some((other, defined)) = places.insert(place, (path, definition))
                    && defined != definition
                {
                    let (object, version) = place;
                    let (other, path) = (other.display(), path.display());
                    doubled.push(format!(
                        "{other} and {path} both define object {object} in version {version}; {path} counts"
                    ));
                }
                models.insert(definition.clone());
            }
        }
        (models, places.len(), doubled)
    }
}

/// By name, then by path: of two files that define the same, the later one counts.
type Key = (OsString, PathBuf);

fn key(path: &Path) -> Key {
    (path.file_name().unwrap_or_default().to_owned(), path.to_owned())
}

/// The definition files below a folder.
#[derive(Debug, Default)]
struct Listing {
    files: BTreeMap<Key, Stamp>,
    /// Folders that are there and cannot be listed.
    unread: Vec<PathBuf>,
    problems: Vec<String>,
    entries: usize,
}

impl Listing {
    fn of(directory: &Path) -> Self {
        let mut listing = Self::default();
        listing.add(directory, 0);
        if listing.files.len() > MOST_FILES {
            listing.problems.push(format!(
                "{}: of {} files only the first {MOST_FILES} by name are read",
                directory.display(),
                listing.files.len()
            ));
            let excess = listing.files.keys().nth(MOST_FILES).cloned();
            excess.map(|first| listing.files.split_off(&first));
        }
        listing
    }

    fn add(&mut self, directory: &Path, depth: usize) {
        if let Err(error) = self.add_entries(directory, depth)
            && (error.kind() != io::ErrorKind::NotFound)
        {
            self.problems.push(format!("{}: cannot be listed in full: {error}", directory.display()));
            self.unread.push(directory.to_owned());
        }
    }

    fn add_entries(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("it lies more than {DEEPEST} folders deep")));
        }
        for entry in directory.read_dir()? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(io::Error::other(format!("there are more than {MOST_ENTRIES} files")));
            }
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // Through symbolic links. One that leads nowhere is no file.
            let Ok(metadata) = path.metadata() else { continue };
            if metadata.is_dir() {
                self.add(&path, depth + 1);
            } else if metadata.is_file() && is_xml(&path) {
                self.files.insert(key(&path), Stamp::of(&metadata));
            }
        }
        Ok(())
    }
}

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

/// The definitions of a file; none if it is not there.
fn read_file(path: &Path, stamp: &Stamp) -> Result<Option<Vec<Definition>>, Error> {
    let file = path.display().to_string();
    let error = |line, column, reason| Error { file: file.clone(), line, column, reason };
    let most = u64::try_from(LARGEST_TEXT).unwrap_or(u64::MAX);
    if stamp.length > most {
        return Err(error(1, 1, "it is larger than 4 MiB".to_owned()));
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(of) if of.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(of) => return Err(error(1, 1, format!("it cannot be read: {of}"))),
    }
    let text = std::str::from_utf8(&bytes).map_err(|of| {
        let right = String::from_utf8_lossy(&bytes[..of.valid_up_to()]);
        let (lines, last) = (right.matches('\n').count(), right.rsplit('\n').next().unwrap_or_default());
        let place = |count| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        error(place(lines), place(last.chars().count()), "it is not in UTF-8".to_owned())
    })?;
    Definition::from_xml(&file, text).map(Some)
}

/// Files; the registry has about 330, and half as many older versions.
const MOST_FILES: usize = 4_096;
/// What lies in the folder and below, of whatever kind.
const MOST_ENTRIES: usize = 65_536;
/// Folders within folders. Symbolic links may make circles.
const DEEPEST: usize = 8;
#[cfg(test)]
mod tests;
