//! What the fuzz target `lwm2m_formats` checks; `tests/lwm2m_formats.rs` runs the same on mutated samples of real
//! traffic.
//!
//! The first byte of the input chooses the format, the second how many levels the request path has; the rest is the
//! payload.

use std::sync::LazyLock;

use tidegate_proto::lwm2m::format::{self, Definitions, link};
use tidegate_proto::lwm2m::model::{Definition, Models};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Sample;

/// Panics if one of the promises of the formats does not hold for the input.
pub fn run(input: &[u8]) {
    let [choice, depth, payload @ ..] = input else {
        return;
    };
    let path = REQUEST.truncated(usize::from(depth % 5));
    match FORMATS.get(usize::from(*choice) % (FORMATS.len() + 1)) {
        Some(&number) => {
            check(number, path, payload, &());
            check(number, path, payload, &*MODELS);
        }
        None => check_text(payload),
    }
}

/// What is read is bounded, and if it can be written again it reads the same.
fn check(number: u16, path: Path, payload: &[u8], definitions: &dyn Definitions) {
    let Ok(samples) = format::decode(Some(number), path, payload, definitions) else {
        return;
    };
    assert!(samples.len() <= format::MAX_SAMPLES);
    let Ok(written) = format::encode(number, path, &samples, definitions) else {
        return;
    };
    let again =
        format::decode(Some(number), path, &written, definitions).expect("what is written can be read");
    // TLV may name another resource than the request, and the type is that of the former; in text, bytes that are not
    // UTF-8 become base64. Nothing else changes a value.
    let keeps_values = match number {
        format::TLV => definitions.kind(3, 9).is_none(),
        format::TEXT => std::str::from_utf8(payload).is_ok(),
        _ => true,
    };
    assert_eq!(essence(&samples, keeps_values), essence(&again, keeps_values));
}

/// Paths and values in order of the paths. A value stands as its debug text, in which NaN equals itself.
fn essence(samples: &[Sample<'_>], with_values: bool) -> Vec<(Path, String)> {
    let value = |sample: &Sample<'_>| if with_values { format!("{:?}", sample.value) } else { String::new() };
    let mut essence: Vec<_> = samples.iter().map(|sample| (sample.path, value(sample))).collect();
    essence.sort_by_key(|(path, _)| *path);
    essence
}

/// The syntaxes that are no content formats.
fn check_text(payload: &[u8]) {
    if let Ok(links) = link::parse(payload) {
        let written: Vec<_> = links.iter().map(ToString::to_string).collect();
        assert_eq!(link::parse(written.join(",").as_bytes()).as_ref(), Ok(&links));
    }
    if let Ok(text) = std::str::from_utf8(payload) {
        let _ = Definition::from_xml("fuzz.xml", text);
        if let Ok(path) = text.parse::<Path>() {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}

static MODELS: LazyLock<Models> = LazyLock::new(Models::built_in);

const REQUEST: Path = Path::new([3, 0, 9, 1]);

const FORMATS: &[u16] = &[format::TEXT, format::OPAQUE, format::TLV, format::SENML_JSON];
