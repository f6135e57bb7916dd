//! Limits of an endpoint, and what it counts.

use std::time::Duration;

use crate::coap::block::Bounds;
use crate::coap::message::Reason;
use crate::coap::peers::EXCHANGE_LIFETIME;

/// Limits and times. The others of RFC 7252 section 4.8 are its defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// First byte of every token, so that a datagram can be sent to the shard that asked.
    pub shard: u8,
    /// How long to wait for the response after an empty acknowledgement, from when the request was sent first.
    pub response_wait: Duration,
    /// Messages remembered for deduplication, in all; beyond that the oldest are forgotten.
    pub remembered: usize,
    /// Messages remembered of one peer.
    pub remembered_per_peer: usize,
    /// Peers whose message ids of our non-confirmable answers are kept from being used again; beyond that they are not.
    pub guarded: usize,
    /// Requests whose body is being put together; beyond that the oldest are forgotten.
    pub transfers: usize,
    /// Of those, of one peer.
    pub transfers_per_peer: usize,
    /// Bytes of all those bodies; and, counted apart, of all response bodies that are being put together.
    pub transfer_bytes: usize,
    /// Of the latter, of one peer: there may be one for each of its observations.
    pub download_bytes_per_peer: usize,
    /// Bytes of one body, in either direction.
    pub body: usize,
    /// Bytes of the largest block, sent or asked for: a power of two from 16 to 1024.
    pub block: usize,
}

impl Config {
    /// The defaults for a shard.
    pub fn new(shard: u8) -> Self {
        Self {
            shard,
            response_wait: EXCHANGE_LIFETIME,
            remembered: 1 << 18,
            remembered_per_peer: 1 << 10,
            guarded: 1 << 18,
            transfers: 1 << 10,
            transfers_per_peer: 4,
            transfer_bytes: 64 << 20,
            download_bytes_per_peer: 8 << 20,
            body: 4 << 20,
            block: 1024,
        }
    }

    /// What a response body may take from a peer with this limit.
    pub(super) fn bounds(&self, max_message: Option<usize>) -> Bounds {
        Bounds { body: self.body, exponent: self.exponent(max_message) }
    }

    /// The SZX of the largest block for a peer to which messages of at most so many bytes can go.
    pub(super) fn exponent(&self, max_message: Option<usize>) -> u8 {
        let room = max_message.map_or(self.block, |limit| self.block.min(limit.saturating_sub(AROUND)));
        u8::try_from(room.clamp(16, 1024).ilog2() - 4).expect("at most 6")
    }
}

/// Bytes of a message around its block: header, token and options.
const AROUND: usize = 128;

impl Default for Config {
    fn default() -> Self {
        Self::new(0)
    }
}

/// What has happened since the start that no event tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams taken in.
    pub received: u64,
    /// Datagrams handed out.
    pub transmitted: u64,
    /// Of those: requests sent again.
    pub retransmitted: u64,
    /// Datagrams shorter than a header.
    pub malformed_short: u64,
    /// Datagrams of another version of CoAP.
    pub malformed_version: u64,
    /// Datagrams with an invalid token length.
    pub malformed_token: u64,
    /// Datagrams with options that cannot be taken apart.
    pub malformed_option: u64,
    /// Datagrams with a payload marker and no payload.
    pub malformed_payload: u64,
    /// Empty messages with content.
    pub malformed_empty: u64,
    /// Datagrams with a reserved code, or one that their type cannot carry.
    pub malformed_code: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Of those: answered again from memory.
    pub replayed: u64,
    /// Messages with a critical option that is not understood.
    pub unknown_critical: u64,
    /// Requests with a method code above 0.07.
    pub unknown_methods: u64,
    /// CoAP pings.
    pub pings: u64,
    /// Acknowledgements, with or without a response, of nothing that is open.
    pub unmatched_acknowledgements: u64,
    /// Resets of nothing that is open.
    pub unmatched_resets: u64,
    /// Responses that nothing has asked for; rejected with a reset.
    pub unmatched_responses: u64,
    /// Responses with the message id of an open request, but another token.
    pub wrong_tokens: u64,
    /// Notifications older than one that was delivered.
    pub stale_notifications: u64,
    /// Notifications of which not all blocks could be had.
    pub incomplete_notifications: u64,
    /// Responses and notifications given up since too many bytes of unfinished ones were there.
    pub downloads_refused: u64,
    /// Receipts that nobody settled in time.
    pub unsettled: u64,
    /// Remembered messages forgotten early for lack of room.
    pub remembered_evicted: u64,
    /// Unfinished block-wise requests forgotten for lack of room.
    pub transfers_evicted: u64,
    /// Unfinished block-wise requests of which no more blocks came.
    pub transfers_expired: u64,
}

impl Counters {
    pub(super) fn count_malformed(&mut self, reason: Reason) {
        *match reason {
            Reason::Short => &mut self.malformed_short,
            Reason::Version => &mut self.malformed_version,
            Reason::Token => &mut self.malformed_token,
            Reason::Option => &mut self.malformed_option,
            Reason::Payload => &mut self.malformed_payload,
            Reason::Empty => &mut self.malformed_empty,
            Reason::Code => &mut self.malformed_code,
        } += 1;
    }
}
