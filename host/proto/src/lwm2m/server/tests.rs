//! A server and scripted clients in simulated time.

use super::*;
use crate::coap::message::{Code, Message, MessageKind, option};
use crate::lwm2m::operation::{Body, WriteMode};

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

/// A server with what it has said since it was asked last.
struct Bench {
    server: Server,
    now: Instant,
    refuse: bool,
    events: Vec<String>,
    sent: Vec<(Peer, Message)>,
}

impl Bench {
    fn new() -> Self {
        let server = Server::new(Config::default(), Box::new(Counting(0)));
        Self { server, now: Instant::from_micros(1), refuse: false, events: Vec::new(), sent: Vec::new() }
    }

    fn receive(&mut self, port: u16, message: &Message) {
        self.server.handle_datagram(self.now, peer(port), &message.to_bytes());
        self.pump();
    }

    /// Let time pass, as a driver does: every timer at its time.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            match self.server.poll_output() {
                Output::Timeout(Some(at)) if at <= end => {
                    self.now = at.max(self.now);
                    self.server.handle_timeout(self.now);
                    self.pump();
                }
                Output::Timeout(_) => break,
                other => panic!("not pumped: {other:?}"),
            }
        }
        self.now = end;
        self.server.handle_timeout(self.now);
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            match self.server.poll_output() {
                Output::Transmit(transmit) => {
                    self.sent.push((transmit.peer, Message::parse(&transmit.payload).unwrap()))
                }
                Output::Event(event) => {
                    self.events.push(describe(&event));
                    if let Some(receipt) = receipt(&event) {
                        let settlement = if self.refuse { Settlement::Refused } else { Settlement::Accepted };
                        self.server.settle(self.now, receipt, settlement);
                    }
                }
                Output::Timeout(_) => return,
            }
        }
    }

    fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    fn sent(&mut self) -> Vec<(Peer, Message)> {
        std::mem::take(&mut self.sent)
    }

    /// The one message sent since the last look.
    fn only(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).1
    }

    fn register(&mut self, port: u16, mid: u16, extra: &[&str]) -> String {
        self.receive(port, &register(mid, extra));
        let answer = self.only();
        assert_eq!(answer.code(), Code::CREATED);
        answer
            .option(option::LOCATION_PATH)
            .map(|segment| format!("/{}", str::from_utf8(segment).unwrap()))
            .collect()
    }

    fn perform(&mut self, operation: Operation) {
        self.perform_before(operation, None);
    }

    fn perform_before(&mut self, operation: Operation, deadline: Option<Instant>) {
        let request =
            Request { endpoint: "dev".into(), operation, context: "c".into(), deadline, urgent: false };
        self.server.perform(self.now, request);
        self.pump();
    }

    /// Answer the request that was sent last.
    fn answer(&mut self, port: u16, request: &Message, code: Code, build: impl FnOnce(Message) -> Message) {
        let mut answer = build(Message::new(code));
        answer.address(MessageKind::Acknowledgement, request.mid(), &request.token());
        self.receive(port, &answer);
    }

    fn observe(&mut self, port: u16) -> Token {
        self.perform(Operation::Observe { path: Path::new([3, 0]), queries: vec![], accept: None });
        let request = self.only();
        self.answer(port, &request, Code::CONTENT, |answer| {
            answer.with_uint(option::OBSERVE, 0).with_payload("0")
        });
        assert_eq!(self.events(), ["answered Observe /3/0 45 0"]);
        request.token()
    }
}

fn peer(port: u16) -> Peer {
    Peer::plain(([127, 0, 0, 1], port).into())
}

fn receipt(event: &Event) -> Option<Receipt> {
    match event {
        Event::Registered { receipt, .. } | Event::Updated { receipt, .. } | Event::Sent { receipt, .. } => {
            Some(*receipt)
        }
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => *receipt,
        _ => None,
    }
}

