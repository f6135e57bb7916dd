//! AES-128 in CCM and GCM, in place, with contexts of OpenSSL that every thread keeps.

use std::cell::RefCell;

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

/// How records are encrypted: AES-128 with a nonce of 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aead {
    /// CCM with a tag of 8 bytes (RFC 6655 section 4, RFC 7251).
    Ccm8,
    /// CCM with a tag of 16 bytes (RFC 6655 section 3, RFC 7251).
    Ccm,
    /// GCM, its tag has 16 bytes (RFC 5288).
    Gcm,
}

impl Aead {
    /// Bytes of the tag.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Ccm8 => 8,
            Self::Ccm | Self::Gcm => 16,
        }
    }

    fn cipher(self) -> &'static CipherRef {
        match self {
            Self::Ccm8 | Self::Ccm => Cipher::aes_128_ccm(),
            Self::Gcm => Cipher::aes_128_gcm(),
        }
    }

    fn is_ccm(self) -> bool {
        self != Self::Gcm
    }
}

/// A key, what has never been used with it before, and what is authenticated with the data.
pub(super) struct Use<'a> {
    pub(super) aead: Aead,
    pub(super) key: &'a [u8; 16],
    pub(super) nonce: &'a [u8; 12],
    pub(super) additional: &'a [u8],
}

/// Why data was not opened.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Not what was sealed.
    Authentication,
    /// OpenSSL has no memory.
    OpenSsl,
}

impl Use<'_> {
    /// Encrypts `data` in place and fills `tag`, which is as long as the AEAD's tags are.
    pub(super) fn seal(&self, data: &mut [u8], tag: &mut [u8]) -> Result<(), ErrorStack> {
        with_context(self.aead, Operation::Seal, |context| {
            context.encrypt_init(None, Some(self.key), Some(self.nonce))?;
            if self.aead.is_ccm() {
                context.set_data_len(data.len())?;
            }
            context.cipher_update(self.additional, None)?;
            context.cipher_update_inplace(data, data.len())?;
            context.cipher_final(&mut [])?;
            context.tag(tag)
        })
    }

    /// Decrypts `data` in place. When it is not what was sealed, nothing is left of it.
    pub(super) fn open(&self, data: &mut [u8], tag: &[u8]) -> Result<(), Unopened> {
        let opened = with_context(self.aead, Operation::Open, |context| {
            context.set_tag(tag)?;
            context.decrypt_init(None, Some(self.key), Some(self.nonce))?;
            if self.aead.is_ccm() {
                context.set_data_len(data.len())?;
            }
            context.cipher_update(self.additional, None)?;
            // CCM checks the tag with the data, also when there are no bytes of it; GCM checks it at the end.
            let opened = context.cipher_update_inplace(data, data.len());
            Ok(opened.and_then(|_| context.cipher_final(&mut [])).is_ok())
        });
        match opened {
            Ok(true) => Ok(()),
            Ok(false) => {
                // GCM has decrypted it all the same.
                data.fill(0);
                Err(Unopened::Authentication)
            }
            Err(_) => Err(Unopened::OpenSsl),
        }
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Seal,
    Open,
}

/// Runs with this thread's context for one cipher and direction. What takes OpenSSL most time, to look the cipher up and
/// to set up a context, is done once. The key stays in the context until the next one is set.
fn with_context<T>(
    aead: Aead,
    operation: Operation,
    run: impl FnOnce(&mut CipherCtx) -> Result<T, ErrorStack>,
) -> Result<T, ErrorStack> {
    CONTEXTS.with_borrow_mut(|contexts| {
        let place = &mut contexts[aead as usize][operation as usize];
        let context = match place {
            Some(context) => context,
            None => place.insert(new_context(aead, operation)?),
        };
        let result = run(context);
        if result.is_err() {
            // It may have been left half way.
            *place = None;
        }
        result
    })
}

fn new_context(aead: Aead, operation: Operation) -> Result<CipherCtx, ErrorStack> {
    let mut context = CipherCtx::new()?;
    match operation {
        Operation::Seal => context.encrypt_init(Some(aead.cipher()), None, None)?,
        Operation::Open => context.decrypt_init(Some(aead.cipher()), None, None)?,
    }
    if aead.is_ccm() {
        // Its own nonces would be shorter, and its tags of 12 bytes.
        context.set_iv_length(12)?;
        context.set_tag_length(aead.tag_len())?;
    }
    Ok(context)
}

