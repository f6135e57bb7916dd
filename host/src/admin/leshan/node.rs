//! Values in the shape of Leshan's nodes: objects, instances, resources, in both directions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use tidegate_proto::lwm2m::format::link;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Kind, ObjectLink, Sample, Value};

/// The node at a path, of values at or below it.
pub(super) fn of(path: Path, samples: &[&Sample<'_>]) -> Json {
    match path.depth() {
        0 => json!({ "kind": "root", "objects": children(path, samples) }),
        1 => json!({ "kind": "obj", "id": path.object(), "instances": children(path, samples) }),
        2 => json!({ "kind": "instance", "id": path.instance(), "resources": children(path, samples) }),
        3 => resource(path, samples),
        _ => samples.first().map_or(Json::Null, |sample| {
            json!({
                "kind": "resourceInstance",
                "id": path.resource_instance(),
                "type": type_of(sample),
                "value": value(&sample.value),
            })
        }),
    }
}

/// The nodes of a composite answer, by the paths that were asked for.
pub(super) fn composite(paths: &[Path], samples: &[&Sample<'_>]) -> Json {
    let node = |path: &Path| {
        let below: Vec<&Sample<'_>> =
            samples.iter().copied().filter(|sample| sample.path.starts_with(path)).collect();
        let node = if below.is_empty() { Json::Null } else { of(*path, &below) };
        (path.to_string(), node)
    };
    Json::Object(paths.iter().map(node).collect())
}

fn children(path: Path, samples: &[&Sample<'_>]) -> Json {
    let mut below: BTreeMap<Path, Vec<&Sample<'_>>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.path.depth() > path.depth()) {
        below.entry(sample.path.truncated(path.depth() + 1)).or_default().push(sample);
    }
    below.into_iter().map(|(path, samples)| of(path, &samples)).collect()
}

fn resource(path: Path, samples: &[&Sample<'_>]) -> Json {
    let instance = |sample: &&&Sample<'_>| sample.path.resource_instance().is_some();
    match samples.first() {
        Some(first) if first.path.resource_instance().is_some() => {
            let values = samples.iter().filter(instance).filter_map(|sample| {
                Some((sample.path.resource_instance()?.to_string(), value(&sample.value)))
            });
            let values: Map<String, Json> = values.collect();
            json!({ "kind": "multiResource", "id": path.resource(), "type": type_of(first), "values": values })
        }
        Some(first) => json!({
            "kind": "singleResource",
            "id": path.resource(),
            "type": type_of(first),
            "value": value(&first.value),
        }),
        None => json!({ "kind": "multiResource", "id": path.resource(), "type": "NONE", "values": {} }),
    }
}

fn type_of(sample: &Sample<'_>) -> &'static str {
    match sample.value {
        Value::Text(_) => "STRING",
        Value::Integer(_) => "INTEGER",
        Value::Unsigned(_) => "UNSIGNED_INTEGER",
        Value::Float(_) => "FLOAT",
        Value::Boolean(_) => "BOOLEAN",
        Value::Opaque(_) => "OPAQUE",
        Value::Time(_) => "TIME",
        Value::ObjectLink(_) => "OBJLNK",
        Value::CoreLink(_) => "CORELINK",
        Value::Null => "NONE",
    }
}

/// Numbers are texts, as JavaScript cannot hold all of them; bytes are hexadecimal; a time is in milliseconds.
fn value(of: &Value<'_>) -> Json {
    match of {
        Value::Text(text) | Value::CoreLink(text) => json!(text),
        Value::Integer(number) => json!(number.to_string()),
        Value::Unsigned(number) => json!(number.to_string()),
        Value::Float(number) => json!(format!("{number:?}")),
        Value::Boolean(flag) => json!(flag),
        Value::Opaque(bytes) => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Value::Time(seconds) => json!(seconds.saturating_mul(1000)),
        Value::ObjectLink(link) => json!({ "objectId": link.object, "objectInstanceId": link.instance }),
        Value::Null => Json::Null,
    }
}

/// The values of a node at a path. What `id` says of the last level is not asked for where the path has it.
pub(super) fn samples(path: Path, node: &Json) -> Result<Vec<Sample<'static>>, String> {
    let mut samples = Vec::new();
    collect(path, node, &mut samples)?;
    Ok(samples)
}

fn collect(path: Path, node: &Json, into: &mut Vec<Sample<'static>>) -> Result<(), String> {
    let list = |name: &str| node[name].as_array().ok_or_else(|| format!("`{name}` is no list"));
    let kind = node["kind"].as_str().unwrap_or_default();
    if kind == "obj" || node.get("instances").is_some() {
        for instance in list("instances")? {
            collect(child(path, instance)?, instance, into)?;
        }
    } else if kind == "instance" || node.get("resources").is_some() {
        for resource in list("resources")? {
            collect(child(path, resource)?, resource, into)?;
        }
    } else if kind == "multiResource" || node.get("values").is_some() {
        let values = node["values"].as_object().ok_or("`values` is no object")?;
        for (id, json) in values {
            let path = id.parse().ok().and_then(|id| path.child(id));
            let path = path.ok_or_else(|| format!("`{id}` is no resource instance"))?;
            into.push(sample(path, json, node)?);
        }
    } else if let Some(json) = node.get("value") {
        into.push(sample(path, json, node)?);
    } else {
        return Err("a node has `instances`, `resources`, `values` or `value`".to_owned());
    }
    Ok(())
}

fn child(path: Path, node: &Json) -> Result<Path, String> {
    id(node).and_then(|id| path.child(id)).ok_or_else(|| format!("Missing id below {path}"))
}

/// Tools write it as a text, too.
pub(super) fn id(node: &Json) -> Option<u16> {
    let id = &node["id"];
    id.as_u64().and_then(|id| u16::try_from(id).ok()).or_else(|| id.as_str()?.parse().ok())
}

fn sample(path: Path, json: &Json, node: &Json) -> Result<Sample<'static>, String> {
    let name = node["type"].as_str().unwrap_or_default().to_uppercase();
    let of = read(json, &name).ok_or_else(|| format!("{path}: `{json}` is no value of the type `{name}`"))?;
    let (value, kind) = of;
    Ok(Sample { path, value, kind: Some(kind), taken: None })
}

fn read(json: &Json, of: &str) -> Option<(Value<'static>, Kind)> {
    let text = json.as_str();
    Some(match of {
        "BOOLEAN" => (Value::Boolean(json.as_bool()?), Kind::Boolean),
        "STRING" => (Value::Text(Cow::Owned(text?.to_owned())), Kind::Text),
        "INTEGER" => (Value::Integer(json.as_i64().or_else(|| text?.parse().ok())?), Kind::Integer),
        "UNSIGNED_INTEGER" => {
            (Value::Unsigned(json.as_u64().or_else(|| text?.parse().ok())?), Kind::Unsigned)
        }
        "FLOAT" => {
            let number: f64 = json.as_f64().or_else(|| text?.parse().ok())?;
            (Value::Float(number).clone(), Kind::Float)
        }
        "TIME" => (Value::Time(json.as_i64()?.div_euclid(1000)), Kind::Time),
        "OPAQUE" => (Value::Opaque(Cow::Owned(bytes(text?)?)), Kind::Opaque),
        "OBJLNK" => {
            let id = |name: &str| json[name].as_u64().and_then(|id| u16::try_from(id).ok());
            let link = ObjectLink { object: id("objectId")?, instance: id("objectInstanceId")? };
            (Value::ObjectLink(link), Kind::ObjectLink)
        }
        "CORELINK" => {
            link::parse(text?.as_bytes()).ok()?;
            (Value::CoreLink(Cow::Owned(text?.to_owned())), Kind::CoreLink)
        }
        _ => return None,
    })
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let is_whole = hexadecimal.len().is_multiple_of(2) && hexadecimal.is_ascii();
    let pairs = is_whole.then(|| hexadecimal.as_bytes().chunks(2))?;
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &[u16], value: Value<'static>) -> Sample<'static> {
        Sample { path: Path::from_ids(path).unwrap(), value, kind: None, taken: None }
    }

    #[test]
    fn values_become_the_tree_that_leshan_shows() {
        let samples = [
            sample(&[3, 0, 0], Value::Text("ACME".into())),
            sample(&[3, 0, 7, 0], Value::Integer(5000)),
            sample(&[3, 0, 7, 1], Value::Integer(3300)),
            sample(&[3, 0, 13], Value::Time(60)),
        ];
        let samples: Vec<&Sample<'_>> = samples.iter().collect();
        let resources = json!([
            {"kind": "singleResource", "id": 0, "type": "STRING", "value": "ACME"},
            {"kind": "multiResource", "id": 7, "type": "INTEGER", "values": {"0": "5000", "1": "3300"}},
            {"kind": "singleResource", "id": 13, "type": "TIME", "value": 60000},
        ]);
        let instance = json!({"kind": "instance", "id": 0, "resources": resources});
        assert_eq!(of(Path::new([3, 0]), &samples), instance);
        assert_eq!(of(Path::new([3]), &samples), json!({"kind": "obj", "id": 3, "instances": [instance]}));
        let composite = composite(&[Path::new([3, 0, 0]), Path::new([4])], &samples);
        assert_eq!(composite, json!({"/3/0/0": resources[0], "/4": null}));
    }

    #[test]
    fn what_is_shown_reads_as_the_same_values() {
        let values = [
            Value::Text("a".into()),
            Value::Integer(-3),
            Value::Unsigned(u64::MAX),
            Value::Float(21.0),
            Value::Boolean(false),
            Value::Opaque(vec![0xca, 0xfe].into()),
            Value::Time(60),
            Value::ObjectLink(ObjectLink { object: 3, instance: 1 }),
            Value::CoreLink("</3>".into()),
        ];
        for of_value in values {
            let sample = sample(&[3303, 1, 5], of_value);
            let node = of(Path::new([3303, 1]), &[&sample]);
            let read = samples(Path::new([3303, 1]), &node).unwrap();
            assert_eq!((&read[0].path, &read[0].value), (&sample.path, &sample.value), "{node}");
        }
    }

    #[test]
    fn a_node_that_makes_no_sense_is_told() {
        for (node, text) in [
            (json!({}), "a node has"),
            (json!({"kind": "instance"}), "`resources` is no list"),
            (json!({"resources": [{"value": 1}]}), "Missing id"),
            (
                json!({"resources": [{"id": 1, "type": "INTEGER", "value": "x"}]}),
                "no value of the type `INTEGER`",
            ),
            (json!({"resources": [{"id": 1, "value": "x"}]}), "no value of the type ``"),
            (json!({"resources": [{"id": 1, "type": "opaque", "value": "0"}]}), "no value"),
            (json!({"values": {"x": 1}, "type": "INTEGER"}), "`x` is no resource instance"),
        ] {
            let error = samples(Path::new([3, 0]), &node).unwrap_err();
            assert!(error.contains(text), "{node}: {error}");
        }
        // As Zephyr's tests write it.
        let node = json!({"id": "5700", "kind": "singleResource", "type": "integer", "value": 7});
        assert_eq!(samples(Path::new([3303, 0, 5700]), &node).unwrap()[0].value, Value::Integer(7));
    }
}
