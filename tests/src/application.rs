//! The application on the MQTT side: publishes commands, collects everything that is published.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS, v5};
use serde_json::Value as Json;

use crate::inbox::Inbox;

/// A client of the broker that is subscribed to every topic. What it publishes itself it does not see.
#[derive(Debug)]
pub struct Application {
    client: AnyClient,
    inbox: Arc<Inbox<Message>>,
    statuses: Arc<Inbox<Message>>,
    own_topics: Arc<Mutex<HashSet<String>>>,
    ready: Arc<Inbox<()>>,
    closing: Arc<AtomicBool>,
}

/// Which protocol the application speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

/// A publication as it arrived.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS it was delivered with: the lower of that of the publication and that of the subscription (2).
    pub qos: u8,
    /// Retain flag.
    pub retain: bool,
    /// Correlation Data, of MQTT 5.
    pub correlation: Option<Vec<u8>>,
    /// Content Type, of MQTT 5.
    pub content_type: Option<String>,
    /// User Properties, of MQTT 5.
    pub user: Vec<(String, String)>,
}

enum AnyClient {
    V4(Client),
    V5(v5::Client),
}

impl std::fmt::Debug for AnyClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::V4(_) => "MQTT 3.1.1",
            Self::V5(_) => "MQTT 5",
        })
    }
}

impl Application {
    /// Connect to the broker on this loopback port and subscribe.
    pub fn connect(port: u16, version: MqttVersion) -> Result<Self> {
        Self::connect_to(port, version, false)
    }

    /// Connect with MQTT 5 and subscribe, and again after each loss of the connection; the session is to be kept meanwhile. What
    /// the broker repeats then arrives twice.
    pub fn connect_for_good(port: u16) -> Result<Self> {
        Self::connect_to(port, MqttVersion::V5, true)
    }

    /// Its connection is about to end: what has told of a subscription so far is over.
    pub fn lose_subscription(&self) {
        self.ready.drain();
    }

    /// Wait until it is subscribed again, which it must have been told to be for good.
    pub fn subscribed_again(&self) -> Result<()> {
        self.ready.take("answer to the subscription", |()| true)
    }

    fn connect_to(port: u16, version: MqttVersion, for_good: bool) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let statuses = Arc::new(Inbox::default());
        let ready = Arc::new(Inbox::default());
        let closing = Arc::new(AtomicBool::new(false));
        let number = APPLICATIONS.fetch_add(1, Ordering::Relaxed);
        let name = format!("application-{}-{number}-{port}", std::process::id());
        let own_topics = Arc::default();
        let listener = Listener {
            inbox: Arc::clone(&inbox),
            statuses: Arc::clone(&statuses),
            own_topics: Arc::clone(&own_topics),
            ready: Arc::clone(&ready),
            closing: Arc::clone(&closing),
            for_good,
        };
        let client = match version {
            MqttVersion::V4 => {
                let mut options = MqttOptions::new(name, "127.0.0.1", port);
                options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(16 << 20, 16 << 20);
                let (client, connection) = Client::new(options, 1024);
                client.subscribe("#", QoS::ExactlyOnce)?;
                std::thread::spawn(move || listener.run_v4(connection));
                AnyClient::V4(client)
            }
            MqttVersion::V5 => {
                let mut options = v5::MqttOptions::new(name, "127.0.0.1", port);
                options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(16 << 20));
                if for_good {
                    options.set_clean_start(false).set_session_expiry_interval(Some(u32::MAX));
                }
                let (client, connection) = v5::Client::new(options, 1024);
                client.subscribe("#", v5::mqttbytes::QoS::ExactlyOnce)?;
                let again = client.clone();
                std::thread::spawn(move || listener.run_v5(connection, &again));
                AnyClient::V5(client)
            }
        };
        ready.take("answer to the subscription", |()| true)?;
        Ok(Self { client, inbox, statuses, own_topics, ready, closing })
    }

    /// Publish a JSON command with QoS 1.
    pub fn command(&self, topic: &str, command: &Json) -> Result<()> {
        self.publish(topic, 1, None, command.to_string().into_bytes())
    }

    /// Publish a JSON command with QoS 1 that wants its answer on a topic of its own, with this beside it. Needs MQTT 5.
    pub fn ask(&self, topic: &str, command: &Json, reply_to: &str, correlation: &[u8]) -> Result<()> {
        let AnyClient::V5(client) = &self.client else { bail!("MQTT 3.1.1 has no response topic") };
        let properties = v5::mqttbytes::v5::PublishProperties {
            response_topic: Some(reply_to.to_owned()),
            correlation_data: Some(correlation.to_vec().into()),
            ..v5::mqttbytes::v5::PublishProperties::default()
        };
        self.own_topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        let (qos, payload) = (v5::mqttbytes::QoS::AtLeastOnce, command.to_string());
        Ok(client.publish_with_properties(topic, qos, false, payload, properties)?)
    }

    /// Publish any bytes; `expiry` (Message Expiry Interval, seconds) needs MQTT 5.
    pub fn publish(&self, topic: &str, qos: u8, expiry: Option<u32>, payload: Vec<u8>) -> Result<()> {
        self.own_topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        match &self.client {
            AnyClient::V4(client) => {
                let qos = rumqttc::qos(qos).context("QoS 0, 1 or 2")?;
                client.publish(topic, qos, false, payload)?;
            }
            AnyClient::V5(client) => {
                let qos = v5::mqttbytes::qos(qos).context("QoS 0, 1 or 2")?;
                let properties = v5::mqttbytes::v5::PublishProperties {
                    message_expiry_interval: expiry,
                    ..v5::mqttbytes::v5::PublishProperties::default()
                };
                client.publish_with_properties(topic, qos, false, payload, properties)?;
            }
        }
        Ok(())
    }

    /// Wait for a message on this topic whose JSON payload is this, whatever the order of its keys.
    pub fn expect(&self, topic: &str, payload: &Json) -> Result<Message> {
        let what = format!("{payload} on {topic}");
        self.inbox.take(&what, |message| message.topic == topic && message.json().as_ref() == Some(payload))
    }

    /// Wait for a message that matches.
    pub fn take(&self, what: &str, matches: impl Fn(&Message) -> bool) -> Result<Message> {
        self.inbox.take(what, matches)
    }

    /// Wait for a message with this `msgType`.
    pub fn of_type(&self, msg_type: &str) -> Result<Json> {
        let matches = |message: &Message| message.json().is_some_and(|json| json["msgType"] == msg_type);
        let message = self.inbox.take(&format!("message of type {msg_type}"), matches)?;
        message.json().context("JSON")
    }

    /// Everything that has arrived and was not taken yet.
    pub fn drain(&self) -> Vec<Message> {
        self.inbox.drain()
    }

    /// The same, for another thread.
    pub fn shared_inbox(&self) -> &Arc<Inbox<Message>> {
        &self.inbox
    }

    /// What the gateway has told about itself and its translators, which is not among the rest.
    pub fn statuses(&self) -> &Inbox<Message> {
        &self.statuses
    }

    /// Everything that has arrived and not been taken, for a look from outside.
    pub fn inbox(&self) -> &Inbox<Message> {
        &self.inbox
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = match &self.client {
            AnyClient::V4(client) => client.try_disconnect().is_ok(),
            AnyClient::V5(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Message {
    /// The payload as JSON, if it is any.
    pub fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.payload).ok()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, payload, qos, retain, .. } = self;
        let retain = if *retain { ", retained" } else { "" };
        write!(formatter, "{topic} (QoS {qos}{retain}): {}", String::from_utf8_lossy(payload))
    }
}

