//! Registrations whose clients come back on an association of another shard.

use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::server::{Config, Event, Settlement, shard_of_location, shard_of_token};

use crate::observing::observed;
use crate::sim::{
    CONTENT_FORMAT, Device, OBJECTS, OBSERVE, Policy, World, piggybacked, read, receipt, seconds, summary,
    write,
};

const QUEUE_MODE: &[&str] = &["b=UQ", "lt=600"];

fn worlds() -> [World; 2] {
    [1, 2].map(|shard| World::with(Config { shard, max_queued_bytes: 6_000, ..Config::default() }))
}

/// The client's next association, at a server.
fn anew(device: &mut Device, association: u64, world: &mut World) {
    device.peer.association = association;
    world.associate(device.peer, &device.endpoint);
}

#[test]
fn a_client_goes_on_at_another_shard() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut old);
    let before = observed(&mut old, &device, "o").token();
    for context in ["open", "waiting"] {
        old.perform(read("a", context));
    }
    assert!(old.received(device.peer).is_some());
    let registration = old.server.registration("a").cloned();
    anew(&mut device, 8, &mut new);
    assert!(old.hand_over("a", &mut new));
    assert_eq!(summary(&old.events()), ["progressed open Queued"], "nobody has gone");
    assert!(old.server.is_empty() && old.next_timeout().is_none_or(|at| at > old.now));
    assert_eq!(new.server.registration("a").cloned(), registration);
    new.assert_uneventful();
    assert!(new.take_sent().is_empty());
    // Its location is that of the old shard, and good.
    assert_eq!(shard_of_location(&device.location, 3), Some(1));
    let datagram = device.update_datagram(QUEUE_MODE, "");
    assert_eq!(new.exchange(device.peer, &datagram).code(), Code::CHANGED);
    for context in ["open", "waiting"] {
        let asked = new.received(device.peer).expect("what waited");
        assert_eq!(asked.observe(), None, "{context}");
        new.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    }
    // What it had stored comes by the old token.
    let stored = device.notification(Kind::NonConfirmable, before.as_bytes(), 2).build();
    new.send(device.peer, &stored);
    let again = new.received(device.peer).expect("the observation is asked for again");
    assert_eq!((again.observe(), shard_of_token(&again.token(), 3)), (Some(0), Some(2)));
    new.send(device.peer, &piggybacked(&again, Code::CONTENT).option(OBSERVE, &[3]).build());
    let stale = device.notification(Kind::Confirmable, before.as_bytes(), 4).build();
    assert_eq!(new.exchange(device.peer, &stale).kind(), Kind::Reset);
    let expected = [
        "updated a",
        "progressed open Transmitted",
        "answered open 2.05",
        "answered waiting 2.05",
        "notified o 2.05",
        "notified o 2.05",
    ];
    assert_eq!(summary(&new.events()), expected);
    old.pass(seconds(1_000));
    assert!(old.take_sent().is_empty());
    old.assert_uneventful();
}

#[test]
fn a_send_or_a_stored_notification_takes_it_along_as_well() {
    for is_send in [true, false] {
        let [mut old, mut new] = worlds();
        let mut device = Device::secure("a", 7, &[], &mut old);
        let token = observed(&mut old, &device, "o").token();
        anew(&mut device, 8, &mut new);
        assert!(old.hand_over("a", &mut new));
        let datagram = if is_send {
            device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build()
        } else {
            device.notification(Kind::Confirmable, token.as_bytes(), 2).build()
        };
        assert_eq!(new.exchange(device.peer, &datagram).kind(), Kind::Acknowledgement);
        assert_eq!(new.server.registration("a").map(|it| it.peer), Some(device.peer));
        assert_eq!(new.received(device.peer).and_then(|it| it.observe()), Some(0));
        assert_eq!(summary(&new.events()), [if is_send { "sent a" } else { "notified o 2.05" }]);
    }
}

