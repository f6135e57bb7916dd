//! Everything between which messages run: the subject, the broker that it publishes to, the clients and their sockets. One thread does
//! it all, a turn at a time: what there is to send goes out, then it waits, then it takes what has come.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Options;
use super::client::{self, Crowd, Said};
use super::packet::Publish;
use super::sink::Sink;
use super::subject::Subject;
use super::system::{self, Batch, Source};
use super::tally::Tally;

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) crowd: Crowd,
    pub(super) sink: Sink,
    pub(super) tally: Tally,
    /// Before the sink, so that it ends first.
    pub(super) subject: Subject,
    sources: Vec<Source>,
    outgoing: Vec<Batch>,
    incoming: Batch,
    polls: Vec<libc::pollfd>,
    origin: Instant,
    now: u64,
    checked: u64,
}

impl Stage {
    /// Starts the subject and waits until it has connected to the broker.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let sink = Sink::open()?;
        let sources = (0..SOURCES).map(|_| Source::open()).collect::<Result<Vec<_>, _>>()?;
        let outgoing = sources.iter().map(|_| Batch::default()).collect();
        let is_other = !options.subject.is_empty();
        let subject = Subject::start(options, sink.address()?)?;
        let mut stage = Self {
            crowd: Crowd::new(options.clients, options.samples),
            sink,
            tally: Tally::new(is_other),
            subject,
            sources,
            outgoing,
            incoming: Batch::default(),
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

    /// Room for a datagram of a client, to be appended to.
    pub(super) fn send(
        &mut self,
        client: usize,
        fill: impl FnOnce(&mut Crowd, &mut Vec<u8>),
    ) -> anyhow::Result<()> {
        let at = source_of(client);
        if self.outgoing[at].is_full() {
            self.sources[at].send(self.subject.address(), &mut self.outgoing[at])?;
        }
        fill(&mut self.crowd, self.outgoing[at].next(client::address(client)));
        Ok(())
    }

    /// Sends what there is to send, waits at most so long for something to come, and takes it.
    pub(super) fn turn(&mut self, at_most: Duration) -> anyhow::Result<()> {
        self.flush()?;
        self.polls.clear();
        self.polls.extend(self.sources.iter().map(Source::poll));
        self.sink.poll(&mut self.polls);
        system::wait(&mut self.polls, at_most.min(LOOK))?;
        self.now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for at in 0..self.sources.len() {
            if self.polls[at].revents != 0 {
                self.receive(at)?;
            }
        }
        if self.polls[SOURCES..].iter().any(|of| of.revents != 0) {
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
        for (source, batch) in self.sources.iter().zip(&mut self.outgoing) {
            if batch.len() > 0 {
                source.send(self.subject.address(), batch)?;
            }
        }
        Ok(self.sink.flush()?)
    }

    fn receive(&mut self, at: usize) -> anyhow::Result<()> {
        let Self { sources, outgoing, incoming, crowd, tally, subject, now, .. } = self;
        let (source, outgoing) = (&sources[at], &mut outgoing[at]);
        for _ in 0..ROUNDS {
            source.receive(incoming)?;
            let is_more = incoming.is_full();
            for (address, datagram) in incoming.iter_mut() {
                let Some(client) = client::of_address(address) else { continue };
                if outgoing.is_full() {
                    source.send(subject.address(), outgoing)?;
                }
                let mut is_answered = false;
                let said = {
                    let answer = outgoing.next(address);
                    let said = crowd.take(client, datagram, answer);
                    is_answered |= !answer.is_empty();
                    said
                };
                if !is_answered {
                    outgoing.take_back();
                }
                if said != Said::Nothing {
                    tally.said(client, said, *now);
                }
            }
            if !is_more {
                break;
            }
        }
        Ok(())
    }
}

/// Through which socket a client sends. A run of neighbours has the same, so that what they send goes out in one call.
fn source_of(client: usize) -> usize {
    client / system::BATCH % SOURCES
}

/// Nanoseconds of a duration that is not longer than centuries.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Several, as a socket is locked while the kernel puts a datagram to it.
const SOURCES: usize = 4;
/// Full batches taken from a socket in one turn.
const ROUNDS: usize = 4;
/// How often the subject and the signals are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the subject may take to start.
const START: Duration = Duration::from_secs(60);
