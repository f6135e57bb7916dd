//! Block-wise transfer (RFC 7959): puts the bodies of requests and responses together and takes those of our
//! requests apart.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::endpoint::Delivery;
use super::message::{Block, Code, Message};
use super::option;
use super::peers::EXCHANGE_LIFETIME;
use crate::time::Instant;

/// Requests whose body comes in blocks (Block1), not yet complete.
#[derive(Debug)]
pub(super) struct Transfers {
    open: FxHashMap<TransferKey, Transfer>,
    /// By age, to find the oldest.
    by_serial: BTreeMap<u64, TransferKey>,
    next_serial: u64,
    bytes: usize,
    limits: Limits,
}

/// Bounds on bodies and blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Transfers at a time.
    pub(super) transfers: usize,
    /// Of those, of one peer.
    pub(super) transfers_per_peer: usize,
    /// Bytes of one body.
    pub(super) body: usize,
    /// Bytes of all bodies that are being put together from requests.
    pub(super) bodies: usize,
    /// The largest SZX.
    pub(super) exponent: u8,
}

/// Which blocks belong together: those of one peer for one method and resource, with the same Request-Tags (RFC 9175
/// section 3.3). Not the token: Anjay takes a new one for every block. Nor other options: Wakaama sends a
/// Content-Format from the second block on only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransferKey {
    pub(super) peer: u32,
    resource: Box<[u8]>,
}

#[derive(Debug)]
struct Transfer {
    serial: u64,
    /// The first block's message; its options count.
    first: Message,
    body: Vec<u8>,
    expires: Instant,
}

/// What to do about a request.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// It is complete: deliver it, and put the block option into the answer.
    Complete(Message, Option<Block>),
    /// Answer with this.
    Answer(Message),
}

impl Transfers {
    pub(super) fn new(limits: Limits) -> Self {
        Self { open: FxHashMap::default(), by_serial: BTreeMap::new(), next_serial: 0, bytes: 0, limits }
    }

    /// Takes in a request. Adds the peers of transfers that ended unfinished to `ended`, and of one that began to
    /// `begun`.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        peer: u32,
        mut message: Message,
        changes: &mut Changes,
    ) -> Step {
        let Some(block) = message.block1() else { return Step::Complete(message, None) };
        if block.exponent == 7 || (block.more && message.payload().len() != block.size()) {
            return Step::Answer(Message::response(Code::BAD_REQUEST));
        }
        let key = TransferKey::of(peer, &message);
        if block.number == 0 {
            self.remove(&key, changes);
            if message.size1().is_some_and(|size| size as usize > self.limits.body) {
                return Step::Answer(self.too_large());
            }
            if !block.more {
                return Step::Complete(message, Some(block));
            }
            return self.begin(now, &key, message, block, changes);
        }
        match self.open.get_mut(&key) {
            Some(transfer) if transfer.expires > now && transfer.body.len() == block.offset() => {
                let payload = message.take_payload();
                if transfer.body.len() + payload.len() > self.limits.body {
                    self.remove(&key, changes);
                    return Step::Answer(self.too_large());
                }
                transfer.body.extend_from_slice(&payload);
                transfer.expires = now + EXCHANGE_LIFETIME;
                self.bytes += payload.len();
            }
            _ => return Step::Answer(Message::response(Code::REQUEST_ENTITY_INCOMPLETE)),
        }
        if block.more {
            self.make_room(&key, changes);
            return Step::Answer(self.go_on(block));
        }
        let transfer = self.remove(&key, changes).expect("found above");
        let mut whole = transfer.first.with_payload(transfer.body);
        whole.set_header(message.kind(), message.mid(), message.token());
        Step::Complete(whole, Some(block))
    }

    /// The transfer ends if it has expired. Otherwise returns when it will.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        serial: u64,
        changes: &mut Changes,
    ) -> Option<Instant> {
        let key = self.by_serial.get(&serial)?.clone();
        let expires = self.open.get(&key)?.expires;
        if expires > now {
            return Some(expires);
        }
        self.remove(&key, changes);
        changes.expired += 1;
        None
    }

    pub(super) fn is_open(&self, serial: u64) -> bool {
        self.by_serial.contains_key(&serial)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn begin(
        &mut self,
        now: Instant,
        key: &TransferKey,
        mut message: Message,
        block: Block,
        changes: &mut Changes,
    ) -> Step {
        let body = message.take_payload();
        if body.len() > self.limits.body {
            return Step::Answer(self.too_large());
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let expires = now + EXCHANGE_LIFETIME;
        self.bytes += body.len();
        let first = message.without_options(&[option::BLOCK1]);
        changes.begun = Some((serial, expires));
        self.by_serial.insert(serial, key.clone());
        self.open.insert(key.clone(), Transfer { serial, first, body, expires });
        self.make_room_of_peer(key, changes);
        self.make_room(key, changes);
        Step::Answer(self.go_on(block))
    }

    /// Ends the oldest transfers of this one's peer, but not this one, while it has too many.
    fn make_room_of_peer(&mut self, spare: &TransferKey, changes: &mut Changes) {
        loop {
            let others = || self.by_serial.values().filter(|key| key.peer == spare.peer && *key != spare);
            if others().count() < self.limits.transfers_per_peer.max(1) {
                return;
            }
            let Some(oldest) = others().next().cloned() else { return };
            self.remove(&oldest, changes);
            changes.evicted += 1;
        }
    }

    /// Ends the oldest transfers, but not this one, while there are too many or too many bytes of them.
    fn make_room(&mut self, spare: &TransferKey, changes: &mut Changes) {
        while self.open.len() > self.limits.transfers.max(1) || self.bytes > self.limits.bodies {
            let Some(oldest) = self.by_serial.values().find(|key| *key != spare).cloned() else { return };
            self.remove(&oldest, changes);
            changes.evicted += 1;
        }
    }

    fn remove(&mut self, key: &TransferKey, changes: &mut Changes) -> Option<Transfer> {
        let transfer = self.open.remove(key)?;
        self.by_serial.remove(&transfer.serial);
        self.bytes -= transfer.body.len();
        changes.ended.push(key.peer);
        Some(transfer)
    }

    /// 2.31; with a smaller SZX than the block's if that is larger than we like (RFC 7959 section 2.3).
    fn go_on(&self, block: Block) -> Message {
        let mut answer = Message::response(Code::CONTINUE);
        answer
            .set_block(option::BLOCK1, Block { exponent: block.exponent.min(self.limits.exponent), ..block });
        answer
    }

    /// 4.13 with what would be possible (RFC 7959 section 2.9.3).
    fn too_large(&self) -> Message {
        let limit = u32::try_from(self.limits.body).unwrap_or(u32::MAX);
        Message::response(Code::REQUEST_ENTITY_TOO_LARGE).with_option_uint(option::SIZE1, limit)
    }
}

/// What handling a request has changed beside its answer.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// A transfer began and expires then.
    pub(super) begun: Option<(u64, Instant)>,
    /// Peers of transfers that are over.
    pub(super) ended: Vec<u32>,
    pub(super) evicted: u64,
    pub(super) expired: u64,
}

