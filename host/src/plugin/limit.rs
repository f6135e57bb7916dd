//! What one call may cost.

use std::time::Duration;

/// Limits of a slot. Fuel decides: it is the same on every machine and under every load; wall time only backs it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel, about one for each instruction.
    pub fuel: u64,
    /// Time.
    pub wall: Duration,
    /// Bytes of memory of an instance.
    pub memory: usize,
    /// Actions that one call may return.
    pub actions: usize,
    /// Bytes in all its topics, payloads and contexts.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 50_000_000, wall: Duration::from_millis(250), memory: 16 << 20, actions: 1_000, bytes: 1 << 20 }
    }
}
