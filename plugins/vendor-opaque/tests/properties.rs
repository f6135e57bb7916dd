//! What holds for every layout, value and command.
#![allow(clippy::unwrap_used)] // all of this is a test

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_sdk::{
    Action, Body, Client, Content, Delivery, Event, Fault, Message, Notified, Operation, Path, Properties,
    Qos, Sample, Translator, Value,
};
use tidegate_vendor_opaque::VendorOpaque;

proptest! {
    #[test]
    fn any_bytes_are_told_or_their_field_is_named(fields in fields(), bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        match told(&translator(&fields), bytes) {
            Ok(payload) => prop_assert!(payload["fields"].is_object()),
            Err(Fault::Malformed(text)) => prop_assert!(text.contains("field \"") && text.contains("at offset"), "{}", text),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn what_is_told_can_be_written_and_gives_the_same_bytes(fields in fields(), bytes in proptest::collection::vec(any::<u8>(), 40)) {
        let translator = translator(&fields);
        // Not each text is UTF-8.
        let Ok(payload) = told(&translator, bytes.clone()) else { return Ok(()) };
        let again = written(&translator, payload.to_string().into_bytes()).unwrap();
        prop_assert_eq!(told(&translator, again.clone()).unwrap(), payload);
        let end = again.len();
        prop_assert_eq!(&again[..], &bytes[..end]);
    }

    #[test]
    fn no_command_is_too_odd(fields in fields(), command in any::<Vec<u8>>(), json in json_value(), name in "[a-z0-9]{1,2}") {
        let translator = translator(&fields);
        let _ = written(&translator, command);
        let command = json!({ "path": "/19/0/0", "fields": { name: json } });
        let _ = written(&translator, command.to_string().into_bytes());
    }

    #[test]
    fn settings_of_any_json_are_taken_or_named(json in json_value()) {
        for settings in [json.clone(), json!({ "layouts": json }), json!({ "layouts": [{ "name": "a", "path": "/19/0/0", "fields": json }] })] {
            if let Err(wrong) = VendorOpaque::configure(&settings.to_string()) {
                prop_assert!(!wrong.is_empty());
            }
        }
    }
}

fn translator(fields: &[Json]) -> VendorOpaque {
    let layouts = json!([{ "name": "it", "path": "/19/*/0", "fields": fields }]);
    match VendorOpaque::configure(&json!({ "layouts": layouts }).to_string()) {
        Ok((translator, _)) => translator,
        Err(wrong) => panic!("{wrong:?}"),
    }
}

fn told(translator: &VendorOpaque, bytes: Vec<u8>) -> Result<Json, Fault> {
    let path = Path::new(&[19, 0, 0]);
    let sample = Sample { path, value: Value::Opaque(bytes), kind: None, taken: None };
    let content = Content {
        format: Some(42),
        payload: vec![],
        samples: vec![sample],
        problem: None,
        attributes: vec![],
    };
    let event = Event::Notified(Notified {
        client: Client { endpoint: "a/b".into(), attributes: vec![] },
        path,
        context: String::new(),
        code: 0x45,
        delivery: Delivery::Confirmable,
        sequence: None,
        content,
        received: 1,
        attributes: vec![],
    });
    let actions = translator.uplink(event)?;
    let [Action::Publish(message)] = <[Action; 1]>::try_from(actions).unwrap() else { panic!("not told") };
    assert_eq!(message.topic, "vendor/a%2Fb/it");
    Ok(serde_json::from_slice(&message.payload).unwrap())
}

fn written(translator: &VendorOpaque, payload: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let topic = "vendor/a%2Fb/it/set".to_owned();
    let message =
        Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties: Properties::default() };
    let actions = translator.downlink(message)?;
    let [Action::Perform(request)] = <[Action; 1]>::try_from(actions).unwrap() else { panic!("not asked") };
    let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
    let Body::Samples(samples) = write.body else { panic!("{:?}", write.body) };
    let [Sample { value: Value::Opaque(bytes), .. }] = <[Sample; 1]>::try_from(samples).unwrap() else {
        panic!("no bytes")
    };
    Ok(bytes)
}

/// Fields that do not overlap, of each type.
fn fields() -> impl Strategy<Value = Vec<Json>> {
    let scale = proptest::option::of(proptest::sample::select(&[0.1, 0.5, 2.0, 0.001][..]));
    let form = proptest::sample::select(FORMS);
    proptest::collection::vec((form, scale, any::<bool>()), 0..8).prop_map(|fields| {
        let fields = fields.into_iter().enumerate().map(|(at, (form, scale, depends))| {
            let mut field = json!({ "name": format!("f{at}"), "type": form });
            match (form, scale) {
                ("text" | "bytes", _) => field["length"] = json!(3),
                // Beyond 2^53 a scaled number is not exact.
                ("u8" | "i16le" | "u24be" | "i32le", Some(scale)) => field["scale"] = json!(scale),
                ("u8" | "i8", None) => field["values"] = json!({ "0": "zero", "1": true }),
                _ => {}
            }
            if depends && at > 0 {
                field["when"] = json!({ "field": "f0", "is": ["zero", true, 2, 3] });
            }
            field
        });
        fields.collect()
    })
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        proptest::num::f64::NORMAL.prop_map(Json::from),
        proptest::sample::select(&["u8", "bytes", "/19/0/0", "", "f0"][..]).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key =
            proptest::sample::select(&["name", "type", "path", "fields", "bits", "when", "is", "x"][..]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// A float of the wire that is no number is told as null, and is another one when written: no floats here.
const FORMS: &[&str] = &[
    "u8", "i8", "u16le", "i16be", "i16le", "u24be", "i24le", "u32be", "i32le", "u64le", "i64be", "text",
    "bytes",
];
