//! Many datagrams with one system call: recvmmsg(2) and sendmmsg(2), for [`wire`](super::wire).
//!
//! A turn of a shard takes in what has come, and sends what it has to say at its end, each with a call for as many datagrams as there
//! are. GSO and GRO are of no use here: each datagram is from, and for, another client.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use libc::{c_uint, iovec, mmsghdr, sockaddr_storage, socklen_t};
use socket2::{SockAddr, SockAddrStorage};

/// Room for the datagrams that one call takes in, used again for the next.
#[derive(Debug)]
pub(super) struct Arrivals {
    bytes: Vec<u8>,
    /// The lengths and senders of those that have come.
    arrived: Vec<(usize, Option<SocketAddr>)>,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BATCH * STRIDE], arrived: Vec::with_capacity(BATCH) }
    }

    /// Takes in what a socket has, at most [`BATCH`] datagrams. Says how many.
    ///
    /// # Errors
    /// As recvmmsg(2); `WouldBlock` if there is nothing.
    #[allow(unsafe_code)]
    pub(super) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        self.arrived.clear();
        // SAFETY: these are plain numbers and pointers, for which zeroes, null among them, are values.
        let (mut names, mut slices, mut headers): (
            [sockaddr_storage; BATCH],
            [iovec; BATCH],
            [mmsghdr; BATCH],
        ) = unsafe { mem::zeroed() };
        let rooms = self.bytes.chunks_exact_mut(STRIDE);
        for (((room, name), slice), header) in rooms.zip(&mut names).zip(&mut slices).zip(&mut headers) {
            *slice = iovec { iov_base: room.as_mut_ptr().cast(), iov_len: LONGEST };
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = NAME;
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        let most = headers.len() as c_uint;
        // SAFETY: each header names a room of its own in `bytes`, a slice and a name, with their sizes; all of them outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                most,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (header, name) in headers.iter().zip(&names).take(count) {
            let length = (header.msg_len as usize).min(LONGEST);
            self.arrived.push((length, address(name, header.msg_hdr.msg_namelen)));
        }
        Ok(count)
    }

    /// The datagram with this number of the last call, and its sender.
    pub(super) fn get(&mut self, number: usize) -> Option<(SocketAddr, &mut [u8])> {
        let (length, sender) = *self.arrived.get(number)?;
        let start = number * STRIDE;
        Some((sender?, self.bytes.get_mut(start..start + length)?))
    }
}

/// What waits to be sent: one after another, in order.
#[derive(Debug, Default)]
pub(super) struct Departures {
    bytes: Vec<u8>,
    waiting: Vec<Departure>,
}

#[derive(Debug)]
struct Departure {
    /// The number of the socket.
    socket: usize,
    receiver: SockAddr,
    /// Where it ends in the bytes, and the next one begins.
    end: usize,
}

/// A datagram that was not sent.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) receiver: Option<SocketAddr>,
    pub(super) error: io::Error,
}

impl Departures {
    /// Puts a datagram behind the others.
    pub(super) fn push(&mut self, socket: usize, receiver: SocketAddr, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.waiting.push(Departure { socket, receiver: receiver.into(), end: self.bytes.len() });
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH
    }

