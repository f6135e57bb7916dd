//! The API in EMQX's shape, by the examples of its documentation.

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::Value;

use super::stage::{CLIENT, Stage};

const CLIENTS: &str = "/api/v5/gateways/lwm2m/clients";

#[test]
fn clients_are_shown_and_kicked_out() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let page = stage.get(&format!("{CLIENTS}?page=1&limit=20&like_endpoint_name=imei&gte_lifetime=300"))?;
    ensure!(page["meta"] == json!({"page": 1, "limit": 20, "count": 1, "hasnext": false}), "{page}");
    let client = &page["data"][0];
    let expected = json!({"clientid": CLIENT, "endpoint_name": CLIENT, "lifetime": 300, "keepalive": 300, "connected": true,
        "proto_name": "LwM2M", "proto_ver": "1.1", "ip_address": "127.0.0.1", "clean_start": true, "is_bridge": false});
    for (name, value) in expected.as_object().context("an object")? {
        ensure!(client[name] == *value, "{name}: {client}");
    }
    ensure!(client["connected_at"].is_string() && client["port"].is_u64(), "{client}");
    for nobody in
        ["lte_lifetime=299", "conn_state=disconnected", "clientid=x", "ip_address=10.0.0.1", "proto_ver=1.0"]
    {
        ensure!(stage.get(&format!("{CLIENTS}?{nobody}"))?["data"] == json!([]), "{nobody}");
    }
    ensure!(stage.get(&format!("{CLIENTS}/{CLIENT}"))?["endpoint_name"] == CLIENT);
    // As a tool asks: without anything that only ours know.
    let kicked = stage.gateway.ask("DELETE", &format!("{CLIENTS}/{CLIENT}"), &[], "")?;
    ensure!(kicked.status == 204, "{kicked:?}");
    stage.application.of_type("deregister")?;
    let gone = stage.gateway.ask("DELETE", &format!("{CLIENTS}/{CLIENT}"), &[], "")?;
    ensure!(gone.status == 404 && gone.json()?["code"] == "CLIENT_NOT_FOUND", "{gone:?}");
    Ok(())
}

#[test]
fn a_command_is_answered_204_and_its_result_is_published_and_looked_up() -> Result<()> {
    for mountpoint in ["", "lwm2m/${endpoint_name}/"] {
        let stage = Stage::set(|setup| setup.settings["mountpoint"] = json!(mountpoint))?;
        let ask = |path: &str| -> Result<()> {
            let answer = stage.gateway.ask("POST", &format!("{CLIENTS}/{CLIENT}/{path}"), &[], "")?;
            ensure!(answer.status == 204, "{path}: {answer:?}");
            Ok(())
        };
        let lookup = |path: &str, action: &str| {
            stage.get(&format!("{CLIENTS}/{CLIENT}/lookup?path={path}&action={action}"))
        };

        let nothing = json!({"clientid": CLIENT, "action": "read", "path": "/3/0/0", "code": "6.01", "codeMsg": "reply_not_received"});
        ensure!(lookup("/3/0/0", "read")? == nothing);
        ask("read?path=/3/0/0")?;
        let read = stage.application.of_type("read")?;
        ensure!(read.get("reqID").is_none() && read["data"]["code"] == "2.05", "{read}");
        let found = lookup("/3/0/0", "read")?;
        let content = json!([{"path": "/3/0/0", "value": "Open Mobile Alliance"}]);
        let expected = json!({"clientid": CLIENT, "action": "read", "path": "/3/0/0", "code": "2.05", "codeMsg": "content", "content": content});
        ensure!(found == expected, "{found}");

        ask("write?path=/31024/10/1&type=Integer&value=123")?;
        ensure!(stage.application.of_type("write")?["data"]["code"] == "2.04");
        ensure!(stage.device.get("/31024/10/1") == Some(Value::Integer(123)));
        ensure!(lookup("/31024/10/1", "write")?["codeMsg"] == "changed");

        ask("observe?path=/3/0/9&enable=true")?;
        stage.application.of_type("observe")?;
        ensure!(lookup("/3/0/9", "observe")?["code"] == "2.05");
        ask("observe?path=/3/0/9&enable=false")?;
        stage.application.of_type("cancel-observe")?;

        ask("read?path=/9/0/0")?;
        stage.application.of_type("read")?;
        ensure!(lookup("/9/0/0", "read")?["code"] == "4.04", "errors are kept, too");
    }
    Ok(())
}

#[test]
fn a_discovery_is_looked_up_as_the_resources_that_it_found() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let topic = format!("dn/{CLIENT}");
    stage
        .application
        .command(&topic, &json!({"reqID": 1, "msgType": "discover", "data": {"path": "/3/0"}}))?;
    stage.application.of_type("discover")?;
    let found = stage.get(&format!("{CLIENTS}/{CLIENT}/lookup?path=/3/0&action=discover"))?;
    let content = found["content"].as_array().context("content")?;
    let manufacturer =
        json!({"path": "/3/0/0", "name": "Manufacturer", "operations": "R", "dataType": "String"});
    ensure!(content.contains(&manufacturer), "{found}");
    Ok(())
}

#[test]
fn what_makes_no_sense_has_emqxs_codes() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let code = |method: &str, path: &str| -> Result<(u16, Json)> {
        let answer = stage.gateway.ask(method, &format!("{CLIENTS}/{path}"), &[], "")?;
        ensure!(answer.header("content-type") == Some("application/json"), "{answer:?}");
        Ok((answer.status, answer.json()?["code"].clone()))
    };
    for (method, path, status, expected) in [
        ("GET", "nobody", 404, "CLIENT_NOT_FOUND"),
        ("GET", "nobody/lookup?path=/3/0/0&action=read", 404, "CLIENT_NOT_FOUND"),
        ("POST", "nobody/read?path=/3/0/0", 404, "CLIENT_NOT_FOUND"),
        ("POST", &format!("{CLIENT}/read"), 400, "BAD_REQUEST"),
        ("POST", &format!("{CLIENT}/read?path=x"), 400, "BAD_REQUEST"),
        ("POST", &format!("{CLIENT}/write?path=/3/0/14&type=Text&value=x"), 400, "BAD_REQUEST"),
        ("POST", &format!("{CLIENT}/observe?path=/3/0/9&enable=maybe"), 400, "BAD_REQUEST"),
        ("GET", &format!("{CLIENT}/lookup?path=/3/0/0&action=peek"), 400, "BAD_REQUEST"),
    ] {
        ensure!(code(method, path)? == (status, json!(expected)), "{method} {path}");
    }
    Ok(())
}
