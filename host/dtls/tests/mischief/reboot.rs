//! A device starts anew at the address of its old association (RFC 6347 section 4.2.8), or somebody pretends to.

use std::time::Duration;

use tidegate_dtls::endpoint::End;

use crate::client::Client;
use crate::client::profile::Profile;
use crate::network::identity::{PSK, psk, raw, x509};
use crate::network::{Network, address};

#[test]
fn an_unfinished_handshake_leaves_the_old_association() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        network.half_open(&psk(), address(client));
        assert!(network.talks(client));
        network.run_for(Duration::from_secs(120));
        assert!(network.talks(client));
        assert_eq!((network.endpoint.len(), network.ended().len()), (1, 0));
        assert_eq!(network.endpoint.handshakes(), 0);
    }
}

#[test]
fn a_finished_handshake_replaces_it() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let old = network.association(client);
        let stale = network.clients[client].seal(23, b"stale");
        network.reboot(client, &profile);
        network.run();
        let new = network.association(client);
        assert_ne!(old, new);
        assert_eq!(network.ended(), [(old, End::Replaced)]);
        assert_eq!(network.endpoint.len(), 1);
        network.inject(address(client), &stale);
        assert!(network.received().is_empty());
        assert!(!network.tell(old, b"data"));
        assert!(network.talks(client));
        network.assert_nonces_unique();
    }
}

#[test]
fn a_reboot_that_resumes_replaces_it() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let old = network.association(client);
        let resuming = profile.clone().with_session(network.clients[client].session());
        network.reboot(client, &resuming);
        network.run();
        assert!(network.clients[client].is_resumed());
        assert_eq!(network.ended(), [(old, End::Replaced)]);
        assert!(network.talks(client));
    }
}

#[test]
fn a_wrong_key_at_the_address_does_not_end_it() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let mut thief = network.half_open(&Profile::psk(PSK.0, b"not the real key"), address(client));
        for datagram in std::mem::take(&mut thief.transmits) {
            network.inject(address(client), &datagram);
        }
        assert!(network.talks(client));
        network.run_for(Duration::from_secs(120));
        assert!(network.talks(client));
        assert_eq!((network.established().len(), network.ended().len()), (1, 0));
    }
}

/// Hellos of many devices, or of one that starts again and again, from one address (the class of CVE-2026-55950).
#[test]
fn a_storm_of_hellos_at_the_address_does_not_end_it() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    for round in 0..100 {
        let hello = super::cookie::verified(&mut network, address(client));
        network.probe(address(client), &hello.datagram(1, 1 + round % 3));
        assert!(network.endpoint.handshakes() <= 1);
    }
    assert!(network.talks(client));
    network.reboot(client, &psk());
    network.run();
    assert!(network.talks(client));
    assert_eq!(network.endpoint.len(), 1);
}

/// A device that starts anew while it shakes hands: what it sent before comes late, or even first.
#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn two_handshakes_at_once() {
    for late in [true, false] {
        let mut network = Network::new();
        let mut one = network.half_open(&psk(), address(1));
        let mut other = network.half_open(&raw(), address(1));
        let order = if late { [&mut other, &mut one] } else { [&mut one, &mut other] };
        for client in order {
            for datagram in std::mem::take(&mut client.transmits) {
                network.inject(address(1), &datagram);
            }
        }
        // Messages of the one in the midst of the other may end it, but nobody is let in by that.
        let established = network.established();
        assert!(established.len() == 1 || !late && established.is_empty());
        assert!(established.iter().all(|(_, principal, _)| &*principal.endpoint == "urn:dev:raw"));
        network.settle();
        let again = network.add_at(&raw(), address(1));
        network.run();
        assert!(network.talks(again));
        assert_eq!(network.endpoint.len(), 1);
    }
}

#[test]
fn the_last_hello_again_changes_nothing() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let hellos: Vec<_> =
        network.captures.iter().filter(|capture| capture.to_server).take(2).cloned().collect();
    for _ in 0..3 {
        for hello in &hellos {
            network.inject(address(client), &hello.payload);
        }
    }
    assert!(network.talks(client));
    assert_eq!((network.endpoint.len(), network.ended().len()), (1, 0));
    assert_eq!(network.endpoint.handshakes(), 0);
}

#[test]
fn another_device_takes_the_address_over() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let old = network.association(client);
    network.reboot(client, &x509());
    network.run();
    assert_eq!(network.ended(), [(old, End::Replaced)]);
    assert_eq!(&*network.established()[1].1.endpoint, "urn:dev:x509");
    assert!(network.talks(client));
}

/// While the new handshake goes on the old association takes part as ever, in all ways.
#[test]
fn the_old_association_works_at_every_step_of_the_new_handshake() {
    for profile in [psk(), psk().with_connection_id(b"12345")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let mut new = Client::new(&x509(), network.now);
        for _ in 0..3 {
            for datagram in std::mem::take(&mut new.transmits) {
                assert!(network.talks(client));
                for answer in network.probe(address(client), &datagram) {
                    new.handle_datagram(network.now, &answer.payload);
                }
            }
        }
        assert!(new.is_established());
        assert_eq!(network.ended().len(), 1);
    }
}

fn all() -> [Profile; 4] {
    [psk(), x509(), raw().with_connection_id(b"12345"), psk().with_connection_id(&[])]
}
