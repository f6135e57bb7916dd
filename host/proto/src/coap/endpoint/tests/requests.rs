use super::*;

fn post(mid: u16, payload: &[u8]) -> Message {
    let post = Message::new(Kind::Confirmable, Code::POST, mid).with_token(Token::from([4; 8]));
    post.with_path_segment("rd").with_payload(payload.to_vec())
}

#[test]
fn a_body_the_peer_wants_in_blocks_is_sent_in_blocks() {
    // RFC 7959 section 2.9.3: it fits into one block of ours, but not of the peer's.
    let mut bench = Bench::new();
    let put = Message::request(Code::PUT).with_path_segment("3").with_payload(vec![7; 60]);
    let asked = bench.ask(put, None, None);
    assert_eq!(asked.block1(), None);
    let mut refusal =
        message(Kind::Acknowledgement, Code::REQUEST_ENTITY_TOO_LARGE, asked.mid(), asked.token());
    refusal.set_block(option::BLOCK1, Block { number: 0, more: false, exponent: 1 });
    assert!(bench.receive(&refusal).is_empty());
    let first = bench.only_sent();
    assert_eq!(first.block1(), Some(Block { number: 0, more: true, exponent: 1 }));
    let mut on = message(Kind::Acknowledgement, Code::CONTINUE, first.mid(), first.token());
    on.set_block(option::BLOCK1, Block { number: 0, more: true, exponent: 1 });
    assert!(bench.receive(&on).is_empty());
    let last = bench.only_sent();
    assert_eq!((last.block1().map(|block| block.number), last.payload().len()), (Some(1), 28));
    let done = message(Kind::Acknowledgement, Code::CHANGED, last.mid(), last.token());
    assert!(matches!(bench.receive(&done)[..], [Event::Response { .. }]));
}

#[test]
fn an_answer_is_piggybacked_and_replayed_for_duplicates() {
    let mut bench = Bench::new();
    let events = bench.receive(&post(1, b"a"));
    assert!(bench.receive(&post(1, b"a")).is_empty() && bench.sent.is_empty(), "not answered yet");
    bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CREATED));
    bench.drain();
    let answer = bench.only_sent();
    assert_eq!(
        (answer.kind(), answer.mid(), answer.token()),
        (Kind::Acknowledgement, 1, Token::from([4; 8]))
    );
    assert!(bench.receive(&post(1, b"a")).is_empty());
    assert_eq!(bench.only_sent(), answer);
    bench.wait(248);
    assert_eq!(bench.receive(&post(1, b"a")).len(), 1, "a new one after EXCHANGE_LIFETIME");
}

#[test]
fn another_request_under_a_remembered_message_id_is_new() {
    let mut bench = Bench::new();
    bench.receive(&post(1, b"a"));
    assert_eq!(bench.receive(&post(1, b"b")).len(), 1);
}

#[test]
fn the_same_message_id_from_another_peer_is_new() {
    let mut bench = Bench::new();
    bench.receive(&post(1, b"a"));
    assert_eq!(bench.receive_from(elsewhere(), &post(1, b"a")).len(), 1);
}

#[test]
fn a_refused_request_is_new_when_it_comes_again() {
    let mut bench = Bench::new();
    let events = bench.receive(&post(1, b"a"));
    bench.endpoint.refuse(bench.now, receipt(&events));
    bench.drain();
    assert!(bench.sent.is_empty());
    assert_eq!(bench.receive(&post(1, b"a")).len(), 1);
}

#[test]
fn a_non_confirmable_request_is_answered_non_confirmably() {
    let mut bench = Bench::new();
    let mut request = post(1, b"a");
    request.set_header(Kind::NonConfirmable, 1, Token::from([4; 8]));
    let events = bench.receive(&request);
    bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
    bench.drain();
    let answer = bench.only_sent();
    assert_eq!((answer.kind(), answer.token()), (Kind::NonConfirmable, Token::from([4; 8])));
}

#[test]
fn a_ping_is_answered_with_a_reset() {
    let mut bench = Bench::new();
    bench.receive(&Message::new(Kind::Confirmable, Code::EMPTY, 77));
    assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, 77));
}

