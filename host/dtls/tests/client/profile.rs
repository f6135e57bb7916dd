//! What a client of the tests is set up with.

use std::sync::OnceLock;

use openssl::ex_data::Index;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ExtensionContext, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSession,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

use super::ffi;

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Identity and key.
    Psk(Vec<u8>, Vec<u8>),
    /// Certificates, its own first.
    X509(Vec<X509>, PKey<Private>),
    /// Nothing but the key.
    RawPublicKey(PKey<Private>),
    /// A certificate, or the bare key if the server would rather have that.
    Either(X509, PKey<Private>),
    /// No certificate although the server asks for one.
    Nothing,
}

/// A client's settings. Clients with equal ones may share it.
#[derive(Clone)]
pub(crate) struct Profile {
    pub(crate) proof: Proof,
    /// Authorities that the server's certificate is checked against.
    pub(crate) trusted: Option<X509>,
    /// In OpenSSL's names.
    pub(crate) suites: &'static str,
    /// The connection ID that the client wants to be sent, if it offers the extension; may be empty.
    pub(crate) connection_id: Option<Vec<u8>>,
    /// Of the client's handshake datagrams.
    pub(crate) mtu: u32,
    /// The session to resume.
    pub(crate) session: Option<SslSession>,
    /// Off for clients that forge a Finished message: the master secret must not depend on what came before.
    pub(crate) extended_master_secret: bool,
    /// The code of the largest record that it takes (RFC 6066 section 4): 1 is 512 bytes, 4 is 4,096, 0 is no limit.
    pub(crate) max_fragment: u8,
    context: OnceLock<SslContext>,
}

impl Profile {
    pub(crate) fn new(proof: Proof) -> Self {
        let suites = match proof {
            Proof::Psk(..) => "PSK-AES128-CCM8",
            _ => "ECDHE-ECDSA-AES128-CCM8",
        };
        Self {
            proof,
            trusted: None,
            suites,
            connection_id: None,
            mtu: 1232,
            session: None,
            extended_master_secret: true,
            max_fragment: 0,
            context: OnceLock::new(),
        }
    }

    pub(crate) fn psk(identity: &str, key: &[u8]) -> Self {
        Self::new(Proof::Psk(identity.as_bytes().to_vec(), key.to_vec()))
    }

    pub(crate) fn with_suites(self, suites: &'static str) -> Self {
        Self { suites, context: OnceLock::new(), ..self }
    }

    pub(crate) fn with_connection_id(self, id: &[u8]) -> Self {
        Self { connection_id: Some(id.to_vec()), context: OnceLock::new(), ..self }
    }

    pub(crate) fn with_mtu(self, mtu: u32) -> Self {
        Self { mtu, ..self }
    }

    pub(crate) fn with_max_fragment(self, max_fragment: u8) -> Self {
        Self { max_fragment, context: OnceLock::new(), ..self }
    }

    pub(crate) fn with_session(self, session: SslSession) -> Self {
        Self { session: Some(session), ..self }
    }

    pub(crate) fn without_extended_master_secret(self) -> Self {
        Self { extended_master_secret: false, context: OnceLock::new(), ..self }
    }

    /// The same for another identity, with the same OpenSSL context: for many clients.
    pub(crate) fn for_psk(&self, identity: &str, key: &[u8]) -> Self {
        let mut profile = self.clone();
        profile.proof = Proof::Psk(identity.as_bytes().to_vec(), key.to_vec());
        profile
    }

    pub(crate) fn context(&self) -> &SslContext {
        self.context.get_or_init(|| self.build())
    }

    fn build(&self) -> SslContext {
        let mut builder = SslContextBuilder::new(SslMethod::dtls_client()).unwrap();
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
        builder.set_security_level(0);
        builder.set_cipher_list(self.suites).unwrap();
        builder.set_options(SslOptions::NO_QUERY_MTU);
        builder.set_groups_list("P-256").unwrap();
        #[allow(unsafe_code)]
        // SAFETY: the context is live; it takes a number.
        let is_set =
            unsafe { ffi::SSL_CTX_set_tlsext_max_fragment_length(builder.as_ptr(), self.max_fragment) };
        assert_eq!(is_set, 1);
        if !self.extended_master_secret {
            builder.set_options(SslOptions::from_bits_retain(NO_EXTENDED_MASTER_SECRET));
        }
        prove(&mut builder, &self.proof);
        if let Some(trusted) = &self.trusted {
            builder.cert_store_mut().add_cert(trusted.clone()).unwrap();
            builder.set_verify(SslVerifyMode::PEER);
        }
        if self.connection_id.is_some() {
            offer_connection_id(&mut builder);
        }
        builder.build()
    }
}

