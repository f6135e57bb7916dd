//! The README's translator, and its cases.
#![cfg(feature = "case")]

use serde::Deserialize;
use tidegate_sdk::{
    Action, Diagnostic, Event, Fault, Message, Path, Qos, Subscription, Subscriptions, Translator, Value,
    from_topic_level, json, perform, request, sample, settings, topic_level,
};

/// Temperatures up, set points down.
pub struct Thermostat {
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The first level of all topics.
    prefix: String,
}

/// What is published to `PREFIX/ENDPOINT/set`.
#[derive(Deserialize)]
struct Set {
    celsius: f64,
}

impl Translator for Thermostat {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings: Settings = settings::parse(settings)?;
        let set = Subscription { filter: format!("{}/+/set", settings.prefix), qos: Qos::AtLeastOnce };
        Ok((Self { settings }, Subscriptions { filters: vec![set], ..Subscriptions::default() }))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Registered(of) => {
                let sensors = of.registration.objects.iter().filter(|link| link.path.object == Some(3303));
                Ok(sensors
                    .map(|link| perform(&of.client.endpoint, request::observe(link.path), ""))
                    .collect())
            }
            Event::Notified(of) => {
                let topic = format!("{}/{}", self.settings.prefix, topic_level(&of.client.endpoint));
                let temperature = sample::at(&of.content.samples, &[3303, 0, 5700]);
                let Some(celsius) = temperature.and_then(|of| of.value.as_f64()) else { return Ok(vec![]) };
                Ok(vec![json::publish_json(topic, &serde_json::json!({ "celsius": celsius }))?])
            }
            _ => Ok(vec![]),
        }
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        let set: Set = json::read(&message)?;
        let level = message.topic.rsplit('/').nth(1).unwrap_or_default();
        let set_point = request::write(Path::new(&[3308, 0, 5900]), Value::Float(set.celsius));
        Ok(vec![perform(from_topic_level(level), set_point, "")])
    }
}

#[cfg(target_arch = "wasm32")]
tidegate_sdk::translator!(Thermostat);

#[test]
fn the_readme_has_this_translator() {
    let own = include_str!("readme.rs");
    let shown = blocks("rust").next().expect("a translator");
    assert!(own.contains(shown), "the README shows another translator:\n{shown}");
}

#[test]
fn the_cases_of_the_readme_come_out_as_they_should() {
    let folder = std::env::temp_dir().join(format!("tidegate-sdk-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for tests");
    for (number, case) in blocks("toml").enumerate() {
        std::fs::write(folder.join(format!("{number}.toml")), case).expect("a folder of its own");
    }
    tidegate_sdk::case::run::<Thermostat>(&folder);
    std::fs::remove_dir_all(&folder).expect("a folder of its own");
}

/// The texts of the README's fenced blocks in a language.
fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let parts = include_str!("../README.md").split("```").skip(1).step_by(2);
    parts.filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}
