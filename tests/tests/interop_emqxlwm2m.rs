//! An application written for EMQX, PyPI's emqxlwm2m, through the gateway and mosquitto with the topics that it
//! expects: it does its operations, and what its own objects say is looked at. Not part of `make test`: `make interop`
//! installs it and runs this.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use coap_lite::{CoapOption, MessageType, Packet};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Device, Gateway, Mosquitto, MqttVersion, Process, Setup, Value, free_port,
    installed, option_values, skipped,
};

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn registrations_and_updates_are_read() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(stage) = Stage::set(compatibility)? else { return Ok(()) };
        let device = stage.device()?;
        let registration = stage.driver.event(&["Registration"])?;
        let objects = json!([
            "/1",
            "/1/0",
            "/2/0",
            "/3/0",
            "/4/0",
            "/5/0",
            "/6/0",
            "/7/0",
            "/31024",
            "/31024/10",
            "/31024/11",
            "/31024/12"
        ]);
        let expected = json!({
            "event": "Registration", "lifetime": 300, "version": "1.1", "binding": "U", "alternate": "/",
            "objects": objects,
        });
        ensure!(registration == expected, "{registration}");

        // An Update without a list: the whole registration is published, with what has changed.
        ensure!(device.update(&["lt=60"])? == "2.04");
        let update = stage.driver.event(&["Update"])?;
        let expected = json!({
            "event": "Update", "lifetime": 60, "version": "1.1", "binding": "U", "alternate": "/",
            "objects": objects,
        });
        ensure!(update == expected, "{update}");
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn values_are_read_and_written_one_and_many() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = Stage::set(compatibility)? else { return Ok(()) };
        let device = stage.device()?;
        let read = stage.ask("read", &json!(["/3/0/0"]))?;
        ensure!(
            read == content("ReadResponse", "/3/0/0", &json!({ "/3/0/0": "Open Mobile Alliance" })),
            "{read}"
        );
        // emqxlwm2m's class for the object Device, by its own definition.
        let read = stage.ask("read_device", &json!(["battery_level"]))?;
        ensure!(read == content("ReadResponse", "/3/0/9", &json!({ "/3/0/9": 100 })), "{read}");
        let resources = json!({
            "/3/0/0": "Open Mobile Alliance", "/3/0/1": "Lightweight M2M Client", "/3/0/2": "345000123",
            "/3/0/3": "1.0", "/3/0/9": 100, "/3/0/14": "+01:00", "/3/0/16": "U",
        });
        for path in ["/3/0", "/3"] {
            let read = stage.ask("read", &json!([path]))?;
            ensure!(read == content("ReadResponse", path, &resources), "{read}");
        }
        let read = stage.ask("read", &json!(["/3/0/7"]))?;
        let missing = json!({
            "class": "ReadResponse", "code": "4.04", "path": "/3/0/7", "data": {}, "refused": true,
        });
        ensure!(read == missing, "{read}");

        let write = stage.ask("write", &json!(["/3/0/14", "+02:00"]))?;
        ensure!(write == done("WriteResponse", "2.04", "/3/0/14"), "{write}");
        ensure!(device.get("/3/0/14") == Some(Value::Text("+02:00".to_owned())));
        let write = stage.ask("write", &json!(["/1/0/6", true]))?;
        ensure!(write == done("WriteResponse", "2.04", "/1/0/6"), "{write}");
        ensure!(device.get("/1/0/6") == Some(Value::Boolean(true)));

        // Several in one: the base path of emqxlwm2m has no slash in front and one behind.
        let write = stage.ask("write", &json!(["/1/0", { "1": 600, "6": false, "7": "UQ" }]))?;
        ensure!(write == done("WriteResponse", "2.04", "1/0/"), "{write}");
        let written = ["/1/0/1", "/1/0/6", "/1/0/7"].map(|path| device.get(path));
        let expected = [Value::Integer(600), Value::Boolean(false), Value::Text("UQ".to_owned())];
        ensure!(written == expected.map(Some), "{written:?}");
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn attributes_are_written_and_discovered() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = Stage::set(compatibility)? else { return Ok(()) };
        let _device = stage.device()?;
        // The other attributes are null in the command.
        let written = stage.ask("write_attributes", &json!(["/3/0/9", "[5,60]20.5:1.5:80.0"]))?;
        ensure!(written == done("WriteAttrResponse", "2.04", "/3/0/9"), "{written}");
        let discovered = stage.ask("discover", &json!(["/3/0"]))?;
        let none = json!({});
        let links = json!({
            "/3/0": none, "/3/0/0": none, "/3/0/1": none, "/3/0/2": none, "/3/0/3": none,
            "/3/0/9": { "pmin": 5, "pmax": 60, "lt": 20.5, "st": 1.5, "gt": 80 },
            "/3/0/14": none, "/3/0/16": none,
        });
        ensure!(discovered == content("DiscoverResponse", "/3/0", &links), "{discovered}");

        let written = stage.ask("write_attributes", &json!(["/3/0/9", "[10,]"]))?;
        ensure!(written == done("WriteAttrResponse", "2.04", "/3/0/9"), "{written}");
        let discovered = stage.ask("discover", &json!(["/3/0/9"]))?;
        let links = json!({ "/3/0/9": { "pmin": 10 } });
        ensure!(discovered == content("DiscoverResponse", "/3/0/9", &links), "{discovered}");
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn instances_are_created_and_deleted_and_resources_executed() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = Stage::set(compatibility)? else { return Ok(()) };
        let device = stage.device()?;
        // The paths of the elements have a slash in front: /13/1.
        let created = stage.ask("create", &json!(["/31024/13", { "1": 21, "3": 22.5 }]))?;
        ensure!(created == done("CreateResponse", "2.01", "/31024"), "{created}");
        let values = ["/31024/13/1", "/31024/13/3"].map(|path| device.get(path));
        ensure!(values == [Some(Value::Integer(21)), Some(Value::Float(22.5))], "{values:?}");
        let deleted = stage.ask("delete", &json!(["/31024/13"]))?;
        ensure!(deleted == done("DeleteResponse", "2.02", "/31024/13"), "{deleted}");
        ensure!(device.get("/31024/13/1").is_none());

        let executed = stage.ask("execute", &json!(["/3/0/4", "0='now'"]))?;
        ensure!(executed == done("ExecuteResponse", "2.04", "/3/0/4"), "{executed}");
        let request = device.requests().take("Execute", |request| is_post(request, &["3", "0", "4"]))?;
        ensure!(request.payload == b"0='now'", "{request:?}");
        let executed = stage.ask("execute", &json!(["/3/0/5"]))?;
        ensure!(executed == done("ExecuteResponse", "2.04", "/3/0/5"), "{executed}");
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn an_update_is_triggered_and_a_reboot_waited_for() -> Result<()> {
    let Some(mut stage) = Stage::set("strict")? else { return Ok(()) };
    let mut device = stage.device()?;
    stage.driver.tell("trigger_update", &json!([]))?;
    device.requests().take("Update trigger", |request| is_post(request, &["1", "0", "8"]))?;
    ensure!(device.update(&[])? == "2.04");
    let update = stage.driver.answer()?;
    ensure!(update["event"] == "Update" && update["lifetime"] == 300, "{update}");

    stage.driver.tell("reboot", &json!([]))?;
    device.requests().take("Reboot", |request| is_post(request, &["3", "0", "4"]))?;
    device.register()?;
    ensure!(stage.driver.answer()?["class"] == "reboot");
    stage.nothing_was_unreadable()
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn resources_are_observed_until_they_are_cancelled() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = Stage::set(compatibility)? else { return Ok(()) };
        let device = stage.device()?;
        let seen = |value: i64| match compatibility {
            // The device notifies in SenML JSON; EMQX cannot read that and passes it on in base64.
            "strict" => {
                json!(BASE64_STANDARD.encode(format!(r#"[{{"bn":"/3/0/9","v":{value}}}]"#)))
            }
            _ => json!(value),
        };
        let observed = stage.ask("observe", &json!(["/3/0/9"]))?;
        let expected = content("ObserveResponse", "/3/0/9", &json!({ "/3/0/9": seen(100) }));
        ensure!(observed == expected, "{observed}");

        for (number, level) in [(1, 41), (2, 40)] {
            device.set("/3/0/9", Value::Integer(level))?;
            let kind = if number == 1 { MessageType::Confirmable } else { MessageType::NonConfirmable };
            device.notify("/3/0/9", kind)?;
            let count = format!("\"number\": {number}");
            let notified = stage.driver.event(&["Notification", &count, "observation"])?;
            let expected = json!({
                "event": "Notification", "class": "Notification", "code": "2.05", "path": "/3/0/9",
                "data": { "/3/0/9": seen(level) }, "number": number, "observation": "/3/0/9",
            });
            ensure!(notified == expected, "{notified}");
        }
        let cancelled = stage.ask("cancel", &json!(["/3/0/9"]))?;
        ensure!(
            cancelled["class"] == "CancelObserveResponse"
                && cancelled["code"] == "2.05"
                && cancelled["path"] == "/3/0/9",
            "{cancelled}"
        );
        ensure!(device.notify("/3/0/9", MessageType::Confirmable).is_err());
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m: make interop"]
fn what_it_does_not_know_does_not_stop_it() -> Result<()> {
    let Some(mut stage) = Stage::set("fixed")? else { return Ok(()) };
    let mut device = stage.device()?;
    stage.driver.event(&["Registration"])?;
    // EMQX says nothing when a client leaves; `fixed` does, with a message type that emqxlwm2m cannot read.
    ensure!(device.deregister()? == "2.02");
    stage.wiretap.of_type("deregister")?;
    device.register()?;
    let read = stage.ask("read", &json!(["/3/0/3"]))?;
    ensure!(read == content("ReadResponse", "/3/0/3", &json!({ "/3/0/3": "1.0" })), "{read}");
    ensure!(stage.driver.process.times_said(&["ERROR"]) == 1, "{}", stage.driver.process.everything());
    Ok(())
}

#[test]
#[ignore = "needs emqxlwm2m and node-red-contrib-lwm2m: make interop"]
fn it_operates_a_client_that_is_not_simulated() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = Stage::set(compatibility)? else { return Ok(()) };
        let Some(package) = installed("npm-node-red-contrib-lwm2m") else {
            skipped("node-red-contrib-lwm2m is not installed; `make interop` does it");
            return Ok(());
        };
        let mut node = Command::new("node");
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("npm/node_red.js")).arg(package);
        let ports = [stage.gateway.coap().port(), free_port()?].map(|port| port.to_string());
        let mut device = Process::start(node.args(ports).arg(ENDPOINT))?;
        device.said(&["state ready"])?;
        let registration = stage.driver.event(&["Registration"])?;
        let objects = json!(["/1/0", "/2/0", "/3/0", "/3303/0", "/31024/0", "/31024/0"]);
        ensure!(registration["version"] == "1.0" && registration["objects"] == objects, "{registration}");

        let read = stage.ask("read_device", &json!(["battery_level"]))?;
        ensure!(read == content("ReadResponse", "/3/0/9", &json!({ "/3/0/9": 87 })), "{read}");
        let write = stage.ask("write", &json!(["/3/0", { "14": "+02", "15": "Europe/Oslo" }]))?;
        ensure!(write == done("WriteResponse", "2.04", "3/0/"), "{write}");
        device.said(&["updated /3/0/14 \"+02\""])?;
        device.said(&["updated /3/0/15 \"Europe/Oslo\""])?;

        let observed = stage.ask("observe", &json!(["/3/0/14"]))?;
        let expected = content("ObserveResponse", "/3/0/14", &json!({ "/3/0/14": "+02" }));
        ensure!(observed == expected, "{observed}");
        // It looks for changes now and then, and finds the Write above. What changes while it does so it may take for
        // something else, so one after the other.
        stage.driver.event(&["Notification", "observation", "+02"])?;
        device.tell("set /3/0/14 \"+03\"")?;
        let notified = stage.driver.event(&["Notification", "observation", "+03"])?;
        ensure!(notified["data"] == json!({ "/3/0/14": "+03" }), "{notified}");
        let cancelled = stage.ask("cancel", &json!(["/3/0/14"]))?;
        let expected = content("CancelObserveResponse", "/3/0/14", &json!({ "/3/0/14": "+03" }));
        ensure!(cancelled == expected, "{cancelled}");

        let created = stage.ask("create", &json!(["/31024/5", { "0": true, "1": 7 }]))?;
        ensure!(created == done("CreateResponse", "2.01", "/31024"), "{created}");
        device.said(&["created /31024/5/1 7"])?;
        let update = stage.driver.event(&["Update", "/31024/5"])?;
        ensure!(update["lifetime"] == 300 && update["alternate"] == "/", "{update}");
        let deleted = stage.ask("delete", &json!(["/31024/5"]))?;
        ensure!(deleted == done("DeleteResponse", "2.02", "/31024/5"), "{deleted}");

        let executed = stage.ask("execute", &json!(["/3/0/4", "0='now'"]))?;
        ensure!(executed == done("ExecuteResponse", "2.04", "/3/0/4"), "{executed}");
        device.said(&["executed /3/0/4 0='now'"])?;
        stage.nothing_was_unreadable()?;
    }
    Ok(())
}

struct Stage {
    driver: Driver,
    /// Sees what emqxlwm2m sees.
    wiretap: Application,
    gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// A gateway with the topics that emqxlwm2m expects, and emqxlwm2m. None, and a word about it, when that is not
    /// there.
    fn set(compatibility: &str) -> Result<Option<Self>> {
        let Some(environment) = installed("emqxlwm2m") else {
            skipped("emqxlwm2m is not installed; `make interop` does it where its registry can be reached");
            return Ok(None);
        };
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), compatibility);
        setup.settings["mountpoint"] = json!("lwm2m/${endpoint_name}/");
        setup.settings["auto_observe"] = json!(false);
        setup.settings["translators"] = json!({
            "register": { "topic": "up/resp" }, "update": { "topic": "up/resp" },
        });
        let gateway = Gateway::start(&setup)?;
        let wiretap = Application::connect(broker.port(), MqttVersion::V4)?;
        let mut python = Command::new(environment.join("bin/python"));
        python
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("emqxlwm2m/driver.py"))
            .args([&broker.port().to_string(), ENDPOINT]);
        let driver = Driver { process: Process::start(&mut python)?, lines: 0 };
        driver.event(&["subscribed"])?;
        Ok(Some(Self { driver, wiretap, gateway, _broker: broker }))
    }

    /// A simulated client that has registered.
    fn device(&self) -> Result<Device> {
        let mut device = Device::new(self.gateway.coap(), ENDPOINT)?;
        device.register()?;
        Ok(device)
    }

    /// Have emqxlwm2m do something; what its objects say about the outcome.
    fn ask(&mut self, word: &str, arguments: &Json) -> Result<Json> {
        self.driver.tell(word, arguments)?;
        self.driver.answer()
    }

    /// emqxlwm2m logs an error for a message that it cannot read.
    fn nothing_was_unreadable(&self) -> Result<()> {
        ensure!(self.driver.process.times_said(&["ERROR"]) == 0, "{}", self.driver.process.everything());
        Ok(())
    }
}

