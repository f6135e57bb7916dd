//! MQTT packets, whatever the protocol version: the one place that knows MQTT 3.1.1 from MQTT 5.
//!
//! The session speaks in [`Incoming`] and the methods of [`Codec`]. Packets are read, and all but one written, by the
//! codecs of rumqttc. PUBLISH, which is nearly all that is written, is put into the buffer straight from the publication.
//!
//! rumqttc's own client is not used. As of 0.25 it loses what is unacknowledged when the broker has lost the session, sends it
//! again without regard to the window and not always in its order, stops counting for good at a refused QoS 2 message,
//! acknowledges what nobody has taken yet, and makes a system call for each publication.

mod v4;
mod v5;

use bytes::{BufMut as _, BytesMut};

use super::publication::{Publication, QoS};
use super::{SessionOptions, Subscription};
use crate::config::MqttVersion;

/// Reads and writes packets of one protocol version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec {
    version: MqttVersion,
    /// The largest packet that is taken, bytes.
    max_packet: usize,
}

/// What a broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The answer to CONNECT.
    Connected(Greeting),
    /// The broker does not want the connection, and why.
    Refused(String),
    /// A message, and its packet identifier, which is 0 with QoS 0.
    Publish { packet: u16, publication: Publication },
    /// A QoS 1 message has arrived, or was refused for this reason.
    PubAck { packet: u16, refused: Option<String> },
    /// A QoS 2 message has arrived, or was refused for this reason.
    PubRec { packet: u16, refused: Option<String> },
    /// A QoS 2 message of the broker may be forgotten.
    PubRel { packet: u16 },
    /// The broker has forgotten a QoS 2 message.
    PubComp { packet: u16 },
    /// The answer to SUBSCRIBE: for each filter none, or the reason for a refusal.
    SubAck { packet: u16, refusals: Vec<Option<String>> },
    /// The answer to UNSUBSCRIBE.
    UnsubAck { packet: u16 },
    /// The broker is there.
    PingResp,
    /// The broker ends the connection, and why.
    Disconnect(String),
}

/// What a broker says of itself and of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// It has kept the session.
    pub(super) resumed: bool,
    /// The largest packet it takes, if it says so.
    pub(super) max_packet: Option<usize>,
    /// Unacknowledged QoS 1 and 2 messages it takes at a time, if it says so.
    pub(super) receive_max: Option<u16>,
    /// The keep alive that it wants, seconds.
    pub(super) keep_alive: Option<u16>,
    /// The highest quality of service it takes.
    pub(super) max_qos: Option<QoS>,
    /// It takes no retained messages.
    pub(super) no_retain: bool,
    /// It knows no shared subscriptions.
    pub(super) no_shared: bool,
}

/// Bytes that are no packet, or none that a broker sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

impl Codec {
    pub(super) fn new(version: MqttVersion, max_packet: usize) -> Self {
        Self { version, max_packet }
    }

    /// Takes the first packet out of the buffer; none if it is not whole yet.
    ///
    /// # Errors
    /// The buffer does not begin with a packet, or with one that is too large. The connection is of no more use.
    pub(super) fn read(self, buffer: &mut BytesMut) -> Result<Option<Incoming>, Malformed> {
        // The readers want at least a byte.
        if buffer.is_empty() {
            return Ok(None);
        }
        match self.version {
            MqttVersion::V4 => v4::read(buffer, self.max_packet),
            MqttVersion::V5 => v5::read(buffer, self.max_packet),
        }
    }

    /// CONNECT, with the will that the broker publishes when it does not hear of the gateway any more.
    pub(super) fn connect(self, buffer: &mut BytesMut, options: &SessionOptions, will: Option<Publication>) {
        match self.version {
            MqttVersion::V4 => v4::connect(buffer, options, will),
            MqttVersion::V5 => v5::connect(buffer, options, self.max_packet, will),
        }
    }

