//! The way to the MQTT broker and back.
//!
//! ```text
//! shard 0 ─▶ Lane ─┐                                        ┌─▶ Session::incoming ─▶ bridge
//! shard 1 ─▶ Lane ─┼─▶ Drain ─▶ publisher ─▶ rumqttc ─▶ poller
//! shard n ─▶ Lane ─┘            (a task)                (a task)
//! ```
//!
//! `outbox` holds what waits for the broker, `session` keeps the connection, `link` is the one place that knows MQTT
//! 3.1.1 from MQTT 5, `embedded` is the broker in the box. Called by `app`, which starts them, and by `bridge`, which
//! fills the lanes and takes what comes in.

mod backoff;
mod embedded;
mod link;
mod outbox;
mod publication;
mod session;

pub use crate::config::check_filter;
pub use embedded::{EmbeddedBroker, EmbeddedBrokerError};
pub use outbox::{Drain, Lane, Outbox, Refusal, Refused};
pub use publication::{InvalidPublication, Properties, Publication, QoS};
pub use session::{
    Connection, Counts, Credentials, RefusedSubscription, Session, SessionOptions, Subscriber, Subscription,
    Unsent,
};
