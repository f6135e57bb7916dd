//! What of a client survives a restart: told when it changes, taken back after the start.
//!
//! The caller [`take_changes`](Server::take_changes) once a turn, writes them wherever they survive, and says what is there
//! ([`kept`](Server::kept)); only then are Registers and De-registers answered. After a restart it gives every snapshot to
//! [`restore`](Server::restore), and lets the server [`resume`](Server::resume).
//!
//! A notification changes nothing that is kept unless its client has moved: when a client was heard last, and the numbers of
//! its notifications, may be older in a snapshot than they were. Therefore a registration lasts for [`GRACE`] after a restart at
//! least, which gives its client the time to be heard, and any number of a notification is new.
//!
//! A request that waited waits again. One that was on its way is asked once more if to do it twice is to do it once (the
//! methods but POST are idempotent, RFC 7252 section 5.8, and so is the partial update that LwM2M has POST for, core 1.2.1 section
//! 6.3.3), and if it is not asked once more already. Any other has failed with a timeout: whether the client has done it is not
//! known.

mod event;
mod format;

use std::sync::Arc;
use std::time::Duration;

use super::handover::weight;
use super::location::Location;
use super::{End, Failure, Request, Server};
use crate::coap::Peer;
use crate::lwm2m::queue::Waiting;
use crate::lwm2m::registration::Registration;
use crate::lwm2m::shared::Shared;
use crate::time::Instant;
use format::Kept;

/// What has changed since the last time.
#[derive(Debug)]
pub struct Changes {
    /// For [`Server::kept`]; greater than that of earlier changes.
    pub turn: u64,
    /// Whether an answer waits for them to be kept.
    pub is_awaited: bool,
    /// Of each client the newest state.
    pub changes: Vec<Change>,
}

/// What is to be kept of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub endpoint: Arc<str>,
    /// For [`Server::restore`]; none if it is not registered any more. It holds what lets somebody pretend to be the
    /// client: the location and the tokens of its observations.
    pub state: Option<Vec<u8>>,
}

/// Why a snapshot is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrestored {
    /// It was written by a later version.
    #[error("written by a later version (snapshot format {0}; {known} is known here)", known = format::VERSION)]
    Version(u8),
    /// It is none.
    #[error("not a snapshot of a client: {0}")]
    Malformed(String),
    /// Its endpoint, or its location, is registered.
    #[error("registered already")]
    Registered,
}

/// Who a snapshot is of, and where it belongs: for whoever hands it to one of several shards.
#[derive(Debug)]
pub struct Whereabouts {
    /// Endpoint name.
    pub endpoint: Arc<str>,
    /// Where the client was.
    pub peer: Peer,
    location: Location,
}

impl Whereabouts {
    /// Reads a snapshot. What can be read can be restored.
    ///
    /// # Errors
    /// When it is none, or of a later version.
    pub fn read(snapshot: &[u8]) -> Result<Self, Unrestored> {
        let restored = Kept::read(snapshot)?.restored(Instant::default(), 0, &mut Shared::default())?;
        let (registration, location) = (restored.registration, restored.location);
        Ok(Self { endpoint: Arc::clone(&registration.endpoint), peer: registration.peer, location })
    }

    /// The shard, of so many, where a client without DTLS is looked for. One with DTLS belongs to that of its association.
    pub fn shard(&self, shards: u8) -> u8 {
        self.location.shard(shards)
    }
}

impl Server {
    /// What has changed since the last time and is to be kept, if anything has. `wall`: milliseconds since 1970. To be
    /// called after each turn, however much has happened in it; only with [`Config::keep`](super::Config::keep).
    pub fn take_changes(&mut self, now: Instant, wall: i64) -> Option<Changes> {
        if self.changed.is_empty() {
            return None;
        }
        let changed = std::mem::take(&mut self.changed);
        let mut changes = Vec::with_capacity(changed.len());
        for endpoint in changed {
            let state = match self.clients.of_endpoint(&endpoint) {
                Some(key) => {
                    let client = self.clients.get_mut(key);
                    // One that has gone and come back is named twice.
                    if !client.is_some_and(|client| std::mem::take(&mut client.is_changed)) {
                        continue;
                    }
                    self.kept_of(now, wall, key).map(|kept| kept.write())
                }
                None => None,
            };
            changes.push(Change { endpoint, state });
        }
        let turn = self.turn;
        self.turn += 1;
        let is_awaited = self.unanswered.back().is_some_and(|(waits, _)| *waits == turn);
        Some(Changes { turn, is_awaited, changes })
    }

