//! Content formats that a client does not take, and the one that it does.

use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::{Kind as ValueKind, Sample, Value};

use crate::sim::{
    CONTENT_FORMAT, Device, OBSERVE, World, observe, piggybacked, read, request, seconds, summary,
};

/// A client whose links list these formats.
fn client(formats: &str, world: &mut World) -> Device {
    let mut device = Device::new("a", 5683);
    let links = format!("</>;rt=\"oma.lwm2m\";ct=\"{formats}\",</3/0>");
    let datagram = device.register_datagram(&[], &links);
    let answer = world.exchange(device.peer, &datagram);
    device.locate(&answer);
    assert_eq!(world.events().len(), 1);
    device
}

fn refuse(world: &mut World, device: &Device, asked: &Message, code: Code) {
    world.send(device.peer, &piggybacked(asked, code).build());
}

fn text_write() -> Operation {
    let path = Path::new([3, 0, 14]);
    let value = Value::Text("+02:00".into());
    let body = Body::Samples(vec![Sample { path, value, kind: Some(ValueKind::Text), taken: None }]);
    Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body }
}

#[test]
fn a_read_that_is_not_acceptable_is_asked_once_more_in_a_format_the_client_lists() {
    let mut world = World::new();
    let device = client("110 11542", &mut world);
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.accept(), None);
    refuse(&mut world, &device, &asked, Code::NOT_ACCEPTABLE);
    world.assert_uneventful();
    let again = world.received(device.peer).expect("another request");
    assert_eq!((again.code(), again.accept()), (Code::GET, Some(110)));
    assert_ne!(again.mid(), asked.mid());
    refuse(&mut world, &device, &again, Code::NOT_ACCEPTABLE);
    assert_eq!(summary(&world.events()), ["answered r 4.06"], "once, not for ever");
    world.assert_silence(device.peer);
    assert_eq!(world.server.counters().fallbacks, 1);
}

#[test]
fn a_client_that_lists_no_formats_is_not_asked_twice() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    refuse(&mut world, &device, &asked, Code::NOT_ACCEPTABLE);
    assert_eq!(summary(&world.events()), ["answered r 4.06"]);
    world.assert_silence(device.peer);
}

#[test]
fn a_write_in_a_format_the_client_does_not_take_is_written_in_another() {
    let mut world = World::new();
    let device = client("110 11542", &mut world);
    world.perform(request("a", text_write(), "w"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.content_format(), Some(11542));
    world.perform(read("a", "next"));
    refuse(&mut world, &device, &asked, Code::UNSUPPORTED_CONTENT_FORMAT);
    let again = world.received(device.peer).expect("another request");
    assert_ne!(again.content_format(), Some(11542));
    world.assert_silence(device.peer);
    refuse(&mut world, &device, &again, Code::CHANGED);
    assert_eq!(summary(&world.events()), ["answered w 2.04"]);
    assert!(world.received(device.peer).is_some(), "the next request goes only now");
}

#[test]
fn an_observation_in_another_format_is_cancelled_in_that_format() {
    let mut world = World::new();
    let device = client("110", &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    refuse(&mut world, &device, &asked, Code::NOT_ACCEPTABLE);
    let again = world.received(device.peer).expect("another request");
    assert_eq!((again.observe(), again.accept()), (Some(0), Some(110)));
    let answer = piggybacked(&again, Code::CONTENT).option(OBSERVE, &[1]).option(CONTENT_FORMAT, &[110]);
    world.send(device.peer, &answer.payload(b"[]").build());
    assert_eq!(summary(&world.events()), ["answered o 2.05"]);
    let path = crate::sim::DEVICE;
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Active };
    world.perform(request("a", cancel, "c"));
    let cancelled = world.received(device.peer).expect("a cancellation");
    assert_eq!((cancelled.observe(), cancelled.accept()), (Some(1), Some(110)));
    assert_eq!(cancelled.token(), again.token());
}

#[test]
fn bytes_in_a_format_of_the_callers_choice_are_not_sent_in_another() {
    let mut world = World::new();
    let device = client("110 11542", &mut world);
    world.perform(crate::sim::write("a", b"+02:00", "w"));
    let asked = world.received(device.peer).expect("a request");
    refuse(&mut world, &device, &asked, Code::UNSUPPORTED_CONTENT_FORMAT);
    assert_eq!(summary(&world.events()), ["answered w 4.15"]);
    world.assert_silence(device.peer);
}

#[test]
fn a_fallback_that_is_not_answered_times_out_once() {
    let mut world = World::new();
    let device = client("110 11542", &mut world);
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    refuse(&mut world, &device, &asked, Code::NOT_ACCEPTABLE);
    world.pass(seconds(300));
    let events = world.events();
    assert_eq!(summary(&events), ["failed r Timeout"]);
    assert!(matches!(events[0], Event::Failed { .. }));
}
