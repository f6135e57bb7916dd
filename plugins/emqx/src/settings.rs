//! The settings: the names of EMQX's `gateway.lwm2m`, and a few of our own.

use serde::Deserialize;
use serde_json::Value;
use tidegate_sdk::{Diagnostic, Qos};

use crate::mountpoint::Mountpoint;

/// The configuration, checked.
#[derive(Debug)]
pub struct Settings {
    /// What stands in front of every topic.
    pub(crate) mountpoint: Mountpoint,
    pub(crate) auto_observe: AutoObserve,
    /// Objects that are observed although there is no definition of them.
    pub(crate) known_objects: Vec<u16>,
    /// Whether an Update without object links is published.
    pub(crate) publish_every_update: bool,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// As EMQX, with what its users miss.
    #[default]
    Fixed,
    /// As EMQX.
    Strict,
}

/// The five topics.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Topics {
    pub(crate) command: Topic,
    pub(crate) response: Topic,
    pub(crate) notify: Topic,
    pub(crate) register: Topic,
    pub(crate) update: Topic,
}

/// A topic and its quality of service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    pub(crate) topic: String,
    #[serde(default)]
    qos: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    mountpoint: String,
    auto_observe: Value,
    known_objects: Vec<u16>,
    update_msg_publish_condition: String,
    compatibility: Compatibility,
    translators: Topics,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            mountpoint: String::new(),
            auto_observe: Value::Bool(true),
            known_objects: Vec::new(),
            update_msg_publish_condition: "always".into(),
            compatibility: Compatibility::Fixed,
            translators: Topics::default(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        let topic = |topic: &str| Topic { topic: topic.into(), qos: 0 };
        Self {
            command: topic("dn/#"),
            response: topic("up/resp"),
            notify: topic("up/notify"),
            register: topic("up/register"),
            update: topic("up/update"),
        }
    }
}

impl Topic {
    pub(crate) fn qos(&self) -> Qos {
        match self.qos {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        }
    }
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| vec![diagnostic("", error.to_string())])?;
        let mut wrong = Vec::new();
        for (key, of) in [
            ("command", &raw.translators.command),
            ("response", &raw.translators.response),
            ("notify", &raw.translators.notify),
            ("register", &raw.translators.register),
            ("update", &raw.translators.update),
        ] {
            if of.qos > 2 {
                wrong.push(diagnostic(
                    &format!("translators.{key}.qos"),
                    format!("{} is not 0, 1 or 2", of.qos),
                ));
            }
            if key != "command" && of.topic.contains(['#', '+']) {
                wrong.push(diagnostic(
                    &format!("translators.{key}.topic"),
                    "wildcards are for commands only".into(),
                ));
            }
        }
        let auto_observe = AutoObserve::parse(&raw.auto_observe).unwrap_or_else(|text| {
            wrong.push(diagnostic("auto_observe", text));
            AutoObserve::Off
        });
        let publish_every_update = match raw.update_msg_publish_condition.as_str() {
            "always" => true,
            "contains_object_list" => false,
            other => {
                let text = format!("{other:?} is neither \"always\" nor \"contains_object_list\"");
                wrong.push(diagnostic("update_msg_publish_condition", text));
                true
            }
        };
        let mountpoint = Mountpoint::parse(&raw.mountpoint);
        if raw.mountpoint.contains(['#', '+']) {
            wrong.push(diagnostic("mountpoint", "wildcards cannot be in it".into()));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            mountpoint,
            auto_observe,
            known_objects: raw.known_objects,
            publish_every_update,
            compatibility: raw.compatibility,
            translators: raw.translators,
        })
    }

    /// Whether EMQX is followed to the letter.
    pub(crate) fn is_strict(&self) -> bool {
        self.compatibility == Compatibility::Strict
    }

    /// The topic filter of commands.
    pub(crate) fn command_filter(&self) -> String {
        self.mountpoint.filter(&self.translators.command.topic)
    }
}

impl AutoObserve {
    fn parse(value: &Value) -> Result<Self, String> {
        let list = |items: &mut dyn Iterator<Item = &str>| {
            let items: Vec<String> =
                items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
            if items.is_empty() { Self::Off } else { Self::These(items) }
        };
        match value {
            Value::Bool(true) => Ok(Self::All),
            Value::Bool(false) | Value::Null => Ok(Self::Off),
            Value::String(text) => Ok(match text.trim() {
                "on" | "true" => Self::All,
                "off" | "false" => Self::Off,
                text => list(&mut text.split(',')),
            }),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                Ok(list(&mut items.iter().filter_map(Value::as_str)))
            }
            other => Err(format!(
                "{other} is not true, false, \"on\", \"off\", or a list of paths such as [\"/3/0\"]"
            )),
        }
    }
}

fn diagnostic(key: &str, text: String) -> Diagnostic {
    Diagnostic { key: key.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let diagnostics = Settings::parse(text).unwrap_err();
        diagnostics.iter().map(|of| format!("{}: {}", of.key, of.text)).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn nothing_given_is_what_emqx_is_installed_with() {
        let settings = Settings::parse("{}").unwrap();
        assert_eq!(settings.command_filter(), "dn/#");
        assert_eq!(settings.auto_observe, AutoObserve::All);
        assert_eq!(settings.compatibility, Compatibility::Fixed);
    }

    #[test]
    fn auto_observe_has_many_forms() {
        for (text, expected) in [
            ("\"on\"", AutoObserve::All),
            ("\"off\"", AutoObserve::Off),
            ("[]", AutoObserve::Off),
            ("\"/3/0, /5\"", AutoObserve::These(vec!["/3/0".into(), "/5".into()])),
            ("[\"/1/0\",\"\"]", AutoObserve::These(vec!["/1/0".into()])),
        ] {
            let settings = Settings::parse(&format!("{{\"auto_observe\":{text}}}")).unwrap();
            assert_eq!(settings.auto_observe, expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(wrong(r#"{"mountpiont":""}"#).contains("mountpiont"));
        assert!(wrong(r#"{"auto_observe":5}"#).starts_with("auto_observe: 5 is not"));
        assert!(
            wrong(r#"{"translators":{"notify":{"topic":"a","qos":3}}}"#)
                .starts_with("translators.notify.qos: 3")
        );
        assert!(wrong(r#"{"update_msg_publish_condition":"never"}"#).contains("contains_object_list"));
    }
}
