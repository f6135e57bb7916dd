//! What clients ask for: Register, Update, De-register, Send.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Client, Content, Effect, End, Event, LOCATION_BYTES, Receipt, Server, Unsettled};
use crate::coap::message::{Code, Message, option};
use crate::coap::{Entropy, Peer, endpoint};
use crate::lwm2m::registration::{Links, Parameters, Registration};
use crate::time::Instant;

impl Server {
    pub(super) fn take_request(&mut self, peer: Peer, receipt: endpoint::Receipt, message: &Message) {
        let path: Vec<&[u8]> = message.uri_path().collect();
        let outcome = match (message.code(), path.as_slice()) {
            (Code::POST, [b"rd"]) => self.register(peer, receipt, message),
            (Code::POST, [b"rd", id]) => self.update(peer, receipt, id, message),
            (Code::DELETE, [b"rd", id]) => self.deregister(peer, receipt, id),
            (Code::POST, [b"dp"]) => self.send(peer, receipt, message),
            (Code::GET, [b".well-known", b"core"]) => Err(well_known()),
            (Code::GET, [b"bspack"]) => {
                Err(Message::new(Code::NOT_IMPLEMENTED).with_payload("no bootstrap here"))
            }
            (Code::DELETE, []) => Err(Message::new(Code::BAD_REQUEST).with_payload("missing path")),
            (Code::POST | Code::DELETE, _) => self.not_found(),
            (_, [b"rd", ..] | [b"dp"] | [b"bs"]) => Err(Message::new(Code::METHOD_NOT_ALLOWED)),
            _ => self.not_found(),
        };
        if let Err(answer) = outcome {
            self.endpoint.respond(receipt, answer);
        }
    }

    fn register(&mut self, peer: Peer, receipt: endpoint::Receipt, message: &Message) -> Result<(), Message> {
        let parameters = Parameters::parse(message.uri_query()).map_err(|why| self.bad_request(&why))?;
        let endpoint = parameters.endpoint().map_err(|why| self.bad_request(&why))?;
        let version = parameters.version().map_err(|why| {
            self.counters.bad_registration += 1;
            Message::new(Code::PRECONDITION_FAILED).with_payload(why)
        })?;
        let lifetime = parameters.lifetime().map_err(|why| self.bad_request(&why))?;
        let links = Links::parse(message.payload(), "/").map_err(|why| self.bad_request(&why))?;
        let previous = self.registration(&endpoint).cloned();
        if previous.is_none() && self.clients.len() >= self.config.max_registrations {
            self.counters.registrations_full += 1;
            return Err(Message::new(Code::SERVICE_UNAVAILABLE).with_uint(option::MAX_AGE, 60));
        }
        let registration = Arc::new(Registration {
            endpoint,
            location: self.new_location(),
            version,
            lifetime,
            binding: parameters.binding().into(),
            queue_mode: parameters.queue_mode(),
            alternate_path: links.alternate_path.unwrap_or_else(|| "/".into()),
            objects: links.objects,
            parameters: parameters.items,
            links: message.payload().into(),
            peer,
        });
        let receipt = self.await_settlement(peer, receipt, Effect::Register(Arc::clone(&registration)));
        self.event(Event::Registered { registration, previous, receipt });
        Ok(())
    }

    fn update(
        &mut self,
        peer: Peer,
        receipt: endpoint::Receipt,
        id: &[u8],
        message: &Message,
    ) -> Result<(), Message> {
        let Some(old) = self.registration_at(id) else { return self.not_found() };
        let given = Parameters::parse(message.uri_query()).map_err(|why| self.bad_request(&why))?;
        let parameters = given.over(&old.parameters);
        let lifetime = parameters.lifetime().map_err(|why| self.bad_request(&why))?;
        let links_changed = !message.payload().is_empty();
        let mut registration = Registration {
            lifetime,
            binding: parameters.binding().into(),
            queue_mode: parameters.queue_mode(),
            parameters: parameters.items,
            peer,
            ..Registration::clone(&old)
        };
        if links_changed {
            // A list that does not name the alternate path again is still below the one of before.
            let links =
                Links::parse(message.payload(), &old.alternate_path).map_err(|why| self.bad_request(&why))?;
            registration.alternate_path = links.alternate_path.unwrap_or(registration.alternate_path);
            registration.objects = links.objects;
            registration.links = message.payload().into();
        }
        let registration = Arc::new(registration);
        let receipt = self.await_settlement(peer, receipt, Effect::Update(Arc::clone(&registration)));
        self.event(Event::Updated { registration, links_changed, receipt });
        Ok(())
    }

