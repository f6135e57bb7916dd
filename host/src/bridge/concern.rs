//! What an event is about, for [`uplink`](super::uplink): whom it concerns, who hears of it, and whether it comes again.

use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Event, Settlement};

use super::desk::Desk;
use crate::plugin::contract::events;

/// What is told the sender of a Send that cannot be read. Other unreadable content has been asked for, and whoever has
/// asked hears of it.
pub(super) fn senseless(event: &events::Event<'_>) -> Option<Settlement> {
    let events::Event::Sent(sent) = event else { return None };
    let problem = sent.content.problem?;
    tracing::debug!(endpoint = sent.client.endpoint, problem, "a Send cannot be read");
    Some(Settlement::Rejected { format: !format::is_readable(sent.content.format) })
}

/// Whether the device sends it again when it is not answered.
pub(super) fn repeats(event: &Event) -> bool {
    match event {
        Event::Registered { .. } | Event::Updated { .. } | Event::Sent { .. } => true,
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => receipt.is_some(),
        Event::Answered { .. } | Event::Progressed { .. } | Event::Failed { .. } | Event::Refused { .. } => {
            false
        }
    }
}

/// The client of an event that is at this shard, and will be there when the event is accepted.
pub(super) fn here(event: &Event) -> Option<&str> {
    match event {
        Event::Failed { .. } | Event::Ended { .. } | Event::Refused { .. } => None,
        event => Some(endpoint(event)),
    }
}

/// Whom an event concerns: the translator that asked, or those that serve the client.
pub(super) enum Concerned<'a> {
    Asker(&'a str),
    Routes(&'a Registration),
    /// It is the answer to an operator.
    Operator(&'a str),
    /// It is for the log only.
    Nobody,
}

pub(super) fn concerned(event: &Event) -> Concerned<'_> {
    match event {
        Event::Answered { asked, .. }
        | Event::Notified { asked, .. }
        | Event::Progressed { asked, .. }
        | Event::Failed { asked, .. } => match Desk::ticket(&asked.context) {
            Some(ticket) => Concerned::Operator(ticket),
            None => Concerned::Asker(&asked.context),
        },
        Event::Registered { registration, .. }
        | Event::Updated { registration, .. }
        | Event::Ended { registration, .. }
        | Event::Sent { registration, .. } => Concerned::Routes(registration),
        Event::Refused { .. } => Concerned::Nobody,
    }
}

/// What was asked for, if anything was. A Send is what the client has chosen itself.
pub(super) fn asked_path(event: &Event) -> Option<Path> {
    match event {
        Event::Answered { asked, .. } | Event::Notified { asked, .. } => Some(asked.path),
        _ => None,
    }
}

/// Whom an event is about.
pub(super) fn endpoint(event: &Event) -> &str {
    match event {
        Event::Registered { registration, .. }
        | Event::Updated { registration, .. }
        | Event::Ended { registration, .. }
        | Event::Answered { registration, .. }
        | Event::Notified { registration, .. }
        | Event::Sent { registration, .. }
        | Event::Progressed { registration, .. } => &registration.endpoint,
        Event::Failed { endpoint, .. } | Event::Refused { endpoint, .. } => endpoint,
    }
}
