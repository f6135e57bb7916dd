//! How OpenSSL is set up for handshakes: suites, certificates, and the callbacks that look clients up.
//!
//! [`endpoint`](super::endpoint) makes one context for each shard and each set of credentials;
//! [`handshake`](super::handshake) makes its `Ssl` of it. What the callbacks find out is in the [`Negotiation`] of that
//! `Ssl`.

use std::sync::{Arc, OnceLock};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ExtensionContext, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef,
    SslSession, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509NameBuilder, X509StoreContextRef, X509VerifyResult};

use crate::association::CID_LENGTH;
use crate::credential::{Credentials, Own, Principal};
use crate::ffi;
use crate::record::Aead;
use crate::session::{Session, Sessions};

/// What is found out about a client while it shakes hands.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    /// The connection ID that it is to send to us; none if the extension is not offered to it.
    pub(crate) own_cid: Option<[u8; CID_LENGTH]>,
    /// The connection ID that it wants to be sent, if it knows the extension.
    pub(crate) peer_cid: Option<Box<[u8]>>,
    /// Who it says it is, and has to prove.
    pub(crate) principal: Option<Arc<Principal>>,
    /// The session that it resumes.
    pub(crate) resumed: Option<Arc<Session>>,
    /// The PSK identity that it has sent.
    pub(crate) identity: Option<Box<[u8]>>,
}

impl Negotiation {
    /// That of an `Ssl` which was made with one.
    pub(crate) fn of(ssl: &SslRef) -> Option<&Self> {
        ssl.ex_data(index()?)
    }

    /// Put it into a new `Ssl`.
    pub(crate) fn put(self, ssl: &mut Ssl) -> bool {
        index().is_some_and(|index| {
            ssl.set_ex_data(index, self);
            true
        })
    }

    fn of_mut(ssl: &mut SslRef) -> Option<&mut Self> {
        ssl.ex_data_mut(index()?)
    }
}

/// The place of a [`Negotiation`] in every `Ssl`. None only if memory has run out.
fn index() -> Option<Index<Ssl, Negotiation>> {
    static INDEX: OnceLock<Option<Index<Ssl, Negotiation>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

/// Sets OpenSSL up.
///
/// # Errors
/// When it refuses something, which the credentials' own checks should have found.
pub(crate) fn build(
    credentials: &Arc<Credentials>,
    sessions: &Arc<Sessions>,
    connection_id: bool,
) -> Result<SslContext, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::dtls_server())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    // CCM_8 counts as 64 bits, and any higher level would take it away. Certificates keep level 2, see below.
    context.set_security_level(0);
    context.set_cipher_list(&suites(credentials))?;
    context.set_groups_list("P-256")?; // RFC 7925 section 4.4
    context.set_options(
        SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_QUERY_MTU
            | SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::NO_COMPRESSION
            // A session must be forgotten with its credential; tickets are with the clients.
            | SslOptions::NO_TICKET,
    );
    context.set_cookie_verify_cb(|_, _| true); // `cookie` has checked it
    resume(&mut context, credentials, sessions)?;
    pre_share(&mut context, credentials);
    certify(&mut context, credentials)?;
    if connection_id {
        connect_by_id(&mut context)?;
    }
    Ok(context.build())
}

