//! What whoever calls the record layer can rely on: what one side seals only the other opens, and once.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these functions belong to them

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::symm::{self, Cipher, encrypt_aead};
use proptest::prelude::*;
use tidegate_dtls::record::content_type::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE};
use tidegate_dtls::record::{Aead, Header, Keys, RecordLayer, Refusal, Role, split};

const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];
const MASTER: [u8; 48] = [0x11; 48];
const CLIENT_RANDOM: [u8; 32] = [0x22; 32];
const SERVER_RANDOM: [u8; 32] = [0x33; 32];

fn layer(role: Role, aead: Aead, receive: Option<&[u8]>, send: Option<&[u8]>) -> RecordLayer {
    let keys = Keys::derive(aead, &MASTER, &CLIENT_RANDOM, &SERVER_RANDOM);
    RecordLayer::new(role, keys, receive.map(Box::from), send.map(Box::from))
}

/// A client and a server; records have the connection ID both ways.
fn pair(aead: Aead, cid: Option<&[u8]>) -> (RecordLayer, RecordLayer) {
    (layer(Role::Client, aead, cid, cid), layer(Role::Server, aead, cid, cid))
}

fn sealed(layer: &mut RecordLayer, content_type: u8, content: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    layer.seal(content_type, content, &mut datagram).unwrap();
    assert_eq!(datagram.len(), content.len() + layer.overhead());
    datagram
}

fn each(check: impl Fn(Aead, Option<&[u8]>)) {
    for aead in AEADS {
        for cid in [None, Some(&b""[..]), Some(b"c"), Some(b"conn "), Some(b"01234567"), Some(&[7; 32])] {
            check(aead, cid);
        }
    }
}

mod format {
    use super::*;

    /// The PRF of TLS 1.2 with OpenSSL's HMAC.
    fn prf(secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
        let key = PKey::hmac(secret).unwrap();
        let hmac = |data: &[u8]| {
            let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
            signer.sign_oneshot_to_vec(data).unwrap()
        };
        let seed = [label, seed].concat();
        let (mut chain, mut output) = (hmac(&seed), Vec::new());
        while output.len() < length {
            output.extend(hmac(&[&chain[..], &seed].concat()));
            chain = hmac(&chain);
        }
        output.truncate(length);
        output
    }

    fn key_block() -> Vec<u8> {
        prf(&MASTER, b"key expansion", &[SERVER_RANDOM, CLIENT_RANDOM].concat(), 40)
    }

