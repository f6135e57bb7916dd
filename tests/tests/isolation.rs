//! What a bad translator costs: one message and one counter each time, and nobody else anything.
//!
//! The bad one is `host/tests/fixtures/hostile.wasm`, beside `emqx`; it publishes each client's name on `good` in mode `g`.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Device, Gateway, Message, Mosquitto, MqttVersion, PATIENCE, Setup, Value,
};

#[test]
fn a_trap_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("t", json!({}), "trap", "unreachable")
}

#[test]
fn a_loop_that_uses_up_its_fuel_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("s", json!({}), "limit", "all of its fuel")
}

#[test]
fn a_loop_with_much_fuel_ends_by_the_clock_and_costs_one_message_and_one_counter() -> Result<()> {
    let limits = json!({ "fuel": 1_u64 << 60, "wall": "50ms" });
    costs_one_message("s", limits, "limit", "all of its time")
}

#[test]
fn a_memory_bomb_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("m", json!({}), "limit", "more memory than it may")
}

#[test]
fn a_result_of_100_mb_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("a", json!({}), "invalid_output", "unusable result")?;
    costs_one_message("b", json!({}), "invalid_output", "unusable result")
}

#[test]
fn too_many_actions_or_bytes_cost_one_message_and_one_counter() -> Result<()> {
    costs_one_message("c", json!({}), "invalid_output", "1001 actions, at most 1000 are allowed")?;
    costs_one_message("o", json!({}), "invalid_output", "at most 1048576 are allowed")
}

#[test]
fn a_topic_that_mqtt_forbids_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("w", json!({}), "invalid_output", "contains '#'")?;
    costs_one_message("n", json!({}), "invalid_output", "contains '\\0'")?;
    costs_one_message("e", json!({}), "invalid_output", "an empty topic")?;
    costs_one_message("x", json!({}), "invalid_output", "65536 bytes")
}

#[test]
fn a_topic_that_is_not_utf8_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("u", json!({}), "invalid_output", "utf-8")
}

#[test]
fn a_result_that_is_none_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("d", json!({}), "invalid_output", "unusable result")
}

#[test]
fn a_fault_that_the_translator_tells_itself_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("p", json!({}), "unsupported", "not supported: my reason")?;
    costs_one_message("f", json!({}), "malformed", "malformed input: my reason")?;
    costs_one_message("i", json!({}), "internal", "the translator failed: my reason")
}

#[test]
fn too_much_log_is_cut_and_costs_no_message() -> Result<()> {
    let scene = Scene::begin(hostile("l"), 1)?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.published("good", b"bad-1")?;
    let log = scene.gateway.watch();
    log.said(&["translator=\"bad\"", "about=\"bad-1\"", "more than 20 lines in one call"])?;
    let line = log.said(&["INFO", "translator=\"bad\"", "xxxx"])?;
    ensure!(line.matches('x').count() == 1024, "{line}");
    ensure!(log.times_said(&["translator=\"bad\"", "xxxx"]) == 20);
    ensure!(scene.calls("bad")? == counts(&[("ok", 1)]), "{:?}", scene.calls("bad")?);
    Ok(())
}

#[test]
fn a_flood_of_faults_is_told_now_and_then_with_the_number_left_out() -> Result<()> {
    let scene = Scene::begin(hostile("f"), 1)?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    let is_fault = |message: &Message| message.topic == "tidegate/fault";
    let left_out = |message: &Message| message.json().and_then(|fault| fault["suppressed"].as_u64());
    let (mut faults, mut told, mut suppressed) = (1, 0, 0);
    while suppressed == 0 {
        ensure!(device.update(&[])? == "2.04");
        faults += 1;
        for message in scene.application.drain().iter().filter(|message| is_fault(message)) {
            told += 1;
            suppressed += left_out(message).context("a number")?;
        }
    }
    ensure!(told + suppressed <= faults, "{told} + {suppressed} of {faults}");
    ensure!(scene.calls("bad")? == counts(&[("malformed", faults)]), "{:?}", scene.calls("bad")?);
    Ok(())
}

