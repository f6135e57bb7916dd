use super::*;
use crate::peer::{ECDSA, LEAST_MTU, MANY, PSK, Peer};
use proptest::prelude::*;

/// The first ClientHello of a client.
fn first(suites: &str, mtu: u32) -> Vec<Vec<u8>> {
    Peer::client(suites, mtu).answer(&[])
}

/// A ClientHello that is all there in one record, with so many bytes after the cookie.
fn hello(session_id: &[u8], cookie: &[u8], rest: usize) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[9; 32]);
    for vector in [session_id, cookie] {
        body.push(u8::try_from(vector.len()).unwrap());
        body.extend_from_slice(vector);
    }
    body.resize(body.len() + rest, 0);
    let length = u8::try_from(body.len()).unwrap();
    let mut datagram = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, length + 12];
    datagram.extend_from_slice(&[1, 0, 0, length, 0, 1, 0, 0, 0, 0, 0, length]);
    datagram.extend(body);
    datagram
}

#[test]
fn the_first_hello_of_openssl_is_read() {
    let datagrams = first(PSK, 1400);
    let [datagram] = &datagrams[..] else { panic!("{} datagrams", datagrams.len()) };
    let read = ClientHello::parse(datagram).unwrap();
    assert_eq!(
        read,
        ClientHello {
            record_sequence: 0,
            message_sequence: 0,
            version: 0xfefd,
            random: datagram[27..59].try_into().unwrap(),
            session_id: &[],
            cookie: &[],
            is_fragment: false,
            record_length: datagram.len(),
        }
    );
    assert_eq!(ClientHello::parse(&first(ECDSA, 1400)[0]).map(|read| read.version), Some(0xfefd));
}

#[test]
fn the_first_fragment_of_a_hello_is_read_and_no_other() {
    let datagrams = first(MANY, LEAST_MTU);
    assert!(datagrams.len() > 1, "it is not fragmented");
    let read: Vec<_> = datagrams.iter().map(|datagram| ClientHello::parse(datagram)).collect();
    assert!(read[0].is_some_and(|read| read.is_fragment && read.record_length == datagrams[0].len()));
    assert!(read[1..].iter().all(Option::is_none));
}

#[test]
fn a_hello_that_is_cut_anywhere_is_none() {
    for mtu in [LEAST_MTU, 1400] {
        let datagram = &first(MANY, mtu)[0];
        for length in 0..datagram.len() {
            assert_eq!(ClientHello::parse(&datagram[..length]), None, "{length}");
        }
    }
}

#[test]
fn a_fragment_must_have_all_of_the_cookie() {
    let whole = hello(&[1; 32], &[2; 20], 6);
    let total = whole.len() - 25;
    for length in 0..=total {
        let mut datagram = whole[..25 + length].to_vec();
        datagram[12] = u8::try_from(12 + length).unwrap();
        datagram[24] = u8::try_from(length).unwrap();
        let read = ClientHello::parse(&datagram);
        assert_eq!(read.is_some(), length >= total - 6, "{length}");
        if let Some(read) = read {
            assert_eq!((read.session_id, read.cookie), (&[1; 32][..], &[2; 20][..]));
            assert_eq!(read.is_fragment, length < total);
        }
    }
}

#[test]
fn numbers_vectors_and_further_records_are_told() {
    let mut datagram = hello(&[3], &[4; 2], 0);
    datagram[5..11].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
    let record_length = datagram.len();
    datagram.extend_from_slice(&[22, 0xfe, 0xfd, 0]);
    let read = ClientHello::parse(&datagram).unwrap();
    assert_eq!((read.record_sequence, read.message_sequence), (0x0102_0304_0506, 1));
    assert_eq!((read.session_id, read.cookie, read.record_length), (&[3][..], &[4, 4][..], record_length));
}

#[test]
fn what_is_no_client_hello_is_none() {
    let whole = hello(&[], &[], 4);
    assert!(ClientHello::parse(&whole).is_some());
    // Content type, version, epoch, message type, length of 2^24, message number, offset, fragment longer than the
    // message or than the record, version.
    for (at, byte) in [
        (0, 23),
        (0, 25),
        (1, 3),
        (3, 1),
        (4, 1),
        (13, 2),
        (14, 0xff),
        (15, 0x11),
        (18, 2),
        (17, 1),
        (19, 1),
        (21, 1),
        (22, 1),
        (24, 255),
        (16, 3),
        (25, 3),
    ] {
        let mut datagram = whole.clone();
        datagram[at] = byte;
        assert_eq!(ClientHello::parse(&datagram), None, "byte {at} is {byte}");
    }
    assert!(ClientHello::parse(&hello(&[5; 32], &[], 0)).is_some());
    assert_eq!(ClientHello::parse(&hello(&[5; 33], &[], 0)), None);
}

proptest! {
    #[test]
    fn a_changed_hello_is_read_within_its_bounds(
        mut datagram in prop_oneof![Just(hello(&[1; 32], &[2; 20], 6)), Just(hello(&[], &[], 4))],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for (at, byte) in changes {
            *at.get_mut(&mut datagram) = byte;
        }
        datagram.truncate(cut.index(datagram.len() + 1));
        if let Some(read) = ClientHello::parse(&datagram) {
            prop_assert!(read.record_length <= datagram.len() && read.record_length >= 61);
            prop_assert!(read.session_id.len() <= 32 && read.message_sequence <= 1);
            prop_assert!(read.record_sequence < 1 << 48);
        }
    }

    #[test]
    fn no_datagram_is_a_panic(datagram in prop::collection::vec(any::<u8>(), 0..100)) {
        ClientHello::parse(&datagram);
    }
}
