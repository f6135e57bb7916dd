//! `tidegate.toml`: what the operator wants, checked once and typed.
//!
//! Read by `cli`, handed to everything below it. Three steps, each in a file of its own: `raw` is what was typed,
//! `convert` is what it means, and this file is what the rest of the gateway sees. A `Config` that exists is valid;
//! nothing downstream checks it again. Every key has a default, so no file is needed.

mod broker;
mod convert;
mod difference;
mod error;
mod filter;
mod http;
mod raw;
mod units;
mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use broker::{BrokerAddress, BrokerAddressError, Scheme};
pub use error::ConfigError;
pub(crate) use error::{Source, unknown_key};
pub use filter::{check_filter, matches_filter};
pub use http::Http;
pub(crate) use value::json;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// CoAP over UDP.
    pub coap: Coap,
    /// CoAP over DTLS.
    pub dtls: Dtls,
    /// The broker.
    pub mqtt: Mqtt,
    /// Dashboard, REST and metrics.
    pub http: Http,
    /// State that survives a restart.
    pub store: Store,
    /// Limits of registrations.
    pub registration: Registration,
    /// Object definitions.
    pub models: Models,
    /// Where translators come from and what they may use.
    pub plugins: Plugins,
    /// The slots, in the order of the file; at least one.
    pub translators: Vec<Translator>,
    /// Which translators see which clients; the first match wins. Only those that were typed.
    pub routes: Vec<Route>,
    /// Where all this comes from.
    pub origin: Origin,
}

impl Config {
    /// Reads a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// When the file cannot be read, or the first thing in it that is wrong: with file, line and key.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let config = Self::parse(&text, file)?;
        let origin = Origin { file: Some(file.to_owned()), text: text.into(), plugins: None };
        Ok(Self { origin, ..config })
    }

    /// Reads the text of a file; `file` serves for error texts and as the start of relative paths.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let raw = toml::from_str::<raw::File>(text).map_err(|error| source.syntax(&error))?;
        Self::try_from(convert::Draft { raw, source })
    }

    /// The same with another plugin folder, whatever the file says and comes to say.
    #[must_use]
    pub fn with_plugins(mut self, directory: &Path) -> Self {
        self.plugins.directory = directory.to_owned();
        self.origin.plugins = Some(directory.to_owned());
        self
    }

    /// Reads the file again, where this came from one. What the command line has overridden stays so.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        let Some(file) = &self.origin.file else { return Ok(self.clone()) };
        let config = Self::load(file)?;
        Ok(match &self.origin.plugins {
            Some(directory) => config.with_plugins(directory),
            None => config,
        })
    }

    /// An error about what the file says: at a dotted key, in a translator's table if one is named. Where the key is
    /// not typed, the line is that of its table; without a file there is none.
    pub fn error(&self, key: &str, translator: Option<&str>, message: impl Into<String>) -> ConfigError {
        let file = self.origin.file.as_deref().unwrap_or_else(|| Path::new("tidegate.toml"));
        let source = Source { file, text: &self.origin.text };
        let place = source.place(key, translator);
        let error = source.error(&place.clone().unwrap_or_default(), key, message);
        ConfigError { line: place.map_or(0, |_| error.line), ..error }
    }

    /// The slot of that name.
    pub fn translator(&self, name: &str) -> Option<&Translator> {
        self.translators.iter().find(|translator| translator.name == name)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            coap: Coap::default(),
            dtls: Dtls::default(),
            mqtt: Mqtt::default(),
            http: Http::default(),
            store: Store::default(),
            registration: Registration::default(),
            models: Models::default(),
            plugins: Plugins::default(),
            translators: vec![Translator::default()],
            routes: Vec::new(),
            origin: Origin::default(),
        }
    }
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file; none are the defaults.
    pub file: Option<PathBuf>,
    /// What it says.
    pub text: Arc<str>,
    /// The plugin folder of the command line, which overrides the file's.
    pub plugins: Option<PathBuf>,
}

/// `[coap]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coap {
    /// Where to listen; at least one address.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, each with its own sockets and state; 0 is one for each core.
    pub shards: usize,
    /// Bytes of the largest block sent or asked for: a power of two from 16 to 1024 (RFC 7959 section 2.2).
    pub block_size: usize,
    /// Datagrams a second from one source; 0 is no limit.
    pub rate_limit_source: u32,
    /// Datagrams a second from all sources; 0 is no limit.
    pub rate_limit: u32,
}

