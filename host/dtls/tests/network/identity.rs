//! Keys and certificates of the tests, made once.

use std::sync::{Arc, OnceLock};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use tidegate_dtls::credential::{Credentials, Key};

use crate::client::profile::{Profile, Proof};

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct Identities {
    pub(crate) authority: Identity,
    /// One that the gateway does not trust, of the same name.
    pub(crate) other_authority: Identity,
    pub(crate) server: Identity,
    /// `urn:dev:x509`.
    pub(crate) device: Identity,
    pub(crate) raw: PKey<Private>,
}

pub(crate) fn identities() -> &'static Identities {
    static IDENTITIES: OnceLock<Identities> = OnceLock::new();
    IDENTITIES.get_or_init(|| {
        let authority = Request::new("authority").authority().sign(None);
        Identities {
            other_authority: Request::new("authority").authority().sign(None),
            server: Request::new("gateway").sign(Some(&authority)),
            device: Request::new("urn:dev:x509").sign(Some(&authority)),
            raw: p256(),
            authority,
        }
    })
}

/// The credentials of most tests: a PSK, a raw public key and an authority.
pub(crate) fn credentials() -> Credentials {
    let all = identities();
    let mut credentials = bare();
    credentials.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "urn:dev:psk").unwrap();
    credentials.add_raw_public_key(&all.raw.public_key_to_der().unwrap(), "urn:dev:raw").unwrap();
    credentials.trust(&all.authority.certificate.to_pem().unwrap()).unwrap();
    credentials
}

/// Nobody may connect; the server has its key and certificate.
pub(crate) fn bare() -> Credentials {
    let server = &identities().server;
    let mut credentials = Credentials::new();
    let chain = server.certificate.to_pem().unwrap();
    credentials.present(&server.key.private_key_to_pem_pkcs8().unwrap(), Some(&chain)).unwrap();
    credentials
}

/// `count` PSKs more: identity and endpoint are `device-<number>`, see [`key_of`].
pub(crate) fn many(count: usize) -> Arc<Credentials> {
    let mut credentials = credentials();
    for number in 0..count {
        let name = format!("device-{number}");
        credentials.add_psk(&name, Key::new(key_of(number).to_vec()), &name).unwrap();
    }
    Arc::new(credentials)
}

pub(crate) fn key_of(number: usize) -> [u8; 16] {
    let mut key = *b"key of a device.";
    key[8..].copy_from_slice(&(number as u64).to_be_bytes());
    key
}

/// The client with the PSK of [`credentials`].
pub(crate) fn psk() -> Profile {
    Profile::psk(PSK.0, PSK.1)
}

/// The client with a certificate.
pub(crate) fn x509() -> Profile {
    let all = identities();
    with_certificates(vec![all.device.certificate.clone()], all.device.key.clone())
}

/// A client with other certificates.
pub(crate) fn with_certificates(chain: Vec<X509>, key: PKey<Private>) -> Profile {
    let mut profile = Profile::new(Proof::X509(chain, key));
    profile.trusted = Some(identities().authority.certificate.clone());
    profile
}

/// The client with a raw public key.
#[cfg(ossl320)]
pub(crate) fn raw() -> Profile {
    Profile::new(Proof::RawPublicKey(identities().raw.clone()))
}

/// Where OpenSSL has no raw public keys, tests that go through all modes go through the others; those that are about raw
/// public keys are ignored.
#[cfg(not(ossl320))]
pub(crate) fn raw() -> Profile {
    x509()
}

/// A certificate to be.
pub(crate) struct Request {
    name: String,
    alternative: Option<String>,
    authority: bool,
    key: PKey<Private>,
    days: (i64, i64),
    digest: MessageDigest,
}

impl Request {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            alternative: None,
            authority: false,
            key: p256(),
            days: (-1, 3650),
            digest: MessageDigest::sha256(),
        }
    }

    pub(crate) fn authority(self) -> Self {
        Self { authority: true, ..self }
    }

    pub(crate) fn key(self, key: PKey<Private>) -> Self {
        Self { key, ..self }
    }

    /// An alternative DNS name of any length.
    pub(crate) fn alternative(self, name: &str) -> Self {
        Self { alternative: Some(name.to_owned()), ..self }
    }

    /// Valid from and until, in days from now.
    pub(crate) fn days(self, from: i64, until: i64) -> Self {
        Self { days: (from, until), ..self }
    }

    pub(crate) fn digest(self, digest: MessageDigest) -> Self {
        Self { digest, ..self }
    }

    /// Signed by an issuer or else by itself.
    pub(crate) fn sign(self, issuer: Option<&Identity>) -> Identity {
        let mut name = X509NameBuilder::new().unwrap();
        if self.name.is_empty() {
            name.append_entry_by_text("O", "nameless").unwrap();
        } else {
            name.append_entry_by_text("CN", &self.name).unwrap();
        }
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = BigNum::new().unwrap();
        serial.rand(100, MsbOption::MAYBE_ZERO, false).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        let by = issuer.map_or(&*name, |issuer| issuer.certificate.subject_name());
        builder.set_issuer_name(by).unwrap();
        builder.set_not_before(&in_days(self.days.0)).unwrap();
        builder.set_not_after(&in_days(self.days.1)).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        if self.authority {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        if let Some(alternative) = &self.alternative {
            let context = builder.x509v3_context(None, None);
            let names = SubjectAlternativeName::new().dns(alternative).build(&context).unwrap();
            builder.append_extension(names).unwrap();
        }
        builder.sign(issuer.map_or(&self.key, |issuer| &issuer.key), self.digest).unwrap();
        Identity { certificate: builder.build(), key: self.key }
    }
}

fn in_days(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Asn1Time::from_unix(i64::try_from(now).unwrap() + days * 86_400).unwrap()
}

pub(crate) fn p256() -> PKey<Private> {
    on_curve(Nid::X9_62_PRIME256V1)
}

pub(crate) fn p384() -> PKey<Private> {
    on_curve(Nid::SECP384R1)
}

pub(crate) fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

fn on_curve(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Identity and key.
pub(crate) const PSK: (&str, &[u8]) = ("urn:dev:psk", b"sixteen octets!!");
