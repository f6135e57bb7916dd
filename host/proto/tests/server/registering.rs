//! Register, Update, De-register, Send, and the end of registrations.

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::server::{Config, End, Event, Settlement, shard_of_location};

use crate::sim::{
    BLOCK1, CONTENT_FORMAT, Device, Draft, OBJECTS, Policy, World, piggybacked, read, receipt, seconds,
    summary,
};

#[test]
fn a_registration_lives_and_ends() {
    let mut world = World::with(Config { shard: 5, ..Config::default() });
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&["lt=60", "b=U"], OBJECTS);
    let answer = world.exchange(device.peer, &datagram);
    assert_eq!((answer.kind(), answer.code()), (Kind::Acknowledgement, Code::CREATED));
    device.locate(&answer);
    assert_eq!(shard_of_location(&device.location, 6), Some(5));
    let Event::Registered { registration, previous: None, .. } = world.event() else { panic!() };
    assert_eq!((&*registration.endpoint, registration.lifetime, registration.peer), ("a", 60, device.peer));
    assert_eq!(*registration.location, format!("/rd/{}", device.location));
    assert_eq!(world.server.registration("a"), Some(&registration));
    assert!(world.server.knows(device.peer));

    let datagram = device.update_datagram(&["lt=90"], "</3/0>,</5/0>");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
    let Event::Updated { registration, links_changed: true, .. } = world.event() else { panic!() };
    assert_eq!((registration.lifetime, registration.objects.len()), (90, 2));
    assert_eq!(world.server.registration("a"), Some(&registration));

    let datagram = device.deregister_datagram();
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::DELETED);
    let Event::Ended { reason: End::Deregistered, .. } = world.event() else { panic!() };
    assert!(world.server.is_empty() && !world.server.knows(device.peer));
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND);
    world.assert_uneventful();
}

#[test]
fn a_registration_expires_when_its_client_is_silent_for_its_lifetime() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=60"], &mut world);
    world.pass(seconds(59));
    let datagram = device.update_datagram(&[], "");
    world.exchange(device.peer, &datagram);
    world.pass(seconds(59));
    let ping = Draft::new(Kind::Confirmable, Code::EMPTY, 1).build();
    assert_eq!(world.exchange(device.peer, &ping).kind(), Kind::Reset);
    world.pass(seconds(59));
    assert_eq!(summary(&world.events()), ["updated a"]);
    world.pass(seconds(1));
    assert_eq!(summary(&world.events()), ["ended a Expired"]);
    assert!(world.server.is_empty());
}

#[test]
fn an_update_may_shorten_the_lifetime() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let datagram = device.update_datagram(&["lt=10"], "");
    world.exchange(device.peer, &datagram);
    world.pass(seconds(10));
    assert_eq!(summary(&world.events()), ["updated a", "ended a Expired"]);
}

#[test]
fn lifetimes_are_bounded_but_told_as_given() {
    let config = Config { lifetime_min: seconds(20), lifetime_max: seconds(100), ..Config::default() };
    for (given, lasts) in [("lt=1", 20), ("lt=0", 100), ("lt=4294967295", 100), ("lt=50", 50)] {
        let mut world = World::with(config.clone());
        Device::registered("a", 5683, &[given], &mut world);
        let told = world.server.registration("a").map(|registration| registration.lifetime);
        assert_eq!(told, given[3..].parse().ok());
        world.pass(seconds(lasts - 1));
        assert_eq!(world.server.len(), 1, "{given}");
        world.pass(seconds(1));
        assert_eq!(world.server.len(), 0, "{given}");
    }
}

#[test]
fn what_is_wrong_with_a_register_is_answered_at_once() {
    let mut world = World::new();
    let mut device = Device::new("", 5683);
    for (query, links, code, diagnostic) in [
        ("x", "", Code::BAD_REQUEST, "missing ep"),
        ("ep=a", "</1/0>,<3/0", Code::BAD_REQUEST, "link-format, byte 7: `<` without `>`"),
        ("ep=a", "\u{0}", Code::BAD_REQUEST, "link-format, byte 0: expected `<`"),
    ] {
        let datagram = device.request(Code::POST).path("rd").query("lwm2m=1.1").query(query);
        let answer = world.exchange(device.peer, &datagram.payload(links.as_bytes()).build());
        assert_eq!(answer.code(), code, "{query}");
        assert_eq!(String::from_utf8_lossy(answer.payload()), diagnostic);
    }
    let datagram = device.request(Code::POST).path("rd").query("ep=a").query("lwm2m=8.3").build();
    let answer = world.exchange(device.peer, &datagram);
    assert_eq!(answer.code(), Code::PRECONDITION_FAILED);
    assert_eq!(answer.payload(), b"unsupported LwM2M version \"8.3\"; 1.0, 1.1 and 1.2 are");
    world.assert_uneventful();
    assert_eq!(world.server.counters().rejected_registrations, 4);
}