impl TransferKey {
    fn of(peer: u32, message: &Message) -> Self {
        let mut resource = vec![message.code().0];
        let mut append = |values: &mut dyn Iterator<Item = &[u8]>| {
            for value in values {
                // Lengths are below 256 or the critical option would have been refused.
                resource.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
                resource.extend_from_slice(value);
            }
        };
        append(&mut message.uri_path());
        append(&mut [&[][..]].into_iter());
        append(&mut message.uri_query());
        append(&mut [&[][..]].into_iter());
        append(&mut message.request_tags());
        Self { peer, resource: resource.into_boxed_slice() }
    }
}

/// A request body of ours on its way out (Block1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    exponent: u8,
    /// Bytes that the peer has.
    offset: usize,
    total: usize,
    /// The body was begun anew because the peer had lost what it had of it.
    restarted: bool,
}

/// How an upload goes on after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send [`Upload::block`].
    Send,
    /// The response is the final one.
    Done,
}

impl Upload {
    /// None for a body that fits into one block.
    pub(super) fn new(total: usize, exponent: u8) -> Option<Self> {
        let upload = Self { exponent, offset: 0, total, restarted: false };
        (total > upload.size()).then_some(upload)
    }

    /// A body that was sent as a whole, if the peer wants it in smaller blocks (RFC 7959 section 2.9.3).
    pub(super) fn after_refusal(total: usize, response: &Message) -> Option<Self> {
        let asked = response.block1().filter(|_| response.code() == Code::REQUEST_ENTITY_TOO_LARGE)?;
        Self::new(total, asked.exponent)
    }

    /// The block to be sent next, and where it lies in the body.
    pub(super) fn block(&self) -> (Block, std::ops::Range<usize>) {
        let end = self.total.min(self.offset + self.size());
        let number = u32::try_from(self.offset >> (self.exponent + 4)).unwrap_or(Block::MAX_NUMBER);
        (Block { number, more: end < self.total, exponent: self.exponent }, self.offset..end)
    }

    pub(super) fn handle(&mut self, response: &Message) -> Next {
        let (sent, range) = self.block();
        let asked = response.block1();
        let smaller = asked.filter(|asked| asked.exponent < self.exponent);
        match response.code() {
            // The blocks are too large (RFC 7959 section 2.9.3); without a smaller size, it is the body that is.
            Code::REQUEST_ENTITY_TOO_LARGE => {
                let Some(smaller) = smaller else { return Next::Done };
                (self.exponent, self.offset) = (smaller.exponent, 0);
                Next::Send
            }
            // The peer does not have the blocks before this one, or not any more (section 2.9.2).
            Code::REQUEST_ENTITY_INCOMPLETE if self.offset > 0 && !self.restarted => {
                (self.offset, self.restarted) = (0, true);
                Next::Send
            }
            // 2.31, or the success code of a peer that deals with every block by itself (RFC 7959 section 2.3).
            code if code.is_success()
                && sent.more
                && asked.is_some_and(|asked| asked.number == sent.number) =>
            {
                self.offset = range.end;
                self.exponent = smaller.map_or(self.exponent, |smaller| smaller.exponent);
                Next::Send
            }
            _ => Next::Done,
        }
    }

