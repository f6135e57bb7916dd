//! From files to translators in use, while the gateway runs: the plugin folder and `tidegate.toml` become slots and
//! routes.
//!
//! A file has changed → it has been left alone for a moment ([`files`]) → it is read ([`library`]) → it is wanted for a
//! slot ([`plan`]) → it is proved → it is offered. Whatever fails on the way is rejected with its step and reason, and
//! what serves goes on serving. [`Deployment`] is all of that without events and clock; [`watch`] is the thread that drives
//! it and tells the rest of the gateway. Started by `app`.

mod candidate;
mod files;
mod library;
mod notice;
mod plan;
mod roster;
mod watch;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use self::candidate::{Key, blame, prove};
use self::files::Files;
use self::library::Library;
pub(crate) use self::notice::Board;
pub(crate) use self::plan::limits;
use self::plan::{Plan, Wanted, named, plain};
use self::roster::{Rejected, Roster, Standing};
pub(crate) use self::watch::{Outlet, Watch};
use crate::bridge::{Pattern, Routing};
use crate::config::{self, Config, ConfigError};
use crate::mqtt::{QoS, Subscription};
use crate::plugin::contract::types;
use crate::plugin::{Engine, Generation, Rejection, Slot};

/// The translators in use, and what they were made of.
pub(crate) struct Deployment {
    engine: Arc<Engine>,
    config: Config,
    /// What the file says since, if it was refused for want of something that may still come.
    pending: Option<Config>,
    /// Why the file was refused last.
    refusal: Option<String>,
    files: Files,
    library: Library,
    roster: Roster,
    news: News,
    /// What changed before was there at the start.
    opened: SystemTime,
}

/// What a step has changed.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The names of the slots and candidates with which something has happened.
    pub(crate) names: BTreeSet<String>,
    /// Names of slots that are gone for good.
    pub(crate) removed: BTreeSet<String>,
    /// Another generation is in use somewhere.
    pub(crate) is_offered: bool,
    /// There are other slots, routes or claims.
    pub(crate) is_rerouted: bool,
    /// The generations that are in use now, or will be with the next routing; told in the log once that is so.
    pub(crate) live: Vec<Live>,
}

/// A generation that serves from now on.
#[derive(Debug)]
pub(crate) struct Live {
    translator: String,
    generation: Arc<Generation>,
    /// When the file or the configuration became what it is; none if that was before the start.
    changed: Option<SystemTime>,
}

impl Live {
    /// Says so in the log.
    pub(crate) fn tell(&self) {
        let Self { translator, generation, changed } = self;
        let after = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        let after = after.map(tracing::field::debug);
        let version = generation.manifest().map_or("", |manifest| manifest.version.as_str());
        tracing::info!(
            translator, generation = generation.number(), digest = generation.digest(), version,
            origin = %generation.origin(), after, "translator live"
        );
    }
}

/// Why the files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// They may have changed.
    Look,
    /// Somebody asks for all of them to be read again. What was deleted goes now, what was rejected is tried again.
    Request,
}

impl Deployment {
    /// Proves all translators of the configuration, and those in the plugin folder. `changed` will be told when a slot
    /// changes by itself.
    ///
    /// # Errors
    /// A translator of the configuration is rejected. One of the folder is logged.
    pub(crate) fn open(
        engine: Arc<Engine>,
        config: Config,
        changed: Arc<Notify>,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        let mut deployment = Self {
            engine,
            config: config.clone(),
            pending: None,
            refusal: None,
            files: Files::default(),
            library: Library::default(),
            roster: Roster::new(changed),
            news: News::default(),
            opened: SystemTime::now(),
        };
        deployment.look(now);
        for path in deployment.files.all() {
            deployment.read(&path);
        }
        deployment.update(config, None, now)?;
        // Whoever opens it asks for everything.
        let news = std::mem::take(&mut deployment.news);
        news.live.iter().for_each(Live::tell);
        Ok(deployment)
    }