impl Default for Coap {
    fn default() -> Self {
        let listen = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5783))];
        Self { listen, shards: 0, block_size: 1024, rate_limit_source: 0, rate_limit: 0 }
    }
}

/// `[dtls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// Where to listen; empty is off.
    pub listen: Vec<SocketAddr>,
    /// Credentials file.
    pub credentials: PathBuf,
    /// Whether connection IDs are offered (RFC 9146).
    pub connection_id: bool,
    /// Associations at most, over all shards.
    pub max_associations: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// When a flight is sent again for the first time; below `handshake_timeout`.
    pub retransmission: Duration,
    /// Bytes of UDP payload that a datagram of a handshake may have: 256 to 16,384.
    pub mtu: u16,
}

impl Default for Dtls {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            credentials: "credentials.toml".into(),
            connection_id: true,
            max_associations: 150_000,
            handshake_timeout: Duration::from_secs(60),
            // RFC 7925 section 11.
            retransmission: Duration::from_secs(9),
            // What IPv6 carries at least, less its header and that of UDP.
            mtu: 1_232,
        }
    }
}

/// `[mqtt]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// Which broker.
    pub broker: Broker,
    /// Protocol version.
    pub version: MqttVersion,
    /// User name, from the key or from the address.
    pub username: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// File with the certificates of the authorities that the broker's may be from; none: those of the system.
    pub ca: Option<PathBuf>,
    /// Files with the gateway's own certificate (and those between it and the authority) and its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Client identifier. With one of its own the gateway resumes its session after a reconnect, so that commands
    /// wait at the broker meanwhile; with none it takes a new random one and a clean session.
    pub client_id: Option<String>,
    /// How long the broker keeps that session while the gateway is away, whole seconds; zero: not at all. MQTT 3.1.1 knows only
    /// whether.
    pub session_expiry: Duration,
    /// The group that shares the subscriptions with this gateway (MQTT 5, 4.8.2); none: each gateway has its own.
    pub shared_group: Option<String>,
    /// Where the broker keeps whether the gateway is connected; none: nowhere.
    pub status_topic: Option<String>,
    /// Keep alive, whole seconds.
    pub keep_alive: Duration,
    /// What waits for the broker.
    pub outbox: Outbox,
    /// Largest MQTT packet sent or taken, bytes.
    pub max_packet: usize,
    /// The broker in the box.
    pub embedded: Embedded,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            broker: Broker::Embedded,
            version: MqttVersion::V5,
            username: None,
            password_file: None,
            ca: None,
            certificate: None,
            client_id: None,
            session_expiry: Duration::from_secs(3_600),
            shared_group: None,
            status_topic: Some("tidegate/status".to_owned()),
            keep_alive: Duration::from_secs(30),
            outbox: Outbox::default(),
            max_packet: 8 << 20,
            embedded: Embedded::default(),
        }
    }
}

/// `[mqtt.outbox]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// How many publications may wait for the broker, over all shards.
    pub publications: usize,
    /// How many bytes; none: 1 GiB on the disk, 64 MiB without a store.
    pub bytes: Option<usize>,
    /// What becomes of a publication that finds no room.
    pub when_full: WhenFull,
    /// How often what was written is synced, so that it survives a crash of the machine.
    pub sync: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            publications: 1_000_000,
            bytes: None,
            when_full: WhenFull::Block,
            sync: Duration::from_secs(1),
        }
    }
}

/// `mqtt.outbox.when-full`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing more is taken. Devices are not acknowledged, and say it again; what nobody says again is lost.
    #[default]
    Block,
    /// The oldest publications are dropped.
    DropOldest,
}

/// `mqtt.broker`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The one in the box.
    Embedded,
    /// Another one.
    External(BrokerAddress),
}

/// `mqtt.version`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.
    V5,
}

/// `[mqtt.embedded]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Where the embedded broker listens; MQTT 3.1.1 and 5 on the same port.
    pub listen: Vec<SocketAddr>,
}

