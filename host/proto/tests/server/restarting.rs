//! What survives a restart: clients, what they observe, and what waits for them.

use std::time::Duration;

use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::operation::{CancelMode, Operation};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Request, Settlement, Unrestored, shard_of_token};

use crate::disk::Disk;
use crate::observing::{cancel, observed};
use crate::sim::{
    CONTENT_FORMAT, Device, OBJECTS, OBSERVE, Policy, World, observe, piggybacked, read, receipt, request,
    seconds, summary, write,
};

const QUEUE_MODE: &[&str] = &["b=UQ", "lt=600"];

fn config() -> Config {
    Config { keep: true, ..Config::default() }
}

fn world() -> (World, Disk) {
    (World::with(config()), Disk::default())
}

/// Registers, and is answered when that is kept.
#[track_caller]
fn registered(endpoint: &str, port: u16, queries: &[&str], world: &mut World, disk: &mut Disk) -> Device {
    let mut device = Device::new(endpoint, port);
    register(&mut device, queries, world, disk);
    device
}

#[track_caller]
fn register(device: &mut Device, queries: &[&str], world: &mut World, disk: &mut Disk) {
    world.send(device.peer, &device.register_datagram(queries, OBJECTS));
    world.assert_silence(device.peer);
    world.keep(disk);
    let answer = world.received(device.peer).expect("an answer, now that it is kept");
    assert_eq!(answer.code(), Code::CREATED);
    device.locate(&answer);
    world.events();
}

fn execute(context: &str) -> Request {
    let path = Path::new([3, 0, 4]);
    request("a", Operation::Execute { path, queries: vec![], arguments: None }, context)
}

#[test]
fn a_register_is_answered_when_it_is_kept_and_nothing_is_asked_before() {
    let (mut world, mut disk) = world();
    let mut device = Device::new("a", 5683);
    world.send(device.peer, &device.register_datagram(&[], OBJECTS));
    assert_eq!(summary(&world.events()), ["registered a"]);
    world.perform(observe("a", "o"));
    world.assert_silence(device.peer);
    assert!(world.server.is_waiting());
    let changes = world.changes().expect("the registration");
    assert!(changes.is_awaited);
    // A retransmission changes nothing.
    world.assert_silence(device.peer);
    assert!(world.changes().is_none());
    assert_eq!(disk.write(changes.changes), ["+a"]);
    world.kept(changes.turn);
    assert!(!world.server.is_waiting());
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CREATED));
    assert_eq!(world.received(device.peer).and_then(|it| it.observe()), Some(0));
    // The request that came with the registration is kept with it.
    let mut world = World::restarted(config(), &disk, seconds(1));
    assert_eq!(world.received(device.peer).and_then(|it| it.observe()), Some(0));
    world.assert_uneventful();
}

#[test]
fn an_earlier_turn_does_not_answer_a_later_register() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    world.perform(read("a", "r"));
    let earlier = world.changes().expect("the request");
    assert!(!earlier.is_awaited);
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    world.send(device.peer, &device.register_datagram(&[], OBJECTS));
    world.kept(earlier.turn);
    world.assert_silence(device.peer);
    let later = world.changes().expect("the registration");
    world.kept(later.turn);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CREATED));
}

