//! What stands in front of every topic, with placeholders; and what an incoming topic says of its client.

use tidegate_sdk::{Client, Recipient, Registration, from_topic_level, topic_level};

/// A mountpoint: literal text and placeholders. A placeholder that is not known stays as it is written.
#[derive(Debug)]
pub(crate) struct Mountpoint {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Endpoint,
    /// `device_id`, else the endpoint name.
    ClientId,
    /// `imei`, else the endpoint name.
    Username,
    PeerHost,
    /// An attribute of the client, by its name.
    Attribute(String),
}

/// What a command's topic says.
#[derive(Debug)]
pub(crate) struct Addressed {
    pub(crate) recipients: Vec<Recipient>,
    /// The mountpoint as it stood in the topic.
    pub(crate) mountpoint: String,
}

impl Mountpoint {
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(end) = rest[start..].find('}').map(|end| start + end) else { break };
            let (part, literal) = match &rest[start + 2..end] {
                "endpoint_name" => (Some(Part::Endpoint), start),
                "clientid" => (Some(Part::ClientId), start),
                "username" => (Some(Part::Username), start),
                "peerhost" => (Some(Part::PeerHost), start),
                "zone" => (Some(Part::Literal("default".into())), start),
                name => match name.strip_prefix("client_attrs.").filter(|name| !name.is_empty()) {
                    Some(name) => (Some(Part::Attribute(name.into())), start),
                    None => (None, end + 1),
                },
            };
            if literal > 0 {
                parts.push(Part::Literal(rest[..literal].into()));
            }
            parts.extend(part);
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Self { parts }
    }

    /// Whether a topic below it says which client it is about.
    pub(crate) fn names_client(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Endpoint | Part::ClientId | Part::Username))
    }

    /// The registration parameters by which clients are addressed.
    pub(crate) fn parameters(&self) -> Vec<&'static str> {
        let name = |part: &Part| match part {
            Part::ClientId => Some("device_id"),
            Part::Username => Some("imei"),
            _ => None,
        };
        self.parts.iter().filter_map(name).collect()
    }

    /// The mountpoint of a client.
    pub(crate) fn render(&self, client: &Client, registration: &Registration) -> String {
        let endpoint = client.endpoint.as_str();
        let parameter = |name: &str| {
            let found = registration.parameters.iter().find(|(key, _)| key == name);
            found
                .and_then(|(_, value)| value.as_deref())
                .filter(|value| !value.contains('='))
                .unwrap_or(endpoint)
        };
        let mut topic = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => topic.push_str(text),
                Part::Endpoint => topic.push_str(&topic_level(endpoint)),
                Part::ClientId => topic.push_str(&topic_level(parameter("device_id"))),
                Part::Username => topic.push_str(&topic_level(parameter("imei"))),
                Part::PeerHost => {
                    let host = registration.peer.rsplit_once(':').map_or("", |(host, _)| host);
                    topic.push_str(&topic_level(host.trim_matches(['[', ']'])));
                }
                Part::Attribute(name) => match client.attributes.iter().find(|(key, _)| key == name) {
                    Some((_, value)) => topic.push_str(&topic_level(value)),
                    // As a placeholder that is not known.
                    None => topic.push_str(&format!("${{client_attrs.{name}}}")),
                },
            }
        }
        topic
    }

    /// A topic below it, of a client that is called `x` in every way.
    pub(crate) fn example(&self, topic: &str) -> String {
        let parts = self.parts.iter().map(|part| if let Part::Literal(text) = part { text } else { "x" });
        parts.chain([topic]).collect()
    }

    /// The filter of a topic below it, for all clients: a level with a placeholder is any level.
    pub(crate) fn filter(&self, topic: &str) -> String {
        let mut filter = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filter.push_str(text),
                // Stands for a placeholder until the levels are known; it cannot be in a topic.
                _ => filter.push('\0'),
            }
        }
        filter.push_str(topic);
        let levels = filter.split('/').map(|level| if level.contains('\0') { "+" } else { level });
        levels.collect::<Vec<_>>().join("/")
    }

    /// Whom a command on `topic` is for. None if it is not below this mountpoint and `command`, the filter of commands.
    pub(crate) fn address(&self, topic: &str, command: &str) -> Option<Addressed> {
        let mut rest = topic;
        let mut recipients = Vec::new();
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            if let Part::Literal(text) = part {
                rest = rest.strip_prefix(text.as_str())?;
                continue;
            }
            let fixed = fixed_part(command);
            let after = if let Some(Part::Literal(text)) = parts.peek() { text } else { fixed };
            // A value is one level; what follows it in the same level ends it.
            let level_end = rest.find('/').unwrap_or(rest.len());
            let after_in_level = after.split('/').next().unwrap_or_default();
            let end = if after_in_level.is_empty() {
                level_end
            } else {
                rest[..level_end].rfind(after_in_level)?
            };
            let value = from_topic_level(&rest[..end]);
            match part {
                Part::Endpoint => recipients.push(Recipient::Endpoint(value.into_owned())),
                Part::ClientId => {
                    recipients.push(Recipient::Parameter(("device_id".into(), value.to_string())));
                    recipients.push(Recipient::Endpoint(value.into_owned()));
                }
                Part::Username => {
                    recipients.push(Recipient::Parameter(("imei".into(), value.to_string())));
                    recipients.push(Recipient::Endpoint(value.into_owned()));
                }
                _ => {}
            }
            rest = &rest[end..];
        }
        let mountpoint = topic[..topic.len() - rest.len()].to_owned();
        let fixed = fixed_part(command);
        let has_levels = command.len() > fixed.len();
        let below = match rest.strip_prefix(fixed) {
            Some(below) if has_levels || below.is_empty() => below.trim_start_matches('/'),
            // `dn/#` is `dn`, too.
            None if command.strip_suffix("/#") == Some(rest) => "",
            _ => return None,
        };
        if recipients.is_empty() {
            recipients = named_by_levels(below);
        }
        Some(Addressed { recipients, mountpoint })
    }
}

