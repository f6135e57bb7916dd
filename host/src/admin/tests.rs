use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use axum::http::Method;
use serde_json::json;

use super::*;
use crate::bridge::Shared;
use crate::config::{BrokerAddress, Mqtt};
use crate::mqtt::{Outbox, Session, SessionOptions};
use crate::plugin::{Artifact, Engine, Generation, Limits, Policy, Slot};

/// A gateway's view of itself without a client, and what has to outlive it.
fn view() -> (View, Session) {
    let limits = Limits::default();
    let engine = Engine::new(&limits).unwrap();
    let artifact = Artifact::built_in("emqx").unwrap();
    let generation = Generation::prove(&engine, &artifact, &json!({}), &limits).unwrap();
    let slot = Arc::new(Slot::new("emqx", Policy::default(), generation));
    let routing = Routing::new(vec![slot], [], [], Some("emqx")).unwrap();
    let board = BTreeMap::from([("emqx".to_owned(), json!({ "state": "active" }))]);
    let (_lanes, drain) = Outbox::in_memory(1, 1);
    let options = SessionOptions::new(&Mqtt::default(), BrokerAddress::tcp("127.0.0.1", 9)).unwrap();
    let (session, _incoming) = Session::start(&options, drain, Vec::new()).unwrap();
    let shared = Shared::new(Directory::new(), Models::built_in(), routing);
    let view = View {
        session: session.gauge(),
        translators: Arc::new(ArcSwap::from_pointee(board)),
        routing: Arc::clone(&shared.routing),
        models: Arc::clone(&shared.models),
        directory: Arc::clone(&shared.directory),
        operator: Operator::new(&shared, Vec::new()),
        answers: shared.answers.clone(),
        feed: shared.feed.clone(),
        series: Series::default(),
        started: Clock::timestamp(),
        commands: session.incoming(),
        credentials: None,
        shards: Vec::new(),
        clock: shared.clock,
        outbox: Outbox::in_memory(1, 1).1.gauge(),
        tallies: vec![Tally::new()],
        receivers: ReceiveBuffers::default(),
        store: None,
    };
    (view, session)
}

fn door(http: &Http) -> (Door, SocketAddr) {
    let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
    let door = Door::open(&Http { listen, ..http.clone() }).unwrap();
    let address = door.listeners[0].local_addr().unwrap();
    (door, address)
}

/// What is answered to a request with these header lines.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).unwrap();
        answer.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&answer);
        // Events never end.
        let is_stream = text.contains("text/event-stream") && text.contains("\r\n\r\n");
        if count == 0 || is_stream {
            return text.into_owned();
        }
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_tools_see_the_translators() {
    let (view, _session) = view();
    let (door, address) = door(&Http::default());
    let taken = Door::open(&Http { listen: vec![address], ..Http::default() }).unwrap_err();
    assert!(taken.to_string().contains(&format!("[http] listen: {address}")));
    let (stop, stopped) = watch::channel(false);
    door.serve(&view, &stopped).unwrap();
    let pages = tokio::task::spawn_blocking(move || {
        ["/healthz", "/status", "/metrics", "/api/nothing", "/readyz"]
            .map(|path| ask(address, "GET", path, ""))
    });
    let [health, status, metrics, nothing, ready] = pages.await.unwrap();
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    assert!(
        status.contains("application/json") && status.contains("\"emqx\":{\"state\":\"active\"}"),
        "{status}"
    );
    let expected = "tidegate_translator_state{translator=\"emqx\",state=\"active\"} 1\n";
    assert!(metrics.contains(expected) && metrics.contains("tidegate_clients 0\n"), "{metrics}");
    assert!(status.contains("\"waiting\":0") && metrics.contains("tidegate_outbox_publications 0\n"));
    assert!(status.contains("\"broker\":\"mqtt://127.0.0.1:9\""), "{status}");
    assert!(metrics.contains("tidegate_mqtt_dropped_total{reason=\"unfit\"} 0\n"), "{metrics}");
    assert!(status.contains("\"store\":null") && metrics.contains("tidegate_coap_received_total 0\n"));
    assert!(nothing.starts_with("HTTP/1.1 404") && nothing.contains("application/problem+json"), "{nothing}");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("broker is not connected"), "{ready}");
    drop(stop);
}

