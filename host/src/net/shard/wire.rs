//! A shard's sockets.

use std::io;
use std::task::Poll;

use tidegate_proto::coap::Peer;
use tokio::io::Interest;
use tokio::net::UdpSocket;

pub(super) use super::batch::{Arrivals, BATCH};
use super::batch::{Departures, Unsent};

/// One for each listener. What cannot be sent is lost, and counted.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<UdpSocket>,
    departures: Departures,
    full: u64,
    failed: u64,
}

impl Sockets {
    /// Needs a tokio runtime.
    pub(super) fn new(sockets: Vec<std::net::UdpSocket>) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(UdpSocket::from_std).collect::<io::Result<_>>()?;
        Ok(Self { sockets, departures: Departures::default(), full: 0, failed: 0 })
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

    /// Takes in what came to a listener, up to a batch, and says how many datagrams.
    pub(super) fn receive(&self, listener: usize, arrivals: &mut Arrivals) -> io::Result<usize> {
        let socket = &self.sockets[listener];
        let mut count = 0;
        let taken = socket.try_io(Interest::READABLE, || {
            count = arrivals.receive(socket)?;
            // Fewer than there is room for were all: the runtime is to say when there are more, without another call that only
            // hears that there are none.
            if count < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Puts a datagram behind what waits to be sent.
    pub(super) fn send(&mut self, peer: Peer, payload: &[u8]) {
        self.departures.push(usize::from(peer.listener), peer.address, payload);
        if self.departures.is_full() {
            self.flush();
        }
    }

    /// Sends what waits; once a turn.
    pub(super) fn flush(&mut self) {
        let Self { sockets, departures, full, failed } = self;
        if departures.is_empty() {
            return;
        }
        // A full socket buffer or an unreachable host is a lost datagram: retransmission is the answer to both.
        departures.send(sockets, |Unsent { receiver, error }| {
            *(if error.kind() == io::ErrorKind::WouldBlock { &mut *full } else { &mut *failed }) += 1;
            tracing::debug!(?receiver, %error, "send");
        });
    }

    /// How many datagrams a socket had no room for, and how many it could not send for another reason.
    pub(super) fn unsent(&self) -> (u64, u64) {
        (self.full, self.failed)
    }
}
