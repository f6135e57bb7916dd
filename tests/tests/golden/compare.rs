//! Compares what the gateway did with what a case expects.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use coap_lite::{MessageClass, MessageType, Packet};
use serde_json::Value as Json;
use tidegate_tests::{Message, code_text};

use crate::case::{self, Publication, bytes};
use crate::notation::DIAGNOSED;

/// The messages to the device are those expected, in any order. `sent` is what they may answer.
pub(crate) fn messages(expected: &[case::Message], actual: &[Packet], sent: Option<&Packet>) -> Result<()> {
    let mut left: Vec<_> = actual.iter().collect();
    let mut missing = Vec::new();
    for message in expected {
        match left.iter().position(|packet| same_message(message, packet, sent)) {
            Some(index) => drop(left.remove(index)),
            None => missing.push(message),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing.into_iter().map(describe_expected).collect();
    let left: Vec<_> = left.into_iter().map(describe).collect();
    bail!("to the device: expected {missing:#?}, found {left:#?}")
}

/// The publications are those expected, in any order.
pub(crate) fn publications(expected: &[Publication], actual: &[Message]) -> Result<()> {
    let mut left: Vec<_> = actual.iter().collect();
    let mut missing = Vec::new();
    for publication in expected {
        match left.iter().position(|message| same_publication(publication, message)) {
            Some(index) => drop(left.remove(index)),
            None => missing.push(describe_publication(publication)),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return Ok(());
    }
    let left: Vec<_> = left
        .into_iter()
        .map(|message| {
            let payload = String::from_utf8_lossy(&message.payload);
            format!("{} q{} r{} {payload}", message.topic, message.qos, message.retain)
        })
        .collect();
    bail!("published: expected {missing:#?}, found {left:#?}")
}

/// `CON` and so on.
pub(crate) fn message_type(text: &str) -> Result<MessageType> {
    Ok(match text {
        "CON" => MessageType::Confirmable,
        "NON" => MessageType::NonConfirmable,
        "ACK" => MessageType::Acknowledgement,
        "RST" => MessageType::Reset,
        other => bail!("message type {other}"),
    })
}

/// A message in one line.
pub(crate) fn describe(packet: &Packet) -> String {
    let options: Vec<_> = packet
        .options()
        .flat_map(|(number, values)| values.iter().map(move |value| format!("{number}={}", readable(value))))
        .collect();
    format!(
        "{:?} {} mid {} token {:02x?} {} {}",
        packet.header.get_type(),
        code_text(packet),
        packet.header.message_id,
        packet.get_token(),
        options.join(" "),
        readable(&packet.payload)
    )
}

fn same_message(expected: &case::Message, packet: &Packet, sent: Option<&Packet>) -> bool {
    let kind = message_type(&expected.kind).is_ok_and(|kind| kind == packet.header.get_type());
    let payload = match expected.payload_hex.as_deref() {
        None => true,
        Some(DIAGNOSED) => !packet.payload.is_empty(),
        Some(hex) => bytes(hex).is_ok_and(|payload| payload == packet.payload),
    };
    kind && expected.code == code_text(packet)
        && payload
        && expected.options.as_deref().is_none_or(|options| same_options(options, packet))
        && same_identity(expected, packet, sent)
}

/// What answers a message of the device has its message ID when in an acknowledgement or a reset, and a response has
/// the token; one outside of an acknowledgement has a message ID of its own (RFC 7252 section 5.2.3), where EMQX
/// repeats that of the request.
fn same_identity(expected: &case::Message, packet: &Packet, sent: Option<&Packet>) -> bool {
    let Some(sent) = sent.filter(|_| !matches!(packet.header.code, MessageClass::Request(_))) else {
        return true;
    };
    let is_response = matches!(packet.header.code, MessageClass::Response(_));
    let echoes = expected.kind != "NON" && expected.mid.as_ref().is_some_and(|mid| mid == "echo");
    (!is_response || packet.get_token() == sent.get_token())
        && (!echoes || packet.header.message_id == sent.header.message_id)
}

/// Locations are the gateway's choice, and numbers are compared as numbers.
fn same_options(expected: &[case::Value], packet: &Packet) -> bool {
    let mut wanted: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
    for option in expected {
        let Ok(value) = bytes(&option.hex) else { return false };
        wanted.entry(option.number).or_default().push(comparable(option.number, &value));
    }
    let mut found: BTreeMap<u16, Vec<Vec<u8>>> = packet
        .options()
        .map(|(number, values)| (*number, values.iter().map(|value| comparable(*number, value)).collect()))
        .collect();
    let located = wanted.remove(&LOCATION_PATH).is_some() == found.remove(&LOCATION_PATH).is_some();
    located && wanted == found
}

fn comparable(number: u16, value: &[u8]) -> Vec<u8> {
    if UNSIGNED.contains(&number) {
        value.iter().copied().skip_while(|byte| *byte == 0).collect()
    } else {
        value.to_vec()
    }
}

fn same_publication(expected: &Publication, message: &Message) -> bool {
    match expected {
        Publication::Kind(kind) => message.json().is_some_and(|json| json["msgType"] == kind.as_str()),
        Publication::Full { topic, qos, retain, payload, ignore } => {
            let found = message.json().map(|json| without(json, ignore));
            topic == &message.topic
                && *qos == message.qos
                && *retain == message.retain
                && found.is_some_and(|found| same_json(&without(payload.clone(), ignore), &found))
        }
    }
}

/// Equal as JSON; numbers by value, so that 42 is 42.0.
fn same_json(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_json(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same_json(value, other)))
        }
        _ => one == other,
    }
}

fn without(mut json: Json, members: &[String]) -> Json {
    if let Json::Object(object) = &mut json {
        members.iter().for_each(|member| drop(object.remove(member)));
    }
    json
}

fn describe_expected(message: &case::Message) -> String {
    let options = message.options.as_deref().unwrap_or_default();
    let options: Vec<_> = options
        .iter()
        .map(|option| format!("{}={}", option.number, readable(&bytes(&option.hex).unwrap_or_default())))
        .collect();
    let payload = bytes(message.payload_hex.as_deref().unwrap_or_default()).unwrap_or_default();
    format!("{} {} {} {}", message.kind, message.code, options.join(" "), readable(&payload))
}

fn describe_publication(publication: &Publication) -> String {
    match publication {
        Publication::Kind(kind) => format!("something of type {kind}"),
        Publication::Full { topic, qos, retain, payload, .. } => {
            format!("{topic} q{qos} r{retain} {payload}")
        }
    }
}

fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|character| !character.is_control()) => format!("{text:?}"),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

const LOCATION_PATH: u16 = 8;

/// Observe, Content-Format, Max-Age, Accept, Block2, Block1, Size2, Size1.
const UNSIGNED: [u16; 8] = [6, 12, 14, 17, 23, 27, 28, 60];
