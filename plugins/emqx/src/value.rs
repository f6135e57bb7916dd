//! Values of commands as TLV: the bytes of each, and the entries around them.

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
pub(crate) fn encode(kind: &str, given: &str, is_strict: bool) -> Result<Vec<u8>, String> {
    let text: Option<String> = serde_json::from_str(given).ok();
    match (kind, text) {
        ("Boolean", None) if !is_strict && matches!(given, "true" | "false") => {
            Ok(vec![u8::from(given == "true")])
        }
        ("Integer" | "Time" | "Float", None) if is_number(given) => numeric(kind, given, is_strict, true),
        ("String", None) if is_strict => text_of_other(given),
        (_, Some(text)) => encode_text(kind, &text, is_strict),
        (_, None) => Err(format!("{given} is not a value of type {kind}")),
    }
}

/// The bytes of a value of a type, given as text in bytes.
pub(crate) fn encode_bytes(kind: &str, bytes: &[u8], is_strict: bool) -> Result<Vec<u8>, String> {
    if kind == "String" {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| format!("the hexadecimal digits are no text of type {kind}"))?;
    encode_text(kind, text, is_strict)
}

fn encode_text(kind: &str, text: &str, is_strict: bool) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not a value of type {kind}");
    match kind {
        "String" => Ok(text.as_bytes().to_vec()),
        "Integer" | "Time" | "Float" => numeric(kind, text, is_strict, false),
        "Boolean" => match text {
            "true" => Ok(vec![1]),
            "false" => Ok(vec![0]),
            _ => Err(wrong()),
        },
        "Opaque" => json::from_base64(text).ok_or_else(|| format!("{text:?} is not base64")),
        "Objlnk" => {
            let (object, instance) = text.split_once(':').ok_or_else(wrong)?;
            let object: u16 = object.parse().map_err(|_| wrong())?;
            let instance: u16 = instance.parse().map_err(|_| wrong())?;
            Ok([object.to_be_bytes(), instance.to_be_bytes()].concat())
        }
        _ => Err(format!("{kind:?} is not one of String, Integer, Float, Boolean, Opaque, Time, Objlnk")),
    }
}

/// `strict`: the three types are one, and integers are as short as can be, unsigned from zero on. `fixed`: each type as the
/// standard has it.
fn numeric(kind: &str, text: &str, is_strict: bool, is_json: bool) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text} is not a value of type {kind}");
    let float = || match number::parse_float(text) {
        Some(number) => Some(number),
        // JSON allows forms that the text grammar does not, such as 1e3.
        None if is_json => text.parse().ok().filter(|number: &f64| number.is_finite()),
        None => None,
    };
    if number::is_integer(text) {
        if is_strict {
            return Ok(number::to_emqx_bytes(text));
        }
        if kind != "Float" {
            return text
                .parse()
                .map(number::to_tlv_bytes)
                .map_err(|_| format!("{text} does not fit 64 bits"));
        }
        return text.parse().map(|number: f64| number.to_be_bytes().to_vec()).map_err(|_| wrong());
    }
    if !is_strict && kind != "Float" {
        return Err(wrong());
    }
    float().map(|number| number.to_be_bytes().to_vec()).ok_or_else(wrong)
}

fn is_number(given: &str) -> bool {
    given.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// What EMQX makes of a String that is none (section 3.6).
fn text_of_other(given: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{given} is not a value of type String");
    match given {
        "true" => Ok(vec![1]),
        "false" => Ok(vec![0]),
        _ if number::is_integer(given) => {
            let number: i64 = given.parse().map_err(|_| wrong())?;
            let length = match number.unsigned_abs() {
                0..=127 => 1,
                128..=32_767 => 2,
                _ => 3,
            };
            Ok(number.to_be_bytes()[8 - length..].to_vec())
        }
        _ if is_number(given) => {
            let number: f64 = given.parse().map_err(|_| wrong())?;
            Ok((number as f32).to_be_bytes().to_vec())
        }
        _ => Err(wrong()),
    }
}

/// The payload of a write of one value.
pub(crate) fn single(path: &[u16], bytes: &[u8], is_strict: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len() + 6);
    match *path {
        [_, _, resource] => tlv::write(&mut out, EntryKind::Resource, resource, bytes),
        [first, second] if is_strict => {
            let mut below = Vec::new();
            tlv::write(&mut below, EntryKind::ResourceInstance, second, bytes);
            tlv::write(&mut out, EntryKind::MultipleResource, first, &below);
        }
        [_, _, _, instance] if !is_strict => {
            tlv::write(&mut out, EntryKind::ResourceInstance, instance, bytes)
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
        ([_, _, resource], [one]) if one.path.is_empty() => {
            tlv::write(&mut out, EntryKind::Resource, *resource, &one.bytes)
        }
        // One element of a multiple resource, at its instance; EMQX writes it as if it had none.
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

/// The payload of a create: instances below an object, or the resources of an instance.
pub(crate) fn create(base: &[u16], elements: &[Element]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    if elements.is_empty() {
        return Ok(out);
    }
    if let [_, _] = base {
        return batch(base, elements);
    }
    let [_] = base else {
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
