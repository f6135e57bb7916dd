//! Bytes of an opaque resource to fields, and fields to bytes, by layouts in the settings.
//!
//! [`settings`] reads the layouts; [`layout`] is what they are; [`decode`] and [`encode`] follow them. Here is what
//! comes of an event and of a message.
//!
//! Nothing is kept between calls.

mod decode;
mod encode;
#[cfg(test)]
mod examples;
mod layout;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use tidegate_sdk::{
    Action, Answered, Body, Client, Content, Diagnostic, Event, Failed, Failure, Fault, Kind, Message,
    Observe, Operation, OperationName, Properties, Registration, Sample, Subscription, Subscriptions,
    Translator, Value, Write, WriteMode, from_topic_level, perform, topic_level,
};

use layout::{Layout, path_of};
use settings::Settings;

/// The translator, configured.
#[derive(Debug)]
pub struct VendorOpaque {
    settings: Settings,
}

impl Translator for VendorOpaque {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings = Settings::parse(settings)?;
        let filter = format!("{}/+/+/set", settings.prefix);
        let filters = vec![Subscription { filter, qos: settings.qos }];
        Ok((Self { settings }, Subscriptions { filters, ..Subscriptions::default() }))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Registered(event) => Ok(self.observe(&event.client, &event.registration)),
            Event::Updated(event) if event.links_changed => {
                Ok(self.observe(&event.client, &event.registration))
            }
            Event::Notified(event) => self.publish(&event.client, &event.content, event.received),
            Event::Sent(event) => self.publish(&event.client, &event.content, event.received),
            Event::Answered(event) if event.operation == OperationName::Write => {
                Ok(self.written(&event).into_iter().collect())
            }
            Event::Answered(event) => self.publish(&event.client, &event.content, event.received),
            Event::Failed(event) => Ok(self.failed(&event).into_iter().collect()),
            Event::Updated(_) | Event::Ended(_) | Event::Progressed(_) => Ok(vec![]),
        }
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        let (endpoint, layout) = self.addressee(&message.topic)?;
        let malformed = |text: String| Fault::Malformed(format!("{}: {text}", message.topic));
        let command: Map<String, Json> = serde_json::from_slice(&message.payload)
            .map_err(|error| malformed(format!("not a JSON object: {error}")))?;
        let path = match command.get("path") {
            None => layout.path.only().ok_or_else(|| {
                malformed(format!("\"path\" is missing: the layout is for any {}", layout.path))
            })?,
            Some(path) => {
                path.as_str().and_then(path_of).filter(|path| layout.path.matches(path)).ok_or_else(|| {
                    malformed(format!("\"path\": {path} is no path of the layout, {}", layout.path))
                })?
            }
        };
        let Some(Json::Object(fields)) = command.get("fields") else {
            return Err(malformed("\"fields\" is missing, or no object".into()));
        };
        let bytes = encode::encode(layout, fields).map_err(malformed)?;
        let sample = Sample { path, value: Value::Opaque(bytes), kind: Some(Kind::Opaque), taken: None };
        let body = Body::Samples(vec![sample]);
        let write = Write { path, queries: vec![], mode: WriteMode::Replace, body };
        Ok(vec![perform(endpoint, Operation::Write(write), layout.name.clone())])
    }
}

impl VendorOpaque {
    /// Observes what has a layout and is in the client's list.
    fn observe(&self, client: &Client, registration: &Registration) -> Vec<Action> {
        if !self.settings.observe {
            return vec![];
        }
        let mut paths = BTreeMap::new();
        for layout in &self.settings.layouts {
            for link in &registration.objects {
                if let Some(path) = layout.path.below(&link.path) {
                    paths.insert(path.ids().collect::<Vec<_>>(), path);
                }
            }
        }
        let observe = |path| Operation::Observe(Observe { path, queries: vec![], accept: None });
        paths.into_values().map(|path| perform(&client.endpoint, observe(path), "")).collect()
    }

    /// One message for each value that has a layout.
    fn publish(&self, client: &Client, content: &Content, received: i64) -> Result<Vec<Action>, Fault> {
        let mut actions = Vec::new();
        for sample in &content.samples {
            let Some(layout) = self.settings.layouts.iter().find(|of| of.path.matches(&sample.path)) else {
                continue;
            };
            let Value::Opaque(bytes) = &sample.value else {
                let text = format!("{} is not bytes, as the layout {:?} has it", sample.path, layout.name);
                return Err(Fault::Malformed(text));
            };
            let fields = decode::decode(layout, bytes)
                .map_err(|text| Fault::Malformed(format!("{}: {text}", sample.path)))?;
            let mut payload = json!({
                "path": sample.path.to_string(),
                "time": sample.taken.unwrap_or(received),
            });
            let units: Map<String, Json> = layout.units(&fields);
            payload["fields"] = Json::Object(fields);
            if !units.is_empty() {
                payload["units"] = Json::Object(units);
            }
            actions.push(self.message(client, &layout.name, "", &payload));
        }
        Ok(actions)
    }

    /// The answer to a command.
    fn written(&self, event: &Answered) -> Option<Action> {
        let layout = self.layout(&event.context)?;
        let code = format!("{}.{:02}", event.code >> 5, event.code & 0x1f);
        let result = json!({ "path": event.path.to_string(), "code": code });
        Some(self.message(&event.client, &layout.name, "/result", &result))
    }

    /// A command came to nothing.
    fn failed(&self, event: &Failed) -> Option<Action> {
        let layout = self.layout(&event.context).filter(|_| event.operation == OperationName::Write)?;
        let failure = match &event.failure {
            Failure::Timeout => "timeout",
            Failure::Reset => "reset",
            Failure::Unreachable => "unreachable",
            Failure::UnknownClient => "unknown client",
            Failure::Expired => "expired",
            Failure::QueueFull => "queue full",
            Failure::Ended => "registration ended",
            Failure::Invalid(text) => text,
        };
        let result = json!({ "path": event.path.to_string(), "failure": failure });
        Some(self.message(&event.client, &layout.name, "/result", &result))
    }

    fn layout(&self, name: &str) -> Option<&Layout> {
        self.settings.layouts.iter().find(|layout| layout.name == name)
    }

    /// Endpoint and layout of a topic of commands.
    fn addressee(&self, topic: &str) -> Result<(String, &Layout), Fault> {
        let levels = topic
            .strip_prefix(self.settings.prefix.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_suffix("/set"))
            .and_then(|rest| rest.split_once('/'));
        let Some((endpoint, name)) = levels else {
            return Err(Fault::Unsupported(format!("{topic} is no topic of commands")));
        };
        let layout = self
            .layout(&from_topic_level(name))
            .ok_or_else(|| Fault::Malformed(format!("{topic}: no layout is named {name:?}")))?;
        Ok((from_topic_level(endpoint).into_owned(), layout))
    }

    fn message(&self, client: &Client, name: &str, below: &str, payload: &Json) -> Action {
        Action::Publish(Message {
            topic: format!(
                "{}/{}/{}{below}",
                self.settings.prefix,
                topic_level(&client.endpoint),
                topic_level(name)
            ),
            payload: payload.to_string().into_bytes(),
            qos: self.settings.qos,
            retain: false,
            properties: Properties::default(),
        })
    }
}

#[cfg(target_arch = "wasm32")]
tidegate_sdk::translator!(VendorOpaque);
