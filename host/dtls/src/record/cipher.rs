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

    /// Decrypts `data` in place. When it is not what was sealed, it is of no use afterwards.
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
            Ok(false) => Err(Unopened::Authentication),
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
