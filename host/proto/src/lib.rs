//! CoAP and LwM2M server logic, sans-IO.
//!
//! This crate has no sockets, no clock, no randomness and no tasks of its own. The caller brings datagrams
//! and the time, and takes away what is to be sent and what has happened:
//!
//! 1. call [`Server::handle_datagram`](lwm2m::server::Server::handle_datagram),
//!    [`handle_timeout`](lwm2m::server::Server::handle_timeout),
//!    [`perform`](lwm2m::server::Server::perform) or [`settle`](lwm2m::server::Server::settle);
//! 2. then call [`poll_output`](lwm2m::server::Server::poll_output) until it returns
//!    [`Output::Timeout`](lwm2m::server::Output::Timeout), and wait for a datagram or for that time.
//!
//! What a peer can cause with a datagram is never an error here: it is a counter.
//!
//! | module | what it is |
//! |---|---|
//! | [`time`] | the time that callers pass in |
//! | [`coap`] | RFC 7252, 7641, 7959: messages, exchanges, blocks, observations |
//! | [`lwm2m`] | paths, values, content formats, object model, registrations, operations, the server |
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod coap;
pub mod lwm2m;
pub mod time;
