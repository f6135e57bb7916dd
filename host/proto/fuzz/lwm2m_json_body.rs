//! What the fuzz target `lwm2m_json` checks; `tests/lwm2m_formats_vectors.rs` runs the same on its corpus and on
//! mutations of it.
//!
//! The first byte of the input chooses how many levels the request path has; the rest is the payload.

use std::sync::LazyLock;

use tidegate_proto::lwm2m::format::{self, Definitions, LWM2M_JSON};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Kind, Sample, Value};

/// Panics if one of the promises of LwM2M JSON does not hold for the input. Says whether it could be read.
pub(crate) fn run(input: &[u8]) -> bool {
    let [depth, payload @ ..] = input else {
        return false;
    };
    let path = REQUEST.truncated(usize::from(depth % 5));
    check(path, payload, &());
    check(path, payload, &*MODELS)
}

/// What is read is bounded, and if it can be written again it reads the same.
fn check(path: Path, payload: &[u8], definitions: &dyn Definitions) -> bool {
    let Ok(samples) = format::decode(Some(LWM2M_JSON), path, payload, definitions) else {
        return false;
    };
    assert!(samples.len() <= format::MAX_SAMPLES);
    let Ok(written) = format::encode(LWM2M_JSON, path, &samples, definitions) else {
        return true;
    };
    let again =
        format::decode(Some(LWM2M_JSON), path, &written, definitions).expect("what is written can be read");
    assert_eq!(samples.len(), again.len());
    for (one, other) in samples.iter().zip(&again) {
        assert_eq!((one.path, one.kind), (other.path, other.kind));
        // A number or a boolean where bytes are defined becomes a text, and any text there may be base64.
        if !is_text_for_bytes(one) {
            assert_eq!(one.value, other.value);
        }
    }
    true
}

fn is_text_for_bytes(sample: &Sample<'_>) -> bool {
    sample.kind == Some(Kind::Opaque) && matches!(sample.value, Value::Text(_))
}

static MODELS: LazyLock<Models> = LazyLock::new(Models::built_in);

const REQUEST: Path = Path::new([3, 0, 6, 1]);
