use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::lwm2m::operation::{Body, CancelMode, WriteMode};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{Kind, ObjectLink, Sample, Value};

const NOW: Instant = Instant::from_micros(5_000_000_000);

fn paths() -> impl Strategy<Value = Path> {
    vec(any::<u16>(), 0..=4).prop_map(|ids| Path::from_ids(&ids).unwrap())
}

fn values() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        ".{0,9}".prop_map(|text| Value::Text(text.into())),
        any::<i64>().prop_map(Value::Integer),
        any::<u64>().prop_map(Value::Unsigned),
        (-1e300..1e300).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Opaque(bytes.into())),
        any::<i64>().prop_map(Value::Time),
        any::<(u16, u16)>().prop_map(|(object, instance)| Value::ObjectLink(ObjectLink { object, instance })),
        ".{0,9}".prop_map(|text| Value::CoreLink(text.into())),
        Just(Value::Null),
    ]
}

fn bodies() -> impl Strategy<Value = Body> {
    let kinds = option::of(prop_oneof![Just(Kind::Text), Just(Kind::Executable)]);
    let sample = (paths(), values(), kinds, any::<Option<i64>>())
        .prop_map(|(path, value, kind, taken)| Sample { path, value, kind, taken });
    prop_oneof![
        vec(sample, 0..4).prop_map(Body::Samples),
        (any::<Option<u16>>(), vec(any::<u8>(), 0..40))
            .prop_map(|(format, payload)| Body::Encoded { format, payload }),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let queries = || vec("[a-z=1-9]{0,9}", 0..3);
    let modes = || prop_oneof![Just(CancelMode::Active), Just(CancelMode::Passive)];
    let writes = prop_oneof![Just(WriteMode::Replace), Just(WriteMode::Update)];
    let attributes = vec(("[a-z]{1,5}", option::of("[0-9]{1,5}")), 0..4);
    let accept = any::<Option<u16>>;
    prop_oneof![
        (paths(), queries(), accept()).prop_map(|(path, queries, accept)| Operation::Read {
            path,
            queries,
            accept
        }),
        (paths(), queries(), any::<Option<u8>>()).prop_map(|(path, queries, depth)| Operation::Discover {
            path,
            queries,
            depth
        }),
        (paths(), queries(), writes, bodies()).prop_map(|(path, queries, mode, body)| Operation::Write {
            path,
            queries,
            mode,
            body
        }),
        (paths(), attributes).prop_map(|(path, values)| Operation::WriteAttributes { path, values }),
        (paths(), queries(), option::of(".{0,9}"))
            .prop_map(|(path, queries, arguments)| { Operation::Execute { path, queries, arguments } }),
        (paths(), queries(), bodies()).prop_map(|(path, queries, body)| Operation::Create {
            path,
            queries,
            body
        }),
        (paths(), queries()).prop_map(|(path, queries)| Operation::Delete { path, queries }),
        (paths(), queries(), accept()).prop_map(|(path, queries, accept)| Operation::Observe {
            path,
            queries,
            accept
        }),
        (paths(), queries(), modes()).prop_map(|(path, queries, mode)| Operation::CancelObservation {
            path,
            queries,
            mode
        }),
        (vec(paths(), 0..4), accept()).prop_map(|(paths, accept)| Operation::ReadComposite { paths, accept }),
        bodies().prop_map(|body| Operation::WriteComposite { body }),
        (vec(paths(), 0..4), accept())
            .prop_map(|(paths, accept)| Operation::ObserveComposite { paths, accept }),
        (vec(paths(), 0..4), modes())
            .prop_map(|(paths, mode)| Operation::CancelObservationComposite { paths, mode }),
    ]
}

fn requests() -> impl Strategy<Value = KeptRequest<'static>> {
    (operations(), ".{0,20}", any::<Option<u64>>(), any::<[bool; 4]>()).prop_map(
        |(operation, context, left, [urgent, is_again, is_repeat, is_told])| KeptRequest {
            operation: Cow::Owned(operation),
            context: context.into(),
            left,
            urgent,
            is_again,
            is_repeat,
            is_told,
        },
    )
}

fn observations() -> impl Strategy<Value = KeptObservation<'static>> {
    let rest = option::of(vec(any::<u8>(), 0..40));
    (operations(), ".{0,20}", vec(any::<u8>(), 0..=8), any::<(u64, bool)>(), rest).prop_map(
        |(operation, context, token, (association, is_owned), rest)| KeptObservation {
            operation: Cow::Owned(operation),
            context: context.into(),
            token: token.into(),
            association,
            is_owned,
            rest: rest.map(Into::into),
        },
    )
}

