//! `tidegate plugin`: translators before they serve.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::devkit;

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
    /// Put manifest and cases into a component, in place of those that it has
    Embed {
        /// A component, or a core module with the types of one
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The manifest; without it, translator.toml of the current folder if there is one
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// A folder of cases
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
    },
    /// Say what a translator is: manifest, contract, imports, exports, sizes, settings, cases
    Inspect {
        /// A component or a script
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Prove the translators of the gateway and of the plugin folder
    List {
        /// The folder; without it, that of tidegate.toml if there is one, else plugins
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
    },
}

/// Does what was typed.
pub(super) fn run(options: &Plugin) -> anyhow::Result<()> {
    match &options.command {
        Command::Check { files } => devkit::check(files),
        Command::Embed { file, manifest, cases } => {
            let here = Path::new("translator.toml");
            let manifest = manifest.as_deref().or_else(|| here.exists().then_some(here));
            devkit::embed(&devkit::Embed { file, manifest, cases: cases.as_deref() })
        }
        Command::Inspect { file } => devkit::inspect(file),
        Command::List { plugins: Some(folder) } => devkit::list(folder),
        Command::List { plugins: None } => devkit::list(&configured()?.plugins.directory),
    }
}

/// The configuration of the current folder.
fn configured() -> anyhow::Result<Config> {
    let here = Path::new("tidegate.toml");
    Ok(if here.exists() { Config::load(here)? } else { Config::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Artifact;

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
