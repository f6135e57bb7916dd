//! The gateway is killed and started again, and its clients do not notice.

use std::time::Duration;

use anyhow::{Result, ensure};
use coap_lite::{CoapOption, MessageType};
use serde_json::{Value as Json, json};
use tidegate_tests::stage::{self, Stage, psk};
use tidegate_tests::{
    Application, Broker, Device, Gateway, Mosquitto, MqttVersion, Peer, Profile, Setup, Value,
    acknowledgement, code_text, option_values, request,
};

#[test]
fn every_registration_that_was_acknowledged_is_there_after_a_kill() -> Result<()> {
    let mut scene = Scene::set(|setup| setup.shards = 0)?;
    let sleepers = (0..40).map(|number| scene.sleeper(&format!("s{number}"))).collect::<Result<Vec<_>>>()?;
    scene.gateway.kill_and_restart()?;
    for sleeper in &sleepers {
        sleeper.wake()?;
    }
    Ok(())
}

#[test]
fn a_client_is_known_and_what_it_observes_arrives_as_before() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let device = scene.observed("a")?;
    let before = scene.notified(&device, 41)?;
    scene.commit()?;
    scene.gateway.kill_and_restart()?;
    let code = device.update(&["lt=600"])?;
    ensure!(code == "2.04", "{code}");
    let update = scene.application.of_type("update")?;
    ensure!(update["ep"] == "a" && update["data"]["lt"] == 600, "{update}");
    // Another value, as what was published before the kill may come again.
    let mut after = scene.notified(&device, 43)?;
    after["data"]["content"][0]["value"] = json!(41);
    ensure!(after == before, "{after} is not {before}");
    // It is not observed anew.
    ensure!(device.requests().all().is_empty());
    Ok(())
}

#[test]
fn with_another_number_of_shards_it_goes_on_as_well() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let devices = ["a", "b", "c", "d"].map(|endpoint| scene.observed(endpoint));
    let devices = devices.into_iter().collect::<Result<Vec<_>>>()?;
    scene.commit()?;
    for (was, becomes) in [(1, 3), (3, 2)] {
        scene.shards(was, becomes)?;
        scene.gateway.kill_and_restart()?;
        for device in &devices {
            // Neither of these carries anything that tells whose it is, or not both.
            let pack = json!([{ "n": "/3/0/9", "v": 77 }]);
            let code = device.send_unasked(&pack)?;
            ensure!(code == "2.04", "{code}");
            scene.notified(device, 42 + i64::from(becomes))?;
            let code = device.update(&[])?;
            ensure!(code == "2.04", "{code}");
        }
        scene.ask("c", 7, None)?;
        let answer = scene.application.of_type("read")?;
        ensure!(answer["ep"] == "c" && answer["data"]["code"] == "2.05", "{answer}");
        scene.application.drain();
    }
    Ok(())
}

#[test]
fn who_has_deregistered_is_gone() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let sleeper = scene.sleeper("a")?;
    let answer = sleeper.device.ask(&request("0.04", 9, b"d", &sleeper.location, &[]))?;
    ensure!(code_text(&answer) == "2.02");
    scene.gateway.kill_and_restart()?;
    let answer = sleeper.device.ask(&request("0.02", 10, b"u", &sleeper.location, &[]))?;
    ensure!(code_text(&answer) == "4.04");
    Ok(())
}

#[test]
fn a_command_for_a_sleeper_is_sent_when_it_wakes_after_the_restart() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let sleeper = scene.sleeper("a")?;
    scene.ask("a", 1, None)?;
    ensure!(scene.application.of_type("progress")?["data"]["stage"] == "queued");
    scene.commit()?;
    scene.gateway.kill_and_restart()?;
    ensure!(sleeper.device.receive_within(20 * AWAKE)?.is_none());
    sleeper.wake()?;
    let asked = sleeper.device.asked("the command")?;
    // What was published before the kill may come again.
    scene.application.take("that it is sent", |message| {
        message.json().is_some_and(|json| json["msgType"] == "progress" && json["data"]["stage"] == "sent")
    })?;
    let mut answer = acknowledgement(&asked, "2.05");
    answer.payload = b"ACME".to_vec();
    sleeper.device.send(&answer)?;
    let answer = scene.application.of_type("read")?;
    ensure!(answer["reqID"] == 1 && answer["data"]["content"][0]["value"] == "ACME", "{answer}");
    Ok(())
}

