//! What must come out: `[[publish]]`, `[[perform]]`, or `[expect]` with a fault.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use toml::Spanned;

use crate::bytes::{Bytes, Json, of_list};
use crate::input::{Properties, Qos, payload};
use crate::operation::Operation;
use crate::short;
use crate::{Outcome, Wrong};

/// What must come out of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected(What);

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// Messages, with the way that their payloads are compared, and requests.
    Actions(Vec<(Value, Bytes)>, Vec<Value>),
    /// A class, and part of the text.
    Fault(String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    topic: String,
    #[serde(default)]
    qos: Qos,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    properties: Properties,
    text: Option<String>,
    json: Option<Json>,
    hex: Option<String>,
    base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Perform {
    endpoint: Option<String>,
    parameter: Option<(String, String)>,
    #[serde(default)]
    recipients: Vec<Recipient>,
    operation: Operation,
    #[serde(default)]
    context: String,
    expiry: Option<u32>,
    #[serde(default)]
    urgent: bool,
    #[serde(default)]
    attributes: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Recipient {
    Endpoint(String),
    Parameter((String, String)),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    fault: String,
    #[serde(default)]
    text: String,
}

impl Expected {
    pub(crate) fn new(
        publish: Vec<Spanned<Publish>>,
        perform: Vec<Spanned<Perform>>,
        fault: Option<Spanned<Fault>>,
    ) -> Result<Self, Wrong> {
        if let Some(fault) = fault {
            let at = fault.span();
            let Fault { fault, text } = fault.into_inner();
            if !FAULTS.contains(&fault.as_str()) {
                let known = FAULTS.join(", ");
                return Err(Wrong::at(&at, format!("`fault`: {fault:?} is none of {known}")));
            }
            if !publish.is_empty() || !perform.is_empty() {
                return Err(Wrong::at(&at, "where a fault is expected, nothing is published or performed"));
            }
            return Ok(Self(What::Fault(fault, text)));
        }
        let messages = publish.into_iter().map(|of| Wrong::within(of, Publish::full));
        let requests = perform.into_iter().map(|of| Wrong::within(of, Perform::full));
        let messages = messages.collect::<Result<_, _>>()?;
        let requests = requests.collect::<Result<_, _>>()?;
        Ok(Self(What::Actions(messages, requests)))
    }

    pub(crate) fn check(&self, outcome: &Outcome) -> Result<(), Mismatch> {
        let is_met = match (&self.0, outcome) {
            (What::Fault(kind, part), Outcome::Fault { kind: is, text }) => kind == is && text.contains(part),
            (What::Actions(messages, requests), Outcome::Actions(actions)) => {
                let (published, performed) = split(actions);
                messages.len() == published.len()
                    && messages.iter().zip(&published).all(|(expected, is)| is_message(expected, is))
                    && requests.iter().collect::<Vec<_>>() == performed
            }
            _ => false,
        };
        if is_met {
            return Ok(());
        }
        Err(Mismatch { expected: self.shown(), actual: self.shown_like(outcome) })
    }

    /// What meets it.
    #[cfg(test)]
    pub(crate) fn outcome(&self) -> Outcome {
        match &self.0 {
            What::Fault(kind, text) => Outcome::Fault { kind: kind.clone(), text: text.clone() },
            What::Actions(messages, requests) => {
                let messages = messages.iter().map(|(of, payload)| with_payload(of, payload));
                let messages = messages.map(|of| json!({ "Publish": of }));
                let requests = requests.iter().map(|of| json!({ "Perform": of }));
                Outcome::Actions(messages.chain(requests).collect())
            }
        }
    }

    /// As it would be written.
    fn shown(&self) -> String {
        match &self.0 {
            What::Fault(kind, text) if text.is_empty() => format!("fault {kind}\n"),
            What::Fault(kind, text) => format!("fault {kind}: …{text}…\n"),
            What::Actions(messages, requests) => {
                let messages = messages.iter().map(|(message, alike)| {
                    json!({ "publish": short::publish(&with_payload(message, alike), Some(alike)) })
                });
                let requests = requests.iter().map(|request| json!({ "perform": short::perform(request) }));
                lines(messages.chain(requests))
            }
        }
    }

    fn shown_like(&self, outcome: &Outcome) -> String {
        let alike: &[(Value, Bytes)] = match &self.0 {
            What::Actions(messages, _) => messages,
            What::Fault(..) => &[],
        };
        match outcome {
            Outcome::Fault { kind, text } => format!("fault {kind}: {text}\n"),
            Outcome::Actions(actions) => {
                let (published, performed) = split(actions);
                let published = published.into_iter().enumerate().map(|(at, message)| {
                    json!({ "publish": short::publish(message, alike.get(at).map(|(_, alike)| alike)) })
                });
                let performed =
                    performed.into_iter().map(|request| json!({ "perform": short::perform(request) }));
                lines(published.chain(performed))
            }
        }
    }

    /// The way in which each payload is written.
    pub(crate) fn payloads(&self) -> Vec<Bytes> {
        match &self.0 {
            What::Actions(messages, _) => messages.iter().map(|(_, alike)| alike.clone()).collect(),
            What::Fault(..) => Vec::new(),
        }
    }
}

impl Publish {
    fn full(self) -> Result<(Value, Bytes), String> {
        let alike = payload(self.text, self.json, self.hex.as_deref(), self.base64.as_deref())
            .map_err(|why| format!("what is published to {:?}: {why}", self.topic))?;
        let message = json!({
            "topic": self.topic, "payload": null, "qos": self.qos.full(), "retain": self.retain,
            "properties": self.properties.full(),
        });
        Ok((message, alike))
    }
}

impl Perform {
    fn full(self) -> Result<Value, String> {
        let endpoint = self.endpoint.map(Recipient::Endpoint);
        let parameter = self.parameter.map(Recipient::Parameter);
        let recipients = endpoint.into_iter().chain(parameter).chain(self.recipients);
        let recipients = recipients.map(|recipient| match recipient {
            Recipient::Endpoint(name) => json!({ "Endpoint": name }),
            Recipient::Parameter(parameter) => json!({ "Parameter": parameter }),
        });
        Ok(json!({
            "recipients": recipients.collect::<Vec<_>>(), "operation": self.operation.full()?,
            "context": self.context, "expiry": self.expiry, "urgent": self.urgent, "attributes": self.attributes,
        }))
    }
}

/// What came out is not what was expected. Displayed as a comparison, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    expected: String,
    actual: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("- expected\n+ came out\n")?;
        for change in TextDiff::from_lines(&self.expected, &self.actual).iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            write!(f, "{sign} {change}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// Messages and requests, each in their order.
pub(crate) fn split(actions: &[Value]) -> (Vec<&Value>, Vec<&Value>) {
    let messages = actions.iter().filter_map(|action| action.get("Publish")).collect();
    (messages, actions.iter().filter_map(|action| action.get("Perform")).collect())
}

fn is_message((expected, alike): &(Value, Bytes), message: &Value) -> bool {
    let bytes = of_list(&message["payload"]);
    let is_payload = match alike {
        Bytes::Json(expected) => {
            serde_json::from_slice(&bytes).is_ok_and(|actual| is_same_json(expected, &actual))
        }
        other => other.bytes() == bytes,
    };
    is_payload
        && ["topic", "qos", "retain", "properties"].iter().all(|field| expected[field] == message[field])
}

/// Whether two JSON values are the same: 1 and 1.0 are.
fn is_same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_json(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there =
                |(key, of): (&String, &Value)| other.get(key).is_some_and(|is| is_same_json(of, is));
            one.len() == other.len() && one.iter().all(is_there)
        }
        (one, other) => one == other,
    }
}

fn with_payload(message: &Value, payload: &Bytes) -> Value {
    let mut message = message.clone();
    message["payload"] = json!(payload.bytes());
    message
}

fn lines(actions: impl Iterator<Item = Value>) -> String {
    let text: String = actions.map(|action| format!("{action:#}\n")).collect();
    if text.is_empty() { "nothing\n".to_owned() } else { text }
}

const FAULTS: &[&str] = &["unsupported", "malformed", "internal", "trap", "limit", "invalid_output"];
