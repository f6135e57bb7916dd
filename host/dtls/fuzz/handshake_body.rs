//! Reads ClientHellos and answers them, and checks the records of a handshake; what must always hold of it.
//!
//! Shared by the fuzz targets and by `tests/handshake_fuzz_quick.rs`.

#![allow(dead_code)] // a target needs one half of it

use std::net::SocketAddr;

use tidegate_dtls::cookie::Cookies;
use tidegate_dtls::hello::ClientHello;
use tidegate_dtls::message::{self, Flow};
use tidegate_dtls::record;
use tidegate_proto::coap::Entropy;

/// Answers a datagram that has a ClientHello. Says whether it has one.
pub(crate) fn client_hello(datagram: &[u8]) -> bool {
    let Some(hello) = ClientHello::parse(datagram) else { return false };
    assert!(hello.record_length <= datagram.len());
    assert!(hello.session_id.len() <= 32 && hello.record_sequence < 1 << 48);
    assert_eq!(ClientHello::parse(&datagram[..hello.record_length]), Some(hello), "the rest does not matter");
    let cookies = Cookies::new(&mut Ones);
    let remote = SocketAddr::from(([192, 0, 2, 1], 5685));
    assert!(!cookies.check(remote, &hello), "nobody was given a cookie");
    let mut answer = Vec::new();
    cookies.hello_verify_request(remote, &hello, &mut answer);
    assert!(answer.len() < hello.record_length, "more is sent than has come");
    assert_eq!(answer[5..11], datagram[5..11]);
    let again = ClientHello { message_sequence: 1, cookie: &answer[28..], ..hello };
    assert!(cookies.check(remote, &again));
    true
}

/// Has the records of a handshake checked one after the other. Returns how many were admitted and how many refused, and how
/// often an identity was told.
pub(crate) fn handshake_message(input: &[u8]) -> [u32; 3] {
    let mut flow = Flow::default();
    let (mut seen, mut volume) = ([0; 3], 0);
    for range in record::split(input, 0) {
        let record = &input[range];
        let identity = message::psk_identity(record);
        seen[2] += u32::from(identity.is_some());
        let before = flow;
        if flow.admit(record).is_err() {
            assert_eq!(flow, before, "a record that is refused leaves nothing behind");
            seen[1] += 1;
            continue;
        }
        seen[0] += 1;
        volume += record.len();
        assert!(volume <= 65_536);
        assert!((20..=22).contains(&record[0]) && record[3..5] == [0, 0] && record.len() > 13);
        assert!(identity.is_none_or(message::is_acceptable_identity));
        let before = flow;
        // Unless there was enough of it, it may come once more.
        assert!(flow.admit(record).is_ok() || volume + record.len() > 65_536);
        flow = before;
        let mut content = &record[13..];
        while record[0] == 22 && !content.is_empty() {
            content = fragment(content);
        }
    }
    seen
}

/// Checks the first fragment of a record that was admitted. Returns what comes after it.
fn fragment(content: &[u8]) -> &[u8] {
    let number =
        |at: usize| content[at..at + 3].iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (length, offset, body) = (number(1), number(6), number(9));
    assert!(body > 0 && offset + body <= length && length <= 8_192);
    assert!([1, 11, 15, 16].contains(&content[0]) && content[4] == 0 && content[5] < 5);
    &content[12 + body..]
}

struct Ones;

impl Entropy for Ones {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}
