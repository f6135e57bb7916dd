//! Clients that come from another address, and addresses that are shared.

use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Kind};

use crate::sim::{Device, OBSERVE, World, observe, piggybacked, read, seconds, summary};

fn at_port(device: &Device, port: u16) -> Peer {
    let mut peer = device.peer;
    peer.address.set_port(port);
    peer
}

#[test]
fn an_update_moves_the_client() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let (old, new) = (device.peer, at_port(&device, 6000));
    world.perform(read("a", "lost"));
    assert!(world.received(old).is_some());
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(new, &datagram).code(), Code::CHANGED);
    assert_eq!(world.server.registration("a").map(|registration| registration.peer), Some(new));
    assert!(world.server.knows(new) && !world.server.knows(old));
    assert_eq!(world.server.counters().moved, 1);
    // What went to the old address does not hold up the new one.
    world.perform(read("a", "1"));
    let asked = world.received(new).expect("a request");
    world.send(new, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["updated a", "answered 1 2.05"]);
    world.pass(seconds(100));
    assert_eq!(summary(&world.events()), ["failed lost Timeout"]);
}

#[test]
fn a_notification_moves_the_client() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    let new = at_port(&device, 6000);
    let notification = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(new, &notification).kind(), Kind::Acknowledgement);
    assert_eq!(world.server.registration("a").map(|registration| registration.peer), Some(new));
    world.perform(read("a", "1"));
    assert!(world.received(new).is_some());
    world.assert_silence(device.peer);
}

#[test]
fn a_token_of_an_association_is_worth_nothing_outside_of_it() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    world.associate(Peer { association: 8, ..device.peer }, "b");
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    world.events();
    for association in [0, 8, 9] {
        let stranger = Peer { association, ..at_port(&device, 6000) };
        let notification = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
        world.send(stranger, &notification);
        world.assert_uneventful();
    }
    // The same association, with a connection id, from another address.
    let moved = at_port(&device, 6000);
    let notification = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(moved, &notification).kind(), Kind::Acknowledgement);
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
    assert_eq!(world.server.registration("a").map(|it| it.peer.address), Some(moved.address));
}

#[test]
fn a_location_given_out_over_dtls_is_not_found_without() {
    let mut world = World::new();
    let mut device = Device::secure("a", 7, &[], &mut world);
    let plain = Peer { association: 0, ..device.peer };
    let datagram = device.update_datagram(&["lt=1"], "");
    assert_eq!(world.exchange(plain, &datagram).code(), Code::NOT_FOUND);
    let datagram = device.deregister_datagram();
    assert_eq!(world.exchange(plain, &datagram).code(), Code::NOT_FOUND);
    // A new handshake is as good as the old one.
    let anew = Peer { association: 9, ..device.peer };
    world.associate(anew, "a");
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(anew, &datagram).code(), Code::CHANGED);
}

#[test]
fn another_client_at_the_address_does_not_end_the_first() {
    let mut world = World::new();
    let mut first = Device::registered("a", 5683, &["lt=60"], &mut world);
    let mut second = Device::new("b", 5683);
    for _ in 0..9 {
        second.next_mid();
    }
    second.register(&["lt=60"], &mut world);
    assert_eq!(world.server.len(), 2);
    for _ in 0..9 {
        first.next_mid();
        first.next_mid();
    }
    let datagram = first.update_datagram(&[], "");
    assert_eq!(world.exchange(first.peer, &datagram).code(), Code::CHANGED);
    world.perform(read("b", "1"));
    let asked = world.received(second.peer).expect("a request");
    world.send(second.peer, &piggybacked(&asked, Code::CONTENT).build());
    let datagram = second.deregister_datagram();
    assert_eq!(world.exchange(second.peer, &datagram).code(), Code::DELETED);
    assert!(world.server.registration("a").is_some());
}
