//! A value in text (section 2.5.1 of the specification): its JSON type follows the text, not the definition.

use tidegate_sdk::{Kind, Value};

use super::item::{Items, number};
use super::{Asked, Undecodable, segments};
use crate::json;

/// Writes the one item.
pub(super) fn write(items: &mut Items<'_>, asked: &Asked<'_>) -> Result<(), Undecodable> {
    if asked.is_strict() {
        return strict(items, asked);
    }
    fixed(items, asked);
    Ok(())
}

fn strict(items: &mut Items<'_>, asked: &Asked<'_>) -> Result<(), Undecodable> {
    let wrong = |why: &str| Undecodable(why.to_owned());
    let segments: Vec<&str> = segments(asked.path).collect();
    let ([object, _, resource] | [object, _, resource, _]) = segments.as_slice() else {
        return Err(wrong("a text answers a path that is none of a resource"));
    };
    let resource = resource.parse().map_err(|_| wrong("the path has no number of a resource"))?;
    let payload = asked.content.payload.as_slice();
    let text = std::str::from_utf8(payload).ok();
    let defined = asked.content.samples.first().and_then(|sample| sample.kind);
    match asked.kind(object, resource, defined) {
        Some(Kind::Text | Kind::ObjectLink) => items.item(asked.path, |out| json::lossy(out, payload)),
        Some(Kind::Integer | Kind::Time | Kind::Float) => {
            let number = text.and_then(number).ok_or_else(|| wrong("the text is not a number"))?;
            items.text(asked.path, &number);
        }
        Some(Kind::Boolean) => match text {
            Some(text @ ("true" | "false")) => items.text(asked.path, text),
            _ => return Err(wrong("the text is neither true nor false")),
        },
        Some(Kind::Opaque) => items.item(asked.path, |out| json::base64(out, payload)),
        _ => return Err(wrong("the resource has no definition, or one of no value")),
    }
    Ok(())
}

/// What is no value of its definition stands as it came.
fn fixed(items: &mut Items<'_>, asked: &Asked<'_>) {
    let payload = asked.content.payload.as_slice();
    let sample = asked.content.samples.first();
    let kind = sample.and_then(|sample| sample.kind);
    let Ok(text) = std::str::from_utf8(payload) else {
        return match kind {
            Some(Kind::Text) => items.item(asked.path, |out| json::lossy(out, payload)),
            Some(Kind::Opaque) => items.item(asked.path, |out| json::base64(out, payload)),
            _ => items.opaque(asked.path, payload),
        };
    };
    let decimal = || {
        let float = || text.parse::<f64>().ok().filter(|float| float.is_finite() && !text.is_empty());
        number(text).or_else(|| {
            let mut out = Vec::new();
            json::float(&mut out, float()?);
            String::from_utf8(out).ok()
        })
    };
    let value = match kind {
        Some(Kind::Integer | Kind::Unsigned | Kind::Time | Kind::Float) => decimal(),
        Some(Kind::Boolean) => match text {
            "true" | "1" => Some("true".to_owned()),
            "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        Some(Kind::Opaque) => {
            // The text is base64 already (core 1.2.1, appendix C), which EMQX encodes once more.
            let bytes = match sample.map(|sample| &sample.value) {
                Some(Value::Opaque(bytes)) => bytes.as_slice(),
                _ => payload,
            };
            return items.item(asked.path, |out| json::base64(out, bytes));
        }
        Some(Kind::Executable) => None,
        Some(Kind::Text | Kind::ObjectLink | Kind::CoreLink) | None => {
            return items.item(asked.path, |out| json::string(out, text));
        }
    };
    match value {
        Some(value) => items.text(asked.path, &value),
        None => items.unfit(asked.path, text),
    }
}
