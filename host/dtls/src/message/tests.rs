use super::*;
use crate::peer::{self, ECDHE_PSK, ECDSA, IDENTITY, LEAST_MTU, MANY, PSK};
use crate::record;
use proptest::prelude::*;

/// A plaintext record.
fn record(content_type: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9];
    record.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    record.extend_from_slice(content);
    record
}

/// A fragment of a message of zeros: type, number, length, and which bytes of it.
fn fragment(kind: u8, sequence: u16, length: u32, from: u32, to: u32) -> Vec<u8> {
    let mut content = vec![kind];
    content.extend_from_slice(&length.to_be_bytes()[1..]);
    content.extend_from_slice(&sequence.to_be_bytes());
    content.extend_from_slice(&from.to_be_bytes()[1..]);
    content.extend_from_slice(&(to - from).to_be_bytes()[1..]);
    content.resize(content.len() + usize::try_from(to - from).unwrap(), 0xff);
    content
}

/// A record with one message that is not fragmented.
fn message(kind: u8, sequence: u16) -> Vec<u8> {
    record(22, &fragment(kind, sequence, 50, 0, 50))
}

/// What is left of a handshake whose ClientHello has come, with the number 1.
fn greeted() -> Flow {
    let mut flow = Flow::default();
    flow.admit(&message(CLIENT_HELLO, 1)).unwrap();
    flow
}

const HELLO: u8 = CLIENT_HELLO;
const KEY: u8 = CLIENT_KEY_EXCHANGE;

/// All plaintext records that the client sent in a handshake.
fn plaintext(suites: &str, mtu: u32) -> Vec<Vec<u8>> {
    let [sent, _] = peer::handshake(suites, mtu);
    let records =
        sent.iter().flat_map(|datagram| record::split(datagram, 0).map(|range| datagram[range].to_vec()));
    records.filter(|record| record[3..5] == [0, 0]).collect()
}

#[test]
fn what_clients_of_openssl_send_is_admitted() {
    for suites in [PSK, ECDHE_PSK, ECDSA, MANY] {
        for mtu in [LEAST_MTU, 1400] {
            let (mut flow, records) = (Flow::default(), plaintext(suites, mtu));
            // Once more, and the flight after the ClientHello in any order.
            for record in records.iter().chain(&records).chain(records.iter().rev()) {
                assert_eq!(flow.admit(record), Ok(()), "{suites} {mtu} {record:02x?}");
            }
            let sorts = |content_type| records.iter().filter(|record| record[0] == content_type).count();
            assert!(sorts(22) >= 2 && sorts(20) >= 1, "{suites} {mtu}");
        }
    }
}

#[test]
fn a_server_is_no_client() {
    let [_, sent] = peer::handshake(ECDSA, 1400);
    let first = sent[0].clone();
    let server_hello = record::split(&first, 0).next().unwrap();
    assert_eq!(first[server_hello.start + 13], 2, "it is no ServerHello");
    let mut flow = Flow::default();
    flow.admit(&message(HELLO, 0)).unwrap();
    assert!(flow.admit(&first[server_hello]).is_err());
}

#[test]
fn a_record_must_be_one_whole_record_of_epoch_0() {
    let whole = message(HELLO, 1);
    for length in 0..whole.len() {
        assert_eq!(Flow::default().admit(&whole[..length]), Err(Refusal::Format), "{length}");
    }
    assert_eq!(Flow::default().admit(&[&whole[..], &[0]].concat()), Err(Refusal::Format));
    let changed = |at: usize, byte| {
        let mut record = whole.clone();
        record[at] = byte;
        Flow::default().admit(&record)
    };
    assert_eq!(changed(1, 3), Err(Refusal::Format));
    assert_eq!(changed(3, 1), Err(Refusal::Epoch));
    assert_eq!(changed(4, 1), Err(Refusal::Epoch));
    for content_type in [0, 19, 23, 24, 25, 26, 255] {
        assert_eq!(changed(0, content_type), Err(Refusal::ContentType));
    }
    for content_type in [20, 21, 22] {
        assert_eq!(greeted().admit(&record(content_type, &[])), Err(Refusal::Empty));
    }
}

#[test]
fn a_fragment_that_is_cut_or_not_within_its_message_is_refused() {
    let whole = fragment(KEY, 2, 50, 0, 50);
    for length in 1..whole.len() {
        assert_eq!(greeted().admit(&record(22, &whole[..length])), Err(Refusal::Fragment), "{length}");
    }
    for (length, from, to) in [(50, 0, 51), (50, 1, 51), (50, 50, 51), (50, 60, 70), (0, 0, 1)] {
        let content = fragment(KEY, 2, length, from, to);
        assert_eq!(greeted().admit(&record(22, &content)), Err(Refusal::Fragment), "{length} {from} {to}");
    }
    let mut huge = fragment(KEY, 2, 50, 0, 50);
    huge[6..12].fill(0xff);
    assert_eq!(greeted().admit(&record(22, &huge)), Err(Refusal::Fragment));
    huge[1..4].fill(0xff);
    assert_eq!(greeted().admit(&record(22, &huge)), Err(Refusal::Fragment));
}

