//! The LwM2M server of `tidegate-proto` behind a socket, without the gateway around it: it asks clients what commands
//! have no words for, such as a value in a certain content format.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Config, Event, Output, Receipt, Request, Settlement, Stage};
use tidegate_proto::lwm2m::value::Sample;
use tidegate_proto::time;

use crate::inbox::PATIENCE;

/// A server with one client at most at a time, driven by whoever waits for something. It accepts every event.
#[derive(Debug)]
pub struct Server {
    inner: tidegate_proto::lwm2m::server::Server,
    socket: UdpSocket,
    start: Instant,
    /// Not taken yet.
    events: Vec<Event>,
    models: Models,
    performed: u32,
}

/// What a client said to an operation, or later about an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As `2.05`.
    pub code: String,
    /// Content-Format.
    pub format: Option<u16>,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Location-Path.
    pub location: Option<String>,
    /// Names the operation: notifications of an observation have that of the operation that began it.
    pub context: String,
    path: Path,
}

impl Server {
    /// On a loopback port of its own, with these definitions over the built-in ones: the XML of the OMA registry.
    pub fn start(definitions: &[&str]) -> Result<Self> {
        let mut models = Models::built_in();
        for definition in definitions {
            models.load_xml("definition", definition)?;
        }
        let config = Config { models: models.clone().into(), ..Config::default() };
        Ok(Self {
            inner: tidegate_proto::lwm2m::server::Server::new(config, Box::new(Random)),
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            start: Instant::now(),
            events: Vec::new(),
            models,
            performed: 0,
        })
    }

    /// Where it takes CoAP.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Perform an operation and wait for what the client says; that it says nothing is an error.
    pub fn perform(&mut self, endpoint: &str, operation: Operation) -> Result<Answer> {
        let what = format!("answer to {operation:?}");
        let context = self.submit(endpoint, operation);
        self.answered(&context).with_context(|| format!("no {what}"))
    }

    /// Wait until the client has more of a large body, or has answered: how many bytes it has, and of how many. None when
    /// it has answered, or will not.
    pub fn transferred(&mut self, context: &str) -> Result<Option<(u64, u64)>> {
        let event = self.wait("progress", |event| match event {
            Event::Progressed { asked, stage: Stage::Transferred(..), .. }
            | Event::Answered { asked, .. }
            | Event::Failed { asked, .. } => *asked.context == *context,
            _ => false,
        })?;
        if let Event::Progressed { stage: Stage::Transferred(done, total), .. } = event {
            return Ok(Some((done, total)));
        }
        // Whoever wants the answer finds it.
        self.events.push(event);
        Ok(None)
    }

    /// Wait for the answer to an operation that was handed over.
    pub fn answered(&mut self, context: &str) -> Result<Answer> {
        let event = self.wait("answer", |event| match event {
            Event::Answered { asked, .. } | Event::Failed { asked, .. } => *asked.context == *context,
            _ => false,
        })?;
        answer(event)
    }

    /// Hand over an operation.
    pub fn submit(&mut self, endpoint: &str, operation: Operation) -> String {
        self.performed += 1;
        let context = self.performed.to_string();
        let request = Request {
            endpoint: endpoint.into(),
            operation,
            context: context.as_str().into(),
            deadline: None,
            urgent: false,
        };
        let now = self.now();
        self.inner.perform(now, request);
        context
    }

    /// Wait for a notification of the observation that this operation began.
    pub fn notified(&mut self, context: &str) -> Result<Answer> {
        let event = self.wait(
            "notification",
            |event| matches!(event, Event::Notified { asked, .. } if *asked.context == *context),
        )?;
        answer(event)
    }

    /// Wait for a client's Send.
    pub fn sent(&mut self) -> Result<Answer> {
        answer(self.wait("Send", |event| matches!(event, Event::Sent { .. }))?)
    }

    /// Wait until a client is registered.
    pub fn registered(&mut self) -> Result<()> {
        self.wait("Register", |event| matches!(event, Event::Registered { .. })).map(|_| ())
    }

