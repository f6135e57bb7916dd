//! DTLS as the simulated clients have it: pre-shared keys and AES-128-CCM-8 (RFC 7925 section 4.2), without connection IDs. OpenSSL shakes
//! hands; then the keys go to the record layer of `tidegate-dtls`, so that a client takes bytes instead of kilobytes.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;

use anyhow::Context as _;
use openssl::ex_data::Index;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVersion};
use tidegate_dtls::record::{Aead, Header, Keys, RecordLayer, Role, content_type, split};

use super::client::endpoint;

/// The associations of all clients.
pub(super) struct Associations {
    context: SslContext,
    number: Index<Ssl, usize>,
    of: Vec<Association>,
}

impl std::fmt::Debug for Associations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Associations").field("count", &self.of.len()).finish_non_exhaustive()
    }
}

enum Association {
    None,
    Shaking(Box<Handshake>),
    Ready(Box<RecordLayer>),
}

struct Handshake {
    stream: SslStream<Datagrams>,
    /// As soon as there are keys.
    layer: Option<RecordLayer>,
}

impl Associations {
    /// For so many clients, none of which has begun.
    pub(super) fn new(count: usize) -> anyhow::Result<Self> {
        let number = Ssl::new_ex_index::<usize>()?;
        let mut builder = SslContext::builder(SslMethod::dtls_client())?;
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        // OpenSSL counts CCM_8 as 64 bits.
        builder.set_security_level(0);
        builder.set_options(SslOptions::NO_QUERY_MTU);
        builder.set_cipher_list("PSK-AES128-CCM8")?;
        builder.set_psk_client_callback(move |ssl, _, identity_out, key_out| {
            let client = ssl.ex_data(number).copied().unwrap_or_default();
            let (identity, key) = (endpoint(client), key(client));
            // OpenSSL has room for 128 and 64 bytes at least.
            identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
            identity_out[identity.len()] = 0;
            key_out[..key.len()].copy_from_slice(&key);
            Ok(key.len())
        });
        let of = (0..count).map(|_| Association::None).collect();
        Ok(Self { context: builder.build(), number, of })
    }

    /// Whether the handshake is done.
    pub(super) fn is_ready(&self, client: usize) -> bool {
        matches!(self.of.get(client), Some(Association::Ready(_)))
    }

    /// Begins a handshake, or goes on with it after its timer or with this datagram. What is to be sent is returned.
    pub(super) fn shake(
        &mut self,
        client: usize,
        datagram: Option<&mut [u8]>,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let Some(association) = self.of.get_mut(client) else { return Ok(Vec::new()) };
        if matches!(association, Association::None) {
            let mut ssl = Ssl::new(&self.context)?;
            ssl.set_ex_data(self.number, client);
            ssl.set_connect_state();
            ssl.set_mtu(MTU)?;
            let stream = SslStream::new(ssl, Datagrams::default())?;
            *association = Association::Shaking(Box::new(Handshake { stream, layer: None }));
        }
        let Association::Shaking(handshake) = association else { return Ok(Vec::new()) };
        if let Some(datagram) = datagram {
            handshake.take(datagram);
        }
        let is_done = handshake.go_on().with_context(|| format!("the handshake of {}", endpoint(client)))?;
        let datagrams = handshake.outgoing()?;
        if is_done {
            let layer = handshake.layer.take().context("the handshake is done without keys")?;
            *association = Association::Ready(Box::new(layer));
        }
        Ok(datagrams)
    }

    /// Appends what a client says, as a record; the handshake must be done.
    pub(super) fn seal(&mut self, client: usize, content: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
        if let Some(Association::Ready(layer)) = self.of.get_mut(client) {
            layer.seal(content_type::APPLICATION_DATA, content, out)?;
        }
        Ok(())
    }

    /// Where what is said to a client is in a datagram, once it is opened. None if it is nothing that is said to it.
    pub(super) fn open(&mut self, client: usize, datagram: &mut [u8]) -> Option<Range<usize>> {
        let Some(Association::Ready(layer)) = self.of.get_mut(client) else { return None };
        let opened = layer.open(datagram).ok()?;
        (opened.content_type == content_type::APPLICATION_DATA).then_some(opened.content)
    }
}

