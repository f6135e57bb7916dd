//! Whether what a translator returned can be used.

use super::bindings::contract::types::{
    Action, Body, MessageResult, Operation, Request, SampleResult, ValueResult,
};
use super::states::STATE;
use super::{Fault, Limits};
use crate::config::matches_filter;

/// All or nothing: one bad action spoils the call.
pub(super) fn check(actions: &[Action], limits: &Limits) -> Result<(), Fault> {
    if actions.len() > limits.actions {
        return Err(invalid(format!("{} actions, at most {} are allowed", actions.len(), limits.actions)));
    }
    let mut bytes = 0_usize;
    for action in actions {
        bytes += match action {
            Action::Publish(message) => {
                check_topic("topic", &message.topic)?;
                if let Some(topic) = &message.properties.response_topic {
                    check_topic("response topic", topic)?;
                }
                message_size(message)
            }
            Action::Perform(request) => request_size(request),
        };
    }
    if bytes > limits.bytes {
        return Err(invalid(format!("{bytes} bytes in all, at most {} are allowed", limits.bytes)));
    }
    Ok(())
}

/// A topic name (MQTT 5.0, 4.7.3): not empty, no NUL, at most 65,535 bytes, and (4.7.1) without wildcards.
pub(super) fn check_topic(what: &str, topic: &str) -> Result<(), Fault> {
    if topic.is_empty() {
        return Err(invalid(format!("an empty {what}")));
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(invalid(format!("a {what} of {} bytes, at most 65535 are allowed", topic.len())));
    }
    match topic.chars().find(|character| matches!(character, '+' | '#' | '\0')) {
        Some(found) => Err(invalid(format!("{what} {:?} contains {found:?}", shorten(topic)))),
        None => Ok(()),
    }
}

/// A client's new state is not too large.
pub(super) fn check_state(state: &[u8]) -> Result<(), Fault> {
    if state.len() > STATE {
        return Err(invalid(format!("a state of {} bytes, at most {STATE} are allowed", state.len())));
    }
    Ok(())
}

/// All topics are matched by one of the filters.
pub(super) fn check_fence(actions: &[Action], filters: &[String]) -> Result<(), Fault> {
    for action in actions {
        let Action::Publish(message) = action else { continue };
        if !filters.iter().any(|filter| matches_filter(filter, &message.topic)) {
            let topic = shorten(&message.topic);
            return Err(invalid(format!("topic {topic:?} is not among `topics` of the configuration")));
        }
    }
    Ok(())
}

fn message_size(of: &MessageResult) -> usize {
    let properties = &of.properties;
    let texts = [&properties.response_topic, &properties.content_type];
    of.topic.len()
        + of.payload.len()
        + texts.into_iter().flatten().map(String::len).sum::<usize>()
        + properties.correlation.as_ref().map_or(0, Vec::len)
        + properties.user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// What may be large in a request; the rest is small and counted by [`Limits::actions`].
fn request_size(of: &Request) -> usize {
    let body = match &of.operation {
        Operation::Write(write) => body_size(&write.body),
        Operation::Create(create) => body_size(&create.body),
        Operation::WriteComposite(write) => body_size(&write.body),
        Operation::Execute(execute) => execute.arguments.as_ref().map_or(0, String::len),
        _ => 0,
    };
    body + of.context.len()
        + of.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn body_size(of: &Body) -> usize {
    match of {
        Body::Samples(samples) => samples.iter().map(sample_size).sum(),
        Body::Encoded(encoded) => encoded.payload.len(),
    }
}

fn sample_size(of: &SampleResult) -> usize {
    let value = match &of.value {
        ValueResult::Text(text) | ValueResult::CoreLink(text) => text.len(),
        ValueResult::Opaque(bytes) => bytes.len(),
        _ => 0,
    };
    size_of::<SampleResult>() + value
}

fn shorten(topic: &str) -> String {
    topic.chars().take(100).collect()
}

pub(super) fn invalid(reason: String) -> Fault {
    Fault::InvalidOutput(reason)
}
