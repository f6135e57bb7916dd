//! From events to publications, on the thread of the shard.
//!
//! 1. the slots that the event concerns: by its context for what was asked, by the routes else;
//! 2. one call into each translator;
//! 3. its publications go into the shard's lane, all or none;
//! 4. its requests go to the shards of their clients.

use std::collections::VecDeque;

use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{self, Event, Settlement};

use super::callers::Callers;
use super::{Shared, address, fault, lower, message, split_context};
use crate::config::OnFault;
use crate::mqtt::{Lane, Publication, Refusal, Refused};
use crate::net::{Clock, Command, ShardHandle, Uplink};
use crate::plugin::Fault;
use crate::plugin::contract::events;
use crate::plugin::contract::types::{Action, Request};

/// The bridge of one shard.
#[derive(Debug)]
pub struct UplinkBridge {
    shard: u8,
    shared: Shared,
    callers: Callers,
    lane: Lane,
    shards: Vec<ShardHandle>,
    /// Publications of events that no device would repeat, waiting for room.
    backlog: VecDeque<Vec<Publication>>,
    /// Publications that found no room at all.
    dropped: u64,
}

impl UplinkBridge {
    /// For a shard of this number. `shards` are all shards, by number.
    pub fn new(shard: u8, shared: Shared, lane: Lane, shards: Vec<ShardHandle>) -> Self {
        let callers = Callers::new(&shared.routing);
        Self { shard, shared, callers, lane, shards, backlog: VecDeque::new(), dropped: 0 }
    }

    /// Call the translators that an event concerns.
    fn translate(&mut self, event: &Event) -> Outcome {
        self.callers.follow();
        let mut outcome = Outcome::default();
        let routing = self.callers.routing();
        match concerned(event) {
            // The way of every notification: nothing is shared and nothing allocated to find its one translator.
            Concerned::Asker(context) => {
                if let Some(slot) = routing.slot_named(split_context(context).0) {
                    self.call(slot, event, &mut outcome);
                }
            }
            Concerned::Routes(registration) => {
                for slot in routing.slots_for(registration) {
                    self.call(slot, event, &mut outcome);
                }
            }
            Concerned::Nobody => {}
        }
        outcome
    }

    fn call(&mut self, slot: usize, event: &Event, outcome: &mut Outcome) {
        let received = Clock::timestamp();
        let caller = self.callers.caller(slot);
        let result =
            lower::with_event(event, &self.shared.models.load(), received, |event| match senseless(event) {
                Some(rejection) => Err(rejection),
                None => Ok(caller.uplink(event)),
            });
        match result {
            Err(rejection) => outcome.rejection = Some(rejection),
            Ok(Ok(actions)) => {
                for action in actions {
                    match action {
                        Action::Publish(message) => outcome.publications.push(message::lift(message)),
                        Action::Perform(request) => self.ask(slot, here(event), request, outcome),
                    }
                }
            }
            Ok(Err(fault)) => self.fail(slot, event, &fault, outcome),
        }
    }

    /// A request of a translator: it becomes one for a shard, or comes back to the translator as failed.
    fn ask(&mut self, slot: usize, here: Option<&str>, request: Request, outcome: &mut Outcome) {
        let name = self.callers.slot(slot).name().to_owned();
        match address::resolve(&self.shared, &name, here.map(|endpoint| (endpoint, self.shard)), request) {
            Ok(request) => outcome.requests.push(request),
            // The answer to a failure may be published, but a translator that asks again and again is not followed.
            Err(_) if outcome.depth > 0 => {
                tracing::warn!(translator = name, "a request made of a failed request is dropped")
            }
            Err(event) => {
                outcome.depth += 1;
                self.call(slot, &event, outcome);
                outcome.depth -= 1;
            }
        }
    }

    fn fail(&self, slot: usize, event: &Event, fault: &Fault, outcome: &mut Outcome) {
        let slot = self.callers.slot(slot);
        outcome.publications.extend(self.shared.faults.tell(slot.name(), "uplink", endpoint(event), fault));
        if slot.policy().on_fault == OnFault::Raw {
            outcome.publications.extend(fault::raw(event, &self.shared.models.load()));
        }
    }

