//! Wakaama, byte by byte: the captures of a session, and its habits.
//!
//! Its tokens and ours differ from run to run. What it asks is given whole; what we ask is compared behind the token,
//! and what it answers is put behind ours.

use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::{Kind as Type, Sample, Value};

use crate::bytes::{assert_bytes, bytes, shown};
use crate::sim::{Device, World, observe, read, request, seconds, summary};
use crate::wire::{answer, answer_to, assert_asked, location, notify, text, values};

/// Its object list: 140 bytes.
const LINKS: &str = "</>;rt=\"oma.lwm2m\";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</3/0>,</4/0>,</5/0>,</6/0>,</7/0>,\
     </31024>;ver=1.0,</31024/10>,</31024/11>,</31024/12>";

/// The 142 bytes of its Device object.
const DEVICE_TLV: &str = "C8 00 14 'Open Mobile Alliance' C8 01 16 'Lightweight M2M Client' C8 02 09 '345000123'
     C3 03 '1.0' 86 06 41 00 01 41 01 05 88 07 08 42 00 0ED8 42 01 1388 87 08 41 00 7D 42 01 0384 C1 09 64 C1 0A 0F
     83 0B 41 00 00 C8 0D 08 00000000 BC85969F C6 0E '+01:00' C8 0F 0D 'Europe/Berlin' C1 10 'U'";

const NAME: &str = "testlwm2mclient";

fn register() -> String {
    format!(
        "44 02 C624 24C6AB53 B2 'rd' 11 28 39 'lwm2m=1.1' 0D 05 'ep=testlwm2mclient' 03 'b=U' 06 'lt=300' FF '{LINKS}'"
    )
}

/// Registered as in the capture.
fn registered() -> (World, Device) {
    let mut world = World::new();
    let mut device = Device::new(NAME, 57830);
    let answer = world.exchange(device.peer, &bytes(&register()));
    device.locate(&answer);
    assert_eq!(summary(&world.events()), ["registered testlwm2mclient"]);
    (world, device)
}

fn read_of<const N: usize>(ids: [u16; N], accept: Option<u16>) -> Operation {
    Operation::Read { path: Path::new(ids), queries: vec![], accept }
}

#[test]
fn its_register_of_195_bytes_is_taken() {
    let mut world = World::new();
    let device = Device::new(NAME, 57830);
    assert_eq!((bytes(&register()).len(), LINKS.len()), (195, 140));
    let answer = answer_to(&mut world, &device, &register());
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    let id = registration.location.strip_prefix("/rd/").expect("a location");
    assert_bytes(&answer, &format!("64 41 C624 24C6AB53 82 'rd' {}", location(id)));
    assert_eq!((&*registration.endpoint, registration.lifetime, &*registration.binding), (NAME, 300, "U"));
    assert_eq!(registration.content_formats.as_deref(), Some(&[110][..]));
    assert_eq!((registration.object_version(1), registration.object_version(3)), (Some("1.1"), None));
    let paths: Vec<String> = registration.objects.iter().map(|link| link.path.to_string()).collect();
    let expected = "/1 /1/0 /2/0 /3/0 /4/0 /5/0 /6/0 /7/0 /31024 /31024/10 /31024/11 /31024/12";
    assert_eq!(paths.join(" "), expected);
}

#[test]
fn its_register_as_of_1_0_is_taken() {
    let mut world = World::new();
    let device = Device::new(NAME, 57830);
    let links = LINKS.replace("ct=110", "ct=11543").replace("</1>;ver=1.1,", "");
    let datagram = register().replace("1.1'", "1.0'").replace(LINKS, &links);
    assert_bytes(&answer_to(&mut world, &device, &datagram)[..8], "64 41 C624 24C6AB53");
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    assert_eq!(registration.content_formats.as_deref(), Some(&[11543][..]));
}

