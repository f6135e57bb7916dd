//! A snapshot as bytes: a version, then the client in the format of that version (postcard).
//!
//! How the types here are written, and those of [`Operation`] and below, is version 1. Who changes one of them makes a version 2,
//! and keeps what reads version 1; a test holds a snapshot of version 1 against that.
//!
//! Times are relative to the moment of writing, which is there by the machine's clock. If that clock goes back meanwhile, no time
//! has passed; if it jumps ahead, too much has.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::notify::Observation;
use super::{Location, Request, Unrestored, Waiting};
use crate::coap::token::Token;
use crate::coap::{Peer, endpoint};
use crate::lwm2m::operation::Operation;
use crate::lwm2m::registration::{self, Registration, Version};
use crate::lwm2m::shared::Shared;
use crate::time::Instant;

/// A client, borrowed from the server or read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept<'s> {
    /// When this was written: milliseconds since 1970.
    written: i64,
    endpoint: Cow<'s, str>,
    location: Cow<'s, str>,
    /// 10, 11 or 12.
    version: u8,
    lifetime: u32,
    alternate_path: Cow<'s, str>,
    parameters: Vec<(Cow<'s, str>, Option<Cow<'s, str>>)>,
    links: Cow<'s, [u8]>,
    content_formats: Option<Cow<'s, [u16]>>,
    address: IpAddr,
    port: u16,
    /// Of an IPv6 address.
    scope: u32,
    listener: u16,
    association: u64,
    /// Milliseconds since the client was heard.
    unheard: u64,
    pub(super) is_silent: bool,
    observed: Vec<KeptObservation<'s>>,
    pub(super) outstanding: Vec<KeptRequest<'s>>,
    pub(super) waiting: Vec<KeptRequest<'s>>,
}

/// An observation that stands.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct KeptObservation<'s> {
    operation: Cow<'s, Operation>,
    context: Cow<'s, str>,
    token: Cow<'s, [u8]>,
    association: u64,
    /// Its notifications have to come over DTLS, from its endpoint.
    is_owned: bool,
    /// The datagram that asks for the rest of a notification.
    rest: Option<Cow<'s, [u8]>>,
}

/// A request.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptRequest<'s> {
    operation: Cow<'s, Operation>,
    context: Cow<'s, str>,
    /// Milliseconds until its deadline.
    left: Option<u64>,
    urgent: bool,
    is_again: bool,
    is_repeat: bool,
    is_told: bool,
}

/// What was read, as the server has it.
pub(super) struct Restored {
    pub(super) registration: Arc<Registration>,
    pub(super) location: Location,
    pub(super) heard: Instant,
    pub(super) is_silent: bool,
    pub(super) observed: Vec<(Observation, endpoint::Observation)>,
    pub(super) outstanding: Vec<Waiting>,
    pub(super) waiting: VecDeque<Waiting>,
}

impl<'s> Kept<'s> {
    /// A client that is asked nothing and observes nothing, `unheard` for so long.
    pub(super) fn new(written: i64, registration: &'s Registration, unheard: Duration) -> Self {
        let Peer { address, listener, association } = registration.peer;
        Self {
            written,
            endpoint: Cow::Borrowed(&registration.endpoint),
            location: Cow::Borrowed(&registration.location),
            version: match registration.version {
                Version::V1_0 => 10,
                Version::V1_1 => 11,
                Version::V1_2 => 12,
            },
            lifetime: registration.lifetime,
            alternate_path: Cow::Borrowed(&registration.alternate_path),
            parameters: registration
                .parameters
                .iter()
                .map(|(name, value)| (Cow::Borrowed(&**name), value.as_deref().map(Cow::Borrowed)))
                .collect(),
            links: Cow::Borrowed(&registration.links),
            content_formats: registration.content_formats.as_deref().map(Cow::Borrowed),
            address: address.ip(),
            port: address.port(),
            scope: if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 },
            listener,
            association,
            unheard: millis(unheard),
            is_silent: false,
            observed: Vec::new(),
            outstanding: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, observation: &'s Observation, token: &'s endpoint::Observation) {
        let (owner, rest) = token.parts();
        self.observed.push(KeptObservation {
            operation: Cow::Borrowed(&observation.operation),
            context: Cow::Borrowed(&observation.context),
            token: Cow::Borrowed(observation.token.as_bytes()),
            association: observation.association,
            is_owned: owner.is_some(),
            rest: rest.map(Cow::Borrowed),
        });
    }

