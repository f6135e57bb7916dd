//! MQTT 5.

use bytes::{Buf as _, BufMut as _, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, ConnectReturnCode, Filter, LastWill, Login, Packet, PubAckReason,
    PubRecReason, Publish, Subscribe, SubscribeReasonCode, Unsubscribe,
};
use rumqttc::v5::mqttbytes::{self, Error};

use super::{Greeting, Incoming, Malformed, put_bytes, put_length, put_text, refusal};
use crate::mqtt::publication::{Properties, Publication, QoS};
use crate::mqtt::{SessionOptions, Subscription};

pub(super) fn read(buffer: &mut BytesMut, max_packet: usize) -> Result<Option<Incoming>, Malformed> {
    // A DISCONNECT without a reason (3.14.2.1), which the reader does not know.
    if buffer.starts_with(&[0xE0, 0]) {
        buffer.advance(2);
        return Ok(Some(Incoming::Disconnect("without a reason".to_owned())));
    }
    let packet = match Packet::read(buffer, u32::try_from(max_packet).ok()) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(Malformed(error.to_string())),
    };
    Ok(Some(match packet {
        Packet::ConnAck(it) if it.code == ConnectReturnCode::Success => {
            let given = it.properties.as_ref();
            Incoming::Connected(Greeting {
                resumed: it.session_present,
                max_packet: given.and_then(|given| given.max_packet_size).map(|size| size as usize),
                receive_max: given.and_then(|given| given.receive_max),
                keep_alive: given.and_then(|given| given.server_keep_alive),
                max_qos: given.and_then(|given| given.max_qos).map(|level| match level {
                    0 => QoS::AtMostOnce,
                    _ => QoS::AtLeastOnce,
                }),
                no_shared: given.and_then(|given| given.shared_subscription_available) == Some(0),
                no_retain: given.and_then(|given| given.retain_available) == Some(0),
            })
        }
        Packet::ConnAck(it) => Incoming::Refused(refusal(&format!("{:?}", it.code))),
        Packet::Publish(it) => Incoming::Publish { packet: it.pkid, publication: received(it) },
        Packet::PubAck(it) => {
            let refused = match it.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
                refused => Some(format!("{refused:?}")),
            };
            Incoming::PubAck { packet: it.pkid, refused }
        }
        Packet::PubRec(it) => {
            let refused = match it.reason {
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => None,
                refused => Some(format!("{refused:?}")),
            };
            Incoming::PubRec { packet: it.pkid, refused }
        }
        Packet::PubRel(it) => Incoming::PubRel { packet: it.pkid },
        Packet::PubComp(it) => Incoming::PubComp { packet: it.pkid },
        Packet::SubAck(it) => {
            let refusals = it.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(_) => None,
                refused => Some(format!("{refused:?}")),
            });
            Incoming::SubAck { packet: it.pkid, refusals: refusals.collect() }
        }
        Packet::UnsubAck(it) => Incoming::UnsubAck { packet: it.pkid },
        Packet::PingResp(_) => Incoming::PingResp,
        Packet::Disconnect(it) => {
            let text = it.properties.and_then(|properties| properties.reason_string).unwrap_or_default();
            Incoming::Disconnect(format!("{:?} {text}", it.reason_code).trim_end().to_owned())
        }
        other => return Err(Malformed(format!("no packet of a broker: {other:?}"))),
    }))
}

pub(super) fn connect(
    buffer: &mut BytesMut,
    options: &SessionOptions,
    max_packet: usize,
    will: Option<Publication>,
) {
    let expiry = u32::try_from(options.session_expiry.as_secs()).unwrap_or(u32::MAX);
    let connect = Connect {
        keep_alive: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
        client_id: options.client_id.clone(),
        clean_start: expiry == 0,
        properties: Some(ConnectProperties {
            session_expiry_interval: Some(expiry).filter(|expiry| *expiry > 0),
            max_packet_size: u32::try_from(max_packet).ok(),
            ..ConnectProperties::new()
        }),
    };
    let login = options.credentials.as_ref().map(|it| Login::new(it.username.as_str(), it.password.as_str()));
    let will = will.map(|will| LastWill::new(will.topic, will.payload, outward(will.qos), will.retain, None));
    write(&Packet::Connect(connect, will, login), buffer);
}

