use super::*;
use crate::coap::message::Kind;
use crate::coap::token::Token;

const NOW: Instant = Instant::from_micros(1_000_000);

fn limits() -> Limits {
    Limits { transfers: 2, transfers_per_peer: 2, body: 512, bodies: 1024, exponent: 6 }
}

/// A PUT like those of RFC 7959 section 3.2, each block with a token of its own.
fn put(number: u32, more: bool, exponent: u8, payload: &[u8]) -> Message {
    let mut message = Message::request(Code::PUT).with_path_segment("options").with_payload(payload.to_vec());
    message.set_block(option::BLOCK1, Block { number, more, exponent });
    message.set_header(Kind::Confirmable, 100 + number as u16, Token::from([number as u8; 8]));
    message
}

fn handle(transfers: &mut Transfers, message: Message) -> Step {
    transfers.handle(NOW, 0, message, &mut Changes::default())
}

fn answered(step: &Step) -> (Code, Option<Block>) {
    let Step::Answer(answer) = step else { panic!("{step:?}") };
    (answer.code(), answer.block1())
}

fn block(number: u32, more: bool, exponent: u8) -> Block {
    Block { number, more, exponent }
}

#[test]
fn blocks_are_joined_whatever_their_tokens() {
    // RFC 7959 section 3.2: an atomic block-wise PUT.
    let mut transfers = Transfers::new(limits());
    let (first, second) = (handle(&mut transfers, put(0, true, 3, &[1; 128])), put(1, true, 3, &[2; 128]));
    assert_eq!(answered(&first), (Code::CONTINUE, Some(block(0, true, 3))));
    assert_eq!(answered(&handle(&mut transfers, second)), (Code::CONTINUE, Some(block(1, true, 3))));
    let Step::Complete(whole, last) = handle(&mut transfers, put(2, false, 3, &[3; 5])) else { panic!() };
    assert_eq!(last, Some(block(2, false, 3)), "to be echoed in the answer");
    assert_eq!(whole.payload(), [&[1; 128][..], &[2; 128], &[3; 5]].concat());
    assert_eq!((whole.mid(), whole.token()), (102, Token::from([2; 8])));
    assert_eq!((transfers.len(), transfers.bytes), (0, 0));
}

#[test]
fn the_first_blocks_options_count() {
    let mut transfers = Transfers::new(limits());
    handle(&mut transfers, put(0, true, 2, &[1; 64]));
    let second = put(1, false, 2, b"2").with_option_uint(option::CONTENT_FORMAT, 0);
    let Step::Complete(whole, _) = handle(&mut transfers, second) else { panic!() };
    assert_eq!(whole.content_format(), None);
}

#[test]
fn a_peer_with_too_large_blocks_is_asked_for_smaller_ones() {
    // RFC 7959 section 3.2, with negotiation: 1:0/1/128 is answered with 1:0/1/32, and 1:4/1/32 follows.
    let mut transfers = Transfers::new(Limits { exponent: 1, ..limits() });
    let first = handle(&mut transfers, put(0, true, 3, &[1; 128]));
    assert_eq!(answered(&first), (Code::CONTINUE, Some(block(0, true, 1))));
    let second = handle(&mut transfers, put(4, true, 1, &[2; 32]));
    assert_eq!(answered(&second), (Code::CONTINUE, Some(block(4, true, 1))));
    let Step::Complete(whole, _) = handle(&mut transfers, put(5, false, 1, &[3; 32])) else { panic!() };
    assert_eq!(whole.payload().len(), 192);
}

#[test]
fn gaps_and_unknown_starts_are_incomplete() {
    let mut transfers = Transfers::new(limits());
    let incomplete = (Code::REQUEST_ENTITY_INCOMPLETE, None);
    assert_eq!(answered(&handle(&mut transfers, put(3, true, 2, &[1; 64]))), incomplete);
    handle(&mut transfers, put(0, true, 2, &[1; 64]));
    assert_eq!(answered(&handle(&mut transfers, put(2, true, 2, &[1; 64]))), incomplete);
    assert!(matches!(handle(&mut transfers, put(1, false, 2, b"x")), Step::Complete(..)));
}

#[test]
fn blocks_of_impossible_size_are_bad_requests() {
    let mut transfers = Transfers::new(limits());
    assert_eq!(answered(&handle(&mut transfers, put(0, true, 7, &[1; 64]))).0, Code::BAD_REQUEST);
    assert_eq!(answered(&handle(&mut transfers, put(0, true, 2, &[1; 63]))).0, Code::BAD_REQUEST);
}

