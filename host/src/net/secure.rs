//! The DTLS side of a shard: opens what comes in, seals what goes out, and keeps associations over a restart.
//!
//! `shard` gives the datagrams of its DTLS sockets to [`Secure::handle_datagram`], then polls [`Secure::poll`] for what
//! its LwM2M server has to know; what the server sends to an association goes through [`Secure::seal`]. An association
//! cannot move between shards, so a datagram of another shard's association is handed on unopened
//! ([`Secure::elsewhere`]).
//!
//! Listeners are numbered CoAP's first; [`Endpoint`] counts those of DTLS only, so that what is kept of an association
//! still fits when the configuration names another number of CoAP listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use tidegate_dtls::credential::{Credentials, Mode, Principal};
use tidegate_dtls::endpoint::{self, End, Endpoint, Failure, Output, Received, Remote, Summary};
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::Peer;
use tidegate_proto::time::Instant;

use super::count::Counts;
use super::entropy::SystemEntropy;
use super::keep::{Keeper, Keeping, Snapshot, State};
use super::throttle::Throttle;

/// The associations of one shard.
#[derive(Debug)]
pub struct Secure {
    endpoint: Endpoint,
    place: Place,
    /// The newest; all shards have the same.
    credentials: Arc<ArcSwap<Credentials>>,
    /// Where clients were whose associations are kept, by the shard that has them now.
    restored: Arc<Restored>,
    keeping: Option<Keeping>,
    /// What is being sent, kept to reuse its memory.
    sealed: Vec<u8>,
    /// When [`Endpoint`] wants to be called again.
    deadline: Option<Instant>,
    /// How many associations of before the restart are back, while they come back: one line in the log for all.
    returned: Option<usize>,
    failures: Throttle,
    failed: u64,
    evicted: u64,
}

/// Which shard this is, and which listeners are those of DTLS.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: u8,
    shards: u8,
    first_listener: u16,
}

/// Where the clients of kept associations were last, and which shards have them after the restart.
pub type Restored = FxHashMap<Remote, u8>;

/// What the LwM2M server has to know.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A client has proved that it is this endpoint. With the bytes that a message may have, if it wants a limit.
    Associated(Peer, Arc<str>, Option<u16>),
    /// Application data came, in the clear.
    Received(Peer, Received),
    /// An association has ended. With the endpoint, if that may not connect any more.
    Dissociated(u64, Option<Arc<str>>),
}

impl Secure {
    /// The shard's number, and limits, are in `config`; `sessions` is shared by all shards, and so is `restored`; `keeper`
    /// is where associations are kept, if they are.
    ///
    /// # Errors
    /// When OpenSSL refuses the credentials.
    pub fn new(
        mut config: endpoint::Config,
        first_listener: u16,
        credentials: Arc<ArcSwap<Credentials>>,
        sessions: Arc<Sessions>,
        restored: Arc<Restored>,
        keeper: Option<Box<dyn Keeper>>,
    ) -> Result<Self, endpoint::Error> {
        let place = Place { shard: config.shard, shards: config.shards, first_listener };
        config.keep = keeper.is_some();
        let entropy = Box::new(SystemEntropy::new());
        Ok(Self {
            endpoint: Endpoint::new(config, credentials.load_full(), sessions, entropy)?,
            place,
            credentials,
            restored,
            keeping: keeper.map(Keeping::new),
            sealed: Vec::new(),
            deadline: None,
            returned: None,
            failures: Throttle::default(),
            failed: 0,
            evicted: 0,
        })
    }