pub(super) fn subscribe(buffer: &mut BytesMut, packet: u16, subscriptions: &[Subscription]) {
    let filters = subscriptions.iter().map(|it| Filter::new(it.filter.clone(), outward(it.qos)));
    let mut subscribe = Subscribe::new_many(filters, None);
    subscribe.pkid = packet;
    write(&Packet::Subscribe(subscribe), buffer);
}

pub(super) fn unsubscribe(buffer: &mut BytesMut, packet: u16, filters: Vec<String>) {
    write(&Packet::Unsubscribe(Unsubscribe { pkid: packet, filters, properties: None }), buffer);
}

/// How many bytes the properties of a PUBLISH take (3.3.2.3), without their length.
pub(super) fn properties_size(properties: &Properties) -> usize {
    let Properties { response_topic, correlation, expiry, content_type, user } = properties;
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| 3 + text.len());
    let user: usize = user.iter().map(|(name, value)| 5 + name.len() + value.len()).sum();
    let correlation = correlation.as_ref().map_or(0, |bytes| 3 + bytes.len());
    text(response_topic) + correlation + expiry.map_or(0, |_| 5) + text(content_type) + user
}

/// The properties of a PUBLISH with their length.
pub(super) fn put_properties(buffer: &mut BytesMut, properties: &Properties) {
    put_length(buffer, properties_size(properties));
    let Properties { response_topic, correlation, expiry, content_type, user } = properties;
    if let Some(expiry) = expiry {
        buffer.put_u8(MESSAGE_EXPIRY_INTERVAL);
        buffer.put_u32(*expiry);
    }
    if let Some(text) = content_type {
        buffer.put_u8(CONTENT_TYPE);
        put_text(buffer, text);
    }
    if let Some(topic) = response_topic {
        buffer.put_u8(RESPONSE_TOPIC);
        put_text(buffer, topic);
    }
    if let Some(bytes) = correlation {
        buffer.put_u8(CORRELATION_DATA);
        put_bytes(buffer, bytes);
    }
    for (name, value) in user {
        buffer.put_u8(USER_PROPERTY);
        put_text(buffer, name);
        put_text(buffer, value);
    }
}

/// The gateway announces no topic aliases, so that the topic of what comes in is never empty (3.1.2.11.5).
fn received(publish: Publish) -> Publication {
    let properties = publish.properties.map(|properties| Properties {
        response_topic: properties.response_topic,
        correlation: properties.correlation_data.map(Into::into),
        expiry: properties.message_expiry_interval,
        content_type: properties.content_type,
        user: properties.user_properties,
    });
    Publication {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.into(),
        qos: inward(publish.qos),
        retain: publish.retain,
        properties: properties.filter(|properties| *properties != Properties::default()).map(Box::new),
    }
}

fn write(packet: &Packet, buffer: &mut BytesMut) {
    // It fails for packets above its limit, and here is none.
    let _ = packet.write(buffer, None);
}

fn outward(qos: QoS) -> mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
    }
}

fn inward(qos: mqttbytes::QoS) -> QoS {
    match qos {
        mqttbytes::QoS::AtMostOnce => QoS::AtMostOnce,
        mqttbytes::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqttbytes::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

// Property identifiers (2.2.2.2).
const MESSAGE_EXPIRY_INTERVAL: u8 = 2;
const CONTENT_TYPE: u8 = 3;
const RESPONSE_TOPIC: u8 = 8;
const CORRELATION_DATA: u8 = 9;
const USER_PROPERTY: u8 = 38;
