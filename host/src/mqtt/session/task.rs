//! The task that keeps the connection.
//!
//! 1. connect, say who we are, wait for the broker's greeting; after a failure wait and begin anew;
//! 2. subscribe; write again what an earlier connection has left unacknowledged, then what the outbox has;
//! 3. hand on what comes in, and acknowledge it when it is taken; while nobody takes it nothing else is read, which slows
//!    the broker down, but is still written: the taker must never wait for a publication to get out;
//! 4. at the end write what is left, then DISCONNECT, and wait for the broker to close: to close it from here could lose
//!    what was written last, as a reset follows from acknowledgements that nobody has read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::flight::{Flight, Step};
use super::line::{Line, Ready};
use super::{
    Connection, Counters, Presence, RefusedPublication, RefusedSubscription, SessionOptions, Subscription,
    count, deadline,
};
use crate::mqtt::backoff::Backoff;
use crate::mqtt::packet::{Acknowledgement, Codec, Greeting, Incoming};
use crate::mqtt::publication::{Publication, QoS};
use crate::mqtt::transport::{self, Failure};
use crate::mqtt::{Drain, Ticket};

pub(super) struct Task {
    pub(super) options: SessionOptions,
    pub(super) drain: Drain,
    pub(super) wanted: watch::Receiver<Vec<Subscription>>,
    pub(super) incoming: mpsc::Sender<Publication>,
    pub(super) connection: watch::Sender<Connection>,
    pub(super) counters: Arc<Counters>,
    pub(super) closing: watch::Receiver<Option<Instant>>,
    pub(super) state: State,
}

/// What outlives a connection.
#[derive(Default)]
pub(super) struct State {
    flight: Flight,
    /// QoS 2 messages of the broker that were handed on and that it may repeat.
    received: HashSet<u16>,
    /// The subscriptions that the broker knows of, if it has kept the session.
    made: Vec<Subscription>,
    is_closing: bool,
}

/// What the present connection knows beside its bytes.
struct Terms {
    greeting: Greeting,
    /// Subscriptions that the broker has not answered yet, by packet identifier.
    subscribing: HashMap<u16, Vec<Subscription>>,
    /// The message that says how the gateway stands, while the broker has not answered it.
    announced: Option<u16>,
}

/// What comes next on a connection.
enum Next {
    Line(Ready),
    Fill,
    Wanted,
    Close,
    Taker(Option<mpsc::OwnedPermit<Publication>>),
    Ping,
    Gone,
}

impl Task {
    /// Works until a shutdown is done, or its deadline. Says how many publications were not acknowledged.
    pub(super) async fn run(mut self) -> usize {
        let deadline = deadline(self.closing.clone());
        tokio::select! {
            () = self.keep() => {}
            () = deadline => {}
        }
        self.connection.send_modify(|connection| connection.connected = false);
        self.left()
    }

    fn left(&self) -> usize {
        self.drain.waiting() + self.state.flight.len()
    }

    async fn keep(&mut self) {
        let mut backoff = Backoff::new();
        let mut logged = None;
        loop {
            let mut since = None;
            let failure = match self.serve(&mut since).await {
                Ok(()) => return,
                Err(failure) => failure,
            };
            if since.is_some() {
                logged = None;
            }
            if since.is_some_and(|since: Instant| since.elapsed() >= LASTED) {
                backoff.reset();
            }
            let delay = backoff.next_delay();
            self.failed(&failure, delay, &mut logged);
            if self.pause(delay).await {
                return;
            }
        }
    }

    /// Waits before the next attempt. True if there is none: what is left needs no connection now.
    async fn pause(&mut self, delay: Duration) -> bool {
        let end = Instant::now() + delay;
        loop {
            // What is on the disk goes out after the next start; to wait for a broker that is away would help nobody.
            if self.state.is_closing && (self.left() == 0 || self.drain.is_durable()) {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep_until(end) => return false,
                changed = self.closing.changed(), if !self.state.is_closing => {
                    if changed.is_err() {
                        return true;
                    }
                    self.close();
                }
            }
        }
    }

    fn close(&mut self) {
        self.drain.close();
        self.state.is_closing = true;
    }

