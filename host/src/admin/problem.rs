//! What a request gets that cannot be answered: `application/problem+json` (RFC 9457).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::emqx::EmqxError;

/// Why a request is not answered as it was meant. A handler returns it as its error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`, or `urn:tidegate:problem:` and a word that programs can rely on.
    #[serde(rename = "type")]
    kind: String,
    /// What the status says, in words.
    title: String,
    #[serde(serialize_with = "code")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What is wrong here, and what would be right.
    detail: String,
    /// The part of the request that is wrong, such as `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Problem {
    /// Of this status, with what is wrong in a sentence.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status,
            detail: detail.into(),
            field: None,
        }
    }

    /// 400: the request says something that cannot be meant, in this field.
    pub(crate) fn bad(field: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404 for a client that is not registered.
    pub(crate) fn unknown_client(endpoint: &str) -> Self {
        Self::not_found(format!("no client is registered as `{endpoint}`")).of_kind("unknown-client")
    }

    /// With a word that programs can rely on.
    #[must_use]
    pub(crate) fn of_kind(self, kind: &str) -> Self {
        Self { kind: format!("urn:tidegate:problem:{kind}"), ..self }
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        (status, [(CONTENT_TYPE, PROBLEM_JSON)], axum::Json(self)).into_response()
    }
}

/// Middleware: what axum itself refuses, in plain text, becomes a problem, too; in the shapes of other products a problem becomes
/// what they say. And no answer is taken for something else than it is, or kept.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let shape = Shape::of(request.uri().path());
    let response = next.run(request).await;
    let mut response = if shape.is_bare(&response) { dressed(shape, response).await } else { response };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whose errors are said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Ours,
    Emqx,
    /// Plain text.
    Leshan,
}

impl Shape {
    fn of(path: &str) -> Self {
        if path.starts_with("/api/v5/") {
            Self::Emqx
        } else if path.starts_with("/api/clients") || path == "/api/event" {
            Self::Leshan
        } else {
            Self::Ours
        }
    }

    /// Whether an answer is an error that does not look as it should.
    fn is_bare(self, response: &Response) -> bool {
        let status = response.status();
        let content_type =
            response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_text = content_type.is_empty() || content_type.starts_with(b"text/plain");
        let is_problem = content_type == PROBLEM_JSON.as_bytes();
        (status.is_client_error() || status.is_server_error())
            && match self {
                Self::Ours => is_text,
                Self::Emqx => is_text || is_problem,
                Self::Leshan => is_problem,
            }
    }
}

async fn dressed(shape: Shape, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_TEXT).await.unwrap_or_default();
    let said = serde_json::from_slice::<Json>(&body).ok();
    let text = said.as_ref().and_then(|said| said["detail"].as_str()).map(str::to_owned);
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    let detail = match parts.status {
        StatusCode::NOT_FOUND if text.is_empty() => "there is nothing at this path".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED if text.is_empty() => {
            "this path does not take that method; `Allow` says which it takes".to_owned()
        }
        _ => text.trim().to_owned(),
    };
    let (content_type, body) = match shape {
        Shape::Ours => (PROBLEM_JSON, serde_json::to_vec(&Problem::new(parts.status, detail))),
        Shape::Emqx => ("application/json", serde_json::to_vec(&EmqxError::of(parts.status, &detail))),
        Shape::Leshan => ("text/plain; charset=utf-8", Ok(detail.into_bytes())),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Response::from_parts(parts, Body::from(body.unwrap_or_default()))
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

pub(super) const PROBLEM_JSON: &str = "application/problem+json";
const HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
];
/// Of what axum says.
const LARGEST_TEXT: usize = 64 << 10;
