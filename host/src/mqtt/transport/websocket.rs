//! MQTT in WebSocket frames (MQTT 5, section 6), as a stream of bytes.
//!
//! Packets need not be aligned with frames (6.0.0-1), so that whatever is to be written at a time becomes one binary frame, and what is
//! read is taken in whatever pieces it comes. Pings, fragments and the closing handshake are tungstenite's.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Failure;
use crate::config::BrokerAddress;

/// A WebSocket that is read and written like a connection.
#[derive(Debug)]
pub(super) struct WebSocket<S> {
    inner: WebSocketStream<S>,
    /// What is left of the last frame.
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks the broker for a WebSocket.
    ///
    /// # Errors
    /// It does not give one, or not for MQTT.
    pub(super) async fn open(stream: S, address: &BrokerAddress, max_packet: usize) -> Result<Self, Failure> {
        let wrong = |error: Error| explain(&error, address);
        let mut request = address.to_string().into_client_request().map_err(wrong)?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        // Whoever sends more than a packet in a frame has to cut it: else one frame could be all of the memory.
        let most = Some(max_packet.max(LEAST_FRAME));
        let config = WebSocketConfig::default().max_frame_size(most).max_message_size(most);
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let (inner, _) = opened.map_err(wrong)?;
        Ok(Self { inner, rest: Bytes::new() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    // 6.0.0-1.
                    let error = "the broker has sent text in a WebSocket, where MQTT is binary";
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                // tungstenite answers them.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(ended(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = Pin::new(&mut self.inner);
        ready!(inner.as_mut().poll_ready(context)).or_else(ended)?;
        let frame = &bytes[..bytes.len().min(MOST_FRAME)];
        inner.start_send(Message::Binary(Bytes::copy_from_slice(frame))).or_else(ended)?;
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context).map(|flushed| flushed.or_else(ended))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context).map(|closed| closed.or_else(ended))
    }
}

/// A WebSocket that was closed is at its end, however.
fn ended(error: Error) -> io::Result<()> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ok(()),
        Error::Io(error) => Err(error),
        other => Err(io::Error::other(other)),
    }
}

/// What the operator is told.
fn explain(error: &Error, address: &BrokerAddress) -> Failure {
    Failure(match error {
        Error::Http(response) => {
            let advice = match response.status() {
                StatusCode::NOT_FOUND => format!("; check the path `{}` in `broker`", address.path),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    "; whoever answers there wants to know who asks".to_owned()
                }
                _ => String::new(),
            };
            format!("there is no WebSocket: HTTP {}{advice}", response.status())
        }
        Error::Io(error) => return Failure::io(error),
        Error::Protocol(reason) => format!("no WebSocket for MQTT is to be had there: {reason}"),
        other => format!("no WebSocket is to be had there: {other}"),
    })
}

/// Bytes of a frame that is taken at least.
const LEAST_FRAME: usize = 64 << 10;
/// Bytes of a frame that is sent at most.
const MOST_FRAME: usize = 64 << 10;
