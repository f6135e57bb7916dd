//! What is asked of a client, as it was typed, and the operation that it means.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;
use tidegate_proto::lwm2m::format::{self, Definitions as _, Scope};
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::value::{Sample, Value};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::value::{self, Type};

/// An operation for a client.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Request {
    operation: Name,
    /// Such as `/3/0/9`. Of all operations but the composite ones.
    path: Option<String>,
    /// Of composite operations.
    paths: Option<Vec<String>>,
    /// What to write to a resource: of the type that its definition names, or that `type` does.
    value: Option<Json>,
    /// Of `value`, where there is no definition.
    #[serde(rename = "type")]
    kind: Option<Type>,
    /// What to write to several resources.
    values: Option<Vec<At>>,
    /// What to write, encoded already.
    content: Option<Encoded>,
    /// The content format to answer or to write in; without it one that the client takes.
    format: Option<Format>,
    /// Of a write: `replace` (the default for a resource) or `update` (the default for an object instance).
    mode: Option<Mode>,
    /// Of `write-attributes`: such as `{"pmin": 10, "gt": 25.5}`; null removes one.
    #[schema(value_type = Option<Object>)]
    attributes: Option<BTreeMap<String, Json>>,
    /// Of `execute`.
    arguments: Option<String>,
    /// Of `discover`: how many levels.
    depth: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Name {
    Read,
    Discover,
    Write,
    WriteAttributes,
    Execute,
    Create,
    Delete,
    Observe,
    CancelObserve,
    ReadComposite,
    WriteComposite,
    ObserveComposite,
    CancelObserveComposite,
}

/// A value for one resource.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    /// Such as `/3303/0/5700`.
    path: String,
    value: Json,
    /// Where there is no definition.
    #[serde(rename = "type")]
    kind: Option<Type>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Encoded {
    format: Option<Format>,
    base64: String,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Replace,
    Update,
}

/// A content format: `text`, `opaque`, `tlv`, `cbor`, `senml-json`, `senml-cbor`, `lwm2m-json`, `lwm2m-cbor`, or its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Json")]
pub(in super::super) struct Format(pub(in super::super) u16);

impl utoipa::PartialSchema for Format {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
        let name =
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(NAMES.map(|(name, _)| name)));
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(65_535));
        OneOfBuilder::new().item(name).item(number).into()
    }
}

impl ToSchema for Format {}

impl TryFrom<Json> for Format {
    type Error = String;

    fn try_from(json: Json) -> Result<Self, String> {
        match &json {
            Json::String(name) => name.parse(),
            other => {
                let number = other.as_u64().and_then(|number| u16::try_from(number).ok());
                number.map(Self).ok_or_else(|| format!("`{other}` is no content format"))
            }
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Ok(number) = name.parse() {
            return Ok(Self(number));
        }
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, number)| Self(*number)).ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known).join(", ");
            format!("`{name}` is no content format; there are {known}, and numbers")
        })
    }
}

impl Format {
    /// Its name, or else its number.
    pub(in super::super) fn name(self) -> String {
        let known = NAMES.iter().find(|(_, number)| *number == self.0);
        known.map_or_else(|| self.0.to_string(), |(name, _)| (*name).to_owned())
    }
}

impl Request {
    /// Whether it only looks.
    pub(super) fn is_safe(&self) -> bool {
        matches!(self.operation, Name::Read | Name::Discover | Name::ReadComposite)
    }

