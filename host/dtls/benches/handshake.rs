//! What associations cost the gateway: prints a table, `cargo bench -p tidegate-dtls --bench handshake`.
//!
//! Times are of the server's side only, on one core: the processor time of the thread while it is inside
//! [`Endpoint`](tidegate_dtls::endpoint::Endpoint), both ClientHellos and the cookie included. Memory is that of 10,000
//! idle associations with their sessions, each mode in a process of its own, clients freed as soon as they have
//! finished and said something once.
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/client/mod.rs"]
mod client;
#[path = "../tests/network/mod.rs"]
mod network;

use std::sync::Arc;

use client::Client;
use client::profile::Profile;
use network::fault::Chance;
use network::identity::{credentials, psk, raw, x509};
use network::{address, remote};
use tidegate_dtls::endpoint::{Config, Endpoint, Output};
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

fn main() {
    if let Ok(mode) = std::env::var(MEMORY) {
        return measure_memory(&mode);
    }
    println!("{}", openssl::version::version());
    println!("{:10} {:>12} {:>10} {:>12} {:>10}", "handshakes", "us full", "per s", "us resumed", "per s");
    for mode in ["PSK", "X.509", "RPK"] {
        let (full, resumed) = measure_handshakes(&profile(mode));
        println!("{mode:10} {full:12.1} {:10.0} {resumed:12.1} {:10.0}", 1e6 / full, 1e6 / resumed);
    }
    println!("\n{:28} {:>8} {:>8}", "records of 128 bytes", "us in", "us out");
    for (name, profile) in [
        ("CCM_8", psk()),
        ("CCM_8, connection ID", psk().with_connection_id(b"12345")),
        ("CCM", psk().with_suites("PSK-AES128-CCM")),
        ("GCM", psk().with_suites("PSK-AES128-GCM-SHA256")),
        ("CBC, inside OpenSSL", psk().with_suites("PSK-AES128-CBC-SHA256")),
    ] {
        let (taken, sent) = measure_records(&profile);
        println!("{name:28} {taken:8.2} {sent:8.2}");
    }
    println!("\n{:28} {:>8} {:>8} {:>14}", "KiB an idle association", "heap", "RSS", "RSS trimmed");
    for mode in ["PSK", "PSK, connection ID", "X.509", "RPK"] {
        let child = std::process::Command::new(std::env::current_exe().expect("it runs"))
            .env(MEMORY, mode)
            .status()
            .expect("it runs once more");
        assert!(child.success());
    }
}

/// The gateway's side.
struct Server {
    endpoint: Endpoint,
    now: Instant,
    /// Nanoseconds spent in the endpoint.
    spent: u64,
    transmits: Vec<Vec<u8>>,
}

impl Server {
    fn new() -> Self {
        let config = Config::default();
        let sessions = Arc::new(Sessions::new(config.max_associations));
        let endpoint = Endpoint::new(config, Arc::new(credentials()), sessions, Box::new(Seeded(Chance(7))));
        Self {
            endpoint: endpoint.expect("good credentials"),
            now: Instant::from_micros(1_000_000),
            spent: 0,
            transmits: Vec::new(),
        }
    }

    fn take(&mut self, number: usize, mut datagram: Vec<u8>) {
        let start = thread_time();
        self.endpoint.handle_datagram(self.now, remote(address(number)), &mut datagram);
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { payload, .. } => self.transmits.push(payload),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        self.spent += thread_time() - start;
    }

    /// A whole handshake.
    fn shake(&mut self, number: usize, profile: &Profile) -> Client {
        let mut client = Client::new(profile, self.now);
        while let Some(datagram) = client.transmits.pop_front() {
            self.take(number, datagram);
            for answer in self.transmits.drain(..) {
                client.handle_datagram(self.now, &answer);
            }
        }
        assert!(client.is_established(), "{:?}", client.state);
        assert_eq!(client.is_resumed(), profile.session.is_some());
        client
    }
}

/// Microseconds of a full handshake and of a resumed one.
fn measure_handshakes(profile: &Profile) -> (f64, f64) {
    let mut server = Server::new();
    let first = server.shake(0, profile);
    let resuming = profile.clone().with_session(first.session());
    let mut measure = |profile: &Profile| {
        for number in 0..50 {
            server.shake(number, profile);
        }
        server.spent = 0;
        for number in 0..HANDSHAKES {
            server.shake(number, profile);
        }
        server.spent as f64 / HANDSHAKES as f64 / 1e3
    };
    (measure(profile), measure(&resuming))
}

/// Microseconds of a record in and of one out.
fn measure_records(profile: &Profile) -> (f64, f64) {
    let mut server = Server::new();
    let mut client = server.shake(0, profile);
    let mut association = None;
    for _ in 0..RECORDS {
        client.send(&[7; 128]);
    }
    let datagrams = std::mem::take(&mut client.transmits);
    server.spent = 0;
    let start = thread_time();
    for mut datagram in datagrams {
        server.endpoint.handle_datagram(server.now, remote(address(0)), &mut datagram);
        loop {
            match server.endpoint.poll_output() {
                Output::Received { association: of, .. } => association = Some(of),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    let taken = thread_time() - start;
    let association = association.expect("records were received");
    let mut datagram = Vec::with_capacity(256);
    let start = thread_time();
    for _ in 0..RECORDS {
        server.endpoint.send(association, &[7; 128], &mut datagram).expect("it may send");
    }
    let sent = thread_time() - start;
    (taken as f64 / RECORDS as f64 / 1e3, sent as f64 / RECORDS as f64 / 1e3)
}

/// Prints a line of the last table.
fn measure_memory(mode: &str) {
    let mut server = Server::new();
    let profile = profile(mode);
    let mut idle = |number: usize| {
        let mut client = server.shake(number, &profile);
        client.send(b"idle from now on");
        let datagram = client.transmits.pop_front().expect("sent above");
        server.take(number, datagram);
    };
    // What is there once only, and room that is used again, is no matter of associations.
    (0..100).for_each(&mut idle);
    trim();
    let (heap, resident) = (heap(), resident());
    (100..100 + IDLE).for_each(&mut idle);
    let each = |bytes: usize| bytes as f64 / IDLE as f64 / 1024.0;
    let (heap, full) = (self::heap().saturating_sub(heap), self::resident().saturating_sub(resident));
    trim();
    let trimmed = self::resident().saturating_sub(resident);
    assert_eq!(server.endpoint.len(), IDLE + 100);
    println!("{mode:28} {:8.2} {:8.2} {:14.2}", each(heap), each(full), each(trimmed));
}

fn profile(mode: &str) -> Profile {
    match mode {
        "PSK" => psk(),
        "PSK, connection ID" => psk().with_connection_id(b"12345"),
        "X.509" => x509(),
        _ => raw(),
    }
}

struct Seeded(Chance);

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Nanoseconds of processor time of this thread.
#[allow(unsafe_code)]
fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes into the place that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Bytes that are allocated.
#[allow(unsafe_code)]
fn heap() -> usize {
    // SAFETY: it has no preconditions.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

#[allow(unsafe_code)]
fn trim() {
    // SAFETY: it has no preconditions.
    unsafe { libc::malloc_trim(0) };
}

/// Says to the process that it is one for memory, and of which mode.
const MEMORY: &str = "TIDEGATE_BENCH_MEMORY";
const HANDSHAKES: usize = 400;
const RECORDS: usize = 40_000;
const IDLE: usize = 10_000;
