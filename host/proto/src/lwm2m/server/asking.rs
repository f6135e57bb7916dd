//! What is asked of clients: queue, exchange, answer, observation.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    Asked, Client, Content, Effect, Event, Failure, InFlight, Observed, Receipt, Request, Server, Stage,
    Unsettled,
};
use crate::coap::Peer;
use crate::coap::endpoint::{self, Delivery, ObservationId, RequestId};
use crate::coap::message::{Message, option};
use crate::lwm2m::operation::{CancelMode, Operation, OperationName};
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

impl Server {
    pub(super) fn enqueue(&mut self, now: Instant, request: Request) {
        let Some(key) = self.by_endpoint.get(&request.endpoint).copied() else {
            return self.event(Event::Failed {
                asked: asked(&request),
                endpoint: request.endpoint,
                registration: None,
                failure: Failure::UnknownClient,
            });
        };
        if request.urgent && self.is_awake(now, key) {
            self.send_request(now, key, &request);
            return self.absorb(now);
        }
        if self.clients[key].waiting.len() >= self.config.max_queued {
            self.counters.queue_full += 1;
            return self.fail(key, asked(&request), Failure::QueueFull);
        }
        let sleeps = !self.is_awake(now, key);
        let asked = asked(&request);
        if let Some(deadline) = request.deadline {
            self.timers.push(Reverse((deadline, key)));
        }
        self.clients[key].waiting.push_back(request);
        if sleeps {
            let registration = Arc::clone(&self.clients[key].registration);
            return self.event(Event::Progressed { registration, asked, stage: Stage::Queued });
        }
        self.drive(now, key);
        self.absorb(now);
    }

    /// Send what waits, as long as the client may be asked.
    pub(super) fn drive(&mut self, now: Instant, key: usize) {
        while self.is_awake(now, key) && self.clients[key].outstanding.is_none() {
            let Some(request) = self.clients[key].waiting.pop_front() else { return };
            if request.deadline.is_some_and(|deadline| deadline <= now) {
                self.fail(key, asked(&request), Failure::Expired);
                continue;
            }
            if let Some(id) = self.send_request(now, key, &request) {
                self.clients[key].outstanding = Some(id);
            }
        }
    }

    fn is_awake(&self, now: Instant, key: usize) -> bool {
        let client = &self.clients[key];
        !client.registration.queue_mode
            || (!client.is_silent && now.since(client.last_seen) < self.config.awake_window)
    }

    /// Send a request now. None if nothing was sent.
    fn send_request(&mut self, now: Instant, key: usize, request: &Request) -> Option<RequestId> {
        let registration = Arc::clone(&self.clients[key].registration);
        let asked = asked(request);
        let cancels = self.observation_to_cancel(key, &request.operation);
        if let Operation::CancelObservation { mode: CancelMode::Passive, .. } = request.operation {
            // The next notification finds no observation and is reset.
            if let Some(id) = cancels {
                self.observed.remove(&id);
                self.endpoint.forget_observation(id);
            }
            return None;
        }
        let message = match request.operation.message(&registration.alternate_path) {
            Ok(message) => message,
            Err(why) => {
                self.fail(key, asked, Failure::Invalid(why));
                return None;
            }
        };
        let id = RequestId(self.new_id());
        let observes = matches!(asked.operation, OperationName::Observe | OperationName::ObserveComposite);
        let observation = observes.then(|| ObservationId(self.new_id()));
        if observes {
            self.forget_observations(key, &asked);
        }
        let token = cancels.and_then(|id| self.observed.get(&id)).map(|observed| observed.token);
        let token = self.endpoint.request(
            now,
            registration.peer,
            endpoint::Request { id, message, observation, token },
        );
        if let Some(observation) = observation {
            self.observed.insert(observation, Observed { client: key, asked: asked.clone(), token });
            let observed = &self.observed;
            let observations = &mut self.clients[key].observations;
            observations.retain(|id| observed.contains_key(id));
            observations.push(observation);
        }
        self.clients[key].open.push(id);
        self.in_flight.insert(id, InFlight { client: key, asked, observation, cancels });
        Some(id)
    }

