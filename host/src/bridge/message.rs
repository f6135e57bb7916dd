//! MQTT messages, as the contract has them and as `mqtt` has them.

use crate::mqtt::{Properties, Publication, QoS};
use crate::plugin::contract::types;

/// What a translator wants published.
pub(crate) fn lift(of: types::MessageResult) -> Publication {
    let types::MessageResult { topic, payload, qos, retain, properties } = of;
    let types::PropertiesResult { response_topic, correlation, expiry, content_type, user } = properties;
    let properties = Properties { response_topic, correlation, expiry, content_type, user };
    let has_properties = properties != Properties::default();
    let qos = match qos {
        types::Qos::AtMostOnce => QoS::AtMostOnce,
        types::Qos::AtLeastOnce => QoS::AtLeastOnce,
        types::Qos::ExactlyOnce => QoS::ExactlyOnce,
    };
    Publication { topic, payload, qos, retain, properties: has_properties.then(|| Box::new(properties)) }
}

/// Calls `call` with what came from the broker, in the contract's words.
pub(crate) fn with_lowered<R>(of: &Publication, call: impl FnOnce(&types::MessageParam<'_>) -> R) -> R {
    let none = Properties::default();
    let properties = of.properties.as_deref().unwrap_or(&none);
    let user: Vec<(&str, &str)> =
        properties.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    call(&types::MessageParam {
        topic: &of.topic,
        payload: &of.payload,
        qos: match of.qos {
            QoS::AtMostOnce => types::Qos::AtMostOnce,
            QoS::AtLeastOnce => types::Qos::AtLeastOnce,
            QoS::ExactlyOnce => types::Qos::ExactlyOnce,
        },
        retain: of.retain,
        properties: types::PropertiesParam {
            response_topic: properties.response_topic.as_deref(),
            correlation: properties.correlation.as_deref(),
            expiry: properties.expiry,
            content_type: properties.content_type.as_deref(),
            user: &user,
        },
    })
}

/// The reply to a message that says where it wants one; its correlation is repeated.
pub(crate) fn reply(to: &Publication, payload: Vec<u8>) -> Option<Publication> {
    let asked = to.properties.as_deref()?;
    let correlation = asked.correlation.clone();
    let properties = correlation
        .map(|correlation| Box::new(Properties { correlation: Some(correlation), ..Properties::default() }));
    Some(Publication {
        topic: asked.response_topic.clone()?,
        payload,
        qos: to.qos,
        retain: false,
        properties,
    })
}
