//! Units: what devices write, and what Home Assistant takes with which class of device.

/// A unit as Home Assistant has it, of what a device says in its resource 5701: units of SenML (RFC 8428, 12.1; RFC 8798),
/// of UCUM, and what else is usual. What is not known stays as it is.
pub(crate) fn of_device(stated: &str) -> Option<&str> {
    let unit = match stated.trim() {
        "" => return None,
        "Cel" | "C" | "°C" | "degC" | "Celsius" | "celsius" | "Degrees Celsius" | "℃" => "°C",
        "Fahrenheit" | "F" | "degF" | "[degF]" | "°F" => "°F",
        "Kelvin" => "K",
        "%RH" | "RH" | "%EL" | "percent" | "Percent" | "/100" => "%",
        "lux" | "Lux" | "LUX" => "lx",
        "volt" | "Volt" | "Volts" => "V",
        "ampere" | "Ampere" => "A",
        "watt" | "Watt" => "W",
        "hertz" | "Hertz" => "Hz",
        "pascal" | "Pascal" => "Pa",
        "meter" | "metre" | "Meter" => "m",
        "dBspl" | "dB[SPL]" => "dB",
        "deg" | "degree" | "degrees" => "°",
        "m/s2" | "m/s^2" => "m/s²",
        "uS/cm" => "µS/cm",
        "ug/m3" | "ug/m^3" => "µg/m³",
        "pH" => return None,
        other => other,
    };
    Some(unit)
}

/// Whether Home Assistant takes a sensor of this class with this unit; without a unit only a few are.
pub(crate) fn fits(class: &str, unit: Option<&str>) -> bool {
    let units: &[&str] = match class {
        "temperature" => &["°C", "°F", "K"],
        "humidity" | "battery" => &["%"],
        "illuminance" => &["lx"],
        "power" => &["mW", "W", "kW", "MW", "GW", "TW"],
        "reactive_power" => &["var", "kvar"],
        "reactive_energy" => &["varh", "kvarh"],
        "energy" => &["J", "kJ", "MJ", "GJ", "Wh", "kWh", "MWh", "GWh"],
        "atmospheric_pressure" | "pressure" => {
            &["Pa", "hPa", "kPa", "bar", "cbar", "mbar", "mmHg", "inHg", "psi"]
        }
        "voltage" => &["µV", "mV", "V", "kV"],
        "current" => &["mA", "A"],
        "frequency" => &["Hz", "kHz", "MHz", "GHz"],
        "distance" => &["mm", "cm", "m", "km", "in", "yd", "mi"],
        "weight" => &["µg", "mg", "g", "kg", "oz", "lb", "st"],
        "sound_pressure" => &["dB", "dBA"],
        "conductivity" => &["µS/cm", "mS/cm", "S/cm"],
        "duration" => &["ms", "s", "min", "h", "d"],
        "power_factor" => return unit.is_none() || unit == Some("%"),
        "ph" => return unit.is_none(),
        _ => return false,
    };
    unit.is_some_and(|unit| units.contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_senml_are_those_of_home_assistant() {
        assert_eq!(of_device("Cel"), Some("°C"));
        assert_eq!(of_device(" %RH "), Some("%"));
        assert_eq!(of_device("kPa"), Some("kPa"));
        assert_eq!(of_device("furlong"), Some("furlong"));
        assert_eq!(of_device(""), None);
    }

    #[test]
    fn a_class_is_taken_with_its_units_only() {
        assert!(fits("temperature", Some("K")));
        assert!(!fits("temperature", Some("Cel")) && !fits("temperature", None));
        assert!(fits("ph", None) && !fits("ph", Some("V")));
        assert!(fits("power_factor", None) && fits("power_factor", Some("%")));
        assert!(!fits("no such class", Some("K")));
    }
}
