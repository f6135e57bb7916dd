//! The API in the shape of Leshan's demo server (`/api/clients`), for the tools that drive it.
//!
//! A path below a client's endpoint name is an LwM2M path, maybe with `discover`, `observe`, `attributes` or `composite` at an end;
//! the method says the rest. As there, an error is a line of text, and an unknown client is answered 400.

mod answer;
pub(super) mod event;
mod node;
mod query;
mod registration;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Json as JsonBody;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path as Lwm2mPath;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::value::{Sample, Value};

use self::answer::{answered, problem};
use self::query::Parameters;
use super::access::Role;
use super::operation::{ask, encoded};
use super::problem::Problem;
use super::table::Table;
use super::{View, ask as shards};
use crate::bridge::Undone;
use crate::credential;
use crate::net::Known;

pub(super) fn routes() -> Table {
    Table::new()
        .get("/api/clients", Role::Read, list)
        .get("/api/clients/:endpoint", Role::Read, show)
        .get("/api/clients/:endpoint/*path", Role::Read, get)
        .foreign(Method::PUT, "/api/clients/:endpoint/*path", Role::Operate, put)
        .foreign(Method::POST, "/api/clients/:endpoint/*path", Role::Operate, post)
        .foreign(Method::DELETE, "/api/clients/:endpoint/*path", Role::Operate, delete)
        .get("/api/security/clients", Role::Read, security)
        .get("/api/event", Role::Read, event::events)
}

/// All registrations: a chunk at a time, as there may be very many.
#[utoipa::path(get, path = "/api/clients", tag = "Leshan", responses((status = 200, body = Vec<Object>)))]
pub(super) async fn list(State(view): State<View>) -> Response {
    let directory = std::sync::Arc::clone(&view.directory);
    let all = tokio::task::spawn_blocking(move || directory.select(|_| true)).await.unwrap_or_default();
    let parts = stream::unfold(Some((view, all, 0)), |state| async move {
        let (view, all, from) = state?;
        let end = (from + CHUNK).min(all.len());
        let mut text = if from == 0 { "[".to_owned() } else { String::new() };
        let facts = shards::facts(&view, &all[from..end]).await;
        for (place, (known, facts)) in all[from..end].iter().zip(&facts).enumerate() {
            if from + place > 0 {
                text.push(',');
            }
            let registration = facts.as_ref().map_or(&known.registration, |facts| &facts.registration);
            let shown = registration::shown(known, registration, facts.as_ref().map(|facts| facts.awake));
            text += &shown.to_string();
        }
        let is_last = end == all.len();
        if is_last {
            text.push(']');
        }
        Some((Ok::<_, std::convert::Infallible>(text), (!is_last).then_some((view, all, end))))
    });
    ([(CONTENT_TYPE, "application/json")], HttpBody::from_stream(parts)).into_response()
}

/// A registration.
#[utoipa::path(get, path = "/api/clients/{endpoint}", tag = "Leshan", params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1")),
    responses((status = 200, body = Object), (status = 400, body = String, content_type = "text/plain")))]
pub(super) async fn show(
    State(view): State<View>,
    Path(endpoint): Path<String>,
) -> Result<JsonBody<Json>, Problem> {
    let known = known(&view, &endpoint)?;
    let facts = shards::facts(&view, std::slice::from_ref(&known)).await.pop().flatten();
    let registration = facts.as_ref().map_or(&known.registration, |facts| &facts.registration);
    Ok(JsonBody(registration::shown(&known, registration, facts.as_ref().map(|facts| facts.awake))))
}

