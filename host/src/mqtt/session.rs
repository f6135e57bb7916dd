//! The connection to the broker, kept up for as long as the gateway runs.
//!
//! One task ([`task`]) connects, subscribes, drains the outbox into the connection and hands on what comes in. While the broker
//! is away or slow nothing is taken out of the outbox, so that it fills and the shards stop acknowledging.
//!
//! The task waits for nothing but the connection and room for incoming messages, and while it waits for room it still writes. The taker
//! of incoming messages must never wait for a publication to get out; `Lane::offer` does not wait.

mod flight;
mod line;
mod task;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::task::{State, Task};
use super::Tls;
use super::{Drain, Publication, QoS};
use crate::config::{Broker, BrokerAddress, Mqtt, MqttVersion};

/// The connection to the broker. Dropped without `shutdown`, it ends at once.
#[derive(Debug)]
pub struct Session {
    connection: watch::Receiver<Connection>,
    wanted: watch::Sender<Vec<Subscription>>,
    closing: watch::Sender<Option<Instant>>,
    counters: Arc<Counters>,
    is_durable: bool,
    task: JoinHandle<usize>,
}

impl Session {
    /// Starts connecting, and goes on until `shutdown`, or until all lanes are dropped and empty. What comes in by the
    /// subscriptions arrives at the receiver.
    ///
    /// Must be called within a tokio runtime. Filters must have passed `check_filter`.
    pub fn start(
        options: &SessionOptions,
        drain: Drain,
        subscriptions: Vec<Subscription>,
    ) -> (Self, mpsc::Receiver<Publication>) {
        let (connection_sender, connection) = watch::channel(Connection::default());
        let (wanted, wanted_receiver) = watch::channel(subscriptions);
        let (closing, closing_receiver) = watch::channel(None);
        let (incoming, incoming_receiver) = mpsc::channel(INCOMING);
        let counters = Arc::new(Counters::default());
        let is_durable = drain.is_durable();
        let task = Task {
            options: options.clone(),
            drain,
            wanted: wanted_receiver,
            incoming,
            connection: connection_sender,
            counters: Arc::clone(&counters),
            closing: closing_receiver,
            state: State::default(),
        };
        let task = tokio::spawn(task.run());
        let session = Self { connection, wanted, closing, counters, is_durable, task };
        (session, incoming_receiver)
    }

    /// How the connection stands, and how it changes.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// What has gone through since the start.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// How others change what is subscribed to.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber { wanted: self.wanted.clone() }
    }

    /// Closes the outbox, sends what is in it for at most so long, and disconnects.
    ///
    /// # Errors
    /// Some publications have not been sent, or not been acknowledged. If the outbox is on the disk they are there, else lost.
    pub async fn shutdown(mut self, patience: Duration) -> Result<(), Unsent> {
        self.closing.send_replace(Some(Instant::now() + patience));
        match (&mut self.task).await.unwrap_or_default() {
            0 => Ok(()),
            publications => Err(Unsent { publications, kept: self.is_durable }),
        }
    }
}

/// Says what the session subscribes to; it may outlive the session.
#[derive(Clone, Debug)]
pub struct Subscriber {
    wanted: watch::Sender<Vec<Subscription>>,
}

