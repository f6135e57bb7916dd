//! What is kept of a record layer over a restart.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this table: 1 |
//! | 1 | AEAD: 0 CCM_8, 1 CCM, 2 GCM |
//! | 1 | bits: 1 client, 2 receives with a connection ID, 4 sends with one |
//! | 32 | keys of the client and of the server |
//! | 8 | IVs of the client and of the server |
//! | 8 | the number to go on with |
//! | 8, 8 | the window: one more than the highest number, and which of the 64 have come |
//! | 4 | failures |
//! | 1 + n | the connection ID to receive with, if bit 2 |
//! | 1 + n | the connection ID to send with, if bit 4 |
//!
//! Numbers are big-endian.

use thiserror::Error;

use super::key::Direction;
use super::window::Window;
use super::{Aead, END_OF_NUMBERS, Keys, RecordLayer, Role};

/// Bytes that are no snapshot of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a snapshot of a record layer")]
pub struct Unreadable;

impl RecordLayer {
    /// Appends a snapshot; it has the keys in it. Whoever goes on from it sends with numbers from `bound` on. So that is
    /// raised to the next number, and to the bounds of the snapshots before: of those this layer may hear only after this
    /// one has taken their place. And this layer has no higher bound from now on, as the snapshot may outlive it. Returns
    /// the bound that the snapshot has got.
    pub fn write_to(&mut self, bound: u64, out: &mut Vec<u8>) -> u64 {
        let next = bound.max(self.sequence).max(self.promised).min(END_OF_NUMBERS);
        self.bound = self.bound.min(next);
        self.promised = next;
        let (end, seen) = self.window.parts();
        let cids = [(RECEIVES, &self.receive_cid), (SENDS, &self.send_cid)];
        let negotiated = cids.iter().filter(|(_, cid)| cid.is_some()).fold(0, |bits, (bit, _)| bits | bit);
        let role = if self.role == Role::Client { CLIENT } else { 0 };

        out.extend_from_slice(&[VERSION, number_of(self.keys.aead), role | negotiated]);
        out.extend_from_slice(&self.keys.client.key);
        out.extend_from_slice(&self.keys.server.key);
        out.extend_from_slice(&self.keys.client.iv);
        out.extend_from_slice(&self.keys.server.iv);
        for number in [next, end, seen] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.failures.to_be_bytes());
        for cid in cids.iter().filter_map(|(_, cid)| cid.as_deref()) {
            // `new` has seen to it that it fits.
            out.push(u8::try_from(cid.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(cid);
        }
        next
    }

    /// Goes on from a snapshot, at its bound. That number is also the bound now: nothing is sent before a snapshot with
    /// a higher one has been written, and [`RecordLayer::set_bound`] told. Returns also what follows the snapshot.
    ///
    /// # Errors
    /// When the bytes do not begin with a snapshot of this version.
    pub fn read_from(bytes: &[u8]) -> Result<(Self, &[u8]), Unreadable> {
        let mut reader = Reader(bytes);
        let [version, aead, bits] = reader.array()?;
        if version != VERSION || bits & !(CLIENT | RECEIVES | SENDS) != 0 {
            return Err(Unreadable);
        }
        let (mut client, mut server) = (Direction::default(), Direction::default());
        client.key = reader.array()?;
        server.key = reader.array()?;
        client.iv = reader.array()?;
        server.iv = reader.array()?;
        let keys = Keys { aead: aead_of(aead)?, client, server };
        let sequence = u64::from_be_bytes(reader.array()?);
        if sequence > END_OF_NUMBERS {
            return Err(Unreadable);
        }
        let (end, seen) = (u64::from_be_bytes(reader.array()?), u64::from_be_bytes(reader.array()?));
        let window = Window::from_parts(end, seen).ok_or(Unreadable)?;
        let failures = u32::from_be_bytes(reader.array()?);
        let receive_cid = if bits & RECEIVES == 0 { None } else { Some(reader.cid()?) };
        let send_cid = if bits & SENDS == 0 { None } else { Some(reader.cid()?) };
        let role = if bits & CLIENT == 0 { Role::Server } else { Role::Client };
        let mut layer = Self::new(role, keys, receive_cid, send_cid);
        (layer.failures, layer.window) = (failures, window);
        (layer.sequence, layer.bound, layer.promised) = (sequence, sequence, sequence);
        Ok((layer, reader.0))
    }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*array)
    }

    fn cid(&mut self) -> Result<Box<[u8]>, Unreadable> {
        let [length] = self.array()?;
        let (cid, rest) = self.0.split_at_checked(usize::from(length)).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(cid.into())
    }
}

fn number_of(aead: Aead) -> u8 {
    match aead {
        Aead::Ccm8 => 0,
        Aead::Ccm => 1,
        Aead::Gcm => 2,
    }
}

fn aead_of(number: u8) -> Result<Aead, Unreadable> {
    match number {
        0 => Ok(Aead::Ccm8),
        1 => Ok(Aead::Ccm),
        2 => Ok(Aead::Gcm),
        _ => Err(Unreadable),
    }
}

const VERSION: u8 = 1;
const CLIENT: u8 = 1;
const RECEIVES: u8 = 2;
const SENDS: u8 = 4;