#[test]
fn nothing_is_empty() {
    for (length, at) in [(0, 0), (50, 0), (50, 50)] {
        assert_eq!(greeted().admit(&record(22, &fragment(KEY, 2, length, at, at))), Err(Refusal::Empty));
    }
}

#[test]
fn a_message_is_short() {
    for (kind, sequence, most) in
        [(CERTIFICATE, 2, 8_192), (KEY, 2, 4_096), (CERTIFICATE_VERIFY, 4, 4_096), (HELLO, 1, 4_096)]
    {
        let admit = |length| {
            let mut flow = if kind == HELLO { Flow::default() } else { greeted() };
            flow.admit(&record(22, &fragment(kind, sequence, length, 0, 1)))
        };
        assert_eq!(admit(most), Ok(()), "{kind}");
        for length in [most + 1, 16_384, (1 << 24) - 1] {
            assert_eq!(admit(length), Err(Refusal::Length), "{kind}");
        }
    }
}

#[test]
fn fragments_may_come_in_any_order_overlap_and_come_again() {
    let mut flow = greeted();
    for (from, to) in [(40, 50), (0, 20), (10, 30), (0, 20), (25, 45), (0, 50), (7, 8)] {
        assert_eq!(flow.admit(&record(22, &fragment(CERTIFICATE, 2, 50, from, to))), Ok(()));
    }
    // Cut differently, in one record.
    let again = [
        fragment(CERTIFICATE, 2, 50, 0, 49),
        fragment(CERTIFICATE, 2, 50, 49, 50),
        fragment(KEY, 3, 9, 0, 9),
    ];
    assert_eq!(flow.admit(&record(22, &again.concat())), Ok(()));
}

#[test]
fn fragments_of_one_message_must_agree() {
    let mut flow = greeted();
    flow.admit(&record(22, &fragment(CERTIFICATE, 2, 50, 0, 20))).unwrap();
    let other_length = record(22, &fragment(CERTIFICATE, 2, 51, 20, 50));
    assert_eq!(flow.admit(&other_length), Err(Refusal::Inconsistent));
    let other_type = record(22, &fragment(KEY, 2, 50, 20, 50));
    assert_eq!(flow.admit(&other_type), Err(Refusal::Inconsistent));
    assert_eq!(flow.admit(&message(HELLO, 1)), Ok(()));
    assert_eq!(flow.admit(&record(22, &fragment(HELLO, 1, 60, 0, 50))), Err(Refusal::Inconsistent));
}

#[test]
fn numbers_begin_at_the_hello_and_end_three_after_it() {
    for sequence in [2, 9, 10, u16::MAX] {
        assert_eq!(Flow::default().admit(&message(HELLO, sequence)), Err(Refusal::Sequence));
    }
    for first in [0, 1] {
        let mut flow = Flow::default();
        flow.admit(&message(HELLO, first)).unwrap();
        for sequence in [first + 4, 9, 10, u16::MAX] {
            assert_eq!(flow.admit(&message(CERTIFICATE_VERIFY, sequence)), Err(Refusal::Sequence));
        }
        assert_eq!(flow.admit(&message(CERTIFICATE_VERIFY, first + 3)), Ok(()));
    }
    // What is left of the ClientHello without the cookie.
    assert_eq!(greeted().admit(&message(HELLO, 0)), Err(Refusal::Sequence));
}

#[test]
fn only_a_clients_flights_are_admitted() {
    /// The flights after the ClientHello that begin a legal one.
    const LEGAL: [&[u8]; 5] =
        [&[], &[KEY], &[CERTIFICATE], &[CERTIFICATE, KEY], &[CERTIFICATE, KEY, CERTIFICATE_VERIFY]];
    let kinds = || 0..=255_u8;
    let admit = |flow: &mut Flow, flight: &[u8]| {
        (2..).zip(flight).all(|(sequence, kind)| flow.admit(&message(*kind, sequence)).is_ok())
    };
    for legal in LEGAL {
        for kind in kinds() {
            let flight = [legal, &[kind]].concat();
            assert_eq!(admit(&mut greeted(), &flight), LEGAL.contains(&&flight[..]), "{flight:?}");
        }
    }
}

