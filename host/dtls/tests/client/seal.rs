//! The keys of the AES-128 suites and their records, written from the RFCs and independently of the crate's own record
//! layer: RFC 5246 section 6, RFC 5288, RFC 6655, RFC 7366, RFC 9146 section 5.

use foreign_types::ForeignTypeRef;
use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::ssl::SslRef;
use openssl::symm::{self, Crypter, Mode};

use super::ffi;
use super::wire::{CID, Record};

/// What seals records in the suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aead {
    Ccm8,
    Ccm,
    Gcm,
    /// CBC and HMAC-SHA256, encrypt-then-MAC.
    Cbc,
}

impl Aead {
    /// The one of the suite that a handshake has come to. None: not chosen yet, or another one.
    #[allow(unsafe_code)]
    pub(crate) fn of(ssl: &SslRef) -> Option<Self> {
        // SAFETY: the cipher is a static table's, or null.
        let suite = unsafe {
            let cipher = ffi::SSL_get_pending_cipher(ssl.as_ptr());
            if cipher.is_null() {
                return None;
            }
            ffi::SSL_CIPHER_get_protocol_id(cipher)
        };
        match suite {
            0xc0a8 | 0xc0ae => Some(Self::Ccm8),
            0xc0a4 | 0xc0ac => Some(Self::Ccm),
            0x00a8 | 0xc02b => Some(Self::Gcm),
            0x00ae | 0xc023 | 0xc037 => Some(Self::Cbc),
            _ => None,
        }
    }

    pub(crate) fn tag(self) -> usize {
        if self == Self::Ccm8 { 8 } else { 16 }
    }

    fn cipher(self) -> &'static CipherRef {
        if self == Self::Gcm { Cipher::aes_128_gcm() } else { Cipher::aes_128_ccm() }
    }
}

/// What seals one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealer {
    aead: Aead,
    key: [u8; 16],
    salt: [u8; 4],
    /// For CBC.
    mac: [u8; 32],
}

impl Sealer {
    /// Whether each record has a nonce that may not come again.
    pub(crate) fn has_nonces(&self) -> bool {
        self.aead != Aead::Cbc
    }

    /// A record with the epoch and number as its explicit nonce, as everybody does. With a connection ID in the form
    /// of RFC 9146.
    pub(crate) fn seal(&self, content: u8, epoch: u16, sequence: u64, cid: &[u8], data: &[u8]) -> Record {
        if cid.is_empty() {
            return self.seal_as(content, epoch, sequence, cid, data);
        }
        let mut inner = data.to_vec();
        inner.push(content);
        self.seal_as(CID, epoch, sequence, cid, &inner)
    }

    /// Whatever the header says, and with any inner plaintext.
    pub(crate) fn seal_as(&self, content: u8, epoch: u16, sequence: u64, cid: &[u8], inner: &[u8]) -> Record {
        let mut record = Record::new(content, epoch, sequence, &[]);
        record.cid = cid.to_vec();
        if self.aead == Aead::Cbc {
            record.payload = self.seal_cbc(&record, inner);
            return record;
        }
        let explicit = record.epoch_and_sequence();
        let data = additional(&record, inner.len());
        let sealed = self.encrypt(&explicit, &data, inner).expect("AES does not fail");
        record.payload = [explicit.as_slice(), &sealed].concat();
        record
    }

    /// The content type and the content, if the tag is right.
    pub(crate) fn open(&self, record: &Record) -> Option<(u8, Vec<u8>)> {
        if self.aead == Aead::Cbc {
            return Some((record.content, self.open_cbc(record)?));
        }
        let explicit = record.payload.get(..8)?;
        let sealed = &record.payload[8..];
        let data = additional(record, sealed.len().checked_sub(self.aead.tag())?);
        let mut plain = self.decrypt(explicit, &data, sealed)?;
        if record.content != CID {
            return Some((record.content, plain));
        }
        loop {
            match plain.pop()? {
                0 => {}
                content => return Some((content, plain)),
            }
        }
    }

    fn seal_cbc(&self, record: &Record, plain: &[u8]) -> Vec<u8> {
        let mut iv = [0; 16];
        openssl::rand::rand_bytes(&mut iv).unwrap();
        // TLS pads with the number of bytes of padding behind the first, which PKCS #7 does with all of them.
        let padding = 15 - plain.len() % 16;
        let padded = [plain, &vec![u8::try_from(padding).unwrap(); padding + 1]].concat();
        let mut sealed = [iv.as_slice(), &self.cbc(Mode::Encrypt, &iv, &padded)].concat();
        sealed.extend(self.cbc_tag(record, &sealed));
        sealed
    }

    fn open_cbc(&self, record: &Record) -> Option<Vec<u8>> {
        let (sealed, tag) = record.payload.split_at_checked(record.payload.len().checked_sub(32)?)?;
        if self.cbc_tag(record, sealed) != tag {
            return None;
        }
        let (iv, sealed) = sealed.split_at_checked(16)?;
        let mut plain = self.cbc(Mode::Decrypt, iv, sealed);
        let padding = usize::from(*plain.last()?) + 1;
        plain.truncate(plain.len().checked_sub(padding)?);
        Some(plain)
    }

