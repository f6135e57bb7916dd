//! DTLS associations that move, end, and are followed by others.

use proptest::prelude::*;
use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Request};

use crate::large::{answer, block};
use crate::observing::{cancel, observed};
use crate::sim::{
    BLOCK1, CONTENT_FORMAT, DEVICE, Device, Draft, OBJECTS, OBSERVE, Policy, World, empty, observe,
    piggybacked, read, receipt, request, seconds, summary, write,
};

const BLOCK2: u16 = 23;
const QUEUE_MODE: &[&str] = &["b=UQ"];

fn at_port(device: &Device, port: u16) -> Peer {
    let mut peer = device.peer;
    peer.address.set_port(port);
    peer
}

/// The same client after another handshake.
fn anew(device: &mut Device, association: u64, world: &mut World) {
    device.peer = Peer { association, ..at_port(device, 7000 + association as u16) };
    world.associate(device.peer, &device.endpoint);
}

#[track_caller]
fn update(device: &mut Device, world: &mut World) {
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
}

fn execute(endpoint: &str, context: &str) -> Request {
    let path = Path::new([3, 0, 4]);
    request(endpoint, Operation::Execute { path, queries: vec![], arguments: None }, context)
}

#[test]
fn an_exchange_goes_on_when_the_association_moves() {
    let mut world = World::new();
    let device = Device::secure("a", 7, &[], &mut world);
    world.perform(read("a", "r"));
    let (to, asked) = world.received_where(device.peer).expect("a request");
    assert_eq!(to, device.peer.address);
    let moved = at_port(&device, 6000);
    let ping = Draft::new(Kind::Confirmable, Code::EMPTY, 1).build();
    world.send(moved, &ping);
    assert_eq!(world.received_where(moved).map(|(to, _)| to), Some(moved.address));
    assert_eq!(world.server.registration("a").map(|it| it.peer.address), Some(moved.address));
    assert_eq!(world.server.counters().moved, 1);
    // Still one at a time, and sent again to where it is now.
    world.perform(read("a", "next"));
    world.assert_silence(moved);
    world.pass(seconds(3));
    let (to, again) = world.received_where(moved).expect("a retransmission");
    assert_eq!((to, again), (moved.address, asked.clone()));
    let third = at_port(&device, 6001);
    world.send(third, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(world.received_where(third).map(|(to, _)| to), Some(third.address));
    assert_eq!(summary(&world.events()), ["answered r 2.05"]);
}

#[test]
fn a_message_that_comes_again_from_another_address_is_the_same_message() {
    let mut world = World::new();
    let mut device = Device::associated("a", 7, &mut world);
    let register = device.register_datagram(&[], OBJECTS);
    let answer = world.exchange(device.peer, &register);
    device.locate(&answer);
    let moved = at_port(&device, 6000);
    world.send(moved, &register);
    assert_eq!(world.received_where(moved), Some((moved.address, answer)));
    assert_eq!(summary(&world.events()), ["registered a"]);
    assert_eq!(world.server.counters().coap.replayed, 1);
}

#[test]
fn an_answer_goes_to_where_the_association_is_by_then() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let moved = at_port(&device, 6000);
    world.policy = Policy::Leave;
    let datagram = device.update_datagram(&[], "");
    world.send(device.peer, &datagram);
    let updated = world.event();
    world.send(moved, &Draft::new(Kind::Confirmable, Code::EMPTY, 1).build());
    while world.received(moved).is_some() {}
    world.settle(receipt(&updated).expect("a receipt"), tidegate_proto::lwm2m::server::Settlement::Accepted);
    let (to, answer) = world.received_where(moved).expect("the answer");
    assert_eq!((to, answer.code()), (moved.address, Code::CHANGED));
}

