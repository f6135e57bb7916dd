//! One handshake (RFC 6347 section 4.2), from the ClientHello whose cookie was right to the client's Finished.
//!
//! [`endpoint`](super::endpoint) feeds it datagrams and time.
//!
//! 1. OpenSSL takes in the ClientHello and answers with a flight; the flight is kept and timed here;
//! 2. plaintext records are checked by [`Flow`] before OpenSSL sees them;
//! 3. as soon as there is a master secret, the keys are derived, and records of epoch 1 are opened here: handshake
//!    messages and alerts go on to OpenSSL, sealed for it with the same keys; application data waits;
//! 4. OpenSSL has verified the client's Finished: what it knows is taken over, and it is done with, unless the suite's
//!    records are its own.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream};
use tidegate_proto::time::Instant;
use zeroize::Zeroizing;

use crate::association::CID_LENGTH;
use crate::context::{self, Negotiation};
use crate::credential::{Credentials, Principal};
use crate::endpoint::{Failure, Summary};
use crate::ffi;
use crate::flight::Flight;
use crate::hello::ClientHello;
use crate::message::Flow;
use crate::record::{self, Header, Keys, RecordLayer, Refusal, Role, content_type};
use crate::session::Session;

/// A handshake that is going on.
pub(crate) struct Handshake {
    engine: SslStream<Datagrams>,
    credentials: Arc<Credentials>,
    flow: Flow,
    layer: Option<RecordLayer>,
    /// Records of epoch 1 that came before there were keys.
    early: Vec<Vec<u8>>,
    /// Application data that came before the client's Finished.
    waiting: Vec<Vec<u8>>,
    flight: Flight,
    /// Number of the next record of epoch 0.
    sequence: u64,
    times: Times,
    /// A record of epoch 1 could not be opened: the client has another key, or somebody sent rubbish.
    suspicious: bool,
}

#[derive(Debug)]
struct Times {
    deadline: Instant,
    interval: Duration,
    again: Option<Instant>,
    sent: Instant,
    /// How often the flight was sent again since the client asked for it.
    prompted: u32,
}

/// What has become of a handshake.
pub(crate) enum Progress {
    Going,
    /// A record could not be opened; said once.
    Suspicious,
    /// The client has proved who it is.
    Done,
    Failed(Failure),
}

/// What an association is made of.
pub(crate) struct Outcome {
    pub(crate) principal: Arc<Principal>,
    pub(crate) summary: Summary,
    pub(crate) records: Records,
    /// The last flight, if the client may ask for it again; and the number of its first record.
    pub(crate) flight: Option<(Flight, u64)>,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) waiting: Vec<Vec<u8>>,
}

/// Whose the records are from here on.
pub(crate) enum Records {
    Own(RecordLayer),
    Engine(Box<SslStream<Datagrams>>),
}

impl Handshake {
    /// Takes in the datagram that begins with a ClientHello whose cookie was right. None if OpenSSL does not want it.
    pub(crate) fn accept(
        setting: &Setting<'_>,
        now: Instant,
        hello: &ClientHello<'_>,
        datagram: &[u8],
    ) -> Option<Self> {
        let mut flow = Flow::default();
        let mut plain = Vec::with_capacity(datagram.len());
        for range in record::split(datagram, CID_LENGTH) {
            let record = &datagram[range];
            if Header::parse(record, CID_LENGTH)?.epoch == 0 && flow.admit(record).is_ok() {
                plain.extend_from_slice(record);
            }
        }
        let mut ssl = Ssl::new(setting.context).ok()?;
        let own_cid = setting.own_cid;
        if !(Negotiation { own_cid, ..Negotiation::default() }).put(&mut ssl) {
            return None;
        }
        ssl.set_accept_state();
        // Our own records may be longer than OpenSSL's by a connection ID and the content type.
        ssl.set_mtu(u32::from(setting.mtu).saturating_sub(CID_ROOM).max(MIN_MTU)).ok()?;
        ffi::stop_timer(&ssl);
        let engine =
            SslStream::new(ssl, Datagrams { incoming: VecDeque::from([plain]), ..Datagrams::default() })
                .ok()?;
        if !ffi::listen(engine.ssl()) {
            return None;
        }
        let deadline = now + setting.timeout;
        Some(Self {
            engine,
            credentials: Arc::clone(setting.credentials),
            flow,
            layer: None,
            early: Vec::new(),
            waiting: Vec::new(),
            flight: Flight::default(),
            sequence: hello.record_sequence,
            times: Times { deadline, interval: setting.retransmission, again: None, sent: now, prompted: 0 },
            suspicious: false,
        })
    }