#[test]
fn the_order_is_checked_whatever_comes_first() {
    // Pairs of type and number, the second of which contradicts the first.
    for ((kind, sequence), (other, at)) in [
        ((KEY, 2), (KEY, 3)),
        ((KEY, 3), (KEY, 2)),
        ((KEY, 2), (CERTIFICATE_VERIFY, 4)),
        ((CERTIFICATE_VERIFY, 4), (KEY, 2)),
        ((KEY, 3), (CERTIFICATE, 4)),
        ((CERTIFICATE, 2), (CERTIFICATE, 3)),
        ((CERTIFICATE, 2), (CERTIFICATE_VERIFY, 3)),
        ((CERTIFICATE_VERIFY, 4), (HELLO, 2)),
    ] {
        let mut flow = greeted();
        assert_eq!(flow.admit(&message(kind, sequence)), Ok(()));
        let before = flow;
        assert_eq!(flow.admit(&message(other, at)), Err(Refusal::Order), "{kind} {other}");
        assert_eq!(flow, before);
    }
    for order in [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]] {
        let mut flow = greeted();
        for sequence in order {
            let kind = [CERTIFICATE, KEY, CERTIFICATE_VERIFY][usize::from(sequence) - 2];
            assert_eq!(flow.admit(&message(kind, sequence)), Ok(()), "{order:?}");
        }
    }
}

#[test]
fn nothing_comes_before_the_hello() {
    let mut flow = Flow::default();
    assert_eq!(flow.admit(&record(20, &[1])), Err(Refusal::Order));
    assert_eq!(flow.admit(&record(21, &[2, 40])), Err(Refusal::Order));
    for kind in [CERTIFICATE, KEY, CERTIFICATE_VERIFY] {
        for sequence in 0..2 {
            assert_eq!(flow.admit(&message(kind, sequence)), Err(Refusal::Order));
        }
    }
    assert_eq!(flow, Flow::default());
}

#[test]
fn a_record_is_admitted_whole_or_not_at_all() {
    let mut flow = greeted();
    let good = fragment(CERTIFICATE, 2, 50, 0, 50);
    let bad = fragment(20, 3, 12, 0, 12);
    assert_eq!(flow.admit(&record(22, &[&good[..], &bad].concat())), Err(Refusal::Order));
    assert_eq!(flow, greeted());
    assert_eq!(flow.admit(&record(22, &[&good[..], &[0; 11]].concat())), Err(Refusal::Fragment));
    assert_eq!(flow.admit(&message(KEY, 2)), Ok(()), "the Certificate was not admitted");
}

#[test]
fn change_cipher_spec_is_one_byte() {
    let mut flow = greeted();
    assert_eq!(flow.admit(&record(20, &[1])), Ok(()));
    assert_eq!(flow.admit(&record(20, &[1])), Ok(()), "it comes again with its flight");
    for content in [&[0][..], &[2], &[1, 1], &[1; 12]] {
        assert_eq!(flow.admit(&record(20, content)), Err(Refusal::ChangeCipherSpec));
    }
}

#[test]
fn an_alert_is_two_bytes() {
    let mut flow = greeted();
    for content in [[1, 0], [1, 90], [2, 40]] {
        assert_eq!(flow.admit(&record(21, &content)), Ok(()));
    }
    for content in [&[1][..], &[0, 40], &[3, 40], &[2, 40, 2], &[2, 40, 2, 40]] {
        assert_eq!(flow.admit(&record(21, content)), Err(Refusal::Alert));
    }
}

#[test]
fn the_bytes_of_a_handshake_are_bounded() {
    let mut flow = greeted();
    let alert = record(21, &[1, 0]);
    let admitted = (0..10_000).take_while(|_| flow.admit(&alert).is_ok()).count();
    assert_eq!(admitted, (65_536 - message(HELLO, 1).len()) / alert.len());
    assert_eq!(flow.admit(&alert), Err(Refusal::Volume));
}

#[test]
fn the_longest_flight_may_come_three_times() {
    let mut flow = Flow::default();
    let messages =
        [(HELLO, 1, 4_096), (CERTIFICATE, 2, 8_192), (KEY, 3, 4_096), (CERTIFICATE_VERIFY, 4, 4_096)];
    for _ in 0..3 {
        for (kind, sequence, length) in messages {
            for from in (0..length).step_by(1024) {
                let record = record(22, &fragment(kind, sequence, length, from, from + 1024));
                assert_eq!(flow.admit(&record), Ok(()));
            }
        }
    }
}

#[test]
fn the_identity_of_a_client_of_openssl_is_told() {
    for (suites, identity) in [(PSK, Some(IDENTITY)), (ECDHE_PSK, Some(IDENTITY)), (ECDSA, None)] {
        let told: Vec<_> =
            plaintext(suites, 1400).iter().filter_map(|r| psk_identity(r).map(<[u8]>::to_vec)).collect();
        assert_eq!(told, identity.map(<[u8]>::to_vec).into_iter().collect::<Vec<_>>(), "{suites}");
    }
}

