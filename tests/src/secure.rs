//! The client's side of a DTLS association, on a UDP socket of its own: OpenSSL does all of it. OpenSSL knows no
//! connection IDs (RFC 9146), so records that have them are put into that form, and taken out of it, on their way.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use openssl::ex_data::Index;
use openssl::ssl::{
    ErrorCode, ExtensionContext, Ssl, SslAlert, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;
use tidegate_dtls::record::{Aead, Header, Keys, RecordLayer, Role, split};

use crate::certificate::Certified;
use crate::inbox::{Inbox, PATIENCE};
use crate::peer::Channel;

/// How a client secures its association.
#[derive(Clone, Debug)]
pub struct Profile {
    /// How it proves who it is.
    pub proof: Proof,
    /// The authority that must vouch for the gateway; None: anyone may be it.
    pub trusted: Option<X509>,
    /// Whether it asks for connection IDs: the gateway is to send without, as most clients want it.
    pub connection_id: bool,
    /// How long it waits for the handshake.
    pub patience: Duration,
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Identity and key.
    Psk(String, Vec<u8>),
    /// A certificate.
    Certificate(Certified),
    /// Nothing, although the gateway asks.
    Nothing,
}

/// An association with one gateway.
#[derive(Debug)]
pub struct Secure {
    gateway: SocketAddr,
    socket: RwLock<Arc<UdpSocket>>,
    session: Mutex<Session>,
    /// What has ended it, when the gateway did.
    ended: Inbox<String>,
}

#[derive(Debug)]
struct Session {
    stream: SslStream<Datagrams>,
    /// There once connection IDs were negotiated and there are keys.
    layer: Option<RecordLayer>,
}

impl Profile {
    /// With a pre-shared key.
    pub fn psk(identity: &str, key: &[u8]) -> Self {
        Self::new(Proof::Psk(identity.to_owned(), key.to_vec()))
    }

    /// Without a connection ID, and with any gateway.
    pub fn new(proof: Proof) -> Self {
        Self { proof, trusted: None, connection_id: false, patience: PATIENCE }
    }

    /// The same, asking for connection IDs or not.
    pub fn with_connection_id(self, connection_id: bool) -> Self {
        Self { connection_id, ..self }
    }

    fn ssl(&self) -> Result<Ssl> {
        let mut builder = SslContext::builder(SslMethod::dtls_client())?;
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        // OpenSSL counts CCM_8 as 64 bits.
        builder.set_security_level(0);
        builder.set_options(SslOptions::NO_QUERY_MTU);
        match &self.proof {
            Proof::Psk(identity, key) => {
                builder.set_cipher_list("PSK-AES128-CCM8")?;
                let (identity, key) = (identity.clone(), key.clone());
                builder.set_psk_client_callback(move |_, _, identity_out, key_out| {
                    identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
                    identity_out[identity.len()] = 0;
                    key_out[..key.len()].copy_from_slice(&key);
                    Ok(key.len())
                });
            }
            Proof::Certificate(certified) => {
                builder.set_cipher_list(CERTIFICATE_SUITE)?;
                builder.set_certificate(&certified.chain[0])?;
                for above in &certified.chain[1..] {
                    builder.add_extra_chain_cert(above.clone())?;
                }
                builder.set_private_key(&certified.key)?;
            }
            Proof::Nothing => builder.set_cipher_list(CERTIFICATE_SUITE)?,
        }
        if let Some(trusted) = &self.trusted {
            builder.cert_store_mut().add_cert(trusted.clone())?;
            builder.set_verify(SslVerifyMode::PEER);
        }
        if self.connection_id {
            let context = ExtensionContext::CLIENT_HELLO
                | ExtensionContext::TLS1_2_SERVER_HELLO
                | ExtensionContext::DTLS_ONLY;
            builder.add_custom_ext(
                CONNECTION_ID,
                context,
                |_, _, _| Ok(Some([0])),
                |ssl, _, bytes, _| {
                    let (length, id) = bytes.split_first().ok_or(SslAlert::DECODE_ERROR)?;
                    if usize::from(*length) != id.len() {
                        return Err(SslAlert::DECODE_ERROR);
                    }
                    ssl.set_ex_data(server_cid(), Some(id.into()));
                    Ok(())
                },
            )?;
        }
        let mut ssl = Ssl::new(&builder.build())?;
        ssl.set_ex_data(server_cid(), None);
        ssl.set_connect_state();
        ssl.set_mtu(1232)?;
        Ok(ssl)
    }
}

impl Secure {
    /// Shake hands with a gateway from a new socket. The error says why the gateway refuses, as OpenSSL has it.
    pub fn connect(gateway: SocketAddr, profile: &Profile) -> Result<Self> {
        Self::connect_from(Arc::new(connected(gateway)?), gateway, profile)
    }

    /// Shake hands anew from the same address, as after a reboot: this association is forgotten without a word.
    pub fn reboot(&self, profile: &Profile) -> Result<Self> {
        Self::connect_from(self.socket(), self.gateway, profile)
    }

    fn connect_from(socket: Arc<UdpSocket>, gateway: SocketAddr, profile: &Profile) -> Result<Self> {
        let stream = SslStream::new(profile.ssl()?, Datagrams::default())?;
        let secure = Self {
            gateway,
            socket: RwLock::new(socket),
            session: Mutex::new(Session { stream, layer: None }),
            ended: Inbox::default(),
        };
        secure.shake_hands(profile.patience)?;
        Ok(secure)
    }

    /// Its address.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket().local_addr()?)
    }

    /// Whether the gateway has given it a connection ID.
    pub fn has_connection_id(&self) -> bool {
        self.session().layer.is_some()
    }

    /// Go on from another port, as behind a NAT that has forgotten the old one.
    pub fn rebind(&self) -> Result<()> {
        *self.socket.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(connected(self.gateway)?);
        Ok(())
    }

    /// The next application data that is there already, if any.
    pub fn receive_now(&self) -> Result<Option<Vec<u8>>> {
        self.receive_within(Duration::from_millis(1))
    }

    /// What has ended the association, when the gateway has; somebody must be receiving.
    pub fn ended(&self) -> Result<String> {
        self.ended.take("end of the association", |_| true)
    }

    /// The same when nobody else is receiving.
    pub fn ends(&self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.ended.count(|_| true) == 0 && Instant::now() < deadline {
            self.receive_within(BETWEEN_LOOKS)?;
        }
        self.ended.take_within(Duration::ZERO, "end of the association", |_| true)
    }

    fn shake_hands(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let mut session = self.session();
            let step = session.stream.do_handshake();
            session.learn_keys()?;
            self.flush(&mut session)?;
            drop(session);
            match step {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == ErrorCode::WANT_READ => {}
                Err(error) => return Err(error).context("the handshake has failed"),
            }
            if Instant::now() >= deadline {
                bail!("the gateway does not answer");
            }
            // OpenSSL looks at its timer whenever it is asked to go on.
            self.take_datagram(BETWEEN_LOOKS)?;
        }
    }

    /// Sends what OpenSSL has to send.
    fn flush(&self, session: &mut Session) -> Result<()> {
        let socket = self.socket();
        for datagram in std::mem::take(&mut session.stream.get_mut().outgoing) {
            socket.send(&session.outgoing(datagram)?)?;
        }
        Ok(())
    }

    /// Gives OpenSSL a datagram, if one comes.
    fn take_datagram(&self, patience: Duration) -> Result<()> {
        let socket = self.socket();
        socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut datagram = vec![0; 65_536];
        match socket.recv(&mut datagram) {
            Ok(length) => self.session().take_in(&mut datagram[..length]),
            // "Refused": nobody listens there at the moment.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn note_end(&self, error: &openssl::ssl::Error) {
        if self.ended.count(|_| true) == 0 {
            self.ended.put(match error.code() {
                ErrorCode::ZERO_RETURN => "close_notify".to_owned(),
                _ => error.to_string(),
            });
        }
    }

    fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.socket.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel for Secure {
    fn send(&self, data: &[u8]) -> Result<()> {
        let mut session = self.session();
        session.stream.ssl_write(data).context("OpenSSL does not write")?;
        self.flush(&mut session)
    }

    fn receive_within(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        let mut buffer = vec![0; 1 << 14];
        loop {
            match self.session().stream.ssl_read(&mut buffer) {
                Ok(length) => return Ok(Some(buffer[..length].to_vec())),
                Err(error) if error.code() == ErrorCode::WANT_READ => {}
                Err(error) => self.note_end(&error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.take_datagram(left)?;
        }
    }
}

impl Session {
    /// Keys for the records, as soon as there are some and they are needed.
    fn learn_keys(&mut self) -> Result<()> {
        let ssl = self.stream.ssl();
        let Some(Some(cid)) = ssl.ex_data(server_cid()).cloned() else { return Ok(()) };
        let mut master = [0; 48];
        if self.layer.is_some() || ssl.session().is_none_or(|session| session.master_key(&mut master) != 48) {
            return Ok(());
        }
        let (mut client, mut server) = ([0; 32], [0; 32]);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        let keys = Keys::derive(Aead::Ccm8, &master, &client, &server);
        self.layer = Some(RecordLayer::new(Role::Client, keys, Some(Box::default()), Some(cid)));
        Ok(())
    }

    /// A datagram of OpenSSL's, with connection IDs in the records that must have them.
    fn outgoing(&mut self, datagram: Vec<u8>) -> Result<Vec<u8>> {
        let Some(layer) = &mut self.layer else { return Ok(datagram) };
        let mut framed = Vec::new();
        for range in split(&datagram, 0) {
            let record = &datagram[range];
            match layer.open_own(record) {
                Some((content_type, content)) => layer.seal(content_type, &content, &mut framed)?,
                None => framed.extend_from_slice(record),
            }
        }
        Ok(framed)
    }

    /// Gives OpenSSL the records of a datagram that are good.
    fn take_in(&mut self, datagram: &mut [u8]) {
        let incoming = &mut self.stream.get_mut().incoming;
        let Some(layer) = &mut self.layer else { return incoming.push_back(datagram.to_vec()) };
        let ranges: Vec<_> = split(datagram, 0).collect();
        for range in ranges {
            let record = &mut datagram[range];
            if Header::parse(record, 0).is_some_and(|header| header.epoch == 0) {
                incoming.push_back(record.to_vec());
            } else if let Ok(opened) = layer.open(record) {
                let content = &record[opened.content];
                incoming.extend(layer.seal_for_engine(opened.content_type, content, opened.sequence));
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

fn connected(gateway: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(gateway)?;
    Ok(socket)
}

/// Where a connection keeps the connection ID that the gateway wants to be sent.
fn server_cid() -> Index<Ssl, Option<Box<[u8]>>> {
    static INDEX: OnceLock<Index<Ssl, Option<Box<[u8]>>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().expect("OpenSSL has room for one"))
}

const CERTIFICATE_SUITE: &str = "ECDHE-ECDSA-AES128-CCM8:ECDHE-RSA-AES128-SHA256";
/// The extension connection_id (RFC 9146 section 3).
const CONNECTION_ID: u16 = 54;
/// How long to wait for a datagram before OpenSSL may look at its timer.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
