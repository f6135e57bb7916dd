//! What becomes of a request, as Leshan's demo server says it.

use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::OperationName as Name;
use tidegate_proto::lwm2m::path::Path as Lwm2mPath;
use tidegate_proto::lwm2m::server::Failure;
use tidegate_proto::lwm2m::value::{Sample, Value};

use super::super::View;
use super::super::problem::Problem;
use super::{node, registration};
use crate::bridge::{Answer, Undone, covers_secret, is_secret};

/// An answer of a client, without its keys and passwords.
pub(super) fn answered(view: &View, answer: &Answer, paths: Option<&[Lwm2mPath]>) -> Json {
    let is_success = answer.is_success();
    let mut shown = json!({
        "status": status(answer.code),
        "valid": answer.unreadable.is_none(),
        "success": is_success,
        "failure": !is_success,
    });
    if !is_success {
        if !answer.content.payload.is_empty() {
            shown["errormessage"] = json!(String::from_utf8_lossy(&answer.content.payload));
        }
        return shown;
    }
    match answer.operation {
        Name::Discover => shown["objectLinks"] = registration::object_links(&answer.content.payload),
        Name::Create => {
            shown["location"] = json!(answer.location.as_deref().map(|of| of.trim_start_matches('/')))
        }
        Name::Read
        | Name::Observe
        | Name::CancelObservation
        | Name::ReadComposite
        | Name::ObserveComposite
        | Name::CancelObservationComposite => {
            let models = view.models.load();
            let samples = visible(answer.samples.iter().cloned(), &models);
            let samples: Vec<&Sample<'static>> = samples.iter().collect();
            shown["content"] = match paths {
                Some(paths) => node::composite(paths, &samples),
                None => node::of(answer.path, &samples),
            };
            if let Some(reason) = answer.unreadable.as_ref().filter(|_| !covers_secret(answer.path, &models))
            {
                shown["errormessage"] = json!(reason);
            }
        }
        _ => {}
    }
    shown
}

/// Values without those of keys and passwords.
pub(super) fn visible(
    samples: impl Iterator<Item = Sample<'static>>,
    models: &Models,
) -> Vec<Sample<'static>> {
    let hide = |sample: Sample<'static>| match is_secret(sample.path, models) {
        true => Sample { value: Value::Null, ..sample },
        false => sample,
    };
    samples.map(hide).collect()
}

/// A code as Leshan writes it.
pub(super) fn status(code: u8) -> String {
    let (class, detail) = (u16::from(code >> 5), u16::from(code & 0x1f));
    let number = class * 100 + detail;
    let name = CODES.iter().find(|(known, _)| *known == number).map_or("UNKNOWN", |(_, name)| name);
    format!("{name}({number})")
}

/// Why there is no answer, as Leshan says it.
pub(super) fn problem(undone: &Undone) -> Problem {
    let (status, detail) = match undone {
        Undone::Late | Undone::Held(_) | Undone::Failed(Failure::Timeout | Failure::Expired) => {
            (StatusCode::GATEWAY_TIMEOUT, "Request timeout".to_owned())
        }
        Undone::Failed(Failure::Invalid(reason)) => {
            (StatusCode::BAD_REQUEST, format!("Invalid request: {reason}"))
        }
        Undone::Failed(Failure::UnknownClient) => {
            (StatusCode::BAD_REQUEST, "the client is not registered any more".to_owned())
        }
        Undone::Failed(Failure::Reset) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Request rejected: the client has reset it".to_owned())
        }
        Undone::Busy | Undone::Failed(Failure::QueueFull) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Request cancelled: too much is asked already".to_owned())
        }
        Undone::Failed(Failure::Ended | Failure::Unreachable) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Request cancelled: the client is gone".to_owned())
        }
    };
    Problem::new(status, detail)
}

const CODES: [(u16, &str); 18] = [
    (201, "CREATED"),
    (202, "DELETED"),
    (204, "CHANGED"),
    (205, "CONTENT"),
    (231, "CONTINUE"),
    (400, "BAD_REQUEST"),
    (401, "UNAUTHORIZED"),
    (402, "BAD_OPTION"),
    (403, "FORBIDDEN"),
    (404, "NOT_FOUND"),
    (405, "METHOD_NOT_ALLOWED"),
    (406, "NOT_ACCEPTABLE"),
    (408, "REQUEST_ENTITY_INCOMPLETE"),
    (412, "PRECONDITION_FAILED"),
    (413, "REQUEST_ENTITY_TOO_LARGE"),
    (415, "UNSUPPORTED_CONTENT_FORMAT"),
    (500, "INTERNAL_SERVER_ERROR"),
    (501, "NOT_IMPLEMENTED"),
];