    /// The operation, for the client of a registration.
    pub(super) fn understand(
        &self,
        registration: &Registration,
        models: &Models,
    ) -> Result<Operation, Problem> {
        let accept = self.format.map(|format| format.0);
        let queries = Vec::new;
        let writing = Writing { request: self, registration, models };
        Ok(match self.operation {
            Name::Read => Operation::Read { path: self.path(1..=4)?, queries: queries(), accept },
            Name::Discover => {
                Operation::Discover { path: self.path(0..=3)?, queries: queries(), depth: self.depth }
            }
            Name::Write => {
                let path = self.path(2..=4)?;
                let mode = match self.mode {
                    Some(Mode::Replace) => WriteMode::Replace,
                    Some(Mode::Update) => WriteMode::Update,
                    None if path.depth() == 2 => WriteMode::Update,
                    None => WriteMode::Replace,
                };
                Operation::Write { path, queries: queries(), mode, body: writing.body(path)? }
            }
            Name::WriteAttributes => {
                Operation::WriteAttributes { path: self.path(1..=4)?, values: self.attributes()? }
            }
            Name::Execute => {
                let arguments = self.arguments.clone();
                Operation::Execute { path: self.path(3..=3)?, queries: queries(), arguments }
            }
            Name::Create => {
                let path = self.path(1..=1)?;
                Operation::Create { path, queries: queries(), body: writing.body(path)? }
            }
            Name::Delete => Operation::Delete { path: self.path(2..=4)?, queries: queries() },
            Name::Observe => Operation::Observe { path: self.path(1..=4)?, queries: queries(), accept },
            Name::CancelObserve => {
                let mode = CancelMode::Active;
                Operation::CancelObservation { path: self.path(1..=4)?, queries: queries(), mode }
            }
            Name::ReadComposite => Operation::ReadComposite { paths: self.paths()?, accept },
            Name::WriteComposite => Operation::WriteComposite { body: writing.body(Path::root())? },
            Name::ObserveComposite => Operation::ObserveComposite { paths: self.paths()?, accept },
            Name::CancelObserveComposite => {
                Operation::CancelObservationComposite { paths: self.paths()?, mode: CancelMode::Active }
            }
        })
    }

    /// The path, of so many levels.
    fn path(&self, levels: std::ops::RangeInclusive<usize>) -> Result<Path, Problem> {
        let typed = self.path.as_deref().ok_or_else(|| Problem::bad("path", "is missing"))?;
        let path = parse("path", typed)?;
        if levels.contains(&path.depth()) {
            return Ok(path);
        }
        let (least, most) = (LEVELS[*levels.start()], LEVELS[*levels.end()]);
        let wanted = if least == most { least.to_owned() } else { format!("from {least} to {most}") };
        Err(Problem::bad(
            "path",
            format!("`{typed}` does not fit this operation, which needs the path of {wanted}"),
        ))
    }

    fn paths(&self) -> Result<Vec<Path>, Problem> {
        let typed = self.paths.as_deref().filter(|paths| !paths.is_empty());
        let typed = typed.ok_or_else(|| Problem::bad("paths", "at least one is needed"))?;
        typed.iter().map(|path| parse("paths", path)).collect()
    }

    fn attributes(&self) -> Result<Vec<(String, Option<String>)>, Problem> {
        let typed = self.attributes.as_ref().filter(|attributes| !attributes.is_empty());
        let typed = typed.ok_or_else(|| Problem::bad("attributes", "at least one is needed"))?;
        let attribute = |(name, value): (&String, &Json)| {
            let is_word = |text: &str| text.bytes().all(|of| of.is_ascii_graphic() && !b"&=?#".contains(&of));
            let value = match value {
                Json::Null => None,
                Json::Number(number) => Some(number.to_string()),
                Json::String(text) => Some(text.clone()),
                Json::Bool(flag) => Some(u8::from(*flag).to_string()),
                other => return Err(Problem::bad("attributes", format!("`{name}`: `{other}` is no value"))),
            };
            if name.is_empty() || !is_word(name) || !value.as_deref().is_none_or(is_word) {
                return Err(Problem::bad(
                    "attributes",
                    format!("`{name}` is no attribute, or has no value that fits one"),
                ));
            }
            Ok((name.clone(), value))
        };
        typed.iter().map(attribute).collect()
    }
}

