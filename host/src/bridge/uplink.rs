//! From events to publications, on the thread of the shard.
//!
//! 1. the slots that the event concerns: by its context for what was asked, by the routes else;
//! 2. one call into each translator;
//! 3. its publications go into the shard's lane, all or none; at the end of the turn they are safe there;
//! 4. its requests go to the shards of their clients.
//!
//! What it fails on is published raw, dropped, or held for another generation ([`hold`](super::hold)).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proto::lwm2m::operation::{CancelMode, Operation};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{self, Event, Settlement};

use super::callers::Callers;
use super::concern::{Concerned, asked_path, concerned, endpoint, here, repeats, senseless};
use super::fault::About;
use super::feed::What;
use super::held::{self, HeldEvent, HoldKeeper, Holding};
use super::hold::{Entry, Hold};
use super::{Shared, address, covers_secret, fault, lower, message, split_context};
use crate::config::OnFault;
use crate::mqtt::{Lane, Publication, Refusal, Refused};
use crate::net::{Clock, Command, ShardHandle, Uplink};
use crate::plugin::contract::types::{Action, Request};
use crate::plugin::{self, Fault, Slot};

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
    /// Events that wait for a better generation.
    hold: Hold,
    /// Where they survive.
    holding: Holding,
    /// Events for translators that are gone.
    orphans: u64,
}

impl UplinkBridge {
    /// For a shard of this number. `shards` are all shards, by number.
    pub fn new(shard: u8, shared: Shared, lane: Lane, shards: Vec<ShardHandle>) -> Self {
        let callers = Callers::new(&shared.routing);
        Self {
            shard,
            shared,
            callers,
            lane,
            shards,
            backlog: VecDeque::new(),
            hold: Hold::default(),
            holding: Holding::default(),
            orphans: 0,
        }
    }

    /// What is held survives with this keeper, under this key and those that follow; and this was held before a restart, under its keys, in
    /// order. It is tried on the generation that is in use now, if that is not the one that failed on it, and published raw if its slot is
    /// gone.
    pub fn with_held(
        mut self,
        keeper: Box<dyn HoldKeeper>,
        next: u64,
        events: Vec<(u64, HeldEvent)>,
    ) -> Self {
        self.holding = Holding::new(keeper, next);
        let routing = self.callers.routing();
        for (key, HeldEvent { slot, failed_on, received, event }) in events {
            match routing.slot_named(&slot) {
                Some(slot) => {
                    let slot = Arc::clone(self.callers.slot(slot));
                    let active = slot.active();
                    let is_tried = failed_on.is_some_and(|failed_on| failed_on == held::identity(&active));
                    let failed_on = is_tried.then(|| active.number());
                    let entry = Entry { event, received, failed_on, key: Some(key) };
                    self.hold.push(&slot, entry, usize::MAX);
                }
                None => {
                    self.backlog.extend(fault::raw(&event, &self.shared.models.load()).map(|raw| vec![raw]));
                    self.holding.forget(Some(key));
                }
            }
        }
        self
    }

    /// Call the translators that an event concerns.
    fn translate(&mut self, event: &Event) -> Outcome {
        self.follow();
        let mut outcome = Outcome { received: Clock::timestamp(), ..Outcome::default() };
        let routing = self.callers.routing();
        match concerned(event) {
            // The way of every notification: nothing is shared and nothing allocated to find its one translator.
            Concerned::Asker(context) => match routing.slot_named(split_context(context).0) {
                Some(slot) => self.attend(slot, event, &mut outcome),
                None => self.disown(event, &mut outcome),
            },
            Concerned::Routes(registration) => {
                for slot in routing.slots_for(registration) {
                    self.attend(slot, event, &mut outcome);
                }
            }
            Concerned::Operator(ticket) => {
                self.shared.desk.take(ticket, event, &self.shared.models.load());
            }
            Concerned::Nobody => {}
        }
        outcome
    }

    /// The translator that has asked is gone for good: nobody else can make anything of the event, and if it is a
    /// notification there shall be no more of them.
    fn disown(&mut self, event: &Event, outcome: &mut Outcome) {
        self.orphans += 1;
        if self.orphans.is_power_of_two() {
            let (endpoint, orphans) = (endpoint(event), self.orphans);
            tracing::warn!(endpoint, orphans, "an event is for a translator that is gone");
        }
        if let Event::Notified { registration, asked, .. } = event
            && asked.path != Path::root()
        {
            let (path, mode) = (asked.path, CancelMode::Passive);
            let request = server::Request {
                endpoint: registration.endpoint.clone(),
                operation: Operation::CancelObservation { path, queries: Vec::new(), mode },
                context: asked.context.clone(),
                deadline: None,
                urgent: true,
            };
            outcome.requests.push((self.shard, request));
        }
    }

    /// Call a translator, unless older events must come first.
    fn attend(&mut self, slot: usize, event: &Event, outcome: &mut Outcome) {
        if !self.hold.is_empty() && self.hold.has_due(self.callers.slot(slot), Instant::now()) {
            return self.keep(slot, event, None, outcome);
        }
        self.call(slot, event, outcome);
    }

