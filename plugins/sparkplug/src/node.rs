//! An edge node as the gateway keeps it between calls: what its births tell, and the number of its next message.

use prost::Message;
use tidegate_sdk::{Level, Registration, log};

use crate::payload::{Metric, Value, datatype};

/// The state of a client.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    /// Of the next message, 0 to 255.
    #[prost(uint32, tag = "1")]
    pub(crate) seq: u32,
    /// Of this session, 0 to 255.
    #[prost(uint32, tag = "2")]
    pub(crate) bd_seq: u32,
    /// The metrics of the edge node itself, without those that are always there.
    #[prost(message, repeated, tag = "3")]
    pub(crate) properties: Vec<Metric>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) devices: Vec<Device>,
    /// Whether the rebirth that the client has still to be asked for has been made already.
    #[prost(bool, tag = "5")]
    pub(crate) is_reborn: bool,
}

/// An object instance, with its metrics as of last.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Device {
    #[prost(uint32, tag = "1")]
    object: u32,
    #[prost(uint32, tag = "2")]
    instance: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metrics: Vec<Metric>,
}

impl Node {
    /// From the state; none for an empty one, and for one that is not understood: the session begins anew.
    pub(crate) fn read(state: &[u8]) -> Option<Self> {
        let (version, node) = state.split_first()?;
        let node = if *version == VERSION { Self::decode(node).ok() } else { None };
        if node.is_none() {
            log(
                Level::Warn,
                &format!("a state of version {version} and {} bytes is not understood", state.len()),
            );
        }
        node
    }

    /// The state.
    pub(crate) fn written(&self) -> Vec<u8> {
        let mut state = vec![VERSION];
        // Writing to a `Vec` cannot fail.
        let _ = self.encode(&mut state);
        state
    }

    /// The number of a message that is sent now.
    pub(crate) fn next_seq(&mut self) -> u64 {
        let seq = self.seq;
        self.seq = (seq + 1) % 256;
        seq.into()
    }

    /// Its place among the devices; it is put there if it is new.
    pub(crate) fn device(&mut self, (object, instance): (u16, u16)) -> usize {
        let at = self.devices.iter().position(|device| device.id() == (object, instance));
        at.unwrap_or_else(|| {
            let (object, instance) = (object.into(), instance.into());
            self.devices.push(Device { object, instance, metrics: vec![] });
            self.devices.len() - 1
        })
    }

    /// How many more metrics fit into a state.
    pub(crate) fn room(&self) -> usize {
        MOST_METRICS.saturating_sub(self.devices.iter().map(|device| device.metrics.len()).sum())
    }
}

impl Device {
    /// Object and instance.
    pub(crate) fn id(&self) -> (u16, u16) {
        let id = |id: u32| u16::try_from(id).unwrap_or_default();
        (id(self.object), id(self.instance))
    }

    /// Whether its last birth has told of a metric, with the same data type.
    pub(crate) fn tells(&self, metric: &Metric) -> bool {
        self.metrics.iter().any(|of| of.alias == metric.alias && of.datatype == metric.datatype)
    }

    /// Takes a metric's value, or a new metric.
    pub(crate) fn take(&mut self, metric: Metric) {
        match self.metrics.iter_mut().find(|of| of.alias == metric.alias) {
            Some(of) => *of = metric,
            None => self.metrics.push(metric),
        }
    }

    /// A long value is left out of the state: a rebirth says null in its place.
    pub(crate) fn lighten(&mut self) {
        for metric in &mut self.metrics {
            let length = match &metric.value {
                Some(Value::String(text)) => text.len(),
                Some(Value::Bytes(bytes)) => bytes.len(),
                _ => 0,
            };
            if length > LONG {
                metric.value = None;
                metric.is_null = Some(true);
            }
        }
    }
}

/// What an edge node tells of itself.
pub(crate) fn properties(registration: &Registration, now: Option<u64>) -> Vec<Metric> {
    let metric = |name: &str, datatype, value| Metric {
        name: Some(name.to_owned()),
        timestamp: now,
        datatype: Some(datatype),
        value: Some(value),
        ..Metric::default()
    };
    let text = |name, text: &str| metric(name, datatype::STRING, Value::String(text.to_owned()));
    let lifetime = Value::Long(registration.lifetime.into());
    let mut metrics = vec![
        text("Properties/LwM2M Version", &registration.version),
        text("Properties/Binding", &registration.binding),
        metric("Properties/Lifetime", datatype::UINT64, lifetime),
    ];
    if registration.objects.iter().any(|link| link.path.object == Some(3)) {
        metrics.push(metric(REBOOT, datatype::BOOLEAN, Value::Boolean(false)));
    }
    metrics
}

/// Restarts the device.
pub(crate) const REBOOT: &str = "Node Control/Reboot";
/// How the state is written.
const VERSION: u8 = 1;
/// So that a state stays below the gateway's 64 KiB: a metric has at most about 150 bytes.
const MOST_METRICS: usize = 400;
/// Bytes.
const LONG: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_messages_go_round() {
        let mut node = Node { seq: 254, ..Node::default() };
        assert_eq!([node.next_seq(), node.next_seq(), node.next_seq()], [254, 255, 0]);
    }

    #[test]
    fn a_state_comes_back_and_one_that_is_not_understood_is_none() {
        let mut node = Node { seq: 7, bd_seq: 255, ..Node::default() };
        node.device((3303, 1));
        assert_eq!(Node::read(&node.written()), Some(node));
        assert_eq!(Node::read(&[]), None);
        assert_eq!(Node::read(&[2, 3]), None);
        assert_eq!(Node::read(&[VERSION, 0xFF]), None);
    }

    #[test]
    fn the_largest_state_is_below_the_gateways_limit() {
        let mut node = Node::default();
        for number in 0..40 {
            let at = node.device((3303, number));
            for resource in 0..10_u16 {
                node.devices[at].take(Metric {
                    name: Some(format!("{}/65535", "x".repeat(48))),
                    alias: Some(u64::MAX - u64::from(resource)),
                    timestamp: Some(u64::MAX),
                    datatype: Some(datatype::STRING),
                    value: Some(Value::String("x".repeat(LONG))),
                    ..Metric::default()
                });
            }
            node.devices[at].lighten();
        }
        assert_eq!(node.room(), 0);
        assert!(node.written().len() < 64 << 10, "{}", node.written().len());
    }

    #[test]
    fn a_long_value_is_not_remembered() {
        let mut device = Device::default();
        let value = Some(Value::Bytes(vec![0; LONG + 1]));
        device.take(Metric { alias: Some(1), value, ..Metric::default() });
        device.lighten();
        assert_eq!((&device.metrics[0].value, device.metrics[0].is_null), (&None, Some(true)));
    }
}
