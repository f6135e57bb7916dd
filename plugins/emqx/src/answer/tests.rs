use serde_json::{Value as Json, json};
use tidegate_sdk::{Client, OperationName, Path, Qos};

use super::*;
use crate::context::{Members, compose};

fn settings(compatibility: &str) -> Settings {
    Settings::parse(&format!(
        r#"{{"compatibility":"{compatibility}","mountpoint":"m/${{endpoint_name}}/","translators":{{
            "notify":{{"topic":"n","qos":2}},"response":{{"topic":"r","qos":1}}}}}}"#
    ))
    .unwrap()
}

fn context(message_type: &str, path: &str) -> String {
    let members =
        Members::from([("reqID".to_owned(), "7".to_owned()), ("cacheID".to_owned(), "8".to_owned())]);
    compose(Command::named(message_type).unwrap(), None, "m/dev1/", path, &members, r#"{"path":"/own"}"#)
}

fn client() -> Client {
    Client { endpoint: "dev1".into(), attributes: vec![] }
}

fn content(payload: &[u8]) -> Content {
    Content { format: None, payload: payload.to_vec(), samples: vec![], problem: None, attributes: vec![] }
}

/// Topic and payload of what is published, at the QoS of its topic.
fn published(actions: Vec<Action>) -> Option<(String, Json)> {
    match <[Action; 1]>::try_from(actions) {
        Ok([Action::Publish(message)]) => {
            let qos = match message.topic.as_str() {
                "m/dev1/r" => Qos::AtLeastOnce,
                "m/dev1/n" => Qos::ExactlyOnce,
                _ => Qos::AtMostOnce,
            };
            assert_eq!((message.qos, message.retain), (qos, false));
            Some((message.topic, serde_json::from_slice(&message.payload).unwrap()))
        }
        Ok([other]) => panic!("{other:?}"),
        Err(actions) => {
            assert!(actions.is_empty(), "{actions:?}");
            None
        }
    }
}

struct Answer<'a> {
    mode: &'a str,
    message_type: &'a str,
    path: &'a str,
    code: u8,
    delivery: Delivery,
    sequence: Option<u32>,
    payload: &'a [u8],
}

impl Default for Answer<'_> {
    fn default() -> Self {
        Self {
            mode: "strict",
            message_type: "read",
            path: "/3/0/0",
            code: 0x45,
            delivery: Delivery::Piggybacked,
            sequence: None,
            payload: b"a",
        }
    }
}

impl Answer<'_> {
    fn told(self) -> (String, Json) {
        let event = Answered {
            client: client(),
            operation: OperationName::Read,
            path: Path::new(&[]),
            context: context(self.message_type, self.path),
            code: self.code,
            delivery: self.delivery,
            sequence: self.sequence,
            content: content(self.payload),
            location: String::new(),
            received: 0,
            attributes: vec![],
        };
        published(answered(&settings(self.mode), &event).unwrap()).unwrap()
    }

    /// Code and name, and whether there are values.
    fn outcome(self) -> (String, bool) {
        let (topic, told) = self.told();
        assert_eq!(topic, "m/dev1/r");
        let data = &told["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        (format!("{} {}", text("code"), text("codeMsg")), data.get("content").is_some())
    }
}

#[test]
fn each_code_has_its_number_and_name() {
    for (code, expected) in [
        (0x41, "2.01 created"),
        (0x42, "2.02 deleted"),
        (0x43, "2.03 valid"),
        (0x44, "2.04 changed"),
        (0x45, "2.05 content"),
        (0x5f, "2.31 continue"),
        (0x80, "4.00 bad_request"),
        (0x81, "4.01 unauthorized"),
        (0x82, "4.02 bad_option"),
        (0x83, "4.03 forbidden"),
        (0x84, "4.04 not_found"),
        (0x85, "4.05 method_not_allowed"),
        (0x86, "4.06 not_acceptable"),
        (0x88, "4.08 request_entity_incomplete"),
        (0x89, "4.09 conflict"),
        (0x8c, "4.12 precondition_failed"),
        (0x8d, "4.13 request_entity_too_large"),
        (0x8f, "4.15 unsupported_content_format"),
        (0x96, "4.22 unprocessable_entity"),
        (0x9d, "4.29 too_many_requests"),
        (0xa0, "5.00 internal_server_error"),
        (0xa1, "5.01 not_implemented"),
        (0xa2, "5.02 bad_gateway"),
        (0xa3, "5.03 service_unavailable"),
        (0xa4, "5.04 gateway_timeout"),
        (0xa5, "5.05 proxying_not_supported"),
        (0x9f, "4.31 unknown"),
    ] {
        for mode in ["strict", "fixed"] {
            // A delete tells any code as it is.
            let (found, has_content) =
                Answer { mode, message_type: "delete", code, ..Answer::default() }.outcome();
            assert_eq!((found.as_str(), has_content), (expected, false), "{code:#x}");
        }
    }
}

