//! Clients: list, search, page, detail, and what is asked of them; ending a registration.
//!
//! The list comes from the directory, so that no shard is asked for more than the clients of one page.

mod listing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use tidegate_proto::lwm2m::format::link;
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::registration::{Registration, Version};
use tidegate_proto::lwm2m::server::{Facts, Observed, Queued};
use utoipa::ToSchema;

use self::listing::Wanted;
use self::listing::select;
pub(super) use self::listing::{Filter, Listing, Sort};
use super::access::Role;
use super::problem::Problem;
use super::table::Table;
use super::{View, ask, time};
use crate::bridge::{self, Routing};
use crate::net::{Command, Known, Question};

pub(super) fn routes() -> Table {
    Table::new()
        .get("/api/v1/clients", Role::Read, list)
        .get("/api/v1/clients/:endpoint", Role::Read, show)
        .delete("/api/v1/clients/:endpoint", Role::Operate, remove)
        .get("/api/v1/clients/:endpoint/observations", Role::Read, observations)
        .get("/api/v1/clients/:endpoint/queue", Role::Read, queue)
}

/// A registered client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Client {
    pub(super) endpoint: String,
    /// Where it was heard last, address and port.
    pub(super) address: String,
    #[schema(example = "udp")]
    transport: &'static str,
    /// Whom its DTLS association has proved.
    identity: Option<String>,
    #[schema(example = "1.1")]
    lwm2m_version: &'static str,
    binding: String,
    queue_mode: bool,
    /// Whether a request would go out now; null if its shard does not answer.
    awake: Option<bool>,
    lifetime_s: u32,
    /// Null if that was before a restart of the gateway.
    registered_at: Option<String>,
    /// The last Register or Update; null if that was before a restart of the gateway.
    updated_at: Option<String>,
    /// The last datagram.
    heard_at: Option<String>,
    /// Unless it is heard before.
    expires_at: Option<String>,
    location: String,
    /// Those that serve it.
    translators: Vec<String>,
}

impl Client {
    fn of(view: &View, routing: &Routing, known: &Known, facts: Option<&Facts>) -> Self {
        let registration = facts.map_or(&known.registration, |facts| &facts.registration);
        let is_secure = registration.peer.is_secure();
        let slots = routing.slots_for(registration).into_iter();
        let at = |instant| time::of_instant(view.clock, instant);
        Self {
            endpoint: registration.endpoint.to_string(),
            address: registration.peer.address.to_string(),
            transport: if is_secure { "dtls" } else { "udp" },
            identity: is_secure.then(|| registration.endpoint.to_string()),
            lwm2m_version: version(registration.version),
            binding: registration.binding.to_string(),
            queue_mode: registration.queue_mode,
            awake: facts.map(|facts| facts.awake),
            lifetime_s: registration.lifetime,
            registered_at: time::of_seconds(known.registered),
            updated_at: time::of_seconds(known.updated),
            heard_at: facts.map(|facts| at(facts.heard)),
            expires_at: facts.map(|facts| at(facts.expires)),
            location: registration.location.to_string(),
            translators: slots.map(|slot| routing.slots()[slot].name().to_owned()).collect(),
        }
    }
}

/// A page of clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Clients {
    data: Vec<Client>,
    meta: Meta,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Meta {
    page: usize,
    limit: usize,
    /// How many there are on all pages.
    count: usize,
    has_next: bool,
}

