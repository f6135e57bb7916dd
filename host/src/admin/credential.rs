//! Who may connect over DTLS, without any key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tidegate_dtls::credential::Mode;
use utoipa::ToSchema;

use super::View;
use super::access::Role;
use super::problem::Problem;
use super::table::Table;
use crate::credential::{self, Entry};

pub(super) fn routes() -> Table {
    Table::new().get("/api/v1/credentials", Role::Read, list)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Credentials {
    data: Vec<Credential>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Credential {
    /// Null where certificates name it.
    endpoint: Option<String>,
    mode: Proof,
    /// The PSK identity, or the file of the authority that vouches for certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Proof {
    Psk,
    RawPublicKey,
    Certificate,
}

/// The entries of `credentials.toml` as it is now; none if there is no DTLS listener. A key is never shown.
#[utoipa::path(get, path = "/api/v1/credentials", tag = "credentials",
    responses((status = 200, body = Credentials), (status = 503, body = Problem)))]
pub(super) async fn list(State(view): State<View>) -> Result<Json<Credentials>, Problem> {
    let Some(file) = view.credentials else { return Ok(Json(Credentials { data: Vec::new() })) };
    let unreadable = |detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    let entries = tokio::task::spawn_blocking(move || credential::list(&file)).await;
    let entries = entries.map_err(|_| unreadable("the credentials could not be read".to_owned()))?;
    let entries = entries.map_err(|error| unreadable(error.to_string()))?;
    Ok(Json(Credentials { data: entries.into_iter().map(shown).collect() }))
}

fn shown(of: Entry) -> Credential {
    let Entry { mode, identity, endpoint } = of;
    let mode = match mode {
        Mode::Psk => Proof::Psk,
        Mode::RawPublicKey => Proof::RawPublicKey,
        Mode::X509 => Proof::Certificate,
    };
    Credential { endpoint, mode, identity }
}
