//! Cases 551 to 935: device management of the objects Server, Device, Connectivity Monitoring, Location and Connectivity
//! Statistics, each resource by what its definition allows; and the firmware update.

use tidegate_proto::coap::message::Code;
use tidegate_proto::lwm2m::model::{Definition, Models, Operations, Resource};
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::{Kind, ObjectLink, Sample, Value};

use crate::bytes::bytes;
use crate::sim::{Device, World, request, summary};
use crate::wire::{answer, assert_asked, notify, text, values};

/// A value of each type, and its bytes in TLV.
fn example(kind: Kind) -> (Value<'static>, &'static [u8]) {
    match kind {
        Kind::Text | Kind::CoreLink => (text("abc"), b"abc"),
        Kind::Integer => (Value::Integer(-2), &[0xfe]),
        Kind::Unsigned => (Value::Unsigned(7), &[7]),
        Kind::Float => (Value::Float(1.5), &[0x3f, 0xc0, 0, 0]),
        Kind::Boolean => (Value::Boolean(true), &[1]),
        Kind::Opaque => (Value::Opaque(vec![1, 2, 3].into()), &[1, 2, 3]),
        Kind::Time => (Value::Time(1_367_491_215), &[0x51, 0x82, 0x42, 0x8f]),
        Kind::ObjectLink => (Value::ObjectLink(ObjectLink { object: 66, instance: 0 }), &[0, 0x42, 0, 0]),
        Kind::Executable => unreachable!("it has no value"),
    }
}

/// The resource, or its instance 3, with an example: path below the object, TLV and value.
fn entry(resource: &Resource) -> (Vec<u16>, Vec<u8>, Value<'static>) {
    let kind = resource.kind.expect("a type");
    let (value, bytes) = example(kind);
    let id = u8::try_from(resource.id).expect("below 256");
    let length = u8::try_from(bytes.len()).expect("short");
    if resource.multiple {
        let inner = [&[0x40 | length, 3][..], bytes].concat();
        return (vec![0, resource.id, 3], [&[0x82 + length, id][..], &inner].concat(), value);
    }
    (vec![0, resource.id], [&[0xc0 | length, id][..], bytes].concat(), value)
}

fn resource_path(definition: &Definition, resource: &Resource) -> Path {
    Path::new([definition.object, 0, resource.id])
}

fn definitions(objects: &[u16]) -> Vec<Definition> {
    let models = Models::built_in();
    let found =
        objects.iter().map(|object| models.definition(*object, None).expect("it is built in").clone());
    found.collect()
}

/// A client of 1.0, which is written to in TLV.
fn world() -> (World, Device) {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &["lwm2m=1.0"], &mut world);
    (world, device)
}

