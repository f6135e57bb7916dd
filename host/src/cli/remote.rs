//! A running gateway, asked over its HTTP API: for `tidegate device`, `translator` and `status`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::ConfigFile;

/// Which gateway, and who asks.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Remote {
    /// The gateway's HTTP address; without it, that of TIDEGATE_URL, else the first `[http] listen` of the configuration
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// File that holds the token; without it, TIDEGATE_TOKEN holds it, if there is one
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Authorities that have signed the gateway's certificate, PEM; without it, those that the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Configuration file; without it, tidegate.toml of the current folder if there is one, else the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// An answer that is none of success. The gateway says what is wrong as problem+json (RFC 9457).
#[derive(Debug, thiserror::Error)]
#[error("{url}: {status}: {detail}")]
pub(super) struct Refused {
    url: String,
    pub(super) status: StatusCode,
    detail: String,
}

/// The gateway, found.
#[derive(Debug)]
pub(super) struct Gateway {
    is_secure: bool,
    /// Host and port, as in the URL.
    authority: String,
    host: String,
    port: u16,
    /// What stands before each path.
    prefix: String,
    token: Option<Zeroizing<String>>,
    ca: Option<PathBuf>,
}

impl Remote {
    /// Finds out where the gateway is, without asking it.
    pub(super) fn gateway(&self) -> anyhow::Result<Gateway> {
        let token = match &self.token_file {
            Some(file) => Some(read_token(file)?),
            None => {
                std::env::var("TIDEGATE_TOKEN").ok().filter(|token| !token.is_empty()).map(Zeroizing::new)
            }
        };
        let url = match self
            .url
            .clone()
            .or_else(|| std::env::var("TIDEGATE_URL").ok().filter(|url| !url.is_empty()))
        {
            Some(url) => url,
            None => self.configured()?,
        };
        Gateway::at(&url, token, self.ca.clone())
    }

    fn configured(&self) -> anyhow::Result<String> {
        let config = ConfigFile { config: self.config.clone() }.load()?;
        let listen = config
            .http
            .listen
            .first()
            .context("[http] listen is empty: the gateway has no HTTP; say --url")?;
        let scheme = if config.http.certificate.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", reached_at(*listen)))
    }
}

impl Gateway {
    fn at(url: &str, token: Option<Zeroizing<String>>, ca: Option<PathBuf>) -> anyhow::Result<Self> {
        let wrong = || format!("`{url}` is no URL such as http://127.0.0.1:18083");
        let uri: Uri = url.trim_end_matches('/').parse().with_context(wrong)?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!(wrong()),
        };
        let authority = uri.authority().with_context(wrong)?;
        anyhow::ensure!(!authority.as_str().contains('@'), "a URL holds no user or token; say --token-file");
        anyhow::ensure!(uri.query().is_none(), wrong());
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { is_secure, authority: authority.to_string(), host, port, prefix, token, ca })
    }

    /// Asks, and waits for the whole answer, for so long after it was sent.
    ///
    /// # Errors
    /// The gateway is not there, or it answers with an error ([`Refused`]), or not in time.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        within: Duration,
    ) -> anyhow::Result<(StatusCode, Json)> {
        let url = self.url(path);
        let asked = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let read = Limited::new(response.into_body(), MOST).collect().await;
            let bytes = read.map_err(|error| anyhow::anyhow!("{url}: {error}"))?.to_bytes();
            if bytes.is_empty() {
                return Ok((status, Json::Null));
            }
            let json =
                serde_json::from_slice(&bytes).with_context(|| format!("{url}: the answer is no JSON"))?;
            Ok((status, json))
        };
        let late = || format!("{url}: no answer within {} s", within.as_secs());
        tokio::time::timeout(within, asked).await.with_context(late)?
    }

    /// Follows a stream of events: its name and its data.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn follow(&self, path: &str) -> anyhow::Result<Events> {
        let response = self.send(Method::GET, path, None).await?;
        Ok(Events { body: response.into_body(), text: Vec::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<Response<Incoming>> {
        let url = self.url(path);
        let request = self.request(method, path, body)?;
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.with_context(|| url.clone())?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.with_context(|| url.clone())?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let read = Limited::new(response.into_body(), MOST).collect().await;
        let bytes = read.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(Refused { url, status, detail: detail(status, &bytes) }.into())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.prefix));
        request = request.header(HOST, &self.authority).header(ACCEPT, "application/json, text/event-stream");
        // A page of another site cannot send it, so that what changes something is known to be meant.
        request = request.header("x-tidegate", "1");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", **token));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(bytes)).context("the token is none, or the path")
    }

    async fn connect(&self) -> anyhow::Result<Pin<Box<dyn Stream>>> {
        let url = self.url("");
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                bail!("{url}: nobody listens there; does the gateway run? (--url says where it is)")
            }
            Err(error) => bail!("{url}: {error}"),
        };
        stream.set_nodelay(true).with_context(|| url.clone())?;
        if !self.is_secure {
            return Ok(Box::pin(stream));
        }
        let ssl = self.connector()?.configure()?.into_ssl(&self.host)?;
        let mut stream = tokio_openssl::SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).connect().await.with_context(|| {
            format!("{url}: the gateway's certificate cannot be trusted, or it speaks no TLS (--ca names who has signed it)")
        })?;
        Ok(Box::pin(stream))
    }

    fn connector(&self) -> anyhow::Result<SslConnector> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        match &self.ca {
            Some(file) => builder.set_ca_file(file).with_context(|| format!("--ca {}", file.display()))?,
            None => {
                let found = openssl_probe::probe();
                let (file, folder) = (found.cert_file, found.cert_dir.into_iter().next());
                builder
                    .load_verify_locations(file.as_deref(), folder.as_deref())
                    .context("the certificates that the system trusts cannot be read; say --ca")?;
            }
        }
        Ok(builder.build())
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        // What comes after `?` may hold what is searched for, and says nothing of where.
        let path = path.split('?').next().unwrap_or_default();
        format!("{scheme}://{}{}{path}", self.authority, self.prefix)
    }
}

