//! The log of one lane on the disk: a folder of segments, each a file of records ([`entry`]) that is named
//! after the number of its first publication.
//!
//! 1. [`Appender`] writes at the end. What [`flush`](Appender::flush) has written survives a crash of the gateway;
//!    a crash of the machine it survives once the file was synced, see `keeper`;
//! 2. [`Reader`] reads what is no longer in memory, from any number on;
//! 3. a segment whose publications are all done is removed by `keeper`, which also writes the [`Position`]: the number of
//!    the first publication that is not done.
//!
//! After a crash [`recover`] finds where the log ends. A record that is only half there is the end of it: it was never
//! acknowledged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::{self, Unreadable};
use crate::mqtt::Publication;

/// A file of a log.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The number of its first publication.
    pub(super) first: u64,
    /// The bytes of all records of the lane before it.
    pub(super) offset: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
}

/// The end of a log that grows.
#[derive(Debug)]
pub(super) struct Appender {
    directory: PathBuf,
    /// None before the first record, and after a failure: the next record begins a new one.
    segment: Option<Segment>,
    /// Bytes that the segment has on the disk.
    length: u64,
    buffer: Vec<u8>,
}

impl Appender {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, segment: None, length: 0, buffer: Vec::new() }
    }

    /// Puts a publication behind the others, to be written by the next flush. Says how many bytes its record has.
    pub(super) fn append(&mut self, number: u64, publication: &Publication) -> u64 {
        entry::write(&mut self.buffer, number, publication)
    }

    /// Writes what was appended since the last flush, the first of it with this number and after so many bytes of all
    /// records. If that begins a new segment, it comes back.
    ///
    /// # Errors
    /// Nothing of it is on the disk; what was flushed before is. The next flush begins a new segment.
    pub(super) fn flush(&mut self, first: u64, offset: u64) -> io::Result<Option<Segment>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let written = self.write(first, offset);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER);
        if written.is_err() {
            self.give_up();
        }
        written
    }

    fn write(&mut self, first: u64, offset: u64) -> io::Result<Option<Segment>> {
        let segment = self.segment.take_if(|_| self.length < SEGMENT);
        let is_new = segment.is_none();
        let segment = match segment {
            Some(segment) => segment,
            None => self.begin(first, offset)?,
        };
        let segment = self.segment.insert(segment);
        (&*segment.file).write_all(&self.buffer)?;
        self.length += self.buffer.len() as u64;
        Ok(is_new.then(|| segment.clone()))
    }

    fn begin(&mut self, first: u64, offset: u64) -> io::Result<Segment> {
        self.length = 0;
        let path = self.directory.join(format!("{first:020}.{EXTENSION}"));
        // Written at its end, so that after a failure nothing is left of it.
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        file.set_len(0)?;
        Ok(Segment { first, offset, path, file: Arc::new(file) })
    }

    /// The next record begins a new segment.
    #[cfg(test)]
    pub(super) fn abandon(&mut self) {
        self.segment = None;
    }

    /// What could not be written whole is cut off again, so that the segment ends with a whole record.
    fn give_up(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        if self.length == 0 {
            let _ = fs::remove_file(&segment.path);
        } else {
            let _ = segment.file.set_len(self.length);
        }
    }
}

/// Reads a log from some number on.
#[derive(Debug, Default)]
pub(super) struct Reader {
    at: Option<Cursor>,
    /// What was read last, of which segment and from where in it.
    chunk: Vec<u8>,
    chunk_segment: u64,
    chunk_place: u64,
}

#[derive(Debug)]
struct Cursor {
    number: u64,
    segment: Segment,
    /// Where the record of this number begins in the file.
    place: u64,
}

/// What was found where a publication should be.
#[derive(Debug)]
pub(super) enum Found {
    /// It, and the bytes of all records up to its end.
    Publication(Publication, u64),
    /// Nothing that can be read, up to this number.
    Hole(u64),
}

impl Reader {
    /// Reads the publication with this number; `segments` are those that there are, in their order.
    pub(super) fn read(&mut self, number: u64, segments: &[Segment]) -> Found {
        let next = |segments: &[Segment]| {
            segments.iter().find(|segment| segment.first > number).map_or(u64::MAX, |segment| segment.first)
        };
        let mut cursor = match self.at.take() {
            Some(cursor) if cursor.number == number && next(segments) > number => cursor,
            _ => match segments.iter().rev().find(|segment| segment.first <= number) {
                Some(segment) => Cursor { number: segment.first, segment: segment.clone(), place: 0 },
                None => return Found::Hole(next(segments)),
            },
        };
        // A cursor at the end of one segment goes on in the one that begins with its number.
        if let Some(segment) = segments.iter().find(|segment| segment.first == cursor.number)
            && segment.first != cursor.segment.first
        {
            cursor = Cursor { number: cursor.number, segment: segment.clone(), place: 0 };
        }
        loop {
            let Ok((publication, length)) = self.record(&cursor) else { return Found::Hole(next(segments)) };
            cursor.place += length;
            cursor.number += 1;
            if cursor.number > number {
                let end = cursor.segment.offset + cursor.place;
                self.at = Some(cursor);
                return Found::Publication(publication, end);
            }
        }
    }

