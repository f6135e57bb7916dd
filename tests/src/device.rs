//! A simulated LwM2M client: a small object tree behind a socket, answering by itself on a thread of its own.

mod content;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use serde_json::Value as Json;

pub use self::content::{Format, Value};
use crate::inbox::Inbox;
use crate::peer::{self, Peer};

/// A client with the objects Server, Device and a vendor's own, after the Wakaama example client.
#[derive(Debug)]
pub struct Device {
    endpoint: String,
    shared: Arc<Shared>,
    location: Option<String>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    peer: Peer,
    tree: Mutex<Tree>,
    /// Requests of the gateway, already answered.
    requests: Inbox<Packet>,
    /// Everything else that came: responses, acknowledgements, resets.
    answers: Inbox<Packet>,
    next_mid: AtomicU16,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Tree {
    resources: BTreeMap<Path, Value>,
    /// What was written with Write-Attributes: `pmin=1` and the like, by path.
    attributes: BTreeMap<String, Vec<String>>,
    observations: Vec<Observation>,
}

/// Object, instance, resource.
type Path = [u16; 3];

#[derive(Clone, Debug)]
struct Observation {
    path: String,
    token: Vec<u8>,
    sequence: u32,
}

impl Device {
    /// A client that has not registered yet.
    pub fn new(gateway: SocketAddr, endpoint: &str) -> Result<Self> {
        Ok(Self::behind(Peer::connect(gateway)?, endpoint))
    }

    /// A client that has not registered yet, behind a peer that nobody else receives with.
    pub fn behind(peer: Peer, endpoint: &str) -> Self {
        let shared = Arc::new(Shared {
            peer,
            tree: Mutex::new(Tree { resources: resources(), ..Tree::default() }),
            requests: Inbox::default(),
            answers: Inbox::default(),
            next_mid: AtomicU16::new(1),
            closing: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serving.run());
        Self { endpoint: endpoint.to_owned(), shared, location: None, thread: Some(thread) }
    }

    /// Register with LwM2M 1.1, a lifetime of 300 s and the binding U.
    pub fn register(&mut self) -> Result<()> {
        let registration = self.registration();
        self.register_with(&registration)
    }

    /// Register with a request made from [`Device::registration`].
    pub fn register_with(&mut self, registration: &Packet) -> Result<()> {
        let answer = self.ask(registration)?;
        if peer::code_text(&answer) != "2.01" {
            bail!("{} was refused: {answer:?}", self.endpoint);
        }
        let segments = peer::option_values(&answer, CoapOption::LocationPath);
        let segments: Vec<_> = segments.iter().map(|segment| String::from_utf8_lossy(segment)).collect();
        self.location = Some(segments.join("/"));
        Ok(())
    }

    /// The Register request that [`Device::register`] sends, with a new message ID.
    pub fn registration(&self) -> Packet {
        let queries =
            [format!("ep={}", self.endpoint), "lwm2m=1.1".to_owned(), "b=U".to_owned(), "lt=300".to_owned()];
        let mut packet = self.request("0.02", "rd", &queries);
        packet.add_option(CoapOption::ContentFormat, vec![40]);
        packet.payload = LINKS.as_bytes().to_vec();
        packet
    }

    /// Send an Update with these queries; its answer's code.
    pub fn update(&self, queries: &[&str]) -> Result<String> {
        let queries: Vec<_> = queries.iter().map(|query| (*query).to_owned()).collect();
        let location = self.location.as_deref().context("not registered")?;
        Ok(peer::code_text(&self.ask(&self.request("0.02", location, &queries))?))
    }

    /// Deregister; its answer's code.
    pub fn deregister(&mut self) -> Result<String> {
        let location = self.location.take().context("not registered")?;
        Ok(peer::code_text(&self.ask(&self.request("0.04", &location, &[]))?))
    }

    /// Send a request and wait for its response.
    pub fn ask(&self, request: &Packet) -> Result<Packet> {
        self.shared.peer.send(request)?;
        self.shared.answers.take("response", |packet| {
            matches!(packet.header.code, MessageClass::Response(_))
                && packet.get_token() == request.get_token()
        })
    }

    /// Change a resource without telling anyone.
    pub fn set(&self, path: &str, value: Value) -> Result<()> {
        let path = content::resource_path(path).context("a resource path")?;
        self.shared.tree().resources.insert(path, value);
        Ok(())
    }

    /// A resource's value, as far as it is there.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.shared.tree().resources.get(&content::resource_path(path)?).cloned()
    }

