//! What becomes of an event: it takes effect and its message is answered, or it never happened. And how registrations
//! end.

use std::sync::Arc;
use std::time::Duration;

use super::location::Location;
use super::{End, Event, Failure, Request, Server};
use crate::coap::endpoint::{self, ObservationId};
use crate::coap::message::{Code, Message};
use crate::coap::option;
use crate::lwm2m::operation::Operation;
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// An event that the caller has not settled yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// Of the message that it tells.
    pub(super) receipt: endpoint::Receipt,
    pub(super) effect: Effect,
}

/// An answer that says what must survive a restart: it goes when that is kept.
#[derive(Debug)]
pub(super) struct Unanswered {
    receipt: endpoint::Receipt,
    answer: Message,
    /// The registration that it tells of, which nothing is asked before.
    registered: Option<Location>,
}

/// What an event's message asks for.
#[derive(Debug)]
pub(super) enum Effect {
    Register {
        location: Location,
        registration: Arc<Registration>,
        /// Requests for this client, if it was not registered before.
        held: Vec<Request>,
    },
    Update {
        location: Location,
        registration: Arc<Registration>,
    },
    Deregister {
        location: Location,
    },
    Send {
        client: usize,
    },
    Notification {
        client: usize,
        /// The observation, if this is the end of it.
        ends: Option<ObservationId>,
    },
}

impl Server {
    pub(super) fn accept(&mut self, now: Instant, unsettled: Unsettled) {
        let Unsettled { receipt, effect } = unsettled;
        match effect {
            Effect::Register { location, registration, held } => {
                let observed = self.accept_register(now, location, registration);
                held.into_iter().for_each(|request| self.submit(now, request));
                if let Some(key) = self.clients.at_location(location) {
                    self.observe_again(now, key, observed);
                }
                let answer = Message::response(Code::CREATED)
                    .with_option(option::LOCATION_PATH, b"rd".to_vec())
                    .with_option(option::LOCATION_PATH, location.to_string().into_bytes());
                self.answer_when_kept(now, Unanswered { receipt, answer, registered: Some(location) });
            }
            Effect::Update { location, registration } => {
                let answer = match self.clients.at_location(location) {
                    Some(key) => {
                        self.accept_update(now, key, registration);
                        Code::CHANGED
                    }
                    // Removed, or expired, meanwhile.
                    None => Code::NOT_FOUND,
                };
                self.endpoint.respond(now, receipt, Message::response(answer));
                self.drive_location(now, location);
            }
            Effect::Deregister { location } => {
                if let Some(key) = self.clients.at_location(location) {
                    self.discard(key);
                }
                let answer = Message::response(Code::DELETED);
                self.answer_when_kept(now, Unanswered { receipt, answer, registered: None });
            }
            Effect::Send { client } => {
                self.endpoint.respond(now, receipt, Message::response(Code::CHANGED));
                self.drive(now, client);
            }
            Effect::Notification { client, ends } => {
                self.endpoint.acknowledge(now, receipt);
                if let Some(id) = ends {
                    self.forget_observation(id);
                }
                self.drive(now, client);
            }
        }
    }

    fn answer_when_kept(&mut self, now: Instant, unanswered: Unanswered) {
        if self.config.keep {
            self.unanswered.push_back((self.turn, unanswered));
        } else {
            self.answer(now, unanswered);
        }
    }

    pub(super) fn answer(&mut self, now: Instant, unanswered: Unanswered) {
        let Unanswered { receipt, answer, registered } = unanswered;
        self.endpoint.respond(now, receipt, answer);
        let Some(key) = registered.and_then(|location| self.clients.at_location(location)) else { return };
        self.release(key);
        self.drive(now, key);
        // Credentials may have come for it just now.
        if self.is_insecure(key) {
            self.end(key, End::Removed);
        }
    }

    pub(super) fn reject(&mut self, now: Instant, unsettled: Unsettled, format: bool) {
        let Effect::Send { client } = unsettled.effect else { return self.accept(now, unsettled) };
        self.counters.rejected_sends += 1;
        let code = if format { Code::UNSUPPORTED_CONTENT_FORMAT } else { Code::BAD_REQUEST };
        self.endpoint.respond(now, unsettled.receipt, Message::response(code));
        self.drive(now, client);
    }

    pub(super) fn refuse(&mut self, now: Instant, unsettled: Unsettled) {
        self.counters.refused += 1;
        self.endpoint.refuse(now, unsettled.receipt);
        let key = match unsettled.effect {
            Effect::Register { registration, held, .. } => {
                self.registering.remove(&registration.endpoint);
                held.into_iter().for_each(|request| self.submit(now, request));
                self.clients.of_endpoint(&registration.endpoint)
            }
            Effect::Update { location, .. } | Effect::Deregister { location } => {
                self.clients.at_location(location)
            }
            // Its client may be gone, and its key another's: to drive that one is without effect.
            Effect::Send { client } | Effect::Notification { client, .. } => {
                return self.drive(now, client);
            }
        };
        if let Some(key) = key {
            self.release(key);
            self.drive(now, key);
        }
    }

