//! TLV (section 2.5.2 of the specification): the payload's structure gives the paths; the samples, one for each leaf in
//! its order, say what the gateway's definitions are.

use tidegate_sdk::Kind;

use super::item::Items;
use super::{Asked, Undecodable, segments};
use crate::json;
use crate::number;
use crate::tlv::{Body, Entry, EntryKind, parse};

/// Writes an item for each leaf. In `fixed`, what EMQX has no path for has that of its sample.
pub(super) fn write(items: &mut Items<'_>, asked: &Asked<'_>) -> Result<(), Undecodable> {
    let written = structured(items, asked);
    if written.is_ok() || asked.is_strict() {
        return written;
    }
    items.clear();
    match &asked.content.problem {
        Some(problem) => Err(Undecodable(problem.clone())),
        None => {
            items.samples(asked.content);
            Ok(())
        }
    }
}

fn structured(items: &mut Items<'_>, asked: &Asked<'_>) -> Result<(), Undecodable> {
    let entries = parse(&asked.content.payload).ok_or_else(|| Undecodable("not a TLV".to_owned()))?;
    let misplaced = || Undecodable(format!("the TLV does not fit the path {:?}", asked.path));
    let segments: Vec<&str> = segments(asked.path).collect();
    let mut leaves =
        Leaves { items, asked, object: segments[0], defined: asked.content.samples.iter().map(|it| it.kind) };
    match (entries.as_slice(), segments.as_slice()) {
        (
            [Entry { kind: EntryKind::Resource, id, body: Body::Value(value) }],
            [object, instance, rest @ ..],
        ) => match rest {
            [] => leaves.leaf(&format!("/{object}/{instance}/{id}"), *id, value),
            [resource] => leaves.leaf(&format!("/{object}/{instance}/{resource}"), *id, value),
            _ => Err(misplaced()),
        },
        (
            [Entry { kind: EntryKind::Resource | EntryKind::MultipleResource, .. }, ..],
            [object, instance] | [object, instance, _],
        ) => leaves.resources(&format!("/{object}/{instance}"), &entries),
        ([Entry { kind: EntryKind::ObjectInstance, id, body: Body::Entries(below) }], segments) => {
            let base = match segments {
                [object] => format!("/{object}/{id}"),
                [object, instance] | [object, instance, _] => format!("/{object}/{instance}"),
                _ => return Err(misplaced()),
            };
            leaves.resources(&base, below)
        }
        ([Entry { kind: EntryKind::ObjectInstance, .. }, ..], [object, ..]) => {
            // Without a slash in front: so it is in EMQX, and so it is consumed.
            let slash = if asked.is_strict() { "" } else { "/" };
            for entry in &entries {
                let Entry { kind: EntryKind::ObjectInstance, id, body: Body::Entries(below) } = entry else {
                    return Err(misplaced());
                };
                leaves.resources(&format!("{slash}{object}/{id}"), below)?;
            }
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

/// Writes leaf after leaf.
struct Leaves<'i, 'o, 'a, I> {
    items: &'i mut Items<'o>,
    asked: &'a Asked<'a>,
    /// The first segment of the request path: all types are of this object.
    object: &'a str,
    /// What the gateway's definitions ask for, leaf by leaf.
    defined: I,
}

impl<I: Iterator<Item = Option<Kind>>> Leaves<'_, '_, '_, I> {
    fn resources(&mut self, base: &str, entries: &[Entry<'_>]) -> Result<(), Undecodable> {
        for entry in entries {
            match (entry.kind, &entry.body) {
                (EntryKind::Resource, Body::Value(value)) => {
                    self.leaf(&format!("{base}/{}", entry.id), entry.id, value)?;
                }
                (EntryKind::MultipleResource, Body::Entries(instances)) => {
                    for instance in instances {
                        if let Body::Value(value) = &instance.body {
                            self.leaf(&format!("{base}/{}/{}", entry.id, instance.id), entry.id, value)?;
                        }
                    }
                }
                _ => return Err(Undecodable("the TLV mixes levels".to_owned())),
            }
        }
        Ok(())
    }

    fn leaf(&mut self, path: &str, resource: u16, bytes: &[u8]) -> Result<(), Undecodable> {
        let kind = self.asked.kind(self.object, resource, self.defined.next().flatten());
        if self.value(path, kind, bytes) {
            return Ok(());
        }
        if self.asked.is_strict() {
            return Err(Undecodable(format!("{path} is not the value that its definition asks for")));
        }
        self.items.opaque(path, bytes);
        Ok(())
    }

    /// Writes the value, if the bytes are one of this type.
    fn value(&mut self, path: &str, kind: Option<Kind>, bytes: &[u8]) -> bool {
        let items = &mut *self.items;
        match kind {
            Some(Kind::Text) => items.item(path, |out| json::lossy(out, bytes)),
            Some(Kind::Integer) => items.text(path, &number::to_decimal(bytes, true)),
            Some(Kind::Time) => items.text(path, &number::to_decimal(bytes, false)),
            Some(Kind::Float) => match float(bytes).filter(|number| number.is_finite()) {
                Some(number) => items.item(path, |out| json::float(out, number)),
                None => return false,
            },
            Some(Kind::Boolean) => match bytes {
                [0] => items.text(path, "false"),
                [1] => items.text(path, "true"),
                _ => return false,
            },
            Some(Kind::Opaque) => items.item(path, |out| json::base64(out, bytes)),
            Some(Kind::ObjectLink) => {
                let [a, b, c, d] = *bytes else { return false };
                let (object, instance) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                items.text(path, &format!("\"{object}:{instance}\""));
            }
            _ if self.asked.is_strict() => return false,
            Some(Kind::Unsigned) => items.text(path, &number::to_decimal(bytes, false)),
            Some(Kind::CoreLink) => items.item(path, |out| json::lossy(out, bytes)),
            Some(Kind::Executable) | None => return false,
        }
        true
    }
}

fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => Some(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        8 => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}
