//! New keys of clients and of the gateway, and the files that they go into.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use zeroize::Zeroizing;

use crate::credential::create_private;

/// A key on P-256, which is what the suites of LwM2M are made for (RFC 7925 section 4.3).
pub(super) struct KeyPair(PKey<Private>);

impl KeyPair {
    pub(super) fn new() -> anyhow::Result<Self> {
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        Ok(Self(PKey::from_ec_key(EcKey::generate(&curve)?)?))
    }

    /// The DER of its SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.0.public_key_to_der()?)
    }

    /// Writes both halves as a client's security object and Leshan take them: DER.
    pub(super) fn write_der(&self, folder: &Path, endpoint: &str) -> anyhow::Result<Written> {
        let name = file_name(endpoint);
        let (private, public) = (Zeroizing::new(self.0.private_key_to_pkcs8()?), self.public_key()?);
        let mut written = Written::default();
        written.add(
            &folder.join(format!("{name}.key.der")),
            &private,
            "the client's private key (PKCS#8)",
        )?;
        written.add(&folder.join(format!("{name}.pub.der")), &public, "the client's public key")?;
        Ok(written)
    }

    /// Writes the gateway's private key and, for a host of that name, a certificate.
    pub(super) fn write_pem(&self, folder: &Path, name: Option<&str>) -> anyhow::Result<Written> {
        let mut written = Written::default();
        let private = Zeroizing::new(self.0.private_key_to_pem_pkcs8()?);
        written.add(&folder.join("server.key"), &private, "the gateway's private key")?;
        written.add(&folder.join("server.pub.der"), &self.public_key()?, "its public key, for clients")?;
        if let Some(name) = name {
            let certificate = self.certificate(name).context("the certificate cannot be made")?;
            written.add(
                &folder.join("server.pem"),
                &certificate.to_pem()?,
                "its certificate, for clients",
            )?;
        }
        Ok(written)
    }

    /// Vouches for itself. Long-lived, as devices in the field have no way to learn of another.
    fn certificate(&self, name: &str) -> Result<X509, ErrorStack> {
        let mut subject = X509Name::builder()?;
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
        let subject = subject.build();
        let mut serial = BigNum::new()?;
        serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(&subject)?;
        builder.set_pubkey(&self.0)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(YEARS * 365)?)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        let mut names = SubjectAlternativeName::new();
        match name.parse::<std::net::IpAddr>() {
            Ok(address) => names.ip(&address.to_string()),
            Err(_) => names.dns(name),
        };
        let names = names.build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
        builder.sign(&self.0, MessageDigest::sha256())?;
        Ok(builder.build())
    }
}

/// Files that have been written; none of them was there before.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<(PathBuf, &'static str)>);

impl Written {
    /// The file of that place in the order of writing.
    pub(super) fn file(&self, place: usize) -> Option<&Path> {
        self.0.get(place).map(|(path, _)| path.as_path())
    }

    /// Removes them again.
    pub(super) fn undo(&self) {
        for (path, _) in &self.0 {
            // What cannot be removed is in nobody's way but the next one's, who is told.
            let _ = fs::remove_file(path);
        }
    }

    fn add(&mut self, path: &Path, bytes: &[u8], what: &'static str) -> anyhow::Result<()> {
        let outcome = create_private(path).and_then(|mut file| {
            self.0.push((path.to_owned(), what));
            file.write_all(bytes)?;
            file.sync_all()
        });
        if outcome.is_err() {
            self.undo();
        }
        outcome.with_context(|| format!("{} cannot be written", path.display()))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, what) in &self.0 {
            writeln!(formatter, "  {}  {what}", path.display())?;
        }
        Ok(())
    }
}

/// Writes a public key if its file is not there yet.
pub(super) fn write_public(path: &Path, der: &[u8]) -> anyhow::Result<()> {
    match create_private(path) {
        Ok(mut file) => file.write_all(der),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .with_context(|| format!("{} cannot be written", path.display()))
}

/// An endpoint name as part of a file name.
fn file_name(endpoint: &str) -> String {
    let is_plain = |of: char| of.is_ascii_alphanumeric() || "-_".contains(of);
    endpoint.chars().map(|of| if is_plain(of) { of } else { '_' }).take(LONGEST_NAME).collect()
}

/// How long a certificate is valid.
const YEARS: u32 = 20;
/// Characters; a file name has 255 bytes.
const LONGEST_NAME: usize = 100;
