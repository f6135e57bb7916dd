//! What a [`Network`] has seen.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_dtls::credential::Principal;
use tidegate_dtls::endpoint::{End, Failure, Remote, Summary};
use tidegate_proto::time::Instant;

use super::Network;
use crate::client::wire::{CID, Record};

/// What an endpoint has told beside datagrams to send.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Established { association: u64, from: Remote, principal: Arc<Principal>, summary: Summary },
    Received { association: u64, from: Remote, payload: Vec<u8> },
    Ended { association: u64, principal: Arc<Principal>, reason: End },
    Failed { from: Remote, failure: Failure },
}

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) at: Instant,
    pub(crate) to_server: bool,
    /// The client's address.
    pub(crate) client: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

impl Network {
    /// The association that was established last at a client's address.
    pub(crate) fn association(&self, client: usize) -> u64 {
        self.association_at(self.addresses[client]).expect("established")
    }

    pub(crate) fn association_at(&self, address: SocketAddr) -> Option<u64> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Established { association, from, .. } if from.address == address => Some(*association),
            _ => None,
        })
    }

    pub(crate) fn established(&self) -> Vec<(u64, Arc<Principal>, Summary)> {
        let of = self.events.iter().filter_map(|event| match event {
            Event::Established { association, principal, summary, .. } => {
                Some((*association, Arc::clone(principal), summary.clone()))
            }
            _ => None,
        });
        of.collect()
    }

    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        let of = self.events.iter().filter_map(|event| match event {
            Event::Received { payload, .. } => Some(payload.clone()),
            _ => None,
        });
        of.collect()
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        let of = self.events.iter().filter_map(|event| match event {
            Event::Failed { failure, .. } => Some(failure.clone()),
            _ => None,
        });
        of.collect()
    }

    pub(crate) fn ended(&self) -> Vec<(u64, End)> {
        let of = self.events.iter().filter_map(|event| match event {
            Event::Ended { association, reason, .. } => Some((*association, *reason)),
            _ => None,
        });
        of.collect()
    }

    /// That no nonce, and no record number, was used twice by the gateway with the same key, over all datagrams it
    /// ever sent. Says how many records could be looked at.
    pub(crate) fn assert_nonces_unique(&self) -> usize {
        let keys = self.clients.iter().filter_map(|client| client.keys.as_ref()).chain(&self.former);
        let mut records = Vec::new();
        for capture in self.captures.iter().filter(|capture| !capture.to_server) {
            // A client's connection ID may have any length; the tests have these.
            for length in [0, 5, 32] {
                let of = Record::all(&capture.payload, length);
                records.extend(
                    of.into_iter().filter(|record| record.epoch > 0 && (record.content != CID || length > 0)),
                );
                if capture.payload.first() != Some(&CID) {
                    break;
                }
            }
        }
        let mut looked_at = 0;
        for keys in keys.filter(|keys| keys.server.has_nonces()) {
            let (mut nonces, mut numbers) = (HashSet::new(), HashSet::new());
            for record in &records {
                if keys.server.open(record).is_some() {
                    looked_at += 1;
                    assert!(nonces.insert(record.payload[..8].to_vec()), "nonce again: {record:?}");
                    assert!(numbers.insert(record.epoch_and_sequence()), "number again: {record:?}");
                }
            }
        }
        looked_at
    }
}