#[test]
fn its_updates_and_deregister_are_answered() {
    let (mut world, device) = registered();
    let update = format!("44 02 7799 99773169 B2 'rd' {}", location(&device.location));
    assert_bytes(&answer_to(&mut world, &device, &update), "64 44 7799 99773169");
    // With objects: a body without a Content-Format.
    let objects = format!("44 02 77A0 A0773169 B2 'rd' {} FF '</1/0>,</3/0>'", location(&device.location));
    assert_bytes(&answer_to(&mut world, &device, &objects), "64 44 77A0 A0773169");
    let Event::Updated { links_changed: false, .. } = world.event() else { panic!() };
    let Event::Updated { registration, links_changed: true, .. } = world.event() else { panic!() };
    assert_eq!(registration.objects.len(), 2);
    let leave = format!("44 04 779A 9A773269 B2 'rd' {}", location(&device.location));
    assert_bytes(&answer_to(&mut world, &device, &leave), "64 42 779A 9A773269");
    assert_eq!(summary(&world.events()), ["ended testlwm2mclient Deregistered"]);
}

#[test]
fn its_updates_at_half_its_lifetime_keep_it_for_ever() {
    let (mut world, device) = registered();
    for mid in 0x1000..0x1010 {
        world.pass(seconds(150));
        let update = format!("44 02 {mid:04X} 99773169 B2 'rd' {}", location(&device.location));
        assert_eq!(answer_to(&mut world, &device, &update)[1], Code::CHANGED.0);
    }
    world.pass(seconds(299));
    assert!(world.server.registration(NAME).is_some());
    world.pass(seconds(2));
    assert!(world.server.registration(NAME).is_none());
}

#[test]
fn it_registers_in_blocks_under_one_token() {
    let mut world = World::new();
    let device = Device::new(NAME, 57830);
    let head = "'rd' 11 28 39 'lwm2m=1.1' 0D 05 'ep=testlwm2mclient' 03 'b=U' 06 'lt=300' C1";
    let parts = [&LINKS[..64], &LINKS[64..128], &LINKS[128..]];
    assert!(parts[1].starts_with("0>,</5/0>") && parts[2] == ",</31024/12>");
    let block = |mid, value, part| format!("44 02 {mid} D6DA3469 B2 {head} {value} FF '{part}'");
    let first = answer_to(&mut world, &device, &block("DAD6", "0A", parts[0]));
    assert_bytes(&first, "64 5F DAD6 D6DA3469 D1 0E 0A");
    let second = answer_to(&mut world, &device, &block("DAD7", "1A", parts[1]));
    assert_bytes(&second, "64 5F DAD7 D6DA3469 D1 0E 1A");
    world.assert_uneventful();
    let last = answer_to(&mut world, &device, &block("DAD8", "22", parts[2]));
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    let id = location(&registration.location[4..]);
    assert_bytes(&last, &format!("64 41 DAD8 D6DA3469 82 'rd' {id} D1 06 22"));
    assert_eq!(shown(&registration.links), shown(LINKS.as_bytes()));
}

#[test]
fn the_later_blocks_of_its_update_have_another_content_format_than_the_first() {
    let (mut world, device) = registered();
    let links = &LINKS[..100];
    let head = format!("DCDA3B69 B2 'rd' {}", location(&device.location));
    let first = format!("44 02 DADC {head} D1 03 0A FF '{}'", &links[..64]);
    assert_bytes(&answer_to(&mut world, &device, &first), "64 5F DADC DCDA3B69 D1 0E 0A");
    let second = format!("44 02 DADD {head} 10 D1 02 12 FF '{}'", &links[64..]);
    assert_bytes(&answer_to(&mut world, &device, &second), "64 44 DADD DCDA3B69 D1 0E 12");
    let Event::Updated { registration, links_changed: true, .. } = world.event() else { panic!() };
    assert_eq!(shown(&registration.links), shown(links.as_bytes()));
}

