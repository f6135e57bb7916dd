//! Anjay: its habits.

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Version;
use tidegate_proto::lwm2m::server::{Event, Failure};
use tidegate_proto::lwm2m::value::Value;

use crate::bytes::bytes;
use crate::sim::{
    BLOCK1, CONTENT_FORMAT, Device, Draft, OBSERVE, World, observe, piggybacked, read, request, seconds,
    summary,
};
use crate::wire::{answer, answer_to, assert_asked, location, text, values};

/// No link to the root; its Server object is instance 1; versions in quotes.
const LINKS: &str = "</1>;ver=\"1.1\",</1/1>,</2>,</3>;ver=\"1.1\",</3/0>,</5/0>";

/// A Register in its order of queries.
fn register(mid: &str, version: &str, rest: &str) -> String {
    format!(
        "48 02 {mid} 0102030405060708 B2 'rd' 11 28 39 'lwm2m={version}' 04 'ep=a' 05 'lt=30' {rest} FF '{LINKS}'"
    )
}

fn registered() -> (World, Device) {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let answer = world.exchange(device.peer, &bytes(&register("0001", "1.1", "")));
    device.locate(&answer);
    world.events();
    (world, device)
}

#[test]
fn its_register_as_of_1_2_is_taken() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    let answer = answer_to(&mut world, &device, &register("0001", "1.2", ""));
    assert_eq!((answer[1], &answer[4..12]), (Code::CREATED.0, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    assert_eq!((registration.version, registration.lifetime), (Version::V1_2, 30));
    assert_eq!((&*registration.alternate_path, &*registration.binding), ("/", ""));
    assert_eq!((registration.object_version(1), registration.object_version(3)), (Some("1.1"), Some("1.1")));
    assert_eq!((registration.object_version(2), registration.content_formats.clone()), (None, None));
    assert!(registration.objects.iter().any(|link| link.path == Path::new([1, 1])));
}

#[test]
fn a_version_that_is_not_supported_is_refused_with_the_code_that_makes_it_try_an_older_one() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    // 4.00 would make it wait for a minute and ask the same again.
    let refused = answer_to(&mut world, &device, &register("0001", "1.3", ""));
    assert_eq!(refused[1], Code::PRECONDITION_FAILED.0);
    let taken = answer_to(&mut world, &device, &register("0002", "1.1", ""));
    assert_eq!(taken[1], Code::CREATED.0);
}

#[test]
fn its_queue_mode_is_a_bare_query_or_a_binding() {
    for (version, query) in [("1.1", "01 'Q'"), ("1.0", "04 'b=UQ'")] {
        let mut world = World::new();
        let device = Device::new("a", 5683);
        answer_to(&mut world, &device, &register("0001", version, query));
        let Event::Registered { registration, .. } = world.event() else { panic!() };
        assert!(registration.queue_mode, "{query}");
    }
}

#[test]
fn its_registers_and_updates_follow_one_another_from_one_port() {
    let (mut world, device) = registered();
    let update = format!("48 02 0002 0102030405060709 B2 'rd' {}", location(&device.location));
    world.pass(seconds(15));
    assert_eq!(answer_to(&mut world, &device, &update)[1], Code::CHANGED.0);
    // The lifetime was written: an Update says so, with the objects as they are now.
    let update = format!(
        "48 02 0003 010203040506070A B2 'rd' {} 11 28 35 'lt=60' FF '</1/1>,</3/0>'",
        location(&device.location)
    );
    assert_eq!(answer_to(&mut world, &device, &update)[1], Code::CHANGED.0);
    assert_eq!(world.server.registration("a").map(|it| (it.lifetime, it.objects.len())), Some((60, 2)));
    // It was away for too long: 4.04, and a new Register at once; and so when it has been switched off and on.
    world.pass(seconds(61));
    let update = format!("48 02 0004 010203040506070B B2 'rd' {}", location(&device.location));
    assert_eq!(answer_to(&mut world, &device, &update)[1], Code::NOT_FOUND.0);
    for mid in ["0005", "0006"] {
        assert_eq!(answer_to(&mut world, &device, &register(mid, "1.1", ""))[1], Code::CREATED.0);
    }
    let expected = ["updated a", "updated a", "ended a Expired", "registered a", "registered a"];
    assert_eq!(summary(&world.events()), expected);
    assert_eq!(world.server.len(), 1);
}

#[test]
fn while_an_answer_of_its_comes_in_blocks_it_is_asked_nothing_else() {
    // It would answer 5.03.
    let (mut world, device) = registered();
    world.perform(read("a", "large"));
    world.perform(read("a", "next"));
    let part = |world: &mut World, asked: &Message, number: u8, more: bool| {
        let block = number << 4 | u8::from(more) << 3;
        let payload = if more { &b"0123456789abcdef"[..] } else { b"." };
        let draft = piggybacked(asked, Code::CONTENT).option(23, &[block]).payload(payload);
        world.send(device.peer, &draft.build());
    };
    for number in 0..3 {
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.block2().map_or(0, |block| block.number), u32::from(number));
        world.assert_silence(device.peer);
        part(&mut world, &asked, number, number < 2);
    }
    assert_eq!(summary(&world.events()), ["answered large 2.05"]);
    assert_eq!(world.received(device.peer).and_then(|next| next.block2()), None);
}

