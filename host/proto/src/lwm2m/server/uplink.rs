//! What clients ask for: Register, Update, De-register, Send; and what they are told at once.

use std::sync::Arc;

use super::location::Location;
use super::settle::Effect;
use super::{Content, End, Event, Receipt, Server};
use crate::coap::message::{Code, Message};
use crate::coap::{Peer, endpoint, option};
use crate::lwm2m::format;
use crate::lwm2m::registration::{Registration, Rejection};
use crate::time::Instant;

/// A request of a client.
#[derive(Clone, Copy)]
pub(super) struct Asking<'m> {
    pub(super) peer: Peer,
    pub(super) receipt: endpoint::Receipt,
    pub(super) message: &'m Message,
}

impl Server {
    pub(super) fn take_request(&mut self, now: Instant, asking: Asking<'_>) {
        let path: Vec<&[u8]> = asking.message.uri_path().collect();
        let outcome = match (asking.message.code(), path.as_slice()) {
            (Code::POST, [b"rd"]) => self.register(now, asking),
            (Code::POST, [b"rd", id]) => self.update(now, id, asking),
            (Code::DELETE, [b"rd", id]) => self.deregister(now, id, asking),
            (Code::POST, [b"dp"]) => self.send(now, asking),
            (Code::GET, [b".well-known", b"core"]) => Err(directory(asking.message)),
            (code, path) => {
                self.counters.unexpected_requests += 1;
                Err(unexpected(code, path))
            }
        };
        if let Err(answer) = outcome {
            self.endpoint.respond(now, asking.receipt, answer);
        }
    }

    /// Core 1.2.1 section 6.2.1.
    fn register(&mut self, now: Instant, asking: Asking<'_>) -> Result<(), Message> {
        let Asking { peer, receipt, message } = asking;
        let location = Location::new(self.config.shard, &mut self.entropy);
        let path = format!("/rd/{location}").into();
        let identity = self.identity(peer).cloned();
        let (queries, payload) = (message.uri_query(), message.payload());
        let shared = &mut self.shared;
        let registration =
            Registration::from_register(queries, payload, peer, path, identity.as_ref(), shared)
                .map_err(|rejection| self.rejected(rejection))?;
        let registration = Arc::new(registration);
        let endpoint = Arc::clone(&registration.endpoint);
        if let Some(refusal) = self.refusal(peer, &endpoint) {
            return Err(self.turn_away(peer, endpoint, refusal));
        }
        let known = self.clients.of_endpoint(&endpoint);
        self.make_sure_it_fits(known, &registration)?;
        if self.registering.contains_key(&endpoint) {
            self.overlapping(now, receipt);
            return Ok(());
        }
        let Some(key) = known else {
            if self.clients.len() + self.registering.len() >= self.config.max_registrations {
                self.counters.excess_registrations += 1;
                return Err(unavailable());
            }
            let effect =
                Effect::Register { location, registration: Arc::clone(&registration), held: Vec::new() };
            let receipt = self.await_settlement(receipt, effect);
            self.registering.insert(endpoint, receipt);
            self.emit(Event::Registered { registration, previous: None, receipt });
            return Ok(());
        };
        if !self.hold(now, key, receipt) {
            return Ok(());
        }
        let previous = self.clients.get(key).map(|client| Arc::clone(&client.registration));
        let effect = Effect::Register { location, registration: Arc::clone(&registration), held: Vec::new() };
        let receipt = self.await_settlement(receipt, effect);
        self.emit(Event::Registered { registration, previous, receipt });
        Ok(())
    }

    /// 5.03 to a registration that would make all of them too large. One that does not grow is always taken.
    fn make_sure_it_fits(
        &mut self,
        known: Option<usize>,
        registration: &Registration,
    ) -> Result<(), Message> {
        let before = known.and_then(|key| Some(self.clients.get(key)?.registration.size())).unwrap_or(0);
        let size = registration.size();
        if size <= before || self.clients.bytes() - before + size <= self.config.max_registration_bytes {
            return Ok(());
        }
        self.counters.excess_registration_bytes += 1;
        Err(unavailable())
    }

    /// Core 1.2.1 section 6.2.2. Who knows the location is the client, wherever it is now.
    fn update(&mut self, now: Instant, id: &[u8], asking: Asking<'_>) -> Result<(), Message> {
        let Asking { peer, receipt, message } = asking;
        let (key, location, old) = self.find_location(id, peer)?;
        let (registration, links_changed) = old
            .updated(message.uri_query(), message.payload(), peer, &mut self.shared)
            .map_err(|rejection| self.rejected(rejection))?;
        self.make_sure_it_fits(Some(key), &registration)?;
        if !self.hold(now, key, receipt) {
            return Ok(());
        }
        let registration = Arc::new(registration);
        let effect = Effect::Update { location, registration: Arc::clone(&registration) };
        let receipt = self.await_settlement(receipt, effect);
        self.emit(Event::Updated { registration, links_changed, receipt });
        Ok(())
    }

