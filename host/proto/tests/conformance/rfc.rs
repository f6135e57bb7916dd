//! The message sequences of RFC 7252 appendix A, RFC 7641 appendix A, RFC 7959 section 3, and the options of RFC 9175.

use tidegate_proto::coap::endpoint::{Config, Delivery, Event};
use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::coap::option;

use crate::stage::Stage;
use crate::trace::{message, written};

fn temperature() -> Message {
    Message::request(Code::GET).with_path_segment("temperature")
}

fn content() -> Message {
    Message::response(Code::CONTENT).with_payload(b"22.3 C".to_vec())
}

/// RFC 7252 figures 16 and 17: piggybacked, without and with a token.
#[test]
fn rfc_7252_a_piggybacked_response_in_both_roles() {
    let figures = [
        (0x7d34, &[][..], "40 01 7d34 BB 'temperature'", "60 45 7d34 FF '22.3 C'"),
        (0x7d35, &[0x20], "41 01 7d35 20 BB 'temperature'", "61 45 7d35 20 FF '22.3 C'"),
    ];
    for (mid, token, get, answer) in figures {
        let mut client = Stage::new(mid);
        let id = client.ask(temperature(), token);
        client.assert_sent(get);
        client.receive(answer);
        let (delivery, message) = client.answered(id);
        assert_eq!((delivery, message.payload()), (Delivery::Piggybacked, &b"22.3 C"[..]));

        let mut server = Stage::new(1);
        server.receive(get);
        let (receipt, message) = server.asked();
        assert_eq!(message.uri_path().collect::<Vec<_>>(), [b"temperature"]);
        server.respond(receipt, content());
        server.assert_sent(answer);
    }
}

/// Figure 18: the request is lost.
#[test]
fn rfc_7252_a_lost_request_is_sent_again() {
    let mut client = Stage::new(0x7d36);
    let id = client.ask(temperature(), &[0x31]);
    client.assert_sent("41 01 7d36 31 BB 'temperature'");
    client.pass(3);
    client.assert_sent("41 01 7d36 31 BB 'temperature'");
    client.receive("61 45 7d36 31 FF '22.3 C'");
    client.answered(id);
    client.pass(300);
    client.assert_silent();
}

/// Figure 19: the acknowledgement, and with it the response, is lost.
#[test]
fn rfc_7252_a_lost_response_is_sent_again_and_the_request_done_once() {
    let mut server = Stage::new(1);
    server.receive("41 01 7d37 42 BB 'temperature'");
    let (receipt, _) = server.asked();
    server.respond(receipt, content());
    server.assert_sent("61 45 7d37 42 FF '22.3 C'");
    server.receive("41 01 7d37 42 BB 'temperature'");
    server.assert_sent("61 45 7d37 42 FF '22.3 C'");
    server.assert_uneventful();
}

/// Figure 20: a separate response.
#[test]
fn rfc_7252_a_separate_response_is_acknowledged() {
    let mut client = Stage::new(0x7d38);
    let id = client.ask(temperature(), &[0x53]);
    client.assert_sent("41 01 7d38 53 BB 'temperature'");
    client.receive("60 00 7d38");
    assert!(matches!(client.event(), Event::Acknowledged { .. }));
    client.receive("41 45 ad7b 53 FF '22.3 C'");
    client.assert_sent("60 00 ad7b");
    assert_eq!(client.answered(id).0, Delivery::Confirmable);
}

/// Figure 21: the client has lost its state before the separate response comes.
#[test]
fn rfc_7252_a_separate_response_that_nobody_waits_for_is_reset() {
    let mut client = Stage::new(1);
    client.receive("60 00 7d39");
    client.assert_silent();
    client.receive("41 45 ad7c 64 FF '22.3 C'");
    client.assert_sent("70 00 ad7c");
    client.assert_uneventful();
}

/// Figure 22: a non-confirmable request and its response.
#[test]
fn rfc_7252_a_non_confirmable_request_gets_a_non_confirmable_response() {
    let mut server = Stage::new(0xad7d);
    server.receive("51 01 7d40 75 BB 'temperature'");
    let (receipt, _) = server.asked();
    server.respond(receipt, content());
    server.assert_sent("51 45 ad7d 75 FF '22.3 C'");
    server.receive("51 01 7d40 75 BB 'temperature'");
    server.assert_silent();
    server.assert_uneventful();
}