#[test]
fn a_bad_update_changes_nothing() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &["lt=60"], &mut world);
    let before = world.server.registration("a").cloned();
    for (queries, links) in [(&["lt=x"][..], ""), (&["b=UQ", "lt="], ""), (&["b=UQ"], "</3/0>,x")] {
        let datagram = device.update_datagram(queries, links);
        assert_eq!(world.exchange(device.peer, &datagram).code(), Code::BAD_REQUEST, "{queries:?}");
    }
    world.assert_uneventful();
    assert_eq!(world.server.registration("a").cloned(), before);
}

#[test]
fn a_refused_event_never_happened_and_the_retransmission_is_new() {
    let mut world = World::new();
    world.policy = Policy::Refuse;
    let mut device = Device::new("a", 5683);
    let register = device.register_datagram(&["lt=60"], OBJECTS);
    world.send(device.peer, &register);
    world.assert_silence(device.peer);
    assert_eq!(summary(&world.events()), ["registered a"]);
    assert!(world.server.is_empty());

    world.policy = Policy::Accept;
    world.pass(seconds(2));
    let answer = world.exchange(device.peer, &register);
    device.locate(&answer);
    assert_eq!(summary(&world.events()), ["registered a"]);
    // Its acknowledgement was lost: answered from memory.
    assert_eq!(world.exchange(device.peer, &register), answer);
    world.assert_uneventful();

    world.policy = Policy::Refuse;
    let update = device.update_datagram(&["lt=90"], "");
    let leave = device.deregister_datagram();
    world.send(device.peer, &update);
    world.send(device.peer, &leave);
    world.assert_silence(device.peer);
    assert_eq!(world.server.registration("a").map(|registration| registration.lifetime), Some(60));
    world.policy = Policy::Accept;
    assert_eq!(world.exchange(device.peer, &update).code(), Code::CHANGED);
    assert_eq!(world.exchange(device.peer, &leave).code(), Code::DELETED);
    let expected = ["updated a", "ended a Deregistered", "updated a", "ended a Deregistered"];
    assert_eq!(summary(&world.events()), expected);
    assert_eq!(world.server.counters().refused, 3);
}

#[test]
fn registering_again_replaces_and_keeps_what_waits() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let old = device.location.clone();
    world.perform(read("a", "open"));
    world.perform(read("a", "waiting"));
    let open = world.received(device.peer).expect("a request");

    let datagram = device.register_datagram(&["lt=70"], OBJECTS);
    world.send(device.peer, &datagram);
    let answer = world.received(device.peer).expect("an answer before any request");
    assert_eq!(answer.code(), Code::CREATED);
    device.locate(&answer);
    assert_ne!(device.location, old);
    let next = world.received(device.peer).expect("what waited");
    assert_eq!(next.code(), Code::GET);
    let mut events = world.events();
    let Event::Registered { registration, previous: Some(previous), .. } = events.remove(0) else { panic!() };
    assert_eq!((registration.lifetime, previous.lifetime), (70, 86_400));
    assert_eq!(summary(&events), ["failed open Ended"]);

    world.send(device.peer, &piggybacked(&open, Code::CONTENT).build());
    world.assert_uneventful();
    world.send(device.peer, &piggybacked(&next, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered waiting 2.05"]);
    device.location = old;
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND);
    assert_eq!(world.server.len(), 1);
}

#[test]
fn of_two_devices_with_one_name_the_last_wins() {
    let mut world = World::new();
    let mut one = Device::registered("a", 5683, &[], &mut world);
    let mut other = Device::registered("a", 5684, &[], &mut world);
    assert_eq!(world.server.len(), 1);
    assert!(!world.server.knows(one.peer) && world.server.knows(other.peer));
    let datagram = one.update_datagram(&[], "");
    assert_eq!(world.exchange(one.peer, &datagram).code(), Code::NOT_FOUND);
    let datagram = other.update_datagram(&[], "");
    assert_eq!(world.exchange(other.peer, &datagram).code(), Code::CHANGED);
}

