//! What comes in. The order of the functions is the order in which a datagram meets them.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use super::{Asked, Delivery, Endpoint, Event, Failure, Receipt, Unsettled};
use crate::coap::Peer;
use crate::coap::block::{Download, Fetched, Joined};
use crate::coap::exchange::{Answer, EXCHANGE_LIFETIME, Exchange, Novelty, Purpose, State};
use crate::coap::message::{Code, Malformed, Message, MessageKind, option};
use crate::coap::observe::Freshness;
use crate::time::Instant;

impl Endpoint {
    pub(super) fn take_in(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(malformed) => return self.reject_malformed(peer, datagram, malformed),
        };
        let code = message.code();
        match message.kind() {
            MessageKind::Confirmable | MessageKind::NonConfirmable if code.is_request() => {
                self.take_request(now, peer, message, digest(datagram));
            }
            MessageKind::Confirmable | MessageKind::NonConfirmable if code.is_response() => {
                self.take_separate(now, peer, message, digest(datagram));
            }
            // A ping, or a message that makes no sense in this type (RFC 7252 sections 4.3 and 4.2).
            MessageKind::Confirmable => self.send_empty(peer, MessageKind::Reset, message.mid()),
            MessageKind::NonConfirmable => self.counters.unmatched += 1,
            MessageKind::Acknowledgement if code == Code::EMPTY => {
                self.take_acknowledgement(now, peer, message.mid())
            }
            MessageKind::Acknowledgement if code.is_response() => self.take_piggybacked(now, peer, message),
            MessageKind::Acknowledgement => self.counters.unmatched += 1,
            MessageKind::Reset => self.take_reset(peer, message.mid()),
        }
    }

    /// RFC 7252 section 4.2: a confirmable message that cannot be processed is reset; section 3: another version is ignored.
    fn reject_malformed(&mut self, peer: Peer, datagram: &[u8], malformed: Malformed) {
        self.counters.malformed += 1;
        if let [first, _, high, low, ..] = datagram {
            let is_confirmable = first >> 4 & 3 == 0;
            if malformed != Malformed::Version && is_confirmable {
                self.send_empty(peer, MessageKind::Reset, u16::from_be_bytes([*high, *low]));
            }
        }
    }

    fn take_request(&mut self, now: Instant, peer: Peer, message: Message, digest: u64) {
        let (kind, mid, token) = (message.kind(), message.mid(), message.token());
        let asked = Asked { peer, kind, mid, token };
        match self.received.take(now, peer, mid, kind == MessageKind::Confirmable, digest) {
            Novelty::New => {}
            Novelty::Duplicate(answer) => {
                self.counters.duplicate += 1;
                // Only a confirmable one is answered again (RFC 7252 section 4.5).
                if let (MessageKind::Confirmable, Answer::Sent(Some(bytes))) = (kind, answer) {
                    self.transmit(peer, bytes.into_vec());
                }
                return;
            }
        }
        if let Some(number) = message.unknown_critical() {
            self.counters.unknown_option += 1;
            if kind == MessageKind::Confirmable {
                let answer = Message::new(Code::BAD_OPTION).with_payload(format!("option {number}"));
                self.answer(&asked, None, answer);
            }
            return;
        }
        if message.code().0 > Code::IPATCH.0 {
            return self.answer(&asked, None, Message::new(Code::METHOD_NOT_ALLOWED));
        }
        let block = message.block(option::BLOCK1);
        let message = match block {
            None => message,
            Some(block) => match self.assemblies.join(now, peer, message, block) {
                Joined::Complete(message) => *message,
                Joined::Answer(answer) => return self.answer(&asked, Some(block), *answer),
            },
        };
        let key = self.unsettled.insert(Unsettled::Request { asked, block });
        self.event(Event::Request { peer, receipt: Receipt(key as u64), message });
    }

    /// A response in a message of its own: to an exchange, or to an observation.
    fn take_separate(&mut self, now: Instant, peer: Peer, message: Message, digest: u64) {
        let (kind, mid, token) = (message.kind(), message.mid(), message.token());
        if message.unknown_critical().is_some() {
            self.counters.unknown_option += 1;
            return self.send_empty(peer, MessageKind::Reset, mid);
        }
        // Devices tested against EMQX answer with the request's message id and without its token.
        let by_mid = || self.exchanges.by_mid(peer, mid).filter(|_| token.is_empty());
        if let Some(key) = self.exchanges.by_token(peer, &token).or_else(by_mid) {
            let is_notification = message.observe().is_some()
                && self.exchanges.get(key).is_some_and(|exchange| exchange.borrows_token)
                && self.observations.has_token(&token);
            if !is_notification {
                let delivery = delivery(kind);
                if kind == MessageKind::Confirmable {
                    // So that it is acknowledged again, not reset, if our acknowledgement is lost.
                    self.received.take(now, peer, mid, true, digest);
                    let acknowledgement = Message::empty(MessageKind::Acknowledgement, mid).to_bytes();
                    self.received.answered(peer, mid, Some(&acknowledgement));
                    self.transmit(peer, acknowledgement);
                }
                return self.take_response(now, key, delivery, message);
            }
        }
        if self.observations.by_token(peer, &token).is_some() {
            return self.take_notification(now, peer, message);
        }
        if let Some(bytes) = self.repeated_answer(now, peer, mid, kind, digest) {
            self.counters.duplicate += 1;
            return self.transmit(peer, bytes);
        }
        // Nobody waits for it: the client is to stop (RFC 7252 section 4.2, RFC 7641 section 3.6).
        self.counters.unmatched += 1;
        self.send_empty(peer, MessageKind::Reset, mid);
    }

    /// The acknowledgement of a separate response that has come before.
    fn repeated_answer(
        &mut self,
        now: Instant,
        peer: Peer,
        mid: u16,
        kind: MessageKind,
        digest: u64,
    ) -> Option<Vec<u8>> {
        if kind != MessageKind::Confirmable {
            return None;
        }
        match self.received.take(now, peer, mid, true, digest) {
            Novelty::Duplicate(Answer::Sent(Some(bytes))) => Some(bytes.into_vec()),
            Novelty::Duplicate(_) => None,
            Novelty::New => {
                self.received.forget(peer, mid);
                None
            }
        }
    }

    fn take_notification(&mut self, now: Instant, peer: Peer, message: Message) {
        let (kind, mid, token) = (message.kind(), message.mid(), message.token());
        let Some(observation) = self.observations.by_token(peer, &token) else { return };
        let id = observation.id;
        match observation.judge(now, mid, message.observe()) {
            Freshness::Fresh => observation.peer = peer,
            Freshness::Pending => return self.counters.duplicate += 1,
            Freshness::Repeated | Freshness::Stale => {
                self.counters.stale += 1;
                if kind == MessageKind::Confirmable {
                    self.send_empty(peer, MessageKind::Acknowledgement, mid);
                }
                return;
            }
        }
        if message.block(option::BLOCK2).is_some_and(|block| block.more) && message.code().is_success() {
            return self.fetch_notification(now, peer, message);
        }
        let receipt = (kind == MessageKind::Confirmable).then(|| {
            let key = self.unsettled.insert(Unsettled::Notification { peer, mid, id });
            Receipt(key as u64)
        });
        if !message.code().is_success() {
            self.observations.remove(id);
        }
        self.event(Event::Notification { peer, id, delivery: delivery(kind), receipt, message });
    }

    /// The first block of a notification: it is acknowledged now, since the rest has to be asked for and a client keeps
    /// to one exchange at a time. If the rest is lost, so is the notification (RFC 7959 section 2.6).
    fn fetch_notification(&mut self, now: Instant, peer: Peer, message: Message) {
        let (kind, mid) = (message.kind(), message.mid());
        let Some(observation) = self.observations.by_token(peer, &message.token()) else { return };
        observation.settle(mid);
        let id = observation.id;
        let request = observation.request.as_deref().and_then(|bytes| Message::parse(bytes).ok());
        if kind == MessageKind::Confirmable {
            self.send_empty(peer, MessageKind::Acknowledgement, mid);
        }
        let Some(mut request) = request else {
            return self.event(Event::Notification {
                peer,
                id,
                delivery: delivery(kind),
                receipt: None,
                message,
            });
        };
        request.clear_option(option::OBSERVE);
        let mut download = None;
        if let Fetched::More(block) = Download::take(&mut download, message, self.config.max_body) {
            let purpose = Purpose::Notification { id, delivery: delivery(kind) };
            self.fetch(now, peer, (purpose, download), request, block);
        }
    }

    fn take_acknowledgement(&mut self, now: Instant, peer: Peer, mid: u16) {
        let Some(key) = self.exchanges.by_mid(peer, mid) else { return };
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !matches!(exchange.state, State::Sent { .. }) {
            return;
        }
        let until = now + EXCHANGE_LIFETIME;
        exchange.state = State::Acknowledged { until };
        let id = if let Purpose::Request(id) = exchange.purpose { Some(id) } else { None };
        self.watch(until, key);
        if let Some(id) = id {
            self.event(Event::Acknowledged { id });
        }
    }

    fn take_piggybacked(&mut self, now: Instant, peer: Peer, message: Message) {
        let key = self.exchanges.by_mid(peer, message.mid());
        let fits = |exchange: &Exchange| {
            // Some clients leave the token out of the error they answer to an option they do not know.
            exchange.token == message.token()
                || (message.token().is_empty() && !message.code().is_success())
                || (message.token().is_empty() && exchange.observation.is_none())
        };
        match key.filter(|key| self.exchanges.get(*key).is_some_and(fits)) {
            Some(key) => self.take_response(now, key, Delivery::Piggybacked, message),
            None => self.counters.unmatched += 1,
        }
    }

    fn take_reset(&mut self, peer: Peer, mid: u16) {
        if let Some(exchange) = self.exchanges.by_mid(peer, mid).and_then(|key| self.exchanges.remove(key)) {
            self.fail(&exchange, Failure::Reset);
        }
    }

    /// A response to an exchange: the last one, or one that asks for, or announces, another block.
    fn take_response(&mut self, now: Instant, key: usize, delivery: Delivery, message: Message) {
        let Some(mut exchange) = self.exchanges.remove(key) else { return };
        if exchange.upload.as_mut().is_some_and(|upload| upload.advance(&message)) {
            return self.continue_upload(now, exchange);
        }
        let observe = message.observe();
        if exchange.download.is_none() {
            self.begin_observation(now, &exchange, &message, observe);
        }
        match Download::take(&mut exchange.download, message, self.config.max_body) {
            Fetched::Complete(message) => self.complete(&exchange, delivery, *message),
            Fetched::Broken => self.fail(&exchange, Failure::Incomplete),
            Fetched::More(block) => {
                let mut request = exchange.request;
                request.clear_option(option::OBSERVE);
                self.fetch(now, exchange.peer, (exchange.purpose, exchange.download), request, block);
            }
        }
    }

    /// Any success keeps the token: some clients leave the Observe option out of their first answer and notify all the same.
    fn begin_observation(
        &mut self,
        now: Instant,
        exchange: &Exchange,
        message: &Message,
        observe: Option<u32>,
    ) {
        let Some(id) = exchange.observation else { return };
        if !message.code().is_success() {
            self.observations.remove(id);
        } else if let (Some(number), Some(observation)) = (observe, self.observations.by_id(id)) {
            observation.begin(now, number);
        }
    }

    fn complete(&mut self, exchange: &Exchange, delivery: Delivery, message: Message) {
        let peer = exchange.peer;
        match exchange.purpose {
            Purpose::Request(id) => self.event(Event::Response { peer, id, delivery, message }),
            Purpose::Notification { id, delivery } => {
                self.event(Event::Notification { peer, id, delivery, receipt: None, message });
            }
        }
    }

    pub(super) fn fail(&mut self, exchange: &Exchange, failure: Failure) {
        if let Some(id) = exchange.observation {
            self.observations.remove(id);
        }
        if let Purpose::Request(id) = exchange.purpose {
            self.event(Event::Failed { id, failure });
        }
    }
}

fn delivery(kind: MessageKind) -> Delivery {
    match kind {
        MessageKind::Confirmable => Delivery::Confirmable,
        MessageKind::NonConfirmable => Delivery::NonConfirmable,
        MessageKind::Acknowledgement | MessageKind::Reset => Delivery::Piggybacked,
    }
}

fn digest(datagram: &[u8]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(datagram)
}
