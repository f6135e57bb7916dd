//! The gateway's own API.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{Peer, Value, acknowledgement, code_text, option_values, request};

use super::stage::{CLIENT, Stage};

#[test]
fn clients_are_listed_shown_and_their_registrations_ended() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let page = stage.get("/api/v1/clients?search=IMEI&limit=10")?;
    ensure!(page["meta"] == json!({"page": 1, "limit": 10, "count": 1, "has_next": false}), "{page}");
    let client = &page["data"][0];
    ensure!(
        client["endpoint"] == CLIENT && client["transport"] == "udp" && client["awake"] == true,
        "{client}"
    );
    ensure!(client["lifetime_s"] == 300 && client["lwm2m_version"] == "1.1", "{client}");
    ensure!(client["translators"] == json!(["emqx"]) && client["identity"].is_null(), "{client}");
    for name in ["registered_at", "updated_at", "heard_at", "expires_at"] {
        ensure!(
            client[name].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')),
            "{name}: {client}"
        );
    }
    ensure!(stage.get("/api/v1/clients?search=nobody")?["data"] == json!([]));

    let shown = stage.get(&format!("/api/v1/clients/{CLIENT}"))?;
    let device = shown["objects"].as_array().context("objects")?.iter().find(|of| of["id"] == 3);
    ensure!(
        device == Some(&json!({"id": 3, "version": null, "instances": [0], "name": "Device"})),
        "{shown}"
    );
    ensure!(
        shown["links"][0]["attributes"]["rt"] == "oma.lwm2m" && shown["attributes"]["lt"] == "300",
        "{shown}"
    );
    ensure!(shown["observations"] == 0 && shown["queued"] == 0, "{shown}");

    let removed = stage.ask("DELETE", &format!("/api/v1/clients/{CLIENT}"))?;
    ensure!(removed.status == 204, "{removed:?}");
    stage.application.of_type("deregister")?;
    let gone = stage.ask("GET", &format!("/api/v1/clients/{CLIENT}"))?;
    ensure!(
        gone.status == 404 && gone.header("content-type") == Some("application/problem+json"),
        "{gone:?}"
    );
    ensure!(gone.json()?["type"] == "urn:tidegate:problem:unknown-client", "{gone:?}");
    ensure!(stage.device.update(&[])? == "4.04", "the client has to register anew");
    Ok(())
}

#[test]
fn a_client_is_asked_and_its_answer_comes_back() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let read = stage.operate(&json!({"operation": "read", "path": "/3/0/9"}))?;
    ensure!(
        (&read["code"], &read["success"], &read["operation"])
            == (&json!("2.05"), &json!(true), &json!("read")),
        "{read}"
    );
    let value =
        json!({"path": "/3/0/9", "type": "integer", "value": 100, "name": "Battery Level", "units": "/100"});
    ensure!(read["values"] == json!([value]), "{read}");
    ensure!(read["content"] == json!({"format": "text", "base64": "MTAw"}), "{read}");

    let all = stage.operate(&json!({"operation": "read", "path": "/3", "format": "tlv"}))?;
    ensure!(all["values"].as_array().context("values")?.len() == 7, "{all}");

    let written = stage.operate(&json!({"operation": "write", "path": "/3/0/14", "value": "+05:00"}))?;
    ensure!(written["code"] == "2.04" && written["values"] == json!([]), "{written}");
    ensure!(stage.device.get("/3/0/14") == Some(Value::Text("+05:00".into())));
    let executed = stage.operate(&json!({"operation": "execute", "path": "/3/0/4", "arguments": "0"}))?;
    ensure!(executed["code"] == "2.04", "{executed}");
    let limits = json!({"operation": "write-attributes", "path": "/3/0/9", "attributes": {"pmin": 5}});
    ensure!(stage.operate(&limits)?["code"] == "2.04");
    let discovered = stage.operate(&json!({"operation": "discover", "path": "/3/0/9"}))?;
    ensure!(
        discovered["links"] == json!([{"target": "/3/0/9", "attributes": {"pmin": "5"}}]),
        "{discovered}"
    );
    let missing = stage.operate(&json!({"operation": "read", "path": "/9/0/1"}))?;
    ensure!((&missing["code"], &missing["success"]) == (&json!("4.04"), &json!(false)), "{missing}");
    let created =
        json!({"operation": "create", "path": "/31024", "values": [{"path": "/31024/13/1", "value": 7}]});
    ensure!(stage.operate(&created)?["code"] == "2.01");
    ensure!(stage.operate(&json!({"operation": "delete", "path": "/31024/13"}))?["code"] == "2.02");

    // No translator has asked, so that nothing of it is published.
    let published = stage.application.drain();
    ensure!(published.iter().all(|message| message.topic.starts_with("tidegate/")), "{published:?}");
    Ok(())
}

