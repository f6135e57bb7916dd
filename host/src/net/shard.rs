//! One shard: a thread, its sockets, its LwM2M server.
//!
//! 1. a datagram comes in; one that belongs to another shard is handed on ([`route`](super::route));
//! 2. `proto` takes it in and says what happened;
//! 3. [`Uplink`] turns what happened into publications and queues them, and may ask for requests;
//! 4. only when they are safe, at the end of the turn, is the datagram acknowledged, if it wants that;
//! 5. requests for clients, from here or from MQTT, go out when `proto` says so.
//!
//! With DTLS, [`Secure`] opens a datagram before the second step and seals what goes out after the fifth.

mod admit;
mod batch;
mod handover;
mod publish;
mod restart;
mod show;
mod wire;

use std::io;
use std::net::UdpSocket as StdSocket;
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use tidegate_dtls::endpoint::Received;
use tidegate_proto::coap::{Peer, Transmit};
use tidegate_proto::lwm2m::server::{Config, Event, Output, Receipt, Refusal, Request, Server, Settlement};
use tidegate_proto::time::Instant;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::command::{Command, ShardHandle};
use super::count::{Own, Tally};
use super::directory::Directory;
use super::entropy::SystemEntropy;
use super::keep::ClientKeeping;
use super::rate::{RateLimit, Rates};
use super::route::Routes;
use super::secure::{Happened, Secure};
use super::throttle::Throttle;
use handover::Parking;
pub use restart::Kept;
use wire::{Arrivals, BATCH, Sockets};

/// What becomes of events; the bridge implements it, once per shard.
pub trait Uplink: Send {
    /// Take an event: queue what is to be published, and add to `requests` what is to be asked of clients.
    /// `Refused` means that there was no room and nothing was queued.
    fn handle(&mut self, event: &Event, requests: &mut Vec<Request>) -> Settlement;

    /// Make what was queued safe, and let it go: before this nobody may be told that it was. Called once a turn, and before an
    /// answer that does not wait for the end of the turn.
    fn commit(&mut self);

    /// Try again to queue what could not be refused, and do what has waited for another translator. Called once a turn.
    /// True if nothing is left of it for now.
    fn flush(&mut self, requests: &mut Vec<Request>) -> bool;

    /// Queue what is left: nothing comes after it.
    fn close(&mut self);

    /// How many events were for nobody who is there.
    fn unclaimed(&self) -> u64 {
        0
    }
}

/// What a shard is made of, before its thread starts.
#[derive(Debug)]
pub struct Shard<U> {
    /// Limits, and the shard's number.
    pub config: Config,
    /// One socket per listener: first those of CoAP, then those of DTLS.
    pub sockets: Vec<StdSocket>,
    /// The DTLS side, if there are listeners for it.
    pub secure: Option<Secure>,
    /// What there was before the restart, and where it is kept for the next.
    pub kept: Kept,
    /// Where events go.
    pub uplink: U,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Shared time.
    pub clock: Clock,
    /// Where what it counts is seen.
    pub tally: Arc<Tally>,
    /// How fast datagrams may come.
    pub rates: Rates,
}

impl<U: Uplink + 'static> Shard<U> {
    /// Start the thread. It ends when `stop` changes or its sender is dropped.
    pub fn start(
        self,
        commands: mpsc::Receiver<Command>,
        others: Vec<ShardHandle>,
        stop: tokio::sync::watch::Receiver<bool>,
    ) -> io::Result<thread::JoinHandle<()>> {
        let number = self.config.shard;
        thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let outcome = runtime.and_then(|runtime| {
                let _context = runtime.enter();
                let sockets = Sockets::new(self.sockets)?;
                let mut kept = self.kept;
                let keeper = kept.keeper.take();
                let config = Config { keep: keeper.is_some(), ..self.config };
                let mut server = Server::new(config, Box::new(SystemEntropy::new()));
                if let Some(secure) = &self.secure {
                    server.set_secured(secure.secured());
                }
                let driver = Driver {
                    number,
                    server,
                    sockets,
                    secure: self.secure,
                    keeping: keeper.map(ClientKeeping::new),
                    uplink: self.uplink,
                    directory: self.directory,
                    clock: self.clock,
                    now: self.clock.now(),
                    tally: self.tally,
                    limit: RateLimit::new(self.rates, &mut SystemEntropy::new()),
                    excess: Throttle::default(),
                    counts: Own::default(),
                    publish: None,
                    others,
                    routes: Routes::new(Arc::clone(&kept.homes)),
                    parking: Parking::default(),
                    requests: Vec::new(),
                    accepted: Vec::new(),
                    refusals: Throttle::default(),
                    deadline: None,
                };
                runtime.block_on(driver.run(kept, commands, stop));
                Ok(())
            });
            if let Err(error) = outcome {
                tracing::error!(shard = number, %error, "the shard cannot run");
            }
        })
    }
}

