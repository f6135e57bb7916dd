//! The routes, each with the role that it needs beside it: what is not in a [`Table`] is not served, and a test walks it.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, on};

use super::View;
use super::access::{Need, Role, admit};

/// Routes of one part of the API. Each part has a function `routes() -> Table`; `router` of `admin` merges them.
#[derive(Debug, Default)]
pub(super) struct Table {
    router: Router<View>,
    routes: Vec<Route>,
}

/// One of them, for the test that walks them, and for the one that compares them with the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: Method,
    /// As axum writes it: `/clients/:endpoint`.
    pub(super) path: &'static str,
    pub(super) need: Need,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// What everybody may get, and never tells anything of this gateway: whether it is healthy, and the dashboard's files.
    pub(super) fn open<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        self.add(Method::GET, path, Need::default(), handler)
    }

    pub(super) fn get<H, T>(self, path: &'static str, role: Role, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        self.add(Method::GET, path, Need::of(role), handler)
    }

    pub(super) fn post<H, T>(self, path: &'static str, role: Role, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        self.add(Method::POST, path, Need::of(role), handler)
    }

    pub(super) fn delete<H, T>(self, path: &'static str, role: Role, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        self.add(Method::DELETE, path, Need::of(role), handler)
    }

    /// A route in the shape of another product, whose tools know nothing of the header that ours asks for.
    pub(super) fn foreign<H, T>(self, method: Method, path: &'static str, role: Role, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        self.add(method, path, Need { is_foreign: true, ..Need::of(role) }, handler)
    }

    fn add<H, T>(mut self, method: Method, path: &'static str, need: Need, handler: H) -> Self
    where
        H: Handler<T, View>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let route = on(filter, handler).route_layer(from_fn(move |request, next| admit(need, request, next)));
        self.router = self.router.route(path, route);
        self.routes.push(Route { method, path, need });
        self
    }

    /// With the routes of another part.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.routes.extend(other.routes);
        self
    }

    pub(super) fn into_router(self) -> Router<View> {
        self.router
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }
}
