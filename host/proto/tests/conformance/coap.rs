//! The cases of the CoAP test events: as the server of `/rd` and `/dp`, and as the client of devices.
//!
//! CORE, BLOCK, OBS and LINK are the test events' names for groups of cases.

use tidegate_proto::coap::endpoint::Delivery;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::option;
use tidegate_proto::lwm2m::operation::{CancelMode, Operation};
use tidegate_proto::lwm2m::server::Event;

use crate::sim::{
    BLOCK1, CONTENT_FORMAT, DEVICE, Device, Draft, OBSERVE, World, empty, observe, piggybacked, read,
    request, seconds, summary,
};
use crate::stage::Stage;

/// CORE_01 to 08, 10 and 12: each method, confirmable and not, with a token and without one, is answered in kind.
#[test]
fn core_01_to_12_every_method_is_answered_in_kind() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    let cases = [
        (Code::GET, ".well-known/core", Code::CONTENT),
        (Code::POST, "dp", Code::CHANGED),
        (Code::PUT, "rd", Code::METHOD_NOT_ALLOWED),
        (Code::DELETE, "rd", Code::NOT_FOUND),
    ];
    for (method, path, code) in cases {
        for kind in [Kind::Confirmable, Kind::NonConfirmable] {
            for token in [&b""[..], b"t", b"12345678"] {
                let draft = Draft::new(kind, method, device.next_mid()).token(token);
                let draft = path.split('/').fold(draft, |draft, segment| draft.path(segment)).build();
                let answer = world.exchange(device.peer, &draft);
                let expected = if kind == Kind::Confirmable { Kind::Acknowledgement } else { kind };
                assert_eq!((answer.kind(), answer.code()), (expected, code), "{method} {path}");
                assert_eq!(answer.token().as_bytes(), token);
                if kind == Kind::Confirmable {
                    assert_eq!(answer.mid().to_be_bytes(), draft[2..4]);
                }
                world.assert_silence(device.peer);
            }
        }
    }
}

/// CORE_13 and 14: several Uri-Path and Uri-Query options. CORE_18: Location-Path in the answer.
#[test]
fn core_13_14_18_paths_queries_and_locations_have_several_segments() {
    let mut world = World::new();
    let mut device = Device::new("a", 5683);
    let datagram = device.register_datagram(&["lt=60", "b=U", "x=", "y"], "</1/0>");
    let answer = world.exchange(device.peer, &datagram);
    assert_eq!(answer.location_path().count(), 2);
    device.locate(&answer);
    let Event::Registered { registration, .. } = world.event() else { panic!() };
    let parameters: Vec<_> =
        registration.parameters.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
    let expected = [
        ("ep", Some("a")),
        ("lwm2m", Some("1.1")),
        ("lt", Some("60")),
        ("b", Some("U")),
        ("x", Some("")),
        ("y", None),
    ];
    assert_eq!(parameters, expected);
    // The location works as it was given: both segments, each an option.
    let datagram = device.update_datagram(&[], "");
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CHANGED);
}

/// CORE_15 and 16 as the client: the request is lost, or its acknowledgement; piggybacked or separate.
#[test]
fn core_15_16_a_request_survives_the_loss_of_any_one_datagram() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    // The request is lost.
    world.perform(read("a", "1"));
    let first = world.received(device.peer).expect("a request");
    world.pass(seconds(3));
    let again = world.received(device.peer).expect("the same");
    assert_eq!(again, first);
    world.send(device.peer, &piggybacked(&again, Code::CONTENT).build());
    assert_eq!(summary(&world.events()), ["answered 1 2.05"]);
    // The empty acknowledgement is lost, the separate response is not: it stands for both.
    world.perform(read("a", "2"));
    let asked = world.received(device.peer).expect("a request");
    let separate = Draft::new(Kind::Confirmable, Code::CONTENT, 70).token(asked.token().as_bytes()).build();
    assert_eq!(world.exchange(device.peer, &separate).kind(), Kind::Acknowledgement);
    world.pass(seconds(100));
    world.assert_silence(device.peer);
    assert_eq!(summary(&world.events()), ["answered 2 2.05"]);
}

/// CORE_09, 11 and 17: a separate response, also a non-confirmable one, also seconds later; the next request is not
/// kept waiting for it. EMQX takes none of them.
#[test]
fn core_09_11_17_separate_and_late_responses_are_taken() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let mut world = World::new();
        let device = Device::registered("a", 5683, &[], &mut world);
        world.perform(read("a", "slow"));
        let slow = world.received(device.peer).expect("a request");
        world.send(device.peer, &empty(Kind::Acknowledgement, &slow));
        world.pass(seconds(60));
        world.assert_silence(device.peer);
        let late = Draft::new(kind, Code::CONTENT, 71).token(slow.token().as_bytes()).payload(b"late");
        world.send(device.peer, &late.build());
        let acknowledged = world.received(device.peer).map(|it| (it.kind(), it.code(), it.mid()));
        let expected = (Kind::Acknowledgement, Code::EMPTY, 71);
        assert_eq!(acknowledged, (kind == Kind::Confirmable).then_some(expected));
        let events = world.events();
        assert_eq!(summary(&events), ["progressed slow Acknowledged", "answered slow 2.05"]);
        let delivery =
            if kind == Kind::Confirmable { Delivery::Confirmable } else { Delivery::NonConfirmable };
        let Some(Event::Answered { delivery: told, .. }) = events.last() else { panic!() };
        assert_eq!(*told, delivery);
    }
}

