//! Devices that share a topic of commands, as with the settings that EMQX is installed with.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_tests::{Application, Broker, Device, Gateway, MqttVersion, Setup};

#[test]
fn a_topic_that_names_nobody_reaches_the_only_client_there_is_in_strict() -> Result<()> {
    let (gateway, application) = start("strict")?;
    let one = register(&gateway, &application, "one")?;
    // The level behind the fixed part means nothing to EMQX.
    read(&application, "dn/dm", 1)?;
    ensure!(answered(&application)? == 1, "an answer to the first command");
    ensure!(one.requests().drain().len() == 1, "it was asked");

    let two = register(&gateway, &application, "two")?;
    read(&application, "dn/dm", 2)?;
    read(&application, "dn/two", 3)?;
    read(&application, "dn/one/x", 4)?;
    let mut answers = [answered(&application)?, answered(&application)?];
    answers.sort_unstable();
    ensure!(answers == [3, 4], "whom the topic names obeys, and with several nobody else: {answers:?}");
    ensure!(one.requests().drain().len() == 1 && two.requests().drain().len() == 1, "one command each");
    Ok(())
}

#[test]
fn a_topic_that_names_nobody_is_answered_so_in_fixed() -> Result<()> {
    let (gateway, application) = start("fixed")?;
    let one = register(&gateway, &application, "one")?;
    read(&application, "dn/dm", 1)?;
    let answer = application.of_type("read")?;
    let reason = json!("no client dm is registered");
    ensure!(answer["data"]["code"] == "4.04" && answer["data"]["reason"] == reason, "{answer}");
    ensure!(one.requests().drain().is_empty(), "nobody was asked");
    Ok(())
}

fn start(compatibility: &str) -> Result<(Gateway, Application)> {
    let mut setup = Setup::new(Broker::Embedded, compatibility);
    setup.settings["mountpoint"] = json!("");
    setup.settings["auto_observe"] = json!(false);
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
    Ok((gateway, application))
}

fn register(gateway: &Gateway, application: &Application, endpoint: &str) -> Result<Device> {
    let mut device = Device::new(gateway.coap(), endpoint)?;
    device.register()?;
    application.of_type("register")?;
    Ok(device)
}

fn read(application: &Application, topic: &str, id: u32) -> Result<()> {
    application.command(topic, &json!({ "reqID": id, "msgType": "read", "data": { "path": "/3/0/0" } }))
}

/// The `reqID` of the next answer.
fn answered(application: &Application) -> Result<u64> {
    application.of_type("read")?["reqID"].as_u64().context("a number")
}
