//! What a device was told has arrived does arrive, whatever dies: the gateway, the broker, the way between them.
//!
//! Devices count: each notification carries the next number, is confirmable and is sent again until it is acknowledged or given
//! up. Every number that was acknowledged must reach the subscriber, at least once and first in order: that is what QoS 1 says.

use anyhow::{Result, ensure};
use tidegate_tests::load::{Scene, is_notification};

#[test]
fn a_gateway_that_is_killed_twenty_times_under_load_loses_nothing_it_has_acknowledged() -> Result<()> {
    let mut scene = Scene::set(4)?;
    let load = scene.load()?;
    for round in 0..20 {
        // At another moment each time.
        load.acknowledged_more(1 + round * 7 % 13)?;
        scene.gateway.kill_and_restart()?;
    }
    load.acknowledged_more(8)?;
    scene.judge(&load.stop()?)
}

#[test]
fn a_connection_to_the_broker_that_breaks_under_load_loses_and_reorders_nothing() -> Result<()> {
    let mut scene = Scene::set(4)?;
    let load = scene.load()?;
    for round in 0..8 {
        load.acknowledged_more(5 + round * 11 % 17)?;
        scene.relay.cut();
        load.acknowledged_more(3 + round * 5 % 7)?;
        scene.relay.mend();
    }
    scene.judge(&load.stop()?)
}

#[test]
fn what_waits_for_a_broker_that_is_away_survives_the_kill_of_the_gateway() -> Result<()> {
    let mut scene = Scene::set(3)?;
    scene.relay.cut();
    let load = scene.load()?;
    for _ in 0..3 {
        load.acknowledged_more(20)?;
        scene.gateway.kill_and_restart()?;
    }
    let acknowledged = load.stop()?;
    ensure!(scene.application.inbox().count(is_notification) == 0, "the broker was away");
    scene.relay.mend();
    scene.judge(&acknowledged)
}

#[test]
fn a_gateway_that_is_stopped_while_its_broker_is_away_keeps_what_waits() -> Result<()> {
    let mut scene = Scene::set(2)?;
    scene.relay.cut();
    let load = scene.load()?;
    load.acknowledged_more(10)?;
    let acknowledged = load.stop()?;
    scene.gateway.terminate_and_restart()?;
    scene.relay.mend();
    scene.judge(&acknowledged)
}
