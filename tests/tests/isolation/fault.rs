//! What becomes of an event that a translator fails on, and of the translator: raw, dropped or held; resting.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tidegate_tests::{Broker, Device, Message, Mosquitto, PATIENCE, Setup};

use crate::scene::{Scene, senml_value, setup};

#[test]
fn a_translator_rests_after_three_crashes_in_a_row_and_recovers_with_a_good_call() -> Result<()> {
    let mut scene = Scene::begin_with(&json!({ "name": "bad" }), 1, &[("bad.js", MOODY)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad", "on-fault": "raw" }), 1, &[("bad.js", BROKEN)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad", "on-fault": "drop" }), 1, &[("bad.js", BROKEN)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad", "on-fault": "hold" }), 2, &[("bad.js", BROKEN)])?;
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
    let scene = Scene::begin_with(&translator, 1, &[("bad.js", BROKEN)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad", "on-fault": "hold" }), 1, &[("bad.js", BROKEN)])?;
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
    let scene = Scene::begin_with(&json!({ "name": "bad", "on-fault": "hold" }), 1, &[("bad.js", MOODY)])?;
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
fn what_is_held_when_the_gateway_ends_is_published_raw_if_it_cannot_survive() -> Result<()> {
    let broker = Mosquitto::start()?;
    let mut setup = held_at(&broker);
    setup.store = json!({ "path": "" });
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
fn what_is_held_survives_the_end_and_the_death_of_the_gateway_until_the_translator_is_fixed() -> Result<()> {
    let broker = Mosquitto::start()?;
    let mut scene = Scene::of(&held_at(&broker))?;
    let device = scene.observed("bad-1")?;
    for value in 1..=4 {
        scene.notifies(&device, value)?;
    }
    scene.holds(4)?;
    // The translator is as it was: it is not tried again, neither after this end nor after that.
    scene.gateway.terminate_and_restart()?;
    scene.holds(4)?;
    scene.notifies(&device, 5)?;
    // What came before a Register that is answered is in the store.
    scene.bad("bad-last")?.register()?;
    scene.gateway.kill_and_restart()?;
    scene.holds(5)?;
    let of_device = |message: &Message| message.topic.ends_with("/bad-1");
    ensure!(scene.application.inbox().count(of_device) == 0, "{:?}", scene.application.inbox().all());
    scene.gateway.process().kill()?;
    scene.replace("bad.js", FIXED)?;
    scene.gateway.kill_and_restart()?;
    scene.values_in_order("n/bad-1", 1..=5)?;
    scene.holds(0)?;
    // Once is enough.
    scene.gateway.terminate_and_restart()?;
    scene.notifies(&device, 6)?;
    scene.values_in_order("n/bad-1", 6..=6)
}

/// One shard, whose bad translator fails on notifications, which are held.
fn held_at(broker: &Mosquitto) -> Setup {
    let mut setup = setup(&json!({ "name": "bad", "on-fault": "hold" }), 1, &[("bad.js", BROKEN)]);
    setup.broker = Broker::On(broker.port());
    setup
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
