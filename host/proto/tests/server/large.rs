//! Bodies of many blocks: their progress, what goes wrong on the way, and how many of them there may be.

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::server::{Config, Event, Stage};

use crate::sim::{
    BLOCK1, CONTENT_FORMAT, Device, OBSERVE, World, empty, observe, piggybacked, read, seconds, summary,
    write,
};

const BLOCK2: u16 = 23;
const SIZE2: u16 = 28;

/// The value of a block option.
pub(crate) fn block(number: u32, more: bool, exponent: u32) -> Vec<u8> {
    let value = number << 4 | u32::from(more) << 3 | exponent;
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Says what an answer to one block of a request says.
pub(crate) fn answer(asked: &Message, code: Code) -> Vec<u8> {
    let echo = asked.block1().expect("a block");
    piggybacked(asked, code).option(BLOCK1, &block(echo.number, echo.more, echo.exponent.into())).build()
}

/// Takes all blocks of a request, from the first one on, and returns its body.
fn take_in(world: &mut World, device: &Device, code: Code) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let asked = world.received(device.peer).expect("a block");
        let block = asked.block1().expect("a block option");
        assert_eq!(block.number as usize * 1024, body.len());
        body.extend_from_slice(asked.payload());
        let answer = answer(&asked, if block.more { Code::CONTINUE } else { code });
        world.send(device.peer, &answer);
        if !block.more {
            return body;
        }
    }
}

#[test]
fn four_megabytes_are_written_and_their_progress_told() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let body: Vec<u8> = (0..4_000_000_u32).map(|number| (number % 251) as u8).collect();
    world.perform(write("a", &body, "w"));
    assert_eq!(take_in(&mut world, &device, Code::CHANGED), body);
    let mut events = world.events();
    let Some(Event::Answered { code: 0x44, .. }) = events.pop() else { panic!("{events:?}") };
    let done = |event: &Event| match event {
        Event::Progressed { stage: Stage::Transferred(done, 4_000_000), .. } => *done,
        other => panic!("{other:?}"),
    };
    let done: Vec<u64> = events.iter().map(done).collect();
    assert!(done.is_sorted() && (32..128).contains(&done.len()), "{done:?}");
    assert!(done.last().is_some_and(|done| (3_900_000..4_000_000).contains(done)), "{done:?}");
    assert_eq!(world.server.counters().coap.retransmitted, 0);
}

#[test]
fn a_client_that_lost_the_first_blocks_gets_them_again() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    let body = vec![7; 5_000];
    world.perform(write("a", &body, "w"));
    for _ in 0..2 {
        let asked = world.received(device.peer).expect("a block");
        world.send(device.peer, &answer(&asked, Code::CONTINUE));
    }
    let third = world.received(device.peer).expect("a block");
    world.send(device.peer, &piggybacked(&third, Code::REQUEST_ENTITY_INCOMPLETE).build());
    assert_eq!(take_in(&mut world, &device, Code::CHANGED), body);
    assert_eq!(summary(&world.events()), ["answered w 2.04"]);
}

#[test]
fn a_body_that_is_too_large_for_the_client_is_told_as_such() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(write("a", &[7; 5_000], "w"));
    let asked = world.received(device.peer).expect("a block");
    world.send(device.peer, &answer(&asked, Code::REQUEST_ENTITY_TOO_LARGE));
    assert_eq!(summary(&world.events()), ["answered w 4.13"]);
    world.assert_silence(device.peer);
}

#[test]
fn a_large_answer_tells_its_progress_by_what_the_client_says_of_its_size() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "r"));
    let (size, blocks) = (200_u32 * 1024, 200);
    for number in 0..blocks {
        let asked = world.received(device.peer).expect("a request");
        assert_eq!(asked.block2().map_or(0, |block| block.number), number);
        let draft = piggybacked(&asked, Code::CONTENT).option(CONTENT_FORMAT, &[42]);
        let draft = draft.option(BLOCK2, &block(number, number + 1 < blocks, 6));
        world.send(device.peer, &draft.option(SIZE2, &size.to_be_bytes()).payload(&[1; 1024]).build());
    }
    let mut events = world.events();
    let Some(Event::Answered { content, .. }) = events.pop() else { panic!("{events:?}") };
    assert_eq!(content.payload.len(), size as usize);
    assert_eq!(
        summary(&events),
        [
            "progressed r Transferred(65536, 204800)",
            "progressed r Transferred(131072, 204800)",
            "progressed r Transferred(196608, 204800)"
        ]
    );
}

