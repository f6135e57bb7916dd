//! The description of the API (OpenAPI 3.1), made from the handlers, and a page that shows it.
//!
//! What each route needs and what is answered to who may not use it comes from the table of routes, so that it cannot be forgotten;
//! a test sees to it that every route is described, and nothing else is.

mod page;

use std::sync::LazyLock;

use axum::http::Method;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi as Description, PathItem, Ref, RefOr, Response, ResponseBuilder,
};

use super::problem::PROBLEM_JSON;
use super::table::{Route, Table};
use super::{client, credential, emqx, event, leshan, model, operation, problem, series, status, table};

pub(super) fn routes() -> Table {
    Table::new().open("/api/openapi.json", json).open("/api", page).open("/api/style.css", style)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        description = "The gateway's own API is below `/api/v1`. Beside it there are the shapes of EMQX's gateway `lwm2m` and of Leshan's \
                       demo server, for the tools that know them. Without a file of tokens (`http.tokens`) it answers to its own machine \
                       only; with one, each request needs a token of the role that it names. A request that changes something needs \
                       `Content-Type: application/json` or the header `X-Tidegate: 1`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        status::health,
        status::ready,
        status::status,
        status::metrics,
        client::list,
        client::show,
        client::remove,
        client::observations,
        client::queue,
        operation::perform,
        operation::show,
        model::list,
        model::show,
        credential::list,
        event::events,
        series::show,
        status::standing,
        status::translators,
        emqx::client::list,
        emqx::client::show,
        emqx::client::kick,
        emqx::lookup::lookup,
        emqx::read,
        emqx::write,
        emqx::observe,
        leshan::list,
        leshan::show,
        leshan::get,
        leshan::put,
        leshan::post,
        leshan::delete,
        leshan::security,
        leshan::event::events,
    ),
    components(schemas(problem::Problem, emqx::EmqxError))
)]
struct Described;

/// The description, and the JSON that is served.
static DESCRIPTION: LazyLock<(Description, String)> = LazyLock::new(|| {
    let description = complete(Described::openapi(), table().routes());
    let text = serde_json::to_string(&description).unwrap_or_default();
    (description, text)
});

async fn json() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION.1.as_str())
}

async fn page() -> impl IntoResponse {
    static PAGE: LazyLock<String> =
        LazyLock::new(|| page::render(&serde_json::to_value(&DESCRIPTION.0).unwrap_or_default()));
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)], PAGE.as_str())
}

async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)
}

/// Adds what follows from the table of routes.
fn complete(mut description: Description, routes: &[Route]) -> Description {
    let problem = Ref::from_schema_name("Problem").ref_location;
    for item in description.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten();
        for response in operations.flat_map(|operation| operation.responses.responses.values_mut()) {
            name_type_of_problem(response, &problem);
        }
    }
    for route in routes {
        let path = described_path(route.path);
        let item = description.paths.paths.get_mut(&path);
        let Some(operation) = item.and_then(|item| of_method(item, &route.method)) else { continue };
        let Some(role) = route.need.role else { continue };
        operation.security = Some(vec![
            SecurityRequirement::new::<_, [&str; 0], &str>("token", []),
            SecurityRequirement::new::<_, [&str; 0], &str>("key", []),
        ]);
        let description = operation.description.get_or_insert_default();
        if !description.is_empty() {
            description.push(' ');
        }
        description.push_str(&format!("Role: `{role}`."));
        let mut add = |status: u16, text: &str| {
            operation
                .responses
                .responses
                .entry(status.to_string())
                .or_insert_with(|| refusal(&path, text).into());
        };
        add(400, "The request makes no sense");
        add(401, "No token, or none that is known");
        add(403, "The token is not good for this, or a page of another origin asks");
        if !route.method.is_safe() {
            add(415, "A request that changes something needs a content type, or a header, that no form has");
        }
    }
    let components = description.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let basic =
        Http::builder().scheme(HttpAuthScheme::Basic).description(Some("The token is the password.")).build();
    components.security_schemes.insert("token".to_owned(), bearer);
    components.security_schemes.insert("key".to_owned(), SecurityScheme::Http(basic));
    description
}

/// A problem has a content type of its own.
fn name_type_of_problem(response: &mut RefOr<Response>, problem: &str) {
    let RefOr::T(response) = response else { return };
    let is_problem =
        |content: &Content| matches!(&content.schema, Some(RefOr::Ref(of)) if of.ref_location == problem);
    if response.content.get("application/json").is_some_and(is_problem)
        && let Some(content) = response.content.swap_remove("application/json")
    {
        response.content.insert(PROBLEM_JSON.to_owned(), content);
    }
}

/// What is answered where a request is refused, in the shape of the path.
fn refusal(path: &str, description: &str) -> Response {
    let (content_type, schema) = if path.starts_with("/api/v5/") {
        ("application/json", Some("EmqxError"))
    } else if path.starts_with("/api/v1/") || !path.starts_with("/api/") {
        (PROBLEM_JSON, Some("Problem"))
    } else {
        ("text/plain", None)
    };
    let content = ContentBuilder::new().schema(schema.map(Ref::from_schema_name)).build();
    ResponseBuilder::new().description(description).content(content_type, content).build()
}

/// `/clients/:endpoint/*path` as OpenAPI writes it.
pub(super) fn described_path(path: &str) -> String {
    let segment = |segment: &str| match segment.strip_prefix([':', '*']) {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn of_method<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// The page needs nothing but its style.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Vec<(String, String)> {
        let json = serde_json::to_value(&DESCRIPTION.0).unwrap();
        let paths = json["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described = described();
        let table = table();
        let routes: Vec<_> = table
            .routes()
            .iter()
            .map(|of| (of.method.to_string(), described_path(of.path), of.need.role))
            .collect();
        for (method, path, role) in &routes {
            let is_described = described.contains(&(method.clone(), path.clone()));
            assert!(is_described || role.is_none(), "{method} {path} is not described");
        }
        for (method, path) in &described {
            assert!(
                routes.iter().any(|(known, at, _)| known == method && at == path),
                "{method} {path} is not served"
            );
        }
    }

    #[test]
    fn an_operation_says_which_role_it_needs_and_what_is_refused() {
        let json = serde_json::to_value(&DESCRIPTION.0).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        let remove = &json["paths"]["/api/v1/clients/{endpoint}"]["delete"];
        assert!(remove["description"].as_str().unwrap().ends_with("Role: `operate`."), "{remove}");
        let refused = &remove["responses"]["403"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(refused, "#/components/schemas/Problem");
        let emqx = &json["paths"]["/api/v5/gateways/lwm2m/clients"]["get"]["responses"]["401"]["content"];
        let missing = &json["paths"]["/api/v1/clients/{endpoint}"]["get"]["responses"]["404"]["content"];
        assert!(
            missing.get("application/problem+json").is_some() && missing.get("application/json").is_none()
        );
        assert_eq!(emqx["application/json"]["schema"]["$ref"], "#/components/schemas/EmqxError");
    }

    #[test]
    fn the_page_shows_every_operation_and_needs_nothing_from_elsewhere() {
        let page = page::render(&serde_json::to_value(&DESCRIPTION.0).unwrap());
        for (_, path) in described() {
            assert!(page.contains(&path), "{path}");
        }
        assert!(!page.contains("<script") && !page.contains("style=") && !page.contains("http://"));
        assert_eq!(page.matches("https://").count(), 0);
    }
}
