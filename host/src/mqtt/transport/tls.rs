//! TLS to the broker, by OpenSSL.

use std::path::PathBuf;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::ssl::{Error, SslConnector, SslFiletype, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::Failure;

/// What TLS needs. Its files are read for each connection, so that a new certificate counts from the next one on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The authorities' certificates; none: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The own certificate and its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads the files, so that a mistake is told at the start.
    ///
    /// # Errors
    /// The first that cannot be used, with its key in the configuration.
    pub fn check(&self) -> Result<(), String> {
        self.connector().map(drop)
    }

    /// Shakes hands over a connection to this host.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<SslStream<TcpStream>, Failure> {
        let connector = self.connector().map_err(Failure)?;
        let internal = |error: ErrorStack| Failure(format!("TLS cannot begin: {error}"));
        // Of an address the certificate must name the address; no server name is sent then.
        let ssl = connector.configure().and_then(|it| it.into_ssl(host)).map_err(internal)?;
        let mut stream = SslStream::new(ssl, stream).map_err(internal)?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(error) => Err(Failure(self.explain(&error, stream.ssl().verify_result(), host))),
        }
    }

    fn connector(&self) -> Result<SslConnector, String> {
        let mut builder =
            SslConnector::builder(SslMethod::tls_client()).map_err(|error| error.to_string())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(|error| error.to_string())?;
        match &self.ca {
            Some(path) => builder.set_ca_file(path).map_err(|error| wrong("ca", path, &error))?,
            None => {
                // Ours was built along and does not know where the system keeps them.
                let found = openssl_probe::probe();
                let (file, folder) = (found.cert_file, found.cert_dir.into_iter().next());
                builder.load_verify_locations(file.as_deref(), folder.as_deref()).map_err(|error| {
                    format!("the certificates that the system trusts cannot be read ({error}); set mqtt.ca")
                })?;
            }
        }
        if let Some((certificate, key)) = &self.certificate {
            builder
                .set_certificate_chain_file(certificate)
                .map_err(|error| wrong("certificate", certificate, &error))?;
            builder.set_private_key_file(key, SslFiletype::PEM).map_err(|error| {
                // OpenSSL compares the two as soon as it has both.
                match error.errors().iter().any(|error| error.reason() == Some("key values mismatch")) {
                    true => {
                        format!("mqtt.key: {} is not the key of {}", key.display(), certificate.display())
                    }
                    false => wrong("key", key, &error),
                }
            })?;
        }
        Ok(builder.build())
    }

    /// What the operator is told.
    fn explain(&self, error: &Error, verified: X509VerifyResult, host: &str) -> String {
        if verified != X509VerifyResult::OK {
            let reason = verified.error_string();
            let advice = match verified.as_raw() {
                HOSTNAME_MISMATCH | IP_ADDRESS_MISMATCH => {
                    format!("it is not for `{host}`; check the host in `broker`")
                }
                CERT_HAS_EXPIRED | CERT_NOT_YET_VALID => {
                    "check the broker's certificate and the clock".to_owned()
                }
                _ if self.ca.is_some() => "check that `ca` is the authority that issued it".to_owned(),
                _ => "set `ca` to the certificate of the authority that issued it".to_owned(),
            };
            return format!("the broker's certificate is not accepted ({reason}): {advice}");
        }
        match error.ssl_error() {
            Some(stack) => {
                let reasons = stack.errors().iter().filter_map(|error| error.reason());
                let reasons = reasons.collect::<Vec<_>>().join(", ");
                format!(
                    "TLS with the broker fails: {reasons}; does it speak TLS on this port, and does it want a certificate?"
                )
            }
            None => match error.io_error() {
                Some(error) => Failure::io(error).to_string(),
                None => {
                    "the broker has closed the connection while TLS began; does it speak TLS on this port?"
                        .to_owned()
                }
            },
        }
    }
}

fn wrong(key: &str, path: &std::path::Path, error: &ErrorStack) -> String {
    let reason = error.errors().iter().find_map(|error| error.reason()).unwrap_or("not readable");
    format!("mqtt.{key}: {} cannot be used: {reason}", path.display())
}

// X509_V_ERR_ of OpenSSL's x509_vfy.h.
const CERT_NOT_YET_VALID: i32 = 9;
const CERT_HAS_EXPIRED: i32 = 10;
const HOSTNAME_MISMATCH: i32 = 62;
const IP_ADDRESS_MISMATCH: i32 = 64;
