//! Why a call of a translator came to nothing.

use thiserror::Error;

/// It costs the one message; whose fault it is, is in the name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The translator does not serve this.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The translator finds the input wrong.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The translator finds itself wrong.
    #[error("internal: {0}")]
    Internal(String),
    /// The translator stopped in the middle: what it logged last, and where.
    #[error("trap: {0}")]
    Trap(String),
    /// The translator used up a limit: which.
    #[error("limit: {0}")]
    Limit(String),
    /// What the translator returned is refused: why.
    #[error("invalid output: {0}")]
    InvalidOutput(String),
    /// The slot rests after repeated traps, or its generation does not start.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Fault {
    /// One word for counters.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported",
            Self::Malformed(_) => "malformed",
            Self::Internal(_) => "internal",
            Self::Trap(_) => "trap",
            Self::Limit(_) => "limit",
            Self::InvalidOutput(_) => "invalid_output",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether the instance is of no more use (component model: a trapped instance cannot be entered again).
    pub(crate) fn ends_instance(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::Trap(_) | Self::Limit(_))
    }
}
