//! What can only be seen from inside. `tests/record.rs` has what any caller sees.

use super::*;

pub(super) const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];
const CIDS: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"12345678")];

pub(super) fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: String = hexadecimal.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// A client and a server; each receives with the connection ID.
fn pair(aead: Aead, cid: Option<&[u8]>) -> (RecordLayer, RecordLayer) {
    let keys = Keys::derive(aead, &[7; 48], &[8; 32], &[9; 32]);
    let cid = || cid.map(Box::from);
    (
        RecordLayer::new(Role::Client, keys.clone(), cid(), cid()),
        RecordLayer::new(Role::Server, keys, cid(), cid()),
    )
}

/// A record whose content `seal` would refuse.
fn record(from: &RecordLayer, sequence: u64, content_type: u8, content: &[u8]) -> Vec<u8> {
    let (mut datagram, cid) = (Vec::new(), cid_of(&from.send_cid));
    let part = (content_type, content);
    format::append(from.keys.aead, from.outgoing(), sequence, cid, part, &mut datagram).unwrap();
    datagram
}

/// A record with a connection ID whose encrypted part is exactly this.
fn record_with_inner(from: &RecordLayer, sequence: u64, inner: &[u8]) -> Vec<u8> {
    let aead = from.keys.aead;
    let mut record = record(from, sequence, 0, &inner[..inner.len().saturating_sub(1)]);
    let data_at = PLAIN_LENGTH + cid_of(&from.send_cid).len() + EXPLICIT_NONCE;
    record.truncate(data_at);
    let length = u16::try_from(EXPLICIT_NONCE + inner.len() + aead.tag_len()).unwrap();
    record[data_at - EXPLICIT_NONCE - 2..data_at - EXPLICIT_NONCE].copy_from_slice(&length.to_be_bytes());
    let nonce = from.outgoing().nonce(&record[data_at - EXPLICIT_NONCE..]);
    let mut space = [0; MAX_ADDITIONAL];
    let additional = format::additional(&mut space, &record, cid_of(&from.send_cid).len(), inner.len());
    let (mut data, mut tag) = (inner.to_vec(), [0; 16]);
    let tag = &mut tag[..aead.tag_len()];
    Use { aead, key: &from.outgoing().key, nonce: &nonce, additional }.seal(&mut data, tag).unwrap();
    record.extend_from_slice(&data);
    record.extend_from_slice(tag);
    record
}

#[test]
fn numbers_end_before_they_begin_anew() {
    for aead in AEADS {
        let (mut client, mut server) = pair(aead, None);
        client.sequence = END_OF_NUMBERS - 1;
        let mut datagram = Vec::new();
        client.seal(23, b"last", &mut datagram).unwrap();
        let sealed = datagram.clone();
        for _ in 0..3 {
            assert!(matches!(client.seal(23, b"more", &mut datagram), Err(SealError::Exhausted)));
            assert_eq!((client.sequence(), &datagram), (LAST_NUMBER, &sealed));
        }
        assert_eq!(server.open(&mut datagram).unwrap().sequence, LAST_NUMBER - 1);
        // What a peer does with its last number is its own affair.
        let mut highest = record(&client, LAST_NUMBER, 23, b"highest");
        assert!(server.open(&mut highest).unwrap().newest);
    }
}

#[test]
fn nothing_is_opened_after_too_many_forgeries() {
    for aead in AEADS {
        let (mut client, mut server) = pair(aead, None);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        client.seal(23, b"first", &mut first).unwrap();
        client.seal(23, b"second", &mut second).unwrap();
        let mut forged = second.clone();
        *forged.last_mut().unwrap() ^= 1;

        server.failures = max_failures(aead) - 1;
        assert!(server.open(&mut first).is_ok());
        assert_eq!(server.open(&mut forged), Err(Refusal::Authentication));
        assert_eq!(server.open(&mut second.clone()), Err(Refusal::TooManyFailures));
        assert_eq!(server.failures(), max_failures(aead));
        // Also after a restart.
        let mut snapshot = Vec::new();
        server.write_to(0, &mut snapshot);
        let (mut restored, _) = RecordLayer::read_from(&snapshot).unwrap();
        assert_eq!(restored.open(&mut second), Err(Refusal::TooManyFailures));
    }
}

