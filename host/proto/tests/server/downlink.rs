//! Requests for clients: order, sleepers, answers and failures.

use std::sync::Arc;

use tidegate_proto::coap::endpoint::Delivery;
use tidegate_proto::coap::message::{Code, Kind};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Failure, Request, Settlement, shard_of_token};
use tidegate_proto::lwm2m::value::{Sample, Value};

use crate::sim::{
    CONTENT_FORMAT, Device, Draft, LOCATION_PATH, OBJECTS, OBSERVE, Policy, World, empty, piggybacked, read,
    receipt, request, seconds, summary,
};

#[test]
fn a_read_is_answered() {
    let mut world = World::with(Config { shard: 9, ..Config::default() });
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "context"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!((asked.kind(), asked.code()), (Kind::Confirmable, Code::GET));
    assert_eq!(asked.uri_path().collect::<Vec<_>>(), [b"3", b"0"]);
    assert_eq!(shard_of_token(&asked.token(), 10), Some(9));
    let answer =
        piggybacked(&asked, Code::CONTENT).option(CONTENT_FORMAT, &[0x2d, 0x16]).payload(b"\xc3\x031.0");
    world.send(device.peer, &answer.build());
    let Event::Answered { registration, asked, code, delivery, sequence, content, location } = world.event()
    else {
        panic!()
    };
    assert_eq!((&*registration.endpoint, &*asked.context, code), ("a", "context", 0x45));
    assert_eq!((delivery, sequence, location), (Delivery::Piggybacked, None, None));
    assert_eq!((content.format, content.payload), (Some(11542), b"\xc3\x031.0".to_vec()));
    world.assert_uneventful();
}

#[test]
fn a_create_tells_the_location_without_the_alternate_path() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&[], "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/3/0>");
    world.exchange(device.peer, &datagram);
    let body = Body::Encoded { format: Some(11542), payload: vec![] };
    world.perform(request("a", Operation::Create { path: Path::new([3303]), queries: vec![], body }, "c"));
    let asked = world.received(device.peer).expect("a request");
    assert_eq!(asked.uri_path().collect::<Vec<_>>(), [&b"lwm2m"[..], b"3303"]);
    let answer =
        ["lwm2m", "3303", "1"].into_iter().fold(piggybacked(&asked, Code::CREATED), |answer, segment| {
            answer.option(LOCATION_PATH, segment.as_bytes())
        });
    world.send(device.peer, &answer.build());
    let events = world.events();
    let Some(Event::Answered { location, .. }) = events.last() else { panic!() };
    assert_eq!(location.as_deref(), Some("/3303/1"));
}

/// Also a request that waited when they came, and in the version that the client has of the object.
#[test]
fn values_are_written_by_the_latest_definitions() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let links = "</4000>;ver=\"1.1\",</4000/0>";
    let datagram = device.register_datagram(&[], links);
    world.exchange(device.peer, &datagram);
    let path = Path::new([4000, 0, 1]);
    let sample = Sample { path, value: Value::Integer(7), kind: None, taken: None };
    let seven = Operation::Write {
        path,
        queries: vec![],
        mode: WriteMode::Replace,
        body: Body::Samples(vec![sample]),
    };
    world.perform(request("a", seven.clone(), "1"));
    world.perform(request("a", seven, "2"));
    let first = world.received(device.peer).expect("a request");
    assert_eq!(first.payload(), b"\xc1\x01\x07");

    let mut models = Models::default();
    for (version, kind) in [("1.0", "String"), ("1.1", "Float"), ("2.0", "Boolean")] {
        let xml = format!(
            "<LWM2M><Object><Name>A</Name><ObjectID>4000</ObjectID><ObjectVersion>{version}</ObjectVersion>\
             <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Resources>\
             <Item ID=\"1\"><Name>B</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>\
             <Mandatory>Optional</Mandatory><Type>{kind}</Type></Item></Resources></Object></LWM2M>"
        );
        models.load_xml("a.xml", &xml).expect("a definition");
    }
    world.server.set_models(Arc::new(models));
    world.send(device.peer, &piggybacked(&first, Code::CHANGED).build());
    let second = world.received(device.peer).expect("the next request");
    assert_eq!(second.payload(), b"\xc4\x01\x40\xe0\x00\x00", "7 as a float of 32 bits");
}