/// A stream of events (HTML, 9.2).
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    text: Vec<u8>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServerEvent {
    pub(super) name: String,
    pub(super) data: Json,
}

impl Events {
    /// The next one; none when the gateway has ended the stream.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<ServerEvent>> {
        loop {
            if let Some(end) = find(&self.text, b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                match read_event(&String::from_utf8_lossy(&block)) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            anyhow::ensure!(self.text.len() <= MOST, "an event of the gateway is longer than {MOST} bytes");
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame.context("the stream of events broke")?.into_data() {
                self.text.extend(data.iter().filter(|byte| **byte != b'\r'));
            }
        }
    }
}

/// A comment, which keeps the stream alive, is none.
fn read_event(block: &str) -> Option<ServerEvent> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let values: Vec<&str> = lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect();
        (!values.is_empty()).then(|| values.join("\n"))
    };
    let data = field("data")?;
    let data = serde_json::from_str(&data).unwrap_or(Json::String(data));
    Some(ServerEvent { name: field("event").unwrap_or_else(|| "message".to_owned()), data })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Part of a path: an endpoint name may hold anything.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What the gateway says is wrong.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let problem: Json = serde_json::from_slice(body).unwrap_or_default();
    let told = problem["detail"].as_str().or_else(|| problem["title"].as_str());
    let told =
        told.map_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned(), str::to_owned);
    match (problem["field"].as_str(), status) {
        (Some(field), _) => format!("{field}: {told}"),
        (None, StatusCode::UNAUTHORIZED) => format!("{told} (--token-file or TIDEGATE_TOKEN)"),
        (None, _) => told,
    }
}

fn read_token(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(
        std::fs::read_to_string(file).with_context(|| format!("--token-file {}", file.display()))?,
    );
    let token = Zeroizing::new(text.trim().to_owned());
    anyhow::ensure!(!token.is_empty(), "--token-file {}: it is empty", file.display());
    Ok(token)
}

/// Where one who listens on all addresses is reached from here.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    address
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// The largest answer, bytes.
const MOST: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let of = |url: &str| Gateway::at(url, None, None).unwrap();
        let gateway = of("http://[::1]:18083");
        assert_eq!((gateway.host.as_str(), gateway.port, gateway.is_secure), ("::1", 18083, false));
        let gateway = of("https://tide.example/gate/");
        assert_eq!((gateway.host.as_str(), gateway.port, gateway.is_secure), ("tide.example", 443, true));
        assert_eq!(gateway.url("/api/v1/clients?search=x"), "https://tide.example/gate/api/v1/clients");
    }

    #[test]
    fn what_is_no_url_is_said_with_an_example() {
        for url in ["", "18083", "localhost:18083", "ftp://x", "http://x/?a=b"] {
            let error = format!("{:#}", Gateway::at(url, None, None).unwrap_err());
            assert!(error.contains("http://127.0.0.1:18083"), "{url}: {error}");
        }
        let error = Gateway::at("http://me:secret@x", None, None).unwrap_err().to_string();
        assert!(error.contains("--token-file") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn one_who_listens_everywhere_is_reached_on_loopback() {
        assert_eq!(reached_at("0.0.0.0:1".parse().unwrap()).to_string(), "127.0.0.1:1");
        assert_eq!(reached_at("[::]:1".parse().unwrap()).to_string(), "[::1]:1");
        assert_eq!(reached_at("192.0.2.7:1".parse().unwrap()).to_string(), "192.0.2.7:1");
    }

    #[test]
    fn an_endpoint_name_of_any_characters_is_one_segment() {
        assert_eq!(segment("urn:imei/7 ü%"), "urn%3Aimei%2F7%20%C3%BC%25");
    }

    #[test]
    fn events_are_read_and_comments_are_not() {
        assert_eq!(read_event(": alive\n\n"), None);
        let event = read_event("event: notified\nid: 7\ndata: {\"a\":\ndata:1}\n\n").unwrap();
        assert_eq!((event.name.as_str(), &event.data["a"]), ("notified", &1.into()));
        assert_eq!(read_event("data: plain\n\n").unwrap().name, "message");
    }

    #[test]
    fn a_problem_is_told_with_its_field() {
        let body =
            br#"{"title":"Bad Request","detail":"must be from 1 to 1000","field":"limit","status":400}"#;
        assert_eq!(detail(StatusCode::BAD_REQUEST, body), "limit: must be from 1 to 1000");
        assert_eq!(detail(StatusCode::BAD_GATEWAY, b"<html>"), "Bad Gateway");
        assert!(detail(StatusCode::UNAUTHORIZED, b"").contains("TIDEGATE_TOKEN"));
    }
}
