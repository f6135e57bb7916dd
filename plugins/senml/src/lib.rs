//! SenML JSON (RFC 8428), one topic for each endpoint.
//!
//! Up: [`pack`] makes records of samples, with names from [`name`] and units from [`unit`]. Down: [`resolve`] reads SenML,
//! [`command`] makes requests of it, and [`answer`] tells what came of them. [`settings`] is the configuration,
//! [`base64`] is what SenML writes bytes in.
//!
//! Nothing is kept between calls.

mod answer;
mod base64;
mod command;
#[cfg(test)]
mod examples;
mod name;
mod pack;
mod resolve;
mod settings;
mod unit;

use tidegate_sdk::{
    Action, Client, Content, Diagnostic, Event, Fault, Message, Observe, Operation, Path, Properties,
    Registration, Subscription, Subscriptions, Translator, perform, topic_level,
};

use settings::Settings;

/// The translator, configured.
#[derive(Debug)]
pub struct SenMl {
    settings: Settings,
}

impl Translator for SenMl {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings = Settings::parse(settings)?;
        let filter =
            |verb: &str| Subscription { filter: format!("{}/+/{verb}", settings.prefix), qos: settings.qos };
        let filters = command::VERBS.map(filter).into();
        Ok((Self { settings }, Subscriptions { filters, ..Subscriptions::default() }))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Registered(event) => Ok(self.observe(&event.client, &event.registration)),
            Event::Updated(event) if event.links_changed => {
                Ok(self.observe(&event.client, &event.registration))
            }
            Event::Notified(event) if answer::is_success(event.code) => {
                self.publish(&event.client, &event.content, event.received)
            }
            Event::Sent(event) => self.publish(&event.client, &event.content, event.received),
            Event::Answered(event) => answer::answered(self, &event),
            Event::Failed(event) => Ok(answer::failed(self, &event).into_iter().collect()),
            Event::Updated(_) | Event::Notified(_) | Event::Ended(_) | Event::Progressed(_) => Ok(vec![]),
        }
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        command::translate(&self.settings, &message)
    }
}

impl SenMl {
    /// Values go to the topic of their endpoint; none, if there are none.
    fn publish(&self, client: &Client, content: &Content, received: i64) -> Result<Vec<Action>, Fault> {
        let pack = self.pack(client, content, received)?;
        if pack.is_empty() {
            return Ok(vec![]);
        }
        let topic = format!("{}/{}", self.settings.prefix, topic_level(&client.endpoint));
        let content_type = Some("application/senml+json".to_owned());
        Ok(vec![self.message(topic, &pack.into(), Properties { content_type, ..Properties::default() })])
    }

    fn pack(
        &self,
        client: &Client,
        content: &Content,
        received: i64,
    ) -> Result<Vec<serde_json::Value>, Fault> {
        match &content.problem {
            Some(problem) => Err(Fault::Malformed(problem.clone())),
            None => Ok(pack::pack(&client.endpoint, &content.samples, received, self.settings.form)),
        }
    }

    fn observe(&self, client: &Client, registration: &Registration) -> Vec<Action> {
        if !self.settings.observe {
            return vec![];
        }
        let is_data = |path: &Path| {
            path.object.is_some_and(|object| !MANAGEMENT.contains(&object)) && path.object_instance.is_some()
        };
        let observe = |path| Operation::Observe(Observe { path, queries: vec![], accept: None });
        let paths = registration.objects.iter().map(|link| link.path).filter(is_data).take(MOST_OBSERVED);
        paths.map(|path| perform(&client.endpoint, observe(path), "")).collect()
    }

    fn message(&self, topic: String, payload: &serde_json::Value, properties: Properties) -> Action {
        let payload = payload.to_string().into_bytes();
        Action::Publish(Message { topic, payload, qos: self.settings.qos, retain: false, properties })
    }
}

/// Security, server, access control, firmware, software and OSCORE: nobody's measurements.
const MANAGEMENT: [u16; 7] = [0, 1, 2, 5, 9, 14, 21];
/// So that the actions of one call stay below what the gateway allows: 1,000.
const MOST_OBSERVED: usize = 256;

#[cfg(target_arch = "wasm32")]
tidegate_sdk::translator!(SenMl);
