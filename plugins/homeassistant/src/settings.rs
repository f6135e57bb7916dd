//! The settings.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidegate_sdk::settings::{Table, qos, topic};
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
        let mut wrong = Vec::new();
        let mut table = Table::of(text, &mut wrong);
        let is_topic = "a topic without wildcards";
        let settings = Self {
            prefix: table.read("prefix", is_topic, topic).unwrap_or_else(|| "homeassistant".into()),
            topic: table.read("topic", is_topic, topic).unwrap_or_else(|| "lwm2m".into()),
            qos: table.read("qos", "0, 1 or 2", qos).unwrap_or(Qos::AtMostOnce),
            restart: table.read("restart", "true or false", Json::as_bool).unwrap_or(true),
            units: table.read("units", "a table such as { 3315 = \"hPa\" }", units).unwrap_or_default(),
        };
        table.finish();
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }
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
                "foo: there is no such key; there are prefix, topic, qos, restart, units",
            ]
        );
        assert!(Settings::parse("[]").is_err());
    }
}