#[test]
fn an_empty_record_is_authenticated_and_then_empty() {
    for (aead, cid) in AEADS.into_iter().flat_map(|aead| CIDS.map(|cid| (aead, cid))) {
        let (mut client, mut server) = pair(aead, cid);
        let mut datagram = Vec::new();
        client.seal(23, b"", &mut datagram).unwrap();
        for bit in 0..8 * aead.tag_len() {
            let mut forged = datagram.clone();
            let at = datagram.len() - 1 - bit / 8;
            forged[at] ^= 1 << (bit % 8);
            assert_eq!(server.open(&mut forged), Err(Refusal::Authentication), "{aead:?} {cid:?} {bit}");
        }
        let opened = server.open(&mut datagram).unwrap();
        assert_eq!((opened.content_type, opened.content.len()), (23, 0));
    }
}

#[test]
fn an_inner_plaintext_of_no_bytes_is_authenticated_and_then_refused() {
    for aead in AEADS {
        let (client, mut server) = pair(aead, Some(b"12345678"));
        let datagram = record_with_inner(&client, 0, b"");
        assert_eq!(datagram.len(), 13 + 8 + 8 + aead.tag_len());
        for bit in 0..8 * aead.tag_len() {
            let mut forged = datagram.clone();
            let at = datagram.len() - 1 - bit / 8;
            forged[at] ^= 1 << (bit % 8);
            assert_eq!(server.open(&mut forged), Err(Refusal::Authentication), "{aead:?} {bit}");
        }
        assert_eq!(server.open(&mut datagram.clone()), Err(Refusal::Inner));
    }
}

#[test]
fn an_inner_plaintext_without_a_known_type_is_refused_once_and_for_all() {
    let inners =
        [&[0; 1][..], &[0; 40], &[1, 2, 0], b"abc\0\0", &[19], &[5, 24], &[5, 25, 0, 0], &[255, 255]];
    for (aead, inner) in AEADS.into_iter().flat_map(|aead| inners.map(|inner| (aead, inner))) {
        let (client, mut server) = pair(aead, Some(b"12345678"));
        let mut datagram = record_with_inner(&client, 3, inner);
        assert_eq!(server.open(&mut datagram.clone()), Err(Refusal::Inner), "{inner:?}");
        assert_eq!(server.open(&mut datagram), Err(Refusal::Replay));
        assert_eq!(server.failures(), 0);
    }
}

#[test]
fn the_padding_of_an_inner_plaintext_is_taken_off() {
    for content_type in 20..=23 {
        let (client, mut server) = pair(Aead::Ccm8, Some(b"12345678"));
        let inner = [b"ab\0".as_slice(), &[content_type], &[0; 9]].concat();
        let mut datagram = record_with_inner(&client, 0, &inner);
        let opened = server.open(&mut datagram).unwrap();
        assert_eq!((opened.content_type, &datagram[opened.content]), (content_type, &b"ab\0"[..]));
    }
}

#[test]
fn content_longer_than_2_to_the_14_is_refused_before_openssl_sees_it() {
    for (aead, cid) in AEADS.into_iter().flat_map(|aead| CIDS.map(|cid| (aead, cid))) {
        let (mut client, mut server) = pair(aead, cid);
        let too_long = vec![1; MAX_CONTENT + 1];
        let mut datagram = Vec::new();
        assert!(matches!(client.seal(23, &too_long, &mut datagram), Err(SealError::TooLong)));
        assert_eq!((client.sequence(), datagram.len()), (0, 0));
        let mut forced = record(&client, 5, 23, &too_long);
        assert_eq!(server.open(&mut forced), Err(Refusal::Format));
        assert_eq!(server.failures(), 0);

        client.seal(23, &too_long[1..], &mut datagram).unwrap();
        assert_eq!(server.open(&mut datagram).unwrap().content.len(), MAX_CONTENT);
    }
}

#[test]
fn a_record_that_is_not_authentic_does_not_move_the_window() {
    for aead in AEADS {
        let (mut client, mut server) = pair(aead, None);
        let mut datagram = Vec::new();
        client.seal(23, b"hello", &mut datagram).unwrap();
        let mut jump = datagram.clone();
        jump[5..11].fill(0xff);
        let window = server.window;
        assert_eq!(server.open(&mut jump), Err(Refusal::Authentication));
        assert_eq!(server.window, window);
        assert!(server.open(&mut datagram).unwrap().newest);
    }
}

#[test]
fn an_association_has_few_bytes() {
    assert!(size_of::<RecordLayer>() <= 128, "{}", size_of::<RecordLayer>());
}
