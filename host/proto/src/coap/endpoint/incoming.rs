//! Messages that come in, and answers to requests.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::receipt::{Unsettled, UnsettledKind};
use super::{Endpoint, Event, Output, Receipt};
use crate::coap::block::{Changes, Step};
use crate::coap::deduplication::Outcome;
use crate::coap::message::{Block, Code, Kind, Message};
use crate::coap::option;
use crate::coap::peers::MessageKey;
use crate::coap::token::Token;
use crate::coap::{Peer, Transmit};
use crate::time::Instant;

/// A message that came in.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) now: Instant,
    pub(super) peer: Peer,
    pub(super) key: MessageKey,
    pub(super) message: Message,
}

/// Where an answer goes to.
#[derive(Clone, Copy, Debug)]
struct Addressee {
    peer: Peer,
    key: MessageKey,
    token: Token,
    confirmable: bool,
}

impl Arrival {
    pub(super) fn is_confirmable(&self) -> bool {
        self.message.kind() == Kind::Confirmable
    }

    fn addressee(&self) -> Addressee {
        let confirmable = self.is_confirmable();
        Addressee { peer: self.peer, key: self.key, token: self.message.token(), confirmable }
    }
}

impl Endpoint {
    pub(super) fn handle_message(&mut self, now: Instant, peer: Peer, datagram: &[u8], message: Message) {
        let number = self.peer_number(peer);
        self.peers.hold(number);
        self.peers.see(number, peer);
        let arrival = Arrival { now, peer, key: MessageKey { peer: number, mid: message.mid() }, message };
        match (arrival.message.code(), arrival.message.kind()) {
            (Code::EMPTY, Kind::Acknowledgement) => self.handle_acknowledgement(&arrival),
            (Code::EMPTY, Kind::Reset) => self.handle_reset(&arrival),
            (Code::EMPTY, _) => {
                self.counters.pings += 1;
                self.send_reset(peer, arrival.key.mid);
            }
            (_, Kind::Acknowledgement) => self.handle_piggybacked(arrival),
            _ if self.is_duplicate(&arrival, datagram) => {}
            (code, _) if code.is_request() => self.handle_request(arrival),
            _ => self.handle_separate(arrival),
        }
        self.peers.let_go(number);
    }

    pub(super) fn settle_request(&mut self, now: Instant, receipt: Receipt, response: Message) {
        let Some(Unsettled { peer, key, kind }) = self.receipts.get(receipt).copied() else { return };
        let UnsettledKind::Request { token, confirmable, block } = kind else { return };
        self.receipts.remove(receipt);
        self.send_answer(now, Addressee { peer, key, token, confirmable }, response, block);
        self.peers.let_go(key.peer);
    }

    pub(super) fn settle_notification(&mut self, receipt: Receipt) {
        let Some(Unsettled { peer, key, kind }) = self.receipts.get(receipt).copied() else { return };
        let UnsettledKind::Notification { ends } = kind else { return };
        self.receipts.remove(receipt);
        self.send_acknowledgement(peer, key);
        if let Some(id) = ends {
            self.forget_observation(id);
        }
        self.peers.let_go(key.peer);
    }

    pub(super) fn settle_refused(&mut self, receipt: Receipt) {
        if let Some(unsettled) = self.receipts.remove(receipt) {
            self.deduplication.forget(&mut self.peers, unsettled.key);
            self.peers.let_go(unsettled.key.peer);
        }
    }

    /// Opens a receipt for a message.
    pub(super) fn open_receipt(&mut self, arrival: &Arrival, kind: UnsettledKind) -> Receipt {
        self.peers.hold(arrival.key.peer);
        self.receipts.insert(arrival.now, Unsettled { peer: arrival.peer, key: arrival.key, kind })
    }

