//! Observations: notifications, their settlement, cancellation, replacement.

use tidegate_proto::coap::endpoint::Delivery;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::operation::{CancelMode, Operation};
use tidegate_proto::lwm2m::server::Event;

use crate::sim::{
    CONTENT_FORMAT, DEVICE, Device, Draft, OBSERVE, Policy, World, empty, observe, piggybacked, read,
    request, seconds, summary,
};

/// Performs an observe request, answers it and returns it.
pub(crate) fn observed(world: &mut World, device: &Device, context: &str) -> Message {
    world.perform(observe(&device.endpoint, context));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.observe(), Some(0));
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    let events = world.events();
    assert_eq!(summary(&events), [format!("answered {context} 2.05")]);
    let [Event::Answered { sequence: Some(1), .. }] = events[..] else { panic!("{events:?}") };
    asked
}

pub(crate) fn cancel(mode: CancelMode, context: &str) -> tidegate_proto::lwm2m::server::Request {
    request("a", Operation::CancelObservation { path: DEVICE, queries: vec![], mode }, context)
}

#[test]
fn notifications_carry_the_context_and_are_acknowledged_when_stored() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let asked = observed(&mut world, &device, "o");
    let token = asked.token();
    let draft = device.notification(Kind::NonConfirmable, token.as_bytes(), 2);
    world.send(device.peer, &draft.option(CONTENT_FORMAT, &[110]).payload(b"[]").build());
    world.assert_silence(device.peer);
    let Event::Notified { asked, code, delivery, sequence, content, receipt: None, .. } = world.event()
    else {
        panic!()
    };
    assert_eq!((&*asked.context, asked.path, code, sequence), ("o", DEVICE, 0x45, Some(2)));
    assert_eq!((delivery, content.format), (Delivery::NonConfirmable, Some(110)));

    let confirmable = device.notification(Kind::Confirmable, token.as_bytes(), 3).build();
    world.policy = Policy::Refuse;
    world.send(device.peer, &confirmable);
    world.assert_silence(device.peer);
    world.policy = Policy::Accept;
    world.pass(seconds(2));
    let acknowledgement = world.exchange(device.peer, &confirmable);
    assert_eq!((acknowledgement.kind(), acknowledgement.code()), (Kind::Acknowledgement, Code::EMPTY));
    assert_eq!(summary(&world.events()), ["notified o 2.05", "notified o 2.05"]);
    // The acknowledgement was lost.
    assert_eq!(world.exchange(device.peer, &confirmable), acknowledgement);
    world.assert_uneventful();
}

#[test]
fn an_error_ends_the_observation_once_it_is_stored() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let asked = observed(&mut world, &device, "o");
    let gone =
        Draft::new(Kind::Confirmable, Code::NOT_FOUND, device.next_mid()).token(asked.token().as_bytes());
    let gone = gone.build();
    world.policy = Policy::Refuse;
    world.send(device.peer, &gone);
    world.assert_silence(device.peer);
    world.policy = Policy::Accept;
    assert_eq!(world.exchange(device.peer, &gone).kind(), Kind::Acknowledgement);
    assert_eq!(summary(&world.events()), ["notified o 4.04", "notified o 4.04"]);
    let late = device.notification(Kind::Confirmable, asked.token().as_bytes(), 9).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
}

#[test]
fn observing_the_same_again_replaces() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let first = observed(&mut world, &device, "first").token();
    let second = observed(&mut world, &device, "second").token();
    let stale = device.notification(Kind::NonConfirmable, first.as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &stale).kind(), Kind::Reset);
    let fresh = device.notification(Kind::NonConfirmable, second.as_bytes(), 2).build();
    world.send(device.peer, &fresh);
    assert_eq!(summary(&world.events()), ["notified second 2.05"]);
}

#[test]
fn an_observe_request_that_fails_leaves_the_older_observation() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let first = observed(&mut world, &device, "first").token();
    world.perform(observe("a", "second"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::INTERNAL_SERVER_ERROR).build());
    let notification = device.notification(Kind::NonConfirmable, first.as_bytes(), 2).build();
    world.send(device.peer, &notification);
    assert_eq!(summary(&world.events()), ["answered second 5.00", "notified first 2.05"]);
}

#[test]
fn an_active_cancellation_repeats_the_token_and_ends_the_observation() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let queries = vec!["pmin=5".to_owned()];
    world.perform(request("a", Operation::Observe { path: DEVICE, queries, accept: Some(110) }, "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    world.perform(cancel(CancelMode::Active, "c"));
    let cancelling = world.received(device.peer).expect("a request");
    assert_eq!((cancelling.observe(), cancelling.token()), (Some(1), asked.token()));
    assert_eq!(cancelling.uri_query().collect::<Vec<_>>(), [b"pmin=5"]);
    assert_eq!(cancelling.accept(), Some(110));
    // A notification may cross it.
    let crossing = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 2).build();
    world.send(device.peer, &crossing);
    world.send(device.peer, &piggybacked(&cancelling, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered o 2.05", "notified o 2.05", "answered c 2.05"]);
    let late = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
}

#[test]
fn a_cancellation_that_fails_leaves_the_observation() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.perform(cancel(CancelMode::Active, "c"));
    world.pass(seconds(100));
    assert_eq!(summary(&world.events()), ["failed c Timeout"]);
    let notification = device.notification(Kind::NonConfirmable, token.as_bytes(), 2).build();
    world.send(device.peer, &notification);
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
}

#[test]
fn a_cancellation_that_is_acknowledged_and_never_answered_ends_the_observation() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.perform(cancel(CancelMode::Active, "c"));
    let cancelling = world.received(device.peer).expect("a request");
    world.send(device.peer, &empty(Kind::Acknowledgement, &cancelling));
    // Until it is clear that no answer will come, notifications are what they were.
    let notification = device.notification(Kind::NonConfirmable, token.as_bytes(), 2).build();
    world.send(device.peer, &notification);
    world.pass(seconds(300));
    let expected = ["progressed c Acknowledged", "notified o 2.05", "failed c Timeout"];
    assert_eq!(summary(&world.events()), expected);
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Reset);
    world.assert_uneventful();
}

