//! What comes too fast is dropped before anything is done with it.

use tidegate_proto::coap::Peer;

use super::super::rate::Excess;
use super::{Driver, Uplink};

impl<U: Uplink> Driver<U> {
    /// Whether a datagram from there may be taken in.
    pub(super) fn admits(&mut self, peer: Peer) -> bool {
        let Some(limit) = &mut self.limit else { return true };
        let is_known = match &self.secure {
            Some(secure) if secure.hears(peer.listener) => secure.has_heard(peer),
            _ => self.server.knows(peer),
        };
        let now = self.clock.now();
        let Err(excess) = limit.take(now, peer.address, is_known) else { return true };
        let (count, key) = match excess {
            Excess::Source => (&mut self.counts.rate_source, "coap.rate-limit-source"),
            Excess::Overall => (&mut self.counts.rate_overall, "coap.rate-limit"),
        };
        *count += 1;
        if let Some(left_out) = self.excess.turn(now) {
            let (shard, peer) = (self.number, peer.address);
            tracing::warn!(shard, %peer, limit = key, left_out, "datagrams come too fast and are dropped");
        }
        false
    }
}