/// CORE_20: Accept.
#[test]
fn core_20_accept_is_sent_and_obeyed() {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    for accept in [0, 42, 60, 110, 112, 11542, 11543, 11544] {
        world.perform(request(
            "a",
            Operation::Read { path: DEVICE, queries: vec![], accept: Some(accept) },
            "r",
        ));
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.accept(), Some(accept));
        let format = accept.to_be_bytes();
        world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(CONTENT_FORMAT, &format).build());
        let Event::Answered { content, .. } = world.event() else { panic!() };
        assert_eq!(content.format, Some(accept));
    }
    // As the server: what there is, is link-format.
    let get = |device: &mut Device, format| {
        device.request(Code::GET).path(".well-known").path("core").option(option::ACCEPT, &[format]).build()
    };
    let datagram = get(&mut device, 40);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::CONTENT);
    let datagram = get(&mut device, 50);
    assert_eq!(world.exchange(device.peer, &datagram).code(), Code::NOT_ACCEPTABLE);
}

/// BLOCK_03 to 06: a body that comes in blocks, of every size, is one request.
#[test]
fn block_03_to_06_a_register_of_3_kb_is_put_together_from_blocks_of_any_size() {
    let links: String = (0..300).map(|instance| format!("</3303/{instance}>,")).collect();
    let links = links.trim_end_matches(',').as_bytes();
    assert!(links.len() > 3000);
    for exponent in 0..=6_u8 {
        let mut world = World::new();
        let device = Device::new("a", 5683);
        let size = 16 << exponent;
        let count = links.len().div_ceil(size);
        for (number, chunk) in links.chunks(size).enumerate() {
            let more = number + 1 < count;
            let value = u32::try_from(number).expect("few") << 4 | u32::from(more) << 3 | u32::from(exponent);
            let value: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            let mid = u16::try_from(number).expect("few");
            let draft = Draft::new(Kind::Confirmable, Code::POST, mid).token(b"same").path("rd");
            let draft = draft.option(CONTENT_FORMAT, &[40]).query("lwm2m=1.1").query("ep=a");
            let answer = world.exchange(device.peer, &draft.option(BLOCK1, &value).payload(chunk).build());
            assert_eq!(answer.code(), if more { Code::CONTINUE } else { Code::CREATED });
            let echoed = answer.block1().expect("the block is echoed");
            assert_eq!((echoed.number as usize, echoed.more, echoed.exponent), (number, more, exponent));
        }
        let Event::Registered { registration, .. } = world.event() else { panic!() };
        assert_eq!(registration.objects.len(), 300);
        world.assert_uneventful();
    }
}

fn observed(kind: Kind) -> (World, Device, Message) {
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    for sequence in 2..5 {
        let notification = device.notification(kind, asked.token().as_bytes(), sequence).build();
        world.send(device.peer, &notification);
    }
    assert_eq!(world.events().len(), 4);
    (world, device, asked)
}

/// OBS_01 and 02: confirmable notifications are acknowledged, the others are not.
#[test]
fn obs_01_02_notifications_of_both_types_are_taken() {
    let (mut world, device, _) = observed(Kind::Confirmable);
    for _ in 2..5 {
        assert_eq!(world.received(device.peer).map(|it| it.kind()), Some(Kind::Acknowledgement));
    }
    world.assert_silence(device.peer);
    let (mut world, device, _) = observed(Kind::NonConfirmable);
    world.assert_silence(device.peer);
}

/// An observe request that is answered separately: notifications follow under the same token; one that overtakes the
/// answer stands for it.
#[test]
fn obs_01_an_observation_begins_with_a_separate_response() {
    for is_overtaken in [false, true] {
        let mut world = World::new();
        let mut device = Device::registered("a", 5683, &[], &mut world);
        world.perform(observe("a", "o"));
        let asked = world.received(device.peer).expect("a request");
        if !is_overtaken {
            world.send(device.peer, &empty(Kind::Acknowledgement, &asked));
            assert_eq!(summary(&world.events()), ["progressed o Acknowledged"]);
        }
        for (sequence, expected) in [(1, "answered o 2.05"), (2, "notified o 2.05")] {
            let datagram = device.notification(Kind::Confirmable, asked.token().as_bytes(), sequence).build();
            assert_eq!(world.exchange(device.peer, &datagram).kind(), Kind::Acknowledgement);
            assert_eq!(summary(&world.events()), [expected]);
        }
        world.pass(seconds(100));
        world.assert_silence(device.peer);
        world.assert_uneventful();
    }
}

