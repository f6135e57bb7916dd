//! Who may register which endpoint name, and who may speak for a registration.

use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::server::{Event, Refusal, Settlement};

use crate::observing::observed;
use crate::sim::{
    CONTENT_FORMAT, Device, Draft, OBJECTS, OBSERVE, Policy, World, empty, observe, piggybacked, read,
    receipt, summary,
};

/// A Register with these queries.
fn register(device: &mut Device, queries: &[&str]) -> Vec<u8> {
    let draft = device.request(Code::POST).path("rd").query("lwm2m=1.1");
    queries.iter().fold(draft, |draft, query| draft.query(query)).payload(OBJECTS.as_bytes()).build()
}

fn send_datagram(device: &mut Device) -> Vec<u8> {
    device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[]").build()
}

/// The device's address without DTLS.
fn plain(device: &Device) -> Peer {
    Peer { association: 0, ..device.peer }
}

#[test]
fn the_endpoint_name_may_be_left_out_over_dtls() {
    for queries in [&["ep=a"][..], &["ep="], &["ep"], &[]] {
        let mut world = World::new();
        let mut device = Device::associated("a", 7, &mut world);
        let datagram = register(&mut device, queries);
        assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CREATED, "{queries:?}");
        assert_eq!(summary(&world.events()), ["registered a"]);
        assert_eq!(world.server.registration("a").map(|it| it.peer), Some(device.peer));
    }
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let datagram = register(&mut device, &[]);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::BAD_REQUEST);
    world.assert_uneventful();
}

#[test]
fn another_endpoint_name_than_the_authenticated_one_is_refused_and_told() {
    let mut world = World::new();
    let victim = Device::secure("victim", 7, &[], &mut world);
    let before = world.server.registration("victim").cloned();
    let mut thief = Device::associated("thief", 8, &mut world);
    for endpoint in ["victim", "nobody"] {
        let datagram = register(&mut thief, &[&format!("ep={endpoint}")]);
        assert_eq!(world.exchange(thief.peer, &datagram).code(), Code::BAD_REQUEST);
        let Event::Refused { peer, endpoint: asked, principal, reason } = world.event() else { panic!() };
        assert_eq!((peer, &*asked, reason), (thief.peer, endpoint, Refusal::Identity));
        assert_eq!(principal.as_deref(), Some("thief"));
        // Answered from memory, and told once.
        assert_eq!(world.exchange(thief.peer, &datagram).code(), Code::BAD_REQUEST);
        world.assert_uneventful();
    }
    assert_eq!(world.server.counters().wrong_identities, 2);
    assert_eq!(world.server.len(), 1);
    assert_eq!(world.server.registration("victim").cloned(), before);
    assert!(world.server.knows(victim.peer) && !world.server.knows(thief.peer));
}

#[test]
fn an_association_that_has_proved_nothing_registers_nobody() {
    let mut world = World::new();
    let mut device = Device::new("a", 5684);
    device.peer.association = 7;
    let datagram = register(&mut device, &["ep=a"]);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::BAD_REQUEST);
    let Event::Refused { principal: None, reason: Refusal::Unproved, .. } = world.event() else { panic!() };
    let datagram = register(&mut device, &[]);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::BAD_REQUEST);
    let datagram = send_datagram(&mut device);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND);
    assert!(world.server.is_empty());
    // Nor does one that has ended.
    world.associate(device.peer, "a");
    device.register(&[], &mut world);
    world.dissociate(7);
    let datagram = device.register_datagram(&[], OBJECTS);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::BAD_REQUEST);
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND);
    assert_eq!(summary(&world.events()), ["refused a Unproved"]);
}

#[test]
fn an_endpoint_with_credentials_is_forbidden_without_dtls() {
    let mut world = World::new();
    world.secure(&["a"]);
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&[], OBJECTS);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::FORBIDDEN);
    let Event::Refused { peer, endpoint, principal: None, reason: Refusal::Insecure } = world.event() else {
        panic!()
    };
    assert_eq!((peer, &*endpoint), (device.peer, "a"));
    assert_eq!(world.server.counters().insecure_registrations, 1);
    assert!(world.server.is_empty());
    Device::secure("a", 7, &[], &mut world);
    Device::registered("b", 5683, &[], &mut world);
}

