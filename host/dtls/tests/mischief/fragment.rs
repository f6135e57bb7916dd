//! Handshake messages in pieces, as they should be cut and as they should not.

use crate::client::Client;
use crate::client::wire::{
    CERTIFICATE, CLIENT_KEY_EXCHANGE, FINISHED, Fragment, HANDSHAKE, HELLO_VERIFY_REQUEST, Record,
};
use crate::network::identity::{psk, raw, x509};
use crate::network::{Capture, Network, address, remote};

#[test]
fn a_hello_in_pieces_is_answered_when_the_cookie_is_in_the_first() {
    for size in [60, 80, 100] {
        let mut network = Network::new();
        let mut client = Client::new(&x509(), network.now);
        let first = cut(&mut client, size);
        assert!(first.len() > 1);
        let answers = probe_all(&mut network, &first);
        let verify = answers.iter().flat_map(|answer| Record::all(&answer.payload, 0));
        assert!(verify.clone().all(|record| record.has(HELLO_VERIFY_REQUEST)));
        assert_eq!(verify.count(), 1);
        client.handle_datagram(network.now, &answers[0].payload);

        let second = cut(&mut client, size);
        let answers = probe_all(&mut network, &second);
        assert!(super::cookie::is_server_hello(&answers), "pieces of {size} bytes");
        for answer in answers {
            client.handle_datagram(network.now, &answer.payload);
        }
        finish(&mut network, client);
    }
}

#[test]
fn a_hello_cut_before_its_cookie_is_dropped() {
    let mut network = Network::new();
    for size in [1, 10, 30, 34, 35] {
        let mut client = Client::new(&psk(), network.now);
        assert!(probe_all(&mut network, &cut(&mut client, size)).is_empty());
    }
    assert!(!network.endpoint.knows(remote(address(1)), &[]));
}

#[test]
fn every_message_of_the_client_in_small_pieces_in_any_order() {
    for profile in [x509(), raw(), x509().with_connection_id(b"12345")] {
        for backwards in [false, true] {
            let mut network = Network::new();
            let mut client = network.half_open(&profile, address(1));
            let mut pieces = cut(&mut client, 20);
            if backwards {
                // But for the ChangeCipherSpec and the Finished message, which come last in a datagram.
                let handshake = pieces.len() - 2;
                pieces[..handshake].reverse();
            }
            for piece in pieces {
                network.inject(address(1), &piece);
            }
            network.settle();
            assert_eq!(network.established().len(), 1, "backwards: {backwards}");
        }
    }
}

#[test]
fn pieces_that_overlap_make_a_whole() {
    let mut network = Network::new();
    let mut client = network.half_open(&x509(), address(1));
    client.transmits.clear();
    for record in client.flight.concat() {
        let fragments = record.fragments();
        if fragments.is_empty() {
            let datagram = client.number(&record).encode();
            network.inject(address(1), &datagram);
        }
        for fragment in fragments {
            for start in (0..fragment.body.len()).step_by(10) {
                let end = (start + 25).min(fragment.body.len());
                let piece = Fragment {
                    offset: u32::try_from(start).unwrap(),
                    body: fragment.body[start..end].to_vec(),
                    ..fragment.clone()
                };
                send(&mut network, &mut client, &piece);
            }
        }
    }
    assert_eq!(network.established().len(), 1);
}

/// What an honest client never sends must not reach OpenSSL, which would allocate by it (CVE-2026-95690 and such);
/// the handshake goes on.
#[test]
fn impossible_pieces_do_not_disturb_a_handshake() {
    let piece = |kind, length, sequence, offset, body: usize| Fragment {
        kind,
        length,
        sequence,
        offset,
        body: vec![7; body],
    };
    let impossible = [
        piece(CERTIFICATE, 0x00ff_ffff, 2, 0, 100),
        piece(CERTIFICATE, 70_000, 2, 0, 1),
        piece(CERTIFICATE, 70_000, 2, 69_000, 1000),
        piece(CERTIFICATE, 100, 2, 90, 20),
        piece(CERTIFICATE, 100, 2, 0x00ff_fff0, 20),
        piece(CERTIFICATE, 4, 2, 5, 0),
        piece(CLIENT_KEY_EXCHANGE, 100, 65_535, 0, 100),
        piece(CLIENT_KEY_EXCHANGE, 8000, 100, 0, 10),
        piece(FINISHED, 12, 40, 0, 12),
        piece(FINISHED, 0x00ff_ffff, 3, 0x00ff_ffff, 0),
    ];
    for fragment in impossible {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        let flight = std::mem::take(&mut client.transmits);
        send(&mut network, &mut client, &fragment);
        for datagram in &flight {
            network.inject(address(1), datagram);
        }
        assert_eq!(network.established().len(), 1, "{fragment:?}");
    }
}

