//! The gateway a group of cases runs on, with a fence: a client that shows when the gateway is done with everything
//! that came before.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Device, Gateway, Message, Setup};

use crate::case::Case;

/// A gateway with one configuration.
pub(crate) struct Bench<'a> {
    pub(crate) gateway: Gateway,
    pub(crate) application: &'a Application,
    fence: Device,
    mounted: String,
    commands: String,
    passed: u32,
}

impl<'a> Bench<'a> {
    /// Start it and register the fence.
    pub(crate) fn start(setup: &Setup, application: &'a Application) -> Result<Self> {
        let gateway = Gateway::start(setup)?;
        let mut fence = Device::new(gateway.coap(), FENCE)?;
        let mut registration = fence.registration();
        // Only an object that is never observed automatically.
        registration.payload = b"</1/0>".to_vec();
        fence.register_with(&registration)?;
        let mounted = setup.settings["mountpoint"].as_str().unwrap_or_default().to_owned();
        let commands =
            setup.settings["translators"]["command"]["topic"].as_str().unwrap_or("dn/#").to_owned();
        // Whoever has published has subscribed before.
        application.take("registration of the fence", |message| {
            message.json().is_some_and(|json| json["msgType"] == "register" && json["data"]["ep"] == FENCE)
        })?;
        let mut bench = Self { gateway, application, fence, mounted, commands, passed: 0 };
        bench.pass_fence()?;
        bench.application.drain();
        Ok(bench)
    }

    /// Where commands to this endpoint go: the level that `#` stands for names it.
    pub(crate) fn command_topic(&self, endpoint: &str) -> String {
        let encoded = endpoint.replace('/', "%2F").replace('+', "%2B").replace('#', "%23");
        let mounted = PLACEHOLDERS
            .iter()
            .fold(self.mounted.replace("${zone}", "default"), |topic, of| topic.replace(of, &encoded));
        format!("{mounted}{}{encoded}", self.commands.trim_end_matches('#'))
    }

    /// Wait until the gateway has dealt with every command and published everything it had to publish so far: a
    /// command to the fence goes in behind the others, and its answer comes out behind the others.
    pub(crate) fn pass_fence(&mut self) -> Result<()> {
        self.passed += 1;
        let id = format!("{FENCE}-{}", self.passed);
        let command = json!({ "reqID": id, "msgType": "read", "data": { "path": "/1/0/0" } });
        let topic = self.command_topic(FENCE);
        self.application.publish(&topic, 1, None, command.to_string().into_bytes())?;
        self.application
            .inbox()
            .look(PATIENCE, |message| is_response_to(message, &id))
            .with_context(|| format!("no answer to {command} on {topic}"))?;
        self.fence.requests().drain();
        Ok(())
    }

    /// What has been published since the last time, without what concerns only the fence.
    pub(crate) fn publications(&self) -> Vec<Message> {
        self.application.drain().into_iter().filter(is_a_devices).collect()
    }
}

/// Whether the message is about a device of a case.
pub(crate) fn is_a_devices(message: &Message) -> bool {
    !message.json().is_some_and(|json| {
        json["reqID"].as_str().is_some_and(|id| id.starts_with(FENCE)) || json["data"]["ep"] == FENCE
    })
}

fn is_response_to(message: &Message, id: &str) -> bool {
    message.json().is_some_and(|json| json["reqID"] == id && json["data"]["code"].is_string())
}

/// The configuration of a case.
pub(crate) fn setup(case: &Case, broker: Broker) -> Setup {
    let mut setup = Setup::new(broker, "strict");
    // What one shard publishes stays in order, so that the fence holds.
    setup.shards = 1;
    let config =
        case.given.config.clone().unwrap_or_else(|| json!({ "mountpoint": "", "auto_observe": false }));
    for key in ["mountpoint", "translators", "auto_observe", "update_msg_publish_condition"] {
        if let Some(value) = config.get(key) {
            setup.settings[key] = value.clone();
        }
    }
    if let Some(size) = config["blockwise"]["max_block_size"].as_u64() {
        setup.coap = json!({ "block-size": format!("{size}B") });
    }
    let seconds = |key: &str, default| config.get(key).and_then(Json::as_u64).unwrap_or(default);
    let window = if case.waits() { SHORT_WINDOW } else { seconds("qmode_time_window_s", 22) };
    setup.registration = json!({
        "lifetime-min": format!("{}s", seconds("lifetime_min_s", 1)),
        "lifetime-max": format!("{}s", seconds("lifetime_max_s", 86_400)),
        "awake-window": format!("{window}s"),
    });
    setup
}

/// What stands for the endpoint name when a device gives no other names.
const PLACEHOLDERS: [&str; 3] = ["${endpoint_name}", "${clientid}", "${username}"];

/// The fence's endpoint name.
const FENCE: &str = "fence";

/// The queue mode's awake window where a case waits for its end, seconds.
pub(crate) const SHORT_WINDOW: u64 = 1;

/// How long anything that must come may take. Shorter than the first retransmission need not be: those are known by
/// their message ID.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
