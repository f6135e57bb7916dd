//! A registration that goes to another shard, since its client has come back on an association there.
//!
//! An association belongs to one shard, and a client whose address has changed may make its next one at any. The caller
//! sees that by its first datagram: the endpoint that the association has proved is registered elsewhere. It then lets
//! that shard [`hand_over`](Server::hand_over) the registration and this one [`take_over`](Server::take_over), and hands
//! in the datagram after that, which takes the registration along as it would have on one shard (`identity`).

use std::collections::VecDeque;
use std::sync::Arc;

use super::Server;
use super::location::Location;
use super::notify::Observation;
use crate::coap::endpoint::{self, ObservationId};
use crate::lwm2m::queue::Waiting;
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// A registration between two shards, with what waits for its client and what the client observes.
#[derive(Debug)]
pub struct Handover {
    location: Location,
    registration: Arc<Registration>,
    heard: Instant,
    waiting: VecDeque<Waiting>,
    observed: Vec<(Observation, Option<endpoint::Observation>)>,
}

impl Handover {
    /// The registration.
    pub fn registration(&self) -> &Arc<Registration> {
        &self.registration
    }
}

impl Server {
    /// Part with a registration, without any event of it, so that another shard can take it over. What was asked on its
    /// association is not waited for any more, as if that had ended. None if the endpoint is not registered here, or if a
    /// Register or Update of it is not settled. Poll the output afterwards.
    pub fn hand_over(&mut self, now: Instant, endpoint: &str) -> Option<Handover> {
        let key = self.clients.of_endpoint(endpoint)?;
        if self.clients.get(key)?.queue.is_held() {
            return None;
        }
        self.strand(now, key);
        // It is the other shard's to keep from here on.
        self.changed.retain(|changed| **changed != *endpoint);
        let observations = std::mem::take(&mut self.clients.get_mut(key)?.observations);
        let observed = observations.into_iter().filter_map(|id| self.part_with(id)).collect();
        let mut client = self.clients.remove(key)?;
        let waiting = client.queue.drain();
        self.queued_bytes -= weight(&waiting);
        self.absorb(now);
        Some(Handover {
            location: client.location(),
            registration: client.registration,
            heard: client.queue.heard(),
            waiting,
            observed,
        })
    }

    /// Take a registration that another shard has handed over. If its client has registered here meanwhile, that
    /// registration stays, and what waits and what was observed becomes its. Otherwise nothing is sent before the client's
    /// next message. Poll the output afterwards.
    pub fn take_over(&mut self, now: Instant, handover: Handover) {
        let Handover { location, registration, heard, waiting, observed } = handover;
        let known = self.clients.of_endpoint(&registration.endpoint);
        let key = known.unwrap_or_else(|| self.clients.enter(heard, location, registration));
        self.queued_bytes += weight(&waiting);
        if let Some(client) = self.clients.get_mut(key) {
            waiting.into_iter().for_each(|waiting| client.queue.push(waiting));
        }
        if known.is_some() {
            let before = observed.into_iter().map(|(it, _)| (it.operation, it.context)).collect();
            self.observe_again(now, key, before);
            self.drive(now, key);
        } else {
            observed.into_iter().for_each(|(observation, token)| self.go_on(key, observation, token));
        }
        self.arm(key);
        self.mark(key);
        self.absorb(now);
    }

    fn part_with(&mut self, id: ObservationId) -> Option<(Observation, Option<endpoint::Observation>)> {
        let token = self.endpoint.hand_over_observation(id);
        Some((self.observations.remove(&id)?, token))
    }

    pub(super) fn go_on(
        &mut self,
        key: usize,
        observation: Observation,
        token: Option<endpoint::Observation>,
    ) {
        let id = ObservationId(self.new_name());
        if let Some(token) = token {
            self.endpoint.take_over_observation(id, observation.token, token);
        }
        self.observations.insert(id, Observation { client: key, ..observation });
        if let Some(client) = self.clients.get_mut(key) {
            client.observations.push(id);
        }
    }
}

/// The bytes that all that wait take.
pub(super) fn weight(waiting: &VecDeque<Waiting>) -> usize {
    waiting.iter().map(|waiting| waiting.request.operation.weight()).sum()
}