/// What the callbacks of one client look at.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) psk: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) mine: Vec<u8>,
    /// The server's connection ID, when it has sent one.
    pub(crate) theirs: Option<Vec<u8>>,
}

pub(crate) fn slot() -> Index<Ssl, Slot> {
    static INDEX: OnceLock<Index<Ssl, Slot>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().unwrap())
}

fn prove(builder: &mut SslContextBuilder, proof: &Proof) {
    match proof {
        Proof::Psk(..) => builder.set_psk_client_callback(|ssl, _hint, identity, key| {
            let Some((who, secret)) = ssl.ex_data(slot()).and_then(|slot| slot.psk.as_ref()) else {
                return Ok(0);
            };
            // A NUL ends it, which is there already.
            identity[..who.len()].copy_from_slice(who);
            key[..secret.len()].copy_from_slice(secret);
            Ok(secret.len())
        }),
        Proof::X509(chain, key) => {
            builder.set_certificate(&chain[0]).unwrap();
            for between in &chain[1..] {
                builder.add_extra_chain_cert(between.clone()).unwrap();
            }
            builder.set_private_key(key).unwrap();
        }
        Proof::RawPublicKey(key) => {
            builder.set_private_key(key).unwrap();
            take_types(builder, &[ffi::TYPE_RAW_PUBLIC_KEY]);
        }
        Proof::Either(certificate, key) => {
            builder.set_certificate(certificate).unwrap();
            builder.set_private_key(key).unwrap();
            take_types(builder, &[ffi::TYPE_RAW_PUBLIC_KEY, ffi::TYPE_X509]);
        }
        Proof::Nothing => {}
    }
}

/// Offers certificate types; whatever raw public key the server shows is taken, tests compare it afterwards.
#[cfg(ossl320)]
#[allow(unsafe_code)]
fn take_types(builder: &mut SslContextBuilder, types: &[u8]) {
    // SAFETY: the array is copied.
    unsafe {
        let context = builder.as_ptr();
        assert_eq!(ffi::SSL_CTX_set1_client_cert_type(context, types.as_ptr(), types.len()), 1);
        assert_eq!(ffi::SSL_CTX_set1_server_cert_type(context, types.as_ptr(), types.len()), 1);
    }
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
}

/// Tests that come here are ignored with such an OpenSSL.
#[cfg(not(ossl320))]
fn take_types(_builder: &mut SslContextBuilder, _types: &[u8]) {
    panic!("this OpenSSL has no raw public keys");
}

fn offer_connection_id(builder: &mut SslContextBuilder) {
    let context =
        ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_2_SERVER_HELLO | ExtensionContext::DTLS_ONLY;
    builder
        .add_custom_ext(
            CONNECTION_ID,
            context,
            |ssl, _, _| {
                let mine = &ssl.ex_data(slot()).expect("every client has one").mine;
                Ok(Some([&[u8::try_from(mine.len()).unwrap()], mine.as_slice()].concat()))
            },
            |ssl, _, bytes, _| {
                let (length, id) = bytes.split_first().ok_or(SslAlert::DECODE_ERROR)?;
                if usize::from(*length) != id.len() {
                    return Err(SslAlert::DECODE_ERROR);
                }
                ssl.ex_data_mut(slot()).expect("every client has one").theirs = Some(id.to_vec());
                Ok(())
            },
        )
        .unwrap();
}

/// connection_id (RFC 9146 section 3).
const CONNECTION_ID: u16 = 54;
/// SSL_OP_NO_EXTENDED_MASTER_SECRET.
const NO_EXTENDED_MASTER_SECRET: u64 = 1;