#[test]
fn what_registered_over_dtls_cannot_be_taken_over_without() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    let before = world.server.registration("a").cloned();
    let mut thief = Device::new("a", 5684);
    (thief.peer, thief.location) = (plain(&device), device.location.clone());
    let mut other = Device::new("a", 999);
    other.location.clone_from(&device.location);
    for thief in [&mut thief, &mut other] {
        let datagram = thief.register_datagram(&["lt=1"], OBJECTS);
        assert_eq!(world.exchange(thief.peer, &datagram).code(), Code::FORBIDDEN);
        assert_eq!(summary(&world.events()), ["refused a Insecure"]);
        for datagram in
            [thief.update_datagram(&["lt=1"], ""), thief.deregister_datagram(), send_datagram(thief)]
        {
            assert_eq!(world.exchange(thief.peer, &datagram).code(), Code::NOT_FOUND);
        }
        let notification = thief.notification(Kind::Confirmable, token.as_bytes(), 9).build();
        assert_eq!(world.exchange(thief.peer, &notification).kind(), Kind::Reset);
        world.send(thief.peer, &piggybacked(&asked, Code::CONTENT).build());
        world.send(thief.peer, &empty(Kind::Reset, &asked));
        world.assert_silence(thief.peer);
        world.assert_uneventful();
    }
    assert_eq!(world.server.registration("a").cloned(), before);
    let counters = world.server.counters();
    assert_eq!((counters.foreign_locations, counters.unknown_senders), (4, 2));
    assert_eq!((counters.coap.unmatched_responses, counters.moved), (2, 0));
    // The owner of all that has lost nothing.
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    let notification = device.notification(Kind::NonConfirmable, token.as_bytes(), 2).build();
    world.send(device.peer, &notification);
    assert_eq!(summary(&world.events()), ["answered r 2.05", "notified o 2.05"]);
    // Once it has gone, and there are no credentials for it, the name is free.
    let datagram = device.deregister_datagram();
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::DELETED);
    thief.register(&[], &mut world);
}

#[test]
fn whoever_proves_to_be_the_endpoint_takes_over_what_was_registered_without_dtls() {
    let mut world = World::new();
    let mut old = Device::registered("a", 5683, &[], &mut world);
    let token = observed(&mut world, &old, "o").token();
    let mut device = Device::associated("a", 7, &mut world);
    let datagram = device.register_datagram(&[], OBJECTS);
    let answer = world.exchange(device.peer, &datagram);
    device.locate(&answer);
    let Event::Registered { registration, previous: Some(previous), .. } = world.event() else { panic!() };
    assert_eq!((registration.peer, previous.peer), (device.peer, old.peer));
    let again = world.received(device.peer).expect("the observation is asked for again");
    assert_eq!(again.observe(), Some(0));
    // Its former self is nobody now.
    let notification = old.notification(Kind::Confirmable, token.as_bytes(), 9).build();
    assert_eq!(world.exchange(old.peer, &notification).kind(), Kind::Reset);
    for location in [old.location.clone(), device.location.clone()] {
        old.location = location;
        for datagram in [old.update_datagram(&[], ""), old.deregister_datagram()] {
            assert_eq!(world.exchange(old.peer, &datagram).code(), Code::NOT_FOUND);
        }
    }
    let datagram = old.register_datagram(&[], OBJECTS);
    assert_eq!(world.exchange(old.peer, &datagram).code(), Code::FORBIDDEN);
    assert_eq!(summary(&world.events()), ["refused a Insecure"]);
}

#[test]
fn an_update_over_dtls_takes_along_what_was_registered_without() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let old = device.peer;
    device.peer.association = 7;
    world.associate(device.peer, "a");
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    assert_eq!(world.server.registration("a").map(|it| it.peer), Some(device.peer));
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(old, &datagram).code(), Code::NOT_FOUND);
}

#[test]
fn credentials_end_what_was_registered_without_dtls() {
    let mut world = World::new();
    let mut insecure = Device::registered("a", 5683, &[], &mut world);
    Device::registered("b", 5685, &[], &mut world);
    Device::secure("c", 7, &[], &mut world);
    // And what is just about to be.
    let mut late = Device::new("d", 5686);
    world.policy = Policy::Leave;
    world.send(late.peer, &late.register_datagram(&[], OBJECTS));
    let registered = world.event();
    world.secure(&["a", "c", "d"]);
    world.settle(receipt(&registered).expect("a receipt"), Settlement::Accepted);
    world.policy = Policy::Accept;
    assert_eq!(summary(&world.events()), ["ended a Removed", "ended d Removed"]);
    assert_eq!(world.server.len(), 2);
    let datagram = insecure.update_datagram(&[], "");
    assert_eq!(world.exchange(insecure.peer, &datagram).code(), Code::NOT_FOUND);
}

