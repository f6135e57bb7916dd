//! A simulated LwM2M client: one thread, one socket, a Device object. It answers what a gateway asks, and notifies its
//! battery level while it is observed.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::option;
use tidegate_proto::coap::token::Token;
use tidegate_proto::lwm2m::format;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Sample, Value};

/// A running client; it ends when it is dropped or stopped.
#[derive(Debug)]
pub(crate) struct Client {
    is_running: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Client {
    /// Register at a gateway and answer from then on.
    pub(crate) fn register(gateway: SocketAddr, endpoint: &str) -> io::Result<Self> {
        let local: SocketAddr = if gateway.is_ipv6() { ([0; 16], 0).into() } else { ([0; 4], 0).into() };
        let socket = UdpSocket::bind(local)?;
        socket.connect(gateway)?;
        socket.set_read_timeout(Some(POLL))?;
        let is_running = Arc::new(AtomicBool::new(true));
        let mut device = Device { socket, battery: 100, mid: 1, observed: None };
        device.send(&registration(endpoint))?;
        let running = Arc::clone(&is_running);
        let thread =
            thread::Builder::new().name("demo-client".to_owned()).spawn(move || device.run(&running))?;
        Ok(Self { is_running, thread: Some(thread) })
    }

    /// End the client.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.is_running.store(false, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the simulated client has panicked");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

struct Device {
    socket: UdpSocket,
    battery: i64,
    mid: u16,
    /// The token of the observation of `/3/0`, and the number of its last notification.
    observed: Option<(Token, u32)>,
}

impl Device {
    fn run(&mut self, is_running: &AtomicBool) {
        let mut buffer = [0; 2_048];
        let mut next = Instant::now() + NOTIFY_EVERY;
        while is_running.load(Ordering::Relaxed) {
            if let Ok(length) = self.socket.recv(&mut buffer)
                && let Ok(message) = Message::parse(&buffer[..length])
            {
                self.take(&message);
            }
            if Instant::now() >= next {
                next += NOTIFY_EVERY;
                self.notify();
            }
        }
    }

    fn take(&mut self, message: &Message) {
        if message.kind() == Kind::Reset {
            self.observed = None;
        }
        if message.kind() != Kind::Confirmable || !message.code().is_request() {
            return;
        }
        let answer = self.answer(message).into_message(Kind::Acknowledgement, message.mid(), message.token());
        if let Err(error) = self.send(&answer) {
            tracing::debug!(%error, "the simulated client cannot send");
        }
    }

    fn answer(&mut self, message: &Message) -> Answer {
        let path: Option<Vec<u16>> =
            message.uri_path().map(|segment| std::str::from_utf8(segment).ok()?.parse().ok()).collect();
        let Some(path) = path.and_then(|ids| Path::from_ids(&ids)) else {
            return Answer::of(Code::NOT_FOUND);
        };
        if message.code() != Code::GET {
            return Answer::of(Code::METHOD_NOT_ALLOWED);
        }
        match message.observe() {
            Some(0) if path == DEVICE => self.observed = Some((message.token(), 0)),
            Some(1) => self.observed = None,
            _ => {}
        }
        let samples: Vec<Sample<'_>> =
            self.samples().into_iter().filter(|of| of.path.starts_with(&path)).collect();
        if samples.is_empty() {
            return Answer::of(Code::NOT_FOUND);
        }
        // As a deployed client does it: a read is answered in TLV, an observation in SenML JSON.
        let format = if message.observe().is_some() { format::SENML_JSON } else { format::TLV };
        let answer = content(format, path, &samples);
        Answer { sequence: message.observe().filter(|observe| *observe == 0), ..answer }
    }

    fn notify(&mut self) {
        self.battery = if self.battery <= 1 { 100 } else { self.battery - 1 };
        let Some((token, number)) = self.observed else { return };
        self.observed = Some((token, number + 1));
        let answer = content(format::SENML_JSON, DEVICE, &self.samples());
        self.mid = self.mid.wrapping_add(1);
        let message = Answer { sequence: Some(number + 1), ..answer }.into_message(
            Kind::NonConfirmable,
            self.mid,
            token,
        );
        if let Err(error) = self.send(&message) {
            tracing::debug!(%error, "the simulated client cannot notify");
        }
    }

    fn samples(&self) -> Vec<Sample<'static>> {
        let text = |id, text: &'static str| (id, Value::Text(text.into()));
        let values = [
            text(0, "Open Mobile Alliance"),
            text(1, "Lightweight M2M Client"),
            text(2, "345000123"),
            text(3, "1.0"),
            (9, Value::Integer(self.battery)),
            (10, Value::Integer(15)),
            text(14, "+01:00"),
            text(15, "Europe/Berlin"),
            text(16, "U"),
        ];
        let sample = |(id, value)| Sample { path: Path::new([3, 0, id]), value, kind: None, taken: None };
        values.into_iter().map(sample).collect()
    }

    fn send(&self, message: &Message) -> io::Result<()> {
        self.socket.send(&message.to_bytes()).map(|_| ())
    }
}

/// A response before it has a type, a message id and a token.
struct Answer {
    code: Code,
    sequence: Option<u32>,
    format: Option<u16>,
    payload: Vec<u8>,
}

impl Answer {
    fn of(code: Code) -> Self {
        Self { code, sequence: None, format: None, payload: Vec::new() }
    }

    fn into_message(self, kind: Kind, mid: u16, token: Token) -> Message {
        let mut message = Message::new(kind, self.code, mid).with_token(token);
        if let Some(sequence) = self.sequence {
            message = message.with_option_uint(option::OBSERVE, sequence);
        }
        if let Some(format) = self.format {
            message = message.with_option_uint(option::CONTENT_FORMAT, format.into());
        }
        message.with_payload(self.payload)
    }
}

fn content(format: u16, path: Path, samples: &[Sample<'_>]) -> Answer {
    match format::encode(format, path, samples, &()) {
        Ok(payload) => Answer { format: Some(format), payload, ..Answer::of(Code::CONTENT) },
        Err(_) => Answer::of(Code::NOT_FOUND),
    }
}

fn registration(endpoint: &str) -> Message {
    Message::new(Kind::Confirmable, Code::POST, 1)
        .with_path_segment("rd")
        .with_option_uint(option::CONTENT_FORMAT, format::LINK_FORMAT.into())
        .with_query(&format!("ep={endpoint}"))
        .with_query("lwm2m=1.1")
        .with_query("b=U")
        .with_query("lt=300")
        .with_payload(br#"</>;rt="oma.lwm2m";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</3/0>"#.to_vec())
}

const DEVICE: Path = Path::new([3, 0]);
const NOTIFY_EVERY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