/// RFC 7925 section 4.4 and LwM2M 1.2.1 transport section 5.2.8; the shortest records first.
fn suites(credentials: &Credentials) -> String {
    let mut suites = Vec::new();
    if credentials.own().is_some() {
        suites.extend(["ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    }
    suites.extend(["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"]);
    suites.extend(["ECDHE-PSK-AES128-CBC-SHA256", "PSK-AES128-CBC-SHA256"]);
    if credentials.own().is_some() {
        suites.push("ECDHE-ECDSA-AES128-SHA256");
    }
    suites.join(":")
}

/// The AEAD of the suites whose records are ours; the others stay with OpenSSL.
pub(crate) fn aead(suite: u16) -> Option<Aead> {
    match suite {
        0xc0a8 | 0xc0ae => Some(Aead::Ccm8),
        0xc0a4 | 0xc0ac => Some(Aead::Ccm),
        0x00a8 | 0xc02b => Some(Aead::Gcm),
        _ => None,
    }
}

/// Sessions come from, and go to, the store of all shards.
fn resume(
    context: &mut SslContextBuilder,
    credentials: &Arc<Credentials>,
    sessions: &Arc<Sessions>,
) -> Result<(), ErrorStack> {
    // Needed as soon as clients may have certificates; what it is does not matter.
    context.set_session_id_context(b"tidegate")?;
    context.set_session_cache_mode(SslSessionCacheMode::SERVER | SslSessionCacheMode::NO_INTERNAL);
    let (credentials, sessions) = (Arc::clone(credentials), Arc::clone(sessions));
    let find = move |ssl: &mut SslRef, id: &[u8]| -> Option<SslSession> {
        let (session, resumable) = sessions.find(id)?;
        if !credentials.holds(&session.principal) {
            return None;
        }
        let negotiation = Negotiation::of_mut(ssl)?;
        negotiation.principal = Some(Arc::clone(&session.principal));
        negotiation.resumed = Some(session);
        Some(resumable)
    };
    #[allow(unsafe_code)]
    // SAFETY: the session that is returned must be of the right SslContext: it is of none, made anew from DER.
    unsafe {
        context.set_get_session_callback(find);
    }
    Ok(())
}

fn pre_share(context: &mut SslContextBuilder, credentials: &Arc<Credentials>) {
    let credentials = Arc::clone(credentials);
    context.set_psk_server_callback(move |ssl, identity, out| {
        let Some(negotiation) = Negotiation::of_mut(ssl) else { return Ok(0) };
        let identity = identity.unwrap_or_default();
        negotiation.identity = Some(identity.into());
        // No key: OpenSSL sends the alert unknown_psk_identity (RFC 4279 section 2). A battery is worth more than
        // hiding which identities there are: silence would have the client try for a minute.
        let Some(found) = credentials.pre_shared(identity) else { return Ok(0) };
        let key = found.key.expose();
        let Some(room) = out.get_mut(..key.len()) else { return Ok(0) };
        room.copy_from_slice(key);
        negotiation.principal = Some(Arc::clone(&found.principal));
        Ok(key.len())
    });
}

/// The server's own key and certificate, and what it takes of clients.
fn certify(context: &mut SslContextBuilder, credentials: &Arc<Credentials>) -> Result<(), ErrorStack> {
    let Some(own) = credentials.own() else { return Ok(()) };
    context.verify_param_mut().set_auth_level(2);
    context.set_sigalgs_list("ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256")?;
    ffi::limit_certificates(context, MAX_CERTIFICATES);
    present(context, own)?;
    for authority in credentials.authorities() {
        context.cert_store_mut().add_cert(authority.clone())?;
        context.add_client_ca(authority)?;
    }
    let shown: &[u8] =
        if own.chain.is_empty() { &[RAW_PUBLIC_KEY] } else { &[X509_CERTIFICATE, RAW_PUBLIC_KEY] };
    let taken: &[u8] = match (credentials.authorities().is_empty(), credentials.takes_raw_public_keys()) {
        (false, true) => &[X509_CERTIFICATE, RAW_PUBLIC_KEY],
        (true, true) => &[RAW_PUBLIC_KEY],
        (_, false) => &[X509_CERTIFICATE],
    };
    if ffi::RAW_PUBLIC_KEYS {
        ffi::set_certificate_types(context, taken, shown)?;
    }
    let known = Arc::clone(credentials);
    context
        .set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, move |ok, chain| {
            ok || knows_raw_public_key(&known, chain)
        });
    Ok(())
}

/// OpenSSL has nobody to vouch for a raw public key; it is trusted if it is known.
fn knows_raw_public_key(credentials: &Credentials, chain: &mut X509StoreContextRef) -> bool {
    if chain.error().as_raw() != ffi::RPK_UNTRUSTED {
        return false;
    }
    let known = ffi::verified_raw_public_key(chain).is_some_and(|key| credentials.raw_public(&key).is_some());
    if known {
        chain.set_error(X509VerifyResult::OK);
    }
    known
}

fn present(context: &mut SslContextBuilder, own: &Own) -> Result<(), ErrorStack> {
    let mut chain = own.chain.iter();
    match chain.next() {
        Some(certificate) => context.set_certificate(certificate)?,
        // A key without a certificate is a NULL that some versions of OpenSSL follow (CVE-2026-14457).
        None => context.set_certificate(self_signed(&own.key)?.as_ref())?,
    }
    for issuer in chain {
        context.add_extra_chain_cert(issuer.clone())?;
    }
    context.set_private_key(&own.key)?;
    context.check_private_key()
}

fn self_signed(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "tidegate")?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(Asn1Time::from_unix(0)?.as_ref())?;
    certificate.set_not_after(Asn1Time::days_from_now(3_650)?.as_ref())?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}

/// The extension `connection_id` (RFC 9146 section 3).
fn connect_by_id(context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    let answer = |ssl: &mut SslRef, _: ExtensionContext, _: Option<(usize, &openssl::x509::X509Ref)>| {
        // Only for records that are ours. For the others it is declined, and must look so from here on.
        let ours = ffi::pending_suite(ssl).and_then(aead).is_some();
        let Some(negotiation) = Negotiation::of_mut(ssl) else { return Ok(None) };
        if !ours {
            negotiation.peer_cid = None;
        }
        let offered = negotiation.peer_cid.is_some();
        Ok(negotiation.own_cid.filter(|_| offered).map(|own| {
            let mut extension = [8; 1 + CID_LENGTH];
            extension[1..].copy_from_slice(&own);
            extension
        }))
    };
    let take = |ssl: &mut SslRef,
                _: ExtensionContext,
                extension: &[u8],
                _: Option<(usize, &openssl::x509::X509Ref)>| {
        let Some((length, cid)) = extension.split_first() else { return Err(SslAlert::DECODE_ERROR) };
        if usize::from(*length) != cid.len() {
            return Err(SslAlert::DECODE_ERROR);
        }
        // A longer one than anybody uses would only make records long; not taking part is always allowed.
        if let Some(negotiation) = Negotiation::of_mut(ssl)
            && cid.len() <= MAX_PEER_CID
        {
            negotiation.peer_cid = Some(cid.into());
        }
        Ok(())
    };
    let messages =
        ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_2_SERVER_HELLO | ExtensionContext::DTLS_ONLY;
    context.add_custom_ext(CONNECTION_ID, messages, answer, take)
}

/// Who a client with a certificate or raw public key is, once OpenSSL has verified it.
pub(crate) fn identify(ssl: &SslRef, credentials: &Credentials) -> Option<Arc<Principal>> {
    if let Some(key) = ffi::peer_raw_public_key(ssl) {
        return credentials.raw_public(&key).cloned();
    }
    let certificate = ssl.peer_certificate()?;
    let authority = ssl.verified_chain()?.iter().last()?.to_owned();
    credentials.certified(&certificate, &authority).map(Arc::new)
}

/// Bytes of a client's chain of certificates.
const MAX_CERTIFICATES: i32 = 8_192;
/// Bytes of the connection ID that a client may want to be sent.
pub(crate) const MAX_PEER_CID: usize = 32;
/// The extension's number (RFC 9146 section 10).
const CONNECTION_ID: u16 = 54;
/// Types of certificate (RFC 7250 section 4.2).
const X509_CERTIFICATE: u8 = 0;
const RAW_PUBLIC_KEY: u8 = 2;
