//! What brokers can do beside passing messages on: WebSockets, wills, shared subscriptions, sessions, limits and refusals.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Certified, Device, Gateway, Message, Mosquitto, MqttVersion, Setup, Value,
    WebSocketRelay, Wish, skipped,
};

#[test]
fn over_a_websocket_with_both_versions() -> Result<()> {
    let broker = Mosquitto::start()?;
    let relay = WebSocketRelay::start(broker.port(), None)?;
    for version in [5, 4] {
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.version = version;
        setup.mqtt = json!({ "broker": format!("ws://127.0.0.1:{}", relay.port()) });
        serves(&broker, &setup)?;
    }
    Ok(())
}

#[test]
fn over_a_websocket_and_tls() -> Result<()> {
    let broker = Mosquitto::start()?;
    let authority = Certified::authority("ours")?;
    let relay = WebSocketRelay::start(broker.port(), Some(&authority.issue(&Wish::new("localhost"))?))?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.mqtt = json!({ "broker": format!("wss://localhost:{}/mqtt", relay.port()), "ca": "ca.pem" });
    setup.files = vec![("ca.pem".to_owned(), authority.pem()?)];
    serves(&broker, &setup)
}

#[test]
fn a_path_where_there_is_no_websocket_is_named() -> Result<()> {
    let broker = Mosquitto::start()?;
    let relay = WebSocketRelay::start(broker.port(), None)?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.mqtt = json!({ "broker": format!("ws://127.0.0.1:{}/other", relay.port()) });
    let gateway = Gateway::start(&setup)?;
    gateway.watch().said(&["no connection", "404", "check the path `/other`"])?;
    Ok(())
}

/// A message goes each way.
fn serves(broker: &Mosquitto, setup: &Setup) -> Result<()> {
    let gateway = Gateway::start(setup)?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    application.of_type("observe")?;
    // Of many frames.
    device.set("/3/0/0", Value::Text("x".repeat(900)))?;
    let answer = read(&application, "sensor", "/3/0/0")?;
    ensure!(answer["data"]["content"][0]["value"].as_str().map(str::len) == Some(900));
    Ok(())
}

fn read(application: &Application, endpoint: &str, path: &str) -> Result<Json> {
    application.command(&format!("dn/{endpoint}"), &read_command(1, path))?;
    application.of_type("read")
}

fn read_command(number: u64, path: &str) -> Json {
    json!({ "reqID": number, "msgType": "read", "data": { "path": path } })
}

#[test]
fn the_broker_keeps_whether_the_gateway_is_there() -> Result<()> {
    let broker = Mosquitto::start()?;
    for version in [4, 5] {
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.version = version;
        setup.mqtt = json!({ "client-id": format!("gateway-{version}") });
        let mut gateway = Gateway::start(&setup)?;
        let is = |state: &'static str| {
            move |message: &Message| {
                let of = message.json().unwrap_or_default();
                message.topic == "tidegate/status"
                    && of["state"] == state
                    && of["client-id"] == format!("gateway-{version}")
            }
        };
        application.statuses().take("birth", is("online"))?;
        gateway.process().kill()?;
        application.statuses().take("will", is("offline"))?;
        gateway.kill_and_restart()?;
        application.statuses().take("birth", is("online"))?;
        gateway.terminate()?;
        application.statuses().take("last word", is("stopped"))?;
        let late = Application::connect(broker.port(), MqttVersion::V5)?;
        let kept = late.statuses().take("what is kept", is("stopped"))?;
        ensure!(kept.retain, "{kept:?}");
    }
    Ok(())
}

