//! The paths that a composite read or observation is for: a pack of names without values (RFC 8790 section 3.1; core
//! 1.2.1 section 6.3.9).

use std::borrow::Cow;

use super::super::cbor::Writer;
use super::super::{Error, SENML_CBOR, SENML_ETCH_CBOR, SENML_ETCH_JSON, SENML_JSON};
use crate::lwm2m::path::Path;

/// The pack that names these paths, each below `prefix`, the client's alternate path.
pub(in super::super) fn encode(format: u16, prefix: &str, paths: &[Path]) -> Result<Vec<u8>, Error> {
    let prefix = prefix.trim_end_matches('/');
    match format {
        SENML_JSON | SENML_ETCH_JSON => Ok(json(prefix, paths)),
        SENML_CBOR | SENML_ETCH_CBOR => Ok(cbor(prefix, paths)),
        format => Err(Error::Unsupported { format }),
    }
}

fn json(prefix: &str, paths: &[Path]) -> Vec<u8> {
    let record = |path: &Path| format!("{{\"n\":{}}}", serde_json::Value::from(&*name(prefix, *path)));
    format!("[{}]", paths.iter().map(record).collect::<Vec<_>>().join(",")).into_bytes()
}

fn cbor(prefix: &str, paths: &[Path]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(paths.len());
    for path in paths {
        writer.map(1);
        writer.integer(NAME);
        writer.text(&name(prefix, *path));
    }
    writer.into_bytes()
}

/// The whole path, as names in a composite are.
fn name(prefix: &str, path: Path) -> Cow<'_, str> {
    if path.depth() == 0 && !prefix.is_empty() {
        return Cow::Borrowed(prefix);
    }
    Cow::Owned(format!("{prefix}{path}"))
}

/// The label of `n` (RFC 8428 table 4).
const NAME: i64 = 0;
