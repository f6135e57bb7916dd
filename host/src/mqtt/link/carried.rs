//! What a lost connection has left unsent or unacknowledged, on its way to the next one.

use std::collections::VecDeque;

/// Requests in the order in which they were made. `R` is rumqttc's request type of one protocol version.
pub(super) struct Carried<R> {
    requests: VecDeque<R>,
    unsent_subscriptions: usize,
}

/// What a lost connection may leave.
pub(super) enum Left<R> {
    /// A message, or the release of a QoS 2 message: to be sent again.
    Again(R),
    /// A SUBSCRIBE: the publisher makes a new one for each connection.
    Subscription,
    /// Of no use to another connection.
    Nothing,
}

impl<R> Carried<R> {
    pub(super) fn new() -> Self {
        Self { requests: VecDeque::new(), unsent_subscriptions: 0 }
    }

    /// Takes over what rumqttc holds for the next connection.
    pub(super) fn take(&mut self, pending: &mut VecDeque<R>, sort: impl Fn(R) -> Left<R>) {
        // What is still here from before comes after: it is younger than all that rumqttc had been given.
        let younger = std::mem::take(&mut self.requests);
        for request in pending.drain(..) {
            match sort(request) {
                Left::Again(request) => self.requests.push_back(request),
                Left::Subscription => self.unsent_subscriptions += 1,
                Left::Nothing => {}
            }
        }
        self.requests.extend(younger);
    }

    /// Fits what is here to the session that the broker has or has not kept.
    pub(super) fn fit(&mut self, fit: impl FnMut(R) -> Option<R>) {
        self.requests = std::mem::take(&mut self.requests).into_iter().filter_map(fit).collect();
    }

    /// The next one to be sent.
    pub(super) fn next(&mut self) -> Option<R> {
        self.requests.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn take_unsent_subscriptions(&mut self) -> usize {
        std::mem::take(&mut self.unsent_subscriptions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_a_second_loss() {
        let mut carried = Carried::new();
        let sort = |n: u8| if n == 0 { Left::Subscription } else { Left::Again(n) };
        carried.take(&mut VecDeque::from([1, 0, 2, 3]), sort);
        assert_eq!(carried.take_unsent_subscriptions(), 1);
        assert_eq!(carried.next(), Some(1));

        carried.take(&mut VecDeque::from([1, 0]), sort);
        assert_eq!((carried.len(), carried.take_unsent_subscriptions()), (3, 1));
        carried.fit(|n| (n != 2).then_some(n));
        assert_eq!([carried.next(), carried.next(), carried.next()], [Some(1), Some(3), None]);
    }
}
