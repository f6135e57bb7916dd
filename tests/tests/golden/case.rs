//! The cases as the file has them; `emqx-lwm2m.md` section 7.1 explains the format.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value as Json;

/// One case: what happens, and what the gateway does about it, step by step.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) class: String,
    pub(crate) given: Given,
    pub(crate) expect: Expect,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    pub(crate) config: Option<Json>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
}

/// What happens; one of the fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    /// Which device, where there are several.
    pub(crate) peer: Option<String>,
    pub(crate) from_device: Option<Datagram>,
    pub(crate) device_answers: Option<Answer>,
    pub(crate) mqtt_command: Option<Command>,
    pub(crate) mqtt_commands: Option<Vec<Command>>,
    pub(crate) elapse: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Datagram {
    pub(crate) hex: String,
}

/// An answer to a request of the gateway.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    /// `"latest"` or the number of the request, from 1.
    pub(crate) answers_request: Json,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) code: String,
    /// A number or a text that says it is the request's.
    pub(crate) mid: Json,
    /// Hexadecimal or a text that says it is the request's.
    pub(crate) token: String,
    pub(crate) options: Vec<Value>,
    pub(crate) payload_hex: String,
}

/// The value of a CoAP option.
#[derive(Debug, Deserialize)]
pub(crate) struct Value {
    #[serde(rename = "n")]
    pub(crate) number: u16,
    pub(crate) hex: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Command {
    pub(crate) topic: String,
    #[serde(default)]
    pub(crate) qos: u8,
    pub(crate) payload: Option<Json>,
    /// Takes precedence: what is published is not always JSON.
    pub(crate) payload_raw: Option<String>,
    #[serde(default)]
    pub(crate) properties: Json,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(crate) steps: Vec<Outcome>,
}

/// What a step leads to.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    #[serde(default)]
    pub(crate) to_device: Vec<Message>,
    #[serde(default)]
    pub(crate) publish: Vec<Publication>,
}

/// A datagram to the device.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) code: String,
    /// None: any.
    pub(crate) options: Option<Vec<Value>>,
    pub(crate) payload_hex: Option<String>,
    /// `"echo"`, or chosen by the gateway. Tokens need no saying: a response has its request's.
    pub(crate) mid: Option<Json>,
}

/// A publication; the short form names only its `msgType`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Publication {
    Kind(String),
    Full {
        topic: String,
        qos: u8,
        retain: bool,
        payload: Json,
        /// Members of the payload that are random.
        #[serde(default)]
        ignore: Vec<String>,
    },
}

impl Case {
    /// Whether a step lets time pass.
    pub(crate) fn waits(&self) -> bool {
        self.given.steps.iter().any(|step| step.elapse.is_some())
    }
}

impl Command {
    /// The bytes to publish.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match (&self.payload_raw, &self.payload) {
            (Some(raw), _) => raw.clone().into_bytes(),
            (None, Some(json)) => literally(json).into_bytes(),
            (None, None) => Vec::new(),
        }
    }
}

/// As the file has it: an integer beyond 64 bits was read as a float and is written as an integer again.
fn literally(json: &Json) -> String {
    let mut text = json.to_string();
    let float =
        json["data"]["value"].as_f64().filter(|float| float.abs() > 2f64.powi(63) && float.fract() == 0.0);
    if let Some(float) = float {
        text = text.replace(&json["data"]["value"].to_string(), &format!("{float:.0}"));
    }
    text
}

/// Bytes from hexadecimal.
pub(crate) fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits: Vec<_> =
        hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().context("hexadecimal")?;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect())
}