/// Each route is asked by each role: what is not allowed is 401 or 403, and what is allowed is neither.
#[tokio::test(flavor = "multi_thread")]
async fn each_route_is_for_the_role_that_it_names_and_those_above() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let mut file = TokenFile::open(&tokens).unwrap();
    let roles = [Role::Read, Role::Operate, Role::Admin];
    let bearers = roles.map(|role| {
        let token = file.add(&role.to_string(), role).unwrap();
        (role, format!("Authorization: Bearer {token}\r\nX-Tidegate: 1\r\n"))
    });
    let (view, _session) = view();
    let (door, address) = door(&Http { tokens: Some(tokens), ..Http::default() });
    let (_stop, stopped) = watch::channel(false);
    door.serve(&view, &stopped).unwrap();
    let walk = tokio::task::spawn_blocking(move || {
        for route in table().routes() {
            let path = example(route.path);
            let ask = |headers: &str| ask(address, route.method.as_str(), &path, headers);
            let Some(needed) = route.need.role else {
                assert!(![401, 403].contains(&status(&ask(""))), "{route:?}");
                assert_eq!(route.method, Method::GET, "{route:?}: open to everybody");
                continue;
            };
            for (name, headers) in [
                ("nobody", "X-Tidegate: 1\r\n"),
                ("a wrong token", "Authorization: Bearer tg_wrong\r\nX-Tidegate: 1\r\n"),
                ("no token", "Authorization: Basic YTpi\r\nX-Tidegate: 1\r\n"),
            ] {
                let answer = ask(headers);
                assert_eq!(status(&answer), 401, "{route:?} {name}: {answer}");
                assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
            }
            for (role, headers) in &bearers {
                let answer = ask(headers);
                let is_refused = [401, 403].contains(&status(&answer));
                assert_eq!(is_refused, *role < needed, "{route:?} as {role}: {answer}");
            }
            if route.method != Method::GET {
                assert!(
                    needed >= Role::Operate || READ_ONLY.contains(&route.path),
                    "{route:?} changes something"
                );
            }
        }
    });
    walk.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_gets_nothing() {
    let (view, _session) = view();
    let (door, address) = door(&Http::default());
    let (_stop, stopped) = watch::channel(false);
    door.serve(&view, &stopped).unwrap();
    let walk = tokio::task::spawn_blocking(move || {
        for route in table().routes() {
            let path = example(route.path);
            let ask = |headers: &str| ask(address, route.method.as_str(), &path, headers);
            assert_eq!(status(&ask("Host: evil.example\r\n")), 421, "{route:?}");
            let answer = ask("Origin: https://evil.example\r\nX-Tidegate: 1\r\n");
            assert_eq!(status(&answer), 403, "{route:?}");
            assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
            if !route.method.is_safe() {
                let form = "Content-Type: text/plain\r\nSec-Fetch-Site: same-site\r\n";
                assert_eq!(status(&ask(form)), 415, "{route:?}");
            }
        }
    });
    walk.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_same_is_answered() {
    use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let (view, _session) = view();
    let (door, address) = door(&Http { certificate: Some((certificate, key.clone())), ..Http::default() });
    let (_stop, stopped) = watch::channel(false);
    door.serve(&view, &stopped).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let stream = TcpStream::connect(address).unwrap();
        let mut stream = connector.build().connect("localhost", stream).unwrap();
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().ends_with("ok\n"));
    std::fs::write(&key, "no key").unwrap();
    let http = Http { listen: Vec::new(), certificate: Some((key.clone(), key.clone())), ..Http::default() };
    let error = Door::open(&http).unwrap_err().to_string();
    assert!(error.contains("http.certificate") && error.contains(&key.display().to_string()), "{error}");
}

fn certificate(folder: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::{X509, X509Name};
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let (certificate_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate_file, builder.build().to_pem().unwrap()).unwrap();
    std::fs::write(&key_file, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (certificate_file, key_file)
}

/// A path that a route takes.
fn example(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with([':', '*']) { "1" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Not GET, but they only ask; what of them changes something is checked by the handler.
const READ_ONLY: [&str; 1] = ["/api/v1/clients/:endpoint/operations"];