#[test]
fn a_registration_that_is_just_changing_is_not_handed_over() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, &[], &mut old);
    assert!(!old.hand_over("b", &mut new));
    old.policy = Policy::Leave;
    old.send(device.peer, &device.update_datagram(&[], ""));
    let updated = old.event();
    assert!(!old.hand_over("a", &mut new));
    old.settle(receipt(&updated).expect("a receipt"), Settlement::Accepted);
    assert!(old.hand_over("a", &mut new));
    assert!(!old.hand_over("a", &mut new));
}

#[test]
fn what_is_not_settled_when_it_goes_is_answered_all_the_same() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, &[], &mut old);
    old.policy = Policy::Leave;
    let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build();
    old.send(device.peer, &send);
    let sent = old.event();
    assert!(old.hand_over("a", &mut new));
    old.settle(receipt(&sent).expect("a receipt"), Settlement::Accepted);
    assert_eq!(old.received(device.peer).map(|it| it.code()), Some(Code::CHANGED));
}

#[test]
fn its_lifetime_goes_on() {
    let [mut old, mut new] = worlds();
    Device::secure("a", 7, &["lt=60"], &mut old);
    old.pass(seconds(40));
    new.pass(seconds(40));
    assert!(old.hand_over("a", &mut new));
    new.pass(seconds(19));
    new.assert_uneventful();
    new.pass(seconds(1));
    assert_eq!(summary(&new.events()), ["ended a Expired"]);
    old.pass(seconds(60));
    old.assert_uneventful();
}

#[test]
fn the_bytes_that_wait_go_with_it() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut old);
    for context in ["1", "2", "3"] {
        old.perform(write("a", &[7; 2_000], context));
    }
    anew(&mut device, 8, &mut new);
    assert!(old.hand_over("a", &mut new));
    new.perform(write("a", &[7; 2_000], "4"));
    assert_eq!(summary(&new.events()), ["failed 4 QueueFull"]);
    // And back, when it has come back.
    anew(&mut device, 9, &mut old);
    assert!(new.hand_over("a", &mut old));
    let datagram = device.deregister_datagram();
    assert_eq!(old.exchange(device.peer, &datagram).code(), Code::DELETED);
    for world in [&mut old, &mut new] {
        world.events();
        let device = Device::secure("b", 10, &[], world);
        for context in ["1", "2", "3"] {
            world.perform(write("b", &[7; 2_000], context));
        }
        assert!(world.received(device.peer).is_some());
        world.assert_uneventful();
    }
}

#[test]
fn who_has_registered_meanwhile_keeps_the_new_registration_and_gets_what_waits() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, QUEUE_MODE, &mut old);
    observed(&mut old, &device, "o");
    old.pass(seconds(100));
    new.pass(seconds(100));
    old.perform(read("a", "waiting"));
    anew(&mut device, 8, &mut new);
    let datagram = device.register_datagram(&["lt=70"], OBJECTS);
    device.locate(&new.exchange(device.peer, &datagram));
    let Event::Registered { registration, previous: None, .. } = new.event() else { panic!() };
    assert!(old.hand_over("a", &mut new));
    assert_eq!(new.server.registration("a"), Some(&registration));
    let asked = new.received(device.peer).expect("what waited");
    new.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(new.received(device.peer).and_then(|it| it.observe()), Some(0));
    assert_eq!(summary(&new.events()), ["progressed waiting Transmitted", "answered waiting 2.05"]);
}

#[test]
fn another_endpoint_cannot_use_what_was_handed_over() {
    let [mut old, mut new] = worlds();
    let mut device = Device::secure("a", 7, &[], &mut old);
    let token = observed(&mut old, &device, "o").token();
    assert!(old.hand_over("a", &mut new));
    let thief = Peer { association: 9, ..device.peer };
    new.associate(thief, "thief");
    for peer in [thief, Peer { association: 0, ..thief }] {
        let notification = device.notification(Kind::Confirmable, token.as_bytes(), 2).build();
        assert_eq!(new.exchange(peer, &notification).kind(), Kind::Reset);
        let datagram = device.update_datagram(&[], "");
        assert_eq!(new.exchange(peer, &datagram).code(), Code::NOT_FOUND);
    }
    new.assert_uneventful();
}
