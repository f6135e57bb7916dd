//! What the client needs of OpenSSL and `openssl-sys` does not declare.
#![allow(unsafe_code)]

use libc::{c_int, c_uint};
#[cfg(ossl320)]
use openssl_sys::EVP_PKEY;
use openssl_sys::{SSL, SSL_CIPHER, SSL_CTX};

unsafe extern "C" {
    pub(crate) fn DTLS_set_timer_cb(
        ssl: *mut SSL,
        callback: Option<unsafe extern "C" fn(*mut SSL, c_uint) -> c_uint>,
    );
    pub(crate) fn SSL_get_pending_cipher(ssl: *const SSL) -> *const SSL_CIPHER;
    pub(crate) fn SSL_CIPHER_get_protocol_id(cipher: *const SSL_CIPHER) -> u16;
    #[cfg(ossl320)]
    pub(crate) fn SSL_CTX_set1_client_cert_type(
        context: *mut SSL_CTX,
        types: *const u8,
        count: usize,
    ) -> c_int;
    #[cfg(ossl320)]
    pub(crate) fn SSL_CTX_set1_server_cert_type(
        context: *mut SSL_CTX,
        types: *const u8,
        count: usize,
    ) -> c_int;
    pub(crate) fn SSL_CTX_set_tlsext_max_fragment_length(context: *mut SSL_CTX, mode: u8) -> c_int;
    #[cfg(ossl320)]
    pub(crate) fn SSL_get0_peer_rpk(ssl: *const SSL) -> *mut EVP_PKEY;
}

/// OpenSSL's own timer runs on the real clock: it never fires in a test.
pub(crate) unsafe extern "C" fn an_hour(_ssl: *mut SSL, _micros: c_uint) -> c_uint {
    3_600_000_000
}

/// Certificate types (RFC 7250 section 7).
pub(crate) const TYPE_X509: u8 = 0;
pub(crate) const TYPE_RAW_PUBLIC_KEY: u8 = 2;
