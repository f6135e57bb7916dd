//! A DTLS server that sends back what it gets: the least that an [`Endpoint`] needs around it.
//!
//! `cargo run -p tidegate-dtls --example echo -- 127.0.0.1:5684`, then
//! `openssl s_client -dtls1_2 -connect 127.0.0.1:5684 -psk_identity me -psk 00112233445566778899aabbccddeeff -cipher PSK-AES128-CCM8`.

use std::error::Error;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time;

use tidegate_dtls::credential::{Credentials, Key};
use tidegate_dtls::endpoint::{Config, Endpoint, Output, Received, Remote};
use tidegate_dtls::session::Sessions;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("say where to listen")?;
    let socket = UdpSocket::bind(address)?;
    let origin = time::Instant::now();
    let now = || Instant::from_micros(u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut credentials = Credentials::new();
    let key = openssl::bn::BigNum::from_hex_str("00112233445566778899aabbccddeeff")?.to_vec_padded(16)?;
    credentials.add_psk("me", Key::new(key), "me")?;
    let sessions = Arc::new(Sessions::new(1_000));
    let mut endpoint =
        Endpoint::new(Config::default(), Arc::new(credentials), sessions, Box::new(OpenSslEntropy))?;
    let (mut buffer, mut sealed) = (vec![0; 65_535], Vec::new());
    let mut wait = None;
    loop {
        socket.set_read_timeout(wait)?;
        match socket.recv_from(&mut buffer) {
            Ok((length, address)) => {
                endpoint.handle_datagram(now(), Remote { address, listener: 0 }, &mut buffer[..length]);
            }
            Err(_) => endpoint.handle_timeout(now()),
        }
        wait = loop {
            match endpoint.poll_output() {
                Output::Transmit { to, payload } => {
                    socket.send_to(&payload, to.address)?;
                }
                Output::Received { association, payload, .. } => {
                    let data = match payload {
                        Received::Within(range) => buffer[range].to_vec(),
                        Received::Earlier(data) => data,
                    };
                    if let Some(to) = endpoint.send(association, &data, &mut sealed) {
                        socket.send_to(&sealed, to.address)?;
                    }
                }
                Output::Timeout(at) => {
                    break at.map(|at| at.since(now()).max(time::Duration::from_millis(1)));
                }
                other => println!("{other:?}"),
            }
        };
    }
}

struct OpenSslEntropy;

impl Entropy for OpenSslEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        openssl::rand::rand_bytes(buffer).expect("OpenSSL's generator works");
    }
}
