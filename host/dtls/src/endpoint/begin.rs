//! From the first ClientHello to an association.

use std::sync::Arc;

use tidegate_proto::time::Instant;

use super::{End, Endpoint, Failure, Output, Received, Remote, Slot, shard_of_association};
use crate::association::{ACCESS_DENIED, Association, FATAL, Linger, second};
use crate::handshake::{Handshake, Outcome, Progress, Records, Setting};
use crate::hello::ClientHello;
use crate::record::content_type;

/// A client that is shaking hands.
#[derive(Debug)]
pub(super) struct Pending {
    handshake: Handshake,
    remote: Remote,
    random: [u8; 32],
    /// When it is to be looked after.
    due: Option<Instant>,
}

impl Endpoint {
    /// A ClientHello, whole or the start of one.
    pub(super) fn greet(
        &mut self,
        now: Instant,
        from: Remote,
        slot: Slot,
        hello: &ClientHello<'_>,
        datagram: &[u8],
    ) {
        if let Some(pending) = self.pending.get_mut(&slot.pending)
            && pending.random == *hello.random
        {
            let outputs = &mut self.outputs;
            // It has come before, and our flight may have been lost.
            pending
                .handshake
                .prompt(now, &mut |payload| outputs.push_back(Output::Transmit { to: from, payload }));
            return;
        }
        if self.live.get(&slot.live).is_some_and(|live| live.hello == tail(hello.random)) {
            self.counters.replayed += 1;
            return;
        }
        self.cookies.rotate_when_due(now, &mut *self.entropy);
        if !self.cookies.check(from.address, hello) {
            let mut payload = Vec::new();
            self.cookies.hello_verify_request(from.address, hello, &mut payload);
            self.counters.cookies += 1;
            self.outputs.push_back(Output::Transmit { to: from, payload });
            return;
        }
        if slot.pending != 0 {
            self.abandon(slot.pending);
        }
        self.begin(now, from, hello, datagram);
    }

    fn begin(&mut self, now: Instant, from: Remote, hello: &ClientHello<'_>, datagram: &[u8]) {
        let ip = from.address.ip();
        let with_address = self.by_ip.get(&ip).copied().unwrap_or_default();
        if self.pending.len() >= self.config.max_handshakes
            || with_address >= self.config.max_handshakes_per_address
        {
            self.counters.excess_handshakes += 1;
            return;
        }
        let name = self.new_name();
        let setting = Setting {
            context: &self.context,
            credentials: &self.credentials,
            own_cid: self.config.connection_id.then(|| name.to_be_bytes()),
            mtu: self.config.mtu,
            timeout: self.config.handshake_timeout,
            retransmission: self.config.retransmission,
        };
        let Some(handshake) = Handshake::accept(&setting, now, hello, datagram) else {
            self.counters.refused += 1;
            return;
        };
        self.counters.handshakes += 1;
        *self.by_ip.entry(ip).or_default() += 1;
        self.change_slot(from, |slot| slot.pending = name);
        self.pending.insert(name, Pending { handshake, remote: from, random: *hello.random, due: None });
        self.step(now, name, |handshake, now, send| handshake.advance(now, send));
    }

    /// A datagram for a handshake.
    pub(super) fn proceed(&mut self, now: Instant, name: u64, datagram: &mut [u8]) {
        self.step(now, name, |handshake, now, send| handshake.feed(now, datagram, send));
    }

    /// The time of a handshake has come.
    pub(super) fn look_after(&mut self, now: Instant, name: u64) {
        if let Some(pending) = self.pending.get_mut(&name) {
            pending.due = None;
        }
        self.step(now, name, |handshake, now, send| handshake.handle_timeout(now, send));
    }

    /// Forgets a handshake.
    pub(super) fn abandon(&mut self, name: u64) {
        self.remove_pending(name);
    }

