use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Value;

use super::super::content::{Content, MOST_SAMPLES};
use super::*;

/// What the gateway would ask.
fn get(token: &[u8], observe: Option<u32>) -> Vec<u8> {
    let mut message = Message::new(Kind::Confirmable, Code::GET, 700)
        .with_token(Token::from_slice(token).unwrap())
        .with_path_segment("3303");
    if let Some(observe) = observe {
        message = message.with_option_uint(option::OBSERVE, observe);
    }
    message.to_bytes()
}

fn ready(crowd: &mut Crowd, client: usize) {
    let mut out = Vec::new();
    crowd.register(client, &mut out);
    let request = Message::parse(&out).unwrap();
    let answer = Message::new(Kind::Acknowledgement, Code::CREATED, request.mid())
        .with_token(request.token())
        .with_option(option::LOCATION_PATH, b"rd".to_vec())
        .with_option(option::LOCATION_PATH, b"x".to_vec());
    assert_eq!(crowd.take(client, &answer.to_bytes(), &mut Vec::new()), Said::Nothing);
    assert_eq!(crowd.take(client, &get(b"abc", Some(0)), &mut Vec::new()), Said::Ready);
    assert!(crowd.is_ready(client));
}

/// The values in a payload, as the gateway reads them.
fn values(message: &Message, path: &str) -> Vec<Value<'static>> {
    let format = message.content_format();
    assert_eq!(format, Some(format::TLV));
    let path: Path = path.parse().unwrap();
    let samples = format::decode(format, path, message.payload(), &Models::built_in()).unwrap();
    assert!(samples.iter().all(|sample| sample.path.resource() == Some(5700)), "{samples:?}");
    samples.into_iter().map(|sample| sample.value.into_owned()).collect()
}

#[test]
fn a_notification_is_what_the_gateway_reads() {
    for samples in [1, 2, MOST_SAMPLES] {
        let mut crowd = Crowd::new(2, samples);
        ready(&mut crowd, 1);
        let mut out = Vec::new();
        crowd.notify(1, true, 1_234.5, &mut out);
        assert!(out.len() < 1_100, "{}", out.len());
        let message = Message::parse(&out).unwrap();
        assert_eq!((message.kind(), message.code()), (Kind::Confirmable, Code::CONTENT));
        assert_eq!(message.token().as_bytes(), b"abc");
        assert!(message.observe().unwrap() > FIRST_NUMBER);
        assert_eq!(values(&message, Content::path(samples)), vec![Value::Float(1_234.5); samples]);
    }
}

#[test]
fn notifications_are_numbered() {
    let mut crowd = Crowd::new(1, 1);
    ready(&mut crowd, 0);
    let mut told = Vec::new();
    for is_confirmable in [true, false, false] {
        let mut out = Vec::new();
        crowd.notify(0, is_confirmable, 1.5, &mut out);
        let message = Message::parse(&out).unwrap();
        told.push((message.mid(), message.observe().unwrap()));
    }
    assert!(told.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1 + 1 == pair[1].1), "{told:?}");
}

#[test]
fn a_client_registers_again_with_another_message_and_is_ready_when_it_is_observed_again() {
    let mut crowd = Crowd::new(1, 1);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    crowd.register(0, &mut first);
    ready(&mut crowd, 0);
    crowd.forget(0);
    assert!(!crowd.is_ready(0));
    crowd.register(0, &mut second);
    assert_ne!(Message::parse(&first).unwrap().mid(), Message::parse(&second).unwrap().mid());
    ready(&mut crowd, 0);
}

#[test]
fn a_read_is_answered_and_changes_nothing() {
    let mut crowd = Crowd::new(1, 1);
    ready(&mut crowd, 0);
    let mut out = Vec::new();
    assert_eq!(crowd.take(0, &get(b"z", None), &mut out), Said::Nothing);
    let answer = Message::parse(&out).unwrap();
    assert_eq!((answer.kind(), answer.mid(), answer.observe()), (Kind::Acknowledgement, 700, None));
    assert_eq!(values(&answer, "/3303/0/5700"), [Value::Float(21.5)]);
    out.clear();
    crowd.notify(0, false, 1.5, &mut out);
    assert_eq!(Message::parse(&out).unwrap().token().as_bytes(), b"abc");
}

#[test]
fn an_update_goes_to_the_location_and_its_answer_counts() {
    let mut crowd = Crowd::new(1, 1);
    ready(&mut crowd, 0);
    let mut out = Vec::new();
    crowd.update(0, &mut out);
    let update = Message::parse(&out).unwrap();
    assert_eq!(update.uri_path().collect::<Vec<_>>(), [b"rd".as_slice(), b"x"]);
    let answer = |code| Message::new(Kind::Acknowledgement, code, update.mid()).with_token(update.token());
    assert_eq!(crowd.take(0, &answer(Code::CHANGED).to_bytes(), &mut Vec::new()), Said::Updated);
    let refused = crowd.take(0, &answer(Code::NOT_FOUND).to_bytes(), &mut Vec::new());
    assert_eq!(refused, Said::Refused(Code::NOT_FOUND));
    assert_eq!(crowd.take(0, &[0x60, 0, 0, 9], &mut Vec::new()), Said::Acknowledged);
}

#[test]
fn addresses_are_the_clients_own() {
    for client in [0, 1, 255, 256, MOST - 1] {
        assert!(address(client).is_loopback());
        assert_eq!(of_address(address(client)), Some(client));
    }
    assert_eq!(of_address(Ipv4Addr::LOCALHOST), None);
}
