//! The topic of a command for a client, by the settings of the translator.

use std::borrow::Cow;

use serde_json::Value as Json;
use tidegate_proto::lwm2m::registration::Registration;

/// None if no topic names the client.
pub(super) fn of(settings: &Json, registration: &Registration) -> Option<String> {
    let mountpoint = settings["mountpoint"].as_str().unwrap_or_default();
    let command = settings["translators"]["command"]["topic"].as_str().unwrap_or("dn/#");
    let (mountpoint, names_client) = render(mountpoint, registration);
    let name = level(&registration.endpoint);
    let mut is_named = names_client;
    let mut levels = Vec::new();
    for part in command.split('/') {
        match part {
            "+" | "#" if !is_named => {
                is_named = true;
                levels.push(name.clone());
            }
            "+" => levels.push("x".into()),
            "#" => {}
            other => levels.push(other.into()),
        }
    }
    is_named.then(|| format!("{mountpoint}{}", levels.join("/")))
}

/// The mountpoint of a client, and whether it names the client.
pub(super) fn render(mountpoint: &str, registration: &Registration) -> (String, bool) {
    let parameter = |name: &str| registration.parameter(name).unwrap_or(&registration.endpoint);
    let host = registration.peer.address.ip().to_string();
    let mut names_client = false;
    let mut text = mountpoint.replace("${zone}", "default").replace("${peerhost}", &level(&host));
    for (placeholder, value) in [
        ("${endpoint_name}", &*registration.endpoint),
        ("${clientid}", parameter("device_id")),
        ("${username}", parameter("imei")),
    ] {
        if text.contains(placeholder) {
            names_client = true;
            text = text.replace(placeholder, &level(value));
        }
    }
    (text, names_client)
}

/// A text as one level of a topic: what would be more than that is percent-encoded, as translators do it.
fn level(text: &str) -> Cow<'static, str> {
    let mut level = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '/' | '+' | '#' | '%') || character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                level += &format!("%{byte:02X}");
            }
        } else {
            level.push(character);
        }
    }
    level.into()
}
