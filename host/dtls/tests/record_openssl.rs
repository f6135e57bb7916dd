//! OpenSSL as the peer: it opens what the record layer seals, and the other way round, with the keys that it has agreed on
//! itself.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these functions belong to them

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslRef, SslStream, SslVersion};
use tidegate_dtls::record::content_type::{ALERT, APPLICATION_DATA};
use tidegate_dtls::record::{Aead, Header, Keys, RecordLayer, Role, split};

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of a wire that loses nothing; a read takes one datagram.
struct End {
    incoming: Queue,
    outgoing: Queue,
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.borrow_mut().pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for End {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client and a server of OpenSSL that have agreed on keys, and what is on its way to either.
struct Pair {
    client: SslStream<End>,
    server: SslStream<End>,
    to_client: Queue,
    to_server: Queue,
}

const KEY: [u8; 16] = [0x4b; 16];

fn context(method: SslMethod, suite: &str) -> SslContext {
    let mut builder = SslContext::builder(method).unwrap();
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    builder.set_security_level(0);
    builder.set_cipher_list(suite).unwrap();
    builder.set_psk_client_callback(|_, _, identity, key| {
        identity[..3].copy_from_slice(b"me\0");
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    builder.set_psk_server_callback(|_, _, key| {
        key[..KEY.len()].copy_from_slice(&KEY);
        Ok(KEY.len())
    });
    builder.build()
}

/// Does the handshake.
fn handshake(suite: &str) -> Pair {
    let (to_client, to_server) = (Queue::default(), Queue::default());
    let stream = |method, incoming: &Queue, outgoing: &Queue| {
        let mut ssl = Ssl::new(&context(method, suite)).unwrap();
        ssl.set_mtu(1400).unwrap();
        SslStream::new(ssl, End { incoming: Rc::clone(incoming), outgoing: Rc::clone(outgoing) }).unwrap()
    };
    let mut client = stream(SslMethod::dtls_client(), &to_client, &to_server);
    let mut server = stream(SslMethod::dtls_server(), &to_server, &to_client);
    for _ in 0..10 {
        let (first, second) = (client.connect(), server.accept());
        if first.is_ok() && second.is_ok() {
            return Pair { client, server, to_client, to_server };
        }
        for error in [first.err(), second.err()].into_iter().flatten() {
            assert_eq!(error.code(), ErrorCode::WANT_READ, "{error}");
        }
    }
    panic!("the handshake does not end");
}

/// The layer that goes on in the place of OpenSSL, after the numbers that OpenSSL has used itself.
fn layer(role: Role, aead: Aead, ssl: &SslRef, cid: Option<&[u8]>) -> RecordLayer {
    let (mut master, mut client, mut server) = ([0; 48], [0; 32], [0; 32]);
    assert_eq!(ssl.session().unwrap().master_key(&mut master), 48);
    ssl.client_random(&mut client);
    ssl.server_random(&mut server);
    let keys = Keys::derive(aead, &master, &client, &server);
    let mut layer = RecordLayer::new(role, keys, cid.map(Box::from), cid.map(Box::from));
    while layer.sequence() < FREE {
        layer.seal(APPLICATION_DATA, b"", &mut Vec::new()).unwrap();
    }
    layer
}

/// More than OpenSSL sends in these tests; how many it needs for Finished depends on its version.
const FREE: u64 = 16;

const SUITES: [(&str, Aead); 3] =
    [("PSK-AES128-CCM8", Aead::Ccm8), ("PSK-AES128-CCM", Aead::Ccm), ("PSK-AES128-GCM-SHA256", Aead::Gcm)];

#[test]
fn what_openssl_seals_is_opened() {
    for (suite, aead) in SUITES {
        let mut pair = handshake(suite);
        let mut server = layer(Role::Server, aead, pair.server.ssl(), None);
        for message in [&b"hello"[..], &[0; 1200], b"x"] {
            assert_eq!(pair.client.ssl_write(message).unwrap(), message.len());
            let mut datagram = pair.to_server.borrow_mut().pop_front().unwrap();
            assert_eq!(split(&datagram, 0).next(), Some(0..datagram.len()));
            let opened = server.open(&mut datagram).unwrap();
            assert_eq!(&datagram[opened.content], message);
            assert_eq!((opened.content_type, opened.newest), (APPLICATION_DATA, true));
        }
    }
}

#[test]
fn openssl_opens_what_is_sealed() {
    for (suite, aead) in SUITES {
        let mut pair = handshake(suite);
        let mut server = layer(Role::Server, aead, pair.server.ssl(), None);
        for message in [&b"hello"[..], &[0; 1200], b"x"] {
            let mut datagram = Vec::new();
            server.seal(APPLICATION_DATA, message, &mut datagram).unwrap();
            pair.to_client.borrow_mut().push_back(datagram);
            let mut buffer = [0; 2048];
            let length = pair.client.ssl_read(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], message, "{suite}");
        }
        let mut close_notify = Vec::new();
        server.seal(ALERT, &[1, 0], &mut close_notify).unwrap();
        pair.to_client.borrow_mut().push_back(close_notify);
        let closed = pair.client.ssl_read(&mut [0; 16]).unwrap_err();
        assert_eq!(closed.code(), ErrorCode::ZERO_RETURN);
    }
}

#[test]
fn what_openssl_wants_to_send_is_opened_with_our_own_keys_and_sealed_anew() {
    for (suite, aead) in SUITES {
        let mut pair = handshake(suite);
        let mut server = layer(Role::Server, aead, pair.server.ssl(), None);
        pair.server.ssl_write(b"from inside").unwrap();
        let never_sent = pair.to_client.borrow_mut().pop_front().unwrap();
        let (content_type, content) = server.open_own(&never_sent).unwrap();
        assert_eq!((content_type, &content[..]), (APPLICATION_DATA, &b"from inside"[..]));
        for bit in 0..8 * never_sent.len() {
            let mut changed = never_sent.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(server.open_own(&changed), None, "{suite} {bit}");
        }
        for length in 0..never_sent.len() {
            assert_eq!(server.open_own(&never_sent[..length]), None);
        }

        let mut datagram = Vec::new();
        server.seal(content_type, &content, &mut datagram).unwrap();
        assert_ne!(datagram[21..], never_sent[21..]);
        pair.to_client.borrow_mut().push_back(datagram);
        let mut buffer = [0; 64];
        let length = pair.client.ssl_read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"from inside");
    }
}

#[test]
fn openssl_opens_what_is_handed_on_to_it() {
    for (suite, aead) in SUITES {
        let mut pair = handshake(suite);
        // The client sends with a connection ID, of which OpenSSL knows nothing.
        let mut client = layer(Role::Client, aead, pair.client.ssl(), Some(b"c"));
        let mut server = layer(Role::Server, aead, pair.server.ssl(), Some(b"c"));
        let mut datagram = Vec::new();
        client.seal(APPLICATION_DATA, b"hello", &mut datagram).unwrap();
        let opened = server.open(&mut datagram).unwrap();
        let content = &datagram[opened.content.clone()];

        let handed_on = server.seal_for_engine(opened.content_type, content, opened.sequence).unwrap();
        let header = Header::parse(&handed_on, 0).unwrap();
        assert_eq!((header.content_type, header.epoch, header.sequence), (APPLICATION_DATA, 1, FREE));
        pair.to_server.borrow_mut().push_back(handed_on);
        let mut buffer = [0; 64];
        let length = pair.server.ssl_read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
    }
}

#[test]
fn what_no_record_can_have_in_it_is_not_handed_on() {
    let keys = Keys::derive(Aead::Gcm, &[1; 48], &[2; 32], &[3; 32]);
    let layer = RecordLayer::new(Role::Server, keys, None, None);
    assert!(layer.seal_for_engine(APPLICATION_DATA, &[0; 1 << 14], (1 << 48) - 1).is_some());
    assert_eq!(layer.seal_for_engine(25, b"", 0), None);
    assert_eq!(layer.seal_for_engine(APPLICATION_DATA, &[0; (1 << 14) + 1], 0), None);
    assert_eq!(layer.seal_for_engine(APPLICATION_DATA, b"", 1 << 48), None);
}
