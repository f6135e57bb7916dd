//! What one caller has counted about its slot. Written by one thread only, so that nothing on the way of a notification is
//! shared between shards; added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Outcome;

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// An event of a client.
    Uplink,
    /// An MQTT message.
    Downlink,
}

impl Direction {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Uplink, Self::Downlink];

    /// The value of the metrics' label `direction`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Downlink => "downlink",
        }
    }
}

/// A counter of one thread's own.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    /// Not one instruction that locks anything: nobody else writes.
    fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    fn raise(&self, to: u64) {
        if self.0.load(Ordering::Relaxed) < to {
            self.0.store(to, Ordering::Relaxed);
        }
    }

    fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One caller's counters. Aligned so that no two callers write to the same cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    calls: [[Count; Outcome::ALL.len()]; Direction::ALL.len()],
    time: Histogram,
    fuel: Histogram,
    /// Bytes of the largest instance.
    memory: Count,
    instances: Count,
    /// Events that are held now.
    held: Count,
    /// Events that were held and found no room any more.
    fallen: Count,
}

/// How many were below each bound, and their sum.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [Count; BUCKETS + 1],
    sum: Count,
}

impl Histogram {
    fn add(&self, bounds: &[u64; BUCKETS], value: u64) {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(BUCKETS);
        self.buckets[bucket].add(1);
        self.sum.add(value);
    }
}

impl Tally {
    /// A call has ended. `fuel` is none if there was no instance to call.
    pub(super) fn record(&self, direction: Direction, outcome: Outcome, time: Duration, fuel: Option<u64>) {
        self.calls[direction as usize][outcome as usize].add(1);
        if let Some(fuel) = fuel {
            self.fuel.add(&FUEL_BOUNDS, fuel);
            self.time.add(&TIME_BOUNDS, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// So many events are held now, and so many more have fallen out.
    pub(super) fn hold(&self, held: usize, fallen: u64) {
        self.held.set(held as u64);
        self.fallen.add(fallen);
    }

    /// An instance has been made.
    pub(super) fn started(&self) {
        self.instances.add(1);
    }

    /// An instance has so many bytes of memory.
    pub(super) fn measured(&self, memory: usize) {
        self.memory.raise(memory as u64);
    }
}

/// The tallies of all callers, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    calls: [[u64; Outcome::ALL.len()]; Direction::ALL.len()],
    /// Time of calls, in nanoseconds.
    pub time: Distribution,
    /// Units of fuel.
    pub fuel: Distribution,
    /// Bytes of the largest instance that there was.
    pub memory: u64,
    /// Instances made.
    pub instances: u64,
    /// Events held.
    pub held: u64,
    /// Events that were held and found no room any more.
    pub fallen: u64,
}

/// A histogram, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many were in each bucket; the last has no bound.
    pub buckets: [u64; BUCKETS + 1],
    /// The sum of all.
    pub sum: u64,
}

impl Totals {
    /// How many calls ended like this.
    pub fn calls(&self, direction: Direction, outcome: Outcome) -> u64 {
        self.calls[direction as usize][outcome as usize]
    }

    pub(super) fn add(&mut self, tally: &Tally) {
        for (totals, counts) in self.calls.iter_mut().zip(&tally.calls) {
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count.get());
        }
        self.time.add(&tally.time);
        self.fuel.add(&tally.fuel);
        self.memory = self.memory.max(tally.memory.get());
        self.instances += tally.instances.get();
        self.held += tally.held.get();
        self.fallen += tally.fallen.get();
    }
}

impl Distribution {
    fn add(&mut self, histogram: &Histogram) {
        self.buckets.iter_mut().zip(&histogram.buckets).for_each(|(total, count)| *total += count.get());
        self.sum = self.sum.wrapping_add(histogram.sum.get());
    }
}

/// Bounds of a histogram.
pub const BUCKETS: usize = 12;
/// Nanoseconds: 2 µs to 500 ms.
pub const TIME_BOUNDS: [u64; BUCKETS] = [
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    20_000_000,
    100_000_000,
    500_000_000,
];
/// Units of fuel.
pub const FUEL_BOUNDS: [u64; BUCKETS] = [
    1_000,
    3_000,
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tallies_of_two_callers_add_up() {
        let (one, two) = (Tally::default(), Tally::default());
        one.record(Direction::Uplink, Outcome::Ok, Duration::from_micros(3), Some(900));
        one.record(Direction::Uplink, Outcome::Unavailable, Duration::ZERO, None);
        two.record(Direction::Uplink, Outcome::Ok, Duration::from_secs(1), Some(200_000_000));
        two.record(Direction::Downlink, Outcome::Trap, Duration::from_micros(5), Some(1_001));
        one.measured(10);
        two.measured(7);
        one.started();
        let mut totals = Totals::default();
        totals.add(&one);
        totals.add(&two);
        assert_eq!(totals.calls(Direction::Uplink, Outcome::Ok), 2);
        assert_eq!(totals.calls(Direction::Downlink, Outcome::Trap), 1);
        assert_eq!(totals.calls(Direction::Uplink, Outcome::Unavailable), 1);
        assert_eq!((totals.time.buckets[1], totals.time.buckets[BUCKETS]), (2, 1));
        assert_eq!((totals.fuel.buckets[0], totals.fuel.buckets[1], totals.fuel.buckets[BUCKETS]), (1, 1, 1));
        assert_eq!((totals.memory, totals.instances, totals.fuel.sum), (10, 1, 200_001_901));
    }
}
