//! Commands for clients that sleep: what becomes of them is told, step by step.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Mosquitto, MqttVersion, Peer, Setup, acknowledgement, code_text,
    option_values, request,
};

#[test]
fn a_command_for_a_sleeper_is_told_queued_sent_and_answered() -> Result<()> {
    let scene = Scene::set()?;
    scene.ask(1, None)?;
    ensure!(scene.progress()? == json!({ "reqPath": "/3/0/0", "stage": "queued" }));
    ensure!(scene.device.receive_within(AWAKE)?.is_none());
    ensure!(code_text(&scene.device.ask(&request("0.02", 2, b"u", &scene.location, &[]))?) == "2.04");
    ensure!(scene.progress()? == json!({ "reqPath": "/3/0/0", "stage": "sent" }));
    let asked = scene.device.asked("the command")?;
    let mut answer = acknowledgement(&asked, "2.05");
    answer.payload = b"ACME".to_vec();
    scene.device.send(&answer)?;
    let answer = scene.application.of_type("read")?;
    ensure!(answer["reqID"] == 1 && answer["data"]["content"][0]["value"] == "ACME", "{answer}");
    Ok(())
}

#[test]
fn a_command_that_expires_before_the_client_wakes_says_so_and_is_not_sent() -> Result<()> {
    let scene = Scene::set()?;
    scene.ask(1, Some(1))?;
    scene.ask(2, None)?;
    scene.progress()?;
    scene.progress()?;
    let expired = scene.application.of_type("coap_timeout")?;
    ensure!(expired["reqID"] == 1 && expired["data"]["path"] == "/3/0/0", "{expired}");
    let reason = expired["data"]["reason"].as_str().context("a reason")?;
    ensure!(reason.contains("expired"), "{reason}");
    scene.device.ask(&request("0.02", 2, b"u", &scene.location, &[]))?;
    scene.device.send(&acknowledgement(&scene.device.asked("the second command")?, "4.04"))?;
    let answer = scene.application.of_type("read")?;
    ensure!(answer["reqID"] == 2 && answer["data"]["code"] == "4.04", "{answer}");
    Ok(())
}

/// A client in queue mode that falls asleep at once.
struct Scene {
    _broker: Mosquitto,
    _gateway: Gateway,
    application: Application,
    device: Peer,
    location: String,
}

impl Scene {
    fn set() -> Result<Self> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.registration = json!({ "awake-window": format!("{}ms", AWAKE.as_millis()) });
        setup.settings["auto_observe"] = json!(false);
        setup.settings["publish_progress"] = json!(true);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let device = Peer::connect(gateway.coap())?;
        let mut register = request("0.02", 1, b"r", "rd", &["ep=sleeper", "lwm2m=1.1", "lt=300", "Q"]);
        register.payload = b"</3/0>".to_vec();
        let answer = device.ask(&register)?;
        ensure!(code_text(&answer) == "2.01", "{answer:?}");
        let path = option_values(&answer, coap_lite::CoapOption::LocationPath);
        let location = String::from_utf8(path.join(&b'/'))?;
        application.of_type("register")?;
        // Nothing is asked of it, and it falls asleep meanwhile.
        ensure!(device.receive_within(20 * AWAKE)?.is_none());
        Ok(Self { _broker: broker, _gateway: gateway, application, device, location })
    }

    fn ask(&self, id: u32, expiry: Option<u32>) -> Result<()> {
        let command = json!({ "reqID": id, "msgType": "read", "data": { "path": "/3/0/0" } });
        self.application.publish("dn/sleeper", 1, expiry, command.to_string().into_bytes())
    }

    fn progress(&self) -> Result<Json> {
        Ok(self.application.of_type("progress")?["data"].clone())
    }
}

/// How long the client can be reached after it spoke.
const AWAKE: Duration = Duration::from_millis(1);
