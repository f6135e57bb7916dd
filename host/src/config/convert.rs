//! What was typed becomes what it means.
//!
//! One `TryFrom` for the file and one function for each table, in the file's order. A key that was not typed keeps the
//! default of the typed configuration, so that each default is written down once. A setting whose feature this version
//! does not have is refused instead of being silently without effect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Source};
use super::http::http;
use super::raw::{self, At};
use super::value::{
    address, addresses, beside, count, duration, duration_or_zero, filters, flag, fuel, json, path, size,
};
use super::{
    Broker, BrokerAddress, Coap, Config, Dtls, Embedded, Limits, Models, Mqtt, MqttVersion, OnFault, Origin,
    Outbox, Plugins, Registration, Route, Store, Translator, WhenFull,
};

/// A file that has been read but not yet understood.
pub(super) struct Draft<'a> {
    pub(super) raw: raw::File,
    pub(super) source: Source<'a>,
}

impl TryFrom<Draft<'_>> for Config {
    type Error = ConfigError;

    fn try_from(draft: Draft<'_>) -> Result<Self, ConfigError> {
        let Draft { raw, source } = draft;
        let coap = coap(&source, &raw.coap)?;
        let dtls = dtls(&source, &raw.dtls, &coap)?;
        let listeners: Vec<SocketAddr> = coap.listen.iter().chain(&dtls.listen).copied().collect();
        let plugins = plugins(&source, &raw.plugins)?;
        let translators = translators(&source, &raw.translator, plugins.limits)?;
        let routes = raw.route.iter().map(|typed| route(&source, typed, &listeners, &translators));
        let routes = routes.collect::<Result<_, _>>()?;
        Ok(Self {
            mqtt: mqtt(&source, &raw.mqtt)?,
            http: http(&source, &raw.http)?,
            store: store(&source, &raw.store),
            registration: registration(&source, &raw.registration)?,
            models: Models { directory: path(&source, &raw.models.directory, &Models::default().directory) },
            coap,
            dtls,
            plugins,
            translators,
            routes,
            origin: Origin::default(),
        })
    }
}

fn coap(source: &Source<'_>, raw: &raw::Coap) -> Result<Coap, ConfigError> {
    let default = Coap::default();
    let listen = addresses(source, "coap.listen", &raw.listen, default.listen)?;
    if let (true, Some(typed)) = (listen.is_empty(), &raw.listen) {
        return Err(source.error(
            &typed.span(),
            "coap.listen",
            "is empty; name at least one address, such as \"0.0.0.0:5783\"",
        ));
    }
    Ok(Coap {
        listen,
        shards: count(source, "coap.shards", &raw.shards, 0..=1024, default.shards)?,
        block_size: block_size(source, &raw.block_size, default.block_size)?,
        rate_limit_source: rate(source, "coap.rate-limit-source", &raw.rate_limit_source)?,
        rate_limit: rate(source, "coap.rate-limit", &raw.rate_limit)?,
    })
}

/// Datagrams a second; by default there is no limit.
fn rate(source: &Source<'_>, key: &str, raw: &At<i64>) -> Result<u32, ConfigError> {
    let rate = count(source, key, raw, 0..=10_000_000, 0)?;
    Ok(u32::try_from(rate).unwrap_or(u32::MAX))
}

fn block_size(source: &Source<'_>, raw: &At<String>, default: usize) -> Result<usize, ConfigError> {
    let key = "coap.block-size";
    let size = size(source, key, raw, default)?;
    match raw {
        // What the three bits of a block option can say (RFC 7959 section 2.2).
        Some(typed) if !(16..=1024).contains(&size) || !size.is_power_of_two() => {
            let message = "must be \"16B\", \"32B\", \"64B\", \"128B\", \"256B\", \"512B\" or \"1KiB\"";
            Err(source.error(&typed.span(), key, message))
        }
        _ => Ok(size),
    }
}

fn dtls(source: &Source<'_>, raw: &raw::Dtls, coap: &Coap) -> Result<Dtls, ConfigError> {
    let default = Dtls::default();
    let handshake_timeout =
        duration(source, "dtls.handshake-timeout", &raw.handshake_timeout, default.handshake_timeout)?;
    let retransmission =
        duration(source, "dtls.retransmission", &raw.retransmission, default.retransmission)?;
    let typed = raw.retransmission.as_ref().or(raw.handshake_timeout.as_ref());
    if let (true, Some(typed)) = (retransmission >= handshake_timeout, typed) {
        let message = "`retransmission` must be below `handshake-timeout`, or nothing is ever sent again";
        return Err(source.error(&typed.span(), "dtls.retransmission", message));
    }
    let most = default.max_associations;
    Ok(Dtls {
        listen: dtls_listen(source, raw, coap)?,
        credentials: path(source, &raw.credentials, &default.credentials),
        connection_id: flag(&raw.connection_id, default.connection_id),
        max_associations: count(
            source,
            "dtls.max-associations",
            &raw.max_associations,
            1..=10_000_000,
            most,
        )?,
        handshake_timeout,
        retransmission,
        mtu: mtu(source, &raw.mtu, default.mtu)?,
    })
}

