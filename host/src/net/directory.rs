//! Who is where: which shard has the client of an endpoint name.
//!
//! Written when a client registers or goes, read for downlinks and for datagrams that came to the wrong shard; never
//! touched by a notification.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use tidegate_proto::lwm2m::registration::Registration;

/// Endpoint name → shard, and registration parameter → endpoint name.
#[derive(Debug, Default)]
pub struct Directory {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    shards: FxHashMap<Arc<str>, u8>,
    /// Names of the parameters that translators address clients by.
    indexed: Vec<String>,
    /// (name, value) → endpoint, for the indexed names; the latest registration wins.
    by_parameter: FxHashMap<(Arc<str>, Arc<str>), Arc<str>>,
}

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
    pub(crate) fn enter(&self, registration: &Registration, shard: u8) -> Option<u8> {
        let mut entries = self.write();
        for address in entries.addresses(registration) {
            entries.by_parameter.insert(address, registration.endpoint.clone());
        }
        entries.shards.insert(registration.endpoint.clone(), shard).filter(|old| *old != shard)
    }

    /// A shard has a client from before a restart. False if another one has it by now.
    pub(crate) fn restore(&self, registration: &Registration, shard: u8) -> bool {
        let mut entries = self.write();
        if entries.shards.contains_key(&registration.endpoint) {
            return false;
        }
        for address in entries.addresses(registration) {
            entries.by_parameter.entry(address).or_insert_with(|| registration.endpoint.clone());
        }
        entries.shards.insert(registration.endpoint.clone(), shard);
        true
    }

    /// A client is gone from a shard. Nothing happens if it has moved to another one meanwhile.
    pub(crate) fn leave(&self, registration: &Registration, shard: u8) {
        let mut entries = self.write();
        if entries.shards.get(&registration.endpoint) != Some(&shard) {
            return;
        }
        entries.shards.remove(&registration.endpoint);
        for (name, value) in entries.addresses(registration) {
            if entries.by_parameter.get(&(name.clone(), value.clone())) == Some(&registration.endpoint) {
                entries.by_parameter.remove(&(name, value));
            }
        }
    }

    /// The shard that has a client.
    pub fn shard(&self, endpoint: &str) -> Option<u8> {
        self.read().shards.get(endpoint).copied()
    }

    /// The only client there is, and its shard; none if there are several.
    pub fn only(&self) -> Option<(Arc<str>, u8)> {
        let entries = self.read();
        let mut clients = entries.shards.iter();
        let (endpoint, shard) = clients.next()?;
        clients.next().is_none().then(|| (endpoint.clone(), *shard))
    }

    /// The client that registered with a parameter of this value.
    pub fn endpoint_by_parameter(&self, name: &str, value: &str) -> Option<Arc<str>> {
        self.read().by_parameter.get(&(name.into(), value.into())).cloned()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.read().shards.len()
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
