//! The settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use tidegate_sdk::{Diagnostic, Qos};

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// First levels of the discovery topics.
    pub(crate) prefix: String,
    /// First levels of all other topics.
    pub(crate) topic: String,
    pub(crate) qos: Qos,
    /// Whether devices have a button that restarts them.
    pub(crate) restart: bool,
    /// Units by object, in place of what the device says.
    pub(crate) units: BTreeMap<u16, String>,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let wrong = |key: &str, text: String| Diagnostic { key: key.to_owned(), text };
        let mut given: Map<String, Json> = serde_json::from_str(text)
            .map_err(|error| vec![wrong("", format!("the settings are no JSON object: {error}"))])?;
        let mut problems = Vec::new();
        let mut take = |key: &'static str, default: Json, expected: &str, is_right: fn(&Json) -> bool| {
            let value = given.remove(key).unwrap_or_else(|| default.clone());
            if is_right(&value) {
                return value;
            }
            problems.push(wrong(key, format!("{value} is not {expected}")));
            default
        };
        let prefix = take("prefix", "homeassistant".into(), "a topic without wildcards", is_topic);
        let topic = take("topic", "lwm2m".into(), "a topic without wildcards", is_topic);
        let qos = take("qos", 0.into(), "0, 1 or 2", |json| json.as_u64().is_some_and(|qos| qos <= 2));
        let restart = take("restart", true.into(), "true or false", Json::is_boolean);
        let units = take("units", Map::new().into(), "a table such as { 3315 = \"hPa\" }", |json| {
            units(json).is_some()
        });
        for key in given.keys() {
            let text = "there is no such key; there are prefix, topic, qos, restart and units";
            problems.push(wrong(key, text.into()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            prefix: prefix.as_str().unwrap_or_default().to_owned(),
            topic: topic.as_str().unwrap_or_default().to_owned(),
            qos: match qos.as_u64() {
                Some(1) => Qos::AtLeastOnce,
                Some(2) => Qos::ExactlyOnce,
                _ => Qos::AtMostOnce,
            },
            restart: restart == true,
            units: self::units(&units).unwrap_or_default(),
        })
    }
}

fn is_topic(json: &Json) -> bool {
    json.as_str().is_some_and(|topic| !topic.is_empty() && !topic.contains(['+', '#', '\0']))
}

fn units(json: &Json) -> Option<BTreeMap<u16, String>> {
    let unit = |(object, unit): (&String, &Json)| Some((object.parse().ok()?, unit.as_str()?.to_owned()));
    json.as_object()?.iter().map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_the_defaults_are_those_of_home_assistant() {
        let settings = Settings::parse("{}").unwrap();
        assert_eq!((&*settings.prefix, &*settings.topic, settings.restart), ("homeassistant", "lwm2m", true));
    }

    #[test]
    fn each_wrong_key_is_named_with_what_would_be_right() {
        let wrong =
            Settings::parse(r#"{"prefix":"a/#","qos":3,"restart":"no","units":{"temperature":"K"},"foo":1}"#);
        let wrong: Vec<String> =
            wrong.unwrap_err().into_iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
        assert_eq!(
            wrong,
            [
                "prefix: \"a/#\" is not a topic without wildcards",
                "qos: 3 is not 0, 1 or 2",
                "restart: \"no\" is not true or false",
                "units: {\"temperature\":\"K\"} is not a table such as { 3315 = \"hPa\" }",
                "foo: there is no such key; there are prefix, topic, qos, restart and units",
            ]
        );
        assert!(Settings::parse("[]").is_err());
    }
}
