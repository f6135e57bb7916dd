//! Records that are no good: to an established association, and to one that is not yet.

use std::time::Duration;

use tidegate_dtls::endpoint::End;

use crate::client::wire::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CID, FINISHED, Fragment, HANDSHAKE, Record,
};
use crate::network::fault::Chance;
use crate::network::identity::{psk, raw, x509};
use crate::network::{Network, address};

#[test]
fn records_too_short_for_a_nonce_and_a_tag() {
    for suite in ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"] {
        for id in [false, true] {
            let profile = psk().with_suites(suite);
            let profile = if id { profile.with_connection_id(b"12345") } else { profile };
            let mut network = Network::new();
            let client = network.connect(&profile);
            let cid = network.clients[client].cid.clone().unwrap_or_default();
            for content in [APPLICATION_DATA, ALERT, HANDSHAKE, CHANGE_CIPHER_SPEC, CID] {
                for length in 0..=26 {
                    let mut record = Record::new(content, 1, 1000 + length, &vec![0; length as usize]);
                    if content == CID {
                        record.cid.clone_from(&cid);
                    }
                    assert!(network.probe(address(0), &record.encode()).is_empty());
                }
            }
            assert!(network.talks(client), "{suite}");
            assert!(network.ended().is_empty());
        }
    }
}

#[test]
fn an_empty_record_is_no_data_and_no_harm() {
    for profile in [psk(), psk().with_connection_id(b"12345"), psk().with_suites("PSK-AES128-GCM-SHA256")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        network.say(client, b"");
        network.run_for(Duration::from_secs(1));
        assert!(network.received().is_empty());
        assert!(network.talks(client));
    }
}

/// The tag of an empty record is checked as any other (CVE-2026-75803).
#[test]
fn an_empty_record_with_a_wrong_tag_does_not_move_the_window() {
    for profile in [psk(), psk().with_suites("PSK-AES128-GCM-SHA256")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let mut empty = network.clients[client].seal_at(5000, APPLICATION_DATA, b"");
        *empty.last_mut().unwrap() ^= 1;
        network.inject(address(0), &empty);
        assert!(network.talks(client));
    }
}

#[test]
fn the_largest_record_and_one_byte_more() {
    for profile in [psk(), psk().with_connection_id(b"12345")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        network.say(client, &vec![7; 16_384]);
        network.say(client, &vec![7; 16_385]);
        network.say(client, &vec![7; 30_000]);
        network.run_for(Duration::from_secs(1));
        assert_eq!(network.received().iter().map(Vec::len).collect::<Vec<_>>(), [16_384]);
        assert!(network.talks(client));
    }
}

#[test]
fn what_is_within_a_record_with_a_connection_id() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    let keys = network.clients[client].keys.clone().unwrap();
    let cid = network.clients[client].cid.clone().unwrap();
    let mut sequence = 100;
    let mut inject = |network: &mut Network, inner: &[u8]| {
        sequence += 1;
        let record = keys.client.seal_as(CID, 1, sequence, &cid, inner);
        network.inject(address(0), &record.encode());
    };
    // Nothing, nothing but padding, and content types that there are not.
    for inner in [&[][..], &[0], &[0; 200], b"data\x00", b"data\x18", b"data\x19", b"data\xff\0\0"] {
        inject(&mut network, inner);
        assert!(network.received().is_empty(), "{inner:?}");
    }
    // Padding is taken off, and nothing else.
    inject(&mut network, b"data\x17");
    inject(&mut network, b"data\x17\0\0\0\0\0\0\0\0\0");
    inject(&mut network, b"data\0\x17\0");
    assert_eq!(network.received(), [b"data".to_vec(), b"data".to_vec(), b"data\0".to_vec()]);
    network.clients[client].next[1] = 200;
    assert!(network.talks(client));
}

#[test]
fn runts_and_unknown_types_versions_and_epochs() {
    for id in [false, true] {
        let profile = if id { raw().with_connection_id(b"12345") } else { raw() };
        let mut network = Network::new();
        let client = network.connect(&profile);
        let good = network.clients[client].seal(APPLICATION_DATA, b"lost");
        for length in 0..good.len() {
            assert!(network.probe(address(0), &good[..length]).is_empty());
        }
        for (at, values) in [(0, 0..=255_u8), (1, 0..=255), (2, 0..=255), (3, 1..=255), (4, 2..=255)] {
            for value in values.filter(|value| *value != good[at]) {
                let mut bad = good.clone();
                bad[at] = value;
                assert!(network.probe(address(0), &bad).is_empty());
            }
        }
        assert!(network.received().is_empty());
        network.inject(address(0), &good);
        assert_eq!(network.received(), [b"lost".to_vec()]);
        assert!(network.talks(client));
    }
}

