//! Finds the shard of a datagram that came to the wrong one.
//!
//! The kernel spreads datagrams over the shards by their addresses. A client that comes back from another address may
//! therefore land on a shard that does not have it. Its own words tell where it belongs: a location and a token carry
//! the number of the shard that made them, and a Register carries an endpoint name, which the directory knows.
//! Once found, the way is remembered for that address, so that acknowledgements, which carry nothing, take it too.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tidegate_proto::coap::Peer;
use tidegate_proto::coap::message::{Code, Message};
use tidegate_proto::lwm2m::server::{shard_of_location, shard_of_token};

use super::directory::Directory;

/// The ways that one shard has learned.
#[derive(Debug)]
pub(crate) struct Routes {
    learned: FxHashMap<Peer, u8>,
    homes: Arc<Homes>,
}

/// Where clients without DTLS were before a restart, and the shards that have them now. Their number may be another one, and
/// the kernel may spread addresses in another way.
pub type Homes = FxHashMap<Peer, u8>;

impl Routes {
    /// No way has been learned.
    pub(crate) fn new(homes: Arc<Homes>) -> Self {
        Self { learned: FxHashMap::default(), homes }
    }

    /// The shard that a datagram belongs to, if it is not `own`. Called for peers that `own` does not know.
    pub(crate) fn elsewhere(
        &mut self,
        own: u8,
        shards: u8,
        directory: &Directory,
        peer: Peer,
        datagram: &[u8],
    ) -> Option<u8> {
        if let Some(shard) = self.learned.get(&peer) {
            return Some(*shard);
        }
        let shard = home(directory, shards, datagram).or_else(|| self.homes.get(&peer).copied());
        let shard = shard.filter(|shard| *shard != own)?;
        if self.learned.len() >= LEARNED {
            // A client whose way is forgotten shows it again with its next Update or notification.
            self.learned.clear();
        }
        self.learned.insert(peer, shard);
        Some(shard)
    }
}

fn home(directory: &Directory, shards: u8, datagram: &[u8]) -> Option<u8> {
    let message = Message::parse(datagram).ok()?;
    if message.code().is_response() {
        return shard_of_token(&message.token(), shards);
    }
    let mut path = message.uri_path();
    if path.next() != Some(b"rd".as_slice()) {
        return None;
    }
    if let Some(id) = path.next() {
        return shard_of_location(std::str::from_utf8(id).ok()?, shards);
    }
    if message.code() != Code::POST {
        return None;
    }
    let endpoint = message.uri_query().find_map(|query| query.strip_prefix(b"ep="))?;
    directory.shard(std::str::from_utf8(endpoint).ok()?)
}

/// How many addresses are remembered at most.
const LEARNED: usize = 65_536;
