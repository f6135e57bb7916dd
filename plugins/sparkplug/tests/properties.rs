//! What holds for every client, event and command.
#![allow(clippy::unwrap_used)] // all of this is a test

use proptest::prelude::*;
use tidegate_sdk::{
    Action, Answered, Client, Content, Delivery, End, Ended, Event, Kind, Link, Message, Notified,
    OperationName, Path, Properties, Qos, Registered, Registration, Sample, StatefulTranslator, Updated,
    Value,
};
use tidegate_sparkplug::Sparkplug;

proptest! {
    #[test]
    fn numbers_have_no_gap_and_births_come_first(events in proptest::collection::vec(event(), 1..20)) {
        let translator = Sparkplug::configure("{}").unwrap().0;
        let mut state = Vec::new();
        let (mut next, mut born) = (None, Vec::new());
        for event in events {
            let is_end = matches!(event, Event::Ended(_));
            let outcome = translator.uplink(event, &state).unwrap();
            for action in outcome.actions {
                let Action::Publish(message) = action else { continue };
                prop_assert!(!message.retain && !message.topic.contains(['+', '#', '\0']), "{}", message.topic);
                let levels: Vec<&str> = message.topic.splitn(4, '/').collect();
                let (kind, of) = (levels[2], levels[3].to_owned());
                let seq = seq(&message.payload);
                match kind {
                    "NBIRTH" => {
                        prop_assert_eq!(seq, Some(0));
                        born = vec![];
                    }
                    "NDEATH" => prop_assert_eq!(seq, None),
                    _ => prop_assert_eq!(seq, next),
                }
                match kind {
                    "DBIRTH" => born.push(of),
                    "DDATA" => prop_assert!(born.contains(&of), "{} before its birth", of),
                    "DDEATH" => {
                        prop_assert!(born.contains(&of), "{} dies before its birth", of);
                        born.retain(|device| *device != of);
                    }
                    _ => {}
                }
                next = seq.map(|seq| (seq + 1) % 256);
            }
            if let Some(new) = outcome.state {
                prop_assert!(new.len() < 64 << 10);
                state = new;
            }
            if is_end {
                state = vec![];
            }
        }
    }

    #[test]
    fn no_command_and_no_state_is_too_odd(topic in topic(), payload in any::<Vec<u8>>(), event in event()) {
        let translator = Sparkplug::configure("{}").unwrap().0;
        prop_assert!(translator.uplink(event, &payload).is_ok());
        let message = Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties: Properties::default() };
        let _ = translator.downlink(message);
    }
}

/// Field 3 of the payload, which comes last.
fn seq(payload: &[u8]) -> Option<u64> {
    match payload {
        [.., 0x18, high, low] if high & 0x80 != 0 => Some(u64::from(high & 0x7f) | u64::from(*low) << 7),
        [.., 0x18, low] => Some(u64::from(*low)),
        _ => None,
    }
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("spBv1.0/tidegate/NCMD/a".to_owned()),
        Just("spBv1.0/tidegate/DCMD/a/3303:0".to_owned()),
        any::<String>(),
        ".{0,9}".prop_map(|device| format!("spBv1.0/tidegate/DCMD/a/{device}")),
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let value = prop_oneof![
        ".{0,99}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        any::<i64>().prop_map(Value::Time),
        proptest::collection::vec(any::<u8>(), 0..99).prop_map(Value::Opaque),
        Just(Value::Null),
    ];
    let ids = (3300..3303_u16, 0..2_u16, 0..40_u16, proptest::option::weighted(0.2, any::<u16>()));
    let sample = (ids, value).prop_map(|((object, instance, resource, last), value)| {
        let mut path = Path::new(&[object, instance, resource]);
        path.resource_instance = last;
        Sample { path, value, kind: Some(Kind::Float), taken: None }
    });
    proptest::collection::vec(sample, 0..30)
}

fn registration() -> impl Strategy<Value = Registration> {
    let link = (3300..3303_u16, proptest::option::of(0..2_u16)).prop_map(|(object, instance)| {
        let mut path = Path::new(&[object]);
        path.object_instance = instance;
        Link { path, attributes: vec![] }
    });
    (proptest::collection::vec(link, 0..9), 0..3_u32).prop_map(|(objects, lifetime)| Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime,
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
    let context =
        prop_oneof![3 => Just(""), 1 => Just("rebirth"), 1 => Just("written 10ff"), 1 => Just("written x")];
    let inputs = (
        0..9_u8,
        context,
        registration(),
        samples(),
        prop_oneof![4 => Just(0x45), 1 => Just(0x84)],
        any::<i64>(),
    );
    inputs.prop_map(|(which, context, registration, samples, code, received)| {
        let client = Client { endpoint: "a/+".into(), attributes: vec![] };
        let content = Content { format: None, payload: vec![], samples, problem: None, attributes: vec![] };
        let (path, context) = (Path::new(&[3300, 0]), context.to_owned());
        let (delivery, sequence, attributes) = (Delivery::Confirmable, None, vec![]);
        match which {
            0 => Event::Registered(Registered { client, registration, previous: None, received }),
            1 => Event::Updated(Updated { client, registration, links_changed: code == 0x45, received }),
            2 => Event::Ended(Ended { client, registration, reason: End::Expired, received }),
            3 | 4 => Event::Answered(Answered {
                operation: OperationName::Observe,
                location: String::new(),
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
            _ => Event::Notified(Notified {
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
        }
    })
}
