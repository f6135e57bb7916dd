//! Clients as EMQX shows them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_proto::lwm2m::server::Facts;
use utoipa::{IntoParams, ToSchema};

use super::super::client::{Filter, Listing, Sort, page, remove, version};
use super::super::problem::Problem;
use super::super::{View, ask, time};
use super::EmqxError;
use crate::net::Known;

/// What EMQX knows for the list. What is not of LwM2M fits all clients or none: `conn_state` is `connected` for all.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Wanted {
    #[param(minimum = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    #[allow(dead_code)] // there is one node
    node: Option<String>,
    clientid: Option<String>,
    username: Option<String>,
    ip_address: Option<String>,
    conn_state: Option<String>,
    proto_ver: Option<String>,
    clean_start: Option<bool>,
    like_clientid: Option<String>,
    like_username: Option<String>,
    /// RFC 3339, or milliseconds since 1970.
    gte_created_at: Option<String>,
    lte_created_at: Option<String>,
    gte_connected_at: Option<String>,
    lte_connected_at: Option<String>,
    endpoint_name: Option<String>,
    like_endpoint_name: Option<String>,
    gte_lifetime: Option<u32>,
    lte_lifetime: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct EmqxClients {
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
    meta: Meta,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmqxMeta)]
pub(in super::super) struct Meta {
    page: usize,
    limit: usize,
    count: usize,
    hasnext: bool,
}

/// Clients, a page of them.
#[utoipa::path(get, path = "/api/v5/gateways/lwm2m/clients", tag = "EMQX", params(Wanted),
    responses((status = 200, body = EmqxClients), (status = 400, body = EmqxError)))]
pub(in super::super) async fn list(
    State(view): State<View>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<EmqxClients>, Problem> {
    let listing = listing(&wanted)?;
    let (page_number, limit) = (listing.page, listing.limit);
    let (known, count) = page(&view, listing).await?;
    let facts = ask::facts(&view, &known).await;
    let data = known.iter().zip(&facts).map(|(known, facts)| shown(&view, known, facts.as_ref())).collect();
    let hasnext = page_number.saturating_mul(limit) < count;
    Ok(Json(EmqxClients { data, meta: Meta { page: page_number, limit, count, hasnext } }))
}

fn listing(wanted: &Wanted) -> Result<Listing, Problem> {
    let date = |field: &str, typed: &Option<String>| match typed {
        None => Ok(None),
        Some(typed) => {
            let millis = typed.parse::<i64>().ok().map(|millis| millis.div_euclid(1000));
            let seconds = millis.or_else(|| time::parse(typed));
            seconds.map(Some).ok_or_else(|| Problem::bad(field, format!("`{typed}` is no time")))
        }
    };
    let most = |one: Option<i64>, other: Option<i64>| one.max(other);
    let least = |one: Option<i64>, other: Option<i64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let address = wanted.ip_address.as_deref().map(|typed| {
        typed.parse().map_err(|_| Problem::bad("ip_address", format!("`{typed}` is no IP address")))
    });
    let is_nobody = wanted.conn_state.as_deref().is_some_and(|state| state != "connected")
        || wanted.clean_start == Some(false);
    let like = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
    let filter = Filter {
        endpoint: wanted.endpoint_name.clone(),
        search: like(&wanted.like_endpoint_name),
        address: address.transpose()?,
        version: wanted.proto_ver.clone(),
        lifetime: (wanted.gte_lifetime, wanted.lte_lifetime),
        registered: (
            most(
                date("gte_created_at", &wanted.gte_created_at)?,
                date("gte_connected_at", &wanted.gte_connected_at)?,
            ),
            least(
                date("lte_created_at", &wanted.lte_created_at)?,
                date("lte_connected_at", &wanted.lte_connected_at)?,
            ),
        ),
        parameters: [
            ("device_id", wanted.clientid.clone(), like(&wanted.like_clientid)),
            ("imei", wanted.username.clone(), like(&wanted.like_username)),
        ]
        .into_iter()
        .filter(|(_, whole, part)| whole.is_some() || part.is_some())
        .collect(),
        is_nobody,
        ..Filter::default()
    };
    let listing = Listing::new(filter, wanted.page.unwrap_or(1), wanted.limit.unwrap_or(100))?;
    // The newest first, as there.
    Ok(Listing { sort: Sort::Registered, is_downwards: true, ..listing })
}

/// A client.
#[utoipa::path(get, path = "/api/v5/gateways/lwm2m/clients/{clientid}", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1")),
    responses((status = 200, body = Object), (status = 404, body = EmqxError)))]
