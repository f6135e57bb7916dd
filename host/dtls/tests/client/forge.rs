//! Handshakes that no honest client makes: messages left out or changed, with a Finished message that fits. Only
//! for clients without an extended master secret, whose keys do not depend on the messages.

use openssl::sha::sha256;

use super::seal::prf;
use super::wire::{FINISHED, Fragment};

/// All messages of a handshake but the first ClientHello and the HelloVerifyRequest (RFC 6347 section 4.2.6).
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    pub(crate) fn add(&mut self, message: &Fragment) {
        assert_eq!((message.offset, message.length as usize), (0, message.body.len()), "in one piece");
        self.0.extend(message.encode());
    }

    /// The client's Finished message (RFC 5246 section 7.4.9).
    pub(crate) fn finished(&self, master: &[u8], sequence: u16) -> Fragment {
        Fragment::whole(FINISHED, sequence, &prf(master, b"client finished", &sha256(&self.0), 12))
    }
}
