use super::*;

/// RFC 7252 appendix A, figure 16: a confirmable GET and its piggybacked answer.
const FIGURE_16_GET: &[u8] = b"\x40\x01\x7d\x34\xbbtemperature";
const FIGURE_16_CONTENT: &[u8] = b"\x60\x45\x7d\x34\xff22.3 C";
/// Figure 17: the same with a token.
const FIGURE_17_GET: &[u8] = b"\x41\x01\x7d\x35\x20\xbbtemperature";
const FIGURE_17_CONTENT: &[u8] = b"\x61\x45\x7d\x35\x20\xff22.3 C";

fn temperature() -> Message {
    Message::request(Code::GET).with_path_segment("temperature")
}

#[test]
fn appendix_a_requests_are_built_and_read() {
    let mut request = temperature();
    request.set_header(Kind::Confirmable, 0x7d34, Token::default());
    assert_eq!(request.to_bytes(), FIGURE_16_GET);
    assert_eq!(Message::parse(FIGURE_16_GET).unwrap(), request);

    request.set_header(Kind::Confirmable, 0x7d35, Token::from_slice(&[0x20]).unwrap());
    assert_eq!(request.to_bytes(), FIGURE_17_GET);
    assert_eq!(Message::parse(FIGURE_17_GET).unwrap(), request);
}

#[test]
fn appendix_a_answers_are_built_and_read() {
    let mut response = Message::response(Code::CONTENT).with_payload(b"22.3 C".to_vec());
    response.set_header(Kind::Acknowledgement, 0x7d34, Token::default());
    assert_eq!(response.to_bytes(), FIGURE_16_CONTENT);
    assert_eq!(Message::parse(FIGURE_16_CONTENT).unwrap(), response);
    let message = Message::parse(FIGURE_17_CONTENT).unwrap();
    assert_eq!(
        (message.kind(), message.code(), message.mid()),
        (Kind::Acknowledgement, Code::CONTENT, 0x7d35)
    );
    assert_eq!(message.token().as_bytes(), [0x20]);
    assert_eq!(message.into_payload(), b"22.3 C");
}

#[test]
fn options_are_read() {
    let register: &[u8] = b"\x44\x02\xC6\x24\x24\xC6\xAB\x53\xB2rd\x11\x28\x39lwm2m=1.1\x06lt=300\xFF</1/0>";
    let message = Message::parse(register).unwrap();
    assert_eq!(message.uri_path().collect::<Vec<_>>(), [b"rd"]);
    assert_eq!(message.uri_query().collect::<Vec<_>>(), [&b"lwm2m=1.1"[..], b"lt=300"]);
    assert_eq!((message.content_format(), message.accept(), message.observe()), (Some(40), None, None));
    assert_eq!(message.payload(), b"</1/0>");
    assert_eq!(message.to_bytes(), register);

    let observe = Message::request(Code::GET).with_option_uint(option::OBSERVE, 0).with_path_segment("3");
    assert_eq!(observe.to_bytes(), b"\x40\x01\0\0\x60\x513");
    assert_eq!(observe.observe(), Some(0));
}

#[test]
fn blocks_are_set_and_replaced() {
    let mut message = temperature();
    message.set_block(option::BLOCK1, Block { number: 1, more: true, exponent: 2 });
    message.set_block(option::BLOCK1, Block { number: 2, more: false, exponent: 2 });
    assert_eq!(message.block1(), Some(Block { number: 2, more: false, exponent: 2 }));
    assert_eq!(message.block2(), None);
    assert_eq!(message.without_options(&[option::BLOCK1]), temperature());
}

