//! Builds a gateway from its configuration, and stops it: the only file that names everything.
//!
//! Translators are proved, the store is opened, what DTLS needs is read, sockets are bound; the broker, if it is ours, and the session to it
//! start, then the shards, then the downlink thread; at last the folder of object definitions, the credentials and the tokens are
//! watched, and the translators. Stopping goes the other way, so that what was taken in still goes out.

mod keeping;
mod security;
mod service;

use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tidegate_proto::lwm2m::model::Models;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::admin::{Door, Series, Tokens, View};
use crate::bridge::{Downlink, Operator, Shared, UplinkBridge};
use crate::config::{self, BrokerAddress, Config};
use crate::deployment::{self, Deployment, Outlet};
use crate::model::{self, Folder, Readers, Reading, Watch};
use crate::mqtt::{EmbeddedBroker, Lane, Outbox, OutboxOptions, Session, SessionOptions};
use crate::net::{Clock, Directory, Inherited, Rates, ReceiveBuffers, Shard, ShardHandle, Tally};
use crate::plugin::Engine;
use keeping::Keeping;
use security::Security;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    coap: Vec<SocketAddr>,
    dtls: Vec<SocketAddr>,
    broker: String,
    session: Session,
    embedded: Option<EmbeddedBroker>,
    models: Watch,
    translators: deployment::Watch,
    security: Option<security::Running>,
    tokens: Option<Arc<Tokens>>,
    keeping: Option<Keeping>,
    stop: watch::Sender<bool>,
    shards: Vec<JoinHandle<()>>,
    handles: Vec<ShardHandle>,
    downlink: JoinHandle<()>,
    /// Dropped last: the clock of every translator call.
    _engine: Arc<Engine>,
}

