//! `[uplink]` and `[downlink]`: short forms of the contract's event and message.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bytes::{Bytes, Json};
use crate::operation::pairs;
use crate::sample::{Path, Sample};
use crate::short::camel_of;
use crate::time::Timestamp;

/// An event. What a case does not say is as a client that has nothing special would have it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Uplink {
    endpoint: String,
    cause: Cause,
    #[serde(default)]
    attributes: Vec<Vec<String>>,
    received: Option<Timestamp>,
    path: Option<Path>,
    context: Option<String>,
    operation: Option<String>,
    code: Option<Code>,
    delivery: Option<String>,
    sequence: Option<u32>,
    format: Option<u16>,
    payload: Option<Bytes>,
    samples: Option<Vec<Sample>>,
    problem: Option<String>,
    location: Option<String>,
    registration: Option<Registration>,
    previous: Option<Registration>,
    links_changed: Option<bool>,
    reason: Option<String>,
    stage: Option<Stage>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Cause {
    Registered,
    Updated,
    Ended,
    Answered,
    Notified,
    Sent,
    Progressed,
    Failed,
}

impl Uplink {
    /// The contract's event.
    pub(crate) fn event(&self) -> Result<Value, String> {
        self.check_keys()?;
        let client = json!({ "endpoint": self.endpoint, "attributes": whole_pairs(&self.attributes)? });
        let received = self.received.unwrap_or_default().0;
        let registration = || self.registration.clone().unwrap_or_default().full();
        let context = self.context.as_deref().unwrap_or_default();
        let path = self.path.clone().unwrap_or_default().0;
        Ok(match self.cause {
            Cause::Registered => json!({ "Registered": {
                "client": client, "registration": registration()?, "received": received,
                "previous": self.previous.as_ref().map(Registration::full).transpose()?,
            } }),
            Cause::Updated => json!({ "Updated": {
                "client": client, "registration": registration()?, "received": received,
                "links_changed": self.links_changed.unwrap_or_default(),
            } }),
            Cause::Ended => json!({ "Ended": {
                "client": client, "registration": registration()?, "received": received,
                "reason": named("reason", self.reason.as_deref().unwrap_or("deregistered"), ENDS)?,
            } }),
            Cause::Sent => json!({ "Sent": {
                "client": client, "registration": registration()?, "received": received,
                "content": self.content(),
            } }),
            Cause::Notified => json!({ "Notified": {
                "client": client, "path": path, "context": context, "code": self.code.unwrap_or_default().0,
                "delivery": self.delivery("non_confirmable")?, "sequence": self.sequence,
                "content": self.content(), "received": received, "attributes": [],
            } }),
            Cause::Answered => json!({ "Answered": {
                "client": client, "operation": self.operation()?, "path": path, "context": context,
                "code": self.code.unwrap_or_default().0, "delivery": self.delivery("piggybacked")?,
                "sequence": self.sequence, "content": self.content(),
                "location": self.location.as_deref().unwrap_or_default(), "received": received, "attributes": [],
            } }),
            Cause::Progressed => json!({ "Progressed": {
                "client": client, "operation": self.operation()?, "path": path, "context": context,
                "stage": self.stage.as_ref().ok_or("`progressed` needs a `stage`")?.full(), "received": received,
            } }),
            Cause::Failed => json!({ "Failed": {
                "client": client, "operation": self.operation()?, "path": path, "context": context,
                "failure": self.failure.as_ref().ok_or("`failed` needs a `failure`")?.full(), "received": received,
            } }),
        })
    }

    /// What one event has and another has not.
    fn check_keys(&self) -> Result<(), String> {
        use Cause::{Answered, Ended, Failed, Notified, Progressed, Registered, Sent, Updated};
        let asked: &[Cause] = &[Answered, Notified, Progressed, Failed];
        let content: &[Cause] = &[Answered, Notified, Sent];
        let keys: [(&str, bool, &[Cause]); 16] = [
            ("path", self.path.is_some(), asked),
            ("context", self.context.is_some(), asked),
            ("operation", self.operation.is_some(), &[Answered, Progressed, Failed]),
            ("code", self.code.is_some(), &[Answered, Notified]),
            ("delivery", self.delivery.is_some(), &[Answered, Notified]),
            ("sequence", self.sequence.is_some(), &[Answered, Notified]),
            ("format", self.format.is_some(), content),
            ("payload", self.payload.is_some(), content),
            ("samples", self.samples.is_some(), content),
            ("problem", self.problem.is_some(), content),
            ("location", self.location.is_some(), &[Answered]),
            ("registration", self.registration.is_some(), &[Registered, Updated, Ended, Sent]),
            ("previous", self.previous.is_some(), &[Registered]),
            ("links_changed", self.links_changed.is_some(), &[Updated]),
            ("reason", self.reason.is_some(), &[Ended]),
            ("stage", self.stage.is_some(), &[Progressed]),
        ];
        let failure = ("failure", self.failure.is_some(), &[Failed][..]);
        let wrong = keys
            .into_iter()
            .chain([failure])
            .find(|(_, is_there, causes)| *is_there && !causes.contains(&self.cause));
        match wrong {
            Some((key, ..)) => {
                Err(format!("`{key}` has no place in an uplink whose cause is {:?}", self.cause))
            }
            None => Ok(()),
        }
    }