#[test]
fn gateways_that_share_their_subscriptions_get_each_message_once() -> Result<()> {
    let broker = Mosquitto::start()?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    for version in [5, 4] {
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.version = version;
        setup.http = true;
        setup.mqtt = json!({ "shared-group": "gateways", "status-topic": "" });
        let gateways = [Gateway::start(&setup)?, Gateway::start(&setup)?];
        for gateway in &gateways {
            gateway.status("subscribed", |status| status["mqtt"]["subscribed"] == true)?;
        }
        for number in 0..10 {
            application.command("dn/nobody", &read_command(number, "/3/0/0"))?;
        }
        let is_answer = |message: &Message| message.topic == "up/resp";
        for number in 0..10 {
            application.take("answer", |message| {
                is_answer(message) && message.json().is_some_and(|json| json["reqID"] == number)
            })?;
        }
        let received = |gateway: &Gateway| -> Result<u64> {
            let status = gateway.status("all", |_| true)?;
            Ok(status["mqtt"]["received"].as_u64().unwrap_or_default())
        };
        let received = [received(&gateways[0])?, received(&gateways[1])?];
        ensure!(received[0] + received[1] == 10 && received[0] % 10 != 0, "{received:?}");
        ensure!(application.inbox().count(is_answer) == 0, "a command was answered twice");
    }
    Ok(())
}

#[test]
fn a_session_that_the_broker_keeps_holds_commands_while_the_gateway_is_away() -> Result<()> {
    let broker = Mosquitto::start()?;
    for (version, expiry, waits) in [(5, "1h", true), (4, "1h", true), (5, "0s", false), (4, "0s", false)] {
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.version = version;
        setup.http = true;
        setup.mqtt = json!({ "client-id": "gateway", "session-expiry": expiry });
        setup.settings["translators"] = json!({ "command": { "topic": "dn/#", "qos": 1 } });
        let mut gateway = Gateway::start(&setup)?;
        let nobody = format!("nobody-{version}-{expiry}");
        let command = |number| application.command(&format!("dn/{nobody}"), &read_command(number, "/3/0/0"));
        gateway.status("subscribed", |status| status["mqtt"]["subscribed"] == true)?;
        gateway.process().kill()?;
        command(1)?;
        gateway.kill_and_restart()?;
        gateway.status("subscribed", |status| status["mqtt"]["subscribed"] == true)?;
        command(2)?;
        let is_answer = |message: &Message| message.json().is_some_and(|json| json["ep"] == nobody.as_str());
        let answer = application.take("answer", is_answer)?;
        let first = if waits { 1 } else { 2 };
        ensure!(answer.json().is_some_and(|json| json["reqID"] == first), "{version} {expiry}: {answer:?}");
    }
    Ok(())
}

#[test]
fn an_answer_goes_where_an_application_wants_it_with_what_it_is_to_repeat() -> Result<()> {
    let broker = Mosquitto::start()?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.settings["publish_properties"] = json!(true);
    let gateway = Gateway::start(&setup)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    let registered = application.take("register", |message| message.topic == "up/register")?;
    ensure!(registered.content_type.as_deref() == Some("application/json"), "{registered:?}");
    ensure!(registered.user == [("endpoint".to_owned(), "sensor".to_owned())], "{:?}", registered.user);
    // What can be read, what nobody has, what is no command, and what is not even JSON.
    let commands = [
        ("sensor", read_command(1, "/3/0/0"), "2.05"),
        ("nobody", read_command(2, "/3/0/0"), "4.04"),
        ("sensor", json!({ "reqID": 3, "msgType": "nonsense", "data": {} }), "4.00"),
        ("sensor", json!("text"), "4.00"),
    ];
    for (number, (endpoint, command, code)) in commands.into_iter().enumerate() {
        let (topic, correlation) = (format!("reply/{number}"), [0x1f, 0xff, number as u8]);
        application.ask(&format!("dn/{endpoint}"), &command, &topic, &correlation)?;
        let answer = application.take("answer", |message| message.topic == topic)?;
        ensure!(answer.correlation.as_deref() == Some(correlation.as_slice()), "{answer:?}");
        ensure!(answer.json().is_some_and(|json| json["data"]["code"] == code), "{code}: {answer:?}");
    }
    // An observation is answered there; what it notifies of goes where all notifications go.
    let observe = json!({ "reqID": 5, "msgType": "observe", "data": { "path": "/3/0/9" } });
    application.ask("dn/sensor", &observe, "reply/observe", b"")?;
    application.take("answer", |message| message.topic == "reply/observe")?;
    device.set("/3/0/9", Value::Integer(42))?;
    device.notify("/3/0/9", MessageType::Confirmable)?;
    application.take("notification", |message| {
        message.topic == "up/notify" && message.json().is_some_and(|json| json["reqID"] == 5)
    })?;
    Ok(())
}

