//! Commands that write (sections 3.3 to 3.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::{Asked, Exchange, entry, error, outcome};
use crate::random::Random;

/// A single write, with a value that may not fit its type.
pub(super) fn single(random: &mut Random) -> Exchange {
    let levels: Vec<u16> = match random.below(8) {
        0 => vec![3, 0],
        1 => vec![5],
        2 => vec![3, 0, 6, 0],
        _ => vec![*random.of(&[3, 5, 6, 31_024, 65_535]), 0, *random.of(&[0, 6, 13, 255, 256, 65_535])],
    };
    let path = slashed(&levels, random);
    let (kind, value, bytes) = value(random);
    let command = json!({
        "msgType": "write", "data": { "path": path, "type": kind, "value": value },
    });
    let payload = bytes.and_then(|bytes| match levels[..] {
        [_, _, resource] => Some(entry(3, resource, &bytes)),
        // A quirk: what names an object and its instance is taken for a resource and its instance.
        [first, second] => Some(entry(2, first, &entry(1, second, &bytes))),
        _ => None,
    });
    Exchange { command, asked: payload.map(|payload| put("0.03", &levels, payload, &path, random)) }
}

/// Several values of one instance or resource.
pub(super) fn batch(random: &mut Random) -> Exchange {
    let levels: Vec<u16> = match random.below(6) {
        0 => vec![3],
        1 => vec![3, 0, 6, 0],
        2 | 3 => vec![3, 0, *random.of(&[6, 22, 300])],
        _ => vec![3, 0],
    };
    let base = slashed(&levels, random);
    let mut elements = Vec::new();
    for _ in 0..=random.below(4) {
        elements.push(match levels.len() {
            3 => written(vec![*random.of(&[0, 1, 2, 300])], random),
            _ => element(0, random),
        });
    }
    // Of one element the path of its resource is that of the base (a defect is to lose the instance).
    if levels.len() == 3 && elements.len() == 1 {
        let (kind, value, bytes) = value(random);
        let command = json!({
            "msgType": "write",
            "data": { "basePath": base, "content": [{ "type": kind, "value": value }] },
        });
        let payload = bytes.map(|bytes| entry(3, levels[2], &bytes));
        return Exchange {
            command,
            asked: payload.map(|payload| put("0.03", &levels, payload, &base, random)),
        };
    }
    let content: Vec<_> = elements.iter().map(|element| element.json.clone()).collect();
    let command = json!({ "msgType": "write", "data": { "basePath": base, "content": content } });
    let asked = all(&elements).and_then(|values| match levels[..] {
        [_, _] => Some(put("0.02", &levels, resources(&values, 0), &base, random)),
        [_, _, id] => Some(put("0.03", &levels, entry(2, id, &instances(&values, 0)), &base, random)),
        _ => None,
    });
    Exchange { command, asked }
}

/// New instances of an object, or of what is in one.
pub(super) fn create(random: &mut Random) -> Exchange {
    let levels: Vec<u16> = if random.below(4) == 0 { vec![5, 1] } else { vec![5] };
    let base = slashed(&levels, random);
    let mut elements = Vec::new();
    for _ in 0..random.below(5) {
        elements.push(element(2 - levels.len(), random));
    }
    let content: Vec<_> = elements.iter().map(|element| element.json.clone()).collect();
    let command = json!({ "msgType": "create", "data": { "basePath": base, "content": content } });
    let asked = all(&elements).map(|values| {
        let payload = if levels.len() == 1 {
            let groups = grouped(&values, 0).into_iter();
            groups.flat_map(|(id, of)| entry(0, id, &resources(&of, 1))).collect()
        } else {
            resources(&values, 0)
        };
        let mut asked = put("0.02", &levels, payload, &base, random);
        asked.answer.0 = "2.01".to_owned();
        asked.told = outcome(("2.01", "created"));
        asked
    });
    Exchange { command, asked }
}

