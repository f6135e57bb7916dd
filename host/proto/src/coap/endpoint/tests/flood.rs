//! What a flood leaves behind is bounded, also where something old stays in front of it.

use super::*;

fn post(kind: Kind, mid: u16, number: u32) -> Message {
    let token = Token::from([7; 8]);
    message(kind, Code::POST, mid, token).with_path_segment("rd").with_payload(number.to_be_bytes().to_vec())
}

fn first_block(mid: u16, number: u32) -> Message {
    let mut post = Message::new(Kind::Confirmable, Code::POST, mid).with_path_segment(&number.to_string());
    post.set_block(option::BLOCK1, Block { number: 0, more: true, exponent: 2 });
    post.with_payload(vec![7; 64])
}

fn below(number: u32, limit: u32) -> u16 {
    u16::try_from(number % limit).unwrap()
}

fn source(number: u32) -> Peer {
    Peer::plain(
        (std::net::Ipv4Addr::from_bits(0x0a00_0000 + number / 50_000), 1_000 + below(number, 50_000)).into(),
    )
}

#[test]
fn unfinished_bodies_leave_no_timers_behind() {
    let mut bench = Bench::new();
    // One that is there as long as it may be.
    bench.receive_from(elsewhere(), &first_block(1, 0));
    for number in 1..20_000 {
        bench.receive(&first_block(below(number, 60_000), number));
    }
    assert_eq!(bench.endpoint.counters().transfers_evicted, 19_999 - 4);
    assert!(bench.endpoint.timers.len() < 5_000, "{}", bench.endpoint.timers.len());
    bench.wait(248);
    assert_eq!(bench.endpoint.counters().transfers_expired, 5);
}

#[test]
fn messages_that_are_forgotten_early_leave_no_traces_behind() {
    let mut bench = Bench::new();
    bench.receive_from(elsewhere(), &post(Kind::NonConfirmable, 1, 0));
    for number in 0..50_000 {
        let events = bench.receive(&post(Kind::NonConfirmable, below(number, 40_000), number));
        bench.endpoint.refuse(bench.now, receipt(&events));
        let events = bench.receive(&post(Kind::NonConfirmable, below(number, 40_000), number));
        bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
        bench.drain();
    }
    assert!(bench.endpoint.counters().remembered_evicted > 40_000);
    let traces = bench.endpoint.deduplication.traces();
    assert!(traces < 10_000, "{traces}");
    let receipts = bench.endpoint.receipts.traces();
    assert!(receipts < 10_000, "{receipts}");
}

#[test]
fn answers_to_any_number_of_addresses_are_forgotten_when_they_are_too_many() {
    let mut bench = Bench::new();
    let config = Config { guarded: 100, remembered: 200, ..Config::new(7) };
    bench.endpoint = Endpoint::new(config, Box::new(Sequence(0)));
    for number in 0..5_000 {
        let events = bench.receive_from(source(number), &post(Kind::NonConfirmable, 7, number));
        bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
        bench.drain();
        assert_eq!(bench.sent.len(), 1);
    }
    assert!(bench.endpoint.peers.len() <= 300, "{}", bench.endpoint.peers.len());
    bench.wait(300);
    assert_eq!(bench.endpoint.peers.len(), 0);
}

#[test]
fn the_room_for_what_was_remembered_is_given_back() {
    let mut bench = Bench::new();
    bench.endpoint = Endpoint::new(Config::new(7), Box::new(Sequence(0)));
    let room = |endpoint: &Endpoint| {
        [endpoint.peers.room(), endpoint.deduplication.room(), endpoint.timers.capacity()]
    };
    for number in 0..20_000 {
        let events = bench.receive_from(source(number), &post(Kind::Confirmable, 7, number));
        bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
        bench.drain();
    }
    let [peers, messages, _] = room(&bench.endpoint);
    assert!(peers >= 40_000 && messages >= 40_000, "{peers} {messages}");
    bench.wait(300);
    let [peers, messages, timers] = room(&bench.endpoint);
    assert!(peers < 10_000 && messages < 15_000 && timers < 5_000, "{peers} {messages} {timers}");
}