#[test]
fn a_translator_rests_after_three_crashes_in_a_row_and_recovers_with_a_good_call() -> Result<()> {
    let mut scene = Scene::begin_with(json!({ "name": "bad" }), 1, &[("bad.js", MOODY)])?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.sends(&device, 1)?;
    scene.publishes_value("n/bad-1", 1)?;
    for _ in 0..3 {
        scene.sends(&device, -1)?;
    }
    scene.status("bad", |status| status["state"] == "resting")?;
    // Whoever comes later is told, too.
    scene.reconnect()?;
    let told =
        scene.application.statuses().take("status", |message| message.topic == "tidegate/translator/bad")?;
    ensure!(told.retain && told.json().is_some_and(|status| status["state"] == "resting"), "{told:?}");
    ensure!(scene.metric("tidegate_translator_state{translator=\"bad\",state=\"resting\"}")? == 1);
    // It rests longer after each further crash, so that sooner or later one finds it at rest.
    while !scene.calls("bad")?.contains_key("unavailable") {
        scene.sends(&device, -1)?;
    }
    // One good call ends it, when one is made again.
    let is_active = |message: &Message| {
        message.topic == "tidegate/translator/bad"
            && message.json().is_some_and(|status| status["state"] == "active")
    };
    let goes_on = || scene.application.statuses().look(BETWEEN_SENDS, is_active).is_none();
    let deadline = Instant::now() + PATIENCE;
    while goes_on() {
        scene.sends(&device, 2)?;
        ensure!(Instant::now() < deadline, "it does not recover: {:?}", scene.calls("bad")?);
    }
    scene.publishes_value("n/bad-1", 2)?;
    scene.sends(&device, 3)?;
    scene.publishes_value("n/bad-1", 3)?;
    ensure!(scene.metric("tidegate_translator_state{translator=\"bad\",state=\"resting\"}")? == 0);
    Ok(())
}

#[test]
fn what_a_translator_fails_on_is_published_raw() -> Result<()> {
    let scene = Scene::begin_with(json!({ "name": "bad", "on-fault": "raw" }), 1, &[("bad.js", BROKEN)])?;
    let device = scene.observed("bad-1")?;
    for value in 1..=3 {
        scene.notifies(&device, value)?;
    }
    for value in 1..=3 {
        let raw = scene.application.take("raw", |message| message.topic == "tidegate/raw/bad-1")?;
        ensure!(senml_value(&raw) == Some(f64::from(value)), "{raw:?}");
    }
    Ok(())
}

#[test]
fn what_a_translator_fails_on_is_dropped_where_that_is_wanted() -> Result<()> {
    let scene = Scene::begin_with(json!({ "name": "bad", "on-fault": "drop" }), 1, &[("bad.js", BROKEN)])?;
    let device = scene.observed("bad-1")?;
    for value in 1..=3 {
        scene.notifies(&device, value)?;
    }
    ensure!(scene.calls("bad")?["internal"] == 3, "{:?}", scene.calls("bad")?);
    // What comes behind them shows that they do not come.
    ensure!(device.update(&[])? == "2.04");
    scene.application.take("what is said about the update", |message| message.topic == "u/bad-1")?;
    let of_device = |message: &Message| message.topic.ends_with("/bad-1");
    ensure!(scene.application.inbox().count(of_device) == 0, "{:?}", scene.application.inbox().all());
    Ok(())
}

#[test]
fn what_is_held_is_published_once_and_in_order_when_the_translator_is_fixed() -> Result<()> {
    let scene = Scene::begin_with(json!({ "name": "bad", "on-fault": "hold" }), 2, &[("bad.js", BROKEN)])?;
    let names = ["bad-1", "bad-2", "bad-3"];
    let devices: Vec<Device> = names.iter().map(|name| scene.observed(name)).collect::<Result<_>>()?;
    for value in 1..=5 {
        devices.iter().try_for_each(|device| scene.notifies(device, value))?;
    }
    scene.holds(15)?;
    // What comes behind them shows that nothing of them has been published.
    for (device, name) in devices.iter().zip(names) {
        ensure!(device.update(&[])? == "2.04");
        scene
            .application
            .take("what is said about the update", |message| message.topic == format!("u/{name}"))?;
        let is_notified = |message: &Message| {
            message.topic.ends_with(&format!("/{name}")) && !message.topic.starts_with("u/")
        };
        ensure!(scene.application.inbox().count(is_notified) == 0, "{:?}", scene.application.inbox().all());
    }

    scene.replace("bad.js", FIXED)?;
    // Some of these meet the old one, some the new one: all of them stand behind what is held.
    for value in 6..=30 {
        devices.iter().try_for_each(|device| scene.notifies(device, value))?;
    }
    scene.gateway.watch().said(&["translator live", "translator=\"bad\""])?;
    for value in 31..=35 {
        devices.iter().try_for_each(|device| scene.notifies(device, value))?;
    }
    for name in names {
        scene.values_in_order(&format!("n/{name}"), 1..=35)?;
    }
    scene.holds(0)?;
    let is_raw = |message: &Message| message.topic.starts_with("tidegate/raw/");
    ensure!(scene.application.inbox().count(is_raw) == 0);
    Ok(())
}

