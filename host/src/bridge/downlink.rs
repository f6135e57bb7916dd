//! From MQTT messages to requests: one thread, with translator instances of its own.
//!
//! 1. each slot that subscribed to the topic is called with the message;
//! 2. its requests go to the shards of their clients; one for nobody comes back to it as failed;
//! 3. its replies are published.

use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::Duration;

use tidegate_proto::lwm2m::server::Event;
use tokio::sync::mpsc;

use super::callers::Callers;
use super::fault::About;
use super::feed::What;
use super::{Shared, address, lower, message};
use crate::config::matches_filter;
use crate::mqtt::{Lane, Publication};
use crate::net::{Clock, Command, ShardHandle};
use crate::plugin::Fault;
use crate::plugin::contract::types::{Action, Request};

/// The downlink thread's state.
#[derive(Debug)]
pub struct Downlink {
    shared: Shared,
    /// For messages, and for the failures of requests.
    callers: Callers,
    lane: Lane,
    shards: Vec<ShardHandle>,
    /// Replies that wait for room. Waiting here instead would hold up the session that has to make the room.
    backlog: VecDeque<Vec<Publication>>,
}

impl Downlink {
    /// Its lane of the outbox, and all shards by number.
    pub fn new(shared: Shared, lane: Lane, shards: Vec<ShardHandle>) -> Self {
        let callers = Callers::new(&shared.routing);
        Self { shared, callers, lane, shards, backlog: VecDeque::new() }
    }

    /// Start the thread. It ends when the session that feeds it is gone.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(self, incoming: mpsc::Receiver<Publication>) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("downlink".to_owned()).spawn(move || runtime.block_on(self.run(incoming)))
    }

    async fn run(mut self, mut incoming: mpsc::Receiver<Publication>) {
        loop {
            let retry = tokio::time::sleep(BACKLOG_RETRY);
            tokio::select! {
                message = incoming.recv() => match message {
                    Some(message) => self.handle(&message).await,
                    None => return,
                },
                () = retry, if !self.backlog.is_empty() => {}
            }
            self.flush();
        }
    }

    async fn handle(&mut self, message: &Publication) {
        self.callers.follow();
        self.shared.feed.tell(|| What::Message(message.clone()));
        for slot in 0..self.callers.routing().serving().len() {
            let active = self.callers.slot(slot).active();
            if !active.subscriptions().filters.iter().any(|of| matches_filter(&of.filter, &message.topic)) {
                continue;
            }
            let caller = self.callers.caller(slot);
            match message::with_lowered(message, |message| caller.downlink(message)) {
                Ok(actions) => {
                    for request in self.act(actions) {
                        self.ask(slot, request).await;
                    }
                }
                Err(fault) => self.fail(slot, message, &fault),
            }
        }
    }

    /// Publish what is to be published, and return what is to be performed.
    fn act(&mut self, actions: Vec<Action>) -> Vec<Request> {
        let (mut publications, mut requests) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Publish(message) => publications.push(message::lift(message)),
                Action::Perform(request) => requests.push(request),
            }
        }
        self.publish(publications);
        requests
    }

    async fn ask(&mut self, slot: usize, request: Request) {
        let name = self.callers.slot(slot).name().to_owned();
        match address::resolve(&self.shared, &name, None, request) {
            Ok((shard, request)) => {
                let Some(handle) = self.shards.get(usize::from(shard)) else { return };
                // Waiting here is the back-pressure of downlinks: the session stops taking messages from the broker.
                if handle.send_waiting(Command::Perform(request)).await.is_err() {
                    tracing::debug!(shard, "the gateway is stopping: a request is not performed");
                }
            }
            Err(event) => self.tell_failed(slot, &event),
        }
    }

    fn tell_failed(&mut self, slot: usize, event: &Event) {
        let caller = self.callers.caller(slot);
        let result = lower::with_event(event, &self.shared.models.load(), Clock::timestamp(), |event| {
            caller.uplink(event)
        });
        let name = self.callers.slot(slot).name().to_owned();
        match result {
            Ok(actions) => {
                // A translator that answers a failure with another request is not followed.
                if !self.act(actions).is_empty() {
                    tracing::warn!(translator = name, "a request made of a failed request is dropped");
                }
            }
            Err(fault) => {
                let about = if let Event::Failed { endpoint, .. } = event { endpoint } else { "" };
                let about = About { direction: "uplink", cause: "failed", of: about };
                let active = self.callers.slot(slot).active();
                let told = self.shared.faults.tell(&name, &active, &about, &fault);
                self.publish(told.into_iter().collect());
            }
        }
    }

    /// The sender of a message that a translator failed on is told, if it said where; the device is told nothing.
    fn fail(&mut self, slot: usize, message: &Publication, fault: &Fault) {
        let name = self.callers.slot(slot).name().to_owned();
        let about = About { direction: "downlink", cause: "message", of: &message.topic };
        self.shared.feed.tell(|| What::Failed(about.failed(&name, fault)));
        let active = self.callers.slot(slot).active();
        let told = self.shared.faults.tell(&name, &active, &about, fault);
        let text =
            serde_json::json!({"translator": name, "outcome": fault.outcome(), "reason": fault.to_string()});
        let reply = message::reply(message, text.to_string().into_bytes());
        self.publish(told.into_iter().chain(reply).collect());
    }

    fn publish(&mut self, publications: Vec<Publication>) {
        if publications.is_empty() {
            return;
        }
        if self.backlog.len() >= BACKLOG {
            self.lane.give_up(publications.len());
            tracing::warn!("a reply is lost: no room for MQTT messages");
            return;
        }
        self.backlog.push_back(publications);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(publications) = self.backlog.pop_front() {
            if let Err(refused) = self.lane.offer(publications) {
                self.backlog.push_front(refused.publications);
                return;
            }
        }
    }
}

/// Groups of replies that may wait for room.
const BACKLOG: usize = 1_024;
/// How soon they are tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(10);
