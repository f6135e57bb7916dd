//! What survives a restart: when it is told, and how it is written.
//!
//! The rule that everything here serves: **no write sequence number is used twice with one key.** What is kept says
//! where to go on writing: at a bound that lies ahead of what has been used. From the moment it is told, nothing is
//! sealed beyond that bound until a later one has been written durably ([`Endpoint::kept`]). After a restart writing
//! goes on at the bound, and only when the next one is durable.
//!
//! The window of what was received is kept, too, but only every while: after a crash the records of that while might be
//! replayed once, and with a connection ID such a replay moves the client's address until the client sends again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::time::Instant;
use zeroize::Zeroizing;

use super::{Endpoint, Error, Output, Remote, Summary};
use crate::association::{Association, second};
use crate::credential::{Fingerprint, Mode, Principal};
use crate::handshake::Records;
use crate::record::RecordLayer;
use crate::session::Session;

impl Endpoint {
    /// An [`Output::Keep`] has been written durably.
    pub fn kept(&mut self, association: u64, bound: u64) {
        if let Some(association) = self.live.get_mut(&association)
            && let Some(layer) = association.layer_mut()
            && layer.bound().is_none_or(|current| current < bound)
        {
            layer.set_bound(Some(bound));
        }
    }

    /// Keep everything that has changed, as the gateway stops. Poll the output afterwards.
    pub fn keep_all(&mut self) {
        for (_, name) in std::mem::take(&mut self.dirty) {
            self.keep_dirty(name);
        }
    }

    /// Go on with an association that was kept before a restart. It is told by [`Output::Established`] and kept anew;
    /// until that is durable it does not send. One whose credential is gone is forgotten.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn restore(&mut self, now: Instant, association: u64, snapshot: &[u8]) -> Result<(), Error> {
        let name = association;
        let restored = Snapshot::read(snapshot).ok_or(Error::Snapshot)?;
        if !self.credentials.holds(&restored.principal) || name == 0 || self.live.contains_key(&name) {
            self.outputs.push_back(Output::Forget { association: name });
            return Ok(());
        }
        if let Some(session) = &restored.session {
            self.sessions.insert(session);
        }
        let Snapshot { remote, principal, session, layer } = restored;
        let bound = layer.sequence();
        let summary = Summary {
            suite: "kept",
            resumed: true,
            connection_id: layer.receive_cid().is_some(),
            max_fragment: session.as_ref().and_then(|session| session.max_fragment()),
        };
        let mut association = Association::new(remote, Arc::clone(&principal), Records::Own(layer));
        association.session = session;
        association.heard = second(now);
        association.asked = bound.saturating_add(STEP);
        self.insert(name, association);
        self.outputs.push_back(Output::Established { association: name, from: remote, principal, summary });
        self.keep(name);
        Ok(())
    }

    /// A new association.
    pub(super) fn keep_first(&mut self, name: u64) {
        if !self.config.keep {
            return;
        }
        let Some(association) = self.live.get_mut(&name) else { return };
        let Some(layer) = association.layer() else { return };
        let bound = layer.sequence() + STEP;
        association.asked = bound;
        self.keep(name);
    }

    /// Asks for the next bound in good time.
    pub(super) fn keep_ahead(&mut self, name: u64) {
        let Some(association) = self.live.get_mut(&name) else { return };
        let Some(layer) = association.layer() else { return };
        let Some(bound) = layer.bound() else { return };
        if association.asked == bound && layer.sequence() + STEP / 2 >= bound {
            association.asked = bound.saturating_add(STEP);
            self.keep(name);
        }
    }

    /// Its window has moved.
    pub(super) fn keep_later(&mut self, now: Instant, name: u64) {
        if !self.config.keep {
            return;
        }
        let Some(association) = self.live.get_mut(&name) else { return };
        if !association.is_dirty && association.layer().is_some() {
            association.is_dirty = true;
            self.dirty.push_back((now + KEEP_AFTER, name));
        }
    }

    /// Keeps what has waited long enough.
    pub(super) fn keep_due(&mut self, now: Instant) {
        while let Some(&(at, name)) = self.dirty.front()
            && at <= now
        {
            self.dirty.pop_front();
            self.keep_dirty(name);
        }
    }

    fn keep_dirty(&mut self, name: u64) {
        if let Some(association) = self.live.get_mut(&name)
            && association.is_dirty
        {
            association.is_dirty = false;
            self.keep(name);
        }
    }

    fn keep(&mut self, name: u64) {
        let Some(association) = self.live.get_mut(&name) else { return };
        let mut snapshot = write(association);
        let wanted = association.asked;
        let Some(layer) = association.layer_mut() else { return };
        let bound = layer.write_to(wanted, &mut snapshot);
        association.asked = bound;
        self.outputs.push_back(Output::Keep { association: name, snapshot, bound });
    }
}

