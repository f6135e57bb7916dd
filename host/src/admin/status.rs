//! How the gateway stands: `/healthz`, `/readyz`, `/status`, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::access::Role;
use super::problem::Problem;
use super::table::Table;
use super::{View, load, metrics, series, time};
use crate::mqtt::SessionGauge;
use crate::net::Clock;
use crate::net::count::Totals;

pub(super) fn routes() -> Table {
    Table::new()
        .open("/healthz", health)
        .open("/readyz", ready)
        .get("/status", Role::Read, status)
        .get("/api/v1/status", Role::Read, standing)
        .get("/api/v1/translators", Role::Read, translators)
        .get("/metrics", Role::Read, metrics)
}

/// How the gateway stands.
#[utoipa::path(get, path = "/api/v1/status", tag = "gateway", responses((status = 200, description = "How it stands", body = Object)))]
pub(super) async fn standing(State(view): State<View>) -> Json<Value> {
    let uptime = Clock::timestamp().saturating_sub(view.started);
    let (outbox, counts, connection) =
        (view.outbox.counts(), view.session.counts(), view.session.connection());
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time::of_millis(view.started),
        "uptime_s": uptime / 1000,
        "clients": view.directory.len(),
        "mqtt": {
            "broker": view.session.broker(),
            "connected": connection.connected,
            "subscribed": connection.subscribed,
            "error": connection.error,
            "published": counts.published,
            "acknowledged": counts.acknowledged,
            "received": counts.received,
            "connections": counts.connections,
            "failures": counts.failures,
            "refused": counts.refused,
        },
        "outbox": {
            "waiting": outbox.waiting,
            "bytes": outbox.bytes,
            "dropped": outbox.dropped,
            "lost": outbox.lost,
            "degraded": outbox.degraded > 0,
        },
        "load": load::status(&Totals::of(&view.tallies), view.receivers.dropped()),
        "store": view.store.as_ref().map(load::store_status),
        "process": { "resident_bytes": series::resident_bytes(), "cpu_s": series::cpu_seconds() },
        "translators": view.translators.load().keys().collect::<Vec<_>>(),
    }))
}

/// How each translator stands.
#[utoipa::path(get, path = "/api/v1/translators", tag = "gateway", responses((status = 200, description = "All of them", body = Object)))]
pub(super) async fn translators(State(view): State<View>) -> Json<Value> {
    let board = view.translators.load_full();
    let data = board.iter().map(|(name, of)| {
        let mut data = of.clone();
        if let Value::Object(fields) = &mut data {
            fields.insert("name".into(), name.as_str().into());
        }
        data
    });
    Json(json!({ "data": data.collect::<Vec<_>>() }))
}

/// That it runs.
#[utoipa::path(get, path = "/healthz", tag = "gateway", responses((status = 200, description = "It runs", body = String, content_type = "text/plain")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Whether clients can be served to the end: the broker is connected and has answered the subscriptions.
#[utoipa::path(get, path = "/readyz", tag = "gateway", responses(
    (status = 200, description = "Ready", body = String, content_type = "text/plain"),
    (status = 503, description = "Not now", body = Problem)))]
pub(super) async fn ready(State(view): State<View>) -> Result<&'static str, Problem> {
    let connection = view.session.connection();
    if connection.connected && connection.subscribed {
        return Ok("ready\n");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the MQTT broker is not connected"))
}

/// How the gateway stands.
#[utoipa::path(get, path = "/status", tag = "gateway", responses((status = 200, description = "How it stands", body = Object)))]
pub(super) async fn status(State(view): State<View>) -> impl IntoResponse {
    let translators = view.translators.load_full();
    let outbox = view.outbox.counts();
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "clients": view.directory.len(),
        "translators": *translators,
        "mqtt": mqtt(&view.session),
        "outbox": {
            "waiting": outbox.waiting,
            "bytes": outbox.bytes,
            "recovered": outbox.recovered,
            "dropped": outbox.dropped,
            "unreadable": outbox.unreadable,
            "damaged-files": outbox.damaged,
            "lost": outbox.lost,
            "degraded": outbox.degraded > 0,
        },
        "load": load::status(&Totals::of(&view.tallies), view.receivers.dropped()),
        "store": view.store.as_ref().map(load::store_status),
    });
    ([(CONTENT_TYPE, "application/json")], format!("{status}\n"))
}

fn mqtt(session: &SessionGauge) -> Value {
    let (connection, counts) = (session.connection(), session.counts());
    let refused = connection.refused.iter();
    let refused = refused.map(|it| json!({ "filter": it.filter, "reason": it.reason })).collect::<Vec<_>>();
    let publication = connection.refused_publication;
    json!({
        "broker": session.broker(),
        "connected": connection.connected,
        "subscribed": connection.subscribed,
        "error": connection.error,
        "refused-subscriptions": refused,
        "refused-publication": publication.map(|it| json!({ "topic": it.topic, "reason": it.reason })),
        "connections": counts.connections,
        "failures": counts.failures,
        "published": counts.published,
        "acknowledged": counts.acknowledged,
        "received": counts.received,
        "dropped": { "refused": counts.refused, "unfit": counts.unfit, "untaken": counts.untaken },
    })
}

/// What was counted, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "gateway",
    responses((status = 200, description = "Counters", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(view): State<View>) -> impl IntoResponse {
    let routing = view.routing.load_full();
    let clients = view.directory.len();
    let (slots, serving) = (routing.slots(), routing.serving().len());
    let mut text = metrics::render(slots, serving, clients, &view.outbox.counts(), &view.session);
    text += &load::metrics(&Totals::of(&view.tallies), view.receivers.dropped(), view.store.as_ref());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
