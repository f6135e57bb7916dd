//! The content formats a simulated client speaks, written apart from the gateway's own.

use coap_lite::{CoapOption, Packet};
use serde_json::{Map, Value as Json, json};

use super::Path;
use crate::peer;

/// A resource's value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// A content format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Text,
    Tlv,
    SenmlJson,
}

impl Format {
    /// By its Content-Format number.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Text),
            11_542 => Some(Self::Tlv),
            110 => Some(Self::SenmlJson),
            _ => None,
        }
    }

    fn number(self) -> Vec<u8> {
        match self {
            Self::Text => vec![],
            Self::Tlv => vec![0x2d, 0x16],
            Self::SenmlJson => vec![110],
        }
    }
}

/// Put these resources into a message, as the content of `path`.
pub(super) fn put(packet: &mut Packet, format: Format, path: &str, resources: &[(Path, Value)]) {
    packet.add_option(CoapOption::ContentFormat, format.number());
    packet.payload = match format {
        Format::Text => resources.first().map(|(_, value)| value.text().into_bytes()).unwrap_or_default(),
        Format::Tlv => tlv(path, resources),
        Format::SenmlJson => senml(path, resources).to_string().into_bytes(),
    };
}

/// The resources with one value that a Write or Create carries, in any of the formats; of the types that `like` knows.
pub(super) fn written(
    request: &Packet,
    path: &str,
    like: impl Fn(Path) -> Option<Value>,
) -> Option<Vec<(Path, Value)>> {
    let levels: Vec<u16> = path.split('/').skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
    match Format::from_number(peer::option_uint(request, CoapOption::ContentFormat)?)? {
        Format::Text => {
            let path = Path::try_from(levels).ok()?;
            let text = std::str::from_utf8(&request.payload).ok()?;
            Some(vec![(path, Value::from_text(text, like(path).as_ref())?)])
        }
        Format::Tlv => {
            let resources = tlv_resources(&request.payload, &levels)?.into_iter();
            resources
                .map(|(path, bytes)| Some((path, Value::from_bytes(bytes, like(path).as_ref())?)))
                .collect()
        }
        Format::SenmlJson => senml_resources(&request.payload, like),
    }
}

/// `/3/0/1` as numbers, if it names a resource.
pub(super) fn resource_path(path: &str) -> Option<Path> {
    let levels: Vec<u16> = path.split('/').skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
    levels.try_into().ok()
}

/// The Uri-Path of a request as `/3/0/1`.
pub(super) fn path_of(request: &Packet) -> String {
    let segments = peer::option_values(request, CoapOption::UriPath);
    segments.iter().map(|segment| format!("/{}", String::from_utf8_lossy(segment))).collect()
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Text(value) => value.clone(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Boolean(value) => u8::from(*value).to_string(),
        }
    }

    fn from_text(text: &str, before: Option<&Self>) -> Option<Self> {
        Some(match before {
            Some(Self::Integer(_)) => Self::Integer(text.parse().ok()?),
            Some(Self::Float(_)) => Self::Float(text.parse().ok()?),
            Some(Self::Boolean(_)) => Self::Boolean(text == "1"),
            Some(Self::Text(_)) | None => Self::Text(text.to_owned()),
        })
    }

    /// The value of a TLV record, for a resource that had the value `before`.
    fn from_bytes(bytes: &[u8], before: Option<&Self>) -> Option<Self> {
        Some(match before {
            Some(Self::Integer(_)) => {
                Self::Integer(bytes.iter().fold(0, |value, byte| value << 8 | i64::from(*byte)))
            }
            Some(Self::Boolean(_)) => Self::Boolean(bytes.first() == Some(&1)),
            Some(Self::Float(_)) => Self::Float(match bytes.try_into() {
                Ok(bytes) => f64::from_be_bytes(bytes),
                Err(_) => f32::from_be_bytes(bytes.try_into().ok()?).into(),
            }),
            Some(Self::Text(_)) | None => Self::Text(String::from_utf8(bytes.to_vec()).ok()?),
        })
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(value) => value.clone().into_bytes(),
            Self::Integer(value) => shortest(*value),
            Self::Float(value) => value.to_be_bytes().to_vec(),
            Self::Boolean(value) => vec![u8::from(*value)],
        }
    }

    /// The value of a SenML record, for a resource that had the value `before`.
    fn from_senml(record: &Map<String, Json>, before: Option<&Self>) -> Option<Self> {
        let integer = || record.get("v")?.as_i64().map(Self::Integer);
        let float = || record.get("v")?.as_f64().map(Self::Float);
        let text = || Some(Self::Text(record.get("vs")?.as_str()?.to_owned()));
        let boolean = || record.get("vb")?.as_bool().map(Self::Boolean);
        match before {
            Some(Self::Integer(_)) => integer(),
            Some(Self::Float(_)) => float(),
            Some(Self::Text(_)) => text(),
            Some(Self::Boolean(_)) => boolean(),
            None => integer().or_else(float).or_else(text).or_else(boolean),
        }
    }

    fn senml(&self) -> (&'static str, Json) {
        match self {
            Self::Text(value) => ("vs", json!(value)),
            Self::Integer(value) => ("v", json!(value)),
            Self::Float(value) => ("v", json!(value)),
            Self::Boolean(value) => ("vb", json!(value)),
        }
    }
}