#[test]
fn bodies_in_blocks_go_on_when_the_association_moves() {
    let mut world = World::new();
    let mut device = Device::associated("a", 7, &mut world);
    // A Register that comes in blocks, each from another address.
    let links = r#"</1>;ver="1.1",</1/1>,</2>,</3/0>,</5/0>"#.as_bytes();
    let count = links.chunks(16).count();
    for (number, chunk) in links.chunks(16).enumerate() {
        device.peer = at_port(&device, 6000 + number as u16);
        let more = number + 1 < count;
        let draft = device.request(Code::POST).path("rd").option(CONTENT_FORMAT, &[40]).query("lwm2m=1.1");
        let draft = draft.option(BLOCK1, &block(number as u32, more, 0)).payload(chunk);
        let answer = world.exchange(device.peer, &draft.build());
        assert_eq!(answer.code(), if more { Code::CONTINUE } else { Code::CREATED });
    }
    assert_eq!(world.server.registration("a").map(|it| it.objects.len()), Some(5));
    world.events();
    // A Write that is sent in blocks, and an answer of two.
    let body = vec![7; 2_500];
    world.perform(write("a", &body, "w"));
    let mut got = Vec::new();
    while got.len() < body.len() {
        let asked = world.received(device.peer).expect("a block");
        got.extend_from_slice(asked.payload());
        device.peer = at_port(&device, device.peer.address.port() + 1);
        let code = if got.len() < body.len() { Code::CONTINUE } else { Code::CHANGED };
        world.send(device.peer, &answer(&asked, code));
    }
    assert_eq!(got, body);
    world.perform(read("a", "r"));
    for number in 0..2 {
        let asked = world.received(device.peer).expect("a request");
        device.peer = at_port(&device, device.peer.address.port() + 1);
        let draft = piggybacked(&asked, Code::CONTENT).option(BLOCK2, &block(number, number == 0, 6));
        world.send(device.peer, &draft.payload(&[1; 1024]).build());
    }
    assert_eq!(summary(&world.events()), ["answered w 2.04", "answered r 2.05"]);
}

#[test]
fn blocks_fit_into_the_records_that_the_client_takes() {
    for (limit, size) in [(512, 256), (1024, 512), (2048, 1024), (4096, 1024), (100, 16)] {
        let mut world = World::new();
        let device = Device::secure("a", 7, &[], &mut world);
        world.server.limit(7, limit);
        world.server.limit(8, 16);
        world.perform(write("a", &[7; 1_100], "w"));
        let asked = world.received(device.peer).expect("a block");
        assert_eq!((asked.payload().len(), asked.block1().map(|it| it.size())), (size, Some(size)));
        assert!(limit < 512 || asked.to_bytes().len() <= limit);
        world.send(device.peer, &empty(Kind::Reset, &asked));
        world.perform(write("a", &vec![7; size], "whole"));
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.block1(), None);
        world.send(device.peer, &empty(Kind::Reset, &asked));
        // What it sends in larger blocks is asked for in ones that fit.
        world.perform(read("a", "r"));
        let asked = world.received(device.peer).expect("a request");
        let draft = piggybacked(&asked, Code::CONTENT).option(BLOCK2, &block(0, true, 6));
        world.send(device.peer, &draft.payload(&[1; 1024]).build());
        let next = world.received(device.peer).and_then(|it| it.block2()).expect("a block is asked for");
        assert_eq!((next.size(), next.offset()), (size, 1024));
    }
}

#[test]
fn what_is_asked_of_a_client_without_an_association_fails_at_once() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &["lt=600"], &mut world);
    for context in ["open", "waiting"] {
        world.perform(read("a", context));
    }
    assert!(world.received(device.peer).is_some());
    world.dissociate(7);
    world.perform(read("a", "late"));
    let expected = ["failed open Unreachable", "failed waiting Unreachable", "failed late Unreachable"];
    assert_eq!(summary(&world.events()), expected);
    world.pass(seconds(300));
    world.assert_silence(device.peer);
    world.assert_uneventful();
    // It is still registered, and is asked again once it is back.
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    world.perform(read("a", "back"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["updated a", "answered back 2.05"]);
}

