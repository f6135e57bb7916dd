//! Stateless cookies (RFC 6347 section 4.2.1): who sends a ClientHello must show that it receives at its address before
//! anything is kept of it, and before it is sent more than it has sent.
//!
//! [`endpoint`](super::endpoint) asks for every ClientHello of a client that it is not already talking to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use openssl::memcmp;
use tidegate_proto::coap::Entropy;
use tidegate_proto::time::Instant;
use zeroize::Zeroizing;

use crate::hello::ClientHello;
use crate::hmac::Hmac;

/// The keys of the cookies that count.
pub struct Cookies {
    current: Hmac,
    previous: Option<Hmac>,
    /// When the current key was taken into use; none until time is told.
    since: Option<Instant>,
}

impl Cookies {
    /// With a key of its own.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        Self { current: key(entropy), previous: None, since: None }
    }

    /// Whether the ClientHello has a cookie that the client at this address was given, for the same random and session,
    /// with the current key or the one before. Cookies are compared in a time that does not tell how much is right.
    pub fn check(&self, remote: SocketAddr, hello: &ClientHello<'_>) -> bool {
        // The first message of a client has 0, and no cookie that counts: OpenSSL goes on only from the second.
        if hello.message_sequence != WITH_COOKIE || hello.cookie.len() != COOKIE_LENGTH {
            return false;
        }
        let is_of = |key: &Hmac| memcmp::eq(&cookie(key, remote, hello), hello.cookie);
        is_of(&self.current) || self.previous.as_ref().is_some_and(is_of)
    }

    /// Writes the HelloVerifyRequest for a ClientHello into `datagram`, which is cleared first: 48 bytes, shorter than any
    /// ClientHello that can be parsed.
    pub fn hello_verify_request(&self, remote: SocketAddr, hello: &ClientHello<'_>, datagram: &mut Vec<u8>) {
        let [_, _, sequence @ ..] = hello.record_sequence.to_be_bytes();
        datagram.clear();
        datagram.extend_from_slice(&RECORD_START);
        datagram.extend_from_slice(&sequence);
        datagram.extend_from_slice(&MESSAGE_START);
        datagram.extend_from_slice(&cookie(&self.current, remote, hello));
    }

    /// Takes another key into use. Cookies of the current one still count, until the next rotation.
    pub fn rotate(&mut self, entropy: &mut dyn Entropy) {
        self.previous = Some(std::mem::replace(&mut self.current, key(entropy)));
    }

    /// [Rotates](Self::rotate) if the current key has been in use for two minutes. A cookie counts for two to four.
    pub fn rotate_when_due(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        let age = now.since(*self.since.get_or_insert(now));
        if age < ROTATION {
            return;
        }
        self.since = Some(now);
        self.rotate(entropy);
        if age >= 2 * ROTATION {
            self.previous = None;
        }
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cookies").finish_non_exhaustive()
    }
}

fn key(entropy: &mut dyn Entropy) -> Hmac {
    let mut secret = Zeroizing::new([0; 32]);
    entropy.fill(&mut *secret);
    Hmac::new(&*secret)
}

/// The suites and extensions are not part of it: they may be in another fragment.
fn cookie(key: &Hmac, remote: SocketAddr, hello: &ClientHello<'_>) -> [u8; COOKIE_LENGTH] {
    let address = match remote.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    // The session ID alone has no fixed length, and is last.
    let digest = key.of(&[
        &address.octets(),
        &remote.port().to_be_bytes(),
        &hello.version.to_be_bytes(),
        hello.random,
        hello.session_id,
    ]);
    let mut cookie = [0; COOKIE_LENGTH];
    cookie.copy_from_slice(&digest[..COOKIE_LENGTH]);
    cookie
}

const COOKIE_LENGTH: usize = 20;
/// The number of the ClientHello that answers a HelloVerifyRequest.
const WITH_COOKIE: u16 = 1;
/// Handshake, DTLS 1.0 whatever will be negotiated, epoch 0. The record has the number of the ClientHello's.
const RECORD_START: [u8; 5] = [22, 0xfe, 0xff, 0, 0];
/// The record's length; then HelloVerifyRequest, not fragmented, message 0; then version and cookie length.
const MESSAGE_START: [u8; 17] = [0, 35, 3, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 23, 0xfe, 0xff, 20];
/// How long a key is in use.
const ROTATION: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
