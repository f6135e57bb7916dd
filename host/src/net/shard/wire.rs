//! A shard's sockets.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tidegate_proto::coap::Peer;
use tokio::net::UdpSocket;

/// One for each listener. What cannot be sent is lost, and counted.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<UdpSocket>,
    full: Cell<u64>,
    failed: Cell<u64>,
}

impl Sockets {
    /// Needs a tokio runtime.
    pub(super) fn new(sockets: Vec<std::net::UdpSocket>) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(UdpSocket::from_std).collect::<io::Result<_>>()?;
        Ok(Self { sockets, full: Cell::default(), failed: Cell::default() })
    }

    /// A socket takes nothing before the runtime has heard of it that it can.
    pub(super) async fn writable(&self) -> io::Result<()> {
        for socket in &self.sockets {
            socket.writable().await?;
        }
        Ok(())
    }

    /// The first listener with something to read.
    pub(super) async fn readable(&self) -> usize {
        std::future::poll_fn(|context| {
            for (index, socket) in self.sockets.iter().enumerate() {
                if socket.poll_recv_ready(context).is_ready() {
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// A datagram that came to a listener.
    pub(super) fn receive(&self, listener: usize, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.sockets[listener].try_recv_from(buffer)
    }

    pub(super) fn send(&self, peer: Peer, payload: &[u8]) {
        let Some(socket) = self.sockets.get(usize::from(peer.listener)) else { return };
        // A full socket buffer or an unreachable host is a lost datagram: retransmission is the answer to both.
        if let Err(error) = socket.try_send_to(payload, peer.address) {
            let count = if error.kind() == io::ErrorKind::WouldBlock { &self.full } else { &self.failed };
            count.set(count.get() + 1);
            tracing::debug!(peer = %peer.address, %error, "send");
        }
    }

    /// How many datagrams a socket had no room for, and how many it could not send for another reason.
    pub(super) fn unsent(&self) -> (u64, u64) {
        (self.full.get(), self.failed.get())
    }
}
