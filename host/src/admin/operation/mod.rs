//! Operations: asked, waited for, answered. What waits for a sleeping client is answered with a ticket, and found by it.

mod answer;
mod body;
#[cfg(test)]
mod tests;
pub(super) mod value;

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::server::Failure;
use utoipa::{IntoParams, ToSchema};

pub(super) use self::answer::{Answer, Sampled, code};
use self::body::Request;
pub(super) use self::body::encoded;
use super::access::{Caller, Role};
use super::client::{known, observed, operation as name_of};
use super::problem::Problem;
use super::table::Table;
use super::{View, time};
use crate::bridge::{self, Ticket, TicketState, Undone};

pub(super) fn routes() -> Table {
    Table::new().post("/api/v1/clients/:endpoint/operations", Role::Read, perform).get(
        "/api/v1/operations/:id",
        Role::Read,
        show,
    )
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Patience {
    /// Seconds to wait for the answer.
    #[param(minimum = 1, maximum = 300, default = 30)]
    timeout: Option<u16>,
}

impl Patience {
    fn duration(&self) -> Result<Duration, Problem> {
        match self.timeout.unwrap_or(DEFAULT_PATIENCE) {
            seconds @ 1..=300 => Ok(Duration::from_secs(seconds.into())),
            _ => Err(Problem::bad("timeout", "must be from 1 to 300 seconds")),
        }
    }
}

/// Something that waits for a sleeping client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pending {
    /// For `GET /api/v1/operations/{id}`.
    id: String,
    endpoint: String,
    #[schema(example = "read")]
    operation: &'static str,
    path: String,
    state: Progress,
    asked_at: String,
    /// When it is done and has been answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// When it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    /// Waits until the client is awake.
    Queued,
    /// On its way.
    Sent,
    Answered,
    Failed,
}

/// Asks a client to do something and waits for its answer. `read`, `discover` and `read-composite` need the role `read`, all else
/// `operate`. An error that the client answers is a success here: `success` says so. Where the client already observes what `observe`
/// names for a translator, it is only read, and the translator keeps its observation.
#[utoipa::path(post, path = "/api/v1/clients/{endpoint}/operations", tag = "operations", request_body = Request,
    params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1"), Patience),
    responses(
        (status = 200, description = "The client has answered", body = Answer),
        (status = 202, description = "It waits for the client to be awake", body = Pending),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(super) async fn perform(
    State(view): State<View>,
    Extension(caller): Extension<Caller>,
    Path(endpoint): Path<String>,
    Query(patience): Query<Patience>,
    body: Result<Json<Request>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    if !request.is_safe() {
        caller.require(Role::Operate)?;
    }
    let within = patience.duration()?;
    let known = known(&view, &endpoint)?;
    let operation = request.understand(&known.registration, &view.models.load())?;
    match ask(&view, &endpoint, operation, within).await {
        Ok(answer) => Ok(Json(Answer::of(&answer, &view.models.load())).into_response()),
        Err(Undone::Held(ticket)) => {
            let location = format!("/api/v1/operations/{}", ticket.id);
            let pending = Json(pending(&view, &ticket));
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], pending).into_response())
        }
        Err(undone) => Err(problem(&undone, &endpoint)),
    }
}

/// Asks a client, and spares observations of translators.
pub(super) async fn ask(
    view: &View,
    endpoint: &str,
    operation: Operation,
    within: Duration,
) -> bridge::Outcome {
    let operation = match spare(view, endpoint, &operation).await {
        Some(read) => read,
        None => operation,
    };
    view.operator.perform(endpoint, operation, within).await
}

/// A read in place of an observation that stands for a translator: a second one would take its place, and the translator would
/// hear nothing any more.
async fn spare(view: &View, endpoint: &str, operation: &Operation) -> Option<Operation> {
    let (paths, read) = match operation {
        Operation::Observe { path, queries, accept } => {
            let read = Operation::Read { path: *path, queries: queries.clone(), accept: *accept };
            (std::slice::from_ref(path), read)
        }
        Operation::ObserveComposite { paths, accept } => {
            (paths.as_slice(), Operation::ReadComposite { paths: paths.clone(), accept: *accept })
        }
        _ => return None,
    };
    let observed = observed(view, endpoint).await.ok()?;
    let is_taken = observed.iter().any(|of| {
        of.operation == operation.name()
            && of.paths == paths
            && bridge::asker(&of.context) != bridge::OPERATOR
    });
    is_taken.then_some(read)
}

/// How something stands that waited for a sleeping client.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations", params(("id" = String, description = "As the answer 202 named it")),
    responses((status = 200, body = Pending), (status = 404, body = Problem)))]
pub(super) async fn show(State(view): State<View>, Path(id): Path<String>) -> Result<Json<Pending>, Problem> {
    let ticket = view.operator.find(&id);
    let ticket = ticket.ok_or_else(|| Problem::not_found(format!("no operation is known as `{id}`")))?;
    Ok(Json(pending(&view, &ticket)))
}

fn pending(view: &View, ticket: &Ticket) -> Pending {
    let mut pending = Pending {
        id: ticket.id.to_string(),
        endpoint: ticket.endpoint.to_string(),
        operation: name_of(ticket.operation),
        path: ticket.path.to_string(),
        state: Progress::Queued,
        asked_at: time::of_millis(ticket.asked_at),
        answer: None,
        problem: None,
    };
    match &ticket.state {
        TicketState::Queued => {}
        TicketState::Sent => pending.state = Progress::Sent,
        TicketState::Done(outcome) => match &**outcome {
            Ok(answer) => {
                pending.state = Progress::Answered;
                pending.answer = Some(Answer::of(answer, &view.models.load()));
            }
            Err(undone) => {
                pending.state = Progress::Failed;
                pending.problem = Some(problem(undone, &ticket.endpoint));
            }
        },
    }
    pending
}

/// Why there is no answer, in the words of HTTP.
pub(super) fn problem(undone: &Undone, endpoint: &str) -> Problem {
    let (status, kind, detail) = match undone {
        Undone::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is asked already; try again"),
        Undone::Late => (StatusCode::GATEWAY_TIMEOUT, "timeout", "the client has not answered in time"),
        Undone::Held(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "asleep", "the client sleeps; it is asked when it is awake")
        }
        Undone::Failed(failure) => match failure {
            Failure::UnknownClient => return Problem::unknown_client(endpoint),
            Failure::Invalid(reason) => {
                return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason.clone()).of_kind("invalid");
            }
            Failure::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "the client has not answered"),
            Failure::Expired => (StatusCode::GATEWAY_TIMEOUT, "timeout", "the client was not awake in time"),
            Failure::Reset => (StatusCode::BAD_GATEWAY, "reset", "the client has rejected the message"),
            Failure::Unreachable => {
                (StatusCode::BAD_GATEWAY, "unreachable", "the client's DTLS association has ended")
            }
            Failure::QueueFull => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy", "too much waits for the client already")
            }
            Failure::Ended => (StatusCode::CONFLICT, "ended", "the registration ended before the answer"),
        },
    };
    Problem::new(status, detail).of_kind(kind)
}

const DEFAULT_PATIENCE: u16 = 30;