/// The clients that fit, a page of them.
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients", params(Wanted),
    responses((status = 200, body = Clients), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(view): State<View>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Clients>, Problem> {
    let listing = Listing::try_from(wanted)?;
    let meta = |count| Meta {
        page: listing.page,
        limit: listing.limit,
        count,
        has_next: listing.page.saturating_mul(listing.limit) < count,
    };
    let (known, count) = page(&view, listing.clone()).await?;
    let facts = ask::facts(&view, &known).await;
    let routing = view.routing.load_full();
    let both = known.iter().zip(&facts);
    let data = both.map(|(known, facts)| Client::of(&view, &routing, known, facts.as_ref())).collect();
    Ok(Json(Clients { data, meta: meta(count) }))
}

/// The clients of a page, and how many fit.
pub(super) async fn page(view: &View, listing: Listing) -> Result<(Vec<Known>, usize), Problem> {
    let directory = Arc::clone(&view.directory);
    let selected = tokio::task::spawn_blocking(move || select(&directory, &listing)).await;
    selected.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the list could not be made"))
}

/// A client with what it said of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Detail {
    #[serde(flatten)]
    client: Client,
    objects: Vec<Object>,
    /// As it registered them.
    links: Vec<Link>,
    /// The parameters of its Register and Updates.
    attributes: BTreeMap<String, Option<String>>,
    /// How many observations it has agreed to.
    observations: Option<usize>,
    /// How many requests wait for it.
    queued: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Object {
    id: u16,
    /// As the client says it.
    version: Option<String>,
    instances: Vec<u16>,
    /// Of its definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A link (RFC 6690).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Link {
    pub(super) target: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// A client.
#[utoipa::path(get, path = "/api/v1/clients/{endpoint}", tag = "clients", params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1")),
    responses((status = 200, body = Detail), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(view): State<View>,
    Path(endpoint): Path<String>,
) -> Result<Json<Detail>, Problem> {
    let known = known(&view, &endpoint)?;
    let facts = ask::facts(&view, std::slice::from_ref(&known)).await.pop().flatten();
    let registration = Arc::clone(facts.as_ref().map_or(&known.registration, |facts| &facts.registration));
    Ok(Json(Detail {
        client: Client::of(&view, &view.routing.load(), &known, facts.as_ref()),
        objects: objects(&view, &registration),
        links: links(&registration.links),
        attributes: registration
            .parameters
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_deref().map(str::to_owned)))
            .collect(),
        observations: facts.as_ref().map(|facts| facts.observations),
        queued: facts.as_ref().map(|facts| facts.queued),
    }))
}

fn objects(view: &View, registration: &Registration) -> Vec<Object> {
    let models = view.models.load();
    let mut objects: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for link in registration.objects.iter() {
        let Some(object) = link.path.object() else { continue };
        objects.entry(object).or_default().extend(link.path.instance());
    }
    let object = |(id, instances)| {
        let version = registration.object_version(id);
        let name = models.definition(id, version).map(|definition| definition.name.to_string());
        Object { id, version: version.map(str::to_owned), instances, name }
    };
    objects.into_iter().map(object).collect()
}

/// The links of a payload; none if it holds none.
pub(super) fn links(payload: &[u8]) -> Vec<Link> {
    let links = link::parse(payload).unwrap_or_default().into_iter();
    let attributes = |of: Vec<(&str, std::borrow::Cow<'_, str>)>| {
        of.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    };
    links.map(|of| Link { target: of.target.to_owned(), attributes: attributes(of.attributes) }).collect()
}

