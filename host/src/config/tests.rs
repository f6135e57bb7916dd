use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("tidegate.toml"))
}

fn example() -> &'static str {
    include_str!("../../../tidegate.toml")
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_example_is_the_default() {
    assert_eq!(parse(example()), Ok(Config::default()));
}

/// The known keys are asked of the reader itself, by giving it one that nobody knows.
#[test]
fn the_example_has_every_key() {
    let sections = [
        "",
        "[coap]",
        "[dtls]",
        "[mqtt]",
        "[mqtt.embedded]",
        "[http]",
        "[store]",
        "[registration]",
        "[models]",
        "[plugins]",
        "[[translator]]",
        "[[route]]",
    ];
    for section in sections {
        let message = parse(&format!("{section}\nqqqqqqqqqqqqq = 1\n")).unwrap_err().message;
        let known = message.strip_prefix("no such key; known here: ");
        let known = known.or_else(|| message.strip_prefix("no such key; did you mean `")?.split('`').next());
        for key in known.unwrap_or_else(|| panic!("{section}: {message}")).split(", ") {
            let typed = |line: &str| {
                let line = line.trim_start_matches(['#', ' ', '[']);
                line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', ']', '.']))
            };
            let from = example().find(section).unwrap_or_else(|| panic!("{section} is missing"));
            let header = format!("[{}.{key}]", section.trim_matches(['[', ']']));
            let found = example()[from..].lines().any(typed) || example().contains(&header);
            assert!(found, "{section} {key} is missing");
        }
    }
}

