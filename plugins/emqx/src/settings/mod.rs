//! The settings: the names of EMQX's `gateway.lwm2m`, and a few of our own. [`reader`] takes the JSON apart.

mod reader;

use serde_json::Value;
use tidegate_sdk::{Diagnostic, Level, Qos};

use self::reader::Reader;
use crate::mountpoint::Mountpoint;

/// The configuration, checked.
#[derive(Debug)]
pub struct Settings {
    /// What stands in front of every topic.
    pub(crate) mountpoint: Mountpoint,
    pub(crate) auto_observe: AutoObserve,
    /// Objects that count as defined although EMQX ships no definition of them.
    pub(crate) known_objects: Vec<u16>,
    /// Whether an Update without object links is published.
    pub(crate) publish_every_update: bool,
    /// Whether the end of a registration is published.
    pub(crate) publish_deregister: bool,
    /// Whether the steps of a command before its answer are published.
    pub(crate) publish_progress: bool,
    /// Whether publications have MQTT 5 properties that say what they are and whom they are about.
    pub(crate) publish_properties: bool,
    /// How closely EMQX is followed.
    pub compatibility: Compatibility,
    pub(crate) translators: Topics,
}

/// What is observed when a client registers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AutoObserve {
    Off,
    All,
    These(Vec<String>),
}

/// How closely EMQX is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// As EMQX, with what its users miss.
    #[default]
    Fixed,
    /// As EMQX.
    Strict,
}

/// The five topics.
#[derive(Debug)]
pub(crate) struct Topics {
    pub(crate) command: Topic,
    pub(crate) response: Topic,
    pub(crate) notify: Topic,
    pub(crate) register: Topic,
    pub(crate) update: Topic,
}

/// A topic and its quality of service.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) topic: String,
    qos: Qos,
}

impl Topic {
    pub(crate) fn qos(&self) -> Qos {
        self.qos
    }
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| vec![Diagnostic { key: String::new(), text: error.to_string() }])?;
        let mut root = Reader::new(json);
        let mountpoint_text = root.text("mountpoint", "");
        if mountpoint_text.contains(['#', '+', '\0']) {
            root.wrong("mountpoint", format!("{mountpoint_text:?} has a wildcard in it"));
        }
        let auto_observe = auto_observe(&mut root);
        let known_objects = known_objects(&mut root);
        let compatibility = root
            .one_of("compatibility", &[("fixed", Compatibility::Fixed), ("strict", Compatibility::Strict)]);
        let publish_every_update = publish_every_update(&mut root);
        let publish_deregister =
            root.flag("publish_deregister").unwrap_or(compatibility == Compatibility::Fixed);
        let publish_progress = root.flag("publish_progress").unwrap_or(false);
        let publish_properties = root.flag("publish_properties").unwrap_or(false);
        let mut of = root.below("translators");
        let translators = Topics {
            command: topic(&mut of, "command", "dn/#"),
            response: topic(&mut of, "response", "up/resp"),
            notify: topic(&mut of, "notify", "up/notify"),
            register: topic(&mut of, "register", "up/register"),
            update: topic(&mut of, "update", "up/update"),
        };
        root.absorb(of, NO_TRANSLATOR);
        let settings = Self {
            mountpoint: Mountpoint::parse(&mountpoint_text),
            auto_observe,
            known_objects,
            publish_every_update,
            publish_deregister,
            publish_progress,
            publish_properties,
            compatibility,
            translators,
        };
        if root.is_right() {
            settings.check_topics(&mut root);
        }
        root.finish(not_here)?;
        Ok(settings)
    }

    /// Whether EMQX is followed to the letter.
    pub(crate) fn is_strict(&self) -> bool {
        self.compatibility == Compatibility::Strict
    }

    /// The topic filter of commands.
    pub(crate) fn command_filter(&self) -> String {
        self.mountpoint.filter(&self.translators.command.topic)
    }

    /// What is published must not come back as a command: each answer would be answered again.
    fn check_topics(&self, root: &mut Reader) {
        let command = &self.translators.command.topic;
        for (key, of) in [
            ("response", &self.translators.response),
            ("notify", &self.translators.notify),
            ("register", &self.translators.register),
            ("update", &self.translators.update),
        ] {
            if self.mountpoint.address(&self.mountpoint.example(&of.topic), command).is_some() {
                let text = format!("{:?} is also a topic of commands: {command:?}", of.topic);
                root.wrong(&format!("translators.{key}.topic"), text);
            }
        }
    }
}

