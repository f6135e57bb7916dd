//! The broker in the box, for trying the gateway out and for small installations: rumqttd, in memory, without users.
//!
//! rumqttd has a server for each protocol version, each with a port of its own. MQTT clients expect one port, so a small
//! front listens where the configuration says, reads the protocol level in the CONNECT (MQTT 5, 3.1.2.2) and passes
//! the connection on to one of two rumqttd servers on loopback ports of the system's choice. The gateway's own session
//! goes to its server directly. It is a client like any other, so that there is one way to a broker.
//!
//! Known limit of rumqttd 0.20: a message with MQTT 5 properties that reaches an MQTT 3.1.1 subscriber ends that
//! subscriber's connection by a panic in rumqttd, and when the subscriber comes back under the same client identifier,
//! all later MQTT 3.1.1 connections. MQTT 5 clients, and so the gateway's own session, go on. Who mixes versions and uses
//! properties needs another broker.
//!
//! rumqttd cannot be stopped: its threads live as long as the process. Dropping the `EmbeddedBroker` closes the front.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::config::{Embedded, MqttVersion};

/// A running embedded broker.
#[derive(Debug)]
pub struct EmbeddedBroker {
    listening: Vec<SocketAddr>,
    servers: Servers,
    _fronts: JoinSet<()>,
}

impl EmbeddedBroker {
    /// Starts it, and returns once it takes connections. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address cannot be listened on, or rumqttd does not start.
    pub async fn start(embedded: &Embedded, max_packet: usize) -> Result<Self, EmbeddedBrokerError> {
        let mut listeners = Vec::new();
        for address in &embedded.listen {
            let bound = TcpListener::bind(address).await;
            listeners.push(bound.map_err(|error| EmbeddedBrokerError::bind(*address, error))?);
        }
        let servers = Servers::start(max_packet).await?;
        let mut listening = Vec::new();
        let mut fronts = JoinSet::new();
        for listener in listeners {
            let address = listener.local_addr().map_err(EmbeddedBrokerError::Start)?;
            info!(%address, "embedded MQTT broker listening");
            if !address.ip().is_loopback() {
                warn!(%address, "the embedded MQTT broker has no users: whoever reaches this address commands the devices");
            }
            listening.push(address);
            fronts.spawn(front(listener, servers));
        }
        Ok(Self { listening, servers, _fronts: fronts })
    }

    /// Where clients reach it: as configured, with the port that the system chose where that said 0.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Where the gateway's own session reaches it.
    pub fn server(&self, version: MqttVersion) -> SocketAddr {
        match version {
            MqttVersion::V4 => self.servers.v4,
            MqttVersion::V5 => self.servers.v5,
        }
    }
}

/// Why the embedded broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedBrokerError {
    /// The address is taken.
    #[error(
        "mqtt.embedded.listen: {address} is in use: another broker is running; \
         set [mqtt] broker = \"mqtt://{address}\" to use that one, or another address here"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("mqtt.embedded.listen: cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
    /// rumqttd did not start.
    #[error("the embedded MQTT broker does not start: {0}")]
    Start(io::Error),
}

impl EmbeddedBrokerError {
    fn bind(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            _ => Self::Bind { address, error },
        }
    }
}

/// The two servers of rumqttd.
#[derive(Clone, Copy, Debug)]
struct Servers {
    v4: SocketAddr,
    v5: SocketAddr,
}

