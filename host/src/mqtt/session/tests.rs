use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::Embedded;
use crate::mqtt::{EmbeddedBroker, EmbeddedBrokerError, Lane, Outbox, Properties, Refusal};

const GUARD: Duration = Duration::from_secs(20);

async fn guarded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.expect("it happens in time")
}

fn options(version: MqttVersion, port: u16) -> SessionOptions {
    let mqtt = Mqtt { version, status_topic: None, ..Mqtt::default() };
    SessionOptions::new(&mqtt, BrokerAddress::tcp("127.0.0.1", port)).unwrap()
}

fn start(options: &SessionOptions, filters: &[&str]) -> (Session, mpsc::Receiver<Publication>, Lane) {
    let (mut lanes, drain) = Outbox::in_memory(1, 64);
    let wanted = |filter: &&str| Subscription { filter: (*filter).into(), qos: QoS::AtLeastOnce };
    let (session, incoming) = Session::start(options, drain, filters.iter().map(wanted).collect()).unwrap();
    (session, incoming, lanes.remove(0))
}

async fn until(session: &Session, condition: impl FnMut(&Connection) -> bool) -> Connection {
    guarded(session.connection().wait_for(condition)).await.expect("the session lives").clone()
}

fn numbered(number: u32, qos: QoS) -> Publication {
    Publication {
        topic: "up/test".into(),
        payload: number.to_be_bytes().into(),
        qos,
        ..Publication::default()
    }
}

fn number(publication: &Publication) -> u32 {
    u32::from_be_bytes(publication.payload.as_slice().try_into().unwrap())
}

async fn broker() -> (EmbeddedBroker, u16) {
    let embedded = Embedded { listen: vec![(Ipv4Addr::LOCALHOST, 0).into()] };
    let broker = EmbeddedBroker::start(&embedded, 1 << 20).await.unwrap();
    let port = broker.listening()[0].port();
    (broker, port)
}

async fn order_is_kept(version: MqttVersion) {
    let (_broker, port) = broker().await;
    let (session, mut incoming, mut lane) = start(&options(version, port), &["up/#"]);
    until(&session, |connection| connection.subscribed).await;
    for n in 0..40 {
        lane.offer(vec![numbered(n, QoS::AtLeastOnce)]).unwrap();
    }
    for n in 0..40 {
        assert_eq!(number(&guarded(incoming.recv()).await.unwrap()), n);
    }
    assert_eq!(session.counts().received, 40);
    guarded(session.shutdown(Duration::from_secs(5))).await.unwrap();
    assert_eq!(lane.offer(vec![numbered(0, QoS::AtMostOnce)]).unwrap_err().reason, Refusal::Closed);
}

#[tokio::test]
async fn order_is_kept_v4() {
    order_is_kept(MqttVersion::V4).await;
}

#[tokio::test]
async fn order_is_kept_v5() {
    order_is_kept(MqttVersion::V5).await;
}

// rumqttd delivers at the subscription's quality of service even where the message's is lower.
#[tokio::test]
async fn both_versions_meet_at_the_embedded_broker() {
    let (_broker, port) = broker().await;
    let (five, mut to_five, mut from_five) = start(&options(MqttVersion::V5, port), &["up/#"]);
    let (four, mut to_four, mut from_four) = start(&options(MqttVersion::V4, port), &["up/#"]);
    until(&five, |connection| connection.subscribed).await;
    until(&four, |connection| connection.subscribed).await;
    for (n, lane) in [(1, &mut from_five), (2, &mut from_four)] {
        lane.offer(vec![numbered(n, QoS::AtLeastOnce)]).unwrap();
        assert_eq!(guarded(to_five.recv()).await.unwrap(), numbered(n, QoS::AtLeastOnce));
        assert_eq!(guarded(to_four.recv()).await.unwrap(), numbered(n, QoS::AtLeastOnce));
    }
}

#[tokio::test]
async fn properties_go_both_ways() {
    let (_broker, port) = broker().await;
    let (session, mut incoming, mut lane) = start(&options(MqttVersion::V5, port), &["up/#"]);
    until(&session, |connection| connection.subscribed).await;
    let properties = Properties {
        response_topic: Some("reply/here".into()),
        correlation: Some(vec![0, 255]),
        expiry: Some(60),
        content_type: Some("application/json".into()),
        user: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
    };
    let sent = Publication { properties: Some(Box::new(properties)), ..numbered(1, QoS::AtLeastOnce) };
    lane.offer(vec![sent.clone()]).unwrap();
    assert_eq!(guarded(incoming.recv()).await.unwrap(), sent);
}

