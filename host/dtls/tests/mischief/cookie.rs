//! Before an address has shown that it receives what is sent to it, it costs nothing: no state, and no more bytes
//! than it sent itself (RFC 6347 section 4.2.1).

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_dtls::credential::Credentials;
use tidegate_dtls::endpoint::Config;

use crate::client::Client;
use crate::client::wire::{
    ALERT, APPLICATION_DATA, CERTIFICATE, CHANGE_CIPHER_SPEC, CID, CLIENT_HELLO, FINISHED, Fragment,
    HANDSHAKE, HELLO_VERIFY_REQUEST, Hello, Record, SERVER_HELLO,
};
use crate::network::identity::{credentials, identities, psk, raw};
use crate::network::{Network, address, remote};

#[test]
fn a_verify_request_is_no_longer_than_the_shortest_hello() {
    let mut network = Network::new();
    let shortest = Hello {
        version: [0xfe, 0xfd],
        random: [7; 32],
        session_id: Vec::new(),
        cookie: Vec::new(),
        // One suite, one compression method, no extensions.
        rest: vec![0, 2, 0xc0, 0xa8, 1, 0],
    };
    let datagram = shortest.datagram(0, 0);
    let answers = network.probe(address(1), &datagram);
    assert_eq!(answers.len(), 1);
    assert!(is_verify_request(&answers[0].payload));
    assert!(answers[0].payload.len() <= datagram.len());
}

#[test]
fn an_unverified_address_is_sent_nothing_but_verify_requests() {
    let mut network = Network::new();
    let hello = hello_of(&network);
    let other = |kind| Record::new(HANDSHAKE, 0, 0, &Fragment::whole(kind, 1, &[7; 60]).encode()).encode();
    let mut noise: Vec<Vec<u8>> = vec![
        Record::new(ALERT, 0, 0, &[2, 40]).encode(),
        Record::new(ALERT, 0, 0, &[1, 0]).encode(),
        Record::new(CHANGE_CIPHER_SPEC, 0, 0, &[1]).encode(),
        Record::new(APPLICATION_DATA, 0, 0, b"data").encode(),
        Record::new(APPLICATION_DATA, 1, 0, &[7; 60]).encode(),
        Record::new(HANDSHAKE, 1, 0, &[7; 60]).encode(),
        Record::new(CID, 1, 0, &[7; 60]).encode(),
        Record::new(HANDSHAKE, 0, 0, &[]).encode(),
        Record::new(HANDSHAKE, 0, 0, &Fragment::whole(CLIENT_HELLO, 0, &[]).encode()).encode(),
        other(FINISHED),
        other(SERVER_HELLO),
        other(HELLO_VERIFY_REQUEST),
        other(CERTIFICATE),
        // CoAP that came to the wrong port.
        vec![0x40, 0x01, 0x12, 0x34],
        Vec::new(),
    ];
    noise.extend((0..hello.len()).map(|length| hello[..length].to_vec()));
    for datagram in noise {
        let answers = network.probe(address(1), &datagram);
        assert!(answers.is_empty(), "{datagram:02x?} is answered by {answers:02x?}");
        assert!(!network.endpoint.knows(remote(address(1)), &datagram));
    }
    assert!(is_verify_request(&network.probe(address(1), &hello)[0].payload));
}

