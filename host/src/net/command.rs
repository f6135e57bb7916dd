//! What the rest of the gateway asks of a shard, and how it reaches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_dtls::credential::Credentials;
use tidegate_proto::coap::Peer;
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::server::{Handover, Request};
use tokio::sync::{mpsc, oneshot};

use super::question::Question;

/// What others ask of a shard.
#[derive(Debug)]
pub enum Command {
    /// A datagram for a client of this shard that came to another one; still sealed if its listener is one of DTLS.
    Datagram(Peer, Vec<u8>),
    /// An operation for a client of this shard.
    Perform(Request),
    /// Part with the registration of a client that is on an association of another shard now.
    HandOver {
        /// Whose.
        endpoint: Arc<str>,
        /// The other shard.
        to: u8,
    },
    /// The answer to that.
    TakeOver {
        /// Whose.
        endpoint: Arc<str>,
        /// None if the shard that was asked has no such registration, or it is just changing.
        handover: Option<Box<Handover>>,
    },
    /// End a registration: the client has registered at another shard.
    Remove(Arc<str>),
    /// Take other object definitions.
    Define(Arc<Models>),
    /// Take other credentials.
    Secure(Arc<Credentials>),
    /// Another generation of a translator is in use, or others serve: see to what waits for that.
    Wake,
    /// States of associations are durable: which, and their bounds.
    Kept(Vec<(u64, u64)>),
    /// What has changed of clients up to this turn is durable.
    ClientsKept(u64),
    /// Answer a question of an operator's tool.
    Show(Question),
    /// Say that this was read.
    Answer(oneshot::Sender<()>),
}

/// How others reach a shard. When the last handle is gone, the shard ends.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    commands: mpsc::Sender<Command>,
    refused: Arc<Refused>,
}

/// How often there was no room. Only written to when that happens.
#[derive(Debug, Default)]
struct Refused {
    datagrams: AtomicU64,
    requests: AtomicU64,
    others: AtomicU64,
}

impl ShardHandle {
    /// A queue for a shard's commands: the handle for others, the end for [`Shard::start`](super::Shard::start).
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        (Self { commands, refused: Arc::default() }, receiver)
    }

    /// Hand a command over without waiting; it comes back if the shard cannot keep up or has ended.
    #[allow(clippy::result_large_err)] // the command itself, for the caller to deal with
    pub fn send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) => {
                let count = match &command {
                    Command::Datagram(..) => &self.refused.datagrams,
                    Command::Perform(_) => &self.refused.requests,
                    _ => &self.refused.others,
                };
                count.fetch_add(1, Ordering::Relaxed);
                command
            }
            mpsc::error::TrySendError::Closed(command) => command,
        })
    }

    /// How many datagrams, requests and other commands found no room.
    pub(crate) fn refused(&self) -> (u64, u64, u64) {
        let Refused { datagrams, requests, others } = &*self.refused;
        let [datagrams, requests, others] =
            [datagrams, requests, others].map(|of| of.load(Ordering::Relaxed));
        (datagrams, requests, others)
    }

    /// Hand a command over, blocking this thread until there is room; it comes back if the shard has ended. Not for
    /// threads that run a tokio runtime.
    #[allow(clippy::result_large_err)] // as above
    pub fn send_blocking(&self, command: Command) -> Result<(), Command> {
        self.commands.blocking_send(command).map_err(|error| error.0)
    }

    /// Hand a command over, waiting for room.
    pub async fn send_waiting(&self, command: Command) -> Result<(), Command> {
        self.commands.send(command).await.map_err(|error| error.0)
    }
}

/// Commands that may wait for a shard.
const COMMANDS: usize = 4_096;
