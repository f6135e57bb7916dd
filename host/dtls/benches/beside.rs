//! Tidegate's associations beside Californium's, over loopback: prints a table, `make bench-dtls`.
//!
//! Each server is a process of its own that sends back what it gets; one client does the same to both, one thing after the
//! other. Processor time is all of the server's process, user and system, its socket calls with it; memory is its
//! resident set. Californium gets a warm-up before it is measured, and collects its garbage before memory is read.
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(clippy::unwrap_used, reason = "it is for people who look at it")]

#[path = "../tests/client/mod.rs"]
mod client;
#[path = "../tests/network/mod.rs"]
mod network;

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{self, Duration};

use client::Client;
use client::profile::Profile;
use network::identity::{PSK, identities, psk, raw, x509};
use tidegate_dtls::credential::{Credentials, Key};
use tidegate_dtls::endpoint::{Config, Endpoint, Output, Received, Remote};
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

fn main() {
    if let Ok(folder) = std::env::var(SERVER) {
        return serve(Path::new(&folder));
    }
    let folder = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    write_keys(&folder);
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.env(SERVER, &folder);
    let own = measure(&mut own);
    let other = californium(&folder).map(|mut command| measure(&mut command));
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{:44} {:>10} {:>12} {:>8}", "the server's", "Tidegate", "Californium", "ratio");
    for (at, (name, own)) in own.iter().enumerate() {
        match &other {
            Some(other) => println!("{name:44} {own:10.2} {:12.2} {:8.1}", other[at].1, other[at].1 / own),
            None => println!("{name:44} {own:10.2} {:>12} {:>8}", "skipped", ""),
        }
    }
}

/// The command that starts Californium's server, if it can be had.
fn californium(folder: &Path) -> Option<Command> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/leshan/target");
    if Command::new("java").arg("-version").output().is_err() || !built.join("lib").is_dir() {
        println!("skipped: no Californium to be measured beside; `scripts/setup interop` builds it");
        return None;
    }
    let path = format!("{}/leshan-device-1.jar:{}/lib/*", built.display(), built.display());
    let mut command = Command::new("java");
    command.args([HEAP, "-cp", &path, "tidegate.interop.DtlsEcho"]).arg(folder).arg(PSK.0).arg(hex(PSK.1));
    Some(command)
}

type Figures = Vec<(&'static str, f64)>;

/// Does everything to a server, and says what it cost.
fn measure(command: &mut Command) -> Figures {
    let mut server = Server::start(command);
    for _ in 0..WARM_UP {
        for profile in [psk(), x509(), raw()] {
            let mut first = server.shake(&profile, None);
            server.echo(&mut first, 20);
            server.shake(&profile.with_session(first.0.session()), None);
        }
    }
    let mut figures = Vec::new();
    for (name, resumed, profile) in [
        ("us a handshake, PSK", "us a resumption, PSK", psk()),
        ("us a handshake, X.509", "us a resumption, X.509", x509()),
        ("us a handshake, RPK", "us a resumption, RPK", raw()),
    ] {
        let session = server.shake(&profile, None).0.session();
        for (name, profile) in [(name, profile.clone()), (resumed, profile.with_session(session))] {
            let before = server.processor_time();
            for _ in 0..HANDSHAKES {
                server.shake(&profile, None);
            }
            figures.push((name, (server.processor_time() - before) / HANDSHAKES as f64));
        }
    }
    let mut client = server.shake(&psk(), None);
    let before = server.processor_time();
    server.echo(&mut client, RECORDS);
    let each = (server.processor_time() - before) / RECORDS as f64;
    figures.push(("us a record of 128 bytes there and back", each));
    server.collect();
    let before = server.resident();
    for number in 0..IDLE {
        let mut client = server.shake(&psk(), Some(number));
        server.echo(&mut client, 1);
    }
    server.collect();
    figures.push(("KiB RSS an idle association of 10,000, PSK", (server.resident() - before) / IDLE as f64));
    figures.push(("KiB RSS in all, then", server.resident()));
    figures
}

/// A server's process.
struct Server {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    origin: time::Instant,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = output.next().expect("the server tells its port").unwrap();
            if let Ok(port) = line.trim().parse() {
                break port;
            }
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { process, input, output, address, origin: time::Instant::now() }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap())
    }

    /// A whole handshake, from an address of its own if it has a number.
    fn shake(&self, profile: &Profile, number: Option<usize>) -> (Client, UdpSocket) {
        let from = match number {
            None => SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            Some(number) => {
                let host = u8::try_from(1 + number / PORTS).unwrap();
                let port = 20_000 + u16::try_from(number % PORTS).unwrap();
                SocketAddrV4::new(Ipv4Addr::new(127, 0, 2, host), port)
            }
        };
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut client = Client::new(profile, self.now());
        let mut buffer = [0; 2_048];
        loop {
            while let Some(datagram) = client.transmits.pop_front() {
                socket.send(&datagram).unwrap();
            }
            if client.is_established() {
                break;
            }
            let length =
                socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {:?}", client.state));
            client.handle_datagram(self.now(), &buffer[..length]);
        }
        assert_eq!(client.is_resumed(), profile.session.is_some(), "resumed");
        (client, socket)
    }

    /// So many records there and back, one at a time.
    fn echo(&self, (client, socket): &mut (Client, UdpSocket), times: usize) {
        let mut buffer = [0; 2_048];
        let heard = client.received.len();
        for number in 0..times {
            client.send(&[7; 128]);
            socket.send(&client.transmits.pop_front().unwrap()).unwrap();
            while client.received.len() == heard + number {
                let length = socket.recv(&mut buffer).expect("an echo");
                client.handle_datagram(self.now(), &buffer[..length]);
            }
        }
    }

    /// Has it tidy up.
    fn collect(&mut self) {
        for _ in 0..2 {
            self.input.write_all(b"\n").unwrap();
            self.output.next().expect("an answer").unwrap();
        }
    }

    /// Microseconds of all its threads, user and system.
    fn processor_time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // After the name, which may have anything in it, state is field 3; utime and stime are 14 and 15.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
        #[allow(unsafe_code)]
        // SAFETY: it has no preconditions.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        ticks.sum::<f64>() * 1e6 / per_second
    }

    /// KiB.
    fn resident(&self) -> f64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tidegate's server: what `examples/echo.rs` is, with all credentials.
