//! Who is where: which shard has the client of an endpoint name.
//!
//! Written when a client registers or goes, read for downlinks and for datagrams that came to the wrong shard; never
//! touched by a notification.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustc_hash::{FxHashMap, FxHashSet};
use tidegate_proto::lwm2m::registration::Registration;

/// Endpoint name → registration and shard, and registration parameter → endpoint name.
#[derive(Debug, Default)]
pub struct Directory {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    clients: FxHashSet<Known>,
    /// Names of the parameters that translators address clients by.
    indexed: Vec<String>,
    /// (name, value) → endpoint, for the indexed names; the latest registration wins.
    by_parameter: FxHashMap<(Arc<str>, Arc<str>), Arc<str>>,
}

/// A client as the directory knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it was after the last Register or Update. The address may be another one since; the shard knows.
    pub registration: Arc<Registration>,
    /// Unix time of the Register; 0 if that was before a restart.
    pub registered: u32,
    /// Unix time of the last Register or Update; 0 if that was before a restart.
    pub updated: u32,
    /// Which shard has it.
    pub shard: u8,
}

/// Found by the endpoint name, and equal if that is.
impl Borrow<str> for Known {
    fn borrow(&self) -> &str {
        &self.registration.endpoint
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.registration.endpoint.hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.registration.endpoint == other.registration.endpoint
    }
}

impl Eq for Known {}

impl Entries {
    /// The indexed parameters that a registration has.
    fn addresses(&self, registration: &Registration) -> Vec<(Arc<str>, Arc<str>)> {
        let indexed =
            registration.parameters.iter().filter(|(name, _)| self.indexed.iter().any(|of| **of == **name));
        indexed.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }
}

impl Directory {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Make these registration parameters usable as addresses, for registrations from now on.
    pub fn index(&self, names: impl IntoIterator<Item = String>) {
        let mut entries = self.write();
        for name in names {
            if !entries.indexed.contains(&name) {
                entries.indexed.push(name);
            }
        }
    }

    /// A client has registered or updated at a shard. Returns another shard that had it.
    pub(crate) fn enter(&self, registration: &Arc<Registration>, shard: u8) -> Option<u8> {
        let now = unix_time();
        let mut entries = self.write();
        for address in entries.addresses(registration) {
            entries.by_parameter.insert(address, registration.endpoint.clone());
        }
        let old = entries.clients.take(&*registration.endpoint);
        // An Update keeps the location, a Register makes another.
        let same = old.as_ref().filter(|old| old.registration.location == registration.location);
        let registered = same.map_or(now, |old| old.registered);
        entries.clients.insert(Known {
            registration: Arc::clone(registration),
            registered,
            updated: now,
            shard,
        });
        old.map(|old| old.shard).filter(|old| *old != shard)
    }

    /// A shard has a client from before a restart. False if another one has it by now.
    pub(crate) fn restore(&self, registration: &Arc<Registration>, shard: u8) -> bool {
        let mut entries = self.write();
        if entries.clients.contains(&*registration.endpoint) {
            return false;
        }
        for address in entries.addresses(registration) {
            entries.by_parameter.entry(address).or_insert_with(|| registration.endpoint.clone());
        }
        let registration = Arc::clone(registration);
        entries.clients.insert(Known { registration, registered: 0, updated: 0, shard });
        true
    }

    /// A client is gone from a shard. Nothing happens if it has moved to another one meanwhile.
    pub(crate) fn leave(&self, registration: &Registration, shard: u8) {
        let mut entries = self.write();
        if entries.clients.get(&*registration.endpoint).map(|known| known.shard) != Some(shard) {
            return;
        }
        entries.clients.remove(&*registration.endpoint);
        for (name, value) in entries.addresses(registration) {
            if entries.by_parameter.get(&(name.clone(), value.clone())) == Some(&registration.endpoint) {
                entries.by_parameter.remove(&(name, value));
            }
        }
    }

    /// The shard that has a client.
    pub fn shard(&self, endpoint: &str) -> Option<u8> {
        self.read().clients.get(endpoint).map(|known| known.shard)
    }

    /// What is known of a client.
    pub fn known(&self, endpoint: &str) -> Option<Known> {
        self.read().clients.get(endpoint).cloned()
    }

    /// The clients for which this holds, in no particular order. Registrations wait meanwhile, so it should be quick.
    pub fn select(&self, holds: impl Fn(&Known) -> bool) -> Vec<Known> {
        self.read().clients.iter().filter(|known| holds(known)).cloned().collect()
    }

    /// The only client there is, and its shard; none if there are several.
    pub fn only(&self) -> Option<(Arc<str>, u8)> {
        let entries = self.read();
        let mut clients = entries.clients.iter();
        let known = clients.next()?;
        clients.next().is_none().then(|| (known.registration.endpoint.clone(), known.shard))
    }

    /// The client that registered with a parameter of this value.
    pub fn endpoint_by_parameter(&self, name: &str, value: &str) -> Option<Arc<str>> {
        self.read().by_parameter.get(&(name.into(), value.into())).cloned()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.read().clients.len()
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        // No code panics while it holds the lock half-way through a change, so a poisoned map is still whole.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970, until 2106.
fn unix_time() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