#[test]
fn errors_name_line_and_key_and_what_would_be_right() {
    let cases = [
        ("[coap]\nlistn = []", 2, "coap.listn", "did you mean `listen`?"),
        ("\n[coapp]\n", 2, "coapp", "did you mean `coap`?"),
        ("[mqtt]\n\nzzzzzzzz = 1", 3, "mqtt.zzzzzzzz", "known here: broker, version"),
        ("[coap]\nlisten = \"0.0.0.0:5783\"", 2, "coap.listen", "expected a sequence"),
        (
            "[coap]\nlisten = [\n  \"0.0.0.0:5783\",\n  \"5784\"]",
            4,
            "coap.listen",
            "write it like \"0.0.0.0:5783\"",
        ),
        ("[coap]\nlisten = []", 2, "coap.listen", "at least one address"),
        ("[coap]\nshards = -1", 2, "coap.shards", "from 0 to 1024"),
        ("[coap]\nblock-size = \"48B\"", 2, "coap.block-size", "\"64B\""),
        ("[coap]\nblock-size = \"2KiB\"", 2, "coap.block-size", "\"1KiB\""),
        ("[dtls]\nlisten = [\"5684\"]", 2, "dtls.listen", "not an address and port"),
        ("[dtls]\nlisten = [\n\"0.0.0.0:5684\",\n\"0.0.0.0:5783\"]", 4, "dtls.listen", "a port of its own"),
        ("[dtls]\nconnection-id = 1", 2, "dtls.connection-id", "expected a boolean"),
        ("[dtls]\nmax-associations = 0", 2, "dtls.max-associations", "from 1 to"),
        ("[dtls]\nhandshake-timeout = \"1\"", 2, "dtls.handshake-timeout", "write it like \"250ms\""),
        ("[dtls]\nhandshake-timeout = \"9s\"", 2, "dtls.retransmission", "below `handshake-timeout`"),
        ("[dtls]\nretransmission = \"2m\"", 2, "dtls.retransmission", "below `handshake-timeout`"),
        ("[dtls]\nmtu = 100", 2, "dtls.mtu", "from 256 to 16384"),
        ("[mqtt]\nbroker = \"ws://b/a b\"", 2, "mqtt.broker", "no path of a WebSocket"),
        ("[mqtt]\nsession-expiry = \"1h\"", 2, "mqtt.session-expiry", "needs `client-id`"),
        ("[mqtt]\nclient-id = \"x\"\nsession-expiry = \"1ms\"", 3, "mqtt.session-expiry", "whole seconds"),
        ("[mqtt]\nshared-group = \"a/b\"", 2, "mqtt.shared-group", "nor contain `/`"),
        ("[mqtt]\nstatus-topic = \"a/#\"", 2, "mqtt.status-topic", "without `+` and `#`"),
        ("[mqtt]\nbroker = \"b:1883\"", 2, "mqtt.broker", "write \"embedded\", \"mqtt://host:1883\""),
        ("[mqtt]\nca = \"ca.pem\"", 2, "mqtt.ca", "no meaning without TLS"),
        ("[mqtt]\nversion = 3", 2, "mqtt.version", "write 5, or 4"),
        ("[mqtt]\nusername = \"u\"", 2, "mqtt.username", "embedded broker has no users"),
        ("[mqtt]\nbroker = \"mqtt://u@b\"\nusername = \"v\"", 3, "mqtt.username", "remove one"),
        ("[mqtt]\nbroker = \"mqtt://b\"\npassword-file = \"p\"", 3, "mqtt.password-file", "needs `username`"),
        ("[mqtt]\nclient-id = \" x\"", 2, "mqtt.client-id", "start with a space"),
        ("[mqtt]\nkeep-alive = \"1s\"", 2, "mqtt.keep-alive", "from \"5s\""),
        ("[mqtt]\nkeep-alive = 30", 2, "mqtt.keep-alive", "expected a string"),
        ("[mqtt]\nmax-packet = \"1MB\"", 2, "mqtt.max-packet", "16MiB"),
        ("[http]\nlisten = [\"80\"]", 2, "http.listen", "not an address and port"),
        ("[http]\nlisten = [\"0.0.0.0:80\"]", 2, "http.listen", "`tidegate token add`"),
        ("[http]\nkey = \"k\"", 2, "http.key", "`certificate`, beside it"),
        ("[http]\nmax-body = \"9B\"", 2, "http.max-body", "from \"1KiB\""),
        ("[store]\nassociations = \"yes\"", 2, "store.associations", "expected a boolean"),
        ("[registration]\nlifetime-min = \"30\"", 2, "registration.lifetime-min", "write it like \"250ms\""),
        (
            "[registration]\nlifetime-min = \"2s\"\nlifetime-max = \"1s\"",
            3,
            "registration.lifetime-max",
            "above",
        ),
        ("[plugins]\nfuel = 0", 2, "plugins.fuel", "above zero"),
        ("[[translator]]\non-fault = \"raw\"", 1, "translator.name", "is missing"),
        ("[[translator]]\nname = \"../x\"", 2, "translator.name", "letters, digits"),
        (
            "[[translator]]\nname = \"a\"\n[[translator]]\nname = \"a\"",
            4,
            "translator.name",
            "another translator `a`",
        ),
        ("[[translator]]\nname = \"a\"\non-fault = \"retry\"", 3, "translator.on-fault", "write \"raw\""),
        ("[[translator]]\nname = \"a\"\nhold = 0", 3, "translator.hold", "from 1 to"),
        (
            "[[translator]]\nname = \"a\"\ntopics = [\"up/#\",\n\"a/#/b\"]",
            4,
            "translator.topics",
            "whole last level",
        ),
        ("[[route]]\ntranslators = [\"b\"]", 2, "route.translators", "no translator `b`; there is: emqx"),
        ("[[route]]\ntranslators = []", 2, "route.translators", "at least one"),
        ("[[route]]\nobjects = [70000]\ntranslators = [\"emqx\"]", 2, "route.objects", "0 to 65535"),
        (
            "[[route]]\nlistener = \"1.2.3.4:5\"\ntranslators = [\"emqx\"]",
            2,
            "route.listener",
            "`coap.listen` and `dtls.listen`",
        ),
        ("[coap\n", 1, "coap", "unclosed table"),
    ];
    refused(&cases);
}