thread_local! {
    /// By AEAD and operation.
    static CONTEXTS: RefCell<[[Option<CipherCtx>; 2]; 3]> = const { RefCell::new([const { [const { None }; 2] }; 3]) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{AEADS, bytes};

    /// AEAD, key, nonce, additional data, plaintext, ciphertext, tag.
    type Vector = (Aead, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

    const VECTORS: [Vector; 8] = [
        // NIST SP 800-38C, example 3.
        (
            Aead::Ccm8,
            "404142434445464748494a4b4c4d4e4f",
            "101112131415161718191a1b",
            "000102030405060708090a0b0c0d0e0f10111213",
            "202122232425262728292a2b2c2d2e2f3031323334353637",
            "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5",
            "484392fbc1b09951",
        ),
        // Wycheproof, aes_ccm_test, 11, 12, 13 and 29.
        (
            Aead::Ccm,
            "59ab7ec1c02bb206af5a9131f1134311",
            "5508f5cea197386986d92dbe",
            "a43d39f78a2e9a8a",
            "",
            "",
            "09ec70faae333537a7314929ddfb525b",
        ),
        (
            Aead::Ccm,
            "9415f925bcb41dc25e86c826dbc8bf68",
            "bdffaa763b916ff0ee3f3ce4",
            "705d676cd8a94451",
            "feb36167eafc02c8e2bd6e13817686ba",
            "08db327a88be7b48f430fd7bfccdf502",
            "b7c249f810adacf99abded1f3b9130f2",
        ),
        (
            Aead::Ccm,
            "d97c9b043bdccfd59491a995e78f1696",
            "ef423240358830df915506a3",
            "3ddba7b3ab69c8b2",
            "f047594a5cffda64303a80b2fa6a957169",
            "e0caf2a9d50f70ecaa43b4a287c3b34a99",
            "cff4c61882b413b686ff35b63a3a73de",
        ),
        (
            Aead::Ccm,
            "20bbf74c1e63982c472c4743569e4c84",
            "459fc7c004bf46323a02d846",
            "4f2285ce3dafa528c694a5272d3b7b929097db398772653bd9bbbdb3b2c8e1",
            "6db50992e8fbbee15d4979d3e322dacd",
            "8703e44697138c58532d97ee99231d94",
            "f14c2f39a4871a4a16c42f6fe878deef",
        ),
        // The GCM specification of McGrew and Viega, test cases 1, 2 and 4.
        (
            Aead::Gcm,
            "00000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "",
            "",
            "58e2fccefa7e3061367f1d57a4e7455a",
        ),
        (
            Aead::Gcm,
            "00000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "0388dace60b6a392f328c2b971b2fe78",
            "ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            Aead::Gcm,
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525
             b16aedf5aa0de657ba637b39",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05
             1ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
    ];

    fn array<const N: usize>(hexadecimal: &str) -> [u8; N] {
        bytes(hexadecimal).try_into().unwrap()
    }

    #[test]
    fn the_vectors_are_sealed_and_opened() {
        // Twice, so that contexts are used again after another AEAD, another key and another length.
        for (aead, key, nonce, additional, plaintext, ciphertext, tag) in VECTORS.into_iter().chain(VECTORS) {
            let (key, nonce, additional) = (array(key), array(nonce), bytes(additional));
            let the_use = Use { aead, key: &key, nonce: &nonce, additional: &additional };
            let (mut data, mut space) = (bytes(plaintext), [0; 16]);
            let made = &mut space[..aead.tag_len()];
            the_use.seal(&mut data, made).unwrap();
            assert_eq!((&data, &*made), (&bytes(ciphertext), bytes(tag).as_slice()));
            the_use.open(&mut data, made).unwrap();
            assert_eq!(data, bytes(plaintext));
        }
    }

    #[test]
    fn a_vector_with_any_bit_changed_is_not_opened() {
        for (aead, key, nonce, additional, plaintext, ciphertext, tag) in VECTORS {
            let (key, nonce, additional) = (array(key), array(nonce), bytes(additional));
            let (ciphertext, tag) = (bytes(ciphertext), bytes(tag));
            let the_use = Use { aead, key: &key, nonce: &nonce, additional: &additional };
            for bit in 0..8 * (ciphertext.len() + tag.len()) {
                let mut changed = [&ciphertext[..], &tag].concat();
                changed[bit / 8] ^= 1 << (bit % 8);
                let (data, tag) = changed.split_at_mut(ciphertext.len());
                assert!(matches!(the_use.open(data, tag), Err(Unopened::Authentication)), "{aead:?} {bit}");
            }
            for bit in 0..8 * additional.len() {
                let mut changed = additional.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let the_use = Use { aead, key: &key, nonce: &nonce, additional: &changed };
                let opened = the_use.open(&mut ciphertext.clone(), &tag);
                assert!(matches!(opened, Err(Unopened::Authentication)), "{aead:?} {bit}");
            }
            let mut data = ciphertext;
            the_use.open(&mut data, &tag).unwrap();
            assert_eq!(data, bytes(plaintext));
        }
    }

    #[test]
    fn what_openssl_says_of_a_forgery_does_not_pile_up() {
        for aead in AEADS {
            let forged = Use { aead, key: &[1; 16], nonce: &[2; 12], additional: &[3; 13] };
            assert!(forged.open(&mut [4; 9], &[5; 16][..aead.tag_len()]).is_err());
            assert!(ErrorStack::get().errors().is_empty(), "{aead:?}");
        }
    }
}
