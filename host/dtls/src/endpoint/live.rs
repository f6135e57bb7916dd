//! Records of established associations, in and out.

use tidegate_proto::time::Instant;

use super::{End, Endpoint, Output, Received, Remote};
use crate::association::{
    Association, CID_LENGTH, CLOSE_NOTIFY, NO_RENEGOTIATION, Read, Taken, WARNING, read, second,
};
use crate::handshake::Records;
use crate::record::{self, Refusal, SealError, content_type};

impl Endpoint {
    /// A datagram for an association.
    pub(super) fn hear(&mut self, now: Instant, name: u64, from: Remote, datagram: &mut [u8]) {
        let Some(association) = self.live.get_mut(&name) else { return };
        if let Records::Engine(engine) = &mut association.records {
            association.heard = second(now);
            let read = read(engine, datagram);
            return self.hear_engine(name, from, read);
        }
        let mut start = 0;
        loop {
            // One at a time, since each is opened in place.
            let next = record::split(&datagram[start..], CID_LENGTH).next();
            let Some(range) = next else { return };
            let record = start + range.start..start + range.end;
            start = record.end;
            let Some(association) = self.live.get_mut(&name) else { return };
            match association.open(now, &mut datagram[record.clone()]) {
                Ok(Taken::Data { within, newest }) => {
                    let within = record.start + within.start..record.start + within.end;
                    // It has our last flight.
                    association.linger = None;
                    self.authenticated(now, name, from, newest);
                    let payload = Received::Within(within);
                    self.outputs.push_back(Output::Received { association: name, from, payload });
                }
                Ok(taken) => self.take(now, name, &taken),
                Err(refusal) => self.refuse(name, refusal),
            }
        }
    }

    /// A datagram from an address with an association and a handshake that may replace it.
    pub(super) fn hear_either(
        &mut self,
        now: Instant,
        from: Remote,
        (pending, live): (u64, u64),
        datagram: &mut [u8],
    ) {
        let is_of_handshake = datagram.first() != Some(&content_type::APPLICATION_DATA);
        if is_of_handshake {
            return self.proceed(now, pending, datagram);
        }
        // Application data is of the one or the other, and opening it in place for the wrong one spoils it.
        let mut copy = datagram.to_vec();
        let before = self.outputs.len();
        self.hear(now, live, from, datagram);
        if self.outputs.len() == before {
            self.proceed(now, pending, &mut copy);
        }
    }

    /// Seals application data.
    pub(super) fn seal(&mut self, name: u64, data: &[u8], datagram: &mut Vec<u8>) -> Option<Remote> {
        let association = self.live.get_mut(&name)?;
        let remote = association.remote;
        match association.seal(data, datagram) {
            Ok(()) => {
                self.keep_ahead(name);
                Some(remote)
            }
            Err(SealError::Exhausted) => {
                self.end(name, End::Exhausted);
                None
            }
            Err(_) => {
                self.counters.held_back += 1;
                None
            }
        }
    }

