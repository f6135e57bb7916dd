//! The gateway, its broker, an application and a device.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Message, Mosquitto, MqttVersion, Process, Setup, skipped,
};

pub(crate) struct Stage {
    pub(crate) device: Process,
    pub(crate) application: Application,
    _gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// None, and a word about it, when aiocoap is not there.
    pub(crate) fn set(program: &str) -> Result<Option<Self>> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.settings["auto_observe"] = json!(false);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let Some(device) = device(program, gateway.coap())? else { return Ok(None) };
        Ok(Some(Self { device, application, _gateway: gateway, _broker: broker }))
    }

    pub(crate) fn command(&self, operation: &str, path: &str) -> Result<()> {
        self.command_with(operation, &json!({ "path": path }))
    }

    pub(crate) fn command_with(&self, operation: &str, data: &Json) -> Result<()> {
        let command = json!({ "msgType": operation, "data": data });
        self.application.command(&format!("dn/{ENDPOINT}"), &command)
    }

    /// `data` of the message of this type about this path.
    pub(crate) fn data(&self, operation: &str, path: &str) -> Result<Json> {
        let message = self.application.take(&format!("{operation} of {path}"), |message| {
            message.json().is_some_and(|json| {
                json["msgType"] == operation
                    && json["data"]["reqPath"] == path
                    && json["data"]["code"].is_string()
            })
        })?;
        Ok(message.json().map(|json| json["data"].clone()).unwrap_or_default())
    }

    /// The value in it.
    pub(crate) fn value(&self, operation: &str, path: &str) -> Result<Json> {
        Ok(self.data(operation, path)?["content"][0]["value"].clone())
    }

    /// Send a command and wait for the value, or the code, in its answer.
    pub(crate) fn read(&self, path: &str) -> Result<Json> {
        self.command("read", path)?;
        let data = self.data("read", path)?;
        ensure!(data["code"] == "2.05", "{data}");
        Ok(data["content"][0]["value"].clone())
    }

    /// Write the text of [`numbers`] and wait for the code of the answer.
    pub(crate) fn write(&self, path: &str, length: usize) -> Result<Json> {
        self.command_with("write", &json!({ "path": path, "type": "String", "value": numbers(length) }))?;
        Ok(self.data("write", path)?["code"].clone())
    }

    /// Let the device answer its next request in this manner (raw.py).
    pub(crate) fn answering(&mut self, manner: &str) -> Result<()> {
        self.device.tell(&format!("answer {manner}"))?;
        self.device.said(&[&format!("will answer {manner}")])?;
        Ok(())
    }

    /// Wait until the device has said this so many times; it must not have said it more often.
    pub(crate) fn said_just(&self, parts: &[&str], times: usize) -> Result<()> {
        self.device.said_times(parts, times)?;
        let said = self.device.times_said(parts);
        ensure!(said == times, "{parts:?} was said {said} times");
        Ok(())
    }

    /// No message of this type has come and is left.
    pub(crate) fn none_left(&self, operation: &str) -> Result<()> {
        let left = self.application.drain();
        let is_meant = |message: &Message| message.json().is_some_and(|json| json["msgType"] == operation);
        ensure!(!left.iter().any(is_meant), "{left:#?}");
        Ok(())
    }
}

/// Start a device. None, and a word about it, when aiocoap is not there.
pub(crate) fn device(program: &str, server: SocketAddr) -> Result<Option<Process>> {
    let Some(python) = python() else {
        skipped("aiocoap is not installed; `make interop` does it where its registry can be reached");
        return Ok(None);
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("aiocoap").join(program);
    let mut command = Command::new(python);
    command.arg(program).args([&server.port().to_string(), ENDPOINT]);
    Ok(Some(Process::start(&mut command)?))
}

/// A text in which no two blocks are alike, as the device has it.
pub(crate) fn numbers(length: usize) -> String {
    let mut text: String = (0..=length / 5).map(|number| format!("{number:05}")).collect();
    text.truncate(length);
    text
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

pub(crate) const ENDPOINT: &str = "aiocoap";
