//! Connections: accepted, over TLS if it is configured, and bounded in number and in patience.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_openssl::SslStream;

use crate::change::Stamp;

/// Serves what connects until `stop` changes.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    room: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: it would fail again at once.
                tracing::debug!(%error, "HTTP");
                sleep(REST).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tracing::debug!("HTTP: too many connections");
            continue;
        };
        let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => converse(stream, router, stop).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, router, stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS"),
                    Err(_) => tracing::debug!("TLS: the handshake takes too long"),
                },
            }
        });
    }
}

async fn converse<S>(stream: S, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(LARGEST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            timeout(PARTING, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "HTTP");
    }
}

/// The gateway's certificate for HTTPS, read again when one of its files has changed.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    acceptor: SslAcceptor,
    stamps: [Option<Stamp>; 2],
    looked: Instant,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together; the text names the file.
    pub(super) fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let stamps = [&certificate, &key].map(|file| file.metadata().ok().as_ref().map(Stamp::of));
        let current = Current { acceptor: acceptor(&certificate, &key)?, stamps, looked: Instant::now() };
        Ok(Self { certificate, key, current: Mutex::new(current) })
    }

    async fn accept(&self, stream: TcpStream) -> anyhow::Result<SslStream<TcpStream>> {
        let ssl = Ssl::new(self.acceptor().context())?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await?;
        Ok(stream)
    }

    fn acceptor(&self) -> SslAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            let stamps =
                [&self.certificate, &self.key].map(|file| file.metadata().ok().as_ref().map(Stamp::of));
            if stamps != current.stamps {
                current.stamps = stamps;
                match acceptor(&self.certificate, &self.key) {
                    Ok(acceptor) => {
                        current.acceptor = acceptor;
                        tracing::info!("the certificate for HTTPS is read again");
                    }
                    Err(error) => {
                        tracing::warn!(error = %format!("{error:#}"), "the certificate of before stays in use")
                    }
                }
            }
        }
        current.acceptor.clone()
    }
}

fn acceptor(certificate: &std::path::Path, key: &std::path::Path) -> anyhow::Result<SslAcceptor> {
    let named = |name: &str, file: &std::path::Path, error: openssl::error::ErrorStack| {
        let reason = match std::fs::File::open(file) {
            Err(error) => error.to_string(),
            Ok(_) => error.to_string(),
        };
        anyhow::anyhow!("http.{name}: {}: {reason}", file.display())
    };
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder
        .set_certificate_chain_file(certificate)
        .map_err(|error| named("certificate", certificate, error))?;
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(|error| named("key", key, error))?;
    builder.check_private_key().map_err(|error| named("key", key, error))?;
    Ok(builder.build())
}

/// Listens, so that a port that is taken is told before anything runs.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connections at a time, over all listeners; each may have one request open.
pub(super) const CONNECTIONS: usize = 512;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request, and the pause before it, may take.
const HEADERS: Duration = Duration::from_secs(75);
/// Bytes of the head of a request.
const LARGEST_HEAD: usize = 64 << 10;
/// How long what has begun may go on when the gateway stops.
const PARTING: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_millis(100);
/// How often the certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
