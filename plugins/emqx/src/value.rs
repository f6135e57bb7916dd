//! Values of commands as TLV, as EMQX writes them: the bytes of each, and the entries around them. What is refused here
//! EMQX drops.

use crate::json;
use crate::number;
use crate::tlv::{self, EntryKind};

/// One element of a batch: its path below the base, and its bytes.
#[derive(Debug)]
pub(crate) struct Element {
    path: Vec<u16>,
    bytes: Vec<u8>,
}

impl Element {
    pub(crate) fn parse(path: &str, bytes: Vec<u8>) -> Result<Self, String> {
        let trimmed = path.trim_matches('/');
        let ids = trimmed.split('/').filter(|segment| !segment.is_empty());
        let path: Option<Vec<u16>> = ids.map(|id| id.parse().ok()).collect();
        let path = path.ok_or_else(|| format!("{trimmed:?} in data.content is not a path of numbers"))?;
        Ok(Self { path, bytes })
    }
}

/// The bytes of a value of a type, given as JSON.
pub(crate) fn encode(kind: &str, given: &str) -> Result<Vec<u8>, String> {
    let text: Option<String> = serde_json::from_str(given).ok();
    match (kind, text) {
        ("Integer" | "Time" | "Float", None) if is_number(given) => {
            numeric(given).or_else(|| {
                // JSON allows forms that the text grammar does not, such as 1e3.
                let number: f64 = given.parse().ok()?;
                number.is_finite().then(|| number.to_be_bytes().to_vec())
            })
        }
        ("String", None) => text_of_other(given),
        (_, Some(text)) => encode_text(kind, &text),
        (_, None) => None,
    }
    .ok_or_else(|| format!("{given} is not a value of type {kind}"))
}

/// The bytes of a value of a type, given as text in bytes.
pub(crate) fn encode_bytes(kind: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    if kind == "String" {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| encode_text(kind, text))
        .ok_or_else(|| format!("the hexadecimal digits are not a value of type {kind}"))
}

fn encode_text(kind: &str, text: &str) -> Option<Vec<u8>> {
    match kind {
        "String" => Some(text.as_bytes().to_vec()),
        "Integer" | "Time" | "Float" => numeric(text),
        "Boolean" => match text {
            "true" => Some(vec![1]),
            "false" => Some(vec![0]),
            _ => None,
        },
        "Opaque" => json::from_padded_base64(text),
        "Objlnk" => {
            let (object, instance) = text.split_once(':')?;
            let (object, instance): (u16, u16) = (object.parse().ok()?, instance.parse().ok()?);
            Some([object.to_be_bytes(), instance.to_be_bytes()].concat())
        }
        _ => None,
    }
}

/// The three types of numbers are one: integers are as short as can be, unsigned from zero on, and what has a fraction is a
/// float of eight bytes.
fn numeric(text: &str) -> Option<Vec<u8>> {
    if number::is_integer(text) {
        return Some(number::to_emqx_bytes(text));
    }
    number::parse_float(text).map(|number| number.to_be_bytes().to_vec())
}

fn is_number(given: &str) -> bool {
    given.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// What EMQX makes of a String that is none (section 3.6).
fn text_of_other(given: &str) -> Option<Vec<u8>> {
    match given {
        "true" => Some(vec![1]),
        "false" => Some(vec![0]),
        _ if number::is_integer(given) => {
            let bytes = number::to_emqx_bytes(given);
            let is_negative = given.starts_with('-') && bytes != [0];
            let length = match given.parse::<i64>().map(i64::unsigned_abs) {
                Ok(0..=127) => 1,
                Ok(128..=32_767) => 2,
                _ => 3,
            };
            let mut extended = vec![if is_negative { 0xff } else { 0 }; length];
            extended.extend_from_slice(&bytes);
            Some(extended.split_off(extended.len() - length))
        }
        _ if is_number(given) => {
            let number = given.parse::<f64>().ok()? as f32;
            number.is_finite().then(|| number.to_be_bytes().to_vec())
        }
        _ => None,
    }
}

/// The payload of a write of one value.
pub(crate) fn single(path: &[u16], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len() + 6);
    match *path {
        [_, _, resource] => tlv::write(&mut out, EntryKind::Resource, resource, bytes),
        [first, second] => {
            let mut below = Vec::new();
            tlv::write(&mut below, EntryKind::ResourceInstance, second, bytes);
            tlv::write(&mut out, EntryKind::MultipleResource, first, &below);
        }
        _ => return Err("data.path does not name a resource".to_owned()),
    }
    Ok(out)
}

