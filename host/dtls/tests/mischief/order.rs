//! Messages in the clear to an association that is encrypted, and messages of a handshake in the wrong order or left
//! out. Nobody gets in who has not done all of it.

use std::time::Duration;

use openssl::pkey::{PKey, Private};

use crate::client::forge::Transcript;
use crate::client::wire::{
    ALERT, APPLICATION_DATA, CERTIFICATE, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_KEY_EXCHANGE,
    FINISHED, Fragment, HANDSHAKE, Record,
};
use crate::client::{Client, profile::Profile};
use crate::network::identity::{identities, p256, psk, raw, x509};
use crate::network::{Network, address};

#[test]
fn plaintext_on_a_live_association_is_ignored() {
    for profile in [psk(), x509().with_connection_id(b"12345"), psk().with_suites("PSK-AES128-CBC-SHA256")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let plain = [
            (ALERT, vec![2, 40]),
            (ALERT, vec![1, 0]),
            (ALERT, vec![2, 90]),
            (CHANGE_CIPHER_SPEC, vec![1]),
            (APPLICATION_DATA, b"data".to_vec()),
            (HANDSHAKE, Fragment::whole(FINISHED, 5, &[7; 12]).encode()),
            (HANDSHAKE, Fragment::whole(0, 0, &[]).encode()),
            (HANDSHAKE, Fragment::whole(CLIENT_KEY_EXCHANGE, 2, &[7; 20]).encode()),
        ];
        for sequence in [0, 3, 50, (1 << 48) - 1] {
            for (content, payload) in &plain {
                let datagram = Record::new(*content, 0, sequence, payload).encode();
                assert!(network.probe(address(client), &datagram).is_empty(), "{content} {payload:?}");
            }
        }
        assert!(network.ended().is_empty() && network.received().is_empty());
        assert!(network.talks(client));
    }
}

/// A plaintext alert in a handshake cannot be told from a genuine one. It may end the handshake; no more.
#[test]
fn a_forged_alert_in_a_handshake_does_no_lasting_harm() {
    for alert in [[2, 40], [1, 0], [1, 90], [2, 0], [9, 9]] {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        let alert = client.number(&Record::new(ALERT, 0, 0, &alert)).encode();
        network.inject(address(1), &alert);
        assert!(network.established().is_empty());
        network.settle();
        let client = network.add_at(&psk(), address(1));
        network.run();
        assert!(network.talks(client));
        assert_eq!(network.endpoint.len(), 1);
    }
}

#[test]
fn data_in_the_clear_in_a_handshake_is_not_delivered() {
    let mut network = Network::new();
    let mut client = network.half_open(&psk(), address(1));
    let flight = std::mem::take(&mut client.transmits);
    let data = client.number(&Record::new(APPLICATION_DATA, 0, 0, b"data")).encode();
    network.inject(address(1), &data);
    for datagram in &flight {
        network.inject(address(1), datagram);
    }
    network.inject(address(1), &data);
    assert!(network.received().is_empty());
}

/// Data is not delivered before the client's Finished message has been verified, which may never come.
#[test]
fn data_before_the_finished_message_is_held_back() {
    for profile in [psk(), x509(), raw().with_connection_id(&[])] {
        let mut network = Network::new();
        let mut client = network.half_open(&profile, address(1));
        client.transmits.clear();
        for record in client.flight.concat().into_iter().filter(|record| record.epoch == 0) {
            let datagram = client.number(&record).encode();
            network.inject(address(1), &datagram);
        }
        for _ in 0..10 {
            let data = client.seal(APPLICATION_DATA, b"data");
            network.inject(address(1), &data);
        }
        network.run_for(Duration::from_secs(120));
        assert!(network.received().is_empty() && network.established().is_empty());
        assert_eq!((network.endpoint.len(), network.endpoint.handshakes()), (0, 0));
    }
}

