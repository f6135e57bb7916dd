use super::*;

fn wrong(text: &str) -> Vec<(String, String)> {
    Settings::parse(text).unwrap_err().into_iter().map(|of| (of.key, of.text)).collect()
}

/// The one thing that is wrong: its key, and that its text names `words`.
fn assert_wrong(text: &str, key: &str, words: &[&str]) {
    let wrong = wrong(text);
    assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
    assert_eq!(wrong[0].0, key, "{text}");
    for word in words {
        assert!(wrong[0].1.contains(word), "{text}: {wrong:?} does not name {word}");
    }
}

#[test]
fn nothing_given_is_what_emqx_is_installed_with() {
    let settings = Settings::parse("{}").unwrap();
    assert_eq!(settings.command_filter(), "dn/#");
    assert_eq!(settings.auto_observe, AutoObserve::All);
    assert_eq!(settings.compatibility, Compatibility::Fixed);
    assert!(settings.publish_every_update && settings.publish_deregister);
    let of = &settings.translators;
    let topics = [&of.response, &of.notify, &of.register, &of.update];
    assert_eq!(topics.map(|of| of.topic.as_str()), ["up/resp", "up/notify", "up/register", "up/update"]);
    assert!(topics.iter().all(|of| of.qos() == Qos::AtMostOnce));
}

