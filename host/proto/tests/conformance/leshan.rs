//! The Leshan client: its habits. What the program itself does is shown end to end by `tests/tests/interop_leshan.rs`.

use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::operation::{Body, Operation};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;

use crate::bytes::bytes;
use crate::sim::{CONTENT_FORMAT, Device, OBSERVE, World, observe, piggybacked, read, request, summary};
use crate::wire::{answer, answer_to, location};

const LINKS: &str =
    "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542 11543\",</1>;ver=1.1,</1/0>,</3>;ver=1.1,</3/0>,</3303/0>";

/// A Register in its order of queries: binding, version, lifetime, name; `Q` before them all if it sleeps.
fn register(first: &str) -> String {
    format!(
        "48 02 0001 0102030405060708 B2 'rd' 11 28 {first} 'b=UT' 09 'lwm2m=1.1' 06 'lt=300' 04 'ep=a' FF '{LINKS}'"
    )
}

fn registered() -> (World, Device) {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let answer = world.exchange(device.peer, &bytes(&register("34")));
    device.locate(&answer);
    world.events();
    (world, device)
}

#[test]
fn its_register_is_taken_with_its_list_of_formats() {
    for (first, queue_mode) in [("34", false), ("31 'Q' 04", true)] {
        let mut world = World::new();
        let device = Device::new("a", 5683);
        assert_eq!(answer_to(&mut world, &device, &register(first))[1], Code::CREATED.0);
        let Event::Registered { registration, .. } = world.event() else { panic!() };
        assert_eq!(registration.queue_mode, queue_mode);
        assert_eq!((registration.lifetime, &*registration.binding), (300, "UT"));
        assert_eq!(registration.content_formats.as_deref(), Some(&[60, 110, 112, 11542, 11543][..]));
    }
}

#[test]
fn its_update_replaces_the_objects_and_leaves_the_formats() {
    let (mut world, device) = registered();
    let update = format!(
        "48 02 0002 0102030405060709 B2 'rd' {} 11 28 36 'lt=300' FF '{}'",
        location(&device.location),
        "</>;rt=\"oma.lwm2m\",</1/0>,</3/0>"
    );
    assert_eq!(answer_to(&mut world, &device, &update)[1], Code::CHANGED.0);
    let Event::Updated { registration, links_changed: true, .. } = world.event() else { panic!() };
    assert_eq!(registration.objects.len(), 2);
    let formats = &[60, 110, 112, 11542, 11543][..];
    assert_eq!(registration.content_formats.as_deref(), Some(formats), "it has not said otherwise");
}

#[test]
fn its_confirmable_notifications_with_repeated_numbers_are_all_taken() {
    let (mut world, mut device) = registered();
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[4]).build());
    for sequence in [5, 5, 6, 6, 6, 7, 7] {
        let notification = device.notification(Kind::Confirmable, asked.token().as_bytes(), sequence).build();
        assert_eq!(world.exchange(device.peer, &notification).kind(), Kind::Acknowledgement);
    }
    let events = world.events();
    let sequences: Vec<_> = events[1..]
        .iter()
        .map(|event| {
            let Event::Notified { sequence, .. } = event else { panic!("{event:?}") };
            sequence.expect("a number")
        })
        .collect();
    assert_eq!(sequences, [5, 5, 6, 6, 6, 7, 7]);
}

#[test]
fn its_errors_may_have_a_content_format_and_no_body() {
    let (mut world, device) = registered();
    for (accept, code) in [(None, 0x84), (Some(42), 0xa0)] {
        let path = Path::new([3, 0, 0]);
        world.perform(request("a", Operation::Read { path, queries: vec![], accept }, "r"));
        let asked = world.received(device.peer).expect("a request");
        answer(&mut world, &device, &asked, code, "C0");
        let Event::Answered { code: told, content, .. } = world.event() else { panic!() };
        assert_eq!((told, content.format, content.payload.is_empty()), (code, Some(0), true));
    }
}

#[test]
fn a_create_with_an_id_of_ours_has_no_location() {
    let (mut world, device) = registered();
    let body = Body::Encoded { format: Some(11542), payload: bytes("08 07 05 C8 15E2 00") };
    world.perform(request("a", Operation::Create { path: Path::new([3303]), queries: vec![], body }, "c"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.code(), Code::POST);
    answer(&mut world, &device, &asked, Code::CREATED.0, "");
    let Event::Answered { code: 0x41, location: None, .. } = world.event() else { panic!() };
}

#[test]
fn an_acknowledgement_of_node_red_without_a_token_is_the_answer_if_it_is_an_error() {
    let (mut world, device) = registered();
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &[&[0x60, 0xa0], &asked.mid().to_be_bytes()[..]].concat());
    assert_eq!(summary(&world.events()), ["answered r 5.00"]);
    // Of nothing that is open, it is ignored.
    world.send(device.peer, &bytes("60 A0 7777"));
    world.assert_uneventful();
    world.assert_silence(device.peer);
}

#[test]
fn a_format_may_be_stated_with_any_answer() {
    let (mut world, device) = registered();
    for format in [60_u16, 110, 112, 11542, 11543, 11544] {
        world.perform(read("a", "r"));
        let asked = world.received(device.peer).expect("a request");
        let draft = piggybacked(&asked, Code::CONTENT).option(CONTENT_FORMAT, &format.to_be_bytes());
        world.send(device.peer, &draft.build());
        let Event::Answered { content, .. } = world.event() else { panic!() };
        assert_eq!(content.format, Some(format));
    }
}
