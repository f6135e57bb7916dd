//! Responses that are not in the acknowledgement of their request.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stage::Stage;

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_non_confirmable_response_without_acknowledgement_is_taken() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("non")?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    // It counts as acknowledgement: the next request goes out, one at a time.
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.said_just(&["asked GET"], 2)?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_separate_response_that_comes_twice_is_published_once_and_acknowledged_twice() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("twice")?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.device.said_times(&["acknowledged"], 2)?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.none_left("read")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn responses_that_nothing_has_asked_for_are_reset_and_hinder_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    for kind in ["con", "non"] {
        stage.device.tell(&format!("stray {kind} deadbeef"))?;
        let sent = stage.device.said(&["sent"])?;
        stage.device.said(&[&sent.replace("sent", "reset")])?;
        stage.device.forget();
    }
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.none_left("notify")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_separate_response_whose_acknowledgement_was_lost_is_taken() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("unannounced")?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.device.said(&["acknowledged"])?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_response_with_a_token_of_another_request_is_passed_over() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("mistaken")?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.none_left("read")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_request_that_is_reset_is_told_and_holds_up_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("reset")?;
    stage.command("read", "/3303/0/5700")?;
    let reset = stage.application.of_type("coap_reset")?;
    ensure!(reset["data"]["path"] == "/3303/0/5700", "{reset}");
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_request_is_repeated_with_the_echo_that_the_device_wants() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("wary")?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    stage.device.said(&["echoed fresh"])?;
    stage.none_left("read")
}
