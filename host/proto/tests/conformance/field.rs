//! What fails in the field.

use std::time::Duration;

use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::Value;

use crate::bytes::bytes;
use crate::sim::{
    BLOCK1, CONTENT_FORMAT, Device, Draft, OBJECTS, OBSERVE, World, observe, piggybacked, read, request,
    seconds, summary,
};
use crate::wire::{answer, assert_asked, values};

fn at(address: &str) -> Peer {
    Peer::plain(address.parse().expect("an address"))
}

fn observed(world: &mut World, device: &Device) -> Vec<u8> {
    world.perform(observe(&device.endpoint, "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    world.events();
    asked.token().as_bytes().to_vec()
}

#[test]
fn after_a_rebinding_of_port_or_address_the_first_update_or_notification_finds_the_client() {
    for new in ["192.0.2.1:6000", "198.51.100.7:5683", "198.51.100.7:6000", "[2001:db8::1]:5683"] {
        let new = at(new);
        for is_update in [true, false] {
            let mut world = World::new();
            let mut device = Device::registered("a", 5683, &[], &mut world);
            let token = observed(&mut world, &device);
            let datagram = if is_update {
                device.update_datagram(&[], "")
            } else {
                device.notification(Kind::Confirmable, &token, 2).build()
            };
            assert_eq!(world.exchange(new, &datagram).kind(), Kind::Acknowledgement);
            world.perform(read("a", "r"));
            let asked = world.received(new).expect("it is asked at the new address");
            world.send(new, &piggybacked(&asked, Code::CONTENT).build());
            world.assert_silence(device.peer);
            let first = if is_update { "updated a" } else { "notified o 2.05" };
            assert_eq!(summary(&world.events()), [first, "answered r 2.05"]);
        }
    }
}

/// A Send names nobody: at a new address it is a stranger's. 4.04 makes the client register or update, which finds it.
#[test]
fn after_a_rebinding_a_send_is_not_found_until_the_client_says_who_it_is() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let new = at("192.0.2.1:6000");
    let send = |device: &mut Device| {
        device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build()
    };
    let datagram = send(&mut device);
    assert_eq!(world.exchange(new, &datagram).code(), Code::NOT_FOUND);
    let update = device.update_datagram(&[], "");
    assert_eq!(world.exchange(new, &update).code(), Code::CHANGED);
    let datagram = send(&mut device);
    assert_eq!(world.exchange(new, &datagram).code(), Code::CHANGED);
}

#[test]
fn a_device_that_reboots_without_leaving_is_the_same_wherever_it_comes_from() {
    for new in ["192.0.2.1:5683", "192.0.2.1:6000", "198.51.100.7:5683"] {
        let mut world = World::new();
        let mut device = Device::registered("a", 5683, &[], &mut world);
        device.peer = at(new);
        let register = device.register_datagram(&["lt=77"], OBJECTS);
        let answer = world.exchange(device.peer, &register);
        assert_eq!(answer.code(), Code::CREATED);
        device.locate(&answer);
        let Event::Registered { previous: Some(_), .. } = world.event() else { panic!() };
        assert_eq!(world.server.registration("a").map(|it| (it.lifetime, it.peer)), Some((77, at(new))));
        assert_eq!(world.server.len(), 1);
    }
}

#[test]
fn odd_registrations_are_taken_or_refused_for_a_reason() {
    for (queries, links, expected) in [
        (&["ep=a", "lwm2m=1.0"][..], "</3/0>;ver=1.1", Code::CREATED),
        (&["ep=a", "lwm2m=1.0"], "</42769/7>", Code::CREATED),
        (&["lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=", "lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=a", "lwm2m=1.1", "Q"], "</3/0>", Code::CREATED),
        (&["ep=a", "lwm2m=1.2"], "</3/0>", Code::CREATED),
        (&["ep=a", "lwm2m=1.0"], "", Code::CREATED),
        (&["ep=a", "lwm2m=1.0", "lt=4294967296"], "</3/0>", Code::BAD_REQUEST),
    ] {
        let mut world = World::new();
        let mut device = Device::new("a", 5683);
        let draft =
            queries.iter().fold(device.request(Code::POST).path("rd"), |draft, query| draft.query(query));
        let answer = world.exchange(device.peer, &draft.payload(links.as_bytes()).build());
        assert_eq!(answer.code(), expected, "{queries:?} {links}");
        assert_eq!(world.server.len(), usize::from(expected == Code::CREATED));
    }
}

#[test]
fn a_burst_of_commands_goes_out_one_by_one() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    for number in 0..50 {
        world.perform(read("a", &number.to_string()));
    }
    for number in 0..50 {
        let asked = world.received(device.peer).expect("the next");
        world.assert_silence(device.peer);
        world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
        assert_eq!(summary(&world.events()), [format!("answered {number} 2.05")]);
    }
}

#[test]
fn a_lost_acknowledgement_of_a_notification_costs_no_second_event() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let token = observed(&mut world, &device);
    let notification = device.notification(Kind::Confirmable, &token, 2).build();
    for _ in 0..4 {
        assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Acknowledgement);
        world.pass(seconds(20));
    }
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
}