pub(in super::super) async fn show(
    State(view): State<View>,
    Path(clientid): Path<String>,
) -> Result<Json<Value>, Problem> {
    let known = find(&view, &clientid)?;
    let facts = ask::facts(&view, std::slice::from_ref(&known)).await.pop().flatten();
    Ok(Json(shown(&view, &known, facts.as_ref())))
}

/// Ends a registration.
#[utoipa::path(delete, path = "/api/v5/gateways/lwm2m/clients/{clientid}", tag = "EMQX",
    params(("clientid" = String, description = "Client id or endpoint name", example = "urn:imei:1")),
    responses((status = 204, description = "Ended"), (status = 404, body = EmqxError), (status = 503, body = EmqxError)))]
pub(in super::super) async fn kick(
    State(view): State<View>,
    Path(clientid): Path<String>,
) -> Result<StatusCode, Problem> {
    let endpoint = find(&view, &clientid)?.registration.endpoint.to_string();
    remove(State(view), Path(endpoint)).await
}

/// The client of an endpoint name, or else of a client id, which is its `device_id`.
pub(super) fn find(view: &View, clientid: &str) -> Result<Known, Problem> {
    let by_id = || {
        let endpoint = view.directory.endpoint_by_parameter("device_id", clientid);
        endpoint.and_then(|endpoint| view.directory.known(&endpoint)).or_else(|| {
            view.directory.select(|known| known.registration.parameter("device_id") == Some(clientid)).pop()
        })
    };
    view.directory.known(clientid).or_else(by_id).ok_or_else(|| Problem::unknown_client(clientid))
}

fn shown(view: &View, known: &Known, facts: Option<&Facts>) -> Value {
    let registration = Arc::clone(facts.map_or(&known.registration, |facts| &facts.registration));
    let parameter = |name: &str| registration.parameter(name).unwrap_or(&registration.endpoint).to_owned();
    let since = time::of_seconds(known.registered);
    let mut client = json!({
        "node": "tidegate",
        "clientid": parameter("device_id"),
        "username": parameter("imei"),
        "mountpoint": mountpoint(view, &registration),
        "proto_name": "LwM2M",
        "proto_ver": version(registration.version),
        "ip_address": registration.peer.address.ip().to_canonical().to_string(),
        "port": registration.peer.address.port(),
        "is_bridge": false,
        "connected": true,
        "connected_at": since,
        "disconnected_at": null,
        "created_at": since,
        "keepalive": registration.lifetime,
        "clean_start": true,
        "expiry_interval": 0,
        "subscriptions_cnt": 1,
        "subscriptions_max": "infinity",
        "mqueue_len": facts.map_or(0, |facts| facts.queued),
        "endpoint_name": &*registration.endpoint,
        "lifetime": registration.lifetime,
    });
    // What is not counted for each client.
    for name in COUNTERS {
        client[name] = json!(0);
    }
    client
}

fn mountpoint(view: &View, registration: &tidegate_proto::lwm2m::registration::Registration) -> String {
    super::settings(view, registration)
        .map(|settings| {
            super::topic::render(settings["mountpoint"].as_str().unwrap_or_default(), registration).0
        })
        .unwrap_or_default()
}

const COUNTERS: [&str; 17] = [
    "inflight_cnt",
    "inflight_max",
    "mqueue_max",
    "mqueue_dropped",
    "awaiting_rel_cnt",
    "awaiting_rel_max",
    "recv_oct",
    "recv_cnt",
    "recv_pkt",
    "recv_msg",
    "send_oct",
    "send_cnt",
    "send_pkt",
    "send_msg",
    "mailbox_len",
    "heap_size",
    "reductions",
];
