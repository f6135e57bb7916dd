//! The message layer (RFC 7252 section 4): what was received, so that duplicates are answered alike, and what was sent,
//! so that it is sent again.
//!
//! An exchange of ours:
//!
//! 1. `Sent`: the request has gone out; it goes out again after 2 to 3 s, then twice as long each time, four times (4.2);
//! 2. `Acknowledged`: an empty acknowledgement came; nothing is sent again, the response follows in a message of its own (5.2.2);
//! 3. gone: by a response, a reset, or time.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use slab::Slab;

use super::Peer;
use super::block::{Download, Upload};
use super::endpoint::{Delivery, ObservationId, RequestId};
use super::message::{Message, Token};
use crate::time::Instant;

/// What was received lately and wants the same answer again if it comes again.
#[derive(Debug)]
pub(crate) struct Received {
    entries: FxHashMap<(Peer, u16), Entry>,
    /// In order of expiry, since each queue has one lifetime. An entry that was replaced expires at another time.
    confirmable: VecDeque<(Instant, Peer, u16)>,
    non_confirmable: VecDeque<(Instant, Peer, u16)>,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    expires: Instant,
    /// Of the whole datagram: a message id that comes back with other bytes is a new message of a rebooted client.
    digest: u64,
    answer: Answer,
}

/// What became of a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The caller has not settled it yet.
    Pending,
    /// It was answered with these bytes; none for a message that is not answered.
    Sent(Option<Box<[u8]>>),
}

/// Whether a message is new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Duplicate(Answer),
}

impl Received {
    pub(crate) fn new(limit: usize) -> Self {
        let queue = VecDeque::new;
        Self { entries: FxHashMap::default(), confirmable: queue(), non_confirmable: queue(), limit }
    }

    /// Remember a message, unless it is remembered already.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        peer: Peer,
        mid: u16,
        is_confirmable: bool,
        digest: u64,
    ) -> Novelty {
        self.expire(now);
        if let Some(entry) = self.entries.get(&(peer, mid))
            && entry.digest == digest
        {
            return Novelty::Duplicate(entry.answer.clone());
        }
        if self.entries.len() >= self.limit {
            self.drop_oldest();
        }
        let (queue, lifetime) = if is_confirmable {
            (&mut self.confirmable, EXCHANGE_LIFETIME)
        } else {
            (&mut self.non_confirmable, NON_LIFETIME)
        };
        let expires = now + lifetime;
        queue.push_back((expires, peer, mid));
        self.entries.insert((peer, mid), Entry { expires, digest, answer: Answer::Pending });
        Novelty::New
    }

    /// Keep the answer for duplicates.
    pub(crate) fn answered(&mut self, peer: Peer, mid: u16, bytes: Option<&[u8]>) {
        if let Some(entry) = self.entries.get_mut(&(peer, mid)) {
            entry.answer = Answer::Sent(bytes.map(Into::into));
        }
    }

    /// Take the message as new when it comes again.
    pub(crate) fn forget(&mut self, peer: Peer, mid: u16) {
        self.entries.remove(&(peer, mid));
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        for queue in [&mut self.confirmable, &mut self.non_confirmable] {
            while let Some((expires, peer, mid)) =
                queue.front().copied().filter(|(expires, ..)| *expires <= now)
            {
                queue.pop_front();
                if self.entries.get(&(peer, mid)).is_some_and(|entry| entry.expires == expires) {
                    self.entries.remove(&(peer, mid));
                }
            }
        }
    }

    /// When something is to be forgotten next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, Peer, u16)>| queue.front().map(|(expires, ..)| *expires);
        first(&self.confirmable).into_iter().chain(first(&self.non_confirmable)).min()
    }

    fn drop_oldest(&mut self) {
        let oldest =
            if self.non_confirmable.is_empty() { &mut self.confirmable } else { &mut self.non_confirmable };
        if let Some((_, peer, mid)) = oldest.pop_front() {
            self.entries.remove(&(peer, mid));
        }
    }
}

/// A request of ours that has no answer yet.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) peer: Peer,
    pub(crate) mid: u16,
    pub(crate) token: Token,
    pub(crate) purpose: Purpose,
    /// The request as given: to send it again in blocks, or to ask for the next block of the answer.
    pub(crate) request: Message,
    pub(crate) observation: Option<ObservationId>,
    /// Whether it uses the token of an observation that stands: notifications with it are not its answer.
    pub(crate) borrows_token: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) state: State,
    pub(crate) upload: Option<Upload>,
    pub(crate) download: Option<Download>,
}

