//! From MQTT messages to requests: one thread, with translator instances of its own.
//!
//! 1. each slot that subscribed to the topic is called with the message;
//! 2. its requests go to the shards of their clients; one for nobody comes back to it as failed;
//! 3. its replies are published.

use std::io;
use std::sync::Arc;
use std::thread;

use tidegate_proto::lwm2m::server::Event;
use tokio::sync::mpsc;

use super::{Shared, address, lower};
use crate::mqtt::{Incoming, Lane, Publication, topic_matches};
use crate::net::{Clock, Command, ShardHandle};
use crate::plugin::contract::types::{Action, Request};
use crate::plugin::{Caller, Fault};

/// The downlink thread's state.
#[derive(Debug)]
pub struct Downlink {
    shared: Shared,
    /// For each slot, in the order of the routing: for messages, and for the failures of its requests.
    callers: Vec<Caller>,
    lane: Lane,
    shards: Vec<ShardHandle>,
}

impl Downlink {
    /// Its lane of the outbox, and all shards by number.
    pub fn new(shared: Shared, lane: Lane, shards: Vec<ShardHandle>) -> Self {
        let callers = shared.routing.slots().iter().map(|slot| Caller::new(Arc::clone(slot))).collect();
        Self { shared, callers, lane, shards }
    }

    /// Start the thread. It ends when the session that feeds it is gone.
    pub fn start(mut self, mut incoming: mpsc::Receiver<Incoming>) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("downlink".to_owned()).spawn(move || {
            while let Some(message) = incoming.blocking_recv() {
                self.handle(&message);
            }
        })
    }

    fn handle(&mut self, message: &Incoming) {
        for slot in 0..self.callers.len() {
            let wanted = self.shared.routing.slots()[slot]
                .subscriptions()
                .is_some_and(|of| of.filters.iter().any(|of| topic_matches(&of.filter, &message.topic)));
            if !wanted {
                continue;
            }
            match self.callers[slot].downlink(&message.as_contract()) {
                Ok(actions) => self.act(slot, actions, 0),
                Err(fault) => self.fail(slot, message, &fault),
            }
        }
    }

    fn act(&mut self, slot: usize, actions: Vec<Action>, depth: u8) {
        let mut publications = Vec::new();
        for action in actions {
            match action {
                Action::Publish(message) => publications.push(message.into()),
                Action::Perform(request) => self.ask(slot, request, depth),
            }
        }
        self.publish(publications);
    }

    fn ask(&mut self, slot: usize, request: Request, depth: u8) {
        let name = self.shared.routing.slots()[slot].name().to_owned();
        match address::resolve(&self.shared, &name, request) {
            Ok((shard, request)) => {
                let Some(handle) = self.shards.get(usize::from(shard)) else { return };
                // Waiting here is the back-pressure of downlinks: the session stops taking messages from the broker.
                if handle.send_blocking(Command::Perform(request)).is_err() {
                    tracing::debug!(shard, "the gateway is stopping: a request is not performed");
                }
            }
            Err(_) if depth > 0 => tracing::warn!(translator = name, "a request made of a failed request is dropped"),
            Err(event) => self.tell_failed(slot, &event),
        }
    }

    fn tell_failed(&mut self, slot: usize, event: &Event) {
        let caller = &mut self.callers[slot];
        let result = lower::with_event(event, &self.shared.models, Clock::timestamp(), |event| caller.uplink(event));
        match result {
            Ok(actions) => self.act(slot, actions, 1),
            Err(fault) => {
                let about = if let Event::Failed { endpoint, .. } = event { endpoint } else { "" };
                let told = self.shared.faults.tell(self.shared.routing.slots()[slot].name(), "uplink", about, &fault);
                self.publish(told.into_iter().collect());
            }
        }
    }

    /// The sender of a message that a translator failed on is told, if it said where; the device is told nothing.
    fn fail(&mut self, slot: usize, message: &Incoming, fault: &Fault) {
        let name = self.shared.routing.slots()[slot].name().to_owned();
        let mut publications: Vec<Publication> =
            self.shared.faults.tell(&name, "downlink", &message.topic, fault).into_iter().collect();
        publications.extend(message.reply(serde_json::json!({
            "translator": name, "outcome": fault.outcome(), "reason": fault.to_string(),
        }).to_string().into_bytes()));
        self.publish(publications);
    }

    fn publish(&mut self, publications: Vec<Publication>) {
        if !publications.is_empty() && self.lane.offer_blocking(publications).is_err() {
            tracing::debug!("the gateway is stopping: a reply is not published");
        }
    }
}
