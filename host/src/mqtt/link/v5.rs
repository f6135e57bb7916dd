//! MQTT 5 by `rumqttc::v5`.

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{
    Filter, Packet, PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, EventLoop, MqttOptions, Request, StateError};
use tracing::warn;

use super::carried::{Carried, Left};
use super::{Event, Failure, QUEUE, WINDOW};
use crate::mqtt::publication::{Properties, Publication, QoS};
use crate::mqtt::{SessionOptions, Subscription};

pub(super) fn open(options: &SessionOptions) -> (AsyncClient, Connection) {
    let mut settings = MqttOptions::new(options.client_id.as_str(), options.host_in_brackets(), options.port);
    settings
        .set_keep_alive(options.keep_alive)
        .set_clean_start(!options.resume)
        .set_max_packet_size(u32::try_from(options.max_packet).ok())
        .set_outgoing_inflight_upper_limit(WINDOW);
    if options.resume {
        settings.set_session_expiry_interval(Some(SESSION_EXPIRY));
    }
    if let Some(credentials) = &options.credentials {
        settings.set_credentials(credentials.username.as_str(), credentials.password.as_str());
    }
    let mut network = settings.network_options();
    network.set_tcp_nodelay(true);
    settings.set_network_options(network);
    let (client, eventloop) = AsyncClient::new(settings, QUEUE);
    (client, Connection { eventloop, carried: Carried::new(), window: 0 })
}

pub(super) async fn publish(client: &AsyncClient, publication: Publication) -> Result<(), ClientError> {
    let Publication { topic, payload, qos, retain, properties } = publication;
    let qos = outward(qos);
    match properties {
        None => client.publish(topic, qos, retain, payload).await,
        Some(properties) => {
            let properties = PublishProperties {
                response_topic: properties.response_topic,
                correlation_data: properties.correlation.map(Into::into),
                message_expiry_interval: properties.expiry,
                content_type: properties.content_type,
                user_properties: properties.user,
                ..PublishProperties::default()
            };
            client.publish_with_properties(topic, qos, retain, payload, properties).await
        }
    }
}

pub(super) async fn subscribe(
    client: &AsyncClient,
    subscriptions: &[Subscription],
) -> Result<(), ClientError> {
    let filters = subscriptions.iter().map(|wanted| Filter::new(wanted.filter.clone(), outward(wanted.qos)));
    client.subscribe_many(filters.collect::<Vec<_>>()).await
}

pub(in crate::mqtt) struct Connection {
    eventloop: EventLoop,
    carried: Carried<Request>,
    /// Unacknowledged messages that this connection may have; 0 while there is none.
    window: u16,
}

impl Connection {
    pub(super) async fn poll(&mut self) -> Result<Event, Failure> {
        self.hand_back();
        match self.eventloop.poll().await {
            Ok(rumqttc::v5::Event::Incoming(packet)) => Ok(self.incoming(packet)),
            Ok(rumqttc::v5::Event::Outgoing(packet)) => Ok(outgoing(&packet)),
            Err(error) => {
                self.window = 0;
                let collided = self.eventloop.state.collision.take().map(Request::Publish);
                self.eventloop.pending.extend(collided);
                self.carried.take(&mut self.eventloop.pending, sort);
                Err(failure(&error))
            }
        }
    }

    pub(super) fn unsent(&self) -> usize {
        self.carried.len() + self.eventloop.pending.len()
    }

    pub(super) fn carried(&self) -> usize {
        self.unsent() + usize::from(self.eventloop.state.inflight())
    }

    pub(super) fn take_unsent_subscriptions(&mut self) -> usize {
        self.carried.take_unsent_subscriptions()
    }

    /// Gives rumqttc the next message of an earlier connection, if there is one and the window has room.
    fn hand_back(&mut self) {
        let state = &self.eventloop.state;
        let room = state.inflight() < self.window && state.collision.is_none();
        if room && self.eventloop.pending.is_empty() {
            self.eventloop.pending.extend(self.carried.next());
        }
    }