fn peers() -> impl Strategy<Value = Peer> {
    (any::<IpAddr>(), any::<u16>(), any::<u32>(), any::<u16>(), any::<u64>()).prop_map(
        |(ip, port, scope, listener, association)| {
            let address = match ip {
                IpAddr::V4(_) => SocketAddr::new(ip, port),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
            };
            Peer { address, listener, association }
        },
    )
}

prop_compose! {
    fn registrations()(
        peer in peers(),
        endpoint in "[a-z0-9:]{1,20}",
        alternate_path in "/[a-z]{0,5}",
        objects in vec(any::<(u16, u16)>(), 0..5),
        values in vec(("[a-zQ]{1,5}", option::of("[a-z0-9=]{0,9}")), 0..5),
        lifetime in any::<u32>(),
        version in prop_oneof![Just(Version::V1_0), Just(Version::V1_1), Just(Version::V1_2)],
        content_formats in option::of(vec(any::<u16>(), 0..5)),
    ) -> Registration {
        let prefix = alternate_path.trim_end_matches('/');
        let links: Vec<String> = objects.iter().map(|(object, instance)| format!("<{prefix}/{object}/{instance}>")).collect();
        let parameters = values.into_iter().map(|(name, value)| (name.into(), value.map(Into::into)));
        Registration::restored(registration::Kept {
            endpoint: endpoint.into(),
            location: "/rd/AQIDBAUGBwgJ".into(),
            version,
            lifetime,
            alternate_path: alternate_path.into(),
            parameters: parameters.collect(),
            links: links.join(",").into_bytes().into(),
            content_formats: content_formats.map(Into::into),
            peer,
        }, &mut Shared::default()).unwrap()
    }
}