    /// Send a notification for the observation of `path`; the message, so that it can be sent again.
    pub fn notify(&self, path: &str, kind: MessageType) -> Result<Packet> {
        let packet = self.shared.notification(path, kind)?;
        self.shared.peer.send(&packet)?;
        Ok(packet)
    }

    /// Send these values unasked (LwM2M 1.1, Send), as a SenML JSON pack; the answer's code.
    pub fn send_unasked(&self, pack: &Json) -> Result<String> {
        let mut packet = self.request("0.02", "dp", &[]);
        packet.add_option(CoapOption::ContentFormat, vec![110]);
        packet.payload = pack.to_string().into_bytes();
        Ok(peer::code_text(&self.ask(&packet)?))
    }

    /// Send any bytes from this client's address.
    pub fn send_bytes(&self, datagram: &[u8]) -> Result<()> {
        self.shared.peer.send_bytes(datagram)
    }

    /// Send a message again, or one made by hand.
    pub fn send(&self, packet: &Packet) -> Result<()> {
        self.shared.peer.send(packet)
    }

    /// Wait until the gateway has acknowledged a message of this client.
    pub fn acknowledged(&self, sent: &Packet) -> Result<Packet> {
        self.shared.answers.take("acknowledgement", |packet| {
            packet.header.get_type() == MessageType::Acknowledgement
                && packet.header.message_id == sent.header.message_id
        })
    }

    /// What the gateway asked and this client has answered.
    pub fn requests(&self) -> &Inbox<Packet> {
        &self.shared.requests
    }

    /// What the gateway sent that is no request.
    pub fn answers(&self) -> &Inbox<Packet> {
        &self.shared.answers
    }

