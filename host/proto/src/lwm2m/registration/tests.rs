use proptest::prelude::*;

use super::*;

fn register(queries: &[&str], links: &str) -> Result<Registration, Rejection> {
    let peer = Peer::plain("127.0.0.1:5683".parse().unwrap());
    let queries = queries.iter().map(|query| query.as_bytes());
    Registration::from_register(queries, links.as_bytes(), peer, "/rd/x".into(), None, &mut Shared::default())
}

fn rejected(queries: &[&str]) -> (Code, String) {
    let rejection = register(queries, "").expect_err("must not be taken");
    (rejection.code, rejection.diagnostic)
}

fn update(
    registration: &Registration,
    queries: &[&str],
    links: &str,
) -> Result<(Registration, bool), Rejection> {
    let queries = queries.iter().map(|query| query.as_bytes());
    registration.updated(queries, links.as_bytes(), registration.peer, &mut Shared::default())
}

fn paths(registration: &Registration) -> Vec<String> {
    registration.objects.iter().map(|link| link.path.to_string()).collect()
}

#[test]
fn wakaama_registers() {
    let links = r#"</>;rt="oma.lwm2m";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</31024>;ver=1.0,</31024/10>"#;
    let of = register(&["lwm2m=1.1", "ep=testlwm2mclient", "b=U", "lt=300"], links).unwrap();
    assert_eq!(&*of.endpoint, "testlwm2mclient");
    assert_eq!((of.version, of.lifetime, &*of.binding, of.queue_mode), (Version::V1_1, 300, "U", false));
    assert_eq!(&*of.alternate_path, "/");
    assert_eq!(paths(&of), ["/1", "/1/0", "/2/0", "/31024", "/31024/10"]);
    assert_eq!(of.object_version(31024), Some("1.0"));
    assert_eq!(of.object_version(2), None);
    assert_eq!(of.content_formats.as_deref(), Some(&[110][..]));
    assert_eq!(&*of.links, links.as_bytes());
    assert_eq!(of.parameters[0], ("lwm2m".into(), Some("1.1".into())));
}

#[test]
fn leshan_and_anjay_register() {
    let links = r#"</>;rt="oma.lwm2m";ct="60 110 112 11542 11543",</1>;ver="1.1",</1/0>"#;
    let of = register(&["Q", "b=UT", "lwm2m=1.2", "lt=30", "ep=a"], links).unwrap();
    assert!(of.queue_mode);
    assert_eq!(of.version, Version::V1_2);
    assert_eq!(of.object_version(1), Some("1.1"));
    assert_eq!(of.content_formats.as_deref(), Some(&[60, 110, 112, 11542, 11543][..]));
    assert_eq!(of.parameters[0], ("Q".into(), None));
    assert_eq!(register(&["lwm2m=1.0", "ep=a"], "</1/1>").unwrap().content_formats, None);
}

#[test]
fn a_query_is_split_at_the_first_equals_sign_and_the_latest_counts() {
    let of = register(&["ep=a", "x=1=2", "flag", "lwm2m=1", "x=3=4", "ep=b"], "").unwrap();
    assert_eq!(&*of.endpoint, "b");
    assert_eq!(of.version, Version::V1_0);
    let names: Vec<_> = of.parameters.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["ep", "x", "flag", "lwm2m"]);
    assert_eq!(of.parameter("x"), Some("3=4"));
    assert_eq!(of.parameter("flag"), None);
    assert_eq!(of.lifetime, 86_400);
}

#[test]
fn a_bad_endpoint_name_is_a_bad_request() {
    assert_eq!(rejected(&["lwm2m=1.0"]), (Code::BAD_REQUEST, "missing ep".into()));
    assert_eq!(rejected(&["lwm2m=1.0", "ep="]), (Code::BAD_REQUEST, "missing ep".into()));
    assert_eq!(rejected(&["lwm2m=1.0", "ep"]), (Code::BAD_REQUEST, "missing ep".into()));
    let long = format!("ep={}", "e".repeat(256));
    assert_eq!(rejected(&["lwm2m=1.0", &long]).1, "ep is longer than 255 bytes");
    assert!(register(&["lwm2m=1.0", &long[..long.len() - 1]], "").is_ok());
    assert_eq!(rejected(&["lwm2m=1.0", "ep=a\nb"]).1, "ep holds a control character");
    assert!(register(&["lwm2m=1.0", "ep=urn:imei:1/#+ é"], "").is_ok());
}

#[test]
fn an_unknown_version_is_a_failed_precondition() {
    let expected = "unsupported LwM2M version \"8.3\"; 1.0, 1.1 and 1.2 are";
    assert_eq!(rejected(&["ep=a", "lwm2m=8.3"]), (Code::PRECONDITION_FAILED, expected.into()));
    assert_eq!(rejected(&["ep=a"]).0, Code::PRECONDITION_FAILED);
    let long = format!("lwm2m={}", "é".repeat(100));
    assert!(rejected(&["ep=a", &long]).1.len() < 100);
}

