//! The contract's JSON, as short as cases are written: paths as text, bytes readable, defaults left out.

use serde_json::{Map, Value, json};

use crate::bytes::{Bytes, of_list, to_hex};

/// A message.
pub(crate) fn publish(of: &Value, alike: Option<&Bytes>) -> Value {
    let bytes = of_list(&of["payload"]);
    let payload = alike.map_or_else(|| Bytes::natural(&bytes), |alike| alike.alike(&bytes));
    let mut short = Map::new();
    short.insert("topic".to_owned(), of["topic"].clone());
    let qos = ["AtMostOnce", "AtLeastOnce", "ExactlyOnce"].iter().position(|name| of["qos"] == *name);
    put(&mut short, "qos", json!(qos), |qos| *qos == 0);
    put(&mut short, "retain", of["retain"].clone(), |retain| *retain == false);
    put(&mut short, "properties", properties(&of["properties"]), is_empty);
    let (key, value) = payload.written();
    short.insert(key.to_owned(), value);
    Value::Object(short)
}

fn properties(of: &Value) -> Value {
    let mut short = Map::new();
    for key in ["response_topic", "expiry", "content_type", "user"] {
        put(&mut short, key, of[key].clone(), is_empty);
    }
    if !of["correlation"].is_null() {
        let (key, value) = Bytes::natural(&of_list(&of["correlation"])).written();
        short.insert("correlation".to_owned(), json!({ key: value }));
    }
    Value::Object(short)
}

/// A request.
pub(crate) fn perform(of: &Value) -> Value {
    let mut short = Map::new();
    let recipient = |of: &Value| match of {
        Value::Object(variant) => {
            let (name, value) =
                variant.iter().next().map_or(("", &Value::Null), |(name, value)| (name, value));
            json!({ snake(name): value })
        }
        other => other.clone(),
    };
    match of["recipients"].as_array().map(Vec::as_slice) {
        Some([one]) => {
            if let Value::Object(one) = recipient(one) {
                short.extend(one);
            }
        }
        Some(several) => {
            short.insert("recipients".to_owned(), several.iter().map(recipient).collect());
        }
        None => {}
    }
    short.insert("operation".to_owned(), operation(&of["operation"]));
    put(&mut short, "context", of["context"].clone(), |context| *context == "");
    put(&mut short, "expiry", of["expiry"].clone(), is_empty);
    put(&mut short, "urgent", of["urgent"].clone(), |urgent| *urgent == false);
    put(&mut short, "attributes", of["attributes"].clone(), is_empty);
    Value::Object(short)
}

fn operation(of: &Value) -> Value {
    let Some((name, fields)) = of.as_object().and_then(|variant| variant.iter().next()) else {
        return of.clone();
    };
    let mut short = Map::new();
    for (key, value) in fields.as_object().into_iter().flatten() {
        match key.as_str() {
            "path" => put(&mut short, key, path(value), |_| false),
            "paths" => {
                put(&mut short, key, value.as_array().into_iter().flatten().map(path).collect(), |_| false)
            }
            "mode" => put(&mut short, key, json!(snake(value.as_str().unwrap_or_default())), |mode| {
                *mode == "replace" || *mode == "active"
            }),
            "body" => body(&mut short, value),
            "values" => {
                put(&mut short, key, value.as_array().into_iter().flatten().map(pair).collect(), |_| false)
            }
            _ => put(&mut short, key, value.clone(), is_empty),
        }
    }
    json!({ snake(name): short })
}

fn body(short: &mut Map<String, Value>, of: &Value) {
    if let Some(samples) = of.get("Samples").and_then(Value::as_array) {
        short.insert("samples".to_owned(), samples.iter().map(sample).collect());
        return;
    }
    let encoded = &of["Encoded"];
    put(short, "format", encoded["format"].clone(), is_empty);
    let (key, value) = Bytes::natural(&of_list(&encoded["payload"])).written();
    short.insert("payload".to_owned(), json!({ key: value }));
}

/// A name without a value stands alone.
fn pair(of: &Value) -> Value {
    if of[1].is_null() { json!([of[0]]) } else { of.clone() }
}

fn sample(of: &Value) -> Value {
    let mut short = Map::new();
    short.insert("path".to_owned(), path(&of["path"]));
    let (key, value) = match &of["value"] {
        Value::Object(variant) => {
            let (name, value) =
                variant.iter().next().map_or(("", &Value::Null), |(name, value)| (name, value));
            match name {
                "Opaque" => ("hex".to_owned(), json!(to_hex(&of_list(value)))),
                "ObjectLink" => {
                    let link = format!("{}:{}", value["object"], value["object_instance"]);
                    ("object_link".to_owned(), json!(link))
                }
                _ => (snake(name), value.clone()),
            }
        }
        _ => ("null".to_owned(), json!(true)),
    };
    short.insert(key, value);
    put(&mut short, "kind", of["kind"].as_str().map_or(Value::Null, |kind| json!(snake(kind))), is_empty);
    put(&mut short, "taken", of["taken"].clone(), is_empty);
    Value::Object(short)
}

/// A path as text.
pub(crate) fn path(of: &Value) -> Value {
    let ids = ["object", "object_instance", "resource", "resource_instance"].map(|level| &of[level]);
    let text: String = ids.iter().take_while(|id| !id.is_null()).map(|id| format!("/{id}")).collect();
    json!(if text.is_empty() { "/" } else { &text })
}

fn put(short: &mut Map<String, Value>, key: &str, value: Value, is_default: impl FnOnce(&Value) -> bool) {
    if !value.is_null() && !is_default(&value) {
        short.insert(key.to_owned(), value);
    }
}

fn is_empty(of: &Value) -> bool {
    match of {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `ReadComposite` → `read_composite`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

/// `read_composite`, if it is among `known`, or with `-`, → `ReadComposite`.
pub(crate) fn camel_of(name: &str, known: &[&str]) -> Option<String> {
    let name = name.replace('-', "_");
    let is_known = known.contains(&name.as_str());
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    is_known.then(|| words.collect())
}