    /// A message that came before gets what the first got; any other is remembered.
    fn is_duplicate(&mut self, arrival: &Arrival, datagram: &[u8]) -> bool {
        let mut hasher = FxHasher::default();
        hasher.write(datagram);
        let hash = hasher.finish();
        let Some(outcome) = self.deduplication.find(arrival.key, hash, arrival.now) else {
            let (peers, confirmable) = (&mut self.peers, arrival.is_confirmable());
            self.counters.remembered_evicted +=
                self.deduplication.insert(peers, arrival.key, hash, confirmable, arrival.now);
            return false;
        };
        let empty = |kind| Message::new(kind, Code::EMPTY, arrival.key.mid).to_bytes();
        let replay = match outcome {
            Outcome::Open | Outcome::Silent => None,
            Outcome::Acknowledged => Some(empty(Kind::Acknowledgement)),
            Outcome::Reset => Some(empty(Kind::Reset)),
            Outcome::Answered(datagram) => Some(datagram.to_vec()),
        };
        self.counters.duplicates += 1;
        if let Some(datagram) = replay {
            self.counters.replayed += 1;
            self.transmit(arrival.peer, datagram);
        }
        true
    }

    fn handle_request(&mut self, arrival: Arrival) {
        let addressee = arrival.addressee();
        if let Some(number) = arrival.message.unknown_critical() {
            self.counters.unknown_critical += 1;
            if addressee.confirmable {
                let text = format!("option {number} is critical and not understood");
                let answer = Message::response(Code::BAD_OPTION).with_payload(text.into_bytes());
                self.send_answer(arrival.now, addressee, answer, None);
            } else {
                // RFC 7252 section 5.4.1: to be rejected, and section 4.3: silently.
                self.deduplication.settle(arrival.key, Outcome::Silent);
            }
            return;
        }
        if arrival.message.code() > Code::IPATCH {
            self.counters.unknown_methods += 1;
            return self.send_answer(
                arrival.now,
                addressee,
                Message::response(Code::METHOD_NOT_ALLOWED),
                None,
            );
        }
        let Arrival { now, peer, key, message } = arrival;
        let mut changes = Changes::default();
        let step = self.transfers.handle(now, key.peer, message, &mut changes);
        if changes.begun.is_some() {
            self.peers.hold(key.peer);
        }
        self.apply(changes);
        match step {
            Step::Answer(answer) => self.send_answer(now, addressee, answer, None),
            Step::Complete(message, block) => {
                let arrival = Arrival { now, peer, key, message };
                let Addressee { token, confirmable, .. } = addressee;
                let receipt =
                    self.open_receipt(&arrival, UnsettledKind::Request { token, confirmable, block });
                self.emit(Event::Request { peer, receipt, message: arrival.message });
            }
        }
    }

    fn send_answer(&mut self, now: Instant, to: Addressee, mut response: Message, block: Option<Block>) {
        if let Some(block) = block {
            response.set_block(option::BLOCK1, block);
        }
        if to.confirmable {
            response.set_header(Kind::Acknowledgement, to.key.mid, to.token);
            let datagram = response.to_bytes();
            self.deduplication.settle(to.key, Outcome::Answered(datagram.clone().into_boxed_slice()));
            self.transmit(to.peer, datagram);
        } else {
            let mid = self.next_mid_of_answer(now, to.key.peer);
            response.set_header(Kind::NonConfirmable, mid, to.token);
            // Not kept: nobody sends the same non-confirmable request again (RFC 7252 section 4.5: ignore silently).
            self.deduplication.settle(to.key, Outcome::Silent);
            self.transmit(to.peer, response.to_bytes());
        }
    }

    /// Acknowledges a confirmable message, now and whenever it comes again.
    pub(super) fn send_acknowledgement(&mut self, peer: Peer, key: MessageKey) {
        self.deduplication.settle(key, Outcome::Acknowledged);
        self.transmit(peer, Message::new(Kind::Acknowledgement, Code::EMPTY, key.mid).to_bytes());
    }

    /// Rejects a message, now and whenever it comes again.
    pub(super) fn reject(&mut self, arrival: &Arrival) {
        self.deduplication.settle(arrival.key, Outcome::Reset);
        self.send_reset(arrival.peer, arrival.key.mid);
    }

    pub(super) fn send_reset(&mut self, peer: Peer, mid: u16) {
        self.transmit(peer, Message::new(Kind::Reset, Code::EMPTY, mid).to_bytes());
    }

    pub(super) fn transmit(&mut self, peer: Peer, payload: Vec<u8>) {
        self.counters.transmitted += 1;
        // What it answers, or repeats, may have come while the association was elsewhere.
        let peer = self.peers.latest(peer);
        self.output.push_back(Output::Transmit(Transmit { peer, payload }));
    }
}