fn dtls_listen(source: &Source<'_>, raw: &raw::Dtls, coap: &Coap) -> Result<Vec<SocketAddr>, ConfigError> {
    let listen = addresses(source, "dtls.listen", &raw.listen, Dtls::default().listen)?;
    let typed = raw.listen.iter().flat_map(|list| list.as_ref());
    match typed.zip(&listen).find(|(_, address)| address.port() != 0 && coap.listen.contains(address)) {
        Some((typed, address)) => {
            let message =
                format!("`{address}` stands in `coap.listen` as well; DTLS needs a port of its own");
            Err(source.error(&typed.span(), "dtls.listen", message))
        }
        None => Ok(listen),
    }
}

/// A record of a handshake must fit with some of its message (RFC 6347 section 4.2.3), and a datagram into UDP.
fn mtu(source: &Source<'_>, raw: &At<i64>, default: u16) -> Result<u16, ConfigError> {
    let size = count(source, "dtls.mtu", raw, 256..=16_384, default.into())?;
    Ok(u16::try_from(size).unwrap_or(default))
}

fn mqtt(source: &Source<'_>, raw: &raw::Mqtt) -> Result<Mqtt, ConfigError> {
    let default = Mqtt::default();
    let broker = broker(source, raw, default.broker)?;
    let certificate = certificate(source, raw, &broker)?;
    let username = match (&raw.username, &broker) {
        (Some(typed), Broker::External(BrokerAddress { username: Some(_), .. })) => {
            return Err(source.error(
                &typed.span(),
                "mqtt.username",
                "stands in `broker` as well; remove one of them",
            ));
        }
        (Some(typed), _) => Some(typed.as_ref().clone()),
        (None, Broker::External(address)) => address.username.clone(),
        (None, Broker::Embedded) => None,
    };
    if let (Some(typed), None) = (&raw.password_file, &username) {
        return Err(source.error(&typed.span(), "mqtt.password-file", "needs `username` beside it"));
    }
    Ok(Mqtt {
        broker,
        version: version(source, &raw.version, default.version)?,
        username,
        password_file: raw.password_file.as_ref().map(|typed| beside(source, typed.as_ref())),
        ca: raw.ca.as_ref().map(|typed| beside(source, typed.as_ref())),
        certificate,
        client_id: client_id(source, &raw.client_id)?,
        session_expiry: session_expiry(source, raw, default.session_expiry)?,
        shared_group: shared_group(source, &raw.shared_group)?,
        status_topic: status_topic(source, &raw.status_topic, default.status_topic)?,
        keep_alive: keep_alive(source, &raw.keep_alive, default.keep_alive)?,
        outbox: outbox(source, &raw.outbox)?,
        max_packet: max_packet(source, &raw.max_packet, default.max_packet)?,
        embedded: embedded(source, &raw.embedded)?,
    })
}

/// The gateway's own certificate and key. What is for TLS only is refused without it.
fn certificate(
    source: &Source<'_>,
    raw: &raw::Mqtt,
    broker: &Broker,
) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    let is_tls = matches!(broker, Broker::External(address) if address.scheme.is_secure());
    let keys = [("mqtt.ca", &raw.ca), ("mqtt.certificate", &raw.certificate), ("mqtt.key", &raw.key)];
    for (key, typed) in keys {
        if let Some(typed) = typed.as_ref().filter(|_| !is_tls) {
            let message =
                "has no meaning without TLS; write `broker = \"mqtts://…\"` or \"wss://…\", or remove it";
            return Err(source.error(&typed.span(), key, message));
        }
    }
    match (&raw.certificate, &raw.key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some((beside(source, certificate.as_ref()), beside(source, key.as_ref()))))
        }
        (Some(typed), None) => {
            Err(source.error(&typed.span(), "mqtt.certificate", "needs its private key, `key`, beside it"))
        }
        (None, Some(typed)) => {
            Err(source.error(&typed.span(), "mqtt.key", "needs its certificate, `certificate`, beside it"))
        }
    }
}

