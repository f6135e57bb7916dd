//! The examples of the README are what happens.

use serde_json::Value as Json;
use std::collections::BTreeSet;
use tidegate_sdk::{
    Action, Answered, Client, Content, Delivery, End, Ended, Event, Failed, Failure, Kind, Message, Notified,
    OperationName, Path, Progressed, Properties, Qos, Registered, Registration, Request, Sample, Sent, Stage,
    Translator, Updated, Value,
};

use crate::Emqx;

#[test]
fn each_example_of_the_readme_is_what_happens() {
    let (translator, _) = Emqx::configure("{}").unwrap();
    let mut told = BTreeSet::new();
    for example in examples() {
        let (asked, expected): (Vec<&str>, Vec<&str>) =
            example.iter().partition(|line| line.starts_with('>'));
        let mut actions = Vec::new();
        let mut request = None;
        for line in asked {
            let (topic, payload) = split(line);
            for action in translator.downlink(message(topic, payload)).unwrap() {
                match action {
                    Action::Perform(of) => request = Some(of),
                    action => actions.push(action),
                }
            }
        }
        for line in &expected {
            let json: Json = serde_json::from_str(split(line).1).unwrap();
            let message_type = json["msgType"].as_str().unwrap().to_owned();
            if json["data"].get("reason").is_none() || message_type == "deregister" {
                actions.extend(translator.uplink(event(&message_type, request.as_ref(), &json)).unwrap());
            }
            told.insert(message_type);
        }
        let found: Vec<(String, String)> = actions.into_iter().filter_map(published).collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|line| split(line)).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        assert_eq!(found, expected);
    }
    let all: BTreeSet<String> = MESSAGES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(told, all, "every type of message has an example");
}

/// The lines of each fenced block.
fn examples() -> Vec<Vec<&'static str>> {
    let blocks = README.split("```\n").skip(1).step_by(2);
    blocks.map(|block| block.lines().collect()).collect()
}

/// Topic and payload of a line.
fn split(line: &str) -> (&str, &str) {
    line[2..].split_once(' ').unwrap()
}

fn message(topic: &str, payload: &str) -> Message {
    let payload = payload.as_bytes().to_vec();
    Message {
        topic: topic.into(),
        payload,
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    }
}

fn published(action: Action) -> Option<(String, String)> {
    match action {
        Action::Publish(message) => Some((message.topic, String::from_utf8(message.payload).unwrap())),
        // Registrations are observed.
        Action::Perform(_) => None,
    }
}

/// What has to happen at the client for the message that is expected.
fn event(message_type: &str, request: Option<&Request>, expected: &Json) -> Event {
    let client = Client { endpoint: "dev1".into(), attributes: vec![] };
    let context = request.map(|request| request.context.clone()).unwrap_or_default();
    let (operation, path, received) = (OperationName::Read, Path::new(&[]), 0);
    let registration = registration();
    match message_type {
        "register" => Event::Registered(Registered { client, registration, previous: None, received }),
        "update" => Event::Updated(Updated { client, registration, links_changed: true, received }),
        "deregister" => Event::Ended(Ended { client, registration, reason: End::Deregistered, received }),
        "send" => Event::Sent(Sent { client, registration, content: content(&expected["data"]), received }),
        "ack" => Event::Progressed(Progressed {
            client,
            operation,
            path,
            context,
            stage: Stage::Acknowledged,
            received,
        }),
        "coap_reset" => {
            Event::Failed(Failed { client, operation, path, context, failure: Failure::Reset, received })
        }
        "coap_timeout" => {
            Event::Failed(Failed { client, operation, path, context, failure: Failure::Timeout, received })
        }
        "notify" => Event::Notified(Notified {
            client,
            path,
            context,
            code: 0x45,
            delivery: Delivery::Confirmable,
            sequence: Some(7),
            content: content(&expected["data"]),
            received,
            attributes: vec![],
        }),
        _ => Event::Answered(Answered {
            client,
            operation,
            path,
            context,
            code: code(&expected["data"]),
            delivery: Delivery::Piggybacked,
            sequence: Some(0),
            content: content(&expected["data"]),
            location: String::new(),
            received,
            attributes: vec![],
        }),
    }
}

fn code(data: &Json) -> u8 {
    let (class, detail) = data["code"].as_str().unwrap().split_once('.').unwrap();
    class.parse::<u8>().unwrap() << 5 | detail.parse::<u8>().unwrap()
}

/// What the gateway decodes: of a SenML payload all values, or links.
fn content(data: &Json) -> Content {
    let items = data["content"].as_array().cloned().unwrap_or_default();
    let links: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
    let samples = items.iter().filter(|item| item.is_object()).map(|item| {
        let ids: Vec<u16> =
            item["path"].as_str().unwrap()[1..].split('/').map(|id| id.parse().unwrap()).collect();
        let (value, kind) = match &item["value"] {
            Json::String(text) => (Value::Text(text.clone()), Kind::Text),
            Json::Number(number) => match number.as_i64() {
                Some(number) => (Value::Integer(number), Kind::Integer),
                None => (Value::Float(number.as_f64().unwrap()), Kind::Float),
            },
            other => panic!("{other}"),
        };
        Sample { path: Path::new(&ids), value, kind: Some(kind), taken: None }
    });
    Content {
        format: Some(if links.is_empty() { 110 } else { 40 }),
        payload: links.join(",").into_bytes(),
        samples: samples.collect(),
        problem: None,
        attributes: vec![],
    }
}

fn registration() -> Registration {
    let parameters = [("ep", "dev1"), ("lwm2m", "1.1"), ("lt", "300")];
    Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: String::new(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: vec![],
        parameters: parameters.map(|(name, value)| (name.into(), Some(value.into()))).into(),
        links: b"</3/0>".to_vec(),
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    }
}

const README: &str = include_str!("../README.md");

const MESSAGES: [&str; 21] = [
    "register",
    "update",
    "deregister",
    "send",
    "read",
    "discover",
    "write",
    "write-attr",
    "execute",
    "create",
    "delete",
    "observe",
    "cancel-observe",
    "notify",
    "read-composite",
    "write-composite",
    "observe-composite",
    "cancel-observe-composite",
    "ack",
    "coap_reset",
    "coap_timeout",
];
