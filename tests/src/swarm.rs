//! Many simple clients at once, for the soak: they register, notify, update, go and come back, each from a socket of its own.
//!
//! Each says numbers that rise; what the gateway has acknowledged of them is on record. Their pace is theirs: it is a load, and
//! nobody waits for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::inbox::PATIENCE;

/// Clients that are at work on threads of their own.
#[derive(Debug)]
pub struct Swarm {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Vec<Record>>>>,
}

/// What a client has said.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its endpoint name.
    pub endpoint: String,
    /// The numbers that were acknowledged, rising.
    pub acknowledged: Vec<u32>,
    /// The numbers that nobody acknowledges.
    pub unconfirmed: Vec<u32>,
    /// Those of them that were the last before a Register or De-register, which may overtake them: a new registration knows
    /// nothing of the observation that they are of.
    pub parting: Vec<u32>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    registrations: AtomicU64,
}

impl Swarm {
    /// So many clients, on so many threads, each of which says something every so often.
    pub fn start(gateway: SocketAddr, clients: usize, threads: usize, pace: Duration) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = (0..threads).map(|thread| {
            let shared = Arc::clone(&shared);
            let numbers: Vec<usize> = (0..clients).filter(|number| number % threads == thread).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(std::thread::spawn(move || runtime.block_on(run(gateway, numbers, pace, shared))))
        });
        Ok(Self { threads: threads.collect::<Result<_>>()?, shared })
    }

    /// How many numbers are acknowledged by now.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many Registers are answered by now.
    pub fn registrations(&self) -> u64 {
        self.shared.registrations.load(Ordering::Relaxed)
    }

    /// Ends it. Each client finishes what it is at.
    pub fn stop(self) -> Result<Vec<Record>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        for thread in self.threads {
            records.extend(thread.join().map_err(|_| anyhow!("clients panicked"))??);
        }
        Ok(records)
    }
}

async fn run(
    gateway: SocketAddr,
    numbers: Vec<usize>,
    pace: Duration,
    shared: Arc<Shared>,
) -> Result<Vec<Record>> {
    let clients = numbers.into_iter().map(|number| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut client = Client::new(gateway, number, pace, shared).await?;
            client.live().await.with_context(|| client.record.endpoint.clone())?;
            Ok::<_, anyhow::Error>(client.record)
        })
    });
    let mut records = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        records.push(client.await??);
    }
    Ok(records)
}

struct Client {
    gateway: SocketAddr,
    socket: UdpSocket,
    pace: Duration,
    shared: Arc<Shared>,
    record: Record,
    /// Of the observation of `/3/0`, if there is one.
    token: Option<Vec<u8>>,
    location: Vec<Vec<u8>>,
    message_id: u16,
    number: u32,
    dice: u64,
}

impl Client {
    async fn new(gateway: SocketAddr, number: usize, pace: Duration, shared: Arc<Shared>) -> Result<Self> {
        Ok(Self {
            gateway,
            socket: socket(gateway).await?,
            pace,
            shared,
            record: Record {
                endpoint: format!("swarm-{number}"),
                acknowledged: Vec::new(),
                unconfirmed: Vec::new(),
                parting: Vec::new(),
            },
            token: None,
            location: Vec::new(),
            message_id: 0,
            number: 0,
            dice: number as u64 + 1,
        })
    }

    async fn live(&mut self) -> Result<()> {
        while !self.stops() {
            self.register().await?;
            for _ in 0..5 + self.roll(20) {
                self.pause().await?;
                if self.stops() {
                    return Ok(());
                }
                match self.roll(10) {
                    0 => self.update().await?,
                    1..=2 => self.say(MessageType::NonConfirmable).await?,
                    _ => self.say(MessageType::Confirmable).await?,
                }
            }
            let last = self.record.unconfirmed.last().copied().filter(|last| *last == self.number);
            self.record.parting.extend(last);
            match self.roll(3) {
                0 => self.deregister().await?,
                // A new address, of which the gateway hears with the next Register.
                1 => self.socket = socket(self.gateway).await?,
                // It was switched off and on.
                _ => {}
            }
            self.token = None;
        }
        Ok(())
    }

