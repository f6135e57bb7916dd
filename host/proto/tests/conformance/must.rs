//! What the standards oblige a server to, and no OMA test case exercises.

use tidegate_proto::coap::endpoint::{Config, Endpoint, ObservationId, Request, RequestId};
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{self, Event};

use crate::sim::{BLOCK1, DEVICE, Device, Draft, OBSERVE, Random, World, piggybacked, request};
use crate::stage::{Stage, peer};

#[test]
fn a_version_that_is_not_supported_is_a_failed_precondition() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    for version in ["lwm2m=0.9", "lwm2m=1.3", "lwm2m=2.0", "lwm2m=", "lwm2m=x"] {
        let register = device.request(Code::POST).path("rd").query("ep=a").query(version).build();
        assert_eq!(world.exchange(device.peer, &register).code(), Code::PRECONDITION_FAILED, "{version}");
    }
    assert!(world.server.is_empty());
}

#[test]
fn unknown_objects_and_attributes_never_fail_a_register() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let links =
        "</65534/65534>,</42769>;ver=9.9,</3/0>;x=\"y z\";obs,</not/an/object>,</70000/1>,</1/0/1>,<?>";
    let register = device.register_datagram(&[], links);
    assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    let paths: Vec<String> = registration.objects.iter().map(|link| link.path.to_string()).collect();
    assert_eq!(paths, ["/65534/65534", "/42769", "/3/0"]);
}

fn encoded() -> Body {
    Body::Encoded { format: Some(110), payload: b"[]".to_vec() }
}

#[test]
fn every_operation_goes_out_confirmable() {
    let (path, paths, queries) = (DEVICE, vec![DEVICE], vec![]);
    let resource = Path::new([3, 0, 4]);
    let operations = [
        Operation::Read { path, queries: queries.clone(), accept: None },
        Operation::Discover { path, queries: queries.clone(), depth: None },
        Operation::Write { path, queries: queries.clone(), mode: WriteMode::Replace, body: encoded() },
        Operation::Write { path, queries: queries.clone(), mode: WriteMode::Update, body: encoded() },
        Operation::WriteAttributes { path, values: vec![] },
        Operation::Execute { path: resource, queries: queries.clone(), arguments: None },
        Operation::Create { path: Path::new([3]), queries: queries.clone(), body: encoded() },
        Operation::Delete { path, queries: queries.clone() },
        Operation::Observe { path, queries: queries.clone(), accept: None },
        Operation::CancelObservation { path, queries, mode: CancelMode::Active },
        Operation::ReadComposite { paths: paths.clone(), accept: None },
        Operation::WriteComposite { body: encoded() },
        Operation::ObserveComposite { paths: paths.clone(), accept: None },
        Operation::CancelObservationComposite { paths, mode: CancelMode::Active },
    ];
    for operation in operations {
        let mut world = World::new();
        let device = Device::registered("a", 5683, &[], &mut world);
        world.perform(request("a", operation.clone(), "x"));
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.kind(), Kind::Confirmable, "{operation:?}");
    }
}

/// RFC 7252 section 4.8.2: EXCHANGE_LIFETIME is 247 s, NON_LIFETIME 145 s.
#[test]
fn a_message_is_a_duplicate_for_247_seconds_or_145() {
    let mut stage = Stage::new(1);
    let request = "41 02 0007 't' B2 'rd' FF 'x'";
    stage.receive(request);
    let (receipt, _) = stage.asked();
    stage.respond(receipt, Message::response(Code::CHANGED));
    stage.assert_sent("61 44 0007 't'");
    for _ in 0..2 {
        stage.pass(123);
        stage.receive(request);
        stage.assert_sent("61 44 0007 't'");
        stage.assert_uneventful();
    }
    stage.pass(2);
    stage.receive(request);
    stage.asked();

    let request = "51 02 0008 't' B2 'rd' FF 'x'";
    stage.receive(request);
    stage.asked();
    stage.pass(144);
    stage.receive(request);
    stage.assert_uneventful();
    stage.pass(2);
    stage.receive(request);
    stage.asked();
}