    /// Sends all that waits. What a socket does not take is told and gone.
    pub(super) fn send(&mut self, sockets: &[impl AsRawFd], mut tell: impl FnMut(Unsent)) {
        let mut first = 0;
        while first < self.waiting.len() {
            let number = self.waiting[first].socket;
            let same = self.waiting[first..].iter().take(BATCH).take_while(|next| next.socket == number);
            let last = first + same.count();
            let sent = match sockets.get(number) {
                Some(socket) => self.send_some(socket, first, last),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            match sent {
                Ok(sent) => first += sent,
                // It is the first of them that could not be sent.
                Err(error) => {
                    tell(Unsent { receiver: self.waiting[first].receiver.as_socket(), error });
                    first += 1;
                }
            }
        }
        self.waiting.clear();
        self.bytes.clear();
    }

    /// Sends some of those between two numbers, at least the first, and says how many.
    #[allow(unsafe_code)]
    fn send_some(&self, socket: &impl AsRawFd, first: usize, last: usize) -> io::Result<usize> {
        // SAFETY: these are plain numbers and pointers, for which zeroes, null among them, are values.
        let (mut slices, mut headers): ([iovec; BATCH], [mmsghdr; BATCH]) = unsafe { mem::zeroed() };
        let mut start = first.checked_sub(1).map_or(0, |before| self.waiting[before].end);
        let some = &self.waiting[first..last];
        for ((departure, slice), header) in some.iter().zip(&mut slices).zip(&mut headers) {
            let payload = &self.bytes[start..departure.end];
            start = departure.end;
            *slice = iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
            header.msg_hdr.msg_name = departure.receiver.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = departure.receiver.len();
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        let count = some.len().min(BATCH) as c_uint;
        // SAFETY: `count` headers are filled; what they name is only read, and outlives the call.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// The sender that the system has written down.
#[allow(unsafe_code)]
fn address(name: &sockaddr_storage, length: socklen_t) -> Option<SocketAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: it is a sockaddr_storage under another name, and any value of it is one.
    unsafe { *storage.view_as::<sockaddr_storage>() = *name };
    // SAFETY: the system has written an address of this length into it.
    unsafe { SockAddr::new(storage, length) }.as_socket()
}

/// Datagrams of one call.
pub(super) const BATCH: usize = 64;
/// The largest UDP payload.
const LONGEST: usize = 65_535;
/// From one datagram's room to the next: not a power of two, which would put all of them into the same few lines of the cache.
const STRIDE: usize = LONGEST + 1 + 3 * 64;
const NAME: socklen_t = size_of::<sockaddr_storage>() as socklen_t;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn arrived(arrivals: &mut Arrivals, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        (0..count).map(|at| arrivals.get(at).map(|(from, bytes)| (from, bytes.to_vec())).unwrap()).collect()
    }

    #[test]
    fn what_waits_is_sent_in_order_through_its_sockets_and_arrives_with_its_sender() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let [receiver, one, other] = [(); 3].map(|()| socket(address));
            let to = receiver.local_addr().unwrap();
            let mut departures = Departures::default();
            let payloads: Vec<Vec<u8>> = (0..150_u8).map(|at| vec![at; usize::from(at)]).collect();
            for payload in &payloads {
                departures.push(usize::from(payload.len() % 50 == 7), to, payload);
            }
            assert!(departures.is_full() && !departures.is_empty());
            let senders = [one.local_addr().unwrap(), other.local_addr().unwrap()];
            departures.send(&[one, other], |unsent| panic!("{unsent:?}"));
            assert!(departures.is_empty());
            let mut arrivals = Arrivals::new();
            let mut all = Vec::new();
            for wanted in [BATCH, BATCH, 150 - 2 * BATCH] {
                let count = arrivals.receive(&receiver).unwrap();
                assert_eq!(count, wanted);
                assert!(arrivals.get(count).is_none());
                all.extend(arrived(&mut arrivals, count));
            }
            let error = arrivals.receive(&receiver).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            for ((from, bytes), payload) in all.iter().zip(&payloads) {
                assert_eq!(bytes, payload);
                assert_eq!(*from, senders[usize::from(payload.len() % 50 == 7)]);
            }
        }
    }

    #[test]
    fn the_largest_datagram_arrives_whole_and_beside_the_smallest() {
        let [receiver, sender] = [(); 2].map(|()| socket("127.0.0.1:0"));
        let to = receiver.local_addr().unwrap();
        let large: Vec<u8> = (0..65_507_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut departures = Departures::default();
        for payload in [&large[..], &[], &large[..1]] {
            departures.push(0, to, payload);
        }
        departures.send(&[sender], |unsent| panic!("{unsent:?}"));
        let mut arrivals = Arrivals::new();
        let count = arrivals.receive(&receiver).unwrap();
        let lengths: Vec<usize> =
            arrived(&mut arrivals, count).iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [65_507, 0, 1]);
        assert_eq!(arrivals.get(0).unwrap().1, large);
    }

    #[test]
    fn what_cannot_be_sent_is_told_and_the_rest_is_sent() {
        let [receiver, sender] = [(); 2].map(|()| socket("127.0.0.1:0"));
        let to = receiver.local_addr().unwrap();
        let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut departures = Departures::default();
        departures.push(0, to, b"a");
        departures.push(0, nowhere, b"b");
        departures.push(7, to, b"c");
        departures.push(0, to, b"d");
        let mut unsent = Vec::new();
        departures.send(&[sender], |it| unsent.push((it.receiver, it.error.kind())));
        assert_eq!(unsent.len(), 2);
        assert_eq!(unsent[0].0, Some(nowhere));
        assert_eq!(unsent[1], (Some(to), io::ErrorKind::NotConnected));
        let mut arrivals = Arrivals::new();
        let count = arrivals.receive(&receiver).unwrap();
        let bytes: Vec<Vec<u8>> = arrived(&mut arrivals, count).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, [b"a", b"d"]);
    }
}