#[test]
fn values_come_with_success_of_what_reads() {
    let outcome =
        |message_type, code, payload| Answer { message_type, code, payload, ..Answer::default() }.outcome();
    let told = |code: &str, has_content| (code.to_owned(), has_content);
    for (code, name) in
        [(0x45, "2.05 content"), (0x44, "2.04 changed"), (0x43, "2.03 valid"), (0x5f, "2.31 continue")]
    {
        assert_eq!(outcome("read", code, b""), told(name, true));
    }
    for message_type in
        ["read", "discover", "observe", "cancel-observe", "write", "write-attr", "execute", "create"]
    {
        assert_eq!(outcome(message_type, 0x84, b"why"), told("4.04 not_found", false), "{message_type}");
    }
    for message_type in ["discover", "observe", "cancel-observe"] {
        assert_eq!(outcome(message_type, 0x45, b"a"), told("2.05 content", true), "{message_type}");
        // EMQX crashes on these.
        assert_eq!(outcome(message_type, 0x44, b"a"), told("2.04 changed", false), "{message_type}");
    }
    for message_type in ["write-attr", "execute", "create", "delete"] {
        assert_eq!(outcome(message_type, 0x45, b"a"), told("2.05 content", false), "{message_type}");
    }
    assert_eq!(outcome("write", 0x45, b""), told("4.05 method_not_allowed", false));
    assert_eq!(outcome("write", 0x45, b"a"), told("2.04 changed", false));
    let fixed = Answer { mode: "fixed", message_type: "write", ..Answer::default() };
    assert_eq!(fixed.outcome(), told("2.05 content", false));
}

#[test]
fn what_a_command_had_beside_its_data_is_told_again() {
    let (_, told) = Answer::default().told();
    let content = json!([{ "value": "a", "path": "/3/0/0" }]);
    let data = json!({ "reqPath": "/3/0/0", "content": content, "codeMsg": "content", "code": "2.05" });
    assert_eq!(told, json!({ "reqID": 7, "msgType": "read", "cacheID": 8, "data": data }));
    let (_, told) =
        Answer { path: crate::context::NO_PATH, message_type: "create", code: 0x41, ..Answer::default() }
            .told();
    assert_eq!(told["data"], json!({ "reqPath": null, "codeMsg": "created", "code": "2.01" }));
}

#[test]
fn content_that_cannot_be_read_makes_the_answer_4_00() {
    for message_type in ["read", "observe", "cancel-observe"] {
        let answer = |mode| Answer { mode, message_type, path: "/3/0/9", payload: b"x", ..Answer::default() };
        let (_, told) = answer("strict").told();
        let data = json!({ "reqPath": "/3/0/9", "codeMsg": "bad_request", "code": "4.00" });
        assert_eq!(told, json!({ "reqID": 7, "msgType": message_type, "cacheID": 8, "data": data }));
        assert_eq!(answer("fixed").told().1["data"]["code"], "2.05");
    }
    let mut event_content = content(b"\xc8");
    event_content.format = Some(11542);
    event_content.problem = Some("TLV, byte 0: the entry is cut off".into());
    let event = Notified {
        client: client(),
        path: Path::new(&[]),
        context: context("observe", "/3/0"),
        code: 0x45,
        delivery: Delivery::Confirmable,
        sequence: Some(5),
        content: event_content,
        received: 0,
        attributes: vec![],
    };
    let (_, told) = published(notified(&settings("fixed"), &event).unwrap()).unwrap();
    assert_eq!(told["data"]["reason"], "TLV, byte 0: the entry is cut off");
    assert_eq!((&told["data"]["code"], &told["seqNum"]), (&json!("4.00"), &json!(5)));
}

#[test]
fn a_sequence_number_is_told_for_observations_unless_it_is_zero() {
    let sequence = |message_type, sequence| {
        Answer { message_type, sequence, ..Answer::default() }.told().1.get("seqNum").cloned()
    };
    assert_eq!(sequence("observe", Some(12)), Some(json!(12)));
    assert_eq!(sequence("observe", Some(0)), None);
    assert_eq!(sequence("observe", None), None);
    assert_eq!(sequence("cancel-observe", Some(12)), None);
    assert_eq!(sequence("read", Some(12)), None);
}

#[test]
fn a_separate_first_answer_to_an_observe_is_a_notification_to_emqx() {
    for delivery in [Delivery::Confirmable, Delivery::NonConfirmable] {
        let answer =
            |mode, code| Answer { mode, message_type: "observe", code, delivery, ..Answer::default() }.told();
        let of = |(topic, told): (String, Json)| format!("{topic} {}", told["msgType"].as_str().unwrap());
        assert_eq!(of(answer("strict", 0x45)), "m/dev1/n notify");
        assert_eq!(of(answer("strict", 0x84)), "m/dev1/r observe");
        assert_eq!(of(answer("fixed", 0x45)), "m/dev1/r observe");
        let composite =
            Answer { message_type: "observe-composite", path: "[]", delivery, ..Answer::default() };
        assert_eq!(of(composite.told()), "m/dev1/r observe-composite");
    }
}

