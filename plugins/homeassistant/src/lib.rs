//! MQTT discovery for Home Assistant: entities, states and commands of the common IPSO objects.
//!
//! When a client registers, each object instance that [`entity`] knows is read. Its answer says which resources and units it
//! has: [`discovery`] makes a configuration of it, and what it has is observed. [`state`] renders values, [`command`]
//! reads what Home Assistant publishes. [`topic`] names things, [`unit`] knows units, [`settings`] is the configuration.
//!
//! Nothing is kept between calls: all that Home Assistant needs after a restart is retained by the broker.

mod command;
mod discovery;
mod entity;
#[cfg(test)]
mod examples;
mod settings;
mod state;
mod topic;
mod unit;

use std::collections::BTreeSet;

use tidegate_sdk::{
    Action, Answered, Client, Content, Diagnostic, Event, Failed, Fault, Level, Message, Observe, Operation,
    OperationName, Path, Properties, Read, Registration, Subscription, Subscriptions, Translator, log,
    perform,
};

use entity::{Object, Platform};
use settings::Settings;
use topic::Instance;

/// The translator, configured.
#[derive(Debug)]
pub struct HomeAssistant {
    settings: Settings,
}

impl Translator for HomeAssistant {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings = Settings::parse(settings)?;
        let filter = format!("{}/+/+/+/+/set", settings.topic);
        let filters = vec![Subscription { filter, qos: settings.qos }];
        Ok((Self { settings }, Subscriptions { filters, ..Subscriptions::default() }))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        Ok(match event {
            Event::Registered(event) => {
                let mut actions = self.gone(&event.client, &event.registration, event.previous.as_ref());
                actions.extend(self.present(&event.client, &event.registration));
                actions
            }
            Event::Updated(event) if event.links_changed => self.present(&event.client, &event.registration),
            Event::Ended(event) => vec![self.availability(&event.client, "offline")],
            Event::Notified(event) if is_success(event.code) => self.states(&event.client, &event.content),
            Event::Sent(event) => self.states(&event.client, &event.content),
            Event::Answered(event) => self.answered(&event),
            Event::Failed(event) => {
                failed(&event);
                vec![]
            }
            Event::Updated(_) | Event::Notified(_) | Event::Progressed(_) => vec![],
        })
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        command::translate(&self.settings, &message)
    }
}

impl HomeAssistant {
    /// The client is there: what it has is asked for.
    fn present(&self, client: &Client, registration: &Registration) -> Vec<Action> {
        let read = |path| Operation::Read(Read { path, queries: vec![], accept: None });
        let mut actions = vec![self.availability(client, "online")];
        actions.extend(instances(registration).into_iter().take(MOST_INSTANCES).map(|(object, instance)| {
            perform(&client.endpoint, read(Path::new(&[object, instance])), DESCRIBE)
        }));
        actions
    }

    /// What an earlier registration had and this one has not is removed.
    fn gone(&self, client: &Client, now: &Registration, before: Option<&Registration>) -> Vec<Action> {
        let now = instances(now);
        let mut actions = Vec::new();
        for (object, instance) in
            before.map(instances).unwrap_or_default().difference(&now).take(MOST_INSTANCES)
        {
            let Some(object) = Object::get(*object) else { continue };
            let of = Instance {
                settings: &self.settings,
                endpoint: &client.endpoint,
                object: object.id,
                id: *instance,
            };
            actions.push(self.retained(of.discovery_topic(), String::new()));
            let states = object.parts.iter().filter(|part| part.platform.has_state());
            actions.extend(states.map(|part| self.retained(of.state_topic(part.resource), String::new())));
        }
        actions
    }

    fn answered(&self, event: &Answered) -> Vec<Action> {
        if !is_success(event.code) {
            let code = format!("{}.{:02}", event.code >> 5, event.code & 0x1f);
            let text =
                format!("{} answered {code} to {:?} {}", event.client.endpoint, event.operation, event.path);
            log(Level::Warn, &text);
            return vec![];
        }
        match event.operation {
            OperationName::Read if event.context == DESCRIBE => self.described(event),
            OperationName::Write => {
                let Some(state) = event.context.strip_prefix(command::WRITTEN) else { return vec![] };
                self.state(&event.client, &event.path, state.to_owned()).into_iter().collect()
            }
            _ => self.states(&event.client, &event.content),
        }
    }

    /// An instance has said what it has: its configuration, its states, and what of it is observed.
    fn described(&self, event: &Answered) -> Vec<Action> {
        let (Some(object), Some(id)) = (event.path.object.and_then(Object::get), event.path.object_instance)
        else {
            return vec![];
        };
        let endpoint = &event.client.endpoint;
        let of = Instance { settings: &self.settings, endpoint, object: object.id, id };
        let parts = discovery::parts(object, &event.content, &self.settings);
        let mut actions = Vec::new();
        if let Some(config) = discovery::config(&of, object, &parts, &event.content) {
            actions.push(self.retained(of.discovery_topic(), config.to_string()));
        }
        actions.extend(self.states(&event.client, &event.content));
        for part in parts.iter().filter(|part| part.platform.has_state()) {
            let path = Path::new(&[object.id, id, part.resource]);
            let observe = Operation::Observe(Observe { path, queries: vec![], accept: None });
            actions.push(perform(endpoint, observe, ""));
        }
        actions
    }

    /// The states of all values that belong to an entity.
    fn states(&self, client: &Client, content: &Content) -> Vec<Action> {
        let state = |sample: &tidegate_sdk::Sample| {
            let part = entity::part(&sample.path)?;
            self.state(client, &sample.path, state::render(&part.platform, &sample.value)?)
        };
        content.samples.iter().filter_map(state).collect()
    }

    fn state(&self, client: &Client, path: &Path, state: String) -> Option<Action> {
        let [object, id, resource] = <[u16; 3]>::try_from(path.ids().collect::<Vec<_>>()).ok()?;
        let of = Instance { settings: &self.settings, endpoint: &client.endpoint, object, id };
        Some(self.retained(of.state_topic(resource), state))
    }

    fn availability(&self, client: &Client, state: &str) -> Action {
        self.retained(topic::availability(&self.settings, &client.endpoint), state.to_owned())
    }

    fn retained(&self, topic: String, payload: String) -> Action {
        Action::Publish(Message {
            topic,
            payload: payload.into_bytes(),
            qos: self.settings.qos,
            retain: true,
            properties: Properties::default(),
        })
    }
}

/// Object and instance of all that there are entities for.
fn instances(registration: &Registration) -> BTreeSet<(u16, u16)> {
    let instance = |path: &Path| Some((Object::get(path.object?)?.id, path.object_instance?));
    registration.objects.iter().filter_map(|link| instance(&link.path)).collect()
}

/// What was asked came to nothing. There is nobody to tell it to but the operator.
fn failed(event: &Failed) {
    let (endpoint, operation, path) = (&event.client.endpoint, event.operation, event.path);
    log(Level::Warn, &format!("{operation:?} {path} of {endpoint} failed: {:?}", event.failure));
}

fn is_success(code: u8) -> bool {
    code >> 5 == 2
}

impl Platform {
    /// Whether there is a value to it, which can be observed.
    fn has_state(&self) -> bool {
        !matches!(self, Self::Button { .. })
    }
}

/// Context of the read that asks what an instance has.
const DESCRIBE: &str = "describe";
/// So that the actions of one call stay far below what the gateway allows: 1,000.
const MOST_INSTANCES: usize = 64;

#[cfg(target_arch = "wasm32")]
tidegate_sdk::translator!(HomeAssistant);