#[test]
fn int_551_to_935_every_readable_resource_is_read_in_its_type() {
    let (mut world, device) = world();
    let mut count = 0;
    for definition in definitions(&[1, 3, 4, 6, 7]) {
        for resource in definition.resources() {
            if !matches!(resource.operations, Operations::R | Operations::RW) {
                continue;
            }
            let path = resource_path(&definition, resource);
            world.perform(request("a", Operation::Read { path, queries: vec![], accept: None }, "r"));
            let asked = world.received(device.peer).expect("a request");
            assert_eq!(asked.uri_path().count(), 3);
            let (below, tlv, value) = entry(resource);
            let digits: String = tlv.iter().map(|byte| format!("{byte:02X}")).collect();
            answer(&mut world, &device, &asked, 0x45, &format!("C2 2D16 FF {digits}"));
            let ids: Vec<u16> = [definition.object].into_iter().chain(below).collect();
            let at = Path::from_ids(&ids).expect("a path").to_string();
            assert_eq!(values(&world.event()), [(at, value)], "{}", resource.name);
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn int_551_to_935_every_writable_resource_is_written_in_its_type() {
    let (mut world, device) = world();
    let mut count = 0;
    for definition in definitions(&[1, 2, 3, 5, 7]) {
        for resource in definition.resources() {
            if !matches!(resource.operations, Operations::W | Operations::RW) {
                continue;
            }
            let (below, tlv, value) = entry(resource);
            let ids: Vec<u16> = [definition.object].into_iter().chain(below).collect();
            let sample =
                Sample { path: Path::from_ids(&ids).expect("a path"), value, kind: None, taken: None };
            let path = resource_path(&definition, resource);
            let body = Body::Samples(vec![sample]);
            let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
            world.perform(request("a", write, "w"));
            let asked = world.received(device.peer).expect("a request");
            assert_eq!((asked.code(), asked.content_format()), (Code::PUT, Some(11542)));
            assert_eq!(asked.payload(), tlv, "{}", resource.name);
            answer(&mut world, &device, &asked, 0x44, "");
            assert_eq!(summary(&world.events()), ["answered w 2.04"]);
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn int_551_to_935_every_executable_resource_is_executed() {
    let (mut world, device) = world();
    let mut count = 0;
    for definition in definitions(&[1, 3, 5, 7]) {
        for resource in definition.resources() {
            if resource.operations != Operations::E {
                continue;
            }
            let path = resource_path(&definition, resource);
            world.perform(request("a", Operation::Execute { path, queries: vec![], arguments: None }, "x"));
            let asked = world.received(device.peer).expect("a request");
            assert_eq!((asked.code(), asked.payload().is_empty()), (Code::POST, true));
            answer(&mut world, &device, &asked, 0x44, "");
            assert_eq!(summary(&world.events()), ["answered x 2.04"]);
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn int_751_the_firmware_object_is_queried() {
    let (mut world, device) = world();
    let read = Operation::Read { path: Path::new([5, 0]), queries: vec![], accept: None };
    world.perform(request("a", read, "r"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 35 01 30");
    let tlv = "C0 01 C1 03 00 C1 05 00 C6 06 'tide-1' C3 07 '1.0' 86 08 41 00 00 41 01 01 C1 09 02";
    answer(&mut world, &device, &asked, 0x45, &format!("C2 2D16 FF {tlv}"));
    let expected = [
        ("/5/0/1", text("")),
        ("/5/0/3", Value::Integer(0)),
        ("/5/0/5", Value::Integer(0)),
        ("/5/0/6", text("tide-1")),
        ("/5/0/7", text("1.0")),
        ("/5/0/8/0", Value::Integer(0)),
        ("/5/0/8/1", Value::Integer(1)),
        ("/5/0/9", Value::Integer(2)),
    ];
    assert_eq!(values(&world.event()), expected.map(|(path, value)| (path.to_owned(), value)));
}

/// State and result are observed; an update goes through downloading, downloaded, updating, and ends.
#[test]
fn int_752_to_760_a_package_is_pushed_in_blocks_or_pulled_and_its_states_are_told() {
    for pushed in [true, false] {
        let (mut world, device) = world();
        let observe = |resource, context| {
            let path = Path::new([5, 0, resource]);
            request("a", Operation::Observe { path, queries: vec![], accept: None }, context)
        };
        world.perform(observe(3, "state"));
        let state = assert_asked(&mut world, &device, 0x01, "60 51 35 01 30 01 33");
        answer(&mut world, &device, &state, 0x45, "61 01 62 2D16 FF C1 03 00");
        world.perform(observe(5, "result"));
        let result = assert_asked(&mut world, &device, 0x01, "60 51 35 01 30 01 35");
        answer(&mut world, &device, &result, 0x45, "61 01 62 2D16 FF C1 05 00");
        let (path, format, payload) = if pushed {
            (Path::new([5, 0, 0]), 42, vec![0xa5; 3000])
        } else {
            (Path::new([5, 0, 1]), 0, b"coap://example.org/tide.bin".to_vec())
        };
        let body = Body::Encoded { format: Some(format), payload: payload.clone() };
        world.perform(request(
            "a",
            Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body },
            "w",
        ));
        let mut arrived = Vec::new();
        while let Some(asked) = world.received(device.peer) {
            arrived.extend_from_slice(asked.payload());
            match asked.block1() {
                Some(block) if block.more => {
                    let value = block.number << 4 | 0xE;
                    answer(&mut world, &device, &asked, 0x5F, &format!("D1 0E {value:02X}"));
                }
                _ => answer(&mut world, &device, &asked, 0x44, ""),
            }
        }
        assert_eq!(arrived, payload);
        for (sequence, number) in [(2, 1), (3, 2)] {
            let rest = format!("61 {sequence:02X} 62 2D16 FF C1 03 {number:02X}");
            notify(&mut world, &device, &format!("03{sequence:02X}"), &state, &rest);
        }
        let update = Operation::Execute { path: Path::new([5, 0, 2]), queries: vec![], arguments: None };
        world.perform(request("a", update, "x"));
        let asked = assert_asked(&mut world, &device, 0x02, "B1 35 01 30 01 32 10");
        answer(&mut world, &device, &asked, 0x44, "");
        notify(&mut world, &device, "0304", &state, "61 04 62 2D16 FF C1 03 03");
        notify(&mut world, &device, "0305", &result, "61 05 62 2D16 FF C1 05 01");
        let events = world.events();
        let told: Vec<_> =
            events.iter().filter(|event| matches!(event, Event::Notified { .. })).flat_map(values).collect();
        let step = |path: &str, number| (path.to_owned(), Value::Integer(number));
        assert_eq!(told, [step("/5/0/3", 1), step("/5/0/3", 2), step("/5/0/3", 3), step("/5/0/5", 1)]);
        let names = summary(&events);
        assert!(
            names.contains(&"answered w 2.04".to_owned()) && names.contains(&"answered x 2.04".to_owned())
        );
    }
}

/// Each result from 2 (not enough flash) to 9 (unsupported protocol) is told as the device says it.
#[test]
fn int_770_to_780_each_failure_of_an_update_is_told() {
    let (mut world, device) = world();
    let observe = Operation::Observe { path: Path::new([5, 0, 5]), queries: vec![], accept: None };
    world.perform(request("a", observe, "result"));
    let result = assert_asked(&mut world, &device, 0x01, "60 51 35 01 30 01 35");
    answer(&mut world, &device, &result, 0x45, "61 01 62 2D16 FF C1 05 00");
    world.events();
    for number in 2..=9 {
        let rest = format!("61 {number:02X} 62 2D16 FF C1 05 {number:02X}");
        notify(&mut world, &device, &format!("04{number:02X}"), &result, &rest);
        assert_eq!(values(&world.event()), [("/5/0/5".to_owned(), Value::Integer(number))]);
    }
    // A package in a state that does not allow it is refused with the write itself.
    let body = Body::Encoded { format: Some(42), payload: bytes("00") };
    let path = Path::new([5, 0, 0]);
    world.perform(request(
        "a",
        Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body },
        "w",
    ));
    let asked = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &asked, 0x85, "");
    assert_eq!(summary(&world.events()), ["answered w 4.05"]);
}
