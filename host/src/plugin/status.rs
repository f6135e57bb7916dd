//! How a slot stands, for the operator.

use serde::Serialize;

use super::{Generation, Slot, Step};

/// How a slot stands. It changes only when something about the slot does, not with every call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SlotStatus {
    /// Its name.
    pub name: String,
    /// Whether calls are made.
    pub state: State,
    /// The generation in use.
    pub active: GenerationStatus,
    /// What comes back if the active one fails soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<GenerationStatus>,
    /// How often another generation took its place.
    pub offered: u64,
    /// How many candidates were rejected.
    pub rejections: u64,
    /// How often the previous generation was put back.
    pub reverted: u64,
    /// The last that was rejected or put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RejectionStatus>,
}

/// Whether calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Calls are made.
    Active,
    /// It has crashed too often in a row; calls fail at once, and one is tried now and then.
    Resting,
}

/// A generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationStatus {
    /// See [`Generation::number`].
    pub generation: u64,
    /// See [`Generation::digest`].
    pub digest: String,
    /// That of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where its artifact came from.
    pub origin: String,
}

/// A candidate that became nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectionStatus {
    /// How far it came.
    pub step: Step,
    /// What is wrong.
    pub reason: String,
    /// SHA-256 of its artifact; empty if it could not be read.
    pub digest: String,
}

impl Slot {
    /// How it stands.
    pub fn status(&self) -> SlotStatus {
        let state = if self.is_resting() { State::Resting } else { State::Active };
        let active = GenerationStatus::of(&self.active());
        let previous = self.previous().map(|previous| GenerationStatus::of(&previous));
        let history = self.history();
        let reverted = history.rejected[Step::Reverted as usize];
        SlotStatus {
            name: self.name().to_owned(),
            state,
            active,
            previous,
            offered: history.offered,
            rejections: history.rejected.iter().sum::<u64>() - reverted,
            reverted,
            rejected: history.rejection.as_ref().map(|(rejection, digest)| RejectionStatus {
                step: rejection.step,
                reason: rejection.reason.clone(),
                digest: digest.clone(),
            }),
        }
    }
}

impl GenerationStatus {
    fn of(generation: &Generation) -> Self {
        Self {
            generation: generation.number(),
            digest: generation.digest().to_owned(),
            version: generation.manifest().map(|manifest| manifest.version.clone()),
            origin: generation.origin().to_string(),
        }
    }
}
