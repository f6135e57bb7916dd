//! Cases 221 to 290: the device management interface.

use tidegate_proto::coap::message::Code;
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::{Sample, Value};

use crate::bytes::bytes;
use crate::sim::{Device, OBJECTS, World, request, summary};
use crate::wire::{answer, assert_asked, text, values};

fn world() -> (World, Device) {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    (world, device)
}

fn read_of(ids: &[u16]) -> Operation {
    Operation::Read { path: Path::from_ids(ids).expect("a path"), queries: vec![], accept: None }
}

fn encoded(format: u16, payload: &str) -> Body {
    Body::Encoded { format: Some(format), payload: bytes(payload) }
}

#[test]
fn int_221_what_the_client_forbids_is_passed_on_and_the_server_asks_nothing_by_itself() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let register = device.register_datagram(&[], "</0/0>,</0/1>,</1/0>,</3/0>");
    assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
    world.assert_silence(device.peer);
    world.events();
    world.perform(request("a", read_of(&[0, 0]), "r"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 30 01 30");
    answer(&mut world, &device, &asked, 0x81, "");
    assert_eq!(summary(&world.events()), ["answered r 4.01"]);
}

#[test]
fn int_222_to_225_an_object_an_instance_a_resource_and_its_instance_are_read() {
    let (mut world, device) = world();
    for (ids, options, payload, expected) in [
        (&[3][..], "B1 33", "08 00 03 C1 09 64", ("/3/0/9", 100)),
        (&[3, 0], "B1 33 01 30", "C1 09 64", ("/3/0/9", 100)),
        (&[3, 0, 9], "B1 33 01 30 01 39", "C1 09 64", ("/3/0/9", 100)),
        (&[3, 0, 11, 0], "B1 33 01 30 02 31 31 01 30", "41 00 02", ("/3/0/11/0", 2)),
    ] {
        world.perform(request("a", read_of(ids), "r"));
        let asked = assert_asked(&mut world, &device, 0x01, options);
        answer(&mut world, &device, &asked, 0x45, &format!("C2 2D16 FF {payload}"));
        assert_eq!(values(&world.event()), [(expected.0.to_owned(), Value::Integer(expected.1))]);
    }
}

#[test]
fn int_226_to_228_writes_replace_or_update_down_to_a_resource_instance() {
    let (mut world, device) = world();
    for (ids, mode, payload, code, options) in [
        (&[1, 0][..], WriteMode::Update, "C1 02 05 C1 03 0A", 0x02, "B1 31 01 30 12 2D16"),
        (&[1, 0], WriteMode::Replace, "C1 00 01 C1 01 1E", 0x03, "B1 31 01 30 12 2D16"),
        (&[1, 0, 2], WriteMode::Replace, "C1 02 05", 0x03, "B1 31 01 30 01 32 12 2D16"),
        (&[2, 0, 2, 1], WriteMode::Replace, "41 01 0F", 0x03, "B1 32 01 30 01 32 01 31 12 2D16"),
    ] {
        let path = Path::from_ids(ids).expect("a path");
        let write = Operation::Write { path, queries: vec![], mode, body: encoded(11542, payload) };
        world.perform(request("a", write, "w"));
        let asked = assert_asked(&mut world, &device, code, &format!("{options} FF {payload}"));
        answer(&mut world, &device, &asked, 0x44, "");
        assert_eq!(summary(&world.events()), ["answered w 2.04"]);
    }
}

#[test]
fn int_229_235_composite_reads_name_paths_down_from_the_root() {
    let (mut world, device) = world();
    let paths = [Path::root(), Path::new([1]), Path::new([3, 0]), Path::new([3, 0, 11, 0])];
    let composite = Operation::ReadComposite { paths: paths.to_vec(), accept: Some(110) };
    world.perform(request("a", composite, "r"));
    let list = r#"[{"n":"/"},{"n":"/1"},{"n":"/3/0"},{"n":"/3/0/11/0"}]"#;
    let asked = assert_asked(&mut world, &device, 0x05, &format!("C1 6E 51 6E FF '{list}'"));
    let pack = r#"[{"bn":"/","n":"1/0/1","v":300},{"n":"3/0/0","vs":"Tide"},{"n":"3/0/11/0","v":2}]"#;
    answer(&mut world, &device, &asked, 0x45, &format!("C1 6E FF '{pack}'"));
    let expected = [
        ("/1/0/1".to_owned(), Value::Integer(300)),
        ("/3/0/0".to_owned(), text("Tide")),
        ("/3/0/11/0".to_owned(), Value::Integer(2)),
    ];
    assert_eq!(values(&world.event()), expected);
}

#[test]
fn int_229_a_client_that_lists_senml_cbor_is_asked_for_composites_in_it() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let register = device.register_datagram(&[], "</>;rt=\"oma.lwm2m\";ct=\"112 110\",</3/0>");
    world.exchange(device.peer, &register);
    world.events();
    let paths = vec![Path::new([3, 0, 9]), Path::new([1])];
    world.perform(request("a", Operation::ReadComposite { paths, accept: None }, "r"));
    let list = "82 A1 00 66 '/3/0/9' A1 00 62 '/1'";
    let asked = assert_asked(&mut world, &device, 0x05, &format!("C1 70 51 70 FF {list}"));
    answer(&mut world, &device, &asked, 0x45, "C1 70 FF 81 A3 21 65 '/3/0/' 00 61 '9' 02 18 64");
    assert_eq!(values(&world.event()), [("/3/0/9".to_owned(), Value::Integer(100))]);
}

