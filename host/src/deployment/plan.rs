//! Which slots there should be, by the configuration and the files. Nothing is proved here, and nothing changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value as Json, json};

use super::library::{Book, Library};
use crate::bridge::Claim;
use crate::config::{self, Config};
use crate::plugin::{Artifact, Claims, Limits, Manifest, Policy, Rejection, Step};

/// What should be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The slots: first those of the configuration, in its order.
    pub(super) wanted: Vec<Wanted>,
    /// Slots of the configuration for which there is no artifact, and what was looked for.
    pub(super) missing: Vec<(String, String)>,
    /// Files that cannot be a slot, with the name that they would have had.
    pub(super) unusable: Vec<Unusable>,
}

/// A slot that should be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// None: it is built in.
    pub(super) file: Option<PathBuf>,
    pub(super) artifact: Arc<Artifact>,
    /// When the file became what it is.
    pub(super) changed: Option<SystemTime>,
    pub(super) settings: Json,
    pub(super) limits: Limits,
    pub(super) policy: Policy,
    /// Whether a `[[translator]]` names it. Else it was dropped in.
    pub(super) is_configured: bool,
    /// What it claims, if it was dropped in.
    pub(super) claim: Option<Claim>,
    /// The file has been deleted, or spoiled since, and this is what it held before.
    pub(super) is_stale: bool,
}

/// A file that cannot be a slot.
#[derive(Clone, Debug)]
pub(super) struct Unusable {
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) digest: String,
    pub(super) rejection: Rejection,
}

impl Plan {
    /// Who should serve. `in_use` are the files that slots have now: among two files of one name, such a one goes first.
    pub(super) fn new(config: &Config, library: &Library, in_use: &BTreeSet<PathBuf>) -> Self {
        let mut plan = Self::default();
        let mut taken = BTreeSet::new();
        for translator in &config.translators {
            match find(translator, config, library) {
                Some(found) => {
                    taken.extend(found.file.clone());
                    plan.wanted.push(configured(translator, found));
                }
                None => plan.missing.push((translator.name.clone(), sought(translator, config, library))),
            }
        }
        // What is gone and has not come to serve in time never will.
        let is_there = |path: &Path, book: &Book| !book.is_gone || in_use.contains(path);
        let mut files: Vec<(&Path, &Book)> = library
            .iter()
            .filter(|(path, book)| is_in(path, &config.plugins.directory) && is_there(path, book))
            .collect();
        files.sort_by_key(|(path, _)| !in_use.contains(*path));
        for (path, book) in files.into_iter().filter(|(path, _)| !taken.contains(*path)) {
            match plan.drop_in(config, library, path, book) {
                Ok(wanted) => plan.wanted.push(wanted),
                Err((name, rejection)) => plan.unusable.push(Unusable {
                    file: path.to_owned(),
                    name,
                    digest: book.artifact.digest(),
                    rejection,
                }),
            }
        }
        plan
    }

    fn drop_in(
        &self,
        config: &Config,
        library: &Library,
        path: &Path,
        book: &Book,
    ) -> Result<Wanted, (String, Rejection)> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let reject =
            |name: &str, reason: String| (name.to_owned(), Rejection { step: Step::Identified, reason });
        let is_script = path.extension().is_some_and(|of| of == "js");
        let Some(manifest) = book.artifact.manifest() else {
            let reason = format!(
                "it has no manifest, so that nobody knows whom it serves: build it with `tidegate plugin build`, \
                 or name it in {} with [[translator]] name = {stem:?}",
                config.origin.file.as_deref().unwrap_or_else(|| Path::new("tidegate.toml")).display()
            );
            return Err(reject(&stem, reason));
        };
        let name = manifest.name.clone();
        if let Some(other) = self.wanted.iter().find(|other| other.name == name) {
            let whose =
                other.file.as_ref().map_or_else(|| "built in".to_owned(), |file| file.display().to_string());
            return Err(reject(
                &name,
                format!("{}: there is another translator {name:?} ({whose})", path.display()),
            ));
        }
        Ok(Wanted {
            name,
            file: Some(path.to_owned()),
            artifact: Arc::clone(&book.artifact),
            changed: Some(book.changed),
            settings: json!({}),
            limits: limits(&config.plugins.limits),
            policy: Policy::default(),
            is_configured: false,
            claim: claim(manifest, is_script),
            is_stale: library.is_stale(path),
        })
    }
}

