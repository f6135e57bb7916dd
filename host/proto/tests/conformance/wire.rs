//! What a client and the server say to each other, as bytes behind the token, and as values.

use tidegate_proto::coap::message::Message;
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::server::Event;
use tidegate_proto::lwm2m::value::Value;

use crate::bytes::{assert_bytes, bytes};
use crate::sim::{Device, World};

/// What it asks, and what it gets for it.
#[track_caller]
pub(crate) fn answer_to(world: &mut World, device: &Device, datagram: &str) -> Vec<u8> {
    world.exchange(device.peer, &bytes(datagram)).to_bytes()
}

/// The location as one more option of the same number, which follows `'rd'` in Uri-Path and Location-Path.
pub(crate) fn location(id: &str) -> String {
    match id.len() {
        short @ 0..=12 => format!("{short:02X} '{id}'"),
        long => format!("0D {:02X} '{id}'", long - 13),
    }
}

/// The request that we sent it: its code, and what is behind the token.
#[track_caller]
pub(crate) fn assert_asked(world: &mut World, device: &Device, code: u8, rest: &str) -> Message {
    let asked = world.received(device.peer).expect("a request");
    let datagram = asked.to_bytes();
    assert_eq!((datagram[0], datagram[1]), (0x48, code), "confirmable, with eight bytes of token");
    assert_bytes(&datagram[12..], rest);
    asked
}

/// It answers in the acknowledgement: code, and what is behind the token.
pub(crate) fn answer(world: &mut World, device: &Device, asked: &Message, code: u8, rest: &str) {
    let head = [&[0x68, code], &asked.mid().to_be_bytes()[..], asked.token().as_bytes()].concat();
    world.send(device.peer, &[head, bytes(rest)].concat());
}

/// It notifies, non-confirmable, as it does.
pub(crate) fn notify(world: &mut World, device: &Device, mid: &str, asked: &Message, rest: &str) {
    let head = [&[0x58, 0x45][..], &bytes(mid), asked.token().as_bytes()].concat();
    world.send(device.peer, &[head, bytes(rest)].concat());
}

/// The values of an answer or notification, by path.
#[track_caller]
pub(crate) fn values(event: &Event) -> Vec<(String, Value<'static>)> {
    let (Event::Answered { asked, content, .. } | Event::Notified { asked, content, .. }) = event else {
        panic!("{event:?}")
    };
    let samples = format::decode(content.format, asked.path, &content.payload, &Models::built_in());
    let samples = samples.expect("it can be read");
    samples.into_iter().map(|sample| (sample.path.to_string(), sample.value.into_owned())).collect()
}

pub(crate) fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}
