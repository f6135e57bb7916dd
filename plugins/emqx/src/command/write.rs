//! The operations that carry values: write and create. `strict` encodes as EMQX does, byte for byte; in `fixed` the gateway
//! encodes, in a format that the client takes.

use tidegate_sdk::{Body, Create, Encoded, Operation, Path, Sample, Write, WriteMode};

use super::Refusal;
use super::data::{Data, Target, id};
use crate::settings::Settings;
use crate::tlv::{self, EntryKind};
use crate::typed;
use crate::value::{self, Element};

/// A write of one value, or of several below a `basePath`.
pub(super) fn write(settings: &Settings, data: &Data<'_>, is_hex: bool) -> Result<Operation, Refusal> {
    let is_strict = settings.is_strict();
    let base = if is_strict { data.text("basePath") } else { data.text_or_null("basePath") }?;
    let path = if is_strict { data.text("path") } else { data.text_or_null("path") }?;
    if is_hex {
        check_hex(data)?;
    }
    let (target, body, mode) = match (base.as_deref(), path) {
        (None | Some("/"), Some(path)) => {
            let target = Target::parse(&path)?;
            let kind = data.required_text("type")?;
            let given = data.get("value").ok_or("data.value is missing")?;
            let body = if is_strict {
                encoded(value::single(&target.ids, &encode(&kind, given, is_hex)?)?)
            } else {
                single(&target, &kind, given, is_hex)?
            };
            (target, body, WriteMode::Replace)
        }
        (base, _) => {
            let target = Target::parse(base.unwrap_or("/"))?;
            let content = data
                .content()?
                .ok_or("data.content is missing, or there is no data.path with data.type and data.value")?;
            let body = if is_strict {
                encoded(value::batch(&target.ids, &elements(&content, is_hex)?)?)
            } else {
                batch(&target, &content, is_hex)?
            };
            let is_instance = target.ids.len() == 2;
            (target, body, if is_instance { WriteMode::Update } else { WriteMode::Replace })
        }
    };
    Ok(Operation::Write(Write { path: target.path(), queries: target.queries, mode, body }))
}

/// A create of one or more instances.
pub(super) fn create(settings: &Settings, data: &Data<'_>) -> Result<Operation, Refusal> {
    let content = data.content()?.ok_or("data.content is missing")?;
    if settings.is_strict() {
        let target = Target::parse(&data.text("basePath")?.unwrap_or_else(|| "/".to_owned()))?;
        let body = encoded(value::create(&target.ids, &elements(&content, false)?)?);
        return Ok(Operation::Create(Create { path: target.path(), queries: target.queries, body }));
    }
    let base =
        data.text_or_null("basePath")?.map_or_else(|| data.text_or_null("path"), |base| Ok(Some(base)));
    let Target { ids, queries } = Target::parse(&base?.ok_or("data.basePath is missing")?)?;
    let (object, body) = match *ids.as_slice() {
        // The client numbers the instance.
        [object] if content.is_empty() => (object, Body::Samples(vec![])),
        [object, instance] if content.is_empty() => {
            let mut empty = Vec::new();
            tlv::write(&mut empty, EntryKind::ObjectInstance, instance, &[]);
            (object, encoded(empty))
        }
        [object] | [object, _] => {
            let samples = samples(&ids, &content, false)?;
            if let Some(stray) = samples.iter().find(|sample| sample.path.resource.is_none()) {
                return Err(format!("{} in data.content is no resource", stray.path).into());
            }
            (object, Body::Samples(samples))
        }
        _ => return Err("data.basePath names neither an object nor an object instance".into()),
    };
    Ok(Operation::Create(Create { path: Path::new(&[object]), queries, body }))
}

/// EMQX looks at all values before it looks at anything else.
fn check_hex(data: &Data<'_>) -> Result<(), Refusal> {
    let content = data.content().ok().flatten().unwrap_or_default();
    let values = content.iter().chain([data]).filter_map(|of| of.get("value"));
    for given in values {
        if hex(given).is_none() {
            return Err(Refusal::answered(format!("{given} is not a text of hexadecimal digits")));
        }
    }
    Ok(())
}