    fn cbc(&self, mode: Mode, iv: &[u8], data: &[u8]) -> Vec<u8> {
        let mut crypter = Crypter::new(symm::Cipher::aes_128_cbc(), mode, &self.key, Some(iv)).unwrap();
        crypter.pad(false);
        let mut out = vec![0; data.len() + 16];
        let length = crypter.update(data, &mut out).unwrap();
        let length = length + crypter.finalize(&mut out[length..]).unwrap();
        out.truncate(length);
        out
    }

    fn cbc_tag(&self, record: &Record, sealed: &[u8]) -> Vec<u8> {
        hmac(&self.mac, &[&additional(record, sealed.len()), sealed])
    }

    fn nonce(&self, explicit: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        nonce
    }

    fn encrypt(&self, explicit: &[u8], data: &[u8], plain: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(self.aead.cipher()), None, None)?;
        if self.aead != Aead::Gcm {
            context.set_iv_length(12)?;
            context.set_tag_length(self.aead.tag())?;
        }
        context.encrypt_init(None, Some(&self.key), Some(&self.nonce(explicit)))?;
        if self.aead != Aead::Gcm {
            context.set_data_len(plain.len())?;
        }
        context.cipher_update(data, None)?;
        let mut sealed = Vec::new();
        context.cipher_update_vec(plain, &mut sealed)?;
        context.cipher_final_vec(&mut sealed)?;
        let mut tag = vec![0; self.aead.tag()];
        context.tag(&mut tag)?;
        sealed.extend(tag);
        Ok(sealed)
    }

    fn decrypt(&self, explicit: &[u8], data: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, tag) = sealed.split_at(sealed.len() - self.aead.tag());
        let mut context = CipherCtx::new().ok()?;
        context.decrypt_init(Some(self.aead.cipher()), None, None).ok()?;
        if self.aead != Aead::Gcm {
            context.set_iv_length(12).ok()?;
        }
        context.set_tag(tag).ok()?;
        context.decrypt_init(None, Some(&self.key), Some(&self.nonce(explicit))).ok()?;
        if self.aead != Aead::Gcm {
            context.set_data_len(sealed.len()).ok()?;
        }
        context.cipher_update(data, None).ok()?;
        let mut plain = Vec::new();
        let opened = context.cipher_update_vec(sealed, &mut plain).is_ok()
            // CCM checks the tag in the update already, and has no final.
            && (self.aead != Aead::Gcm || context.cipher_final_vec(&mut plain).is_ok());
        let _ = ErrorStack::get();
        opened.then_some(plain)
    }
}

/// What the tag covers beside the content.
fn additional(record: &Record, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap().to_be_bytes();
    if record.content != CID {
        let mut data = record.epoch_and_sequence().to_vec();
        data.push(record.content);
        data.extend(record.version);
        data.extend(length);
        return data;
    }
    let mut data = vec![0xff; 8];
    data.extend([CID, u8::try_from(record.cid.len()).unwrap(), CID]);
    data.extend(record.version);
    data.extend(record.epoch_and_sequence());
    data.extend(&record.cid);
    data.extend(length);
    data
}

/// Both directions, and what they were made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) client: Sealer,
    pub(crate) server: Sealer,
    pub(crate) master: Vec<u8>,
}

impl Keys {
    /// Those that a handshake of a client has come to. None: not that far yet, or not an AEAD suite.
    pub(crate) fn of(ssl: &SslRef) -> Option<Self> {
        let (mut client, mut server) = ([0; 32], [0; 32]);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        // Before the ServerHello there may be the secret of a session that the server does not resume.
        if server == [0; 32] {
            return None;
        }
        let mut master = vec![0; 48];
        if ssl.session()?.master_key(&mut master) != 48 {
            return None;
        }
        let aead = Aead::of(ssl)?;
        let block = prf(&master, b"key expansion", &[server, client].concat(), 96);
        // Keys for a MAC, for the cipher, and what is fixed of the nonces; each the client's first.
        let macs = if aead == Aead::Cbc { 64 } else { 0 };
        let sealer = |at: usize| Sealer {
            aead,
            key: block[macs + 16 * at..][..16].try_into().unwrap(),
            salt: block[32 + 4 * at..][..4].try_into().unwrap(),
            mac: block[32 * at..][..32].try_into().unwrap(),
        };
        Some(Self { client: sealer(0), server: sealer(1), master })
    }
}

/// P_SHA256 (RFC 5246 section 5).
pub(crate) fn prf(secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let mut chained = hmac(secret, &[label, seed]);
    let mut block = Vec::new();
    while block.len() < length {
        block.extend(hmac(secret, &[&chained, label, seed]));
        chained = hmac(secret, &[&chained]);
    }
    block.truncate(length);
    block
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    for part in parts {
        signer.update(part).unwrap();
    }
    signer.sign_to_vec().unwrap()
}
