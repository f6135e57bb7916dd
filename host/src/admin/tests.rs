use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use super::*;
use crate::config::{BrokerAddress, Mqtt};
use crate::mqtt::{Outbox, Session, SessionOptions};
use crate::plugin::{Artifact, Engine, Generation, Limits, Policy, Slot};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_tools_see_the_translators() {
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
    let view = View {
        session: session.gauge(),
        translators: Arc::new(ArcSwap::from_pointee(board)),
        routing: Arc::new(ArcSwap::from_pointee(routing)),
        directory: Arc::new(Directory::new()),
        outbox: Outbox::in_memory(1, 1).1.gauge(),
        tallies: vec![Tally::new()],
        receivers: ReceiveBuffers::default(),
        store: None,
    };
    let listeners = bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
    let address = listeners[0].local_addr().unwrap();
    assert!(bind(&[address]).unwrap_err().to_string().contains(&format!("[http] listen: {address}")));
    let (stop, stopped) = watch::channel(false);
    serve(listeners, &view, &stopped).unwrap();
    let pages = tokio::task::spawn_blocking(move || {
        ["/healthz", "/status", "/metrics", "/nothing"].map(|path| get(address, path))
    });
    let [health, status, metrics, nothing] = pages.await.unwrap();
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
    assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
    drop(stop);
}
