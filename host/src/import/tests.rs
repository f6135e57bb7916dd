use std::time::Duration;

use serde_json::json;
use tidegate_sdk::Translator as _;

use super::*;
use crate::config::Broker;

fn emqx() -> Emqx {
    let broker = "mqtt://127.0.0.1:1883".parse().ok();
    Emqx { name: "emqx.conf".into(), broker, version: None, is_strict: false }
}

/// What is written, loaded from a file as the gateway would, with settings that the translator takes.
fn import(text: &str) -> (Config, Vec<Note>) {
    let imported = emqx().import_text(text).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, &imported.toml).unwrap();
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}\n{}", imported.toml));
    for translator in &config.translators {
        let settings = translator.settings.to_string();
        let outcome = tidegate_emqx::Emqx::configure(&settings);
        assert!(outcome.is_ok(), "{settings}: {:?}", outcome.err());
    }
    (config, imported.notes)
}

fn fates(notes: &[Note], fate: Fate) -> Vec<&str> {
    notes.iter().filter(|note| note.fate == fate).map(|note| note.key.as_str()).collect()
}

#[track_caller]
fn assert_notes(notes: &[Note], fate: Fate, keys: &[&str]) {
    let (mut found, mut keys) = (fates(notes, fate), keys.to_vec());
    found.sort_unstable();
    keys.sort_unstable();
    assert_eq!(found, keys, "{fate:?}");
}

#[test]
fn the_dashboards_defaults_are_tidegates() {
    let (config, notes) = import(include_str!("fixtures/dashboard.hocon"));
    let default = Config::default();
    assert_eq!((&config.coap, &config.dtls.listen), (&default.coap, &default.dtls.listen));
    assert_eq!(config.registration.lifetime_min, Duration::from_secs(1));
    assert_eq!(config.registration.awake_window, Duration::from_secs(22));
    assert_eq!(config.registration.max_registrations, 1_024_000);
    assert!(matches!(&config.mqtt.broker, Broker::External(address) if address.port == 1883));
    let settings = &config.translators[0].settings;
    assert_eq!(settings["mountpoint"], "");
    assert_eq!(settings["auto_observe"], true);
    assert_eq!(settings["translators"]["update"], json!({ "topic": "up/update", "qos": 0 }));
    assert_eq!(settings["update_msg_publish_condition"], "always");
    let below = |key: &str| format!("gateway.lwm2m.{key}");
    let not_mapped = ["enable_stats", "idle_timeout"].map(below).to_vec();
    let udp = ["acceptors", "enable_authn", "max_conn_rate", "udp_options"];
    let not_mapped =
        [not_mapped, udp.map(|key| below(&format!("listeners.udp.default.{key}"))).to_vec()].concat();
    assert_notes(&notes, Fate::NotMapped, &not_mapped.iter().map(String::as_str).collect::<Vec<_>>());
    let otherwise = ["lifetime_max", "lifetime_min", "mountpoint", "update_msg_publish_condition"].map(below);
    assert_notes(&notes, Fate::Otherwise, &otherwise.each_ref().map(String::as_str));
    assert_notes(&notes, Fate::ToDo, &["gateway.lwm2m.xml_dir", "mqtt.broker"]);
}

#[test]
fn everything_is_mapped_or_told() {
    let (config, notes) = import(include_str!("fixtures/everything.hocon"));
    let listen: Vec<String> = config.coap.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:5783", "[::]:5784"]);
    assert_eq!(config.coap.block_size, 256);
    assert_eq!(config.dtls.listen.len(), 1);
    assert_eq!(
        (config.dtls.handshake_timeout, config.dtls.retransmission),
        (Duration::from_secs(8), Duration::from_secs(2))
    );
    assert_eq!(config.dtls.max_associations, 2_000);
    assert_eq!(config.registration.max_registrations, 3_500);
    assert_eq!(config.registration.lifetime_max, Duration::from_secs(129_600));
    assert_eq!(config.registration.awake_window, Duration::from_secs(60));
    assert_eq!(config.models.directory, Path::new("/etc/emqx/lwm2m_xml"));
    let [first, second] = &config.translators[..] else { panic!("{:?}", config.translators) };
    assert_eq!(first.settings["auto_observe"], json!(["/3/0", "/4/0/1"]));
    assert_eq!(first.settings["update_msg_publish_condition"], "contains_object_list");
    assert_eq!(first.settings["translators"]["notify"]["qos"], 2);
    assert_eq!((second.name.as_str(), second.built_in()), ("emqx-5784-site-2", Some("emqx")));
    assert_eq!(second.settings["mountpoint"], "two/");
    let [route] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!(
        (route.listener, &route.translators),
        (Some("[::]:5784".parse().unwrap()), &vec![second.name.clone()])
    );
    let told = |key: &str| notes.iter().any(|note| note.key == key);
    let not_mapped = [
        "hat",
        "authentication",
        "clientinfo_override",
        "blockwise.max_body_size",
        "blockwise.max_concurrent_exchanges",
        "blockwise.max_total_size",
        "blockwise.exchange_lifetime",
        "listeners.udp.off.enable",
        "listeners.tcp",
        "listeners.udp.default.access_rules",
        "listeners.udp.default.health_check",
        "listeners.dtls.default.acceptors",
        "listeners.dtls.default.dtls_options.versions",
        "listeners.dtls.default.dtls_options.password",
        "listeners.dtls.default.dtls_options.hat",
        "listeners.dtls.default.dtls_options.certfile",
        "auto_observe",
    ];
    for key in not_mapped {
        assert!(told(&format!("gateway.lwm2m.{key}")), "{key}: {notes:#?}");
    }
    assert!(told("psk_authentication"));
}