    /// One connection, from its beginning to its end. It ends well only when all is done.
    async fn serve(&mut self, since: &mut Option<Instant>) -> Result<(), Failure> {
        let (mut line, greeting) =
            tokio::time::timeout(PATIENCE, self.connect()).await.map_err(|_| Failure::timeout())??;
        *since = Some(Instant::now());
        self.connected(&greeting);
        let keep_alive = greeting.keep_alive.filter(|seconds| *seconds > 0);
        let keep_alive =
            keep_alive.map_or(self.options.keep_alive, |seconds| Duration::from_secs(seconds.into()));
        let mut terms = Terms { greeting, subscribing: HashMap::new(), announced: None };
        self.announce(&mut line, &mut terms, Presence::Online);
        self.subscribe(&mut line, &mut terms, true);
        loop {
            self.fill(&mut line, &terms);
            if self.state.is_closing && !line.leaving && self.left() == 0 {
                self.announce(&mut line, &mut terms, Presence::Stopped);
                line.codec.disconnect(&mut line.output);
                line.leaving = true;
            }
            let ping_at = line.ping_at(keep_alive);
            let may_take = self.state.flight.is_open() && line.output.len() < OUTPUT && !line.leaving;
            let is_waiting = line.waiting.is_some();
            let next = tokio::select! {
                ready = line.exchange() => match ready {
                    Ok(ready) => Next::Line(ready),
                    Err(_) if line.leaving => return Ok(()),
                    Err(failure) => return Err(failure),
                },
                () = self.drain.ready(), if may_take => Next::Fill,
                changed = self.wanted.changed() => changed.map(|()| Next::Wanted).unwrap_or(Next::Gone),
                changed = self.closing.changed(), if !self.state.is_closing => {
                    changed.map(|()| Next::Close).unwrap_or(Next::Gone)
                }
                permit = self.incoming.clone().reserve_owned(), if is_waiting => Next::Taker(permit.ok()),
                () = tokio::time::sleep_until(ping_at) => Next::Ping,
            };
            match next {
                Next::Line(Ready::Read) => self.read(&mut line, &mut terms)?,
                Next::Line(Ready::Written(bytes)) => {
                    let drain = &mut self.drain;
                    self.state.flight.written(bytes, |ticket| drain.done(ticket));
                }
                Next::Line(Ready::End) if line.leaving => return Ok(()),
                Next::Line(Ready::End) => return Err(Failure::closed()),
                Next::Fill => {}
                Next::Wanted => self.subscribe(&mut line, &mut terms, false),
                Next::Close => self.close(),
                Next::Taker(permit) => {
                    self.give(&mut line, permit);
                    self.read(&mut line, &mut terms)?;
                }
                Next::Ping => line.ping()?,
                // The session was dropped, and this task is about to be aborted.
                Next::Gone => return Err(Failure::closed()),
            }
        }
    }

    async fn connect(&mut self) -> Result<(Line, Greeting), Failure> {
        self.options.renew();
        let stream = transport::connect(&self.options).await?;
        let mut line = Line::new(stream, Codec::new(self.options.version, self.options.max_packet));
        line.codec.connect(&mut line.output, &self.options, Presence::Offline.publication(&self.options));
        loop {
            match line.exchange().await? {
                Ready::Written(_) => {}
                Ready::End => return Err(Failure::closed()),
                Ready::Read => match line.next()? {
                    None => {}
                    Some(Incoming::Connected(greeting)) => return Ok((line, greeting)),
                    Some(Incoming::Refused(reason)) => return Err(Failure(reason)),
                    Some(_) => return Err(Failure("the broker does not begin with CONNACK".to_owned())),
                },
            }
        }
    }

    fn connected(&mut self, greeting: &Greeting) {
        let resumed = greeting.resumed;
        count(&self.counters.connections);
        info!(broker = %self.options.address, resumed, "connected to the MQTT broker");
        self.state.flight.resume(resumed, greeting.receive_max.map_or(WINDOW, |most| most.min(WINDOW)));
        if !resumed {
            self.state.received.clear();
            self.state.made.clear();
        }
        self.connection.send_modify(|connection| {
            let refused_publication = connection.refused_publication.take();
            *connection = Connection { connected: true, refused_publication, ..Connection::default() };
        });
    }

    /// Has the broker keep how the gateway stands. Should this be lost, so is the connection, and the next one says it anew.
    fn announce(&mut self, line: &mut Line, terms: &mut Terms, presence: Presence) {
        let Some(mut publication) = presence.publication(&self.options) else { return };
        if let Err(reason) = fit(&mut publication, &self.options, &terms.greeting) {
            return debug!(topic = publication.topic, reason, "the broker does not take it");
        }
        let packet = if publication.qos == QoS::AtMostOnce { 0 } else { self.state.flight.free_packet() };
        line.codec.publish(&mut line.output, &publication, packet, false);
        terms.announced = Some(packet);
    }