    /// Wait for an Update that carries objects.
    pub fn links_changed(&mut self) -> Result<()> {
        self.wait("Update", |event| matches!(event, Event::Updated { links_changed: true, .. })).map(|_| ())
    }

    /// The values in an answer, by the definitions that this server has.
    pub fn samples<'a>(&self, answer: &'a Answer) -> Result<Vec<Sample<'a>>, format::Error> {
        format::decode(answer.format, answer.path, &answer.payload, &self.models)
    }

    /// Values as a payload.
    pub fn encode(&self, format: u16, path: Path, samples: &[Sample<'_>]) -> Result<Vec<u8>, format::Error> {
        format::encode(format, path, samples, &self.models)
    }

    /// Responses that belonged to nothing and were reset.
    pub fn unmatched_responses(&self) -> u64 {
        self.inner.counters().coap.unmatched_responses
    }

    /// Take datagrams and let time pass until something has happened.
    pub fn until(&mut self, what: &str, happened: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let timeout = self.pump()?;
            if happened(self) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("no {what} within {PATIENCE:?}; instead: {:#?}", self.events);
            }
            self.receive(timeout, deadline)?;
        }
    }

    fn wait(&mut self, what: &str, matches: impl Fn(&Event) -> bool) -> Result<Event> {
        self.until(what, |server| server.events.iter().any(&matches))?;
        let index = self.events.iter().position(&matches).context("found just now")?;
        Ok(self.events.remove(index))
    }

    /// Carries out what the server wants; returns when it wants to be called.
    fn pump(&mut self) -> Result<Option<time::Instant>> {
        loop {
            let now = self.now();
            match self.inner.poll_output() {
                Output::Transmit(transmit) => {
                    // A client that has gone shows by its silence.
                    let _ = self.socket.send_to(&transmit.payload, transmit.peer.address);
                }
                Output::Event(event) => {
                    if let Some(receipt) = receipt(&event) {
                        self.inner.settle(now, receipt, Settlement::Accepted);
                    }
                    self.events.push(event);
                }
                Output::Timeout(at) if at.is_some_and(|at| at <= now) => self.inner.handle_timeout(now),
                Output::Timeout(at) => return Ok(at),
            }
        }
    }

    fn receive(&mut self, timeout: Option<time::Instant>, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = timeout.map_or(left, |at| left.min(at.since(self.now())));
        self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut datagram = vec![0; 65_536];
        match self.socket.recv_from(&mut datagram) {
            Ok((length, from)) => {
                let now = self.now();
                self.inner.handle_datagram(now, Peer::plain(from), &datagram[..length]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn now(&self) -> time::Instant {
        time::Instant::from_micros(1) + self.start.elapsed()
    }
}

fn receipt(event: &Event) -> Option<Receipt> {
    match event {
        Event::Registered { receipt, .. } | Event::Updated { receipt, .. } | Event::Sent { receipt, .. } => {
            Some(*receipt)
        }
        Event::Ended { receipt, .. } | Event::Notified { receipt, .. } => *receipt,
        _ => None,
    }
}

fn answer(event: Event) -> Result<Answer> {
    let (asked, code, content, location) = match event {
        Event::Answered { asked, code, content, location, .. } => (asked, code, content, location),
        Event::Notified { asked, code, content, .. } => (asked, code, content, None),
        Event::Sent { content, .. } => {
            return Ok(Answer {
                code: String::new(),
                format: content.format,
                payload: content.payload,
                location: None,
                context: String::new(),
                path: Path::root(),
            });
        }
        Event::Failed { failure, .. } => bail!("{failure:?}"),
        other => bail!("not an answer: {other:?}"),
    };
    Ok(Answer {
        code: format!("{}.{:02}", code >> 5, code & 0x1f),
        format: content.format,
        payload: content.payload,
        location,
        context: asked.context.to_string(),
        path: asked.path,
    })
}

/// Random enough for tokens that nobody attacks.
struct Random;

impl Entropy for Random {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = RandomState::new().build_hasher().finish().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
