//! Block-wise transfers (RFC 7959) that do not go straight on.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};

use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_tests::Server;

use crate::stage::{ENDPOINT, Stage, device, numbers};

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_value_that_changes_while_it_is_read_is_read_anew() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.read("/31024/0/0")? == version(1));
    stage.said_just(&["asked /31024/0/0 block 0 "], 2)?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_value_that_changes_whenever_it_is_read_is_given_up() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("read", "/31024/0/1")?;
    let data = stage.data("read", "/31024/0/1")?;
    ensure!(data["code"] == "4.08", "{data}");
    // The next command is not held up.
    ensure!(stage.read("/3/0/0")? == json!("Tidegate"));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_read_goes_on_in_the_smaller_blocks_that_the_device_changes_to() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.read("/31024/0/2")? == version(0));
    stage.device.said(&["asked /31024/0/2 block 17 of 64"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_notification_between_the_blocks_of_a_read_is_published() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/3303/0/5700")?;
    ensure!(stage.value("observe", "/3303/0/5700")? == json!(20.5));
    stage.command("read", "/31024/0/3")?;
    ensure!(stage.value("notify", "/3303/0/5700")? == json!(33.5));
    ensure!(stage.value("read", "/31024/0/3")? == version(0));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn large_notifications_are_fetched_and_published_once_each() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/31024/0/5")?;
    ensure!(stage.value("observe", "/31024/0/5")? == version(0));
    for number in 1..=3 {
        stage.device.tell("change /31024/0/5")?;
        ensure!(stage.value("notify", "/31024/0/5")? == version(number), "{number}");
    }
    stage.command("cancel-observe", "/31024/0/5")?;
    ensure!(stage.value("cancel-observe", "/31024/0/5")? == version(3));
    stage.device.said(&["observers of /31024/0/5 0"])?;
    stage.none_left("notify")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_value_that_changes_while_the_answer_to_its_observation_is_read_is_read_anew() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/31024/0/0")?;
    let (first, second) = (stage.value("observe", "/31024/0/0")?, stage.value("notify", "/31024/0/0")?);
    ensure!(first == version(1) && second == version(1), "{first} {second}");
    stage.none_left("notify")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn of_a_value_that_changes_while_its_notification_is_read_the_last_state_is_published() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/31024/0/5")?;
    ensure!(stage.value("observe", "/31024/0/5")? == version(0));
    stage.device.tell("restless /31024/0/5 4")?;
    stage.device.tell("change /31024/0/5")?;
    stage.command("read", "/3/0/0")?;
    let mut published = Vec::new();
    while published.last() != Some(&version(5)) {
        published.push(stage.value("notify", "/31024/0/5")?);
    }
    // Those before may have been overtaken, but none is a mixture of two.
    let whole: Vec<Json> = (1..=5).map(version).collect();
    ensure!(published.iter().all(|one| whole.contains(one)) && published.len() <= 5, "{published:?}");
    ensure!(stage.value("read", "/3/0/0")? == json!("Tidegate"));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_block_that_is_long_in_coming_holds_up_no_command() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", "/31024/0/4")?;
    stage.device.said(&["asked /31024/0/4"])?;
    // The second block is yet to come; a command beside it is answered.
    stage.application.of_type("ack")?;
    ensure!(stage.read("/3/0/0")? == json!("Tidegate"));
    stage.device.tell("answer")?;
    ensure!(stage.value("observe", "/31024/0/4")? == version(0));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_of_which_the_device_loses_the_blocks_is_begun_anew_once() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.write("/31024/1/0", 5000)? == "2.04");
    stage.device.said(&["written /31024/1/0 5000 whole"])?;
    stage.said_just(&["given /31024/1/0 block 0 "], 2)?;

    ensure!(stage.write("/31024/1/1", 5000)? == "4.08");
    stage.said_just(&["given /31024/1/1 block 0 "], 2)?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_is_done_in_the_smaller_blocks_that_the_device_wants() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    // Refused with 4.13, and begun anew.
    ensure!(stage.write("/31024/1/2", 3000)? == "2.04");
    stage.device.said(&["written /31024/1/2 3000 whole"])?;
    stage.device.said(&["given /31024/1/2 block 0 of 64"])?;
    // Taken, and gone on with: 1024 bytes are 32 blocks of 32.
    ensure!(stage.write("/31024/1/3", 3000)? == "2.04");
    stage.device.said(&["written /31024/1/3 3000 whole"])?;
    stage.said_just(&["given /31024/1/3 block 0 "], 1)?;
    stage.device.said(&["given /31024/1/3 block 32 of 32"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_that_was_sent_whole_is_repeated_in_the_blocks_that_the_device_wants() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.write("/31024/1/2", 500)? == "2.04");
    stage.device.said(&["written /31024/1/2 500 whole"])?;
    stage.said_just(&["given /31024/1/2 whole"], 1)?;
    stage.device.said(&["given /31024/1/2 block 7 of 64"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_that_is_too_large_for_the_device_is_told_as_refused() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.write("/31024/1/4", 5000)? == "4.13");
    stage.said_just(&["given /31024/1/4"], 3)?;
    ensure!(stage.read("/3/0/0")? == json!("Tidegate"));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_of_many_blocks_arrives_whole() -> Result<()> {
    let Some(stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    ensure!(stage.write("/31024/1/5", 200_000)? == "2.04");
    stage.device.said(&["written /31024/1/5 200000 whole"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_write_of_a_million_bytes_tells_how_far_it_is() -> Result<()> {
    let mut server = Server::start(&[])?;
    let Some(device) = device("device.py", server.address()?)? else { return Ok(()) };
    server.registered()?;
    let (path, mode) = (Path::new([31024, 1, 5]), WriteMode::Replace);
    let body = Body::Encoded { format: Some(0), payload: numbers(1_000_000).into_bytes() };
    let context = server.submit(ENDPOINT, Operation::Write { path, queries: vec![], mode, body });
    let mut before = 0;
    while let Some((done, total)) = server.transferred(&context)? {
        ensure!(
            total == 1_000_000 && (before + 1..total).contains(&done),
            "{done} of {total} after {before}"
        );
        before = done;
    }
    let answer = server.answered(&context)?;
    ensure!(answer.code == "2.04" && before > 900_000, "{answer:?} after {before} bytes");
    device.said(&["written /31024/1/5 1000000 whole"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_send_in_blocks_is_put_together() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.device.tell("send 200")?;
    let send = stage.application.of_type("send")?;
    let content = send["data"]["content"].as_array().cloned().unwrap_or_default();
    ensure!(content.len() == 200, "{send}");
    ensure!(content[199] == json!({ "path": "/3303/199/5700", "value": 199.5 }), "{}", content[199]);
    stage.device.said(&["sent 2.04"])?;
    Ok(())
}

fn version(number: u32) -> Json {
    format!("version {number} {}", numbers(3000)).into()
}
