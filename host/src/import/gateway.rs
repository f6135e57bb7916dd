//! `gateway.lwm2m`: what each of its keys is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::Keys;
use super::listener::{Listener, Listeners};
use super::quantity::{self, Unit};
use super::version::Version;
use super::write::Section;
use super::{Emqx, ImportError, Notes};

/// The tables of the `tidegate.toml`.
pub(super) fn sections(of: &Emqx, mut keys: Keys, notes: &mut Notes) -> Result<Vec<Section>, ImportError> {
    keys.forget(RUNNING);
    if keys.flag("enable")? == Some(false) {
        notes.otherwise(
            keys.key("enable"),
            "is false: the gateway is switched off in EMQX; what is written here is on",
        );
    }
    let listeners = Listeners::take(&mut keys, notes)?;
    let version = of.version.or_else(|| told_by(&mut keys));
    let mut sections = vec![coap(&mut keys, &listeners, notes)?, dtls(&listeners, notes), mqtt(of, notes)];
    sections.push(registration(&mut keys, &listeners, notes)?);
    sections.push(models(&mut keys, notes)?);
    sections.extend(translators(of, version, &mut keys, &listeners, notes)?);
    for (key, why) in NOT_OF_THE_GATEWAY {
        keys.leave(key, why, notes);
    }
    keys.finish(notes);
    Ok(sections)
}

/// A key that there is only in later versions.
fn told_by(keys: &mut Keys) -> Option<Version> {
    let (blockwise, observe) = (keys.take("blockwise"), keys.take("auto_observe"));
    let is_later = blockwise.is_some() || observe.as_ref().is_some_and(Value::is_array);
    keys.put("blockwise", blockwise);
    keys.put("auto_observe", observe);
    is_later.then_some(Version::SELECTABLE)
}

fn coap(keys: &mut Keys, listeners: &Listeners, notes: &mut Notes) -> Result<Section, ImportError> {
    let mut section = Section::new("[coap]");
    if listeners.udp.is_empty() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 5783));
        section.set("listen", vec![loopback.to_string()], "no listener of EMQX's: loopback only");
        notes.otherwise(
            keys.key("listeners.udp"),
            "there is none that is on; CoAP without DTLS cannot be switched off here, so that it listens on loopback alone",
        );
    } else {
        section.set("listen", addresses(&listeners.udp), sources(&listeners.udp));
    }
    let mut blockwise = keys.table("blockwise")?;
    let alias = (keys.key("coap_max_block_size"), keys.count("coap_max_block_size")?);
    let (key, size) = match blockwise.count("max_block_size")? {
        Some(size) => (blockwise.key("max_block_size"), Some(size)),
        None => alias,
    };
    match size {
        None | Some(1024) => {}
        Some(size) if (16..1024).contains(&size) && size.is_power_of_two() => {
            section.set("block-size", format!("{size}B"), key);
        }
        Some(size) => {
            let problem = format!("is {size}; a block has 16, 32, 64, 128, 256, 512 or 1024 bytes");
            return Err(ImportError::Value { key, problem });
        }
    }
    if blockwise.flag("enable")? == Some(false) {
        notes.otherwise(
            blockwise.key("enable"),
            "bodies in blocks cannot be switched off; what fits into one message has none",
        );
    }
    for (key, why) in NOT_OF_BLOCKWISE {
        blockwise.leave(key, why, notes);
    }
    blockwise.finish(notes);
    Ok(section)
}

fn dtls(listeners: &Listeners, notes: &mut Notes) -> Section {
    let mut section = Section::new("[dtls]");
    let Some(first) = listeners.dtls.first() else { return section };
    section.set("listen", addresses(&listeners.dtls), sources(&listeners.dtls));
    section.set("credentials", "credentials.toml", "who may connect; `tidegate credentials`");
    notes.remind(
        &first.key,
        "DTLS does not start before credentials.toml says who may connect; pre-shared keys of EMQX's come over by \
         `tidegate credentials import FILE --text-keys`",
    );
    if let Some((key, timeout)) =
        listeners.handshake_timeout.as_ref().filter(|(_, timeout)| !timeout.is_zero())
    {
        section.set("handshake-timeout", quantity::text(*timeout), key);
        if *timeout <= RETRANSMISSION {
            let first = (*timeout / 4).max(Duration::from_millis(1));
            let remark = "must be below handshake-timeout; the default is 9s";
            section.set(
                "retransmission",
                quantity::text(Duration::from_millis(first.as_millis() as u64)),
                remark,
            );
        }
    }
    if let Some(most) = sum(&listeners.dtls) {
        let key = first.key.replace(".bind", ".max_connections");
        section.set("max-associations", clamped(most, 10_000_000), key);
    }
    section
}