#[test]
fn what_is_asked_of_a_client_in_queue_mode_waits_for_its_next_association() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    for context in ["open", "waiting"] {
        world.perform(read("a", context));
    }
    assert!(world.received(device.peer).is_some());
    world.dissociate(7);
    world.perform(read("a", "late"));
    assert_eq!(summary(&world.events()), ["progressed open Queued", "progressed late Queued"]);
    world.pass(seconds(300));
    assert!(world.take_sent().is_empty());
    anew(&mut device, 8, &mut world);
    world.assert_silence(device.peer);
    update(&mut device, &mut world);
    while let Some(asked) = world.received(device.peer) {
        world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    }
    let expected = [
        "updated a",
        "progressed open Transmitted",
        "answered open 2.05",
        "answered waiting 2.05",
        "progressed late Transmitted",
        "answered late 2.05",
    ];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn what_should_not_be_done_twice_is_not_asked_twice() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    world.perform(execute("a", "reboot"));
    assert!(world.received(device.peer).is_some());
    // The device reboots without a word.
    world.dissociate(7);
    assert_eq!(summary(&world.events()), ["failed reboot Unreachable"]);
    anew(&mut device, 8, &mut world);
    device.register(&[], &mut world);
    let body = Body::Encoded { format: Some(11542), payload: vec![] };
    world.perform(request("a", Operation::Create { path: Path::new([3303]), queries: vec![], body }, "c"));
    assert!(world.received(device.peer).is_some());
    world.dissociate(8);
    assert_eq!(summary(&world.events()), ["failed c Unreachable"]);
}

#[test]
fn a_request_that_ends_every_association_is_given_up_after_the_second() {
    let mut world = World::new();
    let mut device = Device::secure("a", 1, QUEUE_MODE, &mut world);
    world.perform(read("a", "deadly"));
    for association in 2..4 {
        assert!(world.received(device.peer).is_some());
        world.dissociate(association - 1);
        anew(&mut device, association, &mut world);
        device.register(&[], &mut world);
    }
    world.assert_silence(device.peer);
    world.perform(read("a", "next"));
    assert!(world.received(device.peer).is_some());
}

#[test]
fn a_request_that_waits_for_an_association_expires_like_any_other() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    world.perform(Request { deadline: Some(world.now + seconds(60)), ..read("a", "r") });
    assert!(world.received(device.peer).is_some());
    world.dissociate(7);
    world.pass(seconds(61));
    assert_eq!(summary(&world.events()), ["progressed r Queued", "failed r Expired"]);
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    world.assert_silence(device.peer);
    world.events();
    // Also if nothing waited in between, and if it is too late by then.
    for end in [20, 50] {
        for (deadline, context) in [(40, "open"), (10, "waiting")] {
            world.perform(Request { deadline: Some(world.now + seconds(deadline)), ..read("a", context) });
        }
        world.pass(seconds(end));
        world.dissociate(world.server.registration("a").map_or(0, |it| it.peer.association));
        world.pass(seconds(60 - end));
        let queued = (end < 40).then_some("progressed open Queued");
        let expected = ["failed waiting Expired"].into_iter().chain(queued).chain(["failed open Expired"]);
        assert_eq!(summary(&world.events()), expected.collect::<Vec<_>>());
        anew(&mut device, 9 + end, &mut world);
        update(&mut device, &mut world);
        assert_eq!(summary(&world.events()), ["updated a"]);
    }
}

#[test]
fn a_registration_without_an_association_lasts_for_its_lifetime() {
    for (queries, expected) in [(&["lt=60"][..], &["ended a Expired"][..]), (&["lt=60", "b=UQ"], &[])] {
        let mut world = World::new();
        let device = Device::secure("a", 7, queries, &mut world);
        world.pass(seconds(30));
        world.dissociate(7);
        if expected.is_empty() {
            world.perform(read("a", "r"));
        }
        world.pass(seconds(29));
        assert!(world.server.registration("a").is_some());
        world.pass(seconds(1));
        assert!(world.server.is_empty() && !world.server.knows(device.peer));
        let events = summary(&world.events());
        if expected.is_empty() {
            assert_eq!(events, ["progressed r Queued", "failed r Ended", "ended a Expired"]);
        } else {
            assert_eq!(events, expected);
        }
    }
}

