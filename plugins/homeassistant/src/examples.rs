//! The examples of the README are what happens.

use tidegate_sdk::{
    Action, Answered, Body, Client, Content, Delivery, End, Ended, Event, Link, Message, Notified, Operation,
    OperationName, Path, Properties, Qos, Registered, Registration, Sample, Translator, Value,
};

use crate::HomeAssistant;

#[test]
fn each_example_of_the_readme_is_what_happens() {
    let blocks: Vec<&str> = README.split("```").skip(1).step_by(2).collect();
    let mut told = 0;
    for block in blocks.iter().filter_map(|block| block.strip_prefix('\n')) {
        // What an earlier block says is known: what the client had, and what was asked.
        let mut had: Option<Registration> = None;
        let mut context = String::new();
        let mut out: Vec<String> = Vec::new();
        let translator = HomeAssistant::configure("{}").unwrap().0;
        for line in block.lines() {
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            let event = match mark {
                "registers" => {
                    let registration = registration(rest);
                    let previous = had.replace(registration.clone());
                    Event::Registered(Registered { client: client(), registration, previous, received: 0 })
                }
                "ends" => {
                    let registration = registration("");
                    Event::Ended(Ended { client: client(), registration, reason: End::Expired, received: 0 })
                }
                "answers" => answered(rest, &context),
                "notifies" => notified(rest),
                "in" => {
                    let (topic, payload) = rest.split_once(' ').unwrap();
                    for action in translator.downlink(message(topic, payload)).unwrap() {
                        if let Action::Perform(request) = &action {
                            context.clone_from(&request.context);
                        }
                        out.extend(shown(action));
                    }
                    continue;
                }
                _ => {
                    assert!(!out.is_empty(), "not told: {line}");
                    assert_eq!(out.remove(0), line);
                    told += 1;
                    continue;
                }
            };
            assert_eq!(out, [""; 0], "all of it is told before {line}");
            for action in translator.uplink(event).unwrap() {
                if let Action::Perform(request) = &action {
                    context.clone_from(&request.context);
                }
                out.extend(shown(action));
            }
        }
        assert_eq!(out, [""; 0], "all of it is told");
    }
    assert!(told > 20, "{told}");
}

/// `/3303/0 5700=21.5 5701="Cel"`: the answer to a read; `/3306/0/5850 2.04`: to a write.
fn answered(line: &str, context: &str) -> Event {
    let (path, rest) = line.split_once(' ').unwrap();
    let path = path_of(path);
    let code = rest.split_once('.').and_then(|(class, detail)| {
        Some(class.parse::<u8>().ok()? << 5 | detail.parse::<u8>().ok().filter(|_| detail.len() == 2)?)
    });
    let (operation, context, code, samples) = match code {
        Some(code) => (OperationName::Write, context, code, vec![]),
        None => (OperationName::Read, crate::DESCRIBE, 0x45, samples(path, rest)),
    };
    Event::Answered(Answered {
        client: client(),
        operation,
        path,
        context: context.into(),
        code,
        delivery: Delivery::Piggybacked,
        sequence: None,
        content: content(samples),
        location: String::new(),
        received: 0,
        attributes: vec![],
    })
}

/// `/3303/0/5700 21.7`
fn notified(line: &str) -> Event {
    let (path, value) = line.split_once(' ').unwrap();
    let path = path_of(path);
    let sample = Sample { path, value: value_of(value), kind: None, taken: None };
    Event::Notified(Notified {
        client: client(),
        path,
        context: String::new(),
        code: 0x45,
        delivery: Delivery::Confirmable,
        sequence: Some(1),
        content: content(vec![sample]),
        received: 0,
        attributes: vec![],
    })
}

fn samples(below: Path, line: &str) -> Vec<Sample> {
    let sample = |text: &str| {
        let (resource, value) = text.split_once('=').unwrap();
        let path = Path { resource: Some(resource.parse().unwrap()), ..below };
        Sample { path, value: value_of(value), kind: None, taken: None }
    };
    line.split(' ').map(sample).collect()
}

fn value_of(text: &str) -> Value {
    match text {
        "true" | "false" => Value::Boolean(text == "true"),
        text if text.starts_with('"') => Value::Text(text.trim_matches('"').into()),
        text => text.parse().map_or_else(|_| Value::Float(text.parse().unwrap()), Value::Integer),
    }
}

fn shown(action: Action) -> Option<String> {
    let request = match action {
        Action::Publish(message) => {
            assert!(message.retain);
            let payload = String::from_utf8(message.payload).unwrap();
            return Some(format!("out {} {payload}", message.topic).trim_end().to_owned());
        }
        Action::Perform(request) => request,
    };
    Some(match request.operation {
        Operation::Read(read) => {
            assert_eq!(request.context, crate::DESCRIBE);
            format!("read {}", read.path)
        }
        Operation::Observe(observe) => format!("observe {}", observe.path),
        Operation::Execute(execute) => format!("execute {}", execute.path),
        Operation::Write(write) => {
            let Body::Samples(samples) = write.body else { panic!("{:?}", write.body) };
            let value = match &samples[0].value {
                Value::Boolean(value) => value.to_string(),
                Value::Float(value) => value.to_string(),
                Value::Text(value) => format!("{value:?}"),
                other => panic!("{other:?}"),
            };
            format!("write {} {value}", write.path)
        }
        other => panic!("{other:?}"),
    })
}

fn registration(links: &str) -> Registration {
    let links = links.split(' ').filter(|link| !link.is_empty());
    Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: "U".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: links.map(|link| Link { path: path_of(link), attributes: vec![] }).collect(),
        parameters: vec![],
        links: vec![],
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    }
}

fn path_of(text: &str) -> Path {
    let ids: Vec<u16> = text[1..].split('/').map(|id| id.parse().unwrap()).collect();
    Path::new(&ids)
}

fn client() -> Client {
    Client { endpoint: "dev1".into(), attributes: vec![] }
}

fn content(samples: Vec<Sample>) -> Content {
    Content { format: Some(110), payload: vec![], samples, problem: None, attributes: vec![] }
}

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    }
}

const README: &str = include_str!("../README.md");
