use proptest::prelude::*;
use serde_json::json;

use super::*;

const WHOLE: &str = r#"
name = "homeassistant"
version = "0.1.0"
contract = "1.0"
description = "MQTT discovery for Home Assistant"
[claims]
endpoints = ["urn:imei:*", "x"]
objects = [3304, 3303, 3303]
[settings.prefix]
type = "string"
default = "homeassistant"
description = "First level of the discovery topics"
[settings.qos]
type = "integer"
minimum = 0
maximum = 2
[settings.mode]
type = "string"
values = ["a", "b"]
default = "b"
[settings.rate]
type = "number"
default = 0.5
"#;

fn error(text: &str) -> String {
    Manifest::parse(text, "translator.toml").unwrap_err().to_string()
}

fn schema() -> Schema {
    Manifest::parse(WHOLE, "translator.toml").unwrap().settings.unwrap()
}

#[test]
fn a_manifest_is_read_with_claims_and_settings() {
    let manifest = Manifest::parse(WHOLE, "translator.toml").unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("homeassistant", "0.1.0"));
    assert_eq!((manifest.contract.as_str(), manifest.description.len()), ("1.0", 33));
    let claims = manifest.claims.unwrap();
    assert_eq!(claims.endpoints, ["urn:imei:*", "x"]);
    assert_eq!(claims.objects, [3303, 3304]);
    assert_eq!(manifest.settings.unwrap().settings().len(), 4);
}

#[test]
fn without_claims_and_settings_there_are_none() {
    let text = "name = \"a\"\nversion = \"1\"\ncontract = \"1.0.3\"";
    let manifest = Manifest::parse(text, "").unwrap();
    assert_eq!((manifest.claims, manifest.settings), (None, None));
    assert_eq!(manifest.contract, "1.0");
    let claims = Manifest::parse(&format!("{text}\n[claims]"), "").unwrap().claims.unwrap();
    assert_eq!((claims.endpoints, claims.objects), (vec!["*".to_owned()], vec![]));
}

#[test]
fn errors_name_source_line_and_key() {
    assert_eq!(error("version = \"1\""), "translator.toml:1: name: is missing");
    let head = "name = \"a\"\nversion = \"1\"\ncontract = \"1.0\"\n";
    for (text, wanted) in [
        ("colour = 1", "translator.toml:4: colour: no such key"),
        ("[claims]\nendpoint = []", "translator.toml:5: claims.endpoint: no such key; did you mean"),
        ("[claims]\nendpoints = []", "translator.toml:5: claims.endpoints: must have 1 to 1000 globs"),
        ("[claims]\nendpoints = [\"\"]", "translator.toml:5: claims.endpoints: a glob has"),
        ("[claims]\nobjects = [70000]", "translator.toml:5: claims.objects: "),
        ("[settings.a]\ntype = \"text\"", "translator.toml:5: settings.a.type: "),
        ("[settings.a]\ntype = \"string\"\nminimum = 1", "settings.a: minimum and maximum are for numbers"),
        ("[settings.a]\ntype = \"string\"\ndefault = 1", "settings.a: default: must be a string, not 1"),
        ("[settings.a]\ntype = \"integer\"\nvalues = [1.5]", "settings.a: values: must be an integer"),
    ] {
        let error = error(&format!("{head}{text}"));
        assert!(error.contains(wanted), "{error}, wanted {wanted}");
    }
    for name in ["", "A", "-a", "a b", "ä", &"a".repeat(65)] {
        let error = error(&format!("name = \"{name}\"\nversion = \"1\"\ncontract = \"1.0\""));
        assert!(error.starts_with("translator.toml:1: name: "), "{error}");
    }
    for contract in ["1", "one", "1.0.0.0", "1.x", ""] {
        let error = error(&format!("name = \"a\"\nversion = \"1\"\ncontract = \"{contract}\""));
        assert!(error.starts_with("translator.toml:3: contract: "), "{error}");
    }
}

#[test]
fn a_script_takes_its_name_from_its_file() {
    let manifest = Manifest::parse_beside("[settings]", "x.toml", "my-script").unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("my-script", "0.0.0"));
    let error = Manifest::parse_beside("", "x.toml", "My Script").unwrap_err().to_string();
    assert!(error.contains("`My Script` is no name"), "{error}");
}

#[test]
fn defaults_are_filled_in() {
    assert_eq!(
        schema().complete(&json!({ "qos": 1 })),
        Ok(json!({ "prefix": "homeassistant", "qos": 1, "mode": "b", "rate": 0.5 }))
    );
    let text = "name = \"a\"\nversion = \"1\"\ncontract = \"1.0\"\n[settings]";
    let none = Manifest::parse(text, "").unwrap().settings.unwrap();
    assert_eq!(none.complete(&Value::Null), Ok(json!({})));
    let problems = none.complete(&json!({ "a": 1 })).unwrap_err();
    assert_eq!(problems, [problem("a", "no such key; this translator has no settings")]);
}

#[test]
fn each_wrong_setting_is_named() {
    let problems = schema().complete(&json!({ "prefx": "a", "mode": "c", "rate": "fast" })).unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "prefx: no such key; did you mean `prefix`?",
            "mode: must be one of \"a\", \"b\", not \"c\"",
            "qos: is missing, and has no default",
            "rate: must be a number, not \"fast\"",
        ]
    );
    for (qos, wanted) in [(json!(3), "at most 2"), (json!(-1), "at least 0"), (json!(1.5), "an integer")] {
        let problems = schema().complete(&json!({ "qos": qos })).unwrap_err();
        assert!(problems[0].text.contains(wanted), "{problems:?}");
    }
    assert_eq!(schema().complete(&json!([])), Err(vec![problem("settings", "must be a table")]));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", at in 0..WHOLE.len()) {
        let _ = Manifest::parse(&text, "x");
        let at = WHOLE.floor_char_boundary(at);
        let _ = Manifest::parse(&format!("{}{text}{}", &WHOLE[..at], &WHOLE[at..]), "x");
    }
}
