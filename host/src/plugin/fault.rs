//! Why a call did not give actions, and how calls are counted.

use thiserror::Error;

/// A call that failed. It costs this one event or message; the next call works, or says `Unavailable`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The translator says: not meant for it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The translator says: the input is wrong.
    #[error("malformed input: {0}")]
    Malformed(String),
    /// The translator says that it is wrong itself.
    #[error("the translator failed: {0}")]
    Internal(String),
    /// The translator crashed.
    #[error("the translator crashed: {reason}")]
    Trap {
        /// What the WebAssembly engine says, and where in the translator.
        reason: String,
    },
    /// The translator used more than it may.
    #[error("the translator used {0}")]
    Limit(LimitKind),
    /// The translator returned what cannot be published or exceeds the configured size.
    #[error("unusable result: {0}")]
    InvalidOutput(String),
    /// No call was made.
    #[error("the translator is not available: {0}")]
    Unavailable(String),
}

impl Fault {
    /// Its class, for metrics and fault messages.
    pub fn outcome(&self) -> &'static str {
        self.class().label()
    }

    /// How a call that failed like this is counted.
    pub fn class(&self) -> Outcome {
        match self {
            Self::Unsupported(_) => Outcome::Unsupported,
            Self::Malformed(_) => Outcome::Malformed,
            Self::Internal(_) => Outcome::Internal,
            Self::Trap { .. } => Outcome::Trap,
            Self::Limit(_) => Outcome::Limit,
            Self::InvalidOutput(_) => Outcome::InvalidOutput,
            Self::Unavailable(_) => Outcome::Unavailable,
        }
    }
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitKind {
    /// See [`super::Limits::fuel`].
    #[error("all of its fuel")]
    Fuel,
    /// See [`super::Limits::wall`].
    #[error("all of its time")]
    Wall,
    /// See [`super::Limits::memory`].
    #[error("more memory than it may: it asked for {wanted} bytes of at most {cap}")]
    Memory {
        /// Bytes that it would have had.
        wanted: usize,
        /// Bytes that it may have.
        cap: usize,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With actions.
    Ok,
    /// See [`Fault::Unsupported`].
    Unsupported,
    /// See [`Fault::Malformed`].
    Malformed,
    /// See [`Fault::Internal`].
    Internal,
    /// See [`Fault::Trap`].
    Trap,
    /// See [`Fault::Limit`].
    Limit,
    /// See [`Fault::InvalidOutput`].
    InvalidOutput,
    /// See [`Fault::Unavailable`].
    Unavailable,
}

impl Outcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Unsupported,
        Self::Malformed,
        Self::Internal,
        Self::Trap,
        Self::Limit,
        Self::InvalidOutput,
        Self::Unavailable,
    ];

    /// The value of the metrics' label `outcome`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
            Self::Internal => "internal",
            Self::Trap => "trap",
            Self::Limit => "limit",
            Self::InvalidOutput => "invalid_output",
            Self::Unavailable => "unavailable",
        }
    }
}