#[test]
fn a_bad_lifetime_is_a_bad_request() {
    for lifetime in ["lt=", "lt", "lt=-1", "lt=+1", "lt=1.5", "lt=4294967296", "lt=x"] {
        assert_eq!(rejected(&["ep=a", "lwm2m=1.0", lifetime]).0, Code::BAD_REQUEST, "{lifetime}");
    }
    assert_eq!(register(&["ep=a", "lwm2m=1.0", "lt=4294967295"], "").unwrap().lifetime, u32::MAX);
    assert_eq!(register(&["ep=a", "lwm2m=1.0", "lt=0"], "").unwrap().lifetime, 0);
}

#[test]
fn queue_mode_has_many_names() {
    for query in ["Q", "b=UQ", "b=SQ", "b=UQS", "apn=Ctnb", "apn=psmF.eDRXC.ctnb"] {
        assert!(register(&["ep=a", "lwm2m=1.0", query], "").unwrap().queue_mode, "{query}");
    }
    for query in ["b=U", "b=", "b", "apn=ctnb", "q"] {
        assert!(!register(&["ep=a", "lwm2m=1.0", query], "").unwrap().queue_mode, "{query}");
    }
}

#[test]
fn links_below_the_alternate_path_lose_it() {
    let base = ["ep=a", "lwm2m=1.0"];
    for root in ["</lwm2m>;rt=\"oma.lwm2m\"", "</lwm2m/>;ct=110;rt=oma.lwm2m", "</lwm2m>;rt=\"x oma.lwm2m\""]
    {
        let links = format!("</lwm2m/1/0>,{root},</lwm2m/3/0>,</lwm2m2/4/0>,</5/0>,</lwm2m/x>,</sensors>");
        let of = register(&base, &links).unwrap();
        assert_eq!(&*of.alternate_path, "/lwm2m", "{root}");
        assert_eq!(paths(&of), ["/1/0", "/3/0", "/5/0"], "{root}");
    }
    let of = register(&base, "</a/b>;rt=oma.lwm2m,</a/b/3>,</a/3>").unwrap();
    assert_eq!((&*of.alternate_path, paths(&of)), ("/a/b", vec!["/3".to_owned()]));
}

#[test]
fn an_update_merges_parameters_and_replaces_links() {
    let of = register(&["ep=a", "lwm2m=1.1", "lt=60"], "</l>;rt=oma.lwm2m,</l/1/0>,</l/3/0>").unwrap();
    let (after, links_changed) = update(&of, &["lt=90", "b=UQ", "ep=other"], "").unwrap();
    assert!(!links_changed);
    assert_eq!((after.lifetime, after.queue_mode, &*after.endpoint), (90, true, "a"));
    assert_eq!((&after.objects, &after.links), (&of.objects, &of.links));
    assert_eq!(after.parameter("ep"), Some("other"));
    let names: Vec<_> = after.parameters.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["ep", "lwm2m", "lt", "b"]);

    let (after, links_changed) = update(&after, &[], "</l/1/0>,</l/5/0>").unwrap();
    assert!(links_changed);
    assert_eq!((&*after.alternate_path, after.lifetime), ("/l", 90));
    assert_eq!(paths(&after), ["/1/0", "/5/0"]);
    let (after, _) = update(&after, &[], "</>;rt=oma.lwm2m,</7/0>").unwrap();
    assert_eq!((&*after.alternate_path, paths(&after)), ("/", vec!["/7/0".to_owned()]));
}

#[test]
fn a_bad_update_is_a_bad_request() {
    let of = register(&["ep=a", "lwm2m=1.1"], "").unwrap();
    assert_eq!(update(&of, &["lt=x"], "").unwrap_err().code, Code::BAD_REQUEST);
    let error = update(&of, &[], "</3/0>,nonsense").unwrap_err();
    assert_eq!(error.diagnostic, "link-format, byte 7: expected `<`");
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let mut of = register(&["ep=a", "lwm2m=1.1"], "").unwrap();
    for number in 2..MAX_PARAMETERS {
        of = update(&of, &[&format!("p{number}")], "").unwrap().0;
    }
    assert_eq!(update(&of, &["one-more"], "").unwrap_err().diagnostic, "more than 64 query parameters");
    assert!(update(&of, &["p2=known"], "").is_ok());
}

proptest! {
    #[test]
    fn no_register_panics(queries: Vec<Vec<u8>>, payload in "([<>;=,\"/a1é]|oma.lwm2m|rt=){0,40}") {
        let peer = Peer::plain("127.0.0.1:5683".parse().unwrap());
        let sound: [&[u8]; 2] = [b"ep=a", b"lwm2m=1.0"];
        let queries = sound.into_iter().chain(queries.iter().map(Vec::as_slice));
        let _ = Registration::from_register(queries, payload.as_bytes(), peer, "/rd/x".into(), None, &mut Shared::default());
    }
}
