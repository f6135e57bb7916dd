//! What clients are asked: from the queue to the answer.

use std::sync::Arc;

use super::settle::Effect;
use super::{Asked, Content, Event, Failure, Request, Server, Stage, Unsettled, notify};
use crate::coap::endpoint::{self, Delivery, ObservationId, RequestId};
use crate::coap::message::{Code, Message};
use crate::lwm2m::operation::CancelMode;
use crate::lwm2m::{operation, queue};
use crate::time::Instant;

/// A request on its way to a client.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) client: usize,
    pub(super) asked: Asked,
    role: Role,
    /// The client has acknowledged it.
    is_acknowledged: bool,
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
        let window = self.awake_window(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        let is_awake = client.queue.is_awake(now, window);
        let limit = if is_awake { self.config.max_queued } else { self.config.max_queued_asleep };
        if client.queue.len() + client.exchanges.len() >= limit {
            self.counters.queue_full += 1;
            return self.fail(key, request.asked(), Failure::QueueFull);
        }
        let (asked, deadline) = (request.asked(), request.deadline);
        client.queue.push(request);
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
                if held.len() < self.config.max_queued {
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

    /// Sends what may go to a client now.
    pub(super) fn drive(&mut self, now: Instant, key: usize) {
        let window = self.awake_window(key);
        while let Some(request) = self.clients.get_mut(key).and_then(|it| it.queue.next(now, window)) {
            if queue::is_expired(&request, now) {
                self.fail(key, request.asked(), Failure::Expired);
            } else if let Err(reason) = self.start(now, key, &request) {
                self.fail(key, request.asked(), Failure::Invalid(reason));
            }
        }
    }

    /// None if the client does not use queue mode.
    fn awake_window(&self, key: usize) -> Option<std::time::Duration> {
        let client = self.clients.get(key)?;
        client.registration.queue_mode.then_some(self.config.awake_window)
    }

    /// Puts a request into a message and sends it.
    fn start(&mut self, now: Instant, key: usize, request: &Request) -> Result<(), String> {
        let cancelled = self.observation_to_cancel(key, &request.operation);
        let observation = cancelled.and_then(|id| self.observations.get(&id));
        let token = observation.map(|observation| observation.token);
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let peer = client.registration.peer;
        let message = operation::message(
            &request.operation,
            observation.map(|observation| &observation.operation),
            &client.registration,
            &self.config.models,
        )?;
        let id = RequestId(self.new_name());
        let role = match cancelled {
            Some(id) => Role::Cancels(id),
            None if request.operation.is_observe() => Role::Observes(ObservationId(self.new_name())),
            None => Role::None,
        };
        let observation = if let Role::Observes(id) = role { Some(id) } else { None };
        let token = self.endpoint.request(now, peer, endpoint::Request { id, message, observation, token });
        if let Some(observation) = observation {
            let asked_for = notify::Observation {
                client: key,
                operation: request.operation.clone(),
                context: Arc::clone(&request.context),
                token,
            };
            self.observations.insert(observation, asked_for);
        }
        let exchange = Exchange { client: key, asked: request.asked(), role, is_acknowledged: false };
        self.exchanges.insert(id, exchange);
        if let Some(client) = self.clients.get_mut(key) {
            client.observations.extend(observation);
            client.exchanges.push(id);
            if !request.urgent {
                client.queue.sent(id);
            }
        }
        Ok(())
    }

    pub(super) fn take_response(
        &mut self,
        now: Instant,
        id: RequestId,
        delivery: Delivery,
        message: Message,
    ) {
        let Some(exchange) = self.close(id) else { return };
        let key = exchange.client;
        self.hear(now, key);
        let code = message.code();
        match exchange.role {
            Role::Observes(id) if code.is_success() => self.supersede(key, id),
            Role::Observes(id) => self.forget_observation(id),
            Role::Cancels(id) if code.is_success() || code == Code::NOT_FOUND => self.forget_observation(id),
            Role::Cancels(_) | Role::None => {}
        }
        let Some(client) = self.clients.get(key) else { return };
        let registration = Arc::clone(&client.registration);
        self.emit(Event::Answered {
            asked: exchange.asked,
            code: code.0,
            delivery,
            sequence: message.observe(),
            location: location(&message, &registration.alternate_path),
            content: Content { format: message.content_format(), payload: message.into_payload() },
            registration,
        });
        self.drive(now, key);
    }

    /// The client has it and will answer. The next request may go then: some clients need minutes for an answer, and
    /// the acknowledgement says that they can take another request meanwhile.
    pub(super) fn take_acknowledgement(&mut self, now: Instant, id: RequestId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.is_acknowledged = true;
        let (key, asked) = (exchange.client, exchange.asked.clone());
        if let Some(client) = self.clients.get_mut(key) {
            client.queue.release(id);
        }
        self.hear(now, key);
        self.progress(key, asked, Stage::Acknowledged);
        self.drive(now, key);
    }

    pub(super) fn take_failure(&mut self, now: Instant, id: RequestId, failure: endpoint::Failure) {
        let Some(exchange) = self.close(id) else { return };
        let key = exchange.client;
        match exchange.role {
            Role::Observes(id) => self.forget_observation(id),
            // It has the cancellation but cannot answer it (lwm2m-node-lib): a reset to the next notification may do.
            Role::Cancels(id) if exchange.is_acknowledged => self.forget_observation(id),
            Role::Cancels(_) | Role::None => {}
        }
        let failure = match failure {
            endpoint::Failure::Timeout => {
                if let Some(client) = self.clients.get_mut(key).filter(|_| !exchange.is_acknowledged) {
                    client.queue.went_silent();
                }
                Failure::Timeout
            }
            endpoint::Failure::Reset => Failure::Reset,
            endpoint::Failure::Incomplete => Failure::Invalid(
                "the answer came in blocks that do not make a whole, or are too much".to_owned(),
            ),
        };
        self.fail(key, exchange.asked, failure);
        self.drive(now, key);
    }

    /// A request is no longer on its way.
    fn close(&mut self, id: RequestId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        let client = self.clients.get_mut(exchange.client)?;
        client.exchanges.retain(|open| *open != id);
        client.queue.release(id);
        Some(exchange)
    }

    fn progress(&mut self, key: usize, asked: Asked, stage: Stage) {
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