fn serve(folder: &Path) {
    std::thread::spawn(|| {
        for _ in std::io::stdin().lines() {
            println!("collected");
        }
        std::process::exit(0);
    });
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut credentials = Credentials::new();
    credentials.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "psk").unwrap();
    credentials.add_raw_public_key(&read("raw.der"), "raw").unwrap();
    credentials.trust(&read("authority.pem")).unwrap();
    credentials.present(&read("server.key.pem"), Some(&read("server.pem"))).unwrap();
    let config = Config::default();
    let sessions = Arc::new(Sessions::new(config.max_associations));
    let mut endpoint = Endpoint::new(config, Arc::new(credentials), sessions, Box::new(OpenSsl)).unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", socket.local_addr().unwrap().port());
    let origin = time::Instant::now();
    let (mut buffer, mut sealed) = (vec![0; 65_535], Vec::new());
    loop {
        let (length, address) = socket.recv_from(&mut buffer).unwrap();
        let now = Instant::from_micros(u64::try_from(origin.elapsed().as_micros()).unwrap());
        endpoint.handle_datagram(now, Remote { address, listener: 0 }, &mut buffer[..length]);
        // Its timers matter only to clients that have gone.
        endpoint.handle_timeout(now);
        loop {
            match endpoint.poll_output() {
                Output::Transmit { to, payload } => {
                    socket.send_to(&payload, to.address).unwrap();
                }
                Output::Received { association, payload: Received::Within(range), .. } => {
                    if let Some(to) = endpoint.send(association, &buffer[range], &mut sealed) {
                        socket.send_to(&sealed, to.address).unwrap();
                    }
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
}

struct OpenSsl;

impl Entropy for OpenSsl {
    fn fill(&mut self, buffer: &mut [u8]) {
        openssl::rand::rand_bytes(buffer).unwrap();
    }
}

fn write_keys(folder: &Path) {
    let all = identities();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
    write("server.der", all.server.certificate.to_der().unwrap());
    write("server.pem", all.server.certificate.to_pem().unwrap());
    write("server.key.der", all.server.key.private_key_to_pkcs8().unwrap());
    write("server.key.pem", all.server.key.private_key_to_pem_pkcs8().unwrap());
    write("authority.der", all.authority.certificate.to_der().unwrap());
    write("authority.pem", all.authority.certificate.to_pem().unwrap());
    write("raw.der", all.raw.public_key_to_der().unwrap());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says to the process that it is the server, and where its keys are.
const SERVER: &str = "TIDEGATE_BENCH_SERVER";
/// For Californium, of which it uses what it needs.
const HEAP: &str = "-Xmx1g";
const WARM_UP: usize = 1_000;
const HANDSHAKES: usize = 2_000;
const RECORDS: usize = 100_000;
const IDLE: usize = 10_000;
/// Clients that have one address.
const PORTS: usize = 5_000;
