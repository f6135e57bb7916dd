use super::*;

const CASE: &str = r#"# why it is here
name = "two sensors"
settings = { prefix = "ha" } # of the house

[uplink]
endpoint = "urn:imei:001"
cause = "notified"
path = "/3303/0"
received = "2026-01-01T00:00:00Z"
samples = [
  { path = "/3303/0/5700", float = 21.5, kind = "float" },
  { path = "/3303/0/5750", text = "hall" },
]

[[publish]]
topic = "environment"
json = { temperature = 21.5, humidity = 40 }

[[perform]]
endpoint = "urn:imei:001"
operation = { write = { path = "/3306/0/5850", samples = [{ path = "/3306/0/5850", boolean = true }] } }
"#;

fn publish(topic: &str, payload: &str) -> Value {
    let properties = json!({ "response_topic": null, "correlation": null, "expiry": null, "content_type": null, "user": [] });
    json!({ "Publish": {
        "topic": topic, "payload": payload.as_bytes(), "qos": "AtMostOnce", "retain": false, "properties": properties,
    } })
}

fn write() -> Value {
    let path = json!({ "object": 3306, "object_instance": 0, "resource": 5850, "resource_instance": null });
    let sample = json!({ "path": path, "value": { "Boolean": true }, "kind": null, "taken": null });
    json!({ "Perform": {
        "recipients": [{ "Endpoint": "urn:imei:001" }],
        "operation": { "Write": {
            "path": path, "queries": [], "mode": "Replace", "body": { "Samples": [sample] },
        } },
        "context": "", "expiry": null, "urgent": false, "attributes": [],
    } })
}

fn error(text: &str) -> String {
    Case::parse(text, "cases/x.toml").unwrap_err().to_string()
}