/// What a request says that is to be written, for a client.
struct Writing<'a> {
    request: &'a Request,
    registration: &'a Registration,
    models: &'a Models,
}

impl Writing<'_> {
    fn body(&self, path: Path) -> Result<Body, Problem> {
        let Request { value, values, content, .. } = self.request;
        let samples = match (value, values, content) {
            (Some(json), None, None) if path.depth() >= 3 => {
                vec![self.sample(path, json, self.request.kind, "value")?]
            }
            (Some(_), None, None) => {
                return Err(Problem::bad("value", "is for the path of a resource; several are `values`"));
            }
            (None, Some(values), None) => {
                let sample = |at: &At| {
                    let at_path = parse("values", &at.path)?;
                    if at_path.depth() < 3 || !at_path.starts_with(&path) {
                        let message = format!("`{}` is not a resource below `{path}`", at.path);
                        return Err(Problem::bad("values", message));
                    }
                    self.sample(at_path, &at.value, at.kind, "values")
                };
                values.iter().map(sample).collect::<Result<_, _>>()?
            }
            (None, None, Some(Encoded { format, base64 })) => {
                let payload = STANDARD.decode(base64);
                let payload =
                    payload.map_err(|error| Problem::bad("content", format!("is not base64: {error}")))?;
                return Ok(Body::Encoded { format: format.map(|format| format.0), payload });
            }
            (None, None, None) => {
                return Err(Problem::bad("value", "is missing; there are `value`, `values` and `content`"));
            }
            _ => {
                return Err(Problem::bad(
                    "value",
                    "only one of `value`, `values` and `content` can be meant",
                ));
            }
        };
        let format = self.request.format.map(|format| format.0);
        encoded(samples, format, path, self.registration, self.models)
    }

    fn sample(
        &self,
        path: Path,
        json: &Json,
        of: Option<Type>,
        field: &str,
    ) -> Result<Sample<'static>, Problem> {
        let definitions = Defined::new(self.models, self.registration);
        let kind = path.object().zip(path.resource()).and_then(|(object, id)| definitions.kind(object, id));
        let value = value::read(json, of.or(kind.map(Type::of_kind)));
        let value = value.map_err(|message| Problem::bad(field, format!("{path} {message}")))?;
        if value == Value::Null {
            return Err(Problem::bad(field, format!("{path}: null cannot be written; `delete` removes")));
        }
        Ok(Sample { path, value, kind, taken: None })
    }
}

/// Values in a format; without one in that which the client takes.
pub(in super::super) fn encoded(
    samples: Vec<Sample<'static>>,
    format: Option<u16>,
    path: Path,
    registration: &Registration,
    models: &Models,
) -> Result<Body, Problem> {
    let Some(format) = format else { return Ok(Body::Samples(samples)) };
    let definitions = Defined::new(models, registration);
    let scope = Scope { alternate_path: &registration.alternate_path, ..Scope::new(path, &definitions) };
    let payload = format::encode_in(format, &scope, &samples);
    let payload = payload.map_err(|error| Problem::bad("format", error.to_string()))?;
    Ok(Body::Encoded { format: Some(format), payload })
}

fn parse(field: &str, typed: &str) -> Result<Path, Problem> {
    typed.parse().map_err(|error| Problem::bad(field, format!("`{typed}`: {error}")))
}

const NAMES: [(&str, u16); 9] = [
    ("text", format::TEXT),
    ("link-format", format::LINK_FORMAT),
    ("opaque", format::OPAQUE),
    ("cbor", format::CBOR),
    ("senml-json", format::SENML_JSON),
    ("senml-cbor", format::SENML_CBOR),
    ("tlv", format::TLV),
    ("lwm2m-json", format::LWM2M_JSON),
    ("lwm2m-cbor", format::LWM2M_CBOR),
];
const LEVELS: [&str; 5] =
    ["the root", "an object", "an object instance", "a resource", "a resource instance"];