    fn observation_to_cancel(&self, key: usize, operation: &Operation) -> Option<ObservationId> {
        let observed = match operation.name() {
            OperationName::CancelObservation => OperationName::Observe,
            OperationName::CancelObservationComposite => OperationName::ObserveComposite,
            _ => return None,
        };
        self.observations(key)
            .find(|(_, of)| of.asked.operation == observed && of.asked.path == operation.path())
            .map(|(id, _)| *id)
    }

    /// A path that is observed again is observed once (RFC 7641 section 3.1).
    fn forget_observations(&mut self, key: usize, asked: &Asked) {
        let same = |of: &Observed| of.asked.operation == asked.operation && of.asked.path == asked.path;
        let ids: Vec<_> = self.observations(key).filter(|(_, of)| same(of)).map(|(id, _)| *id).collect();
        for id in ids {
            self.observed.remove(&id);
            self.endpoint.forget_observation(id);
        }
    }

    fn observations(&self, key: usize) -> impl Iterator<Item = (&ObservationId, &Observed)> {
        let ids = self.clients.get(key).map(|client| client.observations.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| Some((id, self.observed.get(id)?)))
    }

    pub(super) fn take_response(
        &mut self,
        now: Instant,
        id: RequestId,
        delivery: Delivery,
        mut message: Message,
    ) {
        let Some(in_flight) = self.in_flight.remove(&id) else { return };
        let key = in_flight.client;
        if let Some(cancelled) = in_flight.cancels {
            self.observed.remove(&cancelled);
            self.endpoint.forget_observation(cancelled);
        }
        if let Some(observation) = in_flight.observation.filter(|_| !message.code().is_success()) {
            self.observed.remove(&observation);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        let registration = Arc::clone(&client.registration);
        client.close(id);
        let event = Event::Answered {
            code: message.code().0,
            delivery,
            sequence: message.observe(),
            location: location(&message, &registration.alternate_path),
            content: Content { format: message.content_format(), payload: message.take_payload() },
            registration,
            asked: in_flight.asked,
        };
        self.event(event);
        self.drive(now, key);
    }

    /// The client has it and will answer: the next one may go, as it would after an answer.
    pub(super) fn take_acknowledgement(&mut self, now: Instant, id: RequestId) {
        let Some(in_flight) = self.in_flight.get(&id) else { return };
        let (key, asked) = (in_flight.client, in_flight.asked.clone());
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.outstanding == Some(id) {
            client.outstanding = None;
        }
        let registration = Arc::clone(&client.registration);
        self.event(Event::Progressed { registration, asked, stage: Stage::Acknowledged });
        self.drive(now, key);
    }

    pub(super) fn take_failure(&mut self, now: Instant, id: RequestId, failure: endpoint::Failure) {
        let Some(in_flight) = self.in_flight.remove(&id) else { return };
        if let Some(observation) = in_flight.observation {
            self.observed.remove(&observation);
        }
        let key = in_flight.client;
        let Some(client) = self.clients.get_mut(key) else { return };
        client.close(id);
        if failure == endpoint::Failure::Timeout {
            client.is_silent = true;
        }
        let failure = match failure {
            endpoint::Failure::Timeout => Failure::Timeout,
            endpoint::Failure::Reset => Failure::Reset,
            endpoint::Failure::Incomplete => {
                Failure::Invalid("the answer came in blocks that do not fit together".to_owned())
            }
        };
        self.fail(key, in_flight.asked, failure);
        self.drive(now, key);
    }

    pub(super) fn take_notification(
        &mut self,
        peer: Peer,
        id: ObservationId,
        delivery: Delivery,
        receipt: Option<endpoint::Receipt>,
        mut message: Message,
    ) {
        let Some(observed) = self.observed.get(&id) else {
            if let Some(receipt) = receipt {
                self.endpoint.refuse(receipt);
            }
            return;
        };
        let (key, asked) = (observed.client, observed.asked.clone());
        if self.clients[key].registration.peer != peer {
            // The token is unguessable: who has it is the client, wherever it is now.
            self.move_to(key, peer);
        }
        if !message.code().is_success() {
            self.observed.remove(&id);
            self.clients[key].observations.retain(|of| *of != id);
        }
        let registration = Arc::clone(&self.clients[key].registration);
        let receipt = receipt.map(|receipt| {
            Receipt(self.unsettled.insert(Unsettled { peer, receipt, effect: Effect::Acknowledge }) as u64)
        });
        let event = Event::Notified {
            code: message.code().0,
            delivery,
            sequence: message.observe(),
            content: Content { format: message.content_format(), payload: message.take_payload() },
            registration,
            asked,
            receipt,
        };
        self.event(event);
    }

    /// Requests whose deadline has passed while they waited.
    pub(super) fn drop_expired(&mut self, now: Instant, key: usize) {
        let is_expired = |request: &Request| request.deadline.is_some_and(|deadline| deadline <= now);
        if !self.clients[key].waiting.iter().any(is_expired) {
            return;
        }
        let (expired, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.clients[key].waiting).into_iter().partition(is_expired);
        self.clients[key].waiting = waiting;
        for request in expired {
            self.fail(key, asked(&request), Failure::Expired);
        }
    }

    /// The client has started anew, or is gone: what it was asked will not be answered, what it was to notify neither.
    pub(super) fn forget_dealings(&mut self, key: usize) {
        let client = &mut self.clients[key];
        client.outstanding = None;
        for id in std::mem::take(&mut client.observations) {
            self.observed.remove(&id);
            self.endpoint.forget_observation(id);
        }
        for id in std::mem::take(&mut self.clients[key].open) {
            self.endpoint.abandon(id);
            if let Some(in_flight) = self.in_flight.remove(&id) {
                self.fail(key, in_flight.asked, Failure::Ended);
            }
        }
    }

    /// Nobody is left who could be asked.
    pub(super) fn fail_waiting(&mut self, now: Instant, key: usize) {
        self.drop_expired(now, key);
        for request in std::mem::take(&mut self.clients[key].waiting) {
            self.fail(key, asked(&request), Failure::Ended);
        }
    }

    fn fail(&mut self, key: usize, asked: Asked, failure: Failure) {
        let registration = Arc::clone(&self.clients[key].registration);
        let endpoint = Arc::clone(&registration.endpoint);
        self.event(Event::Failed { endpoint, registration: Some(registration), asked, failure });
    }
}

impl Client {
    pub(super) fn new(registration: Arc<Registration>, now: Instant) -> Self {
        Self {
            registration,
            last_seen: now,
            armed: None,
            outstanding: None,
            is_silent: false,
            waiting: VecDeque::new(),
            open: Vec::new(),
            observations: Vec::new(),
        }
    }

    /// A request has been answered, or never will be.
    fn close(&mut self, id: RequestId) {
        self.open.retain(|open| *open != id);
        if self.outstanding == Some(id) {
            self.outstanding = None;
        }
    }
}

fn asked(request: &Request) -> Asked {
    Asked {
        operation: request.operation.name(),
        path: request.operation.path(),
        context: Arc::clone(&request.context),
    }
}

/// Location-Path of an answer, below the alternate path.
fn location(message: &Message, alternate_path: &str) -> Option<String> {
    let mut location = String::new();
    for segment in message.option(option::LOCATION_PATH) {
        location.push('/');
        location.push_str(&String::from_utf8_lossy(segment));
    }
    let below = location.strip_prefix(alternate_path.trim_end_matches('/')).unwrap_or(&location);
    (!below.is_empty()).then(|| below.to_owned())
}
