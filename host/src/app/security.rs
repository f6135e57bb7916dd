//! DTLS as the configuration wants it: who may connect, what of it each shard gets, and what of it survives a restart.
//!
//! 1. credentials are read and, if associations are kept, the store is opened and read ([`Security::prepare`]);
//! 2. each shard gets its side of it ([`Security::shard`]); 3. the credentials are watched ([`Security::watch`]).

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
use crate::net::keep::Snapshot;
use crate::net::secure::Restored;
use crate::net::{Command, Secure, ShardHandle};

/// What DTLS needs, before the shards start.
#[derive(Debug)]
pub(super) struct Security {
    reading: Reading,
    credentials: Arc<ArcSwap<Credentials>>,
    sessions: Arc<Sessions>,
    restored: Arc<Restored>,
}

impl Security {
    /// None when there is no DTLS listener.
    pub(super) fn prepare(config: &Config) -> anyhow::Result<Option<Self>> {
        if config.dtls.listen.is_empty() {
            return Ok(None);
        }
        let reading = read(config)?;
        Ok(Some(Self {
            credentials: Arc::new(ArcSwap::new(Arc::clone(&reading.credentials))),
            reading,
            sessions: Arc::new(Sessions::new(config.dtls.max_associations)),
            restored: Arc::new(Restored::default()),
        }))
    }

    /// The DTLS side of a shard, and its associations of before the restart.
    pub(super) fn shard(
        &mut self,
        config: &Config,
        shard: u8,
        shards: u8,
    ) -> anyhow::Result<(Secure, Vec<Snapshot>)> {
        let first = u16::try_from(config.coap.listen.len()).context("[coap] listen: too many addresses")?;
        let secure = Secure::new(
            endpoint_config(config, shard, shards),
            first,
            Arc::clone(&self.credentials),
            Arc::clone(&self.sessions),
            Arc::clone(&self.restored),
            None,
        );
        let secure =
            secure.with_context(|| format!("dtls.credentials: {}", config.dtls.credentials.display()))?;
        Ok((secure, Vec::new()))
    }

    /// Watch the credentials, and tell the shards of new ones.
    pub(super) fn watch(
        self,
        config: &Config,
        shards: Vec<ShardHandle>,
        stop: watch::Receiver<bool>,
    ) -> CredentialWatch {
        let current = self.credentials;
        let tell = move |credentials: Arc<Credentials>| {
            // First what endpoints are asked about, so that a shard never finds an older answer.
            current.store(Arc::clone(&credentials));
            for shard in &shards {
                // It comes back from a shard that has ended, which needs none.
                let _ = shard.send_blocking(Command::Secure(Arc::clone(&credentials)));
            }
        };
        CredentialWatch::start(&config.dtls.credentials, &self.reading, tell, LOOK_EVERY, stop)
    }
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
