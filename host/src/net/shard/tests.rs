//! Shards on loopback, with a client whose DTLS is OpenSSL's.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use openssl::ssl::{SslContext, SslMethod, SslStream};
use tidegate_dtls::credential::{Credentials, Key};
use tidegate_dtls::endpoint;
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tokio::sync::watch;

use super::super::keep::{Change, Keeper, Snapshot};
use super::super::secure::Restored;
use super::*;

mod keeping;

#[test]
fn a_client_registers_over_dtls_and_goes_with_its_credential() {
    let scene = Scene::new(1);
    let shard = scene.start(0, Vec::new());
    let mut client = Client::connect(shard.dtls);
    assert_eq!(client.ask(&register(ENDPOINT)), Code::CREATED);
    assert_eq!(shard.event(), "registered meter over dtls by listener 1");

    let without = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    without.set_read_timeout(Some(PATIENCE)).unwrap();
    without.send_to(&register(ENDPOINT), shard.coap).unwrap();
    let mut buffer = [0; 1500];
    let length = without.recv(&mut buffer).unwrap();
    assert_eq!(Message::parse(&buffer[..length]).unwrap().code(), Code::FORBIDDEN);

    scene.credentials.store(Arc::default());
    shard.handle.send(Command::Secure(Arc::default())).unwrap();
    assert_eq!(shard.event(), "ended meter");
    assert!(matches!(client.stream.read(&mut buffer), Ok(0)), "it is told by close_notify");
}

#[test]
fn another_endpoint_than_the_authenticated_one_is_refused() {
    let scene = Scene::new(1);
    let shard = scene.start(0, Vec::new());
    let mut client = Client::connect(shard.dtls);
    assert_eq!(client.ask(&register("another")), Code::BAD_REQUEST);
    assert_eq!(client.ask(&register(ENDPOINT)), Code::CREATED);
    assert_eq!(shard.event(), "registered meter over dtls by listener 1");
}

#[test]
fn a_record_with_the_connection_id_of_another_shard_is_handed_on_sealed() {
    let scene = Scene::new(2);
    let (other, mut commands) = ShardHandle::new();
    let shard = scene.start_among(0, Vec::new(), |own| vec![own, other]);
    let client = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Type tls12_cid, DTLS 1.2, epoch 1, sequence 7, then a connection ID of shard 1 (RFC 9146 section 4).
    let mut record = vec![25, 254, 253, 0, 1, 0, 0, 0, 0, 0, 7];
    record.extend([0x83, 1, 2, 3, 4, 5, 6, 7]);
    record.extend([0, 16]);
    record.extend([0xaa; 16]);
    client.send_to(&record, shard.dtls).unwrap();
    let Some(Command::Datagram(peer, datagram)) = commands.blocking_recv() else { panic!("nothing came") };
    assert_eq!(peer.address, client.local_addr().unwrap());
    assert_eq!((peer.listener, peer.association), (1, 0));
    assert_eq!(datagram, record);
}

#[test]
fn what_is_handed_on_from_a_dtls_listener_is_taken_as_dtls() {
    let scene = Scene::new(2);
    let (other, _commands) = ShardHandle::new();
    let shard = scene.start_among(1, Vec::new(), |own| vec![other, own]);
    // Another shard has the listener of this client, which sends everything through it.
    let mut client = Client::begin(shard.dtls);
    client.through = Some(shard.handle);
    let mut client = client.connect();
    assert_eq!(client.ask(&register(ENDPOINT)), Code::CREATED);
}

#[test]
fn after_a_restart_with_more_shards_a_client_without_connection_id_goes_on() {
    let scene = Scene::new(1);
    let shard = scene.start(0, Vec::new());
    let mut client = Client::connect(shard.dtls);
    assert_eq!(client.ask(&register(ENDPOINT)), Code::CREATED);
    shard.stop();

    let snapshots = scene.kept();
    let [Snapshot { association, bytes }] = &snapshots[..] else { panic!("{snapshots:?}") };
    let remote = endpoint::remote_of_snapshot(bytes).unwrap();
    let home = endpoint::shard_of_association(*association, 2);
    let scene = Scene { shards: 2, restored: Arc::new(Restored::from_iter([(remote, home)])), ..scene };
    let mut snapshots = Some(snapshots);
    let [at_home, away] = {
        let mut shards = scene.start_two_with(|number| {
            if number == home { snapshots.take().unwrap_or_default() } else { Vec::new() }
        });
        if home == 1 {
            shards.reverse();
        }
        shards
    };

    // Its datagrams come to the shard that does not have it; the answers come from the one that does.
    client.turn_to(away.dtls);
    assert_eq!(client.ask(&register(ENDPOINT)), Code::CREATED);
    assert_eq!(at_home.event(), "registered meter over dtls by listener 1");
}

