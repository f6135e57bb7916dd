//! What becomes of an association when its client's address changes, or its client is another one.

use anyhow::{Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, psk, setup};
use tidegate_tests::{Device, Message, Nat, PATIENCE, Peer, Profile, Secure, code_text, request};

#[test]
fn with_a_connection_id_an_association_goes_on_behind_a_nat_that_forgets() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let nat = Nat::start(stage.gateway.dtls())?;
    let profile = Profile::psk(SECURED, &KEY).with_connection_id(true);
    let (_association, device) = stage.device_at(nat.address(), &profile, SECURED)?;
    stage.goes_well(&device, SECURED)?;
    for level in [42, 43] {
        let before = nat.mapping()?;
        nat.rebind()?;
        ensure!(nat.mapping()? != before);
        // The first that the gateway hears from the new address tells it where to send from now on.
        stage.notifies(&device, SECURED, level)?;
        ensure!(stage.ask(SECURED, "read", "/3/0/3")? == (json!("2.05"), json!("1.0")));
        let code = device.update(&[])?;
        ensure!(code == "2.04", "{code}");
    }
    ensure!(stage.handshakes(SECURED) == 1);
    Ok(())
}

#[test]
fn without_a_connection_id_an_association_dies_and_its_client_begins_anew() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let nat = Nat::start(stage.gateway.dtls())?;
    let profile = Profile::psk(SECURED, &KEY);
    let (_association, device) = stage.device_at(nat.address(), &profile, SECURED)?;
    stage.goes_well(&device, SECURED)?;
    nat.rebind()?;
    // This is lost: the gateway cannot tell whose it is.
    let lost = device.notify("/3/0/9", coap_lite::MessageType::Confirmable)?;
    // What comes after it on the same way has an answer, so the gateway had its chance.
    let again = Secure::connect(nat.address(), &profile)?.into();
    let mut after = Device::behind(Peer::over(&again), SECURED);
    after.register()?;
    ensure!(device.answers().count(|packet| packet.header.message_id == lost.header.message_id) == 0);
    // What comes after the registration is of the observations that are asked for again.
    let nothing_before = |messages: &[Message]| {
        let registered = messages.iter().position(|message| message.topic.contains("register"));
        registered.is_some_and(|at| messages[..at].iter().all(|message| !message.topic.contains("notify")))
    };
    ensure!(stage.application.inbox().wait_until(PATIENCE, nothing_before));
    ensure!(stage.application.of_type("register")?["ep"] == SECURED);
    stage.goes_well(&after, SECURED)?;
    ensure!(stage.handshakes(SECURED) == 2);
    Ok(())
}

#[test]
fn a_client_that_reboots_at_its_old_address_begins_anew() -> Result<()> {
    for connection_id in [false, true] {
        let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
        let profile = Profile::psk(SECURED, &KEY).with_connection_id(connection_id);
        let (old, device) = stage.device(&profile, SECURED)?;
        stage.goes_well(&device, SECURED)?;
        drop(device);
        let new = std::sync::Arc::new(old.reboot(&profile)?);
        ensure!(new.address()? == old.address()?);
        stage.gateway.process().said(&["DTLS association ended", SECURED, "has made another one"])?;
        let mut device = Device::behind(Peer::over(&new), SECURED);
        device.register()?;
        stage.application.of_type("register")?;
        stage.goes_well(&device, SECURED)?;
        ensure!(stage.handshakes(SECURED) == 2);
    }
    Ok(())
}

#[test]
fn a_reboot_with_another_key_leaves_the_association_alone() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let (old, device) = stage.device(&Profile::psk(SECURED, &KEY), SECURED)?;
    drop(device);
    let mut wrong = Profile::psk(SECURED, b"another sixteen ");
    wrong.patience = std::time::Duration::from_millis(500);
    ensure!(old.reboot(&wrong).is_err());
    stage.gateway.process().said(&["a DTLS handshake has failed", SECURED, "probably wrong"])?;
    let answer = Peer::over(&old).ask(&request("0.01", 900, b"on", ".well-known/core", &[]))?;
    ensure!(code_text(&answer) == "2.05", "{answer:?}");
    ensure!(stage.handshakes(SECURED) == 1);
    ensure!(stage.gateway.process().times_said(&["DTLS association ended"]) == 0);
    Ok(())
}

#[test]
fn a_client_that_comes_from_another_port_each_time_is_the_same_for_every_shard() -> Result<()> {
    let mut setup = setup(&json!({ "psk": [psk(SECURED, &KEY)] }));
    setup.shards = 4;
    let stage = Stage::set(&setup)?;
    for times in 0..12 {
        let profile = Profile::psk(SECURED, &KEY).with_connection_id(times % 2 == 1);
        let (_association, device) = stage.device(&profile, SECURED)?;
        stage.goes_well(&device, SECURED)?;
    }
    Ok(())
}