/// RFC 7641 figure 3: the current state, and a new one; and figure 4: registered anew under another token.
#[test]
fn rfc_7641_a_registers_is_notified_and_registers_again() {
    let register = || temperature().with_option_uint(option::OBSERVE, 0);
    let mut client = Stage::new(0x1633);
    let id = client.observe(register(), 1, &[0x4a]);
    client.assert_sent("41 01 1633 4a 60 5B 'temperature'");
    client.receive("61 45 1633 4a 61 09 81 0F FF '18.5 Cel'");
    let (_, message) = client.answered(id);
    assert_eq!((message.observe(), message.max_age()), (Some(9), Some(15)));
    client.receive("51 45 7b50 4a 61 10 81 0F FF '19.2 Cel'");
    let (_, message) = client.notified(1);
    assert_eq!((message.observe(), message.payload()), (Some(16), &b"19.2 Cel"[..]));

    client.pass(15);
    let id = client.observe(register(), 1, &[0xb2]);
    client.assert_sent("41 01 1634 b2 60 5B 'temperature'");
    client.receive("61 45 1634 b2 61 02 81 0F FF '19.7 Cel'");
    assert_eq!(client.answered(id).1.observe(), Some(2));
    client.receive("51 45 7b51 4a 61 11 FF '19.8 Cel'");
    client.assert_sent("70 00 7b51");
    client.receive("51 45 7b52 b2 61 03 FF '19.8 Cel'");
    assert_eq!(client.notified(1).1.observe(), Some(3));
}

