//! The dashboard: files of `host/dashboard/dist`, which are part of the program.
//!
//! Everything that is not of the API is one of its pages, so that an address can be kept and sent; which page it is the
//! dashboard itself finds out. The files tell nothing of this gateway, and everybody may get them: the page asks for a token.

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::table::Table;

pub(super) fn routes() -> Table {
    Table::new().open("/", |headers: HeaderMap| async move { answer("/", &headers) }).open("/*path", page)
}

async fn page(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&format!("/{path}"), &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = find(path) else {
        return Problem::not_found("there is nothing at this path").into_response();
    };
    let common = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (ETAG, file.tag),
        (CACHE_CONTROL, file.keep()),
    ];
    if headers.get_all(IF_NONE_MATCH).iter().any(|of| matches(of.to_str().unwrap_or_default(), file.tag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, file.kind)], file.body).into_response()
}

/// The file of this path; the dashboard's pages are all in one.
fn find(path: &str) -> Option<&'static File> {
    let of = |path: &str| FILES.iter().find(|file| file.path == path);
    let is_page = path != "/api" && !path.starts_with("/api/") && !path.starts_with(ASSETS);
    of(path).or_else(|| if is_page { of("/index.html") } else { None })
}

/// Whether `If-None-Match` names this tag (RFC 9110, section 13.1.2).
fn matches(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|of| of == "*" || of.strip_prefix("W/").unwrap_or(of) == tag)
}

/// One of the dashboard's.
#[derive(Debug)]
struct File {
    path: &'static str,
    kind: &'static str,
    /// Of what it holds, as `ETag` says it.
    tag: &'static str,
    body: &'static [u8],
}

impl File {
    /// How long a browser may keep it. The name of an asset changes with what it holds.
    fn keep(&self) -> &'static str {
        if self.path.starts_with(ASSETS) { "public, max-age=31536000, immutable" } else { "no-cache" }
    }
}

const FILES: &[File] = include!("../../dashboard/dist/files.rs");
const ASSETS: &str = "/assets/";
/// Nothing comes from elsewhere, nothing is said within a page, and no other page shows it.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, if_none_match: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(tag) = if_none_match {
            headers.insert(IF_NONE_MATCH, tag.parse().unwrap());
        }
        answer(path, &headers)
    }

    fn header(response: &Response, name: axum::http::HeaderName) -> &str {
        response.headers()[name].to_str().unwrap()
    }

    #[test]
    fn a_path_of_no_file_is_a_page_of_the_dashboard_but_not_below_api_or_assets() {
        for path in ["/", "/clients", "/clients/urn:imei:1", "/apiary", "/index.html"] {
            let response = get(path, None);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8", "{path}");
            assert_eq!(header(&response, CACHE_CONTROL), "no-cache", "{path}");
        }
        for path in ["/api", "/api/", "/api/v1/nothing", "/assets/nothing.js"] {
            assert_eq!(get(path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn what_the_page_names_is_there_and_kept_for_ever() {
        let index = find("/").unwrap();
        let html = std::str::from_utf8(index.body).unwrap();
        let named = html.split('"').filter(|part| part.starts_with(ASSETS)).collect::<Vec<_>>();
        assert_eq!(named.len(), 2, "{html}");
        for path in named {
            let response = get(path, None);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert!(header(&response, CACHE_CONTROL).contains("immutable"), "{path}");
        }
        assert!(!html.contains("<script>") && !html.contains("style=") && !html.contains("://"), "{html}");
    }

    #[test]
    fn nothing_is_sent_that_the_browser_has() {
        let tag = find("/").unwrap().tag;
        for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            assert_eq!(get("/", Some(&known)).status(), StatusCode::NOT_MODIFIED, "{known}");
        }
        let response = get("/", Some("\"other\""));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(header(&response, CONTENT_SECURITY_POLICY).starts_with("default-src 'self'"));
    }
}