fn hex(given: &str) -> Option<Vec<u8>> {
    value::from_hex(&serde_json::from_str::<String>(given).ok()?)
}

fn encoded(payload: Vec<u8>) -> Body {
    Body::Encoded(Encoded { format: Some(TLV), payload })
}

fn encode(kind: &str, given: &str, is_hex: bool) -> Result<Vec<u8>, Refusal> {
    match hex(given).filter(|_| is_hex) {
        Some(bytes) => value::encode_bytes(kind, &bytes),
        None => value::encode(kind, given),
    }
    .map_err(Refusal::from)
}

fn elements(content: &[Data<'_>], is_hex: bool) -> Result<Vec<Element>, Refusal> {
    let element = |(at, of): (usize, &Data<'_>)| {
        let (kind, given) = kind_and_value(at, of)?;
        let bytes = encode(&kind, given, is_hex)?;
        Ok(Element::parse(&of.text("path")?.unwrap_or_default(), bytes)?)
    };
    content.iter().enumerate().map(element).collect()
}

fn kind_and_value<'a>(at: usize, of: &Data<'a>) -> Result<(String, &'a str), Refusal> {
    let kind = of.text("type").map_err(|_| format!("data.content[{at}].type is not a text"))?;
    let kind = kind.ok_or_else(|| format!("data.content[{at}].type is missing"))?;
    let given = of.get("value").ok_or_else(|| format!("data.content[{at}].value is missing"))?;
    Ok((kind, given))
}

fn single(target: &Target, kind: &str, given: &str, is_hex: bool) -> Result<Body, Refusal> {
    if !matches!(target.ids.len(), 3 | 4) {
        return Err("data.path names neither a resource nor a resource instance".into());
    }
    Ok(Body::Samples(vec![sample(target.path(), Some(kind), given, is_hex)?]))
}

fn batch(target: &Target, content: &[Data<'_>], is_hex: bool) -> Result<Body, Refusal> {
    if !matches!(target.ids.len(), 2 | 3) {
        return Err("data.basePath names neither an object instance nor a resource".into());
    }
    let samples = samples(&target.ids, content, is_hex)?;
    if let Some(stray) = samples.iter().find(|sample| sample.path.resource.is_none()) {
        return Err(format!("{} in data.content is no resource", stray.path).into());
    }
    Ok(Body::Samples(samples))
}

/// The elements below a base, each path once: the last of it counts.
fn samples(base: &[u16], content: &[Data<'_>], is_hex: bool) -> Result<Vec<Sample>, Refusal> {
    let mut samples: Vec<Sample> = Vec::with_capacity(content.len());
    for (at, element) in content.iter().enumerate() {
        let (kind, given) = kind_and_value(at, element)?;
        let below = element.text("path").map_err(|_| format!("data.content[{at}].path is not a text"))?;
        let below = below.unwrap_or_default();
        let levels = below.trim_matches('/').split('/').filter(|level| !level.is_empty());
        let levels: Option<Vec<u16>> = levels.map(id).collect();
        let levels =
            levels.ok_or_else(|| format!("data.content[{at}].path is not one of numbers: {below:?}"))?;
        let ids = [base, &levels].concat();
        if ids.len() > 4 {
            return Err(format!("data.content[{at}].path {below:?} is too deep below its base").into());
        }
        let of = sample(Path::new(&ids), Some(&kind), given, is_hex)?;
        samples.retain(|other| !other.path.ids().eq(of.path.ids()));
        samples.push(of);
    }
    Ok(samples)
}

/// One value at its path.
pub(super) fn sample(path: Path, kind: Option<&str>, given: &str, is_hex: bool) -> Result<Sample, Refusal> {
    let (value, kind) = match hex(given).filter(|_| is_hex) {
        Some(bytes) => typed::of_bytes(kind, &bytes),
        None if is_hex => {
            return Err(Refusal::answered(format!("{given} is not a text of hexadecimal digits")));
        }
        None => typed::of_json(kind, given),
    }?;
    Ok(Sample { path, value, kind: Some(kind), taken: None })
}

const TLV: u16 = 11542;