#[test]
fn a_registration_follows_its_client_to_the_shard_of_its_next_association() {
    let scene = Scene::new(2);
    let [first, second] = scene.start_two();
    let registered = Client::connect(first.dtls).exchange(&register(ENDPOINT));
    assert_eq!(first.event(), "registered meter over dtls by listener 1");

    let mut client = Client::connect(second.dtls);
    let location: Vec<&[u8]> = registered.location_path().collect();
    let update = location.iter().fold(Message::new(Kind::Confirmable, Code::POST, 1), |update, segment| {
        update.with_path_segment(std::str::from_utf8(segment).unwrap())
    });
    assert_eq!(client.ask(&update.to_bytes()), Code::CHANGED);
    assert_eq!(second.event(), "updated meter");
    assert_eq!(scene.directory.shard(ENDPOINT), Some(1));

    // A request that was on its way to the first shard finds its client all the same.
    let request = Request {
        endpoint: ENDPOINT.into(),
        operation: Operation::Read { path: Path::new([3, 0, 0]), queries: Vec::new(), accept: None },
        context: "".into(),
        deadline: None,
        urgent: false,
    };
    first.handle.send(Command::Perform(request)).unwrap();
    assert_eq!(client.next().code(), Code::GET);
    let told: Vec<String> = first.events.try_iter().collect();
    assert!(told.is_empty(), "at the first shard nothing has ended: {told:?}");
}

/// What the shards of one gateway share.
struct Scene {
    shards: u8,
    credentials: Arc<ArcSwap<Credentials>>,
    sessions: Arc<Sessions>,
    restored: Arc<Restored>,
    directory: Arc<Directory>,
    store: Store,
}

/// A shard that runs until this goes.
struct Running {
    handle: ShardHandle,
    coap: SocketAddr,
    dtls: SocketAddr,
    events: Receiver<String>,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

impl Scene {
    fn new(shards: u8) -> Self {
        let mut credentials = Credentials::new();
        credentials.add_psk(ENDPOINT, Key::new(KEY), ENDPOINT).unwrap();
        Self {
            shards,
            credentials: Arc::new(ArcSwap::from_pointee(credentials)),
            sessions: Arc::new(Sessions::new(10)),
            restored: Arc::default(),
            directory: Arc::default(),
            store: Store::default(),
        }
    }

    fn start(&self, number: u8, snapshots: Vec<Snapshot>) -> Running {
        self.start_among(number, snapshots, |own| vec![own])
    }

    fn start_among(
        &self,
        number: u8,
        snapshots: Vec<Snapshot>,
        others: impl FnOnce(ShardHandle) -> Vec<ShardHandle>,
    ) -> Running {
        let (handle, commands) = ShardHandle::new();
        let others = others(handle);
        self.run(number, snapshots, commands, others)
    }

    fn start_two(&self) -> [Running; 2] {
        self.start_two_with(|_| Vec::new())
    }

    /// Two shards that know each other.
    fn start_two_with(&self, mut snapshots: impl FnMut(u8) -> Vec<Snapshot>) -> [Running; 2] {
        let [(first, first_commands), (second, second_commands)] = [ShardHandle::new(), ShardHandle::new()];
        let handles = vec![first, second];
        [(0, first_commands), (1, second_commands)]
            .map(|(number, commands)| self.run(number, snapshots(number), commands, handles.clone()))
    }

    fn run(
        &self,
        number: u8,
        associations: Vec<Snapshot>,
        commands: mpsc::Receiver<Command>,
        others: Vec<ShardHandle>,
    ) -> Running {
        self.run_with(number, Kept { associations, ..Kept::default() }, commands, others)
    }

    /// With a CoAP and a DTLS listener.
    fn run_with(
        &self,
        number: u8,
        kept: Kept,
        commands: mpsc::Receiver<Command>,
        others: Vec<ShardHandle>,
    ) -> Running {
        let handle = others[usize::from(number)].clone();
        let sockets = [(); 2].map(|()| StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [coap, dtls] = [0, 1].map(|index: usize| sockets[index].local_addr().unwrap());
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
        }
        let config = endpoint::Config { shard: number, shards: self.shards, ..endpoint::Config::default() };
        let keeper = Box::new(Written { store: self.store.clone(), shard: handle.clone() });
        let (credentials, sessions) = (Arc::clone(&self.credentials), Arc::clone(&self.sessions));
        let secure =
            Secure::new(config, 1, credentials, sessions, Arc::clone(&self.restored), Some(keeper)).unwrap();
        let (told, events) = channel();
        let shard = Shard {
            config: Config { shard: number, ..Config::default() },
            sockets: sockets.into(),
            secure: Some(secure),
            kept,
            uplink: Told(told),
            directory: Arc::clone(&self.directory),
            tally: Tally::new(),
            rates: Rates::default(),
            clock: Clock::start(),
        };
        let (stop, stopped) = watch::channel(false);
        let thread = shard.start(commands, others, stopped).unwrap();
        Running { handle, coap, dtls, events, stop, thread }
    }

