use super::*;

#[test]
fn confirmable_notifications_are_acknowledged_by_the_caller() {
    let (mut bench, token) = observing();
    let notification = content(Kind::Confirmable, 600, token, Some(44));
    let events = bench.receive(&notification);
    assert!(bench.sent.is_empty());
    assert!(bench.receive(&notification).is_empty() && bench.sent.is_empty(), "not settled yet");
    bench.endpoint.acknowledge(bench.now, receipt(&events));
    bench.drain();
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::EMPTY, 600));
    assert!(bench.receive(&notification).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::EMPTY, 600));
}

#[test]
fn a_refused_notification_is_delivered_when_it_comes_again() {
    let (mut bench, token) = observing();
    let notification = content(Kind::Confirmable, 600, token, Some(44));
    let events = bench.receive(&notification);
    bench.endpoint.refuse(bench.now, receipt(&events));
    bench.drain();
    assert!(bench.sent.is_empty());
    assert_eq!(bench.receive(&notification).len(), 1);
}

#[test]
fn stale_notifications_are_acknowledged_and_not_delivered() {
    let (mut bench, token) = observing();
    assert!(bench.receive(&content(Kind::Confirmable, 600, token, Some(11))).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Acknowledgement, Code::EMPTY, 600));
    assert!(bench.receive(&content(Kind::NonConfirmable, 601, token, Some(11))).is_empty());
    assert!(bench.sent.is_empty());
    assert_eq!(bench.endpoint.counters().stale_notifications, 2);
}

#[test]
fn equal_numbers_and_none_are_fresh_and_duplicates_are_not() {
    // Leshan repeats numbers, some devices leave them out.
    let (mut bench, token) = observing();
    for (mid, number) in [(1, Some(12)), (2, Some(13)), (3, Some(13)), (4, None)] {
        let notification = content(Kind::NonConfirmable, mid, token, number);
        let events = bench.receive(&notification);
        assert!(matches!(events[..], [Event::Notification { id: ObservationId(1), receipt: None, .. }]));
        assert!(bench.receive(&notification).is_empty());
    }
}

#[test]
fn a_notification_from_a_new_address_is_delivered_with_it() {
    let (mut bench, token) = observing();
    let events = bench.receive_from(elsewhere(), &content(Kind::NonConfirmable, 1, token, Some(13)));
    assert!(matches!(events[..], [Event::Notification { peer, .. }] if peer == elsewhere()));
}

#[test]
fn an_error_ends_the_observation_once_it_is_acknowledged() {
    let (mut bench, token) = observing();
    let error = |mid| message(Kind::Confirmable, Code::NOT_FOUND, mid, token);
    let events = bench.receive(&error(1));
    bench.endpoint.refuse(bench.now, receipt(&events));
    let events = bench.receive(&error(1));
    bench.endpoint.acknowledge(bench.now, receipt(&events));
    bench.drain();
    assert_eq!(bench.endpoint.occupancy().observations, 0);
    assert!(bench.receive(&content(Kind::Confirmable, 2, token, Some(14))).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, 2));
}

#[test]
fn a_forgotten_observation_is_rejected() {
    let (mut bench, token) = observing();
    bench.endpoint.forget_observation(ObservationId(1));
    assert!(bench.receive(&content(Kind::NonConfirmable, 1, token, Some(14))).is_empty());
    assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, 1));
}

#[test]
fn while_a_cancellation_is_open_a_notification_is_not_its_answer() {
    let (mut bench, token) = observing();
    let cancel = Message::request(Code::GET).with_option_uint(option::OBSERVE, 1).with_path_segment("3");
    let asked = bench.ask(cancel, None, Some(token));
    assert_eq!(asked.token(), token);
    let notified = bench.receive(&content(Kind::NonConfirmable, 1, token, Some(13)));
    assert!(matches!(notified[..], [Event::Notification { .. }]));
    let answered = bench.receive(&content(Kind::NonConfirmable, 2, token, None));
    assert!(matches!(answered[..], [Event::Response { id: RequestId(2), .. }]));
}

#[test]
fn an_observe_request_that_fails_leaves_no_observation() {
    let mut bench = Bench::new();
    let asked = bench.ask(observe(), Some(1), None);
    bench.receive(&message(Kind::Acknowledgement, Code::NOT_FOUND, asked.mid(), asked.token()));
    assert_eq!(bench.endpoint.occupancy().observations, 0);
    bench.ask(observe(), Some(1), None);
    bench.wait(100);
    assert_eq!(bench.endpoint.occupancy().observations, 0);
}

