//! What holds for every command, every event and every value.
#![allow(clippy::unwrap_used)] // all of this is a test

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use tidegate_emqx::Emqx;
use tidegate_sdk::{
    Action, Answered, Body, Client, Content, Delivery, End, Ended, Event, Failed, Failure, Kind, Message,
    Notified, ObjectLink, Operation, OperationName, Path, Progressed, Properties, Qos, Registered,
    Registration, Sample, Sent, Stage, Translator, Updated, Value,
};

proptest! {
    #[test]
    fn a_fixed_command_of_any_bytes_is_answered(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(told("fixed", payload.clone()).len(), 1);
        told("strict", payload);
    }

    #[test]
    fn a_fixed_command_of_any_json_is_asked_of_the_client_or_answered(command in command()) {
        let payload = command.to_string().into_bytes();
        prop_assert_eq!(told("fixed", payload.clone()).len(), 1, "{}", command);
        prop_assert!(told("strict", payload).len() <= 1, "{}", command);
    }

    #[test]
    fn every_answer_to_any_command_is_json_that_repeats_what_it_came_with(
        command in command(),
        code in any::<u8>(),
        content in content(),
        reset in any::<bool>(),
        strict in any::<bool>(),
    ) {
        let mode = if strict { "strict" } else { "fixed" };
        let mut command = command;
        command["reqID"] = json!([{ "a b": "\"\\\u{1f}" }]);
        for action in told(mode, command.to_string().into_bytes()) {
            let Action::Perform(request) = action else { continue };
            let event = if reset {
                failed(request.context, Failure::Reset)
            } else {
                answered(request.context, code, content.clone())
            };
            for action in translator(mode).uplink(event).unwrap() {
                let Action::Publish(message) = action else { panic!("{action:?}") };
                let answer: Json = serde_json::from_slice(&message.payload).unwrap();
                prop_assert_eq!(&answer["reqID"], &command["reqID"]);
                prop_assert!(answer["data"].is_object(), "{}", answer);
            }
        }
    }

    #[test]
    fn no_event_is_too_odd(event in event(), strict in any::<bool>()) {
        let mode = if strict { "strict" } else { "fixed" };
        for action in translator(mode).uplink(event).unwrap_or_default() {
            if let Action::Publish(message) = action {
                let json: Result<Json, _> = serde_json::from_slice(&message.payload);
                prop_assert!(json.is_ok(), "{}", String::from_utf8_lossy(&message.payload));
                prop_assert!(!message.topic.contains(['#', '+']), "{}", message.topic);
            }
        }
    }

    #[test]
    fn settings_of_any_json_are_taken_or_named(settings in json_value()) {
        if let Err(wrong) = Emqx::configure(&settings.to_string()) {
            prop_assert!(!wrong.is_empty());
        }
    }

    #[test]
    fn what_strict_writes_it_reads(value in strict_value()) {
        let (path, kind, given, expected) = value;
        let data = json!({ "path": path, "type": kind });
        let command = format!(
            r#"{{"msgType":"write","data":{},"value":{given}}}}}"#,
            data.to_string().trim_end_matches('}')
        );
        let [Action::Perform(request)] = <[Action; 1]>::try_from(told("strict", command.into_bytes())).unwrap() else {
            panic!("not asked")
        };
        let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
        let Body::Encoded(body) = write.body else { panic!("{:?}", write.body) };
        let read = read("strict", path, Content { format: body.format, payload: body.payload, samples: vec![], problem: None, attributes: vec![] });
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn what_fixed_has_written_it_tells(value in fixed_value()) {
        let (kind, given) = value;
        let command = format!(r#"{{"msgType":"write","data":{{"path":"/9/0/9","type":"{kind}","value":{given}}}}}"#);
        let [Action::Perform(request)] = <[Action; 1]>::try_from(told("fixed", command.into_bytes())).unwrap() else {
            panic!("not asked")
        };
        let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
        let Body::Samples(samples) = write.body else { panic!("{:?}", write.body) };
        let content = Content { format: Some(112), payload: vec![], samples, problem: None, attributes: vec![] };
        prop_assert_eq!(read("fixed", "/9/0/9", content), given);
    }
}

fn translator(mode: &str) -> Emqx {
    Emqx::configure(&json!({ "compatibility": mode }).to_string()).unwrap().0
}

fn told(mode: &str, payload: Vec<u8>) -> Vec<Action> {
    let topic = "dn/dev1".to_owned();
    let message =
        Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties: Properties::default() };
    translator(mode).downlink(message).unwrap()
}

/// The JSON of the one value that a read of this content tells, to the digit.
fn read(mode: &str, path: &str, content: Content) -> String {
    let command = json!({ "msgType": "read", "data": { "path": path } }).to_string();
    let [Action::Perform(request)] = <[Action; 1]>::try_from(told(mode, command.into_bytes())).unwrap()
    else {
        panic!("not asked")
    };
    let actions = translator(mode).uplink(answered(request.context, 0x45, content)).unwrap();
    let [Action::Publish(message)] = <[Action; 1]>::try_from(actions).unwrap() else { panic!("not told") };
    let text = String::from_utf8(message.payload).unwrap();
    let (_, rest) =
        text.split_once(r#""content":[{"value":"#).unwrap_or_else(|| panic!("no value in {text}"));
    rest.rsplit_once(&format!(r#","path":"{path}"}}]"#)).unwrap().0.to_owned()
}

fn answered(context: String, code: u8, content: Content) -> Event {
    Event::Answered(Answered {
        client: client(),
        operation: OperationName::Read,
        path: Path::new(&[]),
        context,
        code,
        delivery: Delivery::Piggybacked,
        sequence: Some(5),
        content,
        location: String::new(),
        received: 0,
        attributes: vec![],
    })
}

fn failed(context: String, failure: Failure) -> Event {
    let (operation, path) = (OperationName::Read, Path::new(&[]));
    Event::Failed(Failed { client: client(), operation, path, context, failure, received: 0 })
}

fn client() -> Client {
    Client { endpoint: "dev1".into(), attributes: vec![] }
}

/// A value for `strict`: path, type, JSON given, JSON read. Integers below zero only: EMQX writes others unsigned and reads
/// them signed.
fn strict_value() -> impl Strategy<Value = (&'static str, &'static str, String, String)> {
    let same = |path, kind| move |json: String| (path, kind, json.clone(), json);
    prop_oneof![
        any::<String>().prop_map(|text| json!(text).to_string()).prop_map(same("/3/0/0", "String")),
        (i64::MIN..0).prop_map(|number| number.to_string()).prop_map(same("/3/0/9", "Integer")),
        any::<u128>().prop_map(|number| number.to_string()).prop_map(same("/3/0/13", "Time")),
        float().prop_map(same("/6/0/0", "Float")),
        any::<bool>().prop_map(|flag| ("/1/0/6", "Boolean", format!("\"{flag}\""), flag.to_string())),
        base64().prop_map(same("/5/0/0", "Opaque")),
        link().prop_map(same("/3/0/22", "Objlnk")),
    ]
}

/// A value for `fixed`: type and JSON.
fn fixed_value() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        any::<String>().prop_map(|text| ("String", json!(text).to_string())),
        any::<i64>().prop_map(|number| ("Integer", number.to_string())),
        any::<i64>().prop_map(|number| ("Time", number.to_string())),
        any::<u64>().prop_map(|number| ("Unsigned Integer", number.to_string())),
        float().prop_map(|json| ("Float", json)),
        any::<bool>().prop_map(|flag| ("Boolean", flag.to_string())),
        base64().prop_map(|json| ("Opaque", json)),
        link().prop_map(|json| ("Objlnk", json)),
        any::<String>().prop_map(|text| ("Corelnk", json!(text).to_string())),
    ]
}

/// As the translator writes floats: with a fraction, and a point before an exponent.
fn float() -> impl Strategy<Value = String> {
    proptest::num::f64::NORMAL.prop_map(|number| {
        let text = json!(number).to_string();
        match text.split_once('e') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => {
                format!("{mantissa}.0e{}", exponent.trim_start_matches('+'))
            }
            _ => text.replace("e+", "e"),
        }
    })
}

fn base64() -> impl Strategy<Value = String> {
    // Each byte alone, so that this needs no encoder: groups of four digits.
    proptest::collection::vec("[A-Za-z0-9+/]{4}", 0..20).prop_map(|groups| json!(groups.concat()).to_string())
}

fn link() -> impl Strategy<Value = String> {
    any::<(u16, u16)>().prop_map(|(object, instance)| format!("\"{object}:{instance}\""))
}

/// Something like a command, with anything in it.
fn command() -> impl Strategy<Value = Json> {
    let data = prop_oneof![4 => object(), 1 => json_value()];
    (proptest::sample::select(TYPES), data, object()).prop_map(|(message_type, data, more)| {
        let mut command = more.as_object().cloned().unwrap_or_default();
        if !message_type.is_empty() {
            command.insert("msgType".into(), json!(message_type));
        }
        command.insert("data".into(), data);
        Json::Object(command)
    })
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        proptest::num::f64::NORMAL.prop_map(Json::from),
        proptest::sample::select(TEXTS).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from), members(inner),]
    })
}