struct Driver {
    process: Process,
    /// How many lines it has been told.
    lines: u32,
}

impl Driver {
    fn tell(&mut self, word: &str, arguments: &Json) -> Result<()> {
        self.lines += 1;
        self.process.tell(&format!("{} {word} {arguments}", self.lines))
    }

    /// What it says to the last line that it was told.
    fn answer(&self) -> Result<Json> {
        let line = self.process.said(&[&format!("{{\"number of line\": {}, ", self.lines)])?;
        let mut said: Json = serde_json::from_str(&line)?;
        said.as_object_mut().context("an object")?.remove("number of line");
        Ok(said)
    }

    /// The first event that has all of this in it.
    fn event(&self, parts: &[&str]) -> Result<Json> {
        Ok(serde_json::from_str(&self.process.said(&[&["{\"event\": "], parts].concat())?)?)
    }
}

fn content(class: &str, path: &str, data: &Json) -> Json {
    json!({ "class": class, "code": "2.05", "path": path, "data": data })
}

fn done(class: &str, code: &str, path: &str) -> Json {
    json!({ "class": class, "code": code, "path": path })
}

fn is_post(request: &Packet, path: &[&str]) -> bool {
    u8::from(request.header.code) == 2
        && option_values(request, CoapOption::UriPath)
            .iter()
            .map(Vec::as_slice)
            .eq(path.iter().map(|part| part.as_bytes()))
}

const ENDPOINT: &str = "meter";
