//! Observations (RFC 7641), the client's side of them: which tokens stand, and which notifications are fresh.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::Peer;
use super::endpoint::ObservationId;
use super::message::Token;
use crate::time::Instant;

/// The observations that stand.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    by_token: FxHashMap<Token, Observation>,
    by_id: FxHashMap<ObservationId, Token>,
}

/// One observation.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) id: ObservationId,
    /// Where it was last heard from.
    pub(crate) peer: Peer,
    /// The newest notification: its number, when it came, and its message id.
    newest: Option<(u32, Instant)>,
    last: Option<Last>,
    /// The observe request, to ask for further blocks of a notification.
    pub(crate) request: Option<Box<[u8]>>,
}

/// The last notification taken. It stands for an entry in the table of received messages: notifications are by far the
/// most frequent messages, and an older one that comes again is stale by its number.
#[derive(Clone, Copy, Debug)]
struct Last {
    mid: u16,
    number: Option<u32>,
    is_settled: bool,
}

/// What to make of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Newer than what came before.
    Fresh,
    /// The last one again, which the caller has settled.
    Repeated,
    /// The last one again, which the caller has not settled yet.
    Pending,
    /// Older than what came before.
    Stale,
}

impl Observations {
    pub(crate) fn insert(&mut self, id: ObservationId, peer: Peer, token: Token, request: Option<Box<[u8]>>) {
        self.remove(id);
        self.by_id.insert(id, token);
        self.by_token.insert(token, Observation { id, peer, newest: None, last: None, request });
    }

    pub(crate) fn remove(&mut self, id: ObservationId) -> Option<Observation> {
        let token = self.by_id.remove(&id)?;
        self.by_token.remove(&token)
    }

    /// The observation of a token. The peer may be another than before: its address may have changed, its association may not.
    pub(crate) fn by_token(&mut self, peer: Peer, token: &Token) -> Option<&mut Observation> {
        self.by_token.get_mut(token).filter(|observation| observation.peer.association == peer.association)
    }

    pub(crate) fn by_id(&mut self, id: ObservationId) -> Option<&mut Observation> {
        self.by_token.get_mut(self.by_id.get(&id)?)
    }

    pub(crate) fn has_token(&self, token: &Token) -> bool {
        self.by_token.contains_key(token)
    }
}

impl Observation {
    /// Judge a notification, and remember it if it is fresh.
    ///
    /// RFC 7641 section 3.4, but for one thing: an equal number in a new message is fresh, because a client library in
    /// the field gives each number to two notifications in turn.
    pub(crate) fn judge(&mut self, now: Instant, mid: u16, number: Option<u32>) -> Freshness {
        // A message id does not come again within its lifetime, but there are devices that repeat the id of the request
        // in every notification: the number tells.
        if let Some(last) = self.last.filter(|last| last.mid == mid && last.number == number) {
            if self.newest.is_none_or(|(_, at)| now.since(at) < SAME_MESSAGE) {
                return if last.is_settled { Freshness::Repeated } else { Freshness::Pending };
            }
        }
        if let (Some(number), Some((newest, at))) = (number, self.newest)
            && is_older(number, newest)
            && now.since(at) <= FRESHNESS
        {
            return Freshness::Stale;
        }
        self.newest = Some((number.or_else(|| self.newest.map(|(newest, _)| newest)).unwrap_or(0), now));
        self.last = Some(Last { mid, number, is_settled: false });
        Freshness::Fresh
    }

    /// The caller has settled the notification of this message id.
    pub(crate) fn settle(&mut self, mid: u16) {
        if let Some(last) = self.last.as_mut().filter(|last| last.mid == mid) {
            last.is_settled = true;
        }
    }

    /// The caller did not take the notification of this message id: it is new when it comes again.
    pub(crate) fn forget(&mut self, mid: u16) {
        if self.last.is_some_and(|last| last.mid == mid) {
            self.last = None;
        }
    }

    /// The number of the first answer.
    pub(crate) fn begin(&mut self, now: Instant, number: u32) {
        self.newest = Some((number, now));
    }
}

/// Whether `number` was sent before `newest` was, in the 24-bit arithmetic of RFC 7641 section 3.4.
fn is_older(number: u32, newest: u32) -> bool {
    let ahead = newest.wrapping_sub(number) & 0x00ff_ffff;
    ahead != 0 && ahead < 1 << 23
}

/// After so long any number is fresh (RFC 7641 section 3.4).
const FRESHNESS: Duration = Duration::from_secs(128);
/// How long a message id means the same message (EXCHANGE_LIFETIME).
const SAME_MESSAGE: Duration = Duration::from_secs(247);

#[cfg(test)]
mod tests {
    use super::*;

    fn observation() -> Observation {
        let peer = Peer::plain(([127, 0, 0, 1], 1).into());
        Observation { id: ObservationId(1), peer, newest: None, last: None, request: None }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn older_numbers_are_stale_and_newer_ones_fresh_also_across_the_wrap() {
        let mut observation = observation();
        for (mid, number, expected) in [
            (1, 5, Freshness::Fresh),
            (2, 4, Freshness::Stale),
            (3, 6, Freshness::Fresh),
            (4, 0x00ff_ffff, Freshness::Stale),
        ] {
            assert_eq!(observation.judge(at(1), mid, Some(number)), expected, "{number}");
        }
        let mut observation = self::observation();
        assert_eq!(observation.judge(at(1), 1, Some(0x00ff_ffff)), Freshness::Fresh);
        assert_eq!(observation.judge(at(1), 2, Some(0)), Freshness::Fresh);
        assert_eq!(observation.judge(at(1), 3, Some(0x00ff_ffff)), Freshness::Stale);
    }

    #[test]
    fn after_128_seconds_any_number_is_fresh() {
        let mut observation = observation();
        assert_eq!(observation.judge(at(0), 1, Some(100)), Freshness::Fresh);
        assert_eq!(observation.judge(at(128), 2, Some(3)), Freshness::Stale);
        assert_eq!(observation.judge(at(129), 3, Some(3)), Freshness::Fresh);
    }

    #[test]
    fn a_client_that_gives_each_number_twice_is_heard_each_time() {
        let mut observation = observation();
        for (mid, number) in [(1, 5), (2, 5), (3, 6), (4, 6)] {
            assert_eq!(observation.judge(at(1), mid, Some(number)), Freshness::Fresh);
            observation.settle(mid);
        }
        assert_eq!(observation.judge(at(1), 4, Some(6)), Freshness::Repeated);
    }

    #[test]
    fn a_notification_that_was_refused_is_new_when_it_comes_again() {
        let mut observation = observation();
        assert_eq!(observation.judge(at(1), 7, Some(5)), Freshness::Fresh);
        assert_eq!(observation.judge(at(2), 7, Some(5)), Freshness::Pending);
        observation.forget(7);
        assert_eq!(observation.judge(at(3), 7, Some(5)), Freshness::Fresh);
    }
}