    /// A registration stands. One of the same endpoint name that it replaces goes with its observations, which are
    /// returned, and open requests; what waits for the client stays.
    fn accept_register(
        &mut self,
        now: Instant,
        location: Location,
        registration: Arc<Registration>,
    ) -> Vec<(Operation, Arc<str>)> {
        self.registering.remove(&registration.endpoint);
        let mut observed = Vec::new();
        if let Some(key) = self.clients.of_endpoint(&registration.endpoint) {
            observed = self.observed_by(key);
            self.give_up(key);
        }
        let key = self.clients.enter(now, location, registration);
        self.hear(now, key);
        self.mark(key);
        if let Some(client) = self.clients.get_mut(key) {
            // Until it is answered.
            client.queue.hold(true);
        }
        self.arm(key);
        observed
    }

    /// What a client has agreed to observe, and with which contexts.
    pub(super) fn observed_by(&self, key: usize) -> Vec<(Operation, Arc<str>)> {
        let Some(client) = self.clients.get(key) else { return Vec::new() };
        let known = client.observations.iter().filter_map(|id| self.observations.get(id));
        let standing = known.filter(|observation| observation.stands);
        standing.map(|it| (it.operation.clone(), Arc::clone(&it.context))).collect()
    }

    fn accept_update(&mut self, now: Instant, key: usize, registration: Arc<Registration>) {
        self.relocate(now, key, registration);
        self.hear(now, key);
        self.mark(key);
        self.release(key);
    }

    /// The client has been given another lifetime. Wakaama does not tell it by an Update, but keeps to it.
    pub(super) fn take_lifetime(&mut self, key: usize, lifetime: u32) {
        let Some(client) = self.clients.get(key) else { return };
        let registration = Registration { lifetime, ..Registration::clone(&client.registration) };
        self.clients.replace(key, Arc::new(registration));
        self.mark(key);
        self.arm(key);
    }

    /// The client gave a sign of life.
    pub(super) fn hear(&mut self, now: Instant, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            client.queue.hear(now);
        }
    }

    fn release(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            client.queue.hold(false);
            self.arm(key);
        }
    }

    fn drive_location(&mut self, now: Instant, location: Location) {
        if let Some(key) = self.clients.at_location(location) {
            self.drive(now, key);
        }
    }

    /// A client's time has come: has it been heard in its lifetime, and do requests wait for it too long?
    pub(super) fn look_after(&mut self, now: Instant, key: usize) {
        while let Some(waiting) = self.clients.get_mut(key).and_then(|it| it.queue.take_expired(now)) {
            let request = waiting.request;
            self.queued_bytes -= request.operation.weight();
            self.mark(key);
            self.fail(key, request.asked(), Failure::Expired);
        }
        let Some(client) = self.clients.get(key) else { return };
        if client.queue.is_held() {
            // It is just registering or updating.
            return self.clients.look_after(key, now + HELD);
        }
        match self.expiry(key) {
            Some(expiry) if expiry <= now => self.end(key, End::Expired),
            _ => self.arm(key),
        }
    }

    /// Sees to it that the client is looked after when its lifetime ends, or a request expires that waits for it.
    pub(super) fn arm(&mut self, key: usize) {
        let deadline = self.clients.get(key).and_then(|client| client.queue.next_deadline());
        if let Some(at) = self.expiry(key).into_iter().chain(deadline).min() {
            self.clients.look_after(key, at);
        }
    }

    /// When the registration ends, unless the client is heard before. Any datagram from its address counts, as it does
    /// for EMQX, not only an Update.
    pub(super) fn expiry(&self, key: usize) -> Option<Instant> {
        let client = self.clients.get(key)?;
        let expiry = client.queue.heard() + self.lifetime(&client.registration);
        Some(client.grace.map_or(expiry, |grace| expiry.max(grace)))
    }

    /// How long a registration lasts after its client was heard.
    pub(super) fn lifetime(&self, registration: &Registration) -> Duration {
        match registration.lifetime {
            0 => self.config.lifetime_max,
            seconds => {
                let seconds = Duration::from_secs(seconds.into());
                seconds.max(self.config.lifetime_min).min(self.config.lifetime_max)
            }
        }
    }

    /// A registration ends, not by its client.
    pub(super) fn end(&mut self, key: usize, reason: End) {
        if let Some(registration) = self.discard(key) {
            self.emit(Event::Ended { registration, reason, receipt: None });
        }
    }

    /// Forgets a client.
    fn discard(&mut self, key: usize) -> Option<Arc<Registration>> {
        self.give_up(key);
        let client = self.clients.get_mut(key)?;
        for waiting in client.queue.drain() {
            self.queued_bytes -= waiting.request.operation.weight();
            if !waiting.is_again {
                self.fail(key, waiting.request.asked(), Failure::Ended);
            }
        }
        self.mark(key);
        Some(self.clients.remove(key)?.registration)
    }

    /// Gives up what the client was asked and has not answered, and what it observes: it starts anew, or is gone.
    fn give_up(&mut self, key: usize) {
        self.mark(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        client.queue.release_all();
        let exchanges = std::mem::take(&mut client.exchanges);
        for id in std::mem::take(&mut client.observations) {
            self.observations.remove(&id);
            self.endpoint.forget_observation(id);
        }
        for id in exchanges {
            self.endpoint.abandon(id);
            if let Some(exchange) = self.exchanges.remove(&id) {
                self.queued_bytes -= exchange.weight;
                if !exchange.is_again {
                    self.fail(key, exchange.asked, Failure::Ended);
                }
            }
        }
    }
}

/// How long a client that is just registering is left alone.
const HELD: Duration = Duration::from_secs(1);
