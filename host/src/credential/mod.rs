//! `credentials.toml`: who may connect over DTLS, and by which key. Read at the start, and again when it changes.
//!
//! `app` reads it ([`read`]), hands the outcome to the shards and watches it ([`CredentialWatch`]); `cli` edits it. As with
//! the configuration, `raw` is what was typed and `file` is what it means: the typed
//! [`Credentials`](tidegate_dtls::credential::Credentials).
//!
//! No key is ever part of an error, a warning or a log line, and the texts and keys that are read are wiped.

mod edit;
mod file;
mod import;
mod material;
mod raw;
mod seen;
mod watch;

pub use edit::{Edit, EditError, Entry, Selection, create_private, list};
pub use file::{Reading, check, read};
pub use import::{Format, ImportError, Imported, import};
pub use material::{key, public_key, public_key_from_file};
pub use watch::CredentialWatch;