    fn call(&mut self, slot: usize, event: &Event, outcome: &mut Outcome) {
        let received = outcome.received;
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

    fn fail(&mut self, slot: usize, event: &Event, fault: &Fault, outcome: &mut Outcome) {
        let of = self.callers.slot(slot);
        let active = of.active();
        let about = About { direction: "uplink", cause: fault::cause(event), of: endpoint(event) };
        self.shared.feed.tell(|| What::Failed(about.failed(of.name(), fault)));
        outcome.publications.extend(self.shared.faults.tell(of.name(), &active, &about, fault));
        outcome.fault = Some(fault.class());
        match (of.policy().on_fault, fault) {
            (OnFault::Drop, _) => {}
            (OnFault::Hold, Fault::Unavailable(_)) => self.keep(slot, event, None, outcome),
            // Each is tried once more.
            (OnFault::Hold, _) if !outcome.is_replay => {
                self.keep(slot, event, Some(active.number()), outcome);
            }
            (OnFault::Hold | OnFault::Raw, _) => {
                outcome.publications.extend(fault::raw(event, &self.shared.models.load()));
            }
        }
    }

    /// Hold an event. What falls out for it is published raw.
    fn keep(&mut self, slot: usize, event: &Event, failed_on: Option<u64>, outcome: &mut Outcome) {
        outcome.is_held = true;
        let of = Arc::clone(self.callers.slot(slot));
        let mut entry =
            Entry { event: event.clone(), received: outcome.received, failed_on, key: outcome.key };
        if outcome.is_replay {
            self.hold.put_back(&of, entry);
            return self.callers.caller(slot).hold(self.hold.len(&of), 0);
        }
        entry.key = self.holding.note(|| HeldEvent {
            slot: of.name().to_owned(),
            failed_on: failed_on.is_some().then(|| held::identity(&of.active())),
            received: entry.received,
            event: event.clone(),
        });
        if let Some(fallen) = self.hold.push(&of, entry, of.policy().hold) {
            self.holding.forget(fallen.key);
            self.callers.caller(slot).hold(self.hold.len(&of), 1);
            outcome.publications.extend(fault::raw(&fallen.event, &self.shared.models.load()));
        }
        self.callers.caller(slot).hold(self.hold.len(&of), 0);
    }

    /// Follow the routing. What is held for slots that are gone is published raw.
    fn follow(&mut self) {
        for gone in self.callers.follow() {
            self.release(&gone);
        }
    }

    fn release(&mut self, slot: &Arc<Slot>) {
        let entries: Vec<Entry> = self.hold.take(slot).collect();
        for Entry { event, key, .. } in &entries {
            self.forget_gone(slot, event);
            self.holding.forget(*key);
        }
        let models = self.shared.models.load_full();
        self.backlog
            .extend(entries.iter().filter_map(|entry| Some(vec![fault::raw(&entry.event, &models)?])));
    }

    /// Try what is held on a generation that it was not tried on yet: so many in a turn, and no more after a crash, which
    /// may have taken long. False if there is more, also if that is for a slot that rests: nobody else tells when it does
    /// not rest any more.
    fn replay(&mut self, requests: &mut Vec<server::Request>) -> bool {
        let mut is_done = true;
        for of in self.hold.slots() {
            let routing = self.callers.routing();
            let slot = routing.slots().iter().position(|slot| Arc::ptr_eq(slot, &of));
            let Some(slot) = slot.filter(|_| of.policy().on_fault == OnFault::Hold) else {
                self.release(&of);
                continue;
            };
            for _ in 0..REPLAYS {
                let Some(entry) = self.hold.pop_due(&of, Instant::now()) else { break };
                let (received, key) = (entry.received, entry.key);
                let mut outcome = Outcome { received, key, is_replay: true, ..Outcome::default() };
                self.call(slot, &entry.event, &mut outcome);
                if !outcome.is_held {
                    self.holding.forget(key);
                }
                let has_crashed =
                    matches!(outcome.fault, Some(plugin::Outcome::Trap | plugin::Outcome::Limit));
                self.backlog.push_back(outcome.publications);
                self.dispatch(outcome.requests, requests);
                self.callers.settle(true);
                self.forget_gone(&of, &entry.event);
                if !self.drain_backlog() || has_crashed {
                    break;
                }
            }
            self.callers.caller(slot).hold(self.hold.len(&of), 0);
            if self.hold.has_due(&of, Instant::now()) {
                return false;
            }
            is_done &= !self.hold.has_untried(&of);
        }
        self.drain_backlog() && is_done
    }

    /// A registration has ended: translators forget the client, those that have not heard of it yet when they do.
    fn forget(&self, endpoint: &str) {
        for slot in self.callers.routing().slots() {
            if self.hold.len(slot) == 0 {
                slot.forget(endpoint);
            }
        }
    }

    /// After an event that was held: the client may be gone meanwhile.
    fn forget_gone(&self, slot: &Slot, event: &Event) {
        let endpoint = endpoint(event);
        if self.shared.directory.shard(endpoint).is_none() {
            slot.forget(endpoint);
        }
    }

    fn dispatch(&self, asked: Vec<(u8, server::Request)>, requests: &mut Vec<server::Request>) {
        for (shard, request) in asked {
            if shard == self.shard {
                requests.push(request);
            } else if let Some(handle) = self.shards.get(usize::from(shard))
                && handle.send(Command::Perform(request)).is_err()
            {
                tracing::warn!(shard, "a request is lost: the client's shard is busy");
            }
        }
    }

    fn drain_backlog(&mut self) -> bool {
        while let Some(publications) = self.backlog.pop_front() {
            if publications.is_empty() {
                continue;
            }
            if let Err(refused) = self.lane.stage(publications) {
                if refused.reason == Refusal::TooMany {
                    self.give_up(refused.publications.len(), Refusal::TooMany);
                    continue;
                }
                self.backlog.push_front(refused.publications);
                return false;
            }
        }
        true
    }

    /// Queue publications: whether there was room for them.
    fn queue(&mut self, publications: Vec<Publication>, event: &Event, is_held: bool) -> Settlement {
        if publications.is_empty() {
            return Settlement::Accepted;
        }
        // What waits goes first, so that a client's messages keep their order.
        let publications = if self.drain_backlog() {
            match self.lane.stage(publications) {
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
        // What is held must not come again.
        if is_held {
            if self.backlog.len() >= BACKLOG {
                return self.give_up(publications.len(), Refusal::Full);
            }
            self.backlog.push_back(publications);
            return Settlement::Accepted;
        }
        if repeats(event) {
            return Settlement::Refused;
        }
        if self.backlog.len() < BACKLOG && !matches!(event, Event::Notified { .. }) {
            self.backlog.push_back(publications);
            return Settlement::Accepted;
        }
        self.give_up(publications.len(), Refusal::Full)
    }

    /// To those who look.
    fn show(&self, event: &Event, publications: &[Publication]) {
        let feed = &self.shared.feed;
        feed.tell(|| What::Event(event.clone()));
        let is_secret = asked_path(event).is_some_and(|path| covers_secret(path, &self.shared.models.load()));
        for publication in publications {
            feed.tell(|| What::Published { publication: publication.clone(), is_secret });
        }
    }

    fn give_up(&mut self, publications: usize, reason: Refusal) -> Settlement {
        let before = self.lane.give_up(publications);
        let dropped = before + publications as u64;
        if dropped.checked_ilog2() != before.checked_ilog2() {
            tracing::warn!(shard = self.shard, dropped, %reason, "MQTT messages are lost");
        }
        Settlement::Accepted
    }
}

impl Uplink for UplinkBridge {
    fn handle(&mut self, event: &Event, requests: &mut Vec<server::Request>) -> Settlement {
        let outcome = self.translate(event);
        self.shared.answers.keep(self.shard, event, &outcome.publications);
        if self.shared.feed.is_read() {
            self.show(event, &outcome.publications);
        }
        let settlement = match outcome.rejection {
            Some(rejection) => rejection,
            None => self.queue(outcome.publications, event, outcome.is_held),
        };
        self.callers.settle(settlement == Settlement::Accepted);
        if settlement == Settlement::Accepted {
            self.dispatch(outcome.requests, requests);
            if let Event::Ended { registration, .. } = event {
                self.forget(&registration.endpoint);
            }
        }
        settlement
    }

    fn commit(&mut self) {
        self.lane.commit();
        self.holding.hand_over(self.backlog.is_empty());
    }

    fn flush(&mut self, requests: &mut Vec<server::Request>) -> bool {
        if !self.drain_backlog() {
            return false;
        }
        if self.hold.is_empty() {
            return true;
        }
        self.follow();
        self.replay(requests)
    }

    fn close(&mut self) {
        if !self.holding.survives() {
            // It would be lost with the process.
            for slot in self.hold.slots() {
                self.release(&slot);
            }
        }
        if !self.drain_backlog() {
            let left = self.backlog.iter().map(Vec::len).sum();
            self.give_up(left, Refusal::Full);
        }
        self.commit();
    }

    fn unclaimed(&self) -> u64 {
        self.orphans
    }
}

/// What translators made of an event.
#[derive(Debug, Default)]
struct Outcome {
    publications: Vec<Publication>,
    requests: Vec<(u8, server::Request)>,
    /// The event is not for any translator.
    rejection: Option<Settlement>,
    /// When the event came, Unix time in milliseconds.
    received: i64,
    /// Whether the event was held.
    is_replay: bool,
    /// Under which it is kept then, if it survives.
    key: Option<u64>,
    /// Whether the event is held now.
    is_held: bool,
    /// How the last call failed.
    fault: Option<plugin::Outcome>,
    /// How deep in failures of its own requests a translator is.
    depth: u8,
}

/// Held events that are tried in a turn.
const REPLAYS: usize = 64;
/// Events whose publications may wait for room.
const BACKLOG: usize = 1_024;

#[cfg(test)]
mod tests;
