//! The gateway is killed and started again: its clients notice nothing.

use std::time::Duration;

use tidegate_dtls::credential::Mode;
use tidegate_dtls::endpoint::{Config, End, remote_of_snapshot, shard_of_association};

use crate::client::profile::Profile;
use crate::client::wire::{ALERT, APPLICATION_DATA};
use crate::network::fault::Chance;
use crate::network::identity::{bare, credentials, identities, key_of, many, psk, raw, x509};
use crate::network::{Network, address, remote};

#[test]
fn clients_of_every_mode_go_on() {
    for profile in all() {
        let mut network = keeping();
        let client = network.connect(&profile);
        let (association, principal, summary) = network.established().remove(0);
        assert!(network.talks(client));
        network.restart(credentials());
        let (restored, same, how) = network.established().remove(0);
        assert_eq!((restored, same), (association, principal));
        assert_eq!(how.connection_id, summary.connection_id);
        let before = network.captures.len();
        assert!(network.talks(client));
        // No handshake: a record each way.
        assert_eq!(network.captures.len() - before, 2);
        assert_eq!(network.endpoint.len(), 1);
        network.assert_nonces_unique();
    }
}

#[test]
fn a_client_that_moved_meanwhile_goes_on_if_it_has_a_connection_id() {
    let mut network = keeping();
    let with = network.connect(&psk().with_connection_id(b"12345"));
    let without = network.connect(&raw());
    network.restart(credentials());
    network.move_to(with, address(100));
    network.move_to(without, address(101));
    assert!(network.talks(with));
    assert!(!network.talks(without));
}

#[test]
fn thousand_clients_go_on() {
    let credentials = many(1000);
    let mut network = Network::with(Config { keep: true, ..Config::default() }, credentials.clone());
    network.captures_on = false;
    let (plain, with_id) = (Profile::psk("", b""), Profile::psk("", b"").with_connection_id(b"12345"));
    let clients: Vec<_> = (0..1000)
        .map(|number| {
            let profile = if number % 2 == 0 { &plain } else { &with_id };
            network.add(&profile.for_psk(&format!("device-{number}"), &key_of(number)))
        })
        .collect();
    network.run_for(Duration::from_secs(10));
    assert_eq!((network.endpoint.len(), network.store.len()), (1000, 1000));
    network.restart(credentials);
    assert_eq!(network.established().len(), 1000);
    for client in &clients {
        network.say(*client, b"still there");
    }
    network.run_for(Duration::from_secs(10));
    assert_eq!(network.received().len(), 1000);
    let associations: Vec<_> = network.established().iter().map(|(association, ..)| *association).collect();
    for association in associations {
        assert!(network.tell(association, b"and here"));
    }
    network.run_for(Duration::from_secs(10));
    assert!(clients.iter().all(|client| network.clients[*client].received == [b"and here".to_vec()]));
    assert!(network.ended().is_empty());
}

#[test]
fn what_was_heard_before_is_not_heard_again() {
    for profile in [psk(), raw().with_connection_id(b"12345")] {
        let mut network = keeping();
        let client = network.connect(&profile);
        for number in 0..10_u8 {
            network.say(client, &[number]);
        }
        // Longer than the window is kept behind; a gateway that is stopped properly keeps it at once.
        network.run_for(Duration::from_secs(60));
        let said: Vec<_> = network
            .captures
            .iter()
            .filter(|capture| capture.to_server)
            .map(|of| of.payload.clone())
            .collect();
        network.restart(credentials());
        for datagram in said {
            network.inject(address(client), &datagram);
        }
        assert!(network.received().is_empty());
        assert!(network.talks(client));
    }
}

