//! What happens, for whoever looks: the dashboard, and `GET /api/v1/events`.
//!
//! The bridge tells of each event, of each publication and message, and of each fault. While nobody looks that costs one relaxed load;
//! while somebody does, each is copied and handed to all of them. Who is too slow misses some and is told how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value as Json;
use tidegate_proto::lwm2m::server::Event;
use tokio::sync::broadcast;

use crate::mqtt::Publication;
use crate::net::Clock;

/// Where it is told; shared by all who tell and all who look.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    readers: Arc<AtomicUsize>,
    sender: broadcast::Sender<Arc<Happening>>,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) struct Happening {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) what: What,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum What {
    /// At a client.
    Event(Event),
    /// A translator has published.
    Published {
        /// What.
        publication: Publication,
        /// Whether it may be about a key or a password.
        is_secret: bool,
    },
    /// The broker has sent a message.
    Message(Publication),
    /// A translator has failed.
    Failed(Failed),
    /// Something else, already in the words of the API: its name, and its fields.
    Told(&'static str, Json),
}

/// What a translator has failed on.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) translator: String,
    /// `uplink` or `downlink`.
    pub(crate) direction: &'static str,
    pub(crate) cause: &'static str,
    /// The endpoint or the topic.
    pub(crate) about: String,
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
}

/// Somebody who looks, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    readers: Arc<AtomicUsize>,
    receiver: broadcast::Receiver<Arc<Happening>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { readers: Arc::default(), sender: broadcast::channel(WAITING).0 }
    }
}

impl Feed {
    /// Whether anybody looks.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    /// Tells those who look; what it is is only made for them.
    pub(crate) fn tell(&self, what: impl FnOnce() -> What) {
        if self.is_read() {
            // Without a reader it is nobody's: the last has just gone.
            let _ = self.sender.send(Arc::new(Happening { at: Clock::timestamp(), what: what() }));
        }
    }

    /// From now on.
    pub(crate) fn read(&self) -> Reader {
        let receiver = self.sender.subscribe();
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader { readers: Arc::clone(&self.readers), receiver }
    }
}

impl Reader {
    /// The next, or how many were missed; none when the gateway has stopped. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<Result<Arc<Happening>, u64>> {
        match self.receiver.recv().await {
            Ok(happening) => Some(Ok(happening)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many may wait for a reader.
const WAITING: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: u64) -> What {
        What::Told("sample", number.into())
    }

    #[tokio::test]
    async fn nothing_is_made_for_nobody_and_everything_for_each_who_looks() {
        let feed = Feed::default();
        feed.tell(|| panic!("nobody looks"));
        let (mut one, mut other) = (feed.read(), feed.read());
        feed.tell(|| told(1));
        for reader in [&mut one, &mut other] {
            let happening = reader.next().await.unwrap().unwrap();
            assert!(matches!(&happening.what, What::Told("sample", number) if *number == 1));
        }
        drop(one);
        assert!(feed.is_read());
        drop(other);
        feed.tell(|| panic!("nobody looks any more"));
    }

    #[tokio::test]
    async fn who_is_slow_is_told_how_many_were_missed() {
        let feed = Feed::default();
        let mut reader = feed.read();
        let more = WAITING as u64 + 7;
        (0..more).for_each(|number| feed.tell(|| told(number)));
        assert_eq!(reader.next().await.unwrap().unwrap_err(), 7);
        let happening = reader.next().await.unwrap().unwrap();
        assert!(matches!(&happening.what, What::Told(_, number) if *number == 7));
    }
}