#[test]
fn what_finds_no_room_among_what_is_held_is_published_raw() -> Result<()> {
    let translator = json!({ "name": "bad", "on-fault": "hold", "hold": 2 });
    let scene = Scene::begin_with(translator, 1, &[("bad.js", BROKEN)])?;
    let device = scene.observed("bad-1")?;
    for value in 1..=5 {
        scene.notifies(&device, value)?;
    }
    for value in 1..=3 {
        let raw = scene.application.take("raw", |message| message.topic == "tidegate/raw/bad-1")?;
        ensure!(senml_value(&raw) == Some(f64::from(value)), "{raw:?}");
    }
    scene.holds(2)?;
    ensure!(scene.metric("tidegate_translator_held_events_fallen_total{translator=\"bad\"}")? == 3);
    scene.replace("bad.js", FIXED)?;
    scene.values_in_order("n/bad-1", 4..=5)
}

#[test]
fn what_the_next_generation_fails_on_too_is_published_raw_in_its_place() -> Result<()> {
    let scene = Scene::begin_with(json!({ "name": "bad", "on-fault": "hold" }), 1, &[("bad.js", BROKEN)])?;
    let device = scene.observed("bad-1")?;
    for value in 1..=3 {
        scene.notifies(&device, value)?;
    }
    scene.replace(
        "bad.js",
        &FIXED
            .replace("const value", "if (event.samples[0].value === 2) throw new Error('two');\nconst value"),
    )?;
    let of_device = |message: &Message| message.topic.ends_with("/bad-1");
    let came: Vec<Message> =
        (0..3).map(|_| scene.application.take("what was held", of_device)).collect::<Result<_>>()?;
    let topics: Vec<&str> = came.iter().map(|message| message.topic.as_str()).collect();
    ensure!(topics == ["n/bad-1", "tidegate/raw/bad-1", "n/bad-1"], "{came:?}");
    ensure!(senml_value(&came[1]) == Some(2.0), "{came:?}");
    Ok(())
}

#[test]
fn what_is_held_while_a_translator_rests_is_published_in_order_when_it_does_not_rest_any_more() -> Result<()>
{
    let scene = Scene::begin_with(json!({ "name": "bad", "on-fault": "hold" }), 1, &[("bad.js", MOODY)])?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    for _ in 0..3 {
        scene.sends(&device, -1)?;
    }
    scene.status("bad", |status| status["state"] == "resting")?;
    for value in 1..=5 {
        scene.sends(&device, value)?;
    }
    // Nobody sends anything more.
    scene.values_in_order("n/bad-1", 1..=5)?;
    scene.status("bad", |status| status["state"] == "active")?;
    scene.holds(3)?;
    Ok(())
}

#[test]
fn what_is_held_when_the_gateway_ends_is_published_raw() -> Result<()> {
    let broker = Mosquitto::start()?;
    let mut setup = setup(json!({ "name": "bad", "on-fault": "hold" }), 2, &[("bad.js", BROKEN)]);
    setup.broker = Broker::On(broker.port());
    let mut scene = Scene::of(&setup)?;
    let device = scene.observed("bad-1")?;
    for value in 1..=4 {
        scene.notifies(&device, value)?;
    }
    ensure!(scene.gateway.terminate()?.success());
    for value in 1..=4 {
        let raw = scene.application.take("raw", |message| message.topic == "tidegate/raw/bad-1")?;
        ensure!(senml_value(&raw) == Some(f64::from(value)), "{raw:?}");
    }
    Ok(())
}