#[test]
fn a_client_goes_on_as_if_nothing_had_been() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &["lt=600", "b=U", "x=1"], &mut world, &mut disk);
    let token = observed(&mut world, &device, "o").token();
    world.keep(&mut disk);
    let registration = world.server.registration("a").cloned();
    let mut world = World::restarted(config(), &disk, seconds(60));
    world.assert_uneventful();
    assert!(world.take_sent().is_empty());
    assert_eq!(world.server.registration("a").cloned(), registration);
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    // Its number may well be lower than those that came before the restart but were not kept.
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 1);
    let datagram = notification.option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
    assert_eq!(world.exchange(device.peer, &datagram).kind(), Kind::Acknowledgement);
    let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
    assert_eq!(world.exchange(device.peer, &send).code(), Code::CHANGED);
    assert_eq!(summary(&world.events()), ["updated a", "notified o 2.05", "sent a"]);
    // The observation is ended by its old token.
    world.perform(cancel(CancelMode::Active, "c"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!((asked.observe(), asked.token()), (Some(1), token));
}

#[test]
fn a_notification_changes_nothing_that_is_kept_but_an_address_does() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    let token = observed(&mut world, &device, "o").token();
    assert_eq!(world.keep(&mut disk), ["+a"]);
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        world.send(device.peer, &device.notification(kind, token.as_bytes(), 2).build());
        assert!(world.changes().is_none());
    }
    let elsewhere = Peer::plain("192.0.2.9:9".parse().unwrap());
    world.send(elsewhere, &device.notification(Kind::NonConfirmable, token.as_bytes(), 3).build());
    assert_eq!(world.keep(&mut disk), ["+a"]);
    let world = World::restarted(config(), &disk, seconds(1));
    assert!(world.server.knows(elsewhere) && !world.server.knows(device.peer));
}

#[test]
fn without_keeping_nothing_is_told_and_a_register_is_answered_at_once() {
    let mut world = World::new();
    Device::registered("a", 5683, &[], &mut world);
    assert!(world.changes().is_none() && !world.server.is_waiting());
}

#[test]
fn who_has_gone_stays_gone() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    registered("b", 5684, &["lt=60"], &mut world, &mut disk);
    world.send(device.peer, &device.deregister_datagram());
    world.assert_silence(device.peer);
    assert_eq!(world.keep(&mut disk), ["-a"]);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::DELETED));
    world.pass(seconds(60));
    assert_eq!(world.keep(&mut disk), ["-b"]);
    assert!(World::restarted(config(), &disk, seconds(1)).server.is_empty());
}

#[test]
fn who_registers_again_before_the_end_was_kept_is_there() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    world.send(device.peer, &device.deregister_datagram());
    world.send(device.peer, &device.register_datagram(&[], OBJECTS));
    assert_eq!(world.keep(&mut disk), ["+a"]);
    let answers: Vec<_> =
        std::iter::from_fn(|| world.received(device.peer)).map(|answer| answer.code()).collect();
    assert_eq!(answers, [Code::DELETED, Code::CREATED]);
    assert_eq!(World::restarted(config(), &disk, seconds(1)).server.len(), 1);
}

#[test]
fn a_refused_register_is_not_kept() {
    let (mut world, disk) = world();
    world.policy = Policy::Leave;
    let mut device = Device::new("a", 5683);
    world.send(device.peer, &device.register_datagram(&[], OBJECTS));
    assert!(world.changes().is_none());
    let registered = world.event();
    world.settle(receipt(&registered).unwrap(), Settlement::Refused);
    assert!(world.changes().is_none() && disk.0.is_empty() && !world.server.is_waiting());
}

#[test]
fn what_waits_for_a_sleeper_goes_out_when_it_wakes() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, QUEUE_MODE, &mut world, &mut disk);
    world.pass(seconds(100));
    world.perform(write("a", b"+01:00", "w"));
    world.perform(execute("e"));
    assert_eq!(summary(&world.events()), ["progressed w Queued", "progressed e Queued"]);
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(30));
    assert!(world.take_sent().is_empty());
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    let asked = world.received(device.peer).expect("what waited first");
    assert_eq!((asked.code(), asked.payload()), (Code::PUT, b"+01:00".as_slice()));
    world.send(device.peer, &piggybacked(&asked, Code::CHANGED).build());
    let asked = world.received(device.peer).expect("what waited next");
    world.send(device.peer, &piggybacked(&asked, Code::CHANGED).build());
    let expected = [
        "updated a",
        "progressed w Transmitted",
        "answered w 2.04",
        "progressed e Transmitted",
        "answered e 2.04",
    ];
    assert_eq!(summary(&world.events()), expected);
    // And is not there again after the next restart.
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(1));
    world.send(device.peer, &device.update_datagram(&[], ""));
    assert_eq!(world.take_sent().len(), 1);
}

