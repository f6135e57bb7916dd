use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value as Json, json};
use tidegate_proto::coap::Peer;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::{Body, OperationName, WriteMode};
use tidegate_proto::lwm2m::path::Path as Lwm2mPath;
use tidegate_proto::lwm2m::registration::{Registration, Version};
use tidegate_proto::lwm2m::server::Content;
use tidegate_proto::lwm2m::value::{Sample, Value};

use super::*;

fn registration() -> Registration {
    Registration {
        endpoint: "a".into(),
        location: "/rd/x".into(),
        version: Version::V1_1,
        lifetime: 300,
        binding: "".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: [].into(),
        parameters: vec![],
        content_formats: None,
        links: [].into(),
        peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
    }
}

fn understand(body: &Json) -> Result<Operation, Problem> {
    let request: Request =
        serde_json::from_value(body.clone()).map_err(|error| Problem::bad("", error.to_string()))?;
    request.understand(&registration(), &Models::built_in())
}

#[test]
fn a_value_is_of_the_type_that_its_definition_names() {
    let operation =
        understand(&json!({"operation": "write", "path": "/3/0/13", "value": "1970-01-01T00:01:00Z"}))
            .unwrap();
    let Operation::Write { mode: WriteMode::Replace, body: Body::Samples(samples), .. } = operation else {
        panic!("{operation:?}")
    };
    assert_eq!(samples[0].value, Value::Time(60));
    let values = json!([{"path": "/3303/1/5700", "value": 21.5}, {"path": "/3303/1/9999", "value": "AQ==", "type": "opaque"}]);
    let operation = understand(&json!({"operation": "create", "path": "/3303", "values": values})).unwrap();
    let Operation::Create { body: Body::Samples(samples), .. } = operation else { panic!("{operation:?}") };
    assert_eq!((&samples[0].value, &samples[1].value), (&Value::Float(21.5), &Value::Opaque(vec![1].into())));
}

#[test]
fn a_write_in_a_format_is_encoded_in_it() {
    let operation =
        understand(&json!({"operation": "write", "path": "/3/0/14", "value": "+02:00", "format": "text"}))
            .unwrap();
    let Operation::Write { body: Body::Encoded { format: Some(0), payload }, .. } = operation else {
        panic!("{operation:?}")
    };
    assert_eq!(payload, b"+02:00");
    let content = json!({"format": 11542, "base64": "yAEB"});
    let operation = understand(&json!({"operation": "write", "path": "/3/0", "content": content})).unwrap();
    let Operation::Write { mode: WriteMode::Update, body: Body::Encoded { format: Some(11542), .. }, .. } =
        operation
    else {
        panic!("{operation:?}")
    };
}

#[test]
fn what_makes_no_sense_names_its_field_and_what_would_be_right() {
    for (body, text) in [
        (json!({"operation": "reed"}), "unknown variant `reed`"),
        (json!({"operation": "read"}), "is missing"),
        (json!({"operation": "read", "path": "/x"}), "`/x`"),
        (json!({"operation": "read", "path": "/"}), "from an object to a resource instance"),
        (json!({"operation": "execute", "path": "/3/0"}), "the path of a resource"),
        (json!({"operation": "write", "path": "/3/0/14"}), "`values` and `content`"),
        (json!({"operation": "write", "path": "/3/0", "value": 1}), "several are `values`"),
        (json!({"operation": "write", "path": "/3/0/13", "value": "x"}), "/3/0/13 must be seconds"),
        (json!({"operation": "write", "path": "/3/0/13", "value": null}), "is missing"),
        (
            json!({"operation": "write", "path": "/3/0", "values": [{"path": "/4/0/1", "value": 1}]}),
            "below `/3/0`",
        ),
        (json!({"operation": "read", "path": "/3", "format": "xml"}), "there are text"),
        (
            json!({"operation": "write-attributes", "path": "/3", "attributes": {"p&q": 1}}),
            "`p&q` is no attribute",
        ),
        (json!({"operation": "read-composite", "paths": []}), "at least one"),
        (json!({"operation": "read", "pth": "/3"}), "unknown field `pth`"),
    ] {
        let problem = understand(&body).unwrap_err();
        assert!(problem.detail().contains(text), "{body}: {}", problem.detail());
    }
}

