//! The examples of the README are what happens.

use tidegate_sdk::{
    Action, Answered, Body, Client, Content, Delivery, Event, Failed, Failure, Link, Message, Notified,
    Operation, OperationName, Path, Properties, Qos, Registered, Registration, Sample, Translator, Value,
};

use crate::SenMl;

#[test]
fn each_example_of_the_readme_is_what_happens() {
    let blocks: Vec<&str> = README.split("```").skip(1).step_by(2).collect();
    let mut told = 0;
    for block in blocks.iter().filter_map(|block| block.strip_prefix('\n')) {
        let mut translator = SenMl::configure("{}").unwrap().0;
        let mut asked: Option<(OperationName, Path, String)> = None;
        let mut out: Vec<String> = Vec::new();
        for line in block.lines() {
            let (mark, rest) = line.split_once(' ').unwrap();
            let actions = match mark {
                "settings" => {
                    translator = SenMl::configure(rest).unwrap().0;
                    continue;
                }
                "registers" => translator.uplink(registered(rest)),
                "answers" => translator.uplink(answered(asked.as_ref().unwrap(), rest)),
                "fails" => translator.uplink(failed(asked.as_ref().unwrap())),
                "notifies" => translator.uplink(notified(rest)),
                "in" => translator.downlink(message(rest)),
                _ => {
                    assert!(!out.is_empty(), "not told: {line}");
                    let found = out.remove(0);
                    match mark {
                        "fault" => assert!(found.contains(rest), "{found}"),
                        _ => assert_eq!(found, line),
                    }
                    told += 1;
                    continue;
                }
            };
            assert_eq!(out, [""; 0], "all of it is told before {line}");
            match actions {
                Ok(actions) => out.extend(actions.into_iter().map(|action| shown(action, &mut asked))),
                Err(fault) => out.push(format!("{fault:?}").replace('\\', "")),
            }
        }
        assert_eq!(out, [""; 0], "all of it is told");
    }
    assert!(told > 15, "{told}");
}

fn shown(action: Action, asked: &mut Option<(OperationName, Path, String)>) -> String {
    let request = match action {
        Action::Publish(message) => {
            return format!("out {} {}", message.topic, String::from_utf8(message.payload).unwrap());
        }
        Action::Perform(request) => request,
    };
    let list = |paths: &[Path]| paths.iter().map(Path::to_string).collect::<Vec<_>>().join(" ");
    let root = Path::new(&[]);
    let (name, path, line) = match &request.operation {
        Operation::Read(of) => (OperationName::Read, of.path, format!("read {}", of.path)),
        Operation::ReadComposite(of) => {
            (OperationName::ReadComposite, root, format!("read-composite {}", list(&of.paths)))
        }
        Operation::Observe(of) => (OperationName::Observe, of.path, format!("observe {}", of.path)),
        Operation::ObserveComposite(of) => {
            (OperationName::ObserveComposite, root, format!("observe-composite {}", list(&of.paths)))
        }
        Operation::CancelObservation(of) => {
            (OperationName::CancelObservation, of.path, format!("cancel {}", of.path))
        }
        Operation::Write(of) => {
            (OperationName::Write, of.path, format!("write {:?} {} {}", of.mode, of.path, values(&of.body)))
        }
        Operation::WriteComposite(of) => {
            (OperationName::WriteComposite, root, format!("write-composite {}", values(&of.body)))
        }
        other => panic!("{other:?}"),
    };
    *asked = Some((name, path, request.context));
    line
}

fn values(body: &Body) -> String {
    let Body::Samples(samples) = body else { panic!("{body:?}") };
    let value = |sample: &Sample| match &sample.value {
        Value::Text(text) => format!("{}={text:?}", sample.path),
        Value::Integer(number) => format!("{}={number}", sample.path),
        Value::Float(number) => format!("{}={number}", sample.path),
        Value::Boolean(flag) => format!("{}={flag}", sample.path),
        other => panic!("{other:?}"),
    };
    samples.iter().map(value).collect::<Vec<_>>().join(" ")
}

fn registered(links: &str) -> Event {
    let registration = Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: "U".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: links.split(' ').map(|link| Link { path: path_of(link), attributes: vec![] }).collect(),
        parameters: vec![],
        links: vec![],
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    };
    Event::Registered(Registered { client: client(), registration, previous: None, received: 0 })
}

