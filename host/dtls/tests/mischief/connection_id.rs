//! Connection IDs (RFC 9146): a client is known by what it bears, wherever it is.

use std::collections::HashSet;
use std::net::SocketAddr;

use tidegate_dtls::endpoint::{Config, End, shard_of_association, shard_of_datagram};

use crate::client::wire::{ALERT, APPLICATION_DATA, CID, Record};
use crate::network::identity::{credentials, psk, raw, x509};
use crate::network::{Event, Network, address};

#[test]
fn of_every_length_and_mode() {
    for id in [&[][..], b"1", b"12345", &[7; 20], &[9; 32]] {
        for profile in [psk(), x509(), raw()] {
            let profile = profile.with_connection_id(id);
            let mut network = Network::new();
            let client = network.connect(&profile);
            assert!(network.established()[0].2.connection_id);
            assert_eq!(network.clients[client].own_cid(), id);
            let association = network.association(client).to_be_bytes();
            assert_eq!(network.clients[client].cid.as_deref(), Some(association.as_slice()));
            assert!(network.talks(client));
            // Resumed, it is another one.
            let again = network.connect(&profile.with_session(network.clients[client].session()));
            assert!(network.clients[again].is_resumed());
            assert_ne!(network.clients[client].cid, network.clients[again].cid);
            assert!(network.talks(again) && network.talks(client));
        }
    }
}

#[test]
fn a_suite_of_openssl_declines_them() {
    for suite in ["PSK-AES128-CBC-SHA256", "ECDHE-PSK-AES128-CBC-SHA256"] {
        let mut network = Network::new();
        let client = network.connect(&psk().with_suites(suite).with_connection_id(b"12345"));
        assert!(!network.established()[0].2.connection_id);
        assert_eq!(network.clients[client].cid, None);
        assert!(network.talks(client));
    }
}

#[test]
fn a_client_or_a_gateway_without_them() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    assert!(!network.established()[0].2.connection_id);
    assert!(network.talks(client));

    let config = Config { connection_id: false, ..Config::default() };
    let mut network = Network::with(config, credentials());
    let client = network.connect(&psk().with_connection_id(b"12345"));
    assert!(!network.established()[0].2.connection_id);
    assert_eq!(network.clients[client].cid, None);
    assert!(network.talks(client));
}

#[test]
fn a_client_moves_and_is_found() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    for number in 0..20 {
        network.move_to(client, address(100 + number));
        assert!(network.talks(client));
        let Some(Event::Received { from, .. }) = network.events.last() else { panic!("data came last") };
        assert_eq!(from.address, address(100 + number));
    }
    assert_eq!((network.established().len(), network.ended().len()), (1, 0));
}

#[test]
fn a_client_without_one_moves_and_is_lost() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    network.move_to(client, address(100));
    assert!(!network.talks(client));
    // Its address has been given to nobody: what is sent still goes there.
    network.move_to(client, address(0));
    assert!(network.talks(client));
}

/// RFC 9146 section 6: only a record newer than all before moves the address, once it has been authenticated.
#[test]
fn only_the_newest_authentic_record_moves_the_address() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(&[]));
    let association = network.association(client);
    let late = network.clients[client].seal(APPLICATION_DATA, b"late");
    assert!(network.talks(client));
    let seen = network.captures.iter().rev().find(|capture| capture.to_server).unwrap().payload.clone();

    let elsewhere = address(66);
    // Older than the newest, though never seen before: it is heard, but does not move the address.
    network.inject(elsewhere, &late);
    assert_eq!(network.received().last().unwrap(), b"late");
    assert_eq!(sent_to(&mut network, association), address(client));
    // Seen before.
    network.inject(elsewhere, &seen);
    assert_eq!(sent_to(&mut network, association), address(client));
    // Newer, but not authentic.
    let newest = network.clients[client].seal(APPLICATION_DATA, b"newest");
    let mut forged = newest.clone();
    *forged.last_mut().unwrap() ^= 1;
    network.inject(elsewhere, &forged);
    assert_eq!(sent_to(&mut network, association), address(client));
    // Authentic, and nobody can tell whether it has been relayed.
    network.inject(elsewhere, &newest);
    assert_eq!(sent_to(&mut network, association), elsewhere);
    // The client is where its next record comes from.
    assert!(network.talks(client));
    assert_eq!(sent_to(&mut network, association), address(client));
}

#[test]
fn the_old_address_is_free_after_a_move() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    network.move_to(client, address(100));
    assert!(network.talks(client));
    // Another client has got the old address from the NAT, and handshakes there; that replaces nobody.
    let other = network.add_at(&raw(), address(0));
    network.run();
    assert!(network.talks(other));
    assert!(network.talks(client));
    assert_eq!((network.endpoint.len(), network.ended().len()), (2, 0));
    // And the first one comes back by yet another way.
    network.move_to(client, address(101));
    assert!(network.talks(client) && network.talks(other));
}