#[test]
fn an_observation_asked_for_again_keeps_its_token_until_the_answer() {
    let (mut bench, old) = observing();
    let asked = bench.ask(observe(), Some(1), None);
    assert_eq!(bench.receive(&content(Kind::NonConfirmable, 1, old, Some(13))).len(), 1);
    bench.receive(&content(Kind::Acknowledgement, asked.mid(), asked.token(), Some(1)));
    assert!(bench.receive(&content(Kind::NonConfirmable, 2, old, Some(14))).is_empty(), "replaced");
    assert_eq!(bench.receive(&content(Kind::NonConfirmable, 3, asked.token(), Some(2))).len(), 1);
    bench.ask(observe(), Some(1), None);
    bench.wait(100);
    assert_eq!(
        bench.receive(&content(Kind::NonConfirmable, 4, asked.token(), Some(3))).len(),
        1,
        "still stands"
    );
}

#[test]
fn a_success_without_observe_option_keeps_the_observation() {
    let mut bench = Bench::new();
    let asked = bench.ask(observe(), Some(1), None);
    bench.receive(&content(Kind::Acknowledgement, asked.mid(), asked.token(), None));
    let events = bench.receive(&content(Kind::NonConfirmable, 1, asked.token(), None));
    assert!(matches!(events[..], [Event::Notification { .. }]));
}

#[test]
fn a_notification_in_blocks_is_fetched_and_delivered_whole() {
    // RFC 7959 section 2.6.
    let (mut bench, token) = observing();
    let mut first = content(Kind::Confirmable, 600, token, Some(13)).with_payload(vec![1; 16]);
    first.set_block(option::BLOCK2, Block { number: 0, more: true, exponent: 0 });
    assert!(bench.receive(&first).is_empty());
    assert_eq!(bench.sent.len(), 2);
    assert_eq!((bench.sent[0].kind(), bench.sent[0].mid()), (Kind::Acknowledgement, 600));
    let rest = bench.sent.remove(1);
    assert_eq!(rest.block2(), Some(Block { number: 1, more: false, exponent: 0 }));
    assert_eq!((rest.observe(), rest.uri_path().next()), (None, Some(&b"3"[..])));
    assert_ne!(rest.token(), token);
    let mut second = message(Kind::Acknowledgement, Code::CONTENT, rest.mid(), rest.token());
    second.set_block(option::BLOCK2, Block { number: 1, more: false, exponent: 0 });
    let events = bench.receive(&second.with_payload(vec![2; 3]));
    let [Event::Notification { receipt: None, message, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.payload().len(), message.observe()), (19, Some(13)));
}

#[test]
fn a_notification_of_which_the_rest_is_lost_is_counted() {
    let (mut bench, token) = observing();
    let mut first = content(Kind::NonConfirmable, 600, token, Some(13)).with_payload(vec![1; 16]);
    first.set_block(option::BLOCK2, Block { number: 0, more: true, exponent: 0 });
    bench.receive(&first);
    assert!(bench.endpoint.is_fetching(device()));
    assert!(matches!(bench.wait(600)[..], [Event::FetchEnded { .. }]));
    assert!(!bench.endpoint.is_fetching(device()));
    assert_eq!(bench.endpoint.counters().incomplete_notifications, 1);
    assert_eq!(bench.endpoint.occupancy(), Occupancy { observations: 1, ..Occupancy::default() });
}

/// The first of two blocks of a notification.
fn half(mid: u16, token: Token, number: u32) -> Message {
    let mut half = content(Kind::NonConfirmable, mid, token, Some(number)).with_payload(vec![1; 16]);
    half.set_block(option::BLOCK2, Block { number: 0, more: true, exponent: 0 });
    half
}

