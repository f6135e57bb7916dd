//! The rules of `emqx-lwm2m.md` sections 2 and 3 once more, written apart from the translator: commands and answers that
//! nobody has recorded, and what they must lead to.

mod read;
mod write;

use serde_json::{Value as Json, json};

use crate::case::{
    Answer, Case, Command, Datagram, Expect, Given, Message, Outcome, Publication, Step, Value,
};
use crate::notation;
use crate::random::Random;
use crate::rest::ENDPOINT;

/// A registration and then this many commands, one after the other.
pub(crate) fn case(number: usize, config: &Json, random: &mut Random) -> Case {
    let alternate = *random.of(&["", "/lwm2m", "/a"]);
    let mut case = Case {
        name: format!("rules-{number}"),
        kind: "rules".to_owned(),
        class: "contract".to_owned(),
        given: Given { config: Some(config.clone()), ..Given::default() },
        expect: Expect::default(),
    };
    register(&mut case, alternate);
    for id in 0..COMMANDS {
        let exchange = match random.below(10) {
            0..=2 => write::single(random),
            3 => write::batch(random),
            4 => write::create(random),
            5 => write::attributes(random),
            _ => read::any(random),
        };
        push(&mut case, &exchange, alternate, id);
    }
    case
}

/// What a command leads to.
struct Exchange {
    /// Without its reqID.
    command: Json,
    /// None if the command is dropped.
    asked: Option<Asked>,
}

struct Asked {
    code: &'static str,
    /// Without the alternate path.
    path: Vec<String>,
    queries: Vec<String>,
    /// Observe, Content-Format, Accept.
    options: Vec<(u16, u32)>,
    payload: Vec<u8>,
    /// Code, Content-Format and payload of the answer.
    answer: (String, Option<u32>, Vec<u8>),
    /// The rest of `data` of the publication, beside `reqPath`.
    told: Json,
    told_path: String,
}

fn register(case: &mut Case, alternate: &str) {
    let link = if alternate.is_empty() { String::new() } else { format!("<{alternate}>;rt=\"oma.lwm2m\",") };
    let links = format!("{link}<{alternate}/3/0>,<{alternate}/6/0>");
    let mut packet =
        tidegate_tests::request("0.02", 12, b"", "rd", &[&format!("ep={ENDPOINT}"), "lt=345", "lwm2m=1"]);
    packet.payload = links.into_bytes();
    let datagram = packet.to_bytes_unlimited().expect("a small datagram");
    let alternate = if alternate.is_empty() { "/" } else { alternate };
    let data = json!({
        "ep": ENDPOINT, "lt": 345, "lwm2m": "1", "alternatePath": alternate, "objectList": ["/3/0", "/6/0"],
    });
    case.given.steps.push(Step { from_device: Some(Datagram { hex: hex(&datagram) }), ..Step::default() });
    case.expect.steps.push(Outcome {
        to_device: vec![notation::message("ACK 2.01 location")],
        publish: vec![told(json!({ "msgType": "register", "data": data }))],
    });
}

fn push(case: &mut Case, exchange: &Exchange, alternate: &str, id: usize) {
    let mut command = exchange.command.clone();
    command["reqID"] = json!(id);
    let kind = command["msgType"].clone();
    let command = Command {
        topic: format!("lwm2m/{ENDPOINT}/dn/dm"),
        qos: 0,
        payload: Some(command),
        payload_raw: None,
        properties: Json::Null,
    };
    case.given.steps.push(Step { mqtt_command: Some(command), ..Step::default() });
    let Some(asked) = &exchange.asked else { return case.expect.steps.push(Outcome::default()) };
    let prefix = alternate.strip_prefix('/').map(str::to_owned);
    let segments = prefix.into_iter().chain(asked.path.iter().cloned());
    let mut options: Vec<_> = segments.map(|segment| option(11, segment.as_bytes())).collect();
    options.extend(asked.queries.iter().map(|query| option(15, query.as_bytes())));
    options.extend(asked.options.iter().map(|(number, value)| option(*number, &value.to_be_bytes())));
    let message = Message {
        kind: "CON".to_owned(),
        code: asked.code.to_owned(),
        options: Some(options),
        payload_hex: Some(hex(&asked.payload)),
        mid: None,
    };
    case.expect.steps.push(Outcome { to_device: vec![message], ..Outcome::default() });
    let (code, format, payload) = &asked.answer;
    let answer = Answer {
        answers_request: json!("latest"),
        kind: "ACK".to_owned(),
        code: code.clone(),
        mid: json!("same"),
        token: "same".to_owned(),
        options: format.iter().map(|format| option(12, &format.to_be_bytes()[2..])).collect(),
        payload_hex: hex(payload),
    };
    case.given.steps.push(Step { device_answers: Some(answer), ..Step::default() });
    let mut data = asked.told.clone();
    data["reqPath"] = json!(asked.told_path);
    let publication = told(json!({ "reqID": id, "msgType": kind, "data": data }));
    case.expect.steps.push(Outcome { publish: vec![publication], ..Outcome::default() });
}

fn told(payload: Json) -> Publication {
    let topic = format!("lwm2m/{ENDPOINT}/up/resp");
    Publication::Full { topic, qos: 0, retain: false, payload, ignore: Vec::new() }
}

/// `data` with this code (section 2.4).
fn outcome((code, name): (&str, &str)) -> Json {
    json!({ "code": code, "codeMsg": name })
}

fn error(random: &mut Random) -> (String, Json) {
    let chosen = *random.of(&ERRORS);
    (chosen.0.to_owned(), outcome(chosen))
}

/// One entry of TLV: 0 object instance, 1 resource instance, 2 multiple resource, 3 resource (section 3.5).
fn entry(level: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    let [high, low] = id.to_be_bytes();
    let (kind, length) = match content.len() {
        0..8 => (length[3], &length[4..]),
        8..256 => (0b0_1000, &length[3..]),
        256..65_536 => (0b1_0000, &length[2..]),
        _ => (0b1_1000, &length[1..]),
    };
    let (wide, id) = if high == 0 { (0, vec![low]) } else { (0b10_0000, vec![high, low]) };
    [vec![level << 6 | wide | kind], id, length.to_vec(), content.to_vec()].concat()
}

fn option(number: u16, value: &[u8]) -> Value {
    Value { number, hex: hex(value) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const COMMANDS: usize = 40;

const ERRORS: [(&str, &str); 16] = [
    ("4.00", "bad_request"),
    ("4.01", "unauthorized"),
    ("4.02", "bad_option"),
    ("4.03", "forbidden"),
    ("4.04", "not_found"),
    ("4.05", "method_not_allowed"),
    ("4.08", "request_entity_incomplete"),
    ("4.12", "precondition_failed"),
    ("4.13", "request_entity_too_large"),
    ("5.00", "internal_server_error"),
    ("5.01", "not_implemented"),
    ("5.02", "bad_gateway"),
    ("5.03", "service_unavailable"),
    ("5.04", "gateway_timeout"),
    ("5.05", "proxying_not_supported"),
    ("4.06", "not_acceptable"),
];