/// Seven of its eight bytes come from the source of randomness; the first names the shard.
#[test]
fn a_token_cannot_be_guessed() {
    let tokens = |seed| {
        let mut endpoint = Endpoint::new(Config::new(9), Box::new(Random(seed)));
        let now = tidegate_proto::time::Instant::from_micros(1);
        let ask = |number| {
            let observation = Some(ObservationId(number));
            let message = Message::request(Code::GET).with_option_uint(OBSERVE, 0);
            let request = Request { id: RequestId(number), message, observation, token: None };
            endpoint.request(now, peer(), request).as_bytes().to_vec()
        };
        (0..500).map(ask).collect::<Vec<_>>()
    };
    let (mut all, others) = (tokens(1), tokens(2));
    assert!(all.iter().all(|token| token.len() == 8 && token[0] == 9));
    all.extend(others);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 1000, "no two alike, and other seeds give others");
    for place in 1..8 {
        let values: std::collections::BTreeSet<u8> = all.iter().map(|token| token[place]).collect();
        assert!(values.len() > 200, "byte {place} takes {} values", values.len());
    }
}

#[test]
fn a_notification_of_an_unknown_token_is_reset() {
    let mut stage = Stage::new(1);
    stage.receive("48 45 0009 0102030405060708 61 05 FF 'x'");
    stage.assert_sent("70 00 0009");
    stage.receive("58 45 000A 0102030405060708 61 05 FF 'x'");
    stage.assert_sent("70 00 000A");
    stage.assert_uneventful();
}

#[test]
fn bodies_are_bounded_and_the_bound_is_told() {
    let coap = Config { body: 64, ..Config::default() };
    let mut world = World::with(server::Config { coap, ..server::Config::default() });
    let device = Device::new("a", 5683);
    let post = |mid: u16| Draft::new(Kind::Confirmable, Code::POST, mid).path("rd").query("ep=a");
    // Announced at the beginning: Size1 of 65 bytes.
    let announced = post(1).option(BLOCK1, &[0x08]).option(60, &[65]).payload(&[b','; 16]).build();
    let answer = world.exchange(device.peer, &announced);
    assert_eq!((answer.code(), answer.size1()), (Code::REQUEST_ENTITY_TOO_LARGE, Some(64)));
    // Not announced: noticed when it is too much.
    for number in 0..=4_u8 {
        let part =
            post(2 + u16::from(number)).option(BLOCK1, &[number << 4 | 8]).payload(&[b','; 16]).build();
        let answer = world.exchange(device.peer, &part);
        if number < 4 {
            assert_eq!(answer.code(), Code::CONTINUE);
        } else {
            assert_eq!((answer.code(), answer.size1()), (Code::REQUEST_ENTITY_TOO_LARGE, Some(64)));
        }
    }
    world.assert_uneventful();
}

#[test]
fn an_update_replaces_the_object_list_and_merges_the_parameters() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=60", "b=U", "sms=1"], &mut world);
    let update = device.update_datagram(&["lt=90"], "</5/0>");
    assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    let Some(registration) = world.server.registration("a") else { panic!() };
    let paths: Vec<String> = registration.objects.iter().map(|link| link.path.to_string()).collect();
    assert_eq!(paths, ["/5/0"]);
    assert_eq!((registration.parameter("sms"), registration.lifetime), (Some("1"), 90));
}

#[test]
fn versions_of_objects_may_be_quoted_or_not() {
    for links in ["</3>;ver=1.1,</3/0>", "</3>;ver=\"1.1\",</3/0>", "</3/0>;ver=1.1", "</3/0>;ver=\"1.1\""] {
        let mut world = World::new();
        let mut device = Device::new("a", 5683);
        let register = device.register_datagram(&[], links);
        assert_eq!(world.exchange(device.peer, &register).code(), Code::CREATED);
        assert_eq!(
            world.server.registration("a").and_then(|it| it.object_version(3)),
            Some("1.1"),
            "{links}"
        );
    }
}

#[test]
fn there_is_no_bootstrap_server_here() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let pack = device.request(Code::GET).path("bspack").query("ep=a").build();
    assert_eq!(world.exchange(device.peer, &pack).code(), Code::NOT_IMPLEMENTED);
    let bootstrap = device.request(Code::POST).path("bs").query("ep=a").build();
    assert_eq!(world.exchange(device.peer, &bootstrap).code(), Code::NOT_FOUND);
}

#[test]
fn a_cancellation_that_crosses_a_notification_ends_in_silence_or_reset() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(crate::sim::observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    let cancel = Operation::CancelObservation { path: DEVICE, queries: vec![], mode: CancelMode::Active };
    world.perform(request("a", cancel, "c"));
    let cancelling = world.received(device.peer).expect("a request");
    let crossing = device.notification(Kind::Confirmable, asked.token().as_bytes(), 2).build();
    assert_eq!(world.exchange(device.peer, &crossing).kind(), Kind::Acknowledgement);
    world.send(device.peer, &piggybacked(&cancelling, Code::CONTENT).build());
    let late = device.notification(Kind::Confirmable, asked.token().as_bytes(), 3).build();
    assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
}
