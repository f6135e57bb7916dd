//! Asks the shards what only they know. Nobody waits for a shard that hangs.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tidegate_proto::lwm2m::server::Facts;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::View;
use super::problem::Problem;
use crate::net::{Command, Known, Question};

/// The answer of the shard that has a client.
pub(super) async fn one<T>(
    view: &View,
    shard: u8,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Problem> {
    let busy =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the client's shard does not answer; try again");
    let handle = view.shards.get(usize::from(shard)).ok_or_else(busy)?;
    let (answer, answered) = oneshot::channel();
    handle.send(Command::Show(question(answer))).map_err(|_| busy())?;
    timeout(PATIENCE, answered).await.ok().and_then(Result::ok).ok_or_else(busy)
}

/// How these clients are, in their order; none for one that is gone, or whose shard does not answer.
pub(super) async fn facts(view: &View, clients: &[Known]) -> Vec<Option<Facts>> {
    let mut facts: Vec<Option<Facts>> = clients.iter().map(|_| None).collect();
    let mut answers = Vec::new();
    for (number, handle) in view.shards.iter().enumerate() {
        let of_shard = |(_, known): &(usize, &Known)| usize::from(known.shard) == number;
        let places: Vec<(usize, &Known)> = clients.iter().enumerate().filter(of_shard).collect();
        if places.is_empty() {
            continue;
        }
        let (answer, answered) = oneshot::channel();
        let endpoints = places.iter().map(|(_, known)| Arc::clone(&known.registration.endpoint)).collect();
        if handle.send(Command::Show(Question::Clients(endpoints, answer))).is_ok() {
            let places: Vec<usize> = places.into_iter().map(|(place, _)| place).collect();
            answers.push((places, answered));
        }
    }
    let latest = Instant::now() + PATIENCE;
    for (places, answered) in answers {
        let Ok(Ok(answer)) = timeout_at(latest, answered).await else { continue };
        for (place, of) in places.into_iter().zip(answer) {
            facts[place] = of;
        }
    }
    facts
}

/// Waits until a shard has done what it was told before.
pub(super) async fn settled(view: &View, shard: u8) {
    let Some(handle) = view.shards.get(usize::from(shard)) else { return };
    let (answer, answered) = oneshot::channel();
    if handle.send(Command::Answer(answer)).is_ok() {
        let _ = timeout(PATIENCE, answered).await;
    }
}

/// How long a shard may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