#[test]
fn two_wakaamas_started_in_the_same_second_are_two() {
    let mut world = World::new();
    let peers = [Device::new("", 5683).peer, Device::new("", 5684).peer];
    for (peer, endpoint) in peers.into_iter().zip(["ep=a", "ep=b"]) {
        let register = Draft::new(Kind::Confirmable, Code::POST, 4107).token(&[0x0b, 0x10, 0xe1, 0x67]);
        let register = register.path("rd").query("lwm2m=1.1").query(endpoint).query("lt=300");
        assert_eq!(world.exchange(peer, &register.build()).code(), Code::CREATED);
    }
    assert_eq!(summary(&world.events()), ["registered a", "registered b"]);
}

#[test]
fn anjay_registers_in_blocks_with_a_token_each() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    let links = r#"</1>;ver="1.1",</1/1>,</2>,</3/0>,</5/0>"#.as_bytes();
    let count = links.len().div_ceil(16);
    let mut answer = None;
    for (number, chunk) in links.chunks(16).enumerate() {
        let more = number + 1 < count;
        let block = (number as u8) << 4 | u8::from(more) << 3;
        let draft = Draft::new(Kind::Confirmable, Code::POST, number as u16).token(&[number as u8; 8]);
        let draft = draft.path("rd").option(CONTENT_FORMAT, &[40]).query("lwm2m=1.0").query("ep=a");
        let got = world.exchange(device.peer, &draft.option(BLOCK1, &[block]).payload(chunk).build());
        assert_eq!(got.code(), if more { Code::CONTINUE } else { Code::CREATED });
        answer = Some(got);
    }
    assert!(answer.is_some_and(|answer| answer.block1().is_some()));
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    assert_eq!(registration.object_version(1), Some("1.1"));
    assert_eq!(registration.objects.len(), 5);
    world.assert_uneventful();
}

#[test]
fn a_send_is_the_registered_clients_and_answered_when_stored() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let pack = br#"[{"bn":"/3/0/","n":"3","vs":"1.0"}]"#;
    let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(pack).build();
    assert_eq!(world.exchange(device.peer, &send).code(), Code::NOT_FOUND);
    device.register(&[], &mut world);
    // As Wakaama sends it: without a token.
    let mid = device.next_mid();
    let send = Draft::new(Kind::Confirmable, Code::POST, mid).path("dp").option(CONTENT_FORMAT, &[110]);
    let send = send.payload(pack).build();
    world.policy = Policy::Refuse;
    world.send(device.peer, &send);
    world.assert_silence(device.peer);
    world.policy = Policy::Accept;
    assert_eq!(world.exchange(device.peer, &send).code(), Code::CHANGED);
    let events = world.events();
    assert_eq!(summary(&events), ["sent a", "sent a"]);
    let Event::Sent { content, .. } = &events[1] else { panic!() };
    assert_eq!((content.format, content.payload.as_slice()), (Some(110), &pack[..]));
}

#[test]
fn a_send_that_makes_no_sense_is_answered_so() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.policy = Policy::Leave;
    for (format, code) in [(false, Code::BAD_REQUEST), (true, Code::UNSUPPORTED_CONTENT_FORMAT)] {
        let send = device.request(Code::POST).path("dp").option(CONTENT_FORMAT, &[110]).payload(b"[").build();
        world.send(device.peer, &send);
        let Event::Sent { receipt, .. } = world.event() else { panic!() };
        world.settle(receipt, Settlement::Rejected { format });
        assert_eq!(world.received(device.peer).map(|answer| answer.code()), Some(code));
    }
    assert_eq!(world.server.counters().rejected_sends, 2);
}

#[test]
fn a_non_confirmable_register_is_answered_likewise() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    let register = Draft::new(Kind::NonConfirmable, Code::POST, 7).token(b"t").path("rd").query("lwm2m=1.1");
    let answer = world.exchange(device.peer, &register.query("ep=a").build());
    assert_eq!((answer.kind(), answer.code()), (Kind::NonConfirmable, Code::CREATED));
    assert_eq!(answer.token().as_bytes(), b"t");
    assert_eq!(world.server.len(), 1);
}

