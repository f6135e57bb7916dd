//! The examples of the README are what happens.

use serde_json::{Value as Json, json};
use tidegate_sdk::{
    Action, Answered, Body, Client, Content, Delivery, Event, Message, Notified, Operation, OperationName,
    Path, Properties, Qos, Sample, Translator, Value,
};

use crate::VendorOpaque;

#[test]
fn each_example_of_the_readme_is_what_happens() {
    let blocks: Vec<&str> = README.split("```").skip(1).step_by(2).collect();
    let settings = blocks.iter().find_map(|block| block.strip_prefix("json\n")).unwrap();
    let (translator, subscriptions) = VendorOpaque::configure(settings).unwrap();
    assert_eq!(subscriptions.filters[0].filter, "vendor/+/+/set");
    let mut examples = 0;
    for block in blocks.iter().filter_map(|block| block.strip_prefix("\n")) {
        let mut out: Vec<String> = Vec::new();
        for line in block.lines() {
            let (mark, rest) = line.split_once(' ').unwrap();
            match mark {
                "up" => out.extend(up(&translator, rest)),
                "in" => out.extend(down(&translator, rest)),
                "fault" => assert!(out.remove(0).contains(rest), "{rest}"),
                _ => assert_eq!(out.remove(0), line),
            }
            examples += 1;
        }
        assert_eq!(out, [""; 0], "all of it is told");
    }
    assert!(examples > 8, "{examples}");
}

/// `19/0/0 hex`, `/19/1/0 2.04`: a value that comes from the client, or its answer to a write.
fn up(translator: &VendorOpaque, line: &str) -> Vec<String> {
    let (path, what) = line.split_once(' ').unwrap();
    let path = crate::layout::path_of(path).unwrap();
    let client = Client { endpoint: "dev1".into(), attributes: vec![] };
    let event = match what.split_once('.') {
        Some((class, detail)) => Event::Answered(Answered {
            client,
            operation: OperationName::Write,
            path,
            context: "tracker".into(),
            code: class.parse::<u8>().unwrap() << 5 | detail.parse::<u8>().unwrap(),
            delivery: Delivery::Piggybacked,
            sequence: None,
            content: content(vec![]),
            location: String::new(),
            received: 0,
            attributes: vec![],
        }),
        None => Event::Notified(Notified {
            client,
            path,
            context: String::new(),
            code: 0x45,
            delivery: Delivery::Confirmable,
            sequence: None,
            content: content(vec![Sample {
                path,
                value: Value::Opaque(bytes(what)),
                kind: None,
                taken: None,
            }]),
            received: 1_767_225_600_000,
            attributes: vec![],
        }),
    };
    match translator.uplink(event) {
        Ok(actions) => actions.into_iter().map(shown).collect(),
        Err(fault) => vec![format!("{fault:?}").replace('\\', "")],
    }
}

fn down(translator: &VendorOpaque, line: &str) -> Vec<String> {
    let (topic, payload) = line.split_once(' ').unwrap();
    let message = Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    };
    match translator.downlink(message) {
        Ok(actions) => actions.into_iter().map(shown).collect(),
        Err(fault) => vec![format!("{fault:?}").replace('\\', "")],
    }
}

fn shown(action: Action) -> String {
    match action {
        Action::Publish(message) => {
            let json: Json = serde_json::from_slice(&message.payload).unwrap();
            format!("out {} {json}", message.topic)
        }
        Action::Perform(request) => {
            let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
            let Body::Samples(samples) = write.body else { panic!("{:?}", write.body) };
            let Value::Opaque(bytes) = &samples[0].value else { panic!("{samples:?}") };
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("write {} {digits}", write.path)
        }
    }
}

fn content(samples: Vec<Sample>) -> Content {
    Content { format: Some(42), payload: vec![], samples, problem: None, attributes: vec![] }
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_has_a_layout_and_is_there_is_observed() {
    let layouts = json!([
        { "name": "a", "path": "/19/*/0", "fields": [] },
        { "name": "b", "path": "/19/1/0", "fields": [] },
        { "name": "c", "path": "/33000/0/*", "fields": [] },
    ]);
    let (translator, _) = VendorOpaque::configure(&json!({ "layouts": layouts }).to_string()).unwrap();
    let links = [&[3, 0][..], &[19, 0], &[19, 1], &[20], &[33000, 0]];
    let links = links.map(|ids| tidegate_sdk::Link { path: Path::new(ids), attributes: vec![] });
    let registration = tidegate_sdk::Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: "U".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: links.into(),
        parameters: vec![],
        links: vec![],
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    };
    let client = Client { endpoint: "dev1".into(), attributes: vec![] };
    let event = tidegate_sdk::Registered { client, registration, previous: None, received: 0 };
    let actions = translator.uplink(Event::Registered(event)).unwrap();
    let paths: Vec<String> = actions
        .into_iter()
        .map(|action| match action {
            Action::Perform(request) => match request.operation {
                Operation::Observe(observe) => observe.path.to_string(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(paths, ["/19/0/0", "/19/1/0", "/33000/0"]);
}

const README: &str = include_str!("../README.md");
