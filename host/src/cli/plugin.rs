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
    /// Make a folder with a new translator in it, which builds, and a case, which passes
    New {
        /// Its name: small letters, digits, _ and -
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is written in
        #[arg(long, value_enum, default_value = "rust", value_name = "LANGUAGE")]
        lang: devkit::Language,
        /// The folder; without it, one of that name
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
        /// The folder of tidegate-sdk, in place of the sources that this gateway brings
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build a translator, with its manifest and its cases in it
    Build {
        /// Its folder
        #[arg(default_value = ".", value_name = "DIR")]
        folder: PathBuf,
        /// Where it goes, such as into the folder of a running gateway; without it, into its own folder
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Run cases in the gateway's engine: each alone, on instances used before, and in another order
    Test {
        /// Write what comes out into the cases that come out otherwise
        #[arg(long)]
        bless: bool,
        /// Folders, which are built first, or files; and parts of the names of those cases that are wanted
        #[arg(value_name = "DIR|FILE|NAME")]
        what: Vec<String>,
    },
    /// Say how long the calls of the cases take, and their share of the limits
    Bench {
        /// How often each is called
        #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
        calls: u32,
        /// As for `test`
        #[arg(value_name = "DIR|FILE|NAME")]
        what: Vec<String>,
    },
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
        Command::New { name, lang, folder, sdk } => {
            let (folder, sdk) = (folder.as_deref(), sdk.as_deref());
            devkit::new(&devkit::New { name, language: *lang, folder, sdk })
        }
        Command::Build { folder, output } => devkit::build(folder, output.as_deref()),
        Command::Test { bless, what } => devkit::test(what, *bless),
        Command::Bench { calls, what } => devkit::bench(what, *calls),
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