/// What polls the connection: nothing else may, and it must never stop.
struct Listener {
    inbox: Arc<Inbox<Message>>,
    statuses: Arc<Inbox<Message>>,
    own_topics: Arc<Mutex<HashSet<String>>>,
    ready: Arc<Inbox<()>>,
    closing: Arc<AtomicBool>,
    for_good: bool,
}

impl Listener {
    fn run_v4(&self, mut connection: rumqttc::Connection) {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::SubAck(_))) => self.ready.put(()),
                Ok(Event::Incoming(Packet::Publish(publish))) => self.received(Message {
                    topic: publish.topic,
                    payload: publish.payload.to_vec(),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                    correlation: None,
                    content_type: None,
                    user: Vec::new(),
                }),
                Err(error) if !self.goes_on(&error) => return,
                _ => {}
            }
        }
    }

    fn run_v5(&self, mut connection: v5::Connection, client: &v5::Client) {
        let mut is_first = true;
        for event in connection.iter() {
            match event {
                Ok(v5::Event::Incoming(v5::Incoming::ConnAck(_))) if std::mem::take(&mut is_first) => {}
                Ok(v5::Event::Incoming(v5::Incoming::ConnAck(greeting))) if greeting.session_present => {
                    self.ready.put(());
                }
                Ok(v5::Event::Incoming(v5::Incoming::ConnAck(_))) => {
                    let _ = client.try_subscribe("#", v5::mqttbytes::QoS::ExactlyOnce);
                }
                Ok(v5::Event::Incoming(v5::Incoming::SubAck(_))) => self.ready.put(()),
                Ok(v5::Event::Incoming(v5::Incoming::Publish(publish))) => {
                    let properties = publish.properties.unwrap_or_default();
                    self.received(Message {
                        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                        payload: publish.payload.to_vec(),
                        qos: publish.qos as u8,
                        retain: publish.retain,
                        correlation: properties.correlation_data.map(Into::into),
                        content_type: properties.content_type,
                        user: properties.user_properties,
                    });
                }
                Err(error) if !self.goes_on(&error) => return,
                _ => {}
            }
        }
    }

    fn received(&self, message: Message) {
        if message.topic.starts_with("tidegate/translator/") || message.topic == "tidegate/status" {
            self.statuses.put(message);
        } else if !self.own_topics.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.topic) {
            self.inbox.put(message);
        }
    }

    /// A lost connection ends the application, if it is not there for good: its subscription would be gone with it.
    fn goes_on(&self, error: &dyn std::fmt::Display) -> bool {
        if self.for_good && !self.closing.load(Ordering::SeqCst) {
            std::thread::park_timeout(BETWEEN_ATTEMPTS);
            return true;
        }
        if !self.closing.load(Ordering::SeqCst) {
            eprintln!("application: {error}");
        }
        false
    }
}

/// How long is waited after a connection was lost, or refused.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// A broker takes two clients of one name for one.
static APPLICATIONS: AtomicUsize = AtomicUsize::new(0);
