//! The slots: those that serve, those that finish what they have begun, and what was rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::candidate::Key;
use super::plan::Wanted;
use super::{Live, News};
use crate::bridge::Claim;
use crate::plugin::{Generation, Rejection, Slot};

/// All slots, and the candidates that became nothing.
pub(super) struct Roster {
    standing: Vec<Standing>,
    draining: Vec<Draining>,
    /// The last candidate of each name that was rejected and has not been replaced by a better one.
    rejected: BTreeMap<String, Rejected>,
    /// What was tried of each name and failed last, even if its file has become unreadable since.
    failed: BTreeMap<String, Key>,
    /// Told when a slot changes by itself.
    changed: Arc<Notify>,
}

/// A slot that serves.
pub(super) struct Standing {
    pub(super) slot: Arc<Slot>,
    /// None: it is built in.
    pub(super) file: Option<PathBuf>,
    pub(super) is_configured: bool,
    /// None, too, if the configuration names it: routes say whom it serves.
    pub(super) claim: Option<Claim>,
    /// The generation that was offered last, and the one before.
    offered: Offered,
    previous: Option<Offered>,
}

/// A generation that a slot was offered.
struct Offered {
    number: u64,
    key: Key,
}

impl Standing {
    pub(super) fn name(&self) -> &str {
        self.slot.name()
    }

    fn has_active(&self, key: &Key) -> bool {
        let active = self.slot.active().number();
        let both = [Some(&self.offered), self.previous.as_ref()];
        both.into_iter().flatten().any(|of| of.number == active && of.key == *key)
    }

    /// Whether a candidate serves already, or was put back because of its faults.
    fn knows(&self, key: &Key) -> bool {
        self.offered.key == *key || self.has_active(key)
    }
}

/// A slot that takes no new clients.
struct Draining {
    standing: Standing,
    until: Instant,
}

/// A candidate that did not become a generation.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    /// None: it is built in.
    pub(crate) file: Option<PathBuf>,
    /// SHA-256 in hexadecimal digits; empty if it could not be read.
    pub(crate) digest: String,
    /// The step and the reason.
    pub(crate) rejection: Rejection,
    /// None if it did not come so far.
    pub(super) key: Option<Key>,
}

