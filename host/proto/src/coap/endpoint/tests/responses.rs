use super::*;

#[test]
fn a_piggybacked_response_is_matched_by_message_id_and_token() {
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    assert_eq!((asked.kind(), asked.token().as_bytes()[0]), (Kind::Confirmable, 7));
    let wrong = content(Kind::Acknowledgement, asked.mid(), Token::from([1; 8]), None);
    assert!(bench.receive(&wrong).is_empty());
    assert_eq!(bench.endpoint.counters().wrong_tokens, 1);
    let right = content(Kind::Acknowledgement, asked.mid(), asked.token(), None);
    assert!(bench.receive_from(elsewhere(), &right).is_empty());
    let events = bench.receive(&right);
    assert!(matches!(
        events[..],
        [Event::Response { id: RequestId(1), delivery: Delivery::Piggybacked, .. }]
    ));
    assert!(bench.receive(&right).is_empty() && bench.sent.is_empty());
    assert_eq!(bench.endpoint.counters().unmatched_acknowledgements, 2);
}

#[test]
fn an_error_without_token_is_taken_in_an_acknowledgement() {
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    assert!(
        bench
            .receive(&message(Kind::Acknowledgement, Code::CONTENT, asked.mid(), Token::default()))
            .is_empty()
    );
    let error = message(Kind::Acknowledgement, Code::BAD_OPTION, asked.mid(), Token::default());
    assert!(matches!(bench.receive(&error)[..], [Event::Response { .. }]));
}

#[test]
fn a_request_is_sent_five_times_and_then_fails() {
    // RFC 7252 section 4.8.2: MAX_TRANSMIT_WAIT is 93 s at most.
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    let events = bench.wait(93);
    assert!(matches!(events[..], [Event::Failed { id: RequestId(1), failure: Failure::Timeout }]));
    assert_eq!(bench.sent, vec![asked; 4]);
    assert_eq!(bench.endpoint.counters().retransmitted, 4);
    bench.wait(300);
    assert_eq!(bench.endpoint.occupancy(), Occupancy::default());
}

#[test]
fn retransmissions_double_their_distance_from_two_to_three_seconds() {
    let mut bench = Bench::new();
    bench.ask(get(), None, None);
    let mut last = bench.now;
    let mut distances = Vec::new();
    while let Output::Timeout(Some(at)) = bench.endpoint.poll_output() {
        bench.endpoint.handle_timeout(at);
        if !bench.drain().is_empty() {
            break;
        }
        distances.push(at.since(last).as_secs_f64());
        last = at;
    }
    assert!((2.0..=3.0).contains(&distances[0]), "{distances:?}");
    assert!(distances.windows(2).all(|pair| (pair[1] / pair[0] - 2.0).abs() < 1e-3), "{distances:?}");
}

#[test]
fn a_reset_fails_the_request() {
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    let events = bench.receive(&Message::new(Kind::Reset, Code::EMPTY, asked.mid()));
    assert!(matches!(events[..], [Event::Failed { failure: Failure::Reset, .. }]));
}

#[test]
fn a_separate_response_is_awaited_acknowledged_and_delivered_once() {
    // RFC 7252 section 2.2, figure 5.
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    let empty = Message::new(Kind::Acknowledgement, Code::EMPTY, asked.mid());
    assert!(matches!(bench.receive(&empty)[..], [Event::Acknowledged { id: RequestId(1) }]));
    assert!(bench.receive(&empty).is_empty());
    assert!(bench.wait(100).is_empty() && bench.sent.is_empty(), "not sent again");
    let separate = content(Kind::Confirmable, 500, asked.token(), None);
    assert!(matches!(
        bench.receive(&separate)[..],
        [Event::Response { delivery: Delivery::Confirmable, .. }]
    ));
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::EMPTY, 500));
    assert!(bench.receive(&separate).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::EMPTY, 500));
}

#[test]
fn after_an_acknowledgement_and_247_seconds_of_silence_the_request_fails() {
    // Wakaama acknowledges a FETCH and never answers it.
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    bench.receive(&Message::new(Kind::Acknowledgement, Code::EMPTY, asked.mid()));
    assert!(bench.wait(246).is_empty());
    assert!(matches!(bench.wait(2)[..], [Event::Failed { failure: Failure::Timeout, .. }]));
}

#[test]
fn a_separate_response_may_have_the_message_id_instead_of_the_token() {
    let mut bench = Bench::new();
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let asked = bench.ask(get(), None, None);
        assert_eq!(bench.receive(&content(kind, asked.mid(), Token::default(), None)).len(), 1);
    }
}