#[test]
fn a_finished_message_that_overtakes_everything_is_kept() {
    for profile in [psk(), raw(), x509().with_connection_id(b"12345")] {
        let mut network = Network::new();
        let mut client = network.half_open(&profile, address(1));
        client.transmits.clear();
        // Only a ChangeCipherSpec is worth nothing before its time: it has no number to be put in order by.
        let mut records = client.flight.concat();
        records.sort_by_key(|record| match record.content {
            CHANGE_CIPHER_SPEC => 20,
            _ => -i32::from(record.epoch),
        });
        for record in records {
            let datagram = client.number(&record).encode();
            network.inject(address(1), &datagram);
        }
        assert_eq!(network.established().len(), 1);
    }
}

#[test]
fn change_cipher_spec_twice() {
    let mut network = Network::new();
    let client = honest(&mut network, |record| vec![record.clone(); 1 + usize::from(is_change(record))]);
    assert_eq!(network.established().len(), 1);
    drop(client);
}

#[test]
fn change_cipher_spec_left_out_and_then_sent() {
    let mut network = Network::new();
    let mut client =
        honest(&mut network, |record| if is_change(record) { Vec::new() } else { vec![record.clone()] });
    assert!(network.established().is_empty());
    client.transmits.clear();
    client.send_flight();
    for datagram in std::mem::take(&mut client.transmits) {
        network.inject(address(1), &datagram);
    }
    assert_eq!(network.established().len(), 1);
}

/// CVE-2014-0224: a ChangeCipherSpec before there are keys.
#[test]
fn change_cipher_spec_too_early_lets_nobody_in() {
    for place in 0..3 {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        client.transmits.clear();
        let change = Record::new(CHANGE_CIPHER_SPEC, 0, 0, &[1]);
        let mut records = client.flight.concat();
        // The key exchange never comes at all.
        records.retain(|record| !record.has(CLIENT_KEY_EXCHANGE));
        records.insert(place.min(records.len()), change);
        for record in records {
            let datagram = client.number(&record).encode();
            network.inject(address(1), &datagram);
        }
        assert!(network.established().is_empty() && network.received().is_empty());
        network.run_for(Duration::from_secs(120));
        let client = network.add_at(&psk(), address(1));
        network.run();
        assert!(network.talks(client));
    }
}

#[test]
fn a_finished_message_in_the_clear_lets_nobody_in() {
    for with_change in [false, true] {
        let mut network = Network::new();
        let client = honest(&mut network, |record| match record {
            record if is_change(record) && !with_change => Vec::new(),
            record if record.epoch == 1 => vec![Record { epoch: 0, ..record.clone() }],
            record => vec![record.clone()],
        });
        assert!(network.established().is_empty());
        drop(client);
    }
}

#[test]
fn a_finished_message_with_other_content_lets_nobody_in() {
    for byte in 12..24 {
        let mut network = Network::new();
        honest(&mut network, |record| {
            let mut record = record.clone();
            if record.epoch == 1 {
                record.payload[byte] ^= 1;
            }
            vec![record]
        });
        network.run_for(Duration::from_secs(120));
        assert!(network.established().is_empty() && network.endpoint.is_empty());
    }
}

/// The forger of this file is able to make a Finished message that is accepted.
#[test]
fn a_handshake_with_nothing_left_out_is_accepted() {
    for profile in [psk(), x509(), raw()] {
        assert_eq!(forge(&profile, |messages| messages), 1);
    }
}

#[test]
fn a_certificate_or_the_proof_of_its_key_left_out() {
    for profile in [x509(), raw()] {
        for left_out in [&[CERTIFICATE][..], &[CERTIFICATE_VERIFY], &[CERTIFICATE, CERTIFICATE_VERIFY]] {
            let accepted = forge(&profile, |mut messages| {
                messages.retain(|message| !left_out.contains(&message.kind));
                messages
            });
            assert_eq!(accepted, 0, "without {left_out:?}");
        }
    }
}

#[test]
fn messages_in_another_order_or_twice() {
    for profile in [x509(), raw()] {
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            let accepted = forge(&profile, |mut messages| {
                messages.swap(one, other);
                messages
            });
            assert_eq!(accepted, 0, "{one} and {other} swapped");
        }
        for twice in 0..3 {
            let accepted = forge(&profile, |mut messages| {
                messages.insert(twice, messages[twice].clone());
                messages
            });
            assert_eq!(accepted, 0, "{twice} twice");
        }
    }
}

