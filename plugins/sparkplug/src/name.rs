//! Names of edge nodes, devices and metrics, and what they name.

use std::collections::BTreeMap;

use tidegate_sdk::{Path, from_topic_level, topic_level};

/// The endpoint name as an edge node id; what topics give a meaning is percent-encoded.
pub(crate) fn node(endpoint: &str) -> String {
    topic_level(endpoint).into_owned()
}

/// The endpoint name of an edge node id.
pub(crate) fn endpoint(node: &str) -> String {
    from_topic_level(node).into_owned()
}

/// An object instance as a device id, such as `3303:0`.
pub(crate) fn device(object: u16, instance: u16) -> String {
    format!("{object}:{instance}")
}

/// The object instance of a device id.
pub(crate) fn instance(device: &str) -> Option<(u16, u16)> {
    let (object, instance) = device.split_once(':')?;
    Some((number(object)?, number(instance)?))
}

/// Names of resources: the settings', else those of their definitions as far as they are known here, else their ids.
#[derive(Debug, Default)]
pub(crate) struct Names {
    own: BTreeMap<(u16, u16), String>,
}

impl Names {
    /// From the settings.
    pub(crate) fn new(own: BTreeMap<(u16, u16), String>) -> Self {
        Self { own }
    }

    /// The name of a resource in its device; none for what is no resource.
    pub(crate) fn of(&self, path: &Path) -> Option<String> {
        let (object, resource) = (path.object?, path.resource?);
        path.object_instance?;
        let name = self.resource(object, resource).map_or_else(|| resource.to_string(), str::to_owned);
        Some(match path.resource_instance {
            Some(instance) => format!("{name}/{instance}"),
            None => name,
        })
    }

    /// The path of a name in a device. The id in place of a name is understood, too.
    pub(crate) fn path(&self, (object, instance): (u16, u16), name: &str) -> Option<Path> {
        if let Some(resource) = self.id(object, name) {
            return Some(Path::new(&[object, instance, resource]));
        }
        let (name, resource_instance) = name.rsplit_once('/')?;
        Some(Path::new(&[object, instance, self.id(object, name)?, number(resource_instance)?]))
    }

    fn id(&self, object: u16, name: &str) -> Option<u16> {
        let own = self.own.iter().find(|((of, _), own)| *of == object && *own == name);
        let known = || {
            let known = KNOWN.iter().find(|(of, _, known)| is_of(*of, object) && *known == name);
            // It goes by another name.
            known.map(|(_, id, _)| *id).filter(|id| self.resource(object, *id) == Some(name))
        };
        own.map(|((_, id), _)| *id).or_else(known).or_else(|| number(name))
    }

    fn resource(&self, object: u16, id: u16) -> Option<&str> {
        let own = self.own.get(&(object, id)).map(String::as_str);
        own.or_else(|| {
            let known = KNOWN.iter().find(|known| is_of(known.0, object) && known.1 == id)?.2;
            // The settings have called something else so.
            let is_taken = self.own.iter().any(|((of, _), own)| *of == object && own == known);
            (!is_taken).then_some(known)
        })
    }
}

/// Whether an entry is about an object: 0 stands for all IPSO objects, which share their resources.
fn is_of(of: u16, object: u16) -> bool {
    of == object || of == 0 && (3200..=3499).contains(&object)
}

/// Digits without any before them that say nothing, so that no two names are one id.
fn number(text: &str) -> Option<u16> {
    let number = text.parse::<u16>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Object, resource and its name in the registry of the Open Mobile Alliance.
const KNOWN: &[(u16, u16, &str)] = &[
    (3, 0, "Manufacturer"),
    (3, 1, "Model Number"),
    (3, 2, "Serial Number"),
    (3, 3, "Firmware Version"),
    (3, 6, "Available Power Sources"),
    (3, 7, "Power Source Voltage"),
    (3, 8, "Power Source Current"),
    (3, 9, "Battery Level"),
    (3, 10, "Memory Free"),
    (3, 11, "Error Code"),
    (3, 13, "Current Time"),
    (3, 14, "UTC Offset"),
    (3, 15, "Timezone"),
    (3, 16, "Supported Binding and Modes"),
    (3, 17, "Device Type"),
    (3, 18, "Hardware Version"),
    (3, 19, "Software Version"),
    (3, 20, "Battery Status"),
    (3, 21, "Memory Total"),
    (4, 0, "Network Bearer"),
    (4, 1, "Available Network Bearer"),
    (4, 2, "Radio Signal Strength"),
    (4, 3, "Link Quality"),
    (4, 4, "IP Addresses"),
    (6, 0, "Latitude"),
    (6, 1, "Longitude"),
    (6, 2, "Altitude"),
    (6, 5, "Timestamp"),
    (6, 6, "Speed"),
    (0, 5500, "Digital Input State"),
    (0, 5501, "Digital Input Counter"),
    (0, 5550, "Digital Output State"),
    (0, 5600, "Analog Input Current Value"),
    (0, 5601, "Min Measured Value"),
    (0, 5602, "Max Measured Value"),
    (0, 5603, "Min Range Value"),
    (0, 5604, "Max Range Value"),
    (0, 5650, "Analog Output Current Value"),
    (0, 5700, "Sensor Value"),
    (0, 5701, "Sensor Units"),
    (0, 5702, "X Value"),
    (0, 5703, "Y Value"),
    (0, 5704, "Z Value"),
    (0, 5750, "Application Type"),
    (0, 5800, "Active Power"),
    (0, 5805, "Cumulative Active Power"),
    (0, 5820, "Power Factor"),
    (0, 5850, "On/Off"),
    (0, 5851, "Dimmer"),
    (0, 5852, "On Time"),
    (0, 5900, "Set Point Value"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &Names, device: (u16, u16), name: &str) -> Option<Vec<u16>> {
        names.path(device, name).map(|path| path.ids().collect())
    }

    #[test]
    fn each_name_names_what_it_is_the_name_of() {
        let own = [((3303, 5700), "Temperature".to_owned()), ((3311, 5850), "Dimmer".to_owned())];
        let names = Names::new(own.into());
        for (ids, name) in [
            (&[3303, 0, 5700][..], "Temperature"),
            (&[3304, 1, 5700], "Sensor Value"),
            (&[3311, 0, 5850], "Dimmer"),
            (&[3311, 0, 5851], "5851"),
            (&[3312, 0, 5850], "On/Off"),
            (&[3312, 0, 5850, 3], "On/Off/3"),
            (&[3, 0, 11, 0], "Error Code/0"),
            (&[1234, 0, 7], "7"),
            (&[1234, 0, 7, 2], "7/2"),
        ] {
            let path = Path::new(ids);
            assert_eq!(names.of(&path).as_deref(), Some(name));
            assert_eq!(found(&names, (ids[0], ids[1]), name).as_deref(), Some(ids), "{name}");
        }
        assert_eq!(found(&names, (3303, 0), "5700"), Some(vec![3303, 0, 5700]), "by its id");
        assert_eq!(found(&names, (3303, 0), "Sensor Value"), None, "it has another name");
        for name in ["", "05700", "+1", "70000", "Temperature/x"] {
            assert_eq!(found(&names, (3303, 0), name), None, "{name}");
        }
    }

    #[test]
    fn devices_are_object_instances() {
        assert_eq!(instance(&device(3303, 1)), Some((3303, 1)));
        for id in ["3303", "3303:", "03:0", "3303:0:1", "70000:0"] {
            assert_eq!(instance(id), None, "{id}");
        }
    }
}