#[test]
fn too_many_registrations_are_put_off() {
    let mut world = World::with(Config { max_registrations: 1, ..Config::default() });
    let mut first = Device::registered("a", 5683, &[], &mut world);
    let mut second = Device::new("b", 5684);
    let datagram = second.register_datagram(&[], OBJECTS);
    let answer = world.exchange(second.peer, &datagram);
    assert_eq!((answer.code(), answer.max_age()), (Code::SERVICE_UNAVAILABLE, Some(60)));
    first.register(&[], &mut world);
    let datagram = first.deregister_datagram();
    world.exchange(first.peer, &datagram);
    second.register(&[], &mut world);
}

#[test]
fn registrations_that_are_too_large_together_are_put_off() {
    let mut world = World::with(Config { max_registration_bytes: 20_000, ..Config::default() });
    let mut first = Device::registered("a", 5683, &[], &mut world);
    let mut large = Device::new("b", 5684);
    let links = |count: usize| (0..count).map(|number| format!("</3/{number}>,")).collect::<String>();
    let datagram = large.register_datagram(&[], &links(50_000 / 80));
    let answer = world.exchange(large.peer, &datagram);
    assert_eq!((answer.code(), answer.max_age()), (Code::SERVICE_UNAVAILABLE, Some(60)));
    assert_eq!(world.server.counters().excess_registration_bytes, 1);
    assert_eq!(world.server.len(), 1);
    let datagram = large.register_datagram(&[], &links(100));
    assert_eq!(world.exchange(large.peer, &datagram).code(), Code::CREATED);
    first.register(&[], &mut world);
}

#[test]
fn while_one_register_is_unsettled_another_of_that_name_waits() {
    let mut world = World::new();
    world.policy = Policy::Leave;
    let mut one = Device::new("a", 5683);
    let mut other = Device::new("a", 5684);
    let first = one.register_datagram(&[], OBJECTS);
    let second = other.register_datagram(&[], OBJECTS);
    world.send(one.peer, &first);
    world.send(other.peer, &second);
    let events = world.events();
    assert_eq!(summary(&events), ["registered a"]);
    world.settle(receipt(&events[0]).expect("a receipt"), Settlement::Accepted);
    one.locate(&world.received(one.peer).expect("an answer"));
    world.policy = Policy::Accept;
    other.locate(&world.exchange(other.peer, &second));
    assert_eq!(summary(&world.events()), ["registered a"]);
    assert!(world.server.knows(other.peer) && !world.server.knows(one.peer));
}

#[test]
fn a_removed_client_is_told_with_its_next_update() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.remove("a");
    world.remove("nobody");
    world.assert_silence(device.peer);
    assert_eq!(summary(&world.events()), ["ended a Removed"]);
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_FOUND);
}

#[test]
fn other_requests_get_the_code_that_fits() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    for (code, path, expected) in [
        (Code::POST, "bs", Code::NOT_FOUND),
        (Code::GET, "bspack", Code::NOT_IMPLEMENTED),
        (Code::POST, "", Code::NOT_FOUND),
        (Code::POST, "x", Code::NOT_FOUND),
        (Code::POST, "rd/x", Code::NOT_FOUND),
        (Code::POST, "rd/x/y", Code::NOT_FOUND),
        (Code::DELETE, "", Code::BAD_REQUEST),
        (Code::DELETE, "rd", Code::NOT_FOUND),
        (Code::DELETE, "rd/x", Code::NOT_FOUND),
        (Code::GET, "rd", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, "rd/x", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, "x", Code::NOT_FOUND),
        (Code::FETCH, "x", Code::METHOD_NOT_ALLOWED),
        (Code::IPATCH, "rd", Code::METHOD_NOT_ALLOWED),
    ] {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let draft = segments.fold(device.request(code), |draft, segment| draft.path(segment));
        assert_eq!(world.exchange(device.peer, &draft.build()).code(), expected, "{code} {path}");
    }
    let draft = device.request(Code::GET).path(".well-known").path("core");
    let answer: Message = world.exchange(device.peer, &draft.build());
    assert_eq!((answer.code(), answer.content_format()), (Code::CONTENT, Some(40)));
    assert_eq!(answer.payload(), br#"</>;rt="oma.lwm2m",</rd>;rt="core.rd""#);
    world.assert_uneventful();
    assert_eq!(world.server.len(), 1);
}