fn object() -> impl Strategy<Value = Json> {
    members(json_value())
}

fn members(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    let key = prop_oneof![5 => proptest::sample::select(KEYS).prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::vec((key, value), 0..6)
        .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>()))
}

fn content() -> impl Strategy<Value = Content> {
    let format = proptest::sample::select(
        &[None, Some(0), Some(40), Some(42), Some(60), Some(110), Some(11542), Some(11543), Some(7)][..],
    );
    let problem = proptest::option::of(any::<String>());
    (
        format,
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(sample(), 0..4),
        problem,
    )
        .prop_map(|(format, payload, samples, problem)| Content {
            format,
            payload,
            samples,
            problem,
            attributes: vec![],
        })
}

fn sample() -> impl Strategy<Value = Sample> {
    let value = prop_oneof![
        any::<String>().prop_map(Value::Text),
        any::<String>().prop_map(Value::CoreLink),
        any::<i64>().prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Time),
        any::<u64>().prop_map(Value::Unsigned),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        any::<Vec<u8>>().prop_map(Value::Opaque),
        any::<(u16, u16)>()
            .prop_map(|(object, object_instance)| Value::ObjectLink(ObjectLink { object, object_instance })),
        Just(Value::Null),
    ];
    let kind = proptest::option::of(proptest::sample::select(KINDS));
    (proptest::collection::vec(any::<u16>(), 0..5), value, kind, any::<Option<i64>>())
        .prop_map(|(ids, value, kind, taken)| Sample { path: Path::new(&ids), value, kind, taken })
}

