//! Registrations as Leshan's demo server shows them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use tidegate_proto::lwm2m::registration::Registration;

use super::super::client::{links, version};
use crate::net::Known;

/// A registration; whether its client is awake, if that is known.
pub(super) fn shown(known: &Known, registration: &Registration, is_awake: Option<bool>) -> Json {
    let of = registration;
    let mut instances: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for path in of.objects.iter().map(|link| link.path) {
        if let (Some(object), Some(instance)) = (path.object(), path.instance()) {
            instances.entry(object.to_string()).or_default().insert(instance);
        }
    }
    let additional: Map<String, Json> = of
        .parameters
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&&**name))
        .map(|(name, value)| (name.to_string(), json!(value.as_deref())))
        .collect();
    let mut shown = json!({
        "endpoint": &*of.endpoint,
        "registrationId": id(of),
        "registrationDate": i64::from(known.registered) * 1000,
        "lastUpdate": i64::from(known.updated) * 1000,
        "address": format!("{}:{}", of.peer.address.ip().to_canonical(), of.peer.address.port()),
        "smsNumber": of.parameter("sms"),
        "lwM2mVersion": version(of.version),
        "lifetime": of.lifetime,
        "bindingMode": if of.binding.is_empty() { "U" } else { &*of.binding },
        "rootPath": if of.alternate_path.ends_with('/') { of.alternate_path.to_string() } else { format!("{}/", of.alternate_path) },
        "objectLinks": object_links(&of.links),
        "secure": of.peer.is_secure(),
        "additionalRegistrationAttributes": additional,
        "queuemode": of.queue_mode,
        "availableInstances": instances,
    });
    if let (true, Some(is_awake)) = (of.queue_mode, is_awake) {
        shown["sleeping"] = json!(!is_awake);
    }
    shown
}

/// What Leshan calls a registration by.
pub(super) fn id(of: &Registration) -> &str {
    of.location.strip_prefix("/rd/").unwrap_or(&of.location)
}

/// Links as Leshan shows them.
pub(super) fn object_links(payload: &[u8]) -> Json {
    let links = links(payload).into_iter();
    links.map(|link| json!({ "url": link.target, "attributes": link.attributes })).collect()
}

/// Parameters that have a field of their own.
const KNOWN: [&str; 6] = ["ep", "lt", "lwm2m", "b", "Q", "sms"];
