//! DTLS with clients that nobody here wrote: `openssl s_client`, libcoap's coap-client on OpenSSL and on GnuTLS, and
//! Leshan's client, which is Californium's. Not part of `make test`: `make interop` installs them and runs this.

mod leshan;
mod libcoap;
mod openssl;
