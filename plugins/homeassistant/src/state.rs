//! Values as Home Assistant reads them.

use tidegate_sdk::Value;

use crate::entity::Platform;

/// The state of an entity; nothing, if the value is none for it.
pub(crate) fn render(platform: &Platform, value: &Value) -> Option<String> {
    match platform {
        Platform::Switch | Platform::Light | Platform::BinarySensor { .. } => match value {
            Value::Boolean(is_on) => Some(switch(*is_on).to_owned()),
            Value::Integer(number) => Some(switch(*number != 0).to_owned()),
            Value::Unsigned(number) => Some(switch(*number != 0).to_owned()),
            Value::Null => Some(UNKNOWN.to_owned()),
            _ => None,
        },
        Platform::Sensor { .. } => number(value).or_else(|| text(value)),
        Platform::Number { .. } | Platform::Brightness => number(value),
        Platform::Text => text(value),
        Platform::Button { .. } => None,
    }
}

pub(crate) fn switch(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) | Value::Time(number) => Some(number.to_string()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Float(number) if number.is_finite() => Some(number.to_string()),
        Value::Float(_) | Value::Null => Some(UNKNOWN.to_owned()),
        _ => None,
    }
}

/// Cut to what a state may have: 255 characters.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::CoreLink(text) => Some(text.chars().take(255).collect()),
        Value::Boolean(is_on) => Some(switch(*is_on).to_owned()),
        _ => None,
    }
}

/// The state "unknown".
const UNKNOWN: &str = "None";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Measured, Unit};

    const SENSOR: Platform = Platform::Sensor { class: "", unit: Unit::Is(""), kind: Measured::No };

    #[test]
    fn numbers_have_no_more_digits_than_they_need() {
        assert_eq!(render(&SENSOR, &Value::Float(21.5)).as_deref(), Some("21.5"));
        assert_eq!(render(&SENSOR, &Value::Float(21.0)).as_deref(), Some("21"));
        assert_eq!(render(&SENSOR, &Value::Unsigned(u64::MAX)).as_deref(), Some("18446744073709551615"));
        assert_eq!(render(&SENSOR, &Value::Float(f64::NAN)).as_deref(), Some("None"));
    }

    #[test]
    fn what_is_no_state_is_left_out() {
        assert_eq!(render(&Platform::Switch, &Value::Text("on".into())), None);
        assert_eq!(render(&SENSOR, &Value::Opaque(vec![1])), None);
        assert_eq!(render(&Platform::Brightness, &Value::Text("50".into())), None);
        assert_eq!(render(&Platform::Text, &Value::Float(1.0)), None);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(render(&Platform::Text, &Value::Text("ü".repeat(300))).unwrap().chars().count(), 255);
    }
}
