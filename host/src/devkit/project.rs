//! The folder that a translator is written in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::embed;
use crate::plugin::{Artifact, Manifest};

/// What a translator is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A crate
    Rust,
    /// C, compiled by zig
    C,
    /// A script that needs no toolchain
    Javascript,
    /// Python, made a component by componentize-py
    Python,
}

/// A folder with the source of one translator.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) language: Language,
    /// The name of its slot.
    pub(super) name: String,
}

impl Project {
    /// Looks at a folder. What it is written in is known by its files, its name by its manifest.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let folder = fs::canonicalize(folder).with_context(|| format!("{}", folder.display()))?;
        if !folder.is_dir() {
            bail!("{} is no folder", folder.display());
        }
        let has = |name: &str| folder.join(name).is_file();
        let language = match () {
            () if has("Cargo.toml") => Language::Rust,
            () if has("app.py") => Language::Python,
            () if has("plugin.c") => Language::C,
            () => return Self::script(folder),
        };
        let file = folder.join("translator.toml");
        if !file.is_file() {
            bail!(
                "{} has no translator.toml: it says the translator's name, version and contract",
                folder.display()
            );
        }
        let manifest = Manifest::parse(&embed::manifest(&file)?, &file.display().to_string())?;
        Ok(Self { folder, language, name: manifest.name })
    }

    fn script(folder: PathBuf) -> anyhow::Result<Self> {
        let mut scripts = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|of| of == "js") {
                scripts.push(path);
            }
        }
        scripts.sort();
        match scripts.as_slice() {
            [script] => {
                let artifact = Artifact::read(script)?;
                let name = artifact.manifest().map(|manifest| manifest.name.clone()).unwrap_or_default();
                Ok(Self { folder, language: Language::Javascript, name })
            }
            [] => bail!(
                "{} is no translator's folder: it has neither Cargo.toml nor app.py nor plugin.c nor a .js; \
                 `tidegate plugin new NAME` makes one",
                folder.display()
            ),
            several => bail!("{} has {} scripts: name one of the files", folder.display(), several.len()),
        }
    }

    /// What the gateway takes: the component, or the script.
    pub(super) fn artifact(&self) -> PathBuf {
        match self.language {
            Language::Javascript => self.folder.join(format!("{}.js", self.name)),
            Language::Rust | Language::C | Language::Python => {
                self.folder.join(format!("{}.wasm", self.name))
            }
        }
    }

    /// The manifest of what is not a script.
    pub(super) fn manifest(&self) -> PathBuf {
        self.folder.join("translator.toml")
    }

    /// The folder of its cases, if there is one.
    pub(super) fn cases(&self) -> Option<PathBuf> {
        Some(self.folder.join("cases")).filter(|folder| folder.is_dir())
    }
}