fn registration() -> impl Strategy<Value = Registration> {
    let parameters = proptest::collection::vec((any::<String>(), any::<Option<String>>()), 0..5);
    let links = prop_oneof![any::<Vec<u8>>(), "[</0-9>;,a=\" ]{0,40}".prop_map(String::into_bytes)];
    (parameters, links, any::<u32>(), any::<String>(), any::<String>()).prop_map(
        |(parameters, links, lifetime, alternate_path, peer)| Registration {
            location: "/rd/1".into(),
            version: "1.1".into(),
            lifetime,
            binding: String::new(),
            queue_mode: false,
            alternate_path,
            objects: vec![],
            parameters,
            links,
            peer,
            attributes: vec![("defined-objects".into(), "3,31024".into())],
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let context = prop_oneof![
        any::<String>(),
        Just("read\u{1f}\u{1f}/3/0\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}{}".to_owned()),
        Just("observe-composite\u{1f}m/\u{1f}[\"/3\"]\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}{}".to_owned()),
    ];
    let stage = prop_oneof![Just(Stage::Queued), Just(Stage::Acknowledged), Just(Stage::Transferred((1, 2)))];
    let failure = prop_oneof![
        Just(Failure::Timeout),
        Just(Failure::Ended),
        Just(Failure::UnknownClient),
        Just(Failure::QueueFull),
        any::<String>().prop_map(Failure::Invalid),
    ];
    let endpoint = any::<String>();
    (0..8_u8, endpoint, context, registration(), content(), any::<(u8, bool, Option<u32>)>(), stage, failure)
        .prop_map(
            |(which, endpoint, context, registration, content, (code, flag, sequence), stage, failure)| {
                let client = Client { endpoint, attributes: vec![] };
                let (operation, path, received) = (OperationName::Read, Path::new(&[]), 0);
                let delivery = if flag { Delivery::Piggybacked } else { Delivery::Confirmable };
                let previous = flag.then(|| registration.clone());
                let attributes = vec![];
                match which {
                    0 => Event::Registered(Registered { client, registration, previous, received }),
                    1 => Event::Updated(Updated { client, registration, links_changed: flag, received }),
                    2 => Event::Ended(Ended { client, registration, reason: End::Expired, received }),
                    3 => Event::Sent(Sent { client, registration, content, received }),
                    4 => Event::Progressed(Progressed { client, operation, path, context, stage, received }),
                    5 => Event::Failed(Failed { client, operation, path, context, failure, received }),
                    6 => Event::Notified(Notified {
                        client,
                        path,
                        context,
                        code,
                        delivery,
                        sequence,
                        content,
                        received,
                        attributes,
                    }),
                    _ => Event::Answered(Answered {
                        client,
                        operation,
                        path,
                        context,
                        code,
                        delivery,
                        sequence,
                        content,
                        location: String::new(),
                        received,
                        attributes,
                    }),
                }
            },
        )
}

const TYPES: &[&str] = &[
    "",
    "read",
    "write",
    "write-attr",
    "discover",
    "execute",
    "create",
    "delete",
    "observe",
    "cancel-observe",
    "read-composite",
    "write-composite",
    "observe-composite",
    "cancel-observe-composite",
    "notify",
    "fly",
];
const KEYS: &[&str] = &[
    "path",
    "basePath",
    "reqPath",
    "paths",
    "content",
    "type",
    "value",
    "args",
    "pmin",
    "lt",
    "encoding",
    "mheaders",
    "ttl",
    "ep",
    "seqNum",
    "msgType",
    "data",
    "mountpoint",
    "translators",
    "topic",
    "qos",
    "auto_observe",
];
const TEXTS: &[&str] = &[
    "/3/0/0",
    "/3/0",
    "3",
    "/",
    "6/1",
    "/3/0/0?a=1&b",
    "hex",
    "String",
    "Integer",
    "Float",
    "Boolean",
    "Opaque",
    "Objlnk",
    "Time",
    "5",
    "-1.5",
    "true",
    "1:2",
    "AQI=",
    "undefined",
    "48656C",
];
const KINDS: &[Kind] = &[
    Kind::Text,
    Kind::Integer,
    Kind::Unsigned,
    Kind::Float,
    Kind::Boolean,
    Kind::Opaque,
    Kind::Time,
    Kind::ObjectLink,
    Kind::CoreLink,
    Kind::Executable,
];