/// Who has a credential; never a key.
#[utoipa::path(get, path = "/api/security/clients", tag = "Leshan", responses((status = 200, body = Vec<Object>)))]
pub(super) async fn security(State(view): State<View>) -> Result<JsonBody<Json>, Problem> {
    let Some(file) = view.credentials else { return Ok(JsonBody(json!([]))) };
    let unreadable = |detail: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
    let entries = tokio::task::spawn_blocking(move || credential::list(&file)).await;
    let entries = entries
        .map_err(|error| unreadable(error.to_string()))?
        .map_err(|error| unreadable(error.to_string()))?;
    let entries = entries.into_iter().map(|of| {
        let mode = match of.mode {
            tidegate_dtls::credential::Mode::Psk => "psk",
            tidegate_dtls::credential::Mode::RawPublicKey => "rpk",
            tidegate_dtls::credential::Mode::X509 => "x509",
        };
        json!({ "endpoint": of.endpoint, "tls": { "mode": mode, "details": { "identity": of.identity } } })
    });
    Ok(JsonBody(entries.collect()))
}

/// Reads `…/{path}`, discovers `…/{path}/discover`, reads several by `…/composite?paths=`.
#[utoipa::path(get, path = "/api/clients/{endpoint}/{path}", tag = "Leshan",
    params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1"), ("path" = String, description = "LwM2M path, maybe with `/discover`; or `composite`"),
        ("format" = Option<String>, Query, description = "Such as `TLV` or `SENML_CBOR`"),
        ("timeout" = Option<u32>, Query, description = "Seconds"), ("paths" = Option<String>, Query, description = "Of composite")),
    responses((status = 200, body = Object), (status = 400, body = String, content_type = "text/plain"),
        (status = 500, body = String, content_type = "text/plain"), (status = 504, body = String, content_type = "text/plain")))]
pub(super) async fn get(
    State(view): State<View>,
    Path((endpoint, path)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let query = Parameters(query);
    let known = known(&view, &endpoint)?;
    let operation = if path == "composite" {
        Operation::ReadComposite { paths: query.paths()?, accept: query.format("nodeformat")? }
    } else if let Some(target) = path.strip_suffix("/discover") {
        Operation::Discover { path: lwm2m(target)?, queries: Vec::new(), depth: None }
    } else {
        Operation::Read { path: lwm2m(&path)?, queries: Vec::new(), accept: query.format("format")? }
    };
    perform(&view, &known, operation, &query).await
}

/// Writes `…/{path}` (`replace=false` updates), writes attributes by `…/{path}/attributes?pmin=…`, writes several by `…/composite`.
#[utoipa::path(put, path = "/api/clients/{endpoint}/{path}", tag = "Leshan", request_body = Object,
    params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1"), ("path" = String, description = "LwM2M path, maybe with `/attributes`; or `composite`"),
        ("format" = Option<String>, Query, description = "Such as `TLV` or `SENML_CBOR`"),
        ("timeout" = Option<u32>, Query, description = "Seconds"), ("replace" = Option<bool>, Query, description = "false: update")),
    responses((status = 200, body = Object), (status = 400, body = String, content_type = "text/plain"),
        (status = 413, body = String, content_type = "text/plain"), (status = 415, body = String, content_type = "text/plain"),
        (status = 500, body = String, content_type = "text/plain"), (status = 504, body = String, content_type = "text/plain")))]
