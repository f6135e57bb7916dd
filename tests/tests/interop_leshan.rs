//! A device built on Eclipse Leshan, through the gateway and mosquitto. Not part of `make test`: `make interop` builds
//! the device with Maven and runs this.

use std::cell::Cell;

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Message, Mosquitto, MqttVersion, Process, Setup, TEST_OBJECT, leshan,
};

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_registered_and_observed_at_once() -> Result<()> {
    let Some(mut stage) = Stage::set(true)? else { return Ok(()) };
    let register = stage.application.of_type("register")?;
    ensure!(register["data"]["ep"] == "leshan" && register["data"]["lt"] == 300, "{register}");
    let objects = register["data"]["objectList"].as_array().cloned().unwrap_or_default();
    for object in ["/3/0", "/3303/0", "/3442/0"] {
        ensure!(objects.contains(&json!(object)), "{register}");
        let observe = stage.unasked("observe", object)?;
        ensure!(observe["is_auto_observe"] == true && observe["data"]["code"] == "2.05", "{observe}");
    }
    stage.device.tell("notify 31.5")?;
    let notify = stage.unasked("notify", "/3303/0")?;
    ensure!(value(&notify["data"]["content"], "/3303/0/5700") == json!(31.5), "{notify}");
    stage.done("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+05" }), "2.04")?;
    stage.device.said(&["written /3/0/14 +05"])?;
    let notify = stage.unasked("notify", "/3/0")?;
    ensure!(value(&notify["data"]["content"], "/3/0/14") == json!("+05"), "{notify}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_read_at_each_level() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let mut all = Vec::new();
    for (id, value) in initial_values() {
        let (single, multiple) = (format!("/3442/0/{id}"), format!("/3442/0/1{id}"));
        let instance = item(&format!("{multiple}/0"), value.clone());
        ensure!(stage.read(&single)? == json!([item(&single, value.clone())]), "{single}");
        ensure!(stage.read(&multiple)? == json!([instance]), "{multiple}");
        ensure!(stage.read(&format!("{multiple}/0"))? == json!([instance]), "{multiple}/0");
        all.extend([item(&single, value), instance]);
    }
    for path in ["/3442/0", "/3442"] {
        let content = stage.read(path)?;
        let got = content.as_array().cloned().unwrap_or_default();
        ensure!(got.len() == all.len() && all.iter().all(|item| got.contains(item)), "{path}: {content}");
    }
    let device = stage.read("/3/0")?;
    for (path, expected) in [("6/0", 1), ("6/1", 5), ("7/1", 5000), ("8/0", 125), ("8/1", -900), ("9", 87)] {
        ensure!(value(&device, &format!("/3/0/{path}")) == expected, "{path}: {device}");
    }
    for path in ["/3/0/20", "/3/1", "/4"] {
        stage.done("read", &json!({ "path": path }), "4.04")?;
    }
    stage.done("read", &json!({ "path": "/3442/0/0" }), "4.05")?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_discovered_at_each_level() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let discover = |path: &str| stage.done("discover", &json!({ "path": path }), "2.05");
    let instance = ["</3303/0>", "</3303/0/5700>", "</3303/0/5701>"];
    ensure!(discover("/3303/0/5700")? == json!(["</3303/0/5700>"]));
    ensure!(discover("/3303/0")? == json!(instance));
    ensure!(discover("/3303")? == json!(["</3303>", instance[0], instance[1], instance[2]]));
    ensure!(discover("/3/0/6")? == json!(["</3/0/6>;dim=2", "</3/0/6/0>", "</3/0/6/1>"]));
    stage.done("discover", &json!({ "path": "/3303/1" }), "4.04")?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_written_resource_by_resource_and_several_at_once() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let values = [
        (110, "String", json!("Gr\u{fc}\u{df}e")),
        (120, "Integer", json!(-9_223_372_036_854_775_808_i64)),
        (130, "Float", json!(-2.5)),
        (140, "Boolean", json!(false)),
        (150, "Opaque", json!("AP//")),
        (160, "Time", json!(4_102_444_800_i64)),
        (170, "Objlnk", json!("65534:256")),
    ];
    for (id, kind, value) in &values {
        let single = format!("/3442/0/{id}");
        stage.done("write", &json!({ "path": single, "type": kind, "value": value }), "2.04")?;
        ensure!(stage.read(&single)? == json!([item(&single, value.clone())]), "{single}");
        // Replaced: the instance 0 that it had is gone.
        let multiple = format!("/3442/0/1{id}");
        let content = [5, 6].map(|at| json!({ "path": at.to_string(), "type": kind, "value": value }));
        stage.done("write", &json!({ "basePath": multiple, "content": content }), "2.04")?;
        let both = [5, 6].map(|at| item(&format!("{multiple}/{at}"), value.clone()));
        ensure!(stage.read(&multiple)? == json!(both), "{multiple}");
    }
    // A partial update leaves the rest.
    let content = json!([
        { "path": "/110", "type": "String", "value": "partly" },
        { "path": "/1120/5", "type": "Integer", "value": 7 },
        { "path": "/1120/8", "type": "Integer", "value": 8 },
    ]);
    stage.done("write", &json!({ "basePath": "/3442/0", "content": content }), "2.04")?;
    let instance = stage.read("/3442/0")?;
    for (path, expected) in [
        ("110", json!("partly")),
        ("1120/5", json!(7)),
        ("1120/6", json!(i64::MIN)),
        ("1120/8", json!(8)),
        ("140", json!(false)),
    ] {
        ensure!(value(&instance, &format!("/3442/0/{path}")) == expected, "{path}: {instance}");
    }
    // One resource instance.
    stage.done("write", &json!({ "path": "/3442/0/1120/8", "type": "Integer", "value": 9 }), "2.04")?;
    ensure!(stage.read("/3442/0/1120/8")? == json!([item("/3442/0/1120/8", 9)]));
    stage.done("write", &json!({ "path": "/3/0/0", "type": "String", "value": "x" }), "4.05")?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_value_of_many_blocks_is_written_to_a_leshan_device_and_read() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let text = "0123456789abcdef".repeat(400);
    stage.done("write", &json!({ "path": "/3442/0/110", "type": "String", "value": text }), "2.04")?;
    ensure!(stage.read("/3442/0/110")? == json!([item("/3442/0/110", text.clone())]));
    stage.done(
        "write",
        &json!({ "path": "/3442/0/110", "type": "String", "value": text.repeat(3) }),
        "4.13",
    )?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn attributes_are_written_to_a_leshan_device_discovered_and_taken_away() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let path = "/3442/0/120";
    for (name, value) in [
        ("pmin", "1"),
        ("pmax", "100"),
        ("epmin", "1"),
        ("epmax", "100"),
        ("gt", "50"),
        ("lt", "10"),
        ("st", "5"),
    ] {
        stage.done("write-attr", &json!({ "path": path, name: value }), "2.04")?;
        let links = stage.done("discover", &json!({ "path": path }), "2.05")?;
        ensure!(links == json!([format!("<{path}>;{name}={value}")]), "{links}");
        stage.done("write-attr", &json!({ "path": path, name: "" }), "2.04")?;
        let links = stage.done("discover", &json!({ "path": path }), "2.05")?;
        ensure!(links == json!([format!("<{path}>")]), "{links}");
    }
    // Leshan has none of this name.
    stage.done("write-attr", &json!({ "path": path, "edge": "1" }), "4.00")?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_executes_with_and_without_arguments() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    stage.done("execute", &json!({ "path": "/3/0/4", "args": "0='now'" }), "2.04")?;
    stage.device.said(&["executed /3/0/4 0='now'"])?;
    stage.done("execute", &json!({ "path": "/3442/0/3", "args": "0='first',5,9='a-b'" }), "2.04")?;
    let arguments = ["first", "", "a-b"].map(Json::from);
    let [first, second, third] = arguments;
    let expected = [item("/3442/0/4/0", first), item("/3442/0/4/5", second), item("/3442/0/4/9", third)];
    ensure!(stage.read("/3442/0/4")? == json!(expected));
    stage.done("execute", &json!({ "path": "/3442/0/0" }), "2.04")?;
    ensure!(stage.read("/3442/0/4")? == json!([]));
    stage.done("execute", &json!({ "path": "/3442/0/110" }), "4.05")?;
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn instances_are_created_in_a_leshan_device_and_deleted() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let content = json!([
        { "path": "7/110", "type": "String", "value": "created" },
        { "path": "7/1120/3", "type": "Integer", "value": 33 },
    ]);
    stage.done("create", &json!({ "basePath": "/3442", "content": content }), "2.01")?;
    ensure!(stage.read("/3442/7/110")? == json!([item("/3442/7/110", "created")]));
    ensure!(stage.read("/3442/7/1120")? == json!([item("/3442/7/1120/3", 33)]));
    let update = stage.application.of_type("update")?;
    let objects = update["data"]["objectList"].as_array().cloned().unwrap_or_default();
    ensure!(objects.contains(&json!("/3442/7")), "{update}");
    // It is there already.
    stage.done("create", &json!({ "basePath": "/3442", "content": content }), "4.00")?;

    stage.done("delete", &json!({ "path": "/3442/7" }), "2.02")?;
    stage.done("read", &json!({ "path": "/3442/7" }), "4.04")?;
    stage.done("delete", &json!({ "path": "/3442/7" }), "4.04")?;

    // Without content the device chooses the id, which the update tells.
    stage.done("create", &json!({ "basePath": "/3442", "content": [] }), "2.01")?;
    ensure!(stage.read("/3442/1/110")? == json!([item("/3442/1/110", "initial value")]));
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_observed_at_each_level_until_that_is_cancelled() -> Result<()> {
    let Some(mut stage) = Stage::set(false)? else { return Ok(()) };
    let text = "/3442/0/1110/0";
    for path in ["/3442/0/1110/0", "/3442/0/1110", "/3442/0", "/3442"] {
        let content = stage.done("observe", &json!({ "path": path }), "2.05")?;
        ensure!(value(&content, text) == "initial value", "{path}: {content}");
        for (at, changed) in ["one", "two"].into_iter().enumerate() {
            stage.done("write", &json!({ "path": text, "type": "String", "value": changed }), "2.04")?;
            let notify = stage.unasked("notify", path)?;
            ensure!(value(&notify["data"]["content"], text) == changed, "{at}: {notify}");
        }
        let content = stage.done("cancel-observe", &json!({ "path": path }), "2.05")?;
        ensure!(value(&content, text) == "two", "{path}: {content}");
        stage.done("execute", &json!({ "path": "/3442/0/0" }), "2.04")?;
    }
    // Nobody hears of the last changes: what is heard next is something else.
    stage.done("observe", &json!({ "path": "/3303/0/5700" }), "2.05")?;
    stage.device.tell("notify 1.5")?;
    stage.unasked("notify", "/3303/0/5700")?;
    let left = stage.application.drain();
    let notified = |message: &&Message| message.json().is_some_and(|json| json["msgType"] == "notify");
    ensure!(left.iter().find(notified).is_none(), "{left:?}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_read_and_written_by_composites() -> Result<()> {
    let Some(stage) = Stage::set(false)? else { return Ok(()) };
    let paths = json!(["/3/0/9", "/3442/0/110", "/3442/0/1120", "/3442/0/1110/0", "/3303/0"]);
    let content = stage.done("read-composite", &json!({ "paths": paths }), "2.05")?;
    for (path, expected) in [
        ("/3/0/9", json!(87)),
        ("/3442/0/110", json!("initial value")),
        ("/3442/0/1120/0", json!(1024)),
        ("/3442/0/1110/0", json!("initial value")),
        ("/3303/0/5700", json!(20.5)),
        ("/3303/0/5701", json!("Cel")),
    ] {
        ensure!(value(&content, path) == expected, "{path}: {content}");
    }
    ensure!(content.as_array().is_some_and(|content| content.len() == 6), "{content}");

    let written = json!([
        { "path": "/3/0/14", "type": "String", "value": "+09" },
        { "path": "/3442/0/120", "type": "Integer", "value": -5 },
        { "path": "/3442/0/130", "type": "Float", "value": 0.5 },
        { "path": "/3442/0/140", "type": "Boolean", "value": false },
        { "path": "/3442/0/150", "type": "Opaque", "value": "AP//" },
        { "path": "/3442/0/160", "type": "Time", "value": 1_700_000_000 },
        { "path": "/3442/0/170", "type": "Objlnk", "value": "5:0" },
        { "path": "/3442/0/1120/4", "type": "Integer", "value": 44 },
    ]);
    stage.done("write-composite", &json!({ "content": written }), "2.04")?;
    stage.device.said(&["written /3/0/14 +09"])?;
    for element in written.as_array().into_iter().flatten() {
        let path = element["path"].as_str().unwrap_or_default();
        ensure!(stage.read(path)? == json!([item(path, element["value"].clone())]), "{path}");
    }
    // All or nothing: the Manufacturer cannot be written.
    let written = json!([
        { "path": "/3442/0/110", "type": "String", "value": "not written" },
        { "path": "/3/0/0", "type": "String", "value": "x" },
    ]);
    stage.done("write-composite", &json!({ "content": written }), "4.05")?;
    ensure!(stage.read("/3442/0/110")? == json!([item("/3442/0/110", "initial value")]));
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_observed_by_a_composite_until_that_is_cancelled() -> Result<()> {
    let Some(mut stage) = Stage::set(false)? else { return Ok(()) };
    let about = json!({ "paths": ["/3303/0/5700", "/3442/0/110"] });
    let content = stage.done("observe-composite", &about, "2.05")?;
    ensure!(value(&content, "/3303/0/5700") == 20.5 && value(&content, "/3442/0/110") == "initial value");
    stage.device.tell("notify 1.5")?;
    let notify = stage.application.of_type("notify")?;
    let content = &notify["data"]["content"];
    ensure!(
        value(content, "/3303/0/5700") == 1.5 && value(content, "/3442/0/110") == "initial value",
        "{notify}"
    );
    stage.done("write", &json!({ "path": "/3442/0/110", "type": "String", "value": "two" }), "2.04")?;
    let notify = stage.application.of_type("notify")?;
    let content = &notify["data"]["content"];
    ensure!(value(content, "/3303/0/5700") == 1.5 && value(content, "/3442/0/110") == "two", "{notify}");
    let content = stage.done("cancel-observe-composite", &about, "2.05")?;
    ensure!(value(&content, "/3442/0/110") == "two", "{content}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn what_a_leshan_device_sends_is_published() -> Result<()> {
    let Some(mut stage) = Stage::set(false)? else { return Ok(()) };
    for format in [110, 112] {
        stage.device.tell(&format!("send {format} /3303/0/5700 /3442/0/110 /3/0/6/1"))?;
        let send = stage.application.of_type("send")?;
        let content = &send["data"]["content"];
        for (path, expected) in
            [("/3303/0/5700", json!(20.5)), ("/3442/0/110", json!("initial value")), ("/3/0/6/1", json!(5))]
        {
            ensure!(value(content, path) == expected, "{send}");
        }
        stage.device.said(&["sent", "CHANGED"])?;
        stage.device.forget();
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_updates_and_deregisters() -> Result<()> {
    let Some(mut stage) = Stage::set(false)? else { return Ok(()) };
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
    asked: Cell<u32>,
    _gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// None, and a word about it, when the device is not there.
    fn set(auto_observe: bool) -> Result<Option<Self>> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.settings["auto_observe"] = json!(auto_observe);
        setup.models = vec![("3442.xml".to_owned(), TEST_OBJECT.to_owned())];
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let Some(device) = leshan(gateway.coap(), "leshan")? else { return Ok(None) };
        device.said(&["registered"])?;
        Ok(Some(Self { device, application, asked: Cell::new(0), _gateway: gateway, _broker: broker }))
    }

    /// Send a command and wait for what becomes of it: `data` of the answer.
    fn ask(&self, operation: &str, data: &Json) -> Result<Json> {
        let id = self.asked.get() + 1;
        self.asked.set(id);
        let command = json!({ "msgType": operation, "reqID": id, "data": data });
        self.application.command("dn/leshan", &command)?;
        let message = self.application.take(&format!("answer to {command}"), |message| {
            message.json().is_some_and(|json| json["reqID"] == id && json["data"]["code"].is_string())
        })?;
        let message = message.json().unwrap_or_default();
        ensure!(message["msgType"] == operation, "{message}");
        Ok(message["data"].clone())
    }

    /// The same, for an operation that the device must have taken: `content` of the answer.
    fn done(&self, operation: &str, data: &Json, code: &str) -> Result<Json> {
        let answer = self.ask(operation, data)?;
        ensure!(answer["code"] == code, "{operation} {data}: {answer}");
        Ok(answer["content"].clone())
    }

    fn read(&self, path: &str) -> Result<Json> {
        self.done("read", &json!({ "path": path }), "2.05")
    }

    /// A message of this type about this path that no command has asked for.
    fn unasked(&self, operation: &str, path: &str) -> Result<Json> {
        let message = self.application.take(&format!("{operation} of {path}"), |message| {
            message.json().is_some_and(|json| json["msgType"] == operation && json["data"]["reqPath"] == path)
        })?;
        Ok(message.json().unwrap_or_default())
    }
}

/// The value of one path in a content.
fn value(content: &Json, path: &str) -> Json {
    let content = content.as_array().into_iter().flatten();
    content.filter(|item| item["path"] == path).map(|item| item["value"].clone()).next().unwrap_or_default()
}

fn item(path: &str, value: impl Into<Json>) -> Json {
    json!({ "path": path, "value": value.into() })
}

/// What the device's test object holds at first.
fn initial_values() -> Vec<(u16, Json)> {
    vec![
        (110, "initial value".into()),
        (120, 1024.into()),
        (125, (1_u64 << 63).into()),
        (130, (314_159.0 / 100_000.0).into()),
        (140, true.into()),
        (150, "ASNFZ4mrze8=".into()),
        (160, 946_684_800.into()),
        (170, "3:0".into()),
        (180, "</3442>".into()),
    ]
}
