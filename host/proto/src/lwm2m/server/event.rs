//! What goes into the server and comes out of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::coap::endpoint::Delivery;
use crate::coap::{Peer, Transmit};
use crate::lwm2m::operation::{Operation, OperationName};
use crate::lwm2m::path::Path;
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// An operation for a client.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub endpoint: Arc<str>,
    /// What.
    pub operation: Operation,
    /// Returned with every event of it and every notification of an observation it starts.
    pub context: Arc<str>,
    /// When it is not worth sending any more.
    pub deadline: Option<Instant>,
    /// Send it beside an unanswered one.
    pub urgent: bool,
}

/// Names an event whose message is answered only once the event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// What became of an event that carried a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Its publications are stored: answer the device.
    Accepted,
    /// No room: do not answer, the device will send it again.
    Refused,
    /// It makes no sense, so that it would be no use to send it again: a Send is answered with 4.00, or with 4.15 if its
    /// Content-Format is none that is known (core 1.2.1 section 6.4.6). Everything else takes its course.
    Rejected {
        /// Whether it is the Content-Format.
        format: bool,
    },
}

/// A CoAP payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Content-Format.
    pub format: Option<u16>,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// By the client.
    Deregistered,
    /// Lifetime passed.
    Expired,
    /// By the operator or the gateway.
    Removed,
}

/// Why a client may not register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its DTLS association has proved that it is another endpoint.
    Identity,
    /// Its DTLS association has not proved that it is any.
    Unproved,
    /// It did not use DTLS, which its endpoint has to.
    Insecure,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Waits for a sleeping client.
    Queued,
    /// Sent.
    Transmitted,
    /// The client has it (empty acknowledgement).
    Acknowledged,
    /// Bytes done, bytes in all.
    Transferred(u64, u64),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Failure {
    Timeout,
    Reset,
    Unreachable,
    UnknownClient,
    Expired,
    QueueFull,
    Ended,
    Invalid(String),
}

/// What a request was, as its events tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which operation.
    pub operation: OperationName,
    /// Where; the root for composite operations.
    pub path: Path,
    /// As given with the request.
    pub context: Arc<str>,
}

/// What happened. An event with a receipt must be settled.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // mirrors `wit/translator.wit`, interface events
pub enum Event {
    Registered {
        registration: Arc<Registration>,
        previous: Option<Arc<Registration>>,
        receipt: Receipt,
    },
    Updated {
        registration: Arc<Registration>,
        links_changed: bool,
        receipt: Receipt,
    },
    Ended {
        registration: Arc<Registration>,
        reason: End,
        receipt: Option<Receipt>,
    },
    Answered {
        registration: Arc<Registration>,
        asked: Asked,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Content,
        /// Location-Path, `/3303/1`.
        location: Option<String>,
    },
    Notified {
        registration: Arc<Registration>,
        asked: Asked,
        code: u8,
        delivery: Delivery,
        sequence: Option<u32>,
        content: Content,
        receipt: Option<Receipt>,
    },
    Sent {
        registration: Arc<Registration>,
        content: Content,
        receipt: Receipt,
    },
    Progressed {
        registration: Arc<Registration>,
        asked: Asked,
        stage: Stage,
    },
    /// `registration` is none for an unknown client.
    Failed {
        endpoint: Arc<str>,
        registration: Option<Arc<Registration>>,
        asked: Asked,
        failure: Failure,
    },
    /// A Register was answered 4.00 or 4.03, for the reason given: to be logged, since either somebody pretends to be
    /// what he is not, or somebody has configured the wrong name. There is nothing to settle.
    Refused {
        peer: Peer,
        /// As it was asked for.
        endpoint: Arc<str>,
        /// The endpoint that the association has proved; none without.
        principal: Option<Arc<str>>,
        reason: Refusal,
    },
}

/// What the server wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more now; call `handle_timeout` at this time, if any.
    Timeout(Option<Instant>),
}
