//! One device of a case: a socket, and what went over it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use tidegate_tests::{Peer, acknowledgement, code, empty, response};

use crate::bench::PATIENCE;
use crate::case::{Answer, bytes};
use crate::compare;

pub(crate) struct Device {
    pub(crate) peer: Peer,
    /// Requests of the gateway, without retransmissions.
    pub(crate) requests: Vec<Packet>,
    /// Message IDs of those that have their response.
    answered: HashSet<u16>,
    /// How often a request came again.
    pub(crate) retransmissions: usize,
    /// The last message of the device itself, if it was one.
    pub(crate) sent: Option<Packet>,
    next_mid: u16,
}

impl Device {
    pub(crate) fn new(peer: Peer) -> Self {
        Self {
            peer,
            requests: Vec::new(),
            answered: HashSet::new(),
            retransmissions: 0,
            sent: None,
            next_mid: OWN_MIDS,
        }
    }

    /// Answer a request of the gateway as the case says.
    pub(crate) fn answer(&mut self, answer: &Answer) -> Result<()> {
        let asked = match answer.answers_request.as_u64() {
            Some(number) => self.requests.get(usize::try_from(number)? - 1),
            None => self.requests.last(),
        };
        let asked = asked.context("the gateway has not asked anything")?;
        let mut packet = Packet::new();
        packet.header.set_type(compare::message_type(&answer.kind)?);
        packet.header.code = code(&answer.code);
        packet.header.message_id = match answer.mid.as_u64() {
            Some(number) => u16::try_from(number)?,
            None => asked.header.message_id,
        };
        if answer.token.starts_with("same") {
            packet.set_token(asked.get_token().to_vec());
            if answer.code != "0.00" || answer.kind == "RST" {
                self.answered.insert(asked.header.message_id);
            }
        } else {
            packet.set_token(bytes(&answer.token)?);
        }
        for option in &answer.options {
            packet.add_option(CoapOption::from(option.number), bytes(&option.hex)?);
        }
        packet.payload = bytes(&answer.payload_hex)?;
        self.peer.send(&packet)?;
        self.sent = Some(packet);
        Ok(())
    }

    /// The next message that is not a retransmission.
    pub(crate) fn receive(&mut self, patience: Duration) -> Result<Option<Packet>> {
        let Some(packet) = self.peer.receive_within(patience)? else { return Ok(None) };
        if !matches!(packet.header.code, MessageClass::Request(_)) {
            return Ok(Some(packet));
        }
        if self.requests.iter().any(|request| request.header.message_id == packet.header.message_id) {
            self.retransmissions += 1;
            return Ok(None);
        }
        self.requests.push(packet.clone());
        Ok(Some(packet))
    }

    /// Take in what has come, without sending anything. It is waited for a little, to ask the gateway less often.
    pub(crate) fn receive_all(&mut self) -> Result<()> {
        let mut patience = Duration::from_millis(100);
        loop {
            let before = (self.requests.len(), self.retransmissions);
            self.receive(patience)?;
            if before == (self.requests.len(), self.retransmissions) {
                return Ok(());
            }
            patience = Duration::from_millis(1);
        }
    }

    /// Everything the gateway sends before it answers a ping.
    pub(crate) fn ping(&mut self) -> Result<Vec<Packet>> {
        let mid = self.mid();
        self.peer.send(&empty(MessageType::Confirmable, mid))?;
        let deadline = Instant::now() + PATIENCE;
        let mut messages = Vec::new();
        while Instant::now() < deadline {
            match self.receive(PATIENCE)? {
                Some(packet)
                    if packet.header.get_type() == MessageType::Reset && packet.header.message_id == mid =>
                {
                    return Ok(messages);
                }
                other => messages.extend(other),
            }
        }
        bail!("no reset in answer to a ping")
    }

    /// Answer every request that has no response yet: those of `path` with 2.05 and this text, the others with 4.04,
    /// outside of an acknowledgement, as some of them are acknowledged already. How many of `path` there were.
    pub(crate) fn serve(&mut self, path: &[&[u8]], text: &str) -> Result<usize> {
        let mut served = 0;
        for request in self.requests.clone() {
            if !self.answered.insert(request.header.message_id) {
                continue;
            }
            let asked = tidegate_tests::option_values(&request, CoapOption::UriPath);
            if asked.iter().rev().take(path.len()).eq(path.iter().rev()) {
                let mut answer = acknowledgement(&request, "2.05");
                answer.payload = text.as_bytes().to_vec();
                self.peer.send(&answer)?;
                served += 1;
            } else {
                let mid = self.mid();
                self.peer.send(&response(&request, MessageType::Confirmable, "4.04", mid))?;
            }
        }
        Ok(served)
    }

    /// A message ID that no case uses.
    pub(crate) fn mid(&mut self) -> u16 {
        self.next_mid += 1;
        self.next_mid
    }
}

/// Message IDs from here on are not in the cases.
const OWN_MIDS: u16 = 60_000;