prop_compose! {
    fn parts()(
        is_silent in any::<bool>(),
        observed in vec(observations(), 0..3),
        outstanding in vec(requests(), 0..3),
        waiting in vec(requests(), 0..3),
    ) -> (bool, Vec<KeptObservation<'static>>, [Vec<KeptRequest<'static>>; 2]) {
        (is_silent, observed, [outstanding, waiting])
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(registration in registrations(), parts in parts(), times in any::<(i64, u32)>()) {
        let (written, unheard) = times;
        let mut kept = Kept::new(written, &registration, Duration::from_millis(unheard.into()));
        (kept.is_silent, kept.observed, [kept.outstanding, kept.waiting]) = parts;
        let bytes = kept.write();
        let read = Kept::read(&bytes).unwrap();
        prop_assert_eq!(&read, &kept);
        let (observed, waiting) = (read.observed.len(), read.waiting.len());
        let restored = read.restored(NOW, written, &mut Shared::default()).unwrap();
        prop_assert_eq!(&*restored.registration, &registration);
        // Equal peers may be at different places.
        prop_assert!(restored.registration.peer.is_where(&registration.peer));
        prop_assert_eq!((restored.observed.len(), restored.waiting.len()), (observed, waiting));
        for truncated in 0..bytes.len() {
            prop_assert!(Kept::read(&bytes[..truncated]).is_err());
        }
    }

    #[test]
    fn nothing_that_is_read_is_a_panic(bytes in vec(any::<u8>(), 0..200), now in any::<u64>(), wall in any::<i64>()) {
        let mut bytes = bytes;
        for version in [None, Some(VERSION)] {
            if let (Some(version), Some(first)) = (version, bytes.first_mut()) {
                *first = version;
            }
            if let Ok(kept) = Kept::read(&bytes) {
                let _ = kept.restored(Instant::from_micros(now), wall, &mut Shared::default());
            }
        }
    }

    #[test]
    fn no_flipped_bit_is_a_panic(parts in parts(), registration in registrations(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut kept = Kept::new(0, &registration, Duration::ZERO);
        (kept.is_silent, kept.observed, [kept.outstanding, kept.waiting]) = parts;
        let mut bytes = kept.write();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(kept) = Kept::read(&bytes) {
            let _ = kept.restored(NOW, i64::MAX, &mut Shared::default());
        }
    }
}

/// As it was written when version 1 was made: what reads it must go on reading it.
#[test]
fn version_1_is_read_and_written() {
    let example = example();
    let written: String = example.write().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    assert_eq!(written, VERSION_1);
    assert_eq!(Kept::read(&example.write()).unwrap(), example);
}

fn example() -> Kept<'static> {
    let path = Path::new([3, 0, 14]);
    let sample = |value| Sample { path, value, kind: Some(Kind::Text), taken: Some(-1) };
    let operations = [
        Operation::Read { path, queries: vec!["q".into()], accept: Some(112) },
        Operation::Discover { path, queries: vec![], depth: Some(2) },
        Operation::Write {
            path,
            queries: vec![],
            mode: WriteMode::Update,
            body: Body::Samples(vec![
                sample(Value::Text("+01".into())),
                sample(Value::Integer(-5)),
                sample(Value::Unsigned(5)),
                sample(Value::Float(0.5)),
                sample(Value::Boolean(true)),
                sample(Value::Opaque(vec![1, 2].into())),
                sample(Value::Time(7)),
                sample(Value::ObjectLink(ObjectLink { object: 3, instance: 1 })),
                sample(Value::CoreLink("</3>".into())),
                sample(Value::Null),
            ]),
        },
        Operation::WriteAttributes { path, values: vec![("pmin".into(), Some("5".into()))] },
        Operation::Execute { path, queries: vec![], arguments: Some("0='x'".into()) },
        Operation::Create {
            path,
            queries: vec![],
            body: Body::Encoded { format: Some(11542), payload: vec![0xc8] },
        },
        Operation::Delete { path, queries: vec![] },
        Operation::Observe { path, queries: vec![], accept: None },
        Operation::CancelObservation { path, queries: vec![], mode: CancelMode::Passive },
        Operation::ReadComposite { paths: vec![Path::root(), path], accept: None },
        Operation::WriteComposite { body: Body::Encoded { format: None, payload: vec![] } },
        Operation::ObserveComposite { paths: vec![path], accept: Some(110) },
        Operation::CancelObservationComposite { paths: vec![path], mode: CancelMode::Active },
    ];
    let request = |(left, operation)| KeptRequest {
        operation: Cow::Owned(operation),
        context: "c".into(),
        left: Some(left),
        urgent: true,
        is_again: false,
        is_repeat: true,
        is_told: false,
    };
    Kept {
        written: 1_790_000_000_000,
        endpoint: "urn:imei:1".into(),
        location: "/rd/AQIDBAUGBwgJ".into(),
        version: 11,
        lifetime: 300,
        alternate_path: "/".into(),
        parameters: vec![("b".into(), Some("UQ".into())), ("Q".into(), None)],
        links: Cow::Owned(b"</3/0>;ver=1.1".to_vec()),
        content_formats: Some(Cow::Owned(vec![110, 11543])),
        address: "2001:db8::1".parse().unwrap(),
        port: 5683,
        scope: 2,
        listener: 1,
        association: 0x0100_0000_0000_0001,
        unheard: 1_500,
        is_silent: true,
        observed: vec![KeptObservation {
            operation: Cow::Owned(Operation::Observe { path, queries: vec![], accept: Some(11543) }),
            context: "{\"msgType\":\"observe\"}".into(),
            token: Cow::Owned(vec![0, 1, 2, 3, 4, 5, 6, 7]),
            association: 0x0100_0000_0000_0001,
            is_owned: true,
            rest: Some(Cow::Owned(vec![0x40, 1])),
        }],
        outstanding: Vec::new(),
        waiting: (0..).zip(operations).map(request).collect(),
    }
}

const VERSION_1: &str = "\
    0180b083c598680a75726e3a696d65693a31102f72642f41514944424155474277674a0bac02012f0201620102555101\
    51000e3c2f332f303e3b7665723d312e3101026e975a0120010db8000000000000000000000001b32c02018180808080\
    80808001dc0b0101070303000e0001975a157b226d736754797065223a226f627365727665227d080001020304050607\
    8180808080808080010101024001000d000303000e01017101700163010001000100010303000e000102016301010100\
    0100020303000e0001000a0303000e00032b3031010001010303000e0109010001010303000e0205010001010303000e\
    03000000000000e03f010001010303000e0401010001010303000e05020102010001010303000e060e01000101030300\
    0e070301010001010303000e08043c2f333e010001010303000e09010001010163010201000100030303000e0104706d\
    696e0101350163010301000100040303000e000105303d2778270163010401000100050303000e000101965a01c80163\
    010501000100060303000e000163010601000100070303000e00000163010701000100080303000e0001016301080100\
    01000902000303000e0001630109010001000a0100000163010a010001000b010303000e016e0163010b010001000c01\
    0303000e000163010c01000100";
