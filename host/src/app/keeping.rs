//! What survives a restart, as the configuration wants it: the store is opened, read, and given to the shards.
//!
//! 1. the store is opened, and the clients in it are sorted by shard ([`Keeping::open`]);
//! 2. each shard gets its clients and its end of the store ([`share`]);
//! 3. when the shards have ended, the store is closed ([`Keeping::close`]).

mod held;

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_dtls::endpoint;
use tidegate_proto::lwm2m::server::{Change, Changes, Whereabouts};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::net::keep::{ClientKeeper, Snapshot};
use crate::net::shard::Kept;
use crate::net::{Command, Homes, ShardHandle};
use crate::store::{Batch, CLIENTS, Gauge, Store, StoreError, UNREADABLE_CLIENTS, Writer};

/// The store, and what it has kept.
#[derive(Debug)]
pub(super) struct Keeping {
    store: Store,
    /// What was kept of clients, by the shard that has them now.
    clients: Vec<Vec<Zeroizing<Vec<u8>>>>,
    homes: Arc<Homes>,
    held: held::Held,
}

impl Keeping {
    /// None when nothing is to be kept.
    pub(super) fn open(config: &Config, shards: u8) -> anyhow::Result<Option<Self>> {
        let Some(path) = &config.store.path else { return Ok(None) };
        let store = Store::open(path)?;
        let mut clients: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
        let mut homes = Homes::default();
        let mut by_endpoint = HashMap::new();
        for (whereabouts, snapshot) in kept(&store)? {
            let peer = whereabouts.peer;
            let shard = if peer.is_secure() {
                endpoint::shard_of_association(peer.association, shards)
            } else {
                let shard = whereabouts.shard(shards);
                if shards > 1 {
                    homes.insert(peer, shard);
                }
                shard
            };
            by_endpoint.insert(whereabouts.endpoint, shard);
            clients[usize::from(shard)].push(snapshot);
        }
        let held = held::Held::read(&store, |endpoint| by_endpoint.get(endpoint).copied())?;
        Ok(Some(Self { store, clients, homes: Arc::new(homes), held }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Tells how the store is.
    pub(super) fn gauge(&self) -> Gauge {
        self.store.gauge()
    }

    /// Write all that the shards have left. Blocks.
    pub(super) fn close(self) {
        if let Err(error) = self.store.close() {
            tracing::error!(%error, "clients and DTLS associations are lost");
        }
    }
}

pub(super) use held::hold;

/// The share that a shard, which `handle` reaches, has in what is kept, beside its associations.
pub(super) fn share(
    keeping: &mut Option<Keeping>,
    shard: u8,
    handle: &ShardHandle,
    associations: Option<Vec<Snapshot>>,
) -> Kept {
    let associations = associations.unwrap_or_default();
    let Some(keeping) = keeping else { return Kept { associations, ..Kept::default() } };
    let keeper = StoreKeeper { writer: keeping.store.writer(), shard: handle.clone() };
    Kept {
        associations,
        clients: std::mem::take(&mut keeping.clients[usize::from(shard)]),
        homes: Arc::clone(&keeping.homes),
        keeper: Some(Box::new(keeper)),
    }
}

/// A client that was read.
type Found = (Whereabouts, Zeroizing<Vec<u8>>);

/// The clients that the store has kept. One that cannot be read is set aside: a later version may have written it.
fn kept(store: &Store) -> Result<Vec<Found>, StoreError> {
    let contents = store.read(CLIENTS)?;
    for (key, reason) in &contents.unreadable {
        // It stays where it is until the client registers.
        tracing::error!(endpoint = %String::from_utf8_lossy(key), %reason, "a client is lost");
    }
    let mut clients = Vec::with_capacity(contents.entries.len());
    let mut aside = Batch::new();
    for (key, snapshot) in contents.entries {
        match Whereabouts::read(&snapshot) {
            Ok(whereabouts) => clients.push((whereabouts, snapshot)),
            Err(reason) => {
                let endpoint = String::from_utf8_lossy(&key);
                tracing::error!(%endpoint, %reason, table = UNREADABLE_CLIENTS.name(), "a client is set aside");
                aside.put(UNREADABLE_CLIENTS, key.clone(), snapshot);
                aside.remove(CLIENTS, key);
            }
        }
    }
    let unreadable = contents.unreadable.len() + aside.len() / 2;
    if unreadable > 0 {
        tracing::error!(
            unreadable,
            read = clients.len(),
            "some clients could not be read; they must register again"
        );
    }
    if !aside.is_empty() && store.writer().write(aside).is_err() {
        tracing::debug!("the store takes nothing now; the next start will set them aside");
    }
    Ok(clients)
}

/// A shard's end of the store.
#[derive(Debug)]
struct StoreKeeper {
    writer: Writer,
    shard: ShardHandle,
}

impl ClientKeeper for StoreKeeper {
    fn keep(&mut self, changes: Changes) -> Result<(), Changes> {
        let Changes { turn, is_awaited, changes } = changes;
        let mut batch = Batch::new();
        for Change { endpoint, state } in changes {
            match state {
                Some(state) => batch.put(CLIENTS, endpoint.as_bytes(), state),
                None => batch.remove(CLIENTS, endpoint.as_bytes()),
            }
        }
        if is_awaited {
            let shard = self.shard.clone();
            batch.on_done(move |outcome| match outcome {
                Ok(()) => {
                    // It comes back from a shard that has ended.
                    let _ = shard.send_blocking(Command::ClientsKept(turn));
                }
                Err(reason) => tracing::error!(%reason, "registrations are lost"),
            });
        }
        self.writer.write(batch).map_err(|batch| Changes { turn, is_awaited, changes: changes_of(batch) })
    }

    fn is_failing(&self) -> bool {
        self.writer.counters().is_failing
    }
}

/// What was put into a batch.
fn changes_of(batch: Batch) -> Vec<Change> {
    let changes = batch.into_changes().into_iter();
    changes
        .filter_map(|change| {
            let endpoint = String::from_utf8(change.key).ok()?.into();
            let state = change.value.map(|mut value| std::mem::take(&mut *value));
            Some(Change { endpoint, state })
        })
        .collect()
}

#[cfg(test)]
mod tests;