    fn content(&self) -> Value {
        let samples = self.samples.iter().flatten().map(|sample| &sample.0);
        json!({
            "format": self.format,
            "payload": self.payload.as_ref().map(Bytes::bytes).unwrap_or_default(),
            "samples": samples.collect::<Vec<_>>(),
            "problem": self.problem,
            "attributes": [],
        })
    }

    fn operation(&self) -> Result<String, String> {
        named("operation", self.operation.as_deref().unwrap_or("read"), OPERATIONS)
    }

    fn delivery(&self, usual: &str) -> Result<String, String> {
        named("delivery", self.delivery.as_deref().unwrap_or(usual), DELIVERIES)
    }
}

/// A registration; its objects by their links, or its links by its objects.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Registration {
    location: Option<String>,
    version: Option<String>,
    lifetime: Option<u32>,
    binding: Option<String>,
    queue_mode: bool,
    alternate_path: Option<String>,
    objects: Option<Vec<Link>>,
    parameters: Vec<Vec<String>>,
    links: Option<String>,
    peer: Option<String>,
    attributes: Vec<Vec<String>>,
}

/// A path, or a table with a path and attributes.
#[derive(Clone)]
struct Link {
    path: Path,
    attributes: Vec<Vec<String>>,
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            path: Path,
            #[serde(default)]
            attributes: Vec<Vec<String>>,
        }
        use serde::de::Error;
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(path) => {
                let path = Path::parse(&path).map_err(D::Error::custom)?;
                Ok(Self { path, attributes: Vec::new() })
            }
            table @ toml::Value::Table(_) => {
                let Table { path, attributes } = table.try_into().map_err(D::Error::custom)?;
                Ok(Self { path, attributes })
            }
            other => Err(D::Error::custom(format!("{other} is neither a path nor a table with a `path`"))),
        }
    }
}

impl Registration {
    fn full(&self) -> Result<Value, String> {
        let prefix = self.alternate_path.as_deref().unwrap_or("/");
        let (objects, links) = match (&self.objects, &self.links) {
            (Some(objects), links) => {
                let objects = objects.iter().map(Link::full).collect::<Result<Vec<_>, _>>()?;
                let written = objects.iter().map(|of| written(of, prefix)).collect::<Vec<_>>().join(",");
                (objects, links.clone().unwrap_or(written))
            }
            (None, Some(links)) => (read_links(links, prefix)?, links.clone()),
            (None, None) => (Vec::new(), String::new()),
        };
        Ok(json!({
            "location": self.location.as_deref().unwrap_or("/rd/1"),
            "version": self.version.as_deref().unwrap_or("1.1"),
            "lifetime": self.lifetime.unwrap_or(86_400),
            "binding": self.binding.as_deref().unwrap_or_default(),
            "queue_mode": self.queue_mode,
            "alternate_path": prefix,
            "objects": objects,
            "parameters": pairs(&self.parameters, "parameters")?,
            "links": links.into_bytes(),
            "peer": self.peer.as_deref().unwrap_or("192.0.2.1:5683"),
            "attributes": whole_pairs(&self.attributes)?,
        }))
    }
}

impl Link {
    fn full(&self) -> Result<Value, String> {
        Ok(json!({ "path": self.path.0, "attributes": whole_pairs(&self.attributes)? }))
    }
}

fn written(link: &Value, prefix: &str) -> String {
    let path = crate::short::path(&link["path"]);
    let mut text = format!("<{}{}>", prefix.trim_end_matches('/'), path.as_str().unwrap_or_default());
    for attribute in link["attributes"].as_array().into_iter().flatten() {
        let text_of = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        text.push_str(&format!(";{}={}", text_of(&attribute[0]), text_of(&attribute[1])));
    }
    text
}

/// The objects and instances among links such as `</>;rt="oma.lwm2m",</3/0>,</3303/0>;ver=1.1`.
fn read_links(links: &str, prefix: &str) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for link in split(links, ',') {
        let wrong = || format!("{link:?} is no link such as \"</3/0>\"");
        let mut parts = split(link, ';').into_iter();
        let target = parts.next().and_then(|target| target.trim().strip_prefix('<')?.strip_suffix('>'));
        let target = target.ok_or_else(wrong)?;
        let Some(path) = target.strip_prefix(prefix.trim_end_matches('/')) else { continue };
        let Ok(path) = Path::parse(path) else { continue };
        if path == Path::default() {
            continue;
        }
        let attributes = parts.map(|part| match part.trim().split_once('=') {
            Some((name, value)) => json!([name, value.trim_matches('"')]),
            None => json!([part.trim(), ""]),
        });
        objects.push(json!({ "path": path.0, "attributes": attributes.collect::<Vec<_>>() }));
    }
    Ok(objects)
}

