//! Messages as the examples of RFC 7959 write them: `CON [MID=1234], GET, /status, 2:0/0/64`.
//!
//! `1:` and `2:` are Block1 and Block2 (number / more / size), `6:` is Observe. Tokens and other options are left out.

use std::fmt::Write;

use tidegate_proto::coap::message::{Block, Code, Kind, Message};
use tidegate_proto::coap::option;

pub(crate) fn written(message: &Message) -> String {
    let kind = KINDS.iter().find(|(kind, _)| *kind == message.kind()).expect("all kinds").1;
    let mut line = format!("{kind} [MID={}]", message.mid());
    if message.code() != Code::EMPTY {
        let method = METHODS.iter().find(|(code, _)| *code == message.code());
        let code = method.map_or_else(|| message.code().to_string(), |(_, name)| (*name).to_owned());
        write!(line, ", {code}").expect("a string");
    }
    for segment in message.uri_path() {
        write!(line, ", /{}", segment.escape_ascii()).expect("a string");
    }
    if let Some(number) = message.observe() {
        write!(line, ", 6:{number}").expect("a string");
    }
    for (name, block) in [(2, message.block2()), (1, message.block1())] {
        if let Some(block) = block {
            write!(line, ", {name}:{}/{}/{}", block.number, u8::from(block.more), block.size())
                .expect("a string");
        }
    }
    line
}

/// The message of such a line.
pub(crate) fn message(line: &str) -> Message {
    let mut parts = line.split(", ");
    let (kind, mid) = parts.next().and_then(|head| head.split_once(" [MID=")).expect("type and message id");
    let kind = KINDS.iter().find(|(_, name)| *name == kind).expect("a type").0;
    let mid = mid.trim_end_matches(']').parse().expect("a message id");
    let mut message = Message::new(kind, parts.next().map_or(Code::EMPTY, code), mid);
    for part in parts {
        message = match part.split_once(':') {
            Some(("6", number)) => {
                message.with_option_uint(option::OBSERVE, number.parse().expect("a number"))
            }
            Some(("1", value)) => message.with_option_uint(option::BLOCK1, block(value)),
            Some(("2", value)) => message.with_option_uint(option::BLOCK2, block(value)),
            _ => message.with_path_segment(part.trim_start_matches('/')),
        };
    }
    message
}

fn code(text: &str) -> Code {
    if let Some((code, _)) = METHODS.iter().find(|(_, name)| *name == text) {
        return *code;
    }
    let (class, detail) = text.split_once('.').expect("a code");
    Code::of(class.parse().expect("a class"), detail.parse().expect("a detail"))
}

/// RFC 7959 section 2.2.
fn block(value: &str) -> u32 {
    let parts: Vec<u32> = value.split('/').map(|part| part.parse().expect("a number")).collect();
    let [number, more, size] = parts[..] else { panic!("not a block: {value}") };
    number << 4 | more << 3 | (size.ilog2() - 4)
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Confirmable, "CON"),
    (Kind::NonConfirmable, "NON"),
    (Kind::Acknowledgement, "ACK"),
    (Kind::Reset, "RST"),
];

const METHODS: [(Code, &str); 7] = [
    (Code::GET, "GET"),
    (Code::POST, "POST"),
    (Code::PUT, "PUT"),
    (Code::DELETE, "DELETE"),
    (Code::FETCH, "FETCH"),
    (Code::PATCH, "PATCH"),
    (Code::IPATCH, "iPATCH"),
];

#[test]
fn lines_are_written_as_they_are_read() {
    for line in ["CON [MID=1234], GET, /a, /b, 6:0, 2:3/0/64", "ACK [MID=1], 2.31, 1:4/1/1024", "RST [MID=7]"]
    {
        assert_eq!(written(&message(line)), line);
    }
    let parsed = message("ACK [MID=1], 2.05, 2:3/1/16");
    assert_eq!(parsed.block2(), Some(Block { number: 3, more: true, exponent: 0 }));
}
