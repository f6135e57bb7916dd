//! What a shard has counted is shown to others, now and then.

use std::time::Duration;

use tidegate_proto::time::Instant;

use super::super::count::{Counts, Own};
use super::{Driver, Uplink};

impl<U: Uplink> Driver<U> {
    /// Let others see what was counted, now and then.
    pub(super) fn publish_counts(&mut self, now: Instant) {
        match self.publish {
            None => self.publish = Some(now + PUBLISH),
            Some(due) if due <= now => {
                self.tally.publish(&self.counts());
                // With nothing to do, the shard need not wake up for it either.
                self.publish = None;
            }
            Some(_) => {}
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let (unsent_full, unsent_failed) = self.sockets.unsent();
        let mut own = Own { unsent_full, unsent_failed, unclaimed: self.uplink.unclaimed(), ..self.counts };
        if let Some(handle) = self.others.get(usize::from(self.number)) {
            (own.busy_datagrams, own.busy_requests, own.busy_commands) = handle.refused();
        }
        let mut counts = Counts { server: self.server.counters(), own, ..Counts::default() };
        if let Some(secure) = &self.secure {
            secure.count(&mut counts);
        }
        counts
    }
}

/// How late others may see what was counted.
const PUBLISH: Duration = Duration::from_millis(250);
