//! What holds for every client, event and command.
#![allow(clippy::unwrap_used)] // all of this is a test

use proptest::prelude::*;
use serde_json::Value as Json;
use tidegate_homeassistant::HomeAssistant;
use tidegate_sdk::{
    Action, Answered, Client, Content, Delivery, End, Ended, Event, Failed, Failure, Kind, Link, Message,
    Notified, OperationName, Path, Properties, Qos, Registered, Registration, Sample, Sent, Translator,
    Updated, Value,
};

proptest! {
    #[test]
    fn no_event_is_too_odd_and_all_that_is_published_is_retained(event in event()) {
        let translator = HomeAssistant::configure("{}").unwrap().0;
        for action in translator.uplink(event).unwrap() {
            let Action::Publish(message) = action else { continue };
            prop_assert!(message.retain);
            prop_assert!(!message.topic.contains(['+', '#', '\0']), "{}", message.topic);
            if message.topic.starts_with("homeassistant/") && !message.payload.is_empty() {
                let config: Json = serde_json::from_slice(&message.payload).unwrap();
                check(&config)?;
                let ids = message.topic.strip_prefix("homeassistant/device/").unwrap().strip_suffix("/config").unwrap();
                let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
                prop_assert!(ids.chars().all(is_allowed) && ids.split('/').count() == 2, "{}", ids);
            }
        }
    }

    #[test]
    fn no_command_is_too_odd(topic in topic(), payload in any::<Vec<u8>>(), retain in any::<bool>()) {
        let translator = HomeAssistant::configure("{}").unwrap().0;
        let message = Message { topic, payload, qos: Qos::AtMostOnce, retain, properties: Properties::default() };
        if let Ok(actions) = translator.downlink(message) {
            prop_assert_eq!(actions.len(), 1);
            prop_assert!(!retain);
        }
    }

    #[test]
    fn a_command_topic_of_a_configuration_is_one_that_is_obeyed(endpoint in ".{1,20}", object in object(), samples in samples()) {
        let translator = HomeAssistant::configure("{}").unwrap().0;
        let path = Path::new(&[object, 0]);
        let samples = samples.into_iter().map(|sample| Sample { path: Path { resource: sample.path.resource, ..path }, ..sample });
        let content = Content { format: None, payload: vec![], samples: samples.collect(), problem: None, attributes: vec![] };
        let client = Client { endpoint: endpoint.clone(), attributes: vec![] };
        for action in translator.uplink(described(client, path, content)).unwrap() {
            let Action::Publish(config) = action else { continue };
            let Ok(config) = serde_json::from_slice::<Json>(&config.payload) else { continue };
            let Some(components) = config["components"].as_object() else { continue };
            for component in components.values() {
                for key in ["command_topic", "brightness_command_topic"] {
                    let Some(topic) = component[key].as_str() else { continue };
                    let payloads = [&b"ON"[..], b"50", b"PRESS"];
                    let told = payloads.map(|payload| {
                        let (topic, payload) = (topic.to_owned(), payload.to_vec());
                        let properties = Properties::default();
                        translator.downlink(Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties })
                    });
                    let asked: Vec<&Action> = told.iter().flatten().flatten().collect();
                    prop_assert!(!asked.is_empty(), "{}", topic);
                    for action in asked {
                        let Action::Perform(request) = action else { panic!("{action:?}") };
                        let [tidegate_sdk::Recipient::Endpoint(name)] = &request.recipients[..] else { panic!() };
                        prop_assert_eq!(name, &endpoint);
                    }
                }
            }
        }
    }

    #[test]
    fn settings_of_any_json_are_taken_or_named(key in "prefix|topic|qos|restart|units|x", json in json_value()) {
        let settings = serde_json::json!({ key: json });
        if let Err(wrong) = HomeAssistant::configure(&settings.to_string()) {
            prop_assert!(!wrong.is_empty());
        }
    }
}

