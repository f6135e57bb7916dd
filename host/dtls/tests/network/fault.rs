//! What becomes of datagrams on their way.

use std::time::Duration;

/// A datagram on its way.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    pub(crate) to_server: bool,
    pub(crate) payload: &'a [u8],
}

/// Decides what becomes of each datagram.
pub(crate) trait Fault {
    /// By how much each copy that arrives is late. None: it is lost.
    fn copies(&mut self, passage: &Passage<'_>) -> Vec<Duration>;
}

impl<F: FnMut(&Passage<'_>) -> Vec<Duration>> Fault for F {
    fn copies(&mut self, passage: &Passage<'_>) -> Vec<Duration> {
        self(passage)
    }
}

/// Everything arrives, in order.
pub(crate) fn none(_: &Passage<'_>) -> Vec<Duration> {
    vec![Duration::ZERO]
}

/// What befalls one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    Lost,
    Twice,
    /// After those that were sent behind it.
    Late,
}

impl Mishap {
    pub(crate) const ALL: [Self; 3] = [Self::Lost, Self::Twice, Self::Late];

    fn copies(self) -> Vec<Duration> {
        match self {
            Self::Lost => Vec::new(),
            Self::Twice => vec![Duration::ZERO, Duration::from_millis(1)],
            Self::Late => vec![Duration::from_millis(500)],
        }
    }
}

/// Mishaps for the datagrams of these numbers, counted from 0 over both directions.
pub(crate) fn at(mishaps: Vec<(usize, Mishap)>) -> impl Fault {
    let mut next = 0;
    move |_: &Passage<'_>| {
        let of = mishaps.iter().find(|(number, _)| *number == next);
        next += 1;
        of.map_or_else(|| vec![Duration::ZERO], |(_, mishap)| mishap.copies())
    }
}

/// One in five is lost, one in ten comes twice, one in ten is late, by chance.
pub(crate) fn by_chance(seed: u64) -> impl Fault {
    let mut chance = Chance(seed);
    move |_: &Passage<'_>| {
        let late = |chance: &mut Chance| match chance.below(10) {
            0 => Duration::from_millis(chance.below(900)),
            _ => Duration::ZERO,
        };
        match chance.below(10) {
            0 | 1 => Vec::new(),
            2 => vec![late(&mut chance), late(&mut chance)],
            _ => vec![late(&mut chance)],
        }
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
