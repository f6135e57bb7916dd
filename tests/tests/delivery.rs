//! Nothing is lost, nothing is doubled and nobody else's command is obeyed, whatever the network does.

use anyhow::{Result, ensure};
use coap_lite::{CoapOption, MessageType};
use serde_json::json;
use tidegate_tests::{
    Application, Broker, Device, Gateway, Mosquitto, MqttVersion, Relay, Setup, Value, code_text,
    option_values,
};

#[test]
fn a_notification_sent_twice_is_acknowledged_twice_and_published_once() -> Result<()> {
    let scene = Scene::with_mosquitto()?;
    scene.device.set("/3/0/9", Value::Integer(41))?;
    let notification = scene.device.notify("/3/0", MessageType::Confirmable)?;
    scene.device.acknowledged(&notification)?;
    scene.device.send(&notification)?;
    scene.device.acknowledged(&notification)?;

    scene.device.set("/3/0/9", Value::Integer(42))?;
    scene.device.notify("/3/0", MessageType::NonConfirmable)?;
    let first = scene.application.of_type("notify")?;
    let second = scene.application.of_type("notify")?;
    ensure!(battery(&first) == json!(41) && battery(&second) == json!(42), "{first} {second}");
    Ok(())
}

#[test]
fn a_register_whose_answer_was_lost_gets_the_same_answer_and_is_published_once() -> Result<()> {
    let (_broker, gateway, application) = stage()?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    let registration = device.registration();
    let first = device.ask(&registration)?;
    let second = device.ask(&registration)?;
    ensure!(first == second && code_text(&first) == "2.01", "{first:?} {second:?}");
    ensure!(option_values(&first, CoapOption::LocationPath).len() == 2, "{first:?}");

    // A second, real registration is published behind anything that the duplicate may have caused.
    device.register()?;
    application.of_type("register")?;
    application.of_type("register")?;
    ensure!(device.update(&[])? == "2.04");
    application.of_type("update")?;
    ensure!(application.inbox().count(|message| message.topic == "up/register") == 0);
    Ok(())
}

#[test]
fn what_is_acknowledged_while_the_broker_is_away_is_published_when_it_is_back() -> Result<()> {
    let broker = Mosquitto::start()?;
    let relay = Relay::start(broker.port())?;
    let mut setup = setup(Broker::On(relay.port()));
    // With QoS 0 what is on its way while the connection breaks is lost, as MQTT has it.
    setup.settings["translators"] = json!({ "notify": { "topic": "up/notify", "qos": 1 } });
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    application.of_type("observe")?;

    relay.cut();
    device.set("/3/0/9", Value::Integer(7))?;
    let notification = device.notify("/3/0", MessageType::Confirmable)?;
    device.acknowledged(&notification)?;
    relay.mend();
    let notify = application.of_type("notify")?;
    ensure!(battery(&notify) == json!(7), "{notify}");

    // Commands reach the gateway again as well: it is subscribed.
    application
        .command("dn/sensor", &json!({ "reqID": 1, "msgType": "read", "data": { "path": "/3/0/3" } }))?;
    ensure!(application.of_type("read")?["data"]["content"][0]["value"] == "1.0");
    Ok(())
}

#[test]
fn the_gateway_may_start_before_its_broker() -> Result<()> {
    let broker = Mosquitto::start()?;
    let relay = Relay::start(broker.port())?;
    relay.cut();
    let gateway = Gateway::start(&setup(Broker::On(relay.port())))?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    relay.mend();
    let register = application.of_type("register")?;
    ensure!(register["data"]["ep"] == "sensor", "{register}");
    Ok(())
}

#[test]
fn a_command_is_obeyed_by_the_device_it_names_and_by_no_other() -> Result<()> {
    let (_broker, gateway, application) = stage()?;
    let mut one = Device::new(gateway.coap(), "one")?;
    let mut other = Device::new(gateway.coap(), "other")?;
    one.register()?;
    application.of_type("observe")?;
    other.register()?;
    application.of_type("observe")?;
    one.requests().drain();
    other.requests().drain();

    for (number, endpoint) in [(1, "one"), (2, "other")] {
        let command = json!({ "reqID": number, "msgType": "read", "data": { "path": "/3/0/3" } });
        application.command(&format!("dn/{endpoint}"), &command)?;
        let answer = application.of_type("read")?;
        ensure!(answer["reqID"] == number && answer["ep"] == endpoint, "{answer}");
    }
    for device in [&one, &other] {
        let reads = device.requests().count(|request| request.get_option(CoapOption::Observe).is_none());
        ensure!(reads == 1, "{:?}", device.requests().all());
    }
    Ok(())
}