/// Ends a registration. Nothing is sent to the client; its next Update is answered 4.04, and it registers anew.
#[utoipa::path(delete, path = "/api/v1/clients/{endpoint}", tag = "clients", params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1")),
    responses((status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn remove(
    State(view): State<View>,
    Path(endpoint): Path<String>,
) -> Result<StatusCode, Problem> {
    let known = known(&view, &endpoint)?;
    let handle = view.shards.get(usize::from(known.shard));
    let command = Command::Remove(Arc::clone(&known.registration.endpoint));
    if handle.is_none_or(|handle| handle.send(command).is_err()) {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the client's shard is busy; try again"));
    }
    ask::settled(&view, known.shard).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What is observed of a client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Observations {
    data: Vec<Observation>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Observation {
    /// Names it while the gateway runs.
    id: u64,
    /// Several for a composite observation.
    paths: Vec<String>,
    composite: bool,
    /// The translator that asked for it, or `operator`.
    asked_by: String,
    /// Whether the client has agreed.
    confirmed: bool,
}

/// What is observed of a client.
#[utoipa::path(get, path = "/api/v1/clients/{endpoint}/observations", tag = "clients", params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1")),
    responses((status = 200, body = Observations), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn observations(
    State(view): State<View>,
    Path(endpoint): Path<String>,
) -> Result<Json<Observations>, Problem> {
    let observed = observed(&view, &endpoint).await?;
    let observation = |of: Observed| Observation {
        id: of.id,
        paths: of.paths.iter().map(ToString::to_string).collect(),
        composite: of.operation == OperationName::ObserveComposite,
        asked_by: bridge::asker(&of.context).to_owned(),
        confirmed: of.stands,
    };
    Ok(Json(Observations { data: observed.into_iter().map(observation).collect() }))
}

/// What is observed of a client.
pub(super) async fn observed(view: &View, endpoint: &str) -> Result<Vec<Observed>, Problem> {
    let known = known(view, endpoint)?;
    let name = Arc::clone(&known.registration.endpoint);
    let observed = ask::one(view, known.shard, |answer| Question::Observed(name, answer)).await?;
    observed.ok_or_else(|| Problem::unknown_client(endpoint))
}

/// What a client has not answered yet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Requests {
    data: Vec<Waiting>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Waiting {
    /// Its place: 1 goes first.
    id: usize,
    #[schema(example = "read")]
    operation: &'static str,
    /// The first of them for composite operations.
    path: String,
    paths: Vec<String>,
    /// Whether it is on its way.
    sent: bool,
    /// Null if it waits as long as the registration lasts.
    expires_at: Option<String>,
    /// The translator that asked for it, or `operator`.
    asked_by: String,
}

/// What a client has not answered yet.
#[utoipa::path(get, path = "/api/v1/clients/{endpoint}/queue", tag = "clients", params(("endpoint" = String, description = "Endpoint name", example = "urn:imei:1")),
    responses((status = 200, body = Requests), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn queue(
    State(view): State<View>,
    Path(endpoint): Path<String>,
) -> Result<Json<Requests>, Problem> {
    let known = known(&view, &endpoint)?;
    let name = Arc::clone(&known.registration.endpoint);
    let queued = ask::one(&view, known.shard, |answer| Question::Queued(name, answer)).await?;
    let queued = queued.ok_or_else(|| Problem::unknown_client(&endpoint))?;
    let waiting = |(place, of): (usize, Queued)| {
        let paths: Vec<String> = of.paths.iter().map(ToString::to_string).collect();
        Waiting {
            id: place + 1,
            operation: operation(of.operation),
            path: paths.first().cloned().unwrap_or_default(),
            paths,
            sent: of.is_sent,
            expires_at: of.deadline.map(|deadline| time::of_instant(view.clock, deadline)),
            asked_by: bridge::asker(&of.context).to_owned(),
        }
    };
    Ok(Json(Requests { data: queued.into_iter().enumerate().map(waiting).collect() }))
}

/// What the directory knows of a client, or that there is none.
pub(super) fn known(view: &View, endpoint: &str) -> Result<Known, Problem> {
    view.directory.known(endpoint).ok_or_else(|| Problem::unknown_client(endpoint))
}

/// The name of an operation in the API.
pub(super) const fn operation(of: OperationName) -> &'static str {
    match of {
        OperationName::Read => "read",
        OperationName::Discover => "discover",
        OperationName::Write => "write",
        OperationName::WriteAttributes => "write-attributes",
        OperationName::Execute => "execute",
        OperationName::Create => "create",
        OperationName::Delete => "delete",
        OperationName::Observe => "observe",
        OperationName::CancelObservation => "cancel-observe",
        OperationName::ReadComposite => "read-composite",
        OperationName::WriteComposite => "write-composite",
        OperationName::ObserveComposite => "observe-composite",
        OperationName::CancelObservationComposite => "cancel-observe-composite",
    }
}

pub(super) const fn version(of: Version) -> &'static str {
    match of {
        Version::V1_0 => "1.0",
        Version::V1_1 => "1.1",
        Version::V1_2 => "1.2",
    }
}
