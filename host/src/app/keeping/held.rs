//! What translators have not been able to take, over a restart: a table of the store, by a key whose lowest byte is the shard that held it.

use std::collections::HashMap;

use super::Keeping;
use crate::bridge::{HeldChange, HeldEvent, HoldKeeper, STEP};
use crate::store::{Batch, HELD, Store, StoreError, Writer};

/// What was held, by the shard that its client is at now, with the keys under which it is kept.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_shard: HashMap<u8, Vec<(u64, HeldEvent)>>,
    /// The first counter that is not in use.
    next: u64,
}

impl Held {
    /// Reads it. `home` says where a client is; what is about none goes to the first shard.
    pub(super) fn read(store: &Store, home: impl Fn(&str) -> Option<u8>) -> Result<Self, StoreError> {
        let contents = store.read(HELD)?;
        for (key, reason) in &contents.unreadable {
            tracing::error!(?key, %reason, "an event that was held is lost");
        }
        let mut held = Self::default();
        for (key, record) in contents.entries {
            let Ok(key) = <[u8; 8]>::try_from(key.as_slice()).map(u64::from_be_bytes) else { continue };
            held.next = held.next.max(key / STEP + 1);
            match HeldEvent::read(&record) {
                Ok(event) => {
                    let shard = home(event.endpoint()).unwrap_or(0);
                    held.by_shard.entry(shard).or_default().push((key, event));
                }
                // It stays where it is: a later version may have written it.
                Err(reason) => tracing::error!(key, reason, "an event that was held cannot be read"),
            }
        }
        let events: usize = held.by_shard.values().map(Vec::len).sum();
        if events > 0 {
            tracing::info!(events, "events of before the restart are held");
        }
        Ok(held)
    }
}

/// What a shard held, where it is kept from now on, and the first key.
pub(in crate::app) type Holding = (Box<dyn HoldKeeper>, u64, Vec<(u64, HeldEvent)>);

/// The share of a shard; none if nothing is kept.
pub(in crate::app) fn hold(keeping: &mut Option<Keeping>, shard: u8) -> Option<Holding> {
    let Keeping { store, held, .. } = keeping.as_mut()?;
    let mut events = held.by_shard.remove(&shard).unwrap_or_default();
    events.sort_by_key(|(key, _)| *key);
    Some((Box::new(Table { writer: store.writer() }), held.next * STEP + u64::from(shard), events))
}

#[derive(Debug)]
struct Table {
    writer: Writer,
}

impl HoldKeeper for Table {
    fn keep(&mut self, changes: &[HeldChange]) -> bool {
        let mut batch = Batch::new();
        for HeldChange { key, record } in changes {
            let key = key.to_be_bytes();
            match record {
                Some(record) => batch.put(HELD, key, record.clone()),
                None => batch.remove(HELD, key),
            }
        }
        self.writer.write(batch).is_ok()
    }
}
