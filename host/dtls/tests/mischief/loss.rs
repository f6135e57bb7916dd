//! Every datagram of a handshake is lost, comes twice, or comes late: it must come about all the same, once.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_dtls::endpoint::Config;

use crate::client::profile::Profile;
use crate::network::Network;
use crate::network::fault::{self, Mishap};
use crate::network::identity::{credentials, psk, raw, x509};

#[test]
fn each_datagram_of_a_psk_handshake() {
    each_datagram(&psk());
}

#[test]
fn each_datagram_of_a_certificate_handshake() {
    each_datagram(&x509());
}

#[test]
fn each_datagram_of_a_raw_public_key_handshake() {
    each_datagram(&raw());
}

/// With suites whose records the gateway leaves to OpenSSL, which has to repeat its Finished message itself.
#[test]
fn each_datagram_of_a_handshake_that_stays_inside_openssl() {
    for profile in
        [psk().with_suites("PSK-AES128-CBC-SHA256"), raw().with_suites("ECDHE-ECDSA-AES128-SHA256")]
    {
        let way = Way { resumed: false, splits: false, mtu: 1232 };
        for (number, mishap) in singles(datagrams(&profile, way)) {
            comes_about(&profile, way, vec![(number, mishap)]);
        }
    }
}

#[test]
fn each_datagram_of_a_certificate_handshake_in_small_fragments() {
    let way = Way { resumed: false, splits: false, mtu: 300 };
    for profile in [x509().with_mtu(300), x509().with_mtu(300).with_connection_id(&[7; 5])] {
        for (number, mishap) in singles(datagrams(&profile, way)) {
            comes_about(&profile, way, vec![(number, mishap)]);
        }
    }
}

#[test]
fn each_two_datagrams_of_a_psk_handshake() {
    each_two_datagrams(&psk());
    each_two_datagrams(&psk().with_connection_id(&[]));
}