#[test]
fn malformed_datagrams_are_told_apart() {
    for (datagram, reason, confirmable) in [
        (&b"\x40\x01\x7d"[..], Reason::Short, None),
        (b"\x80\x01\x7d\x34", Reason::Version, None),
        (b"\x49\x01\x7d\x34123456789", Reason::Token, Some(0x7d34)),
        (b"\x44\x01\x7d\x34123", Reason::Token, Some(0x7d34)),
        (b"\x59\x01\x7d\x34123456789", Reason::Token, None),
        (b"\x40\x01\x7d\x34\xbb123", Reason::Option, Some(0x7d34)),
        (b"\x40\x01\x7d\x34\xf0", Reason::Option, Some(0x7d34)),
        (b"\x40\x01\x7d\x34\x0f", Reason::Option, Some(0x7d34)),
        (b"\x40\x01\x7d\x34\xe0\xff\xff", Reason::Option, Some(0x7d34)),
        (b"\x40\x01\x7d\x34\xff", Reason::Payload, Some(0x7d34)),
        (b"\x50\x01\x7d\x34\xff", Reason::Payload, None),
        (b"\x41\x00\x7d\x34\x20", Reason::Empty, Some(0x7d34)),
        (b"\x40\x00\x7d\x34\xff1", Reason::Empty, Some(0x7d34)),
        (b"\x50\x00\x7d\x34", Reason::Empty, None),
        (b"\x40\x20\x7d\x34", Reason::Code, Some(0x7d34)),
        (b"\x40\xc0\x7d\x34", Reason::Code, Some(0x7d34)),
        (b"\x40\xe0\x7d\x34", Reason::Code, Some(0x7d34)),
        (b"\x60\x01\x7d\x34", Reason::Code, None),
        (b"\x70\x45\x7d\x34", Reason::Code, None),
    ] {
        assert_eq!(Message::parse(datagram), Err(Malformed { reason, confirmable }), "{datagram:x?}");
    }
}

#[test]
fn a_last_option_that_ends_in_the_marker_byte_is_no_empty_payload() {
    let message = Message::parse(b"\x40\x01\x7d\x34\xb1\xff").unwrap();
    assert_eq!(message.uri_path().collect::<Vec<_>>(), [[0xff]]);
}

#[test]
fn critical_options_that_cannot_be_understood_are_found() {
    let with = |number, value: &[u8]| temperature().with_option(number, value.to_vec());
    assert_eq!(temperature().unknown_critical(), None);
    assert_eq!(with(9, b"1").unknown_critical(), Some(9), "OSCORE");
    assert_eq!(with(65001, b"").unknown_critical(), Some(65001));
    assert_eq!(with(65000, b"").unknown_critical(), None, "elective");
    assert_eq!(with(option::ECHO, b"12345678").unknown_critical(), None);
    assert_eq!(with(option::ACCEPT, b"123").unknown_critical(), Some(option::ACCEPT), "too long");
    assert_eq!(with(option::CONTENT_FORMAT, b"123").unknown_critical(), None, "elective");
    assert_eq!(with(option::CONTENT_FORMAT, b"123").content_format(), None, "as if it were not there");
    let twice = with(option::ACCEPT, b"1").with_option(option::ACCEPT, b"2".to_vec());
    assert_eq!(twice.unknown_critical(), Some(option::ACCEPT));
    assert_eq!(with(option::URI_PATH, b"again").unknown_critical(), None);
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let kind = prop_oneof![Just(Kind::Confirmable), Just(Kind::NonConfirmable)];
        let code = prop_oneof![1_u8..=31, 0x40_u8..=0xBF];
        let options = vec((any::<u16>(), vec(any::<u8>(), 0..300)), 0..8);
        (kind, code, any::<u16>(), vec(any::<u8>(), 0..=8), options, vec(any::<u8>(), 0..64)).prop_map(
            |(kind, code, mid, token, options, payload)| {
                let mut message = Message::new(kind, Code(code), mid).with_payload(payload);
                message.set_header(kind, mid, Token::from_slice(&token).unwrap());
                options
                    .into_iter()
                    .fold(message, |message, (number, value)| message.with_option(number, value))
            },
        )
    }

    proptest! {
        #[test]
        fn a_message_that_is_built_is_read_again(message in message()) {
            prop_assert_eq!(Message::parse(&message.to_bytes()), Ok(message));
        }

        #[test]
        fn what_is_read_is_what_coap_lite_reads(message in message()) {
            let datagram = message.to_bytes();
            let (ours, theirs) = (Message::parse(&datagram).unwrap(), Packet::from_bytes(&datagram).unwrap());
            let options: Vec<(u16, Vec<u8>)> = theirs
                .options()
                .flat_map(|(number, values)| values.iter().map(|value| (*number, value.clone())))
                .collect();
            let own: Vec<(u16, Vec<u8>)> =
                ours.options.iter().map(|(number, value)| (number, value.to_vec())).collect();
            prop_assert_eq!(own, options);
            prop_assert_eq!(ours.payload(), theirs.payload.as_slice());
            let token = ours.token();
            prop_assert_eq!(token.as_bytes(), theirs.get_token());
            prop_assert_eq!(ours.mid(), theirs.header.message_id);
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64)) {
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert_eq!(Message::parse(&message.to_bytes()), Ok(message));
            }
        }
    }
}
