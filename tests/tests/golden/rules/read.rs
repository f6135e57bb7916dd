//! Commands that read, and how the content of their answers is told (section 2.5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::write::slashed;
use super::{Asked, Exchange, entry, error, outcome};
use crate::random::Random;

/// A read or a discover, with an answer in some format.
pub(super) fn any(random: &mut Random) -> Exchange {
    let levels = [*random.of(&[3, 5, 6, 1, 9_999]), 0, *random.of(&RESOURCES), *random.of(&[0, 1, 300])];
    let levels = levels[..*random.of(&[1, 2, 3, 3, 3, 4])].to_vec();
    let path = slashed(&levels, random);
    let mut asked = Asked {
        code: "0.01",
        path: levels.iter().map(u16::to_string).collect(),
        queries: Vec::new(),
        options: Vec::new(),
        payload: Vec::new(),
        answer: ("2.05".to_owned(), None, Vec::new()),
        told: Json::Null,
        told_path: path.clone(),
    };
    let kind = if random.below(8) == 0 { "discover" } else { "read" };
    let mut command = json!({ "msgType": kind, "data": { "path": path } });
    if random.below(8) == 0 {
        asked.queries = vec!["pmin=5".to_owned(), "b".to_owned()];
        command["data"]["path"] = json!(format!("{path}?pmin=5&b"));
    }
    if kind == "discover" {
        asked.options.push((17, 40));
    }
    let content = match (kind, random.below(8)) {
        (_, 0) => {
            let (code, told) = error(random);
            (asked.answer.0, asked.answer.2, asked.told) = (code, b"why".to_vec(), told);
            return Exchange { command, asked: Some(asked) };
        }
        ("discover", _) => {
            let links = *random.of(&["", "</3>", "</3/0/7>;dim=8;pmin=10,</3/0/8>", " </a>, </b>;x=\"1,2\""]);
            asked.answer.2 = links.as_bytes().to_vec();
            Some(json!(links.split(',').collect::<Vec<_>>()))
        }
        (_, 1) => json_content(&mut asked, random),
        (_, 2) => other_format(&mut asked, &path, random),
        (_, 3 | 4) => text(&mut asked, &levels, &path, random),
        _ => tlv(&mut asked, &levels, random),
    };
    asked.told = match content {
        Some(content) => {
            let mut told = outcome(("2.05", "content"));
            told["content"] = content;
            told
        }
        None => outcome(("4.00", "bad_request")),
    };
    Exchange { command, asked: Some(asked) }
}

/// Formats that are not taken apart (section 2.5).
fn other_format(asked: &mut Asked, path: &str, random: &mut Random) -> Option<Json> {
    let format = *random.of(&[42, 110, 112, 11_544, 1_542, 1_543, 65_000, 40, 41, 47, 50, 60]);
    let payload: Vec<u8> = (0..random.below(20)).map(|_| random.byte()).collect();
    let content = json!([{ "path": path, "value": STANDARD.encode(&payload) }]);
    (asked.answer.1, asked.answer.2) = (Some(format), payload);
    (!matches!(format, 40 | 41 | 47 | 50 | 60)).then_some(content)
}

/// OMA JSON (section 2.5.3).
fn json_content(asked: &mut Asked, random: &mut Random) -> Option<Json> {
    asked.answer.1 = Some(11_543);
    if random.below(6) == 0 {
        asked.answer.2 = b"{\"bn\":\"/3/0\",\"e\":[".to_vec();
        return None;
    }
    let base = *random.of(&["/3/0", "/3/0/", "/3/0//", ""]);
    let mut elements = Vec::new();
    let mut content = Vec::new();
    for _ in 0..random.below(4) {
        let mut element = json!({});
        let mut value = Json::Null;
        // The first of these that is there is the value.
        for (name, of) in [("t", json!(1_700_000_000)), ("v", json!(42.5)), ("bv", json!(false))]
            .into_iter()
            .chain([("ov", json!("3:0")), ("sv", json!("ü"))])
        {
            if random.below(4) == 0 {
                element[name] = of.clone();
                value = if value.is_null() { of } else { value };
            }
        }
        let name = *random.of(&["9", "/9", "//7/0", ""]);
        if !name.is_empty() {
            element["n"] = json!(name);
        }
        let path = format!("{}/{}", base.trim_end_matches('/'), name.trim_start_matches('/'));
        elements.push(element);
        content.push(json!({ "path": path, "value": value }));
    }
    let mut payload = json!({ "e": elements });
    if !base.is_empty() {
        payload["bn"] = json!(base);
    }
    asked.answer.2 = payload.to_string().into_bytes();
    Some(json!(content))
}

