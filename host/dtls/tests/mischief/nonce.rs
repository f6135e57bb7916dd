//! No nonce twice with one key, whatever is lost, sent again, interrupted or begun anew: with GCM a single one would
//! give the key of the tags away.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_dtls::endpoint::Config;

use crate::client::profile::Profile;
use crate::network::identity::{credentials, psk, raw, x509};
use crate::network::{Network, fault};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Handshakes over a bad network, data both ways, restarts at any time with whatever of the latest state had been
    /// written by then, reboots, moves.
    #[test]
    fn in_any_life(seed: u64, kind in 0..6_usize, acts in prop::collection::vec(0..9_u8, 1..40)) {
        let profile = profiles()[kind].clone();
        let mut network = keeping();
        network.fault = Box::new(fault::by_chance(seed));
        let client = network.add(&profile);
        network.run_for(Duration::from_secs(100));
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                0 => network.restart(credentials()),
                1 => network.writes = false,
                2 => {
                    network.writes = true;
                    network.write();
                }
                3 => network.reboot(client, &profile),
                4 => network.move_to(client, crate::network::address(1000 + number)),
                5 => network.run_for(Duration::from_secs(31)),
                6 => network.keep_all(),
                _ => {}
            }
            if network.clients[client].keys.is_some() && network.clients[client].is_established() {
                network.say(client, b"from the client");
            }
            for association in network.store.keys().copied().collect::<Vec<_>>() {
                for _ in 0..5 {
                    network.tell(association, b"from the gateway");
                }
            }
            network.run_for(Duration::from_secs(2));
        }
        network.assert_nonces_unique();
    }
}

/// A gateway that is killed again and again, each time as soon as it has said something.
#[test]
fn killed_again_and_again() {
    for profile in profiles() {
        let mut network = keeping();
        let client = network.connect(&profile);
        let association = network.association(client);
        for _ in 0..50 {
            for _ in 0..3 {
                assert!(network.tell(association, b"from the gateway"));
            }
            network.restart(credentials());
        }
        network.settle();
        assert!(network.talks(client));
        assert!(network.assert_nonces_unique() >= 150);
    }
}

/// What was to be kept has not been written: the gateway sends on up to what is durable, and no further.
#[test]
fn nothing_is_sent_beyond_what_is_durable() {
    let mut network = keeping();
    let client = network.connect(&psk().with_suites("PSK-AES128-GCM-SHA256"));
    let association = network.association(client);
    network.captures_on = false;
    network.writes = false;
    let mut sent = 0_u64;
    while network.tell(association, b"data") {
        sent += 1;
        assert!(sent < 1 << 22, "it never stops");
        if sent.is_multiple_of(1024) {
            network.settle();
        }
    }
    network.settle();
    assert!(sent > 1000);
    assert!(!network.tell(association, b"data"));
    let unwritten = network.unwritten.len();
    assert!(unwritten >= 1, "the next bound was asked for in time");
    // The client is still heard meanwhile.
    network.say(client, b"heard");
    network.settle();
    assert_eq!(network.received(), [b"heard".to_vec()]);

    // Killed now, with the store as of the handshake: it goes on above all that was used.
    network.captures_on = true;
    let mut killed = keeping();
    killed.store = network.store.clone();
    killed.restart(credentials());
    let highest = network.clients[client].received.len() as u64;
    assert_eq!(highest, sent);
    assert!(killed.tell(association, b"first"));
    let first = &killed.captures.last().unwrap().payload;
    let number = crate::client::wire::Record::all(first, 0)[0].sequence;
    assert!(number >= sent, "{number} after {sent}");

    // Or else the disk is well again, and it sends on.
    network.writes = true;
    network.write();
    assert!(network.talks(client));
}

/// Between a restart and its first durable bound nothing is sent.
#[test]
fn a_restored_association_is_silent_until_its_bound_is_durable() {
    let mut network = keeping();
    let client = network.connect(&psk());
    let association = network.association(client);
    network.writes = false;
    network.restart(credentials());
    assert_eq!(network.endpoint.len(), 1);
    assert!(!network.tell(association, b"data"));
    // Not even an answer to close_notify, were it not durable; killed here, the same numbers would come again.
    network.write();
    assert!(network.tell(association, b"data"));
    network.settle();
    network.restart(credentials());
    network.write();
    assert!(network.tell(association, b"data"));
    network.settle();
    assert_eq!(network.clients[client].received.len(), 2);
    network.assert_nonces_unique();
}

/// An alert of a gateway that is about to be killed takes a number as everything else does.
#[test]
fn alerts_and_repeated_flights_have_numbers_of_their_own() {
    for profile in profiles() {
        let mut network = keeping();
        let client = network.connect(&profile);
        for _ in 0..20 {
            let finished: Vec<_> = network.clients[client].flight.clone();
            for records in finished {
                for record in records {
                    let datagram = network.clients[client].number(&record).encode();
                    network.inject(network.addresses[client], &datagram);
                }
            }
            let hello = network.clients[client].seal(22, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            network.inject(network.addresses[client], &hello);
            network.run_for(Duration::from_millis(300));
        }
        assert!(network.talks(client));
        network.clients[client].close();
        network.collect(client);
        network.run();
        assert!(network.assert_nonces_unique() >= 20);
    }
}

fn keeping() -> Network {
    Network::with(Config { keep: true, ..Config::default() }, credentials())
}

fn profiles() -> [Profile; 6] {
    [
        psk(),
        psk().with_suites("PSK-AES128-GCM-SHA256").with_connection_id(b"12345"),
        x509().with_suites("ECDHE-ECDSA-AES128-GCM-SHA256"),
        x509().with_connection_id(&[9; 32]),
        raw().with_suites("ECDHE-ECDSA-AES128-CCM"),
        raw().with_connection_id(&[]),
    ]
}