#[test]
fn int_236_257_of_a_composite_read_only_what_there_is_comes_back() {
    let (mut world, device) = world();
    for (code, rest, count) in [(0x45, r#"C1 6E FF '[{"n":"/3/0/0","vs":"Tide"}]'"#, 1), (0x84, "", 0)] {
        let paths = vec![Path::new([3, 0, 0]), Path::new([4242])];
        world.perform(request("a", Operation::ReadComposite { paths, accept: Some(110) }, "r"));
        let asked = world.received(device.peer).expect("a request");
        answer(&mut world, &device, &asked, code, rest);
        let event = world.event();
        let Event::Answered { code: told, .. } = &event else { panic!() };
        assert_eq!(*told, code);
        if code == 0x45 {
            assert_eq!(values(&event).len(), count);
        }
    }
}

#[test]
fn int_230_280_281_a_composite_write_is_one_ipatch_with_whole_paths() {
    let (mut world, device) = world();
    let sample = |ids: &[u16], value| Sample {
        path: Path::from_ids(ids).expect("a path"),
        value,
        kind: None,
        taken: None,
    };
    let samples = vec![sample(&[1, 0, 1], Value::Integer(60)), sample(&[3, 0, 14], text("+02:00"))];
    world.perform(request("a", Operation::WriteComposite { body: Body::Samples(samples) }, "w"));
    let pack = r#"[{"n":"/1/0/1","v":60},{"n":"/3/0/14","vs":"+02:00"}]"#;
    let asked = assert_asked(&mut world, &device, 0x07, &format!("C1 6E FF '{pack}'"));
    answer(&mut world, &device, &asked, 0x44, "");
    // Bytes of the caller's choice, such as SenML CBOR.
    let pack = "82 A2 00 66 '/1/0/1' 02 18 3C A2 00 67 '/3/0/14' 03 66 '+02:00'";
    world.perform(request("a", Operation::WriteComposite { body: encoded(112, pack) }, "c"));
    let asked = assert_asked(&mut world, &device, 0x07, &format!("C1 70 FF {pack}"));
    answer(&mut world, &device, &asked, 0x84, "");
    assert_eq!(summary(&world.events()), ["answered w 2.04", "answered c 4.04"]);
}

#[test]
fn int_241_a_device_that_is_rebooted_registers_anew() {
    let (mut world, mut device) = world();
    let reboot = Operation::Execute { path: Path::new([3, 0, 4]), queries: vec![], arguments: None };
    world.perform(request("a", reboot, "x"));
    let asked = assert_asked(&mut world, &device, 0x02, "B1 33 01 30 01 34 10");
    answer(&mut world, &device, &asked, 0x44, "");
    let register = device.register_datagram(&[], OBJECTS);
    assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
    assert_eq!(summary(&world.events()), ["answered x 2.04", "registered a"]);
}

#[test]
fn int_256_errors_are_told_as_they_are() {
    let (mut world, device) = world();
    for code in [0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x8F, 0xA0, 0xA1, 0xA3] {
        let path = Path::new([3, 0, 0]);
        let write =
            Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body: encoded(0, "'x'") };
        world.perform(request("a", write, "w"));
        let asked = world.received(device.peer).expect("a request");
        answer(&mut world, &device, &asked, code, "FF 'why'");
        let Event::Answered { code: told, content, .. } = world.event() else { panic!() };
        assert_eq!((told, content.payload), (code, b"why".to_vec()));
    }
}

