//! A DTLS 1.2 client for tests, without sockets and clock: OpenSSL shakes hands, and every record of epoch 1 is the
//! client's own ([`seal`]), with connection IDs (RFC 9146). Flights are sent again in simulated time, each record
//! with a new number, as OpenSSL's own timer does in real time.
#![allow(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "tests and benches use different parts of it")]

pub(crate) mod ffi;
pub(crate) mod forge;
pub(crate) mod profile;
pub(crate) mod seal;
pub(crate) mod wire;

use std::collections::{HashSet, VecDeque};
use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslSession, SslStream};
use tidegate_proto::time::Instant;

use profile::{Profile, Proof, Slot, slot};
use seal::Keys;
use wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CID, HANDSHAKE, Record};

/// Where a client stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Handshaking,
    Established,
    /// The server has closed, or the client.
    Closed,
    /// A fatal alert of the server, an error of OpenSSL, or no answer.
    Failed(String),
}

#[derive(Debug)]
pub(crate) struct Client {
    stream: SslStream<Datagrams>,
    pub(crate) state: State,
    pub(crate) keys: Option<Keys>,
    /// The connection ID that the server's records bear.
    pub(crate) cid: Option<Vec<u8>>,
    /// The number of the next record of each epoch.
    pub(crate) next: [u64; 2],
    /// The last flight, by datagram, in the clear.
    pub(crate) flight: Vec<Vec<Record>>,
    /// Records of epoch 1 that came before their keys.
    early: Vec<Record>,
    /// Numbers of the server's records that have come.
    seen: HashSet<u64>,
    pub(crate) transmits: VecDeque<Vec<u8>>,
    /// Application data.
    pub(crate) received: Vec<Vec<u8>>,
    /// Level and description.
    pub(crate) alerts: Vec<[u8; 2]>,
    again_at: Option<Instant>,
    again_after: Duration,
    attempts: u32,
}

impl Client {
    /// Its first ClientHello is to be transmitted at once.
    #[allow(unsafe_code)]
    pub(crate) fn new(profile: &Profile, now: Instant) -> Self {
        let mut ssl = Ssl::new(profile.context()).unwrap();
        let psk = match &profile.proof {
            Proof::Psk(identity, key) => Some((identity.clone(), key.clone())),
            _ => None,
        };
        let mine = profile.connection_id.clone().unwrap_or_default();
        ssl.set_ex_data(slot(), Slot { psk, mine, theirs: None });
        ssl.set_connect_state();
        ssl.set_mtu(profile.mtu).unwrap();
        if let Some(session) = &profile.session {
            // SAFETY: it is of a context with the same settings.
            unsafe { ssl.set_session(session).unwrap() }
        }
        // SAFETY: the callback looks at neither argument.
        unsafe { ffi::DTLS_set_timer_cb(ssl.as_ptr(), Some(ffi::an_hour)) }
        let mut client = Self {
            stream: SslStream::new(ssl, Datagrams::default()).unwrap(),
            state: State::Handshaking,
            keys: None,
            cid: None,
            next: [0; 2],
            flight: Vec::new(),
            early: Vec::new(),
            seen: HashSet::new(),
            transmits: VecDeque::new(),
            received: Vec::new(),
            alerts: Vec::new(),
            again_at: None,
            again_after: FIRST,
            attempts: 0,
        };
        client.shake(now);
        client
    }

    pub(crate) fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// The session, to be resumed later.
    pub(crate) fn session(&self) -> SslSession {
        self.stream.ssl().session().expect("a handshake is over").to_owned()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.ssl().session_reused()
    }

