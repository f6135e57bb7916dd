//! Register, update, and the end of a registration.

use tidegate_sdk::{
    Action, End, Ended, Message, Observe, Operation, Path, Properties, Registered, Registration, Updated,
    perform,
};

use crate::context::{self, Command, Members};
use crate::json;
use crate::settings::{AutoObserve, Settings, Topic};

/// Published, then what is to be observed.
pub(crate) fn registered(settings: &Settings, event: &Registered) -> Vec<Action> {
    let endpoint = &event.client.endpoint;
    let mountpoint = settings.mountpoint.render(&event.client, &event.registration);
    // From the same address it is an update to EMQX, and subject to its condition; from another it begins anew.
    let previous = event.previous.as_ref().filter(|previous| previous.peer == event.registration.peer);
    let merged = Merged::of(settings, &event.registration, previous);
    let mut actions = Vec::new();
    if previous.is_none() || settings.publish_every_update || !event.registration.links.is_empty() {
        let payload = merged.render(settings, "register", endpoint);
        actions.push(publish(&mountpoint, &settings.translators.register, payload));
    }
    for path in to_observe(settings, &event.registration, &Links::parse(merged.links, merged.alternate_path))
    {
        if let Some(observe) = observe(endpoint, &mountpoint, &path) {
            actions.push(observe);
        }
    }
    actions
}

/// Published if the condition allows it.
pub(crate) fn updated(settings: &Settings, event: &Updated) -> Vec<Action> {
    if !settings.publish_every_update && !event.links_changed {
        return vec![];
    }
    let endpoint = &event.client.endpoint;
    let mountpoint = settings.mountpoint.render(&event.client, &event.registration);
    let payload = Merged::of(settings, &event.registration, None).render(settings, "update", endpoint);
    vec![publish(&mountpoint, &settings.translators.update, payload)]
}

/// EMQX publishes nothing here.
pub(crate) fn ended(settings: &Settings, event: &Ended) -> Vec<Action> {
    if !settings.publish_deregister {
        return vec![];
    }
    let endpoint = &event.client.endpoint;
    let mountpoint = settings.mountpoint.render(&event.client, &event.registration);
    let reason = match event.reason {
        End::Deregistered => "deregistered",
        End::Expired => "expired",
        End::Removed => "removed",
    };
    let mut out = head(settings, "deregister", endpoint);
    out.extend_from_slice(b"{\"reason\":\"");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\",\"lt\":");
    json::integer(&mut out, event.registration.lifetime.into());
    out.extend_from_slice(b",\"ep\":");
    json::string(&mut out, endpoint);
    out.extend_from_slice(b"}}");
    vec![publish(&mountpoint, &settings.translators.register, out)]
}

pub(crate) fn publish(mountpoint: &str, topic: &Topic, payload: Vec<u8>) -> Action {
    let mut name = String::with_capacity(mountpoint.len() + topic.topic.len());
    name.push_str(mountpoint);
    name.push_str(&topic.topic);
    Action::Publish(Message {
        topic: name,
        payload,
        qos: topic.qos(),
        retain: false,
        properties: Properties::default(),
    })
}

/// `{"msgType":…,"ep":…,"data":` of a message that answers no command.
pub(crate) fn head(settings: &Settings, message_type: &str, endpoint: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"msgType\":\"");
    out.extend_from_slice(message_type.as_bytes());
    out.extend_from_slice(b"\",");
    if names_endpoint(settings) {
        out.extend_from_slice(b"\"ep\":");
        json::string(&mut out, endpoint);
        out.push(b',');
    }
    out.extend_from_slice(b"\"data\":");
    out
}

/// Whether messages say at top level which client they are about, because their topics do not.
pub(crate) fn names_endpoint(settings: &Settings) -> bool {
    !settings.is_strict() && !settings.mountpoint.names_client()
}

/// A registration as EMQX keeps it: over the one it replaces.
struct Merged<'a> {
    /// In descending order of their names.
    parameters: Vec<(&'a str, &'a str)>,
    lifetime: u32,
    links: &'a [u8],
    /// Of the links, if they do not say it themselves.
    alternate_path: &'a str,
}

impl<'a> Merged<'a> {
    fn of(settings: &Settings, registration: &'a Registration, previous: Option<&'a Registration>) -> Self {
        // EMQX takes an item only if it has exactly one `=`. The endpoint name is told whatever it holds: the gateway has
        // taken it.
        let is_told = |name: &str, value: &str| name == "ep" || !settings.is_strict() || !value.contains('=');
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        for of in previous.into_iter().chain([registration]) {
            for (name, value) in &of.parameters {
                let Some(value) = value.as_deref().filter(|value| is_told(name, value)) else { continue };
                parameters.retain(|(other, _)| other != name);
                if !SECRETS.contains(&name.as_str()) {
                    parameters.push((name, value));
                }
            }
        }
        parameters.sort_unstable_by(|a, b| b.0.cmp(a.0));
        let of = match previous {
            Some(previous) if registration.links.is_empty() => previous,
            _ => registration,
        };
        Self {
            parameters,
            lifetime: registration.lifetime,
            links: &of.links,
            alternate_path: &of.alternate_path,
        }
    }