impl Subscriber {
    /// Replaces the set of subscriptions: new ones are made, those that are gone are ended.
    ///
    /// Filters must have passed `check_filter`.
    pub fn subscribe(&self, subscriptions: Vec<Subscription>) {
        self.wanted.send_replace(subscriptions);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a session needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Name or address of the broker; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Protocol version.
    pub version: MqttVersion,
    /// Client identifier; not empty, and no leading space.
    pub client_id: String,
    /// Whether the broker is to keep the session while the gateway is away; needs a client identifier that stays.
    pub resume: bool,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// The file that the password is from; it is read again for each connection.
    pub password_file: Option<PathBuf>,
    /// Keep alive: whole seconds, at least 5.
    pub keep_alive: Duration,
    /// Largest packet sent or taken, bytes.
    pub max_packet: usize,
}

impl SessionOptions {
    /// What the configuration says, for the broker at this host and port. Reads the password file, and those of TLS.
    ///
    /// # Errors
    /// One of the files cannot be used; the text names it.
    pub fn new(mqtt: &Mqtt, host: impl Into<String>, port: u16) -> std::io::Result<Self> {
        let credentials = match (&mqtt.username, &mqtt.password_file) {
            (None, _) => None,
            (Some(username), None) => {
                Some(Credentials { username: username.clone(), password: String::new() })
            }
            (Some(username), Some(file)) => {
                Some(Credentials { username: username.clone(), password: read_password(file)? })
            }
        };
        let is_tls = matches!(&mqtt.broker, Broker::External(BrokerAddress { tls: true, .. }));
        let tls = is_tls.then(|| Tls { ca: mqtt.ca.clone(), certificate: mqtt.certificate.clone() });
        if let Some(tls) = &tls {
            tls.check().map_err(std::io::Error::other)?;
        }
        let random = || format!("tidegate-{:08x}", getrandom::u32().unwrap_or_else(|_| std::process::id()));
        Ok(Self {
            host: host.into(),
            port,
            version: mqtt.version,
            client_id: mqtt.client_id.clone().unwrap_or_else(random),
            resume: mqtt.client_id.is_some(),
            tls,
            credentials,
            password_file: mqtt.password_file.clone(),
            keep_alive: mqtt.keep_alive,
            max_packet: mqtt.max_packet,
        })
    }

    /// With the password as it is in its file now.
    fn renew(&mut self) {
        if let (Some(credentials), Some(file)) = (&mut self.credentials, &self.password_file) {
            match read_password(file) {
                Ok(password) => credentials.password = password,
                Err(error) => tracing::warn!(%error, "the last password is used"),
            }
        }
    }

    fn address(&self) -> String {
        let Self { host, port, tls, .. } = self;
        BrokerAddress { tls: tls.is_some(), username: None, host: host.clone(), port: *port }.to_string()
    }
}

fn read_password(file: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("mqtt.password-file: {} cannot be read: {error}", file.display());
        std::io::Error::new(error.kind(), message)
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// User name and password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password; may be empty.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A topic filter and the highest quality of service wanted for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topic filter.
    pub filter: String,
    /// Highest quality of service.
    pub qos: QoS,
}

/// How the connection stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Whether there is one.
    pub connected: bool,
    /// Whether the broker has answered the latest subscription on this connection; also when it refused some filters,
    /// and when there is nothing to subscribe to.
    pub subscribed: bool,
    /// Why there is none, in words; none before the first failure and while connected.
    pub error: Option<String>,
    /// Filters that the broker refused on this connection. Their messages do not come.
    pub refused: Vec<RefusedSubscription>,
}

/// A filter that the broker refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSubscription {
    /// The filter.
    pub filter: String,
    /// The broker's reason.
    pub reason: String,
}

/// What has gone through a session since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Publications written to a connection; one that is sent again counts again.
    pub published: u64,
    /// Publications of QoS 1 and 2 that the broker has acknowledged.
    pub acknowledged: u64,
    /// Messages that have come in.
    pub received: u64,
    /// Publications that could not be sent or were refused by the broker, and incoming messages that nobody took.
    pub dropped: u64,
}

/// Publications that a shutdown left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{publications} publications were not sent or not acknowledged before the deadline; {}",
    if *kept { "they are kept on the disk" } else { "they are lost" })]
pub struct Unsent {
    /// How many.
    pub publications: usize,
    /// Whether they are on the disk, and go out after the next start.
    pub kept: bool,
}

#[derive(Debug, Default)]
struct Counters {
    published: AtomicU64,
    acknowledged: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    fn counts(&self) -> Counts {
        Counts {
            published: self.published.load(Ordering::Relaxed),
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Resolves at the deadline, once there is one.
async fn deadline(mut closing: watch::Receiver<Option<Instant>>) {
    let deadline = closing.wait_for(Option::is_some).await.map(|deadline| *deadline);
    match deadline {
        Ok(Some(deadline)) => tokio::time::sleep_until(deadline).await,
        // Dropped without a shutdown: the task is about to be aborted.
        _ => std::future::pending().await,
    }
}

/// Incoming messages that may wait for their taker.
const INCOMING: usize = 1024;

#[cfg(test)]
mod tests;
