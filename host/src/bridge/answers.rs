//! The last answers that translators have published, for those who look them up as they do in EMQX.
//!
//! Only answers to what was asked pass here, never notifications. What is kept is bounded; the oldest goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Asked, Event};

use crate::mqtt::Publication;

/// Payloads by whom and what was asked.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// Each shard has one to itself, unless there are very many.
    shelves: Arc<[Mutex<Shelf>]>,
}

type Key = (Arc<str>, OperationName, Path);

#[derive(Debug, Default)]
struct Shelf {
    payloads: FxHashMap<Key, Vec<u8>>,
    /// From the oldest on.
    order: VecDeque<Key>,
    bytes: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self { shelves: (0..SHELVES).map(|_| Mutex::default()).collect() }
    }
}

impl Answers {
    /// What was published for an answer, or for what came to nothing.
    pub(super) fn keep(&self, shard: u8, event: &Event, publications: &[Publication]) {
        let (Event::Answered { asked, .. } | Event::Failed { asked, .. }) = event else { return };
        let Some(publication) = publications.last().filter(|of| of.payload.len() <= LARGEST) else { return };
        let endpoint = match event {
            Event::Answered { registration, .. } => &registration.endpoint,
            Event::Failed { endpoint, .. } => endpoint,
            _ => return,
        };
        let Asked { operation, path, .. } = *asked;
        let shelf = &self.shelves[usize::from(shard) % SHELVES];
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.put((Arc::clone(endpoint), operation, path), publication.payload.clone());
    }

    /// The payload that was published for the last answer of a client to this.
    pub(crate) fn find(&self, endpoint: &Arc<str>, operation: OperationName, path: Path) -> Option<Vec<u8>> {
        let key = (Arc::clone(endpoint), operation, path);
        // The client may have been at another shard then.
        self.shelves.iter().find_map(|shelf| {
            let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.payloads.get(&key).cloned()
        })
    }
}

impl Shelf {
    fn put(&mut self, key: Key, payload: Vec<u8>) {
        self.bytes += payload.len();
        match self.payloads.insert(key.clone(), payload) {
            Some(old) => self.bytes -= old.len(),
            None => self.order.push_back(key),
        }
        while self.order.len() > ANSWERS || self.bytes > BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(old) = self.payloads.remove(&oldest) {
                self.bytes -= old.len();
            }
        }
    }
}

const SHELVES: usize = 16;
/// On a shelf.
const ANSWERS: usize = 1_024;
const BYTES: usize = 1 << 20;
/// Of one payload.
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use tidegate_proto::lwm2m::server::Failure;

    use super::*;
    use crate::mqtt::QoS;

    fn failed(endpoint: &str, path: [u16; 3]) -> Event {
        let asked = Asked { operation: OperationName::Read, path: Path::new(path), context: "emqx\0".into() };
        Event::Failed { endpoint: endpoint.into(), registration: None, asked, failure: Failure::Timeout }
    }

    fn publication(payload: &[u8]) -> Publication {
        let topic = "up/resp".to_owned();
        Publication {
            topic,
            payload: payload.to_vec(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: None,
        }
    }

    #[test]
    fn the_last_answer_is_found_and_the_oldest_is_forgotten() {
        let answers = Answers::default();
        let find = |endpoint: &str, path: [u16; 3]| {
            answers.find(&endpoint.into(), OperationName::Read, Path::new(path))
        };
        answers.keep(0, &failed("a", [3, 0, 0]), &[publication(b"1")]);
        answers.keep(3, &failed("b", [3, 0, 0]), &[publication(b"0"), publication(b"2")]);
        answers.keep(0, &failed("a", [3, 0, 0]), &[publication(b"3")]);
        answers.keep(0, &failed("a", [3, 0, 1]), &[]);
        assert_eq!(find("a", [3, 0, 0]).as_deref(), Some(&b"3"[..]));
        assert_eq!(find("b", [3, 0, 0]).as_deref(), Some(&b"2"[..]));
        assert_eq!(find("a", [3, 0, 1]), None);
        for number in 0..1_024 {
            answers.keep(0, &failed("c", [3, 0, number]), &[publication(b"x")]);
        }
        assert_eq!((find("a", [3, 0, 0]), find("c", [3, 0, 0]).is_some()), (None, true));
        answers.keep(0, &failed("d", [3, 0, 0]), &[publication(&vec![0; LARGEST + 1])]);
        assert_eq!(find("d", [3, 0, 0]), None);
        for number in 0..32 {
            answers.keep(0, &failed("e", [3, 0, number]), &[publication(&vec![0; LARGEST])]);
        }
        let shelf = answers.shelves[0].lock().unwrap();
        assert!(shelf.bytes <= BYTES && shelf.payloads.len() == shelf.order.len());
    }
}