#[test]
fn what_makes_no_sense_is_told_before_anybody_is_asked() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let operations = format!("/api/v1/clients/{CLIENT}/operations");
    for (path, body, status, field) in [
        (operations.as_str(), json!({"operation": "read", "path": "/x"}), 400, "path"),
        (operations.as_str(), json!({"operation": "read", "path": "/3", "format": "xml"}), 422, ""),
        (&format!("{operations}?timeout=0"), json!({"operation": "read", "path": "/3"}), 400, "timeout"),
        ("/api/v1/clients/nobody/operations", json!({"operation": "read", "path": "/3"}), 404, ""),
    ] {
        let answer = stage.post(path, &body)?;
        ensure!(answer.status == status, "{body}: {answer:?}");
        ensure!(answer.json()?["field"].as_str().unwrap_or_default() == field, "{answer:?}");
    }
    let text = stage.gateway.ask("POST", &operations, &["Content-Type: text/plain"], "{}")?;
    ensure!(text.status == 415, "{text:?}");
    ensure!(stage.device.requests().drain().is_empty(), "nobody was asked");
    Ok(())
}

#[test]
fn an_observation_of_a_translator_is_left_to_it() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    stage.application.command(
        &format!("dn/{CLIENT}"),
        &json!({"reqID": 1, "msgType": "observe", "data": {"path": "/3/0/9"}}),
    )?;
    stage.application.of_type("observe")?;
    let observed = stage.operate(&json!({"operation": "observe", "path": "/3/0/9"}))?;
    ensure!(observed["operation"] == "read" && observed["values"][0]["value"] == 100, "{observed}");
    let own = stage.operate(&json!({"operation": "observe", "path": "/3/0/14"}))?;
    ensure!(own["operation"] == "observe", "{own}");
    let list = stage.get(&format!("/api/v1/clients/{CLIENT}/observations"))?;
    let asked: Vec<_> = list["data"]
        .as_array()
        .context("data")?
        .iter()
        .map(|of| (&of["paths"][0], &of["asked_by"]))
        .collect();
    ensure!(asked == [(&json!("/3/0/9"), &json!("emqx")), (&json!("/3/0/14"), &json!("operator"))], "{list}");
    // The translator still hears of its own, and of nothing that it has not asked for.
    let sent = stage.device.notify("/3/0/14", MessageType::Confirmable)?;
    stage.device.acknowledged(&sent)?;
    stage.device.notify("/3/0/9", MessageType::Confirmable)?;
    let notified = stage.application.of_type("notify")?;
    ensure!(notified["reqID"] == 1 && notified["data"]["reqPath"] == "/3/0/9", "{notified}");
    ensure!(stage.operate(&json!({"operation": "cancel-observe", "path": "/3/0/14"}))?["success"] == true);
    ensure!(
        stage.get(&format!("/api/v1/clients/{CLIENT}/observations"))?["data"]
            .as_array()
            .context("data")?
            .len()
            == 1
    );
    Ok(())
}

