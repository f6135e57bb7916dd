//! Notifications (RFC 7641) that come out of order, twice, from elsewhere, or not at all any more.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stage::Stage;

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_notification_that_comes_twice_is_published_once_and_acknowledged_twice() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    stage.notify("con 1 21.5")?;
    stage.device.tell("again")?;
    stage.device.said_times(&["acknowledged"], 2)?;
    stage.notify("con 2 22.5")?;
    stage.published(&[21.5, 22.5])
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn notifications_of_the_same_number_are_published_and_older_ones_only_acknowledged() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    // Leshan gives one number to several; they are told apart by their message ids.
    for notification in
        ["con 5 1.0", "con 5 2.0", "con 4 3.0", "non 3 4.0", "con 6 5.0", "con none 6.0", "con 7 7.0"]
    {
        stage.notify(notification)?;
    }
    stage.published(&[1.0, 2.0, 5.0, 6.0, 7.0])
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn numbers_of_notifications_begin_again_after_24_bits() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    // Half of the numbers are ahead of any.
    for notification in [
        "con 8388607 1.0",
        "con 16777214 2.0",
        "con 16777215 3.0",
        "con 0 4.0",
        "con 16777215 5.0",
        "con 1 6.0",
    ] {
        stage.notify(notification)?;
    }
    stage.published(&[1.0, 2.0, 3.0, 4.0, 6.0])
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn an_error_ends_the_observation_and_is_published() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    stage.notify("con 1 21.5")?;
    ensure!(stage.value("notify", PATH)? == json!(21.5));
    stage.device.tell("error con 4.04")?;
    let data = stage.data("notify", PATH)?;
    ensure!(data["code"] == "4.04", "{data}");
    stage.device.said_times(&["acknowledged"], 2)?;
    // Its token means nothing any more.
    stage.device.forget();
    stage.device.tell("notify con 2 22.5")?;
    stage.device.said(&["reset"])?;
    stage.none_left("notify")?;
    // It can be begun anew.
    stage.command("observe", PATH)?;
    ensure!(stage.value("observe", PATH)? == json!(20.5));
    stage.notify("con 1 23.5")?;
    ensure!(stage.value("notify", PATH)? == json!(23.5));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn aiocoap_ends_an_observation_with_an_error() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", PATH)?;
    ensure!(stage.value("observe", PATH)? == json!(20.5));
    stage.device.tell("gone")?;
    let data = stage.data("notify", PATH)?;
    ensure!(data["code"] == "4.04", "{data}");
    stage.device.said(&["observers 0"])?;
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_device_that_notifies_from_another_port_is_found_there() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    stage.device.tell("move")?;
    stage.notify("con 1 21.5")?;
    ensure!(stage.value("notify", PATH)? == json!(21.5));
    // It says nothing of the old port any more: whatever it hears came to the new one.
    ensure!(stage.read(PATH)? == json!(20.5));
    stage.device.tell("move")?;
    stage.device.tell("notify non 2 22.5")?;
    ensure!(stage.value("notify", PATH)? == json!(22.5));
    ensure!(stage.read(PATH)? == json!(20.5));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_notification_before_the_answer_to_a_command_is_published_and_the_command_answered() -> Result<()> {
    let Some(mut stage) = Stage::set("device.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.command("observe", PATH)?;
    ensure!(stage.value("observe", PATH)? == json!(20.5));
    stage.command("read", "/3/0/1")?;
    stage.device.said(&["asked /3/0/1"])?;
    stage.device.tell("notify 21.5")?;
    ensure!(stage.value("notify", PATH)? == json!(21.5));
    stage.device.tell("answer")?;
    ensure!(stage.value("read", "/3/0/1")? == json!("Slow device"));
    Ok(())
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_notification_before_the_answer_to_the_cancellation_is_published() -> Result<()> {
    let Some(mut stage) = Stage::observing()? else { return Ok(()) };
    stage.answering("overtaken")?;
    stage.command("cancel-observe", PATH)?;
    ensure!(stage.value("notify", PATH)? == json!(99.5));
    ensure!(stage.value("cancel-observe", PATH)? == json!(20.5));
    // And that was the end of it.
    stage.device.tell("notify con 10 1.5")?;
    stage.device.said(&["reset"])?;
    stage.none_left("notify")
}

#[test]
#[ignore = "needs aiocoap: make interop"]
fn a_notification_before_the_answer_to_the_observation_counts_as_the_answer() -> Result<()> {
    let Some(mut stage) = Stage::set("raw.py")? else { return Ok(()) };
    stage.device.said(&["registered"])?;
    stage.answering("overtaken")?;
    stage.command("observe", PATH)?;
    ensure!(stage.value("observe", PATH)? == json!(99.5));
    stage.device.said(&["acknowledged"])?;
    stage.notify("con 10 1.5")?;
    ensure!(stage.value("notify", PATH)? == json!(1.5));
    stage.none_left("notify")?;
    stage.none_left("observe")
}

impl Stage {
    /// With a device whose messages the test makes, and whose temperature is observed.
    fn observing() -> Result<Option<Self>> {
        let Some(stage) = Self::set("raw.py")? else { return Ok(None) };
        stage.device.said(&["registered"])?;
        stage.command("observe", PATH)?;
        ensure!(stage.value("observe", PATH)? == json!(20.5));
        Ok(Some(stage))
    }

    /// Let the device notify, and wait until it is acknowledged if it is to be.
    fn notify(&mut self, notification: &str) -> Result<()> {
        let before = self.device.times_said(&["acknowledged"]);
        self.device.tell(&format!("notify {notification}"))?;
        if notification.starts_with("con") {
            self.device.said_times(&["acknowledged"], before + 1)?;
        }
        Ok(())
    }

    /// These values were published, in this order, and no others.
    fn published(&self, values: &[f64]) -> Result<()> {
        for value in values {
            let published = self.value("notify", PATH)?;
            ensure!(published == json!(value), "{published} instead of {value}");
        }
        self.none_left("notify")
    }
}

const PATH: &str = "/3303/0/5700";