#[test]
fn what_has_expired_meanwhile_is_told_and_not_kept_any_longer() {
    let (mut world, mut disk) = world();
    registered("a", 5683, QUEUE_MODE, &mut world, &mut disk);
    world.pass(seconds(100));
    let deadline = Some(world.now + seconds(60));
    world.perform(Request { deadline, ..read("a", "late") });
    let deadline = Some(world.now + seconds(90));
    world.perform(Request { deadline, ..read("a", "later") });
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(61));
    assert_eq!(summary(&world.events()), ["failed late Expired"]);
    assert_eq!(world.keep(&mut disk), ["+a"]);
    world.pass(seconds(28));
    world.assert_uneventful();
    world.pass(seconds(1));
    assert_eq!(summary(&world.events()), ["failed later Expired"]);
}

#[test]
fn what_was_on_its_way_is_asked_once_more_if_that_does_no_harm() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, QUEUE_MODE, &mut world, &mut disk);
    world.perform(read("a", "r"));
    assert!(world.received(device.peer).is_some());
    world.keep(&mut disk);
    // The client is awake still.
    let mut world = World::restarted(config(), &disk, seconds(1));
    let asked = world.received(device.peer).expect("the same again");
    assert_eq!(asked.code(), Code::GET);
    world.assert_uneventful();
    world.keep(&mut disk);
    // It may be what stops the gateway.
    let mut world = World::restarted(config(), &disk, seconds(2));
    world.assert_silence(device.peer);
    assert_eq!(summary(&world.events()), ["failed r Timeout"]);
    assert_eq!(world.keep(&mut disk), ["+a"]);
    world = World::restarted(config(), &disk, seconds(100));
    world.send(device.peer, &device.update_datagram(&[], ""));
    assert_eq!(summary(&world.events()), ["updated a"]);
}

#[test]
fn what_must_not_be_done_twice_has_failed() {
    let (mut world, mut disk) = world();
    let device = registered("a", 5683, QUEUE_MODE, &mut world, &mut disk);
    world.perform(execute("sent"));
    world.perform(execute("waiting"));
    assert!(world.received(device.peer).is_some());
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(1));
    assert_eq!(summary(&world.events()), ["failed sent Timeout"]);
    let asked = world.received(device.peer).expect("what waited");
    world.send(device.peer, &piggybacked(&asked, Code::CHANGED).build());
    assert_eq!(summary(&world.events()), ["answered waiting 2.04"]);
}

#[test]
fn an_observation_that_was_not_agreed_upon_is_asked_for_again() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    world.perform(observe("a", "o"));
    let before = world.received(device.peer).expect("a request");
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(1));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.observe(), Some(0));
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    assert_eq!(summary(&world.events()), ["answered o 2.05"]);
    // Had the client agreed, it learns that nobody knows the token.
    let stray = device.notification(Kind::Confirmable, before.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &stray).kind(), Kind::Reset);
}

#[test]
fn a_registration_has_a_time_of_grace() {
    let years = Duration::from_secs(40 * 365 * 86_400);
    for (lifetime, away, lasts) in [
        // Long since over by the clock, which may be wrong: as long as a client may need to be heard.
        ("lt=3600", years, 247),
        ("lt=60", years, 60),
        ("lt=60", seconds(1), 60),
        ("lt=300", seconds(100), 247),
        // The rest of its lifetime.
        ("lt=3600", seconds(600), 3_000),
        // The clock has gone back: no time has passed.
        ("lt=3600", seconds(0), 3_600),
    ] {
        let (mut world, mut disk) = world();
        registered("a", 5683, &[lifetime], &mut world, &mut disk);
        let mut world = World::with(config());
        world.pass(years);
        world.restore(&disk, away);
        world.pass(seconds(lasts - 1));
        world.assert_uneventful();
        world.pass(seconds(1));
        assert_eq!(summary(&world.events()), ["ended a Expired"], "{lifetime} {away:?}");
    }
}