#[test]
fn each_flipped_bit_is_noticed() {
    for id in [false, true] {
        let profile = if id { psk().with_connection_id(&[]) } else { psk() };
        let mut network = Network::new();
        let client = network.connect(&profile);
        let good = network.clients[client].seal(APPLICATION_DATA, b"intact");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // An epoch of 0 and a handshake type would be another matter.
            assert!(network.probe(address(0), &bad).is_empty());
        }
        assert!(network.received().is_empty());
        network.inject(address(0), &good);
        assert_eq!(network.received(), [b"intact".to_vec()]);
    }
}

#[test]
fn several_records_in_one_datagram() {
    for profile in [psk(), psk().with_connection_id(b"12345")] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let mut datagram = Vec::new();
        let said: [&[u8]; 4] = [b"one", b"two", b"three", b"four"];
        for data in said {
            datagram.extend(network.clients[client].seal(APPLICATION_DATA, data));
        }
        datagram.extend([23, 0xfe, 0xfd, 0, 1]);
        network.inject(address(0), &datagram);
        assert_eq!(network.received(), said.map(<[u8]>::to_vec));
    }
}

/// Whoever may send many records before the handshake is over must not make the gateway hold them all
/// (CVE-2009-1377, CVE-2026-54874).
#[test]
fn early_records_are_held_within_a_bound() {
    let mut network = Network::new();
    let mut client = network.half_open(&psk(), address(1));
    let flight = std::mem::take(&mut client.transmits);
    let held = allocation_counter::measure(|| {
        for number in 0..1000 {
            let early = Record::new(APPLICATION_DATA, 1, number, &[7; 1000]).encode();
            assert!(network.probe(address(1), &early).is_empty());
        }
    });
    assert!(held.bytes_current < 16_384, "{held:?}");
    for datagram in &flight {
        network.inject(address(1), datagram);
    }
    // All places were taken when the Finished message came, or not: sent again, it is heard.
    client.send_flight();
    for datagram in std::mem::take(&mut client.transmits) {
        network.inject(address(1), &datagram);
    }
    assert_eq!(network.established().len(), 1);
    assert!(network.received().is_empty());
}

/// Nor may it by what is authentic, but before its time.
#[test]
fn early_data_is_held_within_a_bound() {
    for after_key_exchange in [false, true] {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        let flight = std::mem::take(&mut client.transmits);
        let exchange = client.flight[0][0].clone();
        if after_key_exchange {
            let datagram = client.number(&exchange).encode();
            network.inject(address(1), &datagram);
        }
        for number in 0..200_u8 {
            let data = client.seal(APPLICATION_DATA, &[number]);
            network.inject(address(1), &data);
        }
        for _ in 0..2 {
            for datagram in &flight {
                network.inject(address(1), datagram);
            }
            client.send_flight();
            for datagram in std::mem::take(&mut client.transmits) {
                network.inject(address(1), &datagram);
            }
        }
        assert_eq!(network.established().len(), 1);
        let received = network.received();
        assert!((1..=8).contains(&received.len()), "{received:?}");
        assert!(received.iter().zip(0..).all(|(data, number)| data == &[number]), "{received:?}");
    }
}

#[test]
fn data_that_overtakes_the_finished_message_is_not_lost() {
    for profile in [psk(), x509().with_connection_id(b"12345")] {
        let mut network = Network::new();
        let mut client = network.half_open(&profile, address(1));
        let flight = std::mem::take(&mut client.transmits);
        let early = client.seal(APPLICATION_DATA, b"early");
        network.inject(address(1), &early);
        assert!(network.received().is_empty());
        for datagram in &flight {
            network.inject(address(1), datagram);
        }
        assert_eq!(network.established().len(), 1);
        assert_eq!(network.received(), [b"early".to_vec()]);
        // It has been heard: once.
        network.inject(address(1), &early);
        assert_eq!(network.received().len(), 1);
    }
}