/// Integers are 1, 2, 4 or 8 bytes long (OMA core 1.2.1, 7.4.3.1).
fn shortest(value: i64) -> Vec<u8> {
    if let Ok(value) = i8::try_from(value) {
        value.to_be_bytes().to_vec()
    } else if let Ok(value) = i16::try_from(value) {
        value.to_be_bytes().to_vec()
    } else if let Ok(value) = i32::try_from(value) {
        value.to_be_bytes().to_vec()
    } else {
        value.to_be_bytes().to_vec()
    }
}

fn tlv(path: &str, resources: &[(Path, Value)]) -> Vec<u8> {
    let inside: Vec<u8> =
        resources.iter().flat_map(|(path, value)| record(RESOURCE, path[2], &value.bytes())).collect();
    match (path.split('/').count(), resources.first()) {
        // The content of an object wraps its instances; ours have one each.
        (2, Some((path, _))) => record(0, path[1], &inside),
        _ => inside,
    }
}

fn record(kind: u8, id: u16, value: &[u8]) -> Vec<u8> {
    let mut head = kind;
    let mut bytes = Vec::new();
    match u8::try_from(id) {
        Ok(id) => bytes.push(id),
        Err(_) => {
            head |= 0b10_0000;
            bytes.extend(id.to_be_bytes());
        }
    }
    let length = u16::try_from(value.len()).expect("a test's value is short");
    match length {
        0..8 => head |= length.to_be_bytes()[1],
        8..256 => {
            head |= 0b1000;
            bytes.push(length.to_be_bytes()[1]);
        }
        _ => {
            head |= 0b1_0000;
            bytes.extend(length.to_be_bytes());
        }
    }
    [vec![head], bytes, value.to_vec()].concat()
}

/// The resources with one value in the content of an object, an instance or a resource.
fn tlv_resources<'a>(payload: &'a [u8], levels: &[u16]) -> Option<Vec<(Path, &'a [u8])>> {
    let below = |object, instance, bytes| {
        let resources = records(bytes)?.into_iter().filter(|record| record.kind == RESOURCE);
        Some(resources.map(|record| ([object, instance, record.id], record.value)).collect::<Vec<_>>())
    };
    match *levels {
        [object] => {
            let instances: Option<Vec<_>> =
                records(payload)?.into_iter().map(|record| below(object, record.id, record.value)).collect();
            Some(instances?.concat())
        }
        [object, instance, ..] => below(object, instance, payload),
        [] => None,
    }
}

/// What a TLV record says.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    kind: u8,
    id: u16,
    value: &'a [u8],
}

/// The records of one level.
fn records(mut bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records = Vec::new();
    while let Some(&head) = bytes.first() {
        let after_id = if head & 0b10_0000 == 0 { 2 } else { 3 };
        let id = bytes.get(1..after_id)?.iter().fold(0, |id, byte| id << 8 | u16::from(*byte));
        let after_length = after_id + usize::from(head >> 3 & 0b11);
        let length = match bytes.get(after_id..after_length)? {
            [] => usize::from(head & 0b111),
            length => length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        };
        let value = bytes.get(after_length..after_length + length)?;
        records.push(Record { kind: head & 0b1100_0000, id, value });
        bytes = &bytes[after_length + length..];
    }
    Some(records)
}