impl Servers {
    async fn start(max_packet: usize) -> Result<Self, EmbeddedBrokerError> {
        let servers = Self::free_ports().map_err(EmbeddedBrokerError::Start)?;
        let server = |name: &str, listen| {
            let settings = ServerSettings {
                name: name.into(),
                listen,
                tls: None,
                next_connection_delay_ms: 0,
                connections: ConnectionSettings {
                    connection_timeout_ms: 10_000,
                    max_payload_size: max_packet,
                    max_inflight_count: 200,
                    auth: None,
                    external_auth: None,
                    dynamic_filters: false,
                },
            };
            Some(HashMap::from([(name.to_owned(), settings)]))
        };
        let config = Config {
            router: RouterConfig {
                max_connections: 1024,
                max_outgoing_packet_count: 200,
                max_segment_size: SEGMENT,
                max_segment_count: SEGMENTS,
                // rumqttd disconnects who publishes on a topic that no filter matches. With this filter there always
                // is one; the other way, `dynamic_filters`, keeps a log for each topic ever published on.
                initialized_filters: Some(vec!["#".into()]),
                ..RouterConfig::default()
            },
            v4: server("mqtt-v4", servers.v4),
            v5: server("mqtt-v5", servers.v5),
            ..Config::default()
        };
        std::thread::Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || {
                if let Err(error) = Broker::new(config).start() {
                    warn!(%error, "the embedded MQTT broker has ended");
                }
            })
            .map_err(EmbeddedBrokerError::Start)?;
        for server in [servers.v4, servers.v5] {
            reachable(server).await.map_err(EmbeddedBrokerError::Start)?;
        }
        Ok(servers)
    }

    /// rumqttd takes no listener and does not tell its port, so two are asked for and given back.
    fn free_ports() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (v4, v5) = (std::net::TcpListener::bind(any)?, std::net::TcpListener::bind(any)?);
        Ok(Self { v4: v4.local_addr()?, v5: v5.local_addr()? })
    }
}

/// Waits until a server takes connections; rumqttd does not say when it does.
async fn reachable(server: SocketAddr) -> io::Result<()> {
    let mut attempts = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..500 {
        attempts.tick().await;
        if TcpStream::connect(server).await.is_ok() {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no server on {server} within 5 s")))
}

async fn front(listener: TcpListener, servers: Servers) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, peer)) => {
                    connections.spawn(async move {
                        if let Err(error) = pass_on(client, servers).await {
                            debug!(%peer, %error, "connection to the embedded MQTT broker ended");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "the embedded MQTT broker cannot accept connections");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass_on(mut client: TcpStream, servers: Servers) -> io::Result<()> {
    let mut start = Vec::with_capacity(64);
    let connect = async {
        loop {
            if client.read_buf(&mut start).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            if let Some(level) = protocol_level(&start)? {
                return Ok(level);
            }
        }
    };
    let level =
        tokio::time::timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let mut server = TcpStream::connect(if level >= 5 { servers.v5 } else { servers.v4 }).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    server.write_all(&start).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The protocol level in the beginning of a connection; none while there is too little of it.
fn protocol_level(start: &[u8]) -> io::Result<Option<u8>> {
    let no_connect = || io::Error::new(io::ErrorKind::InvalidData, "no MQTT CONNECT");
    if start.first().is_some_and(|first| *first != 0x10) {
        return Err(no_connect());
    }
    let length = start.iter().skip(1).position(|byte| byte & 0x80 == 0);
    // Packet type, remaining length of up to 4 bytes, then the protocol name as text with its length in front.
    match length {
        None if start.len() > 5 => Err(no_connect()),
        None => Ok(None),
        Some(last) if last > 3 => Err(no_connect()),
        Some(last) => {
            let header = start.get(2 + last..).unwrap_or_default();
            let [high, low, name @ ..] = header else { return Ok(None) };
            let name_length = usize::from(u16::from_be_bytes([*high, *low]));
            if !(4..=6).contains(&name_length) {
                Err(no_connect())
            } else {
                Ok(name.get(name_length).copied())
            }
        }
    }
}

/// How long a client may take for its CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// rumqttd keeps the latest messages of each filter in so many segments of so many bytes.
const SEGMENT: usize = 4 << 20;
const SEGMENTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_as_soon_as_it_is_there() {
        let connect = [0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 2];
        for end in 0..8 {
            assert_eq!(protocol_level(&connect[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(protocol_level(&connect).unwrap(), Some(5));
        let long = [0x10, 0x80, 0x01, 0, 4, b'M', b'Q', b'T', b'T', 4];
        assert_eq!(protocol_level(&long).unwrap(), Some(4));
    }

    #[test]
    fn what_is_no_connect_is_refused() {
        let all: [&[u8]; 4] =
            [b"GET / HTTP", &[0x30, 2], &[0x10, 0xff, 0xff, 0xff, 0xff, 1], &[0x10, 9, 1, 0]];
        for wrong in all {
            assert!(protocol_level(wrong).is_err(), "{wrong:?}");
        }
    }
}