    /// Queue publications: whether there was room for them.
    fn queue(&mut self, publications: Vec<Publication>, event: &Event) -> Settlement {
        if publications.is_empty() {
            return Settlement::Accepted;
        }
        // What waits goes first, so that a client's messages keep their order.
        let publications = if self.flush() {
            match self.lane.offer(publications) {
                Ok(()) => return Settlement::Accepted,
                // It would not fit either when the device says it again.
                Err(Refused { reason: Refusal::TooMany, publications }) => {
                    return self.give_up(publications.len(), Refusal::TooMany);
                }
                Err(refused) => refused.publications,
            }
        } else {
            publications
        };
        if repeats(event) {
            return Settlement::Refused;
        }
        if self.backlog.len() < BACKLOG && !matches!(event, Event::Notified { .. }) {
            self.backlog.push_back(publications);
            return Settlement::Accepted;
        }
        self.give_up(publications.len(), Refusal::Full)
    }

    fn give_up(&mut self, publications: usize, reason: Refusal) -> Settlement {
        let before = self.dropped;
        self.dropped += publications as u64;
        if self.dropped.checked_ilog2() != before.checked_ilog2() {
            tracing::warn!(shard = self.shard, dropped = self.dropped, %reason, "MQTT messages are lost");
        }
        Settlement::Accepted
    }
}

impl Uplink for UplinkBridge {
    fn handle(&mut self, event: &Event, requests: &mut Vec<server::Request>) -> Settlement {
        let outcome = self.translate(event);
        if let Some(rejection) = outcome.rejection {
            return rejection;
        }
        let settlement = self.queue(outcome.publications, event);
        if settlement == Settlement::Accepted {
            for (shard, request) in outcome.requests {
                if shard == self.shard {
                    requests.push(request);
                } else if let Some(handle) = self.shards.get(usize::from(shard))
                    && handle.send(Command::Perform(request)).is_err()
                {
                    tracing::warn!(shard, "a request is lost: the client's shard is busy");
                }
            }
        }
        settlement
    }

    fn wake(&mut self, _requests: &mut Vec<server::Request>) {
        self.callers.follow();
    }

    fn flush(&mut self) -> bool {
        while let Some(publications) = self.backlog.pop_front() {
            if let Err(refused) = self.lane.offer(publications) {
                self.backlog.push_front(refused.publications);
                return false;
            }
        }
        true
    }
}

/// What translators made of an event.
#[derive(Debug, Default)]
struct Outcome {
    publications: Vec<Publication>,
    requests: Vec<(u8, server::Request)>,
    /// The event is not for any translator.
    rejection: Option<Settlement>,
    /// How deep in failures of its own requests a translator is.
    depth: u8,
}

/// What is told the sender of a Send that cannot be read. Other unreadable content has been asked for, and whoever has
/// asked hears of it.
fn senseless(event: &events::Event<'_>) -> Option<Settlement> {
    let events::Event::Sent(sent) = event else { return None };
    let problem = sent.content.problem?;
    tracing::debug!(endpoint = sent.client.endpoint, problem, "a Send cannot be read");
    Some(Settlement::Rejected { format: !format::is_readable(sent.content.format) })
}

/// Whether the device sends it again when it is not answered.
fn repeats(event: &Event) -> bool {
    match event {
        Event::Registered { .. } | Event::Updated { .. } | Event::Sent { .. } => true,
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => receipt.is_some(),
        Event::Answered { .. } | Event::Progressed { .. } | Event::Failed { .. } | Event::Refused { .. } => {
            false
        }
    }
}

/// The client of an event that is at this shard, and will be there when the event is accepted.
fn here(event: &Event) -> Option<&str> {
    match event {
        Event::Failed { .. } | Event::Ended { .. } | Event::Refused { .. } => None,
        event => Some(endpoint(event)),
    }
}

/// Whom an event concerns: the translator that asked, or those that serve the client.
enum Concerned<'a> {
    Asker(&'a str),
    Routes(&'a Registration),
    /// It is for the log only.
    Nobody,
}

fn concerned(event: &Event) -> Concerned<'_> {
    match event {
        Event::Answered { asked, .. }
        | Event::Notified { asked, .. }
        | Event::Progressed { asked, .. }
        | Event::Failed { asked, .. } => Concerned::Asker(&asked.context),
        Event::Registered { registration, .. }
        | Event::Updated { registration, .. }
        | Event::Ended { registration, .. }
        | Event::Sent { registration, .. } => Concerned::Routes(registration),
        Event::Refused { .. } => Concerned::Nobody,
    }
}

fn endpoint(event: &Event) -> &str {
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

/// Events whose publications may wait for room.
const BACKLOG: usize = 1_024;
