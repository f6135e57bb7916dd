//! Cases 301 to 312: the information reporting interface.

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::Value;

use crate::bytes::bytes;
use crate::sim::{CONTENT_FORMAT, Device, OBSERVE, World, piggybacked, request, summary};
use crate::wire::{answer, answer_to, assert_asked, notify, values};

fn world() -> (World, Device) {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    (world, device)
}

#[test]
fn int_301_302_attributes_are_written_then_observed_then_cancelled_by_reset() {
    let (mut world, device) = world();
    let path = Path::new([3, 0, 9]);
    let values_of =
        vec![("pmin".to_owned(), Some("5".to_owned())), ("pmax".to_owned(), Some("15".to_owned()))];
    world.perform(request("a", Operation::WriteAttributes { path, values: values_of }, "a"));
    let asked = assert_asked(&mut world, &device, 0x03, "B1 33 01 30 01 39 46 'pmin=5' 07 'pmax=15'");
    answer(&mut world, &device, &asked, 0x44, "");
    world.perform(request("a", Operation::Observe { path, queries: vec![], accept: None }, "o"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30 01 39");
    answer(&mut world, &device, &asked, 0x45, "61 0A 62 2D16 FF C1 09 64");
    notify(&mut world, &device, "0101", &asked, "61 0B 62 2D16 FF C1 09 63");
    let events = world.events();
    assert_eq!(summary(&events), ["answered a 2.04", "answered o 2.05", "notified o 2.05"]);
    assert_eq!(values(&events[2]), [("/3/0/9".to_owned(), Value::Integer(99))]);
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Passive };
    world.perform(request("a", cancel, "c"));
    world.assert_silence(device.peer);
    notify(&mut world, &device, "0102", &asked, "61 0C 62 2D16 FF C1 09 62");
    crate::bytes::assert_bytes(&world.received(device.peer).expect("a reset").to_bytes(), "70 00 0102");
    world.assert_uneventful();
}

#[test]
fn int_303_an_observation_is_cancelled_by_a_request() {
    let (mut world, device) = world();
    let path = Path::new([3, 0, 9]);
    world.perform(request("a", Operation::Observe { path, queries: vec![], accept: None }, "o"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30 01 39");
    answer(&mut world, &device, &asked, 0x45, "61 0A 62 2D16 FF C1 09 64");
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Active };
    world.perform(request("a", cancel, "c"));
    let cancelling = assert_asked(&mut world, &device, 0x01, "61 01 51 33 01 30 01 39");
    assert_eq!(cancelling.token(), asked.token());
    answer(&mut world, &device, &cancelling, 0x45, "C2 2D16 FF C1 09 64");
    assert_eq!(summary(&world.events()), ["answered o 2.05", "answered c 2.05"]);
}

/// The list of paths of a composite, as it goes out.
const LIST: &str = r#"[{"n":"/3/0/9"},{"n":"/1/0/1"}]"#;

fn paths() -> Vec<Path> {
    vec![Path::new([3, 0, 9]), Path::new([1, 0, 1])]
}

fn observed_composite(world: &mut World, device: &Device) -> Message {
    world.perform(request("a", Operation::ObserveComposite { paths: paths(), accept: Some(110) }, "o"));
    let asked = assert_asked(world, device, 0x05, &format!("60 61 6E 51 6E FF '{LIST}'"));
    let pack = r#"[{"n":"/3/0/9","v":100},{"n":"/1/0/1","v":300}]"#;
    answer(world, device, &asked, 0x45, &format!("61 01 61 6E FF '{pack}'"));
    assert_eq!(values(&world.event()).len(), 2);
    asked
}

#[test]
fn int_304_305_a_composite_is_observed_and_cancelled_with_the_same_list() {
    let (mut world, device) = world();
    let asked = observed_composite(&mut world, &device);
    let pack = r#"[{"n":"/3/0/9","v":99},{"n":"/1/0/1","v":300}]"#;
    notify(&mut world, &device, "0201", &asked, &format!("61 02 61 6E FF '{pack}'"));
    let expected = [("/3/0/9".to_owned(), Value::Integer(99)), ("/1/0/1".to_owned(), Value::Integer(300))];
    assert_eq!(values(&world.event()), expected);
    let cancel = Operation::CancelObservationComposite { paths: paths(), mode: CancelMode::Active };
    world.perform(request("a", cancel, "c"));
    let cancelling = assert_asked(&mut world, &device, 0x05, &format!("61 01 61 6E 51 6E FF '{LIST}'"));
    assert_eq!(cancelling.token(), asked.token());
    answer(&mut world, &device, &cancelling, 0x45, &format!("C1 6E FF '{pack}'"));
    notify(&mut world, &device, "0202", &asked, "61 03");
    assert_eq!(world.received(device.peer).map(|it| it.kind()), Some(Kind::Reset));
    assert_eq!(summary(&world.events()), ["answered c 2.05"]);
}

#[test]
fn int_308_to_310_a_composite_observation_follows_instances_that_come_and_go() {
    let (mut world, device) = world();
    let asked = observed_composite(&mut world, &device);
    // An instance is created, then deleted: the notifications have one value more, then one less.
    let body = Body::Encoded { format: Some(11542), payload: bytes("C1 00 01") };
    world.perform(request(
        "a",
        Operation::Create { path: Path::new([3303]), queries: vec![], body },
        "create",
    ));
    let creating = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &creating, 0x41, "84 '3303' 01 '1'");
    let pack = r#"[{"n":"/3/0/9","v":1},{"n":"/1/0/1","v":1},{"n":"/3303/1/5700","v":20.5}]"#;
    notify(&mut world, &device, "0301", &asked, &format!("61 05 61 6E FF '{pack}'"));
    let delete = Operation::Delete { path: Path::new([3303, 1]), queries: vec![] };
    world.perform(request("a", delete, "delete"));
    let deleting = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &deleting, 0x42, "");
    notify(&mut world, &device, "0302", &asked, r#"61 06 61 6E FF '[{"n":"/3/0/9","v":1}]'"#);
    let events = world.events();
    let expected = ["answered create 2.01", "notified o 2.05", "answered delete 2.02", "notified o 2.05"];
    assert_eq!(summary(&events), expected);
    assert_eq!((values(&events[1]).len(), values(&events[3]).len()), (3, 1));
    // A passive cancellation: nothing is sent, the next notification is reset.
    let cancel = Operation::CancelObservationComposite { paths: paths(), mode: CancelMode::Passive };
    world.perform(request("a", cancel, "c"));
    world.assert_silence(device.peer);
    notify(&mut world, &device, "0303", &asked, "61 07");
    assert_eq!(world.received(device.peer).map(|it| it.kind()), Some(Kind::Reset));
}

#[test]
fn int_306_311_a_send_is_answered_and_one_of_a_stranger_is_not_found() {
    let (mut world, device) = world();
    let pack = r#"[{"bn":"/3/0/","n":"9","v":77},{"n":"14","vs":"+01:00"}]"#;
    let send = |mid: &str| format!("44 02 {mid} 01020304 B2 'dp' 11 6E FF '{pack}'");
    assert_eq!(answer_to(&mut world, &device, &send("0401")), bytes("64 44 0401 01020304"));
    let Event::Sent { content, .. } = world.event() else { panic!() };
    assert_eq!((content.format, content.payload), (Some(110), pack.as_bytes().to_vec()));
    let stranger = Device::new("b", 7777);
    assert_eq!(answer_to(&mut world, &stranger, &send("0402")), bytes("64 84 0402 01020304"));
    world.assert_uneventful();
}

#[test]
fn int_307_sending_is_muted() {
    let (mut world, device) = world();
    let body = Body::Encoded { format: Some(0), payload: b"1".to_vec() };
    let path = Path::new([1, 0, 23]);
    world.perform(request(
        "a",
        Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body },
        "m",
    ));
    let asked = assert_asked(&mut world, &device, 0x03, "B1 31 01 30 02 32 33 10 FF '1'");
    answer(&mut world, &device, &asked, 0x44, "");
    assert_eq!(summary(&world.events()), ["answered m 2.04"]);
}

#[test]
fn int_312_attributes_go_with_the_observe_request() {
    let (mut world, device) = world();
    let queries = vec!["pmin=5".to_owned(), "pmax=15".to_owned()];
    let observe = Operation::Observe { path: Path::new([3, 0, 9]), queries, accept: None };
    world.perform(request("a", observe, "o"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30 01 39 46 'pmin=5' 07 'pmax=15'");
    let draft = piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).option(CONTENT_FORMAT, &[0]);
    world.send(device.peer, &draft.payload(b"100").build());
    assert_eq!(values(&world.event()), [("/3/0/9".to_owned(), Value::Integer(100))]);
}