#[test]
fn a_translator_publishes_within_its_fence_only() -> Result<()> {
    let script = "function uplink(event) {\n\
                    if (event.type !== 'sent') return [];\n\
                    const value = event.samples[0].value;\n\
                    return { topic: value < 0 ? 'elsewhere' : `n/${event.endpoint}`, qos: 1, payload: { value } };\n\
                  }\n";
    let translator = json!({ "name": "bad", "topics": ["n/+", "m/#"] });
    let scene = Scene::begin_with(translator, 1, &[("bad.js", script)])?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.sends(&device, 1)?;
    scene.sends(&device, -1)?;
    scene.sends(&device, 2)?;
    scene.publishes_value("n/bad-1", 1)?;
    scene.publishes_value("n/bad-1", 2)?;
    let raw = scene.application.take("raw", |message| message.topic == "tidegate/raw/bad-1")?;
    ensure!(senml_value(&raw) == Some(-1.0), "{raw:?}");
    ensure!(scene.application.inbox().count(|message| message.topic == "elsewhere") == 0);
    let fault = scene.fault()?;
    ensure!(fault["outcome"] == "invalid_output" && fault["cause"] == "sent", "{fault}");
    ensure!(fault["reason"].as_str().is_some_and(|reason| reason.contains("elsewhere")), "{fault}");
    Ok(())
}

#[test]
fn a_fault_on_an_mqtt_message_is_told_and_costs_that_message() -> Result<()> {
    let script = "const subscriptions = ['cmd/#'];\n\
                  function uplink(event) { return []; }\n\
                  function downlink(message) {\n\
                    if (message.json.loop) for (;;) {}\n\
                    return { topic: 'done', qos: 1, payload: message.json };\n\
                  }\n";
    let scene = Scene::begin_with(json!({ "name": "bad" }), 1, &[("bad.js", script)])?;
    scene.application.command("cmd/a", &json!({ "loop": true }))?;
    scene.application.command("cmd/a", &json!({ "number": 1 }))?;
    scene.application.expect("done", &json!({ "number": 1 }))?;
    let fault = scene.fault()?;
    let told = ["direction", "cause", "about", "outcome"].map(|key| fault[key].as_str().unwrap_or_default());
    ensure!(told == ["downlink", "message", "cmd/a", "limit"], "{fault}");
    let calls = "tidegate_translator_calls_total{translator=\"bad\",direction=\"downlink\"";
    ensure!(scene.metric(&format!("{calls},outcome=\"limit\"}}"))? == 1);
    ensure!(scene.metric(&format!("{calls},outcome=\"ok\"}}"))? == 1);
    Ok(())
}

#[test]
fn a_loop_behind_one_listener_loses_nothing_of_the_other() -> Result<()> {
    for shards in [2, 1] {
        let mut setup = setup(hostile("s"), shards, &[]);
        setup.listeners = 2;
        setup.routes = json!([{ "listener": 1, "translators": ["bad"] }]);
        let scene = Scene::of(&setup)?;
        let steady = scene.steady()?;
        let bad = |number: u8| -> Result<()> {
            let mut device = Device::new(scene.gateway.coap_at(1), &format!("bad-{number}"))?;
            device.register()?;
            for _ in 0..10 {
                ensure!(device.update(&[])? == "2.04");
            }
            Ok(())
        };
        thread::scope(|scope| {
            let bad: Vec<_> = (0..3).map(|number| scope.spawn(move || bad(number))).collect();
            for value in 1..=20 {
                scene.steady_notifies(&steady, value)?;
            }
            bad.into_iter().try_for_each(|bad| bad.join().map_err(|_| anyhow::anyhow!("panicked"))?)
        })?;
        for value in 1..=20 {
            scene.steady_comes(value)?;
        }
        let calls = scene.calls("bad")?;
        ensure!(calls["limit"] >= 3 && calls["limit"] + calls["unavailable"] == 33, "{calls:?}");
        ensure!(scene.calls("emqx")?.keys().eq(["ok"]), "{:?}", scene.calls("emqx")?);
    }
    Ok(())
}