/// At a character outside of quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut is_quoted = false;
    let parts = text.split(move |character| {
        is_quoted ^= character == '"';
        character == at && !is_quoted
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

/// Names with values.
fn whole_pairs(given: &[Vec<String>]) -> Result<Value, String> {
    match given.iter().find(|pair| pair.len() != 2) {
        Some(wrong) => Err(format!("{wrong:?} is not a name and a value")),
        None => Ok(json!(given)),
    }
}

/// A response code, `2.05`.
#[derive(Clone, Copy)]
struct Code(u8);

impl Default for Code {
    fn default() -> Self {
        Self(0x45)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let code =
            text.split_once('.').filter(|(_, detail)| detail.len() == 2).and_then(|(class, detail)| {
                let (class, detail) = (class.parse::<u8>().ok()?, detail.parse::<u8>().ok()?);
                (class < 8 && detail < 32).then_some(Self(class << 5 | detail))
            });
        code.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no code such as \"2.05\"")))
    }
}

/// How far a request has come: a name, or `{ transferred = [1024, 4096] }`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Queued,
    Transmitted,
    Acknowledged,
    Transferred([u64; 2]),
}

impl Stage {
    fn full(&self) -> Value {
        match self {
            Self::Queued => json!("Queued"),
            Self::Transmitted => json!("Transmitted"),
            Self::Acknowledged => json!("Acknowledged"),
            Self::Transferred(bytes) => json!({ "Transferred": bytes }),
        }
    }
}

/// Why a request came to nothing: a name, or `{ invalid = "why" }`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Failure {
    Timeout,
    Reset,
    Unreachable,
    UnknownClient,
    Expired,
    QueueFull,
    Ended,
    Invalid(String),
}

impl Failure {
    fn full(&self) -> Value {
        match self {
            Self::Timeout => json!("Timeout"),
            Self::Reset => json!("Reset"),
            Self::Unreachable => json!("Unreachable"),
            Self::UnknownClient => json!("UnknownClient"),
            Self::Expired => json!("Expired"),
            Self::QueueFull => json!("QueueFull"),
            Self::Ended => json!("Ended"),
            Self::Invalid(why) => json!({ "Invalid": why }),
        }
    }
}

/// An MQTT message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Downlink {
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

impl Downlink {
    /// The contract's message.
    pub(crate) fn message(self) -> Result<Value, String> {
        let payload = payload(self.text, self.json, self.hex.as_deref(), self.base64.as_deref())?;
        Ok(json!({
            "topic": self.topic, "payload": payload.bytes(), "qos": self.qos.full(), "retain": self.retain,
            "properties": self.properties.full(),
        }))
    }
}

/// None of the keys is no bytes.
pub(crate) fn payload(
    text: Option<String>,
    json: Option<Json>,
    hex: Option<&str>,
    base64: Option<&str>,
) -> Result<Bytes, String> {
    Ok(Bytes::of(text, json, hex, base64)?.unwrap_or_else(|| Bytes::Text(String::new())))
}

/// 0, 1 or 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Qos(u8);

impl Qos {
    pub(crate) fn full(self) -> &'static str {
        ["AtMostOnce", "AtLeastOnce", "ExactlyOnce"][usize::from(self.0)]
    }
}

impl<'de> Deserialize<'de> for Qos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            qos @ 0..=2 => Ok(Self(qos)),
            other => Err(serde::de::Error::custom(format!("{other} is no QoS: 0, 1 or 2"))),
        }
    }
}

/// MQTT 5 properties.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Properties {
    response_topic: Option<String>,
    correlation: Option<Bytes>,
    expiry: Option<u32>,
    content_type: Option<String>,
    user: Vec<(String, String)>,
}

impl Properties {
    pub(crate) fn full(&self) -> Value {
        json!({
            "response_topic": self.response_topic,
            "correlation": self.correlation.as_ref().map(Bytes::bytes),
            "expiry": self.expiry,
            "content_type": self.content_type,
            "user": self.user,
        })
    }
}

fn named(key: &str, name: &str, known: &[&str]) -> Result<String, String> {
    camel_of(name, known).ok_or_else(|| format!("`{key}`: {name:?} is none of {}", known.join(", ")))
}

const ENDS: &[&str] = &["deregistered", "expired", "removed"];
const DELIVERIES: &[&str] = &["piggybacked", "confirmable", "non_confirmable"];
const OPERATIONS: &[&str] = &[
    "read",
    "discover",
    "write",
    "write_attributes",
    "execute",
    "create",
    "delete",
    "observe",
    "cancel_observation",
    "read_composite",
    "write_composite",
    "observe_composite",
    "cancel_observation_composite",
];
