//! Listening sockets: one per shard and address, sharing the port.
//!
//! A service manager may have opened some and hand them over (sd_listen_fds(3)). It holds them while the gateway restarts, and what
//! comes meanwhile waits in the kernel: the devices notice nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// A listening address that cannot be had.
#[derive(Debug, Error)]
#[error("cannot listen on {address} (udp): {source}{}", hint(.source, .key))]
pub struct BindError {
    /// The key of the configuration.
    pub key: &'static str,
    /// As configured.
    pub address: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// The sockets that were handed over, each for the address that it is bound to.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, UdpSocket)>,
}

impl Inherited {
    /// Takes them; there may be none. Only the first call finds any.
    ///
    /// # Errors
    /// One of them is no UDP socket.
    pub fn take() -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..handed.len() {
            if let Some(socket) = handed.take_udp_socket(at)? {
                sockets.push((socket.local_addr()?, socket));
            }
        }
        Ok(Self { sockets })
    }

    /// Binds each address once per shard. The outer vector is by shard, the inner one by address. A socket that was handed over for an
    /// address becomes the first shard's.
    ///
    /// A port of 0 is chosen by the system for the first shard and shared by the others. `key` is the one of the configuration
    /// that names the addresses.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(
        &mut self,
        key: &'static str,
        addresses: &[SocketAddr],
        shards: usize,
    ) -> Result<Vec<Vec<UdpSocket>>, BindError> {
        let mut by_shard: Vec<Vec<UdpSocket>> = (0..shards).map(|_| Vec::new()).collect();
        for &configured in addresses {
            let failed = |source| BindError { key, address: configured, source };
            let mut handed = self.adopt(configured, shards).map_err(failed)?;
            let address = match &handed {
                Some(_) => configured,
                // Sockets that share a port would also share it with another gateway that is already running: a plain
                // bind first finds out.
                None => open(configured, false).and_then(|probe| probe.local_addr()).map_err(failed)?,
            };
            for sockets in &mut by_shard {
                let socket = handed.take().map_or_else(|| open(address, true), Ok);
                sockets.push(socket.map_err(failed)?);
            }
        }
        Ok(by_shard)
    }

    /// What was handed over for an address.
    fn adopt(&mut self, address: SocketAddr, shards: usize) -> io::Result<Option<UdpSocket>> {
        let Some(at) = self.sockets.iter().position(|(bound, _)| *bound == address) else { return Ok(None) };
        let (_, socket) = self.sockets.swap_remove(at);
        let socket = Socket::from(socket);
        if shards > 1 && !socket.reuse_port()? {
            let message =
                "the service manager's socket does not share its port; set ReusePort=yes in its unit";
            return Err(io::Error::other(message));
        }
        prepare(&socket)?;
        tracing::info!(%address, "listening on the service manager's socket");
        Ok(Some(socket.into()))
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        for (address, _) in &self.sockets {
            tracing::warn!(%address, "the service manager's socket is closed: no listener has this address");
        }
    }
}

/// Tells how many datagrams the kernel has dropped at sockets, which may belong to shards meanwhile.
#[derive(Clone, Debug, Default)]
pub struct ReceiveBuffers {
    inodes: Vec<u64>,
}

impl ReceiveBuffers {
    /// Those of these sockets.
    pub fn of<'a>(sockets: impl IntoIterator<Item = &'a UdpSocket>) -> Self {
        let inode = |socket: &UdpSocket| {
            Some(std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?.ino())
        };
        Self { inodes: sockets.into_iter().filter_map(inode).collect() }
    }

    /// Datagrams that found a receive buffer full since the start. Reads files, so not for a shard's thread. None if the system
    /// does not tell.
    pub fn dropped(&self) -> Option<u64> {
        let tables: Vec<String> =
            UDP_TABLES.iter().filter_map(|table| std::fs::read_to_string(table).ok()).collect();
        (!tables.is_empty()).then(|| tables.iter().map(|table| dropped(table, &self.inodes)).sum())
    }
}

/// Adds up the column `drops` of the sockets with these inodes.
fn dropped(table: &str, inodes: &[u64]) -> u64 {
    let of = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let inode: u64 = fields.nth(INODE)?.parse().ok()?;
        let drops: u64 = fields.next_back()?.parse().ok()?;
        inodes.contains(&inode).then_some(drops)
    };
    table.lines().skip(1).filter_map(of).sum()
}

fn open(address: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(share)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn prepare(socket: &Socket) -> io::Result<()> {
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "the kernel refuses a larger receive buffer");
    }
    socket.set_nonblocking(true)
}

fn hint(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; another program has this port, see {key}"),
        io::ErrorKind::AddrNotAvailable => format!("; this machine does not have this address, see {key}"),
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges".to_owned(),
        _ => String::new(),
    }
}

/// What Linux tells of UDP sockets (proc_pid_net(5)).
const UDP_TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// The field of a line that has the inode.
const INODE: usize = 9;
/// Room for a burst of a few thousand notifications; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_the_address_and_a_hint() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = Inherited::default()
            .bind("[dtls] listen", &[taken.local_addr().unwrap()], 2)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
        assert!(error.contains("another program has this port, see [dtls] listen"), "{error}");
    }

    #[test]
    fn a_socket_that_was_handed_over_is_the_first_shards_and_must_share_its_port() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let handed = |share| {
            let socket = open(address, share).unwrap();
            let bound = socket.local_addr().unwrap();
            (Inherited { sockets: vec![(bound, socket)] }, bound)
        };
        let (mut inherited, bound) = handed(true);
        let sockets = inherited.bind("[coap] listen", &[bound], 2).unwrap();
        assert!(inherited.sockets.is_empty());
        assert!(sockets.iter().all(|of| of[0].local_addr().unwrap() == bound));
        drop((inherited, sockets));
        let (mut inherited, bound) = handed(false);
        let error = inherited.bind("[coap] listen", &[bound], 2).unwrap_err().to_string();
        assert!(error.contains("ReusePort=yes"), "{error}");
        let (mut inherited, bound) = handed(false);
        assert_eq!(inherited.bind("[coap] listen", &[bound], 1).unwrap().len(), 1);
    }

    #[test]
    fn shards_share_the_port_that_the_system_chose() {
        let address = "127.0.0.1:0".parse().unwrap();
        let sockets = Inherited::default().bind("[coap] listen", &[address], 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|of| of[0].local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn drops_of_other_sockets_do_not_count() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            7: 00000000:1697 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 12\n\
            8: 00000000:1697 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4712 2 0000000000000000 30\n\
            9: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4713 2 0000000000000000 500\n";
        assert_eq!(dropped(table, &[4711, 4712]), 42);
        assert_eq!(dropped("", &[4711]), 0);
    }

    #[test]
    fn a_full_receive_buffer_is_told() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let buffers = ReceiveBuffers::of([&receiver]);
        let Some(0) = buffers.dropped() else { return };
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&receiver).set_recv_buffer_size(1).unwrap();
        // Its smallest size is a few kilobytes.
        for _ in 0..1_000 {
            sender.send_to(&[0; 1_000], receiver.local_addr().unwrap()).unwrap();
        }
        assert!(buffers.dropped() > Some(900), "{:?}", buffers.dropped());
    }
}
