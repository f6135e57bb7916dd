use serde_json::{Value as Json, json};
use tidegate_sdk::{Body, Operation, Properties, Qos, Recipient, Value};

use super::*;

fn settings(compatibility: &str) -> Settings {
    Settings::parse(&format!(
        r#"{{"compatibility":"{compatibility}","mountpoint":"lwm2m/${{endpoint_name}}/"}}"#
    ))
    .unwrap()
}

fn actions(compatibility: &str, payload: &str) -> Vec<Action> {
    let message = Message {
        topic: "lwm2m/dev1/dn/x".into(),
        payload: payload.as_bytes().to_vec(),
        qos: Qos::AtMostOnce,
        retain: true,
        properties: Properties { expiry: Some(60), ..Properties::default() },
    };
    translate(&settings(compatibility), &message).unwrap()
}

/// The operation of a command of this `msgType` and `data`; none if it is dropped.
fn operation(compatibility: &str, message_type: &str, data: &Json) -> Option<Operation> {
    let payload = json!({ "msgType": message_type, "data": data }).to_string();
    match <[Action; 1]>::try_from(actions(compatibility, &payload)) {
        Ok([Action::Perform(request)]) => Some(request.operation),
        Ok([Action::Publish(message)]) => panic!("{}", String::from_utf8_lossy(&message.payload)),
        Err(actions) => {
            assert!(actions.is_empty(), "{actions:?}");
            None
        }
    }
}

/// What a command is answered with at once: topic and payload.
fn answer(compatibility: &str, payload: &str) -> Option<(String, Json)> {
    match <[Action; 1]>::try_from(actions(compatibility, payload)) {
        Ok([Action::Publish(message)]) => {
            Some((message.topic, serde_json::from_slice(&message.payload).unwrap()))
        }
        Ok([Action::Perform(request)]) => panic!("{request:?}"),
        Err(actions) => {
            assert!(actions.is_empty(), "{actions:?}");
            None
        }
    }
}

/// The reason that `fixed` gives, which `strict` drops.
fn reason(message_type: &str, data: &Json) -> String {
    assert!(operation("strict", message_type, data).is_none(), "strict drops {message_type} {data}");
    fixed_reason(message_type, data)
}

fn fixed_reason(message_type: &str, data: &Json) -> String {
    let payload = json!({ "reqID": 1, "msgType": message_type, "data": data }).to_string();
    let (topic, answer) = answer("fixed", &payload).unwrap();
    assert_eq!(topic, "lwm2m/dev1/up/resp");
    assert_eq!((&answer["reqID"], &answer["msgType"]), (&json!(1), &json!(message_type)));
    assert_eq!(
        (&answer["data"]["code"], &answer["data"]["codeMsg"]),
        (&json!("4.00"), &json!("bad_request"))
    );
    answer["data"]["reason"].as_str().unwrap().to_owned()
}

/// The TLV that `strict` writes, in hexadecimal, and whether it replaces.
fn tlv(data: &Json) -> Option<(String, bool)> {
    let Operation::Write(write) = operation("strict", "write", data)? else { panic!("a write") };
    let Body::Encoded(body) = write.body else { panic!("strict encodes itself") };
    assert_eq!(body.format, Some(11542));
    let hex = body.payload.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((hex, matches!(write.mode, tidegate_sdk::WriteMode::Replace)))
}

/// The values that `fixed` has written, as the gateway is given them.
fn samples(data: &Json) -> Vec<(String, String)> {
    let body = match operation("fixed", "write", data).unwrap() {
        Operation::Write(write) => write.body,
        other => panic!("{other:?}"),
    };
    let Body::Samples(samples) = body else { panic!("the gateway encodes") };
    samples.iter().map(|of| (of.path.to_string(), format!("{:?}", of.value))).collect()
}