#[test]
fn a_cookie_is_good_only_for_the_hello_and_address_it_was_made_for() {
    let mut network = Network::new();
    let good = verified(&mut network, address(1));
    let mut forged =
        vec![(address(2), good.clone()), (SocketAddr::from(([10, 0, 0, 1], 40_001)), good.clone())];
    let mut change = |of: &dyn Fn(&mut Hello)| {
        let mut hello = good.clone();
        of(&mut hello);
        forged.push((address(1), hello));
    };
    change(&|hello| hello.random[31] ^= 1);
    change(&|hello| hello.session_id = vec![7; 32]);
    change(&|hello| hello.cookie[0] ^= 1);
    change(&|hello| *hello.cookie.last_mut().unwrap() ^= 0x80);
    change(&|hello| {
        hello.cookie.pop();
    });
    change(&|hello| hello.cookie.push(0));
    change(&|hello| hello.cookie = vec![0; hello.cookie.len()]);
    change(&|hello| hello.cookie = vec![0; 255]);
    for (at, hello) in forged {
        let answers = network.probe(at, &hello.datagram(1, 1));
        assert!(answers.iter().all(|answer| is_verify_request(&answer.payload)), "{hello:?}");
        assert!(
            answers.iter().map(|answer| answer.payload.len()).sum::<usize>() <= hello.datagram(1, 1).len()
        );
    }
    assert!(is_server_hello(&network.probe(address(1), &good.datagram(1, 1))));
}

#[test]
fn a_cookie_is_good_for_a_while_and_then_no_more() {
    let mut network = Network::new();
    let (soon, late) = (verified(&mut network, address(1)), verified(&mut network, address(2)));
    network.run_for(Duration::from_secs(30));
    assert!(is_server_hello(&network.probe(address(1), &soon.datagram(1, 1))));
    network.run_for(Duration::from_secs(3600));
    // Something else in between, as the key may be changed only when it is used.
    network.probe(address(3), &hello_of(&Network::new()));
    network.run_for(Duration::from_secs(3600));
    let answers = network.probe(address(2), &late.datagram(1, 1));
    assert!(answers.iter().all(|answer| is_verify_request(&answer.payload)), "{answers:?}");
}

#[test]
fn a_flood_of_hellos_leaves_no_state() {
    let mut network = Network::new();
    let client = Client::new(&psk(), network.now);
    let mut hello = parse(&client.transmits[0]);
    let held = allocation_counter::measure(|| {
        for number in 0..20_000 {
            hello.random[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            let answers = network.probe(address(number), &hello.datagram(0, 0));
            assert!(answers.len() == 1 && is_verify_request(&answers[0].payload));
            assert!(!network.endpoint.knows(remote(address(number)), &[]));
            network.captures.clear();
        }
    });
    assert!(held.bytes_current < 4096, "{held:?}");
    assert!(network.endpoint.is_empty());
    // No timer of a handshake is waiting.
    assert!(!network.run_until(Duration::from_secs(600), |network| !network.captures.is_empty()));
}

#[test]
fn half_open_handshakes_are_bounded() {
    let config = Config { max_handshakes: 5, ..Config::default() };
    let mut network = Network::with(config, credentials());
    let answered = open(&mut network, (0..20).map(address));
    assert_eq!(answered, 5);
    // Whoever does not go on makes room after the time that a handshake may take.
    network.run_for(Duration::from_secs(90));
    assert_eq!(open(&mut network, (30..50).map(address)), 5);
    network.run_for(Duration::from_secs(90));
    network.connect(&psk());
    assert_eq!(network.endpoint.len(), 1);
}

#[test]
fn half_open_handshakes_of_one_address_are_bounded() {
    let config = Config { max_handshakes_per_address: 3, ..Config::default() };
    let mut network = Network::with(config, credentials());
    let ports = (0..20).map(|port| SocketAddr::from(([192, 0, 2, 1], 1000 + port)));
    assert_eq!(open(&mut network, ports), 3);
    // Others do not suffer from it.
    network.connect(&psk());
    // The finished ones do not count.
    network.run_for(Duration::from_secs(90));
    for port in 0..10 {
        let client = network.add_at(&psk(), SocketAddr::from(([192, 0, 2, 1], 2000 + port)));
        network.run();
        assert!(network.clients[client].is_established());
    }
    assert_eq!(network.endpoint.len(), 11);
}

#[test]
fn the_records_of_the_answers_bear_the_hellos_numbers() {
    let mut network = Network::new();
    let client = Client::new(&psk(), network.now);
    let hello = parse(&client.transmits[0]);
    let answers = network.probe(address(1), &hello.datagram(0, 5));
    let verify = Record::all(&answers[0].payload, 0).remove(0);
    assert_eq!(verify.sequence, 5);
    let cookie = verify.fragments()[0].body[3..].to_vec();
    let answers = network.probe(address(1), &Hello { cookie, ..hello }.datagram(1, 9));
    assert!(is_server_hello(&answers));
    assert_eq!(Record::all(&answers[0].payload, 0)[0].sequence, 9);
}

/// CVE-2026-14457: a server with nothing but a raw public key, and a client that says which algorithms may sign
/// certificates (RFC 8446 section 4.2.3).
#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn signature_algorithms_cert_to_a_server_without_a_certificate() {
    let mut credentials = Credentials::new();
    let all = identities();
    credentials.add_raw_public_key(&all.raw.public_key_to_der().unwrap(), "urn:dev:raw").unwrap();
    credentials.present(&all.server.key.private_key_to_pem_pkcs8().unwrap(), None).unwrap();
    let mut network = Network::with(Config::default(), credentials);
    for algorithms in [&[0, 2, 4, 3][..], &[0, 2, 2, 1], &[0, 0], &[0, 4, 8, 7, 255, 255], &[]] {
        let mut hello = parse(&Client::new(&raw(), network.now).transmits[0]);
        let extension = [&[0, 50, 0, u8::try_from(algorithms.len()).unwrap()], algorithms].concat();
        let start = 2 + usize::from(hello.rest[1]) + 1 + 1;
        let length = u16::from_be_bytes([hello.rest[start], hello.rest[start + 1]]);
        let length = length + u16::try_from(extension.len()).unwrap();
        hello.rest[start..start + 2].copy_from_slice(&length.to_be_bytes());
        hello.rest.extend(extension);
        let answers = network.probe(address(1), &hello.datagram(0, 0));
        hello.cookie = Record::all(&answers[0].payload, 0)[0].fragments()[0].body[3..].to_vec();
        network.probe(address(1), &hello.datagram(1, 1));
        network.run_for(Duration::from_secs(120));
    }
    let client = network.connect(&raw());
    assert!(network.talks(client));
}

