//! What happens, as server-sent events (HTML, 9.2): for the dashboard, and for whoever waits for a notification.
//!
//! The bridge hands on what it has ([`Feed`](crate::bridge::Feed)); it becomes JSON here, on the side of the reader. Keys and passwords are
//! left out.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::format::{self, Scope};
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Asked, Content, End, Event, Failure};
use utoipa::IntoParams;

use super::access::Role;
use super::client::operation;
use super::operation::{Sampled, code};
use super::problem::Problem;
use super::table::Table;
use super::{View, time};
use crate::bridge::{Failed, Happening, Reader, What, asker};
use crate::mqtt::Publication;

pub(super) fn routes() -> Table {
    Table::new().get("/api/v1/events", Role::Read, events)
}

/// What a reader wants to see.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only these, with commas between them: registered, updated, deregistered, notified, sent, answered, failed, fault,
    /// publication, message, sample, log, translators.
    types: Option<String>,
    /// Only what is about this client.
    endpoint: Option<String>,
}

/// The same, understood.
#[derive(Debug)]
struct Filter {
    /// All, if it is empty.
    types: BTreeSet<&'static str>,
    endpoint: Option<String>,
}

impl TryFrom<Wanted> for Filter {
    type Error = Problem;

    fn try_from(wanted: Wanted) -> Result<Self, Problem> {
        let typed = wanted.types.unwrap_or_default();
        let known = |name: &str| {
            let known = TYPES.into_iter().find(|of| *of == name);
            known.ok_or_else(|| Problem::bad("types", format!("`{name}` is none of {}", TYPES.join(", "))))
        };
        let names = typed.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self { types: names.map(known).collect::<Result<_, _>>()?, endpoint: wanted.endpoint })
    }
}

impl Filter {
    fn wants(&self, what: &What) -> bool {
        (self.types.is_empty() || self.types.contains(name(what)))
            && self.endpoint.as_ref().is_none_or(|wanted| about(what) == Some(wanted))
    }
}

/// What happens from now on.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Wanted),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 400, body = Problem)))]
pub(super) async fn events(
    State(view): State<View>,
    Query(wanted): Query<Wanted>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let filter = Filter::try_from(wanted)?;
    let reader = view.feed.read();
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(unfold((view, filter, reader), next)).keep_alive(alive))
}

type Reading = (View, Filter, Reader);

async fn next((view, filter, mut reader): Reading) -> Option<(Result<Sent, Infallible>, Reading)> {
    let (name, data) = loop {
        match reader.next().await? {
            Err(missed) => break ("lagged", json!({ "type": "lagged", "missed": missed })),
            Ok(happening) if filter.wants(&happening.what) => {
                break (name(&happening.what), told(&happening, &view.models.load()));
            }
            Ok(_) => {}
        }
    };
    let event = Sent::default().event(name).data(data.to_string());
    Some((Ok(event), (view, filter, reader)))
}

fn name(what: &What) -> &'static str {
    match what {
        What::Event(event) => match event {
            Event::Registered { .. } => "registered",
            Event::Updated { .. } => "updated",
            Event::Ended { .. } => "deregistered",
            Event::Answered { .. } => "answered",
            Event::Notified { .. } => "notified",
            Event::Sent { .. } => "sent",
            Event::Progressed { .. } => "progressed",
            Event::Failed { .. } => "failed",
            Event::Refused { .. } => "refused",
        },
        What::Published { .. } => "publication",
        What::Message(_) => "message",
        What::Failed(_) => "fault",
        What::Told(name, _) => name,
    }
}

/// The client that it is about.
fn about(what: &What) -> Option<&str> {
    match what {
        What::Event(
            Event::Registered { registration, .. }
            | Event::Updated { registration, .. }
            | Event::Ended { registration, .. }
            | Event::Answered { registration, .. }
            | Event::Notified { registration, .. }
            | Event::Sent { registration, .. }
            | Event::Progressed { registration, .. },
        ) => Some(&registration.endpoint),
        What::Event(Event::Failed { endpoint, .. } | Event::Refused { endpoint, .. }) => Some(endpoint),
        What::Failed(failed) if failed.direction == "uplink" => Some(&failed.about),
        What::Failed(_) | What::Published { .. } | What::Message(_) | What::Told(..) => None,
    }
}

