//! One CoAP message; coap-lite parses and builds the bytes.

/// One CoAP message.
#[derive(Clone, Debug)]
pub struct Message(coap_lite::Packet);
