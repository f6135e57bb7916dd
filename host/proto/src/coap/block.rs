//! Block-wise transfer (RFC 7959): bodies that do not fit one message.
//!
//! [`Assemblies`] joins what clients send in blocks, [`Upload`] sends ours in blocks, [`Download`] joins what they answer
//! in blocks. Everything is bounded in size, number and time.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::Peer;
use super::exchange::EXCHANGE_LIFETIME;
use super::message::{Block, Code, Message, option};
use crate::time::Instant;

/// Requests that come in blocks (Block1), joined by peer, method, path and query. The token is no part of it: a client
/// may change it with every block, and real ones do.
#[derive(Debug)]
pub(crate) struct Assemblies {
    open: FxHashMap<Key, Assembly>,
    started: VecDeque<(Instant, Key)>,
    max_body: usize,
    max_open: usize,
}

type Key = (Peer, Vec<u8>);

#[derive(Debug)]
struct Assembly {
    /// The first block's message: its options count.
    first: Message,
    body: Vec<u8>,
    started: Instant,
}

/// What a block makes of a request.
#[derive(Debug)]
pub(crate) enum Joined {
    /// The whole request.
    Complete(Box<Message>),
    /// Not yet, or not at all: answer with this.
    Answer(Box<Message>),
}

impl Assemblies {
    pub(crate) fn new(max_body: usize, max_open: usize) -> Self {
        Self { open: FxHashMap::default(), started: VecDeque::new(), max_body, max_open }
    }

    /// Take in one block.
    pub(crate) fn join(&mut self, now: Instant, peer: Peer, message: Message, block: Block) -> Joined {
        if block.szx == 7 {
            return refuse(Code::BAD_REQUEST, "block size 7 is reserved");
        }
        self.expire(now);
        let key = (peer, key(&message));
        if block.number == 0 {
            self.open.remove(&key);
            if !block.more {
                return Joined::Complete(Box::new(message));
            }
            if self.open.len() >= self.max_open {
                return refuse(Code::SERVICE_UNAVAILABLE, "too many block-wise transfers");
            }
            self.started.push_back((now, key.clone()));
            self.open
                .insert(key.clone(), Assembly { first: message.clone(), body: Vec::new(), started: now });
        }
        let Some(assembly) = self.open.get_mut(&key) else {
            return refuse(Code::REQUEST_ENTITY_INCOMPLETE, "no such transfer");
        };
        let offset = block.number as usize * block.size();
        if offset != assembly.body.len() || (block.more && message.payload().len() != block.size()) {
            self.open.remove(&key);
            return refuse(Code::REQUEST_ENTITY_INCOMPLETE, "a block is missing");
        }
        if offset + message.payload().len() > self.max_body {
            self.open.remove(&key);
            let answer = Message::new(Code::REQUEST_ENTITY_TOO_LARGE);
            let max = u32::try_from(self.max_body).unwrap_or(u32::MAX);
            return Joined::Answer(Box::new(answer.with_uint(option::SIZE1, max)));
        }
        assembly.body.extend_from_slice(message.payload());
        if block.more {
            return Joined::Answer(Box::new(Message::new(Code::CONTINUE)));
        }
        match self.open.remove(&key) {
            Some(Assembly { mut first, body, .. }) => {
                first.set_payload(body);
                Joined::Complete(Box::new(first))
            }
            None => refuse(Code::REQUEST_ENTITY_INCOMPLETE, "no such transfer"),
        }
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((started, key)) = self.started.pop_front() {
            if started + TRANSFER_LIFETIME > now {
                self.started.push_front((started, key));
                return;
            }
            if self.open.get(&key).is_some_and(|assembly| assembly.started == started) {
                self.open.remove(&key);
            }
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.started.front().map(|(started, _)| *started + TRANSFER_LIFETIME)
    }
}

fn refuse(code: Code, why: &str) -> Joined {
    Joined::Answer(Box::new(Message::new(code).with_payload(why)))
}

/// Method, path and query as bytes, each part with its length in front so that no two requests look alike.
fn key(message: &Message) -> Vec<u8> {
    let mut key = vec![message.code().0];
    for (number, parts) in [(1, option::URI_PATH), (2, option::URI_QUERY)] {
        for part in message.option(parts) {
            key.push(number);
            key.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            key.extend_from_slice(part);
        }
    }
    key
}

/// A request of ours that goes out in blocks (Block1).
#[derive(Debug)]
pub(crate) struct Upload {
    body: Vec<u8>,
    offset: usize,
    szx: u8,
}

impl Upload {
    /// If the body is too large for one message.
    pub(crate) fn of(message: &mut Message) -> Option<Self> {
        (message.payload().len() > Block { number: 0, more: false, szx: MAX_SZX }.size()).then(|| Self {
            body: message.take_payload(),
            offset: 0,
            szx: MAX_SZX,
        })
    }