fn mqtt(of: &Emqx, notes: &mut Notes) -> Section {
    let mut section = Section::new("[mqtt]");
    match &of.broker {
        None => section.set("broker", "embedded", "the broker in the box, on 127.0.0.1:1883"),
        Some(address) => {
            section.set("broker", address.to_string(), "EMQX goes on as the broker");
            notes.remind(
                "mqtt.broker",
                format!(
                    "is {address}. The gateway is a client of the broker now: if EMQX asks who it is, set `username` and \
                     `password-file`, and allow it the topics below"
                ),
            );
        }
    }
    section
}

fn registration(keys: &mut Keys, listeners: &Listeners, notes: &mut Notes) -> Result<Section, ImportError> {
    let mut section = Section::new("[registration]");
    let lifetimes = [("lifetime_min", "lifetime-min", "raises"), ("lifetime_max", "lifetime-max", "cuts")];
    for (from, to, does) in lifetimes {
        let Some(bound) = keys.duration(from, Unit::Milliseconds)?.filter(|bound| !bound.is_zero()) else {
            continue;
        };
        section.set(to, quantity::text(bound), keys.key(from));
        notes.otherwise(
            keys.key(from),
            format!(
                "EMQX takes any lifetime, in spite of this bound; Tidegate {does} what is beyond {}",
                quantity::text(bound)
            ),
        );
    }
    let window = keys.duration("qmode_time_window", Unit::Seconds)?.filter(|window| !window.is_zero());
    let remark = if window.is_some() {
        keys.key("qmode_time_window")
    } else {
        "the default of EMQX's qmode_time_window".into()
    };
    section.set("awake-window", quantity::text(window.unwrap_or(QMODE_TIME_WINDOW)), remark);
    let all = listeners.udp.iter().chain(&listeners.dtls);
    if let Some(most) = all.map(|listener| listener.connections).sum::<Option<u64>>().filter(|most| *most > 0)
    {
        section.set("max-registrations", clamped(most, 100_000_000), "max_connections of the listeners");
    }
    Ok(section)
}

fn models(keys: &mut Keys, notes: &mut Notes) -> Result<Section, ImportError> {
    let mut section = Section::new("[models]");
    let Some(folder) = keys.text("xml_dir")?.filter(|folder| !folder.is_empty()) else { return Ok(section) };
    if folder.starts_with('/') {
        section.set("directory", folder, keys.key("xml_dir"));
        notes.remind(
            keys.key("xml_dir"),
            "the gateway must be able to read this folder; OMA's own objects are built in",
        );
    } else {
        section.set("directory", "models", "xml_dir is relative to EMQX's folder");
        notes.remind(
            keys.key("xml_dir"),
            format!(
                "copy your own *.xml from EMQX's {folder:?} into the folder `models` beside tidegate.toml; OMA's objects are \
                 built in"
            ),
        );
    }
    Ok(section)
}

/// A slot for each mountpoint, and a route for each listener that has one of its own.
fn translators(
    of: &Emqx,
    version: Option<Version>,
    keys: &mut Keys,
    listeners: &Listeners,
    notes: &mut Notes,
) -> Result<Vec<Section>, ImportError> {
    let settings = Settings::take(of, version, keys, notes)?;
    let mut sections = settings.slot("emqx", &settings.mountpoint, &settings.remark);
    let mut routes = Vec::new();
    for listener in listeners.udp.iter().chain(&listeners.dtls) {
        let Some(mountpoint) = listener.mountpoint.as_ref().filter(|own| **own != settings.mountpoint) else {
            continue;
        };
        let key = listener.key.replace(".bind", ".mountpoint");
        check_mountpoint(&key, mountpoint, notes)?;
        let name = format!("emqx-{}-{}", listener.address.port(), slug(&listener.name));
        sections.extend(settings.slot(&name, mountpoint, &key));
        let mut route = Section::new("[[route]]");
        route.set("listener", listener.address.to_string(), &listener.key);
        route.set("translators", vec![name], &key);
        routes.push(route);
    }
    sections.extend(routes);
    Ok(sections)
}

/// What goes under `[translator.settings]`.
struct Settings {
    mountpoint: String,
    /// Where the mountpoint is from.
    remark: String,
    auto_observe: (toml::Value, String),
    condition: Option<(&'static str, String)>,
    is_strict: bool,
    topics: toml::Table,
    topics_key: String,
}

impl Settings {
    fn take(
        of: &Emqx,
        version: Option<Version>,
        keys: &mut Keys,
        notes: &mut Notes,
    ) -> Result<Self, ImportError> {
        let typed = keys.text("mountpoint")?;
        let remark = if typed.is_some() { keys.key("mountpoint") } else { "EMQX's default".to_owned() };
        let mountpoint = typed.unwrap_or_else(|| MOUNTPOINT.to_owned());
        check_mountpoint(&keys.key("mountpoint"), &mountpoint, notes)?;
        Ok(Self {
            mountpoint,
            remark,
            auto_observe: auto_observe(keys, notes)?,
            condition: condition(version, keys, notes)?,
            is_strict: of.is_strict,
            topics: topics(keys, notes)?,
            topics_key: keys.key("translators"),
        })
    }

