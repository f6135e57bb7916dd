//! What the load generator asks of Linux that the standard library has no words for: many datagrams in one call, each from a source
//! address of its own; the CPU that a process has used; signals; the end of a child. Everything unsafe of the generator is here.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A socket that sends from any loopback address, and says to which one something came (IP_PKTINFO, ip(7)).
#[derive(Debug)]
pub(super) struct Source {
    socket: UdpSocket,
}

/// Datagrams, each with the loopback address that it goes from or came to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    slots: Vec<Slot>,
    filled: usize,
}

#[derive(Debug)]
struct Slot {
    address: Ipv4Addr,
    bytes: Vec<u8>,
}

impl Batch {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == BATCH
    }

    /// Room for one more, from this address: empty, to be appended to. It must not be full.
    pub(super) fn next(&mut self, from: Ipv4Addr) -> &mut Vec<u8> {
        if self.slots.len() == self.filled {
            self.slots.push(Slot { address: from, bytes: Vec::with_capacity(ROOM) });
        }
        let slot = &mut self.slots[self.filled];
        self.filled += 1;
        slot.address = from;
        slot.bytes.clear();
        &mut slot.bytes
    }

    /// The last one is none after all.
    pub(super) fn take_back(&mut self) {
        self.filled = self.filled.saturating_sub(1);
    }

    /// Those that are there.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Ipv4Addr, &mut Vec<u8>)> {
        self.slots[..self.filled].iter_mut().map(|slot| (slot.address, &mut slot.bytes))
    }
}

impl Source {
    /// On a port of the system's choice, with large buffers where the system grants them.
    pub(super) fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        set_option(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        for (forced, asked) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            // Only root may force.
            set_option(&socket, libc::SOL_SOCKET, forced, BUFFER)
                .or_else(|_| set_option(&socket, libc::SOL_SOCKET, asked, BUFFER))?;
        }
        Ok(Self { socket })
    }

    pub(super) fn poll(&self) -> libc::pollfd {
        readable(&self.socket)
    }

    /// Sends all of the batch, and empties it. What the kernel refuses is lost, as datagrams may be.
    #[allow(unsafe_code)]
    pub(super) fn send(&self, to: SocketAddrV4, batch: &mut Batch) -> io::Result<()> {
        let mut name = sockaddr(to);
        let mut controls = [Control::EMPTY; BATCH];
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        for (at, (from, bytes)) in batch.iter_mut().enumerate() {
            controls[at] = Control::from(from);
            vectors[at] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            fill(&mut headers[at], &mut name, &mut vectors[at], &mut controls[at]);
        }
        let (mut done, count) = (0, batch.filled);
        batch.filled = 0;
        while done < count {
            let left = &mut headers[done..count];
            let length = u32::try_from(left.len()).unwrap_or(u32::MAX);
            // SAFETY: the headers are `length` many, and what they point to is on this frame or in the batch, which both live
            // longer than the call.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), left.as_mut_ptr(), length, 0) };
            match usize::try_from(sent) {
                Ok(sent) => done += sent.max(1),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    // The next of a batch tells that an earlier datagram was refused: nobody listens.
                    error if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    error if error.kind() == io::ErrorKind::WouldBlock => done += 1,
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// What has come, as much as fits; the batch had something else before.
    #[allow(unsafe_code)]
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.filled = 0;
        while !batch.is_full() {
            batch.next(Ipv4Addr::UNSPECIFIED).resize(ROOM, 0);
        }
        let mut name = sockaddr(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let mut controls = [Control::EMPTY; BATCH];
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut headers = [EMPTY_HEADER; BATCH];
        for (at, (_, bytes)) in batch.iter_mut().enumerate() {
            vectors[at] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            fill(&mut headers[at], &mut name, &mut vectors[at], &mut controls[at]);
            headers[at].msg_hdr.msg_name = std::ptr::null_mut();
            headers[at].msg_hdr.msg_namelen = 0;
        }
        let length = u32::try_from(BATCH).unwrap_or(u32::MAX);
        // SAFETY: as in `send`; without a time the call waits for nothing.
        let got = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                length,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        batch.filled = 0;
        let Ok(got) = usize::try_from(got) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => {
                    Ok(())
                }
                _ => Err(error),
            };
        };
        for at in 0..got {
            let slot = &mut batch.slots[at];
            slot.address = controls[at].destination();
            slot.bytes.truncate(usize::try_from(headers[at].msg_len).unwrap_or(ROOM));
        }
        batch.filled = got;
        Ok(())
    }
}

/// A control message with the source or destination address of a datagram, as cmsg(3) lays it out on 64 bits.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: libc::c_int,
    kind: libc::c_int,
    info: libc::in_pktinfo,
}

impl Control {
    const EMPTY: Self = Self {
        length: std::mem::offset_of!(Self, info) + size_of::<libc::in_pktinfo>(),
        level: libc::IPPROTO_IP,
        kind: libc::IP_PKTINFO,
        info: libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: 0 },
            ipi_addr: libc::in_addr { s_addr: 0 },
        },
    };

    fn from(address: Ipv4Addr) -> Self {
        let mut control = Self::EMPTY;
        control.info.ipi_spec_dst.s_addr = u32::from(address).to_be();
        control
    }

    fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from_be(self.info.ipi_addr.s_addr))
    }
}

