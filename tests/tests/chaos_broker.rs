//! The broker dies, is replaced, stops, is slow or refuses: what a device was told has arrived does arrive.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::json;
use tidegate_tests::load::{Scene, arrived, is_notification};
use tidegate_tests::{Application, Broker, Device, Gateway, Mosquitto, MqttVersion, Setup, Value};

#[test]
fn a_broker_that_is_killed_under_load_and_comes_back_with_its_sessions_loses_nothing() -> Result<()> {
    let mut scene = Scene::set_with(4, Mosquitto::start_keeping()?, |setup| {
        setup.mqtt = json!({ "client-id": "gateway" });
    })?;
    let load = scene.load()?;
    for round in 0..5 {
        scene.arrived_more(120 + round * 7)?;
        scene.relay.cut();
        passed_on(&scene)?;
        scene.broker.kill()?;
        scene.relay.mend();
        load.acknowledged_more(10 + round * 5)?;
        scene.broker.restart()?;
        scene.application.subscribed_again()?;
    }
    scene.arrived_more(20)?;
    let resumed = scene.gateway.watch().times_said(&["connected to the MQTT broker", "resumed=true"]);
    ensure!(resumed > 0, "the gateway goes on with its session:\n{}", scene.gateway.watch().everything());
    scene.judge(&load.stop()?)
}

#[test]
fn a_broker_that_is_replaced_by_one_that_knows_nothing_is_told_everything() -> Result<()> {
    let mut scene = Scene::set_with(4, Mosquitto::start_keeping()?, |setup| {
        setup.mqtt = json!({ "client-id": "gateway" });
    })?;
    let load = scene.load()?;
    for round in 0..3 {
        scene.arrived_more(120 + round * 7)?;
        // What the old one has acknowledged and not passed on goes with it, and nobody is subscribed at the new one at first.
        scene.relay.cut();
        passed_on(&scene)?;
        scene.broker.kill()?;
        load.acknowledged_more(10 + round * 5)?;
        scene.broker.forget()?;
        scene.broker.restart()?;
        scene.application.subscribed_again()?;
        scene.relay.mend();
    }
    scene.arrived_more(20)?;
    // Commands arrive there as well: the gateway has subscribed anew.
    command_is_answered(&scene)?;
    scene.judge(&load.stop()?)
}

/// The broker, which the gateway cannot reach any more, has passed on all that it has acknowledged: what comes behind it has arrived. Else
/// a broker that dies takes it along, which is its loss and not the gateway's.
fn passed_on(scene: &Scene) -> Result<()> {
    scene.gateway.status("cut off", |status| status["mqtt"]["connected"] == false)?;
    let other = Application::connect(scene.broker.port(), MqttVersion::V4)?;
    other.publish("marker", 1, None, Vec::new())?;
    scene.application.take("the marker", |message| message.topic == "marker")?;
    scene.application.lose_subscription();
    Ok(())
}

#[test]
fn a_broker_that_stops_without_a_word_is_given_up_after_the_keep_alive() -> Result<()> {
    let mut scene = Scene::set_with(3, Mosquitto::start()?, |setup| {
        setup.mqtt = json!({ "keep-alive": "5s", "client-id": "gateway" });
    })?;
    let load = scene.load()?;
    scene.arrived_more(20)?;
    scene.broker.pause()?;
    let said = scene.gateway.watch().said(&["no connection to the MQTT broker"]);
    load.acknowledged_more(20)?;
    scene.broker.resume()?;
    said?;
    scene.arrived_more(20)?;
    scene.judge(&load.stop()?)
}

#[test]
fn a_broker_that_stops_is_noticed_also_while_little_is_published() -> Result<()> {
    let broker = Mosquitto::start_with(|_, _| Ok("max_inflight_messages 0\n".to_owned()))?;
    let mut scene = Scene::set_with(0, broker, |setup| {
        setup.mqtt = json!({ "keep-alive": "5s" });
    })?;
    let device = device(&scene.gateway, &scene.application, "sensor")?;
    scene.broker.pause()?;
    let mut number = 0;
    // Far fewer than may be under way, and never a pause as long as the keep-alive.
    let said = scene.gateway.watch().said_in_the_end(&["no connection to the MQTT broker"], || {
        number += 1;
        notify(&device, number)
    });
    scene.broker.resume()?;
    said?;
    let all = |messages: &[_]| {
        let arrived = arrived(messages);
        arrived.get("sensor").is_some_and(|numbers| (1..=number).all(|number| numbers.contains(&number)))
    };
    ensure!(scene.application.inbox().wait_until(tidegate_tests::PATIENCE, all), "all {number} arrive");
    scene.settle()
}

#[test]
fn a_slow_broker_loses_and_reorders_nothing_and_is_not_given_up() -> Result<()> {
    let mut scene = Scene::set_with(4, Mosquitto::start()?, |setup| {
        setup.mqtt = json!({ "keep-alive": "5s" });
    })?;
    scene.relay.limit(20_000);
    let connections = scene.relay.connections();
    let load = scene.load()?;
    scene.gateway.status("much waits", |status| status["outbox"]["waiting"].as_u64() > Some(1_000))?;
    scene.arrived_more(200)?;
    let acknowledged = load.stop()?;
    scene.relay.limit(0);
    scene.judge(&acknowledged)?;
    ensure!(scene.relay.connections() == connections, "it was the same connection all the time");
    Ok(())
}

