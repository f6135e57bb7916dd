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

impl Limits {
    /// What a call with an input of so many bytes may use. Beyond the first [`SMALL`] bytes everything grows with the
    /// input, so that four megabytes of firmware pass under the limits that suit a temperature.
    pub(super) fn for_input(&self, bytes: usize) -> Self {
        let more = bytes.saturating_sub(SMALL);
        Self {
            fuel: self.fuel.saturating_add((more as u64).saturating_mul(FUEL_PER_BYTE)),
            wall: self
                .wall
                .saturating_add(WALL_PER_BYTE.saturating_mul(u32::try_from(more).unwrap_or(u32::MAX))),
            memory: self.memory.saturating_add(more.saturating_mul(MEMORY_PER_BYTE)),
            actions: self.actions,
            bytes: self.bytes.saturating_add(more.saturating_mul(OUTPUT_PER_BYTE)),
        }
    }
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

/// Bytes.
const SMALL: usize = 16 << 10;
/// Reading JSON, decoding base64, encoding TLV, and copying in between.
const FUEL_PER_BYTE: u64 = 400;
const WALL_PER_BYTE: Duration = Duration::from_nanos(400);
/// The input, its parts, and the output, each some times over.
const MEMORY_PER_BYTE: usize = 16;
/// As base64 and as JSON with escapes.
const OUTPUT_PER_BYTE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_input_has_the_limits_of_the_configuration() {
        let limits = Limits::default();
        assert_eq!(limits.for_input(0), limits);
        assert_eq!(limits.for_input(SMALL), limits);
    }

    #[test]
    fn a_large_input_has_more_of_everything_but_actions() {
        let limits = Limits::default();
        let large = limits.for_input(SMALL + (4 << 20));
        assert_eq!(large.actions, limits.actions);
        assert_eq!(large.bytes, limits.bytes + (24 << 20));
        assert!(large.fuel > limits.fuel && large.wall > limits.wall && large.memory > limits.memory);
        let most = limits.for_input(usize::MAX);
        assert_eq!((most.memory, most.bytes), (usize::MAX, usize::MAX), "no overflow");
    }
}
