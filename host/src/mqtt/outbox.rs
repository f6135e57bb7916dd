//! What waits for the broker: one bounded lane for each shard, drained by the session's publisher.
//!
//! A shard fills its own lane and nobody else's, so that shards share no lock. A lane takes the publications of one
//! event whole or not at all, and never waits: a confirmable CoAP message may be acknowledged exactly when the offer
//! succeeded. This outbox lives in memory; what is in it is lost with the process.

use std::task::Poll;

use tokio::sync::mpsc;

use super::Publication;

/// Makes the two ends.
#[derive(Debug)]
pub struct Outbox;

impl Outbox {
    /// Splits `capacity` publications evenly over `lanes` lanes; a lane has room for at least one.
    pub fn open(lanes: usize, capacity: usize) -> (Vec<Lane>, Drain) {
        let room = (capacity / lanes.max(1)).max(1);
        let (senders, lanes) = (0..lanes).map(|_| mpsc::channel(room)).unzip::<_, _, Vec<_>, Vec<_>>();
        let senders = senders.into_iter().map(|sender| Lane { sender }).collect();
        (senders, Drain { lanes, next: 0 })
    }
}

/// The producing end: one for each shard.
#[derive(Debug)]
pub struct Lane {
    sender: mpsc::Sender<Publication>,
}

impl Lane {
    /// Puts the publications of one event in, in order: all of them or none. Never waits.
    ///
    /// # Errors
    /// None was put in; they come back with the reason. `Refusal::Full` passes with time, the others do not.
    pub fn offer(&mut self, publications: Vec<Publication>) -> Result<(), Refused> {
        match self.sender.try_reserve_many(publications.len()) {
            Ok(permits) => {
                permits.zip(publications).for_each(|(permit, publication)| permit.send(publication));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(())) => {
                Err(Refused { reason: Refusal::Closed, publications })
            }
            Err(mpsc::error::TrySendError::Full(())) => {
                let fits = publications.len() <= self.sender.max_capacity();
                let reason = if fits { Refusal::Full } else { Refusal::TooMany };
                Err(Refused { reason, publications })
            }
        }
    }

    /// How many publications wait in this lane.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Publications that a lane did not take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// All that were offered, in order.
    pub publications: Vec<Publication>,
}

/// Why a lane did not take publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The gateway is shutting down.
    #[error("the outbox is closed")]
    Closed,
    /// The broker is away or slow. Do not acknowledge; the device will retransmit.
    #[error("the outbox is full")]
    Full,
    /// One event made more publications than a lane holds, so that a retransmission would help nobody.
    #[error("more publications at once than the outbox holds")]
    TooMany,
}

/// The consuming end.
#[derive(Debug)]
pub struct Drain {
    lanes: Vec<mpsc::Receiver<Publication>>,
    next: usize,
}

impl Drain {
    /// Takes the next publication, one from each lane in turn; waits when all are empty. None once the outbox is closed,
    /// or all lanes are dropped, and it is empty.
    ///
    /// May be cancelled: nothing is lost.
    pub(super) async fn recv(&mut self) -> Option<Publication> {
        std::future::poll_fn(|context| {
            let mut open = false;
            for step in 0..self.lanes.len() {
                let lane = (self.next + step) % self.lanes.len();
                match self.lanes[lane].poll_recv(context) {
                    Poll::Ready(Some(publication)) => {
                        self.next = lane + 1;
                        return Poll::Ready(Some(publication));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// What is there now, one from each lane in turn.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<Publication> {
        self.lanes.iter_mut().find_map(|lane| lane.try_recv().ok())
    }

    /// Takes no more offers; what is in stays.
    pub(super) fn close(&mut self) {
        self.lanes.iter_mut().for_each(mpsc::Receiver::close);
    }

    /// How many publications wait.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(mpsc::Receiver::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(numbers: impl IntoIterator<Item = u8>) -> Vec<Publication> {
        numbers
            .into_iter()
            .map(|number| Publication { topic: "t".into(), payload: vec![number], ..Publication::default() })
            .collect()
    }

    async fn take(drain: &mut Drain, count: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.extend(drain.recv().await.expect("open").payload);
        }
        taken
    }

    #[tokio::test]
    async fn a_group_goes_in_whole_or_not_at_all() {
        let (mut lanes, mut drain) = Outbox::open(1, 4);
        let lane = &mut lanes[0];
        lane.offer(numbered(0..3)).unwrap();

        let refused = lane.offer(numbered(3..5)).unwrap_err();
        assert_eq!(refused, Refused { reason: Refusal::Full, publications: numbered(3..5) });
        assert_eq!(lane.waiting(), 3);

        assert_eq!(take(&mut drain, 1).await, [0]);
        lane.offer(refused.publications).unwrap();
        assert_eq!(take(&mut drain, 4).await, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_group_that_can_never_fit_is_told_apart() {
        let (mut lanes, _drain) = Outbox::open(2, 4);
        assert_eq!(lanes[0].offer(numbered(0..3)).unwrap_err().reason, Refusal::TooMany);
        assert_eq!(lanes[0].waiting(), 0);
    }

    #[tokio::test]
    async fn lanes_are_drained_in_turn() {
        let (mut lanes, mut drain) = Outbox::open(2, 8);
        lanes[0].offer(numbered([0, 1, 2, 3])).unwrap();
        lanes[1].offer(numbered([10, 11])).unwrap();
        assert_eq!(take(&mut drain, 6).await, [0, 10, 1, 11, 2, 3]);
    }

    #[tokio::test]
    async fn closing_keeps_what_is_in_and_refuses_the_rest() {
        let (mut lanes, mut drain) = Outbox::open(1, 4);
        lanes[0].offer(numbered([1])).unwrap();
        drain.close();
        assert_eq!(lanes[0].offer(numbered([2])).unwrap_err().reason, Refusal::Closed);
        assert_eq!(drain.waiting(), 1);
        assert_eq!(take(&mut drain, 1).await, [1]);
        assert!(drain.recv().await.is_none());
    }
}