    /// Lets a handshake do something, and deals with what comes of it.
    fn step(
        &mut self,
        now: Instant,
        name: u64,
        act: impl FnOnce(&mut Handshake, Instant, &mut dyn FnMut(Vec<u8>)) -> Progress,
    ) {
        let Some(pending) = self.pending.get_mut(&name) else { return };
        let (to, outputs) = (pending.remote, &mut self.outputs);
        let progress = act(&mut pending.handshake, now, &mut |payload| {
            outputs.push_back(Output::Transmit { to, payload });
        });
        match progress {
            Progress::Going => self.arm(name),
            Progress::Suspicious => {
                if let Some(identity) = pending.handshake.identity() {
                    let failure = Failure::WrongKey { identity };
                    outputs.push_back(Output::Failed { from: to, failure });
                }
                self.arm(name);
            }
            Progress::Done => self.establish(now, name),
            Progress::Failed(failure) => {
                self.remove_pending(name);
                self.outputs.push_back(Output::Failed { from: to, failure });
            }
        }
    }

    /// The client has proved who it is.
    fn establish(&mut self, now: Instant, name: u64) {
        let Some(pending) = self.remove_pending(name) else { return };
        let remote = pending.remote;
        let outcome = match pending.handshake.finish() {
            Ok(outcome) => outcome,
            Err(refused) => {
                let (failure, layer) = *refused;
                let mut payload = Vec::new();
                let alert = [FATAL, ACCESS_DENIED];
                if let Some(mut layer) = layer
                    && layer.seal(content_type::ALERT, &alert, &mut payload).is_ok()
                {
                    self.outputs.push_back(Output::Transmit { to: remote, payload });
                }
                self.outputs.push_back(Output::Failed { from: remote, failure });
                return;
            }
        };
        let former = self.by_remote.get(&remote).map_or(0, |slot| slot.live);
        if former != 0 {
            self.end(former, End::Replaced);
        }
        let Outcome { principal, summary, records, flight, session, waiting } = outcome;
        if let Some(session) = &session {
            self.sessions.insert(session);
        }
        let mut association = Association::new(remote, Arc::clone(&principal), records);
        association.hello = tail(&pending.random);
        association.heard = second(now);
        association.session = session;
        if let (Some((flight, sequence)), Records::Own(_)) = (flight, &association.records) {
            let until = now + LINGER;
            association.linger = Some(Box::new(Linger { flight, sequence, sent: now, again: 0, until }));
            self.timers.insert((until, name));
        }
        self.insert(name, association);
        self.outputs.push_back(Output::Established { association: name, from: remote, principal, summary });
        self.keep_first(name);
        for content in waiting {
            let payload = Received::Earlier(content);
            self.outputs.push_back(Output::Received { association: name, from: remote, payload });
        }
    }

    /// Sets a handshake's timer.
    fn arm(&mut self, name: u64) {
        let Some(pending) = self.pending.get_mut(&name) else { return };
        let due = pending.handshake.due();
        if pending.due == Some(due) {
            return;
        }
        if let Some(former) = pending.due.replace(due) {
            self.timers.remove(&(former, name));
        }
        self.timers.insert((due, name));
    }

    fn remove_pending(&mut self, name: u64) -> Option<Pending> {
        let pending = self.pending.remove(&name)?;
        if let Some(due) = pending.due {
            self.timers.remove(&(due, name));
        }
        let ip = pending.remote.address.ip();
        if let Some(count) = self.by_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.by_ip.remove(&ip);
            }
        }
        self.change_slot(pending.remote, |slot| {
            if slot.pending == name {
                slot.pending = 0;
            }
        });
        Some(pending)
    }

    /// A name for an association: random, as it is a connection ID, but of this shard.
    fn new_name(&mut self) -> u64 {
        loop {
            let mut bytes = [0; 8];
            self.entropy.fill(&mut bytes);
            let name = u64::from_be_bytes(bytes);
            let is_own = shard_of_association(name, self.config.shards) == self.config.shard;
            if is_own && name != 0 && !self.live.contains_key(&name) && !self.pending.contains_key(&name) {
                return name;
            }
        }
    }
}

/// The end of a random tells one ClientHello from another.
fn tail(random: &[u8; 32]) -> u64 {
    let mut tail = [0; 8];
    tail.copy_from_slice(&random[24..]);
    u64::from_ne_bytes(tail)
}

/// How long a client may ask for our last flight again.
const LINGER: std::time::Duration = std::time::Duration::from_secs(60);