    fn incoming(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::ConnAck(acknowledgement) => {
                let resumed = acknowledgement.session_present;
                let properties = acknowledgement.properties.as_ref();
                let max_packet = properties.and_then(|given| given.max_packet_size).map(|size| size as usize);
                self.window =
                    properties.and_then(|given| given.receive_max).map_or(WINDOW, |max| max.min(WINDOW));
                self.carried.fit(|request| fit(request, resumed, max_packet));
                Event::Connected { resumed, max_packet }
            }
            Packet::Publish(publish) => Event::Received(received(publish)),
            Packet::PubAck(acknowledgement) => Event::Acknowledged {
                refused: match acknowledgement.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
                    refused => Some(format!("{refused:?}")),
                },
            },
            Packet::PubComp(_) => Event::Acknowledged { refused: None },
            Packet::SubAck(acknowledgement) => {
                let refusals = acknowledgement.return_codes.iter().map(|code| match code {
                    SubscribeReasonCode::Success(_) => None,
                    refused => Some(format!("{refused:?}")),
                });
                Event::Subscribed { packet: acknowledgement.pkid, refusals: refusals.collect() }
            }
            _ => Event::Other,
        }
    }
}

/// The gateway announces no topic aliases, so that the topic of what comes in is never empty (MQTT 5, 3.1.2.11.5).
fn received(publish: Publish) -> Publication {
    Publication {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.into(),
        qos: inward(publish.qos),
        retain: publish.retain,
        properties: publish.properties.map(|properties| {
            Box::new(Properties {
                response_topic: properties.response_topic,
                correlation: properties.correlation_data.map(Into::into),
                expiry: properties.message_expiry_interval,
                content_type: properties.content_type,
                user: properties.user_properties,
            })
        }),
    }
}

fn outgoing(packet: &Outgoing) -> Event {
    match packet {
        Outgoing::Publish(_) => Event::Published,
        Outgoing::Subscribe(packet) => Event::Subscribing(*packet),
        Outgoing::Disconnect => Event::Disconnecting,
        _ => Event::Other,
    }
}

fn sort(request: Request) -> Left<Request> {
    match request {
        Request::Publish(_) | Request::PubRel(_) | Request::Unsubscribe(_) => Left::Again(request),
        Request::Subscribe(_) => Left::Subscription,
        _ => Left::Nothing,
    }
}

/// In a kept session a message keeps its packet identifier and is marked as sent before; in a new one it is new. One
/// that this broker does not take would end each connection, so it is dropped.
fn fit(request: Request, resumed: bool, max_packet: Option<usize>) -> Option<Request> {
    match request {
        Request::Publish(publish) if max_packet.is_some_and(|max| publish.size() > max) => {
            warn!(topic = %String::from_utf8_lossy(&publish.topic), "publication dropped: larger than the broker takes");
            None
        }
        Request::Publish(publish) if resumed => {
            Some(Request::Publish(Publish { dup: publish.pkid != 0, ..publish }))
        }
        Request::Publish(publish) => Some(Request::Publish(Publish { dup: false, pkid: 0, ..publish })),
        request => resumed.then_some(request),
    }
}

fn failure(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => Failure::refused(&format!("{code:?}")),
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => Failure::io(error),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Failure::closed(),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            Failure(format!(
                "the broker has ended the connection: {reason_code:?} {}",
                reason_string.as_deref().unwrap_or_default()
            ))
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) | ConnectionError::Timeout(_) => {
            Failure::timeout()
        }
        other => Failure(other.to_string()),
    }
}

fn outward(qos: QoS) -> rumqttc::v5::mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::v5::mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::v5::mqttbytes::QoS::ExactlyOnce,
    }
}

fn inward(qos: rumqttc::v5::mqttbytes::QoS) -> QoS {
    match qos {
        rumqttc::v5::mqttbytes::QoS::AtMostOnce => QoS::AtMostOnce,
        rumqttc::v5::mqttbytes::QoS::AtLeastOnce => QoS::AtLeastOnce,
        rumqttc::v5::mqttbytes::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Seconds for which the broker keeps the session of a gateway that is away.
const SESSION_EXPIRY: u32 = 3600;
