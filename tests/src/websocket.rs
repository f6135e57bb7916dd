//! A broker's WebSocket, which the system's mosquitto has not: it passes on to a broker's TCP port.

use std::net::{Ipv4Addr, TcpListener as Listener};
use std::pin::Pin;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::certificate::Certified;

/// Where a WebSocket is to be had.
#[derive(Debug)]
pub struct WebSocketRelay {
    port: u16,
}

impl WebSocketRelay {
    /// Passes what comes over WebSockets on `/mqtt` on to this loopback port; with a certificate they are over TLS. It ends with the
    /// process.
    pub fn start(target: u16, certified: Option<&Certified>) -> Result<Self> {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let acceptor = certified.map(acceptor).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        std::thread::spawn(move || runtime.block_on(run(listener, target, acceptor)));
        Ok(Self { port })
    }

    /// Its loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn acceptor(certified: &Certified) -> Result<SslAcceptor> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(X509::from_pem(certified.pem()?.as_bytes())?.as_ref())?;
    builder.set_private_key(PKey::private_key_from_pem(certified.key_pem()?.as_bytes())?.as_ref())?;
    Ok(builder.build())
}

async fn run(listener: Listener, target: u16, acceptor: Option<SslAcceptor>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // Whoever has connected sees that it has failed.
            let _ = match acceptor {
                None => pass_on(stream, target).await,
                Some(acceptor) => secure(stream, target, &acceptor).await,
            };
        });
    }
}

async fn secure(stream: TcpStream, target: u16, acceptor: &SslAcceptor) -> Result<()> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream)?;
    Pin::new(&mut stream).accept().await?;
    pass_on(stream, target).await
}

async fn pass_on<S: AsyncRead + AsyncWrite + Unpin>(stream: S, target: u16) -> Result<()> {
    let mut socket = accept_hdr_async(stream, answer).await?;
    let mut broker = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            message = socket.next() => match message.context("the WebSocket has ended")?? {
                Message::Binary(bytes) => broker.write_all(&bytes).await?,
                Message::Text(text) => bail!("{text}: MQTT is binary"),
                _ => {}
            },
            read = broker.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return Ok(socket.close(None).await?);
                }
                // Frames that begin and end anywhere.
                for piece in buffer[..read].chunks(PIECE) {
                    socket.feed(Message::binary(piece.to_vec())).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

/// As a broker: on one path, and for MQTT only.
#[allow(clippy::result_large_err)] // tungstenite wants it so
fn answer(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let refuse = |status: u16| {
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = status.try_into().unwrap_or_default();
        Err(refusal)
    };
    if request.uri().path() != "/mqtt" {
        return refuse(404);
    }
    let Some(wanted) = request.headers().get(PROTOCOL).filter(|wanted| *wanted == "mqtt") else {
        return refuse(400);
    };
    response.headers_mut().insert(PROTOCOL, wanted.clone());
    Ok(response)
}

const PROTOCOL: &str = "Sec-WebSocket-Protocol";
/// Bytes of a frame.
const PIECE: usize = 5;