    /// The ciphertext and the tag after it.
    fn encrypt(aead: Aead, key: &[u8], nonce: &[u8], additional: &[u8], plaintext: &[u8]) -> Vec<u8> {
        if aead == Aead::Gcm {
            let (cipher, mut tag) = (Cipher::aes_128_gcm(), [0; 16]);
            let data = encrypt_aead(cipher, key, Some(nonce), additional, plaintext, &mut tag).unwrap();
            return [&data[..], &tag].concat();
        }
        // NIST SP 800-38C, from single blocks of AES: first the CBC-MAC, with formatting of appendix A.2.
        let block =
            |input: &[u8]| symm::encrypt(Cipher::aes_128_ecb(), key, None, input).unwrap()[..16].to_vec();
        let tag_len = u8::try_from(aead.tag_len()).unwrap();
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            bytes
        };
        let length = u32::try_from(plaintext.len()).unwrap().to_be_bytes();
        let mut input = [&[0x40 | ((tag_len - 2) / 2) << 3 | 2], nonce, &length[1..]].concat();
        input.extend(padded([&u16::try_from(additional.len()).unwrap().to_be_bytes(), additional].concat()));
        input.extend(padded(plaintext.to_vec()));
        let xor = |left: &[u8], right: &[u8]| left.iter().zip(right).map(|(l, r)| l ^ r).collect::<Vec<_>>();
        let mac = input.chunks(16).fold(vec![0; 16], |mac, next| block(&xor(&mac, next)));
        // Then the stream of counters, whose first block is for the tag.
        let counter = |number: usize| {
            block(&[&[2], nonce, &u32::try_from(number).unwrap().to_be_bytes()[1..]].concat())
        };
        let data = plaintext.chunks(16).enumerate().flat_map(|(at, part)| xor(part, &counter(at + 1)));
        data.chain(xor(&mac[..aead.tag_len()], &counter(0))).collect()
    }

    /// RFC 5246 section 6.2.3.3 and RFC 9146 section 5.3, each field in its order.
    fn additional(content_type: u8, number: &[u8], cid: &[u8], length: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        if cid.is_empty() {
            bytes.extend(number);
            bytes.push(content_type);
            bytes.extend([254, 253]);
        } else {
            bytes.extend(u64::MAX.to_be_bytes()); // seq_num_placeholder
            bytes.push(25); // tls12_cid
            bytes.push(u8::try_from(cid.len()).unwrap()); // cid_length
            bytes.push(25); // tls12_cid
            bytes.extend([254, 253]); // version
            bytes.extend(number); // epoch, sequence_number
            bytes.extend(cid);
        }
        bytes.extend(length.to_be_bytes());
        bytes
    }

    #[test]
    fn records_are_those_of_the_standards() {
        let block = key_block();
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let cid = cid.unwrap_or_default();
            for (layer, key, iv) in
                [(&mut client, &block[..16], &block[32..36]), (&mut server, &block[16..32], &block[36..])]
            {
                sealed(layer, APPLICATION_DATA, b"the first");
                let record = sealed(layer, APPLICATION_DATA, b"the second");
                let number = [0, 1, 0, 0, 0, 0, 0, 1];
                let (outer_type, inner) =
                    if cid.is_empty() { (23, &b"the second"[..]) } else { (25, &b"the second\x17"[..]) };
                let additional = additional(23, &number, cid, u16::try_from(inner.len()).unwrap());
                let encrypted = encrypt(aead, key, &[iv, &number].concat(), &additional, inner);
                let length = u16::try_from(8 + encrypted.len()).unwrap().to_be_bytes();
                let header = [&[outer_type, 254, 253], &number[..], cid, &length].concat();
                assert_eq!(record, [&header[..], &number, &encrypted].concat(), "{aead:?} {cid:?}");
            }
        });
    }

    #[test]
    fn the_nonce_is_the_one_that_the_record_carries() {
        // Others may choose it as they like (RFC 5288 section 3): OpenSSL begins anywhere.
        let block = key_block();
        for aead in AEADS {
            let (number, explicit) = ([0, 1, 0, 0, 0, 0, 0, 9], [0xa5; 8]);
            let nonce = [&block[32..36], &explicit].concat();
            let encrypted = encrypt(aead, &block[..16], &nonce, &additional(23, &number, &[], 5), b"hello");
            let length = u16::try_from(8 + encrypted.len()).unwrap().to_be_bytes();
            let mut record = [&[23, 254, 253], &number[..], &length, &explicit, &encrypted].concat();
            let opened = layer(Role::Server, aead, None, None).open(&mut record).unwrap();
            assert_eq!((&record[opened.content], opened.sequence), (&b"hello"[..], 9));
        }
    }

    proptest! {
        #[test]
        fn what_one_side_seals_the_other_opens(
            aead in prop::sample::select(&AEADS),
            to_server in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            to_client in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            messages in prop::collection::vec(
                (any::<bool>(), CHANGE_CIPHER_SPEC..=APPLICATION_DATA, prop::collection::vec(any::<u8>(), 0..300)),
                1..20,
            ),
        ) {
            let (to_server, to_client) = (to_server.as_deref(), to_client.as_deref());
            let mut client = layer(Role::Client, aead, to_client, to_server);
            let mut server = layer(Role::Server, aead, to_server, to_client);
            for (upwards, content_type, content) in messages {
                let (from, to) = if upwards { (&mut client, &mut server) } else { (&mut server, &mut client) };
                // Behind another record in the same datagram.
                let mut datagram = sealed(from, HANDSHAKE, b"before");
                from.seal(content_type, &content, &mut datagram).unwrap();
                let cid_length = to.receive_cid().unwrap_or_default().len();
                let records: Vec<_> = split(&datagram, cid_length).collect();
                prop_assert_eq!(records.len(), 2);
                prop_assert_eq!(records[1].end, datagram.len());
                let record = &mut datagram[records[1].clone()];
                // Sent back to where it came from it is nothing.
                prop_assert!(from.open(&mut record.to_vec()).is_err());
                let opened = to.open(record).unwrap();
                prop_assert_eq!(&record[opened.content], content);
                prop_assert_eq!((opened.content_type, opened.newest), (content_type, true));
                prop_assert_eq!(opened.sequence, from.sequence() - 1);
            }
        }
    }
}

mod refusal {
    use super::*;

