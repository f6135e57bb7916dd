//! DTLS as the configuration wants it: who may connect, what of it each shard gets, and what of it survives a restart.
//!
//! 1. credentials are read and, if associations are kept, those that the store has ([`Security::prepare`]);
//! 2. each shard gets its side of it ([`Security::shard`]);
//! 3. the credentials are watched ([`Security::start`]).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tidegate_dtls::credential::Credentials;
use tidegate_dtls::endpoint;
use tidegate_dtls::session::Sessions;
use tokio::sync::watch;

use crate::config::Config;
use crate::credential::{self, CredentialWatch, Reading};
use crate::net::keep::{Change, Keeper, Snapshot, State};
use crate::net::secure::Restored;
use crate::net::{Command, Secure, ShardHandle};
use crate::store::{self, ASSOCIATIONS, Batch, Store, Writer};

/// What DTLS needs, before the shards start.
#[derive(Debug)]
pub(super) struct Security {
    reading: Reading,
    credentials: Arc<ArcSwap<Credentials>>,
    sessions: Arc<Sessions>,
    /// Where associations are kept, if they are.
    writer: Option<Writer>,
    /// What was kept, by the shard that has it now.
    snapshots: Vec<Vec<Snapshot>>,
    restored: Arc<Restored>,
}

/// What of it goes on while the gateway runs.
#[derive(Debug)]
pub(super) struct Running {
    watch: CredentialWatch,
}

impl Security {
    /// None when there is no DTLS listener.
    pub(super) fn prepare(
        config: &Config,
        shards: u8,
        store: Option<&Store>,
    ) -> anyhow::Result<Option<Self>> {
        if config.dtls.listen.is_empty() {
            return Ok(None);
        }
        let reading = read(config)?;
        let store = store.filter(|_| config.store.associations);
        let kept = store.map(kept).transpose()?.unwrap_or_default();
        let mut snapshots: Vec<Vec<Snapshot>> = (0..shards).map(|_| Vec::new()).collect();
        let mut restored = Restored::default();
        for snapshot in kept {
            let shard = endpoint::shard_of_association(snapshot.association, shards);
            // The shard will say what is wrong with one that cannot be read.
            if let Ok(remote) = endpoint::remote_of_snapshot(&snapshot.bytes) {
                restored.insert(remote, shard);
            }
            snapshots[usize::from(shard)].push(snapshot);
        }
        Ok(Some(Self {
            credentials: Arc::new(ArcSwap::new(Arc::clone(&reading.credentials))),
            reading,
            sessions: Arc::new(Sessions::new(config.dtls.max_associations)),
            writer: store.map(Store::writer),
            snapshots,
            restored: Arc::new(restored),
        }))
    }

    /// The DTLS side of a shard that `handle` reaches, and its associations of before the restart.
    pub(super) fn shard(
        &mut self,
        config: &Config,
        shard: u8,
        handle: &ShardHandle,
    ) -> anyhow::Result<(Secure, Vec<Snapshot>)> {
        let shards = u8::try_from(self.snapshots.len()).context("[coap] shards: at most 255")?;
        let first = u16::try_from(config.coap.listen.len()).context("[coap] listen: too many addresses")?;
        let keeper = self
            .writer
            .clone()
            .map(|writer| -> Box<dyn Keeper> { Box::new(StoreKeeper { writer, shard: handle.clone() }) });
        let secure = Secure::new(
            endpoint_config(config, shard, shards),
            first,
            Arc::clone(&self.credentials),
            Arc::clone(&self.sessions),
            Arc::clone(&self.restored),
            keeper,
        );
        let secure =
            secure.with_context(|| format!("dtls.credentials: {}", config.dtls.credentials.display()))?;
        Ok((secure, std::mem::take(&mut self.snapshots[usize::from(shard)])))
    }

    /// Watch the credentials, and tell the shards of new ones.
    pub(super) fn start(
        self,
        config: &Config,
        shards: Vec<ShardHandle>,
        stop: watch::Receiver<bool>,
    ) -> Running {
        let current = self.credentials;
        let tell = move |credentials: Arc<Credentials>| {
            // First what endpoints are asked about, so that a shard never finds an older answer.
            current.store(Arc::clone(&credentials));
            for shard in &shards {
                // It comes back from a shard that has ended, which needs none.
                let _ = shard.send_blocking(Command::Secure(Arc::clone(&credentials)));
            }
        };
        let file = &config.dtls.credentials;
        let watch = CredentialWatch::start(file, &self.reading, tell, LOOK_EVERY, stop);
        Running { watch }
    }
}

impl Running {
    /// Read the credentials again.
    pub(super) fn read_again(&self) {
        self.watch.read_again();
    }
}

/// The associations that the store has kept. Those that it cannot decrypt are of no use to anybody, and are removed.
fn kept(store: &Store) -> Result<Vec<Snapshot>, store::StoreError> {
    let contents = store.read(ASSOCIATIONS)?;
    let mut useless = Batch::new();
    for (key, reason) in &contents.unreadable {
        tracing::warn!(?key, %reason, "a DTLS association is lost");
        useless.remove(ASSOCIATIONS, key.clone());
    }
    if !useless.is_empty() && store.writer().write(useless).is_err() {
        tracing::debug!("the store takes nothing now; the next start will remove them");
    }
    let entries = contents.entries.into_iter();
    Ok(entries
        .filter_map(|(key, bytes)| Some(Snapshot { association: association_of(&key)?, bytes }))
        .collect())
}