/// Two associations seem to be at one address for a while: both are heard, and each is answered.
#[test]
fn a_client_moves_to_the_address_of_another() {
    let mut network = Network::new();
    let one = network.connect(&psk().with_connection_id(b"12345"));
    let other = network.connect(&raw().with_connection_id(b"12345"));
    let (first, second) = (network.association(one), network.association(other));
    let datagram = network.clients[one].seal(APPLICATION_DATA, b"moved");
    network.inject(address(other), &datagram);
    assert_eq!(sent_to(&mut network, first), address(other));
    assert_eq!(sent_to(&mut network, second), address(other));
    assert!(network.talks(other));
    assert!(network.talks(one));
    assert_eq!((network.endpoint.len(), network.ended().len()), (2, 0));
}

#[test]
fn unknown_ids_and_ids_of_another_length_are_dropped() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let keys = network.clients[client].keys.clone().unwrap();
    let cid = network.clients[client].cid.clone().unwrap();
    let mut wrong = vec![vec![0; 8], vec![0xff; 8], Vec::new(), cid[..7].to_vec(), cid[1..].to_vec()];
    wrong.push([cid.as_slice(), &[0]].concat());
    wrong.push([&[0], cid.as_slice()].concat());
    for byte in 0..8 {
        let mut other = cid.clone();
        other[byte] ^= 0x10;
        wrong.push(other);
    }
    for (number, id) in wrong.iter().enumerate() {
        let inner = [b"data".as_slice(), &[APPLICATION_DATA]].concat();
        let record = keys.client.seal_as(CID, 1, 500 + number as u64, id, &inner);
        for from in [address(client), address(77)] {
            assert!(network.probe(from, &record.encode()).is_empty(), "{id:02x?}");
        }
    }
    assert!(network.received().is_empty());
    assert!(network.talks(client));
}

/// RFC 9146 section 3: whoever has agreed on connection IDs uses them.
#[test]
fn records_without_the_agreed_id_and_with_one_that_was_not_agreed() {
    let mut network = Network::new();
    let with = network.connect(&psk().with_connection_id(b"12345"));
    let keys = network.clients[with].keys.clone().unwrap();
    for (content, data) in [(APPLICATION_DATA, &b"data"[..]), (ALERT, &[1, 0]), (ALERT, &[2, 40])] {
        let record = keys.client.seal(content, 1, 500, &[], data);
        assert!(network.probe(address(with), &record.encode()).is_empty());
    }
    let without = network.connect(&raw());
    let keys = network.clients[without].keys.clone().unwrap();
    let name = network.association(without).to_be_bytes();
    let record = keys.client.seal(APPLICATION_DATA, 1, 500, &name, b"data");
    assert!(network.probe(address(without), &record.encode()).is_empty());
    assert!(network.received().is_empty());
    assert!(network.talks(with) && network.talks(without));
}

/// Ids are a secret to nobody on the path; whoever knows one and no key can do nothing with it.
#[test]
fn whoever_knows_an_id_cannot_close_or_steal() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let thief = network.connect(&raw().with_connection_id(b"12345"));
    let cid = network.clients[client].cid.clone().unwrap();
    let keys = network.clients[thief].keys.clone().unwrap();
    for (content, data) in [(APPLICATION_DATA, &b"data"[..]), (ALERT, &[1, 0]), (ALERT, &[2, 40])] {
        let record = keys.client.seal(content, 1, 900, &cid, data);
        assert!(network.probe(address(thief), &record.encode()).is_empty());
    }
    for payload in [&[][..], &[0; 8], &[0; 16], &[0; 17], &[0; 40]] {
        let mut record = Record::new(CID, 1, 900, payload);
        record.cid.clone_from(&cid);
        assert!(network.probe(address(thief), &record.encode()).is_empty());
    }
    assert!(network.talks(client) && network.talks(thief));
    assert_eq!(network.ended().len(), 0);
}

#[test]
fn close_notify_with_an_id_from_another_address() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let association = network.association(client);
    let closing = network.clients[client].seal(ALERT, &[1, 0]);
    network.inject(address(50), &closing);
    assert_eq!(network.ended(), [(association, End::Closed)]);
}

/// No id is given twice, and its first byte says which shard it belongs to.
#[test]
fn ids_are_unique_and_name_their_shard() {
    let mut ids = HashSet::new();
    for (shard, shards) in [(0, 1), (0, 4), (3, 4), (6, 7)] {
        let config = Config { shard, shards, ..Config::default() };
        let mut network = Network::with(config, credentials());
        network.captures_on = false;
        for number in 0..50 {
            let id = if number % 2 == 0 { &b"12345"[..] } else { &[] };
            let client = network.connect(&psk().with_connection_id(id));
            let association = network.association(client);
            assert!(association != 0 && ids.insert((shards, association)));
            assert_eq!(shard_of_association(association, shards), shard);
            let datagram = network.clients[client].seal(APPLICATION_DATA, b"data");
            assert_eq!(shard_of_datagram(&datagram, shards), Some(shard));
        }
    }
    for other in [&[][..], &[25], &[25; 18], &[23; 40], &[22; 40]] {
        assert_eq!(shard_of_datagram(other, 4), None, "{other:?}");
    }
}

/// Where the endpoint sends what it has to say.
fn sent_to(network: &mut Network, association: u64) -> SocketAddr {
    assert!(network.tell(association, b"where are you"));
    let sent = network.captures.iter().rev().find(|capture| !capture.to_server).unwrap().client;
    network.settle();
    sent
}