/// Sends verified hellos from these addresses; how many are answered with a ServerHello.
fn open(network: &mut Network, addresses: impl Iterator<Item = SocketAddr>) -> usize {
    let answered = addresses.filter(|at| {
        let hello = verified(network, *at);
        is_server_hello(&network.probe(*at, &hello.datagram(1, 1)))
    });
    answered.count()
}

/// A ClientHello with its cookie.
pub(crate) fn verified(network: &mut Network, at: SocketAddr) -> Hello {
    let client = Client::new(&psk(), network.now);
    let hello = parse(&client.transmits[0]);
    let answers = network.probe(at, &client.transmits[0]);
    let verify = Record::all(&answers[0].payload, 0).remove(0).fragments().remove(0);
    assert_eq!(verify.kind, HELLO_VERIFY_REQUEST);
    Hello { cookie: verify.body[3..].to_vec(), ..hello }
}

fn hello_of(network: &Network) -> Vec<u8> {
    Client::new(&psk(), network.now).transmits[0].clone()
}

fn parse(datagram: &[u8]) -> Hello {
    Hello::parse(&Record::all(datagram, 0)[0].fragments()[0].body).unwrap()
}

fn is_verify_request(datagram: &[u8]) -> bool {
    let records = Record::all(datagram, 0);
    records.len() == 1 && records[0].has(HELLO_VERIFY_REQUEST)
}

pub(crate) fn is_server_hello(answers: &[crate::network::Capture]) -> bool {
    answers.iter().any(|answer| Record::all(&answer.payload, 0).iter().any(|record| record.has(SERVER_HELLO)))
}
