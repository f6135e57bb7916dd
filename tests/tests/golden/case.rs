//! The cases as the file has them; `emqx-lwm2m.md` section 7.1 explains the format.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::deviations::Deviation;

/// One case: what happens, and what the gateway does about it, step by step.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) class: String,
    pub(crate) given: Given,
    pub(crate) expect: Expect,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Given {
    pub(crate) config: Option<Json>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// A call of EMQX's REST interface, where it is all that happens.
    pub(crate) http: Option<Call>,
    /// What the device has answered to a discover command before that call.
    pub(crate) after_discover: Option<Discovered>,
    /// The only thing of a `tlv` case.
    pub(crate) tlv_hex: Option<String>,
}

/// What happens; one of the fields.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Step {
    /// Which device, where there are several.
    pub(crate) peer: Option<String>,
    pub(crate) from_device: Option<Datagram>,
    pub(crate) device_answers: Option<Answer>,
    pub(crate) mqtt_command: Option<Command>,
    pub(crate) mqtt_commands: Option<Vec<Command>>,
    pub(crate) elapse: Option<String>,
    pub(crate) http: Option<Call>,
}

/// A call of EMQX's REST interface.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) query: Json,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Discovered {
    pub(crate) path: String,
    pub(crate) device_payload_text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Datagram {
    pub(crate) hex: String,
}

/// An answer to a request of the gateway.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Value {
    #[serde(rename = "n")]
    pub(crate) number: u16,
    pub(crate) hex: String,
}

#[derive(Clone, Debug, Deserialize)]
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

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(crate) steps: Vec<Outcome>,
    /// What a `tlv` case decodes to.
    #[serde(default)]
    pub(crate) tree: Vec<Entry>,
    pub(crate) reencoded_hex: Option<String>,
}

/// One entry of TLV.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "type")]
    pub(crate) level: String,
    pub(crate) id: u16,
    pub(crate) value_hex: Option<String>,
    #[serde(default)]
    pub(crate) children: Vec<Self>,
}

/// What a step leads to.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Outcome {
    #[serde(default)]
    pub(crate) to_device: Vec<Message>,
    #[serde(default)]
    pub(crate) publish: Vec<Publication>,
}

/// A datagram to the device.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
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
    /// Whether it is mostly waiting.
    pub(crate) fn takes_long(&self) -> bool {
        self.given.steps.iter().any(|step| matches!(step.wait(), Ok(Some(Wait::Answer))))
    }

    /// Whether a step lets the device fall asleep.
    pub(crate) fn waits(&self) -> bool {
        self.given.steps.iter().any(|step| matches!(step.wait(), Ok(Some(Wait::AwakeWindow))))
    }
}

/// What time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The awake window of queue mode.
    AwakeWindow,
    /// The lifetime of the registration.
    Lifetime,
    /// As long as the gateway waits for an answer.
    Answer,
}

impl Step {
    /// What the step waits for, if it does.
    pub(crate) fn wait(&self) -> Result<Option<Wait>> {
        Ok(match self.elapse.as_deref() {
            None => None,
            Some(text) if text.starts_with("qmode_time_window_s") => Some(Wait::AwakeWindow),
            Some(text) if text.starts_with("the registration lifetime") => Some(Wait::Lifetime),
            Some(text) if text.ends_with("the device does not answer") => Some(Wait::Answer),
            Some(other) => bail!("nobody knows how to wait until {other}"),
        })
    }
}

impl Publication {
    /// With the topic that the deviation gives it.
    pub(crate) fn renamed(mut self, deviation: Option<&Deviation>) -> Self {
        if let (Self::Full { topic, .. }, Some(deviation)) = (&mut self, deviation) {
            *topic = deviation.topic(topic);
        }
        self
    }
}

impl Command {
    /// Message Expiry Interval, seconds.
    pub(crate) fn expiry(&self) -> Option<u64> {
        self.properties.get("Message-Expiry-Interval").and_then(Json::as_u64)
    }

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