#[test]
fn settings_that_configure_refuses_traps_on_or_spins_on_leave_what_serves_alone() -> Result<()> {
    let mut scene = Scene::begin(hostile("g"), 1)?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.published("good", b"bad-1")?;
    let file = scene.gateway.folder().join("tidegate.toml");
    let before = std::fs::read_to_string(&file)?;
    for (mode, reason) in [("R", "must be 0, 1 or 2"), ("T", "unreachable"), ("S", "all of its fuel")] {
        std::fs::write(&file, before.replace("mode = \"g\"", &format!("mode = \"{mode}\"")))?;
        let said = scene.gateway.process().said(&["ERROR", "configuration refused", reason])?;
        ensure!(said.contains("bad"), "{said}");
        ensure!(device.update(&[])? == "2.04");
        scene.published("good", b"bad-1")?;
    }
    ensure!(scene.calls("bad")? == counts(&[("ok", 4)]), "{:?}", scene.calls("bad")?);
    ensure!(scene.metric("tidegate_translator_instances_created_total{translator=\"bad\"}")? == 1);
    Ok(())
}

#[test]
fn no_rejected_file_touches_what_serves() -> Result<()> {
    let mut translator = hostile("g");
    translator["artifact"] = json!("plugins/bad.wasm");
    let whole = std::fs::read(fixture("hostile.wasm"))?;
    let mut setup = setup(translator, 1, &[]);
    setup.artifacts = vec![("bad.wasm".to_owned(), whole.clone())];
    let mut scene = Scene::of(&setup)?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.published("good", b"bad-1")?;
    let core = b"\0asm\x01\0\0\0".to_vec();
    let candidates = [
        (std::fs::read(fixture("wasi.wasm"))?, "linked", "wasi"),
        (std::fs::read(fixture("contract-2.wasm"))?, "identified", "2.0"),
        (core, "identified", "component"),
        (whole[..whole.len() / 2].to_vec(), "identified", "whole"),
        (Vec::new(), "identified", ""),
    ];
    for (bytes, step, reason) in candidates {
        scene.gateway.process().forget();
        scene.replace_bytes("bad.wasm", &bytes)?;
        let step = format!("step={step}");
        let said = scene.gateway.process().said(&["ERROR", "translator rejected", "bad.wasm", &step])?;
        ensure!(said.contains(reason), "{said}");
        ensure!(device.update(&[])? == "2.04");
        scene.published("good", b"bad-1")?;
    }
    ensure!(scene.calls("bad")? == counts(&[("ok", 6)]), "{:?}", scene.calls("bad")?);
    ensure!(scene.metric("tidegate_translator_instances_created_total{translator=\"bad\"}")? == 1);
    let status = scene.status("bad", |status| status["rejections"] == 5)?;
    ensure!(status["state"] == "active" && status["offered"] == 0, "{status}");
    Ok(())
}

/// A client registers and sends a value, and its translator fails on both: it is answered as ever, both come raw, the
/// fault is told and counted, and the clients of `emqx` go on in order.
fn costs_one_message(mode: &str, limits: Json, outcome: &str, reason: &str) -> Result<()> {
    let mut translator = hostile(mode);
    for (key, value) in limits.as_object().into_iter().flatten() {
        translator[key] = value.clone();
    }
    let scene = Scene::begin(translator, 1)?;
    let steady = scene.steady()?;
    scene.steady_notifies(&steady, 1)?;
    let mut device = scene.bad("bad-1")?;
    device.register()?;
    scene.steady_notifies(&steady, 2)?;
    ensure!(scene.calls("bad")? == counts(&[(outcome, 1)]), "{:?}", scene.calls("bad")?);
    scene.sends(&device, 7)?;
    scene.steady_notifies(&steady, 3)?;
    ensure!(scene.calls("bad")? == counts(&[(outcome, 2)]), "{:?}", scene.calls("bad")?);

    let fault = scene.fault()?;
    let expected = json!({
        "translator": "bad", "generation": fault["generation"], "digest": fault["digest"], "direction": "uplink",
        "cause": "registered", "about": "bad-1", "outcome": outcome, "reason": fault["reason"], "suppressed": 0,
    });
    ensure!(fault == expected, "{fault}");
    ensure!(fault["reason"].as_str().is_some_and(|text| text.contains(reason)), "{fault}");
    ensure!(
        fault["generation"].is_u64() && fault["digest"].as_str().is_some_and(|of| of.len() == 64),
        "{fault}"
    );
    let raw = |what| scene.application.take(what, |message| message.topic == "tidegate/raw/bad-1");
    let registered = raw("the raw registration")?;
    ensure!(registered.json().is_some_and(|json| json["event"] == "registered"), "{registered:?}");
    let sent = raw("the raw value")?;
    ensure!(senml_value(&sent) == Some(7.0), "{sent:?}");
    for value in 1..=3 {
        scene.steady_comes(value)?;
    }
    ensure!(scene.application.inbox().count(|message| message.topic == "good") == 0);
    ensure!(scene.calls("emqx")?.keys().eq(["ok"]), "{:?}", scene.calls("emqx")?);
    Ok(())
}

