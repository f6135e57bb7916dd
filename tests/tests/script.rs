//! Scripts of plugins/javascript/examples in the real gateway.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::json;
use tidegate_tests::{Application, Broker, Device, Gateway, MqttVersion, Process, Setup, Value, tidegate};

#[test]
fn a_script_publishes_what_is_notified_and_writes_what_is_sent_to_it() -> Result<()> {
    let (gateway, application) = start("thermometer")?;
    let mut device = Device::new(gateway.coap(), "cellar")?;
    device.set("/3303/0/5700", Value::Float(19.5))?;
    device.set("/3308/0/5900", Value::Float(0.0))?;
    let mut registration = device.registration();
    registration.payload = b"</3303/0>,</3308/0>".to_vec();
    device.register_with(&registration)?;
    let celsius = |value: f64| {
        application.take("a temperature", |message| {
            message.topic == "thermometer/cellar/celsius"
                && message.json().is_some_and(|json| json["celsius"] == value)
        })
    };
    celsius(19.5).context("the answer to the observe request")?;
    device.set("/3303/0/5700", Value::Float(21.25))?;
    device.notify("/3303/0/5700", MessageType::Confirmable)?;
    let message = celsius(21.25)?;
    ensure!(message.json().is_some_and(|json| json["at"].is_string()), "{message:?}");

    application.command("thermometer/cellar/set", &json!({ "celsius": 23 }))?;
    let written = device.requests().take("the write", |request| {
        request.payload.windows(4).any(|bytes| bytes == 23_f32.to_be_bytes())
            || request.payload.windows(2).any(|bytes| bytes == b"23")
            || request.payload.windows(8).any(|bytes| bytes == 23_f64.to_be_bytes())
    });
    written.map(|_| ())
}

#[test]
fn the_examples_pass_the_check() -> Result<()> {
    for name in ["thermometer.js", "vendor.js"] {
        let mut process = Process::start(tidegate()?.args(["plugin", "check"]).arg(examples().join(name)))?;
        let status = process.ended()?;
        ensure!(status.success(), "{name}: {status} {}", process.everything());
    }
    Ok(())
}

#[test]
fn a_script_with_a_mistake_is_refused_with_line_and_column() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("broken.js");
    std::fs::write(&file, "function uplink(event) {\n  return [;\n}\n")?;
    let mut process = Process::start(tidegate()?.args(["plugin", "check"]).arg(&file))?;
    let status = process.ended()?;
    let said = process.everything();
    ensure!(status.code() == Some(1) && said.contains("broken.js:2:11: SyntaxError"), "{status} {said}");
    Ok(())
}

/// A gateway that has nothing but this example.
fn start(name: &str) -> Result<(Gateway, Application)> {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    for extension in ["js", "toml"] {
        let file = examples().join(name).with_extension(extension);
        if file.exists() {
            setup.files.push((format!("{name}.{extension}"), std::fs::read_to_string(file)?));
        }
    }
    setup.translators = json!([{ "name": name, "artifact": format!("{name}.js") }]);
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
    Ok((gateway, application))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/javascript/examples")
}
