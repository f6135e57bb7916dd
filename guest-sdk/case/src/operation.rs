//! Operations, for expected requests.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bytes::Bytes;
use crate::sample::{Path, Sample};

/// One operation, as it is written: `{ read = { path = "/3/0" } }`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Read(Read),
    Discover(Discover),
    Write(Write),
    WriteAttributes(WriteAttributes),
    Execute(Execute),
    Create(Write),
    Delete(Delete),
    Observe(Read),
    CancelObservation(Cancel),
    ReadComposite(Composite),
    WriteComposite(Body),
    ObserveComposite(Composite),
    CancelObservationComposite(CancelComposite),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
    accept: Option<u16>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discover {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
    depth: Option<u8>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
    #[serde(default)]
    mode: WriteMode,
    samples: Option<Vec<Sample>>,
    format: Option<u16>,
    payload: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum WriteMode {
    #[default]
    Replace,
    Update,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteAttributes {
    path: Path,
    /// Name and value; a name alone unsets it.
    values: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Execute {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
    arguments: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    path: Path,
    #[serde(default)]
    queries: Vec<String>,
    #[serde(default)]
    mode: CancelMode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum CancelMode {
    #[default]
    Active,
    Passive,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Composite {
    paths: Vec<Path>,
    accept: Option<u16>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelComposite {
    paths: Vec<Path>,
    #[serde(default)]
    mode: CancelMode,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    samples: Option<Vec<Sample>>,
    format: Option<u16>,
    payload: Option<Bytes>,
}

impl Operation {
    /// The contract's variant.
    pub(crate) fn full(&self) -> Result<Value, String> {
        Ok(match self {
            Self::Read(of) => json!({ "Read": read(of) }),
            Self::Observe(of) => json!({ "Observe": read(of) }),
            Self::Discover(of) => {
                json!({ "Discover": { "path": of.path.0, "queries": of.queries, "depth": of.depth } })
            }
            Self::Write(of) => {
                let mode = if of.mode == WriteMode::Update { "Update" } else { "Replace" };
                let body = body(of.samples.as_deref(), of.format, of.payload.as_ref())?;
                json!({ "Write": { "path": of.path.0, "queries": of.queries, "mode": mode, "body": body } })
            }
            Self::Create(of) => {
                if of.mode == WriteMode::Update {
                    return Err("`create` has no `mode`".to_owned());
                }
                let body = body(of.samples.as_deref(), of.format, of.payload.as_ref())?;
                json!({ "Create": { "path": of.path.0, "queries": of.queries, "body": body } })
            }
            Self::WriteAttributes(of) => {
                let values = pairs(&of.values, "values")?;
                json!({ "WriteAttributes": { "path": of.path.0, "values": values } })
            }
            Self::Execute(of) => {
                json!({ "Execute": { "path": of.path.0, "queries": of.queries, "arguments": of.arguments } })
            }
            Self::Delete(of) => json!({ "Delete": { "path": of.path.0, "queries": of.queries } }),
            Self::CancelObservation(of) => {
                let mode = cancel(of.mode);
                json!({ "CancelObservation": { "path": of.path.0, "queries": of.queries, "mode": mode } })
            }
            Self::ReadComposite(of) => json!({ "ReadComposite": composite(of) }),
            Self::ObserveComposite(of) => json!({ "ObserveComposite": composite(of) }),
            Self::WriteComposite(of) => {
                let body = body(of.samples.as_deref(), of.format, of.payload.as_ref())?;
                json!({ "WriteComposite": { "body": body } })
            }
            Self::CancelObservationComposite(of) => {
                let mode = cancel(of.mode);
                json!({ "CancelObservationComposite": { "paths": paths(&of.paths), "mode": mode } })
            }
        })
    }
}

/// Names with or without a value.
pub(crate) fn pairs(given: &[Vec<String>], key: &str) -> Result<Value, String> {
    let pair = |pair: &Vec<String>| match &pair[..] {
        [name] => Ok(json!([name, null])),
        [name, value] => Ok(json!([name, value])),
        _ => Err(format!("`{key}` is a list of names and values, such as [[\"pmin\", \"1\"], [\"gt\"]]")),
    };
    given.iter().map(pair).collect()
}

fn read(of: &Read) -> Value {
    json!({ "path": of.path.0, "queries": of.queries, "accept": of.accept })
}

fn composite(of: &Composite) -> Value {
    json!({ "paths": paths(&of.paths), "accept": of.accept })
}

fn paths(of: &[Path]) -> Vec<&Value> {
    of.iter().map(|path| &path.0).collect()
}

fn cancel(mode: CancelMode) -> &'static str {
    if mode == CancelMode::Passive { "Passive" } else { "Active" }
}

fn body(samples: Option<&[Sample]>, format: Option<u16>, payload: Option<&Bytes>) -> Result<Value, String> {
    match (samples, payload) {
        (Some(samples), None) if format.is_none() => {
            Ok(json!({ "Samples": samples.iter().map(|of| &of.0).collect::<Vec<_>>() }))
        }
        (None, Some(payload)) => Ok(json!({ "Encoded": { "format": format, "payload": payload.bytes() } })),
        _ => Err("a body has either `samples`, or `payload` and maybe `format`".to_owned()),
    }
}
