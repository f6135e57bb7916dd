//! How fast datagrams may come: from one source, and from all.
//!
//! A shard asks before anything else is done with a datagram, so that what is too much costs it next to nothing. Buckets of
//! tokens, kept as the time at which each is full again (the generic cell rate algorithm): one number for each source, in a
//! table of a fixed size.
//!
//! Who is known, that is registered or associated at its address, has a bucket of its own, by address and port: behind a
//! carrier's NAT thousands of devices have one address. Everybody else shares the bucket of the IP address (of IPv6, of its /64
//! network), since a port costs nothing.

use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHasher;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

/// Datagrams a second; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// From one source.
    pub source: Option<u32>,
    /// From all, at one shard.
    pub overall: Option<u32>,
}

/// Why a datagram is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Its source has sent too many.
    Source,
    /// All together have.
    Overall,
}

/// The buckets of one shard.
#[derive(Debug)]
pub(crate) struct RateLimit {
    source: Option<Sources>,
    overall: Option<(Rate, u64)>,
}

impl RateLimit {
    /// None if there is no limit.
    pub(crate) fn new(rates: Rates, entropy: &mut dyn Entropy) -> Option<Self> {
        // Or others could choose sources that share a bucket.
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        let seed = usize::from_ne_bytes(seed);
        let source = rates.source.map(|rate| Sources::new(Rate::new(rate), seed));
        let overall = rates.overall.map(|rate| (Rate::new(rate), 0));
        (source.is_some() || overall.is_some()).then_some(Self { source, overall })
    }

    /// Take a token for a datagram.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take(&mut self, now: Instant, from: SocketAddr, is_known: bool) -> Result<(), Excess> {
        let now = now.as_micros();
        if let Some(sources) = &mut self.source {
            let key = sources.key(from, is_known);
            let (rate, full) = sources.bucket(key);
            rate.take(full, now, rate.depth).map_err(|()| Excess::Source)?;
        }
        if let Some((rate, full)) = &mut self.overall {
            // The rest is for those who are known, so that strangers cannot crowd them out.
            let depth = if is_known { rate.depth } else { rate.depth / 2 };
            rate.take(full, now, depth).map_err(|()| Excess::Overall)?;
        }
        Ok(())
    }
}

/// How fast a bucket fills, and what it holds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Microseconds for a token, in 2^-10 parts.
    interval: u64,
    /// Time for all of them, microseconds.
    depth: u64,
}

impl Rate {
    fn new(per_second: u32) -> Self {
        Self { interval: (1_000_000 << FRACTION) / u64::from(per_second.max(1)), depth: DEPTH }
    }

    /// `full` is when the bucket is full again, in the same unit as the interval.
    fn take(&self, full: &mut u64, now: u64, depth: u64) -> Result<(), ()> {
        let start = (*full).max(now << FRACTION);
        let after = start + self.interval;
        // An empty bucket has always room for one, however slowly it fills.
        if after > (now << FRACTION) + (depth << FRACTION).max(self.interval) {
            return Err(());
        }
        *full = after;
        Ok(())
    }
}

/// Buckets by source.
#[derive(Debug)]
struct Sources {
    rate: Rate,
    seed: usize,
    /// What distinguishes the source, and when its bucket is full.
    sets: Box<[[(u64, u64); WAYS]]>,
}

impl Sources {
    fn new(rate: Rate, seed: usize) -> Self {
        let sets = vec![[(0, 0); WAYS]; SETS].into_boxed_slice();
        Self { rate, seed, sets }
    }

    fn key(&self, from: SocketAddr, is_known: bool) -> u64 {
        let mut hasher = FxHasher::with_seed(self.seed);
        match from.ip() {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) if is_known => hasher.write_u128(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u128(ip.to_bits() >> 64),
        }
        hasher.write_u32(if is_known { u32::from(from.port()) } else { STRANGER });
        hasher.finish()
    }

    /// The bucket of a source; a full one in the place of that which is fullest, if it has none.
    fn bucket(&mut self, key: u64) -> (Rate, &mut u64) {
        // The hash's upper bits are its best.
        let index = usize::try_from(key >> 32).unwrap_or_default() % SETS;
        let set = &mut self.sets[index];
        let way = set.iter().position(|(of, _)| *of == key).unwrap_or_else(|| {
            let fullest = (0..WAYS).min_by_key(|way| set[*way].1).unwrap_or_default();
            set[fullest] = (key, 0);
            fullest
        });
        (self.rate, &mut set[way].1)
    }
}