#[test]
fn a_body_that_was_on_its_way_is_sent_anew_on_the_next_association() {
    let mut world = World::with(Config { max_queued_bytes: 4_000, ..Config::default() });
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    let body = vec![7; 3_000];
    world.perform(write("a", &body, "w"));
    let first = world.received(device.peer).expect("a block");
    world.send(device.peer, &answer(&first, Code::CONTINUE));
    assert_eq!(world.received(device.peer).and_then(|it| it.block1()).map(|it| it.number), Some(1));
    world.dissociate(7);
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    let mut got = Vec::new();
    while let Some(asked) = world.received(device.peer) {
        got.extend_from_slice(asked.payload());
        let code = if got.len() < body.len() { Code::CONTINUE } else { Code::CHANGED };
        world.send(device.peer, &answer(&asked, code));
    }
    assert_eq!(got, body);
    let expected = ["progressed w Queued", "updated a", "progressed w Transmitted", "answered w 2.04"];
    assert_eq!(summary(&world.events()), expected);
    // Its bytes were counted once, and are not any more.
    for context in ["x", "y"] {
        world.perform(write("a", &[7; 2_000], context));
    }
    assert_eq!(world.server.counters().queue_full, 0);
}

#[test]
fn the_rest_of_a_notification_is_not_fetched_from_an_association_that_has_ended() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let token = observed(&mut world, &device, "o").token();
    let draft = device.notification(Kind::NonConfirmable, token.as_bytes(), 2);
    world.send(device.peer, &draft.option(BLOCK2, &block(0, true, 6)).payload(&[1; 1024]).build());
    assert!(world.received(device.peer).is_some(), "the rest is asked for");
    world.dissociate(7);
    world.pass(seconds(300));
    assert!(world.take_sent().is_empty());
    assert_eq!(world.server.counters().coap.incomplete_notifications, 1);
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    assert_eq!(world.received(device.peer).and_then(|it| it.observe()), Some(0));
}

/// Something that happens to a client or is asked of it.
#[derive(Clone, Debug)]
enum Step {
    /// Maybe at the other shard.
    Handshake {
        away: bool,
    },
    End {
        latest: bool,
    },
    Move,
    Register,
    Update,
    Send,
    /// By the latest token.
    Notify,
    /// The client acknowledges what it has got, in an empty message or with the answer.
    Answer {
        empty: bool,
    },
    Lose,
    Read,
    Write,
    Execute,
    Observe,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<bool>().prop_map(|away| Step::Handshake { away }),
        2 => any::<bool>().prop_map(|latest| Step::End { latest }),
        1 => Just(Step::Move),
        1 => Just(Step::Register),
        2 => Just(Step::Update),
        1 => Just(Step::Send),
        2 => Just(Step::Notify),
        3 => prop_oneof![3 => Just(false), 1 => Just(true)].prop_map(|empty| Step::Answer { empty }),
        1 => Just(Step::Lose),
        1 => Just(Step::Read),
        1 => Just(Step::Write),
        1 => Just(Step::Execute),
        1 => Just(Step::Observe),
        1 => prop_oneof![1_u64..20, 80_u64..400].prop_map(Step::Pass),
    ]
}

/// A client, its handshakes and what was asked of it.
struct Walk {
    /// Where the client is, and the other shard.
    worlds: [World; 2],
    device: Device,
    queries: &'static [&'static str],
    association: u64,
    asked: Vec<String>,
    token: Option<Vec<u8>>,
}

