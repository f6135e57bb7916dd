//! The workloads: clients register, then what is measured is done for a while, so much of it at once or so often.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::client::{self, endpoint};
use super::measure::Schedule;
use super::stage::{Stage, nanoseconds};
use super::tally::value_of;
use super::{Options, Workload};

/// Registers clients, so many of them at once, and returns when all are observed.
///
/// # Errors
/// One of them does not come to be observed.
pub(super) fn register(stage: &mut Stage, clients: Range<usize>, window: usize) -> anyhow::Result<()> {
    let (mut next, end) = (clients.start, clients.end);
    let mut waiting: VecDeque<(usize, u64)> = VecDeque::new();
    let before = stage.tally.ready;
    let (mut ready, mut progress) = (before, Instant::now());
    loop {
        while waiting.front().is_some_and(|(client, _)| stage.crowd.is_ready(*client)) {
            waiting.pop_front();
        }
        // A message may be lost; those behind the first one wait no longer than it does.
        if let Some((client, at)) = waiting.front().copied()
            && stage.now().saturating_sub(at) > nanoseconds(RETRANSMISSION)
        {
            waiting.rotate_left(1);
            if let Some(last) = waiting.back_mut() {
                last.1 = stage.now();
            }
            stage.register(client)?;
        }
        let done = usize::try_from(stage.tally.ready - before)?;
        let under_way = (next - clients.start).saturating_sub(done);
        for _ in under_way..window.min(under_way + end - next) {
            stage.tally.of_client(next, stage.now());
            stage.register(next)?;
            waiting.push_back((next, stage.now()));
            next += 1;
        }
        if next == end && waiting.is_empty() {
            return Ok(());
        }
        stage.turn(PAUSE)?;
        if stage.tally.ready > ready {
            (ready, progress) = (stage.tally.ready, Instant::now());
        }
        if progress.elapsed() > PATIENCE {
            let (registered, observed) = stage.crowd.counts();
            bail!(
                "of {} clients {registered} have registered and {observed} are observed, and for {} s nothing goes on; \
                 refused: {} ({:?}); the subject said:\n{}",
                stage.crowd.len(),
                PATIENCE.as_secs(),
                stage.tally.refused,
                stage.tally.refusal,
                stage.subject.said()
            );
        }
    }
}

/// Waits until nothing has come to the broker for a moment, so that what was begun before is not measured.
pub(super) fn settle(stage: &mut Stage) -> anyhow::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    let (mut seen, mut since) = (stage.tally.published, Instant::now());
    while since.elapsed() < QUIET {
        ensure!(Instant::now() < give_up, "the subject does not stop publishing");
        stage.turn(PAUSE)?;
        if stage.tally.published > seen {
            (seen, since) = (stage.tally.published, Instant::now());
        }
    }
    Ok(())
}

/// Operations, one client after the other.
#[derive(Debug)]
pub(super) struct Drive {
    workload: Workload,
    pace: Pace,
    /// Those before take part; of the mixed workload, those behind register again and again.
    clients: usize,
    all: usize,
    next: usize,
    next_registration: usize,
    /// Operations that message identifiers suffice for.
    left: u64,
}

#[derive(Debug)]
enum Pace {
    /// So many at once.
    Window(u64),
    /// One after the other, whatever becomes of them.
    Schedule(Schedule),
}

impl Drive {
    /// Operations for the clients, which are observed.
    pub(super) fn new(options: &Options, stage: &Stage) -> anyhow::Result<Self> {
        let all = options.clients;
        let clients = if options.workload == Workload::Mixed { all - (all / 10).max(1) } else { all };
        let pace = match options.rate {
            Some(rate) => Pace::Schedule(Schedule::new(stage.now(), rate)),
            None => Pace::Window(options.window()),
        };
        let left = u64::try_from(clients)?.saturating_mul(client::MESSAGES);
        Ok(Self { workload: options.workload, pace, clients, all, next: 0, next_registration: clients, left })
    }

    /// Does so for this long, or until the message identifiers of the clients are used up.
    pub(super) fn work(&mut self, stage: &mut Stage, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        if let Pace::Schedule(schedule) = &mut self.pace {
            schedule.restart(stage.now());
        }
        let (mut finished, mut progress) = (stage.tally.finished, Instant::now());
        while Instant::now() < end && self.left > 0 {
            let wait = self.offer(stage)?;
            stage.turn(wait)?;
            if stage.tally.finished > finished {
                (finished, progress) = (stage.tally.finished, Instant::now());
            } else if progress.elapsed() > LOST && stage.tally.outstanding() > 0 {
                // Datagrams may be lost; whoever waits for these would wait for ever.
                stage.tally.given_up += stage.tally.outstanding();
                progress = Instant::now();
            }
        }
        Ok(())
    }