#[test]
fn notifications_of_firmware_have_a_topic_of_their_own() {
    let told = |message_type: &str, path: &str, code, sequence| {
        let event = Notified {
            client: client(),
            path: Path::new(&[]),
            context: context(message_type, path),
            code,
            delivery: Delivery::NonConfirmable,
            sequence,
            content: content(b"1"),
            received: 0,
            attributes: vec![],
        };
        published(notified(&settings("strict"), &event).unwrap()).unwrap()
    };
    let (topic, notify) = told("observe", "/5/0/3", 0x45, Some(1));
    assert_eq!(
        (topic.as_str(), &notify["msgType"], &notify["seqNum"]),
        ("m/dev1//v1/up/dm", &json!("notify"), &json!(1))
    );
    for path in ["/3/0/9", "/50/0/1", "3/5/5"] {
        assert_eq!(told("observe", path, 0x45, Some(0)).0, "m/dev1/n", "{path}");
    }
    assert_eq!(told("observe", "5", 0x45, None).0, "m/dev1//v1/up/dm");
    assert_eq!(told("observe-composite", r#"["/5/0/3"]"#, 0x45, Some(2)).0, "m/dev1/n");
    // An error ends the observation, which EMQX keeps to itself.
    let (topic, error) = told("observe", "/3/0/9", 0x84, None);
    assert_eq!(topic, "m/dev1/n");
    assert_eq!(error["data"], json!({ "reqPath": "/3/0/9", "codeMsg": "not_found", "code": "4.04" }));
}

#[test]
fn what_is_no_final_answer_has_the_command_s_own_data() {
    let progress = |stage| {
        let (operation, path) = (OperationName::Read, Path::new(&[]));
        let event = Progressed {
            client: client(),
            operation,
            path,
            context: context("read", "/3"),
            stage,
            received: 0,
        };
        published(progressed(&settings("strict"), &event).unwrap())
    };
    let expected = |message_type: &str| {
        let told = json!({ "reqID": 7, "msgType": message_type, "cacheID": 8, "data": { "path": "/own" } });
        Some(("m/dev1/r".to_owned(), told))
    };
    assert_eq!(progress(Stage::Acknowledged), expected("ack"));
    for stage in [Stage::Queued, Stage::Transmitted, Stage::Transferred((1, 2))] {
        assert_eq!(progress(stage), None);
    }
    let mut curious = settings("fixed");
    curious.publish_progress = true;
    let step = |stage| {
        let (operation, path) = (OperationName::Read, Path::new(&[]));
        let context = context("read", "/3");
        let event = Progressed { client: client(), operation, path, context, stage, received: 0 };
        let told = published(progressed(&curious, &event).unwrap()).unwrap().1;
        assert_eq!((&told["msgType"], &told["reqID"]), (&json!("progress"), &json!(7)));
        told["data"].clone()
    };
    assert_eq!(step(Stage::Queued), json!({ "stage": "queued", "reqPath": "/3" }));
    assert_eq!(step(Stage::Transmitted), json!({ "stage": "sent", "reqPath": "/3" }));
    let over = json!({ "total": 2, "stage": "transferred", "reqPath": "/3", "done": 1 });
    assert_eq!(step(Stage::Transferred((1, 2))), over);
    let fail = |mode, failure| {
        let (operation, path) = (OperationName::Read, Path::new(&[]));
        let event = Failed {
            client: client(),
            operation,
            path,
            context: context("read", "/3"),
            failure,
            received: 0,
        };
        published(failed(&settings(mode), &event).unwrap())
    };
    for mode in ["strict", "fixed"] {
        assert_eq!(fail(mode, Failure::Reset), expected("coap_reset"));
        assert_eq!(fail(mode, Failure::Timeout), expected("coap_timeout"));
    }
    for failure in [Failure::Expired, Failure::Unreachable, Failure::Ended] {
        assert_eq!(fail("strict", failure.clone()), None);
        let (topic, told) = fail("fixed", failure).unwrap();
        assert_eq!((topic.as_str(), &told["msgType"]), ("m/dev1/r", &json!("coap_timeout")));
        assert_eq!(told["data"]["path"], "/own");
        assert!(told["data"]["reason"].is_string(), "{told}");
    }
    assert_eq!(fail("strict", Failure::UnknownClient), None);
    let data = |mode, failure| fail(mode, failure).unwrap().1["data"].clone();
    let reason = "no client dev1 is registered";
    let expected = json!({ "reqPath": "/3", "reason": reason, "codeMsg": "not_found", "code": "4.04" });
    assert_eq!(data("fixed", Failure::UnknownClient), expected);
    assert_eq!(
        data("strict", Failure::Invalid("why".into())),
        json!({ "reqPath": "/3", "codeMsg": "bad_request", "code": "4.00" })
    );
    assert_eq!(data("fixed", Failure::Invalid("why".into()))["reason"], "why");
    assert_eq!(data("fixed", Failure::QueueFull)["code"], "5.03");
}
