//! `tidegate plugin list`: which translators there are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plugin::{Artifact, Limits};

/// Proves what is in the gateway and in the plugin folder, with the defaults of the settings, and says what each is or
/// why it would not serve. A folder that does not exist is empty.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn list(folder: &Path) -> anyhow::Result<()> {
    let limits = Limits::default();
    let engine = super::engine(&limits)?;
    let built_in = Artifact::built_in_names().map(|name| {
        let artifact = Artifact::built_in(name).expect("the name is one of the gateway's own");
        (format!("built-in {name}"), Ok(artifact))
    });
    let files = files(folder)?.into_iter().map(|file| {
        let artifact = Artifact::read(&file);
        (file.display().to_string(), artifact)
    });
    for (what, artifact) in built_in.chain(files) {
        match super::prove(&engine, artifact, &limits) {
            Ok(text) => println!("{what}: {text}"),
            Err(rejection) => println!("{what}: {rejection}"),
        }
    }
    Ok(())
}

/// By their names, as the gateway takes them.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("there is no folder {}", folder.display());
            return Ok(Vec::new());
        }
        Err(error) => anyhow::bail!("cannot read {}: {error}", folder.display()),
    };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_hidden =
        |file: &Path| file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|file| !is_hidden(file) && file.extension().is_some_and(|of| of == "wasm" || of == "js"));
    files.sort();
    Ok(files)
}