fn describe(event: &Event) -> String {
    let body = |content: &Content| String::from_utf8_lossy(&content.payload).into_owned();
    match event {
        Event::Registered { registration, previous, .. } => {
            format!(
                "registered {} {}",
                registration.endpoint,
                if previous.is_some() { "again" } else { "first" }
            )
        }
        Event::Updated { registration, links_changed, .. } => {
            format!("updated {} lt={} {}", registration.endpoint, registration.lifetime, links_changed)
        }
        Event::Ended { registration, reason, .. } => format!("ended {} {reason:?}", registration.endpoint),
        Event::Answered { asked, code, content, .. } => {
            format!("answered {:?} {} {code:02x} {}", asked.operation, asked.path, body(content))
        }
        Event::Notified { asked, code, content, .. } => {
            format!("notified {} {code:02x} {}", asked.path, body(content))
        }
        Event::Sent { registration, content, .. } => {
            format!("sent {} {}", registration.endpoint, body(content))
        }
        Event::Progressed { asked, stage, .. } => format!("{stage:?} {:?} {}", asked.operation, asked.path),
        Event::Failed { asked, failure, .. } => {
            format!("failed {:?} {} {failure:?}", asked.operation, asked.path)
        }
    }
}

fn request(code: Code, mid: u16, path: &str) -> Message {
    let mut message = Message::new(code);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        message = message.with_option(option::URI_PATH, segment);
    }
    message.address(MessageKind::Confirmable, mid, &Token::new(&mid.to_be_bytes()));
    message
}

fn register(mid: u16, extra: &[&str]) -> Message {
    let defaults = ["ep=dev", "lt=300", "lwm2m=1.1"];
    let given = |item: &&str| extra.iter().any(|other| other.split('=').next() == item.split('=').next());
    let items = defaults.iter().filter(|item| !given(item)).chain(extra);
    items
        .fold(request(Code::POST, mid, "rd"), |message, item| message.with_option(option::URI_QUERY, *item))
        .with_payload(r#"</>;rt="oma.lwm2m",</1/0>,</3/0>"#)
}

fn read(id: u16) -> Operation {
    Operation::Read { path: Path::new([3, 0, id]), queries: vec![], accept: None }
}

fn notification(token: Token, mid: u16, number: u32, body: &str) -> Message {
    let mut message = Message::new(Code::CONTENT).with_uint(option::OBSERVE, number).with_payload(body);
    message.address(MessageKind::Confirmable, mid, &token);
    message
}

#[test]
fn a_client_registers_updates_and_deregisters() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &[]);
    assert_eq!(shard_of_location(location.strip_prefix("/rd/").unwrap()), Some(0));
    bench.receive(1, &request(Code::POST, 2, &location).with_option(option::URI_QUERY, *b"lt=600"));
    assert_eq!(bench.only().code(), Code::CHANGED);
    bench.receive(1, &request(Code::POST, 3, &location).with_payload("</5/0>"));
    assert_eq!(bench.only().code(), Code::CHANGED);
    assert_eq!(bench.server.registration("dev").unwrap().objects.len(), 1);
    bench.receive(1, &request(Code::DELETE, 4, &location));
    assert_eq!(bench.only().code(), Code::DELETED);
    assert_eq!(
        bench.events(),
        [
            "registered dev first",
            "updated dev lt=600 false",
            "updated dev lt=600 true",
            "ended dev Deregistered"
        ]
    );
    bench.receive(1, &request(Code::POST, 5, &location));
    assert_eq!(bench.only().code(), Code::NOT_FOUND);
    assert!(
        bench.server.is_empty() && bench.server.by_location.is_empty() && bench.server.by_peer.is_empty()
    );
}

#[test]
fn a_bad_register_gets_the_right_code_and_a_reason() {
    let mut bench = Bench::new();
    for (mid, (extra, code, reason)) in [
        ("ep=", Code::BAD_REQUEST, "missing ep"),
        ("lwm2m=8.3", Code::PRECONDITION_FAILED, "lwm2m=8.3 is not 1.0, 1.1 or 1.2"),
        ("lt=soon", Code::BAD_REQUEST, "lt=soon is not a number of seconds"),
    ]
    .into_iter()
    .enumerate()
    {
        bench.receive(1, &register(mid as u16, &[extra]));
        let answer = bench.only();
        assert_eq!((answer.code(), answer.payload()), (code, reason.as_bytes()));
    }
    bench.receive(1, &register(9, &[]).with_payload("<broken"));
    assert_eq!(bench.only().code(), Code::BAD_REQUEST);
    assert!(bench.events().is_empty() && bench.server.is_empty());
}

#[test]
fn a_refused_register_never_happened_and_is_new_when_it_comes_again() {
    let mut bench = Bench::new();
    bench.refuse = true;
    bench.receive(1, &register(1, &[]));
    assert!(bench.sent().is_empty() && bench.server.is_empty());
    bench.refuse = false;
    bench.register(1, 1, &[]);
    assert_eq!(bench.events(), ["registered dev first", "registered dev first"]);
}