impl Gateway {
    /// Start everything. An error names what could not be had, and nothing is left running.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let engine = engine(config)?;
        let slots = Arc::new(Notify::new());
        let deployment =
            Deployment::open(Arc::clone(&engine), config.clone(), Arc::clone(&slots), Instant::now())?;
        let mut folder = Folder::new(&config.models.directory);
        let shared = share(&deployment, read_models(&mut folder));
        let count = shard_count(config)?;
        let mut keeping = Keeping::open(config, count)?;
        let mut security = Security::prepare(config, count, keeping.as_ref().map(Keeping::store))?;
        let mut inherited = Inherited::take().context("sockets of the service manager")?;
        let coap = inherited.bind("[coap] listen", &config.coap.listen, count.into())?;
        let dtls = inherited.bind("[dtls] listen", &config.dtls.listen, count.into())?;
        let http = Door::open(&config.http)?;
        let listening = (addresses(&coap), addresses(&dtls));
        let receivers = ReceiveBuffers::of(coap.iter().chain(&dtls).flatten());
        let (embedded, options) = broker(config).await?;
        let broker = reached_at(embedded.as_ref(), &options);
        let (mut lanes, drain) = Outbox::open(&lane_names(count), &outbox_options(config))?;
        let outbox = drain.gauge();
        let (session, incoming) = Session::start(&options, drain, deployment.subscriptions())
            .context("the thread of the MQTT session cannot start")?;
        let (stop, stopped) = watch::channel(false);
        let (handles, commands): (Vec<ShardHandle>, Vec<_>) = (0..count).map(|_| ShardHandle::new()).unzip();
        let mut last = || lanes.pop().context("the outbox has lanes for replies and for translators");
        let (replies, lane) = (last()?, last()?);
        let downlink = Downlink::new(shared.clone(), replies, handles.clone()).start(incoming)?;
        let tallies: Vec<_> = (0..count).map(|_| Tally::new()).collect();
        let mut shards = Vec::new();
        let sockets = coap.into_iter().zip(dtls).map(|(coap, dtls)| coap.into_iter().chain(dtls).collect());
        for (number, ((sockets, lane), commands)) in (0..count).zip(sockets.zip(lanes).zip(commands)) {
            let handle = &handles[usize::from(number)];
            let secure = security.as_mut().map(|security| security.shard(config, number, handle));
            let (secure, associations) = secure.transpose()?.unzip();
            let shard = Shard {
                config: server_config(config, &shared, number, count),
                sockets,
                secure,
                kept: keeping::share(&mut keeping, number, handle, associations),
                uplink: uplink(number, &shared, lane, &handles, &mut keeping),
                directory: Arc::clone(&shared.directory),
                clock: shared.clock,
                tally: Arc::clone(&tallies[usize::from(number)]),
                rates: rates(config, count),
            };
            shards.push(shard.start(commands, handles.clone(), stopped.clone())?);
        }
        let outlet = Outlet {
            routing: Arc::clone(&shared.routing),
            directory: Arc::clone(&shared.directory),
            subscriber: session.subscriber(),
            shards: handles.clone(),
            board: Arc::default(),
            lane,
        };
        let seen = View {
            translators: Arc::clone(&outlet.board),
            routing: Arc::clone(&shared.routing),
            models: Arc::clone(&shared.models),
            directory: Arc::clone(&shared.directory),
            operator: Operator::new(&shared, handles.clone()),
            answers: shared.answers.clone(),
            feed: shared.feed.clone(),
            series: Series::default(),
            started: Clock::timestamp(),
            commands: session.incoming(),
            credentials: Some(&config.dtls)
                .filter(|dtls| !dtls.listen.is_empty())
                .map(|dtls| dtls.credentials.clone()),
            shards: handles.clone(),
            clock: shared.clock,
            session: session.gauge(),
            outbox,
            tallies,
            receivers,
            store: keeping.as_ref().map(Keeping::gauge),
        };
        let tokens = http.tokens();
        http.serve(&seen, &stopped)?;
        let translators = deployment::Watch::start(deployment, outlet, slots, LOOK_EVERY, stopped.clone())?;
        let security = security.map(|security| security.start(config, handles.clone(), stopped.clone()));
        let readers = Readers { current: Arc::clone(&shared.models), shards: handles.clone() };
        let models = Watch::start(folder, readers, LOOK_EVERY, stopped);
        let (coap, dtls) = listening;
        Ok(Self {
            coap,
            dtls,
            broker,
            session,
            embedded,
            models,
            translators,
            security,
            tokens,
            keeping,
            stop,
            shards,
            handles,
            downlink,
            _engine: engine,
        })
    }

    /// Where CoAP is listened to.
    pub fn coap(&self) -> &[SocketAddr] {
        &self.coap
    }

    /// Where DTLS is listened to.
    pub fn dtls(&self) -> &[SocketAddr] {
        &self.dtls
    }

    /// The broker's address, or the addresses of the embedded one.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// The session with the broker.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Read the configuration again, the translators, the folder of object definitions, the credentials and the tokens.
    pub fn read_again(&self) {
        self.translators.read_again();
        self.models.read_again();
        if let Some(security) = &self.security {
            security.read_again();
        }
        if let Some(tokens) = &self.tokens {
            tokens.read_again();
        }
    }

    /// Take in nothing more, send what was taken in, then end.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let shards = self.shards;
        let joined = tokio::task::spawn_blocking(move || {
            shards.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        if !matches!(joined.await, Ok(0)) {
            tracing::error!("a shard has panicked");
        }
        let translators = self.translators;
        if !matches!(tokio::task::spawn_blocking(move || translators.join()).await, Ok(true)) {
            tracing::error!("the thread of the translators has panicked");
        }
        let keeping = self.keeping;
        let closed = tokio::task::spawn_blocking(move || keeping.map(Keeping::close));
        if closed.await.is_err() {
            tracing::error!("closing the store has panicked");
        }
        if let Err(unsent) = self.session.shutdown(DRAIN).await {
            tracing::warn!(%unsent, "the broker did not take everything in time");
        }
        let downlink = self.downlink;
        if !matches!(tokio::task::spawn_blocking(move || downlink.join()).await, Ok(Ok(()))) {
            tracing::error!("the downlink thread has panicked");
        }
        drop(self.embedded);
    }
}

fn engine(config: &Config) -> anyhow::Result<Arc<Engine>> {
    let engine = Engine::new(&deployment::limits(&config.plugins.limits))
        .map_err(|error| anyhow::anyhow!("the WebAssembly engine cannot start: {error:#}"))?;
    Ok(Arc::new(engine))
}

/// Run a gateway until SIGINT or SIGTERM. At SIGHUP it reads again what can change meanwhile.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let gateway = Gateway::start(&config).await?;
    let (coap, dtls) = (list(gateway.coap()), list(gateway.dtls()));
    tracing::info!(coap, dtls, mqtt = gateway.broker(), version = env!("CARGO_PKG_VERSION"), "ready");
    service::ready(gateway.handles.clone());
    let mut stop = pin!(stop_signal());
    let signal = loop {
        tokio::select! {
            signal = &mut stop => break signal?,
            Some(()) = hangups.recv() => {
                service::reloading();
                gateway.read_again();
            }
        }
    };
    tracing::info!(signal, "stopping");
    service::stopping();
    gateway.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Waits for SIGINT or SIGTERM and names it.
pub(crate) async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Where sockets listen; those of the first shard, as all share their ports.
fn addresses(by_shard: &[Vec<UdpSocket>]) -> Vec<SocketAddr> {
    by_shard.iter().take(1).flatten().filter_map(|socket| socket.local_addr().ok()).collect()
}

