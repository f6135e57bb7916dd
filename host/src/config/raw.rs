//! What was typed: the tables of `tidegate.toml` as serde sees them, with the place of each value.
//!
//! Used by `convert` alone. A key that is not a field here is refused by serde with the list of those that are.

use serde::Deserialize;
use toml::Spanned;

/// A value and where it stands.
pub(super) type At<T> = Option<Spanned<T>>;

/// A list, and where it and each of its entries stand.
pub(super) type ListAt<T> = Option<Spanned<Vec<Spanned<T>>>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) coap: Coap,
    pub(super) dtls: Dtls,
    pub(super) mqtt: Mqtt,
    pub(super) http: Http,
    pub(super) store: Store,
    pub(super) registration: Registration,
    pub(super) models: Models,
    pub(super) plugins: Plugins,
    pub(super) translator: Vec<Translator>,
    pub(super) route: Vec<Route>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Coap {
    pub(super) listen: ListAt<String>,
    pub(super) shards: At<i64>,
    pub(super) block_size: At<String>,
    pub(super) rate_limit_source: At<i64>,
    pub(super) rate_limit: At<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Dtls {
    pub(super) listen: ListAt<String>,
    pub(super) credentials: At<String>,
    pub(super) connection_id: At<bool>,
    pub(super) max_associations: At<i64>,
    pub(super) handshake_timeout: At<String>,
    pub(super) retransmission: At<String>,
    pub(super) mtu: At<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Mqtt {
    pub(super) broker: At<String>,
    pub(super) version: At<i64>,
    pub(super) username: At<String>,
    pub(super) password_file: At<String>,
    pub(super) client_id: At<String>,
    pub(super) session_expiry: At<String>,
    pub(super) shared_group: At<String>,
    pub(super) status_topic: At<String>,
    pub(super) keep_alive: At<String>,
    pub(super) outbox: Outbox,
    pub(super) max_packet: At<String>,
    pub(super) ca: At<String>,
    pub(super) certificate: At<String>,
    pub(super) key: At<String>,
    pub(super) embedded: Embedded,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Outbox {
    pub(super) publications: At<i64>,
    pub(super) bytes: At<String>,
    pub(super) when_full: At<String>,
    pub(super) sync: At<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Embedded {
    pub(super) listen: ListAt<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Http {
    pub(super) listen: ListAt<String>,
    pub(super) tokens: At<String>,
    pub(super) certificate: At<String>,
    pub(super) key: At<String>,
    pub(super) max_body: At<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) path: At<String>,
    pub(super) associations: At<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Registration {
    pub(super) lifetime_min: At<String>,
    pub(super) lifetime_max: At<String>,
    pub(super) awake_window: At<String>,
    pub(super) max_registrations: At<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Models {
    pub(super) directory: At<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plugins {
    pub(super) directory: At<String>,
    pub(super) fuel: At<i64>,
    pub(super) wall: At<String>,
    pub(super) memory: At<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Translator {
    pub(super) name: Spanned<String>,
    pub(super) artifact: At<String>,
    pub(super) on_fault: At<String>,
    pub(super) hold: At<i64>,
    #[serde(default)]
    pub(super) topics: Vec<Spanned<String>>,
    pub(super) fuel: At<i64>,
    pub(super) wall: At<String>,
    pub(super) memory: At<String>,
    #[serde(default)]
    pub(super) settings: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) endpoints: At<String>,
    #[serde(default)]
    pub(super) objects: Vec<Spanned<i64>>,
    pub(super) listener: At<String>,
    pub(super) translators: Spanned<Vec<Spanned<String>>>,
}