/// One value, typed by the definition (section 2.5.1).
fn text(asked: &mut Asked, levels: &[u16], path: &str, random: &mut Random) -> Option<Json> {
    asked.answer.1 = *random.of(&[None, Some(0)]);
    let kind = levels.get(2).and_then(|resource| kind(levels[0], *resource));
    let texts: &[&[u8]] = match kind {
        Some("Integer" | "Time" | "Float") => &[
            b"0",
            b"42",
            b"-7",
            b"+5",
            b"007",
            b"12.5",
            b"-0.25",
            b"1.5e3",
            b"2.0E-2",
            b"1e3",
            b".5",
            b" 5",
            b"",
            b"x",
            b"1700000000",
            b"18446744073709551615",
        ],
        Some("Boolean") => &[b"true", b"false", b"1", b"0", b"True", b""],
        Some("Opaque") => &[b"", b"AAEC", b"\x00\xff"],
        _ => &[b"", b"EMQ", "Grüße 🌍".as_bytes(), b"a\"b\\c\n", b"\xff\xfeok", b"\xe2\x82", b"1:2"],
    };
    let text = *random.of(texts);
    asked.answer.2 = text.to_vec();
    let string = lossy(text);
    let value = match kind? {
        "String" | "Objlnk" => json!(string),
        "Integer" | "Time" | "Float" => number(&string)?,
        "Boolean" => match text {
            b"true" => json!(true),
            b"false" => json!(false),
            _ => return None,
        },
        "Opaque" => json!(STANDARD.encode(text)),
        _ => return None,
    };
    Some(json!([{ "path": path, "value": value }]))
}

/// An integer, failing that a float.
fn number(text: &str) -> Option<Json> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits(unsigned) {
        let integer: i128 = text.parse().ok()?;
        return i64::try_from(integer)
            .map_or_else(|_| u64::try_from(integer).ok().map(Json::from), |it| Some(json!(it)));
    }
    let (whole, rest) = unsigned.split_once('.')?;
    let (fraction, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_float = digits(whole) && digits(fraction) && digits(exponent);
    is_float.then(|| text.parse::<f64>().ok().map(Json::from)).flatten()
}

/// Each byte that is not part of UTF-8 is U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| text.push('\u{fffd}'));
    }
    text
}

/// A resource in TLV, or resource instances.
struct Resource {
    id: u16,
    /// An instance, or none.
    values: Vec<(Option<u16>, Vec<u8>)>,
}

/// Section 2.5.2.
fn tlv(asked: &mut Asked, levels: &[u16], random: &mut Random) -> Option<Json> {
    asked.answer.1 = Some(11_542);
    let object = levels[0];
    let whole = |resources: &[Resource]| resources.iter().flat_map(bytes).collect::<Vec<u8>>();
    match random.below(8) {
        0 => {
            let broken: [&[u8]; 6] = [
                b"",
                b"\xc8\x00\x14Open",
                b"\x41\x00\x01",
                b"\xc1\x09",
                b"\xc1\x09\x01\x08\x00\x00",
                b"\xc1\x09\x01\xff",
            ];
            asked.answer.2 = random.of(&broken).to_vec();
            None
        }
        1 | 2 => {
            let count = 1 + random.below(2);
            let instances: Vec<_> =
                (0..count).map(|_| (*random.of(&[0, 1, 7, 300]), some(object, random))).collect();
            asked.answer.2 =
                instances.iter().flat_map(|(id, resources)| entry(0, *id, &whole(resources))).collect();
            if count == 1 {
                let (id, resources) = &instances[0];
                return match levels {
                    [_] => told(object, &format!("/{object}/{id}"), resources),
                    [_, instance] | [_, instance, _] => {
                        told(object, &format!("/{object}/{instance}"), resources)
                    }
                    _ => None,
                };
            }
            let mut content = Vec::new();
            for (id, resources) in &instances {
                // A quirk: no slash in front.
                content.extend(told(object, &format!("{object}/{id}"), resources)?.as_array()?.clone());
            }
            Some(json!(content))
        }
        _ => {
            let resources = some(object, random);
            asked.answer.2 = whole(&resources);
            match (&resources[..], levels) {
                ([], _) | (_, [_] | [_, _, _, _]) => None,
                ([Resource { id, values }], [_, instance, resource])
                    if values[..].first().is_some_and(|it| it.0.is_none()) =>
                {
                    let value = typed(kind(object, *id)?, &values[0].1)?;
                    Some(json!([{ "path": format!("/{object}/{instance}/{resource}"), "value": value }]))
                }
                (resources, [_, instance, ..]) => told(object, &format!("/{object}/{instance}"), resources),
                (_, []) => None,
            }
        }
    }
}

