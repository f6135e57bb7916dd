//! The client of node-red-contrib-lwm2m, which is Wakaama 1.0 with a mistake: behind each message that it sends it also
//! sends an acknowledgement 5.00 without a token.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use tidegate_tests::{Process, free_port};

use crate::{ENDPOINT, Stage, node};

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn resources_instances_and_objects_are_read() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility)? else { return Ok(()) };
        ensure!(stage.read("/3/0/0")? == json!({ "/3/0/0": "Tidegate" }));
        ensure!(stage.read("/3/0/9")? == json!({ "/3/0/9": 87 }));
        ensure!(stage.read("/3/0/6")? == json!({ "/3/0/6/0": 1, "/3/0/6/5": 4 }));
        for path in ["/3/0", "/3"] {
            let device = stage.read(path)?;
            let some = ["/3/0/0", "/3/0/1", "/3/0/6/0", "/3/0/6/5", "/3/0/9", "/3/0/14"];
            let some = some.map(|path| device[path].clone());
            let expected = json!(["Tidegate", "node-red-contrib-lwm2m", 1, 4, 87, "+01"]);
            ensure!(json!(some) == expected, "{device}");
        }
        // It cannot read an instance of a resource.
        stage.refused("read", "/3/0/6/5", "4.00")?;
        stage.refused("read", "/3/0/77", "4.04")?;
        stage.refused("read", "/9/0/1", "4.04")?;
        match compatibility {
            // EMQX has no definition of a temperature.
            "strict" => stage.refused("read", "/3303/0", "4.00")?,
            _ => ensure!(stage.read("/3303/0")? == json!({ "/3303/0/5700": 20.5, "/3303/0/5701": "Cel" })),
        }
        stage.strays_were_sent()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn resources_are_written_and_executed() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility)? else { return Ok(()) };
        stage.done("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+05" }), "2.04")?;
        stage.device.said(&["updated /3/0/14 \"+05\""])?;
        ensure!(stage.read("/3/0/14")? == json!({ "/3/0/14": "+05" }));
        stage.done("write", &json!({ "path": "/3/0/9", "type": "Integer", "value": 5 }), "4.01")?;

        let content = json!([
            { "path": "0", "type": "Boolean", "value": "false" },
            { "path": "1", "type": "Integer", "value": 200 },
            { "path": "2", "type": "Opaque", "value": "AAEC" },
        ]);
        stage.done("write", &json!({ "basePath": "/31024/0", "content": content }), "2.04")?;
        stage.device.said(&["updated /31024/0/0 false"])?;
        stage.device.said(&["updated /31024/0/1 200"])?;
        stage.device.said(&["updated /31024/0/2 {\"type\":\"Buffer\",\"data\":[0,1,2]}"])?;

        stage.done("execute", &json!({ "path": "/3/0/4", "args": "0='now'" }), "2.04")?;
        stage.device.said(&["executed /3/0/4 0='now'"])?;
        stage.done("execute", &json!({ "path": "/3/0/0" }), "4.05")?;
        stage.strays_were_sent()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn a_large_value_is_written_in_blocks_and_read_in_one() -> Result<()> {
    let Some(mut stage) = set("fixed")? else { return Ok(()) };
    let large: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
    let value = BASE64_STANDARD.encode(&large);
    stage.done("write", &json!({ "path": "/31024/0/2", "type": "Opaque", "value": value }), "2.04")?;
    ensure!(stage.read("/31024/0/2")? == json!({ "/31024/0/2": value }));
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn attributes_are_written_and_discovered() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility)? else { return Ok(()) };
        let attributes = json!({
            "path": "/3303/0/5700", "pmin": "1", "pmax": "2", "gt": "25", "lt": "10", "st": "0.5",
        });
        stage.done("write-attr", &attributes, "2.04")?;
        let link = "</3303/0/5700>;pmin=1;pmax=2;gt=25;lt=10;st=0.5";
        ensure!(stage.discover("/3303/0/5700")? == json!([link]));
        ensure!(stage.discover("/3303/0")? == json!(["</3303/0>", link, "</3303/0/5701>"]));
        ensure!(stage.discover("/3303")? == json!(["</3303>", link, "</3303/0/5701>"]));
        stage.refused("discover", "/9", "4.04")?;
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn instances_are_created_and_deleted_and_each_time_it_updates_its_registration() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility)? else { return Ok(()) };
        let content = json!([{ "path": "/5/1", "type": "Integer", "value": 7 }]);
        stage.done("create", &json!({ "basePath": "/31024", "content": content }), "2.01")?;
        stage.device.said(&["created /31024/5/1 7"])?;
        // A list without a Content-Format, with one object named twice.
        let update = stage.application.of_type("update")?;
        let list = ["/1/0", "/2/0", "/3/0", "/3303/0", "/31024/0", "/31024/5", "/31024/0"];
        ensure!(update["data"]["objectList"] == json!(list), "{update}");

        stage.done("delete", &json!({ "path": "/31024/5" }), "2.02")?;
        stage.device.said(&["deleted /31024/5/1"])?;
        let update = stage.application.of_type("update")?;
        let list = ["/1/0", "/2/0", "/3/0", "/3303/0", "/31024/0", "/31024/0"];
        ensure!(update["data"]["objectList"] == json!(list), "{update}");
        stage.done("delete", &json!({ "path": "/31024/5" }), "4.04")?;
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn observations_are_notified_of_and_cancelled() -> Result<()> {
    for compatibility in ["strict", "fixed"] {
        let Some(mut stage) = set(compatibility)? else { return Ok(()) };
        let resource = stage.command("observe", &json!({ "path": "/3/0/14" }))?;
        let observed = stage.message("observe", resource)?;
        ensure!(crate::values(&observed["data"])? == json!({ "/3/0/14": "+01" }), "{observed}");
        let instance = stage.command("observe", &json!({ "path": "/3/0" }))?;
        let observed = stage.message("observe", instance)?;
        ensure!(crate::values(&observed["data"])?["/3/0/14"] == "+01", "{observed}");

        // It looks whether something has changed after each datagram, and every five seconds.
        stage.device.tell("set /3/0/14 \"+02\"")?;
        stage.device.said(&["set /3/0/14 \"+02\" done"])?;
        let (number, values) = stage.notification(resource)?;
        ensure!(number == 1 && values == json!({ "/3/0/14": "+02" }), "{number} {values}");
        let (number, values) = stage.notification(instance)?;
        ensure!(number == 1 && values["/3/0/14"] == "+02", "{number} {values}");

        let cancelled = stage.ask("cancel-observe", &json!({ "path": "/3/0/14" }))?;
        ensure!(crate::values(&cancelled)? == json!({ "/3/0/14": "+02" }), "{cancelled}");
        // A write of the gateway's is a change as well; only the other observation tells it.
        stage.done("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+03" }), "2.04")?;
        let (number, values) = stage.notification(instance)?;
        ensure!(number == 2 && values["/3/0/14"] == "+03", "{number} {values}");
        let of_cancelled = stage.application.inbox().count(|message| {
            message.json().is_some_and(|json| json["msgType"] == "notify" && json["reqID"] == resource)
        });
        ensure!(of_cancelled == 0);
        stage.strays_were_sent()?;
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn it_is_observed_of_itself_and_obeys_meanwhile() -> Result<()> {
    for (compatibility, paths) in [("strict", &["/3/0"][..]), ("fixed", &["/3/0", "/3303/0"])] {
        let Some(mut stage) = set_observed(compatibility, json!(true))? else { return Ok(()) };
        ensure!(stage.read("/3/0/0")? == json!({ "/3/0/0": "Tidegate" }));
        for path in paths {
            let observed = stage.application.of_type("observe")?;
            ensure!(
                observed["is_auto_observe"] == true && observed["data"]["reqPath"] == *path,
                "{observed}"
            );
            ensure!(observed["data"]["code"] == "2.05", "{observed}");
        }
        stage.done("write", &json!({ "path": "/3/0/14", "type": "String", "value": "+05" }), "2.04")?;
        let notified = stage.application.of_type("notify")?;
        ensure!(notified["is_auto_observe"] == true && notified["data"]["reqPath"] == "/3/0", "{notified}");
        ensure!(crate::values(&notified["data"])?["/3/0/14"] == "+05", "{notified}");
        let others = stage
            .application
            .inbox()
            .count(|message| message.json().is_some_and(|json| json["msgType"] == "observe"));
        ensure!(others == 0);
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn two_of_them_do_not_get_in_each_others_way() -> Result<()> {
    let names = ["first", "second"];
    let [Some(first), Some(second)] = names.map(|_| client()) else { return Ok(()) };
    // Both take their message IDs and tokens from the clock, in seconds.
    let stage = Stage::set("fixed", json!(false), |port| start(first, port, names[0]))?;
    let second = start(second, &stage.gateway.coap().port().to_string(), names[1])?;
    for device in [&stage.device, &second] {
        device.said(&["state ready"])?;
    }
    let registered = [stage.application.of_type("register")?, stage.application.of_type("register")?];
    ensure!(
        names.iter().all(|name| registered.iter().any(|register| register["ep"] == *name)),
        "{registered:?}"
    );
    for (device, name) in [&stage.device, &second].into_iter().zip(names) {
        let data = json!({ "path": "/3/0/14", "type": "String", "value": name });
        let command = json!({ "msgType": "write", "data": data });
        stage.application.command(&format!("dn/{name}"), &command)?;
        let write = stage.application.of_type("write")?;
        ensure!(write["ep"] == name && write["data"]["code"] == "2.04", "{write}");
        device.said(&["updated /3/0/14", name])?;
    }
    for device in [&stage.device, &second] {
        ensure!(device.times_said(&["updated"]) == 1, "{}", device.everything());
    }
    Ok(())
}

#[test]
#[ignore = "needs node-red-contrib-lwm2m: make interop"]
fn it_deregisters() -> Result<()> {
    let Some(mut stage) = set("fixed")? else { return Ok(()) };
    stage.quit()?;
    let bye = stage.application.of_type("deregister")?;
    ensure!(bye["ep"] == ENDPOINT && bye["data"]["reason"] == "deregistered", "{bye}");
    Ok(())
}

impl Stage {
    /// An empty token, code 5.00, and the message ID of a request that has been answered: `60 A0`.
    fn strays_were_sent(&self) -> Result<()> {
        ensure!(self.device.times_said(&["60 A0 "]) > 0, "{}", self.device.everything());
        Ok(())
    }
}

/// With the client registered.
fn set(compatibility: &str) -> Result<Option<Stage>> {
    set_observed(compatibility, json!(false))
}

/// With the client registered, as its first message says.
fn set_observed(compatibility: &str, auto_observe: Json) -> Result<Option<Stage>> {
    let Some(client) = client() else { return Ok(None) };
    let stage = Stage::set(compatibility, auto_observe, |port| start(client, port, ENDPOINT))?;
    let register = stage.application.of_type("register")?;
    let data = json!({
        "objectList": ["/1/0", "/2/0", "/3/0", "/3303/0", "/31024/0", "/31024/0"], "lwm2m": "1.0", "lt": 300,
        "ep": ENDPOINT, "b": "U", "alternatePath": "/",
    });
    ensure!(register["data"] == data, "{register}");
    stage.device.said(&["state ready"]).context("it has not understood the answer to its Register")?;
    Ok(Some(stage))
}

fn client() -> Option<Command> {
    node("node_red.js", "node-red-contrib-lwm2m")
}

fn start(mut client: Command, gateway: &str, endpoint: &str) -> Result<Process> {
    Process::start(client.args([gateway, &free_port()?.to_string(), endpoint]))
}
