//! Vectors of RFC 7959 section 3 and of real clients.

use super::*;

fn peer() -> Peer {
    Peer::plain(([127, 0, 0, 1], 5683).into())
}

fn register(number: u32, more: bool, payload: &[u8]) -> (Message, Block) {
    let block = Block { number, more, szx: 0 };
    let message = Message::new(Code::POST)
        .with_option(option::URI_PATH, *b"rd")
        .with_option(option::URI_QUERY, *b"ep=a");
    (message.with_uint(option::BLOCK1, block.to_uint()).with_payload(payload), block)
}

fn join(assemblies: &mut Assemblies, (message, block): (Message, Block)) -> Result<Vec<u8>, Code> {
    match assemblies.join(Instant::default(), peer(), message, block) {
        Joined::Complete(message) => Ok(message.payload().to_vec()),
        Joined::Answer(answer) => Err(answer.code()),
    }
}

#[test]
fn blocks_are_joined_in_order() {
    let mut assemblies = Assemblies::new(1024, 8);
    assert_eq!(join(&mut assemblies, register(0, true, b"0123456789abcdef")), Err(Code::CONTINUE));
    assert_eq!(join(&mut assemblies, register(1, true, b"0123456789abcdef")), Err(Code::CONTINUE));
    assert_eq!(
        join(&mut assemblies, register(2, false, b"end")).unwrap(),
        b"0123456789abcdef0123456789abcdefend"
    );
    assert!(assemblies.open.is_empty());
}

#[test]
fn a_gap_an_unknown_start_and_a_reserved_size_are_refused() {
    let mut assemblies = Assemblies::new(1024, 8);
    assert_eq!(
        join(&mut assemblies, register(1, true, b"0123456789abcdef")),
        Err(Code::REQUEST_ENTITY_INCOMPLETE)
    );
    assert_eq!(join(&mut assemblies, register(0, true, b"0123456789abcdef")), Err(Code::CONTINUE));
    assert_eq!(
        join(&mut assemblies, register(2, true, b"0123456789abcdef")),
        Err(Code::REQUEST_ENTITY_INCOMPLETE)
    );
    let (message, mut block) = register(0, true, b"");
    block.szx = 7;
    assert_eq!(join(&mut assemblies, (message, block)), Err(Code::BAD_REQUEST));
}

#[test]
fn a_body_above_the_limit_is_refused_and_forgotten() {
    let mut assemblies = Assemblies::new(20, 8);
    assert_eq!(join(&mut assemblies, register(0, true, b"0123456789abcdef")), Err(Code::CONTINUE));
    assert_eq!(
        join(&mut assemblies, register(1, true, b"0123456789abcdef")),
        Err(Code::REQUEST_ENTITY_TOO_LARGE)
    );
    assert!(assemblies.open.is_empty());
}

#[test]
fn transfers_that_pause_too_long_are_forgotten() {
    let mut assemblies = Assemblies::new(1024, 8);
    let (message, block) = register(0, true, b"0123456789abcdef");
    assemblies.join(Instant::default(), peer(), message, block);
    assemblies.expire(Instant::default() + TRANSFER_LIFETIME);
    assert!(assemblies.open.is_empty() && assemblies.started.is_empty());
}

#[test]
fn a_large_request_follows_the_block_size_that_the_client_asks_for() {
    let body: Vec<u8> = (0..3000_u32).map(|number| number as u8).collect();
    let mut request = Message::new(Code::PUT).with_option(option::URI_PATH, *b"5").with_payload(body.clone());
    let mut upload = Upload::of(&mut request).unwrap();
    let mut sent = upload.message(&request).payload().to_vec();
    assert_eq!(sent.len(), 1024);
    // 2.31 with 256-byte blocks: number 4 of 256 is next.
    let smaller = Message::new(Code::CONTINUE)
        .with_uint(option::BLOCK1, Block { number: 0, more: true, szx: 4 }.to_uint());
    assert!(upload.advance(&smaller));
    let second = upload.message(&request);
    assert_eq!(second.block(option::BLOCK1).unwrap(), Block { number: 4, more: true, szx: 4 });
    loop {
        let message = upload.message(&request);
        sent.extend_from_slice(message.payload());
        if !message.block(option::BLOCK1).unwrap().more {
            break;
        }
        assert!(upload.advance(&smaller));
    }
    assert_eq!(sent, body);
    assert!(!upload.advance(&Message::new(Code::CHANGED)));
}

#[test]
fn an_answer_in_blocks_is_joined_and_a_changed_etag_breaks_it() {
    let block = |number, more, payload: &[u8], etag: &[u8]| {
        Message::new(Code::CONTENT)
            .with_option(option::ETAG, etag)
            .with_uint(option::BLOCK2, Block { number, more, szx: 0 }.to_uint())
            .with_payload(payload)
    };
    let mut download = None;
    assert!(matches!(
        Download::take(&mut download, block(0, true, b"0123456789abcdef", b"a"), 1024),
        Fetched::More(Block { number: 1, .. })
    ));
    let Fetched::Complete(whole) = Download::take(&mut download, block(1, false, b"end", b"a"), 1024) else {
        panic!()
    };
    assert_eq!(whole.payload(), b"0123456789abcdefend");
    let mut download = None;
    Download::take(&mut download, block(0, true, b"0123456789abcdef", b"a"), 1024);
    assert!(matches!(Download::take(&mut download, block(1, false, b"end", b"b"), 1024), Fetched::Broken));
}