#[test]
fn a_register_in_blocks_that_broke_off_begins_anew() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    let mut mid = 0;
    let mut part = |world: &mut World, number: u8, more: bool, payload: &[u8]| {
        mid += 1;
        let draft =
            Draft::new(Kind::Confirmable, Code::POST, mid).path("rd").query("lwm2m=1.1").query("ep=a");
        let draft = draft.option(BLOCK1, &[number << 4 | u8::from(more) << 3]);
        world.exchange(device.peer, &draft.payload(payload).build()).code()
    };
    assert_eq!(part(&mut world, 0, true, b"</1/0>,</3/0>,<x"), Code::CONTINUE);
    world.pass(seconds(100));
    assert_eq!(part(&mut world, 0, true, b"</1/0>,</3/0>,</"), Code::CONTINUE);
    assert_eq!(part(&mut world, 1, false, b"5/0>"), Code::CREATED);
    assert_eq!(world.server.registration("a").map(|it| it.objects.len()), Some(3));
    // Too late: what came is forgotten.
    assert_eq!(part(&mut world, 0, true, b"</1/0>,</3/0>,</"), Code::CONTINUE);
    world.pass(seconds(300));
    assert_eq!(part(&mut world, 1, false, b"5/0>"), Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn an_object_without_a_definition_loses_nothing() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let ask = |world: &mut World| {
        let operation = Operation::Read { path: Path::new([42769, 0]), queries: vec![], accept: None };
        world.perform(request("a", operation, "r"));
        assert_asked(world, &device, 0x01, "B5 '42769' 01 30")
    };
    // TLV says no types: bytes. SenML says them.
    let asked = ask(&mut world);
    answer(&mut world, &device, &asked, 0x45, "C2 2D16 FF C1 09 64");
    let expected = Value::Opaque(vec![0x64].into());
    assert_eq!(values(&world.event()), [("/42769/0/9".to_owned(), expected)]);
    let asked = ask(&mut world);
    answer(&mut world, &device, &asked, 0x45, r#"C1 6E FF '[{"bn":"/42769/0/","n":"9","v":100}]'"#);
    assert_eq!(values(&world.event()), [("/42769/0/9".to_owned(), Value::Integer(100))]);
}

#[test]
fn ids_reach_to_65535() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let path = Path::new([65535, 65535, 65535, 65535]);
    world.perform(request("a", Operation::Read { path, queries: vec![], accept: None }, "r"));
    let segment = "'65535'";
    let rest = format!("B5 {segment} 05 {segment} 05 {segment} 05 {segment}");
    let asked = assert_asked(&mut world, &device, 0x01, &rest);
    answer(&mut world, &device, &asked, 0x45, "C2 2D16 FF 61 FFFF 2A");
    let expected = Value::Opaque(vec![0x2a].into());
    assert_eq!(values(&world.event()), [("/65535/65535/65535/65535".to_owned(), expected)]);
}

#[test]
fn a_clock_that_jumps_ends_nothing_too_early_and_breaks_nothing() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=60"], &mut world);
    let token = observed(&mut world, &device);
    world.perform(read("a", "open"));
    // Backwards: an hour.
    let before = world.now;
    world.now = before - Duration::from_secs(999);
    world.server.handle_timeout(world.now);
    let notification = device.notification(Kind::Confirmable, &token, 2).build();
    world.send(device.peer, &notification);
    world.now = before;
    world.pass(seconds(1));
    assert!(world.server.registration("a").is_some());
    // Forwards: ten years. Everything that is due is due at once.
    world.now = world.now + Duration::from_secs(10 * 365 * 86_400);
    world.server.handle_timeout(world.now);
    world.pass(seconds(1));
    assert!(world.server.registration("a").is_none());
    world.take_sent();
    let register = device.register_datagram(&[], OBJECTS);
    assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
}

#[test]
fn equal_tokens_of_two_devices_are_two() {
    let mut world = World::new();
    let a = Device::registered("a", 5683, &[], &mut world);
    let b = Device::registered("b", 5684, &[], &mut world);
    let send = |mid: &str| bytes(&format!("44 02 {mid} 01020304 B2 'dp' 11 6E FF '[]'"));
    for device in [&a, &b] {
        assert_eq!(world.exchange(device.peer, &send("0001")).code(), Code::CHANGED);
    }
    assert_eq!(summary(&world.events()), ["sent a", "sent b"]);
    // A token of ours means the one who got it: b cannot answer for a, nor with its message id.
    world.perform(read("a", "r"));
    let asked = world.received(a.peer).expect("a request");
    world.send(b.peer, &piggybacked(&asked, Code::CONTENT).build());
    let separate = Draft::new(Kind::NonConfirmable, Code::CONTENT, 9).token(asked.token().as_bytes()).build();
    assert_eq!(world.exchange(b.peer, &separate).kind(), Kind::Reset);
    world.assert_uneventful();
    world.send(a.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered r 2.05"]);
}
