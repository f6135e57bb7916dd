//! One CoAP endpoint: every peer of one shard, both roles.

use super::message::Message;
pub use super::token::Token;
use super::{Entropy, Peer, Transmit};
use crate::time::Instant;

/// Limits and RFC 7252 section 4.8 parameters.
#[derive(Clone, Debug)]
pub struct Config {
    /// First byte of every token, so that a datagram can be sent to the shard that asked.
    pub shard: u8,
}

/// One CoAP endpoint.
#[derive(Debug)]
pub struct Endpoint {
    _config: Config,
}

/// Names a request that this endpoint has sent; chosen by the caller, returned with every event of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Names an observation; chosen by the caller when it asks, returned with every notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationId(pub u64);

/// Names a received confirmable or non-confirmable message that still has to be settled: a request to be
/// answered, or a notification to be acknowledged or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// What the endpoint wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// Nothing more now; call `handle_timeout` at this time, if any.
    Timeout(Option<Instant>),
}

/// How a response came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In the acknowledgement of the request.
    Piggybacked,
    /// Separately, confirmable.
    Confirmable,
    /// Separately, non-confirmable.
    NonConfirmable,
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer after all retransmissions, or none in time after an empty acknowledgement.
    Timeout,
    /// The peer answered with a reset.
    Reset,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A request that is complete (block-wise bodies joined) and new (duplicates are dealt with inside).
    /// The caller must call [`Endpoint::respond`] or [`Endpoint::refuse`] once with the receipt.
    Request {
        /// Who asks.
        peer: Peer,
        /// To answer it with.
        receipt: Receipt,
        /// The request.
        message: Message,
    },
    /// The response to a request of ours, complete. An exchange with an acknowledgement pending has been acknowledged.
    Response {
        /// Who answers; may differ from whom was asked only where the token was matched.
        peer: Peer,
        /// The request.
        id: RequestId,
        /// How it came.
        delivery: Delivery,
        /// The response.
        message: Message,
    },
    /// The peer has a request of ours and will answer later (empty acknowledgement).
    Acknowledged {
        /// The request.
        id: RequestId,
    },
    /// A request of ours came to nothing.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// A fresh notification. If confirmable, the caller must call [`Endpoint::acknowledge`] or [`Endpoint::refuse`]
    /// with the receipt; refused means: not acknowledged and forgotten, so that the peer sends it again.
    Notification {
        /// Who notifies, maybe from a new address.
        peer: Peer,
        /// The observation.
        id: ObservationId,
        /// How it came.
        delivery: Delivery,
        /// Set for a confirmable one.
        receipt: Option<Receipt>,
        /// The notification.
        message: Message,
    },
}

/// A request to be sent.
#[derive(Debug)]
pub struct Request {
    /// The caller's name for it.
    pub id: RequestId,
    /// Code, options and payload; type, message id and token are the endpoint's business.
    pub message: Message,
    /// Set on an observe request: the response, if it carries an Observe option, and later notifications belong to it.
    pub observation: Option<ObservationId>,
    /// Use this token instead of a new one (a cancel repeats its observation's, RFC 7641 section 3.6).
    pub token: Option<Token>,
}

#[allow(unused_variables, clippy::todo, clippy::needless_pass_by_value, clippy::unused_self)]
impl Endpoint {
    /// An endpoint without any state.
    pub fn new(config: Config, entropy: Box<dyn Entropy>) -> Self {
        Self { _config: config }
    }

    /// Take in a datagram. Poll the output afterwards.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        todo!()
    }

    /// Let time pass. Poll the output afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// Send a confirmable request. Poll the output afterwards. Returns the token that was used.
    pub fn request(&mut self, now: Instant, peer: Peer, request: Request) -> Token {
        todo!()
    }

    /// Answer a request: piggybacked if it was confirmable, non-confirmable otherwise; cached for duplicates.
    /// The response's code, options and payload count. Poll the output afterwards.
    pub fn respond(&mut self, now: Instant, receipt: Receipt, response: Message) {
        todo!()
    }

    /// Acknowledge a confirmable notification. Poll the output afterwards.
    pub fn acknowledge(&mut self, now: Instant, receipt: Receipt) {
        todo!()
    }

    /// Do not answer and forget that it came, so that a retransmission is taken as new.
    pub fn refuse(&mut self, now: Instant, receipt: Receipt) {
        todo!()
    }

    /// Give up a request without an event.
    pub fn abandon(&mut self, id: RequestId) {
        todo!()
    }

    /// Take up an observation that is known from before (restart), or that moved here.
    pub fn restore_observation(&mut self, id: ObservationId, peer: Peer, token: Token) {
        todo!()
    }

    /// Forget an observation: a later notification on its token is answered with a reset.
    pub fn forget_observation(&mut self, id: ObservationId) {
        todo!()
    }

    /// What to do next. Call until it returns `Timeout`.
    pub fn poll_output(&mut self) -> Output {
        todo!()
    }
}
