//! The way to the MQTT broker and back.
//!
//! ```text
//! shard 0 ─▶ Lane ─┐                                ┌─▶ Session::incoming ─▶ bridge
//! shard 1 ─▶ Lane ─┼─▶ Drain ─▶ session's task ─────┤
//! shard n ─▶ Lane ─┘            packet, transport   └─▶ broker
//! ```
//!
//! `outbox` holds what waits for the broker, also over a crash; `session` keeps the connection; `packet` is the one place that knows
//! MQTT 3.1.1 from MQTT 5; `transport` connects; `embedded` is the broker in the box. Called by `app`, which starts them, and by
//! `bridge`, which fills the lanes and takes what comes in.

mod backoff;
mod embedded;
mod outbox;
mod packet;
mod publication;
mod session;
mod transport;

pub use crate::config::check_filter;
pub use embedded::{EmbeddedBroker, EmbeddedBrokerError};
use outbox::Ticket;
pub use outbox::{Drain, Gauge, Lane, Outbox, OutboxCounts, OutboxError, OutboxOptions, Refusal, Refused};
pub use publication::{InvalidPublication, Properties, Publication, QoS};
pub use session::{
    Connection, Counts, Credentials, RefusedPublication, RefusedSubscription, Session, SessionGauge,
    SessionOptions, Subscriber, Subscription, Unsent,
};
pub use transport::Tls;
