use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    device: Device,
}

/// What was asked: method and path, the token, the body.
type Asked = Arc<Mutex<Vec<(String, String, Json)>>>;

/// A gateway that always answers the same, and notes what it was asked.
async fn gateway(answer: fn(&str) -> Response) -> (String, Asked) {
    let asked = Asked::default();
    let handle = async move |State(noted): State<Asked>, request: Request| {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let what = format!("{} {}", parts.method, parts.uri);
        let token = parts.headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap().to_owned());
        assert_eq!(parts.headers["x-tidegate"], "1");
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        noted.lock().unwrap().push((what.clone(), token.unwrap_or_default(), body));
        answer(&what)
    };
    let router = axum::Router::new().fallback(handle).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, asked)
}

async fn device(url: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let line = Line::try_parse_from(["device", "--url", url].into_iter().chain(arguments.iter().copied()));
    run(&line?.device).await
}

fn json(json: &Json) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}

fn done(_: &str) -> Response {
    json(&json!({ "endpoint": "a/b", "code": "2.04", "success": true, "took_ms": 12 }))
}

async fn body(arguments: &[&str]) -> (String, Json) {
    let (url, asked) = gateway(done).await;
    device(&url, arguments).await.unwrap();
    let (what, _, body) = asked.lock().unwrap().remove(0);
    (what, body)
}

#[tokio::test]
async fn each_operation_is_asked_for_as_it_was_typed() {
    let (what, read) = body(&["read", "a/b", "/3/0/9", "--format", "senml-json", "--timeout", "5"]).await;
    assert_eq!(what, "POST /api/v1/clients/a%2Fb/operations?timeout=5");
    assert_eq!(read, json!({ "operation": "read", "path": "/3/0/9", "format": "senml-json" }));
    let (_, read) = body(&["read", "x", "/3/0/9", "/1/0/1", "--format", "112"]).await;
    let paths = ["/3/0/9", "/1/0/1"];
    assert_eq!(read, json!({ "operation": "read-composite", "paths": paths, "format": 112 }));
    for (typed, value) in [("-21.5", json!(-21.5)), ("true", json!(true)), ("a b", json!("a b"))] {
        let (_, write) = body(&["write", "x", "/1/0/1", typed]).await;
        assert_eq!(write, json!({ "operation": "write", "path": "/1/0/1", "value": value }));
    }
    let (_, write) = body(&["write", "x", "/3/0/15", "12", "--text"]).await;
    assert_eq!(write["value"], "12");
    let (_, execute) = body(&["execute", "x", "/3/0/4", "0='now'"]).await;
    assert_eq!(execute, json!({ "operation": "execute", "path": "/3/0/4", "arguments": "0='now'" }));
    let (_, create) = body(&["create", "x", "/3311/7", "5850=true", "5851=40"]).await;
    let values = json!({ "5850": true, "5851": 40 });
    assert_eq!(create, json!({ "operation": "create", "path": "/3311/7", "values": values }));
    let (_, delete) = body(&["delete", "x", "/3311/7"]).await;
    assert_eq!(delete, json!({ "operation": "delete", "path": "/3311/7" }));
    let (_, discover) = body(&["discover", "x", "/3"]).await;
    assert_eq!(discover, json!({ "operation": "discover", "path": "/3" }));
}

#[tokio::test]
async fn a_list_goes_through_all_pages_if_it_is_to() {
    let pages = |what: &str| {
        let has_next = what.contains("page=1");
        json(
            &json!({ "data": [{ "endpoint": "x" }], "meta": { "page": 1, "count": 2, "has_next": has_next } }),
        )
    };
    let (url, asked) = gateway(pages).await;
    device(&url, &["list", "--all", "--search", "a&b", "--sort", "-updated_at"]).await.unwrap();
    let asked: Vec<String> = asked.lock().unwrap().iter().map(|(what, ..)| what.clone()).collect();
    let page = |page| format!("GET /api/v1/clients?page={page}&limit=1000&search=a%26b&sort=-updated_at");
    assert_eq!(asked, [page(1), page(2)]);
}

#[tokio::test]
async fn the_token_of_a_file_is_sent() {
    let (url, asked) = gateway(done).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "tg_secret\n").unwrap();
    device(&url, &["remove", "x", "--token-file", file.to_str().unwrap()]).await.unwrap();
    let asked = asked.lock().unwrap().remove(0);
    assert_eq!((asked.0.as_str(), asked.1.as_str()), ("DELETE /api/v1/clients/x", "Bearer tg_secret"));
    std::fs::write(&file, "\n").unwrap();
    let error = device(&url, &["remove", "x", "--token-file", file.to_str().unwrap()]).await.unwrap_err();
    assert!(format!("{error:#}").contains("it is empty"), "{error:#}");
}

fn code(error: &anyhow::Error) -> Option<u8> {
    error.downcast_ref::<Exit>().map(Exit::code)
}

