//! `[http]`: what an operator's tools ask a running gateway.
//!
//! `GET /healthz` says that it runs, `GET /status` how each translator stands, `GET /metrics` what was counted, as
//! Prometheus reads it. Started by `app`. Nothing here is on the way of a notification: it reads what others have left.

mod load;
mod metrics;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::bridge::Routing;
use crate::deployment::Board;
use crate::mqtt::{Gauge, SessionGauge};
use crate::net::count::Totals;
use crate::net::{Directory, ReceiveBuffers, Tally};
use crate::store;

/// What there is to see.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) translators: Board,
    pub(crate) routing: Arc<ArcSwap<Routing>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) session: SessionGauge,
    pub(crate) outbox: Gauge,
    pub(crate) tallies: Vec<Arc<Tally>>,
    pub(crate) receivers: ReceiveBuffers,
    /// None if nothing is kept.
    pub(crate) store: Option<store::Gauge>,
}

/// Listens, so that a port that is taken is told before anything runs.
pub(crate) fn bind(listen: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let bind = |address: &SocketAddr| {
        let listener = TcpListener::bind(address).with_context(|| format!("[http] listen: {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen.iter().map(bind).collect()
}

/// Answers until `stop` changes. Needs a tokio runtime.
pub(crate) fn serve(
    listeners: Vec<TcpListener>,
    view: &View,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = router(view.clone());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let stopped = async move {
                // Also when the gateway is gone without a word.
                let _ = stop.changed().await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "HTTP");
            }
        });
    }
    Ok(())
}

fn router(view: View) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(view)
}

async fn status(State(view): State<View>) -> impl IntoResponse {
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

fn mqtt(session: &SessionGauge) -> Json {
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

async fn metrics(State(view): State<View>) -> impl IntoResponse {
    let routing = view.routing.load_full();
    let clients = view.directory.len();
    let (slots, serving) = (routing.slots(), routing.serving().len());
    let mut text = metrics::render(slots, serving, clients, &view.outbox.counts(), &view.session);
    text += &load::metrics(&Totals::of(&view.tallies), view.receivers.dropped(), view.store.as_ref());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

#[cfg(test)]
mod tests;