    /// Asks for the subscriptions that are wanted, and ends those that nobody wants any more. A session that the broker has kept
    /// has its subscriptions: to make them again is harmless (MQTT 5, 3.8.4), and says which of them it refuses by now.
    fn subscribe(&mut self, line: &mut Line, terms: &mut Terms, anew: bool) {
        let wanted = self.wanted.borrow_and_update().clone();
        if !anew && wanted == self.state.made {
            return;
        }
        let made = std::mem::replace(&mut self.state.made, wanted.clone());
        let gone = made.into_iter().filter(|old| wanted.iter().all(|new| new.filter != old.filter));
        let gone: Vec<String> = gone.map(|old| old.filter).collect();
        if !gone.is_empty() {
            let packet = self.state.flight.free_packet();
            let gone = gone.into_iter().map(|filter| shared(&self.options, filter)).collect();
            line.codec.unsubscribe(&mut line.output, packet, gone);
        }
        if wanted.is_empty() {
            self.connection.send_modify(|connection| connection.subscribed = true);
        } else if self.options.shared_group.is_some() && terms.greeting.no_shared {
            // To ask for them all the same would end the connection (MQTT 5, 3.2.2.3.13).
            let reason = "the broker has no shared subscriptions; remove `shared-group`";
            let refusals = wanted.iter().map(|_| Some(reason.to_owned())).collect();
            self.subscribed(&wanted, refusals);
        } else {
            debug!(filters = wanted.len(), "subscribing");
            let packet = self.state.flight.free_packet();
            let mut asked = wanted.clone();
            asked.iter_mut().for_each(|it| it.filter = shared(&self.options, std::mem::take(&mut it.filter)));
            line.codec.subscribe(&mut line.output, packet, &asked);
            terms.subscribing.insert(packet, wanted);
        }
    }

