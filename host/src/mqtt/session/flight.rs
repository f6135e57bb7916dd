//! What was sent to the broker and is not done: the sender's side of QoS 0, 1 and 2 (MQTT 5, 4.3 and 4.4), without sockets.
//!
//! 1. a publication [enters](Flight::enter) and is written; one of QoS 1 or 2 takes a packet identifier and a place in
//!    the window, one of QoS 0 is done when its bytes are [written](Flight::written);
//! 2. QoS 1: PUBACK, and it is done;
//! 3. QoS 2: PUBREC, PUBREL is written; PUBCOMP, and it is done;
//! 4. a new connection [resumes](Flight::resume): all that is left is written again in its order, before anything new. In a
//!    session that the broker has kept with the same packet identifier, and of a QoS 2 message that has had its PUBREC only the
//!    PUBREL. In a new session all of it as new: then a QoS 2 message may come twice, but is not lost;
//! 5. a session of before this process began may hold QoS 2 messages under identifiers that nobody remembers: a new message under one
//!    of them would be taken for a repetition (4.3.3), and lost. So each is released before it is used for the first time.

use std::collections::VecDeque;

use crate::mqtt::outbox::{Taken, Ticket};
use crate::mqtt::publication::{Publication, QoS};

/// What was sent and is not done, in the order in which it was taken.
#[derive(Debug, Default)]
pub(super) struct Flight {
    sent: VecDeque<Sent>,
    /// How many of QoS 1 and 2 may be unacknowledged.
    window: usize,
    /// How many are.
    open: usize,
    /// How many at the front have been written on this connection; the others were left by an earlier one.
    written: usize,
    last_packet: u16,
    /// A bit for each identifier that the broker may hold for an earlier process; empty if there are none.
    stale: Vec<u64>,
    /// Whether there was a connection.
    was_connected: bool,
}

#[derive(Debug)]
struct Sent {
    ticket: Ticket,
    publication: Publication,
    /// 0 with QoS 0, and before it is written.
    packet: u16,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// QoS 0: when so many bytes of the connection are written, it is done.
    Writing(u64),
    /// QoS 1 and 2.
    Published,
    /// QoS 2: PUBREC has come.
    Released,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Publish { publication: &'a Publication, packet: u16, repeated: bool },
    Release { packet: u16 },
}

impl Flight {
    /// How much is not done.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether there is room for another publication, and nothing older is to be written first.
    pub(super) fn is_open(&self) -> bool {
        self.written == self.sent.len() && self.open < self.window && self.sent.len() < MOST
    }

    /// A connection begins, to a session that the broker has kept or not. So many may be unacknowledged.
    pub(super) fn resume(&mut self, kept: bool, window: u16) {
        (self.window, self.open, self.written) = (usize::from(window.max(1)), 0, 0);
        let is_first = !std::mem::replace(&mut self.was_connected, true);
        if kept {
            if is_first {
                self.stale = vec![u64::MAX; IDENTIFIERS / 64];
            }
            return;
        }
        self.stale.clear();
        for sent in &mut self.sent {
            sent.packet = 0;
            if sent.stage == Stage::Released {
                sent.stage = Stage::Published;
            }
        }
    }

