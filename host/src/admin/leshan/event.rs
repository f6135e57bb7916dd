//! What happens, as Leshan's demo server streams it (`/api/event`).
//!
//! Of its events there are not: `SLEEPING` and `AWAKE`, as nobody is told when a client falls asleep, and `COAPLOG`, for which there is
//! `/api/v1/clients/{endpoint}/trace`.

use std::convert::Infallible;

use axum::extract::{Query, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tidegate_proto::lwm2m::format::{self, Scope};
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Content, Event};
use tidegate_proto::lwm2m::value::Sample;
use utoipa::IntoParams;

use super::super::View;
use super::answer::{status, visible};
use super::{node, registration};
use crate::bridge::{Desk, Reader, What};
use crate::net::Known;

/// What a reader wants to see. Others are passed over: tools write the name of a client in any way.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Wanted {
    /// Only what is about this client.
    ep: Option<String>,
}

/// What happens from now on: `REGISTRATION`, `UPDATED`, `DEREGISTRATION`, `NOTIFICATION`, `SEND`, and `REQUEST_RESPONSE` for what
/// waited for a sleeping client.
#[utoipa::path(get, path = "/api/event", tag = "Leshan", params(Wanted),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
pub(in super::super) async fn events(
    State(view): State<View>,
    Query(Wanted { ep }): Query<Wanted>,
) -> Sse<impl Stream<Item = Result<Sent, Infallible>>> {
    let reader = view.feed.read();
    Sse::new(unfold((view, ep, reader), next)).keep_alive(KeepAlive::default())
}

type Reading = (View, Option<String>, Reader);

async fn next((view, ep, mut reader): Reading) -> Option<(Result<Sent, Infallible>, Reading)> {
    let (name, data) = loop {
        // Who is slow misses some, as there.
        let Ok(happening) = reader.next().await? else { continue };
        let What::Event(event) = &happening.what else { continue };
        let Some((endpoint, name, data)) = told(&view, event) else { continue };
        if ep.as_ref().is_none_or(|ep| *ep == *endpoint) {
            break (name, data);
        }
    };
    Some((Ok(Sent::default().event(name).data(data.to_string())), (view, ep, reader)))
}

/// Whom an event is about, its name there, and its data.
fn told(view: &View, event: &Event) -> Option<(String, &'static str, Json)> {
    let models = view.models.load();
    let (of, name, data) = match event {
        Event::Registered { registration, .. } => (registration, "REGISTRATION", shown(view, registration)),
        Event::Updated { registration: of, .. } => {
            let update = json!({
                "registrationId": registration::id(of),
                "address": of.peer.address.to_string(),
                "lifetime": of.lifetime,
                "objectLinks": registration::object_links(&of.links),
            });
            (of, "UPDATED", json!({ "registration": shown(view, of), "update": update }))
        }
        Event::Ended { registration, .. } => (registration, "DEREGISTRATION", shown(view, registration)),
        Event::Notified { registration: of, asked, code, content, .. } if code >> 5 == 2 => {
            let samples = samples(of, asked.path, content, &models);
            (of, "NOTIFICATION", notified(of, (asked.operation, asked.path), &samples))
        }
        Event::Sent { registration: of, content, .. } => {
            let samples = samples(of, Path::root(), content, &models);
            (of, "SEND", json!({ "ep": &*of.endpoint, "val": by_resource(&samples) }))
        }
        Event::Answered { registration: of, asked, code, .. } => {
            // What did not wait has been answered at once, and its ticket is gone.
            let ticket = view.operator.find(Desk::ticket(&asked.context)?)?;
            let is_success = code >> 5 == 2;
            let response = json!({ "status": status(*code), "valid": true, "success": is_success, "failure": !is_success });
            let path = asked.path.to_string();
            let data = json!({ "ep": &*of.endpoint, "path": path, "requestId": &*ticket.id, "response": response, "delayed": true });
            (of, "REQUEST_RESPONSE", data)
        }
        _ => return None,
    };
    Some((of.endpoint.to_string(), name, data))
}

fn notified(
    of: &Registration,
    (operation, path): (OperationName, Path),
    samples: &[Sample<'static>],
) -> Json {
    if operation == OperationName::ObserveComposite {
        let paths: Vec<String> = samples.iter().map(|sample| sample.path.truncated(3).to_string()).collect();
        return json!({ "ep": &*of.endpoint, "kind": "composite", "val": by_resource(samples), "paths": paths });
    }
    let val = node::of(path, &samples.iter().collect::<Vec<_>>());
    json!({ "ep": &*of.endpoint, "kind": "single", "res": path.to_string(), "val": val })
}

/// The resources, by their paths.
fn by_resource(samples: &[Sample<'static>]) -> Json {
    let mut paths: Vec<Path> = samples.iter().map(|sample| sample.path.truncated(3)).collect();
    paths.sort_unstable();
    paths.dedup();
    node::composite(&paths, &samples.iter().collect::<Vec<_>>())
}

fn samples(of: &Registration, path: Path, content: &Content, models: &Models) -> Vec<Sample<'static>> {
    let definitions = Defined::new(models, of);
    let scope = Scope { alternate_path: &of.alternate_path, ..Scope::new(path, &definitions) };
    let mut samples = Vec::new();
    // What cannot be read has no node.
    let _ = format::decode_into(content.format, &scope, &content.payload, &mut samples);
    visible(samples.into_iter().map(Sample::into_owned), models)
}

fn shown(view: &View, of: &std::sync::Arc<Registration>) -> Json {
    let unknown = || Known { registration: std::sync::Arc::clone(of), registered: 0, updated: 0, shard: 0 };
    registration::shown(&view.directory.known(&of.endpoint).unwrap_or_else(unknown), of, None)
}