#[test]
fn paths_have_up_to_four_levels_and_queries() {
    for (path, expected, queries) in [
        ("/3", "/3", vec![]),
        ("3/0/", "/3/0", vec![]),
        ("//3/0/0//", "/3/0/0", vec![]),
        ("/3/0/6/1", "/3/0/6/1", vec![]),
        ("/", "/", vec![]),
        ("", "/", vec![]),
        ("/3/0/9?a=1&b=2&c", "/3/0/9", vec!["a=1", "b=2", "c"]),
    ] {
        for mode in ["strict", "fixed"] {
            let Some(Operation::Read(read)) = operation(mode, "read", &json!({ "path": path })) else {
                panic!()
            };
            assert_eq!(
                (read.path.to_string().as_str(), read.queries),
                (expected, queries.iter().map(|it| (*it).to_owned()).collect())
            );
        }
    }
    assert!(reason("read", &json!({ "path": "/3/0/6/0/1" })).contains("more than four levels"));
    assert!(reason("read", &json!({ "path": 3 })).contains("data.path is not a text: 3"));
    assert!(reason("read", &json!({ "path": null })).contains("data.path is not a text"));
    assert!(reason("read", &json!({ "basePath": "/3" })).contains("data.path is missing"));
    for path in ["/a", "/3//0", "/65536", "/+3", "/-1"] {
        assert!(fixed_reason("read", &json!({ "path": path })).contains("not one of numbers up to 65535"));
        // EMQX asks the client, which answers.
        let payload = json!({ "msgType": "read", "data": { "path": path } }).to_string();
        let data = json!({ "reqPath": path, "codeMsg": "bad_request", "code": "4.00" });
        assert_eq!(answer("strict", &payload).unwrap().1, json!({ "msgType": "read", "data": data }));
    }
}