    /// Whether an endpoint has a key, so that it must not register without it.
    pub(crate) fn secured(&self) -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
        let credentials = Arc::clone(&self.credentials);
        Arc::new(move |endpoint| credentials.load().mode(endpoint).is_some())
    }

    /// Whether datagrams of this listener are DTLS.
    pub(crate) fn hears(&self, listener: u16) -> bool {
        listener >= self.place.first_listener
    }

    /// Whether there is an association or a handshake with this address.
    pub(crate) fn has_heard(&self, peer: Peer) -> bool {
        self.endpoint.knows(self.remote(peer), &[])
    }

    /// The other shard that a datagram belongs to.
    pub(crate) fn elsewhere(&self, from: Peer, datagram: &[u8]) -> Option<u8> {
        if let Some(shard) = endpoint::shard_of_datagram(datagram, self.place.shards) {
            return Some(shard).filter(|shard| *shard != self.place.shard);
        }
        // After a restart with another number of shards, the kernel may give a client's datagrams to another one.
        if self.restored.is_empty() || !is_protected(datagram) {
            return None;
        }
        let remote = self.remote(from);
        let shard = *self.restored.get(&remote)?;
        (shard != self.place.shard && !self.endpoint.knows(remote, datagram)).then_some(shard)
    }

    /// Take in a datagram; it is decrypted in place. Poll afterwards, before the next one.
    pub(crate) fn handle_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        self.endpoint.handle_datagram(now, self.remote(from), datagram);
    }

    /// Seal what goes to an association: where to send it and what. None if it cannot be sent now.
    pub(crate) fn seal(&mut self, association: u64, data: &[u8]) -> Option<(Peer, &[u8])> {
        let to = self.endpoint.send(association, data, &mut self.sealed)?;
        Some((self.place.peer(to, association), &self.sealed))
    }

    /// What has happened, until nothing has. `send` is given what is to be sent meanwhile.
    pub(crate) fn poll(&mut self, now: Instant, mut send: impl FnMut(Peer, &[u8])) -> Option<Happened> {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { to, payload } => send(self.place.peer(to, 0), &payload),
                Output::Established { association, from, principal, summary } => {
                    match &mut self.returned {
                        Some(returned) => *returned += 1,
                        None => log_established(association, from.address, &principal, &summary),
                    }
                    let peer = self.place.peer(from, association);
                    let endpoint = Arc::clone(&principal.endpoint);
                    return Some(Happened::Associated(peer, endpoint, summary.max_fragment));
                }
                Output::Received { association, from, payload } => {
                    return Some(Happened::Received(self.place.peer(from, association), payload));
                }
                Output::Ended { association, principal, reason } => {
                    return Some(self.end(association, &principal, reason));
                }
                Output::Failed { from, failure } => self.fail(now, from.address, &failure),
                Output::Keep { association, snapshot, bound } => {
                    self.note(association, Some(State { snapshot, bound }));
                }
                Output::Forget { association } => self.note(association, None),
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return None;
                }
            }
        }
    }

    /// When [`Secure::handle_timeout`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Let time pass. Poll afterwards.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    /// Take other credentials. Poll afterwards.
    pub(crate) fn renew(&mut self, credentials: Arc<Credentials>) {
        if let Err(error) = self.endpoint.renew(credentials) {
            let shard = self.place.shard;
            tracing::error!(shard, %error, "the new credentials cannot be used; the former ones stay");
        }
    }

    /// Go on with an association of before the restart. Poll afterwards.
    pub(crate) fn restore(&mut self, now: Instant, snapshot: &Snapshot) {
        self.returned.get_or_insert_default();
        let association = snapshot.association;
        if let Err(error) = self.endpoint.restore(now, association, &snapshot.bytes) {
            tracing::warn!(association = %name(association), %error, "a DTLS association is not restored");
            self.note(association, None);
        }
    }

    /// All associations of before the restart have been given to [`Secure::restore`]: how many are back.
    pub(crate) fn restored(&mut self) -> usize {
        self.returned.take().unwrap_or_default()
    }

    /// Note the newest state of every association. Poll afterwards.
    pub(crate) fn keep_all(&mut self) {
        if self.keeping.is_some() {
            self.endpoint.keep_all();
        }
    }

    /// Hand over what is to be kept. False if it waits for room.
    pub(crate) fn keep(&mut self) -> bool {
        self.keeping.as_mut().is_none_or(Keeping::hand_over)
    }

    /// So much of it is durable. Poll afterwards.
    pub(crate) fn kept(&mut self, bounds: &[(u64, u64)]) {
        for (association, bound) in bounds {
            self.endpoint.kept(*association, *bound);
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.kept(bounds.len());
        }
    }

    /// Whether all that is to be kept is durable.
    pub(crate) fn is_kept(&self) -> bool {
        self.keeping.as_ref().is_none_or(Keeping::is_done)
    }

    /// Add what was counted.
    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.dtls = self.endpoint.counters();
        (counts.own.failed_handshakes, counts.own.evicted_associations) = (self.failed, self.evicted);
        counts.associations = self.endpoint.len() as u64;
        counts.handshakes = self.endpoint.handshakes() as u64;
    }

    fn end(&mut self, association: u64, principal: &Principal, reason: End) -> Happened {
        self.evicted += u64::from(reason == End::Evicted);
        log_ended(association, principal, reason);
        // A client whose key was changed may come back with the new one; its registration waits for it.
        let is_barred = reason == End::Revoked && self.credentials.load().mode(&principal.endpoint).is_none();
        Happened::Dissociated(association, is_barred.then(|| Arc::clone(&principal.endpoint)))
    }

    fn fail(&mut self, now: Instant, peer: SocketAddr, failure: &Failure) {
        self.failed += 1;
        if let Some(left_out) = self.failures.turn(now) {
            tracing::warn!(%peer, reason = %failure, left_out, "a DTLS handshake has failed");
        }
    }

    fn note(&mut self, association: u64, state: Option<State>) {
        if let Some(keeping) = &mut self.keeping {
            keeping.note(association, state);
        }
    }

    fn remote(&self, peer: Peer) -> Remote {
        Remote { address: peer.address, listener: peer.listener.saturating_sub(self.place.first_listener) }
    }
}

impl Place {
    fn peer(&self, remote: Remote, association: u64) -> Peer {
        let listener = self.first_listener.saturating_add(remote.listener);
        Peer { address: remote.address, listener, association }
    }
}

/// Whether it begins with a record of a type that TLS knows and of an epoch after the handshake (RFC 6347 section 4.1).
fn is_protected(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=23, _, _, high, low, ..] if (*high, *low) != (0, 0))
}

fn log_established(association: u64, peer: SocketAddr, principal: &Principal, summary: &Summary) {
    tracing::info!(
        endpoint = %principal.endpoint,
        mode = mode(principal.mode),
        suite = summary.suite,
        resumed = summary.resumed,
        cid = summary.connection_id,
        association = %name(association),
        %peer,
        "DTLS association established"
    );
}

fn log_ended(association: u64, principal: &Principal, reason: End) {
    let reason = match reason {
        End::Closed => "the client has closed it",
        End::Alert(_) => "the client sent a fatal alert",
        End::Replaced => "the client has made another one",
        End::Evicted => "it was idle, and room was needed",
        End::Revoked => "its credential is there no more, or is another one",
        End::Exhausted => "its record numbers are used up",
    };
    let endpoint = &principal.endpoint;
    tracing::info!(%endpoint, reason, association = %name(association), "DTLS association ended");
}

/// An association as its connection ID looks on the wire.
fn name(association: u64) -> String {
    format!("{association:016x}")
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Psk => "psk",
        Mode::RawPublicKey => "raw-public-key",
        Mode::X509 => "x509",
    }
}
