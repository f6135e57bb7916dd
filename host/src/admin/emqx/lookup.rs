//! `lookup`: the last answer to a command, as it was published.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::path::Path as Lwm2mPath;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::value::Kind;
use utoipa::IntoParams;

use super::super::View;
use super::super::model::letters;
use super::super::problem::Problem;
use super::client::find;
use super::{EmqxError, checked};
use crate::bridge::covers_secret;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Wanted {
    /// Such as `/3/0/0`.
    path: String,
    /// `read`, `write`, `write-attr`, `discover`, `execute`, `create`, `delete`, `observe` or `cancel-observe`.
    action: String,
}

/// The last answer to a command; `code` is `6.01` as long as there is none.
#[utoipa::path(get, path = "/api/v5/gateways/lwm2m/clients/{clientid}/lookup", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1"), Wanted),
    responses((status = 200, body = Object), (status = 400, body = EmqxError), (status = 404, body = EmqxError)))]
pub(in super::super) async fn lookup(
    State(view): State<View>,
    Path(clientid): Path<String>,
    Query(Wanted { path: typed, action }): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let operation = ACTIONS.iter().find(|(name, _)| *name == action).map(|(_, operation)| *operation);
    let operation = operation.ok_or_else(|| Problem::bad("action", format!("`{action}` is no action")))?;
    let path: Lwm2mPath = checked(&typed)?.split('?').next().unwrap_or_default().parse().unwrap_or_default();
    let known = find(&view, &clientid)?;
    let registration = &known.registration;
    let payload = view.answers.find(&registration.endpoint, operation, path);
    let payload: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let mut found = json!({ "clientid": clientid, "action": action, "path": typed });
    let data = payload.as_ref().map(|payload| &payload["data"]).filter(|data| data["code"].is_string());
    let Some(data) = data else {
        found["code"] = json!("6.01");
        found["codeMsg"] = json!("reply_not_received");
        return Ok(Json(found));
    };
    found["code"] = data["code"].clone();
    found["codeMsg"] = data["codeMsg"].clone();
    let models = view.models.load();
    if let Some(content) = data.get("content").filter(|_| !covers_secret(path, &models)) {
        found["content"] = match (operation, content) {
            (OperationName::Discover, Value::Array(links)) => described(links, registration, &models),
            _ => content.clone(),
        };
    }
    Ok(Json(found))
}

/// The resources of links, with what their definitions say. EMQX describes one of them only, whichever is the second.
fn described(links: &[Value], registration: &Registration, models: &Models) -> Value {
    let paths = links.iter().filter_map(|link| {
        let target = link.as_str()?.strip_prefix('<')?.split('>').next()?;
        target.parse::<Lwm2mPath>().ok()
    });
    let describe = |path: Lwm2mPath| {
        let (object, id) = (path.object()?, path.resource()?);
        let definition = models.definition(object, registration.object_version(object));
        let Some(resource) = definition.and_then(|definition| definition.resource(id)) else {
            return Some(json!({ path.to_string(): path.to_string() }));
        };
        let mut described = json!({ "operations": letters(resource.operations), "path": path.to_string(), "name": resource.name });
        if let Some(name) = resource.kind.and_then(data_type) {
            described["dataType"] = json!(name);
        }
        Some(described)
    };
    paths.filter_map(describe).collect()
}

const fn data_type(of: Kind) -> Option<&'static str> {
    Some(match of {
        Kind::Text => "String",
        Kind::Integer => "Integer",
        Kind::Unsigned => "Unsigned Integer",
        Kind::Float => "Float",
        Kind::Boolean => "Boolean",
        Kind::Opaque => "Opaque",
        Kind::Time => "Time",
        Kind::ObjectLink => "Objlnk",
        Kind::CoreLink => "Corelnk",
        Kind::Executable => return None,
    })
}

const ACTIONS: [(&str, OperationName); 9] = [
    ("read", OperationName::Read),
    ("write", OperationName::Write),
    ("write-attr", OperationName::WriteAttributes),
    ("discover", OperationName::Discover),
    ("execute", OperationName::Execute),
    ("create", OperationName::Create),
    ("delete", OperationName::Delete),
    ("observe", OperationName::Observe),
    ("cancel-observe", OperationName::CancelObservation),
];