    /// Takes in the records of one datagram; those of epoch 1 are opened in place.
    pub(crate) fn feed(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        send: &mut dyn FnMut(Vec<u8>),
    ) -> Progress {
        let ranges: Vec<_> = record::split(datagram, CID_LENGTH).collect();
        let mut plain = Vec::new();
        let was_suspicious = self.suspicious;
        for range in ranges {
            let record = &mut datagram[range];
            let Some(header) = Header::parse(record, CID_LENGTH) else { continue };
            if header.epoch == 0 && header.content_type != content_type::CID {
                if self.flow.admit(record).is_ok() {
                    plain.extend_from_slice(record);
                }
                continue;
            }
            // OpenSSL takes a datagram's plaintext records at once, and in the order in which they came.
            let progress = self.advance_with(now, std::mem::take(&mut plain), send);
            if !matches!(progress, Progress::Going) {
                return progress;
            }
            let progress = self.take_encrypted(now, record, send);
            if !matches!(progress, Progress::Going) {
                return progress;
            }
        }
        let progress = self.advance_with(now, plain, send);
        if matches!(progress, Progress::Going) && self.suspicious && !was_suspicious {
            return Progress::Suspicious;
        }
        progress
    }

    /// Lets OpenSSL go on with what it has.
    pub(crate) fn advance(&mut self, now: Instant, send: &mut dyn FnMut(Vec<u8>)) -> Progress {
        let step = self.engine.do_handshake();
        self.derive();
        self.send_flight(now, send);
        match step {
            Ok(()) => Progress::Done,
            Err(error) if error.code() == ErrorCode::WANT_READ => Progress::Going,
            Err(error) => {
                let reason =
                    error.ssl_error().and_then(|stack| stack.errors().first()?.reason().map(str::to_owned));
                ffi::drain_errors();
                Progress::Failed(self.failure(reason))
            }
        }
    }

    /// The client has sent its flight again: it may not have ours.
    pub(crate) fn prompt(&mut self, now: Instant, send: &mut dyn FnMut(Vec<u8>)) {
        if self.times.prompted < PROMPTS && now.since(self.times.sent) >= PROMPT_INTERVAL {
            self.times.prompted += 1;
            self.write_flight(now, send);
        }
    }

    /// Lets time pass.
    pub(crate) fn handle_timeout(&mut self, now: Instant, send: &mut dyn FnMut(Vec<u8>)) -> Progress {
        if now >= self.times.deadline {
            return Progress::Failed(match self.identity() {
                Some(identity) if self.suspicious => Failure::WrongKey { identity },
                _ => Failure::TimedOut,
            });
        }
        if self.times.again.is_some_and(|again| again <= now) {
            self.times.interval = (self.times.interval * 2).min(MAX_INTERVAL);
            self.times.again = Some(now + self.times.interval);
            self.write_flight(now, send);
        }
        Progress::Going
    }

    /// When it wants to be called again.
    pub(crate) fn due(&self) -> Instant {
        self.times.again.map_or(self.times.deadline, |again| again.min(self.times.deadline))
    }

    /// The PSK identity that the client has sent.
    pub(crate) fn identity(&self) -> Option<String> {
        let identity = Negotiation::of(self.engine.ssl())?.identity.as_deref()?;
        Some(String::from_utf8_lossy(identity).into_owned())
    }

