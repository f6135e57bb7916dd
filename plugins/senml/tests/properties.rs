//! What holds for every value and every command.
#![allow(clippy::unwrap_used)] // all of this is a test

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_sdk::{
    Action, Body, Client, Content, Delivery, Event, Message, Notified, Operation, Path, Properties, Qos,
    Sample, Translator, Value,
};
use tidegate_senml::SenMl;

proptest! {
    #[test]
    fn what_is_published_is_valid_senml(endpoint in any::<String>(), samples in samples(), based in any::<bool>()) {
        let Some(pack) = published(&endpoint, samples, based) else { return Ok(()) };
        let (mut base_name, mut base_time, mut last) = (String::new(), 0.0, f64::MIN);
        let records: Json = serde_json::from_str(&pack).unwrap();
        for record in records.as_array().unwrap() {
            if let Some(name) = record["bn"].as_str() {
                base_name = name.to_owned();
            }
            if let Some(time) = record["bt"].as_f64() {
                base_time = time;
            }
            let name = format!("{base_name}{}", record["n"].as_str().unwrap());
            prop_assert!(name.starts_with(|first: char| first.is_ascii_alphanumeric()), "{}", name);
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-:./_".contains(c)), "{}", name);
            let time = base_time + record["t"].as_f64().unwrap_or(0.0);
            prop_assert!(time >= last, "in the order of time: {}", pack);
            last = time;
            let values = ["v", "vs", "vb", "vd"].iter().filter(|key| !record[**key].is_null()).count();
            prop_assert_eq!(values, 1, "{}", record);
            prop_assert!(record.as_object().unwrap().keys().all(|key| FIELDS.contains(&key.as_str())));
        }
    }

    #[test]
    fn both_forms_say_the_same(endpoint in "[a-z]{1,8}", samples in samples()) {
        let resolved = published(&endpoint, samples.clone(), false).map(|pack| names_and_values(&pack));
        let based = published(&endpoint, samples, true).map(|pack| names_and_values(&pack));
        prop_assert_eq!(resolved, based);
    }

    #[test]
    fn what_is_published_can_be_written(endpoint in "[a-z/ ]{1,8}", samples in resources(), based in any::<bool>()) {
        let Some(pack) = published(&endpoint, samples, based) else { return Ok(()) };
        let values = names_and_values(&pack);
        let actions = told(&endpoint, "write", pack.into_bytes()).unwrap();
        let [Action::Perform(request)] = <[Action; 1]>::try_from(actions).unwrap() else { panic!("not asked") };
        let body = match request.operation {
            Operation::Write(write) => write.body,
            Operation::WriteComposite(write) => write.body,
            other => panic!("{other:?}"),
        };
        let Body::Samples(written) = body else { panic!("{body:?}") };
        prop_assert_eq!(published(&endpoint, written, false).map(|pack| names_and_values(&pack)), Some(values));
    }

    #[test]
    fn no_command_is_too_odd(verb in "read|write|observe|cancel", payload in any::<Vec<u8>>(), json in senml()) {
        let _ = told("a", &verb, payload);
        if let Ok(actions) = told("a", &verb, json.to_string().into_bytes()) {
            prop_assert_eq!(actions.len(), 1);
        }
    }
}

fn published(endpoint: &str, samples: Vec<Sample>, based: bool) -> Option<String> {
    let form = if based { "based" } else { "resolved" };
    let translator = SenMl::configure(&json!({ "form": form }).to_string()).unwrap().0;
    let content = Content { format: None, payload: vec![], samples, problem: None, attributes: vec![] };
    let event = Event::Notified(Notified {
        client: Client { endpoint: endpoint.into(), attributes: vec![] },
        path: Path::new(&[]),
        context: String::new(),
        code: 0x45,
        delivery: Delivery::Confirmable,
        sequence: None,
        content,
        received: 1_767_225_600_000,
        attributes: vec![],
    });
    let action = translator.uplink(event).unwrap().pop()?;
    let Action::Publish(message) = action else { panic!("{action:?}") };
    assert!(
        !message.topic.contains(['+', '#']) && message.topic.split('/').count() == 2,
        "{}",
        message.topic
    );
    Some(String::from_utf8(message.payload).unwrap())
}

/// Names without the time, in the order of names.
fn names_and_values(pack: &str) -> Vec<String> {
    let mut base = String::new();
    let records: Vec<Json> = serde_json::from_str(pack).unwrap();
    let mut all: Vec<String> = records
        .into_iter()
        .map(|record| {
            if let Some(name) = record["bn"].as_str() {
                base = name.to_owned();
            }
            let name = record["n"].as_str().unwrap();
            format!("{base}{name} {} {} {} {}", record["v"], record["vs"], record["vb"], record["vd"])
        })
        .collect();
    all.sort();
    all
}

fn told(endpoint: &str, verb: &str, payload: Vec<u8>) -> Result<Vec<Action>, tidegate_sdk::Fault> {
    let topic = format!("senml/{}/{verb}", tidegate_sdk::topic_level(endpoint));
    let message =
        Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties: Properties::default() };
    SenMl::configure("{}").unwrap().0.downlink(message)
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let ids = proptest::collection::vec(any::<u16>(), 0..5);
    proptest::collection::vec((ids, value(), any::<Option<i64>>()), 0..6).prop_map(|samples| {
        let sample = |(ids, value, taken): (Vec<u16>, _, _)| Sample {
            path: Path::new(&ids),
            value,
            kind: None,
            taken,
        };
        samples.into_iter().map(sample).collect()
    })
}

fn resources() -> impl Strategy<Value = Vec<Sample>> {
    let ids = proptest::collection::vec(0..5_u16, 3..5);
    proptest::collection::vec((ids, value()), 1..6).prop_map(|samples| {
        let sample =
            |(ids, value): (Vec<u16>, _)| Sample { path: Path::new(&ids), value, kind: None, taken: None };
        samples.into_iter().map(sample).collect()
    })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(Value::Unsigned),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        any::<Vec<u8>>().prop_map(Value::Opaque),
        Just(Value::Null),
    ]
}

fn senml() -> impl Strategy<Value = Json> {
    let name = proptest::sample::select(&["/3/0/9", "a/3/0/14", "/3303", "x", "", "9"][..]);
    let value = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from)
    ];
    let key = proptest::sample::select(&["v", "vs", "vb", "vd", "bv", "bver", "t", "s", "x_"][..]);
    let record = (
        proptest::option::of(name.clone()),
        proptest::option::weighted(0.2, name),
        proptest::option::of((key, value)),
    );
    let record = record.prop_map(|(name, base, field)| {
        let mut record = json!({});
        if let Some(name) = name {
            record["n"] = name.into();
        }
        if let Some(base) = base {
            record["bn"] = base.into();
        }
        if let Some((key, value)) = field {
            record[key] = value;
        }
        record
    });
    proptest::collection::vec(record, 0..5).prop_map(Json::from)
}

const FIELDS: [&str; 9] = ["bn", "bt", "n", "t", "u", "v", "vs", "vb", "vd"];