    /// Writes what may be written.
    fn fill(&mut self, line: &mut Line, terms: &Terms) {
        let Self { drain, counters, state, options, .. } = self;
        let write = |step: Step<'_>, line: &mut Line| {
            match step {
                Step::Publish { publication, packet, repeated } => {
                    count(&counters.published);
                    line.codec.publish(&mut line.output, publication, packet, repeated);
                }
                Step::Release { packet } => {
                    line.codec.acknowledge(&mut line.output, Acknowledgement::Rel, packet);
                }
            }
            line.end()
        };
        while line.output.len() < OUTPUT && state.flight.again(|step| write(step, line)) {}
        while line.output.len() < OUTPUT && state.flight.is_open() && !line.leaving {
            let Some(mut taken) = drain.try_take() else { return };
            match fit(&mut taken.publication, options, &terms.greeting) {
                Ok(()) => state.flight.enter(taken, |step| write(step, line)),
                Err(reason) => {
                    let unfit = count(&counters.unfit);
                    if unfit.is_power_of_two() {
                        warn!(topic = taken.publication.topic, reason, unfit, "publication dropped");
                    }
                    drain.done(taken.ticket);
                }
            }
        }
    }

    /// Takes the packets that were read, until one has to wait.
    fn read(&mut self, line: &mut Line, terms: &mut Terms) -> Result<(), Failure> {
        while line.waiting.is_none() {
            let Some(packet) = line.next()? else { return Ok(()) };
            self.take(packet, line, terms)?;
        }
        Ok(())
    }

    fn take(&mut self, packet: Incoming, line: &mut Line, terms: &mut Terms) -> Result<(), Failure> {
        match packet {
            Incoming::Publish { packet, publication } => self.hand_on(line, publication, packet),
            Incoming::PubAck { packet, refused } if terms.announced == Some(packet) => {
                terms.announced = None;
                if let (Some(reason), Some(topic)) = (refused, &self.options.status_topic) {
                    warn!(topic, reason, "the MQTT broker does not let the gateway say how it stands");
                }
            }
            Incoming::PubAck { packet, refused } => {
                let done = self.state.flight.acknowledged(packet);
                self.finish(done, refused);
            }
            Incoming::PubRec { packet, refused: None } => {
                self.state.flight.received(packet);
                line.codec.acknowledge(&mut line.output, Acknowledgement::Rel, packet);
            }
            Incoming::PubRec { packet, refused } => {
                let done = self.state.flight.refused(packet);
                self.finish(done, refused);
            }
            Incoming::PubComp { packet } => {
                let done = self.state.flight.completed(packet);
                self.finish(done, None);
            }
            Incoming::PubRel { packet } => {
                self.state.received.remove(&packet);
                line.codec.acknowledge(&mut line.output, Acknowledgement::Comp, packet);
            }
            Incoming::SubAck { packet, refusals } => {
                let wanted = terms.subscribing.remove(&packet).unwrap_or_default();
                self.subscribed(&wanted, refusals);
            }
            Incoming::Disconnect(reason) => {
                return Err(Failure(format!("the broker has ended the connection: {reason}")));
            }
            Incoming::Connected(_)
            | Incoming::Refused(_)
            | Incoming::UnsubAck { .. }
            | Incoming::PingResp => {}
        }
        Ok(())
    }

    /// Hands a message on, and acknowledges it; if nobody takes it now, it waits.
    fn hand_on(&mut self, line: &mut Line, publication: Publication, packet: u16) {
        let qos = publication.qos;
        if qos == QoS::ExactlyOnce && !self.state.received.insert(packet) {
            return acknowledge(line, qos, packet);
        }
        count(&self.counters.received);
        match self.incoming.try_send(publication) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => drop(count(&self.counters.untaken)),
            Err(mpsc::error::TrySendError::Full(publication)) => {
                line.waiting = Some((publication, packet));
                return;
            }
        }
        acknowledge(line, qos, packet);
    }

    /// There is room for the message that waits; without a permit there is nobody who would take it.
    fn give(&mut self, line: &mut Line, permit: Option<mpsc::OwnedPermit<Publication>>) {
        let Some((publication, packet)) = line.waiting.take() else { return };
        let qos = publication.qos;
        match permit {
            Some(permit) => drop(permit.send(publication)),
            None => drop(count(&self.counters.untaken)),
        }
        acknowledge(line, qos, packet);
    }

    /// A publication needs nothing more.
    fn finish(&mut self, done: Option<(Ticket, Publication)>, refused: Option<String>) {
        let Some((ticket, publication)) = done else { return };
        match refused {
            None => drop(count(&self.counters.acknowledged)),
            Some(reason) => {
                let refused = count(&self.counters.refused);
                if refused.is_power_of_two() {
                    let topic = publication.topic;
                    warn!(topic, reason, refused, "the MQTT broker has refused a publication");
                    let last = Some(RefusedPublication { topic, reason });
                    self.connection.send_modify(|connection| connection.refused_publication = last);
                }
            }
        }
        self.drain.done(ticket);
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
    fn failed(&self, failure: &Failure, delay: Duration, logged: &mut Option<Failure>) {
        count(&self.counters.failures);
        let broker = &self.options.address;
        if logged.as_ref() == Some(failure) {
            debug!(%broker, reason = %failure, ?delay, "still no connection to the MQTT broker");
        } else {
            warn!(%broker, reason = %failure, ?delay, "no connection to the MQTT broker; trying again");
            *logged = Some(failure.clone());
        }
        let error = Some(failure.to_string());
        // What was refused may be why.
        self.connection.send_modify(|connection| {
            (connection.connected, connection.subscribed, connection.error) = (false, false, error);
        });
    }
}

fn acknowledge(line: &mut Line, qos: QoS, packet: u16) {
    let what = match qos {
        QoS::AtMostOnce => return,
        QoS::AtLeastOnce => Acknowledgement::Ack,
        QoS::ExactlyOnce => Acknowledgement::Rec,
    };
    line.codec.acknowledge(&mut line.output, what, packet);
}

/// A filter as the broker is asked for it (MQTT 5, 4.8.2).
fn shared(options: &SessionOptions, filter: String) -> String {
    match &options.shared_group {
        Some(group) => format!("$share/{group}/{filter}"),
        None => filter,
    }
}

/// Fits a publication to what the broker takes. What MQTT or the broker forbids would end each connection.
fn fit(publication: &mut Publication, options: &SessionOptions, greeting: &Greeting) -> Result<(), String> {
    publication.check().map_err(|invalid| invalid.to_string())?;
    let size = publication.packet_size();
    let limit = greeting.max_packet.map_or(options.max_packet, |most| most.min(options.max_packet));
    if size > limit {
        return Err(format!("{size} bytes, the limit is {limit}"));
    }
    if let Some(most) = greeting.max_qos {
        publication.qos = publication.qos.min(most);
    }
    publication.retain &= !greeting.no_retain;
    Ok(())
}

/// A connection that held for so long was a good one: the next failure starts with the shortest delay.
const LASTED: Duration = Duration::from_secs(10);
/// How long connecting and the broker's greeting may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Unacknowledged messages at a time. MQTT 5 brokers that want fewer say so in the CONNACK.
const WINDOW: u16 = 512;
/// Bytes that may wait to be written before anything more is taken out of the outbox.
const OUTPUT: usize = 256 << 10;
