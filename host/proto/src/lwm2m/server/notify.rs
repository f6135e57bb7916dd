//! Observations and their notifications (core 1.2.1 section 6.4.2 to 6.4.5, RFC 7641).

use std::sync::Arc;

use super::settle::Effect;
use super::{Asked, Content, Event, Server};
use crate::coap::Peer;
use crate::coap::endpoint::{self, Delivery, ObservationId};
use crate::coap::message::Message;
use crate::coap::token::Token;
use crate::lwm2m::operation::Operation;
use crate::time::Instant;

/// An observation that stands, or has been asked for.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) client: usize,
    /// Which asked for it.
    pub(super) operation: Operation,
    pub(super) context: Arc<str>,
    pub(super) token: Token,
    /// On which it was asked for.
    pub(super) association: u64,
    /// The client has agreed.
    pub(super) stands: bool,
}

/// A notification, as the endpoint tells it.
pub(super) struct Notification {
    pub(super) peer: Peer,
    pub(super) id: ObservationId,
    pub(super) delivery: Delivery,
    pub(super) receipt: Option<endpoint::Receipt>,
    pub(super) message: Message,
}

impl Server {
    pub(super) fn take_notification(&mut self, now: Instant, notification: Notification) {
        let Notification { peer, id, delivery, receipt, message } = notification;
        let Some((key, asked)) = self.identify(peer, id) else {
            self.counters.stray_notifications += 1;
            if let Some(receipt) = receipt {
                self.endpoint.refuse(now, receipt);
            }
            return;
        };
        self.move_to(now, key, peer);
        self.hear(now, key);
        let ends = (!message.code().is_success()).then_some(id);
        let receipt = match receipt {
            Some(receipt) => Some(self.await_settlement(receipt, Effect::Notification { client: key, ends })),
            None => {
                if let Some(id) = ends {
                    self.forget_observation(id);
                }
                None
            }
        };
        let Some(client) = self.clients.get(key) else { return };
        self.emit(Event::Notified {
            registration: Arc::clone(&client.registration),
            asked,
            code: message.code().0,
            delivery,
            sequence: message.observe(),
            content: Content { format: message.content_format(), payload: message.into_payload() },
            receipt,
        });
        // Its acknowledgement goes before what waits.
        if receipt.is_none() {
            self.drive(now, key);
        }
    }

    /// Whose notification it is. Its token is unguessable, so it may come from any address of a client without DTLS;
    /// but not if the client uses DTLS now. The endpoint has seen to it that one over DTLS is from its client.
    fn identify(&self, peer: Peer, id: ObservationId) -> Option<(usize, Asked)> {
        let observation = self.observations.get(&id)?;
        let client = self.clients.get(observation.client)?;
        let asked = Asked {
            operation: observation.operation.name(),
            path: observation.operation.path(),
            context: Arc::clone(&observation.context),
        };
        self.is_own(peer, &client.registration).then_some((observation.client, asked))
    }

    /// An observation stands; older ones of the same go.
    pub(super) fn supersede(&mut self, key: usize, id: ObservationId) {
        let Some(observation) = self.observations.get_mut(&id) else { return };
        observation.stands = true;
        self.mark(key);
        let Some(observation) = self.observations.get(&id) else { return };
        let operation = observation.operation.clone();
        for older in self.observations_of(key, &operation).filter(|older| *older < id).collect::<Vec<_>>() {
            self.forget_observation(older);
        }
    }

    /// The client does not go on with what it was asked to observe again: it has ended, on whichever association.
    pub(super) fn end_observation(&mut self, key: usize, id: ObservationId) {
        let Some(observation) = self.observations.get(&id) else { return };
        let operation = observation.operation.clone();
        for same in self.observations_of(key, &operation).collect::<Vec<_>>() {
            self.forget_observation(same);
        }
    }

    /// The observation that a cancellation means: the latest of what it names.
    pub(super) fn observation_to_cancel(&self, key: usize, operation: &Operation) -> Option<ObservationId> {
        operation.cancels()?;
        self.observations_of(key, operation).max()
    }

    /// Nothing is sent: the next notification is answered with a reset, as nobody knows its token.
    pub(super) fn cancel_passively(&mut self, key: usize, operation: &Operation) {
        for id in self.observations_of(key, operation).collect::<Vec<_>>() {
            self.forget_observation(id);
        }
    }

    pub(super) fn forget_observation(&mut self, id: ObservationId) {
        self.endpoint.forget_observation(id);
        let Some(observation) = self.observations.remove(&id) else { return };
        if let Some(client) = self.clients.get_mut(observation.client) {
            client.observations.retain(|known| *known != id);
        }
        if observation.stands {
            self.mark(observation.client);
        }
    }

    pub(super) fn observations_of(
        &self,
        key: usize,
        operation: &Operation,
    ) -> impl Iterator<Item = ObservationId> {
        let known = self.clients.get(key).map(|client| client.observations.as_slice()).unwrap_or_default();
        known.iter().copied().filter(move |id| {
            self.observations.get(id).is_some_and(|known| known.operation.same_observation(operation))
        })
    }
}
