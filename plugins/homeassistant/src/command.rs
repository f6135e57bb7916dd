//! What Home Assistant publishes.

use tidegate_sdk::{
    Action, Body, Execute, Fault, Kind, Message, Operation, Path, Sample, Value, Write, WriteMode, perform,
};

use crate::entity::{self, Platform};
use crate::settings::Settings;
use crate::{state, topic};

/// A command becomes a write, or an execute.
pub(crate) fn translate(settings: &Settings, message: &Message) -> Result<Vec<Action>, Fault> {
    let topic = &message.topic;
    let Some((endpoint, path)) = topic::addressee(settings, topic) else {
        return Err(Fault::Unsupported(format!("{topic} is no topic of commands")));
    };
    let Some(part) = entity::part(&path) else {
        return Err(Fault::Unsupported(format!("{topic}: {path} belongs to no entity")));
    };
    if message.retain {
        // It would be obeyed again after each restart of the gateway.
        return Err(Fault::Malformed(format!("{topic}: a command must not be retained")));
    }
    let payload = std::str::from_utf8(&message.payload)
        .map_err(|_| Fault::Malformed(format!("{topic}: the payload is no text")))?;
    let wrong = |expected: &str| Fault::Malformed(format!("{topic}: {payload:?} is not {expected}"));
    let (value, kind) = match &part.platform {
        Platform::Switch | Platform::Light => match payload {
            "ON" => (Value::Boolean(true), Kind::Boolean),
            "OFF" => (Value::Boolean(false), Kind::Boolean),
            _ => return Err(wrong("ON or OFF")),
        },
        Platform::Brightness => {
            let level = number(payload, 0.0, 100.0).ok_or_else(|| wrong("a number from 0 to 100"))?;
            (Value::Float(level.round()), Kind::Integer)
        }
        Platform::Number { low, high, step, .. } => {
            let number =
                number(payload, f64::NEG_INFINITY, f64::INFINITY).ok_or_else(|| wrong("a number"))?;
            // What has whole steps may be an integer to the client; the limits are those of the client.
            let is_level = (*low, *high, *step) == (0.0, 100.0, 1.0);
            (Value::Float(if is_level { number.round() } else { number }), Kind::Float)
        }
        Platform::Text => (Value::Text(payload.to_owned()), Kind::Text),
        Platform::Button { .. } if payload == "PRESS" => {
            let execute = Execute { path, queries: vec![], arguments: None };
            return Ok(vec![perform(endpoint, Operation::Execute(execute), "")]);
        }
        Platform::Button { .. } => return Err(wrong("PRESS")),
        Platform::Sensor { .. } | Platform::BinarySensor { .. } => {
            return Err(Fault::Unsupported(format!("{topic}: {path} cannot be set")));
        }
    };
    let context = match state::render(&part.platform, &value) {
        Some(state) => format!("{WRITTEN}{state}"),
        None => String::new(),
    };
    Ok(vec![perform(endpoint, write(path, value, kind), context)])
}

fn number(text: &str, low: f64, high: f64) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= low && number <= high).then_some(number)
}

fn write(path: Path, value: Value, kind: Kind) -> Operation {
    let body = Body::Samples(vec![Sample { path, value, kind: Some(kind), taken: None }]);
    Operation::Write(Write { path, queries: vec![], mode: WriteMode::Replace, body })
}

/// In front of the state that an entity has once the client has taken the write.
pub(crate) const WRITTEN: &str = "written ";

#[cfg(test)]
mod tests {
    use tidegate_sdk::{Properties, Qos};

    use super::*;

    fn told(topic: &str, payload: &str, retain: bool) -> String {
        let settings = Settings::parse("{}").unwrap();
        let (topic, payload) = (topic.to_owned(), payload.into());
        let message =
            Message { topic, payload, qos: Qos::AtMostOnce, retain, properties: Properties::default() };
        match translate(&settings, &message) {
            Ok(actions) => format!("{actions:?}"),
            Err(fault) => format!("{fault:?}").replace('\\', ""),
        }
    }

    #[test]
    fn what_is_no_command_is_refused_with_what_would_be_one() {
        for (topic, payload, reason) in [
            ("lwm2m/a/3306/0/5850/set", "on", "\"on\" is not ON or OFF"),
            ("lwm2m/a/3311/0/5851/set", "101", "\"101\" is not a number from 0 to 100"),
            ("lwm2m/a/3308/0/5900/set", "warm", "\"warm\" is not a number"),
            ("lwm2m/a/3308/0/5900/set", "NaN", "\"NaN\" is not a number"),
            ("lwm2m/a/3/0/4/set", "", "\"\" is not PRESS"),
            ("lwm2m/a/3303/0/5700/set", "1", "/3303/0/5700 cannot be set"),
            ("lwm2m/a/3303/0/5605/set", "1", "/3303/0/5605 belongs to no entity"),
            ("lwm2m/a/3303/0/set", "1", "is no topic of commands"),
        ] {
            let told = told(topic, payload, false);
            assert!(told.contains(reason), "{told}");
        }
    }

    #[test]
    fn a_retained_command_is_not_obeyed() {
        assert!(told("lwm2m/a/3/0/4/set", "PRESS", true).contains("must not be retained"));
        assert!(told("lwm2m/a/3/0/4/set", "PRESS", false).contains("Execute"));
    }
}