/// Write-attributes: strings only, in an order of their own.
pub(super) fn attributes(random: &mut Random) -> Exchange {
    let levels = [3, 0, 9][..1 + usize::try_from(random.below(3)).expect("small")].to_vec();
    let path = slashed(&levels, random);
    let mut data = Map::from_iter([("path".to_owned(), json!(path))]);
    let mut queries = Vec::new();
    let mut is_dropped = false;
    for name in ["gt", "lt", "pmax", "pmin", "st", "epmin", "foo"] {
        let value = match random.below(6) {
            0 => json!(null),
            1 => json!("5"),
            2 => json!("-1.25"),
            3 if random.below(4) == 0 => json!(5),
            _ => continue,
        };
        let is_known = !matches!(name, "epmin" | "foo");
        match value.as_str().filter(|_| is_known) {
            Some(text) => queries.push(format!("{name}={text}")),
            None => is_dropped |= is_known && value.is_number(),
        }
        data.insert(name.to_owned(), value);
    }
    let command = json!({ "msgType": "write-attr", "data": data });
    let mut asked = put("0.03", &levels, Vec::new(), &path, random);
    asked.options.clear();
    asked.queries = queries;
    Exchange { command, asked: (!is_dropped).then_some(asked) }
}

/// An element of a batch: its path relative to the base, and its bytes.
struct Element {
    json: Json,
    ids: Vec<u16>,
    bytes: Option<Vec<u8>>,
}

/// Below that many other levels a resource, or a resource instance.
fn element(above: usize, random: &mut Random) -> Element {
    let mut ids: Vec<u16> = (0..above).map(|_| *random.of(&[0, 1, 300])).collect();
    match random.below(2) {
        0 => ids.push(*random.of(&[13, 14, 256])),
        _ => ids.extend([*random.of(&[6, 7]), *random.of(&[0, 1, 2, 300])]),
    }
    written(ids, random)
}

fn written(ids: Vec<u16>, random: &mut Random) -> Element {
    let (kind, value, bytes) = value(random);
    Element { json: json!({ "path": slashed(&ids, random), "type": kind, "value": value }), ids, bytes }
}

type Values = Vec<(Vec<u16>, Vec<u8>)>;

/// Paths and bytes, unless one of them has none.
fn all(elements: &[Element]) -> Option<Values> {
    elements.iter().map(|element| Some((element.ids.clone(), element.bytes.clone()?))).collect()
}

/// The values by their id at a level; what was added to last stands last.
fn grouped(values: &Values, level: usize) -> Vec<(u16, Values)> {
    let mut groups: Vec<(u16, Values)> = Vec::new();
    for (ids, bytes) in values {
        let place = groups.iter().position(|(known, _)| *known == ids[level]);
        let mut group = place.map(|place| groups.remove(place).1).unwrap_or_default();
        group.push((ids.clone(), bytes.clone()));
        groups.push((ids[level], group));
    }
    groups
}

/// Resource instances; of several values the last counts.
fn instances(values: &Values, level: usize) -> Vec<u8> {
    let groups = grouped(values, level).into_iter();
    groups.flat_map(|(id, of)| entry(1, id, &of[of.len() - 1].1)).collect()
}

fn resources(values: &Values, level: usize) -> Vec<u8> {
    let groups = grouped(values, level).into_iter();
    let resource = |(id, of): (u16, Values)| match of[0].0.len() {
        length if length == level + 1 => entry(3, id, &of[of.len() - 1].1),
        _ => entry(2, id, &instances(&of, level + 1)),
    };
    groups.flat_map(resource).collect()
}

fn put(code: &'static str, levels: &[u16], payload: Vec<u8>, path: &str, random: &mut Random) -> Asked {
    let (answer, told) = match random.below(4) {
        0 => error(random),
        _ => ("2.04".to_owned(), outcome(("2.04", "changed"))),
    };
    Asked {
        code,
        path: levels.iter().map(u16::to_string).collect(),
        queries: Vec::new(),
        options: vec![(12, 11_542)],
        payload,
        answer: (answer, None, Vec::new()),
        told,
        told_path: path.to_owned(),
    }
}

/// Slashes at both ends are as good as none.
pub(super) fn slashed(levels: &[u16], random: &mut Random) -> String {
    let path: Vec<_> = levels.iter().map(u16::to_string).collect();
    let (before, after) = *random.of(&[("/", ""), ("/", ""), ("", ""), ("/", "/"), ("", "/")]);
    format!("{before}{}{after}", path.join("/"))
}