    fn record(&mut self, cursor: &Cursor) -> Result<(Publication, u64), Unreadable> {
        // What is written never changes, so that what was read before is still true.
        if let Some(place) = cursor.place.checked_sub(self.chunk_place)
            && self.chunk_segment == cursor.segment.first
            && let Some(bytes) = usize::try_from(place).ok().and_then(|place| self.chunk.get(place..))
            && let record @ (Ok(_) | Err(Unreadable::Damaged)) = entry::read(bytes, cursor.number)
        {
            return record;
        }
        (self.chunk_segment, self.chunk_place) = (cursor.segment.first, cursor.place);
        let mut wanted = CHUNK;
        loop {
            self.chunk.resize(wanted, 0);
            let read = read_at(&cursor.segment.file, &mut self.chunk, cursor.place);
            self.chunk.truncate(read.map_err(|_| Unreadable::Damaged)?);
            match entry::read(&self.chunk, cursor.number) {
                Err(Unreadable::Short) if self.chunk.len() == wanted => wanted *= 4,
                record => {
                    if self.chunk.capacity() > CHUNK {
                        self.chunk = Vec::new();
                    }
                    return record;
                }
            }
        }
    }
}

/// As much as there is.
fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], place + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// What is left of a log.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Its segments, in their order; none of them is written to again.
    pub(super) segments: Vec<Segment>,
    /// The number of the first publication that is not done.
    pub(super) done: u64,
    /// The bytes of all records before that.
    pub(super) done_offset: u64,
    /// The number of the next publication.
    pub(super) next: u64,
    /// The bytes of all records.
    pub(super) offset: u64,
    /// Segments of which a part could not be read.
    pub(super) damaged: usize,
}

/// Looks for what is left of the log in a folder, which need not exist.
///
/// # Errors
/// The folder or one of its files cannot be read. A damaged file is no error: what can be read of it is there.
pub(super) fn recover(directory: &Path) -> io::Result<Recovered> {
    let mut files = Vec::new();
    match fs::read_dir(directory) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                files.extend(number_of(&path).map(|number| (number, path)));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    files.sort();
    let position = Position::read(directory);
    let mut left =
        Recovered { segments: Vec::new(), done: 0, done_offset: 0, next: 0, offset: 0, damaged: 0 };
    left.next = position.unwrap_or_default().max(1);
    left.done = position.or_else(|| files.first().map(|(first, _)| *first)).unwrap_or(left.next);
    for (first, path) in files {
        left.add(first, path)?;
    }
    Ok(left)
}

impl Recovered {
    fn add(&mut self, first: u64, path: PathBuf) -> io::Result<()> {
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(&path)?);
        let segment = Segment { first, offset: self.offset, path, file };
        let (count, length, is_whole) = self.measure(&segment)?;
        self.damaged += usize::from(!is_whole);
        self.offset += length;
        self.next = self.next.max(first + count);
        self.segments.push(segment);
        Ok(())
    }

    /// How many records a segment has, and how many bytes; notes where the first publication is that is not done.
    fn measure(&mut self, segment: &Segment) -> io::Result<(u64, u64, bool)> {
        let mut reader = Reader::default();
        let size = segment.file.metadata()?.len();
        let mut cursor = Cursor { number: segment.first, segment: segment.clone(), place: 0 };
        while cursor.place < size {
            match reader.record(&cursor) {
                Ok((_, length)) => cursor.place += length,
                Err(_) => break,
            }
            cursor.number += 1;
            if cursor.number <= self.done {
                self.done_offset = segment.offset + cursor.place;
            }
        }
        Ok((cursor.number - segment.first, cursor.place, cursor.place == size))
    }
}

/// The file that says which publications of a lane are done.
#[derive(Debug)]
pub(super) struct Position {
    path: PathBuf,
    file: Option<File>,
}

impl Position {
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join(POSITION), file: None }
    }

    /// Notes that the publications before this number are done. Not synced: after a crash of the machine an older number may be
    /// there, and then some are published once more.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn write(&mut self, done: u64) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?
            }
        };
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&done.to_le_bytes());
        bytes[8..].copy_from_slice(&crc32fast::hash(&done.to_le_bytes()).to_le_bytes());
        file.write_all_at(&bytes, 0)?;
        self.file = Some(file);
        Ok(())
    }

    /// What was noted; none if nothing was, or nothing that can be read.
    fn read(directory: &Path) -> Option<u64> {
        let bytes = fs::read(directory.join(POSITION)).ok()?;
        let (done, checksum) = bytes.split_at_checked(8)?;
        let is_right = crc32fast::hash(done).to_le_bytes() == *checksum;
        is_right.then(|| done.try_into().ok().map(u64::from_le_bytes)).flatten()
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    (number.len() == 20).then(|| number.parse().ok())?
}

const EXTENSION: &str = "log";
const POSITION: &str = "position";
/// A segment that has grown so far is followed by another one. Full ones are removed whole, so that a smaller one frees room
/// sooner.
pub(super) const SEGMENT: u64 = 4 << 20;
/// What is kept of the memory of a flush.
const BUFFER: usize = 256 << 10;
/// How much is read at a time, at first.
const CHUNK: usize = 64 << 10;
