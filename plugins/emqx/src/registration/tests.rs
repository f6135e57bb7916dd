use serde_json::{Value as Json, json};
use tidegate_sdk::Client;

use super::*;

fn settings(json: &Json) -> Settings {
    Settings::parse(&json.to_string()).unwrap()
}

fn strict() -> Settings {
    settings(&json!({ "compatibility": "strict" }))
}

/// A registration with these query parameters and links.
fn registration(queries: &[&str], links: &str) -> Registration {
    let parameters = queries.iter().map(|query| match query.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*query).to_owned(), None),
    });
    Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: String::new(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: vec![],
        parameters: parameters.collect(),
        links: links.as_bytes().to_vec(),
        peer: "192.0.2.1:56830".into(),
        attributes: vec![("defined-objects".into(), "3,5,3303".into())],
    }
}

fn client() -> Client {
    Client { endpoint: "dev1".into(), attributes: vec![] }
}

fn register(settings: &Settings, registration: Registration, previous: Option<Registration>) -> Vec<Action> {
    registered(settings, &Registered { client: client(), registration, previous, received: 0 })
}

/// What is published, topic and JSON, and the paths of what is observed.
fn told(actions: Vec<Action>) -> (Vec<(String, Json)>, Vec<String>) {
    let (mut published, mut observed) = (vec![], vec![]);
    for action in actions {
        match action {
            Action::Publish(message) => {
                published.push((message.topic, serde_json::from_slice(&message.payload).unwrap()))
            }
            Action::Perform(request) => match request.operation {
                Operation::Observe(observe) => {
                    assert!(request.context.contains("\"is_auto_observe\":true"), "{}", request.context);
                    observed.push(observe.path.to_string());
                }
                other => panic!("{other:?}"),
            },
        }
    }
    (published, observed)
}

/// `data` of the register message.
fn data(settings: &Settings, registration: Registration) -> Json {
    told(register(settings, registration, None)).0[0].1["data"].clone()
}

fn object_list(links: &str) -> (Json, Json) {
    let data = data(&strict(), registration(&["ep=dev1"], links));
    (data["objectList"].clone(), data["alternatePath"].clone())
}

#[test]
fn a_register_tells_every_parameter_that_emqx_takes() {
    let queries = [
        "ep=dev1",
        "lt=300",
        "lwm2m=1.1",
        "b=U",
        "Q=",
        "=y",
        "flag",
        "x=a=b",
        "imei=867",
        "password=p",
        "token=t",
    ];
    let expected = json!({
        "ep": "dev1", "lt": 300, "lwm2m": "1.1", "b": "U", "Q": "", "": "y", "imei": "867",
        "objectList": ["/1", "/3/0"], "alternatePath": "/"
    });
    let (published, _) = told(register(&strict(), registration(&queries, "</1>, </3/0>"), None));
    assert_eq!(published, [("up/register".to_owned(), json!({ "msgType": "register", "data": expected }))]);
    // Without links there is no list of them.
    let expected = json!({ "ep": "dev1", "lt": 300, "objectList": "x" });
    assert_eq!(data(&strict(), registration(&["ep=dev1", "lt=9", "objectList=x"], "")), expected);
}

#[test]
fn a_value_with_an_equals_sign_is_told_in_fixed_and_an_endpoint_name_with_one_always() {
    let queries = ["ep=os:a=b", "x=a=b"];
    let fixed = settings(&json!({}));
    assert_eq!(data(&fixed, registration(&queries, "")), json!({ "ep": "os:a=b", "lt": 300, "x": "a=b" }));
    assert_eq!(data(&strict(), registration(&queries, "")), json!({ "ep": "os:a=b", "lt": 300 }));
}

#[test]
fn links_are_told_by_emqx_s_rules() {
    for (links, objects, alternate_path) in [
        ("</1/0>;ver=1.1;ct=\"1\", </3/0>", json!(["/1/0", "/3/0"]), "/"),
        ("</lwm2m>;rt=\"oma.lwm2m\";ct=11543,</lwm2m/1/0>,</3/0>", json!(["/1/0", "/3/0"]), "/lwm2m"),
        ("</>;rt=\"oma.lwm2m\",</lwm2m/1/0>", json!(["/lwm2m/1/0"]), "/"),
        ("</lwm2m/>;rt=\"oma.lwm2m\",</lwm2m/3/0>", json!(["3/0"]), "/lwm2m/"),
        ("</1>,,</3>,", json!(["/1", "", "/3", ""]), "/"),
        ("</1>;obs,</3/0>", json!(["/1", "/3/0"]), "/"),
        ("</a>;rt=\"oma.lwm2m\",</b>;rt=\"oma.lwm2m\",</a/3>", json!(["/3"]), "/a"),
        ("</1>;title=\"a,b\"", json!(["/1", "b\""]), "/"),
    ] {
        assert_eq!(object_list(links), (objects, json!(alternate_path)), "{links}");
    }
}

#[test]
fn an_update_tells_the_whole_registration_if_the_condition_allows_it() {
    let update = |settings: &Settings, links_changed| {
        let registration = registration(&["ep=dev1", "lwm2m=1", "password=p"], "</3/0>");
        told(updated(settings, &Updated { client: client(), registration, links_changed, received: 0 })).0
    };
    let data = json!({ "ep": "dev1", "lwm2m": "1", "lt": 300, "objectList": ["/3/0"], "alternatePath": "/" });
    let expected = vec![("up/update".to_owned(), json!({ "msgType": "update", "data": data }))];
    assert_eq!(update(&strict(), false), expected);
    assert_eq!(update(&strict(), true), expected);
    let lists_only = settings(&json!({
        "compatibility": "strict", "update_msg_publish_condition": "contains_object_list"
    }));
    assert_eq!(update(&lists_only, false), []);
    assert_eq!(update(&lists_only, true), expected);
}