fn some(object: u16, random: &mut Random) -> Vec<Resource> {
    let count = *random.of(&[0, 1, 1, 1, 2, 3, 5]);
    (0..count)
        .map(|_| {
            let id = *random.of(&RESOURCES);
            let kind = kind(object, id).unwrap_or("String");
            let values = match random.below(4) {
                0 => (0..random.below(3)).map(|_| (Some(random.number()), content(kind, random))).collect(),
                _ => vec![(None, content(kind, random))],
            };
            Resource { id, values }
        })
        .collect()
}

fn bytes(resource: &Resource) -> Vec<u8> {
    match &resource.values[..] {
        [(None, value)] => entry(3, resource.id, value),
        values => {
            let inside = values.iter().flat_map(|(id, value)| entry(1, id.unwrap_or_default(), value));
            entry(2, resource.id, &inside.collect::<Vec<_>>())
        }
    }
}

fn content(kind: &str, random: &mut Random) -> Vec<u8> {
    let any = |length: u64, random: &mut Random| (0..length).map(|_| random.byte()).collect::<Vec<u8>>();
    match (kind, random.below(12)) {
        ("Float", 0) => f64::NAN.to_be_bytes().to_vec(),
        ("Float", 1) => vec![1, 2, 3],
        ("Float", 2..=6) => (*random.of(&[0.1_f32, -1.5, 1e20])).to_be_bytes().to_vec(),
        ("Float", _) => (*random.of(&[0.1_f64, -1.5, 1e300])).to_be_bytes().to_vec(),
        ("Boolean", 0) => vec![2],
        ("Boolean", _) => vec![random.byte() & 1],
        ("Objlnk", 0) => vec![0, 1, 0],
        ("Objlnk", _) => any(4, random),
        ("Integer" | "Time", of) => {
            any(*random.of(&[0, 1, 1, 2, 2, 3, 4, 5, 7]) + u64::from(of == 0), random)
        }
        ("String", 0) => b"\xff\xe2\x82".to_vec(),
        ("String", _) => random.of(&["", "EMQ", "Grüße"]).repeat(*random.of(&[1, 1, 60])).into_bytes(),
        _ => any(*random.of(&[0, 1, 8, 300]), random),
    }
}

/// The items of some resources; none if one of them cannot be told.
fn told(object: u16, base: &str, resources: &[Resource]) -> Option<Json> {
    let mut items = Vec::new();
    for Resource { id, values } in resources {
        for (instance, value) in values {
            let instance = instance.map(|instance| format!("/{instance}")).unwrap_or_default();
            let value = typed(kind(object, *id)?, value)?;
            items.push(json!({ "path": format!("{base}/{id}{instance}"), "value": value }));
        }
    }
    Some(json!(items))
}

fn typed(kind: &str, bytes: &[u8]) -> Option<Json> {
    let unsigned = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Some(match kind {
        "String" => json!(lossy(bytes)),
        "Integer" if bytes.first().is_some_and(|byte| *byte >= 0x80) => {
            let missing = u32::try_from(64 - 8 * bytes.len()).ok()?;
            json!(i64::from_be_bytes((unsigned << missing).to_be_bytes()) >> missing)
        }
        "Integer" | "Time" => json!(unsigned),
        "Float" => {
            let float = match bytes.len() {
                4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
                8 => f64::from_be_bytes(bytes.try_into().ok()?),
                _ => return None,
            };
            json!(Some(float).filter(|float| float.is_finite())?)
        }
        "Boolean" => json!(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        "Opaque" => json!(STANDARD.encode(bytes)),
        "Objlnk" if bytes.len() == 4 => json!(format!("{}:{}", unsigned >> 16, unsigned & 0xffff)),
        _ => return None,
    })
}

/// The types of appendix A, as far as they are used here.
fn kind(object: u16, resource: u16) -> Option<&'static str> {
    Some(match (object, resource) {
        (1, 0 | 1 | 2 | 3 | 5) | (3, 6 | 7 | 9 | 10 | 11 | 20) | (5, 3 | 5 | 8 | 9) => "Integer",
        (1, 7) | (3, 0 | 1 | 2 | 3 | 14 | 16) | (5, 1 | 6 | 7) => "String",
        (1, 6) => "Boolean",
        (3, 13) | (6, 5) => "Time",
        (3, 22) => "Objlnk",
        (6, 0 | 1 | 2 | 3 | 6) => "Float",
        (5, 0) | (6, 4) => "Opaque",
        _ => return None,
    })
}

const RESOURCES: [u16; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 13, 14, 22];
