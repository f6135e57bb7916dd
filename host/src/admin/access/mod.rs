//! Who may do what.
//!
//! 1. [`gate`] comes before everything: a page of another site that a browser on this machine shows cannot use the gateway
//!    (foreign `Origin`, and a `Host` that only pretends to be this machine), and who asks is found by his token;
//! 2. [`admit`] comes before each handler, with what its route needs ([`Table`](super::table::Table)).
//!
//! Without a file of tokens whoever is on this machine may do everything; the configuration sees to it that nobody else can
//! connect then.

mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;
pub(crate) use token::{Role, TokenFile, Tokens};

/// Who may use the gateway's API.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// None: whoever is on this machine.
    tokens: Option<Arc<Tokens>>,
}

/// Who asks; a handler gets it as `Extension<Caller>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Of the token; none without a file of tokens.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) role: Role,
}

impl Caller {
    /// For what only part of a route needs.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!("this needs a token with the role `{role}`; yours has `{}`", self.role);
        Err(Problem::new(StatusCode::FORBIDDEN, detail).of_kind("role"))
    }
}

/// What a route needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// None: everybody may.
    pub(super) role: Option<Role>,
    /// It is in the shape of another product.
    pub(super) is_foreign: bool,
}

impl Need {
    pub(super) const fn of(role: Role) -> Self {
        Self { role: Some(role), is_foreign: false }
    }
}

impl Access {
    pub(crate) fn new(tokens: Option<Arc<Tokens>>) -> Self {
        Self { tokens }
    }

    /// Who asks.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(tokens) = &self.tokens else { return Ok(Caller { name: None, role: Role::Admin }) };
        let refuse = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let given = headers.get(AUTHORIZATION).ok_or_else(|| {
            refuse("a token is needed: `Authorization: Bearer TOKEN`; `tidegate token add` makes one")
        })?;
        let token = given.to_str().ok().and_then(token).ok_or_else(|| {
            refuse("`Authorization` holds neither `Bearer TOKEN` nor `Basic` with the token as the password")
        })?;
        tokens.find(&token).ok_or_else(|| refuse("this token is not known"))
    }
}

/// The token of an `Authorization`. API keys of EMQX come as Basic.
fn token(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(decoded.split_once(':')?.1.to_owned())
}

/// Middleware before everything.
pub(super) async fn gate(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if access.tokens.is_none() && !is_here(headers) {
        let detail = "this gateway answers only to its own machine: use localhost or a loopback address; for others \
                      `http.tokens` has to name a file of tokens";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response();
    }
    if is_elsewhere(headers) {
        let detail = "the request comes from a page of another origin";
        return Problem::new(StatusCode::FORBIDDEN, detail).of_kind("origin").into_response();
    }
    let caller = access.caller(headers);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let by = caller.as_ref().ok().and_then(|caller| caller.name.clone());
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    if !method.is_safe() {
        let (by, status) = (by.as_deref().unwrap_or_default(), response.status().as_u16());
        tracing::info!(by, %method, path, status, "HTTP");
    }
    response
}

/// Middleware before a handler.
pub(super) async fn admit(need: Need, mut request: Request, next: Next) -> Response {
    let Some(role) = need.role else { return next.run(request).await };
    let caller = request.extensions_mut().remove::<Result<Caller, Problem>>();
    let caller = match caller {
        Some(Ok(caller)) => caller,
        Some(Err(problem)) => return challenge(problem),
        None => return challenge(Problem::new(StatusCode::UNAUTHORIZED, "nobody knows who asks")),
    };
    if let Err(problem) = caller.require(role).and_then(|()| check_mark(need, &request)) {
        return problem.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Not for Basic: a browser would ask for a password by itself, and send it along with everything from then on.
fn challenge(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidegate\""));
    response
}

/// Whether `Host` is this machine. A page whose own name leads to a loopback address (DNS rebinding) says its name there; what
/// is no browser may leave it out.
fn is_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a page of another origin asks: its browser says so.
fn is_elsewhere(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// What changes something must be something that a form of a foreign page cannot send.
fn check_mark(need: Need, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if request.method().is_safe() || request.method() == Method::TRACE || headers.contains_key(MARK) {
        return Ok(());
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if MEANT.contains(&essence.as_str()) {
        return Ok(());
    }
    // A tool is no browser, which says where it comes from.
    let is_browser = BROWSER.iter().any(|name| headers.contains_key(*name));
    if need.is_foreign && !is_browser && !FORM.contains(&essence.as_str()) {
        return Ok(());
    }
    let detail = "a request that changes something needs `Content-Type: application/json`, or the header `X-Tidegate: 1`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).of_kind("mark"))
}

const MARK: &str = "x-tidegate";
/// What no form can send.
const MEANT: [&str; 6] = [
    "application/json",
    "application/problem+json",
    "application/wasm",
    "application/javascript",
    "text/javascript",
    "application/octet-stream",
];
const FORM: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];
const BROWSER: [&str; 4] = ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"];

#[cfg(test)]
mod tests;
