//! What the fuzz target `association_feed` does: an exchange of a client with the endpoint, from its first ClientHello
//! on, in which the input says what becomes of each datagram of the client: mutated, cut, repeated, left out, from
//! elsewhere, or other bytes altogether.
//!
//! Whatever it is: nothing panics, nobody else is let in, nothing is received that was not said, or twice, and
//! afterwards a client at the same address is served as ever.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::client::profile::Profile;
use crate::network::identity::{psk, raw, x509};
use crate::network::{Network, address};

pub(crate) fn run(input: &[u8]) {
    let mut script = Script(input);
    let (profile, endpoint) = profile(script.byte());
    let mut network = Network::new();
    let mut client = Client::new(&profile, network.now);
    let mut history = Vec::new();
    let mut said = HashSet::new();
    for step in 0..MOST {
        if client.transmits.is_empty() {
            if client.is_established() {
                let data = vec![step, 0x55, step];
                client.send(&data);
                said.insert(data);
            } else {
                client.send_flight();
            }
        }
        for datagram in std::mem::take(&mut client.transmits) {
            history.push(datagram.clone());
            for (from, datagram) in script.fate(datagram, &history) {
                for answer in network.probe(from, &datagram) {
                    if answer.client == home() {
                        client.handle_datagram(network.now, &answer.payload);
                    }
                }
            }
        }
        if script.0.is_empty() {
            break;
        }
        network.run_for(Duration::from_millis(u64::from(script.byte())));
    }
    check(&network, &said, endpoint);
    drop(client);
    // Nothing of it is left but an association, if it came to that.
    network.run_for(Duration::from_secs(180));
    assert_eq!(network.endpoint.handshakes(), 0);
    let again = network.add_at(&profile, home());
    network.run();
    assert!(network.talks(again), "{:?}", network.clients[again].state);
    // The old one is replaced, unless its connection ID has been seen elsewhere.
    assert!(network.endpoint.len() == 1 || network.endpoint.counters().moved > 0);
    network.assert_nonces_unique();
}

fn check(network: &Network, said: &HashSet<Vec<u8>>, endpoint: &str) {
    for (_, principal, _) in network.established() {
        assert_eq!(&*principal.endpoint, endpoint);
    }
    let received = network.received();
    assert!(received.iter().all(|data| said.contains(data)), "{received:?}");
    assert_eq!(received.iter().collect::<HashSet<_>>().len(), received.len(), "twice: {received:?}");
}

fn profile(which: u8) -> (Profile, &'static str) {
    match which % 8 {
        0 => (psk(), "urn:dev:psk"),
        1 => (psk().with_connection_id(b"12345"), "urn:dev:psk"),
        2 => (psk().with_connection_id(&[]), "urn:dev:psk"),
        3 => (psk().with_suites("PSK-AES128-GCM-SHA256"), "urn:dev:psk"),
        4 => (psk().with_suites("PSK-AES128-CBC-SHA256"), "urn:dev:psk"),
        5 => (raw().with_connection_id(b"12345"), "urn:dev:raw"),
        6 => (x509().with_mtu(300), "urn:dev:x509"),
        _ => (x509(), "urn:dev:x509"),
    }
}

/// The rest of the input.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    /// 0 when there is nothing left: nothing happens to a datagram then.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    /// What is sent instead of a datagram, and from where.
    fn fate(&mut self, mut datagram: Vec<u8>, history: &[Vec<u8>]) -> Vec<(SocketAddr, Vec<u8>)> {
        let act = self.byte();
        let length = datagram.len().max(1);
        match act % 16 {
            1 => return Vec::new(),
            2 => return vec![(home(), datagram.clone()), (home(), datagram)],
            3 => datagram.truncate(self.number() % length),
            4 | 5 => {
                for _ in 0..=self.byte() % 4 {
                    let at = self.number() % length;
                    datagram[at] ^= self.byte();
                }
            }
            // In the headers, where it matters most.
            6 | 7 => {
                let at = usize::from(self.byte()) % length.min(40);
                datagram[at] = self.byte();
            }
            8 => {
                let at = self.number() % length;
                let more: Vec<u8> = (0..self.byte() % 40).map(|_| self.byte()).collect();
                datagram.splice(at..at, more);
            }
            9 => {
                let bytes: Vec<u8> = (0..self.byte()).map(|_| self.byte()).collect();
                return vec![(home(), bytes), (home(), datagram)];
            }
            10 | 11 => {
                let former = history[self.number() % history.len()].clone();
                return vec![(home(), former), (home(), datagram)];
            }
            12 => return vec![(address(2), datagram.clone()), (home(), datagram)],
            13 => {
                let former = history[self.number() % history.len()].clone();
                return vec![(home(), [datagram, former].concat())];
            }
            14 => {
                // The second half of one behind the first half of another.
                let former = &history[self.number() % history.len()];
                let at = self.number() % length;
                datagram.truncate(at);
                datagram.extend(former.iter().skip(at));
            }
            _ => {}
        }
        vec![(home(), datagram)]
    }
}

fn home() -> SocketAddr {
    address(1)
}

/// Steps of an exchange at most.
const MOST: u8 = 60;