#[test]
fn what_is_wrong_with_limits_is_named() {
    refused(&[
        ("[coap]\nrate-limit-source = -1", 2, "coap.rate-limit-source", "from 0 to"),
        ("[coap]\nrate-limit = 10000001", 2, "coap.rate-limit", "from 0 to 10000000"),
        ("[registration]\nmax-registrations = 0", 2, "registration.max-registrations", "from 1 to"),
    ]);
}

#[test]
fn what_is_wrong_with_the_outbox_is_named() {
    refused(&[
        ("[mqtt.outbox]\npublications = 0", 2, "mqtt.outbox.publications", "from 1 to"),
        ("[mqtt.outbox]\nbytes = \"1KiB\"", 2, "mqtt.outbox.bytes", "at least \"1MiB\""),
        ("[mqtt.outbox]\nwhen-full = \"drop\"", 2, "mqtt.outbox.when-full", "\"drop-oldest\""),
        ("[mqtt.outbox]\nsync = \"1ms\"", 2, "mqtt.outbox.sync", "at least \"10ms\""),
    ]);
}

/// Text, and the line, the key and a part of the message that the error has.
fn refused(cases: &[(&str, usize, &str, &str)]) {
    for (text, line, key, part) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!((error.line, error.key.as_str()), (*line, *key), "{text}: {error}");
        assert!(error.message.contains(part), "{text}: {error}");
        let start = format!("tidegate.toml:{line}: ");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("no/such/tidegate.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such/tidegate.toml: cannot be read"), "{error}");
}

/// Something else than the default, where that shows.
const TYPED: &str = r#"
        [coap]
        listen = ["127.0.0.1:5683", "[::1]:5683"]
        shards = 3
        block-size = "64B"
        rate-limit-source = 50
        rate-limit = 9000
        [dtls]
        listen = ["127.0.0.1:5684"]
        credentials = "/run/clients.toml"
        connection-id = false
        max-associations = 7
        handshake-timeout = "30s"
        retransmission = "1s"
        mtu = 512
        [store]
        path = "state"
        associations = false
        [mqtt]
        broker = "mqtt://gateway@broker:1884"
        version = 4
        password-file = "secret"
        client-id = "g1"
        keep-alive = "10s"
        [http]
        listen = ["0.0.0.0:18083"]
        tokens = "tokens.toml"
        certificate = "cert.pem"
        key = "/run/key.pem"
        max-body = "1MiB"
        [plugins]
        wall = "1s"
        [[translator]]
        name = "meter"
        artifact = "/opt/meter.wasm"
        on-fault = "hold"
        hold = 7
        topics = ["up/#"]
        fuel = 7
        [translator.settings]
        since = 2024-01-02
        nested = { list = [1, 2.5, true, "x"] }
        [[route]]
        endpoints = "meter-*"
        objects = [3303]
        listener = "[::1]:5683"
        translators = ["meter"]
        [[route]]
        listener = "127.0.0.1:5684"
        translators = ["meter"]
"#;