#[test]
fn a_register_whose_answer_was_lost_is_answered_alike_and_told_once() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &[]);
    assert_eq!(bench.register(1, 1, &[]), location);
    assert_eq!(bench.events(), ["registered dev first"]);
}

#[test]
fn a_registration_ends_when_its_lifetime_has_passed_in_silence() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &[]);
    bench.pass(Duration::from_secs(299));
    bench.receive(1, &request(Code::POST, 2, &location));
    bench.pass(Duration::from_secs(299));
    assert_eq!(bench.events(), ["registered dev first", "updated dev lt=300 false"]);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.events(), ["ended dev Expired"]);
    assert!(bench.server.timers.is_empty());
}

#[test]
fn updates_do_not_pile_up_timers() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &[]);
    for mid in 2..200 {
        bench.pass(Duration::from_secs(10));
        bench.receive(1, &request(Code::POST, mid, &location));
    }
    assert_eq!(bench.server.timers.len(), 1);
}

#[test]
fn two_clients_with_equal_message_ids_and_tokens_are_two_clients() {
    let mut bench = Bench::new();
    let first = bench.register(1, 4107, &["ep=a"]);
    let second = bench.register(2, 4107, &["ep=b"]);
    assert_ne!(first, second);
    assert_eq!(bench.events(), ["registered a first", "registered b first"]);
}

#[test]
fn one_request_is_outstanding_and_the_next_goes_after_its_answer() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    bench.perform(read(0));
    bench.perform(read(1));
    let first = bench.only();
    bench.answer(1, &first, Code::CONTENT, |answer| answer.with_payload("a"));
    let second = bench.only();
    assert_eq!(second.uri_path().last(), Some(b"1".as_slice()));
    bench.answer(1, &second, Code::NOT_FOUND, |answer| answer);
    assert_eq!(bench.events(), ["answered Read /3/0/0 45 a", "answered Read /3/0/1 84 "]);
}

#[test]
fn a_request_that_is_never_answered_fails_once_and_the_queue_goes_on() {
    let mut bench = Bench::new();
    bench.register(1, 1, &["lt=86400"]);
    bench.events();
    bench.perform(read(0));
    bench.perform(read(1));
    bench.pass(Duration::from_secs(94));
    assert_eq!(bench.events(), ["failed Read /3/0/0 Timeout"]);
    let sent = bench.sent();
    let times = |id: &[u8]| sent.iter().filter(|(_, message)| message.uri_path().last() == Some(id)).count();
    assert_eq!(times(b"0"), 5);
    assert!(times(b"1") >= 1);
}

#[test]
fn a_reset_fails_the_request() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    bench.perform(read(0));
    let request = bench.only();
    bench.receive(1, &Message::empty(MessageKind::Reset, request.mid()));
    assert_eq!(bench.events(), ["failed Read /3/0/0 Reset"]);
}

#[test]
fn an_empty_acknowledgement_lets_the_next_go_and_the_separate_answer_is_matched_later() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    bench.perform(read(0));
    bench.perform(read(1));
    let first = bench.only();
    bench.receive(1, &Message::empty(MessageKind::Acknowledgement, first.mid()));
    let second = bench.only();
    bench.answer(1, &second, Code::CONTENT, |answer| answer.with_payload("b"));
    bench.pass(Duration::from_secs(30));
    let mut separate = Message::new(Code::CONTENT).with_payload("a");
    separate.address(MessageKind::Confirmable, 4242, &first.token());
    bench.receive(1, &separate);
    let acknowledgement = bench.only();
    assert_eq!((acknowledgement.kind(), acknowledgement.mid()), (MessageKind::Acknowledgement, 4242));
    // Our acknowledgement was lost: it is repeated, the answer is not.
    bench.receive(1, &separate);
    assert_eq!(bench.only().kind(), MessageKind::Acknowledgement);
    assert_eq!(
        bench.events(),
        ["Acknowledged Read /3/0/0", "answered Read /3/0/1 45 b", "answered Read /3/0/0 45 a"]
    );
}

