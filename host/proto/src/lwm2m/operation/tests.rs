use super::*;
use crate::coap::Peer;
use crate::lwm2m::negotiation;
use crate::lwm2m::shared::Shared;

fn client(version: &str, links: &str) -> Registration {
    let peer = Peer::plain("127.0.0.1:5683".parse().unwrap());
    let version = format!("lwm2m={version}");
    let queries = [b"ep=a", version.as_bytes()].into_iter();
    Registration::from_register(queries, links.as_bytes(), peer, "/rd/x".into(), None, &mut Shared::default())
        .unwrap()
}

fn plain() -> Registration {
    client("1.0", "")
}

/// In the first format of those to try that can hold it.
fn message(
    operation: &Operation,
    observation: Option<&Operation>,
    registration: &Registration,
    models: &Models,
) -> Result<Message, String> {
    let try_in = |format| super::message(operation, format, observation, registration, models);
    let attempts = negotiation::choices(operation, registration).into_iter().map(try_in);
    let (made, failed): (Vec<_>, Vec<_>) = attempts.partition(Result::is_ok);
    made.into_iter().chain(failed).next().unwrap()
}

fn bytes(operation: &Operation, registration: &Registration) -> Vec<u8> {
    message(operation, None, registration, &Models::default()).unwrap().to_bytes()
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Header `40 code 00 00`, then options and payload as in the captures of real clients.
fn assert_wire(operation: &Operation, code: u8, rest: &[u8]) {
    let expected = [&[0x40, code, 0, 0], rest].concat();
    assert_eq!(text(&bytes(operation, &plain())), text(&expected));
}

fn encoded(format: Option<u16>, payload: &[u8]) -> Body {
    Body::Encoded { format, payload: payload.to_vec() }
}

fn observe(ids: [u16; 2], queries: Vec<String>, accept: Option<u16>) -> Operation {
    Operation::Observe { path: Path::new(ids), queries, accept }
}

#[test]
fn read_discover_and_delete() {
    let path = Path::new([3, 0, 14]);
    let read = Operation::Read { path, queries: vec!["a=1".into(), "b".into()], accept: None };
    assert_wire(&read, 0x01, b"\xb13\x010\x0214\x43a=1\x01b");
    let read = Operation::Read { path: Path::root(), queries: vec![], accept: Some(110) };
    assert_wire(&read, 0x01, b"\xd1\x04\x6e");
    let discover = Operation::Discover { path: Path::new([3]), queries: vec![], depth: Some(2) };
    assert_wire(&discover, 0x01, b"\xb13\x47depth=2\x21\x28");
    let delete = Operation::Delete { path: Path::new([3303, 1]), queries: vec![] };
    assert_wire(&delete, 0x04, b"\xb43303\x011");
}

#[test]
fn writes() {
    let path = Path::new([3, 0, 14]);
    let body = encoded(Some(11542), b"\xc6\x0e+04:00");
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body: body.clone() };
    assert_wire(&write, 0x03, b"\xb13\x010\x0214\x12\x2d\x16\xff\xc6\x0e+04:00");
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Update, body };
    assert_wire(&write, 0x02, b"\xb13\x010\x0214\x12\x2d\x16\xff\xc6\x0e+04:00");
    let create =
        Operation::Create { path: Path::new([3303]), queries: vec![], body: encoded(Some(11542), b"") };
    assert_wire(&create, 0x02, b"\xb43303\x12\x2d\x16");
    let values = vec![("pmin".to_owned(), Some("5".to_owned())), ("gt".to_owned(), None)];
    assert_wire(&Operation::WriteAttributes { path: Path::new([3]), values }, 0x03, b"\xb13\x46pmin=5\x02gt");
}

#[test]
fn execute_always_has_a_content_format() {
    let path = Path::new([3, 0, 12]);
    let execute = Operation::Execute { path, queries: vec![], arguments: None };
    assert_wire(&execute, 0x02, b"\xb13\x010\x0212\x10");
    let execute = Operation::Execute { path, queries: vec![], arguments: Some("0='x'".into()) };
    assert_wire(&execute, 0x02, b"\xb13\x010\x0212\x10\xff0='x'");
}

#[test]
fn a_cancellation_repeats_the_options_of_its_observation() {
    assert_wire(&observe([3, 0], vec![], Some(11542)), 0x01, b"\x60\x513\x010\x62\x2d\x16");
    let path = Path::new([3, 0]);
    let cancel = Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Active };
    assert_wire(&cancel, 0x01, b"\x61\x01\x513\x010");
    let observation = observe([3, 0], vec!["pmin=1".into()], Some(110));
    let message = message(&cancel, Some(&observation), &plain(), &Models::default()).unwrap();
    assert_eq!(text(&message.to_bytes()), text(b"\x40\x01\0\0\x61\x01\x513\x010\x46pmin=1\x21\x6e"));
}

#[test]
fn observations_are_told_apart_by_path_and_kind() {
    let one = observe([3, 0], vec!["pmin=1".into()], None);
    assert!(one.same_observation(&observe([3, 0], vec![], Some(110))));
    assert!(!one.same_observation(&observe([3, 1], vec![], None)));
    let paths = vec![Path::new([3, 0])];
    let composite = Operation::ObserveComposite { paths: paths.clone(), accept: None };
    assert!(!one.same_observation(&composite));
    assert!(
        Operation::CancelObservationComposite { paths, mode: CancelMode::Active }
            .same_observation(&composite)
    );
    let read = Operation::Read { path: Path::new([3, 0]), queries: vec![], accept: None };
    assert!(!read.same_observation(&read));
}

