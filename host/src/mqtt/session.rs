//! The connection to the broker, kept up for as long as the gateway runs.
//!
//! One task ([`task`]) connects, subscribes, drains the outbox into the connection and hands on what comes in. It has a thread of
//! its own: nothing else is woken up when it is. While the broker is away or slow nothing is taken out of the outbox, so that it
//! fills and the shards stop acknowledging.
//!
//! The task waits for nothing but the connection and room for incoming messages, and while it waits for room it still writes. The taker
//! of incoming messages must never wait for a publication to get out; `Lane::offer` does not wait.

mod flight;
mod line;
mod presence;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io, thread};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(super) use self::presence::Presence;
use self::task::{State, Task};
use super::Tls;
use super::{Drain, Publication, QoS};
use crate::config::{BrokerAddress, Mqtt, MqttVersion};

/// The connection to the broker. Dropped without `shutdown`, it ends at once.
#[derive(Debug)]
pub struct Session {
    connection: watch::Receiver<Connection>,
    wanted: watch::Sender<Vec<Subscription>>,
    /// As long as the session takes messages, others may hand some to their taker.
    incoming: mpsc::WeakSender<Publication>,
    closing: watch::Sender<Option<Instant>>,
    counters: Arc<Counters>,
    broker: Arc<str>,
    is_durable: bool,
    /// How many publications the task has left, once it has ended. It ends when this is dropped.
    ended: oneshot::Receiver<usize>,
}

/// How a session stands; it may outlive the session.
#[derive(Clone, Debug)]
pub struct SessionGauge {
    broker: Arc<str>,
    connection: watch::Receiver<Connection>,
    counters: Arc<Counters>,
}

impl SessionGauge {
    /// The broker's address, without a user.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// How the connection stands now.
    pub fn connection(&self) -> Connection {
        self.connection.borrow().clone()
    }

    /// What has gone through since the start.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }
}

impl Session {
    /// Starts connecting, and goes on until `shutdown`, or until all lanes are dropped and empty. What comes in by the
    /// subscriptions arrives at the receiver.
    ///
    /// Filters must have passed `check_filter`.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        options: &SessionOptions,
        drain: Drain,
        subscriptions: Vec<Subscription>,
    ) -> io::Result<(Self, mpsc::Receiver<Publication>)> {
        let (connection_sender, connection) = watch::channel(Connection::default());
        let (wanted, wanted_receiver) = watch::channel(subscriptions);
        let (closing, closing_receiver) = watch::channel(None);
        let (incoming, incoming_receiver) = mpsc::channel(INCOMING);
        let own_incoming = incoming.downgrade();
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
        let ended = start(task)?;
        let broker = options.address.to_string().into();
        let session =
            Self { connection, wanted, incoming: own_incoming, closing, counters, broker, is_durable, ended };
        Ok((session, incoming_receiver))
    }

    /// How the connection stands, and how it changes.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// What has gone through since the start.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// How others see how it stands.
    pub fn gauge(&self) -> SessionGauge {
        SessionGauge {
            broker: self.broker.clone(),
            connection: self.connection.clone(),
            counters: Arc::clone(&self.counters),
        }
    }

    /// How others hand in messages as if they had come from the broker. It ends with the session.
    pub fn incoming(&self) -> mpsc::WeakSender<Publication> {
        self.incoming.clone()
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
        match (&mut self.ended).await.unwrap_or_default() {
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

/// Starts the thread of a task. It ends with the task, or when the receiver is dropped.
fn start(task: Task) -> io::Result<oneshot::Receiver<usize>> {
    let (mut sender, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = async move {
        tokio::select! {
            left = task.run() => drop(sender.send(left)),
            () = sender.closed() => {}
        }
    };
    thread::Builder::new().name("mqtt".to_owned()).spawn(move || runtime.block_on(run))?;
    Ok(ended)
}

/// What a session needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Where the broker is. Its user name is not looked at.
    pub address: BrokerAddress,
    /// Protocol version.
    pub version: MqttVersion,
    /// Client identifier; not empty, and no leading space.
    pub client_id: String,
    /// How long the broker is to keep the session while the gateway is away, whole seconds; needs a client identifier that
    /// stays. Zero: not at all.
    pub session_expiry: Duration,
    /// The group that shares the subscriptions, if any.
    pub shared_group: Option<String>,
    /// Where the broker keeps whether the gateway is connected, if anywhere.
    pub status_topic: Option<String>,
    /// What TLS needs, if the address is one of TLS.
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
    /// What the configuration says, for the broker at this address. Reads the password file, and those of TLS.
    ///
    /// # Errors
    /// One of the files cannot be used; the text names it.
    pub fn new(mqtt: &Mqtt, address: BrokerAddress) -> io::Result<Self> {
        let credentials = match (&mqtt.username, &mqtt.password_file) {
            (None, _) => None,
            (Some(username), None) => {
                Some(Credentials { username: username.clone(), password: String::new() })
            }
            (Some(username), Some(file)) => {
                Some(Credentials { username: username.clone(), password: read_password(file)? })
            }
        };
        let is_secure = address.scheme.is_secure();
        let tls = is_secure.then(|| Tls { ca: mqtt.ca.clone(), certificate: mqtt.certificate.clone() });
        if let Some(tls) = &tls {
            tls.check().map_err(io::Error::other)?;
        }
        let random = || format!("tidegate-{:08x}", getrandom::u32().unwrap_or_else(|_| std::process::id()));
        Ok(Self {
            address: BrokerAddress { username: None, ..address },
            version: mqtt.version,
            client_id: mqtt.client_id.clone().unwrap_or_else(random),
            session_expiry: mqtt.client_id.as_ref().map_or(Duration::ZERO, |_| mqtt.session_expiry),
            shared_group: mqtt.shared_group.clone(),
            status_topic: mqtt.status_topic.clone(),
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
}

fn read_password(file: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("mqtt.password-file: {} cannot be read: {error}", file.display());
        io::Error::new(error.kind(), message)
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
    /// Filters that the broker refused on this connection or the last. Their messages do not come.
    pub refused: Vec<RefusedSubscription>,
    /// A publication that the broker has refused since the start; not the latest, if there are many.
    pub refused_publication: Option<RefusedPublication>,
}

/// A publication that the broker refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPublication {
    /// Its topic.
    pub topic: String,
    /// The broker's reason.
    pub reason: String,
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
    /// Connections that the broker has accepted.
    pub connections: u64,
    /// Attempts to connect that failed, and connections that broke.
    pub failures: u64,
    /// Publications dropped since the broker has refused them.
    pub refused: u64,
    /// Publications dropped since MQTT forbids them, or larger than the broker or the configuration allows.
    pub unfit: u64,
    /// Incoming messages dropped since nobody took them: the gateway was stopping.
    pub untaken: u64,
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
    connections: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
    unfit: AtomicU64,
    untaken: AtomicU64,
}

impl Counters {
    fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            published: of(&self.published),
            acknowledged: of(&self.acknowledged),
            received: of(&self.received),
            connections: of(&self.connections),
            failures: of(&self.failures),
            refused: of(&self.refused),
            unfit: of(&self.unfit),
            untaken: of(&self.untaken),
        }
    }
}

/// Says how many there are with this one.
fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
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
