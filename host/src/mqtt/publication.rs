//! One MQTT message, in either direction, whatever the protocol version.

/// An MQTT message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Topic name, without wildcards.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: QoS,
    /// To be retained by the broker; of an incoming message, that it was.
    pub retain: bool,
    /// MQTT 5 properties; dropped on a 3.1.1 connection.
    pub properties: Option<Box<Properties>>,
}

impl Publication {
    /// Says what MQTT forbids about this message, if anything: a broker would close the connection over it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidPublication> {
        check_topic(&self.topic)?;
        let Some(properties) = &self.properties else { return Ok(()) };
        if let Some(topic) = &properties.response_topic {
            check_topic(topic).map_err(|error| InvalidPublication::ResponseTopic(Box::new(error)))?;
        }
        let longest = usize::from(u16::MAX);
        let texts = properties.content_type.iter();
        let mut texts = texts.chain(properties.user.iter().flat_map(|(name, value)| [name, value]));
        if texts.any(|text| text.len() > longest || text.contains('\0'))
            || properties.correlation.as_ref().is_some_and(|bytes| bytes.len() > longest)
        {
            return Err(InvalidPublication::Property);
        }
        Ok(())
    }

    /// An upper bound of the size of the PUBLISH packet, bytes.
    pub(super) fn packet_size(&self) -> usize {
        // Fixed header, topic length and packet identifier take 1 + 4 + 2 + 2, the property length 4.
        let fixed = 13;
        let properties = self.properties.as_ref().map_or(0, |properties| {
            let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + 3);
            let user: usize = properties.user.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
            let correlation = properties.correlation.as_ref().map_or(0, |bytes| bytes.len() + 3);
            text(&properties.response_topic) + text(&properties.content_type) + correlation + 5 + user
        });
        fixed + self.topic.len() + self.payload.len() + properties
    }
}

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0
    #[default]
    AtMostOnce,
    /// 1
    AtLeastOnce,
    /// 2
    ExactlyOnce,
}

/// The MQTT 5 properties of a message (MQTT 5, 3.3.2.3) that mean something to the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Where the sender wants the reply.
    pub response_topic: Option<String>,
    /// What the reply is to repeat.
    pub correlation: Option<Vec<u8>>,
    /// Seconds until the message is worth nothing.
    pub expiry: Option<u32>,
    /// MIME type of the payload.
    pub content_type: Option<String>,
    /// User properties, in order.
    pub user: Vec<(String, String)>,
}

/// What MQTT forbids about a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublication {
    /// MQTT 5, 4.7.3.
    #[error("the topic is empty")]
    EmptyTopic,
    /// MQTT 5, 4.7.1: wildcards belong into filters.
    #[error("the topic `{0}` has a wildcard, `+` or `#`")]
    Wildcard(String),
    /// MQTT 5, 1.5.4.
    #[error("the topic has a NUL character")]
    Nul,
    /// MQTT 5, 1.5.4.
    #[error("the topic has {0} bytes, 65535 are allowed")]
    TopicTooLong(usize),
    /// The response topic is wrong in one of these ways.
    #[error("in the response topic: {0}")]
    ResponseTopic(Box<Self>),
    /// MQTT 5, 1.5.4 and 1.5.6.
    #[error("a property is longer than 65535 bytes or has a NUL character")]
    Property,
}

fn check_topic(topic: &str) -> Result<(), InvalidPublication> {
    match topic {
        "" => Err(InvalidPublication::EmptyTopic),
        _ if topic.len() > usize::from(u16::MAX) => Err(InvalidPublication::TopicTooLong(topic.len())),
        _ if topic.contains('\0') => Err(InvalidPublication::Nul),
        _ if topic.contains(['+', '#']) => Err(InvalidPublication::Wildcard(topic.into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(topic: &str) -> Publication {
        Publication { topic: topic.into(), ..Publication::default() }
    }

    #[test]
    fn what_mqtt_forbids_is_named() {
        assert_eq!(on("up/resp").check(), Ok(()));
        assert_eq!(on("").check(), Err(InvalidPublication::EmptyTopic));
        assert_eq!(on("up/#").check(), Err(InvalidPublication::Wildcard("up/#".into())));
        assert_eq!(on("a\0b").check(), Err(InvalidPublication::Nul));
        assert_eq!(on(&"x".repeat(65_536)).check(), Err(InvalidPublication::TopicTooLong(65_536)));

        let mut reply = on("up");
        reply.properties =
            Some(Box::new(Properties { response_topic: Some("a/+".into()), ..Properties::default() }));
        assert!(matches!(reply.check(), Err(InvalidPublication::ResponseTopic(_))));
        reply.properties =
            Some(Box::new(Properties { correlation: Some(vec![0; 65_536]), ..Properties::default() }));
        assert_eq!(reply.check(), Err(InvalidPublication::Property));
    }
}