    /// PUBLISH (MQTT 5, 3.3), which must have been [checked](Publication::check). `packet` is 0 with QoS 0; `repeated`: it
    /// was sent before under this identifier.
    pub(super) fn publish(
        self,
        buffer: &mut BytesMut,
        publication: &Publication,
        packet: u16,
        repeated: bool,
    ) {
        let Publication { topic, payload, qos, retain, properties } = publication;
        let has_packet = *qos != QoS::AtMostOnce;
        let properties_size = match (self.version, properties) {
            (MqttVersion::V4, _) => 0,
            (MqttVersion::V5, None) => 1,
            (MqttVersion::V5, Some(properties)) => {
                let size = v5::properties_size(properties);
                length_size(size) + size
            }
        };
        let rest = 2 + topic.len() + 2 * usize::from(has_packet) + properties_size + payload.len();
        buffer.reserve(1 + length_size(rest) + rest);
        let flags = u8::from(repeated) << 3 | level(*qos) << 1 | u8::from(*retain);
        buffer.put_u8(PUBLISH << 4 | flags);
        put_length(buffer, rest);
        put_text(buffer, topic);
        if has_packet {
            buffer.put_u16(packet);
        }
        match (self.version, properties) {
            (MqttVersion::V4, _) => {}
            (MqttVersion::V5, None) => buffer.put_u8(0),
            (MqttVersion::V5, Some(properties)) => v5::put_properties(buffer, properties),
        }
        buffer.put_slice(payload);
    }

    /// SUBSCRIBE, for at least one filter, which must have been checked.
    pub(super) fn subscribe(self, buffer: &mut BytesMut, packet: u16, subscriptions: &[Subscription]) {
        match self.version {
            MqttVersion::V4 => v4::subscribe(buffer, packet, subscriptions),
            MqttVersion::V5 => v5::subscribe(buffer, packet, subscriptions),
        }
    }

    /// UNSUBSCRIBE, for at least one filter.
    pub(super) fn unsubscribe(self, buffer: &mut BytesMut, packet: u16, filters: Vec<String>) {
        match self.version {
            MqttVersion::V4 => v4::unsubscribe(buffer, packet, filters),
            MqttVersion::V5 => v5::unsubscribe(buffer, packet, filters),
        }
    }

    /// PUBACK (3.4), PUBREC (3.5), PUBREL (3.6) or PUBCOMP (3.7) without anything to complain of: the same four bytes in
    /// both versions.
    pub(super) fn acknowledge(self, buffer: &mut BytesMut, what: Acknowledgement, packet: u16) {
        buffer.put_slice(&[what as u8, 2]);
        buffer.put_u16(packet);
    }

    /// PINGREQ (3.12), the same in both versions.
    pub(super) fn ping(self, buffer: &mut BytesMut) {
        buffer.put_slice(&[0xC0, 0]);
    }

    /// DISCONNECT (3.14) in peace, the same in both versions.
    pub(super) fn disconnect(self, buffer: &mut BytesMut) {
        buffer.put_slice(&[0xE0, 0]);
    }
}

/// The packets that acknowledge (PUBACK, PUBREC, PUBREL, PUBCOMP), by their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledgement {
    Ack = 0x40,
    Rec = 0x50,
    Rel = 0x62,
    Comp = 0x70,
}

/// What a refusal to connect means to the operator, by rumqttc's name of its code.
fn refusal(code: &str) -> String {
    let advice = match code {
        "BadUserNamePassword" => "bad user name or password; check `username` and `password-file`",
        "NotAuthorized" => {
            "not authorised; check `username`, `password-file` and the broker's access rules, also for `status-topic`"
        }
        "RefusedProtocolVersion" | "UnsupportedProtocolVersion" => {
            "the broker does not speak this MQTT version; set `version` to 4 or 5 accordingly"
        }
        "BadClientId" | "ClientIdentifierNotValid" => {
            "the broker refuses the client identifier; check `client-id`"
        }
        "ServiceUnavailable" | "ServerUnavailable" | "ServerBusy" => {
            "the broker is not available at the moment"
        }
        "TopicNameInvalid" | "RetainNotSupported" | "QoSNotSupported" => {
            "it does not take the will; set `status-topic` to another topic, or to \"\" for none"
        }
        "Banned" => "the broker has banned this client",
        other => other,
    };
    format!("the broker refuses the connection: {advice}")
}