#[test]
fn one_at_a_time_in_order_and_each_its_own_way() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    for context in ["1", "2", "3", "4"] {
        world.perform(read("a", context));
    }
    let one = world.received(device.peer).expect("the first");
    world.assert_silence(device.peer);
    world.send(device.peer, &piggybacked(&one, Code::NOT_FOUND).build());
    let two = world.received(device.peer).expect("the second");
    world.assert_silence(device.peer);
    world.send(device.peer, &empty(Kind::Reset, &two));
    let three = world.received(device.peer).expect("the third");
    // A separate answer: its acknowledgement lets the next one go.
    world.send(device.peer, &empty(Kind::Acknowledgement, &three));
    let four = world.received(device.peer).expect("the fourth");
    world.send(device.peer, &piggybacked(&four, Code::CONTENT).build());
    world.pass(seconds(30));
    let separate = Draft::new(Kind::Confirmable, Code::CONTENT, 999).token(three.token().as_bytes()).build();
    assert_eq!(world.exchange(device.peer, &separate).kind(), Kind::Acknowledgement);
    // Our acknowledgement was lost.
    assert_eq!(world.exchange(device.peer, &separate).kind(), Kind::Acknowledgement);
    let expected = [
        "answered 1 4.04",
        "failed 2 Reset",
        "progressed 3 Acknowledged",
        "answered 4 2.05",
        "answered 3 2.05",
    ];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn an_urgent_request_goes_beside_an_open_one() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "1"));
    world.perform(read("a", "2"));
    world.perform(Request { urgent: true, ..read("a", "urgent") });
    let one = world.received(device.peer).expect("the first");
    let urgent = world.received(device.peer).expect("the urgent one");
    world.assert_silence(device.peer);
    world.send(device.peer, &piggybacked(&urgent, Code::CONTENT).build());
    world.assert_silence(device.peer);
    world.send(device.peer, &piggybacked(&one, Code::CONTENT).build());
    assert!(world.received(device.peer).is_some());
    assert_eq!(summary(&world.events()), ["answered urgent 2.05", "answered 1 2.05"]);
}

#[test]
fn a_request_that_times_out_does_so_once_and_the_queue_goes_on() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "1"));
    world.perform(read("a", "2"));
    world.pass(seconds(94));
    assert_eq!(summary(&world.events()), ["failed 1 Timeout"]);
    let sent: Vec<_> = std::iter::from_fn(|| world.received(device.peer)).map(|it| it.mid()).collect();
    assert!(sent.len() >= 6, "five times the first, then the second: {sent:?}");
    assert!(sent[..5].iter().all(|mid| *mid == sent[0]) && sent[5] != sent[0], "{sent:?}");
    world.pass(seconds(94));
    assert_eq!(summary(&world.events()), ["failed 2 Timeout"]);
}

#[test]
fn an_acknowledged_request_that_is_never_answered_times_out() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "1"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &empty(Kind::Acknowledgement, &asked));
    world.pass(seconds(300));
    assert_eq!(summary(&world.events()), ["progressed 1 Acknowledged", "failed 1 Timeout"]);
}