impl Walk {
    fn new(queries: &'static [&'static str]) -> Self {
        let world = |shard| World::with(Config { shard, max_queued_bytes: 6_000, ..Config::default() });
        let mut worlds = [world(1), world(2)];
        let device = Device::secure("a", 1, queries, &mut worlds[0]);
        Self { worlds, device, queries, association: 1, asked: Vec::new(), token: None }
    }

    fn perform(&mut self, make: impl FnOnce(&str) -> Request) {
        let context = self.asked.len().to_string();
        self.worlds[0].perform(make(&context));
        self.asked.push(context);
    }

    fn take(&mut self, step: &Step) {
        let Self { worlds: [world, other], device, queries, .. } = self;
        match step {
            Step::Handshake { away } => {
                self.association += 1;
                if *away {
                    world.hand_over("a", other);
                    std::mem::swap(world, other);
                }
                anew(device, self.association, world);
            }
            Step::End { latest } => {
                for world in [world, other] {
                    world.dissociate(self.association - u64::from(!latest));
                }
            }
            Step::Move => device.peer = at_port(device, device.peer.address.port() + 1),
            Step::Register => {
                world.send(device.peer, &device.register_datagram(queries, OBJECTS));
            }
            Step::Update => world.send(device.peer, &device.update_datagram(queries, "")),
            Step::Send => {
                let send = device.request(Code::POST).path("dp").payload(b"[]").build();
                world.send(device.peer, &send);
            }
            Step::Notify => {
                if let Some(token) = self.token.clone() {
                    let notification = device.notification(Kind::Confirmable, &token, 1).build();
                    world.send(device.peer, &notification);
                }
            }
            Step::Answer { empty: is_empty } => self.answer(*is_empty),
            Step::Lose => drop(world.take_sent()),
            Step::Read => self.perform(|context| read("a", context)),
            Step::Write => self.perform(|context| write("a", &[7; 2_000], context)),
            Step::Execute => self.perform(|context| execute("a", context)),
            Step::Observe => self.perform(|context| observe("a", context)),
            Step::Pass(time) => {
                world.pass(seconds(*time));
                other.pass(seconds(*time));
            }
        }
    }

    fn answer(&mut self, is_empty: bool) {
        while let Some(got) = self.worlds[0].received(self.device.peer) {
            if got.code() == Code::CREATED {
                self.device.locate(&got);
            }
            if got.kind() != Kind::Confirmable {
                continue;
            }
            let datagram = if is_empty {
                empty(Kind::Acknowledgement, &got)
            } else if got.observe().is_some() {
                self.token = Some(got.token().as_bytes().to_vec());
                piggybacked(&got, Code::CONTENT).option(OBSERVE, &[1]).build()
            } else if got.block1().is_some() {
                answer(&got, Code::CHANGED)
            } else {
                piggybacked(&got, Code::CONTENT).build()
            };
            self.worlds[0].send(self.device.peer, &datagram);
        }
    }

    /// What was asked and has been said to be over.
    fn ended(&mut self) -> Vec<String> {
        let over = |event: Event| match event {
            Event::Answered { asked, .. } | Event::Failed { asked, .. } => Some(asked.context.to_string()),
            _ => None,
        };
        self.worlds.iter_mut().flat_map(World::events).filter_map(over).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_request_ends_once_whatever_becomes_of_the_associations(
        steps in proptest::collection::vec(step(), 1..60),
        is_sleepy: bool,
    ) {
        let mut walk = Walk::new(if is_sleepy { &["lt=86400", "b=UQ"] } else { &["lt=86400"] });
        for step in &steps {
            walk.take(step);
        }
        // It comes back, and answers all it is asked.
        walk.take(&Step::Handshake { away: false });
        walk.take(&Step::Register);
        for _ in 0..steps.len() {
            walk.answer(false);
            walk.take(&Step::Pass(1));
        }
        let mut ended = walk.ended();
        // An observation that is asked for again tells of a failure once more, in the name of who asked first.
        ended.sort();
        ended.dedup();
        let mut asked = walk.asked.clone();
        asked.sort();
        prop_assert_eq!(ended, asked);
        // No byte is left that was counted: there is room for three bodies, and not for a fourth.
        for _ in 0..2 {
            let full = walk.worlds[0].server.counters().queue_full;
            for _ in 0..4 {
                walk.perform(|context| write("a", &[7; 2_000], context));
            }
            prop_assert_eq!(walk.worlds[0].server.counters().queue_full, full + 1);
            walk.answer(false);
            walk.take(&Step::Handshake { away: true });
            walk.take(&Step::Update);
        }
    }
}