    fn kept(&self) -> Vec<Snapshot> {
        let kept = std::mem::take(&mut *self.store.0.lock().unwrap());
        let snapshot = |(association, bytes): (u64, Vec<u8>)| Snapshot { association, bytes: bytes.into() };
        kept.into_iter().map(snapshot).collect()
    }
}

impl Running {
    fn event(&self) -> String {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn stop(self) {
        self.stop.send_replace(true);
        self.thread.join().unwrap();
    }
}

/// What has been written.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Mutex<BTreeMap<u64, Vec<u8>>>>);

/// The end of the store that one shard has.
#[derive(Debug)]
struct Written {
    store: Store,
    shard: ShardHandle,
}

impl Keeper for Written {
    fn keep(&mut self, changes: Vec<Change>) -> Result<(), Vec<Change>> {
        let mut bounds = Vec::new();
        for Change { association, state } in changes {
            let mut store = self.store.0.lock().unwrap();
            match state {
                Some(state) => {
                    store.insert(association, state.snapshot.to_vec());
                    bounds.push((association, state.bound));
                }
                None => {
                    store.remove(&association);
                }
            }
        }
        // A shard that ends does not hear it.
        let _ = self.shard.send(Command::Kept(bounds));
        Ok(())
    }
}

/// Tells the test of events.
struct Told(Sender<String>);

impl Uplink for Told {
    fn handle(&mut self, event: &Event, _requests: &mut Vec<Request>) -> Settlement {
        let text = match event {
            Event::Registered { registration, .. } => {
                let security = if registration.peer.association == 0 { "without" } else { "over" };
                let listener = registration.peer.listener;
                format!("registered {} {security} dtls by listener {listener}", registration.endpoint)
            }
            Event::Updated { registration, .. } => format!("updated {}", registration.endpoint),
            Event::Ended { registration, .. } => format!("ended {}", registration.endpoint),
            other => format!("{other:?}"),
        };
        // The test may be over.
        let _ = self.0.send(text);
        Settlement::Accepted
    }

    fn close(&mut self) {}

    fn commit(&mut self) {}

    fn flush(&mut self, _: &mut Vec<Request>) -> bool {
        true
    }
}

/// A client with OpenSSL's DTLS, which has no connection IDs. It takes answers from whoever sends them.
struct Client {
    stream: SslStream<Wire>,
    mid: u16,
}

/// Its datagrams.
struct Wire {
    socket: StdSocket,
    gateway: SocketAddr,
    /// The shard that gets them from another one; otherwise the network does.
    through: Option<ShardHandle>,
}

impl Client {
    fn connect(gateway: SocketAddr) -> Self {
        Self::begin(gateway).connect()
    }

    fn begin(gateway: SocketAddr) -> Wire {
        let socket = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire { socket, gateway, through: None }
    }

    fn turn_to(&mut self, gateway: SocketAddr) {
        self.stream.get_mut().gateway = gateway;
    }

    /// The code of the answer to a request.
    fn ask(&mut self, request: &[u8]) -> Code {
        self.exchange(request).code()
    }

    /// The answer to a request.
    fn exchange(&mut self, request: &[u8]) -> Message {
        let mut request = request.to_vec();
        self.mid += 1;
        request[2..4].copy_from_slice(&self.mid.to_be_bytes());
        self.stream.write_all(&request).unwrap();
        let answer = self.next();
        assert_eq!(answer.mid(), self.mid);
        answer
    }

    /// The next message of the gateway.
    fn next(&mut self) -> Message {
        let mut buffer = [0; 1500];
        let length = self.stream.read(&mut buffer).unwrap();
        Message::parse(&buffer[..length]).unwrap()
    }
}

impl Wire {
    fn connect(self) -> Client {
        let mut context = SslContext::builder(SslMethod::dtls_client()).unwrap();
        // OpenSSL takes the eight-octet tag of what LwM2M asks for as too weak by default.
        context.set_cipher_list("PSK-AES128-CCM8:@SECLEVEL=0").unwrap();
        context.set_psk_client_callback(|_, _, identity, key| {
            identity[..ENDPOINT.len()].copy_from_slice(ENDPOINT.as_bytes());
            identity[ENDPOINT.len()] = 0;
            key[..KEY.len()].copy_from_slice(&KEY);
            Ok(KEY.len())
        });
        let mut ssl = openssl::ssl::Ssl::new(&context.build()).unwrap();
        ssl.set_mtu(1200).unwrap();
        let Ok(stream) = ssl.connect(self) else { panic!("the handshake fails") };
        Client { stream, mid: 0 }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        match &self.through {
            Some(shard) => {
                let peer = Peer { address: self.socket.local_addr()?, listener: 1, association: 0 };
                shard.send(Command::Datagram(peer, datagram.to_vec())).unwrap();
                Ok(datagram.len())
            }
            None => self.socket.send_to(datagram, self.gateway),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A Register (core 1.2.1 section 6.2.1).
fn register(endpoint: &str) -> Vec<u8> {
    let message = Message::new(Kind::Confirmable, Code::POST, 1)
        .with_path_segment("rd")
        .with_query(&format!("ep={endpoint}"))
        .with_query("lt=300")
        .with_query("lwm2m=1.1")
        .with_query("b=U")
        .with_payload(b"</1/0>,</3/0>".to_vec());
    message.to_bytes()
}

const ENDPOINT: &str = "meter";
const KEY: [u8; 16] = [7; 16];
const PATIENCE: Duration = Duration::from_secs(20);
