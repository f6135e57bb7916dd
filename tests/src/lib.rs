//! End-to-end tests: the harness that `tests/*.rs` drive the real `tidegate` binary with.
//!
//! Every test starts a gateway of its own on loopback ports of its own ([`Gateway`]), with mosquitto
//! ([`Mosquitto`]) or the gateway's embedded broker, an application on the MQTT side ([`Application`]) and, on the
//! CoAP side, a scripted peer ([`Peer`]) or a simulated client ([`Device`]). [`Server`] alone does without the gateway. Nothing here sleeps: everything waits
//! for something to happen, for [`PATIENCE`] at most, and says what it has seen instead when it does not.

use std::io::Write;

mod application;
mod cache;
mod certificate;
mod device;
mod gateway;
mod http;
mod inbox;
mod leshan;
pub mod load;
mod mosquitto;
mod nat;
mod peer;
mod port;
mod process;
mod relay;
mod s_client;
mod secure;
mod server;
pub mod stage;
pub mod swarm;
mod udp_relay;
mod websocket;

pub use application::{Application, Message, MqttVersion};
pub use cache::installed;
pub use certificate::{Certified, Wish};
pub use device::{Device, Format, Value};
pub use gateway::{Broker, Gateway, Setup, tidegate};
pub use http::{HttpAnswer, HttpEvents, http};
pub use inbox::{Inbox, PATIENCE};
pub use leshan::{TEST_OBJECT, leshan, leshan_over_dtls};
pub use mosquitto::Mosquitto;
pub use nat::Nat;
pub use peer::{
    Channel, Peer, acknowledgement, code, code_text, empty, option_uint, option_values, request, response,
};
pub use port::free as free_port;
pub use process::Process;
pub use relay::Relay;
pub use s_client::{SClient, openssl};
pub use secure::{Profile, Proof, Secure};
pub use server::{Answer, Server};
pub use udp_relay::{Badness, UdpRelay};
pub use websocket::WebSocketRelay;

/// Why a test that needs something this machine may lack is not run.
pub fn skipped(why: &str) {
    report(&format!("skipped: {why}"));
}

/// Print a line of the test report, past the test runner, which keeps what passing tests print to itself.
pub fn report(line: &str) {
    // Nobody may be reading.
    let _ = writeln!(std::io::stdout(), "{line}");
}