#[test]
fn a_sleeping_client_gets_its_requests_one_at_a_time_when_it_is_heard() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &["b=UQ"]);
    bench.events();
    bench.pass(Duration::from_secs(93));
    bench.perform(read(0));
    bench.perform(read(1));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.events(), ["Queued Read /3/0/0", "Queued Read /3/0/1"]);
    bench.receive(1, &request(Code::POST, 2, &location));
    let sent = bench.sent();
    // The Update is answered first, then one request goes.
    assert_eq!(
        sent.iter().map(|(_, message)| message.code()).collect::<Vec<_>>(),
        [Code::CHANGED, Code::GET]
    );
    bench.answer(1, &sent[1].1, Code::CONTENT, |answer| answer);
    assert_eq!(bench.only().uri_path().last(), Some(b"1".as_slice()));
}

#[test]
fn what_waits_too_long_for_a_sleeping_client_expires() {
    let mut bench = Bench::new();
    bench.register(1, 1, &["Q"]);
    bench.pass(Duration::from_secs(100));
    bench.events();
    let deadline = bench.now + Duration::from_secs(10);
    bench.perform_before(read(0), Some(deadline));
    bench.pass(Duration::from_secs(11));
    assert_eq!(bench.events(), ["Queued Read /3/0/0", "failed Read /3/0/0 Expired"]);
}

#[test]
fn notifications_are_told_in_order_acknowledged_and_not_twice() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    for (mid, number, body) in [(10, 1, "a"), (10, 1, "a"), (12, 3, "c"), (11, 2, "b")] {
        bench.receive(1, &notification(token, mid, number, body));
        let answer = bench.only();
        assert_eq!((answer.kind(), answer.mid()), (MessageKind::Acknowledgement, mid));
    }
    assert_eq!(bench.events(), ["notified /3/0 45 a", "notified /3/0 45 c"]);
}

#[test]
fn a_notification_that_finds_no_room_is_not_acknowledged_and_is_told_when_it_comes_again() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    bench.refuse = true;
    bench.receive(1, &notification(token, 10, 1, "a"));
    assert!(bench.sent().is_empty());
    bench.refuse = false;
    bench.receive(1, &notification(token, 10, 1, "a"));
    assert_eq!(bench.only().kind(), MessageKind::Acknowledgement);
    assert_eq!(bench.events(), ["notified /3/0 45 a", "notified /3/0 45 a"]);
}

#[test]
fn a_notification_from_a_new_address_moves_the_client() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    bench.receive(7, &notification(token, 10, 1, "a"));
    bench.sent();
    bench.perform(read(0));
    assert_eq!(bench.sent()[0].0, peer(7));
    assert!(bench.server.knows(peer(7)) && !bench.server.knows(peer(1)));
}

#[test]
fn an_update_from_a_new_address_moves_the_client_and_nobody_else() {
    let mut bench = Bench::new();
    let location = bench.register(1, 1, &[]);
    bench.register(2, 1, &["ep=other"]);
    bench.receive(9, &request(Code::POST, 5, &location));
    assert_eq!(bench.only().code(), Code::CHANGED);
    assert_eq!(bench.server.registration("dev").unwrap().peer, peer(9));
    assert_eq!(bench.server.registration("other").unwrap().peer, peer(2));
}

#[test]
fn an_error_notification_ends_the_observation_and_the_next_is_reset() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    let mut error = Message::new(Code::NOT_FOUND);
    error.address(MessageKind::Confirmable, 10, &token);
    bench.receive(1, &error);
    assert_eq!(bench.only().kind(), MessageKind::Acknowledgement);
    bench.receive(1, &notification(token, 11, 2, "late"));
    assert_eq!(bench.only().kind(), MessageKind::Reset);
    assert_eq!(bench.events(), ["notified /3/0 84 "]);
}

#[test]
fn a_cancellation_repeats_the_token_and_ends_the_observation() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    bench.perform(Operation::CancelObservation {
        path: Path::new([3, 0]),
        queries: vec![],
        mode: super::super::operation::CancelMode::Active,
    });
    let cancel = bench.only();
    assert_eq!((cancel.token(), cancel.observe()), (token, Some(1)));
    // A notification that crosses the cancellation is one, not its answer.
    bench.receive(1, &notification(token, 10, 1, "crossing"));
    assert_eq!(bench.only().kind(), MessageKind::Acknowledgement);
    bench.answer(1, &cancel, Code::CONTENT, |answer| answer.with_payload("last"));
    bench.receive(1, &notification(token, 11, 2, "late"));
    assert_eq!(bench.only().kind(), MessageKind::Reset);
    assert_eq!(bench.events(), ["notified /3/0 45 crossing", "answered CancelObservation /3/0 45 last"]);
}

