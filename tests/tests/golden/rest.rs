//! The cases of EMQX's REST interface, as far as they are about devices and MQTT: what EMQX answers over HTTP is left
//! out, and a command that comes over HTTP is the MQTT command that EMQX makes of it (`emqx-lwm2m.md` section 6.3).

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use crate::case::{Answer, Call, Case, Command, Discovered, Outcome, Publication, Step, Value};

/// The case without HTTP. `template` is one that begins with the usual registration.
pub(crate) fn without_http(case: &Case, template: &Case) -> Result<Case> {
    let mut plain = case.clone();
    if case.given.steps.is_empty() {
        plain.given.config.clone_from(&template.given.config);
        plain.given.steps = template.given.steps[..1].to_vec();
        plain.expect.steps = template.expect.steps[..1].to_vec();
        let (steps, outcomes) = described(case)?;
        plain.given.steps.extend(steps);
        plain.expect.steps.extend(outcomes);
        return Ok(plain);
    }
    let both = case.given.steps.iter().zip(&case.expect.steps).filter(|(step, _)| step.http.is_none());
    (plain.given.steps, plain.expect.steps) =
        both.map(|(step, outcome)| (step.clone(), outcome.clone())).unzip();
    Ok(plain)
}

/// The steps of a case that the file tells in words.
fn described(case: &Case) -> Result<(Vec<Step>, Vec<Outcome>)> {
    let call = case.given.http.as_ref().context("neither steps nor a call")?;
    if let Some(discovered) = &case.given.after_discover {
        return Ok(discover(discovered));
    }
    if call.method == "GET" {
        return Ok(unanswered());
    }
    let (client, operation) = addressed(call)?;
    let path = call.query["path"].as_str().context("a path")?;
    let command = command(client, &json!({ "msgType": operation, "data": { "path": path } }));
    Ok((vec![Step { mqtt_command: Some(command), ..Step::default() }], vec![Outcome::default()]))
}

/// The client and the operation of a call.
fn addressed(call: &Call) -> Result<(&str, &str)> {
    let mut levels = call.path.rsplit('/');
    let operation = levels.next().context("an operation")?;
    Ok((levels.next().context("a client")?, operation))
}

/// The links come back as they are, split at the commas (section 2.5.4).
fn discover(discovered: &Discovered) -> (Vec<Step>, Vec<Outcome>) {
    let sent = json!({ "msgType": "discover", "data": { "path": discovered.path } });
    let answer = Answer {
        answers_request: json!("latest"),
        kind: "ACK".to_owned(),
        code: "2.05".to_owned(),
        mid: json!("same"),
        token: "same".to_owned(),
        options: vec![Value { number: CONTENT_FORMAT, hex: "28".to_owned() }],
        payload_hex: discovered.device_payload_text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    };
    let links: Vec<_> = discovered.device_payload_text.split(',').collect();
    let data = json!({ "reqPath": discovered.path, "code": "2.05", "codeMsg": "content", "content": links });
    let asked = crate::notation::message(&format!("CON 0.01 path={} accept=40", discovered.path));
    let told = Publication::Full {
        topic: format!("lwm2m/{ENDPOINT}/up/resp"),
        qos: 0,
        retain: false,
        payload: json!({ "msgType": "discover", "data": data }),
        ignore: Vec::new(),
    };
    let steps = vec![
        Step { mqtt_command: Some(command(ENDPOINT, &sent)), ..Step::default() },
        Step { device_answers: Some(answer), ..Step::default() },
    ];
    let outcomes = vec![
        Outcome { to_device: vec![asked], ..Outcome::default() },
        Outcome { publish: vec![told], ..Outcome::default() },
    ];
    (steps, outcomes)
}

/// 101 commands, of which only the first can go out.
fn unanswered() -> (Vec<Step>, Vec<Outcome>) {
    let read = |number| json!({ "msgType": "read", "data": { "path": format!("/3/0/{number}") } });
    let commands = (1..=101).map(|number| command(ENDPOINT, &read(number))).collect();
    let asked = crate::notation::message("CON 0.01 path=/3/0/1");
    let step = Step { mqtt_commands: Some(commands), ..Step::default() };
    (vec![step], vec![Outcome { to_device: vec![asked], ..Outcome::default() }])
}

fn command(endpoint: &str, payload: &Json) -> Command {
    Command {
        topic: format!("lwm2m/{endpoint}/dn/dm"),
        qos: 0,
        payload: Some(payload.clone()),
        payload_raw: None,
        properties: Json::Null,
    }
}

/// The endpoint name of the usual registration.
pub(crate) const ENDPOINT: &str = "urn:oma:lwm2m:oma:3";

const CONTENT_FORMAT: u16 = 12;
