//! Who a client has proved to be, and what follows when its DTLS association begins, moves and ends.
//!
//! An association proves one endpoint name (`associate`, from the credential it was made with), and a client may register
//! that one only. One endpoint has one security mode: what registered over DTLS, or has
//! credentials (`set_secured`), does not register without; the other way round, whoever proves to be the endpoint takes
//! over a registration made without.
//!
//! A registration belongs to one association at a time. Any message of its client on another association that has
//! proved the same endpoint is taken, and takes the registration along: a client that resumed its session, or made a new
//! one, often begins with a Send or a notification and not with an Update. It loses nothing that way, and it is as safe,
//! since whoever has the credential might as well register. Nothing of an association that has proved another endpoint,
//! or none, reaches the registration.
//!
//! RFC 7252 section 9.1.1 binds answers and tokens to the association on which they were asked for. So
//!
//! 1. what was open on the old one is not waited for: the client in queue mode is asked once more, if that does no harm,
//!    and any other request fails;
//! 2. what the client observes is asked for again on the new one. Until it has agreed, its notifications by the old token
//!    are still taken, as Leshan does: it may have stored some while it slept.

use std::fmt;
use std::sync::Arc;

use super::{End, Event, Failure, Refusal, Request, Server, Stage};
use crate::coap::Peer;
use crate::coap::message::{Code, Message};
use crate::lwm2m::queue::{self, Waiting};
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// Which endpoints must not register without DTLS.
#[derive(Clone)]
pub(super) struct Secured(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Default for Secured {
    fn default() -> Self {
        Self(Arc::new(|_| false))
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secured")
    }
}

impl Server {
    /// The peer's association has proved that the client is this endpoint: to be called before its first datagram, also
    /// for an association that is known from before a restart. Without effect for a peer without an association.
    pub fn associate(&mut self, _now: Instant, peer: Peer, endpoint: Arc<str>) {
        self.endpoint.associate(peer.association, endpoint);
    }

    /// The records of an association hold so many bytes at most, as its client has asked for (`max_fragment_length`,
    /// RFC 6066 section 4): bodies go in blocks that fit. Without effect if the association is not known.
    pub fn limit(&mut self, association: u64, bytes: usize) {
        self.endpoint.limit(association, bytes);
    }

    /// An association has ended. Its registration stays until its lifetime is over, but cannot be reached before its
    /// client is there again on another association: what is asked of it waits if it is in queue mode, and fails as
    /// unreachable if it is not. Poll the output afterwards.
    pub fn dissociate(&mut self, now: Instant, association: u64) {
        let Some(endpoint) = self.endpoint.dissociate(association) else { return };
        if let Some(key) = self.clients.of_endpoint(&endpoint)
            && self.clients.get(key).is_some_and(|it| it.registration.peer.association == association)
        {
            self.strand(now, key);
            self.drive(now, key);
        }
        self.absorb(now);
    }

    /// Which endpoints must not register without DTLS from now on. Registrations of such ones that were made without
    /// end at once. Poll the output afterwards.
    pub fn set_secured(&mut self, secured: Arc<dyn Fn(&str) -> bool + Send + Sync>) {
        self.secured = Secured(secured);
        let insecure = self.clients.keys().filter(|key| self.is_insecure(*key)).collect::<Vec<_>>();
        insecure.into_iter().for_each(|key| self.end(key, End::Removed));
    }

    /// Whether a client has to use DTLS and does not.
    pub(super) fn is_insecure(&self, key: usize) -> bool {
        self.clients.get(key).is_some_and(|client| {
            let Registration { peer, endpoint, .. } = &*client.registration;
            !peer.is_secure() && (self.secured.0)(endpoint)
        })
    }

    /// The endpoint that the peer's association has proved.
    pub fn identity(&self, peer: Peer) -> Option<&Arc<str>> {
        self.endpoint.principal(peer)
    }

    /// Why a peer may not register an endpoint name; none if it may.
    pub(super) fn refusal(&self, peer: Peer, endpoint: &str) -> Option<Refusal> {
        if peer.is_secure() {
            return match self.identity(peer) {
                Some(proved) if **proved == *endpoint => None,
                Some(_) => Some(Refusal::Identity),
                None => Some(Refusal::Unproved),
            };
        }
        let is_secure = self.registration(endpoint).is_some_and(|known| known.peer.is_secure());
        (is_secure || (self.secured.0)(endpoint)).then_some(Refusal::Insecure)
    }

    /// Tells of a Register that was not allowed, and makes its answer (core 1.2.1 section 6.2.1.1).
    pub(super) fn turn_away(&mut self, peer: Peer, endpoint: Arc<str>, refusal: Refusal) -> Message {
        let (counter, code, diagnostic) = match refusal {
            Refusal::Identity => (
                &mut self.counters.wrong_identities,
                Code::BAD_REQUEST,
                "ep is not the authenticated endpoint",
            ),
            Refusal::Unproved => {
                (&mut self.counters.wrong_identities, Code::BAD_REQUEST, "no endpoint is authenticated")
            }
            Refusal::Insecure => {
                (&mut self.counters.insecure_registrations, Code::FORBIDDEN, "this endpoint has to use DTLS")
            }
        };
        *counter += 1;
        let principal = self.identity(peer).cloned();
        self.emit(Event::Refused { peer, endpoint, principal, reason: refusal });
        Message::response(code).with_payload(diagnostic.into())
    }

    /// Whether a peer may speak for a registration: with DTLS if it has proved to be the endpoint, without if the
    /// registration was made without.
    pub(super) fn is_own(&self, peer: Peer, registration: &Registration) -> bool {
        if peer.is_secure() {
            self.identity(peer).is_some_and(|proved| **proved == *registration.endpoint)
        } else {
            !registration.peer.is_secure()
        }
    }

    /// The client that a peer speaks for, if its message names none.
    pub(super) fn sender(&self, peer: Peer) -> Option<usize> {
        if peer.is_secure() {
            self.clients.of_endpoint(self.identity(peer)?)
        } else {
            self.clients.at_peer(peer)
        }
    }

    /// Whether there is a way to the client: not if its association has ended.
    pub(super) fn is_reachable(&self, key: usize) -> bool {
        self.clients.get(key).is_some_and(|client| self.endpoint.is_reachable(client.registration.peer))
    }

    /// What waits for a client that cannot be reached goes on waiting in queue mode, and while the client registers;
    /// otherwise it fails.
    pub(super) fn fail_unreachable(&mut self, key: usize) {
        while let Some(client) = self.clients.get_mut(key)
            && !client.registration.queue_mode
            && !client.queue.is_held()
            && let Some(waiting) = client.queue.take_asked()
        {
            self.mark(key);
            self.queued_bytes -= waiting.request.operation.weight();
            self.fail(key, waiting.request.asked(), Failure::Unreachable);
        }
    }

    /// The client was seen at this peer.
    pub(super) fn move_to(&mut self, now: Instant, key: usize, peer: Peer) {
        let Some(client) = self.clients.get(key) else { return };
        let old = &client.registration;
        if old.peer == peer && old.peer.is_where(&peer) {
            return;
        }
        let registration = Registration { peer, ..Registration::clone(old) };
        self.relocate(now, key, Arc::new(registration));
    }

    /// The registration of a client is this one now, maybe at another peer.
    pub(super) fn relocate(&mut self, now: Instant, key: usize, registration: Arc<Registration>) {
        let Some(client) = self.clients.get(key) else { return };
        let (old, new) = (client.registration.peer, registration.peer);
        if old == new {
            self.counters.moved += u64::from(!old.is_where(&new));
            self.clients.replace(key, registration);
            return self.mark(key);
        }
        self.counters.moved += 1;
        let is_other_association = old.association != new.association;
        if is_other_association {
            self.strand(now, key);
        }
        self.clients.replace(key, registration);
        self.mark(key);
        // What was sent to the old address holds nothing back at the new one: `NSTART` counts for each address
        // (RFC 7252 section 4.7).
        if let Some(client) = self.clients.get_mut(key) {
            client.queue.release_all();
        }
        if is_other_association {
            self.observe_again(now, key, self.observed_by(key));
        }
    }

    /// Nothing that the client was asked on its association will be answered any more.
    pub(super) fn strand(&mut self, now: Instant, key: usize) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.queue.release_all();
        self.endpoint.end_fetches(client.registration.peer, &client.observations);
        let mut again = Vec::new();
        for id in client.exchanges.clone() {
            self.endpoint.abandon(id);
            again.extend(self.withdraw(key, id));
        }
        self.put_back(now, key, again);
        self.arm(key);
    }

    /// Requests go to the front of those that wait, unless it is too late for them.
    fn put_back(&mut self, now: Instant, key: usize, requests: Vec<Request>) {
        let (expired, requests): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| queue::is_expired(request, now));
        for request in &expired {
            self.fail(key, request.asked(), Failure::Expired);
        }
        for request in &requests {
            self.progress(key, request.asked(), Stage::Queued);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        for request in requests.into_iter().rev() {
            self.queued_bytes += request.operation.weight();
            client.queue.put_back(Waiting { request, is_again: false, is_repeat: true, is_told: true });
        }
        self.mark(key);
    }
}