#[test]
fn a_client_that_registers_again_loses_its_observations_and_keeps_what_waits() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let token = bench.observe(1);
    bench.perform(read(0));
    bench.perform(read(1));
    bench.sent();
    bench.receive(5, &register(9, &[]));
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(|(_, message)| message.code()).collect::<Vec<_>>(),
        [Code::CREATED, Code::GET]
    );
    assert_eq!(sent[1].0, peer(5));
    assert_eq!(bench.events(), ["registered dev again", "failed Read /3/0/0 Ended"]);
    bench.receive(5, &notification(token, 10, 1, "old"));
    assert_eq!(bench.only().kind(), MessageKind::Reset);
    assert_eq!(bench.server.len(), 1);
}

#[test]
fn blocks_of_a_register_are_joined_whatever_the_tokens_and_formats() {
    let mut bench = Bench::new();
    let links = r#"</>;rt="oma.lwm2m",</1/0>,</3/0>,</5/0>"#.as_bytes();
    for (number, chunk) in links.chunks(16).enumerate() {
        let more = (number + 1) * 16 < links.len();
        let block = crate::coap::message::Block { number: number as u32, more, szx: 0 };
        let mut message =
            register(number as u16, &[]).with_payload(chunk).with_uint(option::BLOCK1, block.to_uint());
        message.set_uint(option::CONTENT_FORMAT, if number == 0 { 40 } else { 0 });
        bench.receive(1, &message);
        let answer = bench.only();
        assert_eq!(answer.code(), if more { Code::CONTINUE } else { Code::CREATED });
        assert_eq!(answer.block(option::BLOCK1), Some(block));
    }
    assert_eq!(bench.events(), ["registered dev first"]);
    assert_eq!(bench.server.registration("dev").unwrap().objects.len(), 3);
}

#[test]
fn a_send_is_taken_from_registered_clients_only() {
    let mut bench = Bench::new();
    bench.receive(1, &request(Code::POST, 1, "dp").with_payload("[]"));
    assert_eq!(bench.only().code(), Code::NOT_FOUND);
    bench.register(1, 2, &[]);
    bench.receive(1, &request(Code::POST, 3, "dp").with_payload("[]"));
    assert_eq!(bench.only().code(), Code::CHANGED);
    assert_eq!(bench.events(), ["registered dev first", "sent dev []"]);
}

#[test]
fn a_large_write_goes_out_in_blocks() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let body = Body::Encoded { format: Some(42), payload: vec![7; 2500] };
    bench.perform(Operation::Write {
        path: Path::new([5, 0, 0]),
        queries: vec![],
        mode: WriteMode::Replace,
        body,
    });
    let mut received = Vec::new();
    loop {
        let request = bench.only();
        received.extend_from_slice(request.payload());
        let block = request.block(option::BLOCK1).unwrap();
        let code = if block.more { Code::CONTINUE } else { Code::CHANGED };
        bench.answer(1, &request, code, |answer| answer.with_uint(option::BLOCK1, block.to_uint()));
        if !block.more {
            break;
        }
    }
    assert_eq!(received, vec![7; 2500]);
    assert_eq!(bench.events(), ["answered Write /5/0/0 44 "]);
}

#[test]
fn no_datagram_of_another_ends_a_registration() {
    let mut bench = Bench::new();
    bench.register(1, 1, &[]);
    bench.events();
    let junk: [&[u8]; 6] = [
        b"",
        b"\x40",
        b"\x40\x01\x00\x01\xff",
        b"\x49\x02\x00\x01",
        b"\x80\x00\x00\x00",
        b"\x40\xff\x00\x01\xb2rd",
    ];
    for port in [1, 2] {
        for datagram in junk {
            bench.server.handle_datagram(bench.now, peer(port), datagram);
            bench.pump();
        }
        bench.receive(port, &request(Code::DELETE, 77, "rd/guess"));
        bench.receive(port, &request(Code::PUT, 78, "rd"));
        bench.receive(port, &request(Code::POST, 79, "rd").with_option(option::URI_QUERY, [0xff_u8]));
    }
    assert!(bench.events().is_empty());
    assert!(bench.server.registration("dev").is_some());
}