    /// Bytes that the peer has, and bytes in all.
    pub(super) const fn progress(&self) -> (usize, usize) {
        (self.offset, self.total)
    }

    const fn size(&self) -> usize {
        1 << (self.exponent as usize + 4)
    }
}

/// A response body on its way in (Block2).
#[derive(Debug)]
pub(super) struct Download {
    /// The first block's message; its code and options count.
    first: Message,
    pub(super) delivery: Delivery,
    body: Vec<u8>,
    /// Of the blocks to ask for: not larger than we like, nor than the peer does.
    exponent: u8,
    bounds: Bounds,
    restarted: bool,
}

/// What a download may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bytes of the body.
    pub(super) body: usize,
    /// The largest SZX.
    pub(super) exponent: u8,
}

/// How a download goes on after a block.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// Ask for this block.
    Fetch(Block),
    /// The whole response.
    Complete(Message),
    /// It cannot be completed.
    Broken,
    /// It is larger than a body may be.
    TooLarge,
}

impl Download {
    /// Begins with a response if it is the first block of several. Otherwise gives it back.
    pub(super) fn begin(
        response: Message,
        delivery: Delivery,
        bounds: Bounds,
    ) -> Result<(Self, Progress), Message> {
        let Some(block) = response.block2().filter(|block| block.more || block.number > 0) else {
            return Err(response);
        };
        let mut download = Self {
            first: Message::response(Code::EMPTY),
            delivery,
            body: Vec::new(),
            exponent: bounds.exponent,
            bounds,
            restarted: false,
        };
        let progress = download.start(response, block);
        Ok((download, progress))
    }

    /// Takes in the answer to a request for a block.
    pub(super) fn handle(&mut self, response: Message) -> Progress {
        if !response.code().is_success() {
            // Such as 4.08 or 5.03: says better than we could why the body is not to be had.
            return Progress::Complete(response);
        }
        let Some(block) = response.block2() else { return Progress::Broken };
        if self.body.is_empty() {
            return self.start(response, block);
        }
        if response.etag() != self.first.etag() || response.code() != self.first.code() {
            // The resource changed meanwhile (RFC 7959 section 2.4).
            return self.restart();
        }
        if block.offset() != self.body.len() {
            return Progress::Broken;
        }
        match self.append(response.payload(), block) {
            Ok(()) => self.go_on(block),
            Err(wrong) => wrong,
        }
    }

    /// Bytes that have come, and bytes in all as far as the peer has said (Size2, RFC 7959 section 4).
    pub(super) fn progress(&self) -> (usize, Option<usize>) {
        (self.body.len(), self.first.size2().map(|size| size as usize))
    }

    fn start(&mut self, mut response: Message, block: Block) -> Progress {
        let payload = response.take_payload();
        if block.number != 0 {
            return Progress::Broken;
        }
        if let Err(wrong) = self.append(&payload, block) {
            return wrong;
        }
        self.first = response;
        self.go_on(block)
    }

    fn restart(&mut self) -> Progress {
        if self.restarted {
            return Progress::Broken;
        }
        self.restarted = true;
        self.body.clear();
        Progress::Fetch(Block { number: 0, more: false, exponent: self.exponent })
    }

    fn go_on(&mut self, block: Block) -> Progress {
        if !block.more {
            let whole = self.first.without_options(&[option::BLOCK2]);
            return Progress::Complete(whole.with_payload(std::mem::take(&mut self.body)));
        }
        // Smaller blocks than the first one are asked for by their own numbers (RFC 7959 section 2.4).
        let number = self.body.len() >> (self.exponent + 4);
        match u32::try_from(number) {
            Ok(number) if number <= Block::MAX_NUMBER => {
                Progress::Fetch(Block { number, more: false, exponent: self.exponent })
            }
            _ => Progress::Broken,
        }
    }

    /// Refused if the block cannot be one, or the body becomes too large.
    fn append(&mut self, payload: &[u8], block: Block) -> Result<(), Progress> {
        let length_fits =
            if block.more { payload.len() == block.size() } else { payload.len() <= block.size() };
        if block.exponent == 7 || !length_fits {
            return Err(Progress::Broken);
        }
        if self.body.len() + payload.len() > self.bounds.body {
            return Err(Progress::TooLarge);
        }
        self.exponent = block.exponent.min(self.bounds.exponent);
        self.body.extend_from_slice(payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
