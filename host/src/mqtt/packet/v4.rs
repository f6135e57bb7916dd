//! MQTT 3.1.1.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, LastWill, Login, Packet, Subscribe, SubscribeFilter, SubscribeReasonCode,
    Unsubscribe,
};
use rumqttc::mqttbytes::{self, Error};

use super::{Greeting, Incoming, Malformed, refusal};
use crate::mqtt::publication::{Publication, QoS};
use crate::mqtt::{SessionOptions, Subscription};

pub(super) fn read(buffer: &mut BytesMut, max_packet: usize) -> Result<Option<Incoming>, Malformed> {
    let packet = match Packet::read(buffer, max_packet) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(Malformed(error.to_string())),
    };
    Ok(Some(match packet {
        Packet::ConnAck(it) if it.code == ConnectReturnCode::Success => {
            Incoming::Connected(Greeting { resumed: it.session_present, ..Greeting::default() })
        }
        Packet::ConnAck(it) => Incoming::Refused(refusal(&format!("{:?}", it.code))),
        Packet::Publish(it) => Incoming::Publish {
            packet: it.pkid,
            publication: Publication {
                topic: it.topic,
                payload: it.payload.into(),
                qos: inward(it.qos),
                retain: it.retain,
                properties: None,
            },
        },
        Packet::PubAck(it) => Incoming::PubAck { packet: it.pkid, refused: None },
        Packet::PubRec(it) => Incoming::PubRec { packet: it.pkid, refused: None },
        Packet::PubRel(it) => Incoming::PubRel { packet: it.pkid },
        Packet::PubComp(it) => Incoming::PubComp { packet: it.pkid },
        Packet::SubAck(it) => {
            let refusals = it.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(_) => None,
                // All that MQTT 3.1.1 says is 0x80 (3.9.3).
                SubscribeReasonCode::Failure => Some("refused, mostly for want of rights".into()),
            });
            Incoming::SubAck { packet: it.pkid, refusals: refusals.collect() }
        }
        Packet::UnsubAck(it) => Incoming::UnsubAck { packet: it.pkid },
        Packet::PingResp => Incoming::PingResp,
        other => return Err(Malformed(format!("no packet of a broker: {other:?}"))),
    }))
}

pub(super) fn connect(buffer: &mut BytesMut, options: &SessionOptions, will: Option<Publication>) {
    let mut connect = Connect::new(options.client_id.as_str());
    connect.keep_alive = u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.clean_session = options.session_expiry.is_zero();
    connect.last_will =
        will.map(|will| LastWill::new(will.topic, will.payload, outward(will.qos), will.retain));
    connect.login =
        options.credentials.as_ref().map(|it| Login::new(it.username.as_str(), it.password.as_str()));
    write(&Packet::Connect(connect), buffer);
}

pub(super) fn subscribe(buffer: &mut BytesMut, packet: u16, subscriptions: &[Subscription]) {
    let filters = subscriptions.iter().map(|it| SubscribeFilter::new(it.filter.clone(), outward(it.qos)));
    let mut subscribe = Subscribe::new_many(filters);
    subscribe.pkid = packet;
    write(&Packet::Subscribe(subscribe), buffer);
}

pub(super) fn unsubscribe(buffer: &mut BytesMut, packet: u16, filters: Vec<String>) {
    write(&Packet::Unsubscribe(Unsubscribe { pkid: packet, topics: filters }), buffer);
}

fn write(packet: &Packet, buffer: &mut BytesMut) {
    // It fails for packets above its limit, which is none here.
    let _ = packet.write(buffer, usize::MAX);
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