#[test]
fn each_segment_of_the_alternate_path_is_an_option() {
    let client = client("1.0", "</a/b>;rt=oma.lwm2m");
    let read = Operation::Read { path: Path::new([3]), queries: vec![], accept: None };
    assert_eq!(text(&bytes(&read, &client)), text(b"\x40\x01\0\0\xb1a\x01b\x013"));
}

#[test]
fn values_are_written_in_a_format_that_the_client_takes() {
    let path = Path::new([3, 0, 14]);
    let sample = Sample { path, value: Value::Text("+04:00".into()), kind: None, taken: None };
    let body = Body::Samples(vec![sample]);
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    let format =
        |client: &Registration| message(&write, None, client, &Models::default()).unwrap().content_format();
    assert_eq!(format(&client("1.0", "</>;rt=oma.lwm2m;ct=11543")), Some(11542));
    assert_eq!(format(&client("1.1", "</>;rt=oma.lwm2m")), Some(11542));
    assert_eq!(format(&client("1.1", r#"</>;rt=oma.lwm2m;ct="110 11542""#)), Some(11542));
    assert_eq!(format(&client("1.1", "</>;rt=oma.lwm2m;ct=110")), Some(110));
    assert_eq!(format(&client("1.1", "</>;rt=oma.lwm2m;ct=112")), Some(112));
    assert_eq!(format(&client("1.2", "</>;rt=oma.lwm2m;ct=11544")), Some(11544));
    assert_eq!(format(&client("1.1", "</>;rt=oma.lwm2m;ct=\"60 40\"")), Some(11542));
    assert_wire(&write, 0x03, b"\xb13\x010\x0214\x12\x2d\x16\xff\xc6\x0e+04:00");
}

#[test]
fn values_are_written_in_the_type_of_their_resource() {
    let path = Path::new([3303, 0, 5602]);
    let sample = Sample { path, value: Value::Integer(1), kind: None, taken: None };
    let body = Body::Samples(vec![sample]);
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    let payload = |models: &Models| message(&write, None, &plain(), models).unwrap().into_payload();
    assert_eq!(payload(&Models::default()), b"\xe1\x15\xe2\x01");
    assert_eq!(payload(&Models::built_in()), b"\xe4\x15\xe2\x3f\x80\0\0", "a float");
}

#[test]
fn composites_name_whole_paths() {
    let paths = vec![Path::new([3, 0, 9]), Path::new([1])];
    let read = Operation::ReadComposite { paths: paths.clone(), accept: None };
    assert_wire(&read, 0x05, b"\xc1\x6e\x51\x6e\xff[{\"n\":\"/3/0/9\"},{\"n\":\"/1\"}]");
    let observe = Operation::ObserveComposite { paths, accept: Some(112) };
    assert_wire(&observe, 0x05, b"\x60\x61\x70\x51\x70\xff\x82\xa1\x00f/3/0/9\xa1\x00b/1");
    let nested = client("1.1", "</l>;rt=oma.lwm2m");
    let read = Operation::ReadComposite { paths: vec![Path::root(), Path::new([3])], accept: None };
    let message = message(&read, None, &nested, &Models::default()).unwrap();
    assert_eq!(text(message.payload()), text(b"[{\"n\":\"/l\"},{\"n\":\"/l/3\"}]"));
    assert!(
        super::message(
            &Operation::ReadComposite { paths: vec![], accept: None },
            None,
            None,
            &nested,
            &Models::default()
        )
        .is_err()
    );
}

#[test]
fn a_composite_write_reaches_below_the_alternate_path() {
    let sample = |ids, value| Sample { path: Path::new(ids), value, kind: None, taken: None };
    let samples =
        vec![sample([3, 0, 14], Value::Text("+01:00".into())), sample([1, 0, 1], Value::Integer(60))];
    let write = Operation::WriteComposite { body: Body::Samples(samples) };
    let pack = br#"{"n":"/3/0/14","vs":"+01:00"},{"n":"/1/0/1","v":60}]"#;
    assert_wire(&write, 0x07, &[b"\xc1\x6e\xff[", &pack[..]].concat());
    let message = message(&write, None, &client("1.1", "</l>;rt=oma.lwm2m"), &Models::default()).unwrap();
    let below = br#"[{"n":"/l/3/0/14","vs":"+01:00"},{"n":"/l/1/0/1","v":60}]"#;
    assert_eq!(text(message.payload()), text(below));
}

#[test]
fn what_does_not_fit_is_said() {
    let path = Path::new([3, 0]);
    let read = Operation::Read { path, queries: vec!["q".repeat(256)], accept: None };
    assert_eq!(
        message(&read, None, &plain(), &Models::default()).unwrap_err(),
        "a query of 256 bytes; 255 are possible"
    );
    let sample = Sample { path: Path::new([5, 0]), value: Value::Null, kind: None, taken: None };
    let body = Body::Samples(vec![sample]);
    let write = Operation::Write { path, queries: vec![], mode: WriteMode::Replace, body };
    assert!(message(&write, None, &plain(), &Models::default()).unwrap_err().contains("/5/0"));
}
