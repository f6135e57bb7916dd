//! Stateless cookies (RFC 6347 section 4.2.1).

use std::net::{IpAddr, SocketAddr};

use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use tidegate_proto::coap::Entropy;
use zeroize::Zeroizing;

use crate::hello::ClientHello;

/// The keys that cookies are made with.
pub struct Cookies {
    keys: [Zeroizing<[u8; 32]>; 2],
}

impl Cookies {
    /// With keys of its own.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let mut keys = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        keys.iter_mut().for_each(|key| entropy.fill(&mut **key));
        Self { keys }
    }

    /// Take a new key; cookies of the one before count until the next time.
    pub fn rotate(&mut self, entropy: &mut dyn Entropy) {
        self.keys.swap(0, 1);
        entropy.fill(&mut *self.keys[0]);
    }

    /// Whether the ClientHello has a cookie that was given to this address for it.
    pub fn check(&self, remote: SocketAddr, hello: &ClientHello<'_>) -> bool {
        hello.cookie.len() == LENGTH
            && self
                .keys
                .iter()
                .any(|key| cookie(key, remote, hello).is_some_and(|cookie| memcmp::eq(&cookie, hello.cookie)))
    }

    /// Appends a HelloVerifyRequest with the cookie for this ClientHello.
    pub fn hello_verify_request(&self, remote: SocketAddr, hello: &ClientHello<'_>, datagram: &mut Vec<u8>) {
        let Some(cookie) = cookie(&self.keys[0], remote, hello) else { return };
        datagram.extend_from_slice(&[22, 0xfe, 0xff, 0, 0]);
        datagram.extend_from_slice(&hello.record_sequence.to_be_bytes()[2..]);
        datagram.extend_from_slice(&[0, 35, 3, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 23, 0xfe, 0xff, 20]);
        datagram.extend_from_slice(&cookie);
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cookies")
    }
}

fn cookie(key: &[u8; 32], remote: SocketAddr, hello: &ClientHello<'_>) -> Option<[u8; LENGTH]> {
    let key = PKey::hmac(key).ok()?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key).ok()?;
    match remote.ip() {
        IpAddr::V4(ip) => signer.update(&ip.octets()).ok()?,
        IpAddr::V6(ip) => signer.update(&ip.octets()).ok()?,
    }
    signer.update(&remote.port().to_be_bytes()).ok()?;
    signer.update(&hello.version.to_be_bytes()).ok()?;
    signer.update(hello.random).ok()?;
    signer.update(hello.session_id).ok()?;
    let mut mac = [0; 32];
    signer.sign(&mut mac).ok()?;
    mac[..LENGTH].try_into().ok()
}

const LENGTH: usize = 20;
