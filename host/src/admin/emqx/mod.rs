//! The API in the shape of EMQX's gateway `lwm2m` (`/api/v5/gateways/lwm2m`), for the tools that know it.
//!
//! A command takes the way of one that comes from the broker, so that its result is published as EMQX's users know it, and
//! [`lookup`] finds what was published. The specification is section 6 of what was recorded of EMQX 5.8.4; its defects are not
//! copied.

pub(super) mod client;
pub(super) mod lookup;
#[cfg(test)]
mod tests;
mod topic;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::registration::Registration;
use utoipa::{IntoParams, ToSchema};

use self::client::find;
use super::View;
use super::access::Role;
use super::problem::Problem;
use super::table::Table;
use crate::mqtt::{Publication, QoS};

pub(super) fn routes() -> Table {
    Table::new()
        .get("/api/v5/gateways/lwm2m/clients", Role::Read, client::list)
        .get("/api/v5/gateways/lwm2m/clients/:clientid", Role::Read, client::show)
        .foreign(Method::DELETE, "/api/v5/gateways/lwm2m/clients/:clientid", Role::Operate, client::kick)
        .get("/api/v5/gateways/lwm2m/clients/:clientid/lookup", Role::Read, lookup::lookup)
        .foreign(Method::POST, "/api/v5/gateways/lwm2m/clients/:clientid/read", Role::Operate, read)
        .foreign(Method::POST, "/api/v5/gateways/lwm2m/clients/:clientid/write", Role::Operate, write)
        .foreign(Method::POST, "/api/v5/gateways/lwm2m/clients/:clientid/observe", Role::Operate, observe)
}

/// What is wrong, as EMQX says it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmqxError {
    #[schema(example = "CLIENT_NOT_FOUND")]
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl EmqxError {
    pub(super) fn of(status: StatusCode, message: &str) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "BAD_API_KEY_OR_SECRET",
            StatusCode::FORBIDDEN => "API_KEY_NOT_ALLOW",
            StatusCode::NOT_FOUND if message.starts_with("no client") => "CLIENT_NOT_FOUND",
            StatusCode::NOT_FOUND => "NOT_FOUND",
            StatusCode::SERVICE_UNAVAILABLE => "SERVICE_UNAVAILABLE",
            _ => "BAD_REQUEST",
        };
        Self { code, message: message.to_owned() }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct At {
    /// Such as `/3/0/0`.
    path: String,
}

/// Reads: the result is published, and looked up by `lookup`.
#[utoipa::path(post, path = "/api/v5/gateways/lwm2m/clients/{clientid}/read", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1"), At),
    responses((status = 204, description = "Asked"), (status = 400, body = EmqxError), (status = 404, body = EmqxError),
        (status = 503, body = EmqxError)))]
pub(super) async fn read(
    State(view): State<View>,
    Path(clientid): Path<String>,
    Query(At { path }): Query<At>,
) -> Result<StatusCode, Problem> {
    command(&view, &clientid, "read", &json!({ "path": checked(&path)? }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Value {
    /// Such as `/3/0/14`.
    path: String,
    /// `Integer`, `Float`, `Time`, `String`, `Boolean`, `Opaque` or `Objlnk`.
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// Writes: the result is published, and looked up by `lookup`.
#[utoipa::path(post, path = "/api/v5/gateways/lwm2m/clients/{clientid}/write", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1"), Value),
    responses((status = 204, description = "Asked"), (status = 400, body = EmqxError), (status = 404, body = EmqxError),
        (status = 503, body = EmqxError)))]
pub(super) async fn write(
    State(view): State<View>,
    Path(clientid): Path<String>,
    Query(Value { path, kind, value }): Query<Value>,
) -> Result<StatusCode, Problem> {
    if !TYPES.contains(&kind.as_str()) {
        return Err(Problem::bad("type", format!("`{kind}` is none of {}", TYPES.join(", "))));
    }
    command(&view, &clientid, "write", &json!({ "path": checked(&path)?, "type": kind, "value": value }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Observation {
    /// Such as `/3303/0/5700`.
    path: String,
    /// Whether to observe or to end the observation.
    enable: bool,
}

/// Observes, or ends an observation: the result is published, and looked up by `lookup`.
#[utoipa::path(post, path = "/api/v5/gateways/lwm2m/clients/{clientid}/observe", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1"), Observation),
    responses((status = 204, description = "Asked"), (status = 400, body = EmqxError), (status = 404, body = EmqxError),
        (status = 503, body = EmqxError)))]
pub(super) async fn observe(
    State(view): State<View>,
    Path(clientid): Path<String>,
    Query(Observation { path, enable }): Query<Observation>,
) -> Result<StatusCode, Problem> {
    let name = if enable { "observe" } else { "cancel-observe" };
    command(&view, &clientid, name, &json!({ "path": checked(&path)? }))
}

/// Hands a command over as if it had come from the broker.
fn command(view: &View, clientid: &str, name: &str, data: &Json) -> Result<StatusCode, Problem> {
    let known = find(view, clientid)?;
    let topic = topic(view, &known.registration)?;
    let payload = json!({ "msgType": name, "data": data }).to_string().into_bytes();
    let message = Publication { topic, payload, qos: QoS::AtMostOnce, retain: false, properties: None };
    let commands = view.commands.upgrade();
    let sent = commands.is_some_and(|commands| commands.try_send(message).is_ok());
    if !sent {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many commands wait already; try again",
        ));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The topic on which the translator that speaks as EMQX does takes commands for a client.
fn topic(view: &View, registration: &Registration) -> Result<String, Problem> {
    let none = "no translator serves this client that speaks as EMQX does; see `[[route]]`";
    let settings = settings(view, registration).ok_or_else(|| Problem::new(StatusCode::CONFLICT, none))?;
    topic::of(&settings, registration).ok_or_else(|| {
        let detail =
            "neither `mountpoint` nor the topic of commands names a client: see [translator.settings]";
        Problem::new(StatusCode::CONFLICT, detail)
    })
}

/// The settings of that translator.
fn settings(view: &View, registration: &Registration) -> Option<Json> {
    let routing = view.routing.load();
    let mut slots = routing.slots_for(registration).into_iter().map(|slot| &routing.slots()[slot]);
    slots.find_map(|slot| {
        let active = slot.active();
        let is_emqx = active.manifest().map_or_else(|| slot.name() == EMQX, |manifest| manifest.name == EMQX);
        is_emqx.then(|| serde_json::from_str::<Json>(active.settings()).unwrap_or_default())
    })
}

fn checked(path: &str) -> Result<&str, Problem> {
    // What EMQX takes for a path may have queries.
    let ids = path.split('?').next().unwrap_or_default();
    match ids.parse::<tidegate_proto::lwm2m::path::Path>() {
        Ok(path) if path.depth() == 0 => Err(Problem::bad("path", "is empty; it is such as /3/0/0")),
        Ok(_) => Ok(path),
        Err(error) => Err(Problem::bad("path", format!("`{path}`: {error}"))),
    }
}

/// The name of the translator in the box.
const EMQX: &str = "emqx";
const TYPES: [&str; 7] = ["Integer", "Float", "Time", "String", "Boolean", "Opaque", "Objlnk"];