/// `[[translator]]` of the fixture, in a mode.
fn hostile(mode: &str) -> Json {
    json!({ "name": "bad", "artifact": fixture("hostile.wasm"), "settings": { "mode": mode } })
}

fn fixture(name: &str) -> String {
    format!("{}/../host/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `emqx` for all clients but those whose name begins with `bad-`.
fn setup(translator: Json, shards: u8, files: &[(&str, &str)]) -> Setup {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.http = true;
    setup.shards = shards;
    setup.settings["auto_observe"] = json!(true);
    setup.translators = json!([{ "name": "emqx", "settings": setup.settings }, translator]);
    setup.routes = json!([{ "endpoints": "bad-*", "translators": ["bad"] }]);
    setup.files = files.iter().map(|(name, text)| (format!("plugins/{name}"), (*text).to_owned())).collect();
    setup
}

/// So many calls ended so.
fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

/// The first value of what is published raw.
fn senml_value(raw: &Message) -> Option<f64> {
    raw.json()?[0]["v"].as_f64()
}

struct Scene {
    gateway: Gateway,
    application: Application,
}

impl Scene {
    fn begin(translator: Json, shards: u8) -> Result<Self> {
        Self::begin_with(translator, shards, &[])
    }

    fn begin_with(translator: Json, shards: u8, files: &[(&str, &str)]) -> Result<Self> {
        Self::of(&setup(translator, shards, files))
    }

    fn of(setup: &Setup) -> Result<Self> {
        let gateway = Gateway::start(setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        Ok(Self { gateway, application })
    }

    /// The broker is inside the gateway, and goes on.
    fn reconnect(&mut self) -> Result<()> {
        self.application = Application::connect(self.gateway.mqtt(), MqttVersion::V5)?;
        Ok(())
    }

    /// A client of the bad translator that has not registered yet.
    fn bad(&self, endpoint: &str) -> Result<Device> {
        Device::new(self.gateway.coap(), endpoint)
    }

    /// A client of the bad translator that has asked it for its temperature.
    fn observed(&self, endpoint: &str) -> Result<Device> {
        let mut device = self.bad(endpoint)?;
        device.set("/3303/0/5700", Value::Float(0.0))?;
        device.register()?;
        device.requests().take("the observe request", |request| request.get_observe_value().is_some())?;
        Ok(device)
    }

    /// A client of `emqx` that is observed.
    fn steady(&self) -> Result<Device> {
        let mut device = Device::new(self.gateway.coap(), "steady")?;
        device.register()?;
        self.application.of_type("observe")?;
        Ok(device)
    }

    /// It notifies, and is acknowledged.
    fn steady_notifies(&self, device: &Device, value: i64) -> Result<()> {
        device.set("/3/0/9", Value::Integer(value))?;
        let sent = device.notify("/3/0", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    /// The next that is published of it is this value.
    fn steady_comes(&self, value: i64) -> Result<()> {
        let notify = self.application.of_type("notify")?;
        let items = notify["data"]["content"].as_array().context("content")?;
        let level = items.iter().find(|item| item["path"] == "/3/0/9").context("the battery level")?;
        ensure!(notify["ep"] == "steady" && level["value"] == value, "{value}: {notify}");
        Ok(())
    }

    /// A temperature that is notified of and acknowledged.
    fn notifies(&self, device: &Device, value: u32) -> Result<()> {
        device.set("/3303/0/5700", Value::Float(f64::from(value)))?;
        let sent = device.notify("/3303/0/5700", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    /// A temperature that is sent unasked and answered as ever.
    fn sends(&self, device: &Device, value: i32) -> Result<()> {
        let code = device.send_unasked(&json!([{ "n": "/3303/0/5700", "v": value }]))?;
        ensure!(code == "2.04", "{code}");
        Ok(())
    }

    fn published(&self, topic: &str, payload: &[u8]) -> Result<()> {
        let is = |message: &Message| message.topic == topic && message.payload == payload;
        self.application.take(topic, is).map(drop)
    }

    fn publishes_value(&self, topic: &str, value: i32) -> Result<()> {
        let is = |json: Json| json["value"].as_f64() == Some(f64::from(value));
        let what = format!("{value} on {topic}");
        self.application
            .take(&what, |message| message.topic == topic && message.json().is_some_and(is))
            .map(drop)
    }

    /// These values come on a topic, each once and one after the other.
    fn values_in_order(&self, topic: &str, values: std::ops::RangeInclusive<u32>) -> Result<()> {
        let on_topic = |message: &Message| message.topic == topic;
        for value in values {
            let message = self.application.take(&format!("{value} on {topic}"), on_topic)?;
            let came = message.json().and_then(|json| json["value"].as_f64());
            ensure!(came == Some(f64::from(value)), "{value} was expected on {topic}: {message:?}");
        }
        ensure!(self.application.inbox().count(on_topic) == 0, "{:?}", self.application.inbox().all());
        Ok(())
    }

    fn fault(&self) -> Result<Json> {
        let message = self.application.take("the fault", |message| message.topic == "tidegate/fault")?;
        ensure!(!message.retain, "{message:?}");
        message.json().context("JSON")
    }

    /// What is told about a slot, as soon as it is as it should be. What was told before is passed over.
    fn status(&self, name: &str, is: impl Fn(&Json) -> bool) -> Result<Json> {
        let topic = format!("tidegate/translator/{name}");
        let message = self.application.statuses().take("status", |message| {
            message.topic == topic && message.json().is_some_and(|status| is(&status))
        })?;
        self.application.statuses().drain();
        message.json().context("JSON")
    }

    /// How many calls of a translator ended how, without those that there were none of.
    fn calls(&self, translator: &str) -> Result<BTreeMap<String, u64>> {
        let start = format!(
            "tidegate_translator_calls_total{{translator=\"{translator}\",direction=\"uplink\",outcome=\""
        );
        let metrics = self.gateway.http("/metrics")?;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
        let counts = lines.map(|(outcome, count)| Ok((outcome.to_owned(), count.parse()?)));
        let mut counts = counts.collect::<Result<BTreeMap<String, u64>>>()?;
        ensure!(counts.len() == 8, "{metrics}");
        counts.retain(|_, count| *count > 0);
        Ok(counts)
    }

    /// A metric that is a whole number.
    fn metric(&self, sample: &str) -> Result<u64> {
        let metrics = self.gateway.http("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {sample} in\n{metrics}"))?.parse()?)
    }

    /// So many events are held, as soon as the turn that has changed it is over.
    fn holds(&self, events: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let held = self.metric("tidegate_translator_held_events{translator=\"bad\"}")?;
            if held == events {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{events} should be held, {held} are");
        }
    }

    /// Replaces a file of the plugin folder at once.
    fn replace(&self, name: &str, text: &str) -> Result<()> {
        self.replace_bytes(name, text.as_bytes())
    }

    fn replace_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let beside = self.gateway.plugins().join(".beside");
        std::fs::write(&beside, bytes)?;
        Ok(std::fs::rename(&beside, self.gateway.plugins().join(name))?)
    }
}

/// Publishes what is sent unasked, and loops over what is below zero.
const MOODY: &str = "\
function uplink(event) {
  if (event.type !== 'sent') return [];
  const value = event.samples[0].value;
  if (value < 0) for (;;) {}
  return { topic: `n/${event.endpoint}`, qos: 1, payload: { value } };
}
";

/// Observes a temperature, and fails on what is notified.
const BROKEN: &str = "\
function uplink(event) {
  if (event.type === 'registered') return { observe: '/3303/0/5700' };
  if (event.type === 'updated') return { topic: `u/${event.endpoint}`, qos: 1, payload: 'updated' };
  if (event.type === 'notified') throw new Error('not understood');
  return [];
}
";

/// The same, but publishes it.
const FIXED: &str = "\
function uplink(event) {
  if (event.type === 'registered') return { observe: '/3303/0/5700' };
  if (event.type === 'updated') return { topic: `u/${event.endpoint}`, qos: 1, payload: 'updated' };
  if (event.type !== 'notified') return [];
  const value = event.samples[0].value;
  return { topic: `n/${event.endpoint}`, qos: 1, payload: { value } };
}
";

/// How long a sign of recovery is waited for before the next value is sent.
const BETWEEN_SENDS: Duration = Duration::from_millis(100);
