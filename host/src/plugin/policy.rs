//! What the operator wants of a slot, apart from its artifact.

use crate::config::{self, OnFault};

/// What becomes of an event that a translator fails on, and what it may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of an event that it fails on.
    pub on_fault: OnFault,
    /// How many events each shard holds at most, where that is [`OnFault::Hold`].
    pub hold: usize,
    /// Topic filters of which one must match what it publishes; none: all topics.
    pub topics: Vec<String>,
}

impl Policy {
    /// As the configuration has it.
    pub fn of(translator: &config::Translator) -> Self {
        let config::Translator { on_fault, hold, topics, .. } = translator;
        Self { on_fault: *on_fault, hold: *hold, topics: topics.clone() }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(&config::Translator::default())
    }
}
