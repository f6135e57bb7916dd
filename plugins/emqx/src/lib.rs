//! The translator in the box: topics and JSON of EMQX's LwM2M gateway.
//!
//! Up: [`registration`] for register, update and the end; [`answer`] for answers and notifications, whose values
//! [`content`] renders, in `strict` by the definitions that are [`packaged`] with EMQX. Down: [`command`] reads what
//! applications publish; what is to be written is [`typed`], or in `strict` encoded by [`value`].
//! [`context`] is what an answer is told in: all of its JSON that is known when the command comes. [`mountpoint`] makes
//! and reads topics, [`settings`] is the configuration, [`json`] writes.
//!
//! Nothing is kept between calls.

mod answer;
mod command;
mod content;
mod context;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
mod json;
mod mountpoint;
mod number;
mod packaged;
mod registration;
mod reply;
mod settings;
mod tlv;
mod typed;
mod value;

pub use settings::{Compatibility, Settings};
use tidegate_sdk::{Action, Diagnostic, Event, Fault, Message, Subscription, Subscriptions, Translator};

/// The translator, configured.
#[derive(Debug)]
pub struct Emqx {
    settings: Settings,
}

impl Translator for Emqx {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings = Settings::parse(settings)?;
        let filter =
            Subscription { filter: settings.command_filter(), qos: settings.translators.command.qos() };
        let parameters = settings.mountpoint.parameters().into_iter().map(str::to_owned).collect();
        let subscriptions = Subscriptions { filters: vec![filter], parameters, attributes: vec![] };
        Ok((Self { settings }, subscriptions))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        let endpoint = self.settings.publish_properties.then(|| endpoint(&event).to_owned());
        let mut actions = match event {
            Event::Registered(event) => registration::registered(&self.settings, &event),
            Event::Updated(event) => registration::updated(&self.settings, &event),
            Event::Ended(event) => registration::ended(&self.settings, &event),
            Event::Answered(event) => answer::answered(&self.settings, &event)?,
            Event::Notified(event) => answer::notified(&self.settings, &event)?,
            Event::Sent(event) => answer::sent(&self.settings, &event),
            Event::Progressed(event) => answer::progressed(&self.settings, &event)?,
            Event::Failed(event) => answer::failed(&self.settings, &event)?,
        };
        if let Some(endpoint) = endpoint {
            actions.iter_mut().for_each(|action| describe(action, &endpoint));
        }
        Ok(actions)
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        command::translate(&self.settings, &message)
    }
}

fn endpoint(event: &Event) -> &str {
    let client = match event {
        Event::Registered(event) => &event.client,
        Event::Updated(event) => &event.client,
        Event::Ended(event) => &event.client,
        Event::Answered(event) => &event.client,
        Event::Notified(event) => &event.client,
        Event::Sent(event) => &event.client,
        Event::Progressed(event) => &event.client,
        Event::Failed(event) => &event.client,
    };
    &client.endpoint
}

/// Says in MQTT 5 properties what a publication is and whom it is about.
fn describe(action: &mut Action, endpoint: &str) {
    let Action::Publish(message) = action else { return };
    message.properties.content_type = Some("application/json".to_owned());
    message.properties.user.push(("endpoint".to_owned(), endpoint.to_owned()));
}

#[cfg(target_arch = "wasm32")]
tidegate_sdk::translator!(Emqx);
