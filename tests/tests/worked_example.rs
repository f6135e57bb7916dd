//! The worked example of the documentation: the Wakaama example client registers, is observed, and is read, with its
//! recorded bytes, against mosquitto and against the embedded broker, in MQTT 5 and 3.1.1.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use coap_lite::{CoapOption, Packet};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Mosquitto, MqttVersion, Peer, Setup, acknowledgement, code_text,
    option_uint, option_values,
};

#[test]
fn strict_with_mosquitto() -> Result<()> {
    let broker = Mosquitto::start()?;
    tell_strictly(Broker::On(broker.port()), MqttVersion::V5)
}

#[test]
fn strict_with_mosquitto_over_mqtt_3_1_1() -> Result<()> {
    let broker = Mosquitto::start()?;
    tell_strictly(Broker::On(broker.port()), MqttVersion::V4)
}

#[test]
fn strict_with_the_embedded_broker() -> Result<()> {
    tell_strictly(Broker::Embedded, MqttVersion::V5)
}

#[test]
fn strict_with_the_embedded_broker_over_mqtt_3_1_1() -> Result<()> {
    tell_strictly(Broker::Embedded, MqttVersion::V4)
}

#[test]
fn fixed_with_mosquitto() -> Result<()> {
    let broker = Mosquitto::start()?;
    tell_fixed(Broker::On(broker.port()))
}

#[test]
fn fixed_with_the_embedded_broker() -> Result<()> {
    tell_fixed(Broker::Embedded)
}

/// Every payload as EMQX 5.8.4 has it.
fn tell_strictly(broker: Broker, version: MqttVersion) -> Result<()> {
    let story = Story::begin(broker, version, "strict")?;
    story.register()?;
    story.application.expect("up/register", &json!({ "msgType": "register", "data": registered() }))?;

    story.observed()?;
    let content = json!([{ "path": "/3/0", "value": BASE64.encode(DEVICE_OBJECT) }]);
    let data = json!({ "reqPath": "/3/0", "content": content, "codeMsg": "content", "code": "2.05" });
    let observe = json!({ "msgType": "observe", "is_auto_observe": true, "data": data });
    story.application.expect("up/resp", &observe)?;

    story.read()?;
    story.application.expect("up/resp", &json!({ "msgType": "read", "data": firmware_version() }))?;
    Ok(())
}

/// One value per resource, and every message says whose it is.
fn tell_fixed(broker: Broker) -> Result<()> {
    let story = Story::begin(broker, MqttVersion::V5, "fixed")?;
    story.register()?;
    let register = json!({ "msgType": "register", "ep": ENDPOINT, "data": registered() });
    story.application.expect("up/register", &register)?;

    story.observed()?;
    let data = json!({ "reqPath": "/3/0", "content": decoded()?, "codeMsg": "content", "code": "2.05" });
    let observe = json!({ "msgType": "observe", "ep": ENDPOINT, "is_auto_observe": true, "data": data });
    story.application.expect("up/resp", &observe)?;

    story.read()?;
    let read = json!({ "msgType": "read", "ep": ENDPOINT, "data": firmware_version() });
    story.application.expect("up/resp", &read)?;
    Ok(())
}

struct Story {
    application: Application,
    device: Peer,
    _gateway: Gateway,
}

impl Story {
    fn begin(broker: Broker, version: MqttVersion, compatibility: &str) -> Result<Self> {
        let mut setup = Setup::new(broker, compatibility);
        setup.version = if version == MqttVersion::V5 { 5 } else { 4 };
        setup.settings["mountpoint"] = json!("");
        setup.settings["auto_observe"] = json!(true);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(gateway.mqtt(), version)?;
        let device = Peer::connect(gateway.coap())?;
        Ok(Self { application, device, _gateway: gateway })
    }

