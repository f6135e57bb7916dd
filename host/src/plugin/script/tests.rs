//! Scripts in the engine, called as the bridge calls them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use tempfile::TempDir;

use super::super::contract::types::{Action, Operation, Request, ValueResult};
use super::super::contract::{events, types};
use super::super::{Artifact, Caller, Engine, Fault, Generation, LimitKind, Limits, Policy, Slot};
use super::*;

/// One for all tests: it compiles QuickJS.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&Limits::default()).unwrap())
}

fn write(folder: &TempDir, source: &str, about: Option<&str>) -> PathBuf {
    let path = folder.path().join("mine.js");
    std::fs::write(&path, source).unwrap();
    if let Some(about) = about {
        std::fs::write(folder.path().join("mine.toml"), about).unwrap();
    }
    path
}

fn prove(source: &str, about: Option<&str>, settings: &Value) -> Result<Generation, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    let artifact = Artifact::read(&write(&folder, source, about))?;
    Generation::prove(engine(), &artifact, settings, &Limits::default())
}

fn caller(source: &str, about: Option<&str>, settings: &Value) -> Caller {
    let generation = prove(source, about, settings).unwrap();
    Caller::new(Arc::new(Slot::new("mine", Policy::default(), generation)))
}

fn script(source: &str) -> Caller {
    caller(source, None, &json!({}))
}

fn path(ids: &[u16]) -> types::Path {
    let id = |at: usize| ids.get(at).copied();
    types::Path { object: id(0), object_instance: id(1), resource: id(2), resource_instance: id(3) }
}

fn notified(
    caller: &mut Caller,
    payload: &[u8],
    samples: &[types::SampleParam<'_>],
) -> Result<Vec<Action>, Fault> {
    notified_by("urn:dev/1", caller, payload, samples)
}

fn notified_by(
    endpoint: &str,
    caller: &mut Caller,
    payload: &[u8],
    samples: &[types::SampleParam<'_>],
) -> Result<Vec<Action>, Fault> {
    caller.uplink(&events::Event::Notified(events::Notified {
        client: types::Client { endpoint, attributes: &[("site", "north")] },
        path: path(&[3303, 0]),
        context: "mine",
        code: 0x45,
        delivery: events::Delivery::Confirmable,
        sequence: Some(7),
        content: types::Content { format: Some(110), payload, samples, problem: None, attributes: &[] },
        received: 1_767_225_600_000,
        attributes: &[],
    }))
}

fn sample<'a>(ids: &[u16], value: types::ValueParam<'a>) -> types::SampleParam<'a> {
    types::SampleParam { path: path(ids), value, kind: None, taken: None }
}

fn message(caller: &mut Caller, topic: &str, payload: &[u8]) -> Result<Vec<Action>, Fault> {
    let properties = types::PropertiesParam {
        response_topic: None,
        correlation: None,
        expiry: None,
        content_type: None,
        user: &[],
    };
    let qos = types::Qos::AtMostOnce;
    caller.downlink(&types::MessageParam { topic, payload, qos, retain: false, properties })
}

/// Topic and payload of the only action.
fn published(actions: Vec<Action>) -> (String, String) {
    let Some(Action::Publish(message)) = only(actions) else { panic!("not a publication") };
    (message.topic, String::from_utf8(message.payload).unwrap())
}

fn requested(actions: Vec<Action>) -> Request {
    let Some(Action::Perform(request)) = only(actions) else { panic!("not a request") };
    request
}

fn only(mut actions: Vec<Action>) -> Option<Action> {
    assert_eq!(actions.len(), 1);
    actions.pop()
}