fn level(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

/// How many bytes a length takes (1.5.5).
fn length_size(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// A length (1.5.5).
fn put_length(buffer: &mut BytesMut, mut length: usize) {
    loop {
        let byte = u8::try_from(length & 0x7F).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            return buffer.put_u8(byte);
        }
        buffer.put_u8(byte | 0x80);
    }
}

/// A text (1.5.4), which has been checked to be short enough.
fn put_text(buffer: &mut BytesMut, text: &str) {
    put_bytes(buffer, text.as_bytes());
}

fn put_bytes(buffer: &mut BytesMut, bytes: &[u8]) {
    buffer.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    buffer.put_slice(bytes);
}

const PUBLISH: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::publication::Properties;

    fn publications() -> impl Strategy<Value = Publication> {
        let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
        let text = || "[a-zé/]{1,40}";
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
        let properties = (
            prop::option::of(text()),
            prop::option::of(bytes(40)),
            any::<Option<u32>>(),
            prop::option::of(text()),
            prop::collection::vec((text(), text()), 0..6),
        );
        let properties = properties.prop_map(|(response_topic, correlation, expiry, content_type, user)| {
            Box::new(Properties { response_topic, correlation, expiry, content_type, user })
        });
        let properties = prop::option::of(properties);
        (text(), bytes(40_000), qos, any::<bool>(), properties).prop_map(
            |(topic, payload, qos, retain, properties)| Publication {
                topic,
                payload,
                qos,
                retain,
                properties,
            },
        )
    }

    fn codec(version: MqttVersion) -> Codec {
        Codec::new(version, 1 << 20)
    }

    proptest! {
        /// rumqttc's readers are the judges of our writer.
        #[test]
        fn a_publish_is_read_as_it_was_written(publication in publications(), packet in 1..=u16::MAX, repeated: bool) {
            let packet = if publication.qos == QoS::AtMostOnce { 0 } else { packet };
            for version in [MqttVersion::V4, MqttVersion::V5] {
                let mut buffer = BytesMut::new();
                codec(version).publish(&mut buffer, &publication, packet, repeated);
                prop_assert!(buffer.len() <= publication.packet_size());
                prop_assert_eq!(buffer[0] & 8 != 0, repeated);
                let mut expected = publication.clone();
                // Properties that say nothing are none.
                let is_empty = expected.properties.as_deref() == Some(&Properties::default());
                if version == MqttVersion::V4 || is_empty {
                    expected.properties = None;
                }
                let read = codec(version).read(&mut buffer);
                prop_assert_eq!(read, Ok(Some(Incoming::Publish { packet, publication: expected })));
                prop_assert!(buffer.is_empty());
            }
        }

        #[test]
        fn half_a_packet_is_none_yet(publication in publications(), at: prop::sample::Index) {
            for version in [MqttVersion::V4, MqttVersion::V5] {
                let mut buffer = BytesMut::new();
                codec(version).publish(&mut buffer, &publication, 1, false);
                buffer.truncate(at.index(buffer.len()));
                prop_assert_eq!(codec(version).read(&mut buffer), Ok(None));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for version in [MqttVersion::V4, MqttVersion::V5] {
                let mut buffer = BytesMut::from(bytes.as_slice());
                while let Ok(Some(_)) = codec(version).read(&mut buffer) {}
            }
        }
    }

    #[test]
    fn what_is_larger_than_it_may_be_is_refused_before_it_is_there() {
        let publication =
            Publication { topic: "t".into(), payload: vec![0; 5_000], ..Publication::default() };
        for version in [MqttVersion::V4, MqttVersion::V5] {
            let mut buffer = BytesMut::new();
            codec(version).publish(&mut buffer, &publication, 0, false);
            buffer.truncate(10);
            assert!(Codec::new(version, 4_000).read(&mut buffer).is_err());
        }
    }

    #[test]
    fn acknowledgements_are_read_as_they_were_written() {
        for version in [MqttVersion::V4, MqttVersion::V5] {
            let codec = codec(version);
            let mut buffer = BytesMut::new();
            codec.acknowledge(&mut buffer, Acknowledgement::Ack, 7);
            codec.acknowledge(&mut buffer, Acknowledgement::Rec, 8);
            codec.acknowledge(&mut buffer, Acknowledgement::Rel, 0x1234);
            codec.acknowledge(&mut buffer, Acknowledgement::Comp, 9);
            let mut next = || codec.read(&mut buffer).unwrap();
            assert_eq!(next(), Some(Incoming::PubAck { packet: 7, refused: None }));
            assert_eq!(next(), Some(Incoming::PubRec { packet: 8, refused: None }));
            assert_eq!(next(), Some(Incoming::PubRel { packet: 0x1234 }));
            assert_eq!(next(), Some(Incoming::PubComp { packet: 9 }));
            assert_eq!(next(), None);
        }
    }
}
