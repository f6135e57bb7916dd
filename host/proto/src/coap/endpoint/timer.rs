//! What is due when.

use std::cmp::Reverse;

use super::{Endpoint, Event, Failure, Output};
use crate::coap::block::Changes;
use crate::coap::exchange::Due;
use crate::coap::peers::is_roomy;
use crate::time::Instant;

/// What a point in time is noted for. An entry whose object is gone or has another time now is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A retransmission, or giving up, by the exchange's serial number.
    Exchange(u64),
    /// The end of message ids' guard, by the peer's number.
    Peer(u32),
    /// The end of a block-wise request, by its serial number.
    Transfer(u64),
}

impl Endpoint {
    pub(super) fn set_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.push(Reverse((at, timer)));
        if self.timers.len() > self.crowded_timers {
            // What ends early leaves its timer behind; a flood of that must not fill the memory until their times come.
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((at, timer))| self.is_current(*at, *timer));
            self.crowded_timers = (2 * timers.len()).max(FEW);
            self.timers = timers;
        }
    }

    pub(super) fn fire_timers(&mut self, now: Instant) {
        while let Some(Reverse((at, timer))) =
            self.timers.peek().copied().filter(|Reverse((at, _))| *at <= now)
        {
            self.timers.pop();
            if !self.is_current(at, timer) {
                continue;
            }
            match timer {
                Timer::Exchange(serial) => self.exchange_due(now, serial),
                Timer::Peer(number) => {
                    if let Some(until) = self.peers.unguard(number, now) {
                        self.set_timer(until, timer);
                    }
                }
                Timer::Transfer(serial) => {
                    let mut changes = Changes::default();
                    if let Some(until) = self.transfers.handle_timeout(now, serial, &mut changes) {
                        self.set_timer(until, timer);
                    }
                    self.apply(changes);
                }
            }
        }
        if is_roomy(self.timers.len(), self.timers.capacity()) {
            self.timers.shrink_to(2 * self.timers.len());
        }
        self.deduplication.handle_timeout(&mut self.peers, now);
        while let Some(unsettled) = self.receipts.pop_expired(now) {
            self.counters.unsettled += 1;
            self.peers.let_go(unsettled.key.peer);
        }
        self.peers.give_back();
    }

    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if self.is_current(at, timer) {
                break;
            }
            self.timers.pop();
        }
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        [timer, self.deduplication.next_timeout(), self.receipts.next_timeout()].into_iter().flatten().min()
    }

    fn is_current(&self, at: Instant, timer: Timer) -> bool {
        match timer {
            Timer::Exchange(serial) => {
                self.exchanges.get(serial).is_some_and(|exchange| exchange.transmission.due == at)
            }
            Timer::Peer(_) => true,
            Timer::Transfer(serial) => self.transfers.is_open(serial),
        }
    }

    fn exchange_due(&mut self, now: Instant, serial: u64) {
        let Some(exchange) = self.exchanges.get_mut(serial) else { return };
        match exchange.transmission.handle_timeout(now) {
            Due::Retransmission => {
                let (peer, datagram) = (exchange.peer, exchange.transmission.datagram.clone());
                let due = exchange.transmission.due;
                self.set_timer(due, Timer::Exchange(serial));
                self.counters.retransmitted += 1;
                self.transmit(peer, datagram);
            }
            Due::GivingUp => self.fail(serial, Failure::Timeout),
        }
    }

    /// Does what a change of the block-wise requests asks for.
    pub(super) fn apply(&mut self, changes: Changes) {
        self.counters.transfers_evicted += changes.evicted;
        self.counters.transfers_expired += changes.expired;
        if let Some((serial, expires)) = changes.begun {
            self.set_timer(expires, Timer::Transfer(serial));
        }
        for number in changes.ended {
            self.peers.let_go(number);
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.output.push_back(Output::Event(event));
    }
}

/// So many timers are never too many.
const FEW: usize = 1_024;