fn outbox(source: &Source<'_>, raw: &raw::Outbox) -> Result<Outbox, ConfigError> {
    let default = Outbox::default();
    let (publications, most) = ("mqtt.outbox.publications", 1..=100_000_000);
    let bytes = match &raw.bytes {
        None => None,
        Some(typed) => match super::units::size(typed.as_ref()) {
            Ok(bytes) if bytes >= LEAST_OUTBOX => Some(bytes),
            Ok(_) => return Err(source.error(&typed.span(), "mqtt.outbox.bytes", "at least \"1MiB\"")),
            Err(reason) => return Err(source.error(&typed.span(), "mqtt.outbox.bytes", reason)),
        },
    };
    let when_full = match &raw.when_full {
        None => default.when_full,
        Some(typed) => match typed.as_ref().as_str() {
            "block" => WhenFull::Block,
            "drop-oldest" => WhenFull::DropOldest,
            other => {
                let message = format!("`{other}` is neither \"block\" nor \"drop-oldest\"");
                return Err(source.error(&typed.span(), "mqtt.outbox.when-full", message));
            }
        },
    };
    let sync = duration(source, "mqtt.outbox.sync", &raw.sync, default.sync)?;
    if let Some(typed) = raw.sync.as_ref().filter(|_| sync < Duration::from_millis(10)) {
        return Err(source.error(&typed.span(), "mqtt.outbox.sync", "at least \"10ms\""));
    }
    let publications = count(source, publications, &raw.publications, most, default.publications)?;
    Ok(Outbox { publications, bytes, when_full, sync })
}

fn broker(source: &Source<'_>, raw: &raw::Mqtt, default: Broker) -> Result<Broker, ConfigError> {
    let broker = match &raw.broker {
        None => default,
        Some(typed) if typed.as_ref() == "embedded" => Broker::Embedded,
        Some(typed) => {
            Broker::External(typed.as_ref().parse().map_err(|error: super::BrokerAddressError| {
                source.error(&typed.span(), "mqtt.broker", error.to_string())
            })?)
        }
    };
    if let (Broker::Embedded, Some(typed)) = (&broker, &raw.username) {
        let message = "the embedded broker has no users; remove it, or name another broker in `broker`";
        return Err(source.error(&typed.span(), "mqtt.username", message));
    }
    Ok(broker)
}

fn version(source: &Source<'_>, raw: &At<i64>, default: MqttVersion) -> Result<MqttVersion, ConfigError> {
    match raw.as_ref().map(|typed| (typed.as_ref(), typed.span())) {
        None => Ok(default),
        Some((4, _)) => Ok(MqttVersion::V4),
        Some((5, _)) => Ok(MqttVersion::V5),
        Some((other, place)) => Err(source.error(
            &place,
            "mqtt.version",
            format!("`{other}` is unknown; write 5, or 4 for MQTT 3.1.1"),
        )),
    }
}

fn client_id(source: &Source<'_>, raw: &At<String>) -> Result<Option<String>, ConfigError> {
    let Some(typed) = raw else { return Ok(None) };
    let id = typed.as_ref();
    // rumqttc refuses a leading space by a panic; a broker must take 23 bytes and may take 65535 (MQTT 5, 3.1.3.1).
    if id.is_empty() || id.starts_with(' ') || id.len() > usize::from(u16::MAX) {
        let message = "must not be empty, start with a space or be longer than 65535 bytes; remove the key for a random one";
        return Err(source.error(&typed.span(), "mqtt.client-id", message));
    }
    Ok(Some(id.clone()))
}

fn session_expiry(source: &Source<'_>, raw: &raw::Mqtt, default: Duration) -> Result<Duration, ConfigError> {
    let key = "mqtt.session-expiry";
    let expiry = duration_or_zero(source, key, &raw.session_expiry, default)?;
    let Some(typed) = &raw.session_expiry else { return Ok(expiry) };
    if raw.client_id.is_none() {
        let message = "needs `client-id` beside it: the broker finds the session by that";
        return Err(source.error(&typed.span(), key, message));
    }
    // All bits set means for ever (MQTT 5, 3.1.2.11.2).
    if expiry.subsec_millis() != 0 || expiry.as_secs() > u64::from(u32::MAX) {
        return Err(source.error(&typed.span(), key, "must be whole seconds, at most \"4294967295s\""));
    }
    Ok(expiry)
}

