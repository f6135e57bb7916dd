//! `tidegate plugin`: what an author does with a translator before it serves, in the engine and under the limits that it
//! will have. The command line calls one function for each subcommand; each prints for people, and its error is the exit
//! code.

mod bench;
mod build;
mod embed;
mod inspect;
mod list;
mod new;
mod process;
mod project;
mod section;
mod subject;
mod test;
mod toolchain;

use std::path::Path;

use anyhow::Context as _;

pub(crate) use bench::bench;
pub(crate) use build::build;
pub(crate) use embed::{Embed, embed};
pub(crate) use inspect::inspect;
pub(crate) use list::list;
pub(crate) use new::{New, new};
pub(crate) use process::Failed;
pub(crate) use project::Language;
pub(crate) use test::test;

use crate::plugin::{Artifact, Engine, Generation, Limits, Rejection};

/// Takes translators through the steps before they serve, with the defaults of their settings.
///
/// # Errors
/// How many were rejected.
pub(crate) fn check(files: &[impl AsRef<Path>]) -> anyhow::Result<()> {
    let limits = Limits::default();
    let engine = engine(&limits)?;
    let mut rejected = 0_usize;
    for file in files.iter().map(AsRef::as_ref) {
        match prove(&engine, Artifact::read(file), &limits) {
            Ok(text) => println!("{}: would serve ({text})", file.display()),
            Err(rejection) => {
                rejected += 1;
                println!("{}: {rejection}", file.display());
            }
        }
    }
    anyhow::ensure!(rejected == 0, "rejected: {rejected} of {}", files.len());
    Ok(())
}

fn engine(limits: &Limits) -> anyhow::Result<Engine> {
    Engine::new(limits)
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .context("the WebAssembly engine cannot start")
}

/// What there is to say about a translator that would serve.
fn prove(
    engine: &Engine,
    artifact: Result<Artifact, Rejection>,
    limits: &Limits,
) -> Result<String, Rejection> {
    let artifact = artifact?;
    let generation = Generation::prove(engine, &artifact, &serde_json::json!({}), limits)?;
    let name = generation.manifest().map_or_else(
        || "without a manifest".to_owned(),
        |manifest| format!("{} {}", manifest.name, manifest.version),
    );
    let size =
        if artifact.is_script() { "script".to_owned() } else { format!("{} bytes", artifact.bytes().len()) };
    let cases = artifact.cases().len();
    Ok(format!("{name}, {size}, cases: {cases}, SHA-256 {}", artifact.digest()))
}

#[cfg(test)]
mod tests;
