//! Where an answer goes: to the topic of answers, or to where an MQTT 5 application wants it (response topic and correlation data,
//! MQTT 5, 4.10). EMQX has only the first.
//!
//! What an application wants travels with its request, in front of the rest of the [`context`](crate::context).

use tidegate_sdk::{Action, Message, Properties};

use crate::registration::publish;
use crate::settings::Settings;

/// Where an application wants the answers to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    topic: String,
    correlation: Option<Vec<u8>>,
}

impl ReplyTo {
    /// What a message says of it; none in `strict`.
    pub(crate) fn of(settings: &Settings, message: &Message) -> Option<Self> {
        let topic = message.properties.response_topic.clone().filter(|_| !settings.is_strict())?;
        Some(Self { topic, correlation: message.properties.correlation.clone() })
    }

    /// As text without control characters.
    pub(crate) fn write(&self) -> String {
        let mut text = self.topic.replace(|character: char| character.is_control(), " ");
        if let Some(correlation) = &self.correlation {
            text.push(SEPARATOR);
            for byte in correlation {
                text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
            }
        }
        text
    }

    /// What [`write`](Self::write) wrote.
    pub(crate) fn read(text: &str) -> Self {
        let Some((topic, digits)) = text.split_once(SEPARATOR) else {
            return Self { topic: text.to_owned(), correlation: None };
        };
        let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap_or_default() as u8;
        let bytes = digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1]));
        Self { topic: topic.to_owned(), correlation: Some(bytes.collect()) }
    }
}

/// An answer to a command.
pub(crate) fn respond(
    settings: &Settings,
    reply_to: Option<&ReplyTo>,
    mountpoint: &str,
    payload: Vec<u8>,
) -> Action {
    let topic = &settings.translators.response;
    match reply_to {
        None => publish(mountpoint, topic, payload),
        Some(ReplyTo { topic: own, correlation }) => Action::Publish(Message {
            topic: own.clone(),
            payload,
            qos: topic.qos(),
            retain: false,
            properties: Properties { correlation: correlation.clone(), ..Properties::default() },
        }),
    }
}

const SEPARATOR: char = '\u{1d}';
const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wanted_comes_back() {
        for correlation in [None, Some(vec![]), Some(vec![0, 0x1d, 0xff, 0x7f])] {
            let wanted = ReplyTo { topic: "reply/é/1".to_owned(), correlation };
            let text = wanted.write();
            assert_eq!(ReplyTo::read(&text), wanted);
        }
    }
}