#[test]
fn the_rest_of_a_notification_is_fetched_when_the_peer_has_answered_what_it_was_asked() {
    // Anjay answers 5.03 to whatever comes before it has answered something else completely.
    let (mut bench, token) = observing();
    let asked = bench.ask(get(), None, None);
    bench.receive(&half(600, token, 13));
    bench.receive(&half(601, token, 14));
    assert!(bench.sent.is_empty(), "{:?}", bench.sent);
    assert_eq!(bench.endpoint.counters().incomplete_notifications, 1, "the older one is not worth fetching");
    let events = bench.receive(&content(Kind::Acknowledgement, asked.mid(), asked.token(), None));
    assert!(matches!(events[..], [Event::Response { .. }]));
    let fetch = bench.only_sent();
    assert_eq!(fetch.block2().map(|block| block.number), Some(1));
    let mut rest = content(Kind::Acknowledgement, fetch.mid(), fetch.token(), None).with_payload(vec![2; 3]);
    rest.set_block(option::BLOCK2, Block { number: 1, more: false, exponent: 0 });
    let events = bench.receive(&rest);
    let [Event::Notification { message, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.observe(), message.payload().len()), (Some(14), 19));
    bench.wait(600);
    assert_eq!(bench.endpoint.occupancy(), Occupancy { observations: 1, ..Occupancy::default() });
}

#[test]
fn a_fetch_that_is_acknowledged_keeps_no_request_waiting() {
    let (mut bench, token) = observing();
    bench.receive(&half(600, token, 13));
    let fetch = bench.only_sent();
    assert!(bench.endpoint.is_fetching(device()));
    let events = bench.receive(&Message::new(Kind::Acknowledgement, Code::EMPTY, fetch.mid()));
    assert!(matches!(events[..], [Event::FetchEnded { .. }]));
    assert!(!bench.endpoint.is_fetching(device()));
    let mut rest = content(Kind::Confirmable, 700, fetch.token(), None).with_payload(vec![2; 3]);
    rest.set_block(option::BLOCK2, Block { number: 1, more: false, exponent: 0 });
    assert!(matches!(bench.receive(&rest)[..], [Event::Notification { .. }]));
    bench.wait(600);
    assert_eq!(bench.endpoint.occupancy(), Occupancy { observations: 1, ..Occupancy::default() });
}

#[test]
fn a_request_that_is_acknowledged_keeps_no_notification_waiting() {
    let (mut bench, token) = observing();
    let asked = bench.ask(get(), None, None);
    bench.receive(&half(600, token, 13));
    assert!(bench.sent.is_empty());
    bench.receive(&Message::new(Kind::Acknowledgement, Code::EMPTY, asked.mid()));
    assert!(bench.only_sent().block2().is_some());
}

#[test]
fn restored_observations_are_known() {
    let mut bench = Bench::new();
    let token = Token::from([9; 8]);
    bench.endpoint.restore_observation(ObservationId(5), device(), token);
    let events = bench.receive(&content(Kind::NonConfirmable, 1, token, Some(14)));
    assert!(matches!(events[..], [Event::Notification { id: ObservationId(5), .. }]));
}

#[test]
fn a_notification_is_taken_on_any_association_of_its_principal_and_on_no_other() {
    let on = |association| Peer { association, ..device() };
    let mut bench = Bench::new();
    for (association, principal) in [(7, "a"), (8, "a"), (9, "b")] {
        bench.endpoint.associate(association, principal.into());
    }
    let request =
        Request { id: RequestId(1), message: observe(), observation: Some(ObservationId(1)), token: None };
    let token = bench.endpoint.request(bench.now, on(7), request);
    bench.drain();
    let asked = bench.only_sent();
    bench.receive_from(on(7), &content(Kind::Acknowledgement, asked.mid(), token, Some(1)));
    // Of another one, of none, and of one that has proved nothing; the numbers would make the right ones look old.
    for (mid, stranger) in [(1, on(9)), (2, on(0)), (3, on(10))] {
        assert!(bench.receive_from(stranger, &content(Kind::Confirmable, mid, token, Some(100))).is_empty());
        assert_eq!(bench.only_sign(), (Kind::Reset, Code::EMPTY, mid));
    }
    for (mid, own) in [(4, on(7)), (5, on(8))] {
        let events =
            bench.receive_from(own, &content(Kind::NonConfirmable, mid, token, Some(u32::from(mid))));
        assert!(matches!(events[..], [Event::Notification { id: ObservationId(1), .. }]), "{events:?}");
    }
    bench.endpoint.dissociate(8);
    assert!(bench.receive_from(on(8), &content(Kind::Confirmable, 6, token, Some(6))).is_empty());
    // Nor does what was asked for without DTLS become anybody's.
    let (mut bench, token) = observing();
    bench.endpoint.associate(7, "a".into());
    assert!(bench.receive_from(on(7), &content(Kind::Confirmable, 1, token, Some(13))).is_empty());
}