#[test]
fn the_location_of_another_endpoint_is_not_found() {
    let mut world = World::new();
    let victim = Device::secure("victim", 7, &["lt=600"], &mut world);
    let insecure = Device::registered("insecure", 5683, &["lt=600"], &mut world);
    let mut thief = Device::secure("thief", 8, &[], &mut world);
    for location in [&victim.location, &insecure.location] {
        thief.location.clone_from(location);
        for datagram in [thief.update_datagram(&["lt=1"], "</9/0>"), thief.deregister_datagram()] {
            let answer: Message = world.exchange(thief.peer, &datagram);
            assert_eq!((answer.code(), answer.payload()), (Code::NOT_FOUND, &[][..]));
        }
    }
    world.assert_uneventful();
    for endpoint in ["victim", "insecure"] {
        assert_eq!(world.server.registration(endpoint).map(|it| it.lifetime), Some(600));
    }
    assert_eq!(world.server.counters().foreign_locations, 4);
    thief.location = "AAAAAAAAAAAA".to_owned();
    let datagram = thief.update_datagram(&[], "");
    assert_eq!(world.exchange(thief.peer, &datagram).code(), Code::NOT_FOUND, "they look the same");
    assert_eq!(world.server.counters().unknown_locations, 1);
}

#[test]
fn a_send_is_that_of_the_authenticated_endpoint() {
    let mut world = World::new();
    let mut device = Device::associated("a", 7, &mut world);
    let datagram = send_datagram(&mut device);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND, "it is not registered");
    device.register(&[], &mut world);
    // Whatever else is at its address.
    let mut other = Device::associated("b", 8, &mut world);
    assert_eq!(other.peer.address, device.peer.address);
    for (device, code) in [(&mut device, Code::CHANGED), (&mut other, Code::NOT_FOUND)] {
        let datagram = send_datagram(device);
        assert_eq!(world.exchange(device.peer, &datagram).code(), code);
    }
    assert_eq!(summary(&world.events()), ["sent a"]);
}

#[test]
fn an_answer_counts_only_on_the_association_on_which_it_was_asked_for() {
    let mut world = World::new();
    let device = Device::secure("a", 7, &[], &mut world);
    // Also if the other one has proved the same.
    let anew = Peer { association: 9, ..device.peer };
    world.associate(anew, "a");
    for (association, endpoint) in [(0, ""), (8, "b"), (9, "a")] {
        world.associate(Peer { association: 8, ..device.peer }, "b");
        world.perform(read("a", "r"));
        let asked = world.received(device.peer).expect("a request");
        let stranger = Peer { association, ..device.peer };
        let separate =
            |kind, mid| Draft::new(kind, Code::CONTENT, mid).token(asked.token().as_bytes()).build();
        world.send(stranger, &piggybacked(&asked, Code::CONTENT).build());
        world.send(stranger, &empty(Kind::Acknowledgement, &asked));
        world.send(stranger, &empty(Kind::Reset, &asked));
        world.send(stranger, &separate(Kind::Confirmable, 60_001));
        world.send(stranger, &separate(Kind::NonConfirmable, 60_002));
        world.assert_uneventful();
        while world.received(stranger).is_some() {}
        world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
        assert_eq!(summary(&world.events()), ["answered r 2.05"], "{endpoint}");
    }
}

#[test]
fn a_token_is_worth_nothing_to_another_endpoint() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let insecure = Device::registered("insecure", 5683, &[], &mut world);
    let tokens = [observed(&mut world, &device, "a").token(), observed(&mut world, &insecure, "b").token()];
    let thief = Device::secure("thief", 8, &[], &mut world);
    for token in tokens {
        for (kind, code) in [
            (Kind::Confirmable, Code::CONTENT),
            (Kind::NonConfirmable, Code::CONTENT),
            (Kind::NonConfirmable, Code::NOT_FOUND),
        ] {
            let draft = Draft::new(kind, code, device.next_mid()).token(token.as_bytes());
            let notification = draft.option(OBSERVE, &[9]).build();
            assert_eq!(world.exchange(thief.peer, &notification).kind(), Kind::Reset);
        }
    }
    world.assert_uneventful();
    let counters = world.server.counters();
    assert_eq!((counters.coap.unmatched_responses, counters.moved), (6, 0));
    // Nor has it done any harm: neither ended nor made anything look old.
    for (peer, token) in [device.peer, insecure.peer].into_iter().zip(tokens) {
        let notification = device.notification(Kind::NonConfirmable, token.as_bytes(), 2).build();
        world.send(peer, &notification);
    }
    assert_eq!(summary(&world.events()), ["notified a 2.05", "notified b 2.05"]);
}

#[test]
fn an_observation_asked_for_over_dtls_does_not_fall_back_to_no_dtls() {
    let mut world = World::new();
    let device = Device::secure("a", 7, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(plain(&device), &piggybacked(&asked, Code::CONTENT).option(6, &[1]).build());
    world.assert_uneventful();
}
