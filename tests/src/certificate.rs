//! Certificates for the gateway and its clients: made anew for each test, on P-256 unless said otherwise.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// A key, and what vouches for it: its certificate, then those of the authorities between it and a trusted one.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The private key.
    pub key: PKey<Private>,
    /// Its own certificate first.
    pub chain: Vec<X509>,
}

/// What a certificate is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The subject's common name.
    pub name: &'a str,
    /// Days from now on which its validity begins and ends.
    pub valid: (i64, i64),
    /// Whether it may vouch for others.
    pub authority: bool,
    /// On RSA with so many bits, not on P-256.
    pub rsa: Option<u32>,
}

impl<'a> Wish<'a> {
    /// Valid now, on P-256, and vouching for nobody.
    pub fn new(name: &'a str) -> Self {
        Self { name, valid: (-1, 30), authority: false, rsa: None }
    }
}

impl Certified {
    /// An authority that vouches for itself.
    pub fn authority(name: &str) -> Result<Self> {
        let key = key(None)?;
        let wish = Wish { authority: true, ..Wish::new(name) };
        let certificate = certificate(&wish, &key, None)?;
        Ok(Self { key, chain: vec![certificate] })
    }

    /// What this authority issues.
    pub fn issue(&self, wish: &Wish<'_>) -> Result<Self> {
        let key = key(wish.rsa)?;
        let certificate = certificate(wish, &key, Some(self))?;
        // A trusted authority's own certificate is not sent, one in between is.
        let between = self.chain.iter().filter(|above| !is_own_issuer(above));
        let chain = std::iter::once(certificate).chain(between.cloned()).collect();
        Ok(Self { key, chain })
    }

    /// All certificates, as PEM.
    pub fn pem(&self) -> Result<String> {
        let mut text = String::new();
        for certificate in &self.chain {
            text.push_str(&String::from_utf8(certificate.to_pem()?)?);
        }
        Ok(text)
    }

    /// The private key, as PEM (PKCS #8).
    pub fn key_pem(&self) -> Result<String> {
        Ok(String::from_utf8(self.key.private_key_to_pem_pkcs8()?)?)
    }

    /// The public key, as base64 of its SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Result<String> {
        Ok(BASE64.encode(self.key.public_key_to_der()?))
    }
}

fn key(rsa: Option<u32>) -> Result<PKey<Private>> {
    Ok(match rsa {
        Some(bits) => PKey::from_rsa(Rsa::generate(bits)?)?,
        None => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)?
        }
    })
}

fn certificate(wish: &Wish<'_>, key: &PKey<Private>, issuer: Option<&Certified>) -> Result<X509> {
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    let subject = name(wish.name)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.chain[0].subject_name()))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let day = |days: i64| Asn1Time::from_unix(i64::try_from(now).unwrap_or_default() + days * 86_400);
    builder.set_not_before(&*day(wish.valid.0)?)?;
    builder.set_not_after(&*day(wish.valid.1)?)?;
    builder.set_pubkey(key)?;
    if wish.authority {
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    } else {
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        let mut alternative = SubjectAlternativeName::new();
        alternative.dns("localhost").dns(wish.name).ip("127.0.0.1");
        let alternative = alternative.build(&builder.x509v3_context(None, None))?;
        builder.append_extension(alternative)?;
    }
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256())?;
    Ok(builder.build())
}

fn name(common: &str) -> Result<X509Name> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(builder.build())
}

fn is_own_issuer(certificate: &X509) -> bool {
    certificate.subject_name().try_cmp(certificate.issuer_name()).is_ok_and(std::cmp::Ordering::is_eq)
}