    /// The suite's name, as IANA has it.
    pub(crate) fn suite(&self) -> &'static str {
        self.stream.ssl().current_cipher().and_then(|cipher| cipher.standard_name()).unwrap_or("")
    }

    /// The client's own connection ID, if the server knows it.
    pub(crate) fn own_cid(&self) -> &[u8] {
        let slot = self.stream.ssl().ex_data(slot()).expect("every client has one");
        if slot.theirs.is_some() { &slot.mine } else { &[] }
    }

    /// DER of the server's raw public key, if it showed one.
    #[cfg(not(ossl320))]
    pub(crate) fn peer_raw_public_key(&self) -> Option<Vec<u8>> {
        None
    }

    /// DER of the server's raw public key, if it showed one.
    #[cfg(ossl320)]
    #[allow(unsafe_code)]
    pub(crate) fn peer_raw_public_key(&self) -> Option<Vec<u8>> {
        // SAFETY: the key is the connection's; the reference is one more.
        let key = unsafe {
            let key = ffi::SSL_get0_peer_rpk(self.stream.ssl().as_ptr());
            if key.is_null() {
                return None;
            }
            openssl_sys::EVP_PKEY_up_ref(key);
            <openssl::pkey::PKey<openssl::pkey::Public> as foreign_types::ForeignType>::from_ptr(key)
        };
        Some(key.public_key_to_der().unwrap())
    }

    /// Takes a datagram in.
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(self.state, State::Closed | State::Failed(_)) {
            return;
        }
        let cid = self.stream.ssl().ex_data(slot()).map_or(0, |slot| slot.mine.len());
        for record in Record::all(datagram, cid) {
            if record.epoch == 0 {
                self.take_plain(now, &record);
            } else {
                self.take(now, &record);
            }
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.again_at
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.again_at.is_none_or(|at| at > now) {
            return;
        }
        self.attempts += 1;
        if self.attempts > MOST {
            self.again_at = None;
            self.state = State::Failed("no answer".to_owned());
            return;
        }
        self.again_after = (self.again_after * 2).min(LONGEST);
        self.again_at = Some(now + self.again_after);
        self.send_flight();
    }

    /// Sends application data.
    pub(crate) fn send(&mut self, data: &[u8]) {
        let datagram = self.seal(APPLICATION_DATA, data);
        self.transmits.push_back(datagram);
    }

    /// Sends close_notify.
    pub(crate) fn close(&mut self) {
        let datagram = self.seal(ALERT, &[1, 0]);
        self.transmits.push_back(datagram);
        self.state = State::Closed;
    }

    /// A datagram with one record of epoch 1 and the next number.
    pub(crate) fn seal(&mut self, content: u8, data: &[u8]) -> Vec<u8> {
        self.next[1] += 1;
        self.seal_at(self.next[1] - 1, content, data)
    }

    /// The same with any number, used before or not.
    pub(crate) fn seal_at(&self, sequence: u64, content: u8, data: &[u8]) -> Vec<u8> {
        let keys = self.keys.as_ref().expect("there are keys by now");
        let cid = self.cid.as_deref().unwrap_or_default();
        keys.client.seal(content, 1, sequence, cid, data).encode()
    }

    /// Sends the last flight again, with new record numbers.
    pub(crate) fn send_flight(&mut self) {
        for records in self.flight.clone() {
            let datagram: Vec<u8> = records.iter().flat_map(|record| self.number(record).encode()).collect();
            self.transmits.push_back(datagram);
        }
    }

    /// A record of the flight with its next number, sealed if its epoch is.
    pub(crate) fn number(&mut self, record: &Record) -> Record {
        let epoch = usize::from(record.epoch);
        let sequence = self.next[epoch];
        self.next[epoch] += 1;
        if epoch == 0 {
            return Record { sequence, ..record.clone() };
        }
        let keys = self.keys.as_ref().expect("OpenSSL has written with them");
        let cid = self.cid.as_deref().unwrap_or_default();
        keys.client.seal(record.content, 1, sequence, cid, &record.payload)
    }

    fn take_plain(&mut self, now: Instant, record: &Record) {
        if self.state != State::Handshaking {
            return;
        }
        self.stream.get_mut().rx.push_back(record.encode());
        self.shake(now);
        for record in std::mem::take(&mut self.early) {
            self.take(now, &record);
        }
    }

    /// A record of epoch 1.
    fn take(&mut self, now: Instant, record: &Record) {
        self.learn_keys();
        let Some(keys) = &self.keys else {
            if self.early.len() < 8 {
                self.early.push(record.clone());
            }
            return;
        };
        let framed = record.content == CID;
        if framed == self.own_cid().is_empty() || record.cid != self.own_cid() {
            return;
        }
        let Some((content, data)) = keys.server.open(record) else { return };
        if !self.seen.insert(record.sequence) {
            return;
        }
        match (content, &self.state) {
            (APPLICATION_DATA, State::Established) => self.received.push(data),
            (ALERT, _) if data.len() == 2 => self.alert([data[0], data[1]]),
            (HANDSHAKE, State::Handshaking) => {
                let plain = keys.server.seal(content, 1, record.sequence, &[], &data);
                self.stream.get_mut().rx.push_back(plain.encode());
                self.shake(now);
            }
            // The server has not had the Finished message of this side.
            (HANDSHAKE, State::Established) if self.is_resumed() => self.send_flight(),
            _ => {}
        }
    }

    fn alert(&mut self, alert: [u8; 2]) {
        self.alerts.push(alert);
        if alert == [1, 0] {
            self.state = State::Closed;
        } else if alert[0] == 2 {
            self.state = State::Failed(format!("alert {}", alert[1]));
        }
        self.again_at = None;
    }

    fn shake(&mut self, now: Instant) {
        match self.stream.do_handshake() {
            Ok(()) => {
                self.state = State::Established;
                self.again_at = None;
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => {
                self.state = State::Failed(error.to_string());
                self.again_at = None;
            }
        }
        self.learn_keys();
        self.take_output(now);
    }

    fn learn_keys(&mut self) {
        if self.keys.is_none() {
            self.keys = Keys::of(self.stream.ssl());
            self.cid = self.stream.ssl().ex_data(slot()).and_then(|slot| slot.theirs.clone());
        }
    }

    /// What OpenSSL wants to send: a flight, or an alert.
    fn take_output(&mut self, now: Instant) {
        let mut flight = Vec::new();
        for datagram in std::mem::take(&mut self.stream.get_mut().tx) {
            let records = Record::all(&datagram, 0).into_iter().map(|record| self.in_the_clear(record));
            // A server's messages that were tampered with can leave OpenSSL with other keys than it tells of.
            let Some(records) = records.collect::<Option<Vec<_>>>() else {
                self.state = State::Failed("its own record cannot be opened".to_owned());
                self.again_at = None;
                return;
            };
            flight.push(records);
        }
        let Some(first) = flight.first().and_then(|datagram| datagram.first()) else { return };
        if first.content == ALERT {
            for record in flight.iter().flatten() {
                let datagram = self.number(record).encode();
                self.transmits.push_back(datagram);
            }
            return;
        }
        assert!(matches!(first.content, HANDSHAKE | CHANGE_CIPHER_SPEC), "{first:?}");
        self.flight = flight;
        self.send_flight();
        self.attempts = 0;
        self.again_after = FIRST;
        self.again_at = (self.state == State::Handshaking).then(|| now + FIRST);
    }

    fn in_the_clear(&self, record: Record) -> Option<Record> {
        let Some(keys) = self.keys.as_ref().filter(|_| record.epoch == 1) else { return Some(record) };
        let (content, data) = keys.client.open(&record)?;
        Some(Record::new(content, 1, 0, &data))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Otherwise OpenSSL takes the session for a bad one and never resumes it.
        self.stream.set_shutdown(ShutdownState::SENT | ShutdownState::RECEIVED);
    }
}

/// Datagrams towards and from OpenSSL: one read takes one.
#[derive(Debug, Default)]
struct Datagrams {
    rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let datagram = self.rx.pop_front().ok_or_else(|| Error::from(ErrorKind::WouldBlock))?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.tx.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// Until a flight is sent again for the first time (RFC 6347 section 4.2.4.1).
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How often a flight is sent again.
const MOST: u32 = 10;
