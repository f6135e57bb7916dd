//! A device built on Eclipse Leshan, through the gateway and mosquitto. Not part of `make test`: `make interop` builds
//! the device with Maven and runs this.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Gateway, Mosquitto, MqttVersion, Process, Setup, leshan};

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_registered_observed_read_written_executed_and_heard() -> Result<()> {
    let Some(mut stage) = Stage::set("leshan", "fixed")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    let register = stage.application.of_type("register")?;
    ensure!(register["data"]["ep"] == "leshan" && register["data"]["lt"] == 300, "{register}");
    let objects = register["data"]["objectList"].as_array().cloned().unwrap_or_default();
    ensure!(objects.contains(&json!("/3/0")) && objects.contains(&json!("/3303/0")), "{register}");

    // Observed automatically: the Device object and the temperature.
    for path in ["/3/0", "/3303/0"] {
        let observe = stage.response("observe", path)?;
        ensure!(observe["is_auto_observe"] == true && observe["data"]["code"] == "2.05", "{observe}");
    }
    stage.device.tell("notify 31.5")?;
    let notify = stage.response("notify", "/3303/0")?;
    ensure!(value(&notify, "/3303/0/5700") == json!(31.5), "{notify}");

    let read = stage.ask("read", &json!({ "path": "/3/0/0" }))?;
    ensure!(value(&read, "/3/0/0") == json!("Tidegate"), "{read}");
    let read = stage.ask("read", &json!({ "path": "/3/0" }))?;
    ensure!(
        value(&read, "/3/0/1") == json!("Leshan device") && value(&read, "/3/0/9") == json!(87),
        "{read}"
    );

    let write = stage.ask("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+05" }))?;
    ensure!(write["data"]["code"] == "2.04", "{write}");
    stage.device.said(&["written /3/0/14 +05"])?;
    let notify = stage.response("notify", "/3/0")?;
    ensure!(value(&notify, "/3/0/14") == json!("+05"), "{notify}");

    let execute = stage.ask("execute", &json!({ "path": "/3/0/4", "args": "0='now'" }))?;
    ensure!(execute["data"]["code"] == "2.04", "{execute}");
    stage.device.said(&["executed /3/0/4 0='now'"])?;
    let missing = stage.ask("read", &json!({ "path": "/3/0/20" }))?;
    ensure!(missing["data"]["code"] == "4.04", "{missing}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_updates_and_deregisters() -> Result<()> {
    let Some(mut stage) = Stage::set("leshan", "fixed")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.device.tell("update")?;
    stage.device.said(&["updated"])?;
    let update = stage.application.of_type("update")?;
    ensure!(update["data"]["ep"] == "leshan", "{update}");
    stage.device.tell("quit")?;
    stage.device.said(&["deregistered"])?;
    stage.application.of_type("deregister")?;
    let status = stage.device.ended()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

struct Stage {
    device: Process,
    application: Application,
    _gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// None, and a word about it, when the device is not there.
    fn set(endpoint: &str, compatibility: &str) -> Result<Option<Self>> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), compatibility);
        setup.settings["auto_observe"] = json!(true);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let Some(device) = leshan(gateway.coap(), endpoint)? else { return Ok(None) };
        Ok(Some(Self { device, application, _gateway: gateway, _broker: broker }))
    }

    /// Send a command and wait for what becomes of it.
    fn ask(&self, operation: &str, about: &Json) -> Result<Json> {
        let path = about["path"].clone();
        self.application.command("dn/leshan", &json!({ "msgType": operation, "data": about }))?;
        self.response(operation, path.as_str().unwrap_or_default())
    }

    fn response(&self, operation: &str, path: &str) -> Result<Json> {
        let message = self.application.take(&format!("{operation} of {path}"), |message| {
            message.json().is_some_and(|json| {
                json["msgType"] == operation
                    && json["data"]["reqPath"] == path
                    && json["data"]["code"].is_string()
            })
        })?;
        Ok(message.json().unwrap_or_default())
    }
}

/// The value of one path in an answer.
fn value(message: &Json, path: &str) -> Json {
    let content = message["data"]["content"].as_array().into_iter().flatten();
    content.filter(|item| item["path"] == path).map(|item| item["value"].clone()).next().unwrap_or_default()
}