#[test]
fn unfinished_answers_of_all_clients_take_a_bounded_room() {
    let mut config = Config::default();
    config.coap.transfer_bytes = 4 * 1024;
    let mut world = World::with(config);
    for port in 0..3 {
        let device = Device::registered(&format!("d{port}"), 6000 + port, &[], &mut world);
        world.perform(read(&device.endpoint, "r"));
        for number in 0..2 {
            let Some(asked) = world.received(device.peer) else { break };
            let draft = piggybacked(&asked, Code::CONTENT).option(BLOCK2, &block(number, true, 6));
            world.send(device.peer, &draft.payload(&[1; 1024]).build());
        }
    }
    let events = world.events();
    let [Event::Answered { code: 0x8d, registration, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(&*registration.endpoint, "d2");
    assert_eq!(world.server.counters().coap.downloads_refused, 1);
}

#[test]
fn the_bodies_that_wait_for_a_client_are_bounded_in_bytes() {
    let config = Config { max_queued_bytes: 10_000, max_queued_bytes_in_all: 18_000, ..Config::default() };
    let mut world = World::with(config);
    let device = Device::registered("a", 5683, &[], &mut world);
    let other = Device::registered("b", 5684, &[], &mut world);
    for context in ["1", "2", "3"] {
        world.perform(write("a", &[7; 5_000], context));
    }
    assert_eq!(summary(&world.events()), ["failed 3 QueueFull"], "too many for this client");
    world.perform(read("a", "no bytes"));
    world.perform(write("b", &[7; 5_000], "4"));
    world.perform(write("b", &[7; 5_000], "5"));
    assert_eq!(summary(&world.events()), ["failed 5 QueueFull"], "too many in all");
    for _ in 0..2 {
        take_in(&mut world, &device, Code::CHANGED);
    }
    world.events();
    world.perform(write("a", &[7; 5_000], "6"));
    world.assert_uneventful();
    // Whatever becomes of them, their room is free again.
    world.remove("a");
    world.pass(seconds(300));
    world.events();
    drop(other);
    world.perform(write("b", &[7; 10_000], "7"));
    assert!(!summary(&world.events()).contains(&"failed 7 QueueFull".to_owned()));
}

#[test]
fn a_command_waits_until_a_notification_in_blocks_is_complete() {
    // Anjay answers 5.03 to everything that comes between.
    let mut world = World::new();
    let mut device = Device::registered("a", 5683, &[], &mut world);
    world.perform(observe("a", "o"));
    let asked = world.received(device.peer).expect("a request");
    world.send(device.peer, &piggybacked(&asked, Code::CONTENT).option(OBSERVE, &[1]).build());
    world.events();
    for is_answered in [true, false] {
        let half = device.notification(Kind::NonConfirmable, asked.token().as_bytes(), 2);
        world.send(device.peer, &half.option(BLOCK2, &block(0, true, 0)).payload(&[1; 16]).build());
        let fetch = world.received(device.peer).expect("the rest is fetched");
        world.perform(read("a", "r"));
        world.assert_silence(device.peer);
        if is_answered {
            let rest = piggybacked(&fetch, Code::CONTENT).option(BLOCK2, &block(1, false, 0));
            world.send(device.peer, &rest.payload(&[2]).build());
            assert_eq!(summary(&world.events()), ["notified o 2.05"]);
        } else {
            world.send(device.peer, &empty(Kind::Reset, &fetch));
            world.assert_uneventful();
        }
        let read = world.received(device.peer).expect("now the command goes");
        world.send(device.peer, &piggybacked(&read, Code::CONTENT).build());
        assert_eq!(summary(&world.events()), ["answered r 2.05"]);
    }
}

#[test]
fn an_answer_whose_blocks_make_no_whole_is_incomplete() {
    let mut world = World::new();
    let device = Device::registered("a", 5683, &[], &mut world);
    world.perform(read("a", "r"));
    for number in [0, 2] {
        let asked = world.received(device.peer).expect("a request");
        let draft = piggybacked(&asked, Code::CONTENT).option(BLOCK2, &block(number, true, 0));
        world.send(device.peer, &draft.payload(&[1; 16]).build());
    }
    assert_eq!(summary(&world.events()), ["answered r 4.08"]);
}