#[test]
fn a_command_that_expires_while_the_gateway_is_away_says_so() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let sleeper = scene.sleeper("a")?;
    scene.ask("a", 1, Some(1))?;
    scene.ask("a", 2, None)?;
    for _ in 0..2 {
        scene.application.of_type("progress")?;
    }
    scene.commit()?;
    scene.gateway.kill_and_restart()?;
    let expired = scene.application.of_type("coap_timeout")?;
    ensure!(expired["reqID"] == 1 && expired["data"]["path"] == "/3/0/0", "{expired}");
    ensure!(expired["data"]["reason"].as_str().is_some_and(|reason| reason.contains("expired")), "{expired}");
    sleeper.wake()?;
    sleeper.device.send(&acknowledgement(&sleeper.device.asked("the second command")?, "4.04"))?;
    ensure!(scene.application.of_type("read")?["reqID"] == 2);
    Ok(())
}

#[test]
fn a_client_with_dtls_goes_on_without_a_handshake() -> Result<()> {
    let keys = ["a", "b"].map(|endpoint| psk(endpoint, &stage::KEY));
    let mut setup = stage::setup(&json!({ "psk": keys }));
    setup.shards = 1;
    let mut stage = Stage::set(&setup)?;
    let (_association, device) = stage.device(&Profile::psk("a", &stage::KEY), "a")?;
    stage.goes_well(&device, "a")?;
    // What came before this is durable.
    stage.device(&Profile::psk("b", &stage::KEY), "b")?;
    stage.restart_by_kill()?;
    stage.notifies(&device, "a", 43)?;
    let code = device.update(&[])?;
    ensure!(code == "2.04", "{code}");
    ensure!(stage.ask("a", "read", "/3/0/3")? == (json!("2.05"), json!("1.0")));
    ensure!(stage.handshakes("a") == 0);
    Ok(())
}

#[test]
fn a_damaged_database_is_set_aside_and_the_gateway_starts() -> Result<()> {
    let mut scene = Scene::set(|_| {})?;
    let sleeper = scene.sleeper("a")?;
    scene.gateway.terminate()?;
    let data = scene.gateway.folder().join("data");
    let database = data.join("tidegate.redb");
    let mut bytes = std::fs::read(&database)?;
    let middle = bytes.len() / 2;
    bytes[..middle].iter_mut().step_by(64).for_each(|byte| *byte ^= 0x55);
    std::fs::write(&database, bytes)?;
    scene.gateway.kill_and_restart()?;
    scene.gateway.process().said(&["ERROR", "set aside", "tidegate.redb.damaged-"])?;
    let names =
        std::fs::read_dir(&data)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names = names.collect::<Result<Vec<_>>>()?;
    ensure!(names.iter().any(|name| name.starts_with("tidegate.redb.damaged-")), "{names:?}");
    let answer = sleeper.device.ask(&request("0.02", 10, b"u", &sleeper.location, &[]))?;
    ensure!(code_text(&answer) == "4.04");
    // And what comes now is kept again.
    let sleeper = scene.sleeper("a")?;
    scene.gateway.kill_and_restart()?;
    sleeper.wake()
}

/// A gateway that observes nothing by itself, and whose clients in queue mode fall asleep at once.
struct Scene {
    _broker: Mosquitto,
    gateway: Gateway,
    application: Application,
    committed: u32,
}

/// A client in queue mode.
struct Sleeper {
    device: Peer,
    location: String,
}

