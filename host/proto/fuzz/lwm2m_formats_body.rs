//! What the fuzz targets of the content formats check, one for each decoder; `tests/fuzz_quick.rs` runs the same on
//! mutations of their corpora, `tests/lwm2m_formats.rs` on damaged samples of real traffic.
//!
//! The first byte of an input to a content format chooses the scope (see [`scope`]), and the rest is the payload. The
//! other targets take all of it.

use std::sync::LazyLock;

use tidegate_proto::lwm2m::format::{self, Scope, link};
use tidegate_proto::lwm2m::model::{Definition, Models};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Sample, Value};

/// Panics if one of the promises does not hold for the input; whether it could be read at all.
pub(crate) fn run(target: &str, input: &[u8]) -> bool {
    match target {
        "link" => check_links(input),
        "definition" => check_definition(input),
        _ => {
            let format = FORMATS.iter().find(|(name, _)| *name == target);
            let (_, numbers) = format.unwrap_or_else(|| panic!("no target {target}"));
            check_format(numbers, input)
        }
    }
}

fn check_format(numbers: &[u16], input: &[u8]) -> bool {
    let [choice, payload @ ..] = input else {
        return false;
    };
    let number = numbers[usize::from(choice >> 4 & 1) % numbers.len()];
    if let Ok(paths) = format::decode_paths(number, "/lwm2m", payload) {
        let written = format::encode_paths(number, "/lwm2m", &paths).expect("paths can be written");
        assert_eq!(format::decode_paths(number, "/lwm2m", &written).as_ref(), Ok(&paths));
    }
    let is_read = check(number, scope(*choice, &()), payload);
    let with_definitions = check(number, scope(*choice, &*MODELS), payload);
    assert_eq!(is_read, with_definitions, "definitions change values, not what is well-formed");
    is_read
}

/// The low three bits of the choice: how many levels the request path has; the next one: whether there is an alternate
/// path.
fn scope(choice: u8, definitions: &dyn format::Definitions) -> Scope<'_> {
    let alternate_path = if choice & 8 == 0 { "/" } else { "/lwm2m" };
    Scope { alternate_path, ..Scope::new(REQUEST.truncated(usize::from(choice & 7)), definitions) }
}

/// What is read is bounded, and if it can be written again it reads the same.
fn check(number: u16, scope: Scope<'_>, payload: &[u8]) -> bool {
    let mut samples = Vec::new();
    if format::decode_into(Some(number), &scope, payload, &mut samples).is_err() {
        assert!(samples.is_empty());
        return false;
    }
    assert!(samples.len() <= format::MAX_SAMPLES);
    // A number that stays text may be longer than it was: 1e300.
    assert!(samples.iter().map(content).sum::<usize>() <= payload.len() + 400 * samples.len());
    let Ok(written) = format::encode_in(number, &scope, &samples) else {
        return true;
    };
    let mut again = Vec::new();
    format::decode_into(Some(number), &scope, &written, &mut again).expect("what is written can be read");
    // TLV may name another resource than the request, and the type is that of the former; in text, bytes that are not
    // UTF-8 become base64. Nothing else changes a value.
    let keeps_values = match number {
        format::TLV => scope.definitions.kind(3, 9).is_none(),
        format::TEXT => std::str::from_utf8(payload).is_ok(),
        _ => true,
    };
    assert_eq!(essence(&samples, keeps_values), essence(&again, keeps_values));
    true
}

/// Bytes that a value owns or borrows.
fn content(sample: &Sample<'_>) -> usize {
    match &sample.value {
        Value::Text(text) | Value::CoreLink(text) => text.len(),
        Value::Opaque(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Paths and values in order of the paths. A value stands as its debug text, in which NaN equals itself.
fn essence(samples: &[Sample<'_>], with_values: bool) -> Vec<(Path, String)> {
    let value = |sample: &Sample<'_>| if with_values { format!("{:?}", sample.value) } else { String::new() };
    let mut essence: Vec<_> = samples.iter().map(|sample| (sample.path, value(sample))).collect();
    essence.sort_by_key(|(path, _)| *path);
    essence
}

/// Link-format and paths: what clients register with.
fn check_links(input: &[u8]) -> bool {
    if let Some(path) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<Path>().ok()) {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    let Ok(links) = link::parse(input) else {
        return false;
    };
    let written: Vec<_> = links.iter().map(ToString::to_string).collect();
    assert_eq!(link::parse(written.join(",").as_bytes()).as_ref(), Ok(&links));
    true
}

fn check_definition(input: &[u8]) -> bool {
    std::str::from_utf8(input).is_ok_and(|text| Definition::from_xml("fuzz.xml", text).is_ok())
}

static MODELS: LazyLock<Models> = LazyLock::new(Models::built_in);

const REQUEST: Path = Path::new([3, 0, 9, 1]);

/// The content formats: their targets, and the numbers that each of them is for. The fifth bit of the choice takes the
/// second.
pub(crate) const FORMATS: &[(&str, &[u16])] = &[
    ("text", &[format::TEXT]),
    ("opaque", &[format::OPAQUE]),
    ("tlv", &[format::TLV]),
    ("senml_json", &[format::SENML_JSON]),
    ("cbor", &[format::CBOR]),
    ("senml_cbor", &[format::SENML_CBOR]),
    ("senml_etch", &[format::SENML_ETCH_JSON, format::SENML_ETCH_CBOR]),
    ("lwm2m_cbor", &[format::LWM2M_CBOR]),
];