/// What a bucket holds: the tokens of so many microseconds.
const DEPTH: u64 = 2_000_000;
/// Bits behind the point.
const FRACTION: u32 = 10;
/// Buckets: 32,768 in half a megabyte.
const SETS: usize = 1 << 13;
const WAYS: usize = 4;
/// In the place of a port.
const STRANGER: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::super::entropy::SystemEntropy;
    use super::*;

    fn limit(source: u32, overall: u32) -> RateLimit {
        let some = |rate| Some(rate).filter(|rate| *rate > 0);
        RateLimit::new(Rates { source: some(source), overall: some(overall) }, &mut SystemEntropy::new())
            .unwrap()
    }

    fn from(host: u8, port: u16) -> SocketAddr {
        ([10, 0, 0, host], port).into()
    }

    /// How many of so many datagrams pass at this moment.
    fn passed(limit: &mut RateLimit, now: Instant, from: SocketAddr, is_known: bool, of: usize) -> usize {
        (0..of).filter(|_| limit.take(now, from, is_known).is_ok()).count()
    }

    /// As late as in a gateway, whose clock begins long after zero.
    fn start() -> Instant {
        Instant::from_micros(200 * 365 * 24 * 60 * 60 * 1_000_000)
    }

    #[test]
    fn without_limits_there_is_nothing_to_ask() {
        assert!(RateLimit::new(Rates::default(), &mut SystemEntropy::new()).is_none());
    }

    #[test]
    fn a_burst_of_two_seconds_passes_and_then_what_the_rate_allows() {
        let (mut limit, start) = (limit(100, 0), start());
        assert_eq!(passed(&mut limit, start, from(1, 1), true, 1_000), 200);
        assert_eq!(limit.take(start, from(1, 1), true), Err(Excess::Source));
        let later = start + Duration::from_secs(1);
        assert_eq!(passed(&mut limit, later, from(1, 1), true, 1_000), 100);
        let later = start + Duration::from_secs(100);
        assert_eq!(passed(&mut limit, later, from(1, 1), true, 1_000), 200);
    }

    #[test]
    fn known_devices_behind_one_address_do_not_share_and_strangers_do() {
        let (mut limit, start) = (limit(10, 0), start());
        for port in 1..100 {
            assert_eq!(passed(&mut limit, start, from(1, port), true, 30), 20);
        }
        let strangers: usize = (1..100).map(|port| passed(&mut limit, start, from(1, port), false, 30)).sum();
        assert_eq!(strangers, 20);
        assert_eq!(passed(&mut limit, start, from(2, 1), false, 30), 20);
        let network = |low: u128| (Ipv6Addr::from_bits((0x2001_0db8 << 96) | low), 5683).into();
        let strangers: usize = (0..100).map(|low| passed(&mut limit, start, network(low), false, 30)).sum();
        assert_eq!(strangers, 20, "whoever has a /64 has all of its addresses");
        assert_eq!(passed(&mut limit, start, network(1 << 64), false, 30), 20);
    }

    #[test]
    fn strangers_leave_half_of_the_overall_burst_to_those_who_are_known() {
        let (mut limit, start) = (limit(0, 1_000), start());
        assert_eq!(passed(&mut limit, start, from(1, 1), false, 10_000), 1_000);
        assert_eq!(limit.take(start, from(2, 2), false), Err(Excess::Overall));
        assert_eq!(passed(&mut limit, start, from(3, 3), true, 10_000), 1_000);
    }

    #[test]
    fn what_its_source_may_not_send_costs_the_others_nothing() {
        let (mut limit, start) = (limit(10, 1_000), start());
        assert_eq!(passed(&mut limit, start, from(1, 1), false, 100_000), 20);
        assert_eq!(
            (2..=49).map(|host| passed(&mut limit, start, from(host, 1), false, 20)).sum::<usize>(),
            48 * 20
        );
    }

    #[test]
    fn one_a_second_and_a_million_a_second_are_rates_too() {
        let (mut slow, mut fast, start) = (limit(1, 0), limit(1_000_000, 0), start());
        assert_eq!(passed(&mut slow, start, from(1, 1), true, 10), 2);
        assert_eq!(passed(&mut fast, start, from(1, 1), true, 2_100_000), 2_000_000);
        let mut slow = limit_overall_one();
        assert_eq!(passed(&mut slow, start, from(1, 1), false, 10), 1);
    }

    fn limit_overall_one() -> RateLimit {
        limit(0, 1)
    }

    #[test]
    fn more_sources_than_buckets_are_served_and_the_emptiest_buckets_stay() {
        let (mut limit, start) = (limit(1, 0), start());
        assert_eq!(passed(&mut limit, start, from(1, 1), true, 10), 2);
        for number in 0..200_000_u32 {
            let source = SocketAddr::from((std::net::Ipv4Addr::from_bits(0x0b00_0000 + number), 9));
            assert!(limit.take(start, source, true).is_ok());
        }
        assert_eq!(limit.take(start, from(1, 1), true), Err(Excess::Source));
    }
}