    fn request(&self, code: &str, path: &str, queries: &[String]) -> Packet {
        let mid = self.shared.mid();
        let queries: Vec<_> = queries.iter().map(String::as_str).collect();
        peer::request(code, mid, &mid.to_be_bytes(), path, &queries)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while !self.closing.load(Ordering::SeqCst) {
            match self.peer.receive_within(BETWEEN_LOOKS) {
                Ok(Some(packet)) if matches!(packet.header.code, MessageClass::Request(_)) => {
                    let _ = self.peer.send(&self.answer(&packet));
                    self.requests.put(packet);
                }
                Ok(Some(packet)) => self.answers.put(packet),
                // The gateway is away for a moment: its port answers "unreachable".
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn answer(&self, request: &Packet) -> Packet {
        let mut tree = self.tree();
        let path = content::path_of(request);
        match u8::from(request.header.code) {
            GET if peer::option_uint(request, CoapOption::Accept) == Some(LINK_FORMAT) => {
                tree.discover(request, &path)
            }
            GET => tree.read(request, &path),
            PUT if request.get_option(CoapOption::UriQuery).is_some() => tree.attribute(request, &path),
            PUT => tree.write(request, &path, "2.04"),
            POST => match path.split('/').count() - 1 {
                1 => tree.write(request, &path, "2.01"),
                2 => tree.write(request, &path, "2.04"),
                // Execute.
                _ => peer::acknowledgement(request, "2.04"),
            },
            DELETE => tree.delete(request, &path),
            _ => peer::acknowledgement(request, "4.05"),
        }
    }

    fn notification(&self, path: &str, kind: MessageType) -> Result<Packet> {
        let mut tree = self.tree();
        let observation = tree.observations.iter_mut().find(|observation| observation.path == path);
        let observation = observation.with_context(|| format!("{path} is not observed"))?;
        observation.sequence += 1;
        let observation = observation.clone();
        let mut packet = Packet::new();
        packet.header.set_type(kind);
        packet.header.code = peer::code("2.05");
        packet.header.message_id = self.mid();
        packet.set_token(observation.token);
        packet.set_observe_value(observation.sequence);
        content::put(&mut packet, Format::SenmlJson, path, &tree.under(path));
        Ok(packet)
    }

    fn mid(&self) -> u16 {
        self.next_mid.fetch_add(1, Ordering::SeqCst)
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    /// A plain read is answered in text or TLV, an observation in SenML JSON, as Wakaama does.
    fn read(&mut self, request: &Packet, path: &str) -> Packet {
        let found = self.under(path);
        if found.is_empty() {
            return peer::acknowledgement(request, "4.04");
        }
        let mut answer = peer::acknowledgement(request, "2.05");
        let single = content::resource_path(path).is_some();
        let mut format = if single { Format::Text } else { Format::Tlv };
        match peer::option_uint(request, CoapOption::Observe) {
            Some(0) => {
                self.observations.retain(|observation| observation.path != path);
                let token = request.get_token().to_vec();
                self.observations.push(Observation { path: path.to_owned(), token, sequence: 0 });
                answer.set_observe_value(0);
                format = Format::SenmlJson;
            }
            Some(_) => self.observations.retain(|observation| observation.path != path),
            None => {}
        }
        match peer::option_uint(request, CoapOption::Accept).map(Format::from_number) {
            Some(Some(accepted)) => format = accepted,
            Some(None) => return peer::acknowledgement(request, "4.06"),
            None => {}
        }
        content::put(&mut answer, format, path, &found);
        answer
    }

    /// A Write, a partial update of an instance, or the creation of one.
    fn write(&mut self, request: &Packet, path: &str, done: &str) -> Packet {
        let like = |[object, instance, resource]: Path| {
            let same = self.resources.iter().filter(|(known, _)| (known[0], known[2]) == (object, resource));
            same.min_by_key(|(known, _)| known[1] != instance).map(|(_, value)| value.clone())
        };
        match content::written(request, path, like) {
            Some(resources) => {
                self.resources.extend(resources);
                peer::acknowledgement(request, done)
            }
            None => peer::acknowledgement(request, "4.15"),
        }
    }

    fn delete(&mut self, request: &Packet, path: &str) -> Packet {
        let there: Vec<Path> = self.under(path).into_iter().map(|(path, _)| path).collect();
        for path in &there {
            self.resources.remove(path);
        }
        peer::acknowledgement(request, if there.is_empty() { "4.04" } else { "2.02" })
    }

    fn attribute(&mut self, request: &Packet, path: &str) -> Packet {
        let queries = peer::option_values(request, CoapOption::UriQuery);
        let queries = queries.iter().map(|query| String::from_utf8_lossy(query).into_owned()).collect();
        self.attributes.insert(path.to_owned(), queries);
        peer::acknowledgement(request, "2.04")
    }

    fn discover(&self, request: &Packet, path: &str) -> Packet {
        let resources = self.under(path);
        if resources.is_empty() {
            return peer::acknowledgement(request, "4.04");
        }
        let below = resources.iter().map(|(path, _)| path.map(|level| format!("/{level}")).concat());
        let links = std::iter::once(path.to_owned()).chain(below.filter(|below| below != path));
        let links: Vec<_> = links.map(|path| self.link(&path)).collect();
        let mut answer = peer::acknowledgement(request, "2.05");
        answer.add_option(CoapOption::ContentFormat, vec![40]);
        answer.payload = links.join(",").into_bytes();
        answer
    }

    fn link(&self, path: &str) -> String {
        let attributes = self.attributes.get(path).into_iter().flatten();
        format!("<{path}>{}", attributes.map(|attribute| format!(";{attribute}")).collect::<String>())
    }

    fn under(&self, path: &str) -> Vec<(Path, Value)> {
        let levels: Vec<u16> = path.split('/').filter_map(|level| level.parse().ok()).collect();
        let inside = |(found, _): &(&Path, &Value)| found.starts_with(&levels[..levels.len().min(3)]);
        self.resources.iter().filter(inside).map(|(path, value)| (*path, value.clone())).collect()
    }
}

fn resources() -> BTreeMap<Path, Value> {
    let text = |value: &str| Value::Text(value.to_owned());
    BTreeMap::from([
        ([1, 0, 0], Value::Integer(123)),
        ([1, 0, 1], Value::Integer(300)),
        ([1, 0, 6], Value::Boolean(false)),
        ([1, 0, 7], text("U")),
        ([3, 0, 0], text("Open Mobile Alliance")),
        ([3, 0, 1], text("Lightweight M2M Client")),
        ([3, 0, 2], text("345000123")),
        ([3, 0, 3], text("1.0")),
        ([3, 0, 9], Value::Integer(100)),
        ([3, 0, 14], text("+01:00")),
        ([3, 0, 16], text("U")),
        ([31024, 10, 1], Value::Integer(20)),
        ([31024, 10, 3], Value::Float(0.0)),
    ])
}

/// What [`Device::registration`] announces, to the byte what the Wakaama example client sends.
const LINKS: &str = "</>;rt=\"oma.lwm2m\";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</3/0>,</4/0>,</5/0>,</6/0>,</7/0>,\
                     </31024>,</31024/10>,</31024/11>,</31024/12>";

/// The Content-Format of what Discover answers.
const LINK_FORMAT: u64 = 40;

const GET: u8 = 1;
const POST: u8 = 2;
const PUT: u8 = 3;
const DELETE: u8 = 4;

/// How often the thread looks whether its device is gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