/// Answers an observe request that is asked again.
#[track_caller]
fn agree(world: &mut World, device: &Device) -> Message {
    let again = world.received(device.peer).expect("the observation is asked for again");
    assert_eq!((again.observe(), again.code()), (Some(0), Code::GET));
    world.send(device.peer, &piggybacked(&again, Code::CONTENT).option(OBSERVE, &[7]).build());
    again
}

#[test]
fn an_update_on_a_new_association_takes_the_registration_along_and_observes_again() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let before = observed(&mut world, &device, "o").token();
    let (old, location) = (device.peer, device.location.clone());
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    let after = agree(&mut world, &device).token();
    assert_ne!(before, after);
    assert_eq!(summary(&world.events()), ["updated a", "notified o 2.05"]);
    assert!(world.server.knows(device.peer) && !world.server.knows(old));
    assert_eq!(device.location, location);
    assert_eq!(world.server.counters().moved, 1);
    let fresh = device.notification(Kind::NonConfirmable, after.as_bytes(), 8).build();
    world.send(device.peer, &fresh);
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
    let stale = device.notification(Kind::Confirmable, before.as_bytes(), 9).build();
    assert_eq!(world.exchange(device.peer, &stale).kind(), Kind::Reset, "the old one is void");
    // The end of the old association, however late, changes nothing.
    world.dissociate(7);
    world.perform(read("a", "r"));
    assert!(world.received(device.peer).is_some());
    world.assert_uneventful();
}

#[test]
fn what_was_asked_on_the_old_association_is_not_waited_for() {
    for (queries, expected) in [
        (&[][..], &["updated a", "failed r Unreachable"][..]),
        (QUEUE_MODE, &["updated a", "progressed r Queued", "progressed r Transmitted"]),
    ] {
        let mut world = World::new();
        let mut device = Device::secure("a", 7, queries, &mut world);
        world.perform(read("a", "r"));
        let old = device.peer;
        assert!(world.received(old).is_some());
        anew(&mut device, 8, &mut world);
        let datagram = device.update_datagram(queries, "");
        assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
        assert_eq!(summary(&world.events()), expected);
        world.pass(seconds(100));
        world.assert_silence(old);
    }
}

#[test]
fn a_send_on_a_new_association_is_taken_and_takes_the_registration_along() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    observed(&mut world, &device, "o");
    world.dissociate(7);
    world.perform(read("a", "r"));
    anew(&mut device, 8, &mut world);
    let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
    assert_eq!(world.exchange(device.peer, &send).code(), Code::CHANGED, "before anything is asked");
    let asked = world.received(device.peer).expect("what waited");
    assert_eq!(asked.observe(), None);
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    agree(&mut world, &device);
    let expected =
        ["progressed r Queued", "sent a", "progressed r Transmitted", "answered r 2.05", "notified o 2.05"];
    assert_eq!(summary(&world.events()), expected);
    assert!(world.server.knows(device.peer));
}

#[test]
fn a_send_that_is_refused_on_a_new_association_comes_again() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    anew(&mut device, 8, &mut world);
    let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
    world.policy = Policy::Refuse;
    world.send(device.peer, &send);
    world.assert_silence(device.peer);
    world.policy = Policy::Accept;
    assert_eq!(world.exchange(device.peer, &send).code(), Code::CHANGED);
    assert_eq!(summary(&world.events()), ["sent a", "sent a"]);
}

#[test]
fn notifications_that_a_sleeper_has_stored_are_taken_on_its_new_association() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    let before = observed(&mut world, &device, "o").token();
    world.dissociate(7);
    anew(&mut device, 8, &mut world);
    let stored = device.notification(Kind::Confirmable, before.as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &stored).kind(), Kind::Acknowledgement);
    assert_eq!(world.server.registration("a").map(|it| it.peer), Some(device.peer));
    // It sends the next before it agrees to another token.
    let again = world.received(device.peer).expect("the observation is asked for again");
    let stored = device.notification(Kind::Confirmable, before.as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &stored).kind(), Kind::Acknowledgement);
    world.send(device.peer, &piggybacked(&again, Code::CONTENT).option(OBSERVE, &[7]).build());
    assert_eq!(summary(&world.events()), ["notified o 2.05", "notified o 2.05", "notified o 2.05"]);
    let after = again.token();
    world.assert_silence(device.peer);
    let late = device.notification(Kind::Confirmable, before.as_bytes(), 4).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
    let next = device.notification(Kind::Confirmable, after.as_bytes(), 8).build();
    assert_eq!(world.exchange(device.peer, &next).kind(), Kind::Acknowledgement);
}

