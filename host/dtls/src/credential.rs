//! Who may connect, and how they prove who they are.
//!
//! The gateway reads `credentials.toml` into [`Credentials`]; [`context`](super::context) looks clients up in them.
//! Nothing here prints a key.

use std::fmt;
use std::sync::Arc;

use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sha::Sha256;
use openssl::x509::X509;
use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;
use zeroize::Zeroizing;

/// A secret that is wiped when it goes, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<Box<[u8]>>);

impl Key {
    /// Takes over the bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({} bytes)", self.0.len())
    }
}

/// How a client proves who it is (LwM2M 1.2.1 transport, section 5.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A pre-shared key.
    Psk,
    /// A raw public key (RFC 7250).
    RawPublicKey,
    /// A certificate.
    X509,
}

/// An authenticated client: which endpoint it is, and by which credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// How it has proved who it is.
    pub mode: Mode,
    /// The only endpoint name that it may register.
    pub endpoint: Arc<str>,
    /// Names the credential: another key, identity, endpoint or authority has another one. See [`Credentials::holds`].
    pub fingerprint: Fingerprint,
}

/// The start of the SHA-256 of a credential. Not printed, as a weak key could be guessed from it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint(..)")
    }
}

/// Where a certificate names the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// The common name of the subject (LwM2M 1.2.1 transport, section 5.2.8.7).
    #[default]
    CommonName,
    /// The first DNS name, or else the first URI, among the subject's alternative names.
    AlternativeName,
}

/// What is wrong with a credential.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A PSK identity of no bytes, of more than 128 (RFC 7925 section 4.2 asks for that many), or with a NUL in it.
    #[error("an identity has 1 to 128 bytes and no NUL")]
    Identity,
    /// A PSK of no bytes or of more than 64.
    #[error("a key has 1 to 64 bytes, this one has {0}")]
    KeyLength(usize),
    /// The identity or public key is there already.
    #[error("it is there already, for the endpoint {0:?}")]
    Twice(Arc<str>),
    /// An endpoint name of no bytes.
    #[error("an endpoint name has at least one character")]
    Endpoint,
    /// An endpoint with credentials of two modes: one endpoint, one security mode.
    #[error(
        "the endpoint {0:?} has a credential of another mode already; one endpoint has one security mode"
    )]
    Modes(Arc<str>),
    /// Not what it should be; the text says what.
    #[error("{0}")]
    Malformed(String),
}

/// Everything that clients may prove themselves with, and what the server shows them.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pre_shared: FxHashMap<Box<[u8]>, PreShared>,
    /// By the DER of the SubjectPublicKeyInfo.
    raw_public: FxHashMap<Box<[u8]>, Arc<Principal>>,
    endpoints: FxHashMap<Arc<str>, Mode>,
    authorities: Vec<X509>,
    /// Of all of the above.
    fingerprints: FxHashSet<Fingerprint>,
    naming: Naming,
    own: Option<Own>,
}

/// A key and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct PreShared {
    pub(crate) key: Key,
    pub(crate) principal: Arc<Principal>,
}

/// The server's own key, and its certificates if it has any.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) key: PKey<Private>,
    pub(crate) chain: Vec<X509>,
}

impl fmt::Debug for Own {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Own").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pre-shared key.
    ///
    /// # Errors
    /// When the identity or the key is not as it should be, or the identity is there already.
    pub fn add_psk(&mut self, identity: &str, key: Key, endpoint: &str) -> Result<(), CredentialError> {
        if identity.is_empty() || identity.len() > MAX_IDENTITY || identity.contains('\0') {
            return Err(CredentialError::Identity);
        }
        if key.expose().is_empty() || key.expose().len() > MAX_PSK {
            return Err(CredentialError::KeyLength(key.expose().len()));
        }
        if let Some(there) = self.pre_shared.get(identity.as_bytes()) {
            return Err(CredentialError::Twice(Arc::clone(&there.principal.endpoint)));
        }
        let principal = self.principal(Mode::Psk, endpoint, &[identity.as_bytes(), key.expose()])?;
        self.pre_shared.insert(identity.as_bytes().into(), PreShared { key, principal });
        Ok(())
    }

