//! LwM2M paths (core 1.2.1 section 7.3).

/// `/object/object-instance/resource/resource-instance`, or a prefix of it; no level at all is the root.
///
/// Invariant: a level is present only when the one before it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    ids: [u16; 4],
    depth: u8,
}
