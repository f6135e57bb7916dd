//! Associations end with close_notify and with fatal alerts, and with nothing that is not authenticated.

use std::time::Duration;

use tidegate_dtls::endpoint::End;

use crate::client::State;
use crate::client::profile::Profile;
use crate::client::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CLIENT_HELLO, Fragment, HANDSHAKE};
use crate::network::identity::{credentials, psk, raw, x509};
use crate::network::{Network, address};

#[test]
fn close_notify_is_answered_and_ends_the_association() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let association = network.association(client);
        let closing = network.clients[client].seal(ALERT, &[1, 0]);
        let answers = network.probe(address(client), &closing);
        assert_eq!(network.ended(), [(association, End::Closed)]);
        assert!(network.endpoint.is_empty());
        assert_eq!(answers.len(), 1);
        network.clients[client].handle_datagram(network.now, &answers[0].payload);
        assert_eq!(network.clients[client].alerts, [[1, 0]]);
        // After that there is nobody.
        assert!(!network.tell(association, b"data"));
        let after = network.clients[client].seal(APPLICATION_DATA, b"data");
        assert!(network.probe(address(client), &after).is_empty());
        assert!(network.received().is_empty());
        network.assert_nonces_unique();
    }
}

#[test]
fn a_fatal_alert_ends_the_association() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let association = network.association(client);
        let alert = network.clients[client].seal(ALERT, &[2, 80]);
        assert!(network.probe(address(client), &alert).is_empty());
        assert_eq!(network.ended(), [(association, End::Alert(80))]);
        assert!(network.endpoint.is_empty());
        assert!(!network.tell(association, b"data"));
    }
}

#[test]
fn other_alerts_do_not_end_it() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    for alert in [&[1, 90][..], &[1, 100], &[], &[2], &[1, 0, 0], &[3, 40], &[255, 255]] {
        let datagram = network.clients[client].seal(ALERT, alert);
        network.inject(address(client), &datagram);
    }
    assert!(network.ended().is_empty());
    assert!(network.talks(client));
}

#[test]
fn a_renegotiation_is_declined() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let hello = Fragment::whole(CLIENT_HELLO, 0, &[7; 60]).encode();
        let datagram = network.clients[client].seal(HANDSHAKE, &hello);
        for answer in network.probe(address(client), &datagram) {
            network.clients[client].handle_datagram(network.now, &answer.payload);
        }
        assert_eq!(network.clients[client].alerts, [[1, 100]]);
        for (content, data) in [(HANDSHAKE, &b"junk"[..]), (HANDSHAKE, &[]), (CHANGE_CIPHER_SPEC, &[1])] {
            let datagram = network.clients[client].seal(content, data);
            network.inject(address(client), &datagram);
        }
        assert!(network.ended().is_empty());
        assert!(network.talks(client));
    }
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn a_removed_credential_closes_and_says_so() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let other = network.connect(&raw());
    let association = network.association(client);
    network.renew(without_psk());
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.ended(), [(association, End::Revoked)]);
    assert!(!network.tell(association, b"data"));
    assert!(network.talks(other));
    assert_eq!(network.endpoint.len(), 1);
    assert_ne!(network.clients[client].state, State::Handshaking);
    // And again in, it is not let.
    let again = network.add(&psk());
    network.run();
    assert!(!network.clients[again].is_established());
}

#[test]
fn credentials_that_are_the_same_end_nothing() {
    let mut network = Network::new();
    let clients = all().map(|profile| network.connect(&profile));
    network.renew(credentials());
    assert!(network.ended().is_empty());
    for client in clients {
        assert!(network.talks(client));
    }
}

/// The credential goes while the handshake is under way.
#[test]
fn a_credential_removed_in_a_handshake_lets_nobody_in() {
    let mut network = Network::new();
    let mut client = network.half_open(&psk(), address(1));
    network.renew(without_psk());
    for datagram in std::mem::take(&mut client.transmits) {
        network.inject(address(1), &datagram);
    }
    network.run();
    let left = network.established().iter().map(|(association, ..)| *association).collect::<Vec<_>>();
    let ended = network.ended().iter().map(|(association, _)| *association).collect::<Vec<_>>();
    assert_eq!(left, ended);
    assert!(network.endpoint.is_empty());
}

fn without_psk() -> tidegate_dtls::credential::Credentials {
    let mut other = crate::network::identity::bare();
    let raw = crate::network::identity::identities().raw.public_key_to_der().unwrap();
    other.add_raw_public_key(&raw, "urn:dev:raw").unwrap();
    other
}

fn all() -> [Profile; 4] {
    [psk(), psk().with_connection_id(b"12345"), x509(), raw().with_connection_id(&[])]
}