#[test]
fn a_script_sees_a_plain_event_and_publishes_any_json() {
    let mut caller = script(
        "function uplink(event) {
           return { topic: `t/${topicLevel(event.endpoint)}`, qos: 1, retain: true, payload: event };
         }",
    );
    let samples = [
        sample(&[3303, 0, 5700], types::ValueParam::Float(21.5)),
        sample(&[3303, 0, 5750], types::ValueParam::Text("Zürich 🌡")),
        sample(&[3303, 0, 1], types::ValueParam::Integer(-9_007_199_254_740_991)),
        sample(&[3303, 0, 2], types::ValueParam::Unsigned(1 << 63)),
        sample(&[3303, 0, 3], types::ValueParam::Opaque(&[0, 255])),
        sample(&[3303, 0, 4], types::ValueParam::Null),
        sample(&[3303, 0, 5, 6], types::ValueParam::Boolean(true)),
    ];
    let (topic, payload) = published(notified(&mut caller, b"\x01\xff", &samples).unwrap());
    assert_eq!(topic, "t/urn:dev%2F1");
    let payload: Value = serde_json::from_str(&payload).unwrap();
    let expected = json!({
        "type": "notified", "endpoint": "urn:dev/1", "labels": {"site": "north"}, "received": 1_767_225_600_000_u64,
        "path": "/3303/0", "context": "mine", "code": "2.05", "delivery": "confirmable", "sequence": 7,
        "payload": "Af8=", "format": 110,
        "samples": [
            {"path": "/3303/0/5700", "value": 21.5, "type": "float"},
            {"path": "/3303/0/5750", "value": "Zürich 🌡", "type": "text"},
            {"path": "/3303/0/1", "value": -9_007_199_254_740_991_i64, "type": "integer"},
            {"path": "/3303/0/2", "value": 9_223_372_036_854_776_000_u64, "type": "unsigned", "exact": false},
            {"path": "/3303/0/3", "value": "AP8=", "type": "opaque"},
            {"path": "/3303/0/4", "value": null, "type": "null"},
            {"path": "/3303/0/5/6", "value": true, "type": "boolean"},
        ],
    });
    assert_eq!(payload, expected);
}