#[test]
fn a_slow_broker_slows_the_devices_down_when_the_outbox_is_full() -> Result<()> {
    let mut scene = Scene::set_with(4, Mosquitto::start()?, |setup| {
        setup.mqtt = json!({ "outbox": { "publications": 40 } });
    })?;
    scene.relay.limit(20_000);
    let load = scene.load()?;
    for _ in 0..4 {
        scene.arrived_more(50)?;
        let waiting =
            scene.gateway.status("anything", |_| true)?["outbox"]["waiting"].as_u64().context("a number")?;
        ensure!(waiting <= 40, "{waiting} wait");
    }
    let acknowledged = load.stop()?;
    ensure!(scene.gateway.status("anything", |_| true)?["outbox"]["dropped"] == 0);
    scene.relay.limit(0);
    scene.judge(&acknowledged)
}

#[test]
fn a_topic_that_the_broker_denies_is_named_and_the_others_go_on() -> Result<()> {
    let broker = Mosquitto::start_with(|_, folder| {
        let rights = folder.join("rights");
        fs::write(&rights, "topic read #\ntopic write tidegate/#\ntopic write dn/#\ntopic write up/resp\n")?;
        open_to_all(folder, &rights)?;
        // With no limit, mosquitto 2.0.11 ends the connection after what it denies (it compares with the limit, 0).
        Ok(format!("acl_file {}\nmax_queued_messages 100000\n", rights.display()))
    })?;
    let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
    setup.settings["translators"] = json!({
        "notify": { "topic": "up/notify", "qos": 1 },
        "register": { "topic": "up/resp", "qos": 1 },
        "response": { "topic": "up/resp", "qos": 1 },
    });
    setup.settings["auto_observe"] = json!(["/3/0"]);
    setup.http = true;
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let device = device(&gateway, &application, "sensor")?;
    for number in 1..=50 {
        notify(&device, number)?;
    }
    gateway.watch().said(&["WARN", "has refused a publication", "up/notify", "NotAuthorized"])?;
    application
        .command("dn/sensor", &json!({ "reqID": 1, "msgType": "read", "data": { "path": "/3/0/3" } }))?;
    let read = application.of_type("read");
    let read = read?;
    ensure!(read["data"]["content"][0]["value"] == "1.0");
    ensure!(application.inbox().count(is_notification) == 0);
    // Each is counted, and nothing waits for a change of mind.
    gateway.status("50 refusals", |status| status["mqtt"]["dropped"]["refused"] == 50)?;
    gateway.status("empty", |status| status["outbox"]["waiting"] == 0)?;
    Ok(())
}

#[test]
fn what_came_while_the_broker_refused_the_password_arrives_when_it_is_right() -> Result<()> {
    let broker = Mosquitto::start_with(|_, folder| {
        let users = password_is("right", folder)?;
        // Who gives a name must know the password; the application gives none.
        Ok(format!("password_file {users}\n"))
    })?;
    let mut scene = Scene::set_with(3, broker, |setup| {
        setup.mqtt = json!({ "username": "gateway", "password-file": "password" });
        setup.files.push(("password".to_owned(), "right\n".to_owned()));
    })?;
    let load = scene.load()?;
    scene.arrived_more(20)?;
    password_is("another", scene.broker.folder())?;
    // Who is connected with what is not right any more is told so at once, too.
    scene.broker.reload()?;
    scene.gateway.watch().said(&["no connection", "check `username`, `password-file`"])?;
    load.acknowledged_more(50)?;
    fs::write(scene.gateway.folder().join("password"), "another\n")?;
    scene.arrived_more(50)?;
    scene.judge(&load.stop()?)
}

/// The password that the broker wants of the gateway; where it stands.
fn password_is(password: &str, folder: &Path) -> Result<String> {
    let users = folder.join("users");
    fs::write(&users, format!("gateway:{password}\n"))?;
    let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&users).status();
    ensure!(hashed.is_ok_and(|status| status.success()), "mosquitto_passwd hashes the passwords");
    open_to_all(folder, &users)?;
    Ok(users.display().to_string())
}

/// A registered device that has agreed to be observed.
fn device(gateway: &Gateway, application: &Application, endpoint: &str) -> Result<Device> {
    let mut device = Device::new(gateway.coap(), endpoint)?;
    device.register()?;
    application.of_type("observe")?;
    Ok(device)
}

/// A notification with this number, and its acknowledgement.
fn notify(device: &Device, number: i64) -> Result<()> {
    device.set("/3/0/9", Value::Integer(number))?;
    let sent = device.notify("/3/0", MessageType::Confirmable)?;
    device.acknowledged(&sent)?;
    Ok(())
}

fn command_is_answered(scene: &Scene) -> Result<()> {
    let command = json!({ "reqID": 77, "msgType": "read", "data": { "path": "/3/0/3" } });
    scene.application.command("dn/last", &command)?;
    let answer = scene.application.of_type("read")?;
    ensure!(answer["reqID"] == 77, "{answer}");
    Ok(())
}

/// mosquitto, started by root, reads its files as a user of its own.
fn open_to_all(folder: &Path, file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o644))?)
}
