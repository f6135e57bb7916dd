//! Everything between which messages run: the subject, the broker that it publishes to, the clients and their sockets. One thread does
//! it all, a turn at a time: what there is to send goes out, then it waits, then it takes what has come.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::client::{self, Crowd, Said};
use super::packet::Publish;
use super::secure::Associations;
use super::sink::Sink;
use super::subject::Subject;
use super::system::{self, Batch, Source};
use super::tally::Tally;
use super::{Options, Workload};

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) crowd: Crowd,
    pub(super) sink: Sink,
    pub(super) tally: Tally,
    /// Before the sink, so that it ends first.
    pub(super) subject: Subject,
    ports: Vec<Port>,
    /// None: CoAP without DTLS.
    secure: Option<Associations>,
    incoming: Batch,
    /// A message before it becomes a record.
    plain: Vec<u8>,
    polls: Vec<libc::pollfd>,
    origin: Instant,
    now: u64,
    checked: u64,
}

impl Stage {
    /// Starts the subject and waits until it has connected to the broker.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let sink = Sink::open()?;
        let is_other = !options.subject.is_empty();
        let secure = options.dtls.then(|| Associations::new(options.clients)).transpose()?;
        let subject = Subject::start(options, sink.address()?)?;
        let ports = (0..PORTS).map(|_| Port::open(subject.address())).collect::<Result<_, _>>()?;
        let mut stage = Self {
            crowd: Crowd::new(options.clients, options.samples),
            sink,
            // What others publish is theirs, but a read has a number that they repeat.
            tally: Tally::new(is_other && options.workload != Workload::Read),
            subject,
            ports,
            secure,
            incoming: Batch::default(),
            plain: Vec::new(),
            polls: Vec::new(),
            origin: Instant::now(),
            now: 0,
            checked: 0,
        };
        stage.until(START, "the subject to connect to the broker", |stage| {
            stage.sink.is_connected() && (is_other || stage.sink.is_subscribed())
        })?;
        Ok(stage)
    }

    /// Nanoseconds since the start, as of the last turn.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// From now on is measured.
    pub(super) fn begin(&mut self) {
        self.tally.begin(self.now);
    }

    /// Sends a message of a client: what is appended. Over DTLS its handshake must be done.
    pub(super) fn send(
        &mut self,
        client: usize,
        fill: impl FnOnce(&mut Crowd, &mut Vec<u8>),
    ) -> anyhow::Result<()> {
        let room = self.ports[port_of(client)].room(client::address(client))?;
        let Some(secure) = &mut self.secure else {
            fill(&mut self.crowd, room);
            return Ok(());
        };
        self.plain.clear();
        fill(&mut self.crowd, &mut self.plain);
        secure.seal(client, &self.plain, room)
    }

    /// Lets a client register, or say it again; over DTLS it shakes hands before.
    pub(super) fn register(&mut self, client: usize) -> anyhow::Result<()> {
        if let Some(secure) = self.secure.as_mut().filter(|secure| !secure.is_ready(client)) {
            let address = client::address(client);
            for datagram in secure.shake(client, None)? {
                self.ports[port_of(client)].room(address)?.extend_from_slice(&datagram);
            }
            return Ok(());
        }
        self.send(client, |crowd, out| crowd.register(client, out))
    }

    /// Sends what there is to send, waits at most so long for something to come, and takes it.
    pub(super) fn turn(&mut self, at_most: Duration) -> anyhow::Result<()> {
        self.flush()?;
        self.polls.clear();
        self.polls.extend(self.ports.iter().map(|port| port.source.poll()));
        self.sink.poll(&mut self.polls);
        system::wait(&mut self.polls, at_most.min(LOOK))?;
        self.now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for at in 0..PORTS {
            if self.polls[at].revents != 0 {
                self.receive(at)?;
            }
        }
        if self.polls[PORTS..].iter().any(|of| of.revents != 0) {
            let (tally, now) = (&mut self.tally, self.now);
            self.sink.take(|publish: &Publish<'_>| tally.arrived(publish, now))?;
        }
        if self.now.saturating_sub(self.checked) > nanoseconds(LOOK) {
            self.checked = self.now;
            ensure!(!system::is_interrupted(), "interrupted");
            self.subject.check()?;
        }
        Ok(())
    }

    /// Takes turns until this holds.
    ///
    /// # Errors
    /// It does not within this time; the text says what was waited for.
    pub(super) fn until(
        &mut self,
        at_most: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let give_up = Instant::now() + at_most;
        while !holds(self) {
            let waited = at_most.as_secs();
            ensure!(
                Instant::now() < give_up,
                "waited {waited} s for {what} in vain; the subject said:\n{}",
                self.subject.said()
            );
            self.turn(LOOK)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.ports.iter_mut().try_for_each(Port::flush)?;
        Ok(self.sink.flush()?)
    }

    fn receive(&mut self, at: usize) -> anyhow::Result<()> {
        let mut incoming = std::mem::take(&mut self.incoming);
        for _ in 0..ROUNDS {
            self.ports[at].source.receive(&mut incoming)?;
            for (address, datagram) in incoming.iter_mut() {
                match client::of_address(address) {
                    Some(client) if self.secure.is_some() => self.take_secure(client, at, datagram)?,
                    Some(client) => self.take(client, at, datagram)?,
                    None => {}
                }
            }
            if !incoming.is_full() {
                break;
            }
        }
        self.incoming = incoming;
        Ok(())
    }

    fn take(&mut self, client: usize, at: usize, datagram: &[u8]) -> anyhow::Result<()> {
        let port = &mut self.ports[at];
        let answer = port.room(client::address(client))?;
        let said = self.crowd.take(client, datagram, answer);
        if answer.is_empty() {
            port.outgoing.take_back();
        }
        self.tally.said(client, said, self.now);
        Ok(())
    }

    fn take_secure(&mut self, client: usize, at: usize, datagram: &mut [u8]) -> anyhow::Result<()> {
        let Self { secure: Some(secure), ports, plain, crowd, .. } = self else { return Ok(()) };
        let (port, address) = (&mut ports[at], client::address(client));
        plain.clear();
        let said = if secure.is_ready(client) {
            let Some(content) = secure.open(client, datagram) else { return Ok(()) };
            crowd.take(client, &datagram[content], plain)
        } else {
            for datagram in secure.shake(client, Some(datagram))? {
                port.room(address)?.extend_from_slice(&datagram);
            }
            if secure.is_ready(client) {
                crowd.register(client, plain);
            }
            Said::Nothing
        };
        if !plain.is_empty() {
            secure.seal(client, plain, port.room(address)?)?;
        }
        self.tally.said(client, said, self.now);
        Ok(())
    }
}

/// A socket, and what is to go out by it.
#[derive(Debug)]
struct Port {
    source: Source,
    outgoing: Batch,
    to: SocketAddrV4,
}

impl Port {
    fn open(to: SocketAddrV4) -> std::io::Result<Self> {
        Ok(Self { source: Source::open()?, outgoing: Batch::default(), to })
    }

    /// Room for one more datagram.
    fn room(&mut self, from: Ipv4Addr) -> std::io::Result<&mut Vec<u8>> {
        if self.outgoing.is_full() {
            self.flush()?;
        }
        Ok(self.outgoing.next(from))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.outgoing.len() > 0 { self.source.send(self.to, &mut self.outgoing) } else { Ok(()) }
    }
}

/// By which port a client sends. A run of neighbours has the same, so that what they send goes out in one call.
fn port_of(client: usize) -> usize {
    client / system::BATCH % PORTS
}

/// Nanoseconds of a duration that is not longer than centuries.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Several, as a socket is locked while the kernel puts a datagram to it.
const PORTS: usize = 4;
/// Full batches taken from a socket in one turn.
const ROUNDS: usize = 4;
/// How often the subject and the signals are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the subject may take to start.
const START: Duration = Duration::from_secs(60);