#[test]
fn each_two_datagrams_of_a_raw_public_key_handshake() {
    each_two_datagrams(&raw().with_connection_id(b"12345"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// One in five lost, one in ten twice, one in ten late; then the network is good again.
    #[test]
    fn by_chance(seed: u64, kind in 0..6_usize, resumed: bool, splits: bool) {
        let profile = [
            psk(),
            x509().with_mtu(300),
            raw(),
            psk().with_connection_id(b"12345"),
            x509().with_connection_id(&[]),
            raw().with_connection_id(&[9; 32]),
        ][kind].clone();
        let way = Way { resumed, splits, mtu: 1232 };
        let mut network = way.network();
        let profile = way.prepare(&mut network, &profile);
        network.fault = Box::new(fault::by_chance(seed));
        let before = network.established().len();
        let client = network.add(&profile);
        network.run_for(Duration::from_secs(600));
        network.fault = Box::new(fault::none);
        // Hard luck is allowed to the client, which gives up after ten times, and to the server, after a minute.
        if !network.clients[client].is_established() || network.established().len() == before {
            prop_assert!(network.endpoint.len() >= before);
            network.reboot(client, &profile);
            network.run();
        }
        prop_assert!(network.talks(client));
        network.assert_nonces_unique();
    }

    /// What is said over a bad network arrives at most once, unchanged, from whom it came.
    #[test]
    fn data_by_chance(seed: u64, with_id: bool) {
        let mut network = Network::new();
        let profile = if with_id { psk().with_connection_id(b"12345") } else { psk() };
        let client = network.connect(&profile);
        let association = network.association(client);
        network.fault = Box::new(fault::by_chance(seed));
        for number in 0..200_u8 {
            network.say(client, &[number; 40]);
            network.tell(association, &[number; 41]);
            network.run_for(Duration::from_millis(u64::from(number)));
        }
        network.run();
        let mut received = network.received();
        prop_assert!(received.len() > 100);
        prop_assert!(received.iter().all(|data| data.len() == 40 && data.iter().all(|byte| *byte == data[0])));
        received.sort();
        let all = received.len();
        received.dedup();
        prop_assert_eq!(received.len(), all);
        prop_assert!(network.clients[client].received.len() > 100);
        prop_assert!(network.assert_nonces_unique() >= 200);
    }
}

/// In what way a handshake goes.
#[derive(Clone, Copy, Debug)]
struct Way {
    resumed: bool,
    /// Each message in a datagram of its own.
    splits: bool,
    /// Of the server's handshake datagrams.
    mtu: u16,
}

impl Way {
    fn network(self) -> Network {
        let config = Config { mtu: self.mtu, ..Config::default() };
        let mut network = Network::with(config, credentials());
        network.splits = self.splits;
        network
    }

    /// The profile, with the session of an earlier handshake if it is to be resumed.
    fn prepare(self, network: &mut Network, profile: &Profile) -> Profile {
        if !self.resumed {
            return profile.clone();
        }
        let first = network.connect(profile);
        profile.clone().with_session(network.clients[first].session())
    }
}

fn each_datagram(profile: &Profile) {
    for profile in [profile.clone(), profile.clone().with_connection_id(b"12345")] {
        for resumed in [false, true] {
            for splits in [false, true] {
                let way = Way { resumed, splits, mtu: 1232 };
                for (number, mishap) in singles(datagrams(&profile, way)) {
                    comes_about(&profile, way, vec![(number, mishap)]);
                }
            }
        }
    }
}

fn each_two_datagrams(profile: &Profile) {
    for resumed in [false, true] {
        let way = Way { resumed, splits: false, mtu: 1232 };
        let singles = singles(datagrams(profile, way));
        for (at, first) in singles.iter().enumerate() {
            // A second mishap may befall what is sent because of the first one, so two beyond the end.
            for second in singles[at + 1..].iter().filter(|second| second.0 > first.0) {
                comes_about(profile, way, vec![*first, *second]);
            }
            comes_about(profile, way, vec![*first, (singles.len() / 3, Mishap::Lost)]);
            comes_about(profile, way, vec![*first, (singles.len() / 3 + 1, Mishap::Lost)]);
        }
    }
}

fn singles(datagrams: usize) -> Vec<(usize, Mishap)> {
    (0..datagrams).flat_map(|number| Mishap::ALL.map(|mishap| (number, mishap))).collect()
}

/// How many datagrams a handshake has without any mishap.
fn datagrams(profile: &Profile, way: Way) -> usize {
    let mut network = way.network();
    let profile = way.prepare(&mut network, profile);
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&counter);
    network.fault = Box::new(move |_: &fault::Passage<'_>| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        vec![Duration::ZERO]
    });
    network.connect(&profile);
    let count = counter.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count >= if way.resumed { 5 } else { 6 }, "{count}");
    count
}

/// The handshake ends well within the time that a few retransmissions take, and there is one association more.
fn comes_about(profile: &Profile, way: Way, mishaps: Vec<(usize, Mishap)>) {
    let what = format!("{way:?}, connection ID {:?}, {mishaps:?}", profile.connection_id);
    let mut network = way.network();
    let profile = way.prepare(&mut network, profile);
    let before = network.established().len();
    network.fault = Box::new(fault::at(mishaps));
    let client = network.add(&profile);
    let done = network.run_until(Duration::from_secs(50), |network| {
        network.clients[client].is_established() && network.established().len() > before
    });
    assert!(done, "{:?} after {what}", network.clients[client].state);
    network.run_for(Duration::from_secs(120));
    network.fault = Box::new(fault::none);
    assert_eq!(network.clients[client].is_resumed(), way.resumed, "{what}");
    assert_eq!(network.established().len(), before + 1, "{what}");
    assert_eq!((network.endpoint.len(), network.ended().len()), (before + 1, 0), "{what}");
    assert!(network.talks(client), "{what}");
    network.assert_nonces_unique();
}