#[test]
fn strict_publishes_no_end_of_a_registration_unless_it_is_asked_to() {
    let parse = |text| Settings::parse(text).unwrap().publish_deregister;
    assert!(!parse(r#"{"compatibility":"strict"}"#));
    assert!(parse(r#"{"compatibility":"strict","publish_deregister":true}"#));
    assert!(!parse(r#"{"publish_deregister":false}"#));
}

#[test]
fn auto_observe_has_many_forms() {
    for (text, expected) in [
        ("\"on\"", AutoObserve::All),
        ("\"off\"", AutoObserve::Off),
        ("false", AutoObserve::Off),
        ("[]", AutoObserve::Off),
        ("\"\"", AutoObserve::Off),
        ("\"/3/0, /5\"", AutoObserve::These(vec!["/3/0".into(), "/5".into()])),
        ("[\"/1/0\",\"\"]", AutoObserve::These(vec!["/1/0".into()])),
    ] {
        let settings = Settings::parse(&format!("{{\"auto_observe\":{text}}}")).unwrap();
        assert_eq!(settings.auto_observe, expected, "{text}");
    }
}

#[test]
fn each_topic_has_its_quality_of_service() {
    let text = r#"{"translators":{"notify":{"topic":"n","qos":1},"command":{"topic":"/c/+/x/#","qos":2}}}"#;
    let settings = Settings::parse(text).unwrap();
    assert_eq!(settings.translators.notify.qos(), Qos::AtLeastOnce);
    assert_eq!(settings.translators.command.qos(), Qos::ExactlyOnce);
    assert_eq!(settings.translators.update.topic, "up/update");
}

#[test]
fn a_condition_that_an_old_emqx_ignores_is_ignored() {
    let parse = |of: &str| {
        let text = format!(r#"{{"update_msg_publish_condition":"contains_object_list"{of}}}"#);
        Settings::parse(&text).unwrap().publish_every_update
    };
    assert!(!parse(""));
    assert!(parse(r#","imported_from":"5.8.4""#));
    assert!(parse(r#","imported_from":"6.1.0""#));
    assert!(!parse(r#","imported_from":"6.1.1""#));
    assert_wrong(r#"{"imported_from":"dashboard"}"#, "imported_from", &["dashboard", "5.8.4"]);
}

#[test]
fn an_unknown_key_is_named_with_those_there_are() {
    assert_wrong(r#"{"mountpiont":""}"#, "mountpiont", &["mountpoint", "auto_observe", "translators"]);
    assert_wrong(
        r#"{"translators":{"notfy":{"topic":"a"}}}"#,
        "translators.notfy",
        &["command, response, notify, register and update"],
    );
    assert_wrong(
        r#"{"translators":{"notify":{"topic":"a","retain":true}}}"#,
        "translators.notify.retain",
        &["topic and qos"],
    );
}

#[test]
fn a_setting_of_emqx_that_is_elsewhere_is_shown_the_way() {
    for (key, place) in [
        ("xml_dir", "[models]"),
        ("lifetime_min", "lifetime-min"),
        ("lifetime_max", "lifetime-max"),
        ("qmode_time_window", "awake-window"),
        ("listeners", "[coap]"),
        ("authentication", "[dtls]"),
        ("enable", "leave it out"),
        ("enable_stats", "leave it out"),
        ("idle_timeout", "leave it out"),
        ("clientinfo_override", "leave it out"),
        ("blockwise", "leave it out"),
    ] {
        assert_wrong(&format!(r#"{{"{key}":1}}"#), key, &[place]);
    }
}

#[test]
fn a_wrong_value_is_named_with_what_is_possible() {
    let cases = [
        (r#"{"mountpoint":5}"#, "mountpoint", "5 is not a text"),
        (r#"{"mountpoint":"a/#/"}"#, "mountpoint", "wildcard"),
        (r#"{"auto_observe":5}"#, "auto_observe", "\"on\", \"off\""),
        (r#"{"auto_observe":["/x"]}"#, "auto_observe", "\"/x\" is not true"),
        (r#"{"auto_observe":[5]}"#, "auto_observe", "[\"/3/0\"]"),
        (r#"{"known_objects":[65536]}"#, "known_objects", "object ids"),
        (r#"{"known_objects":"3303"}"#, "known_objects", "[3303, 31024]"),
        (
            r#"{"update_msg_publish_condition":"never"}"#,
            "update_msg_publish_condition",
            "contains_object_list",
        ),
        (r#"{"compatibility":"loose"}"#, "compatibility", "neither \"fixed\" nor \"strict\""),
        (r#"{"publish_deregister":1}"#, "publish_deregister", "neither true nor false"),
        (r#"{"translators":[]}"#, "translators", "not an object"),
        (r#"{"translators":{"notify":"a"}}"#, "translators.notify", "not an object"),
        (
            r#"{"translators":{"notify":{"topic":"a","qos":3}}}"#,
            "translators.notify.qos",
            "3 is not 0, 1 or 2",
        ),
        (r#"{"translators":{"notify":{"topic":"a","qos":"1"}}}"#, "translators.notify.qos", "not 0, 1 or 2"),
        (r#"{"translators":{"notify":{"topic":"a/+"}}}"#, "translators.notify.topic", "wildcard"),
        (r#"{"translators":{"notify":{"topic":""}}}"#, "translators.notify.topic", "not a topic"),
        (r#"{"translators":{"notify":{"topic":1}}}"#, "translators.notify.topic", "not a text"),
        (r#"{"translators":{"notify":{}}}"#, "translators.notify.topic", "missing"),
        (r#"{"translators":{"command":{"topic":"dn#"}}}"#, "translators.command.topic", "last one"),
        (r##"{"translators":{"command":{"topic":"#/a"}}}"##, "translators.command.topic", "last one"),
    ];
    for (text, key, word) in cases {
        assert_wrong(text, key, &[word]);
    }
    assert_wrong("[]", "", &["not an object"]);
    assert_eq!(wrong(r#"{"mountpoint":5,"compatibility":5}"#).len(), 2, "all of it is told at once");
}

#[test]
fn what_is_published_must_not_be_a_command() {
    let text = r#"{"translators":{"command":{"topic":"up/#"}}}"#;
    let keys: Vec<String> = wrong(text).into_iter().map(|(key, _)| key).collect();
    let topics = ["response", "notify", "register", "update"];
    assert_eq!(keys, topics.map(|key| format!("translators.{key}.topic")));
    // The filter is as wide as this, the topics of commands are not.
    let text = r#"{"mountpoint":"lwm2m/${endpoint_name}","translators":{"command":{"topic":"dn/#"}}}"#;
    assert_eq!(Settings::parse(text).unwrap().command_filter(), "lwm2m/+/#");
}