    fn slot(&self, name: &str, mountpoint: &str, remark: &str) -> Vec<Section> {
        let mut slot = Section::new("[[translator]]");
        slot.set("name", name, "");
        if name != "emqx" {
            slot.set("artifact", "builtin:emqx", "the same translator with other settings");
        }
        let mut settings = Section::new("[translator.settings]");
        settings.set("mountpoint", mountpoint, remark);
        let (observe, from) = self.auto_observe.clone();
        settings.set("auto_observe", observe, from);
        if let Some((condition, from)) = &self.condition {
            settings.set("update_msg_publish_condition", *condition, from);
        }
        let compatibility = if self.is_strict { "strict" } else { "fixed" };
        settings.set(
            "compatibility",
            compatibility,
            "\"strict\": as EMQX to the letter; plugins/emqx/README.md tells them apart",
        );
        settings.set("translators", self.topics.clone(), &self.topics_key);
        vec![slot, settings]
    }
}

fn check_mountpoint(key: &str, mountpoint: &str, notes: &mut Notes) -> Result<(), ImportError> {
    if mountpoint.contains(['#', '+', '\0']) {
        let problem = format!("is {mountpoint:?}; a topic has no wildcard in it");
        return Err(ImportError::Value { key: key.to_owned(), problem });
    }
    let names = |of: &str| mountpoint.contains(&format!("${{{of}}}"));
    if !["endpoint_name", "clientid", "username"].iter().any(|of| names(of)) {
        notes.otherwise(
            key,
            "names no client. In EMQX every client then obeys every command; here the levels after the command topic name the \
             client, as in dn/ENDPOINT, and what is published has an \"ep\"",
        );
    }
    for (at, _) in mountpoint.match_indices("${") {
        let placeholder = mountpoint[at..].split_inclusive('}').next().unwrap_or_default();
        let name = placeholder.trim_start_matches("${").trim_end_matches('}');
        let is_known = ["endpoint_name", "clientid", "username", "peerhost", "zone"].contains(&name);
        if !is_known && !name.starts_with("client_attrs.") {
            notes.otherwise(
                key,
                format!("`{placeholder}` is no placeholder; it stays in the topic as it is, as in EMQX"),
            );
        }
    }
    Ok(())
}

fn auto_observe(keys: &mut Keys, notes: &mut Notes) -> Result<(toml::Value, String), ImportError> {
    let key = keys.key("auto_observe");
    let typed = match keys.take("auto_observe") {
        None => return Ok((false.into(), "EMQX's default".to_owned())),
        Some(Value::Bool(all)) => return Ok((all.into(), key)),
        Some(Value::String(text)) => match text.trim() {
            "on" | "true" => return Ok((true.into(), key)),
            "off" | "false" => return Ok((false.into(), key)),
            list => list.split(',').map(str::to_owned).collect::<Vec<_>>(),
        },
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| keys.wrong("auto_observe", "is a list of something else than texts"))?,
        Some(other) => {
            return Err(
                keys.wrong("auto_observe", &format!("is {other}; it is true, false or a list of paths"))
            );
        }
    };
    let items = typed.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    let (paths, others): (Vec<&str>, Vec<&str>) = items.partition(|item| is_path(item));
    if !others.is_empty() {
        notes.not_mapped(
            &key,
            format!("has entries that are no paths, and never did anything: {}", others.join(", ")),
        );
    }
    if paths.is_empty() {
        return Ok((false.into(), key));
    }
    if !paths.iter().all(|path| path.matches('/').count() < 3) {
        notes.otherwise(
            &key,
            "EMQX never observes the paths of resources in this list; here they are observed",
        );
    }
    Ok((toml::Value::Array(paths.into_iter().map(toml::Value::from).collect()), key))
}

fn is_path(text: &str) -> bool {
    let levels: Vec<&str> = text.trim_matches('/').split('/').collect();
    levels.len() <= 4 && levels.iter().all(|level| level.parse::<u16>().is_ok())
}