#[test]
fn malformed_datagrams_end_no_registration() -> Result<()> {
    let scene = Scene::with_mosquitto()?;
    let malformed: [&[u8]; 12] = [
        b"",
        b"\x40",
        b"\x40\x02\x00",
        b"\xff\xff\xff\xff",
        // version 2; token length 9; option delta 15; option longer than the datagram; payload marker without payload
        b"\x80\x02\x00\x01",
        b"\x49\x02\x00\x01123456789",
        b"\x40\x02\x00\x02\xf1x",
        b"\x40\x02\x00\x03\xbdxrd",
        b"\x40\x02\x00\x04\xb2rd\xff",
        // a code of no class; a request as acknowledgement; Register of a lifetime that is no number
        b"\x40\xe1\x00\x05",
        b"\x60\x02\x00\x06\xb2rd",
        b"\x40\x02\x00\x07\xb2rd\x44ep=x\x07lt=many",
    ];
    for datagram in malformed {
        scene.device.send_bytes(datagram)?;
    }
    ensure!(scene.device.update(&[])? == "2.04");
    scene.application.command("dn/sensor", &json!({ "msgType": "read", "data": { "path": "/3/0/3" } }))?;
    ensure!(scene.application.of_type("read")?["data"]["code"] == "2.05");
    Ok(())
}

#[test]
fn values_are_written_and_resources_executed() -> Result<()> {
    let scene = Scene::with_mosquitto()?;
    let value = json!({ "path": "/3/0/14", "type": "String", "value": "+02:00" });
    scene.application.command("dn/sensor", &json!({ "reqID": 1, "msgType": "write", "data": value }))?;
    ensure!(scene.application.of_type("write")?["data"]["code"] == "2.04");
    scene.application.command("dn/sensor", &json!({ "msgType": "read", "data": { "path": "/3/0/14" } }))?;
    ensure!(scene.application.of_type("read")?["data"]["content"][0]["value"] == "+02:00");
    let reboot = json!({ "msgType": "execute", "data": { "path": "/3/0/4", "args": "0" } });
    scene.application.command("dn/sensor", &reboot)?;
    ensure!(scene.application.of_type("execute")?["data"]["code"] == "2.04");
    let executed = scene.device.requests().take("execute", |request| code_text(request) == "0.02")?;
    ensure!(executed.payload == b"0", "{executed:?}");
    Ok(())
}

#[test]
fn deregistering_ends_it_for_both_sides() -> Result<()> {
    let mut scene = Scene::with_mosquitto()?;
    ensure!(scene.device.deregister()? == "2.02");
    let deregister = scene.application.of_type("deregister")?;
    ensure!(deregister["data"]["ep"] == "sensor" || deregister["ep"] == "sensor", "{deregister}");
    scene.application.command("dn/sensor", &json!({ "msgType": "read", "data": { "path": "/3/0/3" } }))?;
    let answer = scene.application.of_type("read")?;
    ensure!(answer["data"]["code"].as_str().is_some_and(|code| code != "2.05"), "{answer}");
    Ok(())
}

/// A registered device whose Device object is observed.
struct Scene {
    device: Device,
    application: Application,
    _gateway: Gateway,
    _broker: Mosquitto,
}

impl Scene {
    fn with_mosquitto() -> Result<Self> {
        let (broker, gateway, application) = stage()?;
        let mut device = Device::new(gateway.coap(), "sensor")?;
        device.register()?;
        application.of_type("observe")?;
        Ok(Self { device, application, _gateway: gateway, _broker: broker })
    }
}

fn stage() -> Result<(Mosquitto, Gateway, Application)> {
    let broker = Mosquitto::start()?;
    let gateway = Gateway::start(&setup(Broker::On(broker.port())))?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    Ok((broker, gateway, application))
}

fn setup(broker: Broker) -> Setup {
    let mut setup = Setup::new(broker, "fixed");
    setup.settings["auto_observe"] = json!(true);
    setup
}

/// The battery level in a message about /3/0.
fn battery(message: &serde_json::Value) -> serde_json::Value {
    let content = message["data"]["content"].as_array().into_iter().flatten();
    content
        .filter(|item| item["path"] == "/3/0/9")
        .map(|item| item["value"].clone())
        .next()
        .unwrap_or_default()
}
