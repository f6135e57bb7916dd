//! Topics and ids.

use std::fmt::Write as _;

use tidegate_sdk::{Path, from_topic_level, topic_level};

use crate::settings::Settings;

/// An object instance of a client.
pub(crate) struct Instance<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) endpoint: &'a str,
    pub(crate) object: u16,
    pub(crate) id: u16,
}

impl Instance<'_> {
    /// Where its configuration is: `homeassistant/device/NODE/3303_0/config`.
    pub(crate) fn discovery_topic(&self) -> String {
        let prefix = &self.settings.prefix;
        format!("{prefix}/device/{}/{}_{}/config", node(self.endpoint), self.object, self.id)
    }

    /// Where the state of a resource is.
    pub(crate) fn state_topic(&self, resource: u16) -> String {
        let (topic, endpoint) = (&self.settings.topic, topic_level(self.endpoint));
        format!("{topic}/{endpoint}/{}/{}/{resource}", self.object, self.id)
    }

    /// Where commands for a resource are.
    pub(crate) fn command_topic(&self, resource: u16) -> String {
        format!("{}/set", self.state_topic(resource))
    }

    /// The id of an entity, unique among all of Home Assistant's MQTT entities.
    pub(crate) fn unique_id(&self, resource: u16) -> String {
        format!("{}_{}_{}_{resource}", node(self.endpoint), self.object, self.id)
    }
}

/// Where it says whether a client is there.
pub(crate) fn availability(settings: &Settings, endpoint: &str) -> String {
    format!("{}/{}/availability", settings.topic, topic_level(endpoint))
}

/// Endpoint and resource of a topic of commands.
pub(crate) fn addressee(settings: &Settings, topic: &str) -> Option<(String, Path)> {
    let rest = topic.strip_prefix(settings.topic.as_str())?.strip_prefix('/')?.strip_suffix("/set")?;
    let levels: Vec<&str> = rest.split('/').collect();
    let [endpoint, ids @ ..] = levels.as_slice() else { return None };
    let ids: Vec<u16> = ids.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?;
    (ids.len() == 3).then(|| (from_topic_level(endpoint).into_owned(), Path::new(&ids)))
}

/// An endpoint name in the characters that an id may have, `[a-zA-Z0-9_-]`: all others are `_` and two hexadecimal digits for
/// each byte, and so is `_`, so that no two names become one.
fn node(endpoint: &str) -> String {
    let mut node = "lwm2m_".to_owned();
    for byte in endpoint.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            node.push(char::from(byte));
        } else {
            let _ = write!(node, "_{byte:02X}");
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_only_what_home_assistant_allows_and_is_the_name_s_own() {
        assert_eq!(node("urn:imei:1"), "lwm2m_urn_3Aimei_3A1");
        assert_ne!(node("a_3A"), node("a:"));
        assert_eq!(node("ü"), "lwm2m__C3_BC");
    }

    #[test]
    fn a_command_topic_names_endpoint_and_resource() {
        let settings = Settings::parse(r#"{"topic":"a/b"}"#).unwrap();
        let of = Instance { settings: &settings, endpoint: "x/y", object: 3306, id: 2 };
        assert_eq!(of.command_topic(5850), "a/b/x%2Fy/3306/2/5850/set");
        let (endpoint, path) = addressee(&settings, "a/b/x%2Fy/3306/2/5850/set").unwrap();
        assert_eq!((endpoint.as_str(), path.to_string().as_str()), ("x/y", "/3306/2/5850"));
        for topic in [
            "a/b/x/3306/2/set",
            "a/b/x/3306/2/5850",
            "a/c/x/3306/2/5850/set",
            "a/b/x/3306/2/y/set",
            "a/b/set",
        ] {
            assert!(addressee(&settings, topic).is_none(), "{topic}");
        }
    }
}
