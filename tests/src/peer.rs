//! A scripted CoAP peer: one socket, one gateway, no behaviour of its own.

use std::fmt::Debug;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

use crate::inbox::PATIENCE;

/// A UDP socket that talks to one gateway, with or without DTLS.
#[derive(Debug)]
pub struct Peer {
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Plain(UdpSocket),
    Over(Arc<dyn Channel>),
}

/// Carries messages to one gateway and back.
pub trait Channel: Debug + Send + Sync {
    /// Send a message.
    fn send(&self, message: &[u8]) -> Result<()>;

    /// The next message, or none when none comes in time.
    fn receive_within(&self, patience: Duration) -> Result<Option<Vec<u8>>>;
}

impl Peer {
    /// A new socket, so a new address for the gateway.
    pub fn connect(gateway: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(gateway)?;
        Ok(Self { transport: Transport::Plain(socket) })
    }

    /// Over an association with the gateway.
    pub fn over<C: Channel + 'static>(channel: &Arc<C>) -> Self {
        let channel: Arc<dyn Channel> = Arc::<C>::clone(channel);
        Self { transport: Transport::Over(channel) }
    }

    /// A second handle on the same socket.
    pub fn share(&self) -> Result<Self> {
        let transport = match &self.transport {
            Transport::Plain(socket) => Transport::Plain(socket.try_clone()?),
            Transport::Over(channel) => Transport::Over(Arc::clone(channel)),
        };
        Ok(Self { transport })
    }

    /// Send any bytes.
    pub fn send_bytes(&self, datagram: &[u8]) -> Result<()> {
        match &self.transport {
            Transport::Plain(socket) => socket.send(datagram).map(|_| ())?,
            Transport::Over(channel) => channel.send(datagram)?,
        }
        Ok(())
    }

    /// Send a message.
    pub fn send(&self, packet: &Packet) -> Result<()> {
        self.send_bytes(&packet.to_bytes_unlimited().map_err(|error| anyhow!("encoding: {error:?}"))?)
    }

    /// The next message, or none when none comes in time.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<Packet>> {
        let socket = match &self.transport {
            Transport::Plain(socket) => socket,
            Transport::Over(channel) => {
                return channel.receive_within(patience)?.map(|datagram| parse(&datagram)).transpose();
            }
        };
        socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut datagram = vec![0; 65_536];
        match socket.recv(&mut datagram) {
            Ok(length) => Ok(Some(parse(&datagram[..length])?)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Wait for a message that matches; others are passed over, and named when none comes.
    pub fn expect(&self, what: &str, matches: impl Fn(&Packet) -> bool) -> Result<Packet> {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let received = if left.is_zero() { None } else { self.receive_within(left)? };
            match received {
                Some(packet) if matches(&packet) => return Ok(packet),
                Some(packet) => passed.push(packet),
                None => bail!("no {what} within {PATIENCE:?}; instead: {passed:#?}"),
            }
        }
    }

    /// Send a request and wait for the response with its token, piggybacked or not.
    pub fn ask(&self, request: &Packet) -> Result<Packet> {
        self.send(request)?;
        let token = request.get_token().to_vec();
        self.expect("response", |packet| {
            matches!(packet.header.code, MessageClass::Response(_)) && packet.get_token() == token
        })
    }

    /// Wait for a request of the gateway.
    pub fn asked(&self, what: &str) -> Result<Packet> {
        self.expect(what, |packet| matches!(packet.header.code, MessageClass::Request(_)))
    }
}

fn parse(datagram: &[u8]) -> Result<Packet> {
    Packet::from_bytes(datagram).map_err(|error| anyhow!("the gateway sent {datagram:02x?}: {error:?}"))
}

/// A confirmable request; `queries` like `ep=x`.
pub fn request(code_text: &str, mid: u16, token: &[u8], path: &str, queries: &[&str]) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Confirmable);
    packet.header.code = code(code_text);
    packet.header.message_id = mid;
    packet.set_token(token.to_vec());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    for query in queries {
        packet.add_option(CoapOption::UriQuery, query.as_bytes().to_vec());
    }
    packet
}

/// A response to `request`, with its token; the message ID is the request's for an acknowledgement.
pub fn response(request: &Packet, kind: MessageType, code_text: &str, mid: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(kind);
    packet.header.code = code(code_text);
    packet.header.message_id = mid;
    packet.set_token(request.get_token().to_vec());
    packet
}

/// A response in the acknowledgement of `request`.
pub fn acknowledgement(request: &Packet, code_text: &str) -> Packet {
    response(request, MessageType::Acknowledgement, code_text, request.header.message_id)
}

/// An empty message: a ping, an acknowledgement or a reset.
pub fn empty(kind: MessageType, mid: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(kind);
    packet.header.code = MessageClass::Empty;
    packet.header.message_id = mid;
    packet
}

/// `2.05` and the like as coap-lite has it.
pub fn code(text: &str) -> MessageClass {
    let (class, detail) = text.split_once('.').expect("a code has a dot");
    let class: u8 = class.parse().expect("a code's class is a digit");
    let detail: u8 = detail.parse().expect("a code's detail is two digits");
    MessageClass::from(class << 5 | detail)
}

/// A message's code as `2.05`.
pub fn code_text(packet: &Packet) -> String {
    let code = u8::from(packet.header.code);
    format!("{}.{:02}", code >> 5, code & 0x1f)
}

/// All values of an option.
pub fn option_values(packet: &Packet, option: CoapOption) -> Vec<Vec<u8>> {
    packet.get_option(option).into_iter().flatten().cloned().collect()
}

/// The first value of an option as an unsigned integer.
pub fn option_uint(packet: &Packet, option: CoapOption) -> Option<u64> {
    packet
        .get_first_option(option)
        .map(|bytes| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