#[test]
fn what_the_broker_refuses_is_named_in_log_status_and_metrics() -> Result<()> {
    let Some(plugin) = DYNAMIC_SECURITY.iter().find(|place| Path::new(place).exists()) else {
        skipped("mosquitto has no plugin here that refuses subscriptions");
        return Ok(());
    };
    let broker = Mosquitto::start_with(|_, folder| {
        let rules = folder.join("rules.json");
        fs::write(&rules, rules_for_anybody().to_string())?;
        open_to_all(folder, 0o777)?;
        open_to_all(&rules, 0o666)?;
        // Without a queue mosquitto 2.0 ends the connection over a publication that it refuses.
        let queue = "max_queued_messages 1000";
        Ok(format!("{queue}\nplugin {plugin}\nplugin_opt_config_file {}\n", rules.display()))
    })?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.http = true;
    setup.settings["translators"] = json!({ "register": { "topic": "up/register", "qos": 1 } });
    let gateway = Gateway::start(&setup)?;
    gateway.watch().said(&["refused a subscription", "dn/#", "NotAuthorized"])?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    gateway.watch().said(&["refused a publication", "up/register", "NotAuthorized"])?;
    let status = gateway.status("a refusal", |status| status["mqtt"]["dropped"]["refused"] == 1)?;
    ensure!(status["mqtt"]["refused-subscriptions"][0]["filter"] == "dn/#", "{status}");
    ensure!(status["mqtt"]["refused-publication"]["topic"] == "up/register", "{status}");
    let metrics = gateway.http("/metrics")?;
    for line in ["tidegate_mqtt_refused_subscriptions 1", "tidegate_mqtt_dropped_total{reason=\"refused\"} 1"]
    {
        ensure!(metrics.contains(line), "{line}: {metrics}");
    }
    Ok(())
}

/// They may publish what the gateway tells of itself and what has been asked for, and subscribe to nothing.
fn rules_for_anybody() -> Json {
    let allowed = |topic: &str| json!({ "acltype": "publishClientSend", "topic": topic, "allow": true });
    json!({
        "defaultACLAccess": {
            "publishClientSend": false,
            "publishClientReceive": true,
            "subscribe": false,
            "unsubscribe": true,
        },
        "roles": [{ "rolename": "some", "acls": [allowed("tidegate/#"), allowed("up/resp")] }],
        "groups": [{ "groupname": "anybody", "roles": [{ "rolename": "some" }], "clients": [] }],
        "clients": [],
        "anonymousGroup": "anybody",
    })
}

/// mosquitto, started by root, reads and writes its files as a user of its own.
fn open_to_all(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[test]
fn limits_of_the_broker_are_kept() -> Result<()> {
    let broker =
        Mosquitto::start_with(|_, _| Ok("max_packet_size 2000\nmax_inflight_messages 2\n".to_owned()))?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.http = true;
    setup.settings["translators"] = json!({ "response": { "topic": "up/resp", "qos": 1 } });
    let gateway = Gateway::start(&setup)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    application.of_type("observe")?;
    device.set("/3/0/0", Value::Text("x".repeat(3_000)))?;
    application.command("dn/sensor", &read_command(1, "/3/0/0"))?;
    gateway.status("too large", |status| status["mqtt"]["dropped"]["unfit"] == 1)?;
    gateway.watch().said(&["publication dropped", "up/resp", "the limit is 2000"])?;
    device.set("/3/0/0", Value::Text("small".to_owned()))?;
    for number in 2..30 {
        application.command("dn/sensor", &read_command(number, "/3/0/0"))?;
    }
    for _ in 2..30 {
        application.of_type("read")?;
    }
    let status = gateway.status("all", |_| true)?;
    ensure!(status["mqtt"]["connections"] == 1, "the broker was asked for too much: {status}");
    Ok(())
}

/// Where distributions put it.
const DYNAMIC_SECURITY: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
    "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
    "/usr/lib/mosquitto_dynamic_security.so",
];