/// A share name (MQTT 5, 4.8.2).
fn shared_group(source: &Source<'_>, raw: &At<String>) -> Result<Option<String>, ConfigError> {
    let Some(typed) = raw else { return Ok(None) };
    let group = typed.as_ref();
    if group.is_empty() || group.len() > 1_024 || group.contains(['/', '+', '#', '\0']) {
        let message = "must not be empty or longer than 1024 bytes, nor contain `/`, `+` or `#`";
        return Err(source.error(&typed.span(), "mqtt.shared-group", message));
    }
    Ok(Some(group.clone()))
}

fn status_topic(
    source: &Source<'_>,
    raw: &At<String>,
    default: Option<String>,
) -> Result<Option<String>, ConfigError> {
    let Some(typed) = raw else { return Ok(default) };
    let topic = typed.as_ref();
    if topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
        let message = "must be a topic: at most 65535 bytes, without `+` and `#`; \"\" for none";
        return Err(source.error(&typed.span(), "mqtt.status-topic", message));
    }
    Ok(Some(topic.clone()).filter(|topic| !topic.is_empty()))
}

fn keep_alive(source: &Source<'_>, raw: &At<String>, default: Duration) -> Result<Duration, ConfigError> {
    let keep_alive = duration(source, "mqtt.keep-alive", raw, default)?;
    match raw {
        // Whole seconds in 16 bits on the wire (MQTT 5, 3.1.2.10); below 5 s rumqttc refuses by a panic.
        Some(typed) if !(5..=65_535).contains(&keep_alive.as_secs()) || keep_alive.subsec_millis() != 0 => {
            Err(source.error(
                &typed.span(),
                "mqtt.keep-alive",
                "must be whole seconds from \"5s\" to \"65535s\"",
            ))
        }
        _ => Ok(keep_alive),
    }
}

fn max_packet(source: &Source<'_>, raw: &At<String>, default: usize) -> Result<usize, ConfigError> {
    let size = size(source, "mqtt.max-packet", raw, default)?;
    match raw {
        Some(typed) if !(1024..=MQTT_MAX_PACKET).contains(&size) => {
            Err(source.error(&typed.span(), "mqtt.max-packet", "must be from \"1KiB\" to \"255MiB\""))
        }
        _ => Ok(size),
    }
}

fn embedded(source: &Source<'_>, raw: &raw::Embedded) -> Result<Embedded, ConfigError> {
    let key = "mqtt.embedded.listen";
    let listen = addresses(source, key, &raw.listen, Embedded::default().listen)?;
    match &raw.listen {
        Some(typed) if listen.is_empty() => Err(source.error(
            &typed.span(),
            key,
            "is empty; name at least one address, such as \"127.0.0.1:1883\"",
        )),
        _ => Ok(Embedded { listen }),
    }
}

fn store(source: &Source<'_>, raw: &raw::Store) -> Store {
    let default = Store::default();
    let is_none = raw.path.as_ref().is_some_and(|typed| typed.get_ref().is_empty());
    Store {
        path: default.path.filter(|_| !is_none).map(|default| path(source, &raw.path, &default)),
        associations: flag(&raw.associations, default.associations),
    }
}

fn registration(source: &Source<'_>, raw: &raw::Registration) -> Result<Registration, ConfigError> {
    let default = Registration::default();
    let lifetime_min =
        duration(source, "registration.lifetime-min", &raw.lifetime_min, default.lifetime_min)?;
    let lifetime_max =
        duration(source, "registration.lifetime-max", &raw.lifetime_max, default.lifetime_max)?;
    let typed = raw.lifetime_max.as_ref().or(raw.lifetime_min.as_ref());
    if let (true, Some(typed)) = (lifetime_min > lifetime_max, typed) {
        let message = "`lifetime-min` must not be above `lifetime-max`";
        return Err(source.error(&typed.span(), "registration.lifetime-max", message));
    }
    let awake_window =
        duration(source, "registration.awake-window", &raw.awake_window, default.awake_window)?;
    let (key, most) = ("registration.max-registrations", default.max_registrations);
    let max_registrations = count(source, key, &raw.max_registrations, 1..=100_000_000, most)?;
    Ok(Registration { lifetime_min, lifetime_max, awake_window, max_registrations })
}

fn plugins(source: &Source<'_>, raw: &raw::Plugins) -> Result<Plugins, ConfigError> {
    let default = Plugins::default();
    Ok(Plugins {
        directory: path(source, &raw.directory, &default.directory),
        limits: Limits {
            fuel: fuel(source, "plugins.fuel", &raw.fuel, default.limits.fuel)?,
            wall: duration(source, "plugins.wall", &raw.wall, default.limits.wall)?,
            memory: size(source, "plugins.memory", &raw.memory, default.limits.memory)?,
        },
    })
}