/// The part of a filter before its first wildcard.
fn fixed_part(filter: &str) -> &str {
    filter.split(['+', '#']).next().unwrap_or_default()
}

/// The levels after the fixed part name the client: all of them if there is one of that name, else fewer. Levels beyond
/// the first few are part of no name, so that a long topic costs no more than a short one.
fn named_by_levels(below: &str) -> Vec<Recipient> {
    let mut recipients = Vec::new();
    let mut name = below.match_indices('/').nth(NAME_LEVELS - 1).map_or(below, |(end, _)| &below[..end]);
    loop {
        let decoded = from_topic_level(name);
        if decoded != name {
            recipients.push(Recipient::Endpoint(decoded.into_owned()));
        }
        recipients.push(Recipient::Endpoint(name.to_owned()));
        match name.rsplit_once('/') {
            Some((shorter, _)) => name = shorter,
            None => return recipients,
        }
    }
}

/// How many levels an endpoint name may have in a topic without being percent-encoded.
const NAME_LEVELS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_very_many_levels_names_few_clients() {
        let (recipients, _) = recipients("", &format!("dn/{}", "a/".repeat(30_000)), "dn/#").unwrap();
        assert_eq!(recipients.len(), NAME_LEVELS);
        assert_eq!(recipients.last().unwrap(), "a");
    }

    fn recipients(mountpoint: &str, topic: &str, command: &str) -> Option<(Vec<String>, String)> {
        let addressed = Mountpoint::parse(mountpoint).address(topic, command)?;
        let text = |of: &Recipient| match of {
            Recipient::Endpoint(name) => name.clone(),
            Recipient::Parameter((name, value)) => format!("{name}={value}"),
        };
        Some((addressed.recipients.iter().map(text).collect(), addressed.mountpoint))
    }

    #[test]
    fn filters_leave_the_clients_open() {
        for (mountpoint, command, expected) in [
            ("", "dn/#", "dn/#"),
            ("lwm2m/${endpoint_name}/", "dn/#", "lwm2m/+/dn/#"),
            ("lwm2m/${username}", "/dn/#", "lwm2m/+/dn/#"),
            ("lwm2m/${endpoint_name}", "dn/#", "lwm2m/+/#"),
            ("a-${clientid}/", "dn", "+/dn"),
            ("${unknown}/${zone}/", "dn", "${unknown}/default/dn"),
            ("${client_attrs.tenant}/${endpoint_name}/", "dn", "+/+/dn"),
        ] {
            assert_eq!(Mountpoint::parse(mountpoint).filter(command), expected, "{mountpoint}");
        }
    }

    #[test]
    fn a_topic_tells_the_client_and_its_mountpoint() {
        let case = |mountpoint, topic, command, names: &[&str], own: &str| {
            let (recipients, mountpoint) = recipients(mountpoint, topic, command).unwrap();
            assert_eq!(
                (recipients, mountpoint.as_str()),
                (names.iter().map(|name| (*name).to_owned()).collect(), own),
                "{topic}"
            );
        };
        case("lwm2m/${endpoint_name}/", "lwm2m/dev1/dn/dm", "dn/#", &["dev1"], "lwm2m/dev1/");
        case("lwm2m/${endpoint_name}/", "lwm2m/dev1/dn", "dn/#", &["dev1"], "lwm2m/dev1/");
        case("lwm2m/${username}", "lwm2m/867/dn/dm", "/dn/#", &["imei=867", "867"], "lwm2m/867");
        case("lwm2m/${endpoint_name}", "lwm2m/dev1dn/x", "dn/#", &["dev1"], "lwm2m/dev1");
        case("", "dn/testlwm2mclient", "dn/#", &["testlwm2mclient"], "");
        case("", "dn/a%2Fb/x", "dn/#", &["a/b/x", "a%2Fb/x", "a/b", "a%2Fb"], "");
        case("${client_attrs.t}/${endpoint_name}/", "t1/dev1/dn", "dn/#", &["dev1"], "t1/dev1/");
        assert!(recipients("lwm2m/", "other/dn/x", "dn/#").is_none());
        assert!(recipients("lwm2m/", "lwm2m/dn/x", "dn").is_none());
        // An endpoint name with the letters of the topic in it: our own publications come in by the same filter.
        assert!(recipients("lwm2m/${endpoint_name}", "lwm2m/landn1up/resp", "dn/#").is_none());
    }

    #[test]
    fn hostile_names_stay_within_their_level() {
        let registration = Registration {
            location: String::new(),
            version: String::new(),
            lifetime: 1,
            binding: String::new(),
            queue_mode: false,
            alternate_path: "/".into(),
            objects: vec![],
            parameters: vec![("imei".into(), Some("+/#".into()))],
            links: vec![],
            peer: "[::1]:5683".into(),
            attributes: vec![],
        };
        let client = Client { endpoint: "x/y".into(), attributes: vec![("tenant".into(), "t#".into())] };
        let mountpoint = Mountpoint::parse("a/${username}/${endpoint_name}/${peerhost}/");
        assert_eq!(mountpoint.render(&client, &registration), "a/%2B%2F%23/x%2Fy/::1/");
        let mountpoint = Mountpoint::parse("${client_attrs.tenant}/${client_attrs.site}/");
        assert_eq!(mountpoint.render(&client, &registration), "t%23/${client_attrs.site}/");
    }
}
