//! Cases 101 to 109: the registration interface, and queue mode.

use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;

use crate::bytes::bytes;
use crate::sim::{Device, OBJECTS, OBSERVE, World, observe, piggybacked, read, request, seconds, summary};
use crate::wire::{answer, assert_asked};

#[test]
fn int_102_a_lifetime_that_is_written_is_told_by_the_update_that_follows() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=300"], &mut world);
    let body = Body::Encoded { format: Some(11542), payload: bytes("C1 01 14") };
    let path = Path::new([1, 0, 1]);
    world.perform(request(
        "a",
        Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body },
        "w",
    ));
    let asked = assert_asked(&mut world, &device, 0x03, "B1 31 01 30 01 31 12 2D16 FF C1 01 14");
    answer(&mut world, &device, &asked, 0x44, "");
    let update = device.update_datagram(&["lt=20"], "");
    assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    let events = world.events();
    assert_eq!(summary(&events), ["answered w 2.04", "updated a"]);
    let Some(Event::Updated { registration, .. }) = events.last() else { panic!() };
    assert_eq!(registration.lifetime, 20);
    world.pass(seconds(20));
    assert_eq!(summary(&world.events()), ["ended a Expired"]);
}

#[test]
fn int_103_deregistering_voids_observations() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    let leave = device.deregister_datagram();
    assert_eq!(world.exchange(device.peer, &leave).code(), Code::DELETED);
    let late = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
    world.perform(read("a", "r"));
    let expected = ["answered o 2.05", "ended a Deregistered", "failed r UnknownClient"];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn int_104_an_update_is_triggered() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let path = Path::new([1, 0, 8]);
    world.perform(request("a", Operation::Execute { path, queries: vec![], arguments: None }, "x"));
    let asked = assert_asked(&mut world, &device, 0x02, "B1 31 01 30 01 38 10");
    answer(&mut world, &device, &asked, 0x44, "");
    let update = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    assert_eq!(summary(&world.events()), ["answered x 2.04", "updated a"]);
}

#[test]
fn int_105_an_update_after_the_lifetime_is_discarded_and_a_register_accepted() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=20"], &mut world);
    world.pass(seconds(21));
    assert_eq!(summary(&world.events()), ["ended a Expired"]);
    let update = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &update).code(), Code::NOT_FOUND);
    world.assert_uneventful();
    let register = device.register_datagram(&["lt=20"], OBJECTS);
    assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
    let Event::Registered { previous: None, .. } = world.event() else { panic!() };
}

#[test]
fn int_107_each_update_extends_the_lifetime() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=20"], &mut world);
    for _ in 0..10 {
        world.pass(seconds(19));
        let update = device.update_datagram(&[], "");
        assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    }
    assert!(world.events().iter().all(|event| matches!(event, Event::Updated { .. })));
    world.pass(seconds(20));
    assert_eq!(summary(&world.events()), ["ended a Expired"]);
}

#[test]
fn int_108_109_a_sleeper_is_asked_for_93_seconds_after_its_last_datagram_and_no_longer() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["b=UQ"], &mut world);
    let Some(registration) = world.server.registration("a") else { panic!() };
    assert!(registration.queue_mode);
    world.pass(seconds(92));
    world.perform(read("a", "awake"));
    let asked = world.received(device.peer).expect("it is awake yet");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    // That was its last sign of life.
    world.pass(seconds(93));
    world.perform(read("a", "asleep"));
    world.perform(read("a", "next"));
    world.assert_silence(device.peer);
    world.pass(seconds(3600));
    world.assert_silence(device.peer);
    let update = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    let first = world.received(device.peer).expect("what waited");
    world.assert_silence(device.peer);
    world.send(device.peer, &piggybacked(&first, Code::CONTENT).build());
    let second = world.received(device.peer).expect("the next");
    world.send(device.peer, &piggybacked(&second, Code::CONTENT).build());
    let expected = [
        "answered awake 2.05",
        "progressed asleep Queued",
        "progressed next Queued",
        "updated a",
        "progressed asleep Transmitted",
        "answered asleep 2.05",
        "progressed next Transmitted",
        "answered next 2.05",
    ];
    assert_eq!(summary(&world.events()), expected);
}