    /// Puts an association in, making room if need be.
    pub(super) fn insert(&mut self, name: u64, mut association: Association) {
        while self.live.len() >= self.config.max_associations.max(1) {
            let Some(idle) = self.draw_idle() else { break };
            self.say(idle, WARNING, CLOSE_NOTIFY);
            self.end(idle, End::Evicted);
        }
        association.place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name);
        let remote = association.remote;
        self.live.insert(name, Box::new(association));
        self.change_slot(remote, |slot| slot.live = name);
    }

    /// Sends an alert.
    pub(super) fn say(&mut self, name: u64, level: u8, description: u8) {
        if let Some(association) = self.live.get_mut(&name)
            && let Some(payload) = association.alert(level, description)
        {
            self.outputs.push_back(Output::Transmit { to: association.remote, payload });
        }
    }

    /// Forgets an association.
    pub(super) fn end(&mut self, name: u64, reason: End) {
        let Some(association) = self.live.remove(&name) else { return };
        let place = association.place as usize;
        self.names.swap_remove(place);
        if let Some(moved) = self.names.get(place).and_then(|moved| self.live.get_mut(moved)) {
            moved.place = association.place;
        }
        if let Some(linger) = &association.linger {
            self.timers.remove(&(linger.until, name));
        }
        self.change_slot(association.remote, |slot| {
            if slot.live == name {
                slot.live = 0;
            }
        });
        let principal = association.principal;
        self.outputs.push_back(Output::Ended { association: name, principal, reason });
        if association.asked != 0 {
            self.outputs.push_back(Output::Forget { association: name });
        }
    }

    /// A record has authenticated.
    fn authenticated(&mut self, now: Instant, name: u64, from: Remote, newest: bool) {
        let Some(association) = self.live.get_mut(&name) else { return };
        let former = association.remote;
        // Only the newest record says where the client is now (RFC 9146 section 6). Without a connection ID it has
        // been found by its address, which is the same then.
        if newest && former != from {
            association.remote = from;
            self.counters.moved += 1;
            self.change_slot(former, |slot| {
                if slot.live == name {
                    slot.live = 0;
                }
            });
            self.change_slot(from, |slot| slot.live = name);
        }
        self.keep_later(now, name);
    }

    /// A record that is no application data.
    fn take(&mut self, now: Instant, name: u64, taken: &Taken) {
        match taken {
            Taken::Closed => {
                self.say(name, WARNING, CLOSE_NOTIFY);
                self.end(name, End::Closed);
            }
            Taken::Alert(description) => self.end(name, End::Alert(*description)),
            Taken::Hello => self.say(name, WARNING, NO_RENEGOTIATION),
            Taken::Finished => {
                let Some(association) = self.live.get_mut(&name) else { return };
                let (to, outputs) = (association.remote, &mut self.outputs);
                association.repeat_flight(now, |payload| outputs.push_back(Output::Transmit { to, payload }));
            }
            Taken::Data { .. } | Taken::Nothing => {}
        }
    }

    fn refuse(&mut self, name: u64, refusal: Refusal) {
        match refusal {
            Refusal::Authentication => self.counters.forged += 1,
            Refusal::Replay => self.counters.replayed += 1,
            // Nothing more can be opened safely; the client makes another association.
            Refusal::TooManyFailures => self.end(name, End::Exhausted),
            _ => self.counters.refused += 1,
        }
    }

    fn hear_engine(&mut self, name: u64, from: Remote, read: Read) {
        let (found, is_over) = match read {
            Read::Data(found) => (found, false),
            Read::Closed(found) => (found, true),
        };
        for content in found {
            let payload = Received::Earlier(content);
            self.outputs.push_back(Output::Received { association: name, from, payload });
        }
        // What OpenSSL says by itself: its last flight again, an alert.
        if let Some(association) = self.live.get_mut(&name)
            && let Records::Engine(engine) = &mut association.records
        {
            for payload in std::mem::take(&mut engine.get_mut().outgoing) {
                self.outputs.push_back(Output::Transmit { to: association.remote, payload });
            }
        }
        if is_over {
            self.say(name, WARNING, CLOSE_NOTIFY);
            self.end(name, End::Closed);
        }
    }

    /// The one of a few that was silent longest.
    fn draw_idle(&mut self) -> Option<u64> {
        let mut drawn = [0; 8 * DRAWN];
        self.entropy.fill(&mut drawn);
        let lots = drawn.chunks_exact(8).filter_map(|lot| {
            let lot = usize::from_ne_bytes(lot.try_into().ok()?);
            self.names.get(lot.checked_rem(self.names.len())?).copied()
        });
        lots.min_by_key(|name| self.live.get(name).map_or(0, |of| of.heard))
    }
}

/// How many are drawn.
const DRAWN: usize = 16;