#[test]
fn a_client_may_deregister_on_a_new_association() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    world.dissociate(7);
    anew(&mut device, 8, &mut world);
    let datagram = device.deregister_datagram();
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::DELETED);
    assert_eq!(summary(&world.events()), ["ended a Deregistered"]);
    assert!(world.server.is_empty());
}

#[test]
fn a_client_that_reboots_at_its_address_registers_anew() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    let before = observed(&mut world, &device, "o").token();
    world.pass(seconds(100));
    world.perform(read("a", "waiting"));
    let (old, location) = (device.peer, device.location.clone());
    // As the handshake tells it: the old association ends when the new one is there.
    world.dissociate(7);
    device.peer.association = 8;
    world.associate(device.peer, "a");
    let datagram = device.register_datagram(QUEUE_MODE, OBJECTS);
    world.send(device.peer, &datagram);
    let answer = world.received(device.peer).expect("an answer before any request");
    assert_eq!(answer.code(), Code::CREATED);
    device.locate(&answer);
    assert_ne!(device.location, location);
    let mut events = world.events();
    let Event::Registered { registration, previous: Some(previous), .. } = events.remove(1) else {
        panic!("{events:?}")
    };
    assert_eq!((registration.peer, previous.peer), (device.peer, old));
    assert_eq!(summary(&events), ["progressed waiting Queued", "progressed waiting Transmitted"]);
    let asked = world.received(device.peer).expect("what waited");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_ne!(agree(&mut world, &device).token(), before);
    assert_eq!(summary(&world.events()), ["answered waiting 2.05", "notified o 2.05"]);
    assert_eq!(world.server.len(), 1);
    world.dissociate(7);
    assert!(world.server.knows(device.peer));
}

#[test]
fn an_observation_that_nobody_agrees_to_is_asked_for_on_every_association() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let first = observed(&mut world, &device, "o").token();
    for association in 8..30 {
        if association % 2 == 0 {
            world.dissociate(association - 1);
        }
        anew(&mut device, association, &mut world);
        update(&mut device, &mut world);
        let again = world.received(device.peer).expect("the observation is asked for again");
        assert_eq!(again.observe(), Some(0));
        world.assert_silence(device.peer);
    }
    let expected = (8..30).map(|_| "updated a").collect::<Vec<_>>();
    assert_eq!(summary(&world.events()), expected, "nobody has asked for it anew");
    // All that is left of them is the first.
    let stored = device.notification(Kind::NonConfirmable, first.as_bytes(), 2).build();
    world.send(device.peer, &stored);
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
    anew(&mut device, 30, &mut world);
    update(&mut device, &mut world);
    agree(&mut world, &device);
    assert_eq!(summary(&world.events()), ["updated a", "notified o 2.05"]);
    let stale = device.notification(Kind::Confirmable, first.as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &stale).kind(), Kind::Reset);
}

#[test]
fn an_observation_that_the_client_declines_on_its_new_association_ends() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let before = observed(&mut world, &device, "o").token();
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    let again = world.received(device.peer).expect("the observation is asked for again");
    world.send(device.peer, &piggybacked(&again, Code::NOT_FOUND).build());
    assert_eq!(summary(&world.events()), ["updated a", "notified o 4.04"]);
    for token in [before, again.token()] {
        let stale = device.notification(Kind::Confirmable, token.as_bytes(), 9).build();
        assert_eq!(world.exchange(device.peer, &stale).kind(), Kind::Reset);
    }
    anew(&mut device, 9, &mut world);
    update(&mut device, &mut world);
    world.assert_silence(device.peer);
}

