//! Cases 201 to 237: reading and writing in each format.

use tidegate_proto::coap::message::Code;
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::Value;

use crate::sim::{Device, World, request};
use crate::wire::{answer, assert_asked, text, values};

/// One resource in a format: its number, the option values that ask for it and state it, and the payload.
struct Case {
    format: u16,
    /// Behind the path in a request: Accept.
    accept: &'static str,
    /// First in an answer: Content-Format.
    stated: &'static str,
    payload: &'static str,
}

/// `/3/0/0` with the manufacturer `Tide`.
const READS: &[Case] = &[
    Case { format: 0, accept: "60", stated: "C0", payload: "'Tide'" },
    Case { format: 11542, accept: "62 2D16", stated: "C2 2D16", payload: "C4 00 'Tide'" },
    Case { format: 110, accept: "61 6E", stated: "C1 6E", payload: r#"'[{"bn":"/3/0/0","vs":"Tide"}]'"# },
    Case { format: 60, accept: "61 3C", stated: "C1 3C", payload: "64 'Tide'" },
    Case { format: 112, accept: "61 70", stated: "C1 70", payload: "81 A2 21 66 '/3/0/0' 03 64 'Tide'" },
    Case { format: 11544, accept: "62 2D18", stated: "C2 2D18", payload: "A1 03 A1 00 A1 00 64 'Tide'" },
];

#[test]
fn int_201_to_232_a_resource_is_read_in_the_format_asked_for() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    for case in READS {
        let operation =
            Operation::Read { path: Path::new([3, 0, 0]), queries: vec![], accept: Some(case.format) };
        world.perform(request("a", operation, "r"));
        let asked = assert_asked(&mut world, &device, 0x01, &format!("B1 33 01 30 01 30 {}", case.accept));
        answer(&mut world, &device, &asked, 0x45, &format!("{} FF {}", case.stated, case.payload));
        assert_eq!(values(&world.event()), [("/3/0/0".to_owned(), text("Tide"))], "{}", case.format);
    }
}

#[test]
fn int_211_an_opaque_resource_is_read_as_it_is() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let operation = Operation::Read { path: Path::new([6, 0, 4]), queries: vec![], accept: Some(42) };
    world.perform(request("a", operation, "r"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 36 01 30 01 34 61 2A");
    answer(&mut world, &device, &asked, 0x45, "C1 2A FF 00 FF 10");
    let expected = Value::Opaque(vec![0, 0xff, 0x10].into());
    assert_eq!(values(&world.event()), [("/6/0/4".to_owned(), expected)]);
}

#[test]
fn int_205_to_234_a_resource_is_written_in_a_format_of_the_callers_choice() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    for (format, option, payload) in [
        (0, "10", "'+02:00'"),
        (42, "11 2A", "00 FF"),
        (60, "11 3C", "66 '+02:00'"),
        (110, "11 6E", r#"'[{"bn":"/3/0/14","vs":"+02:00"}]'"#),
        (112, "11 70", "81 A2 21 67 '/3/0/14' 03 66 '+02:00'"),
        (11542, "12 2D16", "C6 0E '+02:00'"),
        (11543, "12 2D17", r#"'{"bn":"/3/0/14","e":[{"sv":"+02:00"}]}'"#),
        (11544, "12 2D18", "A1 03 A1 00 A1 0E 66 '+02:00'"),
    ] {
        let body = Body::Encoded { format: Some(format), payload: crate::bytes::bytes(payload) };
        let path = Path::new([3, 0, 14]);
        let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
        world.perform(request("a", write, "w"));
        let rest = format!("B1 33 01 30 02 31 34 {option} FF {payload}");
        let asked = assert_asked(&mut world, &device, 0x03, &rest);
        answer(&mut world, &device, &asked, 0x44, "");
        let Event::Answered { code, .. } = world.event() else { panic!() };
        assert_eq!(Code(code), Code::CHANGED);
    }
}

#[test]
fn int_237_an_object_is_read_in_whatever_format_comes() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    for (stated, payload) in [
        ("C2 2D16", "08 00 09 C4 00 'Tide' C1 09 64"),
        ("C1 6E", r#"'[{"bn":"/3/0/","n":"0","vs":"Tide"},{"n":"9","v":100}]'"#),
        ("C2 2D17", r#"'{"bn":"/3/","e":[{"n":"0/0","sv":"Tide"},{"n":"0/9","v":100}]}'"#),
        ("C1 70", "82 A3 21 65 '/3/0/' 00 61 '0' 03 64 'Tide' A2 00 61 '9' 02 18 64"),
        ("C2 2D18", "A1 03 A1 00 A2 00 64 'Tide' 09 18 64"),
    ] {
        world.perform(request(
            "a",
            Operation::Read { path: Path::new([3]), queries: vec![], accept: None },
            "r",
        ));
        let asked = assert_asked(&mut world, &device, 0x01, "B1 33");
        answer(&mut world, &device, &asked, 0x45, &format!("{stated} FF {payload}"));
        let expected = [("/3/0/0".to_owned(), text("Tide")), ("/3/0/9".to_owned(), Value::Integer(100))];
        assert_eq!(values(&world.event()), expected, "{stated}");
    }
}
