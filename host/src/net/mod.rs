//! Sockets and shards: what carries datagrams to `proto` and its events to the bridge.
//!
//! A shard is one thread with its own sockets and its own [`Server`](tidegate_proto::lwm2m::server::Server); nothing on
//! the way of a notification is shared with another shard. [`Directory`] knows which shard has which client;
//! [`route`] finds the shard of a datagram that came to the wrong one.
//!
//! `app` starts the shards; `bridge` implements [`Uplink`] and sends [`Command`]s.

mod clock;
pub mod directory;
mod entropy;
mod route;
pub mod shard;
mod socket;

pub use clock::Clock;
pub use directory::Directory;
pub use shard::{Command, Shard, ShardHandle, Uplink};
pub use socket::{BindError, bind_listeners};
