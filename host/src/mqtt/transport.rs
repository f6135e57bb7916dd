//! The connection to the broker below MQTT.

mod tls;
mod websocket;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::SessionOptions;
use crate::config::{BrokerAddress, Scheme};

pub use tls::Tls;
use websocket::WebSocket;

/// What packets go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(pub(super) String);

/// Connects. May be cancelled.
///
/// # Errors
/// There is no way to the broker.
pub(super) async fn connect(options: &SessionOptions) -> Result<Box<dyn Stream>, Failure> {
    let BrokerAddress { scheme, host, port, .. } = &options.address;
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| Failure::io(&error))?;
    // Batches are made above; nothing is to wait for more below.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let (address, max_packet) = (&options.address, options.max_packet);
    Ok(match (scheme, &options.tls) {
        (Scheme::Ws, _) => Box::new(WebSocket::open(stream, address, max_packet).await?),
        (Scheme::Mqtts, Some(tls)) => Box::new(tls.connect(stream, host).await?),
        (Scheme::Wss, Some(tls)) => {
            Box::new(WebSocket::open(tls.connect(stream, host).await?, address, max_packet).await?)
        }
        (Scheme::Mqtt, _) => Box::new(stream),
        // Never in the clear what was to be secret.
        (Scheme::Mqtts | Scheme::Wss, None) => return Err(Failure("TLS is wanted, and not set up".into())),
    })
}

impl Failure {
    /// What went wrong with the connection.
    pub(super) fn io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self("connection refused; is a broker running there?".into()),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::closed(),
            _ => Self(error.to_string()),
        }
    }

    /// The broker has ended it, and has not said why.
    pub(super) fn closed() -> Self {
        Self("the broker has closed the connection".into())
    }

    /// The broker does not answer.
    pub(super) fn timeout() -> Self {
        Self("no answer in time".into())
    }
}
