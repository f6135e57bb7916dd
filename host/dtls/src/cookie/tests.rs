use super::*;
use crate::peer::{ECDSA, LEAST_MTU, MANY, PSK, Peer};
use proptest::prelude::*;

/// Numbers in a row.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
    }
}

const RANDOM: [u8; 32] = [8; 32];

fn hello<'a>(cookie: &'a [u8]) -> ClientHello<'a> {
    ClientHello {
        record_sequence: 1,
        message_sequence: 1,
        version: 0xfefd,
        random: &RANDOM,
        session_id: &[],
        cookie,
        is_fragment: false,
        record_length: 100,
    }
}

fn remote() -> SocketAddr {
    "192.0.2.7:5684".parse().unwrap()
}

/// The cookie that a client at `remote` is given for `hello(&[])`.
fn given(cookies: &Cookies) -> Vec<u8> {
    let mut datagram = Vec::new();
    cookies.hello_verify_request(remote(), &hello(&[]), &mut datagram);
    datagram.split_off(28)
}

#[test]
fn a_client_of_openssl_comes_back_with_its_cookie() {
    for (suites, mtu) in [(PSK, 1400), (ECDSA, 1400), (MANY, LEAST_MTU)] {
        let cookies = Cookies::new(&mut Counting(0));
        let mut client = Peer::client(suites, mtu);
        let first = client.answer(&[]);
        let read = ClientHello::parse(&first[0]).unwrap();
        assert!(!cookies.check(remote(), &read));
        let mut datagram = Vec::new();
        cookies.hello_verify_request(remote(), &read, &mut datagram);
        let second = client.answer(&[datagram]);
        let again = second.iter().filter_map(|datagram| ClientHello::parse(datagram)).next_back().unwrap();
        assert_eq!((again.message_sequence, again.random), (1, read.random));
        assert!(cookies.check(remote(), &again), "{suites}");
    }
}

#[test]
fn the_request_is_shorter_than_any_hello_and_has_the_number_of_its_record() {
    let cookies = Cookies::new(&mut Counting(0));
    let mut hello = hello(&[]);
    hello.record_sequence = 0x0102_0304_0506;
    let mut datagram = b"before".to_vec();
    cookies.hello_verify_request(remote(), &hello, &mut datagram);
    let (start, cookie) = datagram.split_at(28);
    assert_eq!(
        start,
        [22, 0xfe, 0xff, 0, 0, 1, 2, 3, 4, 5, 6, 0, 35, 3, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 23, 0xfe, 0xff, 20]
    );
    assert_eq!(cookie.len(), 20);
    // The least that is a ClientHello: the headers, version, random, and two lengths of nothing.
    let least = 13 + 12 + 2 + 32 + 1 + 1;
    let mut shortest =
        vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 48, 1, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 36];
    shortest.extend_from_slice(&[0xfe, 0xfd]);
    shortest.resize(least, 0);
    assert!(ClientHello::parse(&shortest).is_some());
    assert!(datagram.len() < shortest.len());
}

#[test]
fn a_cookie_is_for_one_address_port_version_random_and_session() {
    let cookies = Cookies::new(&mut Counting(0));
    let cookie = given(&cookies);
    let own = hello(&cookie);
    assert!(cookies.check(remote(), &own));
    for other in ["192.0.2.8:5684", "192.0.2.7:5685", "[2001:db8::7]:5684"] {
        assert!(!cookies.check(other.parse().unwrap(), &own), "{other}");
    }
    assert!(!cookies.check(remote(), &ClientHello { random: &[9; 32], ..own }));
    assert!(!cookies.check(remote(), &ClientHello { session_id: &[0], ..own }));
    assert!(!cookies.check(remote(), &ClientHello { version: 0xfeff, ..own }));
    assert!(!cookies.check(remote(), &ClientHello { message_sequence: 0, ..own }));
    // Where a fragment ends, and the record's number, may differ.
    assert!(cookies.check(remote(), &ClientHello { is_fragment: true, record_sequence: 3, ..own }));
}

#[test]
fn a_forged_cookie_does_not_count() {
    let cookies = Cookies::new(&mut Counting(0));
    let cookie = given(&cookies);
    for bit in 0..cookie.len() * 8 {
        let mut forged = cookie.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!cookies.check(remote(), &hello(&forged)));
    }
    for length in 0..cookie.len() {
        assert!(!cookies.check(remote(), &hello(&cookie[..length])));
    }
    assert!(!cookies.check(remote(), &hello(&[&cookie[..], &[0]].concat())));
    assert!(!Cookies::new(&mut Counting(1)).check(remote(), &hello(&cookie)), "another gateway's");
}

#[test]
fn a_cookie_outlives_one_rotation_and_not_two() {
    let mut entropy = Counting(0);
    let mut cookies = Cookies::new(&mut entropy);
    let cookie = given(&cookies);
    cookies.rotate(&mut entropy);
    assert!(cookies.check(remote(), &hello(&cookie)));
    assert_ne!(given(&cookies), cookie);
    assert!(cookies.check(remote(), &hello(&given(&cookies))));
    cookies.rotate(&mut entropy);
    assert!(!cookies.check(remote(), &hello(&cookie)));
}

#[test]
fn a_key_is_in_use_for_two_minutes() {
    let mut entropy = Counting(0);
    let mut cookies = Cookies::new(&mut entropy);
    let start = Instant::from_micros(7_000_000_000);
    cookies.rotate_when_due(start, &mut entropy);
    let cookie = given(&cookies);
    cookies.rotate_when_due(start + Duration::from_secs(119), &mut entropy);
    assert_eq!(given(&cookies), cookie);
    cookies.rotate_when_due(start + Duration::from_secs(120), &mut entropy);
    assert_ne!(given(&cookies), cookie);
    cookies.rotate_when_due(start + Duration::from_secs(239), &mut entropy);
    assert!(cookies.check(remote(), &hello(&cookie)));
    cookies.rotate_when_due(start + Duration::from_secs(240), &mut entropy);
    assert!(!cookies.check(remote(), &hello(&cookie)));
}

#[test]
fn a_cookie_from_before_a_long_silence_does_not_count() {
    let mut entropy = Counting(0);
    let mut cookies = Cookies::new(&mut entropy);
    let start = Instant::from_micros(0);
    cookies.rotate_when_due(start, &mut entropy);
    let cookie = given(&cookies);
    cookies.rotate_when_due(start + Duration::from_secs(240), &mut entropy);
    assert!(!cookies.check(remote(), &hello(&cookie)));
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", Cookies::new(&mut Counting(0))), "Cookies { .. }");
}

proptest! {
    #[test]
    fn a_cookie_counts_where_it_was_given_and_nowhere_else(
        random in any::<[u8; 32]>(),
        session_id in prop::collection::vec(any::<u8>(), 0..=32),
        given_to in any::<(u32, u16)>(),
        shown_by in any::<(u32, u16)>(),
    ) {
        let cookies = Cookies::new(&mut Counting(0));
        let [given_to, shown_by] = [given_to, shown_by].map(|(ip, port)| SocketAddr::from((ip.to_be_bytes(), port)));
        let mut datagram = Vec::new();
        let first = ClientHello { random: &random, session_id: &session_id, ..hello(&[]) };
        cookies.hello_verify_request(given_to, &first, &mut datagram);
        let second = ClientHello { cookie: &datagram[28..], ..first };
        prop_assert!(cookies.check(given_to, &second));
        prop_assert_eq!(cookies.check(shown_by, &second), shown_by == given_to);
    }
}
