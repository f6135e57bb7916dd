//! `[http]`: what an operator's tools ask a running gateway.
//!
//! [`listener`] accepts; [`access`] says who may do what; [`status`] and the other parts have the routes, each with the role that
//! it needs ([`table`](mod@table)); what cannot be answered is a [`problem`]. Started by `app`. Nothing here is on the way of a
//! notification: it reads what others have left.

// What utoipa writes for a handler has more of them than it needs.
#![allow(unused_qualifications)]

mod access;
mod ask;
mod client;
mod credential;
mod emqx;
mod event;
mod leshan;
mod listener;
mod load;
mod metrics;
mod model;
mod openapi;
mod operation;
mod page;
mod problem;
mod series;
mod status;
mod table;
mod time;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tidegate_proto::lwm2m::model::Models;
use tokio::sync::{Semaphore, mpsc, watch};

pub(crate) use self::access::Access;
pub(crate) use self::access::{Role, TokenFile, Tokens};
use self::listener::{CONNECTIONS, Tls};
pub(crate) use self::series::Series;
use self::table::Table;
use crate::bridge::{Answers, Feed, Operator, Routing};
use crate::config::Http;
use crate::deployment::Board;
use crate::mqtt::{Gauge, Publication, SessionGauge};
use crate::net::{Clock, Directory, ReceiveBuffers, ShardHandle, Tally};
use crate::store;

/// What there is to see.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) translators: Board,
    pub(crate) routing: Arc<ArcSwap<Routing>>,
    pub(crate) models: Arc<ArcSwap<Models>>,
    pub(crate) directory: Arc<Directory>,
    /// All shards, by number.
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) clock: Clock,
    /// Who asks clients on behalf of an operator.
    pub(crate) operator: Operator,
    /// The last answers that were published.
    pub(crate) answers: Answers,
    /// What happens.
    pub(crate) feed: Feed,
    /// How much has gone through lately.
    pub(crate) series: Series,
    /// When this process began, milliseconds since 1970.
    pub(crate) started: i64,
    /// Takes commands as if they had come from the broker.
    pub(crate) commands: mpsc::WeakSender<Publication>,
    /// `credentials.toml`; none if nobody uses DTLS.
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) session: SessionGauge,
    pub(crate) outbox: Gauge,
    pub(crate) tallies: Vec<Arc<Tally>>,
    pub(crate) receivers: ReceiveBuffers,
    /// None if nothing is kept.
    pub(crate) store: Option<store::Gauge>,
}

/// Sockets that listen, and what decides who may use them.
#[derive(Debug)]
pub(crate) struct Door {
    listeners: Vec<TcpListener>,
    tls: Option<Arc<Tls>>,
    tokens: Option<Arc<Tokens>>,
    max_body: usize,
}

impl Door {
    /// Listens and reads tokens and certificate, so that what is wrong with them is told before anything runs.
    pub(crate) fn open(http: &Http) -> anyhow::Result<Self> {
        let bind = |address| listener::bind(address).with_context(|| format!("[http] listen: {address}"));
        let listeners = http.listen.iter().copied().map(bind).collect::<anyhow::Result<_>>()?;
        let tokens = http.tokens.as_deref().filter(|_| !http.listen.is_empty()).map(Tokens::open);
        let tokens = tokens.transpose().context("http.tokens")?.map(Arc::new);
        let tls = http.certificate.clone().map(|(certificate, key)| Tls::open(certificate, key));
        let tls = tls.transpose()?.map(Arc::new);
        if let (None, Some(address)) = (&tls, http.listen.iter().find(|address| !address.ip().is_loopback()))
        {
            tracing::warn!(%address, "HTTP without TLS: tokens cross the network in the clear; see `http.certificate`");
        }
        Ok(Self { listeners, tls, tokens, max_body: http.max_body })
    }

    /// Who may use it; none: whoever is on this machine.
    pub(crate) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.tokens.clone()
    }

    /// Answers until `stop` changes. Needs a tokio runtime.
    pub(crate) fn serve(self, view: &View, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        if !self.listeners.is_empty() {
            Series::start(view.clone(), stop.clone());
        }
        let access = Access::new(self.tokens);
        let router = router(view.clone(), access, self.max_body);
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (tls, room) = (self.tls.clone(), Arc::clone(&room));
            tokio::spawn(listener::serve(listener, tls, router.clone(), room, stop.clone()));
        }
        Ok(())
    }
}

fn router(view: View, access: Access, max_body: usize) -> axum::Router {
    table()
        .into_router()
        .with_state(view)
        .layer(DefaultBodyLimit::max(max_body))
        .layer(from_fn_with_state(access, access::gate))
        .layer(from_fn(problem::dress))
}

/// All that is served: a line for each part.
fn table() -> Table {
    Table::new()
        .merge(status::routes())
        .merge(client::routes())
        .merge(operation::routes())
        .merge(model::routes())
        .merge(credential::routes())
        .merge(emqx::routes())
        .merge(event::routes())
        .merge(series::routes())
        .merge(page::routes())
        .merge(leshan::routes())
        .merge(openapi::routes())
}

#[cfg(test)]
mod tests;