/// Each key is in the file as the source of a line, or in a note.
#[test]
fn no_key_is_overlooked() {
    for fixture in [include_str!("fixtures/dashboard.hocon"), include_str!("fixtures/everything.hocon")] {
        let imported = emqx().import_text(fixture).unwrap();
        let located = read::locate(read::text(fixture, "").unwrap(), "").unwrap();
        let seen = |key: &str| {
            let of = |name: &str| key == name || key.starts_with(&format!("{name}."));
            imported.notes.iter().any(|note| of(&note.key))
                || imported.toml.split(['#', ' ', '\n', ',']).any(|word| !word.is_empty() && of(word))
        };
        // What is taken as it is meant leaves no trace, nor does what is the default.
        let silent = [
            "enable",
            "max_connections",
            "gc_after_handshake",
            "dtls_options.verify",
            "keyfile",
            "coap_max_block_size",
        ];
        for key in leaves(located.path, &located.gateway) {
            // A listener that is off is told as a whole.
            let is_off = key.contains(".udp.off.");
            assert!(
                is_off || silent.iter().any(|end| key.ends_with(end)) || seen(&key),
                "{key}\n{}",
                imported.toml
            );
        }
    }
}

fn leaves(path: &str, of: &Map<String, Value>) -> Vec<String> {
    let below = |(key, value): (&String, &Value)| match value {
        Value::Object(table) if !table.is_empty() => leaves(&format!("{path}{key}."), table),
        _ => vec![format!("{path}{key}")],
    };
    of.iter().flat_map(below).collect()
}

#[test]
fn no_secret_comes_over() {
    let imported = emqx().import_text(include_str!("fixtures/everything.hocon")).unwrap();
    assert!(!format!("{imported:?}").contains("zecret"));
}