#[test]
fn a_proper_stop_keeps_what_was_heard_last() {
    let mut network = keeping();
    let client = network.connect(&psk());
    network.say(client, b"last");
    network.settle();
    let last = network.captures.last().unwrap().payload.clone();
    network.keep_all();
    network.restart(credentials());
    network.inject(address(client), &last);
    assert!(network.received().is_empty());
    assert!(network.talks(client));
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn a_credential_removed_meanwhile_lets_nobody_go_on() {
    let mut network = keeping();
    let clients =
        [psk(), x509(), raw().with_connection_id(b"12345")].map(|profile| network.connect(&profile));
    assert_eq!(network.store.len(), 3);
    let mut left = bare();
    left.add_raw_public_key(&identities().raw.public_key_to_der().unwrap(), "urn:dev:raw").unwrap();
    network.restart(left);
    assert_eq!((network.endpoint.len(), network.store.len()), (1, 1));
    assert_eq!(network.established()[0].1.mode, Mode::RawPublicKey);
    assert!(!network.talks(clients[0]));
    assert!(!network.talks(clients[1]));
    assert!(network.talks(clients[2]));
    // Nor does the session of such a client come back.
    let session = network.clients[clients[0]].session();
    let again = network.add(&psk().with_session(session));
    network.run();
    assert!(!network.clients[again].is_established());
}

#[test]
fn what_has_ended_is_forgotten() {
    let mut network = keeping();
    let closing = network.connect(&psk());
    let failing = network.connect(&raw());
    let rebooting = network.connect(&x509());
    let datagram = network.clients[closing].seal(ALERT, &[1, 0]);
    network.inject(address(closing), &datagram);
    let datagram = network.clients[failing].seal(ALERT, &[2, 80]);
    network.inject(address(failing), &datagram);
    network.reboot(rebooting, &x509());
    network.run();
    let left = network.association(rebooting);
    assert_eq!(network.store.keys().copied().collect::<Vec<_>>(), [left]);
    network.restart(credentials());
    assert_eq!(network.endpoint.len(), 1);
    assert!(network.talks(rebooting));
}

#[test]
fn a_reboot_after_the_restart_replaces_it() {
    let mut network = keeping();
    let client = network.connect(&psk());
    let old = network.association(client);
    network.restart(credentials());
    network.reboot(client, &psk());
    network.run();
    assert_eq!(network.ended(), [(old, End::Replaced)]);
    assert_eq!((network.endpoint.len(), network.store.len()), (1, 1));
    assert!(network.talks(client));
}

#[test]
fn another_number_of_shards_finds_everybody() {
    let mut network = keeping();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let association = network.association(client);
    for shards in [2, 3, 8] {
        let shard = shard_of_association(association, shards);
        network.restart_with(Config { shard, shards, keep: true, ..Config::default() }, credentials());
        assert!(network.talks(client));
    }
}

#[test]
fn a_snapshot_says_where_the_client_was() {
    let mut network = keeping();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let association = network.association(client);
    let where_from = |network: &Network| remote_of_snapshot(&network.store[&association].snapshot).unwrap();
    assert_eq!(where_from(&network), remote(address(client)));
    network.move_to(client, address(100));
    assert!(network.talks(client));
    network.run_for(Duration::from_secs(60));
    assert_eq!(where_from(&network), remote(address(100)));
}

#[test]
fn nothing_is_kept_when_it_should_not_be() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    assert!(network.talks(client));
    network.run_for(Duration::from_secs(120));
    network.keep_all();
    assert!(network.store.is_empty());
}

/// A store that was tampered with is a matter of its encryption; what is read from it must not bring the gateway down.
#[test]
fn snapshots_that_are_damaged() {
    let mut network = keeping();
    let mut snapshots = Vec::new();
    for profile in all() {
        let client = network.connect(&profile);
        let association = network.association(client);
        snapshots.push((association, network.store[&association].snapshot.clone()));
        network.store.clear();
        network.reboot(client, &profile);
    }
    let mut chance = Chance(1);
    for (association, snapshot) in snapshots {
        for length in 0..snapshot.len() {
            network.restart(credentials());
            assert!(network.endpoint.restore(network.now, association, &snapshot[..length]).is_err());
            let _ = remote_of_snapshot(&snapshot[..length]);
        }
        for _ in 0..2000 {
            let mut damaged = snapshot.clone();
            for _ in 0..=chance.below(3) {
                let at = usize::try_from(chance.below(damaged.len() as u64)).unwrap();
                damaged[at] = chance.next() as u8;
            }
            let mut endpoint = Network::with(Config { keep: true, ..Config::default() }, bare());
            let _ = endpoint.endpoint.restore(endpoint.now, association, &damaged);
            let _ = remote_of_snapshot(&damaged);
        }
        let longer = [snapshot.as_slice(), &[0]].concat();
        assert!(network.endpoint.restore(network.now, association, &longer).is_err());
    }
}

/// Data that was under way while the gateway was down and up again.
#[test]
fn data_under_way_arrives() {
    let mut network = keeping();
    let client = network.connect(&psk());
    let datagram = network.clients[client].seal(APPLICATION_DATA, b"under way");
    network.restart(credentials());
    network.inject(address(client), &datagram);
    assert_eq!(network.received(), [b"under way".to_vec()]);
}

fn keeping() -> Network {
    Network::with(Config { keep: true, ..Config::default() }, credentials())
}

fn all() -> [Profile; 6] {
    [
        psk(),
        psk().with_suites("PSK-AES128-GCM-SHA256").with_connection_id(b"12345"),
        x509(),
        x509().with_connection_id(&[9; 32]),
        raw().with_connection_id(&[]),
        psk().with_suites("PSK-AES128-CCM").with_connection_id(&[]),
    ]
}