pub(super) async fn put(
    State(view): State<View>,
    Path((endpoint, path)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let query = Parameters(query);
    let known = known(&view, &endpoint)?;
    let registration = &known.registration;
    let operation = if path == "composite" {
        let nodes = json(&body)?;
        let nodes = nodes.as_object().ok_or_else(|| invalid("the body is no object of paths and nodes"))?;
        let mut samples = Vec::new();
        for (path, node) in nodes {
            samples.extend(node::samples(lwm2m(path)?, node).map_err(|error| invalid(&error))?);
        }
        let format = query.format("nodeformat")?;
        Operation::WriteComposite { body: writing(&view, registration, Lwm2mPath::root(), samples, format)? }
    } else if let Some(target) = path.strip_suffix("/attributes") {
        let values = query.others(&["timeout", "format"]);
        Operation::WriteAttributes { path: lwm2m(target)?, values }
    } else {
        let path = lwm2m(&path)?;
        let is_update = query.get("replace").is_some_and(|replace| !replace.eq_ignore_ascii_case("true"));
        let mode = if is_update { WriteMode::Update } else { WriteMode::Replace };
        let samples = content(path, &headers, &body)?;
        let body = writing(&view, registration, path, samples, query.format("format")?)?;
        Operation::Write { path, queries: Vec::new(), mode, body }
    };
    perform(&view, &known, operation, &query).await
}

/// Executes a resource, creates an instance below an object, observes by `…/{path}/observe` and `…/composite/observe`.
#[utoipa::path(post, path = "/api/clients/{endpoint}/{path}", tag = "Leshan", request_body = Object,
    params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1"), ("path" = String, description = "LwM2M path, maybe with `/observe`; or `composite/observe`"),
        ("format" = Option<String>, Query, description = "Such as `TLV` or `SENML_CBOR`"),
        ("timeout" = Option<u32>, Query, description = "Seconds"), ("paths" = Option<String>, Query, description = "Of composite")),
    responses((status = 200, body = Object), (status = 400, body = String, content_type = "text/plain"),
        (status = 413, body = String, content_type = "text/plain"), (status = 415, body = String, content_type = "text/plain"),
        (status = 500, body = String, content_type = "text/plain"), (status = 504, body = String, content_type = "text/plain")))]
pub(super) async fn post(
    State(view): State<View>,
    Path((endpoint, path)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let query = Parameters(query);
    let known = known(&view, &endpoint)?;
    let operation = if path == "composite/observe" {
        Operation::ObserveComposite { paths: query.paths()?, accept: query.format("nodeformat")? }
    } else if let Some(target) = path.strip_suffix("/observe") {
        Operation::Observe { path: lwm2m(target)?, queries: Vec::new(), accept: query.format("format")? }
    } else {
        let path = lwm2m(&path)?;
        match path.depth() {
            3 => {
                let arguments =
                    String::from_utf8(body.to_vec()).map_err(|_| invalid("the arguments are no text"))?;
                let arguments = Some(arguments).filter(|arguments| !arguments.is_empty());
                Operation::Execute { path, queries: Vec::new(), arguments }
            }
            1 => create(&view, &known.registration, path, &headers, &body, query.format("format")?)?,
            _ => return Err(invalid("Invalid path")),
        }
    };
    perform(&view, &known, operation, &query).await
}

/// Deletes an instance, or ends an observation: with `active` the client is told, without it its next notification is reset.
#[utoipa::path(delete, path = "/api/clients/{endpoint}/{path}", tag = "Leshan",
    params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1"), ("path" = String, description = "LwM2M path, maybe with `/observe`; or `composite/observe`"),
        ("active" = Option<String>, Query, description = "Tell the client"),
        ("timeout" = Option<u32>, Query, description = "Seconds"), ("paths" = Option<String>, Query, description = "Of composite")),
    responses((status = 200, body = Object), (status = 400, body = String, content_type = "text/plain"),
        (status = 415, body = String, content_type = "text/plain"),
        (status = 500, body = String, content_type = "text/plain"), (status = 504, body = String, content_type = "text/plain")))]