    #[test]
    fn a_record_with_any_bit_changed_is_refused() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let mut record = sealed(&mut client, APPLICATION_DATA, b"hello");
            for bit in 0..8 * record.len() {
                let mut changed = record.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(server.open(&mut changed).is_err(), "{aead:?} {cid:?} {bit}");
            }
            // None of them has done any harm.
            let opened = server.open(&mut record).unwrap();
            assert_eq!((&record[opened.content], opened.newest), (&b"hello"[..], true));
        });
    }

    #[test]
    fn a_record_that_is_cut_or_followed_by_more_is_refused_before_openssl_sees_it() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let record = sealed(&mut client, APPLICATION_DATA, b"hello");
            for length in 0..record.len() {
                assert_eq!(server.open(&mut record[..length].to_vec()), Err(Refusal::Format));
            }
            assert_eq!(server.open(&mut [&record[..], &[0]].concat()), Err(Refusal::Format));
            assert_eq!(server.failures(), 0);
        });
    }

    #[test]
    fn a_record_shorter_than_nonce_and_tag_is_refused_before_openssl_sees_it() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let record = sealed(&mut client, APPLICATION_DATA, b"");
            let at = Header::parse(&record, cid.unwrap_or_default().len()).unwrap().header_length;
            for length in 0..8 + aead.tag_len() {
                let mut short = record[..at + length].to_vec();
                short[at - 2..at].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                assert_eq!(server.open(&mut short), Err(Refusal::Format), "{aead:?} {cid:?} {length}");
            }
            assert_eq!(server.failures(), 0);
        });
    }

    #[test]
    fn a_record_of_another_epoch_version_or_type_is_refused_before_openssl_sees_it() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let record = sealed(&mut client, APPLICATION_DATA, b"hello");
            let with = |at: usize, byte: u8| {
                let mut record = record.clone();
                record[at] = byte;
                record
            };
            for content_type in (0..20).chain(24..=255).filter(|byte| *byte != record[0]) {
                assert_eq!(server.open(&mut with(0, content_type)), Err(Refusal::Format));
            }
            for (at, byte) in [(1, 3), (1, 0xff), (2, 0xff), (2, 0xfc)] {
                assert_eq!(server.open(&mut with(at, byte)), Err(Refusal::Format));
            }
            for (at, byte) in [(4, 0), (4, 2), (3, 1), (3, 0xff)] {
                assert_eq!(server.open(&mut with(at, byte)), Err(Refusal::Epoch));
            }
            assert_eq!(server.failures(), 0);
        });
    }

    #[test]
    fn a_record_with_another_or_no_connection_id_than_negotiated_is_refused() {
        let cids =
            [None, Some(&b""[..]), Some(b"conn "), Some(b"conn\0"), Some(b"01234567"), Some(b"conn 123")];
        // An empty one is none (RFC 9146 section 3).
        let shown = |cid: Option<&'static [u8]>| cid.filter(|cid| !cid.is_empty());
        for aead in AEADS {
            for (sent, expected) in cids.into_iter().flat_map(|sent| cids.map(|expected| (sent, expected))) {
                let mut client = layer(Role::Client, aead, None, sent);
                let mut server = layer(Role::Server, aead, expected, None);
                let opened = server.open(&mut sealed(&mut client, APPLICATION_DATA, b"hello"));
                if shown(sent) == shown(expected) {
                    assert!(opened.is_ok());
                } else {
                    assert_eq!(opened, Err(Refusal::Format), "{aead:?} {sent:?} {expected:?}");
                }
            }
        }
    }

    #[test]
    fn a_record_of_another_association_is_refused_and_counted() {
        for aead in AEADS {
            let keys = Keys::derive(aead, &[0; 48], &CLIENT_RANDOM, &SERVER_RANDOM);
            let mut stranger = RecordLayer::new(Role::Client, keys, None, None);
            let mut server = layer(Role::Server, aead, None, None);
            for count in 1..4 {
                let mut record = sealed(&mut stranger, APPLICATION_DATA, b"secret, secret");
                assert_eq!(server.open(&mut record), Err(Refusal::Authentication));
                assert_eq!(server.failures(), count);
                // Nor is there anything left that could be taken for content.
                assert_eq!(record[21..21 + 14], [0; 14]);
            }
        }
    }

    #[test]
    fn a_record_is_opened_once() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let mut record = sealed(&mut client, APPLICATION_DATA, b"hello");
            assert!(server.open(&mut record.clone()).is_ok());
            assert_eq!(server.open(&mut record), Err(Refusal::Replay));
            assert_eq!(server.failures(), 0);
        });
    }

    #[test]
    fn records_out_of_order_are_opened_up_to_63_behind_the_newest() {
        each(|aead, cid| {
            let (mut client, mut server) = pair(aead, cid);
            let records: Vec<_> = (0..100).map(|_| sealed(&mut client, APPLICATION_DATA, b"hello")).collect();
            let mut open =
                |number: usize| server.open(&mut records[number].clone()).map(|opened| opened.newest);
            assert_eq!(open(80), Ok(true));
            for behind in [1, 62, 63] {
                assert_eq!(open(80 - behind), Ok(false));
                assert_eq!(open(80 - behind), Err(Refusal::Replay));
            }
            for behind in [64, 65, 80] {
                assert_eq!(open(80 - behind), Err(Refusal::Replay));
            }
            assert_eq!(open(99), Ok(true));
            assert_eq!(open(99 - 64), Err(Refusal::Replay));
            assert_eq!(open(99 - 63), Ok(false));
        });
    }
}
