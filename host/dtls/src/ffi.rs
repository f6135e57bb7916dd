//! What the `openssl` crate does not offer of OpenSSL, with the least of `unsafe`.
//!
//! [`context`](super::context) and [`handshake`](super::handshake) use it. Everything here is documented and exported
//! by libssl; the types and signatures are those of OpenSSL 3.0 to 4.0.
#![allow(unsafe_code)] // this file is the place for it

use foreign_types::ForeignTypeRef;
use libc::{c_int, c_uint};
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslRef, SslSessionRef};
use openssl::x509::X509StoreContextRef;
#[cfg(ossl320)]
use openssl_sys::SSL_CTX;
use openssl_sys::{SSL, SSL_CIPHER};

mod c {
    #[cfg(ossl320)]
    use super::SSL_CTX;
    use super::{SSL, SSL_CIPHER, c_int, c_uint};
    #[cfg(ossl320)]
    use libc::c_uchar;
    #[cfg(ossl320)]
    use openssl_sys::EVP_PKEY;

    #[repr(C)]
    pub(super) struct BioAddr {
        _opaque: [u8; 0],
    }

    unsafe extern "C" {
        pub(super) fn DTLSv1_listen(ssl: *mut SSL, client: *mut BioAddr) -> c_int;
        pub(super) fn BIO_ADDR_new() -> *mut BioAddr;
        pub(super) fn BIO_ADDR_free(address: *mut BioAddr);
        pub(super) fn DTLS_set_timer_cb(
            ssl: *mut SSL,
            callback: Option<unsafe extern "C" fn(*mut SSL, c_uint) -> c_uint>,
        );
        pub(super) fn SSL_get_pending_cipher(ssl: *const SSL) -> *const SSL_CIPHER;
        pub(super) fn SSL_CIPHER_get_protocol_id(cipher: *const SSL_CIPHER) -> u16;
        pub(super) fn SSL_CIPHER_standard_name(cipher: *const SSL_CIPHER) -> *const libc::c_char;
        pub(super) fn SSL_SESSION_get_max_fragment_length(session: *const openssl_sys::SSL_SESSION) -> u8;
    }

    #[cfg(ossl320)]
    unsafe extern "C" {
        pub(super) fn SSL_CTX_set1_client_cert_type(
            context: *mut SSL_CTX,
            types: *const c_uchar,
            length: libc::size_t,
        ) -> c_int;
        pub(super) fn SSL_CTX_set1_server_cert_type(
            context: *mut SSL_CTX,
            types: *const c_uchar,
            length: libc::size_t,
        ) -> c_int;
        pub(super) fn i2d_PUBKEY(key: *const EVP_PKEY, out: *mut *mut c_uchar) -> c_int;
        pub(super) fn SSL_get0_peer_rpk(ssl: *const SSL) -> *mut EVP_PKEY;
        pub(super) fn X509_STORE_CTX_get0_rpk(context: *const openssl_sys::X509_STORE_CTX) -> *mut EVP_PKEY;
    }
}

/// Whether this OpenSSL knows raw public keys (RFC 7250): 3.2 and later do.
pub(crate) const RAW_PUBLIC_KEYS: bool = cfg!(ossl320);

/// `X509_V_ERR_RPK_UNTRUSTED`: a raw public key is shown, and somebody has to say whether it is known.
pub(crate) const RPK_UNTRUSTED: c_int = 95;

/// Has OpenSSL take in the ClientHello that its transport holds, whose cookie has been checked before.
/// False if OpenSSL does not want it.
pub(crate) fn listen(ssl: &SslRef) -> bool {
    // SAFETY: `ssl` is a live SSL; the address is a valid object of its own and is freed once. It must not be NULL, since
    // OpenSSL clears it. Nothing is kept of it.
    let outcome = unsafe {
        let address = c::BIO_ADDR_new();
        let outcome = if address.is_null() { -1 } else { c::DTLSv1_listen(ssl.as_ptr(), address) };
        c::BIO_ADDR_free(address);
        outcome
    };
    if outcome != 1 {
        drain_errors();
    }
    outcome == 1
}

/// Keeps OpenSSL from sending flights again by its own clock: that is done in simulated time by `handshake`.
pub(crate) fn stop_timer(ssl: &SslRef) {
    unsafe extern "C" fn an_hour(_ssl: *mut SSL, _last: c_uint) -> c_uint {
        3_600_000_000
    }
    // SAFETY: `ssl` is live, and the callback is a function without state.
    unsafe { c::DTLS_set_timer_cb(ssl.as_ptr(), Some(an_hour)) }
}