/// OBS_03, 06: an observation ends by GET with Observe 1, or by a reset of the next notification.
#[test]
fn obs_03_06_an_observation_ends_either_way() {
    let (mut world, mut device, asked) = observed(Kind::NonConfirmable);
    let cancel = |mode| Operation::CancelObservation { path: DEVICE, queries: vec![], mode };
    world.perform(request("a", cancel(CancelMode::Active), "c"));
    let cancelling = world.received(device.peer).expect("a request");
    assert_eq!((cancelling.observe(), cancelling.token()), (Some(1), asked.token()));

    let (mut other_world, _, other_asked) = observed(Kind::NonConfirmable);
    other_world.perform(request("a", cancel(CancelMode::Passive), "c"));
    other_world.assert_silence(device.peer);
    let notification = device.notification(Kind::NonConfirmable, other_asked.token().as_bytes(), 9).build();
    assert_eq!(other_world.exchange(device.peer, &notification).kind(), Kind::Reset);
}

/// OBS_04: Max-Age has passed without a notification: the observation stands (RFC 7641 section 3.3.1 leaves it to the
/// client whether to register again), and a number that would be stale is fresh after 128 s.
#[test]
fn obs_04_an_observation_outlives_max_age() {
    let (mut world, mut device, asked) = observed(Kind::NonConfirmable);
    world.pass(seconds(129));
    let rebooted = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 1);
    world.send(device.peer, &rebooted.option(option::MAX_AGE, &[5]).build());
    world.pass(seconds(60));
    let next = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 2).build();
    world.send(device.peer, &next);
    assert_eq!(summary(&world.events()), ["notified o 2.05", "notified o 2.05"]);
}

/// OBS_05: who does not answer is not given up before the last retransmission.
#[test]
fn obs_05_a_device_that_is_off_fails_the_request_and_keeps_its_registration() {
    let (mut world, device, _) = observed(Kind::NonConfirmable);
    world.perform(read("a", "1"));
    world.pass(seconds(93));
    let sent = std::iter::from_fn(|| world.received(device.peer)).count();
    assert_eq!(sent, 5);
    assert_eq!(summary(&world.events()), ["failed 1 Timeout"]);
    assert!(world.server.registration("a").is_some());
}

/// OBS_07 and 08: a notification with an error code ends the observation: the resource is gone (4.04), or the format
/// that was asked for is no longer to be had (4.06).
#[test]
fn obs_07_08_an_error_ends_the_observation() {
    for code in [Code::NOT_FOUND, Code::NOT_ACCEPTABLE, Code::INTERNAL_SERVER_ERROR] {
        let (mut world, mut device, asked) = observed(Kind::NonConfirmable);
        let mid = device.next_mid();
        let gone = Draft::new(Kind::Confirmable, code, mid).token(asked.token().as_bytes()).build();
        assert_eq!(world.exchange(device.peer, &gone).kind(), Kind::Acknowledgement);
        assert_eq!(summary(&world.events()), [format!("notified o {code}")]);
        let late = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 9).build();
        assert_eq!(world.exchange(device.peer, &late).kind(), Kind::Reset);
    }
}

/// OBS_09 and 10: a write to, and a plain GET of, what is observed leave the observation alone.
#[test]
fn obs_09_10_other_requests_leave_the_observation_alone() {
    let (mut world, mut device, asked) = observed(Kind::NonConfirmable);
    world.perform(crate::sim::write("a", b"+02:00", "w"));
    world.perform(read("a", "r"));
    for code in [Code::CHANGED, Code::CONTENT] {
        let next = world.received(device.peer).expect("a request");
        assert_eq!(next.observe(), None);
        assert_ne!(next.token(), asked.token());
        world.send(device.peer, &piggybacked(&next, code).build());
    }
    let notification = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 9).build();
    world.send(device.peer, &notification);
    let expected = ["answered w 2.04", "answered r 2.05", "notified o 2.05"];
    assert_eq!(summary(&world.events()), expected);
}

/// LINK_01: `/.well-known/core`.
#[test]
fn link_01_the_directory_is_listed() {
    let mut world = World::new();
    let device = Device::new("a", 5683);
    let get = "40 01 0001 BB '.well-known' 04 'core'";
    world.send(device.peer, &crate::bytes::bytes(get));
    let (_, answer) = world.take_sent().pop().expect("an answer");
    let links = r#"'</>;rt="oma.lwm2m",</rd>;rt="core.rd"'"#;
    crate::bytes::assert_bytes(&answer, &format!("60 45 0001 C1 28 FF {links}"));
}

/// A confirmable notification is acknowledged only when the caller says so.
#[test]
fn a_confirmable_notification_waits_for_the_caller() {
    let mut stage = Stage::new(1);
    let id = stage.observe(Message::request(Code::GET).with_option_uint(option::OBSERVE, 0), 1, b"t");
    stage.assert_sent("41 01 0001 't' 60");
    stage.receive("61 45 0001 't' 61 05");
    stage.answered(id);
    stage.receive("41 45 0077 't' 61 06 FF 'x'");
    let (receipt, _) = stage.notified(1);
    stage.assert_silent();
    stage.acknowledge(receipt.expect("a receipt"));
    stage.assert_sent("60 00 0077");
}