#[test]
fn it_is_read_in_tlv_without_an_accept() {
    let (mut world, device) = registered();
    world.perform(request(NAME, read_of([3, 0, 3], None), "1"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 33 01 30 01 33");
    answer(&mut world, &device, &asked, 0x45, "C2 2D16 FF C3 03 31 2E 30");
    assert_eq!(values(&world.event()), [("/3/0/3".to_owned(), text("1.0"))]);

    world.perform(request(NAME, read_of([3, 0], None), "2"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 33 01 30");
    answer(&mut world, &device, &asked, 0x45, &format!("C2 2D16 FF {DEVICE_TLV}"));
    let instance = values(&world.event());
    assert_eq!(instance.len(), 17);
    assert!(instance.contains(&("/3/0/7/1".to_owned(), Value::Integer(5000))));
    assert!(instance.contains(&("/3/0/13".to_owned(), Value::Time(0xBC85_969F))));

    // The object: the same within object instance 0.
    world.perform(request(NAME, read_of([3], None), "3"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 33");
    answer(&mut world, &device, &asked, 0x45, &format!("C2 2D16 FF 08 00 8E {DEVICE_TLV}"));
    assert_eq!(values(&world.event()), instance);
}

#[test]
fn it_is_read_in_the_format_asked_for() {
    let (mut world, device) = registered();
    let pack = r#"[{"bn":"/3/0/3","vs":"1.0"}]"#;
    let json = r#"{"bn":"/3/0/","e":[{"n":"3","sv":"1.0"}]}"#;
    for (accept, option, rest) in [
        (11542, "62 2D16", "C2 2D16 FF C3 03 '1.0'".to_owned()),
        (1542, "62 0606", "C2 0606 FF C3 03 '1.0'".to_owned()),
        (110, "61 6E", format!("C1 6E FF '{pack}'")),
        (11543, "62 2D17", format!("C2 2D17 FF '{json}'")),
        (1543, "62 0607", format!("C2 0607 FF '{json}'")),
        (0, "60", "C0 FF '1.0'".to_owned()),
    ] {
        world.perform(request(NAME, read_of([3, 0, 3], Some(accept)), "r"));
        let asked = assert_asked(&mut world, &device, 0x01, &format!("B1 33 01 30 01 33 {option}"));
        answer(&mut world, &device, &asked, 0x45, &rest);
        assert_eq!(values(&world.event()), [("/3/0/3".to_owned(), text("1.0"))], "{accept}");
    }
}

#[test]
fn its_senml_names_hang_on_a_base_name_with_a_slash_behind() {
    let (mut world, device) = registered();
    world.perform(request(NAME, read_of([3, 0], Some(110)), "r"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 33 01 30 61 6E");
    let pack = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"6/0","v":1}]"#;
    answer(&mut world, &device, &asked, 0x45, &format!("C1 6E FF '{pack}'"));
    let expected =
        [("/3/0/0".to_owned(), text("Open Mobile Alliance")), ("/3/0/6/0".to_owned(), Value::Integer(1))];
    assert_eq!(values(&world.event()), expected);
}

#[test]
fn it_is_observed_and_cancelled() {
    let (mut world, device) = registered();
    world.perform(observe(NAME, "o"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30");
    let pack = r#"[{"bn":"/3/0/","n":"14","vs":"+01:00"}]"#;
    answer(&mut world, &device, &asked, 0x45, &format!("60 61 6E FF '{pack}'"));
    let Event::Answered { sequence: Some(0), .. } = world.event() else { panic!() };
    let pack = r#"[{"bn":"/3/0/","n":"14","vs":"+02:00"}]"#;
    notify(&mut world, &device, "7797", &asked, &format!("61 01 61 6E FF '{pack}'"));
    assert_eq!(values(&world.event()), [("/3/0/14".to_owned(), text("+02:00"))]);
    world.assert_silence(device.peer);

    let path = Path::new([3, 0]);
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Active };
    world.perform(request(NAME, cancel, "c"));
    let cancelling = assert_asked(&mut world, &device, 0x01, "61 01 51 33 01 30");
    assert_eq!(cancelling.token(), asked.token());
    // The full content, without an Observe option.
    answer(&mut world, &device, &cancelling, 0x45, &format!("C1 6E FF '{pack}'"));
    let Event::Answered { sequence: None, asked: told, .. } = world.event() else { panic!() };
    assert_eq!(&*told.context, "c");
    notify(&mut world, &device, "7798", &asked, "61 02");
    assert_bytes(&world.received(device.peer).expect("a reset").to_bytes(), "70 00 7798");
}

#[test]
fn it_is_observed_in_tlv_and_in_text() {
    let (mut world, device) = registered();
    let accepting = |ids: &[u16], accept| Operation::Observe {
        path: Path::from_ids(ids).expect("a path"),
        queries: vec![],
        accept,
    };
    world.perform(request(NAME, accepting(&[3, 0], Some(11542)), "o"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30 62 2D16");
    answer(&mut world, &device, &asked, 0x45, &format!("60 62 2D16 FF {DEVICE_TLV}"));
    assert_eq!(values(&world.event()).len(), 17);
    notify(&mut world, &device, "77A1", &asked, &format!("61 01 62 2D16 FF {DEVICE_TLV}"));
    assert_eq!(values(&world.event()).len(), 17);

    world.perform(request(NAME, accepting(&[3, 0, 13], None), "t"));
    let asked = assert_asked(&mut world, &device, 0x01, "60 51 33 01 30 02 31 33");
    answer(&mut world, &device, &asked, 0x45, "60 60 FF '3162871511'");
    assert_eq!(values(&world.event()), [("/3/0/13".to_owned(), Value::Time(3_162_871_511))]);
}

#[test]
fn it_is_written_executed_and_discovered() {
    let (mut world, device) = registered();
    let path = Path::new([3, 0, 14]);
    let body = Body::Encoded { format: Some(11542), payload: bytes("C6 0E '+04:00'") };
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    world.perform(request(NAME, write, "w"));
    let rest = "B1 33 01 30 02 31 34 12 2D 16 FF C6 0E 2B 30 34 3A 30 30";
    let asked = assert_asked(&mut world, &device, 0x03, rest);
    answer(&mut world, &device, &asked, 0x44, "");

    let execute = Operation::Execute { path: Path::new([3, 0, 12]), queries: vec![], arguments: None };
    world.perform(request(NAME, execute, "x"));
    let asked = assert_asked(&mut world, &device, 0x02, "B1 33 01 30 02 31 32 10");
    answer(&mut world, &device, &asked, 0x44, "");

    let discover = Operation::Discover { path: Path::new([3, 0]), queries: vec![], depth: None };
    world.perform(request(NAME, discover, "d"));
    let asked = assert_asked(&mut world, &device, 0x01, "B1 33 01 30 61 28");
    answer(&mut world, &device, &asked, 0x45, "C1 28 FF '</3/0>,</3/0/0>,</3/0/13>;pmin=1;pmax=3'");
    assert_eq!(summary(&world.events()), ["answered w 2.04", "answered x 2.04", "answered d 2.05",]);
}

#[test]
fn values_are_never_written_without_a_content_format() {
    let (mut world, device) = registered();
    let path = Path::new([3, 0, 14]);
    let sample = Sample { path, value: text("+04:00"), kind: Some(Type::Text), taken: None };
    let body = Body::Samples(vec![sample]);
    for mode in [WriteMode::Replace, WriteMode::Update] {
        let write = Operation::Write { path, queries: vec![], mode, body: body.clone() };
        world.perform(request(NAME, write, "w"));
        let asked = world.received(device.peer).expect("a request");
        // It takes TLV and SenML JSON of one resource, and nothing else.
        assert!(matches!(asked.content_format(), Some(11542 | 110)), "{asked:?}");
        answer(&mut world, &device, &asked, 0x44, "");
    }
}

#[test]
fn a_lifetime_that_is_written_counts_without_an_update() {
    let (mut world, device) = registered();
    let body = Body::Encoded { format: Some(11542), payload: bytes("C1 01 14") };
    let path = Path::new([1, 0, 1]);
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    world.perform(request(NAME, write, "w"));
    let asked = assert_asked(&mut world, &device, 0x03, "B1 31 01 30 01 31 12 2D16 FF C1 01 14");
    answer(&mut world, &device, &asked, 0x44, "");
    // No Update follows, but the client keeps to it.
    assert_eq!(world.server.registration(NAME).map(|it| it.lifetime), Some(20));
    world.pass(seconds(19));
    let trigger = Operation::Execute { path: Path::new([1, 0, 8]), queries: vec![], arguments: None };
    world.perform(request(NAME, trigger, "t"));
    let asked = assert_asked(&mut world, &device, 0x02, "B1 31 01 30 01 38 10");
    answer(&mut world, &device, &asked, 0x44, "");
    assert_eq!(summary(&world.events()), ["answered w 2.04", "answered t 2.04"]);
    world.pass(seconds(20));
    assert_eq!(summary(&world.events()), [format!("ended {NAME} Expired")]);
}

#[test]
fn errors_are_passed_on_with_their_bodies_unread() {
    let (mut world, device) = registered();
    // A resource instance; an unacceptable format; a block past the end, whose text calls itself TLV.
    for (ids, accept, code, rest, format, body) in [
        (&[3, 0, 6, 1][..], None, 0xa0, "", None, ""),
        (&[3, 0], Some(0), 0x86, "", None, ""),
        (&[3, 0], None, 0x82, "C2 2D16 FF 'BlockOutOfScope'", Some(11542), "BlockOutOfScope"),
    ] {
        let path = Path::from_ids(ids).expect("a path");
        world.perform(request(NAME, Operation::Read { path, queries: vec![], accept }, "r"));
        // 4.06 is asked once more in a format that it lists, and comes again.
        while let Some(asked) = world.received(device.peer) {
            answer(&mut world, &device, &asked, code, rest);
        }
        let Event::Answered { code: told, content, .. } = world.event() else { panic!() };
        assert_eq!((told, content.format, shown(&content.payload)), (code, format, body.to_owned()));
    }
}

#[test]
fn its_error_without_a_token_is_an_answer() {
    let (mut world, device) = registered();
    world.perform(read(NAME, "r"));
    let asked = world.received(device.peer).expect("a request");
    let head = [&[0x60, 0x82], &asked.mid().to_be_bytes()[..]].concat();
    world.send(device.peer, &[head, bytes("FF 'unknown option'")].concat());
    assert_eq!(summary(&world.events()), ["answered r 4.02"]);
}

#[test]
fn a_composite_that_it_acknowledges_and_never_answers_times_out_and_holds_nothing_up() {
    let (mut world, device) = registered();
    world.perform(request(
        NAME,
        Operation::ReadComposite { paths: vec![Path::new([3, 0, 0])], accept: None },
        "fetch",
    ));
    world.perform(read(NAME, "next"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.code(), Code::FETCH);
    world.send(device.peer, &[&[0x60, 0], &asked.mid().to_be_bytes()[..]].concat());
    let next = world.received(device.peer).expect("the next one");
    answer(&mut world, &device, &next, 0x45, "");
    world.pass(seconds(250));
    let expected = ["progressed fetch Acknowledged", "answered next 2.05", "failed fetch Timeout"];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn its_send_has_no_token() {
    let (mut world, device) = registered();
    let pack = r#"[{"bn":"/3/0/","n":"3","vs":"1.0"}]"#;
    let send = format!("40 02 0F01 B2 'dp' 11 6E FF '{pack}'");
    assert_bytes(&answer_to(&mut world, &device, &send), "60 44 0F01");
    let Event::Sent { content, .. } = world.event() else { panic!() };
    assert_eq!((content.format, shown(&content.payload)), (Some(110), shown(pack.as_bytes())));
    // 783 bytes, not blocked.
    let record = |id, length| format!(r#"{{"n":"/31024/10/{id}","vs":"{}"}}"#, "x".repeat(length));
    let pack = format!("[{},{},{}]", record(1, 230), record(2, 230), record(3, 238));
    assert_eq!(pack.len(), 783);
    let send = format!("40 02 0F02 B2 'dp' 11 6E FF '{pack}'");
    assert_bytes(&answer_to(&mut world, &device, &send), "60 44 0F02");
}

#[test]
fn its_one_watcher_of_a_path_may_move_to_a_new_token() {
    let (mut world, device) = registered();
    let observe_of = |ids: &[u16]| Operation::Observe {
        path: Path::from_ids(ids).expect("a path"),
        queries: vec![],
        accept: None,
    };
    world.perform(request(NAME, observe_of(&[3, 0]), "instance"));
    let instance = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &instance, 0x45, "60 61 6E FF '[]'");
    // /3 takes over the watcher of /3/0, whose token goes quiet.
    world.perform(request(NAME, observe_of(&[3]), "object"));
    let object = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &object, 0x45, "60 61 6E FF '[]'");
    notify(&mut world, &device, "7001", &object, "61 01 61 6E FF '[]'");
    // The same path again: the older token stands for nothing from then on.
    world.perform(request(NAME, observe_of(&[3]), "again"));
    let again = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &again, 0x45, "60 61 6E FF '[]'");
    notify(&mut world, &device, "7002", &again, "61 01 61 6E FF '[]'");
    world.assert_silence(device.peer);
    notify(&mut world, &device, "7003", &object, "61 02 61 6E FF '[]'");
    assert_bytes(&world.received(device.peer).expect("a reset").to_bytes(), "70 00 7003");
    let expected = [
        "answered instance 2.05",
        "answered object 2.05",
        "notified object 2.05",
        "answered again 2.05",
        "notified again 2.05",
    ];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn every_notification_after_a_passive_cancellation_is_reset_by_its_own_message_id() {
    let (mut world, device) = registered();
    world.perform(observe(NAME, "o"));
    let asked = world.received(device.peer).expect("a request");
    answer(&mut world, &device, &asked, 0x45, "60 61 6E FF '[]'");
    let path = Path::new([3, 0]);
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Passive };
    world.perform(request(NAME, cancel, "c"));
    for mid in ["7101", "7102", "7103"] {
        notify(&mut world, &device, mid, &asked, "61 05 61 6E FF '[]'");
        let reset = world.received(device.peer).expect("a reset").to_bytes();
        assert_bytes(&reset, &format!("70 00 {mid}"));
    }
    assert_eq!(summary(&world.events()), ["answered o 2.05"]);
}

#[test]
fn it_answers_in_blocks_of_64() {
    let (mut world, device) = registered();
    world.perform(request(NAME, read_of([3, 0], None), "r"));
    let body = bytes(DEVICE_TLV);
    let block = |world: &mut World, asked: &Message, value: u8, part: &[u8]| {
        let head = [&[0x68, 0x45], &asked.mid().to_be_bytes()[..], asked.token().as_bytes()].concat();
        let options = [&bytes("C2 2D16 B1")[..], &[value, 0xff]].concat();
        world.send(device.peer, &[&head, &options, part].concat());
    };
    let first = assert_asked(&mut world, &device, 0x01, "B1 33 01 30");
    block(&mut world, &first, 0x0A, &body[..64]);
    let second = assert_asked(&mut world, &device, 0x01, "B1 33 01 30 C1 12");
    block(&mut world, &second, 0x1A, &body[64..128]);
    let third = assert_asked(&mut world, &device, 0x01, "B1 33 01 30 C1 22");
    block(&mut world, &third, 0x22, &body[128..]);
    assert_eq!(values(&world.event()).len(), 17);
}

#[test]
fn what_is_written_to_it_comes_in_blocks_that_fit_its_buffer() {
    let (mut world, device) = registered();
    let body = Body::Encoded { format: Some(42), payload: vec![7; 4000] };
    let path = Path::new([5, 0, 0]);
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    world.perform(request(NAME, write, "w"));
    for (block, more) in [(0x0E, true), (0x1E, true), (0x2E, true), (0x36, false)] {
        let asked = world.received(device.peer).expect("a block");
        assert!(asked.to_bytes().len() < 2048, "it drops larger ones silently");
        let code = if more { 0x5F } else { 0x44 };
        answer(&mut world, &device, &asked, code, &format!("D1 0E {block:02X}"));
    }
    assert!(summary(&world.events()).contains(&"answered w 2.04".to_owned()));
}

#[test]
fn its_attributes_are_written() {
    let (mut world, device) = registered();
    let value = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let values = vec![value("pmin", "1"), value("pmax", "3"), value("gt", "2.5"), ("st".to_owned(), None)];
    let write = Operation::WriteAttributes { path: Path::new([3, 0, 13]), values };
    world.perform(request(NAME, write, "a"));
    let rest = "B1 33 01 30 02 '13' 46 'pmin=1' 06 'pmax=3' 06 'gt=2.5' 02 'st'";
    let asked = assert_asked(&mut world, &device, 0x03, rest);
    answer(&mut world, &device, &asked, 0x80, "");
    assert_eq!(summary(&world.events()), ["answered a 4.00"]);
}

#[test]
fn its_empty_acknowledgement_of_nothing_is_ignored() {
    // It answers a CoAP ping with an acknowledgement instead of a reset; and one may always be late.
    let (mut world, device) = registered();
    world.send(device.peer, &bytes("60 00 4711"));
    world.send(device.peer, &bytes("70 00 4712"));
    world.assert_silence(device.peer);
    world.assert_uneventful();
    assert_eq!(world.server.registration(NAME).map(|it| it.peer), Some(device.peer));
}
