//! The API in the shape of Leshan's demo server, asked as the test suite of Zephyr asks it (tests/net/lib/lwm2m/interop).

use anyhow::{Context, Result, ensure};
use coap_lite::CoapOption;
use serde_json::{Value as Json, json};
use tidegate_tests::{HttpAnswer, Peer, Value, acknowledgement, option_uint, option_values, request};

use super::stage::{CLIENT, Stage};

const JSON: &[&str] = &["Content-Type: application/json"];

fn ask(stage: &Stage, method: &str, path: &str, body: &str) -> Result<HttpAnswer> {
    let headers = if body.is_empty() { &[][..] } else { JSON };
    stage.gateway.ask(method, &format!("/api/clients/{path}"), headers, body)
}

/// What is answered, which must be 200.
fn answered(stage: &Stage, method: &str, path: &str, body: &str) -> Result<Json> {
    let answer = ask(stage, method, path, body)?;
    ensure!(answer.status == 200, "{method} {path}: {answer:?}");
    answer.json()
}

#[test]
fn registrations_are_shown() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let all = stage.get("/api/clients")?;
    let client = &all[0];
    let expected = json!({"endpoint": CLIENT, "lwM2mVersion": "1.1", "lifetime": 300, "bindingMode": "U", "rootPath": "/",
        "secure": false, "queuemode": false, "smsNumber": null, "additionalRegistrationAttributes": {}});
    for (name, value) in expected.as_object().context("an object")? {
        ensure!(client[name] == *value, "{name}: {client}");
    }
    ensure!(
        client["objectLinks"][0] == json!({"url": "/", "attributes": {"rt": "oma.lwm2m", "ct": "110"}}),
        "{client}"
    );
    ensure!(client["availableInstances"]["31024"] == json!([10, 11, 12]), "{client}");
    ensure!(
        client["registrationDate"].is_i64()
            && client["address"].as_str().is_some_and(|at| at.starts_with("127.0.0.1:"))
    );
    ensure!(stage.get(&format!("/api/clients/{CLIENT}"))?["registrationId"] == client["registrationId"]);
    ensure!(stage.get("/api/security/clients")? == json!([]));
    let unknown = ask(&stage, "GET", "nobody", "")?;
    ensure!(unknown.status == 400 && unknown.body == "no registered client with id 'nobody'", "{unknown:?}");
    Ok(())
}

#[test]
fn a_client_is_read_written_executed_observed_and_discovered() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let read = answered(&stage, "GET", &format!("{CLIENT}/3/0/0?timeout=10"), "")?;
    let content =
        json!({"kind": "singleResource", "id": 0, "type": "STRING", "value": "Open Mobile Alliance"});
    let expected = json!({"status": "CONTENT(205)", "valid": true, "success": true, "failure": false, "content": content});
    ensure!(read == expected, "{read}");
    let instance = answered(&stage, "GET", &format!("{CLIENT}/3/0?timeout=10&format=TLV"), "")?;
    ensure!(
        instance["content"]["kind"] == "instance" && instance["content"]["resources"][0] == content,
        "{instance}"
    );
    let object = answered(&stage, "GET", &format!("{CLIENT}/3"), "")?;
    ensure!(
        object["content"]["kind"] == "obj" && object["content"]["instances"][0] == instance["content"],
        "{object}"
    );
    let missing = answered(&stage, "GET", &format!("{CLIENT}/9/0/0"), "")?;
    ensure!(
        (&missing["status"], &missing["failure"]) == (&json!("NOT_FOUND(404)"), &json!(true)),
        "{missing}"
    );

    let node = json!({"id": "14", "kind": "singleResource", "value": "+05:00", "type": "string"}).to_string();
    let written = answered(&stage, "PUT", &format!("{CLIENT}/3/0/14?timeout=10&format=TLV"), &node)?;
    ensure!(written["status"] == "CHANGED(204)", "{written}");
    ensure!(stage.device.get("/3/0/14") == Some(Value::Text("+05:00".into())));
    let node = json!({"kind": "instance", "id": 10, "resources": [{"id": 1, "kind": "singleResource", "value": 7, "type": "integer"}]});
    let updated = answered(&stage, "PUT", &format!("{CLIENT}/31024/10?replace=false"), &node.to_string())?;
    ensure!(
        updated["success"] == true && stage.device.get("/31024/10/1") == Some(Value::Integer(7)),
        "{updated}"
    );
    let limited = answered(&stage, "PUT", &format!("{CLIENT}/3/0/9/attributes?pmin=1&pmax=10"), "")?;
    ensure!(limited["success"] == true, "{limited}");

    ensure!(answered(&stage, "POST", &format!("{CLIENT}/3/0/4"), "")?["status"] == "CHANGED(204)");
    let node =
        json!({"kind": "instance", "id": 13, "resources": [{"id": 1, "value": "5", "type": "INTEGER"}]});
    ensure!(
        answered(&stage, "POST", &format!("{CLIENT}/31024"), &node.to_string())?["status"] == "CREATED(201)"
    );
    ensure!(answered(&stage, "DELETE", &format!("{CLIENT}/31024/13"), "")?["status"] == "DELETED(202)");

    let observed = answered(&stage, "POST", &format!("{CLIENT}/3/0/9/observe"), "")?;
    ensure!(observed["content"]["value"] == "100", "{observed}");
    let cancelled = ask(&stage, "DELETE", &format!("{CLIENT}/3/0/9/observe"), "")?;
    ensure!(cancelled.status == 200 && cancelled.body.is_empty(), "{cancelled:?}");
    ensure!(stage.get(&format!("/api/v1/clients/{CLIENT}/observations"))?["data"] == json!([]));
    let discovered = answered(&stage, "GET", &format!("{CLIENT}/3/0/9/discover"), "")?;
    let link = json!({"url": "/3/0/9", "attributes": {"pmin": "1", "pmax": "10"}});
    ensure!(discovered["objectLinks"] == json!([link]), "{discovered}");
    Ok(())
}