    /// What it has come to, after [`Progress::Done`]. An error if the client is nobody that may connect.
    pub(crate) fn finish(mut self) -> Result<Outcome, Box<(Failure, Option<RecordLayer>)>> {
        let Some(principal) = self.principal() else {
            let failure = match self.identity() {
                Some(identity) => Failure::UnknownIdentity { identity },
                None => Failure::Nobody,
            };
            return Err(Box::new((failure, self.layer)));
        };
        let ssl = self.engine.ssl();
        let resumed = ssl.session_reused();
        let summary = Summary {
            suite: ffi::pending_suite_name(ssl).unwrap_or_default(),
            resumed,
            connection_id: Negotiation::of(ssl).is_some_and(|of| of.peer_cid.is_some()),
            max_fragment: ssl.session().and_then(ffi::max_fragment),
        };
        // OpenSSL cannot number a flight anew (`flight`), and so a resumption whose last flight is lost would never end.
        let is_ours = self.layer.is_some();
        let former = Negotiation::of(ssl).and_then(|of| of.resumed.clone()).filter(|_| resumed);
        let session = former.or_else(|| Session::new(ssl.session()?, Arc::clone(&principal)).map(Arc::new));
        let session = session.filter(|_| is_ours);
        // In a resumption the client's flight is the last one, and ours will not be asked for again.
        let flight = (!resumed).then(|| (std::mem::take(&mut self.flight), self.sequence));
        let records = match self.layer.take() {
            Some(layer) => Records::Own(layer),
            None => Records::Engine(Box::new(self.engine)),
        };
        Ok(Outcome { principal, summary, records, flight, session, waiting: self.waiting })
    }

    fn principal(&self) -> Option<Arc<Principal>> {
        let ssl = self.engine.ssl();
        let negotiation = Negotiation::of(ssl)?;
        if ssl.session_reused() {
            return Some(Arc::clone(&negotiation.resumed.as_ref()?.principal));
        }
        match &negotiation.identity {
            // OpenSSL has ended it at a NUL; what is longer than that is another identity.
            Some(identity) => {
                let is_whole = self.flow.identity_length() == Some(identity.len());
                negotiation.principal.clone().filter(|_| is_whole)
            }
            None => context::identify(ssl, &self.credentials),
        }
    }

    fn advance_with(&mut self, now: Instant, plain: Vec<u8>, send: &mut dyn FnMut(Vec<u8>)) -> Progress {
        if plain.is_empty() {
            return Progress::Going;
        }
        self.engine.get_mut().incoming.push_back(plain);
        let mut progress = self.advance(now, send);
        if self.has_keys() {
            for mut record in std::mem::take(&mut self.early) {
                if !matches!(progress, Progress::Going) {
                    break;
                }
                progress = self.take_encrypted(now, &mut record, send);
            }
        }
        progress
    }