/// What an exchange is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A request of the caller.
    Request(RequestId),
    /// The rest of a notification that came in blocks.
    Notification { id: ObservationId, delivery: Delivery },
}

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Sent { attempts: u32, timeout: Duration, next: Instant },
    Acknowledged { until: Instant },
}

/// The requests of ours that have no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    slab: Slab<Exchange>,
    by_mid: FxHashMap<(Peer, u16), usize>,
    by_token: FxHashMap<Token, usize>,
    by_id: FxHashMap<RequestId, usize>,
}

impl Exchanges {
    pub(crate) fn insert(&mut self, exchange: Exchange) -> usize {
        let (mid, token) = ((exchange.peer, exchange.mid), exchange.token);
        let id = if let Purpose::Request(id) = exchange.purpose { Some(id) } else { None };
        let key = self.slab.insert(exchange);
        self.by_mid.insert(mid, key);
        self.by_token.insert(token, key);
        if let Some(id) = id {
            self.by_id.insert(id, key);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<Exchange> {
        let exchange = self.slab.try_remove(key)?;
        if self.by_mid.get(&(exchange.peer, exchange.mid)) == Some(&key) {
            self.by_mid.remove(&(exchange.peer, exchange.mid));
        }
        if self.by_token.get(&exchange.token) == Some(&key) {
            self.by_token.remove(&exchange.token);
        }
        if let Purpose::Request(id) = exchange.purpose
            && self.by_id.get(&id) == Some(&key)
        {
            self.by_id.remove(&id);
        }
        Some(exchange)
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut Exchange> {
        self.slab.get_mut(key)
    }

    pub(crate) fn get(&self, key: usize) -> Option<&Exchange> {
        self.slab.get(key)
    }

    pub(crate) fn by_mid(&self, peer: Peer, mid: u16) -> Option<usize> {
        self.by_mid.get(&(peer, mid)).copied()
    }

    pub(crate) fn by_token(&self, peer: Peer, token: &Token) -> Option<usize> {
        let key = *self.by_token.get(token)?;
        (self.slab.get(key)?.peer == peer).then_some(key)
    }

    pub(crate) fn by_id(&self, id: RequestId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn has_token(&self, token: &Token) -> bool {
        self.by_token.contains_key(token)
    }
}

/// ACK_TIMEOUT (RFC 7252 section 4.8).
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// MAX_RETRANSMIT (section 4.8).
pub(crate) const MAX_RETRANSMIT: u32 = 4;
/// EXCHANGE_LIFETIME (section 4.8.2): how long a confirmable message may come again, and how long a separate response is awaited.
pub(crate) const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
/// NON_LIFETIME (section 4.8.2).
pub(crate) const NON_LIFETIME: Duration = Duration::from_secs(145);

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> Peer {
        Peer::plain(([127, 0, 0, 1], port).into())
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_duplicate_gets_the_same_answer_for_247_seconds() {
        let mut received = Received::new(10);
        assert_eq!(received.take(at(0), peer(1), 7, true, 1), Novelty::New);
        assert_eq!(received.take(at(1), peer(1), 7, true, 1), Novelty::Duplicate(Answer::Pending));
        received.answered(peer(1), 7, Some(b"ack"));
        let sent = Answer::Sent(Some(b"ack".as_slice().into()));
        assert_eq!(received.take(at(246), peer(1), 7, true, 1), Novelty::Duplicate(sent));
        assert_eq!(received.take(at(248), peer(1), 7, true, 1), Novelty::New);
    }

    #[test]
    fn two_clients_started_in_one_second_do_not_share_message_ids() {
        let mut received = Received::new(10);
        assert_eq!(received.take(at(0), peer(1), 4107, true, 1), Novelty::New);
        assert_eq!(received.take(at(0), peer(2), 4107, true, 1), Novelty::New);
    }

    #[test]
    fn a_rebooted_client_may_use_a_message_id_again_with_another_message() {
        let mut received = Received::new(10);
        assert_eq!(received.take(at(0), peer(1), 7, true, 1), Novelty::New);
        assert_eq!(received.take(at(5), peer(1), 7, true, 2), Novelty::New);
        assert_eq!(received.take(at(6), peer(1), 7, true, 2), Novelty::Duplicate(Answer::Pending));
        // The first one's expiry does not take the second one with it.
        assert_eq!(received.take(at(248), peer(1), 7, true, 2), Novelty::Duplicate(Answer::Pending));
    }

    #[test]
    fn a_flood_does_not_grow_the_memory_of_received_messages() {
        let mut received = Received::new(4);
        for mid in 0..100 {
            received.take(at(0), peer(1), mid, mid % 2 == 0, 1);
        }
        assert!(received.entries.len() <= 4);
    }
}