#[test]
fn what_is_typed_arrives() {
    let config = Config::parse(TYPED, Path::new("/etc/tidegate/tidegate.toml")).unwrap();
    assert_eq!(config.coap.listen[1], "[::1]:5683".parse().unwrap());
    assert_eq!((config.coap.shards, config.coap.block_size), (3, 64));
    assert_eq!((config.coap.rate_limit_source, config.coap.rate_limit), (50, 9_000));
    let dtls = Dtls {
        listen: vec!["127.0.0.1:5684".parse().unwrap()],
        credentials: "/run/clients.toml".into(),
        connection_id: false,
        max_associations: 7,
        handshake_timeout: Duration::from_secs(30),
        retransmission: Duration::from_secs(1),
        mtu: 512,
    };
    assert_eq!(config.dtls, dtls);
    assert_eq!(config.store, Store { path: Some("/etc/tidegate/state".into()), associations: false });
    let address = BrokerAddress { username: Some("gateway".into()), ..BrokerAddress::tcp("broker", 1884) };
    assert_eq!(config.mqtt.broker, Broker::External(address));
    assert_eq!((config.mqtt.version, config.mqtt.keep_alive), (MqttVersion::V4, Duration::from_secs(10)));
    assert_eq!(config.mqtt.username.as_deref(), Some("gateway"));
    assert_eq!(config.mqtt.password_file.as_deref(), Some(Path::new("/etc/tidegate/secret")));
    let http = Http {
        listen: vec!["0.0.0.0:18083".parse().unwrap()],
        tokens: Some("/etc/tidegate/tokens.toml".into()),
        certificate: Some(("/etc/tidegate/cert.pem".into(), "/run/key.pem".into())),
        max_body: 1 << 20,
    };
    assert_eq!(config.http, http);
    assert_eq!(config.plugins.directory, Path::new("/etc/tidegate/plugins"));
    let translator = config.translator("meter").unwrap();
    assert_eq!(translator.artifact.as_deref(), Some(Path::new("/opt/meter.wasm")));
    assert_eq!(translator.limits, Limits { fuel: 7, wall: Duration::from_secs(1), ..Limits::default() });
    assert_eq!((translator.on_fault, translator.hold), (OnFault::Hold, 7));
    assert_eq!(translator.topics, ["up/#"]);
    let settings = serde_json::json!({ "since": "2024-01-02", "nested": { "list": [1, 2.5, true, "x"] } });
    assert_eq!(translator.settings, settings);
    assert_eq!(config.routes[0].objects, [3303]);
    assert_eq!(config.routes[0].listener, Some(config.coap.listen[1]));
    assert_eq!(config.routes[1].listener, Some(config.dtls.listen[0]));
}

#[test]
fn without_routes_there_are_none() {
    let config = parse("[[translator]]\nname = \"a\"\n[[translator]]\nname = \"b\"").unwrap();
    assert_eq!(config.routes, []);
}

#[test]
fn the_plugin_folder_of_the_command_line_overrides_the_one_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, "[plugins]\ndirectory = \"typed\"\n").unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.plugins.directory, folder.path().join("typed"));
    assert_eq!(config.origin.file.as_deref(), Some(file.as_path()));
    let config = config.with_plugins(Path::new("given"));
    assert_eq!(config.plugins.directory, Path::new("given"));
    std::fs::write(&file, "[plugins]\ndirectory = \"other\"\nfuel = 7\n").unwrap();
    let config = config.read_again().unwrap();
    assert_eq!((config.plugins.directory.as_path(), config.plugins.limits.fuel), (Path::new("given"), 7));
}

#[test]
fn an_error_found_later_has_a_line_as_well() {
    let text = "[coap]\nshards = 1\n[[translator]]\nname = \"a\"\n[[translator]]\nname = \"b\"\n\
                [translator.settings]\nx = 1\n[dtls]\nmtu = 1000\n";
    let config = parse(text).unwrap();
    let origin = Origin { text: text.into(), ..Origin::default() };
    let config = Config { origin, ..config };
    let line = |key, translator| config.error(key, translator, "wrong").line;
    assert_eq!((line("coap.shards", None), line("dtls.mtu", None)), (2, 10));
    assert_eq!(line("coap.listen", None), 1, "not typed: its table");
    assert_eq!((line("translator", Some("a")), line("translator", Some("b"))), (3, 5));
    assert_eq!(line("translator.settings.x", Some("b")), 8);
    assert_eq!(line("mqtt.broker", None), 0, "nowhere");
    let error = config.error("translator.settings.x", Some("b"), "wrong").to_string();
    assert_eq!(error, "tidegate.toml:8: translator.settings.x: wrong");
}
