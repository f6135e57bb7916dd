//! The JSON of LwM2M 1.0 (section 2.5.3 of the specification). Values are passed on as they are written, so that no
//! number loses a digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::item::Items;
use super::{Asked, Undecodable};
use crate::json;

/// Writes an item for each element. In `strict` a time stamp hides the value, as in EMQX.
pub(super) fn write(items: &mut Items<'_>, asked: &Asked<'_>) -> Result<(), Undecodable> {
    let document: Object<'_> = serde_json::from_slice(&asked.content.payload)
        .map_err(|error| Undecodable(format!("not the JSON of LwM2M 1.0: {error}")))?;
    let base = text(&document, "bn")?;
    let elements: Vec<Object<'_>> = match document.get("e") {
        None => vec![],
        Some(elements) => serde_json::from_str(elements.get())
            .map_err(|_| Undecodable("\"e\" is not a list of objects".to_owned()))?,
    };
    let keys: &[&str] = if asked.is_strict() { &KEYS } else { &KEYS[1..] };
    for element in &elements {
        let name = text(element, "n")?;
        let path = format!("{}/{}", base.trim_end_matches('/'), name.trim_start_matches('/'));
        let value = keys.iter().find_map(|key| element.get(*key)).map_or("null", |value| value.get());
        items.text(&path, &json::compact(value));
    }
    Ok(())
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The text of this name, empty if there is none.
fn text(object: &Object<'_>, name: &str) -> Result<String, Undecodable> {
    match object.get(name) {
        None => Ok(String::new()),
        Some(text) => serde_json::from_str(text.get())
            .map_err(|_| Undecodable(format!("{name:?} is not a text: {}", text.get()))),
    }
}

/// The fields of a value, by precedence.
const KEYS: [&str; 5] = ["t", "v", "bv", "ov", "sv"];