#[test]
fn a_cancellation_of_nothing_is_still_sent() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(cancel(CancelMode::Active, "c"));
    let cancelling = world.received(device.peer).expect("a request");
    assert_eq!(cancelling.observe(), Some(1));
    world.send(device.peer, &piggybacked(&cancelling, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered c 2.05"]);
}

#[test]
fn a_passive_cancellation_sends_nothing_and_resets_the_next_notification() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.perform(cancel(CancelMode::Passive, "c"));
    world.assert_silence(device.peer);
    world.assert_uneventful();
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Reset);
    world.assert_uneventful();
}

#[test]
fn a_notification_wakes_a_sleeper() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["b=UQ"], &mut world);
    let token = observed(&mut world, &device, "o").token();
    world.pass(seconds(100));
    world.perform(read("a", "1"));
    let notification = device.notification(Kind::Confirmable, token.as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Acknowledgement);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::GET));
    assert_eq!(
        summary(&world.events()),
        ["progressed 1 Queued", "notified o 2.05", "progressed 1 Transmitted"]
    );
}

#[test]
fn composites_are_observed_beside_the_paths_they_name() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let single = observed(&mut world, &device, "single").token();
    world.perform(request(
        "a",
        Operation::ObserveComposite { paths: vec![DEVICE], accept: None },
        "composite",
    ));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!((asked.code(), asked.observe()), (Code::FETCH, Some(0)));
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    for token in [single, asked.token()] {
        let notification = device.notification(Kind::NonConfirmable, token.as_bytes(), 2).build();
        world.send(device.peer, &notification);
    }
    let expected = ["answered composite 2.05", "notified single 2.05", "notified composite 2.05"];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn what_was_observed_is_observed_again_after_a_new_registration() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let before = observed(&mut world, &device, "o");
    device.register(&[], &mut world);
    let again = world.received(device.peer).expect("the observation is asked for again");
    assert_eq!((again.observe(), again.code()), (Some(0), Code::GET));
    assert_ne!(again.token(), before.token());
    world.assert_silence(device.peer);
    // Whoever asked for it has had an answer: this is news to him.
    world.send(device.peer, &piggybacked(&again, Code::CONTENT).option(OBSERVE, &[7]).build());
    let events = world.events();
    assert_eq!(summary(&events), ["notified o 2.05"]);
    let [Event::Notified { sequence: Some(7), receipt: None, .. }] = events[..] else { panic!("{events:?}") };
    let token = again.token();
    world.send(device.peer, &device.notification(Kind::NonConfirmable, token.as_bytes(), 8).build());
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
    let stale = device.notification(Kind::Confirmable, before.token().as_bytes(), 9).build();
    assert_eq!(world.exchange(device.peer, &stale).kind(), Kind::Reset, "the old one is void");
}

#[test]
fn what_is_asked_for_on_a_new_registration_is_not_asked_for_twice() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    observed(&mut world, &device, "before");
    world.policy = Policy::Leave;
    world.send(device.peer, &device.register_datagram(&[], crate::sim::OBJECTS));
    let Event::Registered { receipt, previous: Some(_), .. } = world.event() else { panic!() };
    world.perform(observe("a", "after"));
    world.settle(receipt, tidegate_proto::lwm2m::server::Settlement::Accepted);
    assert_eq!(world.received(device.peer).expect("the answer").code(), Code::CREATED);
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    assert_eq!(summary(&world.events()), ["answered after 2.05"]);
    world.assert_silence(device.peer);
}

#[test]
fn a_client_that_does_not_have_it_any_more_says_so() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    observed(&mut world, &device, "o");
    device.register(&[], &mut world);
    let again = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&again, Code::NOT_FOUND).build());
    assert_eq!(summary(&world.events()), ["notified o 4.04"], "an error ends the observation");
    device.register(&[], &mut world);
    world.assert_silence(device.peer);
}

#[test]
fn an_observation_survives_two_registrations_at_once() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    observed(&mut world, &device, "o");
    device.register(&[], &mut world);
    let lost = world.received(device.peer).expect("a request");
    device.register(&[], &mut world);
    let again = world.received(device.peer).expect("the request, again");
    assert_ne!(lost.token(), again.token());
    world.send(device.peer, &piggybacked(&again, Code::CONTENT).option(OBSERVE, &[1]).build());
    assert_eq!(summary(&world.events()), ["notified o 2.05"]);
}