    /// A request, and whether it is again, a repeat, and told: see [`Waiting`].
    pub(super) fn request(now: Instant, request: &'s Request, flags: [bool; 3]) -> KeptRequest<'s> {
        let [is_again, is_repeat, is_told] = flags;
        KeptRequest {
            operation: Cow::Borrowed(&request.operation),
            context: Cow::Borrowed(&request.context),
            left: request.deadline.map(|deadline| millis(deadline.since(now))),
            urgent: request.urgent,
            is_again,
            is_repeat,
            is_told,
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("a vector takes everything, and all lengths are known")
    }

    /// Reads what [`Self::write`] has written, with nothing behind it.
    pub(super) fn read(snapshot: &[u8]) -> Result<Kept<'static>, Unrestored> {
        let malformed = |reason: &dyn ToString| Unrestored::Malformed(reason.to_string());
        match snapshot.split_first() {
            Some((&VERSION, bytes)) => match postcard::take_from_bytes(bytes) {
                Ok((kept, [])) => Ok(kept),
                Ok(_) => Err(malformed(&"there is something behind it")),
                Err(error) => Err(malformed(&error)),
            },
            Some((0, _)) | None => Err(malformed(&"it has no version")),
            Some((later, _)) => Err(Unrestored::Version(*later)),
        }
    }

    pub(super) fn restored(
        self,
        now: Instant,
        wall: i64,
        shared: &mut Shared,
    ) -> Result<Restored, Unrestored> {
        let malformed = |reason: &str| Unrestored::Malformed(reason.to_owned());
        let away = Duration::from_millis(u64::try_from(wall.saturating_sub(self.written)).unwrap_or(0));
        let location = Location::of_path(&self.location).ok_or_else(|| malformed("no location"))?;
        let address = match self.address {
            IpAddr::V4(_) => SocketAddr::new(self.address, self.port),
            IpAddr::V6(address) => SocketAddrV6::new(address, self.port, 0, self.scope).into(),
        };
        let endpoint: Arc<str> = self.endpoint.into();
        let mut text =
            |text: Cow<'_, str>| if *text == *endpoint { Arc::clone(&endpoint) } else { shared.text(&text) };
        let parameters =
            self.parameters.into_iter().map(|(name, value)| (text(name), value.map(&mut text))).collect();
        let kept = registration::Kept {
            endpoint: Arc::clone(&endpoint),
            location: self.location.into(),
            version: match self.version {
                10 => Version::V1_0,
                11 => Version::V1_1,
                12 => Version::V1_2,
                _ => return Err(malformed("no version of LwM2M")),
            },
            lifetime: self.lifetime,
            alternate_path: self.alternate_path.into(),
            parameters,
            links: self.links.into(),
            content_formats: self.content_formats.map(Into::into),
            peer: Peer { address, listener: self.listener, association: self.association },
        };
        let registration = Registration::restored(kept, shared).ok_or_else(|| malformed("no links"))?;
        let observed = self.observed.into_iter().map(|it| it.restored(&endpoint));
        let requests = |kept: Vec<KeptRequest<'_>>| -> Vec<Waiting> {
            kept.into_iter().map(|request| request.restored(now, away, &endpoint)).collect()
        };
        Ok(Restored {
            registration: Arc::new(registration),
            location,
            heard: now - Duration::from_millis(self.unheard).saturating_add(away),
            is_silent: self.is_silent,
            observed: observed.collect::<Option<_>>().ok_or_else(|| malformed("no token"))?,
            outstanding: requests(self.outstanding),
            waiting: requests(self.waiting).into(),
        })
    }
}

impl KeptObservation<'_> {
    fn restored(self, endpoint: &Arc<str>) -> Option<(Observation, endpoint::Observation)> {
        let observation = Observation {
            client: 0,
            operation: self.operation.into_owned(),
            context: self.context.into(),
            token: Token::from_slice(&self.token)?,
            association: self.association,
            stands: true,
        };
        let owner = self.is_owned.then(|| Arc::clone(endpoint));
        let token = endpoint::Observation::restored(owner, self.rest.map(|rest| rest.into_owned().into()));
        Some((observation, token))
    }
}

impl KeptRequest<'_> {
    fn restored(self, now: Instant, away: Duration, endpoint: &Arc<str>) -> Waiting {
        let deadline = self.left.map(|left| now + Duration::from_millis(left).saturating_sub(away));
        let request = Request {
            endpoint: Arc::clone(endpoint),
            operation: self.operation.into_owned(),
            context: self.context.into(),
            deadline,
            urgent: self.urgent,
        };
        let Self { is_again, is_repeat, is_told, .. } = self;
        Waiting { request, is_again, is_repeat, is_told }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Of the format.
pub(super) const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
