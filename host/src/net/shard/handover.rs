//! A client whose registration is at another shard: it is sent for before what the client says is taken in.
//!
//! A client that makes its next association from another address may make it at any shard. It has proved who it is, so
//! what it says there is as good as at the shard that has its registration:
//!
//! 1. an association here has proved an endpoint that the directory has elsewhere: what it says is parked, and that shard
//!    is asked ([`Command::HandOver`]);
//! 2. that shard parts with the registration ([`Command::TakeOver`]) and tells the directory;
//! 3. here it is taken over, and what was parked is taken in.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tidegate_proto::coap::Peer;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{End, Event, Handover, Request};
use tidegate_proto::time::Instant;

use super::{Command, Driver, Uplink};

/// What waits for registrations that were sent for, by endpoint.
#[derive(Debug, Default)]
pub(super) struct Parking {
    by_endpoint: FxHashMap<Arc<str>, Parked>,
}

#[derive(Debug)]
struct Parked {
    since: Instant,
    datagrams: Vec<(Peer, Vec<u8>)>,
}

impl<U: Uplink> Driver<U> {
    /// A registration that was removed here because the client is at another shard now has not ended.
    pub(super) fn lives_elsewhere(&self, event: &Event) -> bool {
        let Event::Ended { registration, reason: End::Removed, .. } = event else { return false };
        self.directory.shard(&registration.endpoint).is_some_and(|shard| shard != self.number)
    }

    /// Keep the directory true, and registrations one for each endpoint.
    pub(super) fn enter_registration(&self, registration: &Arc<Registration>) {
        let Some(other) = self.directory.enter(registration, self.number) else { return };
        // Two devices of one name registered at two shards in the same moment: the later one stays.
        if let Some(other) = self.others.get(usize::from(other))
            && other.send(Command::Remove(registration.endpoint.clone())).is_err()
        {
            tracing::warn!(endpoint = %registration.endpoint, "a replaced registration stays until its lifetime ends");
        }
    }

    /// Take in what came over an association.
    pub(super) fn take_in_opened(&mut self, now: Instant, peer: Peer, data: &[u8]) {
        match self.registered_elsewhere(peer) {
            Some((endpoint, shard)) => self.park(now, endpoint, shard, (peer, data)),
            None => self.server.handle_datagram(now, peer, data),
        }
    }

    fn registered_elsewhere(&self, peer: Peer) -> Option<(Arc<str>, u8)> {
        if self.others.len() < 2 || self.server.knows(peer) {
            return None;
        }
        let endpoint = self.server.identity(peer)?;
        if self.server.registration(endpoint).is_some() {
            return None;
        }
        let shard = self.directory.shard(endpoint).filter(|shard| *shard != self.number)?;
        Some((Arc::clone(endpoint), shard))
    }

    fn park(&mut self, now: Instant, endpoint: Arc<str>, shard: u8, (peer, data): (Peer, &[u8])) {
        let parking = &mut self.parking.by_endpoint;
        if let Some(parked) = parking.get_mut(&endpoint)
            && now < parked.since + PATIENCE
        {
            if parked.datagrams.len() < DATAGRAMS {
                parked.datagrams.push((peer, data.to_vec()));
            } else {
                self.counts.unparked += 1;
            }
            return;
        }
        if parking.len() >= ENDPOINTS {
            parking.retain(|_, parked| now < parked.since + PATIENCE);
        }
        let Some(other) = self.others.get(usize::from(shard)) else { return };
        // Without room here or there the datagram is lost, as it may be on its way; the client sends it again.
        let ask = Command::HandOver { endpoint: Arc::clone(&endpoint), to: self.number };
        if parking.len() < ENDPOINTS && other.send(ask).is_ok() {
            parking.insert(endpoint, Parked { since: now, datagrams: vec![(peer, data.to_vec())] });
        } else {
            self.counts.unparked += 1;
        }
    }

    /// Part with a registration; the other shard is answered in any case.
    pub(super) fn hand_over(&mut self, now: Instant, endpoint: Arc<str>, to: u8) {
        let Some(other) = self.others.get(usize::from(to)) else { return };
        let handover = self.server.hand_over(now, &endpoint);
        if let Some(handover) = &handover {
            if let Some(keeping) = &mut self.keeping {
                keeping.forget(&endpoint);
            }
            // First, so that the other shard's own entry, or its end, is the last word.
            self.directory.enter(handover.registration(), to);
        }
        let answer = Command::TakeOver { endpoint, handover: handover.map(Box::new) };
        // A shard that cannot take it now may ask again.
        if let Err(Command::TakeOver { handover: Some(handover), .. }) = other.send(answer) {
            self.directory.enter(handover.registration(), self.number);
            self.server.take_over(now, *handover);
        }
    }

    /// Take over a registration that was sent for, if the other shard had it, then what was parked.
    pub(super) fn take_over(&mut self, now: Instant, endpoint: &str, handover: Option<Box<Handover>>) {
        if let Some(handover) = handover {
            self.directory.enter(handover.registration(), self.number);
            self.server.take_over(now, *handover);
        }
        let parked = self.parking.by_endpoint.remove(endpoint);
        for (peer, data) in parked.into_iter().flat_map(|parked| parked.datagrams) {
            self.server.handle_datagram(now, peer, &data);
            self.pump();
        }
    }

    /// Perform an operation here, or where its client has gone since it was sent here.
    pub(super) fn perform(&mut self, now: Instant, request: Request) {
        let is_here = self.others.len() < 2 || self.server.registration(&request.endpoint).is_some();
        let shard = if is_here { None } else { self.directory.shard(&request.endpoint) };
        match shard
            .filter(|shard| *shard != self.number)
            .and_then(|shard| self.others.get(usize::from(shard)))
        {
            None => self.server.perform(now, request),
            Some(other) => {
                if let Err(Command::Perform(request)) = other.send(Command::Perform(request)) {
                    self.server.perform(now, request);
                }
            }
        }
    }
}

/// How long an answer of another shard is waited for before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Endpoints that may be sent for at a time.
const ENDPOINTS: usize = 4_096;
/// Datagrams that may wait for one.
const DATAGRAMS: usize = 8;