/// `2.05 /3303/0/5700=21.5`
fn answered(asked: &(OperationName, Path, String), line: &str) -> Event {
    let (code, values) = line.split_once(' ').unwrap_or((line, ""));
    let (class, detail) = code.split_once('.').unwrap();
    Event::Answered(Answered {
        client: client(),
        operation: asked.0,
        path: asked.1,
        context: asked.2.clone(),
        code: class.parse::<u8>().unwrap() << 5 | detail.parse::<u8>().unwrap(),
        delivery: Delivery::Piggybacked,
        sequence: None,
        content: content(values),
        location: String::new(),
        received: RECEIVED,
        attributes: vec![],
    })
}

fn failed((operation, path, context): &(OperationName, Path, String)) -> Event {
    let (operation, path, context) = (*operation, *path, context.clone());
    Event::Failed(Failed {
        client: client(),
        operation,
        path,
        context,
        failure: Failure::Timeout,
        received: 0,
    })
}

fn notified(values: &str) -> Event {
    Event::Notified(Notified {
        client: client(),
        path: path_of("/3303/0"),
        context: String::new(),
        code: 0x45,
        delivery: Delivery::Confirmable,
        sequence: Some(1),
        content: content(values),
        received: RECEIVED,
        attributes: vec![],
    })
}

/// `/3303/0/5700=21.5 /3303/0/5701="Cel"`, with `@seconds` where the device says when.
fn content(values: &str) -> Content {
    let sample = |text: &str| {
        let (path, value) = text.split_once('=').unwrap();
        let (value, taken) = match value.split_once('@') {
            Some((value, taken)) => (value, Some(taken.parse::<i64>().unwrap() * 1000)),
            None => (value, None),
        };
        let value = match value {
            "true" | "false" => Value::Boolean(value == "true"),
            text if text.starts_with('"') => Value::Text(text.trim_matches('"').into()),
            text => text.parse().map_or_else(|_| Value::Float(text.parse().unwrap()), Value::Integer),
        };
        Sample { path: path_of(path), value, kind: None, taken }
    };
    let samples = values.split(' ').filter(|text| !text.is_empty()).map(sample).collect();
    Content { format: Some(110), payload: vec![], samples, problem: None, attributes: vec![] }
}

fn message(line: &str) -> Message {
    let (topic, payload) = line.split_once(' ').unwrap();
    Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    }
}

fn path_of(text: &str) -> Path {
    let ids: Vec<u16> = text[1..].split('/').map(|id| id.parse().unwrap()).collect();
    Path::new(&ids)
}

fn client() -> Client {
    Client { endpoint: "urn:imei:1".into(), attributes: vec![] }
}

#[test]
fn an_answer_goes_where_the_command_wants_it_with_its_correlation() {
    let (translator, subscriptions) = SenMl::configure("{}").unwrap();
    let filters: Vec<&str> = subscriptions.filters.iter().map(|of| of.filter.as_str()).collect();
    assert_eq!(filters, ["senml/+/read", "senml/+/write", "senml/+/observe", "senml/+/cancel"]);
    let mut command = message(r#"senml/a%2Fb/read [{"n":"/3/0/9"}]"#);
    command.properties.response_topic = Some("replies/7".into());
    command.properties.correlation = Some(vec![0, 255]);
    let mut asked = None;
    let [action] = <[Action; 1]>::try_from(translator.downlink(command).unwrap()).unwrap();
    let Action::Perform(request) = &action else { panic!("{action:?}") };
    assert!(matches!(&request.recipients[..], [tidegate_sdk::Recipient::Endpoint(name)] if name == "a/b"));
    shown(action, &mut asked);
    let actions = translator.uplink(failed(&asked.unwrap())).unwrap();
    let [Action::Publish(answer)] = <[Action; 1]>::try_from(actions).unwrap() else { panic!("not told") };
    assert_eq!(answer.topic, "replies/7");
    assert_eq!(answer.properties.correlation, Some(vec![0, 255]));
}

const README: &str = include_str!("../README.md");
const RECEIVED: i64 = 1_767_225_600_000;