    fn deregister(&mut self, peer: Peer, receipt: endpoint::Receipt, id: &[u8]) -> Result<(), Message> {
        let Some(registration) = self.registration_at(id) else { return self.not_found() };
        let receipt = self.await_settlement(peer, receipt, Effect::Deregister(Arc::clone(&registration)));
        self.event(Event::Ended { registration, reason: End::Deregistered, receipt: Some(receipt) });
        Ok(())
    }

    /// Send (core 1.2.1 section 6.4.6): only from a client that is registered at this address.
    fn send(&mut self, peer: Peer, receipt: endpoint::Receipt, message: &Message) -> Result<(), Message> {
        let Some(key) = self.by_peer.get(&peer) else { return self.not_found() };
        let registration = Arc::clone(&self.clients[*key].registration);
        let content = Content { format: message.content_format(), payload: message.payload().to_vec() };
        let receipt = self.await_settlement(peer, receipt, Effect::Send);
        self.event(Event::Sent { registration, content, receipt });
        Ok(())
    }

    fn await_settlement(&mut self, peer: Peer, receipt: endpoint::Receipt, effect: Effect) -> Receipt {
        Receipt(self.unsettled.insert(Unsettled { peer, receipt, effect }) as u64)
    }

    /// An accepted event takes effect, and its message is answered.
    pub(super) fn apply(&mut self, now: Instant, unsettled: Unsettled) {
        let Unsettled { receipt, effect, .. } = unsettled;
        match effect {
            Effect::Register(registration) => {
                let answer = registration
                    .location
                    .split('/')
                    .filter(|segment| !segment.is_empty())
                    .fold(Message::new(Code::CREATED), |answer, segment| {
                        answer.with_option(option::LOCATION_PATH, segment)
                    });
                self.endpoint.respond(receipt, answer);
                self.absorb(now);
                self.enter(now, registration);
            }
            Effect::Update(registration) => {
                self.endpoint.respond(receipt, Message::new(Code::CHANGED));
                self.absorb(now);
                if let Some(key) = self.by_location.get(&registration.location).copied() {
                    self.move_to(key, registration.peer);
                    self.clients[key].registration = registration;
                    self.revive(now, key);
                }
            }
            Effect::Deregister(registration) => {
                self.endpoint.respond(receipt, Message::new(Code::DELETED));
                if let Some(key) = self.by_location.get(&registration.location).copied() {
                    self.leave(now, key);
                }
            }
            Effect::Send => self.endpoint.respond(receipt, Message::new(Code::CHANGED)),
            Effect::Acknowledge => self.endpoint.acknowledge(receipt),
        }
    }

    /// A registration stands. An older one of the same name goes with its observations; what waits for the client stays.
    fn enter(&mut self, now: Instant, registration: Arc<Registration>) {
        let (peer, location) = (registration.peer, registration.location.clone());
        let key = match self.by_endpoint.get(&registration.endpoint).copied() {
            Some(key) => {
                self.forget_dealings(key);
                let client = &mut self.clients[key];
                self.by_location.remove(&client.registration.location);
                let old = client.registration.peer;
                client.registration = registration;
                if self.by_peer.get(&old) == Some(&key) {
                    self.by_peer.remove(&old);
                }
                key
            }
            None => {
                let endpoint = Arc::clone(&registration.endpoint);
                let key = self.clients.insert(Client::new(registration, now));
                self.by_endpoint.insert(endpoint, key);
                key
            }
        };
        self.by_location.insert(location, key);
        self.by_peer.insert(peer, key);
        self.revive(now, key);
    }

    /// A Register or an Update starts the lifetime anew.
    fn revive(&mut self, now: Instant, key: usize) {
        let client = &mut self.clients[key];
        client.last_seen = now;
        client.is_silent = false;
        self.arm(key);
    }

