//! OpenSSL in memory, for tests: what real clients send.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509NameBuilder};

/// One side of a handshake.
pub(crate) struct Peer {
    stream: SslStream<Datagrams>,
}

impl Peer {
    /// A client whose datagrams have at most `mtu` bytes. [`LEAST_MTU`] is the least that OpenSSL takes.
    pub(crate) fn client(suites: &str, mtu: u32) -> Self {
        let mut context = context(suites);
        context.set_psk_client_callback(|_, _, identity, key| {
            identity[..IDENTITY.len()].copy_from_slice(IDENTITY);
            key[..16].copy_from_slice(&[7; 16]);
            Ok(16)
        });
        let mut ssl = ssl(&context.build(), mtu);
        ssl.set_connect_state();
        Self { stream: SslStream::new(ssl, Datagrams::default()).unwrap() }
    }

    /// A server that asks for no cookie, but for a certificate where the suite has them.
    pub(crate) fn server(suites: &str, mtu: u32) -> Self {
        let mut context = context(suites);
        context.set_psk_server_callback(|_, identity, key| {
            assert_eq!(identity, Some(IDENTITY));
            key[..16].copy_from_slice(&[7; 16]);
            Ok(16)
        });
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        let mut ssl = ssl(&context.build(), mtu);
        ssl.set_accept_state();
        Self { stream: SslStream::new(ssl, Datagrams::default()).unwrap() }
    }

    /// Takes datagrams in; what it sends then.
    pub(crate) fn answer(&mut self, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.stream.get_mut().incoming.extend(datagrams.iter().cloned());
        // WANT_READ until the handshake is over; anything else shows in what is sent.
        let _ = self.stream.do_handshake();
        std::mem::take(&mut self.stream.get_mut().outgoing)
    }

    /// Whether its handshake is over.
    pub(crate) fn is_done(&self) -> bool {
        self.stream.ssl().is_init_finished()
    }
}

/// What each of the two sent in a handshake, datagram for datagram.
pub(crate) fn handshake(suites: &str, mtu: u32) -> [Vec<Vec<u8>>; 2] {
    let (mut client, mut server) = (Peer::client(suites, mtu), Peer::server(suites, mtu));
    let mut sent = [Vec::new(), Vec::new()];
    let mut to_client = Vec::new();
    while !client.is_done() || !server.is_done() {
        let to_server = client.answer(&to_client);
        to_client = server.answer(&to_server);
        let is_stuck =
            to_client.is_empty() && to_server.is_empty() && !(client.is_done() && server.is_done());
        assert!(!is_stuck, "nobody says anything");
        sent[0].extend(to_server);
        sent[1].extend_from_slice(&to_client);
    }
    sent
}

fn context(suites: &str) -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
    context.set_security_level(0);
    context.set_cipher_list(suites).unwrap();
    context.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    let (certificate, key) = certificate();
    context.set_certificate(&certificate).unwrap();
    context.set_private_key(&key).unwrap();
    context
}

fn certificate() -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "peer").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(9).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (certificate.build(), key)
}

fn ssl(context: &SslContext, mtu: u32) -> Ssl {
    let mut ssl = Ssl::new(context).unwrap();
    ssl.set_mtu(mtu).unwrap();
    ssl
}

#[derive(Default)]
struct Datagrams {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The least that OpenSSL takes without a socket.
pub(crate) const LEAST_MTU: u32 = 256;
/// Whom a client with a pre-shared key says it is.
pub(crate) const IDENTITY: &[u8] = b"urn:imei:490154203237518";
/// Suites with a pre-shared key.
pub(crate) const PSK: &str = "PSK-AES128-CCM8";
/// A suite with a pre-shared key and a key exchange.
pub(crate) const ECDHE_PSK: &str = "ECDHE-PSK-AES128-CBC-SHA256";
/// A suite with certificates.
pub(crate) const ECDSA: &str = "ECDHE-ECDSA-AES128-CCM8";
/// So many that the ClientHello does not fit into [`LEAST_MTU`].
pub(crate) const MANY: &str = "ALL";