    /// The changes of this turn and of all before it are kept, or need not be: what waits for that is answered. Poll the
    /// output afterwards.
    pub fn kept(&mut self, now: Instant, turn: u64) {
        while let Some((_, unanswered)) = self.unanswered.pop_front_if(|(waits, _)| *waits <= turn) {
            self.answer(now, unanswered);
        }
        self.absorb(now);
    }

    /// Whether a Register or De-register waits to be [`kept`](Self::kept).
    pub fn is_waiting(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Take back a client from before a restart; `wall` as in [`take_changes`](Self::take_changes). There is no event of that; but
    /// requests whose time is over, and those that cannot be asked once more, have failed. Nothing is sent before
    /// [`resume`](Self::resume). Poll the output afterwards.
    ///
    /// # Errors
    /// When it is no snapshot that this version knows. Nothing has changed then.
    pub fn restore(
        &mut self,
        now: Instant,
        wall: i64,
        snapshot: &[u8],
    ) -> Result<Arc<Registration>, Unrestored> {
        let restored = Kept::read(snapshot)?.restored(now, wall, &mut self.shared)?;
        let (registration, location) = (restored.registration, restored.location);
        if self.clients.of_endpoint(&registration.endpoint).is_some()
            || self.clients.at_location(location).is_some()
        {
            return Err(Unrestored::Registered);
        }
        let key = self.clients.enter(restored.heard, location, Arc::clone(&registration));
        let grace = now + self.lifetime(&registration).min(GRACE);
        if let Some(client) = self.clients.get_mut(key) {
            client.grace = Some(grace);
            if restored.is_silent {
                client.queue.went_silent();
            }
        }
        for (observation, token) in restored.observed {
            self.go_on(key, observation, Some(token));
        }
        for outstanding in restored.outstanding {
            self.ask_again(key, outstanding);
        }
        self.queued_bytes += weight(&restored.waiting);
        if let Some(client) = self.clients.get_mut(key) {
            restored.waiting.into_iter().for_each(|waiting| client.queue.push(waiting));
        }
        if self.is_insecure(key) {
            self.end(key, End::Removed);
        } else {
            // Expired requests fail; the registration itself is in its time of grace.
            self.look_after(now, key);
        }
        self.absorb(now);
        Ok(registration)
    }

    /// All clients are restored, and their associations: let them be asked what waits for them. Poll the output afterwards.
    pub fn resume(&mut self, now: Instant) {
        let keys =
            self.clients.keys().filter(|key| self.clients.get(*key).is_some_and(|it| it.queue.len() > 0));
        for key in keys.collect::<Vec<_>>() {
            self.drive(now, key);
        }
        self.absorb(now);
    }

    /// Something of a client has changed that is kept, or it goes.
    pub(super) fn mark(&mut self, key: usize) {
        if self.config.keep
            && let Some(client) = self.clients.get_mut(key)
            && !std::mem::replace(&mut client.is_changed, true)
        {
            self.changed.push(Arc::clone(&client.registration.endpoint));
        }
    }

    /// A request that was on its way before the restart.
    fn ask_again(&mut self, key: usize, outstanding: Waiting) {
        let Waiting { request, is_again, is_repeat, .. } = outstanding;
        if !is_again && (is_repeat || !request.operation.is_idempotent()) {
            self.mark(key);
            return self.fail(key, request.asked(), Failure::Timeout);
        }
        self.queued_bytes += request.operation.weight();
        if let Some(client) = self.clients.get_mut(key) {
            // That it was sent has been told.
            client.queue.push(Waiting { request, is_again, is_repeat: !is_again, is_told: false });
        }
    }

    fn kept_of(&self, now: Instant, wall: i64, key: usize) -> Option<Kept<'_>> {
        let client = self.clients.get(key)?;
        let mut kept = Kept::new(wall, &client.registration, now.since(client.queue.heard()));
        kept.is_silent = client.queue.is_silent();
        for id in &client.observations {
            if let Some(observation) = self.observations.get(id).filter(|it| it.stands)
                && let Some(token) = self.endpoint.observation(*id)
            {
                kept.observe(observation, token);
            }
        }
        for exchange in client.exchanges.iter().filter_map(|id| self.exchanges.get(id)) {
            if let Some((request, is_repeat)) = exchange.request() {
                kept.outstanding.push(Kept::request(now, request, [exchange.is_again, is_repeat, false]));
            }
        }
        for Waiting { request, is_again, is_repeat, is_told } in client.queue.waiting() {
            kept.waiting.push(Kept::request(now, request, [*is_again, *is_repeat, *is_told]));
        }
        Some(kept)
    }
}

/// How long a registration lasts after a restart at least, unless its lifetime is shorter: `EXCHANGE_LIFETIME` (RFC 7252
/// section 4.8.2), after which a client that wanted to be heard meanwhile has tried all it could.
const GRACE: Duration = Duration::from_secs(247);
