//! What a client has answered, as JSON. What its keys and passwords are is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value as Json;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::value::Sample;
use utoipa::ToSchema;

use super::super::client::{Link, links, operation};
use super::super::time;
use super::body::Format;
use super::value::{self, Type};
use crate::bridge::{self, covers_secret, is_secret};

/// What a client has answered.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Answer {
    endpoint: String,
    /// What was done: `read` in place of an observation that a translator has already.
    #[schema(example = "read")]
    operation: &'static str,
    path: String,
    /// CoAP code.
    #[schema(example = "2.05")]
    code: String,
    /// Whether the code is one of success.
    success: bool,
    took_ms: u64,
    values: Vec<Sampled>,
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    /// Why the content could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// What the client says is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic: Option<String>,
    /// Of a created instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// Of a discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Vec<Link>>,
}

/// A value of a resource.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Sampled {
    #[schema(example = "/3303/0/5700")]
    pub(in super::super) path: String,
    #[serde(rename = "type")]
    pub(in super::super) kind: Type,
    /// Bytes are base64; null if it is a secret.
    pub(in super::super) value: Json,
    /// It is a key or a password, which is not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret: bool,
    /// Of the resource's definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<String>,
    /// When it was taken, by the client's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Content {
    /// Its name, or else its number; null if the client gave none.
    format: Option<String>,
    base64: String,
}

impl Answer {
    pub(in super::super) fn of(answer: &bridge::Answer, models: &Models) -> Self {
        let registration = &answer.registration;
        let values: Vec<Sampled> =
            answer.samples.iter().map(|sample| Sampled::of(sample, registration, models)).collect();
        let payload = &answer.content.payload;
        let is_success = answer.is_success();
        let is_discovery = answer.operation == OperationName::Discover;
        // What could be read is hidden by what it says, all else by where it is from.
        let is_hidden = match answer.samples.is_empty() {
            false => values.iter().any(|value| value.secret),
            true => !is_discovery && is_success && covers_secret(answer.path, models),
        };
        let content = (is_success && !payload.is_empty() && !is_hidden).then(|| Content {
            format: answer.content.format.map(|format| Format(format).name()),
            base64: STANDARD.encode(payload),
        });
        let diagnostic =
            (!is_success && !payload.is_empty()).then(|| String::from_utf8_lossy(payload).into_owned());
        Self {
            endpoint: registration.endpoint.to_string(),
            operation: operation(answer.operation),
            path: answer.path.to_string(),
            code: code(answer.code),
            success: is_success,
            took_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
            values,
            content,
            unreadable: answer.unreadable.clone(),
            diagnostic,
            location: answer.location.clone(),
            links: (is_discovery && is_success).then(|| links(payload)),
        }
    }
}

impl Sampled {
    pub(in super::super) fn of(sample: &Sample<'_>, registration: &Registration, models: &Models) -> Self {
        let secret = is_secret(sample.path, models);
        let resource = resource(sample.path, registration, models);
        Self {
            path: sample.path.to_string(),
            kind: Type::of_value(&sample.value),
            value: if secret { Json::Null } else { value::write(&sample.value) },
            secret,
            name: resource.map(|resource| resource.name.to_string()),
            units: resource.map(|resource| resource.units.to_string()).filter(|units| !units.is_empty()),
            taken_at: sample.taken.map(time::of_millis),
        }
    }
}

fn resource<'m>(
    path: Path,
    registration: &Registration,
    models: &'m Models,
) -> Option<&'m tidegate_proto::lwm2m::model::Resource> {
    let object = path.object()?;
    models.definition(object, registration.object_version(object))?.resource(path.resource()?)
}

/// A CoAP code as it is written: `2.05`.
pub(in super::super) fn code(code: u8) -> String {
    format!("{}.{:02}", code >> 5, code & 0x1f)
}
