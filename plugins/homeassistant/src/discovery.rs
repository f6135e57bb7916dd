//! The configuration of an object instance: a device-based discovery message (Home Assistant, MQTT integration). There is one for
//! each instance; all of a client's belong to the same device, as they name it alike.

use serde_json::{Map, Value as Json, json};
use tidegate_sdk::{Content, Value};

use crate::entity::{Measured, Object, Part, Platform, Unit};
use crate::settings::Settings;
use crate::topic::{self, Instance};
use crate::unit;

/// What of an object there is, by what an instance has answered.
pub(crate) fn parts(object: &Object, content: &Content, settings: &Settings) -> Vec<&'static Part> {
    let is_there = |part: &&Part| match part.platform {
        // Mandatory, and not in the answer to a read.
        Platform::Button { .. } => settings.restart,
        _ => find(content, part.resource).is_some(),
    };
    let all: &'static [Part] = object.parts;
    all.iter().filter(is_there).collect()
}

/// The configuration; nothing, if there is no entity.
pub(crate) fn config(of: &Instance, object: &Object, parts: &[&Part], content: &Content) -> Option<Json> {
    let name = match text(content, APPLICATION_TYPE) {
        Some(name) if object.id != DEVICE => name.to_owned(),
        _ if of.id == 0 => object.name.to_owned(),
        _ => format!("{} {}", object.name, of.id),
    };
    let components: Map<String, Json> = parts
        .iter()
        .filter_map(|part| Some((part.resource.to_string(), component(of, part, &name, content)?)))
        .collect();
    if components.is_empty() {
        return None;
    }
    let mut config = json!({
        "device": { "identifiers": [of.endpoint], "name": of.endpoint },
        "origin": { "name": "tidegate", "sw_version": env!("CARGO_PKG_VERSION") },
        "components": components,
        "availability_topic": topic::availability(of.settings, of.endpoint),
        "qos": of.settings.qos as u8,
    });
    if object.id == DEVICE {
        for (resource, key) in DEVICE_KEYS {
            if let Some(text) = text(content, *resource) {
                config["device"][*key] = text.into();
            }
        }
    }
    Some(config)
}

fn component(of: &Instance, part: &Part, name: &str, content: &Content) -> Option<Json> {
    let name = match (name, part.name) {
        ("", own) => own.to_owned(),
        (name, "") => name.to_owned(),
        (name, own) => format!("{name} {own}"),
    };
    let mut component = json!({
        "platform": platform(&part.platform)?,
        "name": name,
        "unique_id": of.unique_id(part.resource),
    });
    let mut set = |key: &str, value: Json| component[key] = value;
    let (state_topic, command_topic) = (of.state_topic(part.resource), of.command_topic(part.resource));
    match &part.platform {
        Platform::Sensor { class, unit, kind } => {
            let unit = unit_of(of, *unit, content);
            if unit::fits(class, unit) {
                set("device_class", (*class).into());
            }
            if let Some(unit) = unit {
                set("unit_of_measurement", unit.into());
            }
            match kind {
                Measured::Now => set("state_class", "measurement".into()),
                Measured::Total => set("state_class", "total_increasing".into()),
                Measured::No => {}
            }
            if of.object == DEVICE {
                set("entity_category", "diagnostic".into());
            }
            set("state_topic", state_topic.into());
        }
        Platform::BinarySensor { class } => {
            if !class.is_empty() {
                set("device_class", (*class).into());
            }
            set("state_topic", state_topic.into());
        }
        Platform::Light => {
            if find(content, DIMMER).is_some() {
                set("brightness_state_topic", of.state_topic(DIMMER).into());
                set("brightness_command_topic", of.command_topic(DIMMER).into());
                set("brightness_scale", 100.into());
            }
            set("state_topic", state_topic.into());
            set("command_topic", command_topic.into());
        }
        Platform::Number { low, high, step, unit } => {
            set("min", number(content, MIN_RANGE).unwrap_or(*low).into());
            set("max", number(content, MAX_RANGE).unwrap_or(*high).into());
            set("step", (*step).into());
            if let Some(unit) = unit_of(of, *unit, content) {
                set("unit_of_measurement", unit.into());
            }
            set("state_topic", state_topic.into());
            set("command_topic", command_topic.into());
        }
        Platform::Switch | Platform::Text => {
            set("state_topic", state_topic.into());
            set("command_topic", command_topic.into());
        }
        Platform::Button { class } => {
            set("device_class", (*class).into());
            set("entity_category", "config".into());
            set("command_topic", command_topic.into());
        }
        Platform::Brightness => {}
    }
    Some(component)
}

fn platform(of: &Platform) -> Option<&'static str> {
    Some(match of {
        Platform::Sensor { .. } => "sensor",
        Platform::BinarySensor { .. } => "binary_sensor",
        Platform::Switch => "switch",
        Platform::Light => "light",
        Platform::Number { .. } => "number",
        Platform::Text => "text",
        Platform::Button { .. } => "button",
        Platform::Brightness => return None,
    })
}

fn unit_of<'a>(of: &'a Instance, unit: Unit, content: &'a Content) -> Option<&'a str> {
    let unit = match unit {
        Unit::Is(unit) => unit,
        Unit::Stated(default) => match (of.settings.units.get(&of.object), text(content, UNITS)) {
            (Some(unit), _) => unit,
            (None, Some(stated)) => unit::of_device(stated).unwrap_or_default(),
            (None, None) => default,
        },
    };
    (!unit.is_empty()).then_some(unit)
}

/// The value of a resource; not of an instance of one.
fn find(content: &Content, resource: u16) -> Option<&Value> {
    let is_it = |of: &&tidegate_sdk::Sample| {
        of.path.resource == Some(resource) && of.path.resource_instance.is_none()
    };
    content.samples.iter().find(is_it).map(|of| &of.value)
}

fn text(content: &Content, resource: u16) -> Option<&str> {
    match find(content, resource)? {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn number(content: &Content, resource: u16) -> Option<f64> {
    match find(content, resource)? {
        Value::Float(number) if number.is_finite() => Some(*number),
        #[allow(clippy::cast_precision_loss)] // a limit of a slider
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

/// The object of that name.
const DEVICE: u16 = 3;
/// Its resources, as Home Assistant calls them.
const DEVICE_KEYS: &[(u16, &str)] =
    &[(0, "manufacturer"), (1, "model"), (2, "serial_number"), (3, "sw_version"), (18, "hw_version")];
const MIN_RANGE: u16 = 5603;
const MAX_RANGE: u16 = 5604;
const UNITS: u16 = 5701;
const APPLICATION_TYPE: u16 = 5750;
const DIMMER: u16 = 5851;
