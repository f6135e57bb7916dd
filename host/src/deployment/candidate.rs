//! From what is wanted for a slot to a generation.

use serde_json::Value as Json;

use super::plan::Wanted;
use crate::config::{Config, ConfigError, check_filter};
use crate::plugin::{Engine, Generation, Limits, Rejection, Step};

/// What makes a generation: with the same of it, proving would come to the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    digest: String,
    settings: Json,
    limits: Limits,
}

impl Key {
    /// That of a wanted slot.
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self {
            digest: wanted.artifact.digest(),
            settings: wanted.settings.clone(),
            limits: wanted.limits.clone(),
        }
    }
}

/// All steps up to being offered. Takes tenths of a second.
pub(super) fn prove(engine: &Engine, wanted: &Wanted) -> Result<Generation, Rejection> {
    let generation = Generation::prove(engine, &wanted.artifact, &wanted.settings, &wanted.limits)?;
    for of in &generation.subscriptions().filters {
        check_filter(&of.filter).map_err(|why| Rejection {
            step: Step::Configured,
            reason: format!("it subscribes to {:?}: {why}", of.filter),
        })?;
    }
    Ok(generation)
}

/// A rejection as an error of the configuration that has asked for it.
pub(super) fn blame(config: &Config, wanted: &Wanted, rejection: &Rejection) -> ConfigError {
    let key = match rejection.step {
        Step::Configured => "translator.settings",
        _ => "translator.artifact",
    };
    let of = wanted.file.as_ref().map_or_else(String::new, |file| format!("{}: ", file.display()));
    config.error(key, Some(&wanted.name), format!("translator {:?}: {of}{rejection}", wanted.name))
}
