//! Log lines to standard error, as text or JSON, filtered like `RUST_LOG`.
//!
//! Set up once by `cli`. Nothing here prints a secret: the types that hold one leave it out of their `Debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Starts logging. A second call changes nothing.
///
/// # Errors
/// `filter` is no filter such as `info` or `warn,tidegate::mqtt=debug`.
pub fn start(format: Format, filter: &str) -> Result<(), ParseError> {
    // rumqttd and rumqttc tell at `info` and `error` about each connection; what matters of it the gateway says itself.
    let filter = EnvFilter::try_new(format!("rumqttd=off,rumqttc=off,{filter}"))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        Format::Json => subscriber.json().flatten_event(true).try_init(),
        Format::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    Ok(())
}
