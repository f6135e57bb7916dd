//! Builds a gateway from its configuration, and stops it: the only file that names everything.
//!
//! 1. translators are proved; 2. sockets are bound; 3. the broker, if it is ours, and the session to it start;
//! 4. the shards start, then the downlink thread. Stopping goes the other way, so that what was taken in still goes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_proto::lwm2m::model::Models;
use tokio::sync::watch;

use crate::bridge::{Downlink, Faults, Routing, Shared, UplinkBridge};
use crate::config::{self, Config};
use crate::mqtt::{self, Session};
use crate::net::{self, Clock, Directory, Shard, ShardHandle};
use crate::plugin::{Artifact, Engine, Generation, Limits, Slot};

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    coap: Vec<SocketAddr>,
    session: Session,
    embedded: Option<mqtt::EmbeddedBroker>,
    stop: watch::Sender<bool>,
    shards: Vec<JoinHandle<()>>,
    downlink: JoinHandle<()>,
    /// Keeps the ticker of the engine alive.
    _engine: Arc<Engine>,
}

impl Gateway {
    /// Start everything. An error names what could not be had, and nothing is left running.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let engine = Arc::new(Engine::new(&limits(config)).context("the WebAssembly engine cannot start")?);
        let slots = prove(&engine, config)?;
        let routes = config.routes.iter().map(|route| (route.endpoints.clone(), route.translators.clone()));
        let routing = Routing::new(slots, routes)
            .map_err(|name| anyhow::anyhow!("a [[route]] names the translator {name:?}, but there is no such [[translator]]"))?;
        let count = shard_count(config)?;
        let sockets = net::bind_listeners(&config.coap.listen, count.into())?;
        let coap = sockets.first().map(|of| of.iter().filter_map(|socket| socket.local_addr().ok()).collect());
        let embedded = match &config.mqtt.broker {
            config::Broker::Embedded => Some(mqtt::EmbeddedBroker::start(&config.mqtt.embedded)?),
            config::Broker::External(_) => None,
        };
        let filters = routing.slots().iter().filter_map(|slot| slot.subscriptions());
        let filters = filters.flat_map(|of| of.filters.clone()).collect();
        let (mut lanes, outbox) = mqtt::outbox(usize::from(count) + 1, config.mqtt.outbox);
        let (session, incoming) = Session::start(&config.mqtt, embedded.as_ref(), filters, outbox);
        let (stop, stopped) = watch::channel(false);
        let shared = share(config, routing)?;
        let (handles, commands): (Vec<ShardHandle>, Vec<_>) = (0..count).map(|_| Shard::<UplinkBridge>::handle()).unzip();
        let downlink_lane = lanes.pop().context("the outbox has a lane for downlinks")?;
        let downlink = Downlink::new(shared.clone(), downlink_lane, handles.clone()).start(incoming)?;
        let mut shards = Vec::new();
        for (number, ((sockets, lane), commands)) in (0..count).zip(sockets.into_iter().zip(lanes).zip(commands)) {
            let shard = Shard {
                config: server_config(config, number),
                sockets,
                uplink: UplinkBridge::new(number, shared.clone(), lane, handles.clone()),
                directory: Arc::clone(&shared.directory),
                clock: shared.clock,
            };
            shards.push(shard.start(commands, handles.clone(), stopped.clone())?);
        }
        Ok(Self { coap: coap.unwrap_or_default(), session, embedded, stop, shards, downlink, _engine: engine })
    }

    /// Where CoAP is listened to.
    pub fn coap(&self) -> &[SocketAddr] {
        &self.coap
    }

    /// The session with the broker.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Take in nothing more, send what was taken in, then end.
    pub async fn stop(self) {
        // The receivers may be gone already if a shard could not run; then there is nobody to tell.
        let _ = self.stop.send(true);
        let (shards, downlink) = (self.shards, self.downlink);
        let joined = tokio::task::spawn_blocking(move || {
            for shard in shards {
                if shard.join().is_err() {
                    tracing::error!("a shard has panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the shards could not be waited for");
        }
        self.session.stop(DRAIN).await;
        if tokio::task::spawn_blocking(move || downlink.join()).await.is_err() {
            tracing::error!("the downlink thread has panicked");
        }
        drop(self.embedded);
    }
}

/// Run a gateway until SIGINT or SIGTERM.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let gateway = Gateway::start(&config).await?;
    let coap = gateway.coap().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    tracing::info!(coap, mqtt = gateway.session().broker(), version = env!("CARGO_PKG_VERSION"), "ready");
    let signal = stop_signal().await?;
    tracing::info!(signal, "stopping");
    gateway.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGINT or SIGTERM and names it.
pub(crate) async fn stop_signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn limits(config: &Config) -> Limits {
    Limits { fuel: config.plugins.fuel, wall: config.plugins.wall, memory: config.plugins.memory, ..Limits::default() }
}

/// Every translator of the configuration, or which one is refused and why.
fn prove(engine: &Arc<Engine>, config: &Config) -> anyhow::Result<Vec<Arc<Slot>>> {
    let mut slots = Vec::new();
    for translator in &config.translators {
        let artifact = match &translator.artifact {
            Some(path) => Artifact::read(path),
            None => match Artifact::built_in(&translator.name) {
                Some(artifact) => Ok(artifact),
                None => Artifact::read(&config.plugins.directory.join(format!("{}.wasm", translator.name))),
            },
        };
        let refused = || format!("translator {:?}", translator.name);
        let artifact = artifact.with_context(refused)?;
        let limits = limits(config);
        let generation = Generation::prove(engine, &artifact, &translator.settings, &limits).with_context(refused)?;
        slots.push(Arc::new(Slot::new(&translator.name, translator.on_fault, generation)));
    }
    Ok(slots)
}

fn share(config: &Config, routing: Routing) -> anyhow::Result<Shared> {
    let directory = Directory::new();
    for slot in routing.slots() {
        directory.index(slot.subscriptions().map(|of| of.parameters.clone()).unwrap_or_default());
    }
    Ok(Shared {
        directory: Arc::new(directory),
        models: Arc::new(models(config)?),
        routing: Arc::new(routing),
        faults: Arc::new(Faults::new()),
        clock: Clock::start(),
    })
}

/// The built-in object definitions, and over them the folder's. A broken file is named and skipped.
fn models(config: &Config) -> anyhow::Result<Models> {
    let mut models = Models::built_in();
    let Some(directory) = config.models.directory.as_ref().filter(|of| of.is_dir()) else { return Ok(models) };
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let name = path.display().to_string();
        let loaded = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let loaded = loaded.and_then(|text| models.load_xml(&name, &text).map_err(|error| error.to_string()));
        if let Err(error) = loaded {
            tracing::warn!(file = name, error, "object definition skipped");
        }
    }
    Ok(models)
}

fn server_config(config: &Config, shard: u8) -> tidegate_proto::lwm2m::server::Config {
    tidegate_proto::lwm2m::server::Config {
        shard,
        lifetime_min: config.registration.lifetime_min,
        lifetime_max: config.registration.lifetime_max,
        awake_window: config.registration.awake_window,
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

/// How long publications that wait may still take to reach the broker when the gateway stops.
const DRAIN: Duration = Duration::from_secs(5);
