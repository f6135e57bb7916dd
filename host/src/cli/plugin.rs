//! `tidegate plugin`: translators before they serve.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::plugin::{Artifact, Engine, Generation, Limits, Rejection};

/// `tidegate plugin`
#[derive(Args, Debug)]
pub(super) struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take translators through the steps before they serve, with the defaults of their settings
    Check {
        /// Files to check
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Does what was typed.
pub(super) fn run(options: &Plugin) -> anyhow::Result<()> {
    let Command::Check { files } = &options.command;
    let limits = Limits::default();
    let engine = Engine::new(&limits)
        .map_err(|error| anyhow::anyhow!("the WebAssembly engine cannot start: {error:#}"))?;
    let mut rejected = 0_usize;
    for file in files {
        match prove(&engine, file.as_path(), &limits) {
            Ok(text) => println!("{}: {text}", file.display()),
            Err(rejection) => {
                rejected += 1;
                println!("{}: {rejection}", file.display());
            }
        }
    }
    anyhow::ensure!(rejected == 0, "rejected: {rejected} of {}", files.len());
    Ok(())
}

fn prove(engine: &Engine, file: &std::path::Path, limits: &Limits) -> Result<String, Rejection> {
    let artifact = Artifact::read(file)?;
    let generation = Generation::prove(engine, &artifact, &serde_json::json!({}), limits)?;
    let name = generation.manifest().map_or_else(
        || "without a manifest".to_owned(),
        |manifest| format!("{} {}", manifest.name, manifest.version),
    );
    Ok(format!("would serve ({name}, {} bytes, SHA-256 {})", artifact.bytes().len(), artifact.digest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_ends_with_an_error_if_one_file_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.wasm"), folder.path().join("bad.wasm"));
        std::fs::write(&good, Artifact::built_in("emqx").unwrap().bytes()).unwrap();
        std::fs::write(&bad, "(component)").unwrap();
        let check = |files| run(&Plugin { command: Command::Check { files } });
        check(vec![good.clone()]).unwrap();
        assert_eq!(check(vec![good, bad]).unwrap_err().to_string(), "rejected: 1 of 2");
    }
}