#[test]
fn the_answer_of_the_rest_api_is_imported() {
    let (config, notes) = import(include_str!("fixtures/rest.json"));
    assert_eq!(config.translators[0].settings["mountpoint"], "lwm2m/");
    assert_eq!(config.translators[0].settings["auto_observe"], false);
    // Infinity is no number to write down.
    assert_eq!(config.registration.max_registrations, Config::default().registration.max_registrations);
    assert!(notes.iter().all(|note| !note.text.starts_with("is unknown")), "{notes:#?}");
    let error = emqx().import_text(r#"{"code":"NOT_FOUND","message":"no gateway"}"#).unwrap_err().to_string();
    assert!(error.contains("there is no `gateway.lwm2m` in it, but the keys code, message"), "{error}");
}

#[test]
fn what_is_not_said_is_as_in_emqx() {
    let (config, _) = import("gateway.lwm2m { translators { command { topic = \"dn/#\" } } }");
    let settings = &config.translators[0].settings;
    assert_eq!(settings["mountpoint"], "lwm2m/${endpoint_name}/");
    assert_eq!(settings["auto_observe"], false);
    assert_eq!(config.registration.awake_window, Duration::from_secs(22));
    assert!(config.coap.listen[0].ip().is_loopback());
}

#[test]
fn versions_before_the_condition_counted_publish_each_update() {
    let text = "gateway.lwm2m { update_msg_publish_condition = contains_object_list }";
    let condition = |version: Option<&str>, text: &str| {
        let version = version.map(|version| version.parse().unwrap());
        let imported = Emqx { version, ..emqx() }.import_text(text).unwrap();
        imported
            .toml
            .lines()
            .find(|line| line.starts_with("update_msg"))
            .unwrap()
            .contains("\"contains_object_list\"")
    };
    assert!(!condition(None, text));
    assert!(!condition(Some("5.8.4"), text));
    assert!(condition(Some("6.1.1"), text));
    // A key that only later versions have tells, too.
    assert!(condition(None, &format!("{text}\ngateway.lwm2m.blockwise {{ enable = true }}")));
}

#[test]
fn files_that_are_included_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, below) = (folder.path().join("emqx.conf"), folder.path().join("gw.conf"));
    std::fs::write(&file, "gateway.lwm2m.mountpoint = \"first/\"\ninclude \"gw.conf\"\n").unwrap();
    std::fs::write(&below, "gateway.lwm2m.mountpoint = \"second/\"\n").unwrap();
    assert!(emqx().import_file(&file).unwrap().toml.contains("\"second/\""));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = |text: &str| emqx().import_text(text).unwrap_err().to_string();
    let cases = [
        ("gateway.lwm2m {", "emqx.conf: line 1"),
        ("gateway.lwm2m {\n a = ${NOWHERE}\n}", "line 2: could not resolve substitution: ${NOWHERE}"),
        ("gateway.coap {}\ngateway.stomp {}", "but the gateways coap, stomp"),
        ("", "but nothing"),
        ("gateway.lwm2m.lifetime_min = soon", "gateway.lwm2m.lifetime_min is \"soon\", which is no duration"),
        ("gateway.lwm2m.enable = 3", "gateway.lwm2m.enable is 3; it is true or false"),
        (
            "gateway.lwm2m.mountpoint = \"a/#\"",
            "gateway.lwm2m.mountpoint is \"a/#\"; a topic has no wildcard",
        ),
        ("gateway.lwm2m.translators = 3", "gateway.lwm2m.translators is not a table"),
        (
            "gateway.lwm2m.translators.update.qos = 3",
            "gateway.lwm2m.translators.update.qos is 3; it is 0, 1 or 2",
        ),
        ("gateway.lwm2m.auto_observe = 3", "gateway.lwm2m.auto_observe is 3; it is true, false or a list"),
        (
            "gateway.lwm2m.blockwise.max_block_size = 100",
            "gateway.lwm2m.blockwise.max_block_size is 100; a block has",
        ),
        ("gateway.lwm2m.listeners.udp.a {}", "gateway.lwm2m.listeners.udp.a.bind is missing"),
        (
            "gateway.lwm2m.listeners.udp.a.bind = x",
            "gateway.lwm2m.listeners.udp.a.bind is `x`, which is no port",
        ),
        ("gateway.lwm2m { lifetime_min = 2h, lifetime_max = 1h }", "cannot be written as a tidegate.toml"),
    ];
    for (text, part) in cases {
        assert!(wrong(text).contains(part), "{text}: {}", wrong(text));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.tar.gz");
    std::fs::write(&file, [0x1f, 0x8b, 8]).unwrap();
    assert!(emqx().import_file(&file).unwrap_err().to_string().contains("is an archive"));
    let nowhere = emqx().import_file(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert!(nowhere.contains("nowhere: cannot be read"), "{nowhere}");
}

proptest::proptest! {
    /// Whatever is typed, what comes out is a configuration or an error, and comments stay comments.
    #[test]
    fn whatever_is_typed_is_imported_or_refused(
        mountpoint in "[^#+\\x00]{0,12}",
        topic in "[ -~\\n\"\\\\]{1,10}",
        stray in "[^\\x00]{0,12}",
        port in 1_u16..,
    ) {
        let json = json!({ "gateway": { "lwm2m": {
            "mountpoint": mountpoint,
            (stray.clone()): stray,
            "translators": { "notify": { "topic": topic } },
            "listeners": { "udp": { (stray): { "bind": port, "mountpoint": mountpoint.clone() + "x" } } },
        } } });
        if let Ok(imported) = emqx().import_text(&json.to_string()) {
            let config = Config::parse(&imported.toml, Path::new("tidegate.toml")).unwrap();
            proptest::prop_assert_eq!(config.translators[0].settings["mountpoint"].as_str(), Some(mountpoint.as_str()));
            proptest::prop_assert_eq!(config.coap.listen[0].port(), port);
        }
    }
}
