//! The client library of lwm2m-node-lib: it names no content format, cannot be asked for more than a resource, answers
//! neither Create nor Delete, nor a cancellation, and has another port after each Update.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::Process;

use crate::{ENDPOINT, Stage, node, values};

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn resources_are_read_written_and_executed() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility, json!(false), Some(TLV))? else { return Ok(()) };
        ensure!(stage.read("/3/0/0")? == json!({ "/3/0/0": "Tidegate" }));
        ensure!(stage.read("/3/0/9")? == json!({ "/3/0/9": 87 }));
        match compatibility {
            // EMQX has no definition of a temperature.
            "strict" => stage.refused("read", "/3303/0/5700", "4.00")?,
            _ => ensure!(stage.read("/3303/0/5700")? == json!({ "/3303/0/5700": 20.5 })),
        }
        stage.refused("read", "/3/0", "4.04")?;
        stage.refused("read", "/3", "4.00")?;
        stage.refused("read", "/9/0/1", "4.04")?;

        // It takes the bytes of the TLV for text, so the value is "\u{fffd}\u{e}+05" to it, and comes back like that.
        stage.done("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+05" }), "2.04")?;
        stage.device.said(&["written /3/0/14 efbfbd0e2b3035"])?;
        ensure!(stage.read("/3/0/14")? == json!({ "/3/0/14": "\u{fffd}\u{e}+05" }));
        stage.done("execute", &json!({ "path": "/3/0/4", "args": "0='now'" }), "2.04")?;
        stage.device.said(&["executed /3/0/4 0='now'"])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn attributes_are_written_and_discovered() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility, json!(false), None)? else { return Ok(()) };
        stage.done("write-attr", &json!({ "path": "/3/0/9", "pmin": "5", "pmax": "500" }), "2.04")?;
        ensure!(stage.discover("/3/0/9")? == json!(["</3/0/9>;pmax=500;pmin=5"]));
        let links = ["</3/0>", "</3/0/0>", "</3/0/1>", "</3/0/9>", "</3/0/14>"];
        ensure!(stage.discover("/3/0")? == json!(links));
        ensure!(stage.discover("/3")? == json!(["</3>", "</3/0>"]));

        // Its pmax is in milliseconds and holds whether the value changes or not.
        let id = stage.command("observe", &json!({ "path": "/3/0/9" }))?;
        stage.message("observe", id)?;
        for expected in 2..5 {
            let (number, values) = stage.notification(id)?;
            ensure!(number == expected && values == json!({ "/3/0/9": 87 }), "{number} {values}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn what_it_never_answers_holds_nothing_up_and_ends_with_its_registration() -> Result<()> {
    let Some(mut stage) = set("fixed", json!(false), Some(TLV))? else { return Ok(()) };
    let content = json!([{ "path": "/1/5701", "type": "String", "value": "K" }]);
    let commands = [
        ("create", json!({ "basePath": "/3303", "content": content })),
        (
            "write",
            json!({ "basePath": "/3303/0", "content": [{ "path": "5701", "type": "String", "value": "K" }] }),
        ),
        ("delete", json!({ "path": "/3303/0" })),
    ];
    let mut open = Vec::new();
    for (operation, data) in commands {
        let id = stage.command(operation, &data)?;
        let acknowledged = stage.message("ack", id)?;
        ensure!(acknowledged["data"] == data, "{acknowledged}");
        open.push((id, data));
    }
    ensure!(stage.read("/3/0/1")? == json!({ "/3/0/1": "lwm2m-node-lib" }));
    stage.quit()?;
    stage.application.of_type("deregister")?;
    for (id, data) in open {
        let given_up = stage.message("coap_timeout", id)?;
        ensure!(given_up["data"] == ended(&data), "{given_up}");
    }
    Ok(())
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn a_write_that_it_drops_without_a_word_ends_with_its_registration() -> Result<()> {
    // As it comes, it knows the content format 1541 and nothing else.
    let Some(mut stage) = set("fixed", json!(false), None)? else { return Ok(()) };
    let data = json!({ "path": "/3/0/14", "type": "String", "value": "+05" });
    let id = stage.command("write", &data)?;
    // An Update while it is open.
    stage.device.tell("update")?;
    stage.device.said(&["update done"])?;
    stage.application.of_type("update")?;
    stage.quit()?;
    let given_up = stage.message("coap_timeout", id)?;
    ensure!(given_up["data"] == ended(&data), "{given_up}");
    ensure!(stage.device.times_said(&["written"]) == 0);
    Ok(())
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn notifications_come_from_the_port_of_before_an_update_and_count() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility, json!(false), None)? else { return Ok(()) };
        let id = stage.command("observe", &json!({ "path": "/3/0/9" }))?;
        let observed = stage.message("observe", id)?;
        ensure!(observed["seqNum"] == 1, "{observed}");
        ensure!(values(&observed["data"])? == json!({ "/3/0/9": 87 }), "{observed}");
        stage.change("/3/0/9", "86", id, 2)?;

        // Its new port gets the requests, and the old one still notifies: both are this client.
        for (level, number) in [("85", 3), ("84", 4)] {
            stage.device.tell("update")?;
            let update = stage.application.of_type("update")?;
            ensure!(update["data"]["objectList"] == json!(["/1/0", "/3/0", "/3303/0"]), "{update}");
            ensure!(stage.read("/3/0/1")? == json!({ "/3/0/1": "lwm2m-node-lib" }));
            stage.change("/3/0/9", level, id, number)?;
            ensure!(stage.read("/3/0/0")? == json!({ "/3/0/0": "Tidegate" }));
        }
        stage.quit()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn a_cancellation_that_it_never_answers_holds_nothing_up() -> Result<()> {
    let Some(mut stage) = set("fixed", json!(false), None)? else { return Ok(()) };
    let first = stage.command("observe", &json!({ "path": "/3/0/9" }))?;
    stage.message("observe", first)?;
    let cancel = stage.command("cancel-observe", &json!({ "path": "/3/0/9" }))?;
    stage.message("ack", cancel)?;
    ensure!(stage.read("/3/0/0")? == json!({ "/3/0/0": "Tidegate" }));

    // Observing again replaces the observation that it has not ended.
    let second = stage.command("observe", &json!({ "path": "/3/0/9" }))?;
    stage.message("observe", second)?;
    stage.change("/3/0/9", "86", second, 2)?;
    stage.change("/3/0/9", "85", second, 3)?;
    let of_first = stage.application.inbox().count(|message| {
        message.json().is_some_and(|json| json["msgType"] == "notify" && json["reqID"] == first)
    });
    ensure!(of_first == 0);
    stage.quit()
}

#[test]
#[ignore = "needs lwm2m-node-lib: make interop"]
fn it_is_observed_of_itself_although_it_opens_its_port_late() -> Result<()> {
    // The first request comes while it is between two sockets, and often has to be sent again.
    let Some(mut stage) = set("fixed", json!(["/3/0/9"]), None)? else { return Ok(()) };
    let observed = stage.application.of_type("observe")?;
    ensure!(observed["is_auto_observe"] == true, "{observed}");
    ensure!(values(&observed["data"])? == json!({ "/3/0/9": 87 }), "{observed}");
    stage.device.tell("set /3/0/9 86")?;
    let notified = stage.application.of_type("notify")?;
    ensure!(values(&notified["data"])? == json!({ "/3/0/9": 86 }), "{notified}");
    stage.quit()
}

impl Stage {
    /// Change a resource; the notification with this number must have the new value.
    fn change(&mut self, path: &str, value: &str, id: u32, number: u32) -> Result<()> {
        self.device.tell(&format!("set {path} {value}"))?;
        let (seen, values) = self.notification(id)?;
        let value: Json = serde_json::from_str(value)?;
        ensure!(seen == number && values == json!({ path: value }), "{seen} {values}");
        Ok(())
    }
}

/// With the client registered and listening, which knows the content format given besides its own.
fn set(compatibility: &str, auto_observe: Json, format: Option<&str>) -> Result<Option<Stage>> {
    let Some(mut node) = node("node_lib.js", "lwm2m-node-lib") else { return Ok(None) };
    let stage = Stage::set(compatibility, auto_observe, |port| {
        Process::start(node.args([port, ENDPOINT]).args(format))
    })?;
    let register = stage.application.of_type("register")?;
    let data = json!({
        "objectList": ["/1/0", "/3/0", "/3303/0"], "lwm2m": "1.0", "lt": 300, "ep": ENDPOINT, "b": "U",
        "alternatePath": "/",
    });
    ensure!(register["data"] == data, "{register}");
    stage.device.said(&["registration done"])?;
    Ok(Some(stage))
}

const TLV: &str = "11542";

/// The data of a command that came to nothing since the client went.
fn ended(data: &Json) -> Json {
    let mut ended = data.clone();
    ended["reason"] = json!("the registration ended first");
    ended
}
