//! Whether the gateway is connected, kept by the broker under [`SessionOptions::status_topic`].
//!
//! `{"state": "online"}` is published when a connection begins (the birth message), `{"state": "stopped"}` when the gateway ends it, and
//! `{"state": "offline"}` by the broker when it does not hear of the gateway any more (the will, MQTT 5, 3.1.2.5). All are retained, of
//! QoS 1 and without properties, which not every broker takes for a 3.1.1 subscriber.

use serde_json::json;

use super::SessionOptions;
use crate::mqtt::publication::{Publication, QoS};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Presence {
    Online,
    Offline,
    Stopped,
}

impl Presence {
    /// What says so; none if nothing is to be said.
    pub(in crate::mqtt) fn publication(self, options: &SessionOptions) -> Option<Publication> {
        let topic = options.status_topic.clone()?;
        let state = match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Stopped => "stopped",
        };
        let text = json!({
            "state": state,
            "client-id": options.client_id,
            "version": env!("CARGO_PKG_VERSION"),
        });
        let payload = text.to_string().into_bytes();
        Some(Publication { topic, payload, qos: QoS::AtLeastOnce, retain: true, properties: None })
    }
}