#[test]
fn a_deadline_is_not_moved_by_a_clock_that_goes_back() {
    let (mut world, mut disk) = world();
    registered("a", 5683, QUEUE_MODE, &mut world, &mut disk);
    world.pass(seconds(100));
    let deadline = Some(world.now + seconds(60));
    world.perform(Request { deadline, ..read("a", "r") });
    world.keep(&mut disk);
    let mut world = World::with(config());
    for snapshot in disk.0.values() {
        world.server.restore(world.now, 0, snapshot).unwrap();
    }
    world.server.handle_timeout(world.now + seconds(59));
    world.pass(seconds(0));
    world.assert_uneventful();
    world.server.handle_timeout(world.now + seconds(60));
    world.remove("nobody");
    assert_eq!(summary(&world.events()), ["failed r Expired"]);
}

#[test]
fn a_client_with_dtls_goes_on_with_its_association() {
    let (mut world, mut disk) = world();
    let mut device = Device::associated("a", 7, &mut world);
    register(&mut device, &[], &mut world, &mut disk);
    let token = observed(&mut world, &device, "o").token();
    world.perform(read("a", "r"));
    assert!(world.received(device.peer).is_some());
    world.keep(&mut disk);
    let mut world = World::with(config());
    world.restore(&disk, seconds(1));
    world.associate(device.peer, "a");
    let thief = Device::associated("thief", 8, &mut world);
    world.server.resume(world.now);
    world.remove("nobody");
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::GET), "what was on its way");
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 2).build();
    assert_eq!(world.exchange(thief.peer, &notification).kind(), Kind::Reset);
    world.assert_uneventful();
    assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Acknowledgement);
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
}

#[test]
fn a_client_whose_association_is_lost_comes_back_on_another() {
    let (mut world, mut disk) = world();
    let mut device = Device::associated("a", 7, &mut world);
    register(&mut device, QUEUE_MODE, &mut world, &mut disk);
    observed(&mut world, &device, "o");
    world.perform(read("a", "r"));
    world.keep(&mut disk);
    let mut world = World::restarted(config(), &disk, seconds(1));
    world.assert_silence(device.peer);
    device.peer.association = 9;
    world.associate(device.peer, "a");
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    let asked = world.received(device.peer).expect("what was on its way");
    assert_eq!((asked.code(), asked.observe()), (Code::GET, None));
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(world.received(device.peer).and_then(|it| it.observe()), Some(0));
}

#[test]
fn who_must_use_dtls_by_now_is_not_taken_back_without() {
    let (mut world, mut disk) = world();
    registered("a", 5683, &[], &mut world, &mut disk);
    let mut world = World::with(config());
    world.secure(&["a"]);
    world.restore(&disk, seconds(1));
    assert_eq!(summary(&world.events()), ["ended a Removed"]);
    assert_eq!(world.keep(&mut disk), ["-a"]);
}

#[test]
fn a_handover_is_kept_by_the_shard_that_has_the_client_now() {
    let (mut old, mut disk) = world();
    let mut new = World::with(Config { shard: 2, ..config() });
    let mut device = Device::associated("a", 7, &mut old);
    register(&mut device, &[], &mut old, &mut disk);
    old.perform(read("a", "r"));
    assert!(old.hand_over("a", &mut new));
    assert!(old.changes().is_none());
    assert_eq!(new.keep(&mut disk), ["+a"]);
}

#[test]
fn another_shard_can_have_it_after_the_restart() {
    let (mut world, mut disk) = world();
    let mut device = registered("a", 5683, &[], &mut world, &mut disk);
    let token = observed(&mut world, &device, "o").token();
    world.keep(&mut disk);
    let mut world = World::restarted(Config { shard: 3, ..config() }, &disk, seconds(1));
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Acknowledgement);
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(shard_of_token(&asked.token(), 4), Some(3));
}

#[test]
fn nothing_is_restored_over_what_is_registered() {
    let (mut world, mut disk) = world();
    registered("a", 5683, &[], &mut world, &mut disk);
    let snapshot = &disk.0["a"];
    assert_eq!(world.server.restore(world.now, 0, snapshot), Err(Unrestored::Registered));
    let mut later = snapshot.clone();
    later[0] = 9;
    assert_eq!(world.server.restore(world.now, 0, &later), Err(Unrestored::Version(9)));
}
