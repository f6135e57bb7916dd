//! Devices built on the CoAP library aiocoap, through the gateway and mosquitto: what is usual (`basic`), and what a client
//! may do that few do: with blocks, with responses and with notifications. Not part of `make test`: `make interop` installs
//! aiocoap and runs this.

mod basic;
mod block;
mod observe;
mod response;
mod stage;