#[test]
fn an_observe_request_that_was_open_leaves_no_observation() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.dissociate(7);
    assert_eq!(summary(&world.events()), ["failed o Unreachable"]);
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    world.assert_silence(device.peer);
    let stray = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &stray).kind(), Kind::Reset);
}

#[test]
fn a_cancellation_that_waits_for_the_next_association_ends_the_observation_there() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.perform(cancel(CancelMode::Active, "c"));
    assert_eq!(world.received(device.peer).and_then(|it| it.observe()), Some(1));
    world.dissociate(7);
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    let cancelling = world.received(device.peer).expect("a request");
    assert_eq!((cancelling.observe(), cancelling.token()), (Some(1), token));
    world.send(device.peer, &piggybacked(&cancelling, Code::CONTENT).build());
    world.assert_silence(device.peer);
    let late = device.notification(Kind::Confirmable, token.as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
    let expected = ["progressed c Queued", "updated a", "progressed c Transmitted", "answered c 2.05"];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn an_association_that_ends_before_its_register_is_settled_leaves_nobody_to_ask() {
    for (queries, expected) in [
        (&[][..], &["registered a", "failed r Unreachable"][..]),
        (QUEUE_MODE, &["registered a", "progressed r Queued"]),
    ] {
        let mut world = World::new();
        let mut device = Device::associated("a", 7, &mut world);
        world.policy = Policy::Leave;
        world.send(device.peer, &device.register_datagram(queries, OBJECTS));
        let mut events = world.events();
        world.perform(read("a", "r"));
        world.dissociate(7);
        world.assert_uneventful();
        let receipt = receipt(&events[0]).expect("a receipt");
        world.settle(receipt, tidegate_proto::lwm2m::server::Settlement::Accepted);
        events.extend(world.events());
        assert_eq!(summary(&events), expected);
        assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CREATED));
        world.assert_silence(device.peer);
    }
}

#[test]
fn requests_for_a_client_that_is_just_updating_on_a_new_association_wait_for_it() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    world.dissociate(7);
    anew(&mut device, 8, &mut world);
    world.policy = Policy::Leave;
    world.send(device.peer, &device.update_datagram(&[], ""));
    let updated = world.event();
    world.perform(read("a", "r"));
    world.assert_uneventful();
    let receipt = receipt(&updated).expect("a receipt");
    world.settle(receipt, tidegate_proto::lwm2m::server::Settlement::Accepted);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CHANGED));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered r 2.05"]);
}

#[test]
fn an_acknowledged_request_is_not_waited_for_either() {
    let mut world = World::new();
    let device = Device::secure("a", 7, &[], &mut world);
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &empty(Kind::Acknowledgement, &asked));
    world.dissociate(7);
    assert_eq!(summary(&world.events()), ["progressed r Acknowledged", "failed r Unreachable"]);
}

#[test]
fn what_was_observed_stays_observed_through_the_end_of_an_association_that_was_just_asked_again() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    observed(&mut world, &device, "o");
    // A new registration on the same association forgets the old token at once.
    device.register(&[], &mut world);
    assert!(world.received(device.peer).is_some(), "asked again, and not answered");
    world.dissociate(7);
    world.assert_uneventful();
    anew(&mut device, 8, &mut world);
    update(&mut device, &mut world);
    agree(&mut world, &device);
    assert_eq!(summary(&world.events()), ["updated a", "notified o 2.05"]);
}

#[test]
fn the_end_of_an_association_that_nobody_registered_on_changes_nothing() {
    let mut world = World::new();
    let device = Device::secure("a", 7, &[], &mut world);
    world.associate(Peer { association: 8, ..device.peer }, "a");
    world.associate(Peer { association: 9, ..device.peer }, "b");
    for association in [8, 9, 10, 0] {
        world.dissociate(association);
    }
    world.perform(request("a", Operation::Read { path: DEVICE, queries: vec![], accept: None }, "r"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered r 2.05"]);
}