    /// Waits for what is under way, if it comes at all.
    pub(super) fn drain(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let mut progress = (stage.tally.finished, stage.tally.acknowledged, Instant::now());
        loop {
            let tally = &stage.tally;
            let is_acknowledged =
                self.workload != Workload::NotifyCon || tally.acknowledged >= tally.finished;
            if (tally.outstanding() == 0 && is_acknowledged) || progress.2.elapsed() > LOST {
                return Ok(());
            }
            stage.turn(PAUSE)?;
            let tally = &stage.tally;
            if (tally.finished, tally.acknowledged) != (progress.0, progress.1) {
                progress = (tally.finished, tally.acknowledged, Instant::now());
            }
        }
    }

    /// Begins as many operations as there may be. Says how long the next one has time.
    fn offer(&mut self, stage: &mut Stage) -> anyhow::Result<Duration> {
        match &mut self.pace {
            Pace::Window(window) => {
                let free = window.saturating_sub(stage.tally.outstanding()).min(self.left);
                let now = stage.now();
                for _ in 0..free {
                    self.operate(stage, now)?;
                }
                Ok(PAUSE)
            }
            Pace::Schedule(_) => {
                for _ in 0..AT_ONCE {
                    let Pace::Schedule(schedule) = &mut self.pace else { break };
                    let Some(due) = schedule.take(stage.now()).filter(|_| self.left > 0) else { break };
                    self.operate(stage, due)?;
                }
                let Pace::Schedule(schedule) = &self.pace else { return Ok(PAUSE) };
                Ok(Duration::from_nanos(schedule.due().saturating_sub(stage.now())).min(PAUSE))
            }
        }
    }

    /// Begins one operation.
    fn operate(&mut self, stage: &mut Stage, at: u64) -> anyhow::Result<()> {
        self.left = self.left.saturating_sub(1);
        let kind = self.kind(stage);
        if kind == Workload::Register {
            return self.register_again(stage, at);
        }
        let client = self.next;
        self.next = (self.next + 1) % self.clients;
        match kind {
            Workload::Update => {
                stage.tally.start_update(client, at);
                stage.send(client, |crowd, out| crowd.update(client, out))
            }
            Workload::Read => {
                let number = stage.tally.start(at);
                let payload =
                    format!(r#"{{"reqID":{number},"msgType":"read","data":{{"path":"/3303/0/5700"}}}}"#);
                stage.sink.command(&format!("dn/{}", endpoint(client)), payload.as_bytes());
                Ok(())
            }
            kind => {
                let value = value_of(stage.tally.start(at));
                let is_confirmable = kind == Workload::NotifyCon;
                stage.send(client, |crowd, out| crowd.notify(client, is_confirmable, value, out))
            }
        }
    }

    /// One that notifies while it registers again would be told that its observation is unknown; so those who register do nothing else.
    fn register_again(&mut self, stage: &mut Stage, at: u64) -> anyhow::Result<()> {
        let client = self.next_registration;
        self.next_registration = if client + 1 == self.all { self.clients } else { client + 1 };
        stage.tally.start_registration(client, at);
        stage.crowd.forget(client);
        stage.register(client)
    }

    /// What the next operation is. Mixed are 90 % notifications, half of them confirmable, 5 % updates, 4 % reads and 1 % registrations.
    fn kind(&self, stage: &Stage) -> Workload {
        if self.workload != Workload::Mixed {
            return self.workload;
        }
        match stage.tally.started % 100 {
            // One that is at it does not begin again, as it would not be known which of the two was answered.
            51 if stage.crowd.is_ready(self.next_registration) => Workload::Register,
            number if number % 20 == 6 => Workload::Update,
            number if number % 20 == 11 => Workload::Read,
            even if even % 2 == 0 => Workload::NotifyCon,
            _ => Workload::NotifyNon,
        }
    }
}

/// What a run takes before it is measured.
pub(super) fn warm_up(seconds: u64) -> Duration {
    Duration::from_secs(seconds).div_f64(5.0).max(Duration::from_secs(1))
}

/// So many at once in the open loop; then what has come is taken.
const AT_ONCE: usize = 256;
/// A turn is no longer.
const PAUSE: Duration = Duration::from_millis(20);
/// Nothing comes any more.
const QUIET: Duration = Duration::from_millis(300);
/// What has not come for so long does not come.
const LOST: Duration = Duration::from_secs(1);
/// When a registration is sent again (ACK_TIMEOUT, RFC 7252 section 4.8).
const RETRANSMISSION: Duration = Duration::from_secs(2);
/// For how long registering may stand still.
const PATIENCE: Duration = Duration::from_secs(20);