fn translators(
    source: &Source<'_>,
    raw: &[raw::Translator],
    limits: Limits,
) -> Result<Vec<Translator>, ConfigError> {
    if raw.is_empty() {
        return Ok(vec![Translator { limits, ..Translator::default() }]);
    }
    let mut translators: Vec<Translator> = Vec::with_capacity(raw.len());
    for typed in raw {
        let name = typed.name.as_ref();
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_') {
            let message = "must be letters, digits, `-` and `_`; it is the name of a file as well";
            return Err(source.error(&typed.name.span(), "translator.name", message));
        }
        if translators.iter().any(|translator| translator.name == *name) {
            let message = format!("there is another translator `{name}`; give this one a name of its own");
            return Err(source.error(&typed.name.span(), "translator.name", message));
        }
        translators.push(Translator {
            name: name.clone(),
            artifact: typed.artifact.as_ref().map(|typed| artifact(source, typed.as_ref())),
            on_fault: on_fault(source, &typed.on_fault)?,
            hold: count(source, "translator.hold", &typed.hold, 1..=MOST_HELD, Translator::default().hold)?,
            topics: filters(source, "translator.topics", &typed.topics)?,
            limits: Limits {
                fuel: fuel(source, "translator.fuel", &typed.fuel, limits.fuel)?,
                wall: duration(source, "translator.wall", &typed.wall, limits.wall)?,
                memory: size(source, "translator.memory", &typed.memory, limits.memory)?,
            },
            settings: json(toml::Value::Table(typed.settings.clone())),
        });
    }
    Ok(translators)
}

/// A file, unless it is one in the gateway.
fn artifact(source: &Source<'_>, typed: &str) -> PathBuf {
    if typed.starts_with(super::BUILT_IN) { typed.into() } else { beside(source, typed) }
}

fn on_fault(source: &Source<'_>, raw: &At<String>) -> Result<OnFault, ConfigError> {
    match raw.as_ref().map(|typed| (typed.as_ref().as_str(), typed.span())) {
        None | Some(("raw", _)) => Ok(OnFault::Raw),
        Some(("drop", _)) => Ok(OnFault::Drop),
        Some(("hold", _)) => Ok(OnFault::Hold),
        Some((other, place)) => {
            let message = format!("`{other}` is unknown; write \"raw\", \"drop\" or \"hold\"");
            Err(source.error(&place, "translator.on-fault", message))
        }
    }
}

fn route(
    source: &Source<'_>,
    raw: &raw::Route,
    listeners: &[SocketAddr],
    translators: &[Translator],
) -> Result<Route, ConfigError> {
    let named = raw.translators.as_ref();
    if named.is_empty() {
        let message = "is empty; name at least one `[[translator]]`";
        return Err(source.error(&raw.translators.span(), "route.translators", message));
    }
    for name in named {
        if !translators.iter().any(|translator| translator.name == *name.as_ref()) {
            let known: Vec<&str> = translators.iter().map(|translator| translator.name.as_str()).collect();
            let message =
                format!("there is no translator `{}`; there is: {}", name.as_ref(), known.join(", "));
            return Err(source.error(&name.span(), "route.translators", message));
        }
    }
    let objects = raw.objects.iter().map(|typed| {
        u16::try_from(*typed.as_ref()).map_err(|_| {
            source.error(&typed.span(), "route.objects", "an object id is a number from 0 to 65535")
        })
    });
    let listener = match &raw.listener {
        None => None,
        Some(typed) => {
            let listener = address(source, "route.listener", typed)?;
            if !listeners.contains(&listener) {
                let message = format!("`{listener}` is not among those of `coap.listen` and `dtls.listen`");
                return Err(source.error(&typed.span(), "route.listener", message));
            }
            Some(listener)
        }
    };
    Ok(Route {
        endpoints: raw.endpoints.as_ref().map_or_else(|| "*".into(), |typed| typed.as_ref().clone()),
        objects: objects.collect::<Result<_, _>>()?,
        listener,
        translators: named.iter().map(|name| name.as_ref().clone()).collect(),
    })
}

/// They are kept in memory.
const MOST_HELD: usize = 1_000_000;
/// The largest remaining length is 256 MiB less one byte (MQTT 5, 1.5.5); headers come on top.
const MQTT_MAX_PACKET: usize = 255 << 20;

/// What `mqtt.outbox.bytes` is at least, bytes.
const LEAST_OUTBOX: usize = 1 << 20;
