//! What a bad translator costs: one message and one counter each time, and nobody else anything.
//!
//! The bad one is `host/tests/fixtures/hostile.wasm`, beside `emqx`; it publishes each client's name on `good` in mode `g`.

mod fault;
mod scene;

use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Device, Message};

use scene::{Scene, counts, fixture, hostile, senml_value, setup};

#[test]
fn a_trap_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("t", &json!({}), "trap", "unreachable")
}

#[test]
fn a_loop_that_uses_up_its_fuel_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("s", &json!({}), "limit", "all of its fuel")
}

#[test]
fn a_loop_with_much_fuel_ends_by_the_clock_and_costs_one_message_and_one_counter() -> Result<()> {
    let limits = json!({ "fuel": 1_u64 << 60, "wall": "50ms" });
    costs_one_message("s", &limits, "limit", "all of its time")
}

#[test]
fn a_memory_bomb_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("m", &json!({}), "limit", "more memory than it may")
}

#[test]
fn a_result_of_100_mb_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("a", &json!({}), "invalid_output", "unusable result")?;
    costs_one_message("b", &json!({}), "invalid_output", "unusable result")
}

#[test]
fn too_many_actions_or_bytes_cost_one_message_and_one_counter() -> Result<()> {
    costs_one_message("c", &json!({}), "invalid_output", "1001 actions, at most 1000 are allowed")?;
    costs_one_message("o", &json!({}), "invalid_output", "at most 1048576 are allowed")
}

#[test]
fn a_topic_that_mqtt_forbids_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("w", &json!({}), "invalid_output", "contains '#'")?;
    costs_one_message("n", &json!({}), "invalid_output", "contains '\\0'")?;
    costs_one_message("e", &json!({}), "invalid_output", "an empty topic")?;
    costs_one_message("x", &json!({}), "invalid_output", "65536 bytes")
}

#[test]
fn a_topic_that_is_not_utf8_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("u", &json!({}), "invalid_output", "utf-8")
}

#[test]
fn a_result_that_is_none_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("d", &json!({}), "invalid_output", "unusable result")
}

#[test]
fn a_fault_that_the_translator_tells_itself_costs_one_message_and_one_counter() -> Result<()> {
    costs_one_message("p", &json!({}), "unsupported", "not supported: my reason")?;
    costs_one_message("f", &json!({}), "malformed", "malformed input: my reason")?;
    costs_one_message("i", &json!({}), "internal", "the translator failed: my reason")
}

#[test]
fn too_much_log_is_cut_and_costs_no_message() -> Result<()> {
    let scene = Scene::begin(&hostile("l"), 1)?;
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
    let scene = Scene::begin(&hostile("f"), 1)?;
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
fn a_translator_publishes_within_its_fence_only() -> Result<()> {
    let script = "function uplink(event) {\n\
                    if (event.type !== 'sent') return [];\n\
                    const value = event.samples[0].value;\n\
                    return { topic: value < 0 ? 'elsewhere' : `n/${event.endpoint}`, qos: 1, payload: { value } };\n\
                  }\n";
    let translator = json!({ "name": "bad", "topics": ["n/+", "m/#"] });
    let scene = Scene::begin_with(&translator, 1, &[("bad.js", script)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad" }), 1, &[("bad.js", script)])?;
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
        let mut setup = setup(&hostile("s"), shards, &[]);
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
    let mut scene = Scene::begin(&hostile("g"), 1)?;
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
    let mut setup = setup(&translator, 1, &[]);
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
fn costs_one_message(mode: &str, limits: &Json, outcome: &str, reason: &str) -> Result<()> {
    let mut translator = hostile(mode);
    for (key, value) in limits.as_object().into_iter().flatten() {
        translator[key] = value.clone();
    }
    let scene = Scene::begin(&translator, 1)?;
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