#[test]
fn several_paths_are_read_and_written_at_once() -> Result<()> {
    let stage = &Stage::set(|_| {})?;
    let peer = Peer::connect(stage.gateway.coap())?;
    let mut register = request("0.02", 1, b"r", "rd", &["ep=many", "lwm2m=1.1", "lt=300"]);
    register.payload = b"</>;ct=110,</3/0>,</1/0>".to_vec();
    peer.ask(&register)?;
    std::thread::scope(|scope| -> Result<()> {
        let read = scope.spawn(move || {
            answered(
                stage,
                "GET",
                "many/composite?pathformat=SENML_JSON&nodeformat=SENML_JSON&timeout=10&paths=/3/0/0,/1/0/1",
                "",
            )
        });
        let fetch = peer.asked("FETCH")?;
        let mut answer = acknowledgement(&fetch, "2.05");
        answer.add_option(CoapOption::ContentFormat, vec![110]);
        answer.payload = br#"[{"n":"/3/0/0","vs":"ACME"},{"n":"/1/0/1","v":300}]"#.to_vec();
        peer.send(&answer)?;
        let read = read.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        let content = json!({
            "/3/0/0": {"kind": "singleResource", "id": 0, "type": "STRING", "value": "ACME"},
            "/1/0/1": {"kind": "singleResource", "id": 1, "type": "INTEGER", "value": "300"},
        });
        ensure!(read["status"] == "CONTENT(205)" && read["content"] == content, "{read}");

        let nodes = json!({"/1/0/1": {"id": 1, "kind": "singleResource", "value": 60, "type": "integer"}})
            .to_string();
        let written =
            scope.spawn(move || answered(stage, "PUT", "many/composite?nodeformat=SENML_JSON", &nodes));
        let ipatch = peer.asked("iPATCH")?;
        ensure!(option_uint(&ipatch, CoapOption::ContentFormat) == Some(110), "{ipatch:?}");
        ensure!(option_values(&ipatch, CoapOption::UriPath).is_empty(), "{ipatch:?}");
        peer.send(&acknowledgement(&ipatch, "2.04"))?;
        let written = written.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        ensure!(written["success"] == true, "{written}");
        Ok(())
    })
}

#[test]
fn what_makes_no_sense_is_a_line_of_text() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    for (method, path, body, text) in [
        ("GET", format!("{CLIENT}/x"), "", "Invalid request"),
        ("GET", format!("{CLIENT}/3?format=XML"), "", "`XML` is no content format"),
        ("PUT", format!("{CLIENT}/3/0/14"), "{", "unable to parse json"),
        ("PUT", format!("{CLIENT}/3/0/14"), "{}", "a node has"),
        ("POST", format!("{CLIENT}/3/0"), "{}", "Invalid path"),
        ("POST", format!("{CLIENT}/31024"), "{}", "payload must contain an object instance"),
    ] {
        let answer = ask(&stage, method, &path, body)?;
        ensure!(answer.status == 400 && answer.body.contains(text), "{method} {path}: {answer:?}");
        ensure!(answer.header("content-type").is_some_and(|of| of.starts_with("text/plain")), "{answer:?}");
    }
    Ok(())
}

#[test]
fn what_happens_is_streamed() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let mut events = stage.gateway.events(&format!("/api/event?ep={CLIENT}"))?;
    ensure!(stage.device.update(&["lt=60"])? == "2.04");
    let updated = events.next("UPDATED")?;
    ensure!(
        updated["registration"]["endpoint"] == CLIENT && updated["update"]["lifetime"] == 60,
        "{updated}"
    );
    answered(&stage, "POST", &format!("{CLIENT}/3/0/9/observe"), "")?;
    stage.device.set("/3/0/9", Value::Integer(42))?;
    stage.device.notify("/3/0/9", coap_lite::MessageType::Confirmable)?;
    let node = json!({"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "42"});
    let notified = events.next("NOTIFICATION")?;
    ensure!(notified == json!({"ep": CLIENT, "kind": "single", "res": "/3/0/9", "val": node}), "{notified}");
    ensure!(stage.device.send_unasked(&json!([{"n": "/3/0/9", "v": 7}]))? == "2.04");
    let sent = events.next("SEND")?;
    ensure!(sent["val"]["/3/0/9"]["value"] == "7", "{sent}");
    stage.ask("DELETE", &format!("/api/v1/clients/{CLIENT}"))?;
    ensure!(events.next("DEREGISTRATION")?["endpoint"] == CLIENT);
    Ok(())
}