    /// Core 1.2.1 section 6.2.3.
    fn deregister(&mut self, now: Instant, id: &[u8], asking: Asking<'_>) -> Result<(), Message> {
        let (key, location, registration) = self.find_location(id, asking.peer)?;
        if !self.hold(now, key, asking.receipt) {
            return Ok(());
        }
        let receipt = self.await_settlement(asking.receipt, Effect::Deregister { location });
        self.emit(Event::Ended { registration, reason: End::Deregistered, receipt: Some(receipt) });
        Ok(())
    }

    /// Core 1.2.1 section 6.4.6. A Send names no client: it is the endpoint that the sender's association has proved, or
    /// the client at the sender's address.
    fn send(&mut self, now: Instant, asking: Asking<'_>) -> Result<(), Message> {
        let Some(key) = self.sender(asking.peer) else {
            self.counters.unknown_senders += 1;
            return Err(Message::response(Code::NOT_FOUND));
        };
        self.move_to(now, key, asking.peer);
        self.hear(now, key);
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let registration = Arc::clone(&client.registration);
        let content =
            Content { format: asking.message.content_format(), payload: asking.message.payload().to_vec() };
        let receipt = self.await_settlement(asking.receipt, Effect::Send { client: key });
        self.emit(Event::Sent { registration, content, receipt });
        Ok(())
    }

    /// The client of a location, if the peer may speak for it: if not, it is as if there were none.
    fn find_location(
        &mut self,
        id: &[u8],
        peer: Peer,
    ) -> Result<(usize, Location, Arc<Registration>), Message> {
        let found = Location::parse(id).and_then(|location| {
            let key = self.clients.at_location(location)?;
            Some((key, location, Arc::clone(&self.clients.get(key)?.registration)))
        });
        let counter = match found {
            Some(found) if self.is_own(peer, &found.2) => return Ok(found),
            Some(_) => &mut self.counters.foreign_locations,
            None => &mut self.counters.unknown_locations,
        };
        *counter += 1;
        Err(Message::response(Code::NOT_FOUND))
    }

    /// Begins to hold back what the client is to be asked, until its registration is settled. False if it is held
    /// already: then the message is left unanswered, and comes again when the one before has taken effect.
    fn hold(&mut self, now: Instant, key: usize, receipt: endpoint::Receipt) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        if client.queue.is_held() {
            self.overlapping(now, receipt);
            return false;
        }
        client.queue.hold(true);
        true
    }

    fn overlapping(&mut self, now: Instant, receipt: endpoint::Receipt) {
        self.counters.overlapping_registrations += 1;
        self.endpoint.refuse(now, receipt);
    }

    pub(super) fn await_settlement(&mut self, receipt: endpoint::Receipt, effect: Effect) -> Receipt {
        let name = Receipt(self.new_name());
        self.unsettled.insert(name, super::Unsettled { receipt, effect });
        name
    }

    fn rejected(&mut self, rejection: Rejection) -> Message {
        self.counters.rejected_registrations += 1;
        Message::response(rejection.code).with_payload(rejection.diagnostic.into_bytes())
    }
}

/// What there is here (RFC 6690 section 4).
fn directory(request: &Message) -> Message {
    if request.accept().is_some_and(|format| format != format::LINK_FORMAT) {
        return Message::response(Code::NOT_ACCEPTABLE);
    }
    Message::response(Code::CONTENT)
        .with_option_uint(option::CONTENT_FORMAT, format::LINK_FORMAT.into())
        .with_payload(br#"</>;rt="oma.lwm2m",</rd>;rt="core.rd""#.to_vec())
}

/// The answer to a request that is none of the above. There is no bootstrap server here.
fn unexpected(code: Code, path: &[&[u8]]) -> Message {
    let code = match (code, path) {
        (Code::GET, [b"bspack"]) => Code::NOT_IMPLEMENTED,
        (Code::DELETE, []) => Code::BAD_REQUEST,
        (Code::DELETE, _) | (Code::POST, [b"bs"] | []) => Code::NOT_FOUND,
        (Code::FETCH | Code::PATCH | Code::IPATCH, _)
        | (_, [b"rd"] | [b"rd", _] | [b"dp"] | [b"bs"] | [b"bspack"] | [b".well-known", b"core"]) => {
            Code::METHOD_NOT_ALLOWED
        }
        _ => Code::NOT_FOUND,
    };
    Message::response(code)
}

/// Come again later.
fn unavailable() -> Message {
    Message::response(Code::SERVICE_UNAVAILABLE).with_option_uint(option::MAX_AGE, RETRY_AFTER)
}

/// Seconds.
const RETRY_AFTER: u32 = 60;
