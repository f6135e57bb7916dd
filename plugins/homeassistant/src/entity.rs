//! Which resources of which objects are which entities. Objects and resources are those of the OMA registry.

use tidegate_sdk::Path;

/// An object that there are entities for.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) id: u16,
    /// What its entities are called, unless the instance says it itself; empty if each has a name of its own.
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [Part],
}

/// A resource.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) resource: u16,
    /// After the name of the object, or in its place; empty if it is the object's main value.
    pub(crate) name: &'static str,
    pub(crate) platform: Platform,
}

/// What it is to Home Assistant.
#[derive(Debug)]
pub(crate) enum Platform {
    /// A number or a text to look at.
    Sensor { class: &'static str, unit: Unit, kind: Measured },
    /// On or off, to look at.
    BinarySensor { class: &'static str },
    /// On or off.
    Switch,
    /// On or off, with the brightness of resource 5851 if there is one.
    Light,
    /// The brightness of a light: no entity of its own.
    Brightness,
    /// A number.
    Number { low: f64, high: f64, step: f64, unit: Unit },
    /// A text.
    Text,
    /// To be executed.
    Button { class: &'static str },
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// By the definition of the resource.
    Is(&'static str),
    /// What the instance says in its resource 5701; if it says nothing, this. Empty is none.
    Stated(&'static str),
}

/// How Home Assistant is to count a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    /// A value that goes up and down.
    Now,
    /// A meter.
    Total,
    /// Not at all.
    No,
}

impl Object {
    pub(crate) fn get(id: u16) -> Option<&'static Self> {
        OBJECTS.binary_search_by_key(&id, |object| object.id).ok().map(|at| &OBJECTS[at])
    }
}

/// The part at the path of a resource.
pub(crate) fn part(path: &Path) -> Option<&'static Part> {
    if path.object_instance.is_none() || path.resource_instance.is_some() {
        return None;
    }
    Object::get(path.object?)?.parts.iter().find(|part| Some(part.resource) == path.resource)
}

const fn object(id: u16, name: &'static str, parts: &'static [Part]) -> Object {
    Object { id, name, parts }
}

const fn part_of(resource: u16, name: &'static str, platform: Platform) -> Part {
    Part { resource, name, platform }
}

const fn value(class: &'static str, unit: &'static str) -> [Part; 1] {
    [part_of(5700, "", sensor(class, Unit::Stated(unit)))]
}

const fn sensor(class: &'static str, unit: Unit) -> Platform {
    Platform::Sensor { class, unit, kind: Measured::Now }
}

const fn total(class: &'static str, unit: Unit) -> Platform {
    Platform::Sensor { class, unit, kind: Measured::Total }
}

const fn axis(resource: u16, name: &'static str) -> Part {
    part_of(resource, name, sensor("", Unit::Stated("")))
}

const fn level(resource: u16, name: &'static str) -> Part {
    part_of(resource, name, Platform::Number { low: 0.0, high: 100.0, step: 1.0, unit: Unit::Is("%") })
}

const fn seconds(resource: u16, name: &'static str) -> Part {
    part_of(resource, name, Platform::Number { low: 0.0, high: 86_400.0, step: 0.1, unit: Unit::Is("s") })
}

const COUNTER: Part = part_of(5501, "counter", total("", Unit::Is("")));
const ENERGY: Part = part_of(5805, "energy", total("energy", Unit::Is("Wh")));
const POWER_FACTOR: Part = part_of(5820, "power factor", sensor("power_factor", Unit::Is("")));
const INPUT: Part = part_of(5500, "", Platform::BinarySensor { class: "" });

/// In the order of their ids.
static OBJECTS: &[Object] = &[
    object(
        3,
        "",
        &[
            part_of(4, "Restart", Platform::Button { class: "restart" }),
            part_of(9, "Battery", sensor("battery", Unit::Is("%"))),
        ],
    ),
    object(3300, "Sensor", &value("", "")),
    object(3301, "Illuminance", &value("illuminance", "lx")),
    object(3302, "Presence", &[part_of(5500, "", Platform::BinarySensor { class: "occupancy" }), COUNTER]),
    object(3303, "Temperature", &value("temperature", "°C")),
    object(3304, "Humidity", &value("humidity", "%")),
    object(
        3305,
        "Power",
        &[
            part_of(5800, "", sensor("power", Unit::Is("W"))),
            ENERGY,
            part_of(5810, "reactive", sensor("reactive_power", Unit::Is("var"))),
            part_of(5815, "reactive energy", total("reactive_energy", Unit::Is("varh"))),
            POWER_FACTOR,
        ],
    ),
    object(3306, "Actuation", &[part_of(5850, "", Platform::Switch), level(5851, "level")]),
    object(
        3308,
        "Set point",
        &[part_of(
            5900,
            "",
            Platform::Number { low: -1000.0, high: 1000.0, step: 0.1, unit: Unit::Stated("") },
        )],
    ),
    object(
        3311,
        "Light",
        &[
            part_of(5850, "", Platform::Light),
            part_of(5851, "", Platform::Brightness),
            ENERGY,
            POWER_FACTOR,
            part_of(5706, "colour", Platform::Text),
        ],
    ),
    object(
        3312,
        "Power control",
        &[part_of(5850, "", Platform::Switch), level(5851, "level"), ENERGY, POWER_FACTOR],
    ),
    object(3313, "Acceleration", &[axis(5702, "x"), axis(5703, "y"), axis(5704, "z")]),
    object(
        3314,
        "Magnetic field",
        &[
            axis(5702, "x"),
            axis(5703, "y"),
            axis(5704, "z"),
            part_of(5705, "direction", sensor("", Unit::Is("°"))),
        ],
    ),
    object(3315, "Atmospheric pressure", &value("atmospheric_pressure", "")),
    object(3316, "Voltage", &value("voltage", "V")),
    object(3317, "Current", &value("current", "A")),
    object(3318, "Frequency", &value("frequency", "Hz")),
    object(3319, "Depth", &value("distance", "m")),
    object(3320, "Percentage", &value("", "%")),
    object(3321, "Altitude", &value("distance", "m")),
    object(3322, "Load", &value("weight", "")),
    object(3323, "Pressure", &value("pressure", "")),
    object(3324, "Loudness", &value("sound_pressure", "dB")),
    object(3325, "Concentration", &value("", "")),
    object(3326, "Acidity", &value("ph", "")),
    object(3327, "Conductivity", &value("conductivity", "")),
    object(3328, "Power", &value("power", "W")),
    object(3329, "Power factor", &value("power_factor", "")),
    object(3330, "Distance", &value("distance", "m")),
    object(3332, "Direction", &[part_of(5705, "", sensor("", Unit::Is("°")))]),
    object(3335, "Colour", &[part_of(5706, "", Platform::Text)]),
    object(3337, "Position", &[level(5536, "")]),
    object(3338, "Buzzer", &[part_of(5850, "", Platform::Switch), level(5548, "level")]),
    object(
        3340,
        "Timer",
        &[
            part_of(5850, "", Platform::Switch),
            seconds(5521, "delay"),
            part_of(5538, "remaining", sensor("duration", Unit::Is("s"))),
            part_of(5543, "output", Platform::BinarySensor { class: "" }),
        ],
    ),
    object(3342, "Switch", &[INPUT, COUNTER]),
    object(3343, "Dimmer", &[level(5548, "")]),
    object(3345, "Joystick", &[INPUT, COUNTER, axis(5702, "x"), axis(5703, "y"), axis(5704, "z")]),
    object(3346, "Rate", &value("", "")),
    object(3347, "Button", &[INPUT, COUNTER]),
    object(
        3348,
        "Selector",
        &[part_of(5547, "", Platform::Sensor { class: "", unit: Unit::Is(""), kind: Measured::No })],
    ),
    object(
        3349,
        "Bitmap",
        &[part_of(5910, "", Platform::Sensor { class: "", unit: Unit::Is(""), kind: Measured::No })],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_in_order_and_each_is_found() {
        assert!(OBJECTS.windows(2).all(|two| two[0].id < two[1].id));
        for object in OBJECTS {
            assert_eq!(Object::get(object.id).map(|found| found.name), Some(object.name));
        }
        assert!(Object::get(1).is_none());
    }

    #[test]
    fn the_manifest_claims_all_of_them_but_the_device() {
        let manifest = include_str!("../translator.toml");
        let list = manifest.split_once("objects = [").unwrap().1.split_once(']').unwrap().0;
        let claimed: Vec<u16> = list.split([',', '\n', ' ']).filter_map(|id| id.parse().ok()).collect();
        let known: Vec<u16> = OBJECTS.iter().map(|object| object.id).filter(|id| *id != 3).collect();
        assert_eq!(claimed, known, "every client has the object 3, and would be claimed for it");
    }

    #[test]
    fn a_part_is_a_resource_of_an_instance() {
        assert!(part(&Path::new(&[3303, 0, 5700])).is_some());
        for ids in [&[][..], &[3303], &[3303, 0], &[3303, 0, 5701], &[3303, 0, 5700, 0], &[9, 0, 0]] {
            assert!(part(&Path::new(ids)).is_none(), "{ids:?}");
        }
    }
}
