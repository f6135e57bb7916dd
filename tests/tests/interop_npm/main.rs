//! The LwM2M 1.0 clients of npm, through the gateway and mosquitto. Not part of `make test`: `make interop` installs
//! them and runs this.

mod node_lib;
mod node_red;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Mosquitto, MqttVersion, Process, Setup, installed, skipped,
};

/// A gateway, a broker, an application and a client made of an npm package.
struct Stage {
    device: Process,
    application: Application,
    commands: u32,
    gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// Everything but the client that `start` starts, told the gateway's port.
    fn set(
        compatibility: &str,
        auto_observe: Json,
        start: impl FnOnce(&str) -> Result<Process>,
    ) -> Result<Self> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), compatibility);
        setup.settings["auto_observe"] = auto_observe;
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let device = start(&gateway.coap().port().to_string())?;
        Ok(Self { device, application, commands: 0, gateway, _broker: broker })
    }

    /// Publish a command; its reqID.
    fn command(&mut self, operation: &str, data: &Json) -> Result<u32> {
        self.commands += 1;
        let command = json!({ "reqID": self.commands, "msgType": operation, "data": data });
        self.application.command(&format!("dn/{ENDPOINT}"), &command)?;
        Ok(self.commands)
    }

    /// The message of this type that has this reqID.
    fn message(&self, message_type: &str, id: u32) -> Result<Json> {
        let message = self.application.take(&format!("{message_type} with reqID {id}"), |message| {
            message.json().is_some_and(|json| json["msgType"] == message_type && json["reqID"] == id)
        })?;
        Ok(message.json().unwrap_or_default())
    }

    /// The `data` of the answer to a command.
    fn ask(&mut self, operation: &str, data: &Json) -> Result<Json> {
        let id = self.command(operation, data)?;
        Ok(self.message(operation, id)?["data"].clone())
    }

    /// Ask something about a path; the answer must have this code.
    fn refused(&mut self, operation: &str, path: &str, code: &str) -> Result<()> {
        let answer = self.ask(operation, &json!({ "path": path }))?;
        ensure!(answer["code"] == code && answer["reqPath"] == path, "{operation} {path}: {answer}");
        ensure!(answer["content"].is_null(), "{answer}");
        Ok(())
    }

    /// The values that a read of a path has, by their paths.
    fn read(&mut self, path: &str) -> Result<Json> {
        values(&self.ask("read", &json!({ "path": path }))?)
    }

    /// Do something that must succeed with this code and no content.
    fn done(&mut self, operation: &str, data: &Json, code: &str) -> Result<()> {
        let answer = self.ask(operation, data)?;
        ensure!(answer["code"] == code && answer["content"].is_null(), "{operation} {data}: {answer}");
        Ok(())
    }

    /// The links that a Discover has.
    fn discover(&mut self, path: &str) -> Result<Json> {
        let answer = self.ask("discover", &json!({ "path": path }))?;
        ensure!(answer["code"] == "2.05", "{answer}");
        Ok(answer["content"].clone())
    }

    /// The next notification of the observation that a command began: its `seqNum` and its values.
    fn notification(&self, id: u32) -> Result<(Json, Json)> {
        let message = self.message("notify", id)?;
        Ok((message["seqNum"].clone(), values(&message["data"])?))
    }

    /// The client deregisters and ends.
    fn quit(&mut self) -> Result<()> {
        self.device.tell("quit")?;
        let status = self.device.ended()?;
        ensure!(status.success(), "{status}: {}", self.device.everything());
        Ok(())
    }
}

/// The values of a 2.05, by their paths.
fn values(data: &Json) -> Result<Json> {
    ensure!(data["code"] == "2.05", "{data}");
    let items = data["content"].as_array().into_iter().flatten();
    Ok(items
        .map(|item| (item["path"].as_str().unwrap_or_default().to_owned(), item["value"].clone()))
        .collect())
}

/// A command that runs a script of this folder with what is installed of a package. None, and a word about it, when
/// that is nothing.
fn node(script: &str, package: &str) -> Option<Command> {
    let Some(folder) = installed(&format!("npm-{package}")) else {
        skipped(&format!(
            "{package} is not installed; `make interop` does it where its registry can be reached"
        ));
        return None;
    };
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("npm");
    let mut node = Command::new("node");
    node.arg(scripts.join(script)).arg(folder);
    Some(node)
}

const ENDPOINT: &str = "npm";
