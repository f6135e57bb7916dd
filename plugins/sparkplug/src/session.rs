//! What is published about one edge node because of one event, in its order and with its numbers.

use prost::Message as _;
use tidegate_sdk::{Action, Content, Level, Message, Outcome, Properties, Qos, Sample, log};

use crate::node::Node;
use crate::payload::{Metric, Payload, Value, datatype};
use crate::settings::Settings;
use crate::{metric, name};

/// One event's messages in the making.
pub(crate) struct Session<'a> {
    settings: &'a Settings,
    /// Its id.
    id: String,
    now: i64,
    pub(crate) node: Node,
    pub(crate) actions: Vec<Action>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(settings: &'a Settings, endpoint: &str, now: i64, node: Node) -> Self {
        Self { settings, id: name::node(endpoint), now, node, actions: vec![] }
    }

    /// The edge node and all its devices, told from the beginning (Sparkplug 3.0, 6.4.19 and 6.4.20): the number of an
    /// NBIRTH is 0, the DBIRTHs follow at once.
    pub(crate) fn birth(&mut self) {
        let flag = |name: &str, value| self.own(name, datatype::BOOLEAN, value);
        let mut metrics = vec![
            self.own(BD_SEQ, datatype::UINT64, Value::Long(self.node.bd_seq.into())),
            flag(REBIRTH, Value::Boolean(false)),
        ];
        metrics.extend(self.node.properties.iter().cloned());
        self.node.seq = 0;
        self.publish("NBIRTH", None, metrics);
        for at in 0..self.node.devices.len() {
            self.device_birth(at);
        }
    }

    /// The session is over (6.4.25); this message has no number.
    pub(crate) fn death(&mut self) {
        let metrics = vec![self.own(BD_SEQ, datatype::UINT64, Value::Long(self.node.bd_seq.into()))];
        let payload = Payload { timestamp: self.timestamp(), metrics, seq: None };
        // As the will that stands for it elsewhere has it.
        self.send("NDEATH", None, &payload, Qos::AtLeastOnce);
    }

    /// Metrics of the edge node that have other values.
    pub(crate) fn data(&mut self, metrics: Vec<Metric>) {
        if !metrics.is_empty() {
            self.publish("NDATA", None, metrics);
        }
    }

    /// A device is gone.
    pub(crate) fn device_death(&mut self, id: (u16, u16)) {
        self.node.devices.retain(|device| device.id() != id);
        self.publish("DDEATH", Some(id), vec![]);
    }

    /// What has come from the client, device by device.
    pub(crate) fn values(&mut self, content: &Content) {
        let mut devices: Vec<((u16, u16), Vec<Metric>)> = Vec::new();
        for (at, sample) in content.samples.iter().enumerate() {
            let (Some(object), Some(instance)) = (sample.path.object, sample.path.object_instance) else {
                continue;
            };
            let Some(mut metric) = self.metric(sample) else { continue };
            let is_older =
                content.samples[at + 1..].iter().any(|later| metric::alias(&later.path) == metric.alias);
            metric.is_historical = is_older.then_some(true);
            match devices.iter_mut().find(|(id, _)| *id == (object, instance)) {
                Some((_, metrics)) => metrics.push(metric),
                None => devices.push(((object, instance), vec![metric])),
            }
        }
        for (id, metrics) in devices {
            self.device(id, metrics);
        }
    }

    /// Values of one device: data if its birth has told of all of them, else another birth.
    pub(crate) fn device(&mut self, id: (u16, u16), mut metrics: Vec<Metric>) {
        let mut room = self.node.room();
        let at = self.node.device(id);
        let device = &mut self.node.devices[at];
        let before = metrics.len();
        metrics.retain(|metric| {
            let is_known = device.metrics.iter().any(|of| of.alias == metric.alias);
            let fits = is_known || room > 0;
            room = room.saturating_sub(usize::from(!is_known));
            fits
        });
        if metrics.len() < before {
            let (id, left) = (&self.id, before - metrics.len());
            log(Level::Warn, &format!("{id} has more metrics than can be kept: {left} are left out"));
        }
        let tells_all = !device.metrics.is_empty() && metrics.iter().all(|metric| device.tells(metric));
        let (older, latest): (Vec<_>, Vec<_>) =
            metrics.iter().cloned().partition(|metric| metric.is_historical == Some(true));
        latest.into_iter().for_each(|metric| device.take(metric));
        let told = if tells_all {
            metrics
        } else {
            self.device_birth(at);
            older
        };
        self.node.devices[at].lighten();
        if !told.is_empty() {
            self.publish("DDATA", Some(id), told.into_iter().map(by_alias).collect());
        }
    }

    /// What is done, and the state.
    pub(crate) fn outcome(self) -> Outcome {
        Outcome { actions: self.actions, state: Some(self.node.written()) }
    }

    pub(crate) fn timestamp(&self) -> Option<u64> {
        u64::try_from(self.now).ok()
    }

    fn device_birth(&mut self, at: usize) {
        let device = &self.node.devices[at];
        let (id, metrics) = (device.id(), device.metrics.clone());
        if !metrics.is_empty() {
            self.publish("DBIRTH", Some(id), metrics);
        }
    }

    fn metric(&self, sample: &Sample) -> Option<Metric> {
        sample.path.object.filter(|object| self.settings.has(*object))?;
        metric::of_sample(sample, &self.settings.names, self.now)
    }

    /// A metric of the edge node.
    fn own(&self, name: &str, datatype: u32, value: Value) -> Metric {
        Metric {
            name: Some(name.to_owned()),
            timestamp: self.timestamp(),
            datatype: Some(datatype),
            value: Some(value),
            ..Metric::default()
        }
    }

    /// A message with a number. Births and data have QoS 0 and are not retained.
    fn publish(&mut self, kind: &str, device: Option<(u16, u16)>, metrics: Vec<Metric>) {
        let seq = Some(self.node.next_seq());
        let payload = Payload { timestamp: self.timestamp(), metrics, seq };
        self.send(kind, device, &payload, Qos::AtMostOnce);
    }

    fn send(&mut self, kind: &str, device: Option<(u16, u16)>, payload: &Payload, qos: Qos) {
        let mut topic = format!("{NAMESPACE}/{}/{kind}/{}", self.settings.group, self.id);
        if let Some((object, instance)) = device {
            topic.push('/');
            topic.push_str(&name::device(object, instance));
        }
        let payload = payload.encode_to_vec();
        self.actions.push(Action::Publish(Message {
            topic,
            payload,
            qos,
            retain: false,
            properties: Properties::default(),
        }));
    }
}

/// As data has it: the birth has told the rest (6.4.6).
fn by_alias(metric: Metric) -> Metric {
    Metric { name: None, datatype: None, ..metric }
}

/// First level of all topics.
pub(crate) const NAMESPACE: &str = "spBv1.0";
/// Wants all births again.
pub(crate) const REBIRTH: &str = "Node Control/Rebirth";
const BD_SEQ: &str = "bdSeq";
