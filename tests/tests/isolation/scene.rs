//! A gateway with `emqx` and a bad translator, and clients of both.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Device, Gateway, Message, MqttVersion, PATIENCE, Setup, Value};

/// `[[translator]]` of the fixture, in a mode.
pub(crate) fn hostile(mode: &str) -> Json {
    json!({ "name": "bad", "artifact": fixture("hostile.wasm"), "settings": { "mode": mode } })
}

pub(crate) fn fixture(name: &str) -> String {
    format!("{}/../host/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `emqx` for all clients but those whose name begins with `bad-`.
pub(crate) fn setup(translator: &Json, shards: u8, files: &[(&str, &str)]) -> Setup {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.http = true;
    setup.shards = shards;
    setup.settings["auto_observe"] = json!(true);
    setup.translators = json!([{ "name": "emqx", "settings": setup.settings }, translator]);
    setup.routes = json!([{ "endpoints": "bad-*", "translators": ["bad"] }]);
    setup.files = files.iter().map(|(name, text)| (format!("plugins/{name}"), (*text).to_owned())).collect();
    setup
}

/// So many calls ended so.
pub(crate) fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

/// The first value of what is published raw.
pub(crate) fn senml_value(raw: &Message) -> Option<f64> {
    raw.json()?[0]["v"].as_f64()
}

pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) application: Application,
}

impl Scene {
    pub(crate) fn begin(translator: &Json, shards: u8) -> Result<Self> {
        Self::begin_with(translator, shards, &[])
    }

    pub(crate) fn begin_with(translator: &Json, shards: u8, files: &[(&str, &str)]) -> Result<Self> {
        Self::of(&setup(translator, shards, files))
    }

    pub(crate) fn of(setup: &Setup) -> Result<Self> {
        let gateway = Gateway::start(setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        Ok(Self { gateway, application })
    }

    /// The broker is inside the gateway, and goes on.
    pub(crate) fn reconnect(&mut self) -> Result<()> {
        self.application = Application::connect(self.gateway.mqtt(), MqttVersion::V5)?;
        Ok(())
    }

    /// A client of the bad translator that has not registered yet.
    pub(crate) fn bad(&self, endpoint: &str) -> Result<Device> {
        Device::new(self.gateway.coap(), endpoint)
    }

    /// A client of the bad translator that has asked it for its temperature.
    pub(crate) fn observed(&self, endpoint: &str) -> Result<Device> {
        let mut device = self.bad(endpoint)?;
        device.set("/3303/0/5700", Value::Float(0.0))?;
        device.register()?;
        device.requests().take("the observe request", |request| request.get_observe_value().is_some())?;
        Ok(device)
    }

    /// A client of `emqx` that is observed.
    pub(crate) fn steady(&self) -> Result<Device> {
        let mut device = Device::new(self.gateway.coap(), "steady")?;
        device.register()?;
        self.application.of_type("observe")?;
        Ok(device)
    }

    /// It notifies, and is acknowledged.
    pub(crate) fn steady_notifies(&self, device: &Device, value: i64) -> Result<()> {
        device.set("/3/0/9", Value::Integer(value))?;
        let sent = device.notify("/3/0", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    /// The next that is published of it is this value.
    pub(crate) fn steady_comes(&self, value: i64) -> Result<()> {
        let notify = self.application.of_type("notify")?;
        let items = notify["data"]["content"].as_array().context("content")?;
        let level = items.iter().find(|item| item["path"] == "/3/0/9").context("the battery level")?;
        ensure!(notify["ep"] == "steady" && level["value"] == value, "{value}: {notify}");
        Ok(())
    }

    /// A temperature that is notified of and acknowledged.
    pub(crate) fn notifies(&self, device: &Device, value: u32) -> Result<()> {
        device.set("/3303/0/5700", Value::Float(f64::from(value)))?;
        let sent = device.notify("/3303/0/5700", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    /// A temperature that is sent unasked and answered as ever.
    pub(crate) fn sends(&self, device: &Device, value: i32) -> Result<()> {
        let code = device.send_unasked(&json!([{ "n": "/3303/0/5700", "v": value }]))?;
        ensure!(code == "2.04", "{code}");
        Ok(())
    }

    pub(crate) fn published(&self, topic: &str, payload: &[u8]) -> Result<()> {
        let is = |message: &Message| message.topic == topic && message.payload == payload;
        self.application.take(topic, is).map(drop)
    }

    pub(crate) fn publishes_value(&self, topic: &str, value: i32) -> Result<()> {
        let is = |json: Json| json["value"].as_f64() == Some(f64::from(value));
        let what = format!("{value} on {topic}");
        self.application
            .take(&what, |message| message.topic == topic && message.json().is_some_and(is))
            .map(drop)
    }

    /// These values come on a topic, each once and one after the other.
    pub(crate) fn values_in_order(&self, topic: &str, values: std::ops::RangeInclusive<u32>) -> Result<()> {
        let on_topic = |message: &Message| message.topic == topic;
        for value in values {
            let message = self.application.take(&format!("{value} on {topic}"), on_topic)?;
            let came = message.json().and_then(|json| json["value"].as_f64());
            ensure!(came == Some(f64::from(value)), "{value} was expected on {topic}: {message:?}");
        }
        ensure!(self.application.inbox().count(on_topic) == 0, "{:?}", self.application.inbox().all());
        Ok(())
    }

    pub(crate) fn fault(&self) -> Result<Json> {
        let message = self.application.take("the fault", |message| message.topic == "tidegate/fault")?;
        ensure!(!message.retain, "{message:?}");
        message.json().context("JSON")
    }

    /// What is told about a slot, as soon as it is as it should be. What was told before is passed over.
    pub(crate) fn status(&self, name: &str, is: impl Fn(&Json) -> bool) -> Result<Json> {
        let topic = format!("tidegate/translator/{name}");
        let message = self.application.statuses().take("status", |message| {
            message.topic == topic && message.json().is_some_and(|status| is(&status))
        })?;
        self.application.statuses().drain();
        message.json().context("JSON")
    }

    /// How many calls of a translator ended how, without those that there were none of.
    pub(crate) fn calls(&self, translator: &str) -> Result<BTreeMap<String, u64>> {
        let start = format!(
            "tidegate_translator_calls_total{{translator=\"{translator}\",direction=\"uplink\",outcome=\""
        );
        let metrics = self.gateway.http("/metrics")?;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
        let counts = lines.map(|(outcome, count)| Ok((outcome.to_owned(), count.parse()?)));
        let mut counts = counts.collect::<Result<BTreeMap<String, u64>>>()?;
        ensure!(counts.len() == 8, "{metrics}");
        counts.retain(|_, count| *count > 0);
        Ok(counts)
    }

    /// A metric that is a whole number.
    pub(crate) fn metric(&self, sample: &str) -> Result<u64> {
        let metrics = self.gateway.http("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {sample} in\n{metrics}"))?.parse()?)
    }

    /// So many events are held, as soon as the turn that has changed it is over.
    pub(crate) fn holds(&self, events: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let held = self.metric("tidegate_translator_held_events{translator=\"bad\"}")?;
            if held == events {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{events} should be held, {held} are");
        }
    }

    /// Replaces a file of the plugin folder at once.
    pub(crate) fn replace(&self, name: &str, text: &str) -> Result<()> {
        self.replace_bytes(name, text.as_bytes())
    }

    pub(crate) fn replace_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let beside = self.gateway.plugins().join(".beside");
        std::fs::write(&beside, bytes)?;
        Ok(std::fs::rename(&beside, self.gateway.plugins().join(name))?)
    }
}