pub(super) async fn delete(
    State(view): State<View>,
    Path((endpoint, path)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let query = Parameters(query);
    let known = known(&view, &endpoint)?;
    let mode = if query.get("active").is_some() { CancelMode::Active } else { CancelMode::Passive };
    let operation = if path == "composite/observe" {
        Operation::CancelObservationComposite { paths: query.paths()?, mode }
    } else if let Some(target) = path.strip_suffix("/observe") {
        Operation::CancelObservation { path: lwm2m(target)?, queries: Vec::new(), mode }
    } else {
        let operation = Operation::Delete { path: lwm2m(&path)?, queries: Vec::new() };
        return perform(&view, &known, operation, &query).await;
    };
    if mode == CancelMode::Active {
        return perform(&view, &known, operation, &query).await;
    }
    view.operator.tell(&endpoint, operation).map_err(|undone| problem(&undone))?;
    Ok(StatusCode::OK.into_response())
}

fn create(
    view: &View,
    registration: &Registration,
    path: Lwm2mPath,
    headers: &HeaderMap,
    body: &Bytes,
    format: Option<u16>,
) -> Result<Operation, Problem> {
    let node = json(body)?;
    if !is_json(headers) || node.get("resources").is_none() {
        return Err(invalid("payload must contain an object instance"));
    }
    // Without an id the client chooses one; the values are said as of the first that is thinkable.
    let instance = path.child(node::id(&node).unwrap_or(0)).ok_or_else(|| invalid("Invalid path"))?;
    let samples = node::samples(instance, &node).map_err(|error| invalid(&error))?;
    Ok(Operation::Create {
        path,
        queries: Vec::new(),
        body: writing(view, registration, path, samples, format)?,
    })
}

/// Asks and answers as Leshan does.
async fn perform(
    view: &View,
    known: &Known,
    operation: Operation,
    query: &Parameters,
) -> Result<Response, Problem> {
    let seconds = query.get("timeout").and_then(|timeout| timeout.parse().ok()).unwrap_or(DEFAULT_TIMEOUT);
    let within = Duration::from_secs(seconds.clamp(1, LONGEST_TIMEOUT));
    let paths = match &operation {
        Operation::ReadComposite { paths, .. } | Operation::ObserveComposite { paths, .. } => {
            Some(paths.clone())
        }
        Operation::CancelObservationComposite { paths, .. } => Some(paths.clone()),
        _ => None,
    };
    let path = operation.path();
    match ask(view, &known.registration.endpoint, operation, within).await {
        Ok(answer) => Ok(JsonBody(answered(view, &answer, paths.as_deref())).into_response()),
        Err(Undone::Held(ticket)) => Ok(JsonBody(json!({
            "ep": &*known.registration.endpoint,
            "path": path.to_string(),
            "requestId": &*ticket.id,
            "delayed": true,
        }))
        .into_response()),
        Err(undone) => Err(problem(&undone)),
    }
}

fn known(view: &View, endpoint: &str) -> Result<Known, Problem> {
    let detail = || format!("no registered client with id '{endpoint}'");
    view.directory.known(endpoint).ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, detail()))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("Invalid request: {detail}"))
}

fn lwm2m(path: &str) -> Result<Lwm2mPath, Problem> {
    let path = path.parse::<Lwm2mPath>().map_err(|error| invalid(&format!("`{path}`: {error}")))?;
    if path.depth() == 0 { Err(invalid("Invalid path")) } else { Ok(path) }
}

fn json(body: &Bytes) -> Result<Json, Problem> {
    serde_json::from_slice(body).map_err(|error| invalid(&format!("unable to parse json: {error}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/json"
}

fn media_type(headers: &HeaderMap) -> &str {
    let given = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

/// The values of a body: a node in JSON, or the text of a resource.
fn content(path: Lwm2mPath, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Sample<'static>>, Problem> {
    match media_type(headers) {
        "application/json" => node::samples(path, &json(body)?).map_err(|error| invalid(&error)),
        "text/plain" if path.depth() >= 3 => {
            let text = String::from_utf8(body.to_vec()).map_err(|_| invalid("the value is no text"))?;
            Ok(vec![Sample { path, value: Value::Text(text.into()), kind: None, taken: None }])
        }
        other => Err(invalid(&format!("content type {other} not supported"))),
    }
}

fn writing(
    view: &View,
    registration: &Registration,
    path: Lwm2mPath,
    samples: Vec<Sample<'static>>,
    format: Option<u16>,
) -> Result<Body, Problem> {
    encoded(samples, format, path, registration, &view.models.load())
        .map_err(|problem| invalid(problem.detail()))
}

/// Seconds, as there.
const DEFAULT_TIMEOUT: u64 = 5;
const LONGEST_TIMEOUT: u64 = 300;
/// Registrations that are written at a time.
const CHUNK: usize = 500;
