//! JSON payloads.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value as Json};

use crate::{Action, Fault, Message, Sample, Value, publish};

/// An action that publishes something as JSON, with QoS 0.
///
/// ```
/// use tidegate_sdk::{Action, json};
/// let Ok(Action::Publish(message)) = json::publish_json("up/a", &serde_json::json!({ "on": true })) else { panic!() };
/// assert_eq!(message.payload, br#"{"on":true}"#);
/// ```
///
/// # Errors
/// What cannot be JSON, such as a map whose keys are no text: a mistake of the translator.
pub fn publish_json(topic: impl Into<String>, of: &impl Serialize) -> Result<Action, Fault> {
    let payload = serde_json::to_vec(of).map_err(|error| Fault::Internal(error.to_string()))?;
    Ok(publish(topic, payload))
}

/// The payload of a message, as a type of your own.
///
/// ```
/// use tidegate_sdk::{Fault, Message, Properties, Qos, json};
///
/// #[derive(serde::Deserialize)]
/// struct Command { level: u8 }
///
/// let message = |payload: &str| Message {
///     topic: "dn/a".into(), payload: payload.into(), qos: Qos::AtMostOnce, retain: false, properties: Properties::default(),
/// };
/// assert_eq!(json::read::<Command>(&message(r#"{ "level": 5 }"#)).unwrap().level, 5);
/// let Err(Fault::Malformed(text)) = json::read::<Command>(&message(r#"{ "level": 500 }"#)) else { panic!() };
/// assert_eq!(text, "dn/a: level: invalid value: integer `500`, expected u8");
/// ```
///
/// # Errors
/// [`Fault::Malformed`], which names the topic, the key and what is wrong.
pub fn read<T: DeserializeOwned>(message: &Message) -> Result<T, Fault> {
    let malformed = |text: String| Fault::Malformed(format!("{}: {text}", message.topic));
    let json: Json = serde_json::from_slice(&message.payload)
        .map_err(|error| malformed(format!("the payload is no JSON: {error}")))?;
    serde_path_to_error::deserialize(json).map_err(|error| match error.path().to_string() {
        path if path == "." => malformed(error.inner().to_string()),
        path => malformed(format!("{path}: {}", error.inner())),
    })
}

/// A value as JSON: integers exact, what is no number null, bytes as hexadecimal digits, a link as `"3303:0"`.
///
/// ```
/// use tidegate_sdk::{Value, json};
/// assert_eq!(json::value(&Value::Unsigned(u64::MAX)).to_string(), "18446744073709551615");
/// assert_eq!(json::value(&Value::Opaque(vec![0, 255])), "00ff");
/// assert!(json::value(&Value::Float(f64::NAN)).is_null());
/// ```
pub fn value(of: &Value) -> Json {
    match of {
        Value::Text(text) | Value::CoreLink(text) => text.as_str().into(),
        Value::Integer(number) | Value::Time(number) => (*number).into(),
        Value::Unsigned(number) => (*number).into(),
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Boolean(value) => (*value).into(),
        Value::Opaque(bytes) => hex(bytes).into(),
        Value::ObjectLink(link) => format!("{}:{}", link.object, link.object_instance).into(),
        Value::Null => Json::Null,
    }
}

/// Samples as an object whose keys are their paths. Of two with the same path, the last stays.
///
/// ```
/// use tidegate_sdk::{Path, Sample, Value, json};
/// let sample = Sample { path: Path::new(&[3, 0, 9]), value: Value::Integer(90), kind: None, taken: None };
/// assert_eq!(json::by_path(&[sample]).to_string(), r#"{"/3/0/9":90}"#);
/// ```
pub fn by_path(samples: &[Sample]) -> Json {
    let entries = samples.iter().map(|sample| (sample.path.to_string(), value(&sample.value)));
    Json::Object(entries.collect::<Map<_, _>>())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |of: u8| char::from(b"0123456789abcdef"[usize::from(of)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