/// The type bits of a record that is a resource with one value.
const RESOURCE: u8 = 0b1100_0000;

fn senml_resources(payload: &[u8], like: impl Fn(Path) -> Option<Value>) -> Option<Vec<(Path, Value)>> {
    let records: Vec<Map<String, Json>> = serde_json::from_slice(payload).ok()?;
    let mut base = String::new();
    let mut resources = Vec::new();
    for record in records {
        if let Some(name) = record.get("bn") {
            name.as_str()?.clone_into(&mut base);
        }
        let name = record.get("n").map_or(Some(""), Json::as_str)?;
        let path = resource_path(&format!("{base}{name}"))?;
        resources.push((path, Value::from_senml(&record, like(path).as_ref())?));
    }
    Some(resources)
}

fn senml(path: &str, resources: &[(Path, Value)]) -> Json {
    let single = resource_path(path).is_some();
    let records = resources.iter().enumerate().map(|(index, (found, value))| {
        let mut record = Map::new();
        let name = found.map(|level| format!("/{level}")).concat();
        if index == 0 {
            let base = if single { path.to_owned() } else { format!("{path}/") };
            record.insert("bn".to_owned(), json!(base));
        }
        if !single {
            let relative = name.strip_prefix(&format!("{path}/")).unwrap_or(&name);
            record.insert("n".to_owned(), json!(relative));
        }
        let (key, value) = value.senml();
        record.insert(key.to_owned(), value);
        Json::Object(record)
    });
    Json::Array(records.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn tlv_is_what_wakaama_sends() {
        let resources = [([3, 0, 3], text("1.0")), ([3, 0, 9], Value::Integer(100))];
        assert_eq!(tlv("/3/0", &resources), b"\xc3\x031.0\xc1\x09\x64");
        assert_eq!(tlv("/3", &resources), b"\x08\x00\x08\xc3\x031.0\xc1\x09\x64");
        assert_eq!(
            tlv("/3/0/0", &[([3, 0, 0], text("Open Mobile Alliance"))]),
            b"\xc8\x00\x14Open Mobile Alliance"
        );
    }

    #[test]
    fn senml_is_what_wakaama_sends() {
        let resources = [([3, 0, 3], text("1.0")), ([3, 0, 9], Value::Integer(100))];
        let expected = json!([{ "bn": "/3/0/", "n": "3", "vs": "1.0" }, { "n": "9", "v": 100 }]);
        assert_eq!(senml("/3/0", &resources), expected);
        assert_eq!(senml("/3/0/3", &resources[..1]), json!([{ "bn": "/3/0/3", "vs": "1.0" }]));
    }

    #[test]
    fn a_pack_is_read() {
        let pack = br#"[{"bn":"/3/0/","n":"9","v":5},{"n":"14","vs":"x"},{"bn":"/31024/10/3","v":5}]"#;
        let like = |path: Path| (path[2] == 3).then_some(Value::Float(0.0));
        let resources =
            [([3, 0, 9], Value::Integer(5)), ([3, 0, 14], text("x")), ([31024, 10, 3], Value::Float(5.0))];
        assert_eq!(senml_resources(pack, like), Some(resources.to_vec()));
        // No resource, no value, and not what the resource is.
        for wrong in [r#"{"n":"/3/0","v":5}"#, r#"{"n":"/3/0/9"}"#, r#"{"n":"/31024/10/3","vs":"x"}"#] {
            assert_eq!(senml_resources(format!("[{wrong}]").as_bytes(), like), None, "{wrong}");
        }
    }

    #[test]
    fn records_are_read_with_short_and_long_ids_and_lengths() {
        let record = |id, value| Record { kind: RESOURCE, id, value };
        assert_eq!(
            records(b"\xc3\x031.0\xe8\x16\x44\x0812345678"),
            Some(vec![record(3, &b"1.0"[..]), record(0x1644, &b"12345678"[..])])
        );
        assert_eq!(
            records(b"\x08\x0d\x03\xc1\x01\x05"),
            Some(vec![Record { kind: 0, id: 13, value: b"\xc1\x01\x05" }])
        );
        assert_eq!(records(b"\xc8\x03"), None);
    }
}
