//! A record is heard once (RFC 6347 section 4.1.2.6).

use std::time::Duration;

use crate::client::profile::Profile;
use crate::client::wire::APPLICATION_DATA;
use crate::network::identity::{psk, raw};
use crate::network::{Network, address};

#[test]
fn every_record_of_a_conversation_replayed() {
    for profile in both() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        for number in 0..20_u8 {
            network.say(client, &[number]);
        }
        network.run_for(Duration::from_secs(1));
        assert_eq!(network.received().len(), 20);
        for capture in network.captures.clone().iter().filter(|capture| capture.to_server) {
            network.inject(address(0), &capture.payload);
        }
        assert_eq!(network.received().len(), 20);
        assert_eq!((network.established().len(), network.ended().len()), (1, 0));
        assert!(network.talks(client));
    }
}

#[test]
fn the_edges_of_the_window() {
    for profile in both() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let mut heard = |sequence: u64| {
            let before = network.received().len();
            let datagram = network.clients[client].seal_at(sequence, APPLICATION_DATA, b"data");
            network.inject(address(0), &datagram);
            network.received().len() - before
        };
        assert_eq!(heard(1000), 1);
        // 64 numbers, the newest included; within them each once, in any order.
        assert_eq!((heard(1000), heard(937), heard(937), heard(936)), (0, 1, 0, 0));
        for sequence in (938..1000).rev() {
            assert_eq!((heard(sequence), heard(sequence)), (1, 0), "{sequence}");
        }
        assert_eq!((heard(1001), heard(938), heard(937)), (1, 0, 0));
        // Far ahead: what was behind is too old.
        assert_eq!((heard(1065), heard(1002), heard(1001), heard(1064)), (1, 1, 0, 1));
        assert_eq!((heard(1 << 40), heard(1066), heard((1 << 40) - 63)), (1, 0, 1));
        // The last number that there is.
        let last = (1 << 48) - 1;
        assert_eq!((heard(last), heard(last), heard(last - 1), heard(last - 64)), (1, 0, 1, 0));
        assert!(network.ended().is_empty());
    }
}

#[test]
fn a_record_replayed_to_another_association() {
    let mut network = Network::new();
    let (one, other) = (network.connect(&psk()), network.connect(&raw()));
    let datagram = network.clients[one].seal(APPLICATION_DATA, b"data");
    network.inject(address(other), &datagram);
    assert!(network.received().is_empty());
    assert!(network.talks(one) && network.talks(other));
}

/// The whole of a handshake again, from the same address, and from another one.
#[test]
fn a_handshake_replayed() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    for at in [0, 7] {
        for capture in network.captures.clone().iter().filter(|capture| capture.to_server) {
            network.inject(address(at), &capture.payload);
            network.run_for(Duration::from_millis(100));
        }
        network.run_for(Duration::from_secs(120));
    }
    assert_eq!((network.established().len(), network.endpoint.len()), (1, 1));
    assert!(network.talks(client));
    network.assert_nonces_unique();
}

fn both() -> [Profile; 3] {
    [psk(), psk().with_connection_id(b"12345"), raw().with_connection_id(&[])]
}