/// A type, a value, and its bytes if the value fits the type (section 3.6).
fn value(random: &mut Random) -> (&'static str, Json, Option<Vec<u8>>) {
    let kind = *random.of(&["String", "Integer", "Time", "Float", "Boolean", "Opaque", "Objlnk", "Blob"]);
    let (value, bytes) = match kind {
        "String" => text(random),
        "Integer" | "Time" | "Float" => number(random),
        "Boolean" => match random.below(6) {
            0..=2 => (json!("true"), Some(vec![1])),
            3 | 4 => (json!("false"), Some(vec![0])),
            _ => (json!(*random.of(&["1", "TRUE", ""])), None),
        },
        "Opaque" => {
            let length = usize::try_from(*random.of(&[0, 1, 2, 3, 7, 8, 60, 300])).expect("small");
            let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            match random.below(8) {
                0 => (json!("a*b="), None),
                _ => (json!(STANDARD.encode(&bytes)), Some(bytes)),
            }
        }
        "Objlnk" => {
            let (object, instance) = (random.number(), random.number());
            let bytes = [object.to_be_bytes(), instance.to_be_bytes()].concat();
            (json!(format!("{object}:{instance}")), Some(bytes))
        }
        _ => (json!("x"), None),
    };
    (kind, value, bytes)
}

fn text(random: &mut Random) -> (Json, Option<Vec<u8>>) {
    match random.below(10) {
        0 => (json!(true), Some(vec![1])),
        1 => (json!(false), Some(vec![0])),
        2 => {
            // One, two or three bytes.
            let number =
                *random.of(&[0_i32, 1, -1, 127, -127, 128, 255, 256, 32_767, -32_767, 40_000, -40_000]);
            let width = match number.abs() {
                0..128 => 1,
                128..32_768 => 2,
                _ => 3,
            };
            (json!(number), Some(number.to_be_bytes()[4 - width..].to_vec()))
        }
        3 => (json!(1.5), Some(1.5_f32.to_be_bytes().to_vec())),
        4 => (json!(null), None),
        5 => (json!({ "a": 1 }), None),
        _ => {
            let text = *random.of(&["", "a", "1234567", "12345678", "Grüße, 世界 🌍", "\u{0}\n\"\\/"]);
            let text = text.repeat(*random.of(&[1, 1, 1, 40]));
            (json!(text), Some(text.into_bytes()))
        }
    }
}

/// The three types of numbers are one; integers from zero on are unsigned and as short as can be.
fn number(random: &mut Random) -> (Json, Option<Vec<u8>>) {
    match random.below(8) {
        0 => (json!(*random.of(&["", " 5", "1e3", ".5", "5.", "abc", "0x10", "1,5", "--1", "1_000"])), None),
        1 | 2 => {
            let float = *random.of(&[0.5, -0.25, 1.1, 42.125, -1.0e-9, 12_345.678, 0.1]);
            let value = if random.below(2) == 0 { json!(float) } else { json!(format!("{float:.12}")) };
            let exact: f64 = value.as_str().map_or(float, |text| text.parse().expect("a float"));
            (value, Some(exact.to_be_bytes().to_vec()))
        }
        3 => (json!("1.5e3"), Some(1500.0_f64.to_be_bytes().to_vec())),
        _ => {
            let magnitude = random.integer();
            let number = if random.below(2) == 0 { -magnitude } else { magnitude };
            let text = match random.below(4) {
                0 if number >= 0 => format!("+{number}"),
                1 if number >= 0 => format!("00{number}"),
                _ => number.to_string(),
            };
            let value = match i64::try_from(number) {
                Ok(small) if random.below(2) == 0 => json!(small),
                _ => json!(text),
            };
            (value, Some(shortest(number)))
        }
    }
}

fn shortest(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let width = if number < 0 {
        (1..16).find(|width| number >> (8 * width - 1) == -1).unwrap_or(16)
    } else {
        (1..16).find(|width| number >> (8 * width) == 0).unwrap_or(16)
    };
    bytes[16 - width..].to_vec()
}
