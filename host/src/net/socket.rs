//! Listening sockets: one per shard and address, sharing the port.

use std::io;
use std::net::{SocketAddr, UdpSocket};

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

/// Binds each address once per shard. The outer vector is by shard, the inner one by address.
///
/// A port of 0 is chosen by the system for the first shard and shared by the others. `key` is the one of the configuration
/// that names the addresses.
///
/// # Errors
/// The first address that cannot be had.
pub fn bind_listeners(
    key: &'static str,
    addresses: &[SocketAddr],
    shards: usize,
) -> Result<Vec<Vec<UdpSocket>>, BindError> {
    let mut by_shard: Vec<Vec<UdpSocket>> = (0..shards).map(|_| Vec::new()).collect();
    for &configured in addresses {
        let failed = |source| BindError { key, address: configured, source };
        // Sockets that share a port would also share it with another gateway that is already running: a plain
        // bind first finds out.
        let probe = open(configured, false).map_err(failed)?;
        let address = probe.local_addr().map_err(failed)?;
        drop(probe);
        for sockets in &mut by_shard {
            sockets.push(open(address, true).map_err(failed)?);
        }
    }
    Ok(by_shard)
}

fn open(address: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(share)?;
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "the kernel refuses a larger receive buffer");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn hint(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; another program has this port, see {key}"),
        io::ErrorKind::AddrNotAvailable => format!("; this machine does not have this address, see {key}"),
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges".to_owned(),
        _ => String::new(),
    }
}

/// Room for a burst of a few thousand notifications; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_the_address_and_a_hint() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error =
            bind_listeners("[dtls] listen", &[taken.local_addr().unwrap()], 2).unwrap_err().to_string();
        assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
        assert!(error.contains("another program has this port, see [dtls] listen"), "{error}");
    }

    #[test]
    fn shards_share_the_port_that_the_system_chose() {
        let sockets = bind_listeners("[coap] listen", &["127.0.0.1:0".parse().unwrap()], 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|of| of[0].local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }
}