/// Where the client of a kept association was last: for finding the shard of a datagram without a connection ID.
///
/// # Errors
/// When the snapshot cannot be read.
pub fn remote_of_snapshot(snapshot: &[u8]) -> Result<Remote, Error> {
    Reader(snapshot).remote().ok_or(Error::Snapshot)
}

/// What is kept of an association: version, address, who it is, the session, the record layer.
struct Snapshot {
    remote: Remote,
    principal: Arc<Principal>,
    session: Option<Arc<Session>>,
    layer: RecordLayer,
}

/// All of it but the record layer.
fn write(association: &Association) -> Zeroizing<Vec<u8>> {
    let der = association.session.as_ref().map_or(&[][..], |session| session.der());
    // Room for all of it, as a vector that grows leaves a copy of the keys behind that is not wiped.
    let length = SNAPSHOT + association.principal.endpoint.len() + der.len();
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    out.push(VERSION);
    match association.remote.address.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(16);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&association.remote.address.port().to_be_bytes());
    out.extend_from_slice(&association.remote.listener.to_be_bytes());
    let principal = &association.principal;
    out.push(match principal.mode {
        Mode::Psk => 0,
        Mode::RawPublicKey => 2,
        Mode::X509 => 3,
    });
    out.extend_from_slice(&principal.fingerprint.0);
    write_bytes(principal.endpoint.as_bytes(), &mut out);
    write_bytes(der, &mut out);
    out
}

/// With their length before them. What is longer than that can say is left out: an endpoint name is shorter.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or_default();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

impl Snapshot {
    fn read(snapshot: &[u8]) -> Option<Self> {
        let mut reader = Reader(snapshot);
        let remote = reader.remote()?;
        let mode = match reader.take(1)? {
            [0] => Mode::Psk,
            [2] => Mode::RawPublicKey,
            [3] => Mode::X509,
            _ => return None,
        };
        let fingerprint = Fingerprint(reader.take(16)?.try_into().ok()?);
        let endpoint = std::str::from_utf8(reader.bytes()?).ok()?.into();
        let principal = Arc::new(Principal { mode, endpoint, fingerprint });
        let session = match reader.bytes()? {
            [] => None,
            der => Some(Arc::new(Session::from_der(der, Arc::clone(&principal))?)),
        };
        let (layer, rest) = RecordLayer::read_from(reader.0).ok()?;
        rest.is_empty().then_some(Self { remote, principal, session, layer })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn remote(&mut self) -> Option<Remote> {
        if self.take(1)? != [VERSION] {
            return None;
        }
        let ip = match self.take(1)? {
            [4] => IpAddr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?),
            [16] => IpAddr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?),
            _ => return None,
        };
        let address = SocketAddr::new(ip, self.number()?);
        Some(Remote { address, listener: self.number()? })
    }
}

/// How far the bound lies ahead: a store of some minutes' standstill is no reason to be silent.
const STEP: u64 = 1 << 16;
/// How long after a record the window is kept.
const KEEP_AFTER: Duration = Duration::from_secs(30);
/// Bytes of a snapshot without the endpoint name and the session: at most 46 here, 591 of the record layer.
const SNAPSHOT: usize = 640;
/// Of the way in which it is written.
const VERSION: u8 = 1;
