//! The one place that knows MQTT 3.1.1 from MQTT 5: rumqttc has a whole client for each.
//!
//! A link has two ends. `Client` puts requests into rumqttc's queue and waits when that is full. `Connection` is polled,
//! by one task that does nothing else: rumqttc makes progress only there, so that a request from that same task would
//! wait for itself once the queue is full.
//!
//! What rumqttc 0.25 does and does not guarantee, and what `Connection` adds:
//!
//! * `publish` resolves when the message is queued, not when it is sent. QoS 0 is forgotten once written.
//! * A lost connection moves unacknowledged QoS 1 and 2 messages, and the queue, to the public list `pending`. The next
//!   CONNACK without a session **clears** that list, so that a broker's restart would lose them. `Connection` takes the
//!   list away first and hands it back after the CONNACK: with the same packet identifiers and DUP into a session that
//!   the broker has kept, else as new messages. So QoS 1 means at least once as long as the process lives, QoS 2
//!   exactly once only within a session.
//! * `pending` is sent without regard to the window of unacknowledged messages; past it two of them get the same packet
//!   identifier and all but the last are lost. `Connection` hands back only as many as fit.
//! * A message that collided with an unacknowledged one is kept aside in `state.collision` and survives a reconnect
//!   without being sent again. `Connection` takes it back as well.
//! * An MQTT 5 message above the broker's maximum packet size ends the connection, is kept, and ends the next one. The
//!   publisher refuses it beforehand, and so does the hand-over after a CONNACK.

mod carried;
mod v4;
mod v5;

use super::{Publication, SessionOptions, Subscription};
use crate::config::MqttVersion;

/// Makes both ends. Nothing is sent before the first poll.
pub(super) fn open(options: &SessionOptions) -> (Client, Connection) {
    match options.version {
        MqttVersion::V4 => {
            let (client, connection) = v4::open(options);
            (Client::V4(client), Connection::V4(connection))
        }
        MqttVersion::V5 => {
            let (client, connection) = v5::open(options);
            (Client::V5(client), Connection::V5(connection))
        }
    }
}

/// The end that asks.
pub(super) enum Client {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

impl Client {
    /// Queues a message, which must have been checked; waits for room.
    pub(super) async fn publish(&self, publication: Publication) -> Result<(), Gone> {
        match self {
            Self::V4(client) => v4::publish(client, publication).await.map_err(|_| Gone),
            Self::V5(client) => v5::publish(client, publication).await.map_err(|_| Gone),
        }
    }

    /// Queues one SUBSCRIBE for all the filters, which must have been checked and be at least one.
    pub(super) async fn subscribe(&self, subscriptions: &[Subscription]) -> Result<(), Gone> {
        match self {
            Self::V4(client) => v4::subscribe(client, subscriptions).await.map_err(|_| Gone),
            Self::V5(client) => v5::subscribe(client, subscriptions).await.map_err(|_| Gone),
        }
    }

    /// Queues an UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&self, filter: &str) -> Result<(), Gone> {
        match self {
            Self::V4(client) => client.unsubscribe(filter).await.map_err(|_| Gone),
            Self::V5(client) => client.unsubscribe(filter).await.map_err(|_| Gone),
        }
    }

    /// Queues a DISCONNECT, behind everything that was queued before.
    pub(super) async fn disconnect(&self) -> Result<(), Gone> {
        match self {
            Self::V4(client) => client.disconnect().await.map_err(|_| Gone),
            Self::V5(client) => client.disconnect().await.map_err(|_| Gone),
        }
    }
}

/// The other end has been dropped.
#[derive(Debug)]
pub(super) struct Gone;

/// The end that is polled.
// One for each process, so that the difference in size does not matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum Connection {
    V4(v4::Connection),
    V5(v5::Connection),
}

impl Connection {
    /// Connects where there is no connection, and makes progress until something is to be told. After a failure there is
    /// no connection; call again to connect anew.
    ///
    /// Must not be cancelled, except for good: rumqttc could lose a message that it is writing.
    pub(super) async fn poll(&mut self) -> Result<Event, Failure> {
        match self {
            Self::V4(connection) => connection.poll().await,
            Self::V5(connection) => connection.poll().await,
        }
    }

    /// Messages of an earlier connection that have not been sent again yet.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Self::V4(connection) => connection.unsent(),
            Self::V5(connection) => connection.unsent(),
        }
    }

    /// Messages that have not been sent, or not been acknowledged.
    pub(super) fn carried(&self) -> usize {
        match self {
            Self::V4(connection) => connection.carried(),
            Self::V5(connection) => connection.carried(),
        }
    }

    /// SUBSCRIBE requests that a failure has taken out of the queue since the last call.
    pub(super) fn take_unsent_subscriptions(&mut self) -> usize {
        match self {
            Self::V4(connection) => connection.take_unsent_subscriptions(),
            Self::V5(connection) => connection.take_unsent_subscriptions(),
        }
    }
}

/// What has happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A CONNACK: whether the broker has kept the session, and the largest packet it takes.
    Connected { resumed: bool, max_packet: Option<usize> },
    /// A PUBLISH has come.
    Received(Publication),
    /// A PUBLISH has been written.
    Published,
    /// A QoS 1 or 2 message has been acknowledged; with the reason if the broker refused it.
    Acknowledged { refused: Option<String> },
    /// A SUBSCRIBE has been written, under this packet identifier.
    Subscribing(u16),
    /// A SUBACK for it: for each filter none, or the reason for a refusal.
    Subscribed { packet: u16, refusals: Vec<Option<String>> },
    /// A DISCONNECT has been written.
    Disconnecting,
    /// Anything else.
    Other,
}

/// Why there is no connection, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(String);

impl Failure {
    fn refused(code: &str) -> Self {
        let advice = match code {
            "BadUserNamePassword" => "bad user name or password; check `username` and `password-file`",
            "NotAuthorized" => {
                "not authorised; check `username`, `password-file` and the broker's access rules"
            }
            "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => {
                "the broker does not speak this MQTT version; set `version` to 4 or 5 accordingly"
            }
            "BadClientId" | "ClientIdentifierNotValid" => {
                "the broker refuses the client identifier; check `client-id`"
            }
            "ServiceUnavailable" | "ServerUnavailable" | "ServerBusy" => {
                "the broker is not available at the moment"
            }
            "Banned" => "the broker has banned this client",
            other => return Self(format!("the broker refuses the connection: {other}")),
        };
        Self(format!("the broker refuses the connection: {advice}"))
    }

    fn io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                Self("connection refused; is a broker running there?".into())
            }
            std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::UnexpectedEof => Self::closed(),
            _ => Self(error.to_string()),
        }
    }

    fn closed() -> Self {
        Self("the broker has closed the connection".into())
    }

    fn timeout() -> Self {
        Self("no answer in time".into())
    }
}

/// Unacknowledged messages at a time. Above what brokers take by default MQTT 5 brokers say so in the CONNACK.
const WINDOW: u16 = 200;

/// Requests in rumqttc's queue; the outbox is in front of it, so it need not be long.
const QUEUE: usize = 64;
