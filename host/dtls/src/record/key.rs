//! The keys of an association, and how they follow from the master secret (RFC 5246 sections 5 and 6.3).

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::cipher::Aead;
use crate::hmac::Hmac;

/// The keys of both directions. They are wiped when they go, and never printed.
#[derive(Clone)]
pub struct Keys {
    pub(super) aead: Aead,
    pub(super) client: Direction,
    pub(super) server: Direction,
}

/// What one side writes with.
#[derive(Clone, Default)]
pub(super) struct Direction {
    pub(super) key: [u8; 16],
    /// The first bytes of every nonce; the rest is in the record (RFC 5288 section 3, RFC 6655 section 3).
    pub(super) iv: [u8; 4],
}

impl Keys {
    /// The key block of a session (RFC 5246 section 6.3), for a suite whose PRF has SHA-256.
    pub fn derive(
        aead: Aead,
        master_secret: &[u8; 48],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Self {
        let mut block = Zeroizing::new([0; 40]);
        prf(master_secret, b"key expansion", &[*server_random, *client_random].concat(), &mut *block);
        let (mut client, mut server) = (Direction::default(), Direction::default());
        let mut rest = block.as_slice();
        for part in [&mut client.key[..], &mut server.key, &mut client.iv, &mut server.iv] {
            let (bytes, after) = rest.split_at(part.len());
            part.copy_from_slice(bytes);
            rest = after;
        }
        Self { aead, client, server }
    }

    /// What they are for.
    pub fn aead(&self) -> Aead {
        self.aead
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("aead", &self.aead).finish_non_exhaustive()
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
    }
}

/// The pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246 section 5), as long as `output`. The secret has at most
/// 64 bytes.
fn prf(secret: &[u8], label: &[u8], seed: &[u8], output: &mut [u8]) {
    let hmac = Hmac::new(secret);
    let mut chain = hmac.of(&[label, seed]);
    for part in output.chunks_mut(chain.len()) {
        let block = Zeroizing::new(hmac.of(&[&chain, label, seed]));
        part.copy_from_slice(&block[..part.len()]);
        chain = hmac.of(&[&chain]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::bytes;

    /// The vector for P_SHA256 that the TLS working group's list has had since 2008.
    #[test]
    fn the_prf_gives_the_output_of_the_vector() {
        let secret = bytes("9bbe436ba940f017b17652849a71db35");
        let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
        let mut output = [0; 100];
        prf(&secret, b"test label", &seed, &mut output);
        assert_eq!(
            output.as_slice(),
            bytes(
                "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af
                 0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
                 87347b66"
            )
        );
    }

    #[test]
    fn the_key_block_is_cut_in_the_order_of_the_standard() {
        let keys = Keys::derive(Aead::Gcm, &[1; 48], &[2; 32], &[3; 32]);
        let mut block = [0; 40];
        prf(&[1; 48], b"key expansion", &[[3; 32], [2; 32]].concat(), &mut block);
        let cut = [&keys.client.key[..], &keys.server.key, &keys.client.iv, &keys.server.iv].concat();
        assert_eq!(cut, block);
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = Keys::derive(Aead::Ccm8, &[1; 48], &[2; 32], &[3; 32]);
        assert_eq!(format!("{keys:?}"), "Keys { aead: Ccm8, .. }");
    }
}
