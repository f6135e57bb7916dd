//! One shard: a thread, its sockets, its LwM2M server.
//!
//! 1. a datagram comes in; one that belongs to another shard is handed on ([`route`](super::route));
//! 2. `proto` takes it in and says what happened;
//! 3. [`Uplink`] turns what happened into publications and queues them, and may ask for requests;
//! 4. only then is the datagram acknowledged, if it wants that;
//! 5. requests for clients, from here or from MQTT, go out when `proto` says so.

use std::io;
use std::net::UdpSocket as StdSocket;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use tidegate_proto::coap::{Peer, Transmit};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Config, End, Event, Output, Receipt, Request, Server, Settlement};
use tidegate_proto::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::directory::Directory;
use super::entropy::SystemEntropy;
use super::route::Routes;

/// What becomes of events; the bridge implements it, once per shard.
pub trait Uplink: Send {
    /// Take an event: queue what is to be published, and add to `requests` what is to be asked of clients.
    /// `Refused` means that there was no room and nothing was queued.
    fn handle(&mut self, event: &Event, requests: &mut Vec<Request>) -> Settlement;

    /// Try again to queue what could not be refused. True if nothing is left of it.
    fn flush(&mut self) -> bool;
}

/// What others ask of a shard.
#[derive(Debug)]
pub enum Command {
    /// A datagram for a client of this shard that came to another one.
    Datagram(Peer, Vec<u8>),
    /// An operation for a client of this shard.
    Perform(Request),
    /// End a registration: the client has registered at another shard.
    Remove(Arc<str>),
    /// Take other object definitions.
    Define(Arc<Models>),
}

/// How others reach a shard. When the last handle is gone, the shard ends.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    commands: mpsc::Sender<Command>,
}

impl ShardHandle {
    /// Hand a command over without waiting; it comes back if the shard cannot keep up or has ended.
    #[allow(clippy::result_large_err)] // the command itself, for the caller to deal with
    pub fn send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command) => command,
        })
    }

    /// Hand a command over, waiting for room.
    pub async fn send_waiting(&self, command: Command) -> Result<(), Command> {
        self.commands.send(command).await.map_err(|error| error.0)
    }
}

/// What a shard is made of, before its thread starts.
#[derive(Debug)]
pub struct Shard<U> {
    /// Limits, and the shard's number.
    pub config: Config,
    /// One socket per listener.
    pub sockets: Vec<StdSocket>,
    /// Where events go.
    pub uplink: U,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Shared time.
    pub clock: Clock,
}

impl<U: Uplink + 'static> Shard<U> {
    /// A queue for a shard's commands: the handle for others, the end for [`Shard::start`].
    pub fn handle() -> (ShardHandle, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        (ShardHandle { commands }, receiver)
    }

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
                let sockets =
                    self.sockets.into_iter().map(UdpSocket::from_std).collect::<io::Result<Vec<_>>>()?;
                let driver = Driver {
                    number,
                    server: Server::new(self.config, Box::new(SystemEntropy::new())),
                    sockets,
                    uplink: self.uplink,
                    directory: self.directory,
                    clock: self.clock,
                    others,
                    routes: Routes::default(),
                    requests: Vec::new(),
                    deadline: None,
                };
                runtime.block_on(driver.run(commands, stop));
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
    sockets: Vec<UdpSocket>,
    uplink: U,
    directory: Arc<Directory>,
    clock: Clock,
    others: Vec<ShardHandle>,
    routes: Routes,
    /// Requests that came out of an event, kept to reuse its memory.
    requests: Vec<Request>,
    /// When `proto` wants to be called again.
    deadline: Option<Instant>,
}

