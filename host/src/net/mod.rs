//! Sockets and shards: what carries datagrams to `proto` and its events to the bridge.
//!
//! A shard is one thread with its own sockets and its own [`Server`](tidegate_proto::lwm2m::server::Server); nothing on
//! the way of a notification is shared with another shard. [`Directory`] knows which shard has which client;
//! [`route`] finds the shard of a datagram that came to the wrong one. [`secure`] is the DTLS side of a shard, and
//! [`keep`] is what it needs written over a restart.
//!
//! `app` starts the shards; `bridge` implements [`Uplink`] and sends [`Command`]s.

mod clock;
pub mod command;
pub mod count;
pub mod directory;
mod entropy;
pub mod keep;
pub mod question;
pub mod rate;
mod route;
pub mod secure;
pub mod shard;
mod socket;
mod throttle;

pub use clock::Clock;
pub use command::{Command, ShardHandle};
pub use count::Tally;
pub use directory::{Directory, Known};
pub use question::Question;
pub use rate::Rates;
pub use route::Homes;
pub use secure::Secure;
pub use shard::{Shard, Uplink};
pub use socket::{BindError, Inherited, ReceiveBuffers};