impl Scene {
    /// With one shard, if nothing else is said, so that everything becomes durable in one order.
    fn set(change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.registration = json!({ "awake-window": format!("{}ms", AWAKE.as_millis()) });
        setup.settings["auto_observe"] = json!(false);
        setup.settings["publish_progress"] = json!(true);
        setup.shards = 1;
        change(&mut setup);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        Ok(Self { _broker: broker, gateway, application, committed: 0 })
    }

    /// A client whose battery level is observed.
    fn observed(&self, endpoint: &str) -> Result<Device> {
        let mut device = Device::new(self.gateway.coap(), endpoint)?;
        device.register()?;
        let register = self.application.of_type("register")?;
        ensure!(register["ep"] == endpoint, "{register}");
        let command = json!({ "reqID": 5, "msgType": "observe", "data": { "path": "/3/0/9" } });
        self.application.command(&format!("dn/{endpoint}"), &command)?;
        ensure!(self.application.of_type("observe")?["data"]["code"] == "2.05");
        device.requests().drain();
        Ok(device)
    }

    /// What is published when the device notifies of this level, but for the time and the number of the notification.
    fn notified(&self, device: &Device, level: i64) -> Result<Json> {
        device.set("/3/0/9", Value::Integer(level))?;
        let sent = device.notify("/3/0/9", MessageType::Confirmable)?;
        device.acknowledged(&sent)?;
        let message = self.application.take("notification of this level", |message| {
            message.json().is_some_and(|json| {
                json["msgType"] == "notify" && json["data"]["content"][0]["value"] == level
            })
        })?;
        let mut notified = message.json().unwrap_or_default();
        for number in ["timestamp", "seqNum"] {
            notified.as_object_mut().and_then(|notified| notified.remove(number));
        }
        Ok(notified)
    }

    fn sleeper(&self, endpoint: &str) -> Result<Sleeper> {
        let device = Peer::connect(self.gateway.coap())?;
        let queries = [&format!("ep={endpoint}"), "lwm2m=1.1", "lt=300", "Q"];
        let mut register = request("0.02", 1, b"r", "rd", &queries);
        register.payload = b"</3/0>".to_vec();
        let answer = device.ask(&register)?;
        ensure!(code_text(&answer) == "2.01", "{answer:?}");
        let path = option_values(&answer, CoapOption::LocationPath);
        let location = String::from_utf8(path.join(&b'/'))?;
        self.application.take("register", |message| {
            message.json().is_some_and(|json| json["msgType"] == "register" && json["ep"] == endpoint)
        })?;
        Ok(Sleeper { device, location })
    }

    /// Everything that happened before on the only shard is durable: a registration is acknowledged after all of that.
    fn commit(&mut self) -> Result<()> {
        self.committed += 1;
        self.sleeper(&format!("witness-{}", self.committed))?;
        Ok(())
    }

    fn ask(&self, endpoint: &str, id: u32, expiry: Option<u32>) -> Result<()> {
        let command = json!({ "reqID": id, "msgType": "read", "data": { "path": "/3/0/0" } });
        self.application.publish(&format!("dn/{endpoint}"), 1, expiry, command.to_string().into_bytes())
    }

    /// From the next start on there are so many shards.
    fn shards(&self, were: u8, are: u8) -> Result<()> {
        let file = self.gateway.folder().join("tidegate.toml");
        let text = std::fs::read_to_string(&file)?;
        let changed = text.replace(&format!("shards = {were}\n"), &format!("shards = {are}\n"));
        ensure!(changed != text);
        Ok(std::fs::write(file, changed)?)
    }
}

impl Sleeper {
    /// It is known by its location.
    fn wake(&self) -> Result<()> {
        let answer = self.device.ask(&request("0.02", 2, b"u", &self.location, &[]))?;
        ensure!(code_text(&answer) == "2.04", "{answer:?}");
        Ok(())
    }
}

/// How long a client in queue mode can be reached after it spoke.
const AWAKE: Duration = Duration::from_millis(1);