fn topic(translators: &mut Reader, key: &str, default: &str) -> Topic {
    let mut of = translators.below(key);
    let is_given = of.is_given();
    let topic = match of.take("topic") {
        None if is_given => {
            of.wrong("topic", "is missing".to_owned());
            default.to_owned()
        }
        None => default.to_owned(),
        Some(Value::String(topic)) => topic,
        Some(other) => {
            of.wrong("topic", format!("{other} is not a text"));
            default.to_owned()
        }
    };
    if topic.is_empty() || topic.contains('\0') {
        of.wrong("topic", format!("{topic:?} is not a topic"));
    } else if key != "command" && topic.contains(['#', '+']) {
        of.wrong(
            "topic",
            format!("{topic:?} has a wildcard in it, which only the topic of commands may have"),
        );
    } else if !is_filter(&topic) {
        of.wrong("topic", format!("{topic:?}: `+` is a whole level, and `#` the whole last one"));
    }
    let qos = match of.take("qos") {
        None => Qos::AtMostOnce,
        Some(value) => match value.as_u64() {
            Some(0) => Qos::AtMostOnce,
            Some(1) => Qos::AtLeastOnce,
            Some(2) => Qos::ExactlyOnce,
            _ => {
                of.wrong("qos", format!("{value} is not 0, 1 or 2"));
                Qos::AtMostOnce
            }
        },
    };
    translators.absorb(of, |_| Some("there are topic and qos".to_owned()));
    Topic { topic, qos }
}

/// Whether the wildcards of a topic filter stand where they may.
fn is_filter(topic: &str) -> bool {
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        let has_wildcard = level.contains(['#', '+']);
        if has_wildcard && level != "+" && !(level == "#" && levels.peek().is_none()) {
            return false;
        }
    }
    true
}

fn auto_observe(root: &mut Reader) -> AutoObserve {
    let items: Vec<String> = match root.take("auto_observe") {
        None | Some(Value::Bool(true)) => return AutoObserve::All,
        Some(Value::Bool(false) | Value::Null) => return AutoObserve::Off,
        Some(Value::String(text)) => match text.trim() {
            "on" | "true" => return AutoObserve::All,
            "off" | "false" => return AutoObserve::Off,
            text => text.split(',').map(str::to_owned).collect(),
        },
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(other) => {
            root.wrong("auto_observe", format!("{other} is not {OBSERVABLE}"));
            return AutoObserve::Off;
        }
    };
    let items: Vec<String> =
        items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
    let is_path = |item: &&String| {
        let levels: Vec<&str> = item.trim_matches('/').split('/').collect();
        levels.len() <= 4 && levels.iter().all(|level| level.parse::<u16>().is_ok())
    };
    if let Some(stray) = items.iter().find(|item| !is_path(item)) {
        root.wrong("auto_observe", format!("{stray:?} is not {OBSERVABLE}"));
    }
    if items.is_empty() { AutoObserve::Off } else { AutoObserve::These(items) }
}

fn known_objects(root: &mut Reader) -> Vec<u16> {
    let Some(value) = root.take("known_objects") else { return vec![] };
    let id = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let ids: Option<Vec<u16>> = value.as_array().and_then(|items| items.iter().map(id).collect());
    ids.unwrap_or_else(|| {
        root.wrong("known_objects", format!("{value} is not a list of object ids, such as [3303, 31024]"));
        vec![]
    })
}

/// EMQX before 6.1.1 has the condition and does nothing with it, so what it was does not count there.
fn publish_every_update(root: &mut Reader) -> bool {
    let condition =
        root.one_of("update_msg_publish_condition", &[("always", true), ("contains_object_list", false)]);
    let version = root.text("imported_from", "");
    let numbers: Option<Vec<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
    match numbers {
        _ if version.is_empty() => condition,
        Some(numbers) if !condition && numbers < vec![6, 1, 1] => {
            let text = format!(
                "update_msg_publish_condition is \"always\", as EMQX {version} ignores \"contains_object_list\"; \
                 without imported_from it counts"
            );
            tidegate_sdk::log(Level::Warn, &text);
            true
        }
        Some(_) => condition,
        None => {
            root.wrong("imported_from", format!("{version:?} is not a version of EMQX, such as \"5.8.4\""));
            condition
        }
    }
}

/// Where a setting of EMQX's is that is none of the translator's.
fn not_here(key: &str) -> Option<String> {
    let place = match key {
        "xml_dir" => "is `directory` under [models]",
        "lifetime_min" => "is `lifetime-min` under [registration]",
        "lifetime_max" => "is `lifetime-max` under [registration]",
        "qmode_time_window" => "is `awake-window` under [registration]",
        "listeners" => "is `listen` under [coap]",
        "authentication" => "is set for the gateway, under [dtls]",
        "enable"
        | "enable_stats"
        | "idle_timeout"
        | "clientinfo_override"
        | "blockwise"
        | "coap_max_block_size" => "does nothing here; leave it out",
        _ => return None,
    };
    Some(format!("EMQX's setting {place}"))
}

const NO_TRANSLATOR: fn(&str) -> Option<String> =
    |_| Some("there are command, response, notify, register and update".to_owned());
const OBSERVABLE: &str = "true, false, \"on\", \"off\", or a list of paths such as [\"/3/0\"]";

#[cfg(test)]
mod tests;
