//! All associations of one shard: finds the one that a datagram belongs to, and begins and ends them.
//!
//! `net::shard` calls [`Endpoint::handle_datagram`], [`Endpoint::handle_timeout`] and [`Endpoint::send`], then polls
//! the output until [`Output::Timeout`].
//!
//! A datagram (RFC 6347 section 4.1, RFC 9146 section 4):
//!
//! 1. its connection ID, or else its address, says which association or handshake it belongs to (`handle_datagram`);
//! 2. a ClientHello is answered with a cookie, or begins a handshake if it has one (`begin`);
//! 3. records of a handshake go to it (`begin`), those of an association are opened here (`live`);
//! 4. a handshake that is done becomes an association; one at the same address ends only then (RFC 6347 section 4.2.8);
//! 5. what must survive a restart is told (`keep`).

mod begin;
mod config;
mod event;
mod keep;
mod live;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use openssl::ssl::SslContext;
use rustc_hash::{FxHashMap, FxSeededState};
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

use crate::association::{Association, CID_LENGTH, CLOSE_NOTIFY, WARNING};
use crate::context;
use crate::cookie::Cookies;
use crate::credential::Credentials;
use crate::hello::ClientHello;
use crate::record::content_type;
use crate::session::Sessions;
use begin::Pending;
pub use config::Config;
pub use event::{Counters, End, Failure, Output, Received, Remote, Summary};
pub use keep::remote_of_snapshot;

/// All associations of one shard.
pub struct Endpoint {
    config: Config,
    context: SslContext,
    credentials: Arc<Credentials>,
    sessions: Arc<Sessions>,
    entropy: Box<dyn Entropy>,
    cookies: Cookies,
    /// Handshakes that are going on, by the name that their association will have.
    pending: FxHashMap<u64, Pending>,
    /// How many of them each address has.
    by_ip: HashMap<IpAddr, usize, FxSeededState>,
    live: FxHashMap<u64, Box<Association>>,
    /// The names of all that are live, for drawing lots.
    names: Vec<u64>,
    by_remote: HashMap<Remote, Slot, FxSeededState>,
    /// When a handshake, or a flight that may be asked for again, is to be looked after.
    timers: BTreeSet<(Instant, u64)>,
    /// Associations to be kept anew, and when; oldest first.
    dirty: VecDeque<(Instant, u64)>,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// What is going on with an address: names, or 0.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    pending: u64,
    live: u64,
}