#[test]
fn attributes_become_queries() {
    let body = json!({"operation": "write-attributes", "path": "/3303/0/5700", "attributes": {"pmin": 10, "gt": 25.5, "lt": null}});
    let Operation::WriteAttributes { values, .. } = understand(&body).unwrap() else { panic!() };
    let expected = [("gt", Some("25.5")), ("lt", None), ("pmin", Some("10"))];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
}

fn answered(path: &[u16], samples: Vec<Sample<'static>>, payload: &[u8], code: u8) -> Json {
    let answer = bridge::Answer {
        registration: Arc::new(registration()),
        operation: OperationName::Read,
        path: Lwm2mPath::from_ids(path).unwrap(),
        code,
        content: Content { format: Some(11542), payload: payload.to_vec() },
        samples,
        unreadable: None,
        location: None,
        took: Duration::from_millis(12),
    };
    serde_json::to_value(Answer::of(&answer, &Models::built_in())).unwrap()
}

#[test]
fn an_answer_has_names_and_units_of_the_definition() {
    let path = Lwm2mPath::new([3303, 0, 5601]);
    let sample = Sample { path, value: Value::Float(21.5), kind: None, taken: Some(0) };
    let answer = answered(&[3303, 0, 5601], vec![sample], b"21.5", 0x45);
    assert_eq!(answer["code"], "2.05");
    assert_eq!(answer["content"], json!({"format": "tlv", "base64": "MjEuNQ=="}));
    let value = &answer["values"][0];
    assert_eq!((&value["type"], &value["name"]), (&json!("float"), &json!("Min Measured Value")), "{answer}");
    assert_eq!(value["taken_at"], "1970-01-01T00:00:00Z");
    let refused = answered(&[3], vec![], b"not here", 0x84);
    assert_eq!(
        (&refused["code"], &refused["success"], &refused["diagnostic"]),
        (&json!("4.04"), &json!(false), &json!("not here"))
    );
}

#[test]
fn no_key_or_password_of_a_device_is_shown() {
    let secret = b"dG9wc2VjcmV0";
    let sample = |path: [u16; 3]| Sample {
        path: Lwm2mPath::new(path),
        value: Value::Opaque(secret.to_vec().into()),
        kind: None,
        taken: None,
    };
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    for answer in [
        answered(&[0, 0, 5], vec![sample([0, 0, 5])], secret, 0x45),
        answered(&[12, 0], vec![sample([12, 0, 1]), sample([12, 0, 17])], secret, 0x45),
        answered(&[0], vec![], secret, 0x45),
        answered(&[], vec![], secret, 0x45),
    ] {
        assert!(answer.get("content").is_none(), "{answer}");
        let values = answer["values"].as_array().unwrap();
        assert!(
            values.iter().all(|of| of["path"] == "/12/0/1" || !of.to_string().contains(&encoded)),
            "{answer}"
        );
    }
}

#[test]
fn why_there_is_no_answer_is_told_in_the_words_of_http() {
    for (undone, status) in [
        (Undone::Late, 504),
        (Undone::Busy, 503),
        (Undone::Failed(Failure::UnknownClient), 404),
        (Undone::Failed(Failure::Timeout), 504),
        (Undone::Failed(Failure::Reset), 502),
        (Undone::Failed(Failure::Unreachable), 502),
        (Undone::Failed(Failure::QueueFull), 503),
        (Undone::Failed(Failure::Ended), 409),
        (Undone::Failed(Failure::Invalid("x".into())), 422),
    ] {
        assert_eq!(problem(&undone, "a").status().as_u16(), status, "{undone:?}");
    }
}