#[test]
fn a_case_is_the_contracts_event_and_what_must_come_of_it() {
    let case = Case::parse(CASE, "x.toml").unwrap();
    assert_eq!((case.name.as_str(), &case.settings), ("two sensors", &json!({ "prefix": "ha" })));
    let Input::Uplink(event) = &case.steps[0].input else { panic!() };
    let event = &event["Notified"];
    assert_eq!(event["received"], 1_767_225_600_000_i64);
    assert_eq!((&event["code"], &event["delivery"]), (&json!(0x45), &json!("NonConfirmable")));
    assert_eq!(event["content"]["samples"][1]["value"], json!({ "Text": "hall" }));
    assert_eq!(event["content"]["samples"][0]["kind"], "Float");
    let out = |payload| Outcome::Actions(vec![write(), publish("environment", payload)]);
    case.steps[0].check(&out(r#"{"humidity":40.0,"temperature":21.5}"#)).unwrap();
    let mismatch =
        case.steps[0].check(&out(r#"{"humidity":41,"temperature":21.5}"#)).unwrap_err().to_string();
    assert!(
        mismatch.contains("-       \"humidity\": 40") && mismatch.contains("+       \"humidity\": 41"),
        "{mismatch}"
    );
    let fault = Outcome::Fault { kind: "malformed".to_owned(), text: "because".to_owned() };
    assert!(case.steps[0].check(&fault).unwrap_err().to_string().contains("+ fault malformed: because"));
}

#[test]
fn every_event_can_be_written() {
    for (cause, keys, name) in [
        (
            "registered",
            "registration = { links = '</>;rt=\"oma.lwm2m\",</3/0>,</3303/0>;ver=1.1', parameters = [[\"x\", \"y\"], [\"z\"]] }\nprevious = { lifetime = 60 }",
            "Registered",
        ),
        (
            "updated",
            "links_changed = true\nregistration = { objects = [\"/3/0\", { path = \"/4\", attributes = [[\"ver\", \"1.2\"]] }] }",
            "Updated",
        ),
        ("ended", "reason = \"expired\"", "Ended"),
        ("answered", "operation = \"write_attributes\"\ncode = \"4.04\"\nlocation = \"/3303/1\"", "Answered"),
        (
            "notified",
            "sequence = 7\npayload = { hex = \"00ff\" }\nformat = 42\nproblem = \"odd\"",
            "Notified",
        ),
        ("sent", "payload = { base64 = \"AP8=\" }", "Sent"),
        ("progressed", "stage = { transferred = [1, 2] }", "Progressed"),
        ("failed", "failure = { invalid = \"why\" }\ncontext = \"c\"", "Failed"),
    ] {
        let text = format!("[uplink]\nendpoint = \"e\"\ncause = \"{cause}\"\n{keys}\n");
        let case = Case::parse(&text, "stem.toml").unwrap_or_else(|error| panic!("{error}"));
        let Input::Uplink(event) = &case.steps[0].input else { panic!() };
        assert!(event[name].is_object(), "{event}");
        assert_eq!(case.name, "stem");
    }
}

#[test]
fn links_are_read_as_the_gateway_reads_them() {
    let text = "[uplink]\nendpoint = \"e\"\ncause = \"registered\"\nregistration = { alternate_path = \"/lwm2m\", links = '</lwm2m>;rt=\"oma.lwm2m\";ct=\"11543,110\",</lwm2m/3/0>,</lwm2m/3303>;ver=1.1' }\n";
    let case = Case::parse(text, "x").unwrap();
    let Input::Uplink(event) = &case.steps[0].input else { panic!() };
    let objects = &event["Registered"]["registration"]["objects"];
    assert_eq!(objects.as_array().unwrap().len(), 2, "{objects}");
    assert_eq!(objects[1]["path"]["object"], 3303);
    assert_eq!(objects[1]["attributes"], json!([["ver", "1.1"]]));
}

#[test]
fn mistakes_are_named_by_file_and_line() {
    assert_eq!(error(""), "cases/x.toml: there is neither `[uplink]` nor `[downlink]`");
    let text = error(&CASE.replace("float = 21.5", "float = 21.5, text = \"x\""));
    assert!(text.contains("a sample has one of"), "{text}");
    let text = error(&CASE.replace("cause", "couse"));
    assert!(text.starts_with("cases/x.toml:7: ") && text.contains("couse"), "{text}");
    let text = error(&CASE.replace("/3303/0\"", "3303/0\""));
    assert!(text.contains("\"3303/0\" is no path"), "{text}");
    let text = error(&CASE.replace("path = \"/3303/0\"", "path = \"/3303/0\"\nreason = \"expired\""));
    assert!(text.contains("`reason` has no place in an uplink whose cause is Notified"), "{text}");
    let text = error("[downlink]\ntopic = \"x\"\ntext = \"a\"\nhex = \"00\"\n");
    assert!(text.contains("only one of"), "{text}");
    let text = error("[downlink]\ntopic = \"x\"\nqos = 3\n");
    assert!(text.starts_with("cases/x.toml:3: ") && text.contains("3 is no QoS"), "{text}");
    let text = error("[downlink]\ntopic = \"x\"\n[expect]\nfault = \"odd\"\n");
    assert!(text.starts_with("cases/x.toml:3: `fault`: \"odd\" is none of unsupported, malformed"), "{text}");
}

#[test]
fn what_only_shows_in_the_whole_is_named_by_its_line_too() {
    let step = "[[step]]\n[step.downlink]\ntopic = \"x\"\n";
    for (text, wrong) in [
        (
            "[step.uplink]\nendpoint = \"e\"\ncause = \"sent\"\nreason = \"expired\"\n",
            "5: step 2: `reason` has no place in an uplink whose cause is Sent",
        ),
        ("[[step.publish]]\ntopic = \"x\"\n", "4: step 2: there is neither `[uplink]` nor `[downlink]`"),
        (
            "[step.downlink]\ntopic = \"x\"\n\n[[step.publish]]\ntopic = \"up\"\njson = \"{\"\n",
            "8: step 2: what is published to \"up\": `json`: EOF while parsing an object at line 1 column 1",
        ),
        (
            "[step.uplink]\nendpoint = \"e\"\ncause = \"registered\"\nregistration = { objects = [\"/3\", 5] }\n",
            "8: 5 is neither a path nor a table with a `path`",
        ),
    ] {
        assert_eq!(error(&format!("{step}[[step]]\n{text}")), format!("cases/x.toml:{wrong}"));
    }
}

#[test]
fn what_json_cannot_say_is_refused() {
    let text = error("[downlink]\ntopic = \"x\"\njson = { at = 2026-01-01T00:00:00Z }\n");
    assert_eq!(text, "cases/x.toml:3: JSON has no dates: write \"2026-01-01T00:00:00Z\", a text");
    let text = error("settings = { low = nan }\n[downlink]\ntopic = \"x\"\n");
    assert_eq!(text, "cases/x.toml:1: NaN is no number of JSON");
}

#[test]
fn blessing_replaces_only_what_was_expected() {
    let outcome =
        Outcome::Actions(vec![publish("environment", r#"{"temperature":22.5,"unit":null}"#), write()]);
    let blessed = Case::bless(CASE, std::slice::from_ref(&outcome)).unwrap();
    assert!(blessed.contains("# why it is here") && blessed.contains("# of the house"), "{blessed}");
    let case = Case::parse(&blessed, "x").unwrap();
    case.steps[0].check(&outcome).unwrap();
    assert_eq!(Case::bless(&blessed, &[outcome]).unwrap(), blessed, "nothing is left to be blessed");
    let fault = Outcome::Fault { kind: "malformed".to_owned(), text: "quoted \"x\"".to_owned() };
    let blessed = Case::bless(CASE, std::slice::from_ref(&fault)).unwrap();
    assert!(!blessed.contains("[[publish]]"));
    Case::parse(&blessed, "x").unwrap().steps[0].check(&fault).unwrap();
}

#[test]
fn steps_are_blessed_each_by_itself() {
    let step = |topic| {
        format!(
            "[[step]]\n[step.downlink]\ntopic = \"{topic}\"\n[[step.publish]]\ntopic = \"a\"\ntext = \"{topic}\"\n"
        )
    };
    let text = format!("{}{}", step("one"), step("two"));
    let outcomes =
        [Outcome::Actions(vec![publish("a", "one")]), Outcome::Actions(vec![publish("b", "\u{1}")])];
    let blessed = Case::bless(&text, &outcomes).unwrap();
    assert!(blessed.starts_with(&step("one")), "{blessed}");
    let case = Case::parse(&blessed, "x").unwrap();
    case.steps.iter().zip(&outcomes).for_each(|(step, outcome)| step.check(outcome).unwrap());
}

#[test]
fn all_operations_can_be_expected_and_come_back_short() {
    for operation in [
        "read = { path = \"/3/0\", queries = [\"pmin=1\"], accept = 110 }",
        "discover = { path = \"/3\", depth = 1 }",
        "write = { path = \"/3/0/14\", mode = \"update\", format = 0, payload = { text = \"+01\" } }",
        "write_attributes = { path = \"/3/0\", values = [[\"pmin\", \"1\"], [\"gt\"]] }",
        "execute = { path = \"/3/0/4\", arguments = \"1\" }",
        "create = { path = \"/3303\", samples = [{ path = \"/3303/1/5700\", integer = 5 }] }",
        "delete = { path = \"/3303/1\" }",
        "observe = { path = \"/3303/1\" }",
        "cancel_observation = { path = \"/3303/1\", mode = \"passive\" }",
        "read_composite = { paths = [\"/3\", \"/4\"], accept = 112 }",
        "write_composite = { samples = [{ path = \"/3/0/15\", object_link = \"3:0\" }] }",
        "observe_composite = { paths = [\"/3\"] }",
        "cancel_observation_composite = { paths = [\"/3\"] }",
    ] {
        let text = format!(
            "[downlink]\ntopic = \"x\"\n[[perform]]\nendpoint = \"e\"\noperation = {{ {operation} }}\n"
        );
        let case = Case::parse(&text, "x").unwrap_or_else(|error| panic!("{operation}: {error}"));
        let nothing = Outcome::Actions(vec![]);
        let shown = case.steps[0].check(&nothing).unwrap_err().to_string();
        assert!(shown.contains(operation.split(' ').next().unwrap()), "{shown}");
        let blessed = Case::bless(&text, &[nothing]).unwrap();
        assert!(!blessed.contains("perform"), "{blessed}");
        assert_written_again(&text);
    }
}

#[test]
fn all_of_a_message_and_of_a_request_comes_back() {
    let properties = "{ response_topic = \"r\", correlation = { hex = \"00ff\" }, expiry = 5, \
                      content_type = \"text/plain\", user = [[\"a\", \"b\"], [\"a\", \"\"]] }";
    let request = "operation = { read = { path = \"/\" } }\ncontext = \"a\\u001f\\\"b\"\nexpiry = 60\nurgent = true\n\
                   attributes = [[\"else-only-client\", \"\"]]\n";
    for payload in [
        "text = \"a\\nb\"",
        "json = { a = [1, 2.5, -3], b = { c = true }, d = \"e\" }",
        "json = '{ \"a\": null, \"b\": 18446744073709551615 }'",
        "json = '\"text\"'",
        "hex = \"00ff\"",
        "base64 = \"AP8=\"",
        "",
    ] {
        assert_written_again(&format!(
            "[downlink]\ntopic = \"x\"\n[[publish]]\ntopic = \"t\"\nqos = 2\nretain = true\nproperties = {properties}\n{payload}\n\
             [[perform]]\nendpoint = \"e\"\n{request}\
             [[perform]]\nrecipients = [{{ parameter = [\"imei\", \"1\"] }}, {{ endpoint = \"e\" }}]\n{request}\
             [[perform]]\nparameter = [\"imei\", \"1\"]\n{request}"
        ));
    }
}

/// What is expected, blessed into the same case without it, is expected again.
fn assert_written_again(text: &str) {
    let case = Case::parse(text, "x").unwrap_or_else(|error| panic!("{text}: {error}"));
    let outcomes: Vec<Outcome> = case.steps.iter().map(|step| step.expected.outcome()).collect();
    for (step, outcome) in case.steps.iter().zip(&outcomes) {
        step.check(outcome).unwrap_or_else(|mismatch| panic!("{text}: {mismatch}"));
    }
    assert_eq!(Case::bless(text, &outcomes).unwrap(), text, "nothing is to be blessed");
    let mut bare: toml_edit::DocumentMut = text.parse().unwrap();
    let strip = |table: &mut toml_edit::Table| {
        for key in ["publish", "perform", "expect"] {
            table.remove(key);
        }
    };
    strip(bare.as_table_mut());
    if let Some(steps) = bare.get_mut("step").and_then(toml_edit::Item::as_array_of_tables_mut) {
        steps.iter_mut().for_each(strip);
    }
    let blessed = Case::bless(&bare.to_string(), &outcomes).unwrap();
    let again = Case::parse(&blessed, "x").unwrap_or_else(|error| panic!("{blessed}: {error}"));
    assert_eq!(again.settings, case.settings);
    for ((one, other), outcome) in case.steps.iter().zip(&again.steps).zip(&outcomes) {
        assert_eq!(one.input, other.input, "{blessed}");
        other.check(outcome).unwrap_or_else(|mismatch| panic!("{blessed}: {mismatch}"));
    }
}

#[test]
fn the_cases_of_the_translators_in_this_repository_are_read_and_written_again() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut read = 0;
    for entry in std::fs::read_dir(plugins).unwrap() {
        let cases = entry.unwrap().path().join("cases");
        if cases.is_dir() {
            for (file, _) in Case::load(&cases).unwrap_or_else(|error| panic!("{error}")) {
                assert_written_again(&std::fs::read_to_string(file).unwrap());
                read += 1;
            }
        }
    }
    assert!(read >= 60, "{read}");
}
