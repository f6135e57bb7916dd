//! What an operator's tools ask a shard of its clients: only the shard knows.

use std::sync::Arc;

use tidegate_proto::lwm2m::server::{Facts, Observed, Queued};
use tokio::sync::oneshot;

/// A question, with the way of its answer. Who asks does not wait for ever: a shard that stops answers nothing.
#[derive(Debug)]
pub enum Question {
    /// How these clients are, in their order; none for one that is not at the shard. At most [`CLIENTS`] of them are looked up.
    Clients(Vec<Arc<str>>, oneshot::Sender<Vec<Option<Facts>>>),
    /// What is observed of a client.
    Observed(Arc<str>, oneshot::Sender<Option<Vec<Observed>>>),
    /// What waits for a client.
    Queued(Arc<str>, oneshot::Sender<Option<Vec<Queued>>>),
}

/// Clients that one question may name.
pub const CLIENTS: usize = 1_000;
