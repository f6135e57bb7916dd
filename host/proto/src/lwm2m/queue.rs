//! One client's requests: which of them may go out, and when.
//!
//! The server asks [`Queue::next`] whenever something may have changed: a request came, an answer came, the client
//! was heard. The rules:
//!
//! 1. none goes while a Register or Update of the client is not answered yet;
//! 2. none goes to a client in queue mode that sleeps (core 1.2.1 section 6.5), or that did not answer and was not
//!    heard since;
//! 3. one at a time (NSTART, RFC 7252 section 4.7), in the order in which they came; the one before counts until it
//!    is answered, fails or is acknowledged, and so does the rest of a notification that is being fetched. Urgent requests go beside it, and hold nothing back.

use std::collections::VecDeque;
use std::time::Duration;

use super::server::Request;
use crate::coap::endpoint::RequestId;
use crate::time::Instant;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// It asks again for what the client observed before it registered anew, or came on another association.
    pub(crate) is_again: bool,
    /// It went out before, on an association that ended before the answer.
    pub(crate) is_repeat: bool,
    /// The caller has been told that it waits.
    pub(crate) is_told: bool,
}

/// The requests that wait for one client, and what decides whether one may go.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    /// The request that holds back the others.
    outstanding: Option<RequestId>,
    /// The client's last datagram.
    heard: Instant,
    /// A request to it timed out after that.
    is_silent: bool,
    /// Rule 1.
    is_held: bool,
}

impl Queue {
    /// Of a client that was heard just now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), outstanding: None, heard: now, is_silent: false, is_held: false }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the client was heard last.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether a request timed out after the client's last datagram.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// The requests that wait, in their order, with how they came to.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// The client gave a sign of life.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.is_silent = false;
    }

    /// Rule 1 begins or ends to hold requests back.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether rule 1 holds requests back.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the client can be asked as far as rule 2 goes. `window`: how long after its last datagram a client in
    /// queue mode is awake; none for a client without queue mode.
    pub(crate) fn is_awake(&self, now: Instant, window: Option<Duration>) -> bool {
        window.is_none_or(|window| !self.is_silent && now.since(self.heard) < window)
    }

    /// Add a request at the end.
    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Add a request at the front, where it was taken.
    pub(crate) fn put_back(&mut self, waiting: Waiting) {
        self.waiting.push_front(waiting);
    }

    /// The requests that wait, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.waiting().map(|waiting| &waiting.request)
    }

    /// Take the request that may go now; afterwards call [`sent`](Self::sent) if it went. `is_busy`: the client answers
    /// something else just now.
    pub(crate) fn next(&mut self, now: Instant, window: Option<Duration>, is_busy: bool) -> Option<Waiting> {
        if self.is_held || !self.is_awake(now, window) {
            return None;
        }
        if self.outstanding.is_none() && !is_busy {
            return self.take(0);
        }
        let urgent = self.waiting.iter().position(|waiting| waiting.request.urgent)?;
        self.take(urgent)
    }

    /// A request that is not urgent went out.
    pub(crate) fn sent(&mut self, id: RequestId) {
        self.outstanding = Some(id);
    }

    /// A request no longer holds back the others: answered, failed or acknowledged.
    pub(crate) fn release(&mut self, id: RequestId) {
        if self.outstanding == Some(id) {
            self.outstanding = None;
        }
    }

    /// No request holds back the others: all were given up.
    pub(crate) fn release_all(&mut self) {
        self.outstanding = None;
    }

    /// The client did not answer at all.
    pub(crate) fn went_silent(&mut self) {
        self.is_silent = true;
    }

    /// When the next waiting request expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.iter().filter_map(|request| request.deadline).min()
    }

    /// Take out a request whose deadline has passed.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Waiting> {
        let expired = self.iter().position(|request| is_expired(request, now))?;
        self.take(expired)
    }

    /// Take out a request that somebody waits for, which nobody does if it asks again for an observation.
    pub(crate) fn take_asked(&mut self) -> Option<Waiting> {
        let asked = self.waiting.iter().position(|waiting| !waiting.is_again)?;
        self.take(asked)
    }

    /// Take out all that wait.
    pub(crate) fn drain(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    fn take(&mut self, position: usize) -> Option<Waiting> {
        let waiting = self.waiting.remove(position);
        if self.waiting.is_empty() {
            // Nothing waits for most clients most of the time: they are not to keep the room for it.
            self.waiting = VecDeque::new();
        }
        waiting
    }
}