#[test]
fn commands_are_echoed_and_sent_as_the_message_says() {
    let payload = r#"{"msgType":"read","mheaders":{"ttl":0},"reqID":{"a":[1]},"data":{"path":"/9/9/9","path":"/3/0/0"}}"#;
    for (mode, urgent) in [("strict", true), ("fixed", true)] {
        let [Action::Perform(request)] = <[Action; 1]>::try_from(actions(mode, payload)).unwrap() else {
            panic!()
        };
        assert_eq!((request.urgent, request.expiry), (urgent, Some(60)));
        assert!(matches!(&request.recipients[..], [Recipient::Endpoint(name)] if name == "dev1"));
        assert!(
            matches!(&request.operation, Operation::Read(read) if read.path.to_string() == "/3/0/0"),
            "the last counts"
        );
        assert!(request.context.contains(r#""reqID":{"a":[1]}"#), "{}", request.context);
    }
    for headers in ["5", "{}", r#"{"ttl":5}"#, r#"{"ttl":"0"}"#, "null"] {
        let payload = format!(r#"{{"msgType":"read","mheaders":{headers},"data":{{"path":"/3"}}}}"#);
        let [Action::Perform(request)] = <[Action; 1]>::try_from(actions("strict", &payload)).unwrap() else {
            panic!()
        };
        assert!(!request.urgent, "{headers}");
    }
}

#[test]
fn what_is_no_command_is_answered_as_emqx_does_or_with_the_reason() {
    // Dropped by EMQX.
    for (payload, why) in [
        ("", "not a JSON object"),
        ("x", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("5", "not a JSON object"),
        (r#""read""#, "not a JSON object"),
        (r#"{"data":{"path":"/3"}}"#, "no msgType"),
        (r#"{"msgType":"read","data":"x"}"#, "data is not an object"),
        (r#"{"msgType":"read","data":null}"#, "data is not an object"),
        (r#"{"msgType":"read","data":[]}"#, "data is not an object"),
    ] {
        assert_eq!(answer("strict", payload), None, "{payload}");
        let (topic, told) = answer("fixed", payload).unwrap();
        assert_eq!(topic, "lwm2m/dev1/up/resp");
        assert!(told["data"]["reason"].as_str().unwrap().contains(why), "{payload}: {told}");
    }
    // Answered by EMQX.
    for (payload, topic, path) in [
        (r#"{"msgType":"read"}"#, "resp", json!(null)),
        (r#"{"msgType":"Read","data":{"path":"/3/0?x=1"}}"#, "resp", json!("/3/0")),
        (r#"{"msgType":"reboot","data":{"basePath":"/3"}}"#, "resp", json!("/3")),
        (r#"{"msgType":"reboot","data":{"reqPath":"/3","basePath":"/4"}}"#, "resp", json!("/4")),
        (r#"{"msgType":"notify","data":{"reqPath":"/3/0"}}"#, "notify", json!("/3/0")),
        (r#"{"msgType":"register","data":{}}"#, "register", json!(null)),
        (r#"{"msgType":"update","data":{}}"#, "update", json!(null)),
        (r#"{"msgType":5,"data":{"path":"/3"}}"#, "resp", json!("/3")),
        (r#"{"msgType":null,"data":{"path":"/3"}}"#, "resp", json!("/3")),
        (r#"{"msgType":{"a":1},"data":{"path":"/3"}}"#, "resp", json!("/3")),
    ] {
        let given: Json = serde_json::from_str(payload).unwrap();
        let mut expected = json!({ "reqPath": path, "codeMsg": "bad_request", "code": "4.00" });
        let (found, told) = answer("strict", payload).unwrap();
        assert_eq!(found, format!("lwm2m/dev1/up/{topic}"), "{payload}");
        assert_eq!(told, json!({ "msgType": given["msgType"], "data": expected }), "{payload}");
        let (_, told) = answer("fixed", payload).unwrap();
        expected["reason"] = told["data"]["reason"].clone();
        assert_eq!(told["data"], expected, "{payload}");
    }
}

#[test]
fn execute_takes_a_text_or_nothing() {
    let arguments = |mode, data: Json| match operation(mode, "execute", &data)? {
        Operation::Execute(execute) => Some(execute.arguments),
        other => panic!("{other:?}"),
    };
    for mode in ["strict", "fixed"] {
        assert_eq!(arguments(mode, json!({ "path": "/3/0/4" })), Some(None));
        assert_eq!(arguments(mode, json!({ "path": "/3/0/4", "args": "undefined" })), Some(None));
        assert_eq!(arguments(mode, json!({ "path": "/3/0/4", "args": "" })), Some(Some(String::new())));
        assert_eq!(arguments(mode, json!({ "path": "/3/0/4", "args": "0='a'" })), Some(Some("0='a'".into())));
    }
    assert_eq!(arguments("strict", json!({ "path": "/3/0/4", "args": null })), None);
    assert_eq!(arguments("fixed", json!({ "path": "/3/0/4", "args": null })), Some(None));
    assert!(
        reason("execute", &json!({ "path": "/3/0/4", "args": 5 })).contains("data.args is not a text: 5")
    );
    assert!(reason("execute", &json!({ "path": "/3/0/4", "args": {} })).contains("data.args"));
}

#[test]
fn attributes_come_in_emqx_s_order() {
    let queries = |mode, data: Json| match operation(mode, "write-attr", &data)? {
        Operation::WriteAttributes(of) => Some(
            of.values
                .into_iter()
                .map(|(name, value)| value.map_or(name.clone(), |it| format!("{name}={it}")))
                .collect::<Vec<_>>()
                .join("&"),
        ),
        other => panic!("{other:?}"),
    };
    let all = json!({ "path": "/3/0/9?x=1", "st": "5", "pmin": "1", "pmax": "2", "lt": "3.5", "gt": "4", "epmin": "6", "con": "1" });
    assert_eq!(queries("strict", all.clone()).unwrap(), "gt=4&lt=3.5&pmax=2&pmin=1&st=5");
    assert_eq!(queries("fixed", all).unwrap(), "gt=4&lt=3.5&pmax=2&pmin=1&st=5&epmin=6&con=1");
    assert_eq!(queries("strict", json!({ "path": "/3", "pmin": null, "st": "" })).unwrap(), "st=");
    assert_eq!(queries("strict", json!({ "path": "/3" })).unwrap(), "");
    // What EMQX's documentation says, and taking an attribute away.
    assert_eq!(queries("strict", json!({ "path": "/3", "pmin": 5 })), None);
    assert_eq!(
        queries("fixed", json!({ "path": "/3", "pmin": 5, "gt": -1.50, "pmax": "" })).unwrap(),
        "gt=-1.5&pmax&pmin=5"
    );
    assert!(reason("write-attr", &json!({ "path": "/3", "pmin": true })).contains("data.pmin"));
    assert!(reason("write-attr", &json!({ "path": "/3", "lt": ["1"] })).contains("data.lt"));
}

#[test]
fn strict_writes_one_value_byte_for_byte_as_emqx_does() {
    for (kind, value, hex) in [
        ("String", json!("87x"), "c30d383778"),
        ("String", json!(true), "c10d01"),
        ("String", json!(false), "c10d00"),
        ("String", json!(127), "c10d7f"),
        ("String", json!(-127), "c10d81"),
        ("String", json!(128), "c20d0080"),
        ("String", json!(-200), "c20dff38"),
        ("String", json!(32768), "c30d008000"),
        ("String", json!(-40000), "c30dff63c0"),
        ("String", json!(1.5), "c40d3fc00000"),
        ("Integer", json!(0), "c10d00"),
        ("Integer", json!("128"), "c10d80"),
        ("Integer", json!("255"), "c10dff"),
        ("Integer", json!(65536), "c30d010000"),
        ("Integer", json!("-129"), "c20dff7f"),
        ("Integer", json!("+5"), "c10d05"),
        ("Integer", json!("1.5"), "c80d083ff8000000000000"),
        (
            "Integer",
            json!("340282366920938463463374607431768211455"),
            "c80d10ffffffffffffffffffffffffffffffff",
        ),
        ("Float", json!("2"), "c10d02"),
        ("Float", json!(1.5), "c80d083ff8000000000000"),
        ("Float", json!("1.0e3"), "c80d08408f400000000000"),
        ("Time", json!(1_700_000_000), "c40d6553f100"),
        ("Boolean", json!("true"), "c10d01"),
        ("Boolean", json!("false"), "c10d00"),
        ("Opaque", json!("AQI="), "c20d0102"),
        ("Opaque", json!(""), "c00d"),
        ("Objlnk", json!("1:65535"), "c40d0001ffff"),
    ] {
        let data = json!({ "path": "/3/0/13", "type": kind, "value": value });
        assert_eq!(tlv(&data), Some((hex.to_owned(), true)), "{data}");
    }
    assert_eq!(tlv(&json!({ "path": "/3/0/300", "type": "String", "value": "a" })).unwrap().0, "e1012c61");
    assert_eq!(tlv(&json!({ "path": "/3/0", "type": "Integer", "value": 5 })).unwrap().0, "8303410005");
    assert_eq!(
        tlv(&json!({ "basePath": "/", "path": "/3/0/13", "type": "Integer", "value": 5 })).unwrap().0,
        "c10d05"
    );
}

#[test]
fn strict_drops_what_emqx_drops_and_fixed_says_why() {
    for (kind, value) in [
        ("String", json!(null)),
        ("String", json!({})),
        ("Integer", json!("1e3")),
        ("Integer", json!(true)),
        ("Integer", json!("")),
        ("Float", json!(".5x")),
        ("Boolean", json!("True")),
        ("Boolean", json!(1)),
        ("Opaque", json!("*")),
        ("Opaque", json!(5)),
        ("Objlnk", json!("1")),
        ("Objlnk", json!("1:x")),
    ] {
        let why = reason("write", &json!({ "path": "/3/0/13", "type": kind, "value": value }));
        assert_eq!(why, format!("{value} is not a value of type {kind}"));
    }
    for (data, why) in [
        (
            json!({ "path": "/3/0/13", "type": "Whole", "value": 1 }),
            "\"Whole\" is not one of the types String",
        ),
        (json!({ "path": "/3/0/13", "value": 1 }), "data.type is missing"),
        (json!({ "path": "/3/0/13", "type": 5, "value": 1 }), "data.type is not a text"),
        (json!({ "path": "/3/0/13", "type": "Integer" }), "data.value is missing"),
        (json!({ "path": "/3", "type": "Integer", "value": 1 }), "neither a resource nor"),
        (json!({ "type": "Integer", "value": 1 }), "data.content is missing"),
        (json!({ "basePath": "/3/0" }), "data.content is missing"),
        (json!({ "basePath": "/3/0", "content": {} }), "data.content is not a list of objects"),
        (json!({ "basePath": "/3/0", "content": [5] }), "data.content is not a list of objects"),
        (
            json!({ "basePath": "/3/0", "content": [{ "path": "1", "value": 1 }] }),
            "data.content[0].type is missing",
        ),
        (
            json!({ "basePath": "/3/0", "content": [{ "path": "1", "type": "Integer" }] }),
            "data.content[0].value is missing",
        ),
        (
            json!({ "basePath": "/3/0", "content": [{ "path": "x", "type": "Integer", "value": 1 }] }),
            "data.content[0].path is not one of numbers",
        ),
        (
            json!({ "basePath": "/3/0", "content": [{ "path": "1/2/3", "type": "Integer", "value": 1 }] }),
            "too deep",
        ),
        (json!({ "basePath": "/3", "content": [] }), "data.basePath names neither"),
        (json!({ "basePath": "/3/0/6/0", "content": [] }), "data.basePath names neither"),
        (json!({ "basePath": 3, "content": [] }), "data.basePath is not a text"),
    ] {
        let found = reason("write", &data);
        assert!(found.contains(why), "{data}: {found}");
    }
}

#[test]
fn strict_puts_several_values_together_as_emqx_does() {
    let of = |base: &str, content: &[(&str, &str, Json)]| {
        let content: Vec<Json> = content
            .iter()
            .map(|(path, kind, value)| json!({ "path": path, "type": kind, "value": value }))
            .collect();
        tlv(&json!({ "basePath": base, "content": content })).unwrap()
    };
    let integer = |path, value: i64| (path, "Integer", json!(value));
    assert_eq!(of("/3/0/", &[integer("13", 5), integer("/14/", 6)]), ("c10d05c10e06".into(), false));
    assert_eq!(of("3/0", &[integer("6/0", 1), integer("6/1", 2)]), ("8606410001410102".into(), false));
    // What comes again moves to the end, and so does a resource with a further instance.
    assert_eq!(of("/3/0", &[integer("13", 1), integer("14", 2), integer("13", 3)]).0, "c10e02c10d03");
    assert_eq!(
        of("/3/0", &[integer("6/0", 1), integer("9", 2), integer("6/1", 3)]).0,
        "c109028606410001410103"
    );
    assert_eq!(
        of("/3/0/6", &[integer("0", 1), integer("1", 2), integer("0", 3)]),
        ("8606410102410003".into(), true)
    );
    assert_eq!(of("/3/0/6", &[]).0, "8006");
    assert_eq!(of("/3/0", &[]).0, "");
    assert_eq!(
        tlv(&json!({ "basePath": "/3/0/9", "content": [{ "type": "Integer", "value": 5 }] })).unwrap().0,
        "c10905"
    );
}

#[test]
fn hexadecimal_values_are_for_writes_alone() {
    let write = |data: Json| json!({ "encoding": "hex", "msgType": "write", "data": data }).to_string();
    let written = |data: Json| {
        let [Action::Perform(request)] = <[Action; 1]>::try_from(actions("strict", &write(data))).unwrap()
        else {
            panic!()
        };
        let Operation::Write(of) = request.operation else { panic!() };
        let Body::Encoded(body) = of.body else { panic!() };
        body.payload
    };
    let value = |kind: &str, value: &str| json!({ "path": "/3/0/1", "type": kind, "value": value });
    assert_eq!(written(value("String", "48656C6c6F")), b"\xc5\x01Hello");
    assert_eq!(written(value("String", "fF0")), b"\xc2\x01\x0f\xf0");
    assert_eq!(written(value("Integer", "313233")), b"\xc1\x01\x7b");
    assert_eq!(written(value("Boolean", "74727565")), b"\xc1\x01\x01");
    assert_eq!(written(value("Opaque", "4151493d")), b"\xc2\x01\x01\x02");
    for wrong in [json!("0g"), json!(5), json!(null)] {
        let payload = write(json!({ "path": "/3/0/1", "type": "String", "value": wrong }));
        let data = json!({ "reqPath": "/3/0/1", "codeMsg": "bad_request", "code": "4.00" });
        let expected = json!({ "encoding": "hex", "msgType": "write", "data": data });
        assert_eq!(answer("strict", &payload).unwrap().1, expected);
        assert!(
            answer("fixed", &payload).unwrap().1["data"]["reason"].as_str().unwrap().contains("hexadecimal")
        );
    }
    // All are looked at first.
    let data = json!({ "basePath": "/3/0", "content": [{ "path": "1", "value": "00" }, { "path": "2", "type": "String", "value": "x" }] });
    assert!(answer("strict", &write(data)).is_some());
    let create = json!({ "encoding": "hex", "msgType": "create", "data": { "basePath": "/6", "content": [{ "path": "0/1", "type": "String", "value": "zz" }] } });
    let [Action::Perform(request)] = <[Action; 1]>::try_from(actions("strict", &create.to_string())).unwrap()
    else {
        panic!()
    };
    assert!(
        matches!(request.operation, Operation::Create(of) if matches!(&of.body, Body::Encoded(body) if body.payload == b"\x04\x00\xc2\x01zz"))
    );
}

#[test]
fn create_goes_to_the_object_and_in_strict_wherever_emqx_does() {
    let create = |mode, data: Json| match operation(mode, "create", &data)? {
        Operation::Create(of) => Some((of.path.to_string(), of.body)),
        other => panic!("{other:?}"),
    };
    let element = |path: &str| json!({ "path": path, "type": "Integer", "value": 5 });
    let strict = |data: Json| match create("strict", data)? {
        (path, Body::Encoded(body)) => {
            Some((path, body.payload.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
        other => panic!("{other:?}"),
    };
    let told = |path: &str, hex: &str| Some((path.to_owned(), hex.to_owned()));
    assert_eq!(strict(json!({ "basePath": "/6", "content": [] })), told("/6", ""));
    assert_eq!(strict(json!({ "content": [] })), told("/", ""));
    assert_eq!(strict(json!({ "path": "/6", "content": [] })), told("/", ""));
    assert_eq!(strict(json!({ "content": [element("0/1")] })), told("/", "0300c10105"));
    assert_eq!(
        strict(json!({ "basePath": "6", "content": [element("/0/1"), element("1/1/2"), element("0/2")] })),
        told("/6", "050183014102050600c10105c10205")
    );
    assert_eq!(strict(json!({ "basePath": "/6/1", "content": [element("1")] })), told("/6/1", "c10105"));
    assert_eq!(strict(json!({ "basePath": "/6" })), None);
    // The gateway encodes; an instance that is named is made, not written to.
    for data in [
        json!({ "basePath": "/6", "content": [element("1/1")] }),
        json!({ "basePath": "/6/1", "content": [element("1")] }),
        json!({ "path": "/6/1", "content": [element("1")] }),
    ] {
        let (path, body) = create("fixed", data).unwrap();
        assert_eq!(path, "/6");
        assert!(
            matches!(&body, Body::Samples(samples) if samples[0].path.to_string() == "/6/1/1"),
            "{body:?}"
        );
    }
    assert!(
        matches!(create("fixed", json!({ "basePath": "/6", "content": [] })), Some((_, Body::Samples(samples))) if samples.is_empty())
    );
    assert!(
        matches!(create("fixed", json!({ "basePath": "/6/1", "content": [] })), Some((_, Body::Encoded(body))) if body.payload == [0, 1])
    );
    assert_eq!(fixed_reason("create", &json!({ "content": [] })), "data.basePath is missing");
    assert!(reason("create", &json!({ "basePath": "/6" })).contains("data.content is missing"));
    assert!(
        reason("create", &json!({ "basePath": "/6", "content": [element("1")] }))
            .contains("/6/1 in data.content is no resource")
    );
    assert!(
        fixed_reason("create", &json!({ "basePath": "/6/0/1", "content": [] }))
            .contains("neither an object nor")
    );
}

#[test]
fn fixed_hands_values_to_the_gateway() {
    let of = |path: &str, value: Value| (path.to_owned(), format!("{value:?}"));
    let data = json!({ "path": "/3/0/6/1", "type": "Integer", "value": "128" });
    assert_eq!(samples(&data), [of("/3/0/6/1", Value::Integer(128))]);
    let data = json!({ "path": "/1/0/6", "type": "Boolean", "value": true });
    assert_eq!(samples(&data), [of("/1/0/6", Value::Boolean(true))]);
    let content = json!([
        { "path": "13", "type": "Time", "value": 1 },
        { "path": "/6/1/", "type": "Integer", "value": 2 },
        { "path": "13", "type": "Time", "value": "3" },
    ]);
    let expected = [of("/3/0/6/1", Value::Integer(2)), of("/3/0/13", Value::Time(3))];
    assert_eq!(samples(&json!({ "basePath": "/3/0/", "content": content })), expected);
    let content = json!([{ "path": "1", "type": "Integer", "value": 2 }]);
    assert_eq!(
        samples(&json!({ "basePath": "/3/0/6", "content": content })),
        [of("/3/0/6/1", Value::Integer(2))]
    );
    let content = json!([{ "type": "Float", "value": 2 }]);
    assert_eq!(
        samples(&json!({ "basePath": "/3/0/9", "content": content })),
        [of("/3/0/9", Value::Float(2.0))]
    );
    assert_eq!(samples(&json!({ "basePath": "/3/0/6", "content": [] })), []);
}

#[test]
fn a_composite_has_its_paths_in_either_form() {
    let paths = |message_type: &str, data: Json| {
        let of = match operation("fixed", message_type, &data).unwrap() {
            Operation::ReadComposite(of) => of.paths,
            Operation::ObserveComposite(of) => of.paths,
            Operation::CancelObservationComposite(of) => of.paths,
            other => panic!("{other:?}"),
        };
        of.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for message_type in ["read-composite", "observe-composite", "cancel-observe-composite"] {
        assert_eq!(paths(message_type, json!({ "paths": ["/3/0/0", "1/", "/"] })), ["/3/0/0", "/1", "/"]);
        assert_eq!(
            paths(message_type, json!({ "content": [{ "path": "/3/0/0" }, { "path": "/1" }] })),
            ["/3/0/0", "/1"]
        );
        assert_eq!(
            paths(message_type, json!({ "basePath": "/3/0", "paths": ["0", "/9"] })),
            ["/3/0/0", "/3/0/9"]
        );
    }
    let data = json!({ "basePath": "/3", "content": [
        { "path": "0/13", "type": "Time", "value": 5 },
        { "path": "0/6/1", "value": 18446744073709551615_u64 },
    ] });
    let Some(Operation::WriteComposite(write)) = operation("fixed", "write-composite", &data) else {
        panic!()
    };
    let Body::Samples(samples) = write.body else { panic!() };
    let samples: Vec<String> = samples.iter().map(|of| format!("{} {:?}", of.path, of.value)).collect();
    assert_eq!(samples, ["/3/0/13 Value::Time(5)", "/3/0/6/1 Value::Unsigned(18446744073709551615)"]);
}

#[test]
fn a_wrong_composite_is_answered_in_both_modes() {
    for (message_type, data, why) in [
        ("read-composite", json!({}), "data.paths is missing"),
        ("read-composite", json!({ "paths": [] }), "data.paths is empty"),
        ("read-composite", json!({ "paths": "/3" }), "data.paths is not a list of texts"),
        ("read-composite", json!({ "paths": [3] }), "data.paths is not a list of texts"),
        ("read-composite", json!({ "paths": ["/x"] }), "not one of numbers"),
        ("read-composite", json!({ "paths": ["/3/0/0?a=1"] }), "no query of its own"),
        ("observe-composite", json!({ "content": [{}] }), "data.content[0].path is missing"),
        ("cancel-observe-composite", json!({ "content": 5 }), "data.content is not a list"),
        ("write-composite", json!({ "paths": ["/3/0/0"] }), "data.content is missing"),
        ("write-composite", json!({ "content": [] }), "data.content is empty"),
        ("write-composite", json!({ "content": [{ "path": "/3/0", "value": 5 }] }), "is no resource"),
        ("write-composite", json!({ "content": [{ "path": "/3/0/1" }] }), "data.content[0].value is missing"),
        (
            "write-composite",
            json!({ "content": [{ "path": "/3/0/1", "value": null }] }),
            "neither a text nor",
        ),
        (
            "write-composite",
            json!({ "content": [{ "path": "/3/0/1", "type": 5, "value": 5 }] }),
            "type is not a text",
        ),
    ] {
        let found = fixed_reason(message_type, &data);
        assert!(found.contains(why), "{data}: {found}");
        let payload = json!({ "msgType": message_type, "data": data }).to_string();
        let expected = json!({ "reqPath": "/", "codeMsg": "bad_request", "code": "4.00" });
        assert_eq!(
            answer("strict", &payload).unwrap().1,
            json!({ "msgType": message_type, "data": expected })
        );
    }
}