#[tokio::test]
async fn what_mqtt_forbids_is_dropped_and_the_rest_goes_on() {
    let (_broker, port) = broker().await;
    let (session, mut incoming, mut lane) = start(&options(MqttVersion::V5, port), &["up/#"]);
    until(&session, |connection| connection.subscribed).await;
    let forbidden = Publication { topic: "up/#".into(), ..numbered(1, QoS::AtLeastOnce) };
    let huge = Publication { payload: vec![0; 9 << 20], ..numbered(2, QoS::AtLeastOnce) };
    lane.offer(vec![forbidden, huge, numbered(3, QoS::AtLeastOnce)]).unwrap();
    assert_eq!(number(&guarded(incoming.recv()).await.unwrap()), 3);
    assert_eq!(session.counts().unfit, 2);
    assert!(session.connection().borrow().connected);
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = EmbeddedBroker::start(&Embedded { listen: vec![address] }, 1 << 20).await.unwrap_err();
    assert!(matches!(error, EmbeddedBrokerError::InUse { address: named } if named == address));
    assert!(error.to_string().contains(&format!("broker = \"mqtt://{address}\"")), "{error}");
}

/// A broker of a few lines, MQTT 3.1.1, so that it can do what a real one does only on a bad day.
struct Fake {
    listener: TcpListener,
}

impl Fake {
    async fn listen() -> (Self, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self { listener }, port)
    }

    /// Takes a connection and answers its CONNECT.
    async fn accept(&self, code: u8) -> TcpStream {
        let (mut stream, _) = guarded(self.listener.accept()).await.unwrap();
        let (first, _) = packet(&mut stream).await;
        assert_eq!(first >> 4, 1, "CONNECT");
        stream.write_all(&[0x20, 2, 0, code]).await.unwrap();
        stream
    }
}

/// Reads one short packet: its first byte and what follows the length.
async fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    guarded(async {
        let first = stream.read_u8().await.unwrap();
        let length = stream.read_u8().await.unwrap();
        assert!(length < 128, "a short packet");
        let mut rest = vec![0; usize::from(length)];
        stream.read_exact(&mut rest).await.unwrap();
        (first, rest)
    })
    .await
}

/// Reads the PUBLISH packets of QoS 1 with these numbers, in order, and returns their packet identifiers.
async fn publishes(stream: &mut TcpStream, numbers: impl IntoIterator<Item = u32>) -> Vec<[u8; 2]> {
    let mut identifiers = Vec::new();
    for expected in numbers {
        let (first, rest) = packet(stream).await;
        assert_eq!(first, 0x32, "PUBLISH, QoS 1, not marked as sent before");
        let [.., high, low, a, b, c, d] = rest[..] else { panic!("{rest:?}") };
        assert_eq!(u32::from_be_bytes([a, b, c, d]), expected);
        identifiers.push([high, low]);
    }
    identifiers
}

