//! What is tested and measured: a translator with its cases, found by what was typed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tidegate_case::Case;

use super::build;
use super::project::Project;
use crate::plugin::{Artifact, Engine, Generation, Limits};

/// A translator that is ready, and its cases.
pub(super) struct Subject {
    /// The artifact's file.
    pub(super) file: PathBuf,
    pub(super) generation: Generation,
    pub(super) cases: Vec<Found>,
}

/// A case, and the file that it can be blessed in; none if it is inside the artifact.
pub(super) struct Found {
    pub(super) file: Option<PathBuf>,
    pub(super) case: Case,
}

impl Found {
    /// For people.
    pub(super) fn label(&self) -> String {
        let name = &self.case.name;
        let file = self.file.as_ref().and_then(|file| file.file_name()).map(|file| file.to_string_lossy());
        file.map_or_else(|| name.clone(), |file| format!("{file}: {name}"))
    }

    /// Whether somebody means it by this text: part of its name or of its file's.
    fn is_meant(&self, text: &str) -> bool {
        self.label().contains(text)
    }
}

/// What was typed: files and folders, and, of what does not exist, names of cases.
pub(super) struct Typed {
    places: Vec<PathBuf>,
    names: Vec<String>,
}

impl Typed {
    /// Without a place, the current folder is meant.
    pub(super) fn read(words: &[String]) -> anyhow::Result<Self> {
        let (places, names): (Vec<&String>, Vec<&String>) =
            words.iter().partition(|word| Path::new(word).exists());
        for name in &names {
            let is_path = name.contains('/') || name.ends_with(".wasm") || name.ends_with(".js");
            ensure!(!is_path, "there is no file or folder {name}");
        }
        let mut places: Vec<PathBuf> = places.into_iter().map(PathBuf::from).collect();
        if places.is_empty() {
            places.push(".".into());
        }
        Ok(Self { places, names: names.into_iter().cloned().collect() })
    }

    /// All that was meant.
    pub(super) fn subjects(&self, engine: &Engine, limits: &Limits) -> anyhow::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for place in &self.places {
            let mut subject = Subject::at(place, engine, limits)?;
            if !self.names.is_empty() {
                subject.cases.retain(|found| self.names.iter().any(|name| found.is_meant(name)));
            }
            subjects.push(subject);
        }
        let found: usize = subjects.iter().map(|subject| subject.cases.len()).sum();
        ensure!(found > 0 || self.names.is_empty(), "no case has {} in its name", self.names.join(" or "));
        Ok(subjects)
    }
}

impl Subject {
    /// A folder is built first; a file is taken as it is, with the cases in it or beside it.
    fn at(place: &Path, engine: &Engine, limits: &Limits) -> anyhow::Result<Self> {
        let (file, folder) = if place.is_dir() {
            let project = Project::open(place)?;
            let folder = project.cases();
            ensure!(folder.is_some(), "{} has no folder cases", place.display());
            (build::component(&project, None)?, folder)
        } else {
            (place.to_owned(), beside(place))
        };
        let artifact = Artifact::read(&file).with_context(|| file.display().to_string())?;
        let cases: Vec<Found> = match folder {
            Some(folder) => {
                let files = Case::load(&folder)?.into_iter();
                files.map(|(file, case)| Found { file: Some(file), case }).collect()
            }
            None => artifact.cases().iter().map(|case| Found { file: None, case: case.clone() }).collect(),
        };
        if cases.is_empty() {
            bail!(
                "{} has no cases: neither in it nor as {}.cases/*.toml beside it",
                file.display(),
                file.with_extension("").display()
            );
        }
        let generation =
            prove(engine, &artifact, &cases, limits).with_context(|| file.display().to_string())?;
        Ok(Self { file, generation, cases })
    }
}

/// `NAME.cases` beside a file, or, beside a script, `cases`.
fn beside(file: &Path) -> Option<PathBuf> {
    let own = file.with_extension("cases");
    let shared = file.with_file_name("cases");
    let is_script = file.extension().is_some_and(|of| of == "js");
    [(own, true), (shared, is_script)]
        .into_iter()
        .find(|(folder, may)| *may && folder.is_dir())
        .map(|of| of.0)
}

/// With the defaults of the settings, or, where there are settings without a default, with those of a case. What is
/// embedded is left to the run of the cases, which tells more.
fn prove(
    engine: &Engine,
    artifact: &Artifact,
    cases: &[Found],
    limits: &Limits,
) -> anyhow::Result<Generation> {
    let artifact = artifact.without_cases();
    let nothing = json!({});
    let first = match Generation::prove(engine, &artifact, &nothing, limits) {
        Ok(generation) => return Ok(generation),
        Err(rejection) => rejection,
    };
    let mut tried: Vec<&Value> = vec![&nothing];
    for settings in cases.iter().map(|found| &found.case.settings) {
        if !tried.contains(&settings) {
            if let Ok(generation) = Generation::prove(engine, &artifact, settings, limits) {
                return Ok(generation);
            }
            tried.push(settings);
        }
    }
    Err(first.into())
}

/// The text of a case's file.
pub(super) fn text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