/// EMQX before 6.1.1 has the condition and ignores it, so that applications rely on every update.
fn condition(
    version: Option<Version>,
    keys: &mut Keys,
    notes: &mut Notes,
) -> Result<Option<(&'static str, String)>, ImportError> {
    let key = keys.key("update_msg_publish_condition");
    match keys.text("update_msg_publish_condition")?.as_deref() {
        None => Ok(None),
        Some("always") => Ok(Some(("always", key))),
        Some("contains_object_list") if version.is_some_and(|version| version >= Version::SELECTABLE) => {
            Ok(Some(("contains_object_list", key)))
        }
        Some("contains_object_list") => {
            let of = version.map_or_else(
                || "EMQX before 6.1.1 (say which one by --emqx-version)".to_owned(),
                |version| format!("EMQX {version}"),
            );
            notes.otherwise(
                &key,
                format!("is contains_object_list, which {of} ignores: it publishes every update, and so does what is written here"),
            );
            Ok(Some(("always", key)))
        }
        Some(other) => {
            let problem = format!("is {other:?}; it is always or contains_object_list");
            Err(ImportError::Value { key, problem })
        }
    }
}

fn topics(keys: &mut Keys, notes: &mut Notes) -> Result<toml::Table, ImportError> {
    let mut translators = keys.table("translators")?;
    let mut topics = toml::Table::new();
    for (name, default) in TOPICS {
        let mut of = translators.table(name)?;
        let qos = of.count("qos")?.unwrap_or(0);
        if qos > 2 {
            return Err(of.wrong("qos", &format!("is {qos}; it is 0, 1 or 2")));
        }
        let topic = of.text("topic")?.unwrap_or_else(|| {
            notes.otherwise(
                of.key("topic"),
                format!("is missing, although EMQX asks for it; {default:?} is written"),
            );
            default.to_owned()
        });
        of.finish(notes);
        let entry = [("topic".to_owned(), topic.into()), ("qos".to_owned(), toml::Value::from(qos as i64))];
        topics.insert(name.to_owned(), toml::Value::Table(entry.into_iter().collect()));
    }
    translators.finish(notes);
    Ok(topics)
}

/// What stands beside the gateway and has to do with it.
pub(super) fn around(around: &Map<String, Value>, notes: &mut Notes) {
    let psk = around.get("psk_authentication").and_then(Value::as_object);
    if let Some(psk) = psk.filter(|psk| psk.get("enable") == Some(&Value::Bool(true))) {
        let file = psk.get("init_file").and_then(Value::as_str).unwrap_or("FILE");
        notes.remind(
            "psk_authentication",
            format!("`tidegate credentials import {file} --text-keys` takes the keys over"),
        );
    }
}

fn addresses(listeners: &[Listener]) -> Vec<String> {
    listeners.iter().map(|listener| listener.address.to_string()).collect()
}

fn sources(listeners: &[Listener]) -> String {
    listeners.iter().map(|listener| listener.key.as_str()).collect::<Vec<_>>().join(", ")
}

fn sum(listeners: &[Listener]) -> Option<u64> {
    listeners.iter().map(|listener| listener.connections).sum::<Option<u64>>().filter(|most| *most > 0)
}

fn clamped(number: u64, most: i64) -> i64 {
    i64::try_from(number).unwrap_or(most).min(most)
}

/// What of a listener's name a slot's may have.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// EMQX's default, unlike Tidegate's.
const MOUNTPOINT: &str = "lwm2m/${endpoint_name}/";
const QMODE_TIME_WINDOW: Duration = Duration::from_secs(22);
/// The default of `dtls.retransmission`.
const RETRANSMISSION: Duration = Duration::from_secs(9);

const TOPICS: [(&str, &str); 5] = [
    ("command", "dn/#"),
    ("response", "up/resp"),
    ("notify", "up/notify"),
    ("register", "up/register"),
    ("update", "up/update"),
];

/// What the REST API says beside the configuration.
const RUNNING: &[&str] = &[
    "name",
    "status",
    "node_status",
    "created_at",
    "started_at",
    "stopped_at",
    "current_connections",
    "max_connections",
];

const NOT_OF_THE_GATEWAY: &[(&str, &str)] = &[
    ("enable_stats", "/metrics and /status always count"),
    (
        "idle_timeout",
        "there is no process for each address that could be idle; what is not registered costs nothing",
    ),
    ("clientinfo_override", "EMQX does not use it for LwM2M"),
    (
        "authentication",
        "clients that send a password in the clear are not asked for it; over DTLS, credentials.toml says who may register",
    ),
];

const NOT_OF_BLOCKWISE: &[(&str, &str)] = &[
    ("max_body_size", "docs/limits.md says what a body may have"),
    ("max_concurrent_exchanges", "docs/limits.md says what a client may have under way"),
    ("max_total_size", "docs/limits.md says what a client may have under way"),
    ("exchange_lifetime", "is 247 s, as RFC 7252 has it"),
];
