//! The task that polls the link.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    Announced, Connection, Counters, Line, Publication, RefusedSubscription, Subscription, count, deadline,
};
use crate::mqtt::backoff::Backoff;
use crate::mqtt::link::{self, Event, Failure};

pub(super) struct Poller {
    pub(super) link: link::Connection,
    pub(super) address: String,
    pub(super) incoming: mpsc::Sender<Publication>,
    pub(super) connection: watch::Sender<Connection>,
    pub(super) line: watch::Sender<Line>,
    pub(super) announced: Announced,
    pub(super) counters: Arc<Counters>,
    pub(super) closing: watch::Receiver<Option<Instant>>,
}

impl Poller {
    /// Polls until a shutdown's DISCONNECT has been answered by the end of the connection, or its deadline.
    pub(super) async fn run(mut self) {
        let deadline = deadline(self.closing.clone());
        tokio::select! {
            () = self.poll() => {}
            () = deadline => {}
        }
        self.counters.carried.store(self.link.carried(), Ordering::Relaxed);
        self.connection.send_modify(|connection| connection.connected = false);
    }

    async fn poll(&mut self) {
        let mut backoff = Backoff::new();
        let mut since = None;
        let mut logged = None;
        let mut subscribing = HashMap::new();
        let mut leaving = false;
        loop {
            match self.link.poll().await {
                Ok(Event::Connected { resumed, max_packet }) => {
                    since = Some(Instant::now());
                    logged = None;
                    self.connected(resumed, max_packet);
                }
                // The broker closes the connection when it has read it, and with it all that came before. To close it
                // from here could lose that: a reset follows from acknowledgements that nobody has read.
                Ok(Event::Disconnecting) => leaving = true,
                Ok(event) => self.progress(event, &mut subscribing).await,
                Err(_) if leaving => return,
                Err(failure) => {
                    if since.take().is_some_and(|since: Instant| since.elapsed() >= LASTED) {
                        backoff.reset();
                    }
                    subscribing.clear();
                    let delay = backoff.next_delay();
                    self.failed(&failure, delay, &mut logged);
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    fn connected(&mut self, resumed: bool, max_packet: Option<usize>) {
        info!(broker = %self.address, resumed, "connected to the MQTT broker");
        self.connection.send_replace(Connection { connected: true, ..Connection::default() });
        let flowing = self.link.unsent() == 0;
        self.line.send_modify(|line| {
            *line = Line { number: line.number + 1, up: true, resumed, flowing, max_packet };
        });
    }

    async fn progress(&mut self, event: Event, subscribing: &mut HashMap<u16, Vec<Subscription>>) {
        match event {
            Event::Received(publication) => self.hand_on(publication).await,
            Event::Published => count(&self.counters.published),
            Event::Acknowledged { refused: None } => count(&self.counters.acknowledged),
            Event::Acknowledged { refused: Some(reason) } => {
                count(&self.counters.dropped);
                warn!(reason, "the MQTT broker has refused a publication");
            }
            Event::Subscribing(packet) => {
                let wanted = self.announced.lock().pop_front();
                subscribing.insert(packet, wanted.unwrap_or_default());
            }
            Event::Subscribed { packet, refusals } => {
                let wanted = subscribing.remove(&packet).unwrap_or_default();
                self.subscribed(&wanted, refusals);
            }
            Event::Connected { .. } | Event::Disconnecting | Event::Other => {}
        }
        self.line.send_if_modified(|line| {
            let flows = !line.flowing && line.up && self.link.unsent() == 0;
            line.flowing |= flows;
            flows
        });
    }

    /// Hands a message on. While there is no room for it nothing else is read or written, which slows the broker down;
    /// that may not last, because the connection must be kept alive.
    // Takes `&mut self` because rumqttc's connection is not `Sync`, and a `&self` would have to be sent with the task.
    async fn hand_on(&mut self, publication: Publication) {
        count(&self.counters.received);
        let topic = match self.incoming.try_send(publication) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Closed(_)) => return count(&self.counters.dropped),
            Err(mpsc::error::TrySendError::Full(publication)) => {
                let topic = publication.topic.clone();
                match self.incoming.send_timeout(publication, PATIENCE).await {
                    Ok(()) => return,
                    Err(_) => topic,
                }
            }
        };
        count(&self.counters.dropped);
        warn!(topic, "incoming MQTT message dropped: the gateway does not keep up");
    }

    fn subscribed(&self, wanted: &[Subscription], refusals: Vec<Option<String>>) {
        let mut refused = Vec::new();
        for (Subscription { filter, .. }, refusal) in wanted.iter().zip(refusals) {
            if let Some(reason) = refusal {
                warn!(
                    filter,
                    reason, "the MQTT broker has refused a subscription; its messages will not come"
                );
                refused.push(RefusedSubscription { filter: filter.clone(), reason });
            }
        }
        self.connection.send_modify(|connection| {
            connection.refused = refused;
            connection.subscribed = true;
        });
    }

    /// The first failure of its kind is logged as a warning, its repetitions for those who look closer.
    fn failed(&mut self, failure: &Failure, delay: Duration, logged: &mut Option<Failure>) {
        let broker = &self.address;
        if logged.as_ref() == Some(failure) {
            debug!(%broker, reason = %failure, ?delay, "still no connection to the MQTT broker");
        } else {
            warn!(%broker, reason = %failure, ?delay, "no connection to the MQTT broker; trying again");
            *logged = Some(failure.clone());
        }
        let unsent = self.link.take_unsent_subscriptions();
        let mut announced = self.announced.lock();
        let unsent = unsent.min(announced.len());
        announced.drain(..unsent);
        drop(announced);
        self.counters.carried.store(self.link.carried(), Ordering::Relaxed);
        self.line.send_modify(|line| *line = Line { number: line.number, ..Line::default() });
        let error = Some(failure.to_string());
        self.connection.send_replace(Connection { error, ..Connection::default() });
    }
}

/// A connection that held for so long was a good one: the next failure starts with the shortest delay.
const LASTED: Duration = Duration::from_secs(10);

/// How long a full queue of incoming messages may hold everything up; below the shortest keep alive.
const PATIENCE: Duration = Duration::from_secs(4);