fn association_of(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// A shard's end of the store.
#[derive(Debug)]
struct StoreKeeper {
    writer: Writer,
    shard: ShardHandle,
}

impl Keeper for StoreKeeper {
    fn keep(&mut self, changes: Vec<Change>) -> Result<(), Vec<Change>> {
        let mut batch = Batch::new();
        let mut bounds = Vec::new();
        for Change { association, state } in changes {
            let key = association.to_be_bytes();
            match state {
                Some(State { snapshot, bound }) => {
                    bounds.push((association, bound));
                    batch.put(ASSOCIATIONS, key, snapshot);
                }
                None => batch.remove(ASSOCIATIONS, key),
            }
        }
        let (shard, told, changes) = (self.shard.clone(), bounds.clone(), batch.len());
        batch.on_done(move |outcome| match outcome {
            Ok(()) => {
                tracing::debug!(changes, "associations are durable");
                // It comes back from a shard that has ended.
                let _ = shard.send_blocking(Command::Kept(told));
            }
            Err(reason) => tracing::error!(changes, %reason, "DTLS associations are lost"),
        });
        self.writer.write(batch).map_err(|batch| changes_of(batch, bounds))
    }
}

/// What was put into a batch, with the bounds of its states in their order.
fn changes_of(batch: Batch, bounds: Vec<(u64, u64)>) -> Vec<Change> {
    let mut bounds = bounds.into_iter();
    let changes = batch.into_changes().into_iter();
    changes
        .filter_map(|change| {
            let association = association_of(&change.key)?;
            let state = match change.value {
                Some(snapshot) => Some(State { snapshot, bound: bounds.next()?.1 }),
                None => None,
            };
            Some(Change { association, state })
        })
        .collect()
}

/// The credentials, of which there must be some: a gateway that nobody can talk to is not what its operator means.
fn read(config: &Config) -> anyhow::Result<Reading> {
    let file = &config.dtls.credentials;
    let wanted = "`dtls.listen` needs credentials: `tidegate credentials add psk` makes the first";
    anyhow::ensure!(file.exists(), "dtls.credentials: there is no {}; {wanted}", file.display());
    let reading = credential::read(file).context("dtls.credentials")?;
    reading.log();
    anyhow::ensure!(
        !reading.credentials.is_empty(),
        "dtls.credentials: {} is empty; {wanted}",
        file.display()
    );
    Ok(reading)
}

fn endpoint_config(config: &Config, shard: u8, shards: u8) -> endpoint::Config {
    let dtls = &config.dtls;
    endpoint::Config {
        shard,
        shards,
        max_associations: dtls.max_associations.div_ceil(shards.max(1).into()),
        handshake_timeout: dtls.handshake_timeout,
        retransmission: dtls.retransmission,
        mtu: dtls.mtu,
        connection_id: dtls.connection_id,
        ..endpoint::Config::default()
    }
}

/// How often the credentials are looked at where the file system does not tell of changes.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let state = |bytes: &[u8], bound| Some(State { snapshot: bytes.to_vec().into(), bound });
        vec![
            Change { association: 1, state: state(b"one", 10) },
            Change { association: 2, state: None },
            Change { association: 0x8300_0000_0000_0003, state: state(b"three", 30) },
        ]
    }

    fn texts(changes: &[Change]) -> Vec<String> {
        let text = |of: &Change| {
            let state = of.state.as_ref().map(|state| (state.snapshot.to_vec(), state.bound));
            format!("{} {state:?}", of.association)
        };
        changes.iter().map(text).collect()
    }

    #[test]
    fn what_a_shard_keeps_is_told_when_it_is_durable_and_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (shard, mut commands) = ShardHandle::new();
        let mut keeper = StoreKeeper { writer: store.writer(), shard };
        keeper.keep(changes()).unwrap();
        let Some(Command::Kept(bounds)) = commands.blocking_recv() else { panic!("nothing is told") };
        assert_eq!(bounds, [(1, 10), (0x8300_0000_0000_0003, 30)]);
        let forgotten = vec![Change { association: 1, state: None }];
        keeper.keep(forgotten).unwrap();
        store.close().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let snapshots = kept(&store).unwrap();
        let [Snapshot { association: 0x8300_0000_0000_0003, bytes }] = &snapshots[..] else {
            panic!("{snapshots:?}")
        };
        assert_eq!(bytes.as_slice(), b"three");
    }

    #[test]
    fn what_the_store_does_not_take_comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (shard, _commands) = ShardHandle::new();
        let mut keeper = StoreKeeper { writer: store.writer(), shard };
        store.close().unwrap();
        let returned = keeper.keep(changes()).unwrap_err();
        assert_eq!(texts(&returned), texts(&changes()));
    }
}