    fn stops(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    async fn register(&mut self) -> Result<()> {
        let mut packet = self.request(RequestType::Post);
        packet.add_option(CoapOption::UriPath, b"rd".to_vec());
        let queries =
            [format!("ep={}", self.record.endpoint), "lt=300".into(), "lwm2m=1.1".into(), "b=U".into()];
        queries.iter().for_each(|query| packet.add_option(CoapOption::UriQuery, query.as_bytes().to_vec()));
        packet.add_option(CoapOption::ContentFormat, vec![40]);
        packet.payload = b"</1/0>,</3/0>".to_vec();
        let answer = self.ask(packet).await?;
        ensure!(answer.header.get_code() == "2.01", "Register: {}", answer.header.get_code());
        let location = answer.get_option(CoapOption::LocationPath).context("a location")?;
        self.location = location.iter().cloned().collect();
        self.shared.registrations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn update(&mut self) -> Result<()> {
        let packet = self.located(RequestType::Post);
        let answer = self.ask(packet).await?;
        ensure!(answer.header.get_code() == "2.04", "Update: {}", answer.header.get_code());
        Ok(())
    }

    async fn deregister(&mut self) -> Result<()> {
        let packet = self.located(RequestType::Delete);
        let answer = self.ask(packet).await?;
        ensure!(answer.header.get_code() == "2.02", "De-register: {}", answer.header.get_code());
        Ok(())
    }

    /// The next number, if anybody observes it.
    async fn say(&mut self, kind: MessageType) -> Result<()> {
        let Some(token) = self.token.clone() else { return Ok(()) };
        self.number += 1;
        let mut packet = Packet::new();
        packet.header.set_type(kind);
        packet.header.code = MessageClass::from(CONTENT);
        packet.header.message_id = self.next_id();
        packet.set_token(token);
        self.value(&mut packet);
        if kind == MessageType::NonConfirmable {
            self.record.unconfirmed.push(self.number);
            return self.send(&packet).await;
        }
        let number = self.number;
        let answer = self.acknowledged(&packet).await?;
        // A reset: what it was about has ended meanwhile, and the next observation comes.
        if answer.header.get_type() == MessageType::Acknowledgement {
            self.record.acknowledged.push(number);
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The number as the battery level, in TLV (core 1.2.1 section 7.4.3), with the sequence number of an observation.
    fn value(&self, packet: &mut Packet) {
        packet.add_option(CoapOption::Observe, self.number.to_be_bytes()[1..].to_vec());
        packet.add_option(CoapOption::ContentFormat, TLV.to_be_bytes().to_vec());
        packet.payload = [&[0xC4, 9], self.number.to_be_bytes().as_slice()].concat();
    }

    fn request(&mut self, method: RequestType) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Confirmable);
        packet.header.code = MessageClass::Request(method);
        packet.header.message_id = self.next_id();
        packet.set_token(packet.header.message_id.to_be_bytes().to_vec());
        packet
    }

    fn located(&mut self, method: RequestType) -> Packet {
        let mut packet = self.request(method);
        self.location.iter().for_each(|segment| packet.add_option(CoapOption::UriPath, segment.clone()));
        packet
    }

    /// Asks the gateway, which answers in its acknowledgement, or separately.
    async fn ask(&mut self, packet: Packet) -> Result<Packet> {
        let answer = self.acknowledged(&packet).await?;
        if answer.header.code != MessageClass::Empty {
            return Ok(answer);
        }
        loop {
            let received = timeout(PATIENCE, self.receive()).await.context("no separate answer")??;
            if received.get_token() == packet.get_token()
                && matches!(received.header.code, MessageClass::Response(_))
            {
                self.send(&empty(&received, MessageType::Acknowledgement)).await?;
                return Ok(received);
            }
            self.take(&received).await?;
        }
    }

    /// Sends a message until it is acknowledged or reset (RFC 7252, 4.2).
    async fn acknowledged(&mut self, packet: &Packet) -> Result<Packet> {
        let give_up = Instant::now() + PATIENCE;
        let mut wait = Duration::from_secs(2);
        while Instant::now() < give_up {
            self.send(packet).await?;
            let until = Instant::now() + wait;
            wait *= 2;
            while let Ok(received) = tokio::time::timeout_at(until, self.receive()).await {
                let received = received?;
                let is_answer =
                    matches!(received.header.get_type(), MessageType::Acknowledgement | MessageType::Reset);
                if is_answer && received.header.message_id == packet.header.message_id {
                    return Ok(received);
                }
                self.take(&received).await?;
            }
        }
        bail!("the gateway does not acknowledge {packet:?}");
    }

    /// Answers what the gateway asks meanwhile, for a while.
    async fn pause(&mut self) -> Result<()> {
        let half = self.pace / 2;
        let until = Instant::now() + half + half.mul_f64(self.roll(1_000) as f64 / 500.0);
        loop {
            tokio::select! {
                received = self.receive() => {
                    let received = received?;
                    self.take(&received).await?;
                }
                () = sleep(until - Instant::now()) => return Ok(()),
            }
        }
    }

    /// Something of the gateway that nobody waits for: a request to observe `/3/0`, or to end that, or what is not there.
    async fn take(&mut self, received: &Packet) -> Result<()> {
        let MessageClass::Request(method) = received.header.code else { return Ok(()) };
        let path: Vec<&[u8]> =
            received.get_option(CoapOption::UriPath).into_iter().flatten().map(Vec::as_slice).collect();
        let mut answer = empty(received, MessageType::Acknowledgement);
        answer.set_token(received.get_token().to_vec());
        if method == RequestType::Get && path == [b"3".as_slice(), b"0"] {
            answer.header.code = MessageClass::from(CONTENT);
            let ends = received.get_observe_value().is_none_or(|value| value != Ok(0));
            self.token = (!ends).then(|| received.get_token().to_vec());
            self.value(&mut answer);
            if ends {
                answer.clear_option(CoapOption::Observe);
            }
        } else {
            answer.header.set_code("4.04");
        }
        self.send(&answer).await
    }

    async fn send(&self, packet: &Packet) -> Result<()> {
        let bytes = packet.to_bytes().map_err(|error| anyhow!("{error:?}"))?;
        // Nobody may be there just now.
        let _ = self.socket.send(&bytes).await;
        Ok(())
    }

    async fn receive(&self) -> Result<Packet> {
        let mut buffer = [0; 1500];
        loop {
            // What the system tells of a gateway that is away is no datagram.
            let Ok(length) = self.socket.recv(&mut buffer).await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            return Packet::from_bytes(&buffer[..length]).map_err(|error| anyhow!("{error:?}"));
        }
    }

    fn next_id(&mut self) -> u16 {
        self.message_id = self.message_id.wrapping_add(1);
        self.message_id
    }

    /// The same numbers in each run (xorshift, Marsaglia 2003).
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }
}

async fn socket(gateway: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(gateway).await?;
    Ok(socket)
}

fn empty(to: &Packet, kind: MessageType) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(kind);
    packet.header.code = MessageClass::Empty;
    packet.header.message_id = to.header.message_id;
    packet
}

/// 2.05.
const CONTENT: u8 = 0x45;
/// `application/vnd.oma.lwm2m+tlv`.
const TLV: u16 = 11_542;