const EMPTY_HEADER: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: std::ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

fn fill(
    header: &mut libc::mmsghdr,
    name: &mut libc::sockaddr_in,
    vector: &mut libc::iovec,
    control: &mut Control,
) {
    header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(u32::MAX);
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
    header.msg_hdr.msg_controllen = size_of::<Control>();
}

fn sockaddr(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default(),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

#[allow(unsafe_code)]
fn set_option(
    socket: &UdpSocket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = u32::try_from(size_of::<libc::c_int>()).unwrap_or(u32::MAX);
    // SAFETY: `value` is there for the call, and as long as `length` says.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), length)
    };
    checked(outcome)
}

/// What [`wait`] is to look at.
pub(super) fn readable(of: &impl std::os::fd::AsRawFd) -> libc::pollfd {
    libc::pollfd { fd: of.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Waits until one of them is readable, at most so long.
#[allow(unsafe_code)]
pub(super) fn wait(of: &mut [libc::pollfd], at_most: Duration) -> io::Result<()> {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(at_most.subsec_nanos().cast_signed()),
    };
    let length = libc::nfds_t::try_from(of.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: the descriptors are `length` many; the time is there for the call; no signal mask is passed.
    let outcome = unsafe { libc::ppoll(of.as_mut_ptr(), length, &raw const time, std::ptr::null()) };
    match checked(outcome) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        outcome => outcome,
    }
}

/// Nanoseconds of CPU, user and system, that all threads of a process have used, also of those that have ended.
///
/// The same as the sum over `/proc/PID/task/*/schedstat`, which forgets threads that have ended.
pub(super) fn cpu_of_process(id: u32) -> io::Result<u64> {
    // As clock_getcpuclockid(3) makes it: the process, and its scheduler's clock.
    clock(!libc::pid_t::try_from(id).map_err(io::Error::other)? << 3 | 2)
}

/// The same of the calling thread.
pub(super) fn cpu_of_thread() -> io::Result<u64> {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[allow(unsafe_code)]
fn clock(id: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is there for the call, which writes it.
    checked(unsafe { libc::clock_gettime(id, &raw mut time) })?;
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    Ok(seconds.unwrap_or_default() * 1_000_000_000 + nanoseconds.unwrap_or_default())
}

/// From now on Ctrl-C and SIGTERM end nothing, but are told by [`is_interrupted`].
#[allow(unsafe_code)]
pub(super) fn catch_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler: extern "C" fn(libc::c_int) = interrupted;
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether somebody wants this to end.
pub(super) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn interrupted(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The child is to end when the calling thread does, however that ends.
#[allow(unsafe_code)]
pub(super) fn end_with_us(command: &mut Command) {
    // SAFETY: between fork and exec there is one system call, which allocates nothing.
    unsafe {
        command.pre_exec(|| checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)));
    }
}

/// Asks a process to end.
#[allow(unsafe_code)]
pub(super) fn terminate(id: u32) -> io::Result<()> {
    let id = libc::pid_t::try_from(id).map_err(io::Error::other)?;
    // SAFETY: no memory is involved; the caller has not waited for this child yet, so the number is still its.
    checked(unsafe { libc::kill(id, libc::SIGTERM) })
}

fn checked(outcome: libc::c_int) -> io::Result<()> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Datagrams in one call at most.
pub(super) const BATCH: usize = 64;
/// Bytes of the largest datagram: what a CoAP message has at most (RFC 7252 section 4.6), and DTLS around it.
const ROOM: usize = 1_500;
/// Bytes of a socket's buffer.
const BUFFER: libc::c_int = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_from_the_address_they_are_to_come_from_and_answers_are_told_apart_by_it() {
        let (source, peer) = (Source::open().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let std::net::SocketAddr::V4(to) = peer.local_addr().unwrap() else { unreachable!("it is IPv4") };
        let addresses = [Ipv4Addr::new(127, 1, 2, 3), Ipv4Addr::new(127, 9, 0, 1)];
        let mut batch = Batch::default();
        for (text, address) in [b"one".as_slice(), b"three"].iter().zip(addresses) {
            batch.next(address).extend_from_slice(text);
        }
        source.send(to, &mut batch).unwrap();
        assert_eq!(batch.len(), 0);
        let mut buffer = [0; 16];
        for (text, address) in [b"one".as_slice(), b"three"].iter().zip(addresses) {
            let (length, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (*text, address.into()));
            peer.send_to(&buffer[..length], from).unwrap();
        }
        wait(&mut [source.poll()], Duration::from_secs(10)).unwrap();
        source.receive(&mut batch).unwrap();
        let got: Vec<_> = batch.iter_mut().map(|(address, bytes)| (address, bytes.clone())).collect();
        assert_eq!(got, [(addresses[0], b"one".to_vec()), (addresses[1], b"three".to_vec())]);
    }

    #[test]
    fn the_cpu_of_a_process_is_at_least_that_of_one_of_its_threads() {
        let thread = cpu_of_thread().unwrap();
        assert!(thread > 0);
        assert!(cpu_of_process(std::process::id()).unwrap() >= thread);
    }
}