impl Endpoint {
    /// Without any association. `sessions` is shared by all shards.
    ///
    /// # Errors
    /// When OpenSSL refuses the credentials.
    pub fn new(
        config: Config,
        credentials: Arc<Credentials>,
        sessions: Arc<Sessions>,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, Error> {
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        // Addresses are the choice of whoever sends, who must not be able to choose those that collide.
        let seed = FxSeededState::with_seed(usize::from_ne_bytes(seed));
        Ok(Self {
            context: context::build(&credentials, &sessions, config.connection_id)?,
            config,
            credentials,
            sessions,
            cookies: Cookies::new(&mut *entropy),
            entropy,
            pending: FxHashMap::default(),
            by_ip: HashMap::with_hasher(seed.clone()),
            live: FxHashMap::default(),
            names: Vec::new(),
            by_remote: HashMap::with_hasher(seed),
            timers: BTreeSet::new(),
            dirty: VecDeque::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    /// Take in a datagram; it is decrypted in place. Poll the output afterwards, before the next datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: Remote, datagram: &mut [u8]) {
        if let Some(name) = connection_id(datagram) {
            if self.live.contains_key(&name) {
                self.hear(now, name, from, datagram);
            } else if self.pending.contains_key(&name) {
                self.proceed(now, name, datagram);
            } else {
                self.counters.strays += 1;
            }
            return;
        }
        let slot = self.by_remote.get(&from).copied().unwrap_or_default();
        if let Some(hello) = ClientHello::parse(datagram) {
            return self.greet(now, from, slot, &hello, datagram);
        }
        match slot {
            Slot { pending: 0, live: 0 } => self.counters.strays += 1,
            Slot { pending: 0, live } => self.hear(now, live, from, datagram),
            Slot { pending, live: 0 } => self.proceed(now, pending, datagram),
            Slot { pending, live } => self.hear_either(now, from, (pending, live), datagram),
        }
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, name)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if self.pending.contains_key(&name) {
                self.look_after(now, name);
            } else if let Some(association) = self.live.get_mut(&name) {
                association.linger = None;
            }
        }
        self.keep_due(now);
    }

    /// Seal application data into `datagram`, which is cleared first, and say where to send it. None when there is no
    /// such association, or it must not send now: the data is lost, as a datagram may be. Poll the output afterwards.
    pub fn send(&mut self, association: u64, data: &[u8], datagram: &mut Vec<u8>) -> Option<Remote> {
        datagram.clear();
        self.seal(association, data, datagram)
    }

    /// Take other credentials from now on. Associations whose credential is gone end, and so do handshakes.
    ///
    /// # Errors
    /// When OpenSSL refuses them; the former ones stay.
    pub fn renew(&mut self, credentials: Arc<Credentials>) -> Result<(), Error> {
        self.context = context::build(&credentials, &self.sessions, self.config.connection_id)?;
        self.credentials = credentials;
        for name in self.pending.keys().copied().collect::<Vec<_>>() {
            self.abandon(name);
        }
        let revoked = |of: &&u64| !self.live.get(of).is_some_and(|of| self.credentials.holds(&of.principal));
        for name in self.names.iter().filter(revoked).copied().collect::<Vec<_>>() {
            self.say(name, WARNING, CLOSE_NOTIFY);
            self.end(name, End::Revoked);
        }
        self.sessions.retain(|principal| self.credentials.holds(principal));
        Ok(())
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let keep = self.dirty.front().map(|(at, _)| *at);
        Output::Timeout(timer.into_iter().chain(keep).min())
    }

    /// Whether an association or handshake is known for this datagram's connection ID or address.
    pub fn knows(&self, from: Remote, datagram: &[u8]) -> bool {
        match connection_id(datagram) {
            Some(name) => self.live.contains_key(&name) || self.pending.contains_key(&name),
            None => self.by_remote.contains_key(&from),
        }
    }

    /// How many associations there are.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// How many handshakes are going on.
    pub fn handshakes(&self) -> usize {
        self.pending.len()
    }

    /// What has happened since the start that no output tells.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The slot of an address, for a change; it goes when nothing is left in it.
    fn change_slot(&mut self, remote: Remote, change: impl FnOnce(&mut Slot)) {
        let slot = self.by_remote.entry(remote).or_default();
        change(slot);
        if slot.pending == 0 && slot.live == 0 {
            self.by_remote.remove(&remote);
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("config", &self.config)
            .field("pending", &self.pending.len())
            .field("live", &self.live.len())
            .finish_non_exhaustive()
    }
}

/// The shard that a datagram's connection ID names, if it has one.
pub fn shard_of_datagram(datagram: &[u8], shards: u8) -> Option<u8> {
    connection_id(datagram).map(|name| shard_of_association(name, shards))
}

/// The shard that an association belongs to.
pub fn shard_of_association(association: u64, shards: u8) -> u8 {
    association.to_be_bytes()[0] % shards.max(1)
}

/// The connection ID of the datagram's first record, if it has one of ours.
fn connection_id(datagram: &[u8]) -> Option<u64> {
    if *datagram.first()? != content_type::CID {
        return None;
    }
    Some(u64::from_be_bytes(datagram.get(11..11 + CID_LENGTH)?.try_into().ok()?))
}

/// What can be wrong that no client causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// OpenSSL refuses something.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// A snapshot that this version has not written.
    #[error("what was kept of an association cannot be read")]
    Snapshot,
}