struct Driver<U> {
    number: u8,
    server: Server,
    sockets: Sockets,
    secure: Option<Secure>,
    keeping: Option<ClientKeeping>,
    uplink: U,
    directory: Arc<Directory>,
    clock: Clock,
    /// When what is going on began.
    now: Instant,
    tally: Arc<Tally>,
    /// None if datagrams may come as fast as they can.
    limit: Option<RateLimit>,
    /// Datagrams that came too fast.
    excess: Throttle,
    counts: Own,
    /// When what was counted is to be seen.
    publish: Option<Instant>,
    others: Vec<ShardHandle>,
    routes: Routes,
    parking: Parking,
    /// Requests that came out of an event, kept to reuse its memory.
    requests: Vec<Request>,
    /// What has its publications queued, and is answered at the end of the turn.
    accepted: Vec<Receipt>,
    /// Registrations that were refused.
    refusals: Throttle,
    /// When `proto` wants to be called again.
    deadline: Option<Instant>,
}

impl<U: Uplink> Driver<U> {
    async fn run(
        mut self,
        kept: Kept,
        mut commands: mpsc::Receiver<Command>,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) {
        tokio::select! {
            _ = stop.changed() => return,
            () = self.restore(kept, &mut commands) => {}
        }
        let mut arrivals = Arrivals::new();
        let mut timer = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
        // What was told of restored clients has still to be committed, in a first turn.
        let mut backlog = true;
        loop {
            let wake = self.wake(backlog);
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                listener = self.sockets.readable() => self.receive(listener, &mut arrivals),
                Some(command) = commands.recv() => self.obey(command),
                () = &mut timer => {}
            }
            // Sockets come first above, but a flood of datagrams must not keep commands and timers waiting.
            for _ in 0..BATCH {
                let Ok(command) = commands.try_recv() else { break };
                self.obey(command);
            }
            let now = self.now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.server.handle_timeout(now);
                self.pump();
            }
            let kept = self.secure_turn(now);
            backlog = !self.uplink.flush(&mut self.requests) || !kept;
            if !self.requests.is_empty() {
                self.perform_asked(now);
                self.pump();
            }
            self.acknowledge();
            backlog |= !self.keep_clients(now);
            self.publish_counts(now);
            self.sockets.flush();
        }
        self.acknowledge();
        self.uplink.close();
        self.tally.publish(&self.counts());
        self.part(commands).await;
    }

    fn wake(&self, backlog: bool) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        if backlog {
            return now + BACKLOG_RETRY;
        }
        let secure = self.secure.as_ref().and_then(Secure::deadline);
        match self.deadline.into_iter().chain(secure).chain(self.publish).min() {
            Some(deadline) => self.clock.monotonic(deadline).into(),
            None => now + IDLE,
        }
    }

    /// Take what a socket has, up to a batch, so that commands and timers get their turn.
    fn receive(&mut self, listener: usize, arrivals: &mut Arrivals) {
        let count = self.sockets.receive(listener, arrivals).unwrap_or_else(|error| {
            // An ICMP error of an earlier datagram is told here; retransmission deals with what was lost.
            self.counts.receive_errors += 1;
            tracing::debug!(shard = self.number, %error, "receive");
            0
        });
        let listener = u16::try_from(listener).unwrap_or(u16::MAX);
        for number in 0..count {
            let Some((address, datagram)) = arrivals.get(number) else { continue };
            let peer = Peer { address, listener, association: 0 };
            if !self.admits(peer) {
                continue;
            }
            match self.elsewhere(peer, datagram) {
                Some(shard) => self.hand_on(shard, peer, datagram),
                None => self.take_in(peer, datagram),
            }
        }
    }

    /// The other shard that a datagram belongs to.
    fn elsewhere(&mut self, peer: Peer, datagram: &[u8]) -> Option<u8> {
        if self.others.len() < 2 {
            return None;
        }
        match &self.secure {
            Some(secure) if secure.hears(peer.listener) => secure.elsewhere(peer, datagram),
            _ if self.server.knows(peer) => None,
            _ => {
                let shards = u8::try_from(self.others.len()).unwrap_or(u8::MAX);
                self.routes.elsewhere(self.number, shards, &self.directory, peer, datagram)
            }
        }
    }

    fn hand_on(&self, shard: u8, peer: Peer, datagram: &[u8]) {
        let Some(other) = self.others.get(usize::from(shard)) else { return };
        // A shard that cannot keep up loses it, as the network may; the client sends it again.
        if other.send(Command::Datagram(peer, datagram.to_vec())).is_err() {
            tracing::debug!(shard = self.number, %peer.address, "the client's shard is busy");
        }
    }

    /// The time now, also for what follows of it.
    fn now(&mut self) -> Instant {
        self.now = self.clock.now();
        self.now
    }

    /// Take in a datagram that belongs here.
    fn take_in(&mut self, peer: Peer, datagram: &mut [u8]) {
        let now = self.now();
        match &mut self.secure {
            Some(secure) if secure.hears(peer.listener) => {
                secure.handle_datagram(now, peer, datagram);
                self.hand_in(datagram);
            }
            _ => {
                self.server.handle_datagram(now, peer, datagram);
                self.pump();
            }
        }
    }

    /// Tell the server what has happened on associations; `datagram` is the last that was opened.
    fn hand_in(&mut self, datagram: &[u8]) {
        let now = self.now();
        loop {
            let Some(secure) = &mut self.secure else { return };
            let sockets = &mut self.sockets;
            let Some(happened) = secure.poll(now, |peer, payload| sockets.send(peer, payload)) else {
                return;
            };
            match happened {
                Happened::Associated(peer, endpoint, limit) => {
                    self.server.associate(now, peer, endpoint);
                    if let Some(limit) = limit {
                        self.server.limit(peer.association, limit.into());
                    }
                }
                Happened::Received(peer, Received::Within(range)) => {
                    self.take_in_opened(now, peer, datagram.get(range).unwrap_or_default());
                }
                Happened::Received(peer, Received::Earlier(data)) => {
                    self.take_in_opened(now, peer, &data);
                }
                Happened::Dissociated(association, barred) => {
                    self.server.dissociate(now, association);
                    if let Some(endpoint) = barred {
                        self.server.remove(now, &endpoint);
                    }
                }
            }
            self.pump();
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Datagram(peer, mut datagram) => return self.take_in(peer, &mut datagram),
            Command::Perform(request) => self.perform(now, request),
            Command::HandOver { endpoint, to } => self.hand_over(now, endpoint, to),
            Command::TakeOver { endpoint, handover } => self.take_over(now, &endpoint, handover),
            Command::Remove(endpoint) => self.server.remove(now, &endpoint),
            Command::Define(models) => self.server.set_models(models),
            Command::Secure(credentials) => {
                if let Some(secure) = &mut self.secure {
                    secure.renew(credentials);
                    self.server.set_secured(secure.secured());
                }
            }
            Command::Kept(bounds) => {
                if let Some(secure) = &mut self.secure {
                    secure.kept(&bounds);
                }
            }
            Command::ClientsKept(turn) => self.server.kept(now, turn),
            Command::Show(question) => return self.show(now, question),
            // The turn itself is all that is wanted.
            Command::Wake => {}
            Command::Answer(answer) => drop(answer.send(())),
        }
        self.pump();
    }

    /// Do what `proto` wants done, until it wants nothing more now.
    fn pump(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(transmit) => self.transmit(&transmit),
                Output::Event(event) => self.hand_up(&event),
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn hand_up(&mut self, event: &Event) {
        if self.lives_elsewhere(event) || self.log_refused(event) {
            return;
        }
        let settlement = self.uplink.handle(event, &mut self.requests);
        if settlement == Settlement::Accepted {
            self.enter(event);
        }
        let now = self.now;
        match (event, receipt(event)) {
            // A client waits for its answer before it says more (`NSTART`, RFC 7252 section 4.7), so those of a turn are made safe
            // together.
            (
                Event::Notified { .. }
                | Event::Sent { .. }
                | Event::Registered { .. }
                | Event::Updated { .. },
                Some(receipt),
            ) if settlement == Settlement::Accepted => self.accepted.push(receipt),
            (_, Some(receipt)) => {
                self.uplink.commit();
                self.server.settle(now, receipt, settlement);
            }
            (_, None) => {}
        }
        self.perform_asked(now);
    }

    /// Make safe what the turn has queued, and acknowledge it.
    fn acknowledge(&mut self) {
        self.uplink.commit();
        while !self.accepted.is_empty() {
            let now = self.now();
            let mut accepted = std::mem::take(&mut self.accepted);
            for receipt in accepted.drain(..) {
                self.server.settle(now, receipt, Settlement::Accepted);
            }
            // Its memory is used again.
            self.accepted = accepted;
            self.pump();
            self.uplink.commit();
        }
    }

    fn perform_asked(&mut self, now: Instant) {
        for request in self.requests.drain(..) {
            self.server.perform(now, request);
        }
    }

    /// Whether an event was only for the log: a registration that was refused.
    fn log_refused(&mut self, event: &Event) -> bool {
        let Event::Refused { peer, endpoint, principal, reason } = event else { return false };
        let reason = match reason {
            Refusal::Identity => "the client has proved to be another endpoint",
            Refusal::Unproved => "the client has not proved to be any endpoint",
            Refusal::Insecure => "this endpoint has a credential, and the client does not use it",
        };
        if let Some(left_out) = self.refusals.turn(self.clock.now()) {
            let proved = principal.as_deref().unwrap_or_default();
            tracing::warn!(peer = %peer.address, %endpoint, proved, reason, left_out, "a registration is refused");
        }
        true
    }

    /// Keep the directory true.
    fn enter(&self, event: &Event) {
        match event {
            Event::Registered { registration, .. } | Event::Updated { registration, .. } => {
                self.enter_registration(registration);
            }
            Event::Ended { registration, .. } => self.directory.leave(registration, self.number),
            _ => {}
        }
    }

    /// Send something at the end of the turn.
    fn transmit(&mut self, transmit: &Transmit) {
        let (peer, payload) = match (transmit.peer.association, &mut self.secure) {
            (0, _) => (transmit.peer, transmit.payload.as_slice()),
            (association, Some(secure)) => match secure.seal(association, &transmit.payload) {
                Some(sealed) => sealed,
                None => {
                    self.counts.unsent_association += 1;
                    return tracing::debug!(shard = self.number, "nothing can be sent to an association");
                }
            },
            (_, None) => return,
        };
        self.sockets.send(peer, payload);
    }
}

fn receipt(event: &Event) -> Option<Receipt> {
    match event {
        Event::Registered { receipt, .. } | Event::Updated { receipt, .. } | Event::Sent { receipt, .. } => {
            Some(*receipt)
        }
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => *receipt,
        Event::Answered { .. } | Event::Progressed { .. } | Event::Failed { .. } | Event::Refused { .. } => {
            None
        }
    }
}

/// How soon what could not be queued for MQTT is tried again.
const BACKLOG_RETRY: std::time::Duration = std::time::Duration::from_millis(10);
/// How long the store may keep a shard that starts or ends waiting.
const STORE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a shard without any timer sleeps.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(test)]
mod tests;