    fn register(&self) -> Result<()> {
        self.device.send_bytes(REGISTER)?;
        let answer = self.device.expect("answer to Register", |packet| packet.get_token() == TOKEN)?;
        ensure!(code_text(&answer) == "2.01" && answer.header.message_id == 0x000c, "{answer:?}");
        let location = option_values(&answer, CoapOption::LocationPath);
        ensure!(location.len() == 2 && location[0] == b"rd", "{answer:?}");
        Ok(())
    }

    /// The gateway observes the Device object, and nothing else: the others are not for observing or have no definition.
    fn observed(&self) -> Result<()> {
        let observe = self.device.asked("observe request")?;
        ensure!(
            path(&observe) == "/3/0" && option_uint(&observe, CoapOption::Observe) == Some(0),
            "{observe:?}"
        );
        let mut answer = acknowledgement(&observe, "2.05");
        answer.set_observe_value(0);
        answer.add_option(CoapOption::ContentFormat, vec![110]);
        answer.payload = DEVICE_OBJECT.as_bytes().to_vec();
        self.device.send(&answer)
    }

    fn read(&self) -> Result<()> {
        let command = json!({ "msgType": "read", "data": { "path": "/3/0/3" } });
        self.application.command("dn/testlwm2mclient", &command)?;
        let read = self.device.asked("read request")?;
        ensure!(path(&read) == "/3/0/3" && code_text(&read) == "0.01", "{read:?}");
        ensure!(read.get_option(CoapOption::Observe).is_none(), "{read:?}");
        let mut answer = acknowledgement(&read, "2.05");
        answer.add_option(CoapOption::ContentFormat, vec![]);
        answer.payload = b"1.0".to_vec();
        self.device.send(&answer)
    }
}

fn registered() -> Json {
    let objects = [
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
        "/31024/12",
    ];
    json!({ "objectList": objects, "lwm2m": "1.1", "lt": 300, "ep": ENDPOINT, "b": "U", "alternatePath": "/" })
}

fn firmware_version() -> Json {
    let content = json!([{ "value": "1.0", "path": "/3/0/3" }]);
    json!({ "reqPath": "/3/0/3", "content": content, "codeMsg": "content", "code": "2.05" })
}

/// The Device object as path and value: what the SenML records say, put together by hand.
fn decoded() -> Result<Json> {
    let records: Vec<Json> = serde_json::from_str(DEVICE_OBJECT)?;
    let content = records.iter().map(|record| {
        let name = record["n"].as_str().context("a name")?;
        let value = record.get("vs").or_else(|| record.get("v")).context("a value")?;
        Ok(json!({ "path": format!("/3/0/{name}"), "value": value }))
    });
    content.collect()
}

fn path(request: &Packet) -> String {
    let segments = option_values(request, CoapOption::UriPath);
    segments.iter().map(|segment| format!("/{}", String::from_utf8_lossy(segment))).collect()
}

const ENDPOINT: &str = "testlwm2mclient";

const TOKEN: &[u8] = &[1, 2, 3, 4];

/// CON 0.02 /rd?ep=testlwm2mclient&lwm2m=1.1&b=U&lt=300, message ID 0x000c, Content-Format 40.
const REGISTER: &[u8] =
    b"\x44\x02\x00\x0c\x01\x02\x03\x04\xb2rd\x11\x28\x3d\x05ep=testlwm2mclient\x09lwm2m=1.1\
    \x03b=U\x06lt=300\xff</>;rt=\"oma.lwm2m\";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</3/0>,</4/0>,</5/0>,</6/0>,\
    </7/0>,</31024>,</31024/10>,</31024/11>,</31024/12>";

/// What the client answers when /3/0 is observed.
const DEVICE_OBJECT: &str = concat!(
    r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},"#,
    r#"{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},"#,
    r#"{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},"#,
    r#"{"n":"11/0","v":0},{"n":"13","v":3104858903},{"n":"14","vs":"+01:00"},{"n":"15","vs":"Europe/Berlin"},"#,
    r#"{"n":"16","vs":"U"}]"#
);