#[test]
fn records_whose_fragments_are_cut_off_do_not_disturb_a_handshake() {
    let whole = Fragment::whole(CLIENT_KEY_EXCHANGE, 2, &[7; 40]).encode();
    for length in 0..whole.len() {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        let flight = std::mem::take(&mut client.transmits);
        let sequence = client.next[0];
        client.next[0] += 1;
        network.inject(address(1), &Record::new(HANDSHAKE, 0, sequence, &whole[..length]).encode());
        for datagram in &flight {
            network.inject(address(1), datagram);
        }
        assert_eq!(network.established().len(), 1, "{length} bytes");
    }
}

/// Two pieces of one message that say it has another length: nobody is let in by it, and the address can begin anew.
#[test]
fn pieces_that_contradict_each_other_let_nobody_in() {
    for (length, sequence) in [(50, 2), (3000, 2), (13, 3)] {
        let mut network = Network::new();
        let mut client = network.half_open(&psk(), address(1));
        let honest = std::mem::take(&mut client.transmits);
        let first =
            Fragment { kind: CLIENT_KEY_EXCHANGE, length: 40, sequence, offset: 0, body: vec![0; 10] };
        send(&mut network, &mut client, &first);
        send(&mut network, &mut client, &Fragment { length, offset: 10, ..first });
        assert!(network.established().is_empty());
        for datagram in &honest {
            network.inject(address(1), datagram);
        }
        network.run();
        network.add_at(&psk(), address(1));
        network.run();
        assert!(network.talks(0));
        assert_eq!(network.endpoint.len(), 1);
    }
}

/// Hellos whose pieces never come altogether are held only as long as a handshake may take.
#[test]
fn a_hello_that_is_never_whole_is_forgotten() {
    let mut network = Network::new();
    let mut client = Client::new(&x509(), network.now);
    let answers = network.probe(address(1), &client.transmits.pop_front().unwrap());
    client.handle_datagram(network.now, &answers[0].payload);
    let pieces = cut(&mut client, 100);
    network.inject(address(1), &pieces[0]);
    network.run_for(std::time::Duration::from_secs(120));
    assert!(!network.endpoint.knows(remote(address(1)), &[]));
    assert_eq!(network.established().len(), 0);
}

/// What the client would send, each handshake message in the clear cut to pieces, each in a datagram of its own.
fn cut(client: &mut Client, size: usize) -> Vec<Vec<u8>> {
    client.transmits.clear();
    let mut datagrams = Vec::new();
    for record in client.flight.concat() {
        let fragments = record.fragments();
        if fragments.is_empty() {
            datagrams.push(client.number(&record).encode());
        }
        for piece in fragments.iter().flat_map(|fragment| fragment.cut(size)) {
            let piece = Record { payload: piece.encode(), ..record.clone() };
            datagrams.push(client.number(&piece).encode());
        }
    }
    datagrams
}

fn send(network: &mut Network, client: &mut Client, fragment: &Fragment) {
    let datagram = client.number(&Record::new(HANDSHAKE, 0, 0, &fragment.encode())).encode();
    network.inject(address(1), &datagram);
}

fn probe_all(network: &mut Network, datagrams: &[Vec<u8>]) -> Vec<Capture> {
    datagrams.iter().flat_map(|datagram| network.probe(address(1), datagram)).collect()
}

fn finish(network: &mut Network, mut client: Client) {
    for datagram in std::mem::take(&mut client.transmits) {
        for answer in network.probe(address(1), &datagram) {
            client.handle_datagram(network.now, &answer.payload);
        }
    }
    assert!(client.is_established(), "{:?}", client.state);
    assert_eq!(network.established().len(), 1);
}