    /// What is to be written next of what an earlier connection has left, while the window has room. `end`: how many
    /// bytes of the connection are written when it is; it is asked after the step.
    pub(super) fn again(&mut self, mut write: impl FnMut(Step<'_>) -> u64) -> bool {
        if self.written == self.sent.len() || self.open >= self.window {
            return false;
        }
        let next = &self.sent[self.written];
        let qos = next.publication.qos;
        let packet = match (qos, next.packet) {
            (QoS::AtMostOnce, _) => 0,
            (_, 0) => self.free_packet(),
            (_, packet) => packet,
        };
        let is_stale = qos == QoS::ExactlyOnce && self.freshen(packet);
        let sent = &mut self.sent[self.written];
        let Sent { publication, stage, .. } = sent;
        let repeated = sent.packet != 0;
        match stage {
            Stage::Writing(end) => *end = write(Step::Publish { publication, packet: 0, repeated: false }),
            Stage::Published => {
                if is_stale {
                    write(Step::Release { packet });
                }
                write(Step::Publish { publication, packet, repeated });
            }
            Stage::Released => {
                write(Step::Release { packet });
            }
        }
        if publication.qos != QoS::AtMostOnce {
            sent.packet = packet;
            self.open += 1;
        }
        self.written += 1;
        true
    }

    /// A publication is written for the first time. Only while [open](Self::is_open).
    pub(super) fn enter(&mut self, taken: Taken, mut write: impl FnMut(Step<'_>) -> u64) {
        let Taken { ticket, publication } = taken;
        let has_packet = publication.qos != QoS::AtMostOnce;
        let packet = if has_packet { self.free_packet() } else { 0 };
        if publication.qos == QoS::ExactlyOnce && self.freshen(packet) {
            write(Step::Release { packet });
        }
        let end = write(Step::Publish { publication: &publication, packet, repeated: false });
        let stage = if has_packet { Stage::Published } else { Stage::Writing(end) };
        self.open += usize::from(has_packet);
        self.sent.push_back(Sent { ticket, publication, packet, stage });
        self.written += 1;
    }

    /// So many bytes of the connection are written: what of QoS 0 is done with that.
    pub(super) fn written(&mut self, bytes: u64, mut done: impl FnMut(Ticket)) {
        let is_done = |sent: &Sent| matches!(sent.stage, Stage::Writing(end) if end <= bytes);
        // Those before it wait for the broker, and there are as many as the window has at most.
        let mut at = 0;
        while at < self.written {
            if is_done(&self.sent[at]) {
                done(self.sent[at].ticket);
                self.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// PUBACK: the QoS 1 message, if it is one that was sent.
    pub(super) fn acknowledged(&mut self, packet: u16) -> Option<(Ticket, Publication)> {
        let at = self.find(packet, QoS::AtLeastOnce)?;
        self.close(at)
    }

    /// PUBREC: PUBREL is to be written. False if there is no such message, which the broker is told with PUBREL all the same.
    pub(super) fn received(&mut self, packet: u16) -> bool {
        let Some(at) = self.find(packet, QoS::ExactlyOnce) else { return false };
        self.sent[at].stage = Stage::Released;
        true
    }

    /// PUBREC with a refusal: the QoS 2 message, if it is one that was sent.
    pub(super) fn refused(&mut self, packet: u16) -> Option<(Ticket, Publication)> {
        let at = self.find(packet, QoS::ExactlyOnce)?;
        self.close(at)
    }

    /// PUBCOMP: the QoS 2 message, if it is one that was sent and received. It may be about an earlier one.
    pub(super) fn completed(&mut self, packet: u16) -> Option<(Ticket, Publication)> {
        let at = self.find(packet, QoS::ExactlyOnce)?;
        if self.sent[at].stage == Stage::Released { self.close(at) } else { None }
    }

    /// A packet identifier that no message has.
    pub(super) fn free_packet(&mut self) -> u16 {
        loop {
            self.last_packet = self.last_packet.checked_add(1).unwrap_or(1);
            // There are far more of them than messages.
            if self.sent.iter().all(|sent| sent.packet != self.last_packet) {
                return self.last_packet;
            }
        }
    }

    /// Whether the broker may hold a message under an identifier that this process has not used yet; from now on it has.
    fn freshen(&mut self, packet: u16) -> bool {
        let (at, bit) = (usize::from(packet / 64), 1 << (packet % 64));
        let Some(word) = self.stale.get_mut(at) else { return false };
        let is_stale = *word & bit != 0;
        *word &= !bit;
        is_stale
    }

    /// Mostly the first.
    fn find(&self, packet: u16, qos: QoS) -> Option<usize> {
        let written = self.sent.iter().take(self.written);
        written.enumerate().find(|(_, it)| it.packet == packet && it.publication.qos == qos).map(|(at, _)| at)
    }

    fn close(&mut self, at: usize) -> Option<(Ticket, Publication)> {
        self.open -= 1;
        self.remove(at).map(|sent| (sent.ticket, sent.publication))
    }

    fn remove(&mut self, at: usize) -> Option<Sent> {
        self.written -= 1;
        self.sent.remove(at)
    }
}

/// How much may be under way, also of QoS 0.
const MOST: usize = 1_024;
/// Packet identifiers, with 0, which is none.
const IDENTIFIERS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(window: u16) -> Flight {
        let mut flight = Flight::default();
        flight.resume(false, window);
        flight
    }

    fn taken(number: u64, qos: QoS) -> Taken {
        let publication = Publication { topic: number.to_string(), qos, ..Publication::default() };
        Taken { ticket: Ticket::of(number), publication }
    }

    /// What is written, as text: `1` or `1+` for a repetition, and its packet identifier; `release` and that.
    fn text(step: &Step<'_>) -> String {
        match step {
            Step::Publish { publication, packet, repeated } => {
                format!("{}{}@{packet}", publication.topic, if *repeated { "+" } else { "" })
            }
            Step::Release { packet } => format!("release@{packet}"),
        }
    }

    fn enter(flight: &mut Flight, number: u64, qos: QoS) -> String {
        let mut written = String::new();
        flight.enter(taken(number, qos), |step| {
            written = text(&step);
            number
        });
        written
    }

    fn again(flight: &mut Flight) -> Vec<String> {
        let mut written = Vec::new();
        while flight.again(|step| {
            written.push(text(&step));
            1_000
        }) {}
        written
    }

    fn topic(done: Option<(Ticket, Publication)>) -> Option<String> {
        done.map(|(_, publication)| publication.topic)
    }

    #[test]
    fn qos_1_is_done_with_its_acknowledgement_and_no_other() {
        let mut flight = flight(2);
        assert_eq!(enter(&mut flight, 1, QoS::AtLeastOnce), "1@1");
        assert_eq!(enter(&mut flight, 2, QoS::AtLeastOnce), "2@2");
        assert!(!flight.is_open(), "the window is full");
        assert_eq!(topic(flight.acknowledged(7)), None);
        assert!(!flight.received(1), "it is not of QoS 2");
        assert_eq!(topic(flight.acknowledged(2)).as_deref(), Some("2"));
        assert!(flight.is_open());
        assert_eq!(topic(flight.acknowledged(2)), None, "once");
        assert_eq!(topic(flight.acknowledged(1)).as_deref(), Some("1"));
        assert_eq!(flight.len(), 0);
    }

    #[test]
    fn qos_2_is_done_with_pubcomp() {
        let mut flight = flight(1);
        enter(&mut flight, 1, QoS::ExactlyOnce);
        assert_eq!(topic(flight.acknowledged(1)), None);
        assert_eq!(topic(flight.completed(1)), None, "it was not received");
        assert!(flight.received(1));
        assert!(flight.received(1), "PUBREC may come again");
        assert!(!flight.is_open());
        assert_eq!(topic(flight.completed(1)).as_deref(), Some("1"));
        assert!(flight.is_open());
    }

    #[test]
    fn qos_0_is_done_when_it_is_written_and_takes_no_room() {
        let mut flight = flight(1);
        enter(&mut flight, 10, QoS::AtMostOnce);
        enter(&mut flight, 20, QoS::AtLeastOnce);
        assert!(!flight.is_open());
        let mut done = Vec::new();
        flight.written(9, |ticket| done.push(ticket));
        assert_eq!(done, []);
        flight.written(20, |ticket| done.push(ticket));
        assert_eq!((done.as_slice(), flight.len()), ([Ticket::of(10)].as_slice(), 1));
    }

    #[test]
    fn in_a_kept_session_all_is_repeated_in_order_with_the_same_identifiers() {
        let mut flight = flight(9);
        enter(&mut flight, 1, QoS::AtLeastOnce);
        enter(&mut flight, 2, QoS::ExactlyOnce);
        enter(&mut flight, 3, QoS::AtMostOnce);
        enter(&mut flight, 4, QoS::AtLeastOnce);
        assert!(flight.received(2));
        flight.resume(true, 9);
        assert!(!flight.is_open(), "what is older goes first");
        assert_eq!(again(&mut flight), ["1+@1", "release@2", "3@0", "4+@3"]);
        assert!(flight.is_open());
        assert_eq!(enter(&mut flight, 5, QoS::AtLeastOnce), "5@4");
        assert_eq!(topic(flight.completed(2)).as_deref(), Some("2"));
    }

    #[test]
    fn in_a_new_session_all_is_new() {
        let mut flight = flight(9);
        enter(&mut flight, 1, QoS::ExactlyOnce);
        enter(&mut flight, 2, QoS::AtLeastOnce);
        assert!(flight.received(1));
        flight.resume(false, 9);
        assert_eq!(again(&mut flight), ["1@3", "2@4"]);
        assert_eq!(topic(flight.completed(1)), None, "an old identifier means nothing");
        assert_eq!(topic(flight.acknowledged(4)).as_deref(), Some("2"));
    }

    /// What a broker holds from before a crash would swallow a new message with the same identifier.
    #[test]
    fn in_a_session_of_before_each_identifier_is_released_once_before_qos_2_uses_it() {
        let mut flight = Flight::default();
        flight.resume(true, 9);
        let mut written = Vec::new();
        for (number, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
            flight.enter(taken(number, qos), |step| {
                written.push(text(&step));
                number
            });
        }
        assert_eq!(written, ["1@1", "release@2", "2@2"]);
        assert_eq!(topic(flight.completed(2)), None, "that is the old one");
        assert!(flight.received(2));
        assert_eq!(topic(flight.completed(2)).as_deref(), Some("2"));
        flight.last_packet = 1;
        assert_eq!(enter(&mut flight, 3, QoS::ExactlyOnce), "3@2", "it is known now");
        flight.resume(true, 9);
        assert_eq!(again(&mut flight), ["1+@1", "3+@2"], "this process was connected before");
    }

    #[test]
    fn a_smaller_window_holds_repetitions_back() {
        let mut flight = flight(9);
        (1..=3).for_each(|number| drop(enter(&mut flight, number, QoS::AtLeastOnce)));
        flight.resume(true, 2);
        assert_eq!(again(&mut flight), ["1+@1", "2+@2"]);
        assert_eq!(topic(flight.acknowledged(3)), None, "it was not sent on this connection");
        assert!(flight.acknowledged(1).is_some());
        assert_eq!(again(&mut flight), ["3+@3"]);
        assert!(!flight.is_open());
    }

    #[test]
    fn identifiers_go_round_and_leave_out_those_in_use() {
        let mut flight = flight(9);
        enter(&mut flight, 1, QoS::AtLeastOnce);
        flight.last_packet = u16::MAX - 1;
        assert_eq!(flight.free_packet(), u16::MAX);
        assert_eq!(flight.free_packet(), 2);
    }
}
