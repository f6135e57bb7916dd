//! What came of commands, and first values of observations.

use serde_json::{Value as Json, json};
use tidegate_sdk::{
    Action, Answered, Client, Failed, Failure, Fault, OperationName, Properties, topic_level,
};

use crate::{SenMl, base64};

/// An answer. Values of a read are part of it; values of an observation go where its notifications go.
pub(crate) fn answered(translator: &SenMl, event: &Answered) -> Result<Vec<Action>, Fault> {
    let is_success = is_success(event.code);
    let mut actions = Vec::new();
    let is_observation = matches!(event.operation, OperationName::Observe | OperationName::ObserveComposite);
    if is_observation && is_success {
        actions = translator.publish(&event.client, &event.content, event.received)?;
    }
    // What the translator observes by itself has no context.
    let Some(command) = Command::parse(&event.context) else { return Ok(actions) };
    let mut answer = command.answer();
    answer["code"] = format!("{}.{:02}", event.code >> 5, event.code & 0x1f).into();
    if is_success && matches!(event.operation, OperationName::Read | OperationName::ReadComposite) {
        answer["records"] = translator.pack(&event.client, &event.content, event.received)?.into();
    }
    actions.push(command.told(translator, &event.client, &answer));
    Ok(actions)
}

/// A request has come to nothing.
pub(crate) fn failed(translator: &SenMl, event: &Failed) -> Option<Action> {
    let command = Command::parse(&event.context)?;
    let mut answer = command.answer();
    answer["failure"] = match &event.failure {
        Failure::Timeout => "timeout".into(),
        Failure::Reset => "reset".into(),
        Failure::Unreachable => "unreachable".into(),
        Failure::UnknownClient => "unknown client".into(),
        Failure::Expired => "expired".into(),
        Failure::QueueFull => "queue full".into(),
        Failure::Ended => "registration ended".into(),
        Failure::Invalid(text) => text.as_str().into(),
    };
    Some(command.told(translator, &event.client, &answer))
}

pub(crate) fn is_success(code: u8) -> bool {
    code >> 5 == 2
}

/// A command, as it was put into the context of its request.
struct Command(Json);

impl Command {
    fn parse(context: &str) -> Option<Self> {
        serde_json::from_str(context).ok().filter(Json::is_object).map(Self)
    }

    fn answer(&self) -> Json {
        json!({ "operation": self.0["operation"], "names": self.0["names"] })
    }

    /// On the response topic, if the command has one.
    fn told(&self, translator: &SenMl, client: &Client, answer: &Json) -> Action {
        let topic = self.0["topic"].as_str().map_or_else(
            || format!("{}/{}/answer", translator.settings.prefix, topic_level(&client.endpoint)),
            str::to_owned,
        );
        let correlation = self.0["correlation"].as_str().and_then(base64::decode);
        let content_type = Some("application/json".to_owned());
        translator.message(topic, answer, Properties { correlation, content_type, ..Properties::default() })
    }
}