/// What Home Assistant demands of a device-based discovery message.
fn check(config: &Json) -> Result<(), TestCaseError> {
    prop_assert!(config["device"]["identifiers"].is_array() && config["origin"]["name"].is_string());
    let components = config["components"].as_object().unwrap();
    prop_assert!(!components.is_empty());
    for component in components.values() {
        prop_assert!(
            component["platform"].is_string() && component["unique_id"].is_string(),
            "{}",
            component
        );
        let needed = match component["platform"].as_str().unwrap() {
            "sensor" | "binary_sensor" => &["state_topic"][..],
            "button" => &["command_topic"],
            _ => &["state_topic", "command_topic"],
        };
        for key in needed {
            prop_assert!(component[*key].is_string(), "{} in {}", key, component);
        }
    }
    Ok(())
}

fn described(client: Client, path: Path, content: Content) -> Event {
    Event::Answered(Answered {
        client,
        operation: OperationName::Read,
        path,
        context: "describe".into(),
        code: 0x45,
        delivery: Delivery::Piggybacked,
        sequence: None,
        content,
        location: String::new(),
        received: 0,
        attributes: vec![],
    })
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        (".{0,8}", object(), 0..3_u16, resource()).prop_map(|(endpoint, object, instance, resource)| {
            format!("lwm2m/{endpoint}/{object}/{instance}/{resource}/set")
        }),
    ]
}

fn object() -> impl Strategy<Value = u16> {
    prop_oneof![3300..3350_u16, Just(3), any::<u16>()]
}

fn resource() -> impl Strategy<Value = u16> {
    prop_oneof![
        proptest::sample::select(
            &[
                0, 1, 4, 9, 5500, 5501, 5536, 5547, 5548, 5603, 5700, 5701, 5702, 5706, 5750, 5800, 5805,
                5850, 5851, 5900
            ][..]
        ),
        any::<u16>()
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let value = prop_oneof![
        any::<String>().prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(Value::Unsigned),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        any::<Vec<u8>>().prop_map(Value::Opaque),
        Just(Value::Null),
    ];
    let ids = (object(), any::<u8>(), resource(), proptest::option::weighted(0.1, any::<u16>()));
    let kind = proptest::option::of(Just(Kind::Float));
    let sample = (ids, value, kind).prop_map(|((object, instance, resource, last), value, kind)| {
        let mut path = Path::new(&[object, instance.into(), resource]);
        path.resource_instance = last;
        Sample { path, value, kind, taken: None }
    });
    proptest::collection::vec(sample, 0..8)
}

fn registration() -> impl Strategy<Value = Registration> {
    let link = (object(), proptest::option::of(0..4_u16)).prop_map(|(object, instance)| {
        let mut path = Path::new(&[object]);
        path.object_instance = instance;
        Link { path, attributes: vec![] }
    });
    proptest::collection::vec(link, 0..100).prop_map(|objects| Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: "U".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects,
        parameters: vec![],
        links: vec![],
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    })
}

fn event() -> impl Strategy<Value = Event> {
    let context = prop_oneof![Just("describe".to_owned()), Just("written ON".to_owned()), any::<String>()];
    let path = (object(), 0..3_u16).prop_map(|(object, instance)| Path::new(&[object, instance]));
    (
        0..7_u8,
        any::<String>(),
        context,
        (registration(), proptest::option::of(registration())),
        samples(),
        path,
        any::<u8>(),
    )
        .prop_map(|(which, endpoint, context, (registration, previous), samples, path, code)| {
            let client = Client { endpoint, attributes: vec![] };
            let content =
                Content { format: None, payload: vec![], samples, problem: None, attributes: vec![] };
            let received = 0;
            match which {
                0 => Event::Registered(Registered { client, registration, previous, received }),
                1 => Event::Updated(Updated { client, registration, links_changed: true, received }),
                2 => Event::Ended(Ended { client, registration, reason: End::Expired, received }),
                3 => Event::Sent(Sent { client, registration, content, received }),
                4 => Event::Failed(Failed {
                    client,
                    operation: OperationName::Read,
                    path,
                    context,
                    failure: Failure::Timeout,
                    received,
                }),
                5 => Event::Notified(Notified {
                    client,
                    path,
                    context,
                    code,
                    delivery: Delivery::Confirmable,
                    sequence: None,
                    content,
                    received,
                    attributes: vec![],
                }),
                _ => described(client, path, content),
            }
        })
}

fn json_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        proptest::collection::btree_map("[0-9]{1,6}|[a-z]", any::<String>(), 0..4)
            .prop_map(|map| map.into_iter().map(|(key, value)| (key, Json::from(value))).collect::<Json>()),
    ]
}
