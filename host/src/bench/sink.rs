//! The broker of a measurement: it takes what the subject publishes, hands it on to be counted, and sends commands to whoever has
//! subscribed. Nothing is kept and nobody else is served, so that it costs next to nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::Context as _;

use super::packet::{Packet, Publish, parse, publish_into};
use super::system;

/// The listening broker.
#[derive(Debug)]
pub(super) struct Sink {
    listener: TcpListener,
    connections: Vec<Connection>,
}

impl Sink {
    /// Listens on a loopback port of the system's choice.
    pub(super) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new() })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What [`system::wait`] is to look at.
    pub(super) fn poll(&self, out: &mut Vec<libc::pollfd>) {
        out.push(system::readable(&self.listener));
        out.extend(self.connections.iter().map(|of| system::readable(&of.stream)));
    }

    /// Whether somebody has connected with MQTT.
    pub(super) fn is_connected(&self) -> bool {
        self.connections.iter().any(|of| of.session.version != 0)
    }

    /// Whether somebody takes commands.
    pub(super) fn is_subscribed(&self) -> bool {
        self.connections.iter().any(|of| of.session.is_subscribed)
    }

    /// Takes what has come on all connections, and hands on each publication.
    pub(super) fn take(&mut self, mut on: impl FnMut(&Publish<'_>)) -> anyhow::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    self.connections.push(Connection::new(stream));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the broker of the measurement cannot accept"),
            }
        }
        for connection in &mut self.connections {
            connection.take(&mut on)?;
        }
        self.connections.retain(|of| !of.is_closed);
        Ok(())
    }

    /// Sends a command to whoever has subscribed; it goes out with [`Self::flush`].
    pub(super) fn command(&mut self, topic: &str, payload: &[u8]) {
        if let Some(to) = self.connections.iter_mut().find(|of| of.session.is_subscribed) {
            publish_into(topic, payload, to.session.version, &mut to.session.out);
        }
    }

    /// Writes what there is to write, as far as the connections take it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.connections.iter_mut().try_for_each(Connection::flush)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer has come and is not used.
    filled: usize,
    session: Session,
    is_closed: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], filled: 0, session: Session::default(), is_closed: false }
    }

    fn take(&mut self, on: &mut impl FnMut(&Publish<'_>)) -> anyhow::Result<()> {
        // More than a few full buffers at once would keep the clients waiting.
        for _ in 0..4 {
            if self.filled == self.buffer.len() {
                anyhow::ensure!(self.filled < MAX_PACKET, "the subject sends a packet of more than 16 MiB");
                self.buffer.resize(self.filled * 2, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.is_closed = true,
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => break,
                // The subject was killed.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.is_closed = true,
                Err(error) => return Err(error).context("the broker of the measurement cannot read"),
            }
            let used = self.session.take(&self.buffer[..self.filled], on)?;
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            if self.is_closed || self.filled < self.buffer.len() / 2 {
                break;
            }
        }
        Ok(self.flush()?)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.session.out.is_empty() && !self.is_closed {
            match self.stream.write(&self.session.out) {
                Ok(length) => drop(self.session.out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_closed = true,
            }
        }
        Ok(())
    }
}

/// The broker's side of one MQTT connection, without the connection.
#[derive(Debug, Default)]
struct Session {
    /// 0 before there was a CONNECT.
    version: u8,
    is_subscribed: bool,
    out: Vec<u8>,
}

impl Session {
    /// Answers the packets of these bytes, hands on the publications and says how many bytes that were.
    fn take(&mut self, bytes: &[u8], on: &mut impl FnMut(&Publish<'_>)) -> anyhow::Result<usize> {
        let mut used = 0;
        while let Some((packet, length)) = parse(&bytes[used..], self.version)? {
            used += length;
            self.answer(&packet);
            if let Packet::Publish(publish) = &packet {
                on(publish);
            }
        }
        Ok(used)
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        let out = &mut self.out;
        let is_5 = self.version >= 5;
        match *packet {
            Packet::Connect(version) => {
                self.version = version;
                out.extend_from_slice(if version >= 5 { b"\x20\x03\0\0\0" } else { b"\x20\x02\0\0" });
            }
            Packet::Publish(Publish { acknowledge: Some((qos, id)), .. }) => {
                out.extend_from_slice(&[if qos == 1 { 0x40 } else { 0x50 }, 2]);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Packet::Release(id) => {
                out.extend_from_slice(&[0x70, 2]);
                out.extend_from_slice(&id.to_be_bytes());
            }
            Packet::Subscribe(id, count) => {
                self.is_subscribed = true;
                acknowledge(0x90, id, usize::from(is_5), count, out);
            }
            Packet::Unsubscribe(id, count) => {
                acknowledge(0xb0, id, usize::from(is_5), if is_5 { count } else { 0 }, out);
            }
            Packet::Ping => out.extend_from_slice(b"\xd0\0"),
            Packet::Publish(_) | Packet::Other => {}
        }
    }
}

/// SUBACK or UNSUBACK: all is granted, with QoS 0, and there are no properties.
fn acknowledge(first: u8, id: u16, properties: usize, count: usize, out: &mut Vec<u8>) {
    let codes = count.min(100);
    out.extend_from_slice(&[first, u8::try_from(2 + properties + codes).unwrap_or_default()]);
    out.extend_from_slice(&id.to_be_bytes());
    out.resize(out.len() + properties + codes, 0);
}

/// Bytes read at once.
const BUFFER: usize = 256 << 10;
const MAX_PACKET: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Topic and payload.
    type Published = (Vec<u8>, Vec<u8>);

    /// What a session answers and hands on when its bytes come in these pieces.
    fn fed(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<Published>) {
        let (mut session, mut published, mut rest) = (Session::default(), Vec::new(), Vec::new());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            rest.extend_from_slice(&bytes[pair[0]..pair[1]]);
            let mut on =
                |publish: &Publish<'_>| published.push((publish.topic.to_vec(), publish.payload.to_vec()));
            let used = session.take(&rest, &mut on).unwrap();
            rest.drain(..used);
        }
        assert!(rest.is_empty());
        (session.out, published)
    }

    proptest! {
        #[test]
        fn a_stream_may_be_cut_anywhere(cuts: Vec<usize>, length in 0..300_usize, is_5: bool) {
            let (version, properties): (u8, &[u8]) = if is_5 { (5, b"\0") } else { (4, b"") };
            let mut bytes = [b"\x10\x0c\0\x04MQTT", &[version][..], b"\x02\0\x1e\0\0"].concat();
            let subscribe = [b"\0\x07", properties, b"\0\x04dn/#\0"].concat();
            bytes.extend([0x82, u8::try_from(subscribe.len()).unwrap()]);
            bytes.extend(subscribe);
            publish_into("up/notify", &vec![b'x'; length], version, &mut bytes);
            let acknowledged = [b"\0\x01t\0\x09", properties, b"hi"].concat();
            bytes.extend([0x32, u8::try_from(acknowledged.len()).unwrap()]);
            bytes.extend(acknowledged);
            bytes.extend(b"\xc0\0");
            let expected: &[u8] = if is_5 {
                b"\x20\x03\0\0\0\x90\x04\0\x07\0\0\x40\x02\0\x09\xd0\0"
            } else {
                b"\x20\x02\0\0\x90\x03\0\x07\0\x40\x02\0\x09\xd0\0"
            };
            let (answers, published) = fed(&bytes, &cuts);
            prop_assert_eq!(answers, expected);
            let expected =
                vec![(b"up/notify".to_vec(), vec![b'x'; length]), (b"t".to_vec(), b"hi".to_vec())];
            prop_assert_eq!(published, expected);
        }
    }
}