/// The suite that the handshake is about, as soon as one has been chosen: its number (IANA).
pub(crate) fn pending_suite(ssl: &SslRef) -> Option<u16> {
    // SAFETY: `ssl` is live; the cipher is NULL or one of OpenSSL's constants.
    unsafe {
        let cipher = c::SSL_get_pending_cipher(ssl.as_ptr());
        (!cipher.is_null()).then(|| c::SSL_CIPHER_get_protocol_id(cipher))
    }
}

/// The name (IANA) of that suite.
pub(crate) fn pending_suite_name(ssl: &SslRef) -> Option<&'static str> {
    // SAFETY: as above; the name is a constant C string of OpenSSL's.
    unsafe {
        let cipher = c::SSL_get_pending_cipher(ssl.as_ptr());
        if cipher.is_null() {
            return None;
        }
        let name = c::SSL_CIPHER_standard_name(cipher);
        if name.is_null() { None } else { std::ffi::CStr::from_ptr(name).to_str().ok() }
    }
}

/// Bytes that a record may hold, if the client has asked for a limit (RFC 6066 section 4).
pub(crate) fn max_fragment(session: &SslSessionRef) -> Option<u16> {
    // SAFETY: the session is live, and a number is read from it.
    match unsafe { c::SSL_SESSION_get_max_fragment_length(session.as_ptr()) } {
        code @ 1..=4 => Some(256 << code),
        _ => None,
    }
}

/// Bytes that a client's chain of certificates may have.
pub(crate) fn limit_certificates(context: &mut SslContextBuilder, bytes: i32) {
    const SSL_CTRL_SET_MAX_CERT_LIST: c_int = 51;
    // SAFETY: the context is live; this control takes a number and no pointer.
    unsafe {
        openssl_sys::SSL_CTX_ctrl(
            context.as_ptr(),
            SSL_CTRL_SET_MAX_CERT_LIST,
            bytes.into(),
            std::ptr::null_mut(),
        );
    }
}

/// Which types of certificate (RFC 7250: 0 is X.509, 2 is a raw public key) are taken from clients, and shown to them.
#[cfg(ossl320)]
pub(crate) fn set_certificate_types(
    context: &mut SslContextBuilder,
    client: &[u8],
    server: &[u8],
) -> Result<(), ErrorStack> {
    // SAFETY: the context is live, and OpenSSL copies the lists.
    let set = unsafe {
        c::SSL_CTX_set1_client_cert_type(context.as_ptr(), client.as_ptr(), client.len()) == 1
            && c::SSL_CTX_set1_server_cert_type(context.as_ptr(), server.as_ptr(), server.len()) == 1
    };
    if set { Ok(()) } else { Err(ErrorStack::get()) }
}

/// This OpenSSL has X.509 certificates only.
#[cfg(not(ossl320))]
pub(crate) fn set_certificate_types(
    _context: &mut SslContextBuilder,
    _client: &[u8],
    _server: &[u8],
) -> Result<(), ErrorStack> {
    Ok(())
}

/// The raw public key that the client has shown, as SubjectPublicKeyInfo.
pub(crate) fn peer_raw_public_key(ssl: &SslRef) -> Option<Vec<u8>> {
    #[cfg(ossl320)]
    // SAFETY: `ssl` is live; the key is NULL or lives as long as `ssl`.
    return unsafe { subject_public_key_info(c::SSL_get0_peer_rpk(ssl.as_ptr())) };
    #[cfg(not(ossl320))]
    {
        let _ = ssl;
        None
    }
}

/// The raw public key that is being verified, as SubjectPublicKeyInfo.
pub(crate) fn verified_raw_public_key(context: &X509StoreContextRef) -> Option<Vec<u8>> {
    #[cfg(ossl320)]
    // SAFETY: the context is live during its callback; the key is NULL or lives as long.
    return unsafe { subject_public_key_info(c::X509_STORE_CTX_get0_rpk(context.as_ptr())) };
    #[cfg(not(ossl320))]
    {
        let _ = context;
        None
    }
}

/// # Safety
/// `key` is NULL or a live key.
#[cfg(ossl320)]
unsafe fn subject_public_key_info(key: *const openssl_sys::EVP_PKEY) -> Option<Vec<u8>> {
    if key.is_null() {
        return None;
    }
    // SAFETY: the first call only measures; the second writes that many bytes and moves the pointer it is given.
    unsafe {
        let length = usize::try_from(c::i2d_PUBKEY(key, std::ptr::null_mut())).ok()?;
        let mut der = vec![0; length];
        let mut at = der.as_mut_ptr();
        (c::i2d_PUBKEY(key, &mut at) > 0).then_some(der)
    }
}

/// OpenSSL keeps errors of a thread until somebody takes them; the next one to fail would be blamed for them.
pub(crate) fn drain_errors() {
    drop(ErrorStack::get());
}