#[test]
fn a_sleeper_gets_what_waits_one_by_one_when_it_wakes() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["b=UQ"], &mut world);
    world.pass(seconds(93));
    world.perform(read("a", "1"));
    world.perform(Request { urgent: true, ..read("a", "2") });
    world.perform(read("a", "3"));
    world.assert_silence(device.peer);
    let expected = ["progressed 1 Queued", "progressed 2 Queued", "progressed 3 Queued"];
    assert_eq!(summary(&world.events()), expected);

    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    let one = world.received(device.peer).expect("the first, after the answer");
    let two = world.received(device.peer).expect("the urgent one beside it");
    world.assert_silence(device.peer);
    world.send(device.peer, &piggybacked(&one, Code::CONTENT).build());
    let three = world.received(device.peer).expect("the third");
    world.send(device.peer, &piggybacked(&two, Code::CONTENT).build());
    world.send(device.peer, &piggybacked(&three, Code::CONTENT).build());
    let expected = [
        "updated a",
        "progressed 1 Transmitted",
        "progressed 2 Transmitted",
        "answered 1 2.05",
        "progressed 3 Transmitted",
        "answered 2 2.05",
        "answered 3 2.05",
    ];
    assert_eq!(summary(&world.events()), expected);
}

#[test]
fn any_datagram_wakes_a_sleeper() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["Q"], &mut world);
    world.pass(seconds(100));
    world.perform(read("a", "1"));
    let send = device.request(Code::POST).path("dp").build();
    assert_eq!(world.exchange(device.peer, &send).code(), Code::CHANGED);
    let asked = world.received(device.peer).expect("what waited");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    world.pass(seconds(100));
    world.perform(read("a", "2"));
    world.send(device.peer, &Draft::new(Kind::Confirmable, Code::EMPTY, 1).build());
    assert_eq!(world.received(device.peer).map(|it| it.kind()), Some(Kind::Reset));
    assert!(world.received(device.peer).is_some());
}

#[test]
fn a_sleeper_that_does_not_answer_is_left_alone_until_it_speaks() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["b=UQ"], &mut world);
    world.pass(seconds(50));
    world.perform(read("a", "1"));
    world.perform(read("a", "2"));
    world.pass(seconds(100));
    assert_eq!(summary(&world.events()), ["failed 1 Timeout"]);
    let mids: std::collections::HashSet<_> =
        std::iter::from_fn(|| world.received(device.peer)).map(|it| it.mid()).collect();
    assert_eq!(mids.len(), 1, "only the first was tried");
    let datagram = device.update_datagram(&[], "");
    world.exchange(device.peer, &datagram);
    assert!(world.received(device.peer).is_some(), "the second");
}

#[test]
fn what_waits_too_long_expires() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["b=UQ"], &mut world);
    world.pass(seconds(100));
    let deadline = Some(world.now + seconds(30));
    world.perform(Request { deadline, ..read("a", "1") });
    world.perform(read("a", "2"));
    world.events();
    world.pass(seconds(29));
    world.assert_uneventful();
    world.pass(seconds(1));
    assert_eq!(summary(&world.events()), ["failed 1 Expired"]);
    let datagram = device.update_datagram(&[], "");
    world.exchange(device.peer, &datagram);
    let asked = world.received(device.peer).expect("the second");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["updated a", "progressed 2 Transmitted", "answered 2 2.05"]);
}

#[test]
fn queues_are_bounded() {
    let config = Config { max_queued: 3, max_queued_asleep: 2, ..Config::default() };
    let mut world = World::with(config);
    Device::registered("awake", 5683, &[], &mut world);
    Device::registered("asleep", 5684, &["b=UQ"], &mut world);
    world.pass(seconds(93));
    world.take_sent();
    for _ in 0..4 {
        world.perform(read("awake", "awake"));
    }
    for _ in 0..3 {
        world.perform(Request { urgent: true, ..read("asleep", "asleep") });
    }
    let expected = [
        "failed awake QueueFull",
        "progressed asleep Queued",
        "progressed asleep Queued",
        "failed asleep QueueFull",
    ];
    assert_eq!(summary(&world.events()), expected);
    assert_eq!(world.server.counters().queue_full, 2);
}

#[test]
fn requests_without_a_body_are_bounded_in_all_as_well() {
    let config = Config { max_queued_bytes_in_all: 2_000, ..Config::default() };
    let mut world = World::with(config);
    let devices: Vec<_> = (0..5_u16)
        .map(|number| Device::registered(&format!("d{number}"), 5_683 + number, &["b=UQ"], &mut world))
        .collect();
    world.pass(seconds(93));
    world.take_sent();
    for device in &devices {
        world.perform(read(&device.endpoint, &device.endpoint));
    }
    let expected = ["d0", "d1", "d2"].map(|name| format!("progressed {name} Queued"));
    let events = summary(&world.events());
    assert_eq!(events[..3], expected);
    assert_eq!(events[3..], ["failed d3 QueueFull", "failed d4 QueueFull"]);
}