/// A record with a ClientKeyExchange.
fn key_exchange(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    let mut content = fragment(KEY, 2, length, 0, length);
    content.truncate(12);
    content.extend_from_slice(body);
    record(22, &content)
}

#[test]
fn an_identity_is_told_if_it_is_all_there() {
    assert_eq!(psk_identity(&key_exchange(b"\0\x03abc")), Some(&b"abc"[..]));
    assert_eq!(psk_identity(&key_exchange(b"\0\x03abc\x02xy")), Some(&b"abc"[..]));
    assert_eq!(psk_identity(&key_exchange(b"\0\0")), Some(&b""[..]));
    for body in [&b"\0"[..], b"\0\x04abc", b"\0\x02abc", b"\0\x03abc\x03xy", b"\x01\x03abc"] {
        assert_eq!(psk_identity(&key_exchange(body)), None, "{body:?}");
    }
    // An elliptic point is none.
    let mut point = vec![65, 4];
    point.resize(66, 7);
    assert_eq!(psk_identity(&key_exchange(&point)), None);
    // Nor is a fragment, another message, or another record.
    assert_eq!(psk_identity(&record(22, &fragment(KEY, 2, 50, 0, 20))), None);
    let mut other = key_exchange(b"\0\x03abc");
    other[13] = CERTIFICATE;
    assert_eq!(psk_identity(&other), None);
    let mut other = key_exchange(b"\0\x03abc");
    other[0] = 23;
    assert_eq!(psk_identity(&other), None);
    // It may come after another message.
    let mut content = fragment(CERTIFICATE, 2, 50, 0, 50);
    content.extend_from_slice(&key_exchange(b"\0\x03abc")[13..]);
    assert_eq!(psk_identity(&record(22, &content)), Some(&b"abc"[..]));
}

#[test]
fn an_identity_has_1_to_128_bytes_and_no_nul() {
    for identity in [&b"a"[..], &[b'a'; 128], &[0xff], "Zähler".as_bytes()] {
        assert!(is_acceptable_identity(identity));
        let body = [&[0, u8::try_from(identity.len()).unwrap()], identity].concat();
        assert_eq!(greeted().admit(&key_exchange(&body)), Ok(()));
    }
    for identity in [&b""[..], &[b'a'; 129], b"\0", b"meter\0", b"meter\x007"] {
        assert!(!is_acceptable_identity(identity));
        let body = [&[0, u8::try_from(identity.len()).unwrap()], identity].concat();
        assert_eq!(greeted().admit(&key_exchange(&body)), Err(Refusal::Identity));
    }
}

/// Content types, messages and fragments that are right now and then.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![0, HELLO, 2, CERTIFICATE, CERTIFICATE_VERIFY, KEY, 20]);
    let length = prop_oneof![4 => 0..60_u32, 1 => 4_090..8_200_u32, 1 => Just((1 << 24) - 1)];
    let fragment = (kind, 0..7_u16, length, 0..60_u32, 0..60_u32)
        .prop_map(|(kind, sequence, length, from, size)| fragment(kind, sequence, length, from, from + size));
    let messages =
        prop::collection::vec(fragment, 1..4).prop_map(|fragments| record(22, &fragments.concat()));
    let other = (19..25_u8, prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, content)| record(kind, &content));
    prop_oneof![4 => messages, 1 => other, 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

proptest! {
    #[test]
    fn whatever_is_admitted_keeps_the_promises(records in prop::collection::vec(any_record(), 0..40)) {
        let mut flow = Flow::default();
        let mut seen: Vec<(u16, u8, usize)> = Vec::new();
        for record in records {
            let before = flow;
            psk_identity(&record);
            if flow.admit(&record).is_err() {
                prop_assert_eq!(flow, before);
                continue;
            }
            prop_assert!((20..=22).contains(&record[0]) && record[3..5] == [0, 0]);
            let mut content = if record[0] == 22 { &record[13..] } else { &[] };
            while let Some((fragment, rest)) = Fragment::parse(content) {
                prop_assert!(fragment.offset + fragment.body.len() <= fragment.length && fragment.length <= 8_192);
                seen.push((fragment.sequence, fragment.kind, fragment.length));
                content = rest;
            }
            prop_assert!(content.is_empty());
        }
        seen.sort_unstable();
        seen.dedup();
        // One message for each number, at most four, and the types in order.
        prop_assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0) && seen.len() <= 4);
        let rank = |kind| [HELLO, CERTIFICATE, KEY, CERTIFICATE_VERIFY].iter().position(|of| *of == kind);
        prop_assert!(seen.windows(2).all(|pair| rank(pair[0].1) < rank(pair[1].1)));
        prop_assert!(seen.iter().all(|message| rank(message.1).is_some()));
    }
}
