//! What a shard leaves to the store once a turn, and takes back when it starts.
//!
//! After a start, before anything is taken in:
//!
//! 1. clients come back: who is registered, what is observed, what waits;
//! 2. associations come back, and wait until their next record numbers are durable;
//! 3. what waits for clients goes out, by the rules of their queues.

use std::sync::Arc;

use tidegate_proto::time::Instant;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::super::clock::Clock;
use super::super::command::Command;
use super::super::keep::{ClientKeeper, Snapshot};
use super::super::route::Homes;
use super::super::secure::Secure;
use super::{BACKLOG_RETRY, BATCH, Driver, STORE_PATIENCE, Uplink};

/// What a shard takes back, and where it leaves what is to survive the next restart.
#[derive(Debug, Default)]
pub struct Kept {
    /// Associations of before the restart.
    pub associations: Vec<Snapshot>,
    /// Clients of before the restart: what the LwM2M server has written of each.
    pub clients: Vec<Zeroizing<Vec<u8>>>,
    /// Where clients without DTLS were; all shards have the same.
    pub homes: Arc<Homes>,
    /// Where clients are written; none if they do not survive.
    pub keeper: Option<Box<dyn ClientKeeper>>,
}

/// Requests that may wait until what was before the start is restored.
const LATER: usize = 4_096;

impl<U: Uplink> Driver<U> {
    /// What DTLS wants done once a turn. False if something that is to be kept waits for room.
    pub(super) fn secure_turn(&mut self, now: Instant) -> bool {
        let Some(secure) = &mut self.secure else { return true };
        secure.handle_timeout(now);
        // Commands and what was sent have left something, too.
        self.hand_in(&[]);
        self.secure.as_mut().is_none_or(Secure::keep)
    }

    /// Leave to the store what has changed of clients, at the end of a turn. False if it is to be called again soon.
    pub(super) fn keep_clients(&mut self, now: Instant) -> bool {
        let Some(keeping) = &mut self.keeping else { return true };
        if self.server.is_waiting() && keeping.is_failing() {
            // A full disk must not keep anybody from registering. It is all written when there is room again.
            self.server.kept(now, u64::MAX);
            self.pump();
        }
        let (directory, number) = (&self.directory, self.number);
        let Some(keeping) = &mut self.keeping else { return true };
        if let Some(changes) = self.server.take_changes(now, Clock::timestamp()) {
            keeping.note(changes, |endpoint| directory.shard(endpoint).is_none_or(|shard| shard == number));
        }
        keeping.hand_over() && !self.server.is_waiting()
    }

    /// Go on with what there was before the restart.
    pub(super) async fn restore(&mut self, kept: Kept, commands: &mut mpsc::Receiver<Command>) {
        self.restore_clients(kept.clients);
        if !kept.associations.is_empty() {
            self.restore_associations(kept.associations, commands).await;
        }
        let now = self.now();
        self.server.resume(now);
        self.pump();
        self.sockets.flush();
    }

    fn restore_clients(&mut self, clients: Vec<Zeroizing<Vec<u8>>>) {
        if clients.is_empty() {
            return;
        }
        let mut restored = 0_usize;
        for snapshot in clients {
            let now = self.now();
            match self.server.restore(now, Clock::timestamp(), &snapshot) {
                Ok(registration) => {
                    // It may have registered at another shard just now.
                    if self.directory.restore(&registration, self.number) {
                        restored += 1;
                    } else {
                        self.server.remove(now, &registration.endpoint);
                    }
                }
                Err(error) => tracing::warn!(shard = self.number, %error, "a client is not restored"),
            }
            self.pump();
        }
        tracing::info!(shard = self.number, restored, "clients restored");
    }

    /// They send nothing until their next record numbers are durable, so nothing is taken in before that.
    async fn restore_associations(
        &mut self,
        snapshots: Vec<Snapshot>,
        commands: &mut mpsc::Receiver<Command>,
    ) {
        for snapshot in snapshots {
            let now = self.now();
            let Some(secure) = &mut self.secure else { return };
            secure.restore(now, &snapshot);
            self.hand_in(&[]);
        }
        let restored = self.secure.as_mut().map_or(0, Secure::restored);
        let mut later = Vec::new();
        let give_up = self.clock.now() + STORE_PATIENCE;
        while !self.secure_turn(self.clock.now()) || !self.secure.as_ref().is_none_or(Secure::is_kept) {
            tokio::select! {
                Some(command) = commands.recv() => match command {
                    Command::Kept(bounds) => self.obey(Command::Kept(bounds)),
                    Command::Datagram(..) if later.len() >= BATCH => self.counts.starting += 1,
                    Command::Perform(_) if later.len() >= LATER => self.counts.starting_requests += 1,
                    command => later.push(command),
                },
                () = tokio::time::sleep(BACKLOG_RETRY) => {}
            }
            self.sockets.flush();
            if self.clock.now() >= give_up {
                // Clients without DTLS, and new associations, need not suffer from it.
                tracing::error!(
                    shard = self.number,
                    "the store is too slow: restored DTLS associations must wait for it"
                );
                break;
            }
        }
        later.into_iter().for_each(|command| self.obey(command));
        tracing::info!(shard = self.number, restored, "DTLS associations restored");
    }

    /// Leave everything to the store before the shard ends.
    pub(super) async fn part(mut self, mut commands: mpsc::Receiver<Command>) {
        // Whoever waits to tell something must not wait for a shard that does not listen.
        commands.close();
        if let Some(secure) = &mut self.secure {
            secure.keep_all();
        }
        let give_up = tokio::time::Instant::now() + STORE_PATIENCE;
        while !self.secure_turn(self.clock.now()) | !self.leave_clients(self.clock.now()) {
            self.sockets.flush();
            if tokio::time::Instant::now() >= give_up {
                tracing::error!(
                    shard = self.number,
                    "the store is too slow: the newest state of clients and DTLS associations is lost"
                );
                return;
            }
            tokio::time::sleep(BACKLOG_RETRY).await;
        }
        self.sockets.flush();
    }

    /// As [`Self::keep_clients`], when answers are not waited for any more. False if there was no room.
    fn leave_clients(&mut self, now: Instant) -> bool {
        self.keep_clients(now);
        self.keeping.as_mut().is_none_or(|keeping| keeping.hand_over())
    }
}