/// A script is for everybody if it does not say otherwise.
fn claim(manifest: &Manifest, is_script: bool) -> Option<Claim> {
    match &manifest.claims {
        Some(Claims { endpoints, objects }) => {
            Some(Claim { endpoints: endpoints.clone(), objects: objects.clone() })
        }
        None => is_script.then(|| Claim { endpoints: vec!["*".to_owned()], objects: Vec::new() }),
    }
}

/// How the configuration writes limits, as the engine takes them.
pub(crate) fn limits(of: &config::Limits) -> Limits {
    Limits { fuel: of.fuel, wall: of.wall, memory: of.memory, ..Limits::default() }
}

/// The files that the configuration names, wherever they are.
pub(super) fn named(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.translators.iter().filter_map(config::Translator::file).map(plain)
}

/// The same path without dots in it, so that two names of one file are equal.
pub(super) fn plain(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_in(path: &Path, directory: &Path) -> bool {
    path.parent() == Some(&plain(directory))
}

/// An artifact for a `[[translator]]`.
struct Found {
    file: Option<PathBuf>,
    artifact: Arc<Artifact>,
    changed: Option<SystemTime>,
    is_stale: bool,
}

/// That which it names; else the folder's file of its name, or whose manifest has its name; else that in the gateway.
fn find(translator: &config::Translator, config: &Config, library: &Library) -> Option<Found> {
    let found = |path: &Path, book: &Book| Found {
        file: Some(path.to_owned()),
        artifact: Arc::clone(&book.artifact),
        changed: Some(book.changed),
        is_stale: library.is_stale(path),
    };
    let built_in = |name: &str| {
        let artifact = Arc::new(Artifact::built_in(name)?);
        Some(Found { file: None, artifact, changed: None, is_stale: false })
    };
    if let Some(name) = translator.built_in() {
        return built_in(name);
    }
    if let Some(path) = translator.file().map(plain) {
        return library.get(&path).map(|book| found(&path, book));
    }
    for path in beside(translator, config) {
        if let Some(book) = library.get(&path) {
            return Some(found(&path, book));
        }
        // What is there but cannot be read is not silently another one.
        if library.problem(&path).is_some() {
            return None;
        }
    }
    let directory = plain(&config.plugins.directory);
    let says_so =
        |book: &Book| book.artifact.manifest().is_some_and(|manifest| manifest.name == translator.name);
    if let Some((path, book)) = library.iter().find(|(path, book)| is_in(path, &directory) && says_so(book)) {
        return Some(found(path, book));
    }
    built_in(&translator.name)
}

/// The files of its name in the plugin folder.
fn beside(translator: &config::Translator, config: &Config) -> [PathBuf; 2] {
    let directory = plain(&config.plugins.directory);
    ["wasm", "js"].map(|extension| directory.join(format!("{}.{extension}", translator.name)))
}

/// Why there is none.
fn sought(translator: &config::Translator, config: &Config, library: &Library) -> String {
    let problem = |path: &Path| library.problem(path).map(ToString::to_string);
    if let Some(name) = translator.built_in() {
        let names: Vec<&str> = Artifact::built_in_names().collect();
        return format!("no translator {name:?} is built in; there is: {}", names.join(", "));
    }
    match translator.file().map(plain) {
        Some(path) => problem(&path).unwrap_or_else(|| format!("{}: there is no such file", path.display())),
        None => beside(translator, config).iter().find_map(|path| problem(path)).unwrap_or_else(|| {
            format!(
                "there is no artifact for it: neither {0}.wasm nor {0}.js in {1}, and none built in",
                translator.name,
                config.plugins.directory.display()
            )
        }),
    }
}

fn configured(translator: &config::Translator, found: Found) -> Wanted {
    Wanted {
        name: translator.name.clone(),
        file: found.file,
        artifact: found.artifact,
        changed: found.changed,
        settings: translator.settings.clone(),
        limits: limits(&translator.limits),
        policy: Policy::of(translator),
        is_configured: true,
        claim: None,
        is_stale: found.is_stale,
    }
}
