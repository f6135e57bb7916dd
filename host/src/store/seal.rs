//! Encryption of values: AES-256-GCM (NIST SP 800-38D), bound to the table and the key of the entry, so that a value that
//! was moved to another entry is refused.
//!
//! A value is `version (1) | salt (16) | nonce (12) | tag (16) | ciphertext`. Its key comes by HKDF-SHA256 (RFC 5869) from the
//! key file, the salt and the table's name; the associated data are the table's name, a NUL and the entry's key.
//!
//! Why no nonce repeats: with random nonces of 96 bits one key must not be used more than 2^32 times (SP 800-38D, 8.3), and
//! the key file may serve for years. 150,000 associations that are written every 30 seconds would be through with it in ten
//! days. So a table's key is another one, from a new random salt, at every start and after 2^20 values. The probability that
//! any nonce repeats under one key is then 2^-57 for each million values: under 2^-36 in ten years of that load. Nonces
//! are random and no counter, so that a virtual machine that is put back to a snapshot repeats none either.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::kdf::{HkdfMode, hkdf};
use openssl::md::Md;
use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

use super::key::MasterKey;

/// Encrypts values. There is one, the writer's.
pub(super) struct Sealer {
    master: Arc<MasterKey>,
    current: HashMap<&'static str, Current>,
    /// How many values a key serves for.
    uses: u32,
}

/// Decrypts the values of a table.
pub(super) struct Opener<'a> {
    master: &'a MasterKey,
    table: &'static str,
    known: HashMap<[u8; SALT], TableKey>,
}

/// The key of a table at present.
struct Current {
    salt: [u8; SALT],
    key: TableKey,
    left: u32,
}

/// In a box, so that no copy of it stays behind when what holds it moves.
type TableKey = Box<Zeroizing<[u8; 32]>>;

/// Why an entry cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not what this gateway writes.
    Format,
    /// It was not written with this key for this entry, or has changed since.
    Authentication,
}

/// Why a value cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl Sealer {
    pub(super) fn new(master: Arc<MasterKey>) -> Self {
        Self { master, current: HashMap::new(), uses: USES }
    }

    /// Encrypts the value of an entry.
    ///
    /// # Errors
    /// OpenSSL or the system's generator fails.
    pub(super) fn seal(
        &mut self,
        table: &'static str,
        key: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let current = self.current(table)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        let mut sealed = vec![0; OVERHEAD + value.len()];
        let (head, ciphertext) = sealed.split_at_mut(OVERHEAD);
        let mut tag = [0; TAG];
        let mut crypter = Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, &**current.key, Some(&nonce))?;
        crypter.aad_update(&associated_data(table, key))?;
        let length = update(&mut crypter, value, ciphertext)?;
        crypter.finalize(&mut ciphertext[length..])?;
        crypter.get_tag(&mut tag)?;
        head[0] = VERSION;
        head[1..NONCE_AT].copy_from_slice(&current.salt);
        head[NONCE_AT..TAG_AT].copy_from_slice(&nonce);
        head[TAG_AT..].copy_from_slice(&tag);
        Ok(sealed)
    }

    /// The key to use, counted.
    fn current(&mut self, table: &'static str) -> Result<&Current, SealError> {
        if self.current.get(table).is_none_or(|current| current.left == 0) {
            let mut salt = [0; SALT];
            getrandom::fill(&mut salt)?;
            let key = derive(&self.master, &salt, table)?;
            self.current.insert(table, Current { salt, key, left: self.uses });
        }
        let current = self.current.get_mut(table).expect("it was put there if it was not");
        current.left -= 1;
        Ok(current)
    }
}

impl<'a> Opener<'a> {
    pub(super) fn new(master: &'a MasterKey, table: &'static str) -> Self {
        Self { master, table, known: HashMap::new() }
    }

    /// Decrypts the value of an entry.
    ///
    /// # Errors
    /// It was not sealed for this entry with this key.
    pub(super) fn open(&mut self, key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        if sealed.len() < OVERHEAD || sealed[0] != VERSION {
            return Err(Unreadable::Format);
        }
        let (head, ciphertext) = sealed.split_at(OVERHEAD);
        let salt = head[1..NONCE_AT].try_into().expect("a salt's length");
        self.decrypt(key, salt, &head[NONCE_AT..], ciphertext)
            .map_err(|_: ErrorStack| Unreadable::Authentication)
    }

    fn decrypt(
        &mut self,
        key: &[u8],
        salt: [u8; SALT],
        nonce_and_tag: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let (nonce, tag) = nonce_and_tag.split_at(NONCE);
        let table_key = self.key(salt)?;
        let mut value = Zeroizing::new(vec![0; ciphertext.len()]);
        let mut crypter = Crypter::new(Cipher::aes_256_gcm(), Mode::Decrypt, &***table_key, Some(nonce))?;
        crypter.set_tag(tag)?;
        crypter.aad_update(&associated_data(self.table, key))?;
        let length = update(&mut crypter, ciphertext, &mut value)?;
        crypter.finalize(&mut value[length..])?;
        Ok(value)
    }

    fn key(&mut self, salt: [u8; SALT]) -> Result<&TableKey, ErrorStack> {
        if !self.known.contains_key(&salt) {
            if self.known.len() == KNOWN {
                self.known.clear();
            }
            self.known.insert(salt, derive(self.master, &salt, self.table)?);
        }
        Ok(&self.known[&salt])
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Format => "not in the format of this version",
            Self::Authentication => "not written with this key for this entry, or changed since",
        })
    }
}

impl std::error::Error for Unreadable {}

fn derive(master: &MasterKey, salt: &[u8; SALT], table: &str) -> Result<TableKey, ErrorStack> {
    let mut key = Box::new(Zeroizing::new([0; 32]));
    let info = [b"tidegate store ", table.as_bytes()].concat();
    hkdf(
        Md::sha256(),
        master.bytes(),
        Some(salt),
        Some(&info),
        HkdfMode::ExtractAndExpand,
        None,
        &mut **key,
    )?;
    Ok(key)
}

fn associated_data(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], key].concat()
}

/// GCM gives out as many bytes as go in; no bytes would be taken for associated data.
fn update(crypter: &mut Crypter, input: &[u8], output: &mut [u8]) -> Result<usize, ErrorStack> {
    if input.is_empty() { Ok(0) } else { crypter.update(input, output) }
}

const VERSION: u8 = 1;
const SALT: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
const NONCE_AT: usize = 1 + SALT;
const TAG_AT: usize = NONCE_AT + NONCE;
/// What a value grows by.
const OVERHEAD: usize = TAG_AT + TAG;
const USES: u32 = 1 << 20;
/// How many keys are kept while a table is read.
const KNOWN: usize = 1024;

#[cfg(test)]
mod tests;