/// Another's certificate, without its key: the proof is made with the forger's own, or not at all.
#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn anothers_certificate_or_raw_public_key() {
    let own = p256();
    let device = identities().device.certificate.clone();
    for (profile, stolen) in [
        (crate::network::identity::with_certificates(vec![self_signed(&own)], own.clone()), {
            let der = device.to_der().unwrap();
            let length = u32::try_from(der.len()).unwrap().to_be_bytes();
            let all = u32::try_from(der.len() + 3).unwrap().to_be_bytes();
            [&all[1..], &length[1..], &der].concat()
        }),
        (Profile::new(crate::client::profile::Proof::RawPublicKey(own.clone())), {
            let der = identities().raw.public_key_to_der().unwrap();
            [&u32::try_from(der.len()).unwrap().to_be_bytes()[1..], &der].concat()
        }),
    ] {
        let accepted = forge(&profile, |mut messages| {
            for message in messages.iter_mut().filter(|message| message.kind == CERTIFICATE) {
                message.body.clone_from(&stolen);
                message.length = u32::try_from(stolen.len()).unwrap();
            }
            messages
        });
        assert_eq!(accepted, 0);
    }
}

fn self_signed(key: &PKey<Private>) -> openssl::x509::X509 {
    crate::network::identity::Request::new("urn:dev:x509").key(key.clone()).sign(None).certificate
}

/// How many associations there are after a handshake whose messages, before the Finished one, are `changed`; that one
/// fits what was sent.
pub(crate) fn forge(profile: &Profile, changed: impl FnOnce(Vec<Fragment>) -> Vec<Fragment>) -> usize {
    let mut network = Network::new();
    forge_on(&mut network, profile, 1 << 14, changed);
    network.established().len()
}

/// The same in pieces of so many bytes at most.
pub(crate) fn forge_on(
    network: &mut Network,
    profile: &Profile,
    pieces: usize,
    changed: impl FnOnce(Vec<Fragment>) -> Vec<Fragment>,
) {
    network.captures.clear();
    let mut client = network.half_open(&profile.clone().without_extended_master_secret(), address(1));
    client.transmits.clear();
    let mut transcript = Transcript::default();
    for capture in network.captures.iter().filter(|capture| capture.client == address(1)).skip(2) {
        // The first ClientHello and the HelloVerifyRequest do not count.
        for message in Record::all(&capture.payload, 0).iter().flat_map(Record::fragments) {
            transcript.add(&message);
        }
    }
    let messages = client.flight.concat().iter().flat_map(Record::fragments).collect();
    let mut sequence = 2;
    for mut message in changed(messages) {
        message.sequence = sequence;
        sequence += 1;
        transcript.add(&message);
        for piece in message.cut(pieces) {
            inject(network, &mut client, &Record::new(HANDSHAKE, 0, 0, &piece.encode()));
        }
    }
    inject(network, &mut client, &Record::new(CHANGE_CIPHER_SPEC, 0, 0, &[1]));
    let finished = transcript.finished(&client.keys.as_ref().unwrap().master.clone(), sequence);
    inject(network, &mut client, &Record::new(HANDSHAKE, 1, 0, &finished.encode()));
    network.settle();
}

/// The flight of an honest PSK client, its records changed.
fn honest(network: &mut Network, changed: impl Fn(&Record) -> Vec<Record>) -> Client {
    let mut client = network.half_open(&psk(), address(1));
    client.transmits.clear();
    for record in client.flight.concat().iter().flat_map(changed) {
        inject(network, &mut client, &record);
    }
    client
}

fn inject(network: &mut Network, client: &mut Client, record: &Record) {
    let datagram = client.number(record).encode();
    network.inject(address(1), &datagram);
}

fn is_change(record: &Record) -> bool {
    record.content == CHANGE_CIPHER_SPEC
}
