//! What clients are asked: from the queue to the answer.

use std::sync::Arc;

use super::settle::Effect;
use super::{Asked, Content, Event, Failure, Request, Server, Stage, Unsettled, notify};
use crate::coap::endpoint::{self, Delivery, ObservationId, RequestId};
use crate::coap::message::{Code, Message};
use crate::lwm2m::operation::{CancelMode, Operation};
use crate::lwm2m::queue::Waiting;
use crate::lwm2m::registration::Registration;
use crate::lwm2m::{negotiation, operation, queue};
use crate::time::Instant;

/// A request on its way to a client.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: usize,
    pub(super) asked: Asked,
    role: Role,
    /// Of its body.
    bytes: usize,
    /// All that it takes, see [`Operation::weight`].
    pub(super) weight: usize,
    /// See [`Waiting::is_again`].
    pub(super) is_again: bool,
    /// The client has acknowledged it.
    is_acknowledged: bool,
    /// The lifetime that the client has once it has agreed, since this writes it (core 1.2.1 table E.2, `/1/x/1`).
    lifetime: Option<u32>,
    /// To ask once more: in another format, on another association, or after a restart. None while that is done.
    attempt: Option<Box<Attempt>>,
    /// There is another format.
    may_fall_back: bool,
    /// See [`Waiting::is_repeat`].
    may_repeat: bool,
}

/// What a request does beside being answered.
#[derive(Clone, Copy, Debug)]
enum Role {
    None,
    /// Its success establishes this observation.
    Observes(ObservationId),
    /// Its success ends this observation.
    Cancels(ObservationId),
}

/// A request and the formats to try it in.
#[derive(Debug)]
struct Attempt {
    request: Request,
    is_again: bool,
    is_repeat: bool,
    formats: Vec<Option<u16>>,
    /// The first of those that has not been tried.
    next: usize,
}

impl Exchange {
    /// What is asked, and whether it is a repeat (see [`Waiting::is_repeat`]).
    pub(super) fn request(&self) -> Option<(&Request, bool)> {
        self.attempt.as_deref().map(|attempt| (&attempt.request, attempt.is_repeat))
    }
}

impl Request {
    /// As its events tell it.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            operation: self.operation.name(),
            path: self.operation.path(),
            context: Arc::clone(&self.context),
        }
    }
}

impl Server {
    pub(super) fn submit(&mut self, now: Instant, request: Request) {
        let Some(key) = self.clients.of_endpoint(&request.endpoint) else {
            return self.submit_early(request);
        };
        if request.operation.cancels() == Some(CancelMode::Passive) {
            return self.cancel_passively(key, &request.operation);
        }
        if !self.has_room(now, key, &request) {
            self.counters.queue_full += 1;
            return self.fail(key, request.asked(), Failure::QueueFull);
        }
        let observed = self.clients.get(key).map_or(0, |client| client.observations.len());
        if request.operation.is_observe()
            && observed >= self.config.max_observations
            && !self.is_observed(key, &request.operation)
        {
            self.counters.excess_observations += 1;
            let reason = format!("there are {observed} observations of this client already");
            return self.fail(key, request.asked(), Failure::Invalid(reason));
        }
        self.enqueue(now, key, request);
    }