#[test]
fn malformed_messages_are_reset_if_confirmable_and_counted() {
    let mut bench = Bench::new();
    bench.endpoint.handle_datagram(bench.now, device(), b"\x40\x01\x00\x09\xff");
    bench.drain();
    assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, 9));
    bench.endpoint.handle_datagram(bench.now, device(), b"\x50\x01\x00\x09\xff");
    bench.drain();
    assert!(bench.sent.is_empty());
    assert_eq!(bench.endpoint.counters().malformed_payload, 2);
}

#[test]
fn an_unknown_critical_option_is_a_bad_option_or_silently_dropped() {
    let mut bench = Bench::new();
    assert!(bench.receive(&post(1, b"a").with_option(9, vec![1])).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::BAD_OPTION, 1));
    let mut request = post(2, b"a").with_option(9, vec![1]);
    request.set_header(Kind::NonConfirmable, 2, Token::default());
    assert!(bench.receive(&request).is_empty() && bench.sent.is_empty());
    assert_eq!(bench.endpoint.counters().unknown_critical, 2);
}

#[test]
fn unknown_methods_are_not_allowed() {
    let mut bench = Bench::new();
    assert!(bench.receive(&Message::new(Kind::Confirmable, Code::of(0, 8), 1)).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::METHOD_NOT_ALLOWED, 1));
}

#[test]
fn a_request_in_blocks_is_delivered_whole_and_its_last_block_echoed() {
    let mut bench = Bench::new();
    let part = |number, more, payload: &[u8]| {
        let mut part = post(10 + number as u16, payload);
        part.set_block(option::BLOCK1, Block { number, more, exponent: 2 });
        part
    };
    assert!(bench.receive(&part(0, true, &[1; 64])).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::CONTINUE, 10));
    assert!(bench.receive(&part(0, true, &[1; 64])).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::CONTINUE, 10));
    let events = bench.receive(&part(1, false, b"end"));
    assert!(matches!(&events[..], [Event::Request { message, .. }] if message.payload().len() == 67));
    bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
    bench.drain();
    assert_eq!(bench.only_sent().block1(), Some(Block { number: 1, more: false, exponent: 2 }));
    bench.wait(600);
    assert_eq!(bench.endpoint.occupancy(), Occupancy::default());
}

#[test]
fn an_unfinished_request_in_blocks_expires() {
    let mut bench = Bench::new();
    let mut part = post(1, &[1; 64]);
    part.set_block(option::BLOCK1, Block { number: 0, more: true, exponent: 2 });
    bench.receive(&part);
    bench.wait(600);
    assert_eq!(bench.endpoint.counters().transfers_expired, 1);
    assert_eq!(bench.endpoint.occupancy(), Occupancy::default());
}

#[test]
fn a_receipt_that_nobody_settles_expires() {
    let mut bench = Bench::new();
    let events = bench.receive(&post(1, b"a"));
    bench.wait(600);
    assert_eq!((bench.endpoint.counters().unsettled, bench.endpoint.occupancy()), (1, Occupancy::default()));
    bench.endpoint.respond(bench.now, receipt(&events), Message::response(Code::CHANGED));
    bench.drain();
    assert!(bench.sent.is_empty());
}

#[test]
fn the_oldest_messages_are_forgotten_for_lack_of_room() {
    let config = Config { remembered: 6, remembered_per_peer: 4, ..Config::new(0) };
    let mut bench = Bench { endpoint: Endpoint::new(config, Box::new(Sequence(0))), ..Bench::new() };
    for mid in 0..5 {
        bench.receive(&post(mid, b"a"));
    }
    assert_eq!(bench.endpoint.counters().remembered_evicted, 1);
    assert!(bench.receive(&post(4, b"a")).is_empty(), "remembered");
    for mid in 0..4 {
        bench.receive_from(elsewhere(), &post(mid, b"a"));
    }
    assert_eq!((bench.endpoint.counters().remembered_evicted, bench.endpoint.occupancy().remembered), (3, 6));
    assert_eq!(bench.receive(&post(0, b"a")).len(), 1, "forgotten");
}
