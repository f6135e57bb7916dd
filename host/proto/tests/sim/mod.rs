//! A network that loses, repeats, delays and reorders datagrams, with a clock of its own and a seed.

#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tidegate_proto::coap::endpoint::{Config, Endpoint, Event, Output};
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::time::Instant;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.next() as u8);
    }
}

pub fn peer(number: u16) -> Peer {
    Peer::plain(([127, 0, 0, 1], number).into())
}

pub fn endpoint(seed: u64) -> Endpoint {
    // Two hundred requests go to one peer at a time here.
    let config = Config { transfers_per_peer: 1 << 10, download_bytes_per_peer: 64 << 20, ..Config::new(7) };
    Endpoint::new(config, Box::new(Seeded(seed)))
}

pub fn drain(endpoint: &mut Endpoint) -> (Vec<Vec<u8>>, Vec<Event>, Option<Instant>) {
    let (mut datagrams, mut events) = (Vec::new(), Vec::new());
    loop {
        match endpoint.poll_output() {
            Output::Transmit(transmit) => datagrams.push(transmit.payload),
            Output::Event(event) => events.push(event),
            Output::Timeout(at) => return (datagrams, events, at),
        }
    }
}

/// What a network does to datagrams, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Mischief {
    pub loss: u64,
    pub duplication: u64,
    /// Delay of a datagram: up to so long, so that later ones overtake it.
    pub latency: Duration,
}

/// Arrival, order of departure, side and bytes of a datagram on its way.
type Flight = (Instant, u64, usize, Vec<u8>);

/// Two endpoints on a network.
#[derive(Debug)]
pub struct Pair {
    pub now: Instant,
    pub sides: [Endpoint; 2],
    pub mischief: Mischief,
    chance: Seeded,
    flying: BinaryHeap<Reverse<Flight>>,
    timeouts: [Option<Instant>; 2],
    launched: u64,
}

impl Pair {
    pub fn new(seed: u64, mischief: Mischief) -> Self {
        Self {
            now: Instant::from_micros(1_000_000_000),
            sides: [endpoint(seed), endpoint(seed + 1)],
            mischief,
            chance: Seeded(seed + 2),
            flying: BinaryHeap::new(),
            timeouts: [None; 2],
            launched: 0,
        }
    }

    /// Puts a datagram on the network, to a side from the other.
    pub fn launch(&mut self, to: usize, datagram: &[u8]) {
        let copies = 1 + u64::from(self.chance.percent(self.mischief.duplication));
        for _ in 0..copies {
            if self.chance.percent(self.mischief.loss) {
                continue;
            }
            let latest =
                u64::try_from(self.mischief.latency.as_micros()).expect("a latency of seconds").max(1);
            let at = self.now + Duration::from_micros(self.chance.below(latest));
            self.launched += 1;
            self.flying.push(Reverse((at, self.launched, to, datagram.to_vec())));
        }
    }

    /// Lets both sides say what they have to say; their events go to the closure.
    pub fn settle(&mut self, mut react: impl FnMut(usize, &mut Endpoint, Instant, Event)) {
        let mut quiet = 0;
        while quiet < 2 {
            quiet = 0;
            for side in 0..2 {
                let (datagrams, events, timeout) = drain(&mut self.sides[side]);
                self.timeouts[side] = timeout;
                quiet += usize::from(datagrams.is_empty() && events.is_empty());
                datagrams.iter().for_each(|datagram| self.launch(1 - side, datagram));
                for event in events {
                    react(side, &mut self.sides[side], self.now, event);
                }
            }
        }
    }

    /// Jumps to when something happens next, and lets it happen. False if nothing will.
    pub fn step(&mut self) -> bool {
        let arrival = self.flying.peek().map(|Reverse((at, ..))| *at);
        let Some(next) = [arrival, self.timeouts[0], self.timeouts[1]].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(Reverse((at, _, to, datagram))) = self.flying.peek().cloned()
            && at <= self.now
        {
            self.flying.pop();
            self.sides[to].handle_datagram(self.now, peer(1 - to as u16), &datagram);
        }
        for side in &mut self.sides {
            side.handle_timeout(self.now);
        }
        true
    }
}