impl Roster {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self {
            standing: Vec::new(),
            draining: Vec::new(),
            rejected: BTreeMap::new(),
            failed: BTreeMap::new(),
            changed,
        }
    }

    /// Those that serve.
    pub(super) fn standing(&self) -> &[Standing] {
        &self.standing
    }

    /// Those that only finish what they have begun.
    pub(super) fn draining(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.draining.iter().map(|draining| &draining.standing.slot)
    }

    /// The candidates that were rejected, by name.
    pub(super) fn rejected(&self) -> &BTreeMap<String, Rejected> {
        &self.rejected
    }

    /// When the next slot has had its time to finish.
    pub(super) fn next(&self) -> Option<Instant> {
        self.draining.iter().map(|draining| draining.until).min()
    }

    /// The slot whose artifact is in a file.
    pub(super) fn fed_by(&self, path: &Path) -> Option<&Standing> {
        self.standing.iter().find(|standing| standing.file.as_deref() == Some(path))
    }

    /// Whether there is a slot of this name that serves.
    pub(super) fn serves(&self, name: &str) -> bool {
        self.standing.iter().any(|standing| standing.name() == name)
    }

    /// Whether something is to be proved: what serves, was put back or was rejected is not tried again.
    pub(super) fn is_candidate(&self, wanted: &Wanted) -> bool {
        let key = Key::of(wanted);
        let draining = self.draining.iter().map(|draining| &draining.standing);
        let mut slots = self.standing.iter().chain(draining);
        let is_known = slots.any(|standing| standing.name() == wanted.name && standing.knows(&key));
        let is_refused = self.rejected.get(&wanted.name).is_some_and(|of| of.key.as_ref() == Some(&key));
        let has_failed = wanted.is_stale && self.failed.get(&wanted.name) == Some(&key);
        !is_known && !is_refused && !has_failed
    }

    /// Takes what was proved into use. Without a generation, the slot goes on with the one that it has, if there is a
    /// slot. `changed` is when the file or the configuration became what it is.
    pub(super) fn settle(
        &mut self,
        wanted: Wanted,
        generation: Option<Generation>,
        changed: Option<SystemTime>,
        news: &mut News,
    ) {
        self.revive(&wanted.name, news);
        let key = Key::of(&wanted);
        if generation.is_some() {
            news.names.insert(wanted.name.clone());
            news.is_offered = true;
            self.rejected.remove(&wanted.name);
        }
        let standing = self.standing.iter_mut().find(|standing| standing.name() == wanted.name);
        match (standing, generation) {
            (Some(standing), generation) => {
                if let Some(generation) = generation {
                    let offered = Offered { number: generation.number(), key };
                    let generation = Arc::new(generation);
                    standing.slot.offer(Arc::clone(&generation));
                    news.live.push(Live { translator: wanted.name.clone(), generation, changed });
                    standing.previous = Some(std::mem::replace(&mut standing.offered, offered));
                } else if !wanted.is_stale
                    && standing.has_active(&key)
                    && self.rejected.get(&wanted.name).is_some_and(|rejected| rejected.file == wanted.file)
                {
                    // The file is right again.
                    self.rejected.remove(&wanted.name);
                    news.names.insert(wanted.name.clone());
                }
                news.is_rerouted |=
                    standing.claim != wanted.claim || standing.is_configured != wanted.is_configured;
                standing.slot.set_policy(wanted.policy);
                standing.file = wanted.file;
                standing.claim = wanted.claim;
                standing.is_configured = wanted.is_configured;
            }
            (None, Some(generation)) => {
                let number = generation.number();
                let slot = Slot::new(&wanted.name, wanted.policy, generation);
                let generation = slot.active();
                news.live.push(Live { translator: wanted.name.clone(), generation, changed });
                slot.notify(Arc::clone(&self.changed));
                self.standing.push(Standing {
                    slot: Arc::new(slot),
                    file: wanted.file,
                    is_configured: wanted.is_configured,
                    claim: wanted.claim,
                    offered: Offered { number, key },
                    previous: None,
                });
                news.is_rerouted = true;
            }
            // It was rejected before.
            (None, None) => {}
        }
    }

    /// A candidate has failed. What it was to replace goes on.
    pub(super) fn reject(&mut self, name: &str, rejected: Rejected, news: &mut News) {
        if let Some(key) = &rejected.key {
            self.failed.insert(name.to_owned(), key.clone());
        }
        let before = self.rejected.get(name);
        let is_same = |before: &Rejected| {
            before.digest == rejected.digest
                && before.rejection == rejected.rejection
                && before.file == rejected.file
        };
        if before.is_some_and(is_same) {
            self.rejected.insert(name.to_owned(), rejected);
            return;
        }
        let Rejection { step, reason } = &rejected.rejection;
        let file = rejected.file.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
        let serves = self.serves(name);
        tracing::error!(translator = name, file, %step, reason, still_serves = serves, "translator rejected");
        if let Some(standing) = self.standing.iter().find(|standing| standing.name() == name) {
            standing.slot.reject(rejected.rejection.clone(), &rejected.digest);
        }
        self.rejected.insert(name.to_owned(), rejected);
        news.names.insert(name.to_owned());
    }

    /// Candidates of a file that is gone, or all, are forgotten.
    pub(super) fn forget_rejected(&mut self, of: Option<&Path>, news: &mut News) {
        let is_forgotten = |rejected: &Rejected| of.is_none_or(|path| rejected.file.as_deref() == Some(path));
        news.names
            .extend(self.rejected.iter().filter(|(_, of)| is_forgotten(of)).map(|(name, _)| name.clone()));
        self.rejected.retain(|_, rejected| !is_forgotten(rejected));
        if of.is_none() {
            self.failed.clear();
        }
    }

    /// Those that serve and are not among `kept` finish what they have begun.
    pub(super) fn drain(&mut self, kept: &BTreeSet<String>, now: Instant, news: &mut News) {
        let standing = std::mem::take(&mut self.standing);
        let (stay, go): (Vec<_>, Vec<_>) =
            standing.into_iter().partition(|standing| kept.contains(standing.name()));
        self.standing = stay;
        for standing in go {
            tracing::info!(translator = standing.name(), time = ?DRAIN, "translator removed: it only finishes what it has begun");
            news.names.insert(standing.name().to_owned());
            news.is_rerouted = true;
            self.draining.push(Draining { standing, until: now + DRAIN });
        }
    }

    /// Slots that have had their time go for good.
    pub(super) fn end_draining(&mut self, now: Instant, news: &mut News) {
        for gone in self.draining.extract_if(.., |draining| draining.until <= now) {
            news.removed.insert(gone.standing.name().to_owned());
            news.is_rerouted = true;
        }
    }

    /// A slot that is wanted again serves again.
    fn revive(&mut self, name: &str, news: &mut News) {
        if let Some(at) = self.draining.iter().position(|draining| draining.standing.name() == name) {
            self.standing.push(self.draining.remove(at).standing);
            news.names.insert(name.to_owned());
            news.is_rerouted = true;
        }
    }
}

/// How long answers and notifications still find the slot that has asked for them.
const DRAIN: Duration = Duration::from_secs(5 * 60);