    /// A record of epoch 1, or one that says so.
    fn take_encrypted(&mut self, now: Instant, record: &mut [u8], send: &mut dyn FnMut(Vec<u8>)) -> Progress {
        if !self.has_keys() {
            if self.early.len() < EARLY && record.len() <= EARLY_BYTES {
                self.early.push(record.to_vec());
            }
            return Progress::Going;
        }
        let Some(layer) = &mut self.layer else {
            self.engine.get_mut().incoming.push_back(record.to_vec());
            return self.advance(now, send);
        };
        let Some(header) = Header::parse(record, CID_LENGTH) else { return Progress::Going };
        let opened = match layer.open(record) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.suspicious |= refusal == Refusal::Authentication;
                return Progress::Going;
            }
        };
        let content = &record[opened.content];
        match opened.content_type {
            content_type::HANDSHAKE | content_type::ALERT => {
                let Some(sealed) = layer.seal_for_engine(opened.content_type, content, header.sequence)
                else {
                    return Progress::Going;
                };
                self.engine.get_mut().incoming.push_back(sealed);
                self.advance(now, send)
            }
            content_type::APPLICATION_DATA => {
                if self.waiting.len() < EARLY && !content.is_empty() {
                    self.waiting.push(content.to_vec());
                }
                // It thinks that it is done: its Finished was lost, and it sends that again when it hears ours again.
                self.prompt(now, send);
                Progress::Going
            }
            _ => Progress::Going,
        }
    }

    fn has_keys(&self) -> bool {
        self.layer.is_some()
            || self.engine.ssl().session().is_some_and(|session| session.master_key_len() > 0)
    }

    /// Our own record layer, as soon as there is a master secret and if the suite is one of ours.
    fn derive(&mut self) {
        if self.layer.is_some() {
            return;
        }
        let ssl = self.engine.ssl();
        let Some(aead) = ffi::pending_suite(ssl).and_then(context::aead) else { return };
        let mut master = Zeroizing::new([0; 48]);
        if ssl.session().map(|session| session.master_key(&mut *master)) != Some(48) {
            return;
        }
        let (mut client, mut server) = ([0; 32], [0; 32]);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        let keys = Keys::derive(aead, &master, &client, &server);
        let Some(negotiation) = Negotiation::of(ssl) else { return };
        let receive = negotiation.own_cid.filter(|_| negotiation.peer_cid.is_some());
        self.layer = Some(RecordLayer::new(
            Role::Server,
            keys,
            receive.map(|cid| Box::from(cid.as_slice())),
            negotiation.peer_cid.clone(),
        ));
    }

    /// What OpenSSL has written is a new flight, or an alert.
    fn send_flight(&mut self, now: Instant, send: &mut dyn FnMut(Vec<u8>)) {
        let datagrams = std::mem::take(&mut self.engine.get_mut().outgoing);
        if datagrams.is_empty() {
            return;
        }
        self.flight = Flight::take(&datagrams, self.layer.as_ref());
        self.times.again = Some(now + self.times.interval);
        self.times.prompted = 0;
        self.write_flight(now, send);
    }

    fn write_flight(&mut self, now: Instant, send: &mut dyn FnMut(Vec<u8>)) {
        self.times.sent = now;
        self.flight.write(&mut self.sequence, self.layer.as_mut(), send);
    }

    fn failure(&self, reason: Option<String>) -> Failure {
        let ssl = self.engine.ssl();
        let verdict = ssl.verify_result();
        let negotiation = Negotiation::of(ssl);
        match self.identity() {
            Some(identity) if negotiation.is_some_and(|of| of.principal.is_none()) => {
                Failure::UnknownIdentity { identity }
            }
            // So OpenSSL says it of a suite whose records it opens.
            Some(identity) if reason.as_deref().is_some_and(|reason| reason.contains("bad record mac")) => {
                Failure::WrongKey { identity }
            }
            _ if verdict.as_raw() == ffi::RPK_UNTRUSTED => Failure::UnknownKey,
            _ if verdict != openssl::x509::X509VerifyResult::OK => {
                Failure::Certificate(verdict.error_string())
            }
            _ => Failure::Protocol(reason.unwrap_or_else(|| "unknown".to_owned())),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handshake").field("times", &self.times).finish_non_exhaustive()
    }
}

/// What a handshake starts from.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) context: &'a SslContext,
    pub(crate) credentials: &'a Arc<Credentials>,
    pub(crate) own_cid: Option<[u8; 8]>,
    pub(crate) mtu: u16,
    pub(crate) timeout: Duration,
    pub(crate) retransmission: Duration,
}

/// What OpenSSL reads from and writes to: one read is one datagram, one write is one datagram.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    pub(crate) incoming: VecDeque<Vec<u8>>,
    pub(crate) outgoing: Vec<Vec<u8>>,
}

impl io::Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        // What does not fit is lost, as with a socket.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl io::Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Records of epoch 1 that may wait, each way of waiting.
const EARLY: usize = 4;
/// Bytes of such a record.
const EARLY_BYTES: usize = 2_048;
/// How often a client may have a flight sent again, beside the timer.
const PROMPTS: u32 = 8;
/// How soon after it was sent.
pub(crate) const PROMPT_INTERVAL: Duration = Duration::from_millis(200);
/// RFC 6347 section 4.2.4.1.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// Of a datagram, for a client's connection ID and the content type after it.
const CID_ROOM: u32 = 33;
/// OpenSSL wants at least this.
const MIN_MTU: u32 = 256;
