//! Messages that the caller still has to settle.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{ObservationId, Receipt};
use crate::coap::Peer;
use crate::coap::message::Block;
use crate::coap::peers::{EXCHANGE_LIFETIME, MessageKey};
use crate::coap::token::Token;
use crate::time::Instant;

/// The open receipts. Each holds on to its peer.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    open: FxHashMap<u64, Unsettled>,
    by_age: VecDeque<(Instant, u64)>,
    next: u64,
}

/// A message that is not settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsettled {
    pub(super) peer: Peer,
    pub(super) key: MessageKey,
    pub(super) kind: UnsettledKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum UnsettledKind {
    Request {
        token: Token,
        confirmable: bool,
        /// To go into the answer.
        block: Option<Block>,
    },
    Notification {
        /// The observation is over once this is acknowledged.
        ends: Option<ObservationId>,
    },
}

impl Receipts {
    pub(super) fn insert(&mut self, now: Instant, unsettled: Unsettled) -> Receipt {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, unsettled);
        self.by_age.push_back((now + EXCHANGE_LIFETIME, number));
        if self.by_age.len() > (2 * self.open.len()).max(FEW) {
            self.by_age.retain(|(_, number)| self.open.contains_key(number));
        }
        Receipt(number)
    }

    pub(super) fn remove(&mut self, receipt: Receipt) -> Option<Unsettled> {
        self.open.remove(&receipt.0)
    }

    pub(super) fn get(&self, receipt: Receipt) -> Option<&Unsettled> {
        self.open.get(&receipt.0)
    }

    /// One that nobody settled while its sender may still have waited.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Unsettled> {
        while let Some((expires, number)) = self.by_age.front().copied() {
            if self.open.contains_key(&number) && expires > now {
                return None;
            }
            self.by_age.pop_front();
            if let Some(unsettled) = self.open.remove(&number) {
                return Some(unsettled);
            }
        }
        None
    }

    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        while let Some((expires, number)) = self.by_age.front() {
            if self.open.contains_key(number) {
                return Some(*expires);
            }
            self.by_age.pop_front();
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    #[cfg(test)]
    pub(super) fn traces(&self) -> usize {
        self.by_age.len()
    }
}

/// So many traces of what was settled are never too many.
const FEW: usize = 1_024;
