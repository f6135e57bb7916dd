//! The options of a message, in the order of their numbers: most have few and short ones, which take no memory of their own.

use std::fmt;

use smallvec::SmallVec;

use super::Reason;

/// Numbers and values, in the order in which they stand in a datagram.
#[derive(Clone, Default)]
pub(super) struct Options {
    entries: SmallVec<[Entry; 4]>,
    /// The values, in any order.
    bytes: SmallVec<[u8; 16]>,
}

#[derive(Clone, Copy)]
struct Entry {
    number: u16,
    /// Where its value begins in the bytes.
    start: u32,
    length: u16,
}

impl Options {
    /// Reads options and what follows them: the payload (RFC 7252 section 3.1).
    pub(super) fn parse(mut rest: &[u8]) -> Result<(Self, &[u8]), Reason> {
        let mut options = Self::default();
        let mut number = 0_u32;
        while let [head, tail @ ..] = rest {
            if *head == PAYLOAD_MARKER {
                return if tail.is_empty() { Err(Reason::Payload) } else { Ok((options, tail)) };
            }
            let (delta, tail) = extended(head >> 4, tail).ok_or(Reason::Option)?;
            let (length, tail) = extended(head & 0x0F, tail).ok_or(Reason::Option)?;
            number += delta;
            let (value, tail) = tail.split_at_checked(length as usize).ok_or(Reason::Option)?;
            let number = u16::try_from(number).map_err(|_| Reason::Option)?;
            options.put(options.entries.len(), number, value);
            rest = tail;
        }
        Ok((options, &[]))
    }

    /// Puts one behind those of its number and below.
    pub(super) fn insert(&mut self, number: u16, value: &[u8]) {
        let at = self.entries.iter().rposition(|entry| entry.number <= number).map_or(0, |last| last + 1);
        self.put(at, number, value);
    }

    /// Takes out all of a number.
    pub(super) fn remove(&mut self, number: u16) {
        self.entries.retain(|entry| entry.number != number);
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.entries.iter().map(|entry| (entry.number, self.value(*entry)))
    }

    /// The values of a number, in order.
    pub(super) fn values(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(of, _)| *of == number).map(|(_, value)| value)
    }

    fn put(&mut self, at: usize, number: u16, value: &[u8]) {
        // A datagram has less than 64 KiB: of what would be longer nothing is left.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let length = u16::try_from(value.len()).unwrap_or(0);
        self.bytes.extend_from_slice(&value[..usize::from(length)]);
        self.entries.insert(at, Entry { number, start, length });
    }

    fn value(&self, entry: Entry) -> &[u8] {
        let start = entry.start as usize;
        self.bytes.get(start..start + usize::from(entry.length)).unwrap_or_default()
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// An option delta or length: a nibble and the bytes that extend it (RFC 7252 section 3.1).
fn extended(nibble: u8, rest: &[u8]) -> Option<(u32, &[u8])> {
    match (nibble, rest) {
        (13, [byte, rest @ ..]) => Some((u32::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => Some((u32::from(u16::from_be_bytes([*high, *low])) + 269, rest)),
        (0..=12, rest) => Some((u32::from(nibble), rest)),
        _ => None,
    }
}

/// Stands between options and payload.
const PAYLOAD_MARKER: u8 = 0xFF;
