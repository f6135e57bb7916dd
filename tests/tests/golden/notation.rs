//! Expectations of our own in one line each: `ACK 2.01 location`, `CON 0.01 path=/3/0/9 observe=0`, and
//! `<M>/up/resp {"msgType":"ack",…}` for a publication.

use serde_json::Value as Json;

use crate::case::{Message, Publication, Value};
use crate::rest::ENDPOINT;

/// A message to the device: its type, its code and then
/// * `path=/3/0`, `query=pmin=1`: Uri-Path, Uri-Query;
/// * `observe=`, `format=`, `accept=`, `size1=`: these options, decimal;
/// * `block1=2/1/16`, `block2=…`: number, whether more follows, size;
/// * `location`: a Location-Path;
/// * `payload=` in hexadecimal, or `diagnosed`: with any payload.
pub(crate) fn message(line: &str) -> Message {
    let mut words = line.split(' ');
    let (kind, code) = (words.next().expect("a type"), words.next().expect("a code"));
    let mut options = Vec::new();
    let mut payload = Some(String::new());
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "location" => options.push(option(8, b"")),
            "path" => options.extend(value.split('/').skip(1).map(|segment| option(11, segment.as_bytes()))),
            "query" => options.push(option(15, value.as_bytes())),
            "observe" => options.push(number(6, value)),
            "format" => options.push(number(12, value)),
            "size1" => options.push(number(60, value)),
            "accept" => options.push(number(17, value)),
            "block1" => options.push(block(27, value)),
            "block2" => options.push(block(23, value)),
            "payload" => payload = Some(value.to_owned()),
            "diagnosed" => payload = Some(DIAGNOSED.to_owned()),
            other => panic!("{other} in the expectation {line}"),
        }
    }
    Message {
        kind: kind.to_owned(),
        code: code.to_owned(),
        options: Some(options),
        payload_hex: payload,
        mid: (kind != "CON" && kind != "NON").then(|| Json::from("echo")),
    }
}

/// A publication with QoS 0; `<M>` is the mountpoint of the usual registration.
pub(crate) fn publication(line: &str) -> Publication {
    let (topic, payload) = line.split_once(' ').expect("a topic");
    Publication::Full {
        topic: topic.replace("<M>", &format!("lwm2m/{ENDPOINT}")),
        qos: 0,
        retain: false,
        payload: serde_json::from_str(payload).expect("JSON"),
        ignore: Vec::new(),
    }
}

/// In the place of a payload: any but none.
pub(crate) const DIAGNOSED: &str = "diagnosed";

fn option(number: u16, value: &[u8]) -> Value {
    Value { number, hex: value.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn number(number: u16, value: &str) -> Value {
    let value: u32 = value.parse().expect("a number");
    option(number, &value.to_be_bytes())
}

fn block(option: u16, value: &str) -> Value {
    let mut parts = value.split('/').map(|part| part.parse::<u32>().expect("a number"));
    let mut next = || parts.next().expect("three parts");
    let (block, more, size) = (next(), next(), next());
    number(option, &(block << 4 | more << 3 | (size.ilog2() - 4)).to_string())
}
