//! Object definitions: those in the box and those of the operator's folder.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use tidegate_proto::lwm2m::model::{Definition, Operations, Resource};
use utoipa::{IntoParams, ToSchema};

use super::View;
use super::access::Role;
use super::operation::value::Type;
use super::problem::Problem;
use super::table::Table;

pub(super) fn routes() -> Table {
    Table::new().get("/api/v1/models", Role::Read, list).get("/api/v1/models/:id", Role::Read, show)
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Part of the name, in upper or lower case, or of the id.
    search: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Models {
    data: Vec<Summary>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelSummary)]
pub(super) struct Summary {
    id: u16,
    version: String,
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct Detail {
    id: u16,
    version: String,
    name: String,
    /// Whether there may be several instances.
    multiple: bool,
    /// Whether every client has it.
    mandatory: bool,
    resources: Vec<Described>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelResource)]
pub(super) struct Described {
    id: u16,
    name: String,
    /// Letters of `R`, `W` and `E`; none if it is for the bootstrap server only.
    #[schema(example = "RW")]
    operations: &'static str,
    #[serde(rename = "type")]
    kind: Type,
    /// Null if it has none.
    units: Option<String>,
    multiple: bool,
    mandatory: bool,
}

/// The definitions, by id and version.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", params(Search), responses((status = 200, body = Models), (status = 400, body = Problem)))]
pub(super) async fn list(State(view): State<View>, Query(Search { search }): Query<Search>) -> Json<Models> {
    let search = search.unwrap_or_default().to_lowercase();
    let models = view.models.load();
    let fits = |of: &&Definition| {
        of.name.to_lowercase().contains(&search) || of.object.to_string().contains(&search)
    };
    let mut found: Vec<&Definition> = models.iter().filter(fits).collect();
    found.sort_unstable_by_key(|of| (of.object, of.version));
    let summary = |of: &Definition| Summary {
        id: of.object,
        version: of.version.to_string(),
        name: of.name.to_string(),
    };
    Json(Models { data: found.into_iter().map(summary).collect() })
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Such as `1.1`; the nearest that there is. Without it that of a client which gives no version.
    version: Option<String>,
}

/// A definition.
#[utoipa::path(get, path = "/api/v1/models/{id}", tag = "models", params(("id" = u16, description = "Object id"), Wanted),
    responses((status = 200, body = Detail), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(view): State<View>,
    Path(id): Path<u16>,
    Query(Wanted { version }): Query<Wanted>,
) -> Result<Json<Detail>, Problem> {
    let is_version = |text: &str| text.parse::<tidegate_proto::lwm2m::model::Version>().is_ok();
    if let Some(version) = version.as_deref().filter(|version| !is_version(version)) {
        return Err(Problem::bad("version", format!("`{version}` is no version such as 1.1")));
    }
    let models = view.models.load();
    let definition = models.definition(id, version.as_deref());
    let of =
        definition.ok_or_else(|| Problem::not_found(format!("there is no definition of the object {id}")))?;
    Ok(Json(Detail {
        id: of.object,
        version: of.version.to_string(),
        name: of.name.to_string(),
        multiple: of.multiple,
        mandatory: of.mandatory,
        resources: of.resources().iter().map(described).collect(),
    }))
}

fn described(of: &Resource) -> Described {
    Described {
        id: of.id,
        name: of.name.to_string(),
        operations: letters(of.operations),
        kind: of.kind.map_or(Type::None, Type::of_kind),
        units: Some(of.units.to_string()).filter(|units| !units.is_empty()),
        multiple: of.multiple,
        mandatory: of.mandatory,
    }
}

pub(super) const fn letters(of: Operations) -> &'static str {
    match of {
        Operations::E => "E",
        Operations::None => "",
        Operations::R => "R",
        Operations::RE => "RE",
        Operations::RW => "RW",
        Operations::RWE => "RWE",
        Operations::W => "W",
        Operations::WE => "WE",
    }
}