#[test]
fn responses_that_nothing_has_asked_for_are_rejected() {
    let mut bench = Bench::new();
    for (kind, mid) in [(Kind::Confirmable, 8), (Kind::NonConfirmable, 9)] {
        assert!(bench.receive(&content(kind, mid, Token::from([1; 8]), None)).is_empty());
        assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, mid));
    }
    assert!(bench.receive(&Message::new(Kind::Acknowledgement, Code::EMPTY, 10)).is_empty());
    assert!(bench.receive(&Message::new(Kind::Reset, Code::EMPTY, 11)).is_empty() && bench.sent.is_empty());
    let counters = bench.endpoint.counters();
    assert_eq!((counters.unmatched_responses, counters.unmatched_acknowledgements), (2, 1));
    assert_eq!(counters.unmatched_resets, 1);
}

#[test]
fn an_unknown_critical_option_in_a_response_rejects_it() {
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    let response = content(Kind::Confirmable, 500, asked.token(), None).with_option(9, vec![1]);
    assert!(bench.receive(&response).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, 500));
}

#[test]
fn an_abandoned_request_ends_without_an_event() {
    let mut bench = Bench::new();
    let asked = bench.ask(get(), None, None);
    bench.endpoint.abandon(RequestId(1));
    assert!(bench.receive(&content(Kind::Acknowledgement, asked.mid(), asked.token(), None)).is_empty());
    assert!(bench.wait(600).is_empty() && bench.sent.is_empty());
    assert_eq!(bench.endpoint.occupancy(), Occupancy::default());
}

#[test]
fn message_ids_count_up_and_pass_over_those_in_use() {
    let mut bench = Bench::new();
    let first = bench.ask(get(), None, None).mid();
    for step in 1..=u16::MAX {
        let asked = bench.ask(get(), None, None);
        assert_eq!(asked.mid(), first.wrapping_add(step));
        bench.receive(&message(Kind::Acknowledgement, Code::CONTENT, asked.mid(), asked.token()));
    }
    assert_eq!(bench.ask(get(), None, None).mid(), first.wrapping_add(1));
}

#[test]
fn a_body_goes_out_in_blocks() {
    let mut bench = Bench::new();
    let body: Vec<u8> = (0..150).collect();
    let mut asked =
        bench.ask(Message::request(Code::PUT).with_path_segment("5").with_payload(body.clone()), None, None);
    assert_eq!(asked.size1(), Some(150));
    let mut received = Vec::new();
    for (number, more) in [(0, true), (1, true), (2, false)] {
        assert_eq!(asked.block1(), Some(Block { number, more, exponent: 2 }));
        received.extend_from_slice(asked.payload());
        let code = if more { Code::CONTINUE } else { Code::CHANGED };
        let mut answer = message(Kind::Acknowledgement, code, asked.mid(), asked.token());
        answer.set_block(option::BLOCK1, Block { number, more, exponent: 2 });
        let events = bench.receive(&answer);
        if more {
            assert!(events.is_empty());
            asked = bench.only_sent();
        } else {
            assert!(
                matches!(&events[..], [Event::Response { message, .. }] if message.code() == Code::CHANGED)
            );
        }
    }
    assert_eq!(received, body);
}

#[test]
fn a_response_in_blocks_is_fetched_and_delivered_whole() {
    let mut bench = Bench::new();
    let asked = bench.ask(get().with_option_uint(option::ACCEPT, 110), None, None);
    let part = |asked: &Message, number, more, payload: &[u8]| {
        let mut part = message(Kind::Acknowledgement, Code::CONTENT, asked.mid(), asked.token());
        part.set_block(option::BLOCK2, Block { number, more, exponent: 0 });
        part.with_payload(payload.to_vec())
    };
    assert!(bench.receive(&part(&asked, 0, true, &[1; 16])).is_empty());
    let rest = bench.only_sent();
    assert_eq!(rest.block2(), Some(Block { number: 1, more: false, exponent: 0 }));
    assert_eq!((rest.accept(), rest.uri_path().next()), (Some(110), Some(&b"3"[..])));
    let events = bench.receive(&part(&rest, 1, false, b"2"));
    assert!(matches!(&events[..], [Event::Response { message, .. }] if message.payload().len() == 17));
    let asked = bench.ask(get(), None, None);
    let events = bench.receive(&part(&asked, 3, true, &[1; 16]));
    assert!(matches!(events[..], [Event::Failed { failure: Failure::Incomplete, .. }]));
}