impl Default for Embedded {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1883))] }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Folder; none: nothing survives a restart.
    pub path: Option<PathBuf>,
    /// Whether DTLS associations are kept over a restart.
    pub associations: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: Some("data".into()), associations: true }
    }
}

/// `[registration]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Shorter lifetimes are raised to this.
    pub lifetime_min: Duration,
    /// Longer lifetimes are cut to this.
    pub lifetime_max: Duration,
    /// Queue mode: how long after its last datagram a client counts as reachable.
    pub awake_window: Duration,
    /// Registrations at most, over all shards; another one is answered 5.03.
    pub max_registrations: usize,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            lifetime_min: Duration::from_secs(1),
            lifetime_max: Duration::from_secs(24 * 60 * 60),
            // RFC 7252 4.8.2: MAX_TRANSMIT_WAIT with the default transmission parameters.
            awake_window: Duration::from_secs(93),
            max_registrations: 1_000_000,
        }
    }
}

/// `[models]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// Folder with OMA object XML, laid over the built-in definitions. It need not exist, and may change at any time.
    pub directory: PathBuf,
}

impl Default for Models {
    fn default() -> Self {
        Self { directory: "models".into() }
    }
}

/// `[plugins]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// Folder that is watched for artifacts.
    pub directory: PathBuf,
    /// What a call may use, where a slot says nothing else.
    pub limits: Limits,
}

impl Default for Plugins {
    fn default() -> Self {
        Self { directory: "plugins".into(), limits: Limits::default() }
    }
}

/// What one call of a translator may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel, about one for each WebAssembly instruction.
    pub fuel: u64,
    /// Wall time, a backstop.
    pub wall: Duration,
    /// Linear memory, bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 50_000_000, wall: Duration::from_millis(250), memory: 16 << 20 }
    }
}

/// `[[translator]]`: one slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Translator {
    /// Name of the slot.
    pub name: String,
    /// The artifact: a file, or `builtin:<name>`. None is `<name>.wasm` in the plugin folder, else the built-in of the
    /// slot's name.
    pub artifact: Option<PathBuf>,
    /// What becomes of an event that it fails on.
    pub on_fault: OnFault,
    /// How many events at most are held on each shard, where `on_fault` is [`OnFault::Hold`].
    pub hold: usize,
    /// MQTT topic filters; what it publishes must match one of them. Empty is any topic.
    pub topics: Vec<String>,
    /// What a call may use.
    pub limits: Limits,
    /// Passed to `configure`; always a JSON object.
    pub settings: serde_json::Value,
}

impl Translator {
    /// The name of the translator in the gateway, if its artifact is one.
    pub(crate) fn built_in(&self) -> Option<&str> {
        self.artifact.as_deref()?.to_str()?.strip_prefix(BUILT_IN)
    }

    /// The file of its artifact, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.artifact.as_deref().filter(|_| self.built_in().is_none())
    }
}

impl Default for Translator {
    fn default() -> Self {
        Self {
            name: DEFAULT_TRANSLATOR.into(),
            artifact: None,
            on_fault: OnFault::Raw,
            hold: 1_000,
            topics: Vec::new(),
            limits: Limits::default(),
            settings: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// `translator.on-fault`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFault {
    /// Publish the samples as SenML JSON under `tidegate/raw/<endpoint>`.
    Raw,
    /// Let it go.
    Drop,
    /// Keep it until another generation of the translator is in use, which is called with it then.
    Hold,
}

/// `[[route]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Glob over endpoint names: `*` is any run of characters, `?` is one.
    pub endpoints: String,
    /// Matches clients that have any of these objects; empty is all clients.
    pub objects: Vec<u16>,
    /// Matches clients that came in by this listener; none is all listeners.
    pub listener: Option<SocketAddr>,
    /// Names of slots, at least one.
    pub translators: Vec<String>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            endpoints: "*".into(),
            objects: Vec::new(),
            listener: None,
            translators: vec![DEFAULT_TRANSLATOR.into()],
        }
    }
}

/// What an artifact begins with that is in the gateway.
const BUILT_IN: &str = "builtin:";
/// The translator in the box.
const DEFAULT_TRANSLATOR: &str = "emqx";

#[cfg(test)]
mod tests;