#[tokio::test]
async fn a_script_can_tell_what_went_wrong() {
    let refused = |_: &str| json(&json!({ "code": "4.04", "success": false }));
    let error = device(&gateway(refused).await.0, &["read", "x", "/9/9/9"]).await.unwrap_err();
    assert_eq!((code(&error), error.to_string()), (Some(3), "x has answered 4.04".to_owned()));
    let late = |_: &str| (StatusCode::GATEWAY_TIMEOUT, r#"{"detail":"no answer"}"#).into_response();
    let error = device(&gateway(late).await.0, &["read", "x", "/3/0/9"]).await.unwrap_err();
    assert_eq!(code(&error), Some(4));
    let waiting = |_: &str| (StatusCode::ACCEPTED, r#"{"id":"7"}"#).into_response();
    let error = device(&gateway(waiting).await.0, &["read", "x", "/3/0/9"]).await.unwrap_err();
    assert_eq!(code(&error), Some(5));
    assert!(error.to_string().contains("operation 7"), "{error}");
    let unknown = |_: &str| (StatusCode::NOT_FOUND, r#"{"detail":"no client `x`"}"#).into_response();
    let error = device(&gateway(unknown).await.0, &["show", "x"]).await.unwrap_err();
    assert_eq!(code(&error), None);
    assert!(error.to_string().ends_with("/api/v1/clients/x: 404 Not Found: no client `x`"), "{error}");
}

#[tokio::test]
async fn who_asks_a_gateway_that_does_not_run_is_told_where_it_was_looked_for() {
    // Bound and never listened at, so that nobody else gets it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = device(&format!("http://127.0.0.1:{port}"), &["list"]).await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}: nobody listens there")), "{error}");
}

#[tokio::test]
async fn an_observation_prints_what_is_of_its_path_and_is_ended() {
    let events = |what: &str| match what.starts_with("GET") {
        true => {
            let event = |path: &str| {
                let data = json!({ "path": path, "values": [{ "path": path, "value": 21.5 }] });
                format!(": alive\n\nevent: notified\ndata: {data}\n\n")
            };
            let text = event("/3/0/9") + &event("/3303/0/5700") + &event("/3303/0/5700");
            ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
        }
        false => done(what),
    };
    let (url, asked) = gateway(events).await;
    device(&url, &["observe", "x", "/3303/0/5700", "--count", "2"]).await.unwrap();
    let asked = asked.lock().unwrap();
    let operations: Vec<&str> = asked.iter().filter_map(|(.., body)| body["operation"].as_str()).collect();
    assert_eq!(operations, ["observe", "cancel-observe"]);
    assert_eq!(asked[0].0, "GET /api/v1/events?types=notified&endpoint=x");
    drop(asked);
    let error = device(&url, &["observe", "x", "/3303/0/5700", "--count", "3", "--keep"]).await.unwrap_err();
    assert!(error.to_string().contains("ended the stream"), "{error}");
}

#[test]
fn what_is_no_path_or_resource_is_refused_before_anything_is_asked() {
    for (wrong, why) in [
        (["read", "x", "3/0"], "no path such as /3303/0/5700"),
        (["read", "x", "/3/0/x"], "no path"),
        (["read", "x", "/70000"], "no path"),
        (["create", "x", "/1/2/3/4/5"], "no path"),
    ] {
        let error = Line::try_parse_from(["device"].into_iter().chain(wrong)).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = Line::try_parse_from(["device", "create", "x", "/3311", "5850"]).err().unwrap().to_string();
    assert!(error.contains("RESOURCE=VALUE"), "{error}");
}

#[test]
fn people_see_values_with_their_names_and_units() {
    let value = json!({ "path": "/3303/0/5700", "name": "Sensor Value", "value": 21.5, "units": "Cel", "type": "float" });
    let outcome = json!({ "code": "2.05", "success": true, "took_ms": 31.4, "values": [value] });
    let expected = "2.05, 31 ms\nPATH          NAME          VALUE  UNITS  TYPE\n/3303/0/5700  Sensor Value  21.5   Cel    float\n";
    assert_eq!(told::outcome(&outcome), expected);
    let event = json!({ "at": "2026-11-24T10:00:00Z", "values": [value] });
    assert_eq!(told::notification(&event), "2026-11-24T10:00:00Z  /3303/0/5700  21.5 Cel\n");
    let links = json!([{ "target": "/3/0", "attributes": { "pmin": "10" } }]);
    let text = told::outcome(&json!({ "code": "2.05", "links": links }));
    assert!(text.contains("/3/0  pmin=10"), "{text}");
}

#[test]
fn people_see_who_is_there_and_whether_there_are_more() {
    let client = json!({ "endpoint": "meter-1", "address": "192.0.2.7:56830", "transport": "dtls", "lwm2m_version": "1.1",
        "lifetime_s": 300, "queue_mode": true, "awake": false, "updated_at": "2026-11-24T10:00:00Z" });
    let meta = json!({ "page": 1, "limit": 1, "count": 3, "has_next": true });
    let text = told::clients(&[client], &meta, false);
    for part in ["meter-1   192.0.2.7:56830", "asleep", "300 s", "1 of 3 clients; --page 2 has more\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