impl<U: Uplink> Driver<U> {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; DATAGRAM];
        let mut timer = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
        let mut backlog = false;
        loop {
            let wake = self.wake(backlog);
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                listener = readable(&self.sockets) => self.receive(listener, &mut buffer),
                Some(command) = commands.recv() => self.obey(command),
                () = &mut timer => {}
            }
            // Sockets come first above, but a flood of datagrams must not keep commands and timers waiting.
            for _ in 0..BATCH {
                let Ok(command) = commands.try_recv() else { break };
                self.obey(command);
            }
            let now = self.clock.now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.server.handle_timeout(now);
                self.pump();
            }
            backlog = !self.uplink.flush();
        }
        self.uplink.flush();
    }

    fn wake(&self, backlog: bool) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        if backlog {
            return now + BACKLOG_RETRY;
        }
        match self.deadline {
            Some(deadline) => self.clock.monotonic(deadline).into(),
            None => now + IDLE,
        }
    }

    /// Take what a socket has, up to a batch, so that commands and timers get their turn.
    fn receive(&mut self, listener: usize, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            match self.sockets[listener].try_recv_from(buffer) {
                Ok((length, address)) => {
                    let listener = u16::try_from(listener).unwrap_or(u16::MAX);
                    self.take_in(Peer { address, listener, association: 0 }, &buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier datagram is told here; retransmission deals with what was lost.
                Err(error) => tracing::debug!(shard = self.number, %error, "receive"),
            }
        }
    }

    fn take_in(&mut self, peer: Peer, datagram: &[u8]) {
        if self.others.len() > 1 && !self.server.knows(peer) {
            let elsewhere = self.routes.elsewhere(self.number, &self.directory, peer, datagram);
            if let Some(other) = elsewhere.and_then(|shard| self.others.get(usize::from(shard))) {
                // A shard that cannot keep up loses it, as the network may; the client sends it again.
                if other.send(Command::Datagram(peer, datagram.to_vec())).is_err() {
                    tracing::debug!(shard = self.number, %peer.address, "the client's shard is busy");
                }
                return;
            }
        }
        self.server.handle_datagram(self.clock.now(), peer, datagram);
        self.pump();
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Datagram(peer, datagram) => self.server.handle_datagram(now, peer, &datagram),
            Command::Perform(request) => self.server.perform(now, request),
            Command::Remove(endpoint) => self.server.remove(now, &endpoint),
            Command::Define(models) => self.server.set_models(models),
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
        if matches!(event, Event::Refused { .. }) || self.lives_elsewhere(event) {
            return;
        }
        let settlement = self.uplink.handle(event, &mut self.requests);
        if settlement == Settlement::Accepted {
            self.enter(event);
        }
        let now = self.clock.now();
        if let Some(receipt) = receipt(event) {
            self.server.settle(now, receipt, settlement);
        }
        for request in self.requests.drain(..) {
            self.server.perform(now, request);
        }
    }

    /// A registration that was removed here because the client is at another shard now has not ended.
    fn lives_elsewhere(&self, event: &Event) -> bool {
        let Event::Ended { registration, reason: End::Removed, .. } = event else { return false };
        self.directory.shard(&registration.endpoint).is_some_and(|shard| shard != self.number)
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

    fn enter_registration(&self, registration: &Registration) {
        let Some(other) = self.directory.enter(registration, self.number) else { return };
        // Two devices of one name registered at two shards in the same moment: the later one stays.
        if let Some(other) = self.others.get(usize::from(other))
            && other.send(Command::Remove(registration.endpoint.clone())).is_err()
        {
            tracing::warn!(endpoint = %registration.endpoint, "a replaced registration stays until its lifetime ends");
        }
    }

    fn transmit(&self, transmit: &Transmit) {
        let Some(socket) = self.sockets.get(usize::from(transmit.peer.listener)) else { return };
        // A full socket buffer or an unreachable host is a lost datagram: retransmission is the answer to both.
        if let Err(error) = socket.try_send_to(&transmit.payload, transmit.peer.address) {
            tracing::debug!(shard = self.number, peer = %transmit.peer.address, %error, "send");
        }
    }
}

/// The first listener with something to read.
async fn readable(sockets: &[UdpSocket]) -> usize {
    std::future::poll_fn(|context| {
        for (index, socket) in sockets.iter().enumerate() {
            if socket.poll_recv_ready(context).is_ready() {
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    })
    .await
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

/// The largest UDP payload.
const DATAGRAM: usize = 65_535;
/// Datagrams taken from one socket before anything else gets its turn.
const BATCH: usize = 64;
/// Commands that may wait for a shard.
const COMMANDS: usize = 4_096;
/// How soon what could not be queued for MQTT is tried again.
const BACKLOG_RETRY: std::time::Duration = std::time::Duration::from_millis(10);
/// How long a shard without any timer sleeps.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);
