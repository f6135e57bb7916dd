//! The clients that are registered, and how they are found.
//!
//! Each has one entry in `slab`, `of_endpoint` and `at_location`. `at_peer` names the client that was last found at an
//! address, so a client that another one has displaced from its address is not in it. `due` has one entry for each
//! client: when it has to be looked after. A datagram does not touch it; when the time comes, the client is asked
//! when it was heard last.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxSeededState};
use slab::Slab;

use super::location::Location;
use crate::coap::Peer;
use crate::coap::endpoint::{ObservationId, RequestId};
use crate::lwm2m::queue::Queue;
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// Names a client as long as it is registered. The same endpoint name keeps it when it registers anew.
pub(super) type Key = usize;

/// A client that is registered.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) registration: Arc<Registration>,
    pub(super) queue: Queue,
    /// What it was asked and has not answered.
    pub(super) exchanges: Vec<RequestId>,
    /// What it was asked to observe, and has not declined.
    pub(super) observations: Vec<ObservationId>,
    /// Its registration lasts until then at least: it is from before a restart.
    pub(super) grace: Option<Instant>,
    /// Something of it is in [`Server::changed`](super::Server).
    pub(super) is_changed: bool,
    location: Location,
    due: Option<Instant>,
}

impl Client {
    pub(super) fn location(&self) -> Location {
        self.location
    }
}

/// The clients.
///
/// The maps whose keys a client chooses are those of std, which nobody can fill with keys that collide.
#[derive(Debug)]
pub(super) struct Clients {
    slab: Slab<Client>,
    of_endpoint: HashMap<Arc<str>, Key>,
    at_location: FxHashMap<Location, Key>,
    at_peer: HashMap<Peer, Key, FxSeededState>,
    due: BTreeSet<(Instant, Key)>,
    /// What their registrations take.
    bytes: usize,
}

impl Clients {
    /// `seed` keeps those who choose addresses from choosing where they are in the map.
    pub(super) fn new(seed: usize) -> Self {
        Self {
            slab: Slab::new(),
            of_endpoint: HashMap::new(),
            at_location: FxHashMap::default(),
            at_peer: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            due: BTreeSet::new(),
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Bytes that all registrations take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slab.iter().map(|(_, client)| client)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.slab.iter().map(|(key, _)| key)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Client> {
        self.slab.get(key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Client> {
        self.slab.get_mut(key)
    }

    pub(super) fn of_endpoint(&self, endpoint: &str) -> Option<Key> {
        self.of_endpoint.get(endpoint).copied()
    }

    pub(super) fn at_location(&self, location: Location) -> Option<Key> {
        self.at_location.get(&location).copied()
    }

    pub(super) fn at_peer(&self, peer: Peer) -> Option<Key> {
        self.at_peer.get(&peer).copied()
    }

    /// A registration stands, in place of the one of its endpoint name if there is one.
    pub(super) fn enter(&mut self, now: Instant, location: Location, registration: Arc<Registration>) -> Key {
        let key = match self.of_endpoint(&registration.endpoint) {
            Some(key) => {
                self.at_location.remove(&self.slab[key].location);
                self.slab[key].location = location;
                self.replace(key, registration);
                key
            }
            None => {
                let (endpoint, peer) = (Arc::clone(&registration.endpoint), registration.peer);
                self.bytes += registration.size();
                let key = self.slab.insert(Client {
                    registration,
                    queue: Queue::new(now),
                    exchanges: Vec::new(),
                    observations: Vec::new(),
                    grace: None,
                    is_changed: false,
                    location,
                    due: None,
                });
                self.of_endpoint.insert(endpoint, key);
                self.at_peer.insert(peer, key);
                key
            }
        };
        self.at_location.insert(location, key);
        key
    }

    /// The registration of a client is another one now, maybe at another address.
    pub(super) fn replace(&mut self, key: Key, registration: Arc<Registration>) {
        let peer = registration.peer;
        self.bytes += registration.size();
        let old = std::mem::replace(&mut self.slab[key].registration, registration);
        self.bytes -= old.size();
        if old.peer != peer && self.at_peer(old.peer) == Some(key) {
            self.at_peer.remove(&old.peer);
        }
        self.at_peer.insert(peer, key);
    }

    /// Forget a client.
    pub(super) fn remove(&mut self, key: Key) -> Option<Client> {
        let client = self.slab.try_remove(key)?;
        self.bytes -= client.registration.size();
        self.of_endpoint.remove(&client.registration.endpoint);
        self.at_location.remove(&client.location);
        if self.at_peer(client.registration.peer) == Some(key) {
            self.at_peer.remove(&client.registration.peer);
        }
        if let Some(due) = client.due {
            self.due.remove(&(due, key));
        }
        Some(client)
    }

    /// Let the client be looked after at this time, or before.
    pub(super) fn look_after(&mut self, key: Key, at: Instant) {
        let client = &mut self.slab[key];
        if client.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(due) = client.due.replace(at) {
            self.due.remove(&(due, key));
        }
        self.due.insert((at, key));
    }

    /// A client whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Key> {
        let (at, key) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        self.slab[key].due = None;
        Some(key)
    }

    /// When the next client's time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}