/// A script of an example of RFC 7959: what the endpoint sends, and what it gets, with a payload of so many bytes.
enum Line {
    Out(&'static str),
    In(&'static str, usize),
}
use Line::{In, Out};

/// Plays a client's side. Each incoming message has the token of the last outgoing one.
fn play(stage: &mut Stage, lines: &[Line]) -> Vec<usize> {
    let mut token = None;
    let mut payloads = Vec::new();
    for line in lines {
        match line {
            Out(line) => {
                let sent = stage.sent();
                assert_eq!(written(&sent), *line);
                payloads.push(sent.payload().len());
                token = Some(sent.token());
            }
            In(line, length) => {
                let message = message(line).with_token(token.expect("a request first"));
                stage.receive_bytes(&message.with_payload(vec![0x61; *length]).to_bytes());
            }
        }
    }
    stage.assert_silent();
    payloads
}

fn status() -> Message {
    Message::request(Code::GET).with_path_segment("status")
}

/// RFC 7959 section 3.1: a plain block-wise GET, one whose request is lost on the way, and one that asks for a size.
#[test]
fn rfc_7959_block_wise_get() {
    let mut stage = Stage::new(1234);
    let id = stage.ask(status(), b"t");
    play(
        &mut stage,
        &[
            Out("CON [MID=1234], GET, /status"),
            In("ACK [MID=1234], 2.05, 2:0/1/128", 128),
            Out("CON [MID=1235], GET, /status, 2:1/0/128"),
            In("ACK [MID=1235], 2.05, 2:1/1/128", 128),
            Out("CON [MID=1236], GET, /status, 2:2/0/128"),
            In("ACK [MID=1236], 2.05, 2:2/0/128", 128),
        ],
    );
    assert_eq!(stage.answered(id).1.payload().len(), 384);

    let mut stage = Stage::new(1234);
    let id = stage.ask(status().with_option_uint(option::BLOCK2, 2), b"t");
    play(
        &mut stage,
        &[
            Out("CON [MID=1234], GET, /status, 2:0/0/64"),
            In("ACK [MID=1234], 2.05, 2:0/1/64", 64),
            Out("CON [MID=1235], GET, /status, 2:1/0/64"),
            In("ACK [MID=1235], 2.05, 2:1/1/64", 64),
            Out("CON [MID=1236], GET, /status, 2:2/0/64"),
        ],
    );
    stage.pass(3);
    play(
        &mut stage,
        &[Out("CON [MID=1236], GET, /status, 2:2/0/64"), In("ACK [MID=1236], 2.05, 2:2/0/64", 1)],
    );
    assert_eq!(stage.answered(id).1.payload().len(), 129);
}

/// RFC 7959 section 3.1: the client wants smaller blocks than the server begins with.
#[test]
fn rfc_7959_block_wise_get_with_late_negotiation() {
    let mut stage = Stage::with(1234, blocks_of(64));
    let id = stage.ask(status(), b"t");
    play(
        &mut stage,
        &[
            Out("CON [MID=1234], GET, /status"),
            In("ACK [MID=1234], 2.05, 2:0/1/128", 128),
            Out("CON [MID=1235], GET, /status, 2:2/0/64"),
            In("ACK [MID=1235], 2.05, 2:2/1/64", 64),
            Out("CON [MID=1236], GET, /status, 2:3/0/64"),
            In("ACK [MID=1236], 2.05, 2:3/1/64", 64),
            Out("CON [MID=1237], GET, /status, 2:4/0/64"),
            In("ACK [MID=1237], 2.05, 2:4/1/64", 64),
            Out("CON [MID=1238], GET, /status, 2:5/0/64"),
            In("ACK [MID=1238], 2.05, 2:5/0/64", 64),
        ],
    );
    assert_eq!(stage.answered(id).1.payload().len(), 384);
}

fn put() -> Message {
    Message::request(Code::PUT).with_path_segment("options").with_payload(vec![0x62; 300])
}

fn blocks_of(block: usize) -> Config {
    Config { block, ..Config::new(1) }
}

/// RFC 7959 section 3.2: an atomic block-wise PUT, a stateless one, and one that is negotiated down; as the client.
#[test]
fn rfc_7959_block_wise_put_as_the_client() {
    let mut stage = Stage::with(1234, blocks_of(128));
    let id = stage.ask(put(), b"t");
    let sent = play(
        &mut stage,
        &[
            Out("CON [MID=1234], PUT, /options, 1:0/1/128"),
            In("ACK [MID=1234], 2.31, 1:0/1/128", 0),
            Out("CON [MID=1235], PUT, /options, 1:1/1/128"),
            In("ACK [MID=1235], 2.31, 1:1/1/128", 0),
            Out("CON [MID=1236], PUT, /options, 1:2/0/128"),
            In("ACK [MID=1236], 2.04, 1:2/0/128", 0),
        ],
    );
    assert_eq!(sent, [128, 128, 44]);
    assert_eq!(stage.answered(id).1.code(), Code::CHANGED);

    let mut stage = Stage::with(1234, blocks_of(128));
    let id = stage.ask(put(), b"t");
    play(
        &mut stage,
        &[
            Out("CON [MID=1234], PUT, /options, 1:0/1/128"),
            In("ACK [MID=1234], 2.04, 1:0/0/128", 0),
            Out("CON [MID=1235], PUT, /options, 1:1/1/128"),
            In("ACK [MID=1235], 2.04, 1:1/0/128", 0),
            Out("CON [MID=1236], PUT, /options, 1:2/0/128"),
            In("ACK [MID=1236], 2.04, 1:2/0/128", 0),
        ],
    );
    stage.answered(id);

    let mut stage = Stage::with(1234, blocks_of(128));
    let id = stage.ask(put().with_payload(vec![0x62; 200]), b"t");
    let sent = play(
        &mut stage,
        &[
            Out("CON [MID=1234], PUT, /options, 1:0/1/128"),
            In("ACK [MID=1234], 2.31, 1:0/1/32", 0),
            Out("CON [MID=1235], PUT, /options, 1:4/1/32"),
            In("ACK [MID=1235], 2.31, 1:4/1/32", 0),
            Out("CON [MID=1236], PUT, /options, 1:5/1/32"),
            In("ACK [MID=1236], 2.31, 1:5/1/32", 0),
            Out("CON [MID=1237], PUT, /options, 1:6/0/32"),
            In("ACK [MID=1237], 2.04, 1:6/0/32", 0),
        ],
    );
    assert_eq!(sent, [128, 32, 32, 8]);
    stage.answered(id);
}

/// The same as the server: each line that comes in, and what it is answered with.
#[test]
fn rfc_7959_block_wise_put_as_the_server() {
    let dialogues = [
        (
            128,
            [
                ("CON [MID=1234], PUT, /options, 1:0/1/128", 128, "ACK [MID=1234], 2.31, 1:0/1/128"),
                ("CON [MID=1235], PUT, /options, 1:1/1/128", 128, "ACK [MID=1235], 2.31, 1:1/1/128"),
                ("CON [MID=1236], PUT, /options, 1:2/0/128", 8, "ACK [MID=1236], 2.04, 1:2/0/128"),
            ],
        ),
        (
            32,
            [
                ("CON [MID=1234], PUT, /options, 1:0/1/128", 128, "ACK [MID=1234], 2.31, 1:0/1/32"),
                ("CON [MID=1235], PUT, /options, 1:4/1/32", 32, "ACK [MID=1235], 2.31, 1:4/1/32"),
                ("CON [MID=1236], PUT, /options, 1:5/0/32", 32, "ACK [MID=1236], 2.04, 1:5/0/32"),
            ],
        ),
    ];
    for (size, dialogue) in dialogues {
        let mut stage = Stage::with(1, blocks_of(size));
        let mut total = 0;
        for (request, length, answer) in dialogue {
            total += length;
            stage.receive_bytes(&message(request).with_payload(vec![0x63; length]).to_bytes());
            if answer.contains("2.04") {
                let (receipt, whole) = stage.asked();
                assert_eq!(whole.payload().len(), total);
                stage.respond(receipt, Message::response(Code::CHANGED));
            }
            assert_eq!(written(&stage.sent()), answer);
            stage.assert_uneventful();
        }
    }
}

/// RFC 7959 section 3.3: the request and the response of a POST both come in blocks.
#[test]
fn rfc_7959_block_wise_post_with_block_wise_response() {
    let mut stage = Stage::with(1234, blocks_of(128));
    let soap = Message::request(Code::POST).with_path_segment("soap").with_payload(vec![0x64; 300]);
    let id = stage.ask(soap, b"t");
    let sent = play(
        &mut stage,
        &[
            Out("CON [MID=1234], POST, /soap, 1:0/1/128"),
            In("ACK [MID=1234], 2.31, 1:0/1/128", 0),
            Out("CON [MID=1235], POST, /soap, 1:1/1/128"),
            In("ACK [MID=1235], 2.31, 1:1/1/128", 0),
            Out("CON [MID=1236], POST, /soap, 1:2/0/128"),
            In("ACK [MID=1236], 2.04, 2:0/1/128, 1:2/0/128", 128),
            Out("CON [MID=1237], POST, /soap, 2:1/0/128"),
            In("ACK [MID=1237], 2.04, 2:1/1/128", 128),
            Out("CON [MID=1238], POST, /soap, 2:2/0/128"),
            In("ACK [MID=1238], 2.04, 2:2/1/128", 128),
            Out("CON [MID=1239], POST, /soap, 2:3/0/128"),
            In("ACK [MID=1239], 2.04, 2:3/0/128", 5),
        ],
    );
    assert_eq!(sent, [128, 128, 44, 0, 0, 0]);
    assert_eq!(stage.answered(id).1.payload().len(), 389);
}

/// RFC 7959 section 3.4: an observation whose first response and notification come in blocks. The later blocks are
/// fetched without Observe, under tokens of their own.
#[test]
fn rfc_7959_observe_with_block_wise_notification() {
    let mut stage = Stage::new(1234);
    let id = stage.observe(status().with_option_uint(option::OBSERVE, 0), 1, &[0xfb]);
    play(
        &mut stage,
        &[
            Out("CON [MID=1234], GET, /status, 6:0"),
            In("ACK [MID=1234], 2.05, 6:62354, 2:0/1/128", 128),
            Out("CON [MID=1235], GET, /status, 2:1/0/128"),
            In("ACK [MID=1235], 2.05, 2:1/0/128", 29),
        ],
    );
    let (_, first) = stage.answered(id);
    assert_eq!((first.observe(), first.payload().len()), (Some(62354), 157));

    let notification = message("CON [MID=4444], 2.05, 6:62444, 2:0/1/128").with_payload(vec![1; 128]);
    let token = tidegate_proto::coap::token::Token::from_slice(&[0xfb]).expect("one byte");
    stage.receive_bytes(&notification.with_token(token).to_bytes());
    play(
        &mut stage,
        &[
            Out("ACK [MID=4444]"),
            Out("CON [MID=1236], GET, /status, 2:1/0/128"),
            In("ACK [MID=1236], 2.05, 2:1/1/128", 128),
            Out("CON [MID=1237], GET, /status, 2:2/0/128"),
            In("ACK [MID=1237], 2.05, 2:2/0/128", 3),
        ],
    );
    let (_, whole) = stage.notified(1);
    assert_eq!((whole.observe(), whole.payload().len()), (Some(62444), 259));
}

/// RFC 9175: Echo and Request-Tag are elective. Blocks under different Request-Tags are not of one body (section 3.3).
#[test]
fn rfc_9175_echo_and_request_tag_are_tolerated_and_tags_keep_bodies_apart() {
    let mut stage = Stage::new(1);
    // Echo is option 252, Request-Tag 292.
    stage.receive("41 02 0001 74 B2 'rd' D2 E4 'ec' D1 1B 'A'");
    let (receipt, message) = stage.asked();
    assert_eq!(message.unknown_critical(), None);
    stage.respond(receipt, Message::response(Code::CHANGED));
    stage.assert_sent("61 44 0001 74");

    let mut part = |mid: u16, tag: &[u8], block: u32, payload: &[u8]| {
        let message = Message::new(tidegate_proto::coap::message::Kind::Confirmable, Code::POST, mid)
            .with_path_segment("rd")
            .with_option_uint(option::BLOCK1, block)
            .with_option(option::REQUEST_TAG, tag.to_vec())
            .with_payload(payload.to_vec());
        stage.receive_bytes(&message.to_bytes());
    };
    part(2, b"A", 0x08, &[b'A'; 16]);
    part(3, b"B", 0x08, &[b'B'; 16]);
    part(4, b"A", 0x10, b"a");
    part(5, b"B", 0x10, b"b");
    let (_, first) = stage.asked();
    let (_, second) = stage.asked();
    assert_eq!(first.payload(), b"AAAAAAAAAAAAAAAAa");
    assert_eq!(second.payload(), b"BBBBBBBBBBBBBBBBb");
}

/// RFC 9175 section 2.3: a request that is answered 4.01 with Echo is repeated with it, once.
#[test]
fn rfc_9175_a_request_is_repeated_with_the_echo_that_its_answer_asks_for() {
    let mut stage = Stage::new(0x0101);
    let id = stage.ask(Message::request(Code::PUT).with_path_segment("l").with_payload(b"1".to_vec()), b"t");
    stage.assert_sent("41 03 0101 't' B1 'l' FF '1'");
    // Echo is option 252.
    stage.receive("61 81 0101 't' D8 EF '12345678'");
    stage.assert_sent("41 03 0102 't' B1 'l' D8 E4 '12345678' FF '1'");
    stage.receive("61 44 0102 't'");
    assert_eq!(stage.answered(id).1.code(), Code::CHANGED);

    let id = stage.ask(temperature(), b"u");
    stage.assert_sent("41 01 0103 'u' BB 'temperature'");
    stage.receive("61 81 0103 'u' D1 EF 'a'");
    stage.assert_sent("41 01 0104 'u' BB 'temperature' D1 E4 'a'");
    stage.receive("61 81 0104 'u' D1 EF 'b'");
    assert_eq!(stage.answered(id).1.code(), Code::UNAUTHORIZED);
    stage.assert_silent();
}

/// A body in blocks begins again with its first.
#[test]
fn rfc_9175_a_body_in_blocks_is_repeated_with_the_echo_from_its_first_block_on() {
    let mut stage = Stage::with(1234, blocks_of(128));
    let id = stage.ask(put().with_payload(vec![0x62; 200]), b"t");
    play(&mut stage, &[Out("CON [MID=1234], PUT, /options, 1:0/1/128")]);
    let refusal = message("ACK [MID=1234], 4.01").with_option(option::ECHO, vec![7; 8]);
    let token = tidegate_proto::coap::token::Token::from_slice(b"t").expect("one byte");
    stage.receive_bytes(&refusal.with_token(token).to_bytes());
    play(
        &mut stage,
        &[
            Out("CON [MID=1235], PUT, /options, 1:0/1/128"),
            In("ACK [MID=1235], 2.31, 1:0/1/128", 0),
            Out("CON [MID=1236], PUT, /options, 1:1/0/128"),
            In("ACK [MID=1236], 2.04, 1:1/0/128", 0),
        ],
    );
    assert_eq!(stage.answered(id).1.code(), Code::CHANGED);
}

/// A critical option that nobody here knows: 4.02, silence for a non-confirmable request, a reset for a response.
#[test]
fn rfc_7252_an_unknown_critical_option_is_rejected() {
    let mut stage = Stage::new(0x7d34);
    // Option 2049.
    stage.receive("41 01 0001 74 E1 06F4 'x'");
    let answer = stage.sent();
    assert_eq!(written(&answer), "ACK [MID=1], 4.02");
    assert_eq!(answer.payload(), b"option 2049 is critical and not understood");
    stage.receive("51 01 0002 74 E1 06F4 'x'");
    stage.assert_silent();
    // Option 2050 is elective.
    stage.receive("41 01 0003 74 E1 06F5 'x'");
    stage.asked();

    stage.ask(temperature(), b"t");
    assert_eq!(written(&stage.sent()), "CON [MID=32052], GET, /temperature");
    stage.receive("61 45 7d34 't' E1 06F4 'x'");
    stage.receive("41 45 0009 't' E1 06F4 'x'");
    stage.assert_sent("70 00 0009");
    stage.assert_uneventful();
}
