//! HMAC-SHA256 (RFC 2104) for [`cookie`](super::cookie) and the keys of [`record`](super::record).
//!
//! OpenSSL's own, which is for any secret and digest, takes ten times as long to be set up, and every handshake and every
//! forged ClientHello would pay. This one does not allocate.

use openssl::sha::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA256 with a secret of at most one block, 64 bytes: the state after the secret, for any number of texts.
pub(crate) struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    /// Takes the secret in.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let keyed = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
            let mut digest = Sha256::new();
            digest.update(&*block);
            digest
        };
        debug_assert!(secret.len() <= 64);
        Self { inner: keyed(0x36), outer: keyed(0x5c) }
    }

    /// The digest of a text, given in parts.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        parts.iter().for_each(|part| inner.update(part));
        outer.update(&inner.finish());
        outer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 sections 4.2 and 4.3.
    #[test]
    fn the_hmac_gives_the_digests_of_rfc_4231() {
        let vectors = [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ];
        for (secret, text, digest) in vectors {
            let hexadecimal = |digest: [u8; 32]| digest.map(|byte| format!("{byte:02x}")).concat();
            assert_eq!(hexadecimal(Hmac::new(secret).of(&[text])), digest);
            assert_eq!(hexadecimal(Hmac::new(secret).of(&[&text[..3], &text[3..]])), digest);
        }
    }
}
