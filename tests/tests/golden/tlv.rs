//! The `tlv` cases: the gateway's own codec reads and writes the bytes. It has no tree, but samples with paths; the
//! tree is that of the paths.

use anyhow::{Result, bail};
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Sample, Value};

use crate::case::{Case, Entry, bytes};
use crate::deviations::{self, Way};

/// Decode, compare the tree, encode again, compare the bytes. A deviation of the case has the bytes instead, and
/// then entries without values are none.
pub(crate) fn check(case: &Case) -> Result<()> {
    let recoded = match deviations::of(&case.name).map(|deviation| &deviation.way) {
        Some(Way::Recoded(hex)) => Some(*hex),
        _ => None,
    };
    let given = bytes(case.given.tlv_hex.as_deref().unwrap_or_default())?;
    let root = match case.expect.tree.first().map(|entry| entry.level.as_str()) {
        Some("object_instance") => Path::root().child(OBJECT),
        _ => Path::root().child(OBJECT).and_then(|object| object.child(0)),
    };
    let Some(root) = root else { bail!("no path") };
    let samples = format::decode(Some(TLV), root, &given, &())?;
    let tree = tree(&samples, root.depth());
    let encoded = format::encode(TLV, root, &samples, &())?;
    let follows = tree == case.expect.tree
        && encoded == bytes(case.expect.reencoded_hex.as_deref().unwrap_or_default())?;
    match recoded {
        None if follows => Ok(()),
        Some(_) if follows => bail!("follows the case; the deviation is stale"),
        Some(hex) if tree == with_values(&case.expect.tree) && encoded == bytes(hex)? => Ok(()),
        _ => bail!("decoded {tree:?}, encoded {encoded:02x?}"),
    }
}

/// The samples, all below one path of that depth, by their ids from there on.
fn tree(samples: &[Sample<'_>], depth: usize) -> Vec<Entry> {
    let id = |sample: &Sample<'_>| sample.path.ids().get(depth).copied();
    let same = samples.chunk_by(|one, other| id(one) == id(other));
    same.filter_map(|samples| {
        let ends = samples[0].path.depth() == depth + 1;
        let level = match (depth, ends) {
            (1, _) => "object_instance",
            (2, true) => "resource",
            (2, false) => "multiple_resource",
            _ => "resource_instance",
        };
        Some(Entry {
            level: level.to_owned(),
            id: id(&samples[0])?,
            value_hex: ends.then(|| hex(&samples[0].value)),
            children: if ends { Vec::new() } else { tree(samples, depth + 1) },
        })
    })
    .collect()
}

fn with_values(tree: &[Entry]) -> Vec<Entry> {
    let pruned = tree.iter().map(|entry| Entry { children: with_values(&entry.children), ..entry.clone() });
    pruned.filter(|entry| entry.value_hex.is_some() || !entry.children.is_empty()).collect()
}

fn hex(value: &Value<'_>) -> String {
    match value {
        Value::Opaque(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => format!("{other:?}"),
    }
}

const OBJECT: u16 = 3;
const TLV: u16 = 11_542;