    /// Adds a client's raw public key: the DER of a SubjectPublicKeyInfo with a P-256 key (RFC 7925 section 4.3).
    ///
    /// # Errors
    /// When it is no such key, or is there already.
    pub fn add_raw_public_key(&mut self, spki: &[u8], endpoint: &str) -> Result<(), CredentialError> {
        let key = PKey::public_key_from_der(spki)
            .map_err(|_| malformed("not the DER of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)"))?;
        is_p256(&key)?;
        // As OpenSSL writes it: what a client shows is compared in that form.
        let spki = key.public_key_to_der().map_err(|_| malformed("a key that OpenSSL cannot write"))?;
        if let Some(there) = self.raw_public.get(spki.as_slice()) {
            return Err(CredentialError::Twice(Arc::clone(&there.endpoint)));
        }
        let principal = self.principal(Mode::RawPublicKey, endpoint, &[&spki])?;
        self.raw_public.insert(spki.into(), principal);
        Ok(())
    }

    /// Trusts the certificates in a PEM file to vouch for clients.
    ///
    /// # Errors
    /// When there is none in it, or one cannot be read.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), CredentialError> {
        for authority in certificates(pem)? {
            let unwritable = || malformed("a certificate that OpenSSL cannot write");
            self.fingerprints.insert(authority_fingerprint(&authority).ok_or_else(unwritable)?);
            self.authorities.push(authority);
        }
        Ok(())
    }

    /// Where certificates name the endpoint.
    pub fn name_by(&mut self, naming: Naming) {
        self.naming = naming;
    }

    /// What the server shows: its private key, PEM, P-256, and its certificate with those between it and the authority, PEM. Without
    /// a certificate only clients that take raw public keys can check who it is.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn present(&mut self, private_key: &[u8], chain: Option<&[u8]>) -> Result<(), CredentialError> {
        // Without an answer of ours OpenSSL would ask at the terminal for the password.
        let key = PKey::private_key_from_pem_callback(private_key, |_| Ok(0))
            .map_err(|_| malformed("not a private key in PEM, or one that needs a password"))?;
        let public = key.public_key_to_der().and_then(|der| PKey::public_key_from_der(&der));
        is_p256(&public.map_err(|_| malformed("a private key without a public one"))?)?;
        let chain = chain.map(certificates).transpose()?.unwrap_or_default();
        if let Some(first) = chain.first() {
            let shown = first.public_key().map_err(|_| malformed("a certificate without a key"))?;
            if !shown.public_eq(&key) {
                return Err(malformed("the private key is not that of the (first) certificate"));
            }
        }
        self.own = Some(Own { key, chain });
        Ok(())
    }

    /// The DER of the SubjectPublicKeyInfo that clients with raw public keys must know.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        self.own.as_ref()?.key.public_key_to_der().ok()
    }

    /// Whether the credential is still among them.
    pub fn holds(&self, principal: &Principal) -> bool {
        self.fingerprints.contains(&principal.fingerprint)
    }

    /// Whether every credential of these is among the others: nobody loses anything by a change to them.
    pub fn is_within(&self, others: &Self) -> bool {
        self.fingerprints.is_subset(&others.fingerprints)
    }

    /// How an endpoint has to prove who it is, if a credential names it. Certificates name nobody beforehand.
    pub fn mode(&self, endpoint: &str) -> Option<Mode> {
        self.endpoints.get(endpoint).copied()
    }

    /// Whether nobody could connect.
    pub fn is_empty(&self) -> bool {
        self.pre_shared.is_empty() && self.raw_public.is_empty() && self.authorities.is_empty()
    }

    /// How many pre-shared keys, raw public keys and authorities there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.pre_shared.len(), self.raw_public.len(), self.authorities.len())
    }

    pub(crate) fn pre_shared(&self, identity: &[u8]) -> Option<&PreShared> {
        self.pre_shared.get(identity)
    }

    pub(crate) fn raw_public(&self, spki: &[u8]) -> Option<&Arc<Principal>> {
        self.raw_public.get(spki)
    }

    pub(crate) fn authorities(&self) -> &[X509] {
        &self.authorities
    }

    pub(crate) fn takes_raw_public_keys(&self) -> bool {
        !self.raw_public.is_empty()
    }

    pub(crate) fn own(&self) -> Option<&Own> {
        self.own.as_ref()
    }

    /// Who a certificate is, if the authority that vouches for it is trusted; the chain ends with the authority.
    pub(crate) fn certified(&self, certificate: &X509, authority: &X509) -> Option<Principal> {
        let endpoint = match self.naming {
            Naming::CommonName => common_name(certificate)?,
            Naming::AlternativeName => alternative_name(certificate)?,
        };
        // What is no text in the certificate, or would be cut by whoever ends it at a NUL, is no name. And a name that
        // a key of another mode has been given to cannot be had by a certificate.
        let is_text = !endpoint.is_empty() && !endpoint.contains(['\0', char::REPLACEMENT_CHARACTER]);
        if !is_text || self.mode(&endpoint).is_some() {
            return None;
        }
        Some(Principal {
            mode: Mode::X509,
            endpoint: endpoint.into(),
            fingerprint: authority_fingerprint(authority)?,
        })
    }

    fn principal(
        &mut self,
        mode: Mode,
        endpoint: &str,
        secrets: &[&[u8]],
    ) -> Result<Arc<Principal>, CredentialError> {
        if endpoint.is_empty() {
            return Err(CredentialError::Endpoint);
        }
        let endpoint: Arc<str> = endpoint.into();
        if *self.endpoints.entry(Arc::clone(&endpoint)).or_insert(mode) != mode {
            return Err(CredentialError::Modes(endpoint));
        }
        let mut parts = vec![endpoint.as_bytes()];
        parts.extend(secrets);
        let fingerprint = fingerprint(&parts);
        self.fingerprints.insert(fingerprint);
        Ok(Arc::new(Principal { mode, endpoint, fingerprint }))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<X509>, CredentialError> {
    let found =
        X509::stack_from_pem(pem).map_err(|_| malformed("a certificate in PEM that cannot be read"))?;
    if found.is_empty() { Err(malformed("there is no certificate in PEM in it")) } else { Ok(found) }
}

fn is_p256(key: &PKey<Public>) -> Result<(), CredentialError> {
    let wrong = || malformed("not an elliptic-curve key on P-256 (secp256r1)");
    if key.id() != Id::EC {
        return Err(wrong());
    }
    let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
    if curve == Some(openssl::nid::Nid::X9_62_PRIME256V1) { Ok(()) } else { Err(wrong()) }
}

fn common_name(certificate: &X509) -> Option<String> {
    let name = certificate.subject_name();
    let entry = name.entries_by_nid(openssl::nid::Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

fn alternative_name(certificate: &X509) -> Option<String> {
    let names = certificate.subject_alt_names()?;
    let dns = names.iter().find_map(|of| of.dnsname());
    dns.or_else(|| names.iter().find_map(|of| of.uri())).map(str::to_owned)
}

fn authority_fingerprint(authority: &X509) -> Option<Fingerprint> {
    Some(fingerprint(&[&authority.to_der().ok()?]))
}

fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts run together to the same bytes.
        hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut start = Fingerprint::default();
    start.0.copy_from_slice(&hash.finish()[..16]);
    start
}

fn malformed(what: &str) -> CredentialError {
    CredentialError::Malformed(what.to_owned())
}

/// Bytes of a PSK identity at most.
const MAX_IDENTITY: usize = 128;
/// Bytes of a PSK at most (RFC 7925 section 4.2).
const MAX_PSK: usize = 64;
