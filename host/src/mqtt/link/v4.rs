//! MQTT 3.1.1 by `rumqttc`.

use rumqttc::mqttbytes::v4::{Packet, Publish, SubscribeFilter, SubscribeReasonCode};
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, EventLoop, MqttOptions, Outgoing, Request, StateError,
};

use super::carried::{Carried, Left};
use super::{Event, Failure, QUEUE, WINDOW};
use crate::mqtt::publication::{Publication, QoS};
use crate::mqtt::{SessionOptions, Subscription};

pub(super) fn open(options: &SessionOptions) -> (AsyncClient, Connection) {
    let mut settings = MqttOptions::new(options.client_id.as_str(), options.host_in_brackets(), options.port);
    settings
        .set_keep_alive(options.keep_alive)
        .set_clean_session(!options.resume)
        .set_max_packet_size(options.max_packet, options.max_packet)
        .set_inflight(WINDOW);
    if let Some(credentials) = &options.credentials {
        settings.set_credentials(credentials.username.as_str(), credentials.password.as_str());
    }
    let (client, mut eventloop) = AsyncClient::new(settings, QUEUE);
    eventloop.network_options.set_tcp_nodelay(true);
    (client, Connection { eventloop, carried: Carried::new() })
}

pub(super) async fn publish(client: &AsyncClient, publication: Publication) -> Result<(), ClientError> {
    let Publication { topic, payload, qos, retain, properties: _ } = publication;
    client.publish(topic, outward(qos), retain, payload).await
}

pub(super) async fn subscribe(
    client: &AsyncClient,
    subscriptions: &[Subscription],
) -> Result<(), ClientError> {
    let filters =
        subscriptions.iter().map(|wanted| SubscribeFilter::new(wanted.filter.clone(), outward(wanted.qos)));
    client.subscribe_many(filters.collect::<Vec<_>>()).await
}

pub(in crate::mqtt) struct Connection {
    eventloop: EventLoop,
    carried: Carried<Request>,
}

impl Connection {
    pub(super) async fn poll(&mut self) -> Result<Event, Failure> {
        self.hand_back();
        match self.eventloop.poll().await {
            Ok(rumqttc::Event::Incoming(packet)) => Ok(self.incoming(packet)),
            Ok(rumqttc::Event::Outgoing(packet)) => Ok(outgoing(&packet)),
            Err(error) => {
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
        let room = state.inflight() < WINDOW && state.collision.is_none();
        if room && self.eventloop.network.is_some() && self.eventloop.pending.is_empty() {
            self.eventloop.pending.extend(self.carried.next());
        }
    }

    fn incoming(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::ConnAck(acknowledgement) => {
                let resumed = acknowledgement.session_present;
                self.carried.fit(|request| fit(request, resumed));
                Event::Connected { resumed, max_packet: None }
            }
            Packet::Publish(publish) => Event::Received(Publication {
                topic: publish.topic,
                payload: publish.payload.into(),
                qos: inward(publish.qos),
                retain: publish.retain,
                properties: None,
            }),
            Packet::PubAck(_) | Packet::PubComp(_) => Event::Acknowledged { refused: None },
            Packet::SubAck(acknowledgement) => {
                let refusals = acknowledgement.return_codes.iter().map(|code| match code {
                    SubscribeReasonCode::Success(_) => None,
                    // All that MQTT 3.1.1 says is 0x80 (3.9.3).
                    SubscribeReasonCode::Failure => Some("refused, mostly for want of rights".into()),
                });
                Event::Subscribed { packet: acknowledgement.pkid, refusals: refusals.collect() }
            }
            _ => Event::Other,
        }
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

/// In a kept session a message keeps its packet identifier and is marked as sent before; in a new one it is new.
fn fit(request: Request, resumed: bool) -> Option<Request> {
    match request {
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
        ConnectionError::MqttState(StateError::AwaitPingResp)
        | ConnectionError::NetworkTimeout
        | ConnectionError::FlushTimeout => Failure::timeout(),
        other => Failure(other.to_string()),
    }
}

fn outward(qos: QoS) -> rumqttc::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
    }
}

fn inward(qos: rumqttc::QoS) -> QoS {
    match qos {
        rumqttc::QoS::AtMostOnce => QoS::AtMostOnce,
        rumqttc::QoS::AtLeastOnce => QoS::AtLeastOnce,
        rumqttc::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