/// What the gateway's credentials file says of these clients.
pub(super) fn credentials(clients: usize) -> String {
    let mut text = String::new();
    for client in 0..clients {
        let digits = key(client).iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
        // Writing to a string does not fail.
        let _ = writeln!(text, "[[psk]]\nidentity = \"{}\"\nkey = \"{digits}\"", endpoint(client));
    }
    text
}

impl Handshake {
    /// Whether it is done.
    fn go_on(&mut self) -> anyhow::Result<bool> {
        let step = self.stream.do_handshake();
        self.learn_keys();
        match step {
            Ok(()) => Ok(true),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn learn_keys(&mut self) {
        let ssl = self.stream.ssl();
        let mut master = [0; 48];
        if self.layer.is_some() || ssl.session().is_none_or(|session| session.master_key(&mut master) != 48) {
            return;
        }
        let (mut client, mut server) = ([0; 32], [0; 32]);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        let keys = Keys::derive(Aead::Ccm8, &master, &client, &server);
        self.layer = Some(RecordLayer::new(Role::Client, keys, None, None));
    }

    /// What OpenSSL wants to be sent, with the records of epoch 1 sealed by our layer, so that it alone counts them.
    fn outgoing(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let datagrams = std::mem::take(&mut self.stream.get_mut().outgoing);
        let Some(layer) = &mut self.layer else { return Ok(datagrams) };
        let sealed = |datagram: Vec<u8>| {
            let mut out = Vec::new();
            for range in split(&datagram, 0) {
                let record = &datagram[range];
                match layer.open_own(record) {
                    Some((content_type, content)) => layer.seal(content_type, &content, &mut out)?,
                    None => out.extend_from_slice(record),
                }
            }
            Ok(out)
        };
        datagrams.into_iter().map(sealed).collect()
    }

    /// Gives OpenSSL a datagram. Our layer opens what is of epoch 1, so that its window knows of it.
    fn take(&mut self, datagram: &mut [u8]) {
        let incoming = &mut self.stream.get_mut().incoming;
        let ranges: Vec<_> = split(datagram, 0).collect();
        for range in ranges {
            let record = &mut datagram[range];
            let is_clear = Header::parse(record, 0).is_some_and(|header| header.epoch == 0);
            match &mut self.layer {
                Some(layer) if !is_clear => {
                    if let Ok(opened) = layer.open(record) {
                        let content = &record[opened.content];
                        incoming.extend(layer.seal_for_engine(opened.content_type, content, opened.sequence));
                    }
                }
                _ => incoming.push_back(record.to_vec()),
            }
        }
    }
}

/// Datagrams towards and from OpenSSL: one read takes one.
#[derive(Debug, Default)]
struct Datagrams {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
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

/// Not secret, and each client has another.
fn key(client: usize) -> [u8; 16] {
    let number = u128::try_from(client).unwrap_or_default();
    (number | 0xbe << 120).to_be_bytes()
}

/// What IPv6 carries at least, less its header and that of UDP, as the gateway's own.
const MTU: u32 = 1_232;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential;

    #[test]
    fn the_gateway_reads_the_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials.toml");
        std::fs::write(&file, credentials(3)).unwrap();
        assert_eq!(credential::read(&file).unwrap().credentials.counts().0, 3);
    }

    #[test]
    fn a_handshake_begins_once_and_nothing_can_be_said_before_it_is_done() {
        let mut associations = Associations::new(2).unwrap();
        let hello = associations.shake(1, None).unwrap();
        assert_eq!(hello.len(), 1);
        assert_eq!(hello[0][0], content_type::HANDSHAKE);
        assert!(associations.shake(1, None).unwrap().is_empty());
        let mut out = Vec::new();
        associations.seal(1, b"early", &mut out).unwrap();
        assert!(out.is_empty() && !associations.is_ready(1));
        assert_eq!(associations.open(1, &mut [23; 40]), None);
    }
}