#[test]
fn bodies_beyond_the_limit_are_refused_with_the_limit() {
    let mut transfers = Transfers::new(limits());
    let announced = put(0, true, 2, &[1; 64]).with_option_uint(option::SIZE1, 513);
    let Step::Answer(answer) = handle(&mut transfers, announced) else { panic!() };
    assert_eq!((answer.code(), answer.size1()), (Code::REQUEST_ENTITY_TOO_LARGE, Some(512)));
    for number in 0..8 {
        let step = handle(&mut transfers, put(number, true, 2, &[1; 64]));
        assert_eq!(answered(&step).0, Code::CONTINUE);
    }
    let step = handle(&mut transfers, put(8, true, 2, &[1; 64]));
    assert_eq!(answered(&step).0, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!((transfers.len(), transfers.bytes), (0, 0));
}

#[test]
fn block_zero_begins_anew() {
    let mut transfers = Transfers::new(limits());
    handle(&mut transfers, put(0, true, 2, &[1; 64]));
    handle(&mut transfers, put(0, true, 2, &[2; 64]));
    let Step::Complete(whole, _) = handle(&mut transfers, put(1, false, 2, b"x")) else { panic!() };
    assert_eq!(whole.payload()[0], 2);
}

#[test]
fn the_oldest_transfer_makes_room() {
    let mut transfers = Transfers::new(limits());
    let mut changes = Changes::default();
    for peer in 0..3 {
        transfers.handle(NOW, peer, put(0, true, 2, &[1; 64]), &mut changes);
    }
    assert_eq!((transfers.len(), changes.evicted, changes.ended.as_slice()), (2, 1, &[0][..]));
    let step = transfers.handle(NOW, 0, put(1, false, 2, b"x"), &mut changes);
    assert_eq!(answered(&step).0, Code::REQUEST_ENTITY_INCOMPLETE);
}

fn response(code: Code, number: u32, more: bool, exponent: u8) -> Message {
    let mut message = Message::response(code);
    message.set_block(option::BLOCK1, block(number, more, exponent));
    message
}

#[test]
fn an_upload_obeys_a_smaller_size_in_the_middle() {
    let mut upload = Upload::new(300, 3).unwrap();
    assert_eq!(upload.block(), (block(0, true, 3), 0..128));
    assert_eq!(upload.handle(&response(Code::CONTINUE, 0, true, 1)), Next::Send);
    assert_eq!(upload.block(), (block(4, true, 1), 128..160));
    for number in 4..9 {
        assert_eq!(upload.handle(&response(Code::CONTINUE, number, true, 1)), Next::Send);
    }
    assert_eq!(upload.block(), (block(9, false, 1), 288..300));
    assert_eq!(upload.handle(&response(Code::CHANGED, 9, false, 1)), Next::Done);
    assert_eq!(Upload::new(128, 3), None, "fits into one block");
}

#[test]
fn an_upload_begins_anew_if_the_first_block_is_too_large() {
    let mut upload = Upload::new(300, 3).unwrap();
    assert_eq!(upload.handle(&response(Code::REQUEST_ENTITY_TOO_LARGE, 0, true, 2)), Next::Send);
    assert_eq!(upload.block(), (block(0, true, 2), 0..64));
    let no_smaller = response(Code::REQUEST_ENTITY_TOO_LARGE, 0, true, 2);
    assert_eq!(upload.handle(&no_smaller), Next::Done, "the body is too large, not the block");
    assert_eq!(upload.handle(&Message::response(Code::REQUEST_ENTITY_INCOMPLETE)), Next::Done);
}

#[test]
fn an_upload_begins_anew_once_if_the_peer_has_lost_the_first_blocks() {
    let mut upload = Upload::new(300, 3).unwrap();
    upload.handle(&response(Code::CONTINUE, 0, true, 3));
    assert_eq!(upload.progress(), (128, 300));
    let lost = Message::response(Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(upload.handle(&lost), Next::Send);
    assert_eq!(upload.block(), (block(0, true, 3), 0..128));
    upload.handle(&response(Code::CONTINUE, 0, true, 3));
    assert_eq!(upload.handle(&lost), Next::Done, "twice is a peer that cannot do it");
}

#[test]
fn an_upload_begins_anew_with_smaller_blocks_also_in_the_middle() {
    let mut upload = Upload::new(300, 3).unwrap();
    upload.handle(&response(Code::CONTINUE, 0, true, 3));
    assert_eq!(upload.handle(&response(Code::REQUEST_ENTITY_TOO_LARGE, 1, true, 1)), Next::Send);
    assert_eq!(upload.block(), (block(0, true, 1), 0..32));
}

#[test]
fn one_peer_cannot_displace_the_transfers_of_others() {
    let mut transfers =
        Transfers::new(Limits { transfers: 4, transfers_per_peer: 2, bodies: 4096, ..limits() });
    let begin = |transfers: &mut Transfers, peer, resource: &str| {
        let message = put(0, true, 3, &[1; 128]).with_path_segment(resource);
        transfers.handle(NOW, peer, message, &mut Changes::default())
    };
    begin(&mut transfers, 7, "other");
    ["a", "b", "c", "d"].into_iter().for_each(|resource| drop(begin(&mut transfers, 0, resource)));
    assert_eq!(transfers.len(), 3);
    let mut next = |peer, resource: &str| {
        let message = put(1, true, 3, &[2; 128]).with_path_segment(resource);
        answered(&transfers.handle(NOW, peer, message, &mut Changes::default())).0
    };
    assert_eq!(next(7, "other"), Code::CONTINUE);
    assert_eq!(next(0, "d"), Code::CONTINUE);
    assert_eq!(next(0, "b"), Code::REQUEST_ENTITY_INCOMPLETE);
}

fn part(number: u32, more: bool, etag: u8, payload: &[u8]) -> Message {
    let mut message = Message::response(Code::CONTENT).with_option(option::ETAG, vec![etag]);
    message.set_block(option::BLOCK2, block(number, more, 0));
    message.with_payload(payload.to_vec())
}

const BOUNDS: Bounds = Bounds { body: 64, exponent: 6 };

fn begin(message: Message) -> (Download, Progress) {
    Download::begin(message, Delivery::Piggybacked, BOUNDS).unwrap()
}

#[test]
fn a_download_is_joined() {
    let (mut download, progress) = begin(part(0, true, 1, &[1; 16]));
    assert_eq!(progress, Progress::Fetch(block(1, false, 0)));
    let Progress::Complete(whole) = download.handle(part(1, false, 1, &[2; 3])) else { panic!() };
    assert_eq!(whole.payload(), [&[1; 16][..], &[2; 3]].concat());
    assert_eq!((whole.etag(), whole.block2()), (Some(&[1][..]), None));
    assert!(
        Download::begin(part(0, false, 1, b"1"), Delivery::Piggybacked, BOUNDS).is_err(),
        "complete as it is"
    );
}

#[test]
fn a_download_begins_anew_once_if_the_resource_changes() {
    let (mut download, _) = begin(part(0, true, 1, &[1; 16]));
    assert_eq!(download.handle(part(1, false, 2, b"2")), Progress::Fetch(block(0, false, 0)));
    assert_eq!(download.handle(part(0, true, 2, &[2; 16])), Progress::Fetch(block(1, false, 0)));
    assert_eq!(download.handle(part(1, false, 3, b"3")), Progress::Broken);
}

#[test]
fn a_download_that_does_not_fit_is_broken() {
    assert_eq!(begin(part(0, true, 1, &[1; 15])).1, Progress::Broken, "short block");
    assert_eq!(begin(part(1, true, 1, &[1; 16])).1, Progress::Broken, "not the first");
    let (mut download, _) = begin(part(0, true, 1, &[1; 16]));
    assert_eq!(download.handle(part(2, true, 1, &[1; 16])), Progress::Broken, "gap");
    let bounds = Bounds { body: 24, ..BOUNDS };
    let (mut download, _) =
        Download::begin(part(0, true, 1, &[1; 16]), Delivery::Piggybacked, bounds).unwrap();
    assert_eq!(download.handle(part(1, true, 1, &[1; 16])), Progress::TooLarge);
}

#[test]
fn an_error_in_the_middle_of_a_download_is_the_answer() {
    let (mut download, _) = begin(part(0, true, 1, &[1; 16]));
    let error = Message::response(Code::SERVICE_UNAVAILABLE);
    assert_eq!(download.handle(error.clone()), Progress::Complete(error));
}

#[test]
fn a_download_goes_on_in_blocks_no_larger_than_we_like() {
    // RFC 7959 section 2.4: the first response came in 64 bytes, the rest is asked for in 16.
    let bounds = Bounds { body: 128, exponent: 0 };
    let mut first = Message::response(Code::CONTENT).with_option_uint(option::SIZE2, 72);
    first.set_block(option::BLOCK2, block(0, true, 2));
    let (mut download, progress) =
        Download::begin(first.with_payload(vec![1; 64]), Delivery::Piggybacked, bounds).unwrap();
    assert_eq!(progress, Progress::Fetch(block(4, false, 0)));
    assert_eq!(download.progress(), (64, Some(72)));
    let mut last = Message::response(Code::CONTENT);
    last.set_block(option::BLOCK2, block(4, false, 0));
    let Progress::Complete(whole) = download.handle(last.with_payload(vec![2; 8])) else { panic!() };
    assert_eq!(whole.payload(), [&[1; 64][..], &[2; 8]].concat());
}