/// CVE-2016-2181: a forged record of the next epoch must not move the window of numbers.
#[test]
fn a_forged_high_number_does_not_move_the_window() {
    let mut network = Network::new();
    let mut client = network.half_open(&psk(), address(1));
    let flight = std::mem::take(&mut client.transmits);
    for epoch in [0, 1, 2] {
        for content in [HANDSHAKE, APPLICATION_DATA, CHANGE_CIPHER_SPEC] {
            let payload = Fragment::whole(FINISHED, 3, &[7; 12]).encode();
            let payload = if content == CHANGE_CIPHER_SPEC { vec![7; 40] } else { payload };
            if epoch == 0 && content != HANDSHAKE {
                continue;
            }
            // In the clear a Finished message with a message number far off, which no handshake has.
            let payload =
                if epoch == 0 { Fragment::whole(FINISHED, 300, &[7; 12]).encode() } else { payload };
            let sequence = if epoch == 0 { client.next[0] + 1 } else { (1 << 48) - 1 };
            network.inject(address(1), &Record::new(content, epoch, sequence, &payload).encode());
        }
    }
    for datagram in &flight {
        network.inject(address(1), datagram);
    }
    assert_eq!(network.established().len(), 1);
    let sealed = Record::new(APPLICATION_DATA, 1, (1 << 48) - 1, &[7; 60]).encode();
    network.inject(address(1), &sealed);
    let data = client.seal(APPLICATION_DATA, b"still there");
    network.inject(address(1), &data);
    assert_eq!(network.received(), [b"still there".to_vec()]);
}

#[test]
fn noise_does_not_end_an_association() {
    let mut network = Network::new();
    let plain = network.connect(&psk());
    let with_id = network.connect(&raw().with_connection_id(b"12345"));
    let mut chance = Chance(4);
    for round in 0..20_000 {
        let length = usize::try_from(chance.below(200)).unwrap();
        let mut noise: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        // Half of it looks like a record of DTLS.
        if round % 2 == 0 && length > 13 {
            noise[0] = 20 + chance.below(6) as u8;
            noise[1..5].copy_from_slice(&[0xfe, 0xfd, 0, chance.below(2) as u8]);
            noise[11..13].copy_from_slice(&u16::try_from(length - 13).unwrap().to_be_bytes());
        }
        network.inject(address(round % 3), &noise);
        network.captures.clear();
    }
    assert!(network.talks(plain));
    assert!(network.talks(with_id));
    assert_eq!((network.endpoint.len(), network.ended().len()), (2, 0));
}

/// Many records whose tags are wrong, from an address that knows the connection ID: the client itself is still heard.
#[test]
fn a_flood_of_wrong_tags_does_not_lock_the_client_out() {
    for id in [false, true] {
        let profile = if id { psk().with_connection_id(b"12345") } else { psk() };
        let mut network = Network::new();
        let client = network.connect(&profile);
        for number in 0..5000 {
            let mut forged = network.clients[client].seal_at(1000 + number, APPLICATION_DATA, b"forged");
            *forged.last_mut().unwrap() ^= 1;
            network.inject(if id { address(9) } else { address(0) }, &forged);
        }
        // So many in a second are not even tried; the next second is another one.
        assert!((1..=5000).contains(&network.endpoint.counters().forged));
        network.run_for(Duration::from_secs(2));
        assert!(network.talks(client));
        assert!(network.ended().is_empty());
    }
}

/// A tag of 64 bits is guessed some day: long before that the association ends, and the client makes another one.
#[test]
fn a_million_wrong_tags_end_the_association() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let association = network.association(client);
    let mut forged = network.clients[client].seal_at(1000, APPLICATION_DATA, b"forged");
    *forged.last_mut().unwrap() ^= 1;
    for tried in 0_u32.. {
        assert!(tried < 1 << 22, "it goes on for ever");
        network.inject(address(client), &forged);
        if !network.ended().is_empty() {
            assert!(tried > 1 << 19, "a nuisance could end it after {tried}");
            break;
        }
        if tried.is_multiple_of(1000) {
            network.now = network.now + Duration::from_secs(1);
        }
    }
    assert_eq!(network.ended(), [(association, End::Exhausted)]);
    network.reboot(client, &psk());
    network.run();
    assert!(network.talks(client));
}