#[test]
fn int_260_266_discover_lists_links_to_the_depth_asked_for() {
    let (mut world, device) = world();
    for (ids, depth, options) in [
        (&[3][..], None, "B1 33 61 28"),
        (&[3, 0], None, "B1 33 01 30 61 28"),
        (&[3, 0, 9], None, "B1 33 01 30 01 39 61 28"),
        (&[3], Some(0), "B1 33 47 'depth=0' 21 28"),
        (&[3], Some(3), "B1 33 47 'depth=3' 21 28"),
    ] {
        let path = Path::from_ids(ids).expect("a path");
        world.perform(request("a", Operation::Discover { path, queries: vec![], depth }, "d"));
        let asked = assert_asked(&mut world, &device, 0x01, options);
        answer(&mut world, &device, &asked, 0x45, "C1 28 FF '</3/0/9>;pmin=10'");
        let Event::Answered { content, .. } = world.event() else { panic!() };
        assert_eq!((content.format, content.payload), (Some(40), b"</3/0/9>;pmin=10".to_vec()));
    }
}

#[test]
fn int_261_264_attributes_are_written_and_unset_at_every_level() {
    let (mut world, device) = world();
    let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let all = vec![
        set("pmin", "1"),
        set("pmax", "60"),
        set("gt", "20.5"),
        set("lt", "-1"),
        set("st", "0.5"),
        set("epmin", "1"),
        set("epmax", "5"),
        set("edge", "1"),
        set("con", "1"),
        set("hqmax", "10"),
    ];
    let queries = "'pmin=1' 07 'pmax=60' 07 'gt=20.5' 05 'lt=-1' 06 'st=0.5' 07 'epmin=1' 07 'epmax=5'
         06 'edge=1' 05 'con=1' 08 'hqmax=10'";
    for (ids, values, options) in [
        (&[3, 0, 9][..], all, format!("B1 33 01 30 01 39 46 {queries}")),
        (&[3, 0], vec![("pmin".to_owned(), None)], "B1 33 01 30 44 'pmin'".to_owned()),
        (&[3, 0, 6, 1], vec![set("pmax", "9")], "B1 33 01 30 01 36 01 31 46 'pmax=9'".to_owned()),
    ] {
        let path = Path::from_ids(ids).expect("a path");
        world.perform(request("a", Operation::WriteAttributes { path, values }, "a"));
        let asked = assert_asked(&mut world, &device, 0x03, &options);
        answer(&mut world, &device, &asked, 0x44, "");
        assert_eq!(summary(&world.events()), ["answered a 2.04"]);
    }
}

#[test]
fn int_270_271_290_instances_are_created_and_deleted() {
    let (mut world, device) = world();
    // The client chooses the id, or the payload says it; with a resource of several instances.
    for payload in ["C1 00 01", "08 02 0B C1 00 01 86 02 41 00 0F 41 01 05"] {
        let body = encoded(11542, payload);
        world.perform(request("a", Operation::Create { path: Path::new([2]), queries: vec![], body }, "c"));
        let asked = assert_asked(&mut world, &device, 0x02, &format!("B1 32 12 2D16 FF {payload}"));
        answer(&mut world, &device, &asked, 0x41, "81 32 01 32");
        let Event::Answered { code: 0x41, location, .. } = world.event() else { panic!() };
        assert_eq!(location.as_deref(), Some("/2/2"));
    }
    world.perform(request("a", Operation::Delete { path: Path::new([2, 2]), queries: vec![] }, "d"));
    let asked = assert_asked(&mut world, &device, 0x04, "B1 32 01 32");
    answer(&mut world, &device, &asked, 0x42, "");
    assert_eq!(summary(&world.events()), ["answered d 2.02"]);
}
