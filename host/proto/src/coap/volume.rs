//! How many bytes of unfinished response bodies there are, of each peer and in all. `endpoint::answer` keeps it.

use rustc_hash::FxHashMap;

/// The bytes of unfinished response bodies.
#[derive(Debug)]
pub(super) struct Volume {
    total: usize,
    of_peer: FxHashMap<u32, usize>,
    limit: usize,
    peer_limit: usize,
}

impl Volume {
    /// None yet; `limit` in all, `peer_limit` of one peer.
    pub(super) fn new(limit: usize, peer_limit: usize) -> Self {
        Self { total: 0, of_peer: FxHashMap::default(), limit, peer_limit }
    }

    /// A body of a peer that had `before` bytes has `after` now. False if that is more than may be.
    pub(super) fn change(&mut self, peer: u32, before: usize, after: usize) -> bool {
        self.total = self.total - before + after;
        let of_peer = self.of_peer.entry(peer).or_default();
        *of_peer = *of_peer - before + after;
        let fits = *of_peer <= self.peer_limit && self.total <= self.limit;
        if *of_peer == 0 {
            self.of_peer.remove(&peer);
        }
        fits
    }

    pub(super) const fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let mut volume = Volume::new(100, 60);
        assert!(volume.change(1, 0, 60));
        assert!(!volume.change(1, 0, 1), "that is too much for one");
        assert!(volume.change(1, 1, 0));
        assert!(!volume.change(2, 0, 41), "that is too much for all");
        assert!(volume.change(2, 41, 40));
        assert!(volume.change(1, 60, 0) && volume.change(2, 40, 0));
        assert_eq!((volume.total(), volume.of_peer.len()), (0, 0), "nothing is kept of those that are done");
    }
}