    /// The client at this address is there.
    pub(super) fn hear(&mut self, now: Instant, peer: Peer) {
        if let Some(key) = self.by_peer.get(&peer).copied() {
            let client = &mut self.clients[key];
            client.last_seen = now;
            client.is_silent = false;
        }
    }

    /// What waits for the client at this address may go.
    pub(super) fn go_on(&mut self, now: Instant, peer: Peer) {
        if let Some(key) = self.by_peer.get(&peer).copied()
            && !self.clients[key].waiting.is_empty()
        {
            self.drive(now, key);
            self.absorb(now);
        }
    }

    /// A client's time has come: have requests waited too long for it? Has it been heard in its lifetime?
    pub(super) fn look_at(&mut self, now: Instant, at: Instant, key: usize) {
        if !self.clients.contains(key) {
            return;
        }
        self.drop_expired(now, key);
        let client = &mut self.clients[key];
        if client.armed != Some(at) {
            return;
        }
        client.armed = None;
        if client.last_seen + self.lifetime(key) <= now {
            return self.end(now, key, End::Expired);
        }
        self.arm(key);
    }

    /// One timer for a client's lifetime. Datagrams do not touch it: it is set anew when it fires, or when the lifetime
    /// has become shorter.
    fn arm(&mut self, key: usize) {
        let expires = self.clients[key].last_seen + self.lifetime(key);
        let client = &mut self.clients[key];
        if client.armed.is_none_or(|armed| expires < armed) {
            client.armed = Some(expires);
            self.timers.push(Reverse((expires, key)));
        }
    }

    pub(super) fn end(&mut self, now: Instant, key: usize, reason: End) {
        let registration = Arc::clone(&self.clients[key].registration);
        self.leave(now, key);
        self.event(Event::Ended { registration, reason, receipt: None });
    }

    fn leave(&mut self, now: Instant, key: usize) {
        self.forget_dealings(key);
        self.fail_waiting(now, key);
        let Some(client) = self.clients.try_remove(key) else { return };
        self.by_endpoint.remove(&client.registration.endpoint);
        self.by_location.remove(&client.registration.location);
        if self.by_peer.get(&client.registration.peer) == Some(&key) {
            self.by_peer.remove(&client.registration.peer);
        }
    }

    /// The client is at another address now.
    pub(super) fn move_to(&mut self, key: usize, peer: Peer) {
        let client = &mut self.clients[key];
        let old = client.registration.peer;
        if old != peer {
            let mut moved = Registration::clone(&client.registration);
            moved.peer = peer;
            client.registration = Arc::new(moved);
            if self.by_peer.get(&old) == Some(&key) {
                self.by_peer.remove(&old);
            }
        }
        self.by_peer.insert(peer, key);
    }

    fn registration_at(&self, id: &[u8]) -> Option<Arc<Registration>> {
        let location = format!("/rd/{}", std::str::from_utf8(id).ok()?);
        let key = self.by_location.get(location.as_str())?;
        Some(Arc::clone(&self.clients[*key].registration))
    }

    fn lifetime(&self, key: usize) -> Duration {
        match self.clients[key].registration.lifetime {
            0 => self.config.lifetime_max,
            given => {
                Duration::from_secs(given.into()).clamp(self.config.lifetime_min, self.config.lifetime_max)
            }
        }
    }

    fn new_location(&mut self) -> Box<str> {
        let mut bytes = [self.config.shard; LOCATION_BYTES];
        self.entropy.fill(&mut bytes[1..]);
        format!("/rd/{}", URL_SAFE_NO_PAD.encode(bytes)).into()
    }

    fn bad_request(&mut self, why: &str) -> Message {
        self.counters.bad_registration += 1;
        Message::new(Code::BAD_REQUEST).with_payload(why)
    }

    fn not_found(&mut self) -> Result<(), Message> {
        self.counters.not_found += 1;
        Err(Message::new(Code::NOT_FOUND))
    }
}

/// RFC 6690: where clients register.
fn well_known() -> Message {
    Message::new(Code::CONTENT)
        .with_uint(option::CONTENT_FORMAT, 40)
        .with_payload(r#"</rd>;rt="core.rd",</dp>"#)
}
