//! A device built on the CoAP library aiocoap, through the gateway and mosquitto: block-wise both ways, separate
//! responses, confirmable notifications. Not part of `make test`: `make interop` installs aiocoap and runs this.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Gateway, Mosquitto, MqttVersion, Process, Setup, skipped};

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_register_in_small_blocks_is_put_together() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    stage.device.said(&["registered 2.01"])?;
    let register = stage.application.of_type("register")?;
    let objects = register["data"]["objectList"].as_array().cloned().unwrap_or_default();
    ensure!(objects.len() == 13 && objects.last() == Some(&json!("/31024/9")), "{register}");
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn piggybacked_separate_and_block_wise_responses_are_read() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("read", "/3/0/0")?;
    ensure!(stage.value("read", "/3/0/0")? == json!("Tidegate"));

    stage.command("read", "/3/0/1")?;
    stage.device.said(&["asked /3/0/1"])?;
    // The empty acknowledgement shows that the response will be a separate one.
    stage.application.of_type("ack")?;
    stage.device.tell("answer")?;
    ensure!(stage.value("read", "/3/0/1")? == json!("Slow device"));

    stage.command("read", "/3/0/2")?;
    ensure!(stage.value("read", "/3/0/2")? == json!("0123456789".repeat(300)));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn confirmable_notifications_are_published_until_the_observation_is_cancelled() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/3303/0/5700")?;
    ensure!(stage.value("observe", "/3303/0/5700")? == json!(20.5));
    stage.device.said(&["observers 1"])?;
    for value in ["21.5", "22.25"] {
        stage.device.tell(&format!("notify {value}"))?;
        ensure!(stage.value("notify", "/3303/0/5700")?.to_string() == value);
    }
    stage.command("cancel-observe", "/3303/0/5700")?;
    stage.value("cancel-observe", "/3303/0/5700")?;
    stage.device.said(&["observers 0"])?;

    stage.device.tell("quit")?;
    stage.device.said(&["deregistered 2.02"])?;
    stage.application.of_type("deregister")?;
    Ok(())
}

struct Stage {
    device: Process,
    application: Application,
    _gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// None, and a word about it, when aiocoap is not there.
    fn set() -> Result<Option<Self>> {
        let Some(python) = python() else {
            skipped("aiocoap is not installed; `make interop` does it where its registry can be reached");
            return Ok(None);
        };
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.settings["auto_observe"] = json!(false);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("aiocoap/device.py");
        let port = gateway.coap().port().to_string();
        let device = Process::start(Command::new(python).arg(program).args([&port, ENDPOINT]))?;
        Ok(Some(Self { device, application, _gateway: gateway, _broker: broker }))
    }

    fn command(&self, operation: &str, path: &str) -> Result<()> {
        let command = json!({ "msgType": operation, "data": { "path": path } });
        self.application.command(&format!("dn/{ENDPOINT}"), &command)
    }

    /// The value in the message of this type about this path.
    fn value(&self, operation: &str, path: &str) -> Result<Json> {
        let message = self.application.take(&format!("{operation} of {path}"), |message| {
            message.json().is_some_and(|json| json["msgType"] == operation && json["data"]["reqPath"] == path)
        })?;
        Ok(message.json().map(|json| json["data"]["content"][0]["value"].clone()).unwrap_or_default())
    }
}

/// The Python that `scripts/setup interop` has prepared.
fn python() -> Option<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, home) => PathBuf::from(home?).join(".cache"),
    };
    let environments = std::fs::read_dir(cache.join("tidegate")).ok()?.filter_map(Result::ok);
    let ready = environments.map(|entry| entry.path()).filter(|path| {
        path.join("ready").exists()
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("aiocoap"))
    });
    ready.max().map(|path| path.join("bin/python"))
}

const ENDPOINT: &str = "aiocoap";
