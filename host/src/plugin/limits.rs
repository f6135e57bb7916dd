//! What one call of a translator may use.

use std::time::Duration;

/// Limits of each call, and of an instance's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions, roughly; the same input uses the same on every machine, so this is the limit that decides.
    pub fuel: u64,
    /// The clock's limit, for a machine so busy that the fuel lasts too long. It may be overstepped by a few milliseconds.
    pub wall: Duration,
    /// Bytes of an instance's memory, all its memories together.
    pub memory: usize,
    /// Actions that one call may return.
    pub actions: usize,
    /// Bytes of all topics, payloads and other texts that one call may return.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 50_000_000,
            wall: Duration::from_millis(250),
            memory: 16 << 20,
            actions: 1_000,
            bytes: 1 << 20,
        }
    }
}