#[test]
fn what_a_sleeping_client_is_asked_waits_and_is_found_by_its_ticket() -> Result<()> {
    let stage = Stage::set(|setup| setup.registration = json!({ "awake-window": "1ms" }))?;
    let sleeper = Peer::connect(stage.gateway.coap())?;
    let mut register = request("0.02", 1, b"r", "rd", &["ep=sleeper", "lwm2m=1.1", "lt=300", "Q"]);
    register.payload = b"</3/0>".to_vec();
    let answer = sleeper.ask(&register)?;
    let location = option_values(&answer, coap_lite::CoapOption::LocationPath).join(&b'/');
    let location = String::from_utf8(location)?;
    ensure!(sleeper.receive_within(Duration::from_millis(20))?.is_none(), "it falls asleep meanwhile");
    let asked =
        stage.post("/api/v1/clients/sleeper/operations", &json!({"operation": "read", "path": "/3/0/9"}))?;
    ensure!(asked.status == 202, "{asked:?}");
    let ticket = asked.json()?;
    ensure!(ticket["state"] == "queued" && ticket["operation"] == "read", "{ticket}");
    let id = ticket["id"].as_str().context("id")?;
    let found = format!("/api/v1/operations/{id}");
    ensure!(asked.header("location") == Some(found.as_str()), "{asked:?}");
    let queue = stage.get("/api/v1/clients/sleeper/queue")?;
    let waiting = &queue["data"][0];
    ensure!(
        (&waiting["path"], &waiting["asked_by"], &waiting["sent"])
            == (&json!("/3/0/9"), &json!("operator"), &json!(false)),
        "{queue}"
    );
    ensure!(stage.get("/api/v1/clients?search=sleeper")?["data"][0]["awake"] == false);

    ensure!(code_text(&sleeper.ask(&request("0.02", 2, b"u", &location, &[]))?) == "2.04");
    let read = sleeper.asked("the read")?;
    let mut answer = acknowledgement(&read, "2.05");
    answer.payload = b"57".to_vec();
    sleeper.send(&answer)?;
    let done = stage.gateway.http_until(&found, "an answer", |body| body.contains("\"answered\""))?;
    let done: Json = serde_json::from_str(&done)?;
    ensure!(done["answer"]["values"][0]["value"] == 57, "{done}");
    ensure!(stage.ask("GET", "/api/v1/operations/0")?.status == 404);
    Ok(())
}

#[test]
fn who_does_not_answer_is_given_up_in_time() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let silent = Peer::connect(stage.gateway.coap())?;
    let mut register = request("0.02", 1, b"r", "rd", &["ep=silent", "lwm2m=1.1", "lt=300"]);
    register.payload = b"</3/0>".to_vec();
    silent.ask(&register)?;
    let late = stage.post(
        "/api/v1/clients/silent/operations?timeout=1",
        &json!({"operation": "read", "path": "/3/0/9"}),
    )?;
    ensure!(late.status == 504 && late.json()?["type"] == "urn:tidegate:problem:timeout", "{late:?}");
    Ok(())
}

#[test]
fn definitions_are_listed_and_shown() -> Result<()> {
    let stage = Stage::set(|_| {})?;
    let found = stage.get("/api/v1/models?search=temperature")?;
    ensure!(found["data"].as_array().context("data")?.iter().any(|of| of["id"] == 3303), "{found}");
    let shown = stage.get("/api/v1/models/3303")?;
    let value = shown["resources"].as_array().context("resources")?.iter().find(|of| of["id"] == 5700);
    let value = value.context("5700")?;
    ensure!(
        (&value["name"], &value["type"], &value["operations"])
            == (&json!("Sensor Value"), &json!("float"), &json!("R")),
        "{value}"
    );
    ensure!(stage.ask("GET", "/api/v1/models/65000")?.status == 404);
    ensure!(stage.ask("GET", "/api/v1/models/x")?.status == 400);
    Ok(())
}
