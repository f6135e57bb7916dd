//! Crashes at any moment: what was acknowledged is there afterwards, and what was kept of a request ends.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::lwm2m::server::{Config, Event};

use crate::disk::Disk;
use crate::sim::{Device, OBJECTS, World, piggybacked, read, seconds};

/// What happens next; to which client.
#[derive(Clone, Copy, Debug)]
enum Step {
    Register(usize),
    Update(usize),
    Deregister(usize),
    Read(usize),
    /// Clients answer what they were asked.
    Answer,
    /// Everything that has changed is kept.
    Keep,
    Pass(u64),
    Crash(u64),
}

/// What the client knows of its registration.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Registered,
    Gone,
    /// What it has asked for is not answered, and may or may not have been kept.
    Nothing,
}

struct Story {
    world: World,
    disk: Disk,
    devices: Vec<(Device, Known)>,
    asked: Vec<(usize, Message)>,
    /// Requests that have not ended.
    open: BTreeSet<String>,
    /// Those of them that were kept, and must end.
    kept: BTreeSet<String>,
    reads: usize,
}

impl Story {
    fn new() -> Self {
        let devices = (0..CLIENTS).map(|at| (Device::new(&format!("c{at}"), 5683 + at as u16), Known::Gone));
        Self {
            world: World::with(config()),
            disk: Disk::default(),
            devices: devices.collect(),
            asked: Vec::new(),
            open: BTreeSet::new(),
            kept: BTreeSet::new(),
            reads: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Register(at) => {
                let (device, known) = &mut self.devices[at];
                *known = Known::Nothing;
                self.world.send(device.peer, &device.register_datagram(QUERIES[at], OBJECTS));
            }
            Step::Update(at) => self.update(at),
            Step::Deregister(at) => {
                let (device, known) = &mut self.devices[at];
                if *known == Known::Registered {
                    *known = Known::Nothing;
                    self.world.send(device.peer, &device.deregister_datagram());
                }
            }
            Step::Read(at) => {
                self.reads += 1;
                let context = format!("r{}", self.reads);
                self.open.insert(context.clone());
                self.world.perform(read(&format!("c{at}"), &context));
            }
            Step::Answer => {
                for (at, asked) in std::mem::take(&mut self.asked) {
                    self.world.send(self.devices[at].0.peer, &piggybacked(&asked, Code::CONTENT).build());
                }
            }
            Step::Keep => {
                self.take_in();
                self.kept = self.open.clone();
                self.world.keep(&mut self.disk);
            }
            Step::Pass(time) => self.world.pass(seconds(time)),
            Step::Crash(away) => self.crash(away),
        }
        self.take_in();
    }

    /// Known to the client as registered, it is.
    fn update(&mut self, at: usize) {
        let (device, known) = &mut self.devices[at];
        if *known != Known::Registered {
            return;
        }
        let datagram = device.update_datagram(&[], "");
        let peer = device.peer;
        self.world.send(peer, &datagram);
        let mut answer = None;
        while let Some(message) = self.world.received(peer) {
            if message.code().is_response() {
                answer = Some(message.code());
            } else {
                self.asked.push((at, message));
            }
        }
        assert_eq!(answer, Some(Code::CHANGED), "c{at}");
    }

    fn crash(&mut self, away: u64) {
        // What was sent before may have arrived.
        self.take_in();
        self.world = World::restarted(config(), &self.disk, seconds(away));
        self.asked.clear();
        self.open = self.open.intersection(&self.kept).cloned().collect();
        self.take_in();
        for at in 0..self.devices.len() {
            match self.devices[at].1 {
                Known::Registered => self.update(at),
                Known::Gone => assert!(self.world.server.registration(&format!("c{at}")).is_none(), "c{at}"),
                Known::Nothing => {}
            }
        }
    }

    /// What the server has sent and told.
    fn take_in(&mut self) {
        for (at, (device, known)) in self.devices.iter_mut().enumerate() {
            while let Some(message) = self.world.received(device.peer) {
                match message.code() {
                    Code::CREATED => {
                        device.locate(&message);
                        *known = Known::Registered;
                    }
                    Code::DELETED => *known = Known::Gone,
                    Code::GET => self.asked.push((at, message)),
                    _ => {}
                }
            }
        }
        for event in self.world.events() {
            if let Event::Answered { asked, .. } | Event::Failed { asked, .. } = event {
                self.open.remove(&*asked.context);
            }
        }
    }

    /// All clients speak, and nothing is asked any more.
    fn end(&mut self) {
        for step in [Step::Crash(1), Step::Keep] {
            self.step(step);
        }
        for at in 0..CLIENTS {
            self.step(Step::Register(at));
            self.step(Step::Keep);
        }
        // A timeout of CoAP is over after 93 s; there may be some behind one another.
        for _ in 0..self.reads + 1 {
            self.step(Step::Answer);
        }
        self.step(Step::Pass(1_000));
        assert_eq!(self.open, BTreeSet::new(), "these have not ended");
        assert!(self.devices.iter().all(|(_, known)| *known == Known::Registered));
    }
}

fn config() -> Config {
    Config { keep: true, ..Config::default() }
}

fn steps() -> impl Strategy<Value = Step> {
    let at = || 0..CLIENTS;
    prop_oneof![
        3 => at().prop_map(Step::Register),
        2 => at().prop_map(Step::Update),
        1 => at().prop_map(Step::Deregister),
        3 => at().prop_map(Step::Read),
        2 => Just(Step::Answer),
        4 => Just(Step::Keep),
        1 => (1_u64..300).prop_map(Step::Pass),
        2 => (0_u64..300).prop_map(Step::Crash),
    ]
}

proptest! {
    #[test]
    fn what_was_acknowledged_is_there_after_a_crash_at_any_moment(steps in vec(steps(), 1..60)) {
        let mut story = Story::new();
        for step in steps {
            story.step(step);
        }
        story.end();
    }
}

const CLIENTS: usize = 3;
/// Two are always there, one sleeps.
const QUERIES: [&[&str]; CLIENTS] = [&[], &["b=U"], &["b=UQ"]];
