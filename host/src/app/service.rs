//! What the service manager (systemd) is told, if one has started the gateway: when it is ready, reads its configuration again and
//! stops, and that its shards still work (sd_notify(3)). Without one nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::net::{Command, ShardHandle};

/// Everything listens. From now on, if the service manager wants it, it hears of the gateway for as long as each of these shards does its
/// work; needs a tokio runtime.
pub(super) fn ready(shards: Vec<ShardHandle>) {
    tell(&[NotifyState::Ready]);
    if let Some(within) = sd_notify::watchdog_enabled() {
        tokio::spawn(watch(shards, within));
    }
}

/// The configuration is read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no time for the service manager"),
    }
    tell(&[NotifyState::Ready]);
}

/// What was taken in still goes out, and then it ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says often enough that the gateway works: each shard has to make a turn first. One that hangs, or waits for a disk for ever, keeps it
/// from being said, so that the service manager starts the gateway anew.
async fn watch(shards: Vec<ShardHandle>, within: Duration) {
    let mut turns = interval(within / 3);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        for (number, shard) in shards.iter().enumerate() {
            let (answer, answered) = oneshot::channel();
            // It may have ended since the gateway stops.
            if shard.send_waiting(Command::Answer(answer)).await.is_err() {
                return;
            }
            if timeout(within, answered).await.is_err() {
                return tracing::error!(
                    number,
                    "a shard does not answer; the service manager is not told that it works"
                );
            }
        }
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
