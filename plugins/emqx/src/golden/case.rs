//! The cases as the file has them; section 7.1 of the specification explains the format.

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) class: String,
    pub(super) given: Given,
    pub(super) expect: Expect,
}

#[derive(Deserialize)]
pub(super) struct Given {
    pub(super) config: Option<Json>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    pub(super) tlv_hex: Option<String>,
}

/// What happens: one of the fields.
#[derive(Deserialize)]
pub(super) struct Step {
    pub(super) from_device: Option<Datagram>,
    pub(super) device_answers: Option<Answer>,
    pub(super) mqtt_command: Option<Command>,
}

/// A request of the device.
#[derive(Deserialize)]
pub(super) struct Datagram {
    pub(super) mid: Option<u16>,
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) options: Vec<Value>,
    #[serde(default)]
    pub(super) payload_hex: String,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) answers_request: Json,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) code: String,
    pub(super) options: Vec<Value>,
    pub(super) payload_hex: String,
}

#[derive(Deserialize)]
pub(super) struct Value {
    #[serde(rename = "n")]
    pub(super) number: u16,
    pub(super) hex: String,
}

#[derive(Deserialize)]
pub(super) struct Command {
    pub(super) topic: String,
    pub(super) payload: Option<Box<RawValue>>,
    /// Takes precedence: what is published is not always JSON.
    pub(super) payload_raw: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Expect {
    #[serde(default)]
    pub(super) steps: Vec<Outcome>,
    pub(super) tree: Option<Vec<Tree>>,
    pub(super) reencoded_hex: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) to_device: Vec<Message>,
    #[serde(default)]
    pub(super) publish: Vec<Publication>,
}

#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) code: String,
    pub(super) options: Option<Vec<Value>>,
    pub(super) payload_hex: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Publication {
    pub(super) topic: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) payload: Json,
    /// Members of the payload that are random.
    #[serde(default)]
    pub(super) ignore: Vec<String>,
}

/// A TLV entry.
#[derive(Deserialize)]
pub(super) struct Tree {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: u16,
    pub(super) value_hex: Option<String>,
    pub(super) children: Option<Vec<Self>>,
}

impl Command {
    /// The bytes that are published.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match (&self.payload_raw, &self.payload) {
            (Some(raw), _) => raw.clone().into_bytes(),
            (None, Some(json)) => json.get().as_bytes().to_vec(),
            (None, None) => vec![],
        }
    }
}

/// Bytes from hexadecimal.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    crate::value::from_hex(hex).expect("hexadecimal")
}
