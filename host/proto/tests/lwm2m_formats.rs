//! The promises of the content formats on damaged samples of what clients send: what the fuzz targets check, for those
//! who have no fuzzer at hand.

#[path = "../fuzz/lwm2m_formats_body.rs"]
mod body;

use body::{FORMATS, run};
use proptest::prelude::*;

/// One change to a payload.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn apply(change: &Change, payload: &mut Vec<u8>) {
    if payload.is_empty() {
        return;
    }
    let length = payload.len();
    match change {
        Change::Set(at, byte) => payload[at.index(length)] = *byte,
        Change::Flip(at, bit) => payload[at.index(length)] ^= 1 << (bit % 8),
        Change::Insert(at, byte) => payload.insert(at.index(length), *byte),
        Change::Remove(at) => drop(payload.remove(at.index(length))),
        Change::Cut(at) => payload.truncate(at.index(length)),
        Change::Repeat(from, to) => {
            let part = payload[from.index(length)..].to_vec();
            let to = to.index(length);
            payload.splice(to..to, part);
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<prop::sample::Index>;
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Remove),
        at().prop_map(Change::Cut),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ];
    prop::collection::vec(change, 0..4)
}

/// What Wakaama answers to reads of its Device object, and what it registers with.
const SAMPLES: &[(&str, &[u8])] = &[
    ("text", b"3162871511"),
    ("opaque", b"\x00\xff"),
    (
        "tlv",
        b"\xC8\x00\x14Open Mobile Alliance\xC3\x031.0\x86\x06\x41\x00\x01\x41\x01\x05\x88\x07\x08\x42\x00\x0E\xD8\
          \x42\x01\x13\x88\xC1\x09\x64\x83\x0B\x41\x00\x00\xC8\x0D\x08\x00\x00\x00\x00\xBC\x85\x96\x9F\xC6\x0E+01:00",
    ),
    ("tlv", b"\x08\x00\x0E\xC1\x00\x01\xC1\x01\x00\x83\x02\x41\x7F\x07\xC1\x03\x7F\x03\x02\xC1\x00\x03"),
    ("tlv", b"\x03\x05\xC1\x09\x64"),
    (
        "senml_json",
        br#"[{"bn":"/3/0/","bt":1276020076.001,"n":"0","vs":"Open Mobile Alliance"},{"n":"6/0","v":1},{"n":"9","t":-5,
          "v":100.5},{"n":"15"},{"bv":2,"n":"16","vd":"-_8"},{"bn":"/1/0/10","vlo":"3:0"},{"n":"","vb":true}]"#,
    ),
    (
        "senml_cbor",
        b"\x87\xa4\x21\x65/3/0/\x22\xfb\x41\xd3\x03\xa1\x5b\x00\x10\x62\x00\x610\x03\x74Open Mobile Alliance\xa2\x00\x636/0\
          \x02\x01\xa3\x00\x619\x06\x24\x02\xf9\x56\x48\xa1\x00\x6215\xa3\x24\x02\x00\x6216\x08\x42\xfb\xff\xa2\x21\x67/1/0/10\
          \x63vlo\x633:0\xbf\x00\x7f\xff\x04\xf5\xff",
    ),
    ("senml_etch", br#"[{"n":"/3/0/6/1","v":null},{"n":"/lwm2m/3/0/14","vs":"+02:00"}]"#),
    ("senml_etch", b"\x82\xa2\x00\x68/3/0/6/1\x02\xf6\xa2\x00\x67/3/0/14\x03\x66+02:00"),
    ("cbor", b"\xc1\xc4\x82\x21\x19\x6a\xb3"),
    ("cbor", b"\x7f\x65strea\x64ming\xff"),
    ("lwm2m_cbor", b"\xa2\x01\xa1\x01\xa1\x01\x0b\x82\x03\x00\xa2\x06\xbf\x00\x01\x01\xc2\x42\x01\x00\xff\x09\x18\x64"),
    ("link", br#"</>;rt="oma.lwm2m";ct="60 110",</1>;ver=1.1,</1/0>, </3/0> ;x ; title="a,\"b",</31024/10>"#),
    ("link", b"/3/0/9"),
    (
        "definition",
        b"<LWM2M><Object><Name>A</Name><ObjectID>9</ObjectID><MultipleInstances>Single</MultipleInstances>\
          <Mandatory>Optional</Mandatory><Resources/></Object></LWM2M>",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_for_damaged_payloads(
        sample in prop::sample::select(SAMPLES),
        choice: u8,
        changes in changes(),
    ) {
        let (target, payload) = sample;
        let mut payload = payload.to_vec();
        changes.iter().for_each(|change| apply(change, &mut payload));
        if FORMATS.iter().any(|(name, _)| *name == target) {
            payload.insert(0, choice);
        }
        run(target, &payload);
    }

    #[test]
    fn the_promises_hold_for_noise(input: Vec<u8>) {
        for (target, _) in FORMATS {
            run(target, &input);
        }
    }
}