#[test]
fn observations_of_a_client_are_bounded() {
    let mut world = World::with(Config { max_observations: 2, ..Config::default() });
    let device = Device::registered("a", 5683, &[], &mut world);
    let observe = |resource: u16| {
        let path = Path::new([3, 0, resource]);
        request("a", Operation::Observe { path, queries: vec![], accept: None }, &resource.to_string())
    };
    for resource in [1, 2] {
        world.perform(observe(resource));
        let asked = world.received(device.peer).expect("a request");
        world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    }
    world.events();
    world.perform(observe(3));
    world.assert_silence(device.peer);
    let events = world.events();
    let [Event::Failed { failure: Failure::Invalid(reason), .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("2 observations"), "{reason}");
    assert_eq!(world.server.counters().excess_observations, 1);
    world.perform(observe(2));
    assert!(world.received(device.peer).is_some(), "what is observed can be asked for again");
}

#[test]
fn nothing_is_asked_before_the_register_is_answered() {
    let mut world = World::new();
    world.policy = Policy::Leave;
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&[], OBJECTS);
    world.send(device.peer, &datagram);
    let registered = world.event();
    world.perform(Request { urgent: true, ..read("a", "1") });
    world.assert_silence(device.peer);
    world.assert_uneventful();
    world.settle(receipt(&registered).expect("a receipt"), Settlement::Accepted);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CREATED));
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::GET));

    // And so when it registers again.
    let datagram = device.register_datagram(&[], OBJECTS);
    world.send(device.peer, &datagram);
    let registered = world.event();
    world.perform(read("a", "2"));
    world.assert_silence(device.peer);
    world.settle(receipt(&registered).expect("a receipt"), Settlement::Accepted);
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::CREATED));
    assert_eq!(world.received(device.peer).map(|it| it.code()), Some(Code::GET));
}

#[test]
fn what_was_asked_of_a_client_that_never_came_fails() {
    let mut world = World::new();
    world.perform(read("a", "1"));
    world.policy = Policy::Leave;
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&[], OBJECTS);
    world.send(device.peer, &datagram);
    world.perform(read("a", "2"));
    let events = world.events();
    world.settle(receipt(&events[1]).expect("a receipt"), Settlement::Refused);
    let Event::Failed { registration: None, failure: Failure::UnknownClient, endpoint, .. } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!(&**endpoint, "a");
    assert_eq!(summary(&world.events()), ["failed 2 UnknownClient"]);
    world.assert_silence(device.peer);
}

#[test]
fn what_cannot_be_sent_fails_and_holds_nothing_up() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let operation = Operation::Read { path: Path::root(), queries: vec!["q".repeat(300)], accept: None };
    world.perform(request("a", operation, "1"));
    world.perform(read("a", "2"));
    let expected = [r#"failed 1 Invalid("a query of 300 bytes; 255 are possible")"#];
    assert_eq!(summary(&world.events()), expected);
    assert!(world.received(device.peer).is_some());
}

#[test]
fn the_end_of_a_registration_ends_its_requests() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "open"));
    world.perform(read("a", "waiting"));
    let open = world.received(device.peer).expect("a request");
    let datagram = device.deregister_datagram();
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::DELETED);
    let expected = ["ended a Deregistered", "failed open Ended", "failed waiting Ended"];
    assert_eq!(summary(&world.events()), expected);
    world.send(device.peer, &piggybacked(&open, Code::CONTENT).build());
    world.pass(seconds(300));
    world.assert_uneventful();
    world.assert_silence(device.peer);
    assert_eq!(world.next_timeout(), None, "nothing is left that needs time");
}
