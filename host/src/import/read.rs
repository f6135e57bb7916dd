//! HOCON and JSON, and where in it the gateway is.

use std::collections::HashMap;
use std::path::Path;

use hocon::{HoconError, HoconValue, ScalarType};
use serde_json::{Map, Value};

use super::ImportError;

/// Reads a file and what it includes.
pub(super) fn file(file: &Path) -> Result<Map<String, Value>, ImportError> {
    let bytes =
        std::fs::read(file).map_err(|error| ImportError::Unreadable { file: file.to_owned(), error })?;
    let name = file.display().to_string();
    if bytes.starts_with(GZIP) {
        let problem =
            "is an archive, such as `emqx ctl data export` makes; unpack it and import its cluster.hocon";
        return Err(ImportError::Syntax { name, problem: problem.into() });
    }
    if let Err(error) = std::str::from_utf8(&bytes) {
        return Err(ImportError::Syntax { name, problem: format!("is not text: {error}") });
    }
    parsed(hocon::parse_file_with_env(file, &HashMap::new()), name)
}

/// Reads a text. What it includes is not found.
pub(super) fn text(text: &str, name: &str) -> Result<Map<String, Value>, ImportError> {
    parsed(hocon::parse_with_env(text, &HashMap::new()), name.to_owned())
}

fn parsed(
    outcome: Result<hocon::Config, HoconError>,
    name: String,
) -> Result<Map<String, Value>, ImportError> {
    let config = outcome.map_err(|error| ImportError::Syntax { name, problem: problem(&error) })?;
    let entries = config.keys().into_iter().map(str::to_owned).collect::<Vec<_>>();
    Ok(entries.into_iter().filter_map(|key| Some((key.clone(), value(config.get(&quoted(&key))?)))).collect())
}

/// A key as a path of one step, whatever is in it.
fn quoted(key: &str) -> String {
    Value::from(key).to_string()
}

fn problem(error: &HoconError) -> String {
    match error {
        HoconError::Parse(error) => format!("line {}: {}", error.line, error.message),
        HoconError::Resolve(error) => format!(
            "line {}: {}; write down what it stands for, the variables of EMQX's environment are not here",
            error.line, error.message
        ),
        other => other.to_string(),
    }
}

fn value(of: &HoconValue) -> Value {
    match of {
        HoconValue::Object(entries) => {
            Value::Object(entries.iter().map(|(key, below)| (key.clone(), value(below))).collect())
        }
        HoconValue::Array(items) => items.iter().map(value).collect(),
        HoconValue::Scalar(scalar) => match scalar.value_type {
            ScalarType::Null => Value::Null,
            ScalarType::Boolean => Value::Bool(scalar.raw == "true"),
            ScalarType::Number => {
                serde_json::from_str(&scalar.raw).unwrap_or_else(|_| scalar.raw.clone().into())
            }
            _ => scalar.raw.clone().into(),
        },
        // What is not resolved is an error before.
        _ => Value::Null,
    }
}

/// The gateway, and what stands around it.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) gateway: Map<String, Value>,
    /// Where it stood, with a dot at the end.
    pub(super) path: &'static str,
    pub(super) around: Map<String, Value>,
}

/// Finds `gateway.lwm2m` in a configuration, `lwm2m` in what is below `gateway`, or takes the gateway alone, as the REST
/// API gives it.
pub(super) fn locate(mut root: Map<String, Value>, name: &str) -> Result<Located, ImportError> {
    if let Some(Value::Object(gateways)) = root.get_mut("gateway")
        && let Some(Value::Object(gateway)) = gateways.remove("lwm2m")
    {
        return Ok(Located { gateway, path: "gateway.lwm2m.", around: root });
    }
    if let Some(Value::Object(gateway)) = root.remove("lwm2m") {
        return Ok(Located { gateway, path: "lwm2m.", around: root });
    }
    let is_gateway = ["translators", "xml_dir"].iter().any(|key| root.contains_key(*key));
    if is_gateway || root.get("name").is_some_and(|name| name == "lwm2m") {
        return Ok(Located { gateway: root, path: "", around: Map::new() });
    }
    let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>().join(", ");
    let found = match root.get("gateway").and_then(Value::as_object) {
        Some(gateways) if !gateways.is_empty() => format!("the gateways {}", names(gateways)),
        _ if root.is_empty() => "nothing".to_owned(),
        _ => format!("the keys {}", names(&root)),
    };
    Err(ImportError::NoGateway { name: name.to_owned(), found })
}

const GZIP: &[u8] = &[0x1f, 0x8b];
