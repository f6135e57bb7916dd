//! Responses that are not in the acknowledgement of their request.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stage::Stage;

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_non_confirmable_response_without_acknowledgement_is_taken() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.device.tell("answer non")?;
    stage.device.said(&["will answer non"])?;
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    // It counts as acknowledgement: the next request goes out, one at a time.
    ensure!(stage.read("/3303/0/5700")? == json!(20.5));
    ensure!(stage.device.times_said(&["asked GET"]) == 2);
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_separate_response_that_comes_twice_is_published_once_and_acknowledged_twice() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.device.tell("answer twice")?;
    stage.device.said(&["will answer twice"])?;
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