    /// Looks at the files, and does what is to be done about them. Proving a translator takes tenths of a second.
    pub(crate) fn step(&mut self, occasion: Occasion, now: Instant) -> News {
        self.look(now);
        let paths = match occasion {
            Occasion::Look => self.files.rested(now),
            Occasion::Request => {
                self.library.forget_gone();
                self.roster.forget_rejected(None, &mut self.news);
                self.files.all()
            }
        };
        let file = self.config_file();
        let is_config =
            occasion == Occasion::Request || file.as_ref().is_some_and(|file| paths.contains(file));
        for path in &paths {
            self.read(path);
        }
        if is_config {
            self.reconfigure(occasion, now);
        }
        if is_config || !paths.is_empty() {
            self.deploy(now);
        }
        self.roster.end_draining(now, &mut self.news);
        std::mem::take(&mut self.news)
    }

    /// When there is something to do next, if no file changes.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.files.next().into_iter().chain(self.roster.next()).min()
    }

    /// The plugin folder, and the files whose changes matter.
    pub(crate) fn watched(&self) -> (PathBuf, Vec<PathBuf>) {
        (plain(&self.config.plugins.directory), self.files.paths().map(Path::to_owned).collect())
    }

    /// The slots that serve.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.roster.standing().iter().map(|standing| &standing.slot)
    }

    /// The slots on their way out.
    pub(crate) fn draining(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.roster.draining()
    }

    /// The candidates that were rejected, and whose names.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (&str, &Rejected)> {
        self.roster.rejected().iter().map(|(name, rejected)| (name.as_str(), rejected))
    }

    /// Who serves whom.
    pub(crate) fn routing(&self) -> Routing {
        let config = &self.config;
        let pattern = |route: &config::Route| Pattern {
            endpoints: route.endpoints.clone(),
            objects: route.objects.clone(),
            listener: route.listener.and_then(|address| listener_number(config, address)),
        };
        let routes = config.routes.iter().map(|route| (pattern(route), route.translators.clone()));
        let claim = |standing: &Standing| Some((standing.name().to_owned(), standing.claim.clone()?));
        let claims = self.roster.standing().iter().filter_map(claim);
        let default = config.translators.first().map(|translator| translator.name.as_str());
        Routing::new(self.slots().cloned().collect(), routes, claims, default)
            .expect("each translator of a configuration in force has a slot, and routes name no other")
            .with_draining(self.draining().cloned())
    }

    /// What the translators that serve want to hear of MQTT.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let mut subscriptions: Vec<Subscription> = Vec::new();
        for slot in self.slots() {
            for of in &slot.active().subscriptions().filters {
                let qos = match of.qos {
                    types::Qos::AtMostOnce => QoS::AtMostOnce,
                    types::Qos::AtLeastOnce => QoS::AtLeastOnce,
                    types::Qos::ExactlyOnce => QoS::ExactlyOnce,
                };
                match subscriptions.iter_mut().find(|other| other.filter == of.filter) {
                    Some(other) => other.qos = other.qos.max(qos),
                    None => subscriptions.push(Subscription { filter: of.filter.clone(), qos }),
                }
            }
        }
        subscriptions
    }

    /// The registration parameters by which translators address clients.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = String> {
        self.slots().flat_map(|slot| slot.active().subscriptions().parameters.clone())
    }

    fn config_file(&self) -> Option<PathBuf> {
        self.config.origin.file.as_deref().map(plain)
    }

    fn look(&mut self, now: Instant) {
        let directory = plain(&self.config.plugins.directory);
        let mut paths: BTreeSet<PathBuf> = library::list(&directory).into_iter().collect();
        paths.extend(named(&self.config));
        paths.extend(self.pending.iter().flat_map(named));
        paths.extend(self.config_file());
        self.files.look(paths, now);
    }

    /// Reads an artifact that has changed, or notes that it is gone.
    fn read(&mut self, path: &Path) {
        if self.config_file().as_deref() == Some(path) {
            return;
        }
        let name = self.roster.fed_by(path).map(|standing| standing.name().to_owned());
        let Some((length, changed)) = self.files.facts(path) else {
            self.roster.forget_rejected(Some(path), &mut self.news);
            if let (true, Some(translator)) = (self.library.mark_gone(path), name) {
                let file = path.display();
                tracing::warn!(translator, %file, "the file of a translator is gone; it serves until SIGHUP or a restart");
            }
            return;
        };
        if let Err(rejection) = self.library.read(path, length, changed) {
            let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let rejected =
                Rejected { file: Some(path.to_owned()), digest: String::new(), rejection, key: None };
            self.roster.reject(&name.unwrap_or_else(stem), rejected, &mut self.news);
        }
    }

    /// Reads the configuration again. It is applied as a whole or not at all.
    fn reconfigure(&mut self, occasion: Occasion, now: Instant) {
        self.pending = None;
        let outcome = self.config.read_again().and_then(|config| {
            check_restart(&self.config, &config)?;
            let changed = self.config_changed();
            self.update(config.clone(), changed, now).inspect_err(|_| self.pending = Some(config))
        });
        self.tell(outcome, occasion);
    }

    /// Brings the slots in line with the files that have changed.
    fn deploy(&mut self, now: Instant) {
        if let Some(pending) = self.pending.take() {
            let outcome = self.update(pending.clone(), self.config_changed(), now);
            if outcome.is_err() {
                self.pending = Some(pending);
            }
            self.tell(outcome, Occasion::Look);
        }
        if let Err(error) = self.update(self.config.clone(), None, now) {
            tracing::error!(%error, "the configuration in force cannot be met any more; what serves goes on");
        }
    }

    /// When the file became what it is.
    fn config_changed(&self) -> Option<SystemTime> {
        Some(self.files.facts(&self.config_file()?)?.1)
    }

    fn tell(&mut self, outcome: Result<bool, ConfigError>, occasion: Occasion) {
        match outcome {
            Ok(is_new) => {
                let was_refused = self.refusal.take().is_some();
                if is_new || was_refused || occasion == Occasion::Request {
                    let (translators, routes) = (self.config.translators.len(), self.config.routes.len());
                    tracing::info!(translators, routes, is_new, "configuration read");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if occasion == Occasion::Request || self.refusal.as_ref() != Some(&text) {
                    tracing::error!(error = text, "configuration refused; the one in force stays");
                }
                self.refusal = Some(text);
            }
        }
    }

    /// Takes a configuration into force, with all candidates that it or the files make: whether it is another one. What
    /// is wrong with a file that the configuration has not touched is that file's affair.
    fn update(
        &mut self,
        config: Config,
        changed: Option<SystemTime>,
        now: Instant,
    ) -> Result<bool, ConfigError> {
        for path in named(&config).filter(|path| self.library.get(path).is_none()).collect::<Vec<_>>() {
            self.read_early(&path);
        }
        let in_use = self.roster.standing().iter().filter_map(|standing| standing.file.clone()).collect();
        let plan = Plan::new(&config, &self.library, &in_use);
        if let Some((name, why)) = plan.missing.iter().find(|(name, _)| self.is_touched(&config, name)) {
            let error =
                config.error("translator.artifact", Some(name), format!("translator {name:?}: {why}"));
            return Err(error);
        }
        let attempts = self.attempt(&config, plan.wanted)?;
        let is_new = !is_same(&self.config, &config);
        self.news.is_rerouted |= is_new;
        self.config = config;
        // A slot stays while nothing else has come of its file.
        let mut kept: BTreeSet<String> = plan.missing.into_iter().map(|(name, _)| name).collect();
        let mut spoiled = BTreeSet::new();
        for unusable in plan.unusable {
            spoiled.insert(unusable.file.clone());
            let (file, digest) = (Some(unusable.file), unusable.digest);
            let rejected = Rejected { file, digest, rejection: unusable.rejection, key: None };
            self.roster.reject(&unusable.name, rejected, &mut self.news);
        }
        for (wanted, attempt) in attempts {
            let (name, file) = (wanted.name.clone(), wanted.file.clone());
            match attempt {
                Attempt::Failed(rejection) => {
                    let (digest, key) = (wanted.artifact.digest(), Some(Key::of(&wanted)));
                    let rejected = Rejected { file: wanted.file, digest, rejection, key };
                    self.roster.reject(&name, rejected, &mut self.news);
                }
                Attempt::Known => self.roster.settle(wanted, None, None, &mut self.news),
                Attempt::Proved(generation) => {
                    let changed = changed.max(wanted.changed).filter(|changed| *changed > self.opened);
                    self.roster.settle(wanted, Some(*generation), changed, &mut self.news);
                }
            }
            if !self.roster.serves(&name) {
                spoiled.extend(file);
            }
            kept.insert(name);
        }
        self.keep_spoiled(&mut kept, &spoiled);
        self.roster.drain(&kept, now, &mut self.news);
        Ok(is_new)
    }

    /// Proves what has not been tried yet.
    ///
    /// # Errors
    /// A candidate failed that this configuration has asked for.
    fn attempt(&self, config: &Config, wanted: Vec<Wanted>) -> Result<Vec<(Wanted, Attempt)>, ConfigError> {
        let mut attempts = Vec::new();
        for wanted in wanted {
            let attempt = match self.roster.is_candidate(&wanted).then(|| prove(&self.engine, &wanted)) {
                None => Attempt::Known,
                Some(Ok(generation)) => Attempt::Proved(Box::new(generation)),
                Some(Err(rejection)) if wanted.is_configured && self.is_touched(config, &wanted.name) => {
                    return Err(blame(config, &wanted, &rejection));
                }
                Some(Err(rejection)) => Attempt::Failed(rejection),
            };
            attempts.push((wanted, attempt));
        }
        Ok(attempts)
    }

    /// Whether another configuration wants something else for a translator than the one in force, or it does not serve
    /// yet.
    fn is_touched(&self, config: &Config, name: &str) -> bool {
        let (Some(new), Some(old)) = (config.translator(name), self.config.translator(name)) else {
            return true;
        };
        let is_same =
            new.artifact == old.artifact && new.settings == old.settings && new.limits == old.limits;
        !is_same || !self.roster.serves(name)
    }

    /// A file that the configuration names and that has not been looked at before is read without waiting: if it is half
    /// written, the configuration is tried again when it is whole.
    fn read_early(&mut self, path: &Path) {
        let facts = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        let facts = facts.map(|of| (of.len(), of.modified().unwrap_or_else(|_| SystemTime::now())));
        if let Some((length, changed)) = facts
            && let Err(rejection) = self.library.read(path, length, changed)
        {
            tracing::debug!(file = %path.display(), %rejection, "not readable yet");
        }
    }

    fn keep_spoiled(&self, kept: &mut BTreeSet<String>, spoiled: &BTreeSet<PathBuf>) {
        for standing in self.roster.standing() {
            if standing.file.as_ref().is_some_and(|file| spoiled.contains(file)) {
                kept.insert(standing.name().to_owned());
            }
        }
    }
}

/// What has come of a wanted slot.
enum Attempt {
    /// It serves already, or is known to fail.
    Known,
    Proved(Box<Generation>),
    Failed(Rejection),
}

/// Whether two configurations want the same.
fn is_same(one: &Config, other: &Config) -> bool {
    let bare = |of: &Config| Config { origin: config::Origin::default(), ..of.clone() };
    bare(one) == bare(other)
}

/// What cannot change while the gateway runs is refused, and with it everything else in the file.
fn check_restart(current: &Config, new: &Config) -> Result<(), ConfigError> {
    let keys = new.needs_restart(current);
    let Some(first) = keys.first() else { return Ok(()) };
    let keys = keys.join(", ");
    let message = format!("needs a restart, so nothing of the file is applied (changed: {keys})");
    Err(new.error(first, None, message))
}

/// Listeners are numbered in the order of the configuration, CoAP's first; it has checked that the address is among them.
fn listener_number(config: &Config, address: SocketAddr) -> Option<u16> {
    let mut listeners = config.coap.listen.iter().chain(&config.dtls.listen);
    u16::try_from(listeners.position(|of| *of == address)?).ok()
}

#[cfg(test)]
mod tests;
