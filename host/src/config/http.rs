//! `[http]`: what it means, and how what was typed becomes that. Called by `convert`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use toml::Spanned;

use super::error::{ConfigError, Source};
use super::raw::{self, At};
use super::value::{addresses, beside, size};

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where to listen; empty is off.
    pub listen: Vec<SocketAddr>,
    /// File with the tokens of those who may use it; none: whoever is on this machine.
    pub tokens: Option<PathBuf>,
    /// Files with the certificate chain and its private key; none: no TLS.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Largest body of a request, bytes.
    pub max_body: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 18083))],
            tokens: None,
            certificate: None,
            max_body: 16 << 20,
        }
    }
}

pub(super) fn http(source: &Source<'_>, raw: &raw::Http) -> Result<Http, ConfigError> {
    let default = Http::default();
    let tokens = raw.tokens.as_ref().map(|typed| beside(source, typed.as_ref()));
    let listen = addresses(source, "http.listen", &raw.listen, default.listen)?;
    let typed = raw.listen.iter().flat_map(|list| list.as_ref());
    if let (None, Some((typed, address))) =
        (&tokens, typed.zip(&listen).find(|(_, address)| !address.ip().is_loopback()))
    {
        let message = format!(
            "`{address}` can be reached by other machines, so `http.tokens` must name a file with who may use it; \
             `tidegate token add` makes one"
        );
        return Err(source.error(&typed.span(), "http.listen", message));
    }
    Ok(Http {
        listen,
        tokens,
        certificate: certificate(source, &raw.certificate, &raw.key)?,
        max_body: max_body(source, &raw.max_body, default.max_body)?,
    })
}

fn certificate(
    source: &Source<'_>,
    certificate: &At<String>,
    key: &At<String>,
) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    let path = |typed: &Spanned<String>| beside(source, typed.as_ref());
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some((path(certificate), path(key)))),
        (Some(typed), None) => {
            Err(source.error(&typed.span(), "http.certificate", "needs its private key, `key`, beside it"))
        }
        (None, Some(typed)) => {
            Err(source.error(&typed.span(), "http.key", "needs its certificate, `certificate`, beside it"))
        }
    }
}

fn max_body(source: &Source<'_>, raw: &At<String>, default: usize) -> Result<usize, ConfigError> {
    let size = size(source, "http.max-body", raw, default)?;
    match raw {
        Some(typed) if !(1 << 10..=256 << 20).contains(&size) => {
            Err(source.error(&typed.span(), "http.max-body", "must be from \"1KiB\" to \"256MiB\""))
        }
        _ => Ok(size),
    }
}