#[tokio::test]
async fn nothing_unacknowledged_is_lost_when_the_broker_forgets_the_session() {
    let (fake, port) = Fake::listen().await;
    let (session, _incoming, mut lane) = start(&options(MqttVersion::V4, port), &[]);
    lane.offer((0..3).map(|n| numbered(n, QoS::AtLeastOnce)).collect()).unwrap();
    let mut first = fake.accept(0).await;
    let identifiers = publishes(&mut first, 0..3).await;
    let [high, low] = identifiers[0];
    first.write_all(&[0x40, 2, high, low]).await.unwrap();
    guarded(async {
        while session.counts().acknowledged == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(first);
    until(&session, |connection| !connection.connected && connection.error.is_some()).await;
    lane.offer(vec![numbered(3, QoS::AtLeastOnce)]).unwrap();

    let mut second = fake.accept(0).await;
    publishes(&mut second, 1..4).await;
}

#[tokio::test]
async fn more_than_a_window_is_carried_over_in_order() {
    let (fake, port) = Fake::listen().await;
    let (mut lanes, drain) = Outbox::in_memory(1, 1000);
    let (session, _incoming) = Session::start(&options(MqttVersion::V4, port), drain, Vec::new()).unwrap();
    lanes[0].offer((0..500).map(|n| numbered(n, QoS::AtLeastOnce)).collect()).unwrap();
    // They fill the window; none is acknowledged.
    let mut first = fake.accept(0).await;
    publishes(&mut first, 0..200).await;
    drop(first);
    until(&session, |connection| connection.error.is_some()).await;

    let mut second = fake.accept(0).await;
    for expected in 0..500 {
        let identifiers = publishes(&mut second, [expected]).await;
        let [high, low] = identifiers[0];
        second.write_all(&[0x40, 2, high, low]).await.unwrap();
    }
}

#[tokio::test]
async fn while_the_broker_is_away_the_outbox_fills_and_refuses() {
    let (fake, port) = Fake::listen().await;
    drop(fake);
    let (session, _incoming, mut lane) = start(&options(MqttVersion::V4, port), &[]);
    let connection = until(&session, |connection| connection.error.is_some()).await;
    assert!(connection.error.unwrap().contains("connection refused"));
    lane.offer((0..64).map(|n| numbered(n, QoS::AtLeastOnce)).collect()).unwrap();
    assert_eq!(lane.offer(vec![numbered(64, QoS::AtLeastOnce)]).unwrap_err().reason, Refusal::Full);
    let unsent = guarded(session.shutdown(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(unsent, Unsent { publications: 64, kept: false });
}

#[tokio::test]
async fn bad_credentials_are_named() {
    let (fake, port) = Fake::listen().await;
    let (session, _incoming, _lane) = start(&options(MqttVersion::V4, port), &[]);
    let _stream = fake.accept(4).await;
    let connection = until(&session, |connection| connection.error.is_some()).await;
    assert!(connection.error.unwrap().contains("`password-file`"));
}

#[tokio::test]
async fn a_refused_subscription_is_named_and_the_next_connection_asks_again() {
    let (fake, port) = Fake::listen().await;
    let (session, _incoming, _lane) = start(&options(MqttVersion::V4, port), &["dn/#", "secret/#"]);
    for _ in 0..2 {
        let mut stream = fake.accept(0).await;
        let (first, rest) = packet(&mut stream).await;
        assert_eq!(first, 0x82, "SUBSCRIBE");
        stream.write_all(&[0x90, 4, rest[0], rest[1], 1, 0x80]).await.unwrap();
        let connection = until(&session, |connection| connection.subscribed).await;
        let refused: Vec<&str> = connection.refused.iter().map(|refused| refused.filter.as_str()).collect();
        assert_eq!(refused, ["secret/#"]);
        drop(stream);
        until(&session, |connection| !connection.connected).await;
    }
}

#[tokio::test]
async fn a_changed_set_of_subscriptions_is_told_to_the_broker() {
    let (fake, port) = Fake::listen().await;
    let (session, _incoming, _lane) = start(&options(MqttVersion::V4, port), &["old/#"]);
    let mut stream = fake.accept(0).await;
    assert_eq!(packet(&mut stream).await.0, 0x82, "SUBSCRIBE");
    session.subscriber().subscribe(vec![Subscription { filter: "new/#".into(), qos: QoS::AtMostOnce }]);
    let (first, rest) = packet(&mut stream).await;
    assert_eq!((first, &rest[4..]), (0xa2, b"old/#".as_slice()), "UNSUBSCRIBE");
    let (first, rest) = packet(&mut stream).await;
    assert_eq!((first, &rest[4..9]), (0x82, b"new/#".as_slice()), "SUBSCRIBE");
}

#[tokio::test]
async fn shutdown_sends_what_waits_and_then_disconnects() {
    let (fake, port) = Fake::listen().await;
    let (session, _incoming, mut lane) = start(&options(MqttVersion::V4, port), &[]);
    lane.offer((0..5).map(|n| numbered(n, QoS::AtLeastOnce)).collect()).unwrap();
    let served = async {
        let mut stream = fake.accept(0).await;
        for [high, low] in publishes(&mut stream, 0..5).await {
            stream.write_all(&[0x40, 2, high, low]).await.unwrap();
        }
        assert_eq!(packet(&mut stream).await.0, 0xe0, "DISCONNECT");
    };
    let (result, ()) = tokio::join!(guarded(session.shutdown(Duration::from_secs(10))), served);
    assert_eq!(result, Ok(()));
}

#[test]
fn a_password_is_read_from_its_file_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let mqtt = Mqtt { username: Some("u".into()), password_file: Some(file), ..Mqtt::default() };
    let options = SessionOptions::new(&mqtt, BrokerAddress::tcp("b", 1)).unwrap();
    assert_eq!(options.credentials.as_ref().unwrap().password, "s3cret");
    assert!(!format!("{options:?}").contains("s3cret"));

    let missing = Mqtt { password_file: Some("no/such/file".into()), ..mqtt };
    let error = SessionOptions::new(&missing, BrokerAddress::tcp("b", 1)).unwrap_err().to_string();
    assert!(error.contains("mqtt.password-file: no/such/file"), "{error}");
}