    /// Whether one more request may wait for a client, by their number and by their bytes.
    fn has_room(&self, now: Instant, key: usize, request: &Request) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let is_awake = self.is_awake(now, key);
        let limit = if is_awake { self.config.max_queued } else { self.config.max_queued_asleep };
        if client.queue.len() + client.exchanges.len() >= limit {
            return false;
        }
        // Of a client, the number of requests is bounded; of all, what each of them takes counts as well.
        let bytes = request.operation.size();
        let waiting = client.queue.iter().map(|request| request.operation.size()).sum::<usize>();
        let open = client.exchanges.iter().filter_map(|id| self.exchanges.get(id));
        let of_client = waiting + open.map(|exchange| exchange.bytes).sum::<usize>();
        of_client + bytes <= self.config.max_queued_bytes
            && self.queued_bytes + request.operation.weight() <= self.config.max_queued_bytes_in_all
    }

    fn enqueue(&mut self, now: Instant, key: usize, request: Request) {
        let is_awake = self.is_awake(now, key);
        let Some(client) = self.clients.get_mut(key) else { return };
        let (asked, deadline) = (request.asked(), request.deadline);
        self.queued_bytes += request.operation.weight();
        client.queue.push(Waiting { request, is_again: false, is_repeat: false, is_told: !is_awake });
        self.mark(key);
        if let Some(deadline) = deadline {
            self.clients.look_after(key, deadline);
        }
        if is_awake {
            self.drive(now, key);
        } else {
            self.progress(key, asked, Stage::Queued);
        }
    }

    /// The client is not registered; it may just be about to be.
    fn submit_early(&mut self, request: Request) {
        let unsettled = self.registering.get(&request.endpoint).and_then(|it| self.unsettled.get_mut(it));
        let failure = match unsettled {
            Some(Unsettled { effect: Effect::Register { held, .. }, .. }) => {
                let bytes = held.iter().chain([&request]).map(|held| held.operation.size()).sum::<usize>();
                if held.len() < self.config.max_queued && bytes <= self.config.max_queued_bytes {
                    return held.push(request);
                }
                self.counters.queue_full += 1;
                Failure::QueueFull
            }
            _ => Failure::UnknownClient,
        };
        let asked = request.asked();
        self.emit(Event::Failed { endpoint: request.endpoint, registration: None, asked, failure });
    }

    /// Let be observed again what the client observed before it registered anew (core 1.2.1 section 6.4.2: a new
    /// registration is without observations) or came on another association (RFC 7252 section 9.1.1), except what is
    /// asked for anyway. Whoever asked for it hears of it by notifications. It goes when the client is driven next.
    pub(super) fn observe_again(&mut self, now: Instant, key: usize, before: Vec<(Operation, Arc<str>)>) {
        for (operation, context) in before {
            let Some(client) = self.clients.get(key) else { return };
            let is_asked_for =
                client.queue.iter().any(|request| request.operation.same_observation(&operation))
                    || self.is_observed(key, &operation);
            let endpoint = Arc::clone(&client.registration.endpoint);
            let request = Request { endpoint, operation, context, deadline: None, urgent: false };
            if !is_asked_for
                && self.has_room(now, key, &request)
                && let Some(client) = self.clients.get_mut(key)
            {
                self.queued_bytes += request.operation.weight();
                let waiting = Waiting { request, is_again: true, is_repeat: false, is_told: false };
                client.queue.push(waiting);
                self.mark(key);
            }
        }
    }

    /// Whether the client has been asked for an observation on its association.
    fn is_observed(&self, key: usize, operation: &Operation) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let association = client.registration.peer.association;
        self.observations_of(key, operation)
            .any(|id| self.observations.get(&id).is_some_and(|it| it.association == association))
    }

    /// Sends what may go to a client now.
    pub(super) fn drive(&mut self, now: Instant, key: usize) {
        if !self.is_reachable(key) {
            return self.fail_unreachable(key);
        }
        let window = self.awake_window(key);
        while let Some(client) = self.clients.get_mut(key).filter(|client| client.queue.len() > 0) {
            let is_busy = self.endpoint.is_fetching(client.registration.peer);
            let Some(waiting) = client.queue.next(now, window, is_busy) else { return };
            self.mark(key);
            self.queued_bytes -= waiting.request.operation.weight();
            let (asked, is_told) = (waiting.request.asked(), waiting.is_told);
            if queue::is_expired(&waiting.request, now) {
                self.fail(key, asked, Failure::Expired);
            } else if let Err(reason) = self.start(now, key, waiting) {
                self.fail(key, asked, Failure::Invalid(reason));
            } else if is_told {
                self.progress(key, asked, Stage::Transmitted);
            }
        }
    }

    /// Whether what waits may go, as far as it depends on the client.
    pub(super) fn is_awake(&self, now: Instant, key: usize) -> bool {
        let window = self.awake_window(key);
        let is_awake = self.clients.get(key).is_some_and(|client| client.queue.is_awake(now, window));
        is_awake && (window.is_none() || self.is_reachable(key))
    }

    /// None if the client does not use queue mode.
    fn awake_window(&self, key: usize) -> Option<std::time::Duration> {
        let client = self.clients.get(key)?;
        client.registration.queue_mode.then_some(self.config.awake_window)
    }

    /// Puts a request into a message and sends it.
    fn start(&mut self, now: Instant, key: usize, waiting: Waiting) -> Result<(), String> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let Waiting { request, is_again, is_repeat, .. } = waiting;
        let formats = negotiation::choices(&request.operation, &client.registration);
        let mut attempt = Attempt { request, is_again, is_repeat, formats, next: 0 };
        let message = self.compose(key, &mut attempt)?;
        let may_fall_back = negotiation::is_flexible(&attempt.request.operation);
        self.transmit(now, key, attempt, message, may_fall_back);
        Ok(())
    }

    /// The message of a request in the next of its formats that can hold it. The error is that of the first format.
    fn compose(&self, key: usize, attempt: &mut Attempt) -> Result<Message, String> {
        let client = self.clients.get(key).ok_or("the client is gone")?;
        let operation = &attempt.request.operation;
        let observation =
            self.observation_to_cancel(key, operation).and_then(|id| self.observations.get(&id));
        let mut error = None;
        while let Some(format) = attempt.formats.get(attempt.next) {
            attempt.next += 1;
            let asked_for = observation.map(|observation| &observation.operation);
            match operation::message(operation, *format, asked_for, &client.registration, &self.config.models)
            {
                Ok(message) => return Ok(message),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        Err(error.unwrap_or_else(|| "there is no other format".to_owned()))
    }

    /// Sends the message of a request.
    fn transmit(
        &mut self,
        now: Instant,
        key: usize,
        attempt: Attempt,
        message: Message,
        may_fall_back: bool,
    ) {
        let Some(client) = self.clients.get(key) else { return };
        let (peer, request) = (client.registration.peer, &attempt.request);
        let id = RequestId(self.new_name());
        let cancelled = self.observation_to_cancel(key, &request.operation);
        let token = cancelled.and_then(|id| Some(self.observations.get(&id)?.token));
        let role = match cancelled {
            Some(id) => Role::Cancels(id),
            None if request.operation.is_observe() => Role::Observes(ObservationId(self.new_name())),
            None => Role::None,
        };
        let observation = if let Role::Observes(id) = role { Some(id) } else { None };
        let token = self.endpoint.request(now, peer, endpoint::Request { id, message, observation, token });
        if let Some(observation) = observation {
            // In the format that was chosen, which the cancellation repeats.
            let operation = request.operation.accepting(attempt.formats[attempt.next - 1]);
            let context = Arc::clone(&request.context);
            self.observations.insert(
                observation,
                notify::Observation {
                    client: key,
                    operation,
                    context,
                    token,
                    association: peer.association,
                    stands: attempt.is_again,
                },
            );
        }
        let (asked, bytes, urgent) = (request.asked(), request.operation.size(), request.urgent);
        let (is_again, lifetime) = (attempt.is_again, request.operation.lifetime());
        let may_fall_back = may_fall_back && attempt.next < attempt.formats.len();
        let may_repeat = self.may_repeat(key, &attempt);
        let weight = request.operation.weight();
        self.queued_bytes += weight;
        let exchange = Exchange {
            client: key,
            asked,
            role,
            bytes,
            weight,
            is_again,
            is_acknowledged: false,
            lifetime,
            attempt: Some(Box::new(attempt)),
            may_fall_back,
            may_repeat,
        };
        self.exchanges.insert(id, exchange);
        if let Some(client) = self.clients.get_mut(key) {
            if let Some(observation) = observation {
                if client.observations.is_empty() {
                    // Most clients have no other.
                    client.observations.reserve_exact(1);
                }
                client.observations.push(observation);
            }
            client.exchanges.push(id);
            if !urgent {
                client.queue.sent(id);
            }
        }
    }

    /// Whether a request may go out once more if the client's association ends before the answer. Only to a client in
    /// queue mode, for which it would have waited as well, and only if to do it twice is to do it once. And once only:
    /// it may be what makes the client start anew.
    fn may_repeat(&self, key: usize, attempt: &Attempt) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let Registration { peer, queue_mode, .. } = &*client.registration;
        let is_first = !attempt.is_again && !attempt.is_repeat;
        peer.is_secure() && *queue_mode && is_first && attempt.request.operation.is_idempotent()
    }

    pub(super) fn take_response(
        &mut self,
        now: Instant,
        id: RequestId,
        delivery: Delivery,
        message: Message,
    ) {
        if negotiation::is_about_the_format(message.code()) && self.fall_back(now, id) {
            return;
        }
        let Some(exchange) = self.close(id) else { return };
        let key = exchange.client;
        self.hear(now, key);
        let code = message.code();
        match exchange.role {
            Role::Observes(id) if code.is_success() => self.supersede(key, id),
            Role::Observes(id) if exchange.is_again => self.end_observation(key, id),
            Role::Observes(id) => self.forget_observation(id),
            Role::Cancels(id) if code.is_success() || code == Code::NOT_FOUND => self.forget_observation(id),
            Role::Cancels(_) | Role::None => {}
        }
        if let Some(lifetime) = exchange.lifetime.filter(|_| code.is_success()) {
            self.take_lifetime(key, lifetime);
        }
        let Some(client) = self.clients.get(key) else { return };
        let registration = Arc::clone(&client.registration);
        let (asked, code, sequence) = (exchange.asked, code.0, message.observe());
        let location = location(&message, &registration.alternate_path);
        let content = Content { format: message.content_format(), payload: message.into_payload() };
        self.emit(if exchange.is_again {
            Event::Notified { registration, asked, code, delivery, sequence, content, receipt: None }
        } else {
            Event::Answered { registration, asked, code, delivery, sequence, location, content }
        });
        self.drive(now, key);
    }

    /// Asks once more, in another format, if there is one. The caller hears of the outcome only.
    fn fall_back(&mut self, now: Instant, id: RequestId) -> bool {
        let exchange = self.exchanges.get_mut(&id).filter(|exchange| exchange.may_fall_back);
        let fallback = exchange.and_then(|exchange| Some((exchange.client, exchange.attempt.take()?)));
        let Some((key, mut attempt)) = fallback else { return false };
        let Ok(message) = self.compose(key, &mut attempt) else { return false };
        let Some(exchange) = self.close(id) else { return false };
        self.counters.fallbacks += 1;
        self.hear(now, key);
        if let Role::Observes(id) = exchange.role {
            self.forget_observation(id);
        }
        self.transmit(now, key, *attempt, message, false);
        true
    }

    /// A part of a large body is over.
    pub(super) fn take_progress(&mut self, id: RequestId, done: usize, total: usize) {
        let Some(exchange) = self.exchanges.get(&id).filter(|exchange| !exchange.is_again) else { return };
        let (key, asked) = (exchange.client, exchange.asked.clone());
        self.progress(key, asked, Stage::Transferred(done as u64, total as u64));
    }

    /// The client has it and will answer. The next request may go then: some clients need minutes for an answer, and
    /// the acknowledgement says that they can take another request meanwhile.
    pub(super) fn take_acknowledgement(&mut self, now: Instant, id: RequestId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.is_acknowledged = true;
        let (key, asked, is_again) = (exchange.client, exchange.asked.clone(), exchange.is_again);
        if let Some(client) = self.clients.get_mut(key) {
            client.queue.release(id);
        }
        self.hear(now, key);
        if !is_again {
            self.progress(key, asked, Stage::Acknowledged);
        }
        self.drive(now, key);
    }

    /// An answer that is not to be had for its blocks is one with the code that says so, as EMQX has it.
    pub(super) fn take_failure(&mut self, now: Instant, id: RequestId, failure: endpoint::Failure) {
        let code = match failure {
            endpoint::Failure::Incomplete => Code::REQUEST_ENTITY_INCOMPLETE,
            endpoint::Failure::TooLarge => Code::REQUEST_ENTITY_TOO_LARGE,
            endpoint::Failure::Timeout => return self.abandon(now, id, Failure::Timeout),
            endpoint::Failure::Reset => return self.abandon(now, id, Failure::Reset),
        };
        self.take_response(now, id, Delivery::Piggybacked, Message::response(code));
    }

    /// The association has ended on which a client was asked this. Returns the request if it is to be asked once more.
    pub(super) fn withdraw(&mut self, key: usize, id: RequestId) -> Option<Request> {
        let exchange = self.close(id)?;
        if exchange.is_again {
            self.withdraw_again(key, exchange.role);
            return None;
        }
        if let Role::Observes(id) = exchange.role {
            self.forget_observation(id);
        }
        if let Some(attempt) = exchange.attempt.filter(|_| exchange.may_repeat) {
            return Some(attempt.request);
        }
        self.fail(key, exchange.asked, Failure::Unreachable);
        None
    }

    /// What was to be observed again is still to be. One observation of the same is enough to remember that.
    fn withdraw_again(&mut self, key: usize, role: Role) {
        let Role::Observes(id) = role else { return };
        let Some(observation) = self.observations.get(&id) else { return };
        let operation = observation.operation.clone();
        if self.observations_of(key, &operation).any(|other| other != id) {
            self.forget_observation(id);
        }
    }

    /// There is no answer.
    fn abandon(&mut self, now: Instant, id: RequestId, failure: Failure) {
        let Some(exchange) = self.close(id) else { return };
        let key = exchange.client;
        match exchange.role {
            Role::Observes(id) => self.forget_observation(id),
            // It has the cancellation but cannot answer it (lwm2m-node-lib): a reset to the next notification may do.
            Role::Cancels(id) if exchange.is_acknowledged => self.forget_observation(id),
            Role::Cancels(_) | Role::None => {}
        }
        if failure == Failure::Timeout
            && let Some(client) = self.clients.get_mut(key).filter(|_| !exchange.is_acknowledged)
        {
            client.queue.went_silent();
        }
        self.fail(key, exchange.asked, failure);
        self.drive(now, key);
    }

    /// A request is no longer on its way.
    fn close(&mut self, id: RequestId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        self.queued_bytes -= exchange.weight;
        self.mark(exchange.client);
        let client = self.clients.get_mut(exchange.client)?;
        client.exchanges.retain(|open| *open != id);
        if client.exchanges.is_empty() {
            client.exchanges = Vec::new();
        }
        client.queue.release(id);
        Some(exchange)
    }

    pub(super) fn progress(&mut self, key: usize, asked: Asked, stage: Stage) {
        if let Some(client) = self.clients.get(key) {
            let registration = Arc::clone(&client.registration);
            self.emit(Event::Progressed { registration, asked, stage });
        }
    }

    pub(super) fn fail(&mut self, key: usize, asked: Asked, failure: Failure) {
        if let Some(client) = self.clients.get(key) {
            let registration = Arc::clone(&client.registration);
            let endpoint = Arc::clone(&registration.endpoint);
            self.emit(Event::Failed { endpoint, registration: Some(registration), asked, failure });
        }
    }
}

/// Location-Path of an answer, below the alternate path.
fn location(message: &Message, alternate_path: &str) -> Option<String> {
    let mut location = String::new();
    for segment in message.location_path() {
        location.push('/');
        location.push_str(&String::from_utf8_lossy(segment));
    }
    let below = location.strip_prefix(alternate_path.trim_end_matches('/')).filter(|it| it.starts_with('/'));
    let location = below.unwrap_or(&location);
    (!location.is_empty()).then(|| location.to_owned())
}
