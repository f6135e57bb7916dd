//! Units, in the names that SenML registers (RFC 8428, 12.1; RFC 8798).

use tidegate_sdk::{Path, Sample, Value};

/// The unit of a value: what its definition says, or for a sensor's value what its instance says in the same content (5701).
pub(crate) fn of<'a>(path: &Path, samples: &'a [Sample]) -> Option<&'a str> {
    let (object, resource) = (path.object?, path.resource?);
    if let Some((.., unit)) = OF_OBJECT.iter().find(|(of, id, _)| (*of, *id) == (object, resource)) {
        return Some(unit);
    }
    if resource < FIRST_REUSABLE {
        return None;
    }
    if let Some((_, unit)) = REUSABLE.iter().find(|(ids, _)| ids.contains(&resource)) {
        return Some(unit);
    }
    if !MEASURED.contains(&resource) {
        return None;
    }
    let stated = samples.iter().find(|of| {
        of.path.resource == Some(UNITS)
            && of.path.object == path.object
            && of.path.object_instance == path.object_instance
    });
    match &stated?.value {
        Value::Text(text) => registered(text.trim()),
        _ => None,
    }
}

/// The registered name of what devices write.
fn registered(stated: &str) -> Option<&str> {
    match stated {
        "" => None,
        "C" | "°C" | "℃" | "degC" | "Celsius" => Some("Cel"),
        "RH" | "%rh" => Some("%RH"),
        "lux" | "Lux" => Some("lx"),
        "°" | "degree" | "degrees" => Some("deg"),
        "m/s^2" | "m/s²" => Some("m/s2"),
        // SenML has symbols, without spaces.
        other if other.len() <= 16 && other.bytes().all(|byte| byte.is_ascii_graphic()) => Some(other),
        _ => None,
    }
}

/// Units of the OMA registry's definitions, by object and resource.
const OF_OBJECT: &[(u16, u16, &str)] = &[
    (3, 9, "/100"),
    (4, 2, "dBm"),
    (4, 6, "/100"),
    (4, 11, "dB"),
    (6, 0, "lat"),
    (6, 1, "lon"),
    (6, 2, "m"),
    (6, 3, "m"),
    (6, 6, "m/s"),
    (7, 4, "B"),
    (7, 5, "B"),
    (7, 8, "s"),
];
/// Of resources that mean the same in every object.
const REUSABLE: &[(&[u16], &str)] = &[
    (&[5503, 5903, 5904], "ms"),
    (&[5507, 5521, 5524, 5525, 5537, 5538, 5544, 5852, 5854, 6050], "s"),
    (&[5531, 5536, 5548, 5827, 5828, 5851], "/100"),
    (&[5705], "deg"),
    (&[5800, 5801, 5802, 5803, 5804, 5806], "W"),
    (&[5805], "Wh"),
    (&[5810, 5811, 5812, 5813, 5814, 5816], "var"),
    (&[5815], "varh"),
    (&[5825], "min"),
    (&[6051], "lat"),
    (&[6052], "lon"),
    (&[6053], "m"),
];
/// Resources in the unit that the instance states: values, and what they were at least and at most.
const MEASURED: [u16; 9] = [5601, 5602, 5603, 5604, 5700, 5702, 5703, 5704, 5900];
const FIRST_REUSABLE: u16 = 2048;
const UNITS: u16 = 5701;
