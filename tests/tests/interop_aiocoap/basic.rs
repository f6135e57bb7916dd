//! What is usual: block-wise both ways, separate responses, confirmable notifications.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stage::Stage;

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_register_in_small_blocks_is_put_together() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered 2.01"])?;
    let register = stage.application.of_type("register")?;
    let objects = register["data"]["objectList"].as_array().cloned().unwrap_or_default();
    ensure!(objects.len() == 13 && objects.last() == Some(&json!("/31024/9")), "{register}");
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn piggybacked_separate_and_block_wise_responses_are_read() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("read", "/3/0/0")?;
    ensure!(stage.value("read", "/3/0/0")? == json!("Tidegate"));

    stage.command("read", "/3/0/1")?;
    stage.device.said(&["asked /3/0/1"])?;
    // The empty acknowledgement shows that the response will be a separate one.
    stage.application.of_type("ack")?;
    stage.device.tell("answer")?;
    ensure!(stage.value("read", "/3/0/1")? == json!("Slow device"));

    stage.command("read", "/3/0/2")?;
    ensure!(stage.value("read", "/3/0/2")? == json!("0123456789".repeat(300)));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn confirmable_notifications_are_published_until_the_observation_is_cancelled() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/3303/0/5700")?;
    ensure!(stage.value("observe", "/3303/0/5700")? == json!(20.5));
    stage.device.said(&["observers 1"])?;
    for value in ["21.5", "22.25"] {
        stage.device.tell(&format!("notify {value}"))?;
        ensure!(stage.value("notify", "/3303/0/5700")?.to_string() == value);
    }
    stage.command("cancel-observe", "/3303/0/5700")?;
    stage.value("cancel-observe", "/3303/0/5700")?;
    stage.device.said(&["observers 0"])?;

    stage.device.tell("quit")?;
    stage.device.said(&["deregistered 2.02"])?;
    stage.application.of_type("deregister")?;
    Ok(())
}
