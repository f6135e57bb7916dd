//! Observations of ours: which tokens stand for them, and which notifications are fresh (RFC 7641 section 3).

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::endpoint::ObservationId;
use super::message::Message;
use super::token::Token;
use crate::time::Instant;

/// The observations, by token and by name.
#[derive(Debug, Default)]
pub(super) struct Observations {
    by_token: FxHashMap<Token, Observation>,
    by_id: FxHashMap<ObservationId, Token>,
}

/// One token that stands for an observation.
#[derive(Debug)]
pub struct Observation {
    pub(super) id: ObservationId,
    /// Who has to send its notifications; none if it was asked for without DTLS.
    pub(super) owner: Option<Arc<str>>,
    /// The request that asks for the rest of a notification that comes in blocks; as bytes, which take a fraction of
    /// the room. None if it is not known.
    request: Option<Box<[u8]>>,
    /// The exchange that fetches such a rest.
    pub(super) fetch: Option<u64>,
    last: Option<(u32, Instant)>,
}

impl Observations {
    /// Lets a token stand for an observation. Returns the token that did until now; it goes on doing so until
    /// [`Self::remove_token`].
    pub(super) fn insert(
        &mut self,
        id: ObservationId,
        token: Token,
        owner: Option<Arc<str>>,
        request: Option<&Message>,
    ) -> Option<Token> {
        let request = request.map(|request| request.to_bytes().into_boxed_slice());
        match self.by_token.get_mut(&token).filter(|known| known.id == id) {
            Some(known) => known.request = request.or_else(|| known.request.take()),
            None => {
                self.by_token.insert(token, Observation { id, owner, request, fetch: None, last: None });
            }
        }
        self.by_id.insert(id, token).filter(|previous| *previous != token)
    }

    /// Takes up an observation that was taken out elsewhere.
    pub(super) fn adopt(&mut self, id: ObservationId, token: Token, observation: Observation) {
        self.by_token.insert(token, Observation { id, fetch: None, ..observation });
        self.by_id.insert(id, token);
    }

    pub(super) fn set_request(&mut self, id: ObservationId, request: &Message) {
        if let Some(observation) = self.by_id(id) {
            observation.request = Some(request.to_bytes().into_boxed_slice());
        }
    }

    pub(super) fn by_token(&mut self, token: Token) -> Option<&mut Observation> {
        self.by_token.get_mut(&token)
    }

    pub(super) fn by_id(&mut self, id: ObservationId) -> Option<&mut Observation> {
        self.by_id.get(&id).and_then(|token| self.by_token.get_mut(token))
    }

    pub(super) fn get(&self, id: ObservationId) -> Option<&Observation> {
        self.by_id.get(&id).and_then(|token| self.by_token.get(token))
    }

    pub(super) fn knows(&self, id: ObservationId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn remove(&mut self, id: ObservationId) -> Option<Observation> {
        self.by_id.remove(&id).and_then(|token| self.by_token.remove(&token))
    }

    pub(super) fn remove_token(&mut self, token: Token) {
        if let Some(observation) = self.by_token.remove(&token)
            && self.by_id.get(&observation.id) == Some(&token)
        {
            self.by_id.remove(&observation.id);
        }
    }

    /// Lets the previous token stand for the observation again, if anything does.
    pub(super) fn revert(&mut self, id: ObservationId, token: Token, previous: Token) {
        let current = self.by_id.get(&id) == Some(&token);
        self.remove_token(token);
        if current {
            self.by_id.insert(id, previous);
        } else {
            self.by_token.remove(&previous);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_token.len()
    }
}

impl Observation {
    /// Whether a notification with this number is to be delivered; remembers it if so.
    ///
    /// RFC 7641 section 3.4 wants a greater number (modulo 2^24) unless 128 s have passed. Leshan's client sends
    /// successive notifications with equal numbers, and duplicates have been sorted out by message id before, so
    /// equal counts as fresh here. One without a number cannot be judged and is fresh.
    pub(super) fn accept(&mut self, number: Option<u32>, now: Instant) -> bool {
        let Some(number) = number else { return true };
        if let Some((last, at)) = self.last
            && now.since(at) <= FRESHNESS
            && number.wrapping_sub(last) & 0xFF_FFFF >= 1 << 23
        {
            return false;
        }
        self.last = Some((number, now));
        true
    }

    /// An observation from before a restart. Any number is newer than what was seen then.
    pub fn restored(owner: Option<Arc<str>>, request: Option<Box<[u8]>>) -> Self {
        Self { id: ObservationId(0), owner, request, fetch: None, last: None }
    }

    /// What [`Self::restored`] wants: who has to send its notifications, and the datagram that asks for the rest of one.
    pub fn parts(&self) -> (Option<&Arc<str>>, Option<&[u8]>) {
        (self.owner.as_ref(), self.request.as_deref())
    }

    /// The request for the rest of a notification.
    pub(super) fn request(&self) -> Option<Message> {
        self.request.as_deref().and_then(|datagram| Message::parse(datagram).ok())
    }
}

/// After this time any number is newer.
const FRESHNESS: Duration = Duration::from_secs(128);

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000_000);

    fn judge(numbers: &[(u64, u32)]) -> Vec<bool> {
        let mut observations = Observations::default();
        observations.insert(ObservationId(1), Token::default(), None, None);
        let observation = observations.by_id(ObservationId(1)).unwrap();
        numbers
            .iter()
            .map(|(at, number)| observation.accept(Some(*number), START + Duration::from_secs(*at)))
            .collect()
    }

    #[test]
    fn older_numbers_are_stale_for_128_seconds() {
        assert_eq!(judge(&[(0, 5), (1, 4), (128, 4), (129, 4)]), [true, false, false, true]);
    }

    #[test]
    fn equal_numbers_are_fresh() {
        assert_eq!(judge(&[(0, 5), (1, 5), (2, 6), (3, 6), (4, 5)]), [true, true, true, true, false]);
    }

    #[test]
    fn numbers_wrap_around_at_24_bits() {
        assert_eq!(judge(&[(0, 0xFF_FFFE), (1, 2), (2, 0xFF_FFFF), (3, 3)]), [true, true, false, true]);
        assert_eq!(judge(&[(0, 0), (1, (1 << 23) - 1), (2, 1 << 23), (3, 0)]), [true, true, true, false]);
    }

    #[test]
    fn a_failed_refresh_leaves_the_previous_token_in_place() {
        let (old, new) = (Token::from([1; 8]), Token::from([2; 8]));
        let mut observations = Observations::default();
        assert_eq!(observations.insert(ObservationId(1), old, None, None), None);
        assert_eq!(observations.insert(ObservationId(1), new, None, None), Some(old));
        observations.revert(ObservationId(1), new, old);
        assert!(observations.by_token(new).is_none());
        assert!(observations.by_id(ObservationId(1)).is_some());
        observations.remove(ObservationId(1));
        assert_eq!(observations.len(), 0);
    }
}