    /// The request with the block that is due.
    pub(crate) fn message(&self, request: &Message) -> Message {
        let size = 1_usize << (self.szx + 4);
        let end = (self.offset + size).min(self.body.len());
        let block = Block {
            number: u32::try_from(self.offset / size).unwrap_or(u32::MAX),
            more: end < self.body.len(),
            szx: self.szx,
        };
        let mut message = request.clone().with_payload(&self.body[self.offset..end]);
        message.set_uint(option::BLOCK1, block.to_uint());
        if self.offset == 0 {
            message.set_uint(option::SIZE1, u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        }
        message
    }

    /// Whether an answer asks for another block, which is then due. An answer that does not is the answer to all of it.
    pub(crate) fn advance(&mut self, answer: &Message) -> bool {
        let block = answer.block(option::BLOCK1);
        let size = 1_usize << (self.szx + 4);
        match answer.code() {
            Code::CONTINUE => {
                self.offset += size;
                // The client may want smaller blocks from here on (RFC 7959 section 2.3); numbers follow the new size.
                self.szx = block.map_or(self.szx, |block| block.szx.min(self.szx));
                self.offset < self.body.len()
            }
            Code::REQUEST_ENTITY_TOO_LARGE if self.offset == 0 => match block {
                Some(block) if block.szx < self.szx => {
                    self.szx = block.szx;
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// An answer that comes in blocks (Block2).
#[derive(Debug)]
pub(crate) struct Download {
    first: Message,
    body: Vec<u8>,
    etag: Option<Vec<u8>>,
    szx: u8,
}

/// What a block makes of an answer.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The whole answer.
    Complete(Box<Message>),
    /// Ask for the block that this option names.
    More(Block),
    /// It does not fit together, or is too large.
    Broken,
}

impl Download {
    /// Take in a block of an answer; `download` is what has come so far.
    pub(crate) fn take(download: &mut Option<Self>, mut answer: Message, max_body: usize) -> Fetched {
        let etag = answer.option(option::ETAG).next().map(<[u8]>::to_vec);
        let Some(block) =
            answer.block(option::BLOCK2).filter(|block| answer.code().is_success() && block.szx < 7)
        else {
            return Fetched::Complete(Box::new(answer));
        };
        let Some(so_far) = download else {
            if !block.more || block.number != 0 {
                return Fetched::Complete(Box::new(answer));
            }
            let body = answer.take_payload();
            if body.len() != block.size() {
                return Fetched::Broken;
            }
            answer.clear_option(option::BLOCK2);
            *download = Some(Self { first: answer, body, etag, szx: block.szx });
            return Fetched::More(Block { number: 1, more: false, szx: block.szx });
        };
        let offset = block.number as usize * block.size();
        let payload = answer.payload();
        let is_next =
            offset == so_far.body.len() && etag == so_far.etag && answer.code() == so_far.first.code();
        let is_whole = !block.more || payload.len() == block.size();
        if !is_next || !is_whole || offset + payload.len() > max_body {
            return Fetched::Broken;
        }
        so_far.body.extend_from_slice(payload);
        so_far.szx = so_far.szx.min(block.szx);
        if block.more {
            let number = so_far.body.len() >> (so_far.szx + 4);
            return Fetched::More(Block {
                number: u32::try_from(number).unwrap_or(u32::MAX),
                more: false,
                szx: so_far.szx,
            });
        }
        let mut whole = so_far.first.clone();
        whole.set_payload(std::mem::take(&mut so_far.body));
        Fetched::Complete(Box::new(whole))
    }
}

/// Blocks of 1024 bytes: the largest, and they fit the smallest MTU of IPv6.
const MAX_SZX: u8 = 6;
/// How long a transfer may pause.
const TRANSFER_LIFETIME: Duration = EXCHANGE_LIFETIME;

#[cfg(test)]
mod tests;
