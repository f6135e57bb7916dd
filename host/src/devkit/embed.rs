//! `tidegate plugin embed`: manifest and cases into a `.wasm` that somebody has built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tidegate_case::Case;

use super::section;
use crate::plugin::{Artifact, EmbeddedCase, Manifest, Origin, SECTION};

/// What is to be embedded in which file.
#[derive(Debug)]
pub(crate) struct Embed<'a> {
    /// A component, or a core module with the types of one.
    pub(crate) file: &'a Path,
    /// `translator.toml`.
    pub(crate) manifest: Option<&'a Path>,
    /// A folder of cases.
    pub(crate) cases: Option<&'a Path>,
}

/// Writes the file anew, with the sections in place of those that it had.
///
/// # Errors
/// A file cannot be read, a manifest or a case is wrong, or the result cannot be written; then the file is as it was.
pub(crate) fn embed(what: &Embed<'_>) -> anyhow::Result<()> {
    ensure!(
        what.manifest.is_some() || what.cases.is_some(),
        "nothing to embed: there is no translator.toml here; say --manifest FILE or --cases DIR"
    );
    let bytes = read(what.file)?;
    let manifest = what.manifest.map(manifest).transpose()?;
    let cases = what.cases.map(Cases::read).transpose()?;
    let text = cases.as_ref().map(Cases::json);
    let embedded = section::embed(&bytes, manifest.as_deref(), text.as_deref())
        .with_context(|| what.file.display().to_string())?;
    // What was in it before may have been wrong, what is in it now is not.
    Artifact::new(embedded.clone(), Origin::File(what.file.to_owned()))
        .with_context(|| what.file.display().to_string())?;
    section::write_whole(what.file, &embedded)?;
    println!("{}: {} bytes", what.file.display(), embedded.len());
    if let Some(cases) = &cases {
        println!("{cases}");
    }
    Ok(())
}

/// A manifest's text, which has been read.
pub(super) fn manifest(file: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(file)?).with_context(|| format!("{} is not UTF-8", file.display()))?;
    Manifest::parse(&text, &file.display().to_string())?;
    Ok(text)
}

/// The first cases of a folder, as many as an artifact may have.
pub(super) struct Cases {
    folder: PathBuf,
    embedded: Vec<EmbeddedCase>,
    all: usize,
}

impl Cases {
    /// Reads a folder. What goes beyond the limit of a section is left out.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let files = Case::load(folder)?;
        let (mut embedded, mut size) = (Vec::new(), 2);
        for (path, _) in &files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let case = EmbeddedCase { file, text: fs::read_to_string(path)? };
            size += json(&case).len() + 1;
            if size > SECTION {
                break;
            }
            embedded.push(case);
        }
        Ok(Self { folder: folder.to_owned(), embedded, all: files.len() })
    }

    /// The text of the section.
    pub(super) fn json(&self) -> String {
        json(&self.embedded)
    }
}

impl std::fmt::Display for Cases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, all) = (self.embedded.len(), self.all);
        write!(f, "{}: {count} of {all} cases are embedded", self.folder.display())?;
        if count < all {
            write!(f, " (at most {SECTION} bytes; `tidegate plugin test` runs all)")?;
        }
        Ok(())
    }
}

fn json(of: &impl serde::Serialize) -> String {
    serde_json::to_string(of).expect("texts only")
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