/// The embedded broker, if it is wanted, and how to reach the broker.
async fn broker(config: &Config) -> anyhow::Result<(Option<EmbeddedBroker>, SessionOptions)> {
    Ok(match &config.mqtt.broker {
        config::Broker::Embedded => {
            let broker = EmbeddedBroker::start(&config.mqtt.embedded, config.mqtt.max_packet).await?;
            let address = broker.server(config.mqtt.version);
            let address = BrokerAddress::tcp(address.ip().to_string(), address.port());
            let options = SessionOptions::new(&config.mqtt, address)?;
            (Some(broker), options)
        }
        config::Broker::External(address) => (None, SessionOptions::new(&config.mqtt, address.clone())?),
    })
}

/// Where the broker is, for the log: the embedded one is reached where it listens.
fn reached_at(embedded: Option<&EmbeddedBroker>, options: &SessionOptions) -> String {
    match embedded {
        Some(broker) => list(broker.listening()),
        None => format!("{}:{}", options.address.host, options.address.port),
    }
}

/// The bridge of a shard, with what it held before a restart.
fn uplink(
    shard: u8,
    shared: &Shared,
    lane: Lane,
    handles: &[ShardHandle],
    keeping: &mut Option<Keeping>,
) -> UplinkBridge {
    let bridge = UplinkBridge::new(shard, shared.clone(), lane, handles.to_vec());
    match keeping::hold(keeping, shard) {
        Some((keeper, next, held)) => bridge.with_held(keeper, next, held),
        None => bridge,
    }
}

/// One for each shard, one for what is told about translators, one for replies.
fn lane_names(shards: u8) -> Vec<String> {
    let shards = (0..shards).map(|shard| format!("shard-{shard}"));
    shards.chain(["translators".to_owned(), "replies".to_owned()]).collect()
}

fn outbox_options(config: &Config) -> OutboxOptions {
    let config::Outbox { publications, bytes, when_full, sync } = config.mqtt.outbox;
    let directory = config.store.path.as_ref().map(|path| path.join("outbox"));
    let default = if directory.is_some() { OUTBOX_ON_DISK } else { OUTBOX_IN_MEMORY };
    let bytes = bytes.map_or(default, |bytes| bytes as u64);
    OutboxOptions { publications, bytes, when_full, directory, sync }
}

fn share(deployment: &Deployment, models: Models) -> Shared {
    let directory = Directory::new();
    directory.index(deployment.parameters());
    Shared::new(directory, models, deployment.routing())
}

/// The operator's object definitions over those in the box. What is wrong with them stops nothing.
fn read_models(folder: &mut Folder) -> Models {
    let reading = folder.read();
    let Reading { files, definitions, broken, .. } = reading;
    if files > 0 || broken > 0 {
        let folder = folder.directory().display();
        tracing::info!(%folder, files, definitions, broken, "object definitions read");
    }
    model::warn(&reading.problems);
    reading.models
}

/// How fast datagrams may come to one of so many shards, over which the kernel spreads sources.
fn rates(config: &Config, shards: u8) -> Rates {
    let some = |rate: u32| Some(rate).filter(|rate| *rate > 0);
    let config::Coap { rate_limit_source, rate_limit, .. } = config.coap;
    Rates {
        source: some(rate_limit_source),
        overall: some(rate_limit).map(|rate| rate.div_ceil(shards.max(1).into())),
    }
}

fn server_config(
    config: &Config,
    shared: &Shared,
    shard: u8,
    shards: u8,
) -> tidegate_proto::lwm2m::server::Config {
    let max_registrations = config.registration.max_registrations.div_ceil(shards.max(1).into());
    tidegate_proto::lwm2m::server::Config {
        shard,
        lifetime_min: config.registration.lifetime_min,
        lifetime_max: config.registration.lifetime_max,
        awake_window: config.registration.awake_window,
        max_registrations,
        max_registration_bytes: max_registrations.saturating_mul(REGISTRATION).max(LEAST_REGISTRATIONS),
        models: shared.models.load_full(),
        coap: tidegate_proto::coap::endpoint::Config {
            block: config.coap.block_size,
            ..tidegate_proto::coap::endpoint::Config::new(shard)
        },
        ..tidegate_proto::lwm2m::server::Config::default()
    }
}

fn shard_count(config: &Config) -> anyhow::Result<u8> {
    let count = match config.coap.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(64),
        count => count,
    };
    u8::try_from(count).context("[coap] shards: at most 255")
}

/// Bytes that may wait for the broker.
const OUTBOX_ON_DISK: u64 = 1 << 30;
const OUTBOX_IN_MEMORY: u64 = 64 << 20;
/// Bytes that a registration may take on average, when there are as many as may be; most take a third of it.
const REGISTRATION: usize = 4 << 10;
/// Bytes that all of a shard may take, however few they may be.
const LEAST_REGISTRATIONS: usize = 64 << 20;
/// How long publications that wait may still take to reach the broker when the gateway stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How often files are looked at where the file system does not tell of changes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
