//! Between clients and MQTT: the only place that knows events, translators and publications.
//!
//! [`uplink`] runs on each shard's thread and implements [`net::Uplink`](crate::net::Uplink); [`downlink`] is one
//! thread that MQTT messages go through. [`lower`] turns what `proto` says into the contract's words, [`lift`] what a
//! translator says into `proto`'s; [`address`] finds the client of a request; [`fault`] tells what a translator could
//! not do. `app` builds them.

mod address;
mod answers;
mod callers;
mod concern;
mod desk;
pub mod downlink;
mod fault;
mod feed;
mod held;
mod hold;
mod lift;
mod lower;
mod message;
mod route;
mod secret;
pub mod uplink;

use std::sync::Arc;

pub(crate) use answers::Answers;
use arc_swap::ArcSwap;
pub(crate) use desk::{Answer, Desk, Operator, Outcome, Ticket, TicketState, Undone};
pub use downlink::Downlink;
pub use fault::Faults;
pub(crate) use feed::{Failed, Feed, Happening, Reader, What};
pub use held::{HeldChange, HeldEvent, HoldKeeper, STEP};
pub use route::{Claim, Pattern, Routing};
pub(crate) use secret::{covers_secret, is_secret};
use tidegate_proto::lwm2m::model::Models;
pub use uplink::UplinkBridge;

use crate::net::{Clock, Directory};

/// What both directions share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Object definitions, which are others when the operator's folder has changed.
    pub models: Arc<ArcSwap<Models>>,
    /// Which translators serve whom.
    pub routing: Arc<ArcSwap<Routing>>,
    /// Where translators' failures are told.
    pub faults: Arc<Faults>,
    /// What operators have asked.
    pub(crate) desk: Desk,
    /// The last answers, for those who look them up.
    pub(crate) answers: Answers,
    /// What happens, for whoever looks.
    pub(crate) feed: Feed,
    /// Time.
    pub clock: Clock,
}

impl Shared {
    /// With these definitions and this routing, of a gateway without clients.
    pub fn new(directory: Directory, models: Models, routing: Routing) -> Self {
        Self {
            directory: Arc::new(directory),
            models: Arc::new(ArcSwap::from_pointee(models)),
            routing: Arc::new(ArcSwap::from_pointee(routing)),
            faults: Arc::new(Faults::new()),
            desk: Desk::default(),
            answers: Answers::default(),
            feed: Feed::default(),
            clock: Clock::start(),
        }
    }
}

/// Joins the name of a slot and its translator's context, so that an answer finds its way back, also after a restart.
pub(crate) fn bind_context(slot: &str, context: &str) -> Arc<str> {
    let mut bound = String::with_capacity(slot.len() + 1 + context.len());
    bound.push_str(slot);
    bound.push(SEPARATOR);
    bound.push_str(context);
    bound.into()
}

/// The slot's name and the translator's context.
pub(crate) fn split_context(bound: &str) -> (&str, &str) {
    bound.split_once(SEPARATOR).unwrap_or(("", bound))
}

/// Who asked for what has this context: the translator's slot, or `operator`.
pub(crate) fn asker(bound: &str) -> &str {
    match split_context(bound).0 {
        "" => OPERATOR,
        slot => slot,
    }
}

/// Who has asked what no translator has.
pub(crate) const OPERATOR: &str = "operator";
/// Cannot be part of a slot's name.
const SEPARATOR: char = '\0';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_untouched_also_with_separators_in_it() {
        assert_eq!(split_context(&bind_context("emqx", "a\0b")), ("emqx", "a\0b"));
        assert_eq!(split_context(&bind_context("emqx", "")), ("emqx", ""));
    }
}