/// Whether it is too late to send a request.
pub(crate) fn is_expired(request: &Request, now: Instant) -> bool {
    request.deadline.is_some_and(|deadline| deadline <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lwm2m::operation::Operation;
    use crate::lwm2m::path::Path;

    const WINDOW: Option<Duration> = Some(Duration::from_secs(93));

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn waiting(context: &str) -> Waiting {
        let operation = Operation::Read { path: Path::new([3, 0]), queries: Vec::new(), accept: None };
        let request = Request {
            endpoint: "a".into(),
            operation,
            context: context.into(),
            deadline: None,
            urgent: false,
        };
        Waiting { request, is_again: false, is_repeat: false, is_told: false }
    }

    fn urgent(context: &str) -> Waiting {
        let mut waiting = waiting(context);
        waiting.request.urgent = true;
        waiting
    }

    fn until(deadline: u64, context: &str) -> Waiting {
        let mut waiting = waiting(context);
        waiting.request.deadline = Some(at(deadline));
        waiting
    }

    fn next(queue: &mut Queue, now: u64, window: Option<Duration>) -> Option<String> {
        queue.next(at(now), window, false).map(|waiting| waiting.request.context.to_string())
    }

    #[test]
    fn one_at_a_time_in_order() {
        let mut queue = Queue::new(at(0));
        queue.push(waiting("1"));
        queue.push(waiting("2"));
        assert_eq!(next(&mut queue, 1_000, None).as_deref(), Some("1"));
        queue.sent(RequestId(1));
        assert_eq!(next(&mut queue, 1_000, None), None);
        queue.release(RequestId(7));
        assert_eq!(next(&mut queue, 1_000, None), None);
        queue.release(RequestId(1));
        assert_eq!(next(&mut queue, 1_000, None).as_deref(), Some("2"));
    }

    #[test]
    fn an_urgent_one_overtakes_only_what_is_held_back() {
        let mut queue = Queue::new(at(0));
        queue.push(waiting("1"));
        queue.push(waiting("2"));
        queue.push(urgent("urgent"));
        assert_eq!(next(&mut queue, 0, None).as_deref(), Some("1"));
        queue.sent(RequestId(1));
        assert_eq!(next(&mut queue, 0, None).as_deref(), Some("urgent"));
        assert_eq!(next(&mut queue, 0, None), None);
    }

    #[test]
    fn a_sleeper_is_not_disturbed() {
        let mut queue = Queue::new(at(0));
        queue.push(waiting("1"));
        assert!(queue.is_awake(at(92), WINDOW));
        assert_eq!(next(&mut queue, 93, WINDOW), None);
        queue.hear(at(100));
        assert_eq!(next(&mut queue, 100, WINDOW).as_deref(), Some("1"));
    }

    #[test]
    fn who_did_not_answer_is_not_asked_again_before_it_speaks() {
        let mut queue = Queue::new(at(0));
        queue.push(waiting("1"));
        queue.went_silent();
        assert_eq!(next(&mut queue, 1, WINDOW), None);
        queue.hear(at(2));
        assert_eq!(next(&mut queue, 2, WINDOW).as_deref(), Some("1"));
        queue.push(waiting("2"));
        queue.went_silent();
        assert_eq!(next(&mut queue, 3, None).as_deref(), Some("2"), "without queue mode it does not count");
    }

    #[test]
    fn nothing_goes_before_the_answer_to_a_register() {
        let mut queue = Queue::new(at(0));
        queue.push(urgent("1"));
        queue.hold(true);
        assert_eq!(next(&mut queue, 0, None), None);
        queue.hold(false);
        assert_eq!(next(&mut queue, 0, None).as_deref(), Some("1"));
    }

    #[test]
    fn what_expires_is_taken_out_wherever_it_stands() {
        let mut queue = Queue::new(at(0));
        queue.push(waiting("1"));
        queue.push(until(9, "2"));
        queue.push(until(5, "3"));
        assert_eq!(queue.next_deadline(), Some(at(5)));
        assert!(queue.take_expired(at(4)).is_none());
        assert_eq!(queue.take_expired(at(5)).map(|waiting| waiting.request.context).as_deref(), Some("3"));
        assert!(queue.take_expired(at(5)).is_none());
        assert_eq!(queue.len(), 2);
    }
}
