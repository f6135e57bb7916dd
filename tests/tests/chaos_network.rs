//! The way between devices and the gateway loses, doubles and reorders datagrams, and changes addresses.

use anyhow::{Result, ensure};
use tidegate_tests::load::{Load, Scene};
use tidegate_tests::{Badness, Mosquitto, UdpRelay, report};

#[test]
fn loss_and_duplicates_and_reordering_cost_no_notification() -> Result<()> {
    let (mut scene, ways) = scene()?;
    let load = bad_load(&mut scene, &ways)?;
    load.acknowledged_more(150)?;
    end(&scene, load, &ways)
}

#[test]
fn a_gateway_that_is_killed_behind_a_bad_network_loses_nothing() -> Result<()> {
    let (mut scene, ways) = scene()?;
    let load = bad_load(&mut scene, &ways)?;
    for round in 0..3 {
        load.acknowledged_more(20 + round * 7)?;
        scene.gateway.kill_and_restart()?;
    }
    load.acknowledged_more(40)?;
    end(&scene, load, &ways)
}

#[test]
fn a_nat_that_forgets_its_mappings_under_load_costs_no_notification() -> Result<()> {
    let (mut scene, ways) = scene()?;
    let load = bad_load(&mut scene, &ways)?;
    for round in 0..20 {
        load.acknowledged_more(3 + round * 5 % 7)?;
        ways[round % ways.len()].rebind()?;
        if round == 10 {
            scene.gateway.kill_and_restart()?;
        }
    }
    load.acknowledged_more(20)?;
    end(&scene, load, &ways)
}

/// Four devices, each with a way of its own that is good until they are observed.
fn scene() -> Result<(Scene, Vec<UdpRelay>)> {
    let mut scene = Scene::set_with(0, Mosquitto::start()?, |_| {})?;
    let mut ways = Vec::new();
    for seed in 1..=4 {
        let way = UdpRelay::start(scene.gateway.coap(), seed)?;
        scene.add_device(way.address())?;
        ways.push(way);
    }
    scene.settle()?;
    Ok((scene, ways))
}

fn bad_load(scene: &mut Scene, ways: &[UdpRelay]) -> Result<Load> {
    ways.iter().for_each(|way| way.be(Badness { lost: 20, doubled: 10, late: 10 }));
    scene.load()
}

fn end(scene: &Scene, load: Load, ways: &[UdpRelay]) -> Result<()> {
    scene.judge(&load.stop()?)?;
    let mut all = [0; 3];
    for way in ways {
        let done = way.done();
        all.iter_mut().zip(done).for_each(|(sum, more)| *sum += more);
    }
    report(&format!("datagrams lost, doubled, late: {all:?}"));
    ensure!(all.iter().all(|count| *count > 0), "the network was bad: {all:?}");
    Ok(())
}