#[test]
fn a_second_register_from_the_same_address_is_over_the_first() {
    let first = registration(&["ep=dev1", "lt=300", "sms=1"], "</3/0>");
    let again = |links| Registration { lifetime: 60, ..registration(&["ep=dev1", "b=U"], links) };
    let (published, observed) = told(register(&strict(), again(""), Some(first.clone())));
    let data =
        json!({ "ep": "dev1", "lt": 60, "sms": "1", "b": "U", "objectList": ["/3/0"], "alternatePath": "/" });
    assert_eq!(published, [("up/register".to_owned(), json!({ "msgType": "register", "data": data }))]);
    // Observations are made again, which EMQX forgets.
    assert_eq!(observed, ["/3/0"]);
    let lists_only = settings(&json!({
        "compatibility": "strict", "update_msg_publish_condition": "contains_object_list"
    }));
    assert_eq!(told(register(&lists_only, again(""), Some(first.clone()))).0, []);
    assert_eq!(told(register(&lists_only, again("</3/0>"), Some(first.clone()))).0.len(), 1);
    // From another address it begins anew.
    let elsewhere = Registration { peer: "192.0.2.1:56831".into(), ..again("</1>") };
    let (published, _) = told(register(&lists_only, elsewhere, Some(first)));
    let data = json!({ "ep": "dev1", "lt": 60, "b": "U", "objectList": ["/1"], "alternatePath": "/" });
    assert_eq!(published[0].1["data"], data);
}

#[test]
fn an_update_without_the_root_link_keeps_the_alternate_path() {
    let after =
        Registration { alternate_path: "/lwm2m".into(), ..registration(&["ep=dev1"], "</lwm2m/3/0>") };
    let event = Updated { client: client(), registration: after, links_changed: true, received: 0 };
    let data = told(updated(&strict(), &event)).0[0].1["data"].clone();
    assert_eq!((&data["alternatePath"], &data["objectList"]), (&json!("/lwm2m"), &json!(["/3/0"])));
}

#[test]
fn the_end_of_a_registration_is_told_where_it_is_asked_for() {
    let end = |settings: &Settings, reason| {
        let registration = registration(&["ep=dev1"], "</3/0>");
        told(ended(settings, &Ended { client: client(), registration, reason, received: 0 })).0
    };
    assert_eq!(end(&strict(), End::Deregistered), []);
    assert_eq!(end(&settings(&json!({ "publish_deregister": false })), End::Expired), []);
    let asked = settings(&json!({ "compatibility": "strict", "publish_deregister": true }));
    for (reason, name) in
        [(End::Deregistered, "deregistered"), (End::Expired, "expired"), (End::Removed, "removed")]
    {
        let data = json!({ "reason": name, "lt": 300, "ep": "dev1" });
        let told = json!({ "msgType": "deregister", "data": data });
        assert_eq!(end(&asked, reason), [("up/register".to_owned(), told)]);
    }
}

#[test]
fn automatic_observations_are_of_what_is_registered_and_defined() {
    let all = "</1>,</1/0>,</2/0>,</3>,</3/0>,</5/0>,</6/0>,</3303/0>,</31024/10>,</x/1>,<>";
    let observed =
        |settings: Json| told(register(&self::settings(&settings), registration(&["ep=dev1"], all), None)).1;
    let strict = |of: Json| observed(json!({ "compatibility": "strict", "auto_observe": of }));
    assert_eq!(strict(json!(true)), ["/3", "/3/0"]);
    assert_eq!(strict(json!("on")), ["/3", "/3/0"]);
    assert!(
        strict(json!(false)).is_empty() && strict(json!("off")).is_empty() && strict(json!([])).is_empty()
    );
    // In the order of the list; not what is ignored otherwise; nothing without a definition.
    assert_eq!(strict(json!(["/5/0", "/3/0", "/3303/0", "/4", "/3/0/9"])), ["/5/0", "/3/0"]);
    assert_eq!(strict(json!("/1/0, /3/0")), ["/1/0", "/3/0"]);
    let more = json!({ "compatibility": "strict", "known_objects": [3303, 31024] });
    assert_eq!(observed(more), ["/3", "/3/0", "/3303/0", "/31024/10"]);
    // In fixed the gateway's definitions count, and what is below something that is registered.
    assert_eq!(observed(json!({})), ["/3", "/3/0", "/3303/0"]);
    assert_eq!(observed(json!({ "auto_observe": ["/3/0/9", "/3303/1/5700"] })), ["/3/0/9"]);
}

#[test]
fn topics_are_the_mountpoint_and_what_is_set_glued_together() {
    let of = settings(&json!({
        "compatibility": "strict", "mountpoint": "${clientid}-${username}/${zone}",
        "translators": { "register": { "topic": "/r" } }
    }));
    let topic = |queries: &[&str]| told(register(&of, registration(queries, ""), None)).0[0].0.clone();
    assert_eq!(topic(&["ep=dev1"]), "dev1-dev1/default/r");
    assert_eq!(topic(&["ep=dev1", "device_id=d", "imei=i"]), "d-i/default/r");
}