#[test]
fn a_busy_answer_is_passed_on() {
    let (mut world, device) = registered();
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &asked, Code::SERVICE_UNAVAILABLE.0, "");
    assert_eq!(summary(&world.events()), ["answered r 5.03"]);
}

#[test]
fn it_is_never_written_to_in_a_format_from_before_the_standard() {
    let (mut world, device) = registered();
    let path = Path::new([3, 0, 14]);
    let sample = tidegate_proto::lwm2m::value::Sample { path, value: text("x"), kind: None, taken: None };
    let body = Body::Samples(vec![sample]);
    world.perform(request(
        "a",
        Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body },
        "w",
    ));
    let asked = world.received(device.peer).expect("a request");
    assert!(asked.content_format().is_some_and(|format| !(1541..=1543).contains(&format)));
}

#[test]
fn its_notifications_carry_times_and_its_names_begin_with_a_slash() {
    let (mut world, mut device) = registered();
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    let pack = br#"[{"bn":"/3/0","bt":1700000000.5,"n":"/9","v":80},{"n":"/14","vs":"+01:00"}]"#;
    let draft = piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[0]).option(CONTENT_FORMAT, &[110]);
    world.send(device.peer, &draft.payload(pack).build());
    let event = world.event();
    let expected = [("/3/0/9".to_owned(), Value::Integer(80)), ("/3/0/14".to_owned(), text("+01:00"))];
    assert_eq!(values(&event), expected);
    let notification = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 1);
    world.send(device.peer, &notification.option(CONTENT_FORMAT, &[110]).payload(pack).build());
    let Event::Notified { content, .. } = world.event() else { panic!() };
    let samples = format::decode(content.format, Path::new([3, 0]), &content.payload, &Models::built_in());
    let taken: Vec<_> = samples.expect("a pack").iter().map(|sample| sample.taken).collect();
    assert_eq!(taken, [Some(1_700_000_000_500), Some(1_700_000_000_500)]);
}

/// Anjay writes base name, name, value; Leshan value, name, base name. The time is a float of 64 bits.
#[test]
fn the_entries_of_its_cbor_may_come_in_any_order() {
    let (mut world, device) = registered();
    for (pack, taken) in [
        ("81 A3 21 64 '/3/0' 00 62 '/9' 02 18 50", None),
        ("81 A3 02 18 50 00 62 '/9' 21 64 '/3/0'", None),
        ("81 A4 21 64 '/3/0' 22 FB 41D954FC40200000 00 62 '/9' 02 18 50", Some(1_700_000_000_500)),
    ] {
        world.perform(read("a", "r"));
        let asked = world.received(device.peer).expect("a request");
        answer(&mut world, &device, &asked, 0x45, &format!("C1 70 FF {pack}"));
        let event = world.event();
        assert_eq!(values(&event), [("/3/0/9".to_owned(), Value::Integer(80))], "{pack}");
        let Event::Answered { content, .. } = event else { panic!() };
        let samples = format::decode(content.format, Path::new([3, 0]), &content.payload, &());
        assert_eq!(samples.expect("a pack")[0].taken, taken);
    }
}

#[test]
fn its_answer_to_a_cancellation_has_no_observe_option() {
    let (mut world, mut device) = registered();
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &asked, 0x45, "60");
    let path = Path::new([3, 0]);
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Active };
    world.perform(request("a", cancel, "c"));
    let cancelling = assert_asked(&mut world, &device, 0x01, "61 01 51 '3' 01 '0'");
    answer(&mut world, &device, &cancelling, 0x45, "");
    let late = device.notification(Kind::Confirmable, asked.token().as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
    assert_eq!(summary(&world.events()), ["answered o 2.05", "answered c 2.05"]);
}

#[test]
fn it_is_asked_confirmably_only() {
    // A non-confirmable request it answers in an acknowledgement.
    let (mut world, device) = registered();
    let path = Path::new([3, 0, 4]);
    for operation in [
        Operation::Read { path, queries: vec![], accept: None },
        Operation::Execute { path, queries: vec![], arguments: None },
        Operation::Delete { path: Path::new([3303, 0]), queries: vec![] },
    ] {
        world.perform(request("a", operation, "x"));
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.kind(), Kind::Confirmable);
        world.send(device.peer, &piggybacked(&asked, Code::CHANGED).build());
    }
}

#[test]
fn blocks_out_of_order_are_incomplete() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    for (mid, number, expected) in [
        (1, 3, Code::REQUEST_ENTITY_INCOMPLETE),
        (2, 0, Code::CONTINUE),
        (3, 2, Code::REQUEST_ENTITY_INCOMPLETE),
        (4, 1, Code::CONTINUE),
    ] {
        let draft = Draft::new(Kind::Confirmable, Code::POST, mid).token(&[mid as u8; 8]);
        let draft = draft.path("rd").query("lwm2m=1.1").query("ep=a").option(BLOCK1, &[number << 4 | 8]);
        let answer = world.exchange(device.peer, &draft.payload(&[b','; 16]).build());
        assert_eq!(answer.code(), expected, "block {number}");
    }
    world.assert_uneventful();
}

#[test]
fn a_reset_fails_the_request_at_once() {
    let (mut world, device) = registered();
    world.perform(read("a", "r"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &[&[0x70, 0], &asked.mid().to_be_bytes()[..]].concat());
    let Event::Failed { failure: Failure::Reset, .. } = world.event() else { panic!() };
    world.pass(seconds(300));
    world.assert_silence(device.peer);
}