/// Its data.
fn told(happening: &Happening, models: &Models) -> Json {
    let mut data = match &happening.what {
        What::Event(event) => self::event(event, models),
        What::Published { publication, is_secret } => self::publication(publication, *is_secret),
        // What is written may be a key; nobody knows before a translator has read it.
        What::Message(of) => publication(of, true),
        What::Failed(Failed { translator, direction, cause, about, outcome, reason }) => json!({
            "translator": translator, "direction": direction, "cause": cause, "about": about,
            "outcome": outcome, "reason": reason,
        }),
        What::Told(_, data) => data.clone(),
    };
    data["type"] = name(&happening.what).into();
    if let Some(endpoint) = about(&happening.what) {
        data["endpoint"] = endpoint.into();
    }
    if data["at"].is_null() {
        data["at"] = time::of_millis(happening.at).into();
    }
    data
}

fn event(event: &Event, models: &Models) -> Json {
    match event {
        Event::Registered { registration, .. } | Event::Updated { registration, .. } => {
            json!({ "address": registration.peer.address, "lifetime_s": registration.lifetime })
        }
        Event::Ended { reason, .. } => {
            let reason = match reason {
                End::Deregistered => "deregistered",
                End::Expired => "expired",
                End::Removed => "removed",
            };
            json!({ "reason": reason })
        }
        Event::Notified { registration, asked, code, content, .. } => {
            answer(registration, asked, *code, content, models)
        }
        Event::Answered { registration, asked, code, content, .. } => {
            let mut data = answer(registration, asked, *code, content, models);
            data["operation"] = operation(asked.operation).into();
            data
        }
        Event::Sent { registration, content, .. } => {
            json!({ "values": values(registration, Path::root(), content, models) })
        }
        Event::Progressed { asked, .. } => {
            json!({ "operation": operation(asked.operation), "path": asked.path.to_string() })
        }
        Event::Failed { asked, failure, .. } => json!({
            "operation": operation(asked.operation), "path": asked.path.to_string(),
            "asked_by": asker(&asked.context), "reason": reason(failure),
        }),
        Event::Refused { peer, reason, .. } => {
            json!({ "address": peer.address, "reason": format!("{reason:?}").to_lowercase() })
        }
    }
}

fn reason(of: &Failure) -> String {
    match of {
        Failure::Invalid(reason) => format!("invalid: {reason}"),
        Failure::Timeout => "timeout".to_owned(),
        Failure::Reset => "reset".to_owned(),
        Failure::Unreachable => "unreachable".to_owned(),
        Failure::UnknownClient => "unknown-client".to_owned(),
        Failure::Expired => "expired".to_owned(),
        Failure::QueueFull => "queue-full".to_owned(),
        Failure::Ended => "ended".to_owned(),
    }
}

fn answer(of: &Arc<Registration>, asked: &Asked, code: u8, content: &Content, models: &Models) -> Json {
    let values = if code >> 5 == 2 { values(of, asked.path, content, models) } else { Vec::new() };
    json!({
        "path": asked.path.to_string(), "code": self::code(code), "asked_by": asker(&asked.context), "values": values,
    })
}

/// What a content says; nothing if it cannot be read.
fn values(of: &Registration, path: Path, content: &Content, models: &Models) -> Vec<Sampled> {
    let definitions = Defined::new(models, of);
    let scope = Scope { alternate_path: &of.alternate_path, ..Scope::new(path, &definitions) };
    let mut samples = Vec::new();
    if format::decode_into(content.format, &scope, &content.payload, &mut samples).is_err() {
        return Vec::new();
    }
    samples.iter().take(MOST_VALUES).map(|sample| Sampled::of(sample, of, models)).collect()
}

/// Of what is longer, the beginning; of what may hold a secret, nothing.
fn publication(of: &Publication, is_secret: bool) -> Json {
    let shown = of.payload.get(..MOST_BYTES).unwrap_or(&of.payload);
    let mut data = json!({
        "topic": of.topic, "qos": of.qos as u8, "retain": of.retain, "bytes": of.payload.len(),
        "cut": shown.len() < of.payload.len(),
    });
    if is_secret {
        data["hidden"] = true.into();
        return data;
    }
    match std::str::from_utf8(shown) {
        Ok(text) => data["payload"] = text.into(),
        // A letter that was cut in two.
        Err(error) if error.error_len().is_none() => {
            data["payload"] = String::from_utf8_lossy(&shown[..error.valid_up_to()]).into();
        }
        Err(_) => data["base64"] = STANDARD.encode(shown).into(),
    }
    data
}

const TYPES: [&str; 15] = [
    "registered",
    "updated",
    "deregistered",
    "notified",
    "sent",
    "answered",
    "failed",
    "progressed",
    "refused",
    "fault",
    "publication",
    "message",
    "sample",
    "log",
    "translators",
];
/// After such a silence something is said, so that nobody in between takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(15);
/// Of one message.
const MOST_VALUES: usize = 256;
const MOST_BYTES: usize = 1_024;