/// The payload of a write of several values below an instance or a resource.
pub(crate) fn batch(base: &[u16], elements: &[Element]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    match (base, elements) {
        ([_, _], _) => {
            resources(elements.iter().map(|of| (of.path.as_slice(), of.bytes.as_slice())))?.write(&mut out)
        }
        // One element that names no instance; one that does EMQX writes as if it did not, to a single resource.
        ([_, _, resource], [one]) if one.path.len() != 1 => {
            tlv::write(&mut out, EntryKind::Resource, *resource, &one.bytes)
        }
        ([_, _, resource], _) => {
            let mut instances = Ordered::default();
            for element in elements {
                let [instance] = element.path.as_slice() else {
                    return Err(format!("{:?} in data.content is not a resource instance", element.path));
                };
                instances.put(*instance, Node::Value(&element.bytes));
            }
            let mut below = Vec::new();
            instances.write_as(&mut below, EntryKind::ResourceInstance);
            tlv::write(&mut out, EntryKind::MultipleResource, *resource, &below);
        }
        _ => return Err("data.basePath names neither an object instance nor a resource".to_owned()),
    }
    Ok(out)
}

/// The payload of a create: instances below an object, which EMQX also takes the root for, or the resources of an instance.
pub(crate) fn create(base: &[u16], elements: &[Element]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    if elements.is_empty() {
        return Ok(out);
    }
    if let [_, _] = base {
        return batch(base, elements);
    }
    let ([_] | []) = base else {
        return Err("data.basePath names neither an object nor an object instance".to_owned());
    };
    let mut order: Vec<u16> = Vec::new();
    for element in elements {
        let [instance, _, ..] = element.path.as_slice() else {
            return Err(format!("{:?} in data.content is not instance/resource", element.path));
        };
        order.retain(|other| other != instance);
        order.push(*instance);
    }
    for instance in order {
        let of = elements.iter().filter(|element| element.path.first() == Some(&instance));
        let mut below = Vec::new();
        resources(of.map(|element| (&element.path[1..], element.bytes.as_slice())))?.write(&mut below);
        tlv::write(&mut out, EntryKind::ObjectInstance, instance, &below);
    }
    Ok(out)
}

/// Entries by id: one that is written again moves to the end.
#[derive(Default)]
struct Ordered<'a> {
    entries: Vec<(u16, Node<'a>)>,
}

enum Node<'a> {
    Value(&'a [u8]),
    Instances(Ordered<'a>),
}

impl<'a> Ordered<'a> {
    fn take(&mut self, id: u16) -> Option<Node<'a>> {
        let at = self.entries.iter().position(|(other, _)| *other == id)?;
        Some(self.entries.remove(at).1)
    }

    fn put(&mut self, id: u16, node: Node<'a>) {
        self.take(id);
        self.entries.push((id, node));
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.write_as(out, EntryKind::Resource);
    }

    fn write_as(&self, out: &mut Vec<u8>, kind: EntryKind) {
        for (id, node) in &self.entries {
            match node {
                Node::Value(bytes) => tlv::write(out, kind, *id, bytes),
                Node::Instances(instances) => {
                    let mut below = Vec::new();
                    instances.write_as(&mut below, EntryKind::ResourceInstance);
                    tlv::write(out, EntryKind::MultipleResource, *id, &below);
                }
            }
        }
    }
}

fn resources<'a>(elements: impl Iterator<Item = (&'a [u16], &'a [u8])>) -> Result<Ordered<'a>, String> {
    let mut entries = Ordered::default();
    for (path, bytes) in elements {
        match *path {
            [resource] => entries.put(resource, Node::Value(bytes)),
            [resource, instance] => {
                let mut instances = match entries.take(resource) {
                    Some(Node::Instances(instances)) => instances,
                    _ => Ordered::default(),
                };
                instances.put(instance, Node::Value(bytes));
                entries.put(resource, Node::Instances(instances));
            }
            _ => {
                return Err(format!(
                    "{path:?} in data.content is neither a resource nor a resource instance"
                ));
            }
        }
    }
    Ok(entries)
}

/// The bytes of hexadecimal digits; an odd number has a zero in front.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    let digits: Option<Vec<u8>> =
        padded.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