    fn render(&self, settings: &Settings, message_type: &str, endpoint: &str) -> Vec<u8> {
        let mut out = head(settings, message_type, endpoint);
        let links = (!self.links.is_empty()).then(|| Links::parse(self.links, self.alternate_path));
        // The members of `data` in descending order: those that are computed go in at their places.
        let mut members: Vec<(&str, Vec<u8>)> = Vec::new();
        for (name, value) in &self.parameters {
            if *name != "lt" && (links.is_none() || !matches!(*name, "objectList" | "alternatePath")) {
                let mut text = Vec::new();
                json::string(&mut text, value);
                members.push((name, text));
            }
        }
        let mut lifetime = Vec::new();
        json::integer(&mut lifetime, self.lifetime.into());
        members.push(("lt", lifetime));
        if let Some(links) = &links {
            let mut list = vec![b'['];
            for (at, link) in links.objects.iter().enumerate() {
                if at > 0 {
                    list.push(b',');
                }
                json::string(&mut list, link);
            }
            list.push(b']');
            members.push(("objectList", list));
            let mut path = Vec::new();
            json::string(&mut path, &links.alternate_path);
            members.push(("alternatePath", path));
        }
        members.sort_by(|a, b| b.0.cmp(a.0));
        out.push(b'{');
        for (at, (name, value)) in members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json::string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b"}}");
        out
    }
}

/// Object links by EMQX's rules (section 4.3): split at each comma, attributes dropped, the alternate path taken off.
struct Links {
    alternate_path: String,
    objects: Vec<String>,
}

impl Links {
    /// `inherited` is the alternate path of before: a list that does not name it again is still below it.
    fn parse(payload: &[u8], inherited: &str) -> Self {
        let text = String::from_utf8_lossy(payload);
        let mut alternate_path = None;
        let mut targets = Vec::new();
        for link in text.split(',') {
            let mut parts = link.trim().split(';');
            let target = parts.next().unwrap_or_default().trim();
            let target = target.strip_prefix('<').unwrap_or(target);
            let target = target.strip_suffix('>').unwrap_or(target);
            // Also unquoted: a client that says so means it.
            if parts.any(|part| matches!(part.trim(), "rt=\"oma.lwm2m\"" | "rt=oma.lwm2m")) {
                alternate_path.get_or_insert_with(|| target.to_owned());
            } else {
                targets.push(target);
            }
        }
        let alternate_path = alternate_path.unwrap_or_else(|| inherited.to_owned());
        let prefix = if alternate_path == "/" { "" } else { alternate_path.as_str() };
        let objects =
            targets.iter().map(|target| target.strip_prefix(prefix).unwrap_or(target).to_owned()).collect();
        Self { alternate_path, objects }
    }
}

/// What a new registration is asked to notify (section 4.7).
fn to_observe(settings: &Settings, registration: &Registration, links: &Links) -> Vec<String> {
    match &settings.auto_observe {
        AutoObserve::Off => vec![],
        AutoObserve::All => {
            let is_wanted = |path: &&String| {
                object(path).is_some_and(|object| {
                    !IGNORED.contains(&object) && is_known(settings, registration, object)
                })
            };
            links.objects.iter().filter(is_wanted).cloned().collect()
        }
        AutoObserve::These(paths) => {
            let is_there = |path: &&String| {
                // A path below something that is registered is there too, which EMQX promises and does not do.
                let below = |object: &String| {
                    path.starts_with(object.as_str()) && path[object.len()..].starts_with('/')
                };
                links.objects.contains(path)
                    || (!settings.is_strict() && links.objects.iter().any(|of| !of.is_empty() && below(of)))
            };
            let is_known =
                |path: &&String| object(path).is_some_and(|object| is_known(settings, registration, object));
            paths.iter().filter(is_there).filter(is_known).cloned().collect()
        }
    }
}

fn object(path: &str) -> Option<u16> {
    path.trim_start_matches('/').split('/').next()?.parse().ok()
}

/// Only what has a definition is observed: in `strict` one that EMQX ships, else one of the gateway's.
fn is_known(settings: &Settings, registration: &Registration, object: u16) -> bool {
    if settings.known_objects.contains(&object) {
        return true;
    }
    if settings.is_strict() {
        return PACKAGED.contains(&object);
    }
    let defined = registration.attributes.iter().find(|(name, _)| name == "defined-objects");
    defined.is_some_and(|(_, ids)| ids.split(',').any(|id| id.parse() == Ok(object)))
}

fn observe(endpoint: &str, mountpoint: &str, path: &str) -> Option<Action> {
    let ids: Option<Vec<u16>> = path.trim_matches('/').split('/').map(|id| id.parse().ok()).collect();
    let ids = ids.filter(|ids| (1..=4).contains(&ids.len()))?;
    let members = Members::from([("is_auto_observe".to_owned(), "true".to_owned())]);
    let mut data = b"{\"path\":".to_vec();
    json::string(&mut data, path);
    data.push(b'}');
    let context =
        context::compose(Command::Observe, None, mountpoint, path, &members, &String::from_utf8(data).ok()?);
    let operation = Operation::Observe(Observe { path: Path::new(&ids), queries: vec![], accept: None });
    Some(perform(endpoint, operation, context))
}

/// Objects that `auto_observe = true` leaves out.
const IGNORED: [u16; 9] = [0, 1, 2, 4, 5, 6, 7, 9, 15];
/// Objects whose definitions EMQX ships.
const PACKAGED: [u16; 7] = [0, 1, 2, 3, 5, 6, 7];
/// Parameters that are not published (section 4.10).
const SECRETS: [&str; 29] = [
    "access_key_id",
    "access_key_secret",
    "access_token",
    "account_key",
    "api_key",
    "api_secret",
    "aws_secret_access_key",
    "bind_password",
    "client_jwks",
    "client_secret",
    "id_token",
    "jwk",
    "jwt",
    "mfa_token",
    "new_pwd",
    "old_pwd",
    "passcode",
    "passwd",
    "password",
    "private_key",
    "private_key_password",
    "refresh_token",
    "secret",
    "secret_access_key",
    "secret_key",
    "security_token",
    "sentinel_password",
    "sp_private_key",
    "token",
];

#[cfg(test)]
mod tests;