#[test]
fn a_message_becomes_a_write_of_typed_values() {
    let mut caller = script(
        "export const subscriptions = ['dn/+'];
         export function downlink(message) {
           const { on, level } = message.json;
           return { endpoint: message.topic.split('/')[1], context: 'c',
                    write: { '/3311/0/5850': on, '/3311/0/5851': level, '/3311/0/5822': { value: 1, type: 'float' } } };
         }",
    );
    let request = requested(message(&mut caller, "dn/lamp", br#"{"on":true,"level":40}"#).unwrap());
    assert_eq!(request.context, "c");
    let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
    assert_eq!(
        (write.path.object, write.path.object_instance, write.path.resource),
        (Some(3311), Some(0), None)
    );
    let types::Body::Samples(samples) = write.body else { panic!("not samples") };
    let values: Vec<_> = samples.iter().map(|sample| format!("{:?}", sample.value)).collect();
    assert_eq!(values, ["ValueResult::Boolean(true)", "ValueResult::Integer(40)", "ValueResult::Float(1.0)"]);
    let fault = message(&mut caller, "dn/lamp", b"{").unwrap_err();
    assert!(
        matches!(&fault, Fault::Malformed(text) if text.starts_with("the message on dn/lamp is not JSON")),
        "{fault:?}"
    );
}

#[test]
fn each_operation_can_be_asked_for() {
    let mut caller = script("const uplink = (event) => JSON.parse(new TextDecoder().decode(event.payload));");
    let mut ask =
        |action: Value| requested(notified(&mut caller, action.to_string().as_bytes(), &[]).unwrap());
    for (action, debugged) in [
        (json!({"read": "/3/0"}), "Operation::Read("),
        (json!({"discover": "/3", "depth": 1}), "Operation::Discover("),
        (json!({"write": "/3/0/14", "value": "+01:00"}), "Operation::Write("),
        (
            json!({"writeAttributes": "/3/0/9", "values": {"pmin": 10, "gt": null}}),
            "Operation::WriteAttributes(",
        ),
        (json!({"execute": "/3/0/4", "arguments": "0"}), "Operation::Execute("),
        (json!({"create": "/3303", "values": {"/3303/1/5700": 1.5}}), "Operation::Create("),
        (json!({"delete": "/3303/1"}), "Operation::Delete("),
        (json!({"observe": "/3303/0/5700"}), "Operation::Observe("),
        (json!({"cancelObservation": "/3303/0/5700"}), "Operation::CancelObservation("),
        (json!({"readComposite": ["/3/0/1", "/4/0"]}), "Operation::ReadComposite("),
        (json!({"writeComposite": {"/3/0/14": "Z", "/1/0/1": 60}}), "Operation::WriteComposite("),
        (json!({"observeComposite": ["/3/0/1"]}), "Operation::ObserveComposite("),
        (json!({"cancelObservationComposite": ["/3/0/1"]}), "Operation::CancelObservationComposite("),
    ] {
        let request = ask(action);
        assert!(format!("{:?}", request.operation).starts_with(debugged), "{:?}", request.operation);
        let [types::Recipient::Endpoint(endpoint)] = &request.recipients[..] else { panic!("{request:?}") };
        assert_eq!(endpoint, "urn:dev/1", "the client of the event, where nobody else is named");
    }
}

#[test]
fn a_syntax_error_is_rejected_with_file_line_and_column() {
    let rejection = prove("function uplink(event) {\n  return [;\n}\n", None, &json!({})).unwrap_err();
    assert_eq!(rejection.step, Step::Configured);
    assert!(rejection.reason.starts_with("settings refused: mine.js:2:11: SyntaxError: "), "{rejection}");
}

#[test]
fn a_script_without_functions_is_rejected_with_their_names() {
    let rejection = prove("const x = 1;", None, &json!({})).unwrap_err();
    assert!(rejection.reason.contains("none of the functions uplink, downlink, decodeUplink"), "{rejection}");
}

#[test]
fn what_a_script_throws_is_a_fault_that_names_line_and_column() {
    let mut caller = script("function uplink(event) {\n  return event.no.such;\n}");
    let fault = notified(&mut caller, b"", &[]).unwrap_err();
    let Fault::Internal(text) = &fault else { panic!("{fault:?}") };
    assert!(text.starts_with("TypeError: ") && text.ends_with("(line 2, column 10)"), "{text}");
    let mut caller = script("function uplink(event) { throw new Unsupported(event.path); }");
    let fault = notified(&mut caller, b"", &[]).unwrap_err();
    assert_eq!(fault, Fault::Unsupported("/3303/0".to_owned()));
}

#[test]
fn loops_recursion_and_hunger_end_within_the_limits() {
    let fault = |source: &str| notified(&mut script(source), b"", &[]).unwrap_err();
    assert_eq!(fault("function uplink() { for (;;); }"), Fault::Limit(LimitKind::Fuel));
    let deep = fault("function uplink() { return uplink(); }");
    assert!(matches!(&deep, Fault::Trap { reason } if reason.contains("call stack exhausted")), "{deep:?}");
    let hungry =
        fault("function uplink() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); }");
    let is_bounded = match &hungry {
        Fault::Limit(LimitKind::Memory { .. } | LimitKind::Fuel) => true,
        Fault::Internal(text) => text.contains("memory"),
        _ => false,
    };
    assert!(is_bounded, "{hungry:?}");
    let large = fault("function uplink() { return { topic: 't', payload: 'x'.repeat(3 << 20) }; }");
    assert!(matches!(large, Fault::InvalidOutput(_) | Fault::Limit(_)), "{large:?}");
}

#[test]
fn a_script_has_neither_clock_nor_chance() {
    for source in ["new Date()", "Date.now()", "Math.random()"] {
        let fault =
            notified(&mut script(&format!("function uplink() {{ {source}; }}")), b"", &[]).unwrap_err();
        assert!(matches!(&fault, Fault::Internal(text) if text.contains("there is no c")), "{fault:?}");
    }
    let source =
        "function uplink(event) { return { topic: 't', payload: new Date(event.received).toISOString() }; }";
    let actions = notified(&mut script(source), b"", &[]).unwrap();
    assert_eq!(published(actions).1, "2026-01-01T00:00:00.000Z");
}

#[test]
fn settings_come_from_the_file_beside_it() {
    let about =
        "version = '1.2.0'\n[claims]\nobjects = [3303]\n[settings.prefix]\ntype = 'string'\ndefault = 'up'\n";
    let source = "const uplink = () => ({ topic: settings.prefix, payload: '' })";
    let mut mine = caller(source, Some(about), &json!({}));
    assert_eq!(published(notified(&mut mine, b"", &[]).unwrap()).0, "up");
    let mut mine = caller(source, Some(about), &json!({ "prefix": "other" }));
    assert_eq!(published(notified(&mut mine, b"", &[]).unwrap()).0, "other");
    let rejection = prove(source, Some(about), &json!({ "prefx": "other" })).unwrap_err();
    assert!(rejection.reason.contains("prefx"), "{rejection}");
    let rejection = prove(source, Some("[claim]\n"), &json!({})).unwrap_err();
    assert!(rejection.step == Step::Identified && rejection.reason.contains("mine.toml:1"), "{rejection}");
}

#[test]
fn a_script_claims_every_endpoint_unless_it_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let claims = |about| {
        let artifact = Artifact::read(&write(&folder, "function uplink() {}", about)).unwrap();
        (artifact.manifest().unwrap().claims.clone().unwrap(), artifact.digest())
    };
    let (all, first) = claims(None);
    assert_eq!(all, Claims { endpoints: vec!["*".to_owned()], objects: vec![] });
    let (some, second) = claims(Some("claims = { endpoints = [\"urn:*\"] }"));
    assert_eq!(some.endpoints, ["urn:*"]);
    assert_ne!(first, second, "what stands beside it is part of it");
}

/// The shape of LoRaWAN codecs (TS013).
const CODEC: &str = "
    function decodeUplink(input) {
      if (input.bytes.length < 2) return { errors: ['too short'] };
      return { data: { temperature: (input.bytes[0] << 8 | input.bytes[1]) / input.variables.scale, port: input.fPort },
               warnings: input.bytes.length > 2 ? ['more than expected'] : [] };
    }
    function encodeDownlink(input) {
      return { bytes: [input.data.interval >> 8, input.data.interval & 255], fPort: 1 };
    }";
const CODEC_ABOUT: &str =
    "[codec]\nresource = '/19/0/0'\nf-port = 9\n[settings.scale]\ntype = 'integer'\ndefault = 10\n";

#[test]
fn a_lorawan_codec_reads_an_opaque_resource_and_writes_it() {
    let mut codec = caller(CODEC, Some(CODEC_ABOUT), &json!({}));
    let samples = [sample(&[19, 0, 0], types::ValueParam::Opaque(&[0, 215, 1]))];
    let (topic, payload) = published(notified(&mut codec, b"", &samples).unwrap());
    assert_eq!(topic, "up/urn:dev%2F1");
    let expected = json!({
        "endpoint": "urn:dev/1", "path": "/19/0/0", "received": "2026-01-01T00:00:00.000Z",
        "data": {"temperature": 21.5, "port": 9}, "warnings": ["more than expected"],
    });
    assert_eq!(serde_json::from_str::<Value>(&payload).unwrap(), expected);
    let short = [sample(&[19, 0, 0], types::ValueParam::Opaque(&[0]))];
    let fault = notified(&mut codec, b"", &short).unwrap_err();
    assert_eq!(fault, Fault::Malformed("decodeUplink: too short".to_owned()));
    let request = requested(message(&mut codec, "dn/urn:dev%2F1", br#"{"data":{"interval":600}}"#).unwrap());
    let Operation::Write(write) = request.operation else { panic!("{:?}", request.operation) };
    let types::Body::Samples(samples) = write.body else { panic!("not samples") };
    assert!(matches!(&samples[0].value, ValueResult::Opaque(bytes) if bytes == &[2, 88]), "{samples:?}");
    let [types::Recipient::Endpoint(endpoint)] = &request.recipients[..] else { panic!("not one") };
    assert_eq!(endpoint, "urn:dev/1");
}

/// `$'` and its like mean something in what JavaScript's `replace` puts in: a client could choose another's topic.
#[test]
fn the_name_of_a_client_is_one_level_of_a_codecs_topic_whatever_it_is() {
    let about = "[codec]\nuplink = 'site/a/up/${endpoint}'\nwrite = '/19/0/0'\n[settings.scale]\ntype = 'integer'\ndefault = 1\n";
    let mut codec = caller(CODEC, Some(about), &json!({}));
    for endpoint in ["$'victim", "$`victim", "$&", "$$", "$1"] {
        let (topic, _) = published(notified_by(endpoint, &mut codec, &[0, 1], &[]).unwrap());
        assert_eq!(topic, format!("site/a/up/{endpoint}"));
    }
}

#[test]
fn a_lorawan_codec_that_cannot_write_is_rejected_with_what_is_missing() {
    let rejection = prove(CODEC, Some("[codec]\nuplink = 'x/${endpoint}'\n"), &json!({})).unwrap_err();
    assert!(rejection.reason.contains("encodeDownlink needs `write`"), "{rejection}");
}

#[test]
fn a_script_of_fifty_kilobytes_is_configured_within_the_limits() {
    let table: Vec<String> =
        (0..1_500).map(|number| format!("  row{number}: {{ a: {number}, b: 'text' }},")).collect();
    let source = format!(
        "const table = {{\n{}\n}};\nfunction uplink() {{ return {{ topic: 't', payload: String(table.row7.a) }}; }}",
        table.join("\n")
    );
    assert!(source.len() > 50_000);
    assert_eq!(published(notified(&mut script(&source), b"", &[]).unwrap()).1, "7");
}
