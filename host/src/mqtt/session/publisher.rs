//! The task that subscribes and drains the outbox.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Announced, Counters, Line, Subscription, count, deadline};
use crate::mqtt::link::{Client, Gone};
use crate::mqtt::{Drain, Publication};

pub(super) struct Publisher {
    pub(super) client: Client,
    pub(super) drain: Drain,
    pub(super) line: watch::Receiver<Line>,
    pub(super) wanted: watch::Receiver<Vec<Subscription>>,
    pub(super) announced: Announced,
    pub(super) counters: Arc<Counters>,
    pub(super) closing: watch::Receiver<Option<Instant>>,
    pub(super) max_packet: usize,
}

impl Publisher {
    /// Works until the outbox has been closed by a shutdown and is empty, or the shutdown's deadline. Says how many
    /// publications are left.
    pub(super) async fn run(mut self) -> usize {
        let deadline = deadline(self.closing.clone());
        let mut in_hand = 0;
        tokio::select! {
            _ = self.work(&mut in_hand) => {}
            () = deadline => {}
        }
        self.drain.waiting() + in_hand
    }

    async fn work(&mut self, in_hand: &mut usize) -> Result<(), Gone> {
        let mut made = Made::default();
        let mut closing = self.closing.clone();
        let mut closed = false;
        loop {
            let line = *self.line.borrow_and_update();
            if line.up {
                self.subscribe(line, &mut made).await?;
            } else if closed && self.drain.waiting() == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                changed = self.line.changed() => changed.map_err(|_| Gone)?,
                changed = self.wanted.changed() => changed.map_err(|_| Gone)?,
                changed = closing.changed(), if !closed => {
                    changed.map_err(|_| Gone)?;
                    self.drain.close();
                    closed = true;
                }
                publication = self.drain.recv(), if line.flowing => match publication {
                    Some(publication) => {
                        *in_hand = 1;
                        self.publish(publication, line).await?;
                        *in_hand = 0;
                    }
                    None => return self.client.disconnect().await,
                },
            }
        }
    }

    /// Makes the subscriptions that this connection does not have yet, and ends those that nobody wants any more.
    async fn subscribe(&mut self, line: Line, made: &mut Made) -> Result<(), Gone> {
        // A session that the broker has kept has its subscriptions. To make them again is harmless (MQTT 5, 3.8.4), and
        // says which of them the broker refuses by now.
        let wanted = self.wanted.borrow_and_update().clone();
        if made.connection == line.number && made.subscriptions == wanted {
            return Ok(());
        }
        let kept = made.connection == line.number || line.resumed;
        let gone = made.subscriptions.iter().filter(|old| wanted.iter().all(|new| new.filter != old.filter));
        for gone in gone.filter(|_| kept) {
            self.client.unsubscribe(&gone.filter).await?;
        }
        if !wanted.is_empty() {
            debug!(filters = wanted.len(), "subscribing");
            self.announced.lock().push_back(wanted.clone());
            self.client.subscribe(&wanted).await?;
        }
        *made = Made { connection: line.number, subscriptions: wanted };
        Ok(())
    }

    /// Queues one publication, and waits for room. What MQTT or the broker forbids would end the connection, so it is
    /// dropped here; whoever offered it could have known by `Publication::check`.
    async fn publish(&self, publication: Publication, line: Line) -> Result<(), Gone> {
        let size = publication.packet_size();
        let limit = line.max_packet.map_or(self.max_packet, |max| max.min(self.max_packet));
        let problem = match publication.check() {
            Err(invalid) => Some(invalid.to_string()),
            Ok(()) if size > limit => Some(format!("{size} bytes, the limit is {limit}")),
            Ok(()) => None,
        };
        match problem {
            None => self.client.publish(publication).await,
            Some(reason) => {
                count(&self.counters.dropped);
                warn!(topic = publication.topic, reason, "publication dropped");
                Ok(())
            }
        }
    }
}

/// The subscriptions that have been asked for, and on which connection.
#[derive(Default)]
struct Made {
    connection: u64,
    subscriptions: Vec<Subscription>,
}
